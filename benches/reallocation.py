"""Reallocation on recorded demand: exhaustions avoided, and what a division and a run cost.

`python benches/reallocation.py` measures this section alone. Quality is a figure of the record; its spread is
that over priorities drawn with different seeds. What is timed is verified first: the sum of the budgets, and
each share against a level found by bisection in fractions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from time import process_time

import numpy as np

from measure import Spread
from report import Row, machine, show
from safeguards import BudgetCoordinator, ManualClock, PriorityBasedReallocator
from safeguards._native import PoolMembers, max_min_shares
from safeguards.backtest import Demand
from safeguards.backtest.reallocation import ReallocationBacktest, backtest_reallocation

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from backtest.recorded import m_large, nab_tweets, normalised

SEEDS = 5
ROUNDS = 7
AGENTS = 10_000
INTERVAL = 1800


def rows() -> list[Row]:
    quality = [
        *compared("agents of an LLM service", normalised(m_large(), 336), 75.0),
        *compared("tweets", normalised(nab_tweets(), 600), 60.0),
    ]
    return [*quality, *speed(verify())]


def compared(name: str, demand: Demand, bar: float) -> list[Row]:
    results = [backtest_reallocation(demand, seed=seed) for seed in range(SEEDS)]
    note = "of the exhaustions under static priority shares"
    policies = {
        "reallocated": bar,
        "reallocated, as it comes": None,
        "reallocated every 10 minutes": None,
        "reallocated without reserve": None,
        "hindsight": None,
    }
    return [
        Row(f"{name}: avoided, {policy}", avoided(results, policy), "%", least, "least", note)
        for policy, least in policies.items()
    ]


def avoided(results: list[ReallocationBacktest], policy: str) -> Spread:
    return Spread(tuple(100 * result.row(policy).avoided_share for result in results))


def verify() -> str:
    """Scarce shares are those of one level for all, to the last unit."""
    draw = np.random.default_rng(0)
    needs = [Decimal(int(units)).scaleb(-9) for units in draw.integers(1, 10**12, 500)]
    weights = draw.choice([4.0, 2.0, 1.0, 0.5], 500).tolist()
    total = sum(needs) / 2
    low, high = Fraction(0), Fraction(2000)
    for _ in range(100):
        middle = (low + high) / 2
        poured = sum(min(Fraction(n), middle * Fraction(w)) for n, w in zip(needs, weights, strict=True))
        low, high = (low, middle) if poured > Fraction(total) else (middle, high)
    shares = max_min_shares(total, needs, weights)
    off = max(
        abs(Fraction(share) - min(Fraction(n), low * Fraction(w)))
        for share, n, w in zip(shares, needs, weights, strict=True)
    )
    if sum(shares) != total or off >= Fraction(1, 10**9):
        raise AssertionError(f"shares are off by {float(off)}, their sum by {sum(shares) - total}")
    return "shares are exact to the last unit"


def speed(proof: str) -> list[Row]:
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("pool", 10 * AGENTS)
    agents = [coordinator.register_agent(f"agent-{i}", "pool", 1 + i % 10, 10) for i in range(AGENTS)]
    reallocator = PriorityBasedReallocator(coordinator, INTERVAL, history_size=2 * AGENTS)
    runs = []
    with reallocator:
        for turn in range(ROUNDS):
            for i, agent in enumerate(agents):
                coordinator.try_debit(agent, 1 + (i * 7 + turn) % 5)
            runs.append(seconds(lambda: clock.advance(INTERVAL)) * 1e3)
            dealt = sum(map(coordinator.get_budget, agents)) + reallocator.get_reserve("pool")
            if dealt > coordinator.get_pool_budget("pool"):
                raise AssertionError(f"{dealt} was dealt out of {coordinator.get_pool_budget('pool')}")
    members = PoolMembers(coordinator, "pool")
    needs = np.random.default_rng(0).lognormal(2, 1, AGENTS)
    weights, fixed = 1.0 + np.arange(AGENTS) % 10, np.zeros(AGENTS, bool)
    rule = (0.1, 0.2, None)
    looks = [seconds(lambda: PoolMembers(coordinator, "pool")) * 1e3 for _ in range(ROUNDS)]
    told = [seconds(lambda: members.deal(needs, weights, fixed, rule)) * 1e3 for _ in range(ROUNDS)]
    changed = {row for row, _, _ in members.deal(needs, weights, fixed, rule)[0]}
    if len(changed) < AGENTS * 0.99:
        raise AssertionError(f"only {len(changed)} of {AGENTS} budgets change")
    return [
        Row("division of a pool among 10,000", divided(agents), "ms", 5, "most", proof),
        Row("the same, with 20,000 Decimals that say what changes", Spread(tuple(told)), "ms"),
        Row("a look at 10,000 agents", Spread(tuple(looks)), "ms"),
        Row("a whole run of 10,000 agents, all changed", Spread(tuple(runs[1:])), "ms"),
    ]


def divided(agents: list[str]) -> Spread:
    """Milliseconds of a division that changes nothing, so that nothing has to be told."""
    coordinator = BudgetCoordinator(clock=ManualClock())
    coordinator.create_budget_pool("pool", 10 * AGENTS)
    for i, agent in enumerate(agents):
        coordinator.register_agent(agent, "pool", 1 + i % 10, 10)
    needs = np.random.default_rng(0).lognormal(2, 1, AGENTS)
    weights, fixed = 1.0 + np.arange(AGENTS) % 10, np.zeros(AGENTS, bool)
    rule = (0.1, 0.2, None)
    members = PoolMembers(coordinator, "pool")
    for row, old, new in members.deal(needs, weights, fixed, rule)[0]:
        coordinator.adjust_budget(agents[row], new - old)
    members = PoolMembers(coordinator, "pool")
    samples = [seconds(lambda: members.deal(needs, weights, fixed, rule)) * 1e3 for _ in range(ROUNDS)]
    if members.deal(needs, weights, fixed, rule)[0]:
        raise AssertionError("a division that was carried out changes something when it is repeated")
    return Spread(tuple(samples))


def seconds(work: Callable[[], object]) -> float:
    started = process_time()
    work()
    return process_time() - started


def main() -> None:
    facts = machine()
    show(f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}", {"Reallocation": rows()})


if __name__ == "__main__":
    main()

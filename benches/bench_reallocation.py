"""Reallocation on recorded demand: exhaustions avoided, and what a division and a run cost.

Quality is a figure of the record; its spread is that over priorities drawn with different seeds. Processor
time of all threads.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from time import process_time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness import Record, Versus, at_least, at_most
from measure import work
from safeguards import BudgetCoordinator, ManualClock, PriorityBasedReallocator
from safeguards._native import PoolMembers, max_min_shares
from safeguards.backtest.reallocation import backtest_reallocation
from yardsticks.recorded import m_large, nab_tweets, normalised

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.benchmark(group="Reallocation")

SEEDS = 5
AGENTS = 10_000
INTERVAL = 1800
RULE = (0.1, 0.2, None)
RECORDS = {
    "agents of an LLM service": (lambda: normalised(m_large(), 336), at_least(75, "%")),
    "tweets": (lambda: normalised(nab_tweets(), 600), at_least(60, "%")),
}
POLICIES = ("reallocated", "reallocated without reserve", "no agent budgets", "hindsight")
WAYS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "by priority": {"order": "by priority"},
    "every 10 minutes": {"interval": 600},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RECORDS)
def bench_quality(
    benchmark: BenchmarkFixture, record: Record, name: str, way: str, *, is_quick: bool
) -> None:
    read, bar = RECORDS[name]
    demand, seeds = read(), range(1 if is_quick else SEEDS)
    results = benchmark.pedantic(
        lambda: [
            backtest_reallocation(demand, seed=seed, priorities="random", **WAYS[way]) for seed in seeds
        ],
        rounds=1,
    )
    for policy in POLICIES:
        avoided = [100 * result.row(policy).avoided_share for result in results]
        of = bar if (policy, way) == ("reallocated", "by priority") else "%"
        record(
            f"{name}, {way}: avoided, {policy}",
            avoided,
            of,
            "of the exhaustions under static priority shares",
        )


def pool_of(agents: int, clock: ManualClock) -> tuple[BudgetCoordinator, list[str]]:
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("pool", 10 * agents)
    return coordinator, [
        coordinator.register_agent(f"agent-{i}", "pool", 1 + i % 10, 10) for i in range(agents)
    ]


def draws(agents: int) -> tuple[Any, ...]:
    needs = np.random.default_rng(0).lognormal(2, 1, agents)
    return needs, 1.0 + np.arange(agents) % 10, np.zeros(agents, bool), RULE


def bench_division(versus: Versus, *, is_quick: bool) -> None:
    """A division that changes nothing, so that nothing has to be told."""
    agents = 100 if is_quick else AGENTS
    coordinator, ids = pool_of(agents, ManualClock())
    arguments = draws(agents)
    for row, old, new in PoolMembers(coordinator, "pool").deal(*arguments)[0]:
        coordinator.adjust_budget(ids[row], new - old)
    members = PoolMembers(coordinator, "pool")

    def verify(_: int) -> str:
        assert not members.deal(*arguments)[0], "a division that was carried out changes something"
        return exact_shares()

    name = f"division of a pool among {AGENTS:,}"
    versus(work(name, lambda: members.deal(*arguments), verify, timer=process_time), bar=at_most(5, "ms"))


def exact_shares() -> str:
    """Scarce shares are those of one level for all, found by bisection in fractions, to the last unit."""
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
    assert sum(shares) == total, f"the sum is off by {sum(shares) - total}"
    assert off < Fraction(1, 10**9), f"a share is off by {float(off)}"
    return "shares are exact to the last unit"


@pytest.mark.parametrize(
    "what", ["the same division, with 20,000 Decimals that say what changes", "a look at 10,000 agents"]
)
def bench_part(versus: Versus, what: str, *, is_quick: bool) -> None:
    agents = 100 if is_quick else AGENTS
    coordinator, _ = pool_of(agents, ManualClock())
    members, arguments = PoolMembers(coordinator, "pool"), draws(agents)

    def verify(_: int) -> str:
        changed = {row for row, _, _ in members.deal(*arguments)[0]}
        assert len(changed) >= agents * 0.99, f"only {len(changed)} of {agents} budgets change"
        return f"{len(changed):,} budgets change"

    is_look = what.startswith("a look")
    call = (lambda: PoolMembers(coordinator, "pool")) if is_look else (lambda: members.deal(*arguments))
    versus(work(what, call, verify, timer=process_time), unit="ms")


def bench_run(versus: Versus, *, is_quick: bool) -> None:
    """A whole run in which every budget changes; the spending before it is not timed."""
    agents, clock = 100 if is_quick else AGENTS, ManualClock()
    coordinator, ids = pool_of(agents, clock)
    reallocator = PriorityBasedReallocator(coordinator, INTERVAL, history_size=2 * agents)
    turns = iter(range(10**6))

    def spend() -> None:
        turn = next(turns)
        for i, agent in enumerate(ids):
            coordinator.try_debit(agent, 1 + (i * 7 + turn) % 5)

    def verify(_: int) -> str:
        dealt = sum(map(coordinator.get_budget, ids)) + reallocator.get_reserve("pool")
        assert dealt <= coordinator.get_pool_budget("pool"), f"{dealt} was dealt"
        return "no more was dealt than there is"

    name = f"a whole run of {AGENTS:,} agents, all changed"
    with reallocator:
        run = work(name, lambda: clock.advance(INTERVAL), verify, timer=process_time, before=spend)
        versus(run, unit="ms")

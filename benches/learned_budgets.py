"""Learned budgets: the gap to clairvoyance that they close on recorded demand, and what training takes.

`python benches/learned_budgets.py` measures this section alone. Shares spread over seeds, times over rounds.
Before anything is timed, the guide's reward as a Python function has taught what its weights teach.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from time import perf_counter

import numpy as np

from measure import Spread
from report import Row, machine, show
from safeguards import BudgetCoordinator, BudgetRLOptimizer, ManualClock
from safeguards.backtest import Demand
from safeguards.backtest.rl import backtest_rl

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from backtest import recorded  # noqa: E402 - it stands beside the tests

SEEDS = 5
ROUNDS = 5
AGENTS, HOURS = 60, 336
GUIDE = (ROOT / "tests" / "data" / "dynamic_budget.md").read_text()


def rows() -> list[Row]:
    return [*quality(), *training()]


def guide_reward() -> Callable[..., float]:
    """The function that the guide prints."""
    [source] = re.findall(r"^def reward_function.*?(?=^# )", GUIDE, re.MULTILINE | re.DOTALL)
    names: dict[str, Callable[..., float]] = {}
    exec(source, names)  # noqa: S102 - the guide's own text
    return names["reward_function"]


def quality() -> list[Row]:
    tweets = recorded.nab_tweets()
    records = [
        ("tenants of an LLM service", recorded.m_large(), 0.32),
        ("tweets, first 500 hours", Demand(tweets.agents, tweets.cost[:, :500]), 0.28),
        ("tweets, the next 500 hours", Demand(tweets.agents, tweets.cost[:, 500:1000]), None),
        ("small pools", recorded.small_pools(), None),
        ("a city", recorded.taxi(), None),
    ]
    found: list[Row] = []
    for name, demand, bar in records:
        results = [backtest_rl(demand, seed=seed) for seed in range(SEEDS)]
        step = results[0].row("step")
        learned = Spread(tuple(result.row("learned").closed_share for result in results))
        exhausted = np.mean([result.row("learned").exhausted_share for result in results])
        opened = sum(result.learned.is_in_force for result in results)
        note = (
            f"step {step.closed_share:.2f}; exhausted {exhausted:.1%}, step {step.exhausted_share:.1%}; "
            f"gate open {opened} of {SEEDS}"
        )
        found.append(Row(f"gap closed, {name}", learned, "share", bar, note=note))
    return found


def training() -> list[Row]:
    function = guide_reward()
    verify(function)
    plain = [seconds(None) for _ in range(ROUNDS)]
    called = [seconds(function) for _ in range(3)]
    size = f"{AGENTS} agents, two weeks of hours"
    return [
        Row(
            f"training, {size}, RewardWeights",
            Spread(tuple(plain)),
            "s",
            1.0,
            "most",
            note="with its held-out trial",
        ),
        Row(
            f"training, {size}, the guide's function",
            Spread(tuple(called)),
            "s",
            10.0,
            "most",
            note="likewise",
        ),
        Row(
            f"one run, {AGENTS} agents, learned policy",
            Spread(tuple(runs())),
            "ms",
            note="observe, decide, apply",
        ),
    ]


def optimizer(agents: int, hours: int) -> BudgetRLOptimizer:
    """One that knows two weeks of tenants of an LLM service."""
    coordinator = BudgetCoordinator(clock=ManualClock())
    coordinator.create_budget_pool("team", 10**9)
    cost = recorded.m_large().cost
    busiest = np.argsort(-(cost > 0).sum(axis=1))[:agents]
    found, now = BudgetRLOptimizer(coordinator), coordinator.clock.now()
    times = [now - timedelta(hours=n) for n in range(hours, 0, -1)]
    for row in busiest:
        coordinator.register_agent(f"agent_{row}", "team", initial_budget=1)
        found.load_history(f"agent_{row}", times, cost[row, :hours])
    found.run_once()  # takes the history
    return found


def verify(function: Callable[..., float]) -> None:
    """Few agents, so that both look at the same situations, which a function that is called sees fewer of."""
    one, two = optimizer(2, 120), optimizer(2, 120)
    one.configure(function)
    if not np.allclose(one.train().values, two.train().values, atol=1e-6):
        raise AssertionError("the guide's function and its weights teach different things")


def seconds(function: Callable[..., float] | None) -> float:
    trained = optimizer(AGENTS, HOURS)
    trained.configure(function)
    begun = perf_counter()
    policy = trained.train()
    took = perf_counter() - begun
    if policy.intervals < AGENTS * HOURS * 0.8:
        raise AssertionError(f"learnt from {policy.intervals} intervals only")
    return took


def runs() -> list[float]:
    trained = optimizer(AGENTS, HOURS)
    trained.train()
    clock, times = trained.budget_coordinator.clock, []
    for _ in range(20):
        clock.advance(3600)  # nobody started it: nothing runs on the way
        begun = perf_counter()
        trained.run_once()
        times.append((perf_counter() - begun) * 1e3)
    return times[1:]


if __name__ == "__main__":
    facts = machine()
    show(
        f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}", {"Learned budgets": rows()}
    )

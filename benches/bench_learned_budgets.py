"""Learned budgets: the gap to clairvoyance that they close on recorded demand, and what training takes.

Shares spread over seeds, times over rounds. Wall time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness import Record, Versus, at_least, at_most
from measure import work
from safeguards import BudgetCoordinator, BudgetRLOptimizer, ManualClock
from safeguards.backtest import Demand
from safeguards.backtest.rl import backtest_rl
from yardsticks import guide, recorded

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.benchmark(group="Learned budgets")

SEEDS = 5
AGENTS, HOURS = 60, 336


def hours(demand: Demand, start: int, end: int) -> Demand:
    return Demand(demand.agents, demand.cost[:, start:end])


RECORDS = {
    "tenants of an LLM service": (recorded.m_large, at_least(0.32, "share")),
    "tweets, first 500 hours": (lambda: hours(recorded.nab_tweets(), 0, 500), at_least(0.28, "share")),
    "tweets, the next 500 hours": (lambda: hours(recorded.nab_tweets(), 500, 1000), "share"),
    "small pools": (recorded.small_pools, "share"),
    "a city": (recorded.taxi, "share"),
}


@pytest.mark.parametrize("name", RECORDS)
def bench_quality(benchmark: BenchmarkFixture, record: Record, name: str, *, is_quick: bool) -> None:
    read, bar = RECORDS[name]
    demand, seeds = read(), range(1 if is_quick else SEEDS)
    results = benchmark.pedantic(lambda: [backtest_rl(demand, seed=seed) for seed in seeds], rounds=1)
    step = results[0].row("step")
    exhausted = np.mean([result.row("learned").exhausted_share for result in results])
    opened = sum(result.learned.is_in_force for result in results)
    note = (
        f"step {step.closed_share:.2f}; exhausted {exhausted:.1%}, step {step.exhausted_share:.1%}; "
        f"gate open {opened} of {len(seeds)}"
    )
    record(f"gap closed, {name}", [result.row("learned").closed_share for result in results], bar, note)


def optimizer(agents: int, hours: int, reward: Callable[..., float] | None = None) -> BudgetRLOptimizer:
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
    found.configure(reward)
    return found


@pytest.mark.parametrize(("reward", "bar"), [("RewardWeights", 1), ("the guide's function", 10)])
def bench_training(versus: Versus, reward: str, bar: float, *, is_quick: bool) -> None:
    """With its held-out trial. A new optimizer is made for each round, untimed."""
    function = None if reward == "RewardWeights" else guide.reward()
    agents, length = (2, 120) if is_quick else (AGENTS, HOURS)
    fresh: list[BudgetRLOptimizer] = []
    learnt: list[int] = []

    def prepare() -> None:
        fresh[:] = [optimizer(agents, length, function)]

    def train() -> None:
        learnt.append(fresh[0].train().intervals)

    def verify(_: int) -> str:
        assert min(learnt) >= agents * length * 0.75, f"learnt from {min(learnt)} intervals only"
        return taught_alike()

    name = f"training on {AGENTS} agents, two weeks of hours, {reward}"
    versus(work(name, train, verify, timer=perf_counter, before=prepare), bar=at_most(bar, "s"), rounds=3)


def taught_alike() -> str:
    """Few agents, so that both look at the same situations, which a function that is called sees fewer of."""
    weights, function = optimizer(2, 120), optimizer(2, 120, guide.reward())
    alike = np.allclose(weights.train().values, function.train().values, atol=1e-6)
    assert alike, "the guide's function and its weights teach different things"
    return "the guide's function and its weights teach the same"


def bench_run(versus: Versus, *, is_quick: bool) -> None:
    trained = optimizer(*((2, 120) if is_quick else (AGENTS, HOURS)))
    trained.train()
    clock = trained.budget_coordinator.clock

    def verify(calls: int) -> str:
        assert calls > 0
        return "observes, decides, applies"

    name = f"one run, {AGENTS} agents, learned policy"
    advance = lambda: clock.advance(3600)  # noqa: E731 - nobody started it: nothing runs on the way
    versus(work(name, trained.run_once, verify, timer=perf_counter, before=advance), unit="ms")

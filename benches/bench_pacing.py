"""Pacing on recorded demand: utility of each rule, and what schedules and `admits` cost.

Quality is a figure of the record and has no spread. Processor time of all threads.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from time import process_time
from typing import TYPE_CHECKING

import pytest

from harness import Record, Versus, at_least, at_most
from measure import work
from safeguards import BudgetCoordinator, BudgetTimeScheduler, ManualClock
from safeguards.backtest.pacing import backtest_pacing
from yardsticks import guide
from yardsticks.recorded import m_large, m_large_slots, nab_tweets, taxi

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.benchmark(group="Schedules and pacing")

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
YEAR = (MONDAY, MONDAY + timedelta(days=364))
POOLS = 1_000
JUDGED = "LLM service, 10 minutes"
RECORDS = {
    JUDGED: m_large_slots,
    "LLM service, hours": m_large,
    "tweets, hours": nab_tweets,
    "taxis, hours": taxi,
}


@pytest.mark.parametrize("name", RECORDS)
def bench_quality(benchmark: BenchmarkFixture, record: Record, name: str) -> None:
    result = benchmark.pedantic(backtest_pacing, (RECORDS[name](),), rounds=1)
    none = result.row("none")
    note = f"without pacing {none.utility_share:.1%} and {none.blacked_out_share:.1%}"
    utility, dark = (at_least(91, "%"), at_most(1, "%")) if name == JUDGED else ("%", "%")
    for rule in ("even", "forecast"):
        row = result.row(rule)
        record(f"{name}: utility of hindsight, {rule}", 100 * row.utility_share, utility, note)
        record(f"{name}: slots blacked out, {rule}", 100 * row.blacked_out_share, dark)


def scheduler(pacing: str = "none", *, zone: str = "Europe/Berlin", pools: int = 1) -> BudgetTimeScheduler:
    coordinator = BudgetCoordinator(clock=ManualClock(MONDAY))
    made = BudgetTimeScheduler(coordinator, timezone=zone, pacing=pacing)
    for number in range(pools):
        pool = coordinator.create_budget_pool(f"pool-{number}", 1)
        coordinator.register_agent(f"agent-{number}", pool, initial_budget=10**9)
        made.add_time_profile(pool, guide.WEEK)
    return made


def bench_transitions(versus: Versus) -> None:
    """A year of transitions is the same when a scheduler is asked for each one anew."""
    found = []

    def call() -> None:
        found[:] = scheduler().transitions("pool-0", *YEAR)

    def verify(_: int) -> str:
        at, asked = YEAR[0] - timedelta.resolution, []
        while (following := scheduler().next_transition("pool-0", at)).time < YEAR[1]:
            asked.append(following)
            at = following.time
        assert asked == found, f"{len(found)} transitions, {len(asked)} when asked one by one"
        assert len(found) == 52 * 17, len(found)
        return "the same when asked one by one"

    versus(work("a transition of a year", call, verify, each=52 * 17, timer=process_time), unit="us")


def bench_run(versus: Versus, *, is_quick: bool) -> None:
    """A run in which nothing changes, by pool."""
    pools = 10 if is_quick else POOLS
    made = scheduler("forecast", pools=pools)
    made.run_once()

    def call() -> None:
        made.budget_coordinator.clock.advance(60)
        made.run_once()

    def verify(_: int) -> str:
        assert len(made.history) == pools, f"{len(made.history)} grants of {pools} pools"
        return "none changes"

    name = f"a run with {POOLS:,} paced pools, a pool"
    versus(work(name, call, verify, each=pools, timer=process_time), unit="us")


@pytest.fixture(scope="module")
def paced() -> tuple[BudgetTimeScheduler, float]:
    """A pool that has learnt for a week, and what it spent on the last day: its budget and no more."""
    made = scheduler("forecast", zone="UTC")
    made.remove_time_profile("pool-0")
    made.add_time_profile("pool-0", {"day": guide.window(time(0), time(23, 59), budget=100)})
    coordinator = made.budget_coordinator
    with made:
        for minute in range(8 * 1440):
            if minute == 7 * 1440 + 1:
                spent_before = coordinator.get_pool_metrics("pool-0").spent
            if made.admits("pool-0", "0.1"):
                coordinator.try_debit("agent-0", "0.1")
            coordinator.clock.advance(60)
    return made, float(coordinator.get_pool_metrics("pool-0").spent - spent_before)


@pytest.mark.parametrize("name", ["admits", "throttle"])
def bench_asking(versus: Versus, name: str, paced: tuple[BudgetTimeScheduler, float]) -> None:
    made, spent = paced

    def verify(_: int) -> str:
        assert 95 < spent <= 100.1, f"{spent} of 100 was spent on the last day"
        return f"{spent:.1f} of 100 spent on the last day, of 144 wanted"

    calls = {"admits": lambda: made.admits("pool-0", "0.1"), "throttle": lambda: made.throttle("pool-0")}
    versus(work(f"{name}, forecast", calls[name], verify, calls=10_000, timer=process_time), unit="us")

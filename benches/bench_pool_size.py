"""Pool sizes on recorded demand: unmet demand of each policy at the same mean budget, and what a run costs.

Quality is a figure of the record and has no spread. Processor time of all threads.
"""

from __future__ import annotations

from time import process_time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness import Record, Versus, at_most
from measure import work
from safeguards import AdaptivePoolSizer, BudgetCoordinator, ManualClock
from safeguards._native import NextHour
from safeguards.backtest import Demand
from safeguards.backtest.pool_size import backtest_pool_size
from yardsticks.recorded import m_large, nab_tweets, small_pools, taxi

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.benchmark(group="Pool sizes")

SERIES, STEPS = 1_000, 200
POOLS = 1_000
HISTORY = 10_000  # decisions that a controller keeps
TENANTS = "agents of an LLM service"
RECORDS = {
    TENANTS: (m_large, at_most(0.60)),
    "tweets": (nab_tweets, at_most(0.90)),
    "pools of six agents": (small_pools, "x"),
    "taxis": (taxi, "x"),
}


@pytest.mark.parametrize("name", RECORDS)
def bench_quality(benchmark: BenchmarkFixture, record: Record, name: str) -> None:
    read, bar = RECORDS[name]
    result = benchmark.pedantic(backtest_pool_size, (read(),), rounds=1)

    def ratio(policy: str, rival: str) -> float:
        return result.row(policy).unmet_share / result.row(rival).unmet_share

    left = {policy: f"{result.row(policy).unmet_share:.1%}" for policy in ("predictive", "step")}
    note = f"{left['predictive']} of demand unmet, {left['step']} by the step rule"
    worst = max(abs(row.measured_rate - row.asked_rate) for row in result.calibration)
    vpa_bar = at_most(0.60) if name == TENANTS else "x"
    record(f"{name}: unmet, predictive / step", ratio("predictive", "step"), bar, note)
    record(f"{name}: unmet, auto / step", ratio("auto", "step"), bar)
    record(f"{name}: unmet, predictive / vpa-like", ratio("predictive", "vpa-like"), vpa_bar)
    record(f"{name}: unmet, predictive / hpa-like", ratio("predictive", "hpa-like"), "x")
    record(f"{name}: exhaustion rate, off by", 100 * worst, at_most(2.0, "points"))


def bench_forecast(versus: Versus, record: Record) -> None:
    history = np.random.default_rng(0).gamma(2.0, 5.0, (SERIES, STEPS))
    forecaster = NextHour(SERIES)

    def call() -> None:
        forecaster.replay(history)

    name = "forecast of a step, a series"
    versus(work(name, call, lambda _: foresight(), each=history.size, timer=process_time), unit="us")
    record("memory of a forecast series", float(forecaster.bytes_per_series), at_most(4096, "bytes"))


def foresight() -> str:
    """No policy knows what comes: another future leaves the sizes before it as they were."""
    demand = nab_tweets()
    cost = demand.cost.copy()
    cost[:, 800:] = cost[:, 800:][:, ::-1] * 3
    ours, other = backtest_pool_size(demand), backtest_pool_size(Demand(demand.agents, cost))
    for policy, sizes in ours.sizes.items():
        assert (sizes[:, :801] == other.sizes[policy][:, :801]).all(), f"{policy} knew the future"
    return "sizes do not depend on what comes later"


def bench_live_run(versus: Versus, *, is_quick: bool) -> None:
    """A run, with all that it reads, decides, changes and tells; the spending before it is not timed."""
    pools = 10 if is_quick else POOLS
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock)
    sizer = AdaptivePoolSizer(coordinator)
    for number in range(pools):
        pool = coordinator.create_budget_pool(f"pool-{number}", 100, budget_period="hourly", timezone="UTC")
        coordinator.register_agent(f"agent-{number}", pool, initial_budget=10**9)
        sizer.configure_pool(pool, min_agents_for_adjustment=1, policy="predictive")
    hours = iter(range(10**6))

    def spend() -> None:
        hour = next(hours)
        for number in range(pools):
            coordinator.try_debit(f"agent-{number}", 1 + (number + hour) % 7)

    def verify(calls: int) -> str:
        decided = len(sizer.history)
        assert decided >= min(calls * pools, HISTORY) * 0.99, f"{decided} decisions in {calls} runs"
        return "every pool changed in every run"

    name = f"live run of {POOLS:,} pools, a pool"
    with sizer:
        contender = work(
            name, lambda: clock.advance(3600), verify, each=pools, timer=process_time, before=spend
        )
        versus(contender, unit="us")

"""Pool sizes on recorded demand: unmet demand of each policy at the same mean budget, and what a run costs.

`python benches/pool_size.py` measures this section alone. Quality is a figure of the record and has no
spread; before anything is timed the sizes of a copy whose future differs are compared, up to that future.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np

from measure import Spread
from report import Row, machine, show
from safeguards import AdaptivePoolSizer, BudgetCoordinator, ManualClock
from safeguards._native import NextHour
from safeguards.backtest import Demand
from safeguards.backtest.pool_size import PoolSizeBacktest, backtest_pool_size

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from backtest.recorded import m_large, nab_tweets, small_pools, taxi

ROUNDS = 5
SERIES, STEPS = 1000, 200
POOLS = 1000


def rows() -> list[Row]:
    proof = verify()
    bars = {"agents of an LLM service": 0.60, "tweets": 0.90, "pools of six agents": None, "taxis": None}
    records = (m_large, nab_tweets, small_pools, taxi)
    results = {name: backtest_pool_size(read()) for name, read in zip(bars, records, strict=True)}
    quality = [row for name, bar in bars.items() for row in compared(name, results[name], bar)]
    return [*quality, *speed(proof)]


def compared(name: str, result: PoolSizeBacktest, bar: float | None) -> list[Row]:
    def ratio(policy: str, rival: str) -> Spread:
        return Spread((result.row(policy).unmet_share / result.row(rival).unmet_share,))

    left = {policy: f"{result.row(policy).unmet_share:.1%}" for policy in ("predictive", "step")}
    note = f"{left['predictive']} of demand unmet, {left['step']} by the step rule"
    worst = max(abs(row.measured_rate - row.asked_rate) for row in result.calibration)
    vpa_bar = 0.60 if name == "agents of an LLM service" else None
    return [
        Row(f"{name}: unmet, predictive / step", ratio("predictive", "step"), "x", bar, "most", note),
        Row(f"{name}: unmet, auto / step", ratio("auto", "step"), "x", bar, "most"),
        Row(f"{name}: unmet, predictive / vpa-like", ratio("predictive", "vpa-like"), "x", vpa_bar, "most"),
        Row(f"{name}: unmet, predictive / hpa-like", ratio("predictive", "hpa-like"), "x"),
        Row(f"{name}: exhaustion rate, off by", Spread((100 * worst,)), "points", 2.0, "most"),
    ]


def verify() -> str:
    """No policy knows what comes: another future leaves the sizes before it as they were."""
    demand = nab_tweets()
    cost = demand.cost.copy()
    cost[:, 800:] = cost[:, 800:][:, ::-1] * 3
    ours, other = backtest_pool_size(demand), backtest_pool_size(Demand(demand.agents, cost))
    for policy, sizes in ours.sizes.items():
        if not (sizes[:, :801] == other.sizes[policy][:, :801]).all():
            raise AssertionError(f"{policy} knew the future")
    return "sizes do not depend on what comes later"


def speed(proof: str) -> list[Row]:
    history = np.random.default_rng(0).gamma(2.0, 5.0, (SERIES, STEPS))
    forecaster = NextHour(SERIES)
    replay = [seconds(lambda: forecaster.replay(history)) / history.size * 1e6 for _ in range(ROUNDS)]
    size = Spread((float(forecaster.bytes_per_series),))
    return [
        Row("forecast of a step, a series", Spread(tuple(replay)), "us", note=proof),
        Row("memory of a forecast series", size, "bytes", 4096, "most"),
        Row(f"live run of {POOLS:,} pools, a pool", live(), "us", note="every pool changed in every run"),
    ]


def live() -> Spread:
    """Microseconds of a run for each pool, with all that it reads, decides, changes and tells."""
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock)
    sizer = AdaptivePoolSizer(coordinator)
    for number in range(POOLS):
        pool = coordinator.create_budget_pool(f"pool-{number}", 100, budget_period="hourly", timezone="UTC")
        coordinator.register_agent(f"agent-{number}", pool, initial_budget=10**9)
        sizer.configure_pool(pool, min_agents_for_adjustment=1, policy="predictive")
    samples = []
    with sizer:
        for hour in range(ROUNDS):
            for number in range(POOLS):
                coordinator.try_debit(f"agent-{number}", 1 + (number + hour) % 7)
            samples.append(seconds(lambda: clock.advance(3600)) / POOLS * 1e6)
    if len(sizer.history) < ROUNDS * POOLS * 0.99:
        raise AssertionError(f"only {len(sizer.history)} decisions in {ROUNDS} runs of {POOLS} pools")
    return Spread(tuple(samples))


def seconds(work: Callable[[], object]) -> float:
    started = process_time()
    work()
    return process_time() - started


def main() -> None:
    facts = machine()
    show(f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}", {"Pool sizes": rows()})


if __name__ == "__main__":
    main()

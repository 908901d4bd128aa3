"""How good and how fast forecasts are.

Accuracy a day ahead on three recorded workloads, each day forecast from at most 14 days before it: the
pattern learner beside simple rules, and beside models of statsforecast where the dependency group `forecast`
is installed, which get the same histories. Then time per agent, and the memory of an agent that learns.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness import Bar, Record, Versus, at_least, at_most
from measure import Contender, work
from safeguards._native import forecast_usage
from safeguards.backtest.forecast import YESTERDAY, backtest_forecast
from yardsticks.recorded import m_large, nab_tweets, whole_taxi

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from safeguards.backtest.forecast import ForecastBacktest

pytestmark = pytest.mark.benchmark(group="Forecasts")

DAY, WEEK, WINDOW = 24, 168, 14 * 24
RECORDS = {
    "tenants of an LLM service": (m_large, at_most(0.90)),
    "tweets": (nab_tweets, at_most(0.80)),
    "taxis": (whole_taxi, at_most(0.55)),
}


@pytest.mark.parametrize("name", RECORDS)
def bench_accuracy(benchmark: BenchmarkFixture, record: Record, name: str) -> None:
    read, bar = RECORDS[name]
    row = benchmark.pedantic(backtest_forecast, (read(),), rounds=1).rows[0]
    record(f"{name}: MASE over repeating yesterday", row.mase_ratio, bar)
    record(f"{name}: needs within the 80 % interval", 100 * row.covered_share, at_least(77, "%"))
    record(f"{name}: needs within the 80 % interval, at most", 100 * row.covered_share, at_most(85, "%"))
    record(f"{name}: calibration error of confidence", row.calibration_error, at_most(0.06, "share"))


@pytest.mark.parametrize("name", RECORDS)
def bench_statsforecast(benchmark: BenchmarkFixture, record: Record, name: str) -> None:
    pytest.importorskip("statsforecast", reason="statsforecast is not installed: `make forecasts` does that")
    demand = RECORDS[name][0]()
    result = backtest_forecast(demand)
    if benchmark.disabled:
        result = result.__class__(**{**vars(result), "origins": result.origins[:1]})
    means, millis = benchmark.pedantic(scores, (demand, result), rounds=1)
    best = min(means[model] for model in rivals(0))
    record(
        f"{name}: MASE over that of the best of {', '.join(rivals(0))}", means["ours"] / best, at_most(0.92)
    )
    for model in rivals(0):
        note = f"{millis[model]:.1f} ms for each agent and day"
        record(
            f"{name}: MASE of {model} over repeating yesterday", means[model] / means[YESTERDAY], "x", note
        )


def scores(demand: Any, result: ForecastBacktest) -> tuple[dict[str, float], dict[str, float]]:
    """Mean MASE by model on the same histories, agents and days, and milliseconds of a forecast."""
    cost = demand.cost[[demand.agents.index(agent) for agent in result.agents]]
    found: dict[str, list[Any]] = {name: [] for name in ("ours", YESTERDAY, *rivals(0))}
    seconds = dict.fromkeys(rivals(0), 0.0)
    for origin in result.origins.tolist():
        past, came = cost[:, max(0, origin - WINDOW) : origin], cost[:, origin : origin + DAY]
        change = np.abs(past[:, DAY:] - past[:, :-DAY]).mean(axis=1)
        scale = np.where(change > 0, change, np.nan)
        hourly = {"ours": forecast(past, 1)["hourly"], YESTERDAY: past[:, -DAY:]}
        for name, model in rivals(past.shape[1]).items():
            began = perf_counter()
            hourly[name] = np.array([forecast_with(model, own) for own in past])
            seconds[name] += perf_counter() - began
        for name, value in hourly.items():
            found[name].append(np.abs(value - came).mean(axis=1) / scale)
    forecasts = len(result.origins) * len(cost)
    means = {name: float(np.nanmean(score)) for name, score in found.items()}
    return means, {name: 1e3 * spent / forecasts for name, spent in seconds.items()}


def rivals(hours: int) -> dict[str, Any]:
    from statsforecast.models import MSTL, AutoETS, AutoTheta

    seasons = [DAY, WEEK] if hours >= 2 * WEEK else [DAY]
    return {
        "AutoETS": AutoETS(season_length=DAY),
        "AutoTheta": AutoTheta(season_length=DAY),
        "MSTL": MSTL(season_length=seasons, trend_forecaster=AutoETS(model="ZZN")),
    }


def forecast_with(model: Any, past: np.ndarray) -> np.ndarray:
    """A constant history makes some of them fail: then the constant is their forecast."""
    if np.ptp(past) == 0:
        return np.repeat(past[-1], DAY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.maximum(model.forecast(y=past.astype(np.float64), h=DAY)["mean"], 0)


def many(agents: int) -> np.ndarray:
    """The real tenants again and again, each a little different."""
    cost = m_large().cost
    draw = np.random.default_rng(0)
    return cost[draw.integers(0, len(cost), agents)] * draw.lognormal(0, 0.1, (agents, cost.shape[1]))


def forecast(usage: np.ndarray, threads: int) -> dict[str, np.ndarray]:
    first = np.zeros(len(usage), np.int64)
    past = np.ascontiguousarray(usage)
    return forecast_usage(past, first, lead=0, length=DAY, level=0.8, margin=1.2, threads=threads)


@pytest.mark.parametrize(
    ("agents", "threads", "each", "bar"),
    [(2_000, 1, 2_000, at_most(0.4, "ms")), (10_000, 0, 1, at_most(5, "s"))],
    ids=["an agent", "10,000 agents"],
)
def bench_speed(versus: Versus, agents: int, threads: int, each: int, bar: Bar, *, is_quick: bool) -> None:
    name = "fit and forecast of an agent, one thread" if threads else "10,000 agents, all cores"
    usage = many(10 if is_quick else agents)

    def verify(_: int) -> str:
        found = forecast(usage, threads)
        assert np.isfinite(found["median"]).all()
        assert len(found["median"]) == len(usage)
        return "finite, one for each agent"

    timer: Callable[[], float] = process_time if threads else perf_counter
    contender: Contender = work(name, lambda: forecast(usage, threads), verify, each=each, timer=timer)
    versus(contender, bar=bar, rounds=None if threads else 3)


def bench_memory(benchmark: BenchmarkFixture, record: Record, *, is_quick: bool) -> None:
    """Agents that have spent each hour of three weeks: what a process of its own grew by for each of them."""
    agents = 100 if is_quick else 2_000
    command = [sys.executable, str(Path(__file__).parent / "footprint.py"), "learning_agents", str(agents)]
    run = lambda: subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: E731
    grown = float(benchmark.pedantic(run, rounds=1)) / 1024
    record("memory of an agent that learns", grown, at_most(16, "KiB"))

"""How good and how fast forecasts are: `python benches/forecasting.py [--rivals] [--pictures]`.

Accuracy a day ahead on three recorded workloads, each day forecast from at most 14 days before it: the
pattern learner beside simple rules, and with `--rivals` beside models of statsforecast (dependency group
`forecast`), which get the same histories. Then time per agent on one thread, the time of 10,000 agents, and
the memory of an agent that learns. Every figure is checked against the bar beside it; a missed bar fails the
run.
"""

from __future__ import annotations

import argparse
import csv
import gc
import resource
import sys
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from drawing import write
from safeguards import BudgetCoordinator, BudgetPatternLearner, ManualClock
from safeguards._native import forecast_usage
from safeguards.backtest import Demand
from safeguards.backtest._forecast_plots import plot_days, plot_errors
from safeguards.backtest.forecast import YESTERDAY, backtest_forecast

if TYPE_CHECKING:
    from collections.abc import Callable

    from safeguards.backtest.forecast import ForecastBacktest

ROOT = Path(__file__).parents[1]
DATA = ROOT / "examples" / "data"
DAY, WEEK, WINDOW = 24, 168, 14 * 24
MISSED = []


def wide(name: str) -> Demand:
    rows = list(csv.reader((DATA / name).read_text(encoding="utf-8").splitlines()))
    return Demand(tuple(rows[0][1:]), np.array([[float(v) for v in row[1:]] for row in rows[1:]]).T)


WORKLOADS = {
    "tenants of an LLM service (ServeGen m-large)": (
        lambda: Demand.read_csv(DATA / "servegen_m-large_hourly.csv.gz"),
        0.90,
    ),
    "tweets about companies (NAB)": (lambda: wide("nab_tweets_hourly.csv"), 0.80),
    "taxis of New York (NAB)": (lambda: wide("nab_nyc_taxi_hourly.csv"), 0.55),
}

PICTURES = {
    "tenants of an LLM service (ServeGen m-large)": (plot_errors, "forecasting-errors"),
    "tweets about companies (NAB)": (plot_days, "forecasting-days"),
}


def check(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    ok = low <= value <= high
    bar = f"{low:g} to {high:g}" if low > 0 else f"at most {high:g}"
    print(f"  {'ok  ' if ok else 'MISS'} {name}: {value:.3f}{unit} (bar: {bar}{unit})")
    if not ok:
        MISSED.append(name)


# --------------------------------------------------------------------- accuracy


def accuracy(*, with_rivals: bool, pictures: bool) -> None:
    for name, (read, bar) in WORKLOADS.items():
        demand = read()
        result = backtest_forecast(demand)
        print(f"\n{name}: {len(result.agents)} agents, {len(result.origins)} days")
        print(result)
        row = result.rows[0]
        check("MASE over yesterday's", row.mase_ratio, 0, bar)
        check("share within the 80% interval", row.covered_share, 0.77, 0.85)
        check("calibration error of confidence", row.calibration_error, 0, 0.06)
        if with_rivals:
            compare(demand, result)
        if pictures and name in PICTURES:
            plot, file = PICTURES[name]
            write(plot(result), file)


def compare(demand: Demand, result: ForecastBacktest) -> None:
    """Models of statsforecast on the same histories, agents and days."""
    cost = demand.cost[[demand.agents.index(agent) for agent in result.agents]]
    scores = {name: [] for name in (*rivals(0), YESTERDAY)}
    seconds = dict.fromkeys(scores, 0.0)
    ours = []
    for origin in result.origins.tolist():
        past, came = cost[:, max(0, origin - WINDOW) : origin], cost[:, origin : origin + DAY]
        change = np.abs(past[:, DAY:] - past[:, :-DAY]).mean(axis=1)
        scale = np.where(change > 0, change, np.nan)
        found = forecast(past, 1)
        ours.append(np.abs(found["hourly"] - came).mean(axis=1) / scale)
        scores[YESTERDAY].append(np.abs(past[:, -DAY:] - came).mean(axis=1) / scale)
        for name, model in rivals(past.shape[1]).items():
            start = time.perf_counter()
            hourly = np.array([forecast_with(model, own) for own in past])
            seconds[name] += time.perf_counter() - start
            scores[name].append(np.abs(hourly - came).mean(axis=1) / scale)
    means = {name: float(np.nanmean(score)) for name, score in scores.items()}
    own = float(np.nanmean(ours))
    best = min(mean for name, mean in means.items() if name != YESTERDAY)
    for name in rivals(0):
        millis = 1e3 * seconds[name] / len(ours) / len(cost)
        print(f"    {name:<12} {means[name] / means[YESTERDAY]:.3f}, {millis:.1f} ms per agent and day")
    check("MASE over that of the best model of statsforecast", own / best, 0, 0.92)


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


# --------------------------------------------------------------------------------- time, memory


def many(agents: int) -> np.ndarray:
    """The real tenants again and again, each a little different."""
    cost = Demand.read_csv(DATA / "servegen_m-large_hourly.csv.gz").cost
    rng = np.random.default_rng(0)
    return cost[rng.integers(0, len(cost), agents)] * rng.lognormal(0, 0.1, (agents, cost.shape[1]))


def timed(usage: np.ndarray, threads: int, clock: Callable[[], float]) -> float:
    start = clock()
    found = forecast(usage, threads)
    seconds = clock() - start
    assert np.isfinite(found["median"]).all()
    assert len(found["median"]) == len(usage)
    return seconds


def forecast(usage: np.ndarray, threads: int) -> dict[str, np.ndarray]:
    first = np.zeros(len(usage), np.int64)
    past = np.ascontiguousarray(usage)
    return forecast_usage(past, first, lead=0, length=DAY, level=0.8, margin=1.2, threads=threads)


def speed() -> None:
    print("\ntime")
    usage = many(10_000)
    # Processor time, which the other programs of a shared machine lengthen little.
    rounds = [1e3 * timed(usage[:2_000], 1, time.process_time) / 2_000 for _ in range(7)]
    print(f"  fit and forecast, one thread: {min(rounds):.3f} to {max(rounds):.3f} ms per agent")
    check("fit and forecast, one thread", median(rounds), 0, 0.4, " ms per agent")
    check("10,000 agents, all cores", timed(usage, 0, time.perf_counter), 0, 5, " s")


def memory() -> None:
    """Agents that have spent each hour of three weeks: what the process grew by for each of them."""
    agents, days = 2_000, 21
    start = datetime(2026, 1, 1, tzinfo=UTC)
    coordinator = BudgetCoordinator(clock=ManualClock(start + timedelta(days=days)))
    learner = BudgetPatternLearner(coordinator, timezone=UTC)
    hours = (np.datetime64("2026-01-01") + np.arange(days * DAY) * np.timedelta64(1, "h")).astype(
        "datetime64[s]"
    )
    usage = many(agents).repeat(2, axis=1)[:, : days * DAY]
    learner.load_history("warm up", hours, usage[0])
    gc.collect()
    before = resident()
    for agent in range(agents):
        learner.load_history(f"agent {agent}", hours, usage[agent])
    gc.collect()
    grown = (resident() - before) / agents / 1024
    print("\nmemory")
    told = learner._usage.bytes("agent 0") / 1024  # noqa: SLF001 - what it says beside what is measured
    print(f"  {told:.1f} KiB by its own account")
    check("grown by, for each agent that learns", grown, 0, 16, " KiB")


def resident() -> int:
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rivals", action="store_true", help="beside models of statsforecast")
    parser.add_argument("--pictures", action="store_true", help="write the pictures of docs/forecasting.md")
    options = parser.parse_args()
    memory()  # first: what others have freed would hide it
    accuracy(with_rivals=options.rivals, pictures=options.pictures)
    speed()
    if MISSED:
        sys.exit(f"missed: {', '.join(MISSED)}")


if __name__ == "__main__":
    main()

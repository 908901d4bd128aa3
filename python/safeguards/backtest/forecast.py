"""How well the pattern learner would have foreseen a recorded demand, beside simple rules."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves parts of its annotations open.

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from safeguards._native import forecast_usage
from safeguards._values.arguments import instance
from safeguards._values.arrays import floats
from safeguards._values.numbers import MAX_SEED, number, share, whole
from safeguards.backtest._base import Backtest
from safeguards.backtest._compare import Comparison, compare
from safeguards.backtest._engine import own_policies
from safeguards.backtest._part import named, take_part
from safeguards.backtest.demand import Demand
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Rule = Callable[[Floats, NDArray[np.int64]], Floats]

__all__ = ["ForecastBacktest", "ForecastRow", "backtest_forecast"]

LEARNER = "pattern learner"
YESTERDAY = "yesterday"
BINS = 10
"""Bins of equal width in which confidence is compared with what came."""

_DAY = 24
_MOST_HOURS = 10**6
_WEEK = 168


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """One way of forecasting.

    Attributes:
        policy: its name.
        mase: mean absolute error of an hour over its usual change from one day to the next (Hyndman
            & Koehler 2006), mean over agents and origins.
        mase_ratio: `mase` over that of repeating yesterday: below 1 is better; None if that
            made no error.
        total_error: mean absolute error of the window's total, over the mean total.
        covered_share: share of windows whose total was within the interval; None if there is no interval.
        calibration_error: mean distance between confidence and the share of windows for which it came true,
            over ten bins of confidence, weighted by their windows; None if there is no confidence.
        hours: hours that were forecast, over all agents.
    """

    policy: str
    mase: float
    mase_ratio: float | None
    total_error: float
    covered_share: float | None
    calibration_error: float | None
    hours: int


@dataclass(frozen=True, eq=False)
class ForecastBacktest(Backtest[ForecastRow]):
    """What was foreseen, and what came.

    Attributes:
        agents: ids of the agents that took part.
        left_out: agents that did not, because they were active in too few hours.
        horizon: hours of a window.
        lead: hours between what was known and the window.
        level: share of windows that the interval was to hold.
        margin: the confidence was that of need of at most `margin` times the forecast; above 0.
        rows: one for each policy, the best first.
        comparison: the policies by `mase`.
        notes: what was left out, and what was assumed.
        origins: hours after which the forecasts were made.
        actual: float64 (origins, agents): the windows' totals.
        predicted: float64 (origins, agents): the learner's medians.
        lower: float64 (origins, agents): lower ends of its intervals.
        upper: float64 (origins, agents): upper ends.
        confidence: float64 (origins, agents): its confidence.
    """

    kind: ClassVar[str] = "forecast"
    loses: ClassVar[str] = "error"
    columns: ClassVar[Mapping[str, tuple[str, str]]] = {
        "policy": ("policy", ""),
        "mase": ("error", "of an hour, in units of its usual change from day to day (MASE)"),
        "mase_ratio": ("of yesterday's", "the same over that of repeating yesterday; below 1 is better"),
        "total_error": ("of totals", "error of a window's total over the mean total"),
        "covered_share": ("in interval", "share of windows whose total was within the interval"),
        "calibration_error": ("calibration", "mean distance of confidence from how often it came true"),
        "hours": ("hours", "hours that were forecast, over all agents"),
    }

    agents: tuple[str, ...]
    left_out: int
    horizon: int
    lead: int
    level: float
    margin: float
    rows: list[ForecastRow]
    comparison: Comparison
    notes: tuple[str, ...]
    origins: NDArray[np.int64] = field(repr=False)
    actual: Floats = field(repr=False)
    predicted: Floats = field(repr=False)
    lower: Floats = field(repr=False)
    upper: Floats = field(repr=False)
    confidence: Floats = field(repr=False)

    def reliability(self) -> list[tuple[float, float, int]]:
        """For each bin of confidence that has windows: mean confidence, share that came true, windows."""
        return _reliability(self.confidence, self.actual <= self.margin * self.predicted)

    def _facts(self) -> dict[str, Any]:
        return {
            "agents": len(self.agents),
            "left_out": self.left_out,
            "origins": len(self.origins),
            "horizon": self.horizon,
            "lead": self.lead,
            "level": self.level,
            "margin": self.margin,
        }

    def _figures(self) -> dict[str, Figure]:
        from safeguards.backtest._forecast_plots import plot_days, plot_errors, plot_reliability

        return {"errors": plot_errors(self), "days": plot_days(self), "reliability": plot_reliability(self)}

    def __str__(self) -> str:
        head = f"{'policy':<32}{'MASE':>8}{'ratio':>8}{'total':>8}{'coverage':>10}{'calibration':>13}"
        return "\n".join([head, *map(_line, self.rows)])


def _line(row: ForecastRow) -> str:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    errors = f"{row.mase:8.3f}{share(row.mase_ratio):>8}{row.total_error:8.3f}"
    return f"{row.policy:<32}{errors}{share(row.covered_share):>10}{share(row.calibration_error):>13}"


def backtest_forecast(
    demand: Demand,
    *,
    horizon: int = 24,
    lead: int = 0,
    window_days: int = 14,
    min_activity: float | None = None,
    level: float = 0.8,
    margin: float = 1.2,
    threads: int = 0,
    seed: int = 0,
    policies: Mapping[str, Rule] | None = None,
) -> ForecastBacktest:
    """Forecasts every day of a recorded demand from what was known before it.

    The first origin is at the end of the first history window, or in the middle of the demand if that is
    earlier; one follows every 24 hours.

    Args:
        demand: what agents needed.
        horizon: hours of a window, from 1 on.
        lead: hours between what is known and the window, from 0 on.
        window_days: days of history that each forecast may use, from 1 on.
        min_activity: only agents that need something in more than this share (0 to 1) of the hours of each
            half: the error of one that hardly ever does means nothing in units of its usual change. 0.3 if
            not given, but if nobody is so active, all take part that ever need something.
        level: share of windows that the interval is to hold, between 0 and 1.
        margin: confidence is that of need of at most `margin` times the forecast.
        threads: threads of the forecasts; 0 for one per core, at most 4,096. The result does not depend on
            it.
        seed: of the resamples of the verdict.
        policies: your own by name: `policy(past, ahead)` is given the hours before, (agents, hours), and
            which hours are asked for, from 0 for the next one; it returns (agents, len(ahead)).

    Raises:
        ConfigurationError: there are too few hours or agents, or an argument is out of the range that is told
            with it.
    """
    import numpy as np

    instance("demand", demand, Demand)
    horizon, lead = whole("horizon", horizon, 1, _MOST_HOURS), whole("lead", lead, 0, _MOST_HOURS)
    window_days, threads = (
        whole("window_days", window_days, 1, _MOST_HOURS),
        whole("threads", threads, 0, 4096),
    )
    level = share("level", level, above=True, below=True)
    margin = number("margin", margin, 0, 1e15, above=True)
    history = window_days * _DAY
    first = min(history, demand.hours // 2 // _DAY * _DAY)
    origins = np.arange(first, demand.hours - lead - horizon + 1, _DAY)
    if first < _DAY or not len(origins):
        raise ConfigurationError(
            f"{demand.hours} hours are too few: half of them must be a day at least, and the window of "
            f"{lead} + {horizon} hours must fit behind it"
        )
    part = take_part(demand.cost, demand.hours // 2, min_activity)
    agents, cost = named(demand.agents, part.is_in), np.ascontiguousarray(demand.cost[part.is_in])
    rules = _rules()
    rules |= own_policies(policies, (LEARNER, *rules))
    errors: dict[str, list[Floats]] = {name: [] for name in (LEARNER, *rules)}
    totals: dict[str, list[Floats]] = {name: [] for name in (LEARNER, *rules)}
    found: dict[str, list[Floats]] = {
        name: [] for name in ("median", "lower", "upper", "confidence", "actual")
    }
    for origin in origins.tolist():
        past = np.ascontiguousarray(cost[:, max(0, origin - history) : origin])
        came = cost[:, origin + lead : origin + lead + horizon]
        forecast = forecast_usage(
            past,
            np.zeros(len(past), dtype=np.int64),
            lead=lead,
            length=horizon,
            level=level,
            margin=margin,
            threads=threads,
        )
        scale = _usual_change(past)
        for name, rule in rules.items():
            hourly = _checked(name, rule(past, np.arange(lead, lead + horizon)), came.shape)
            errors[name].append(np.abs(hourly - came).mean(axis=1) / scale)
            totals[name].append(hourly.sum(axis=1))
        errors[LEARNER].append(np.abs(forecast["hourly"] - came).mean(axis=1) / scale)
        totals[LEARNER].append(forecast["median"])
        for name, values in found.items():
            values.append(came.sum(axis=1) if name == "actual" else forecast[name])
    if np.isnan(errors[LEARNER]).all():
        raise ConfigurationError(
            "no agent's need changed from one day to the next in the days before any window: there is "
            "nothing to measure errors by"
        )
    arrays = {name: np.array(values) for name, values in found.items()}
    if not arrays["actual"].any():
        raise ConfigurationError("nothing was needed in any window: there is nothing to compare")
    hours = len(origins) * cost.shape[0] * horizon
    rows = _rows(errors, totals, arrays, margin, hours)
    return ForecastBacktest(
        agents=agents,
        left_out=part.left_out,
        horizon=horizon,
        lead=lead,
        level=level,
        margin=margin,
        rows=rows,
        comparison=_compared(errors, whole("seed", seed, 0, MAX_SEED)),
        notes=part.notes,
        origins=origins,
        actual=arrays["actual"],
        predicted=arrays["median"],
        lower=arrays["lower"],
        upper=arrays["upper"],
        confidence=arrays["confidence"],
    )


def _checked(name: str, hourly: Any, shape: tuple[int, ...]) -> Floats:
    import numpy as np

    found = floats(f"what {name} gives", hourly)
    if found.shape != shape or not np.isfinite(found).all():
        raise ConfigurationError(
            f"{name} must give finite hours of shape {shape}, not of shape {found.shape}"
        )
    return found


def _compared(errors: dict[str, list[Floats]], seed: int) -> Comparison:
    """The policies by the mean error over agents, one day of the record after the other."""
    import numpy as np

    means = {name: np.array(values) for name, values in errors.items()}
    is_known = ~np.isnan(means[LEARNER])
    losses = {name: np.where(is_known, found, 0).sum(axis=1)[None] for name, found in means.items()}
    counts = is_known.sum(axis=1).astype(float)[None]
    return compare(losses, counts, ours=LEARNER, seed=seed, block_hours=1)


def _rules() -> dict[str, Rule]:
    """What people do without a forecaster: from the past, the hours that are so many hours ahead."""

    def repeat(period: int) -> Rule:
        def rule(past: Floats, ahead: NDArray[np.int64]) -> Floats:
            known = min(period, past.shape[1] // _DAY * _DAY)
            return past[:, -known:][:, ahead % known]

        return rule

    def mean_of_the_hour(past: Floats, ahead: NDArray[np.int64]) -> Floats:
        days = min(past.shape[1] // _DAY, 7)
        by_day = past[:, -days * _DAY :].reshape(len(past), days, _DAY)
        means: Floats = by_day.mean(axis=1)[:, ahead % _DAY]
        return means

    def mean_of_the_day(past: Floats, ahead: NDArray[np.int64]) -> Floats:
        import numpy as np

        return np.repeat(past[:, -_DAY:].mean(axis=1, keepdims=True), len(ahead), axis=1)

    return {
        YESTERDAY: repeat(_DAY),
        "last week": repeat(_WEEK),
        "mean of the hour over 7 days": mean_of_the_hour,
        "mean of the last day": mean_of_the_day,
    }


def _usual_change(past: Floats) -> Floats:
    """Mean change of an hour from one day to the next; NaN where nothing changed, or no day is before."""
    import numpy as np

    if past.shape[1] <= _DAY:
        return np.full(len(past), np.nan)
    change = np.abs(past[:, _DAY:] - past[:, :-_DAY]).mean(axis=1)
    return np.where(change > 0, change, np.nan)


def _rows(
    errors: dict[str, list[Floats]],
    totals: dict[str, list[Floats]],
    found: dict[str, Floats],
    margin: float,
    hours: int,
) -> list[ForecastRow]:
    import numpy as np

    actual = found["actual"]
    mase = {name: float(np.nanmean(values)) for name, values in errors.items()}
    came_true = actual <= margin * found["median"]
    within = (found["lower"] <= actual) & (actual <= found["upper"])
    rows = [
        ForecastRow(
            policy=name,
            mase=mase[name],
            mase_ratio=mase[name] / mase[YESTERDAY] if mase[YESTERDAY] else None,
            total_error=float(np.abs(np.array(totals[name]) - actual).mean() / actual.mean()),
            covered_share=float(within.mean()) if name == LEARNER else None,
            calibration_error=_calibration_error(found["confidence"], came_true) if name == LEARNER else None,
            hours=hours,
        )
        for name in errors
    ]
    return sorted(rows, key=lambda row: row.mase)


def _reliability(confidence: Floats, came_true: NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    import numpy as np

    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    found = [(bins == number) for number in range(BINS)]
    return [
        (float(confidence[own].mean()), float(came_true[own].mean()), int(own.sum()))
        for own in found
        if own.any()
    ]


def _calibration_error(confidence: Floats, came_true: NDArray[np.bool_]) -> float:
    bins = _reliability(confidence, came_true)
    return sum(abs(said - came) * count for said, came, count in bins) / confidence.size

"""How well money was spent: a figure over recorded outcomes, with an interval by the bootstrap."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from safeguards._values.arguments import one_of
from safeguards._values.decimals import UNITS_PER_ONE
from safeguards.core._cell import snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    import numpy as np
    from numpy.typing import NDArray

    from safeguards.budget.cost_benefit._operation import Operation

    Figures = NDArray[np.float64]

__all__ = ["Effectiveness", "Log", "Outcome", "checked_metric", "evaluate"]

Metric = Literal["roi", "benefit", "cost", "regret"]
METRICS: tuple[Metric, ...] = get_args(Metric)

_CONFIDENCE = 0.95
_RESAMPLES = 2_000
_MAX_GROUPS = 1_000
_MIN_GROUPS = 100
_MOST_CELLS = 10**6
_MIN_FOR_INTERVAL = 5


@dataclass(frozen=True, slots=True)
class Effectiveness:
    """A figure over the outcomes of the last days, with an interval.

    Attributes:
        metric: `"roi"`, `"benefit"`, `"cost"` or `"regret"`.
        value: the figure; `None` if nothing was recorded, or for `"roi"` if all of it was free.
        lower: lower end of the interval; `None` with fewer than five outcomes.
        upper: upper end.
        confidence: how often such an interval holds the true figure.
        outcomes: how many it rests on.
        lookback_days: how far it was to look back.
        covered_days: how far it did: less if older outcomes had to make room for newer ones.
    """

    metric: Metric
    value: float | None
    lower: float | None
    upper: float | None
    confidence: float
    outcomes: int
    lookback_days: float
    covered_days: float

    def explain_missing(self) -> dict[str, str]:
        """Why what is `None` is: the reason by the name of the attribute."""
        found: dict[str, str] = {}
        if self.value is None:
            found["value"] = (
                str(self) if not self.outcomes else "all of it was free: there is no return on no cost"
            )
        if self.lower is None:
            found["lower"] = found["upper"] = (
                found.get("value") or f"an interval takes {_MIN_FOR_INTERVAL} outcomes, not {self.outcomes}"
            )
        return found

    def __float__(self) -> float:
        """The figure; NaN if there is none."""
        return math.nan if self.value is None else self.value

    def __str__(self) -> str:
        days = f"{self.lookback_days:g} day{'' if self.lookback_days == 1 else 's'}"
        if not self.outcomes:
            return f"no outcomes recorded in the last {days}: record them with record_outcome"
        count = f"{self.outcomes:,} outcome{'' if self.outcomes == 1 else 's'} in {days}"
        if self.covered_days < self.lookback_days:
            count += f", of which only the last {self.covered_days:.3g} are kept"
        if self.value is None:
            return f"{self.metric} has no value: what was recorded cost nothing ({count})"
        if self.lower is None or self.upper is None:
            return f"{self.metric} {_shown(self.value)} (no interval: {count})"
        interval = f"{self.confidence * 100:g} %: {_shown(self.lower)} to {_shown(self.upper)}"
        return f"{self.metric} {_shown(self.value)} ({interval}, {count})"


def _shown(value: float) -> str:
    return f"{value:,.2f}" if abs(value) >= 1 or value == 0 else f"{value:.3g}"


class Outcome(NamedTuple):
    """What one operation cost and brought, in units of 1e-9."""

    time: datetime
    operation: Operation
    cost: int
    benefit: int


class Log:
    """The newest outcomes of all operations, oldest first.

    Args:
        size: how many are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        # One more: it tells when the latest was that had to make room. A step of a deque needs no lock.
        self._outcomes: deque[Outcome] = deque(maxlen=size + 1)

    def append(self, outcome: Outcome) -> None:
        """Adds an outcome; the oldest one makes room for it."""
        self._outcomes.append(outcome)

    def between(self, start: datetime, now: datetime) -> tuple[list[Outcome], datetime]:
        """The outcomes from `start` to `now`, and from when on they are complete.

        What a clock that was ahead dated after `now` is not among them.
        """
        outcomes, complete = snapshot(self._outcomes), start
        if len(outcomes) > self._size:
            dropped = [outcomes.pop(0).time, *(outcome.time for outcome in outcomes[:1])]
            complete = max(start, min([now, *dropped]))
        return [outcome for outcome in outcomes if start <= outcome.time <= now], complete


def evaluate(
    outcomes: Sequence[Outcome],
    metric: Metric,
    *,
    now: datetime,
    days: float,
    covered: float,
    period: timedelta,
    seed: int,
) -> Effectiveness:
    """Computes a figure and its interval.

    Args:
        outcomes: what it rests on.
        metric: which figure.
        now: the end of the time that it is about.
        days: how far it was to look back.
        covered: how far it does.
        period: what `max_volume` of the operations is for.
        seed: where the resampling starts from.
    """

    def found(value: float | None, lower: float | None, upper: float | None) -> Effectiveness:
        return Effectiveness(metric, value, lower, upper, _CONFIDENCE, len(outcomes), days, covered)

    if not outcomes:
        return found(None, None, None)
    periods = math.ceil((now - min(outcome.time for outcome in outcomes)) / period)
    sample = _Sample(outcomes, periods, per_operation=metric == "regret")
    value = float(sample.figures(metric, sample.columns.sum(axis=0, keepdims=True))[0])
    if not math.isfinite(value):
        return found(None, None, None)
    return found(value, *sample.interval(metric, seed))


def checked_metric(name: str) -> Metric:
    """The metric of this name.

    Raises:
        ConfigurationError: there is none.
    """
    known: Metric = one_of("metric", name, METRICS)
    return known


class _Sample:
    """Outcomes as the rows of an array: count, cost and benefit, for each operation or for all in one.

    Attributes:
        columns: (G, 3 K) sums of groups of outcomes. Up to a thousand outcomes each is a group of its own;
            more are dealt out to a thousand groups at random, which leaves every variance as it is. Of
            thousands of operations there are fewer groups, so that memory is bounded.
    """

    columns: Figures

    def __init__(
        self,
        outcomes: Sequence[Outcome],
        periods: int,
        *,
        per_operation: bool,
    ) -> None:
        import numpy as np

        index: dict[Operation, int] = {}
        own = np.array([index.setdefault(outcome.operation, len(index)) for outcome in outcomes])
        kinds = len(index) if per_operation else 1
        groups = np.arange(len(outcomes))
        most = min(_MAX_GROUPS, max(_MIN_GROUPS, _MOST_CELLS // kinds))
        if len(outcomes) > most:
            groups = np.random.default_rng(0).permutation(groups) % most
        cells = groups * kinds + (own if per_operation else 0)
        cost = np.array([outcome.cost for outcome in outcomes], dtype=float) / UNITS_PER_ONE
        benefit = np.array([outcome.benefit for outcome in outcomes], dtype=float) / UNITS_PER_ONE
        shape = (min(len(outcomes), most), kinds)
        weights = (None, cost, benefit)
        sums = [np.bincount(cells, w, shape[0] * kinds).reshape(shape) for w in weights]
        self.columns = np.concatenate(sums, axis=1).astype(float)
        self._volumes = np.array([_volume(operation, periods) for operation in index])

    def interval(self, metric: Metric, seed: int) -> tuple[float | None, float | None]:
        """The expanded percentile interval of the bootstrap (Efron 1979; Hesterberg 2015)."""
        import numpy as np

        size = len(self.columns)
        if size < _MIN_FOR_INTERVAL:
            return None, None
        random = np.random.default_rng(seed)
        picks = random.integers(0, size, (_RESAMPLES, size)) + size * np.arange(_RESAMPLES)[:, None]
        counts = np.bincount(picks.ravel(), minlength=_RESAMPLES * size).reshape(_RESAMPLES, size)
        pieces = np.array_split(counts, 1 + _RESAMPLES * self.columns.shape[1] // _MOST_CELLS)
        figures = np.concatenate([self.figures(metric, piece @ self.columns) for piece in pieces])
        tail = _tail(size)
        lower, upper = np.quantile(figures[np.isfinite(figures)], (tail, 1 - tail))
        return float(lower), float(upper)

    def figures(self, metric: Metric, sums: Figures) -> Figures:
        """The figure of each row of sums."""
        import numpy as np

        _, costs, benefits = np.split(sums, 3, axis=1)
        cost: Figures = costs.sum(axis=1)
        benefit: Figures = benefits.sum(axis=1)
        if metric == "cost":
            return cost
        if metric == "benefit":
            return benefit
        if metric == "roi":
            return np.divide(benefit, cost, out=np.full_like(cost, np.inf), where=cost > 0)
        return self._regret(costs, benefits)

    def _regret(self, costs: Figures, benefits: Figures) -> Figures:
        """What the plan of hindsight would have brought beyond what came.

        The plan is that of the whole sample: were it made anew for each resample, it would follow its luck.
        """
        import numpy as np

        roi, parts = self._hindsight
        returns = np.divide(benefits, costs, out=np.broadcast_to(roi, costs.shape).copy(), where=costs > 0)
        planned: Figures = costs.sum(axis=1) * (returns * parts).sum(axis=1)
        came: Figures = np.where(roi >= 0, benefits, 0.0).sum(axis=1)
        return planned - came

    @cached_property
    def _hindsight(self) -> tuple[Figures, Figures]:
        """The return of each operation (-1 if it cost nothing), and the best parts of the money for them.

        The best first, each up to its volume cap, or to what was really done if that is more.
        """
        import numpy as np

        counts, costs, benefits = np.split(self.columns.sum(axis=0), 3)
        roi = np.divide(benefits, costs, out=np.full_like(costs, -1.0), where=costs > 0)
        volumes = np.maximum(counts, self._volumes)
        most = np.multiply(volumes, costs / counts, out=np.zeros_like(costs), where=costs > 0)
        order = np.argsort(-roi, kind="stable")
        reached = np.minimum(np.cumsum(np.minimum(most, costs.sum())[order]), costs.sum())
        parts = np.zeros_like(costs)
        parts[order] = np.diff(reached, prepend=0.0) / (costs.sum() or 1.0)
        return roi, parts


def _volume(operation: Operation, periods: int) -> float:
    return math.inf if operation.max_volume is None else float(operation.max_volume * max(1, periods))


def _tail(size: int) -> float:
    """Part of the resamples beyond each end: less than 2.5 %, as Student's t is wider than the normal."""
    z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)
    f = size - 1
    # Fisher's expansion of the quantiles of t around those of the normal (Abramowitz & Stegun 26.7.5).
    t = z + (z**3 + z) / (4 * f) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * f**2)
    return NormalDist().cdf(-math.sqrt(size / f) * t)

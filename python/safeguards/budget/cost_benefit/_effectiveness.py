"""How well money was spent: a figure over recorded outcomes, with an interval by the bootstrap."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, get_args

from safeguards.budget.cost_benefit._arguments import UNITS_PER_ONE
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from safeguards.budget.cost_benefit._operation import Operation

__all__ = ["Effectiveness", "Log"]

Metric = Literal["roi", "benefit", "cost", "regret"]
_METRICS: tuple[str, ...] = get_args(Metric)

_CONFIDENCE = 0.95
_RESAMPLES = 2_000
_MAX_GROUPS = 1_000
_MIN_FOR_INTERVAL = 3
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Effectiveness:
    """A figure over the outcomes of the last days, with an interval.

    Attributes:
        metric: `"roi"`, `"benefit"`, `"cost"` or `"regret"`.
        value: the figure; `None` if nothing was recorded, or for `"roi"` if all of it was free.
        lower: lower end of the interval; `None` with fewer than three outcomes.
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
        interval = f"{self.confidence:.0%} %: ".replace("%", "", 1)
        return f"{self.metric} {_shown(self.value)} ({interval}{_shown(self.lower)} to {_shown(self.upper)}, {count})"


def _shown(value: float) -> str:
    return f"{value:,.2f}" if abs(value) >= 1 or value == 0 else f"{value:.3g}"


class Log:
    """The newest outcomes of all operations, oldest first.

    Args:
        size: how many are kept.
        period: what `max_volume` of the operations is for.
        seed: where the resampling starts from.
    """

    def __init__(self, size: int, period: timedelta, seed: int) -> None:
        self._entries: deque[tuple[datetime, Operation, int, int]] = deque(maxlen=size)
        self._dropped_at: datetime | None = None
        self._period = period
        self._seed = seed

    def append(self, time: datetime, operation: Operation, cost: int, benefit: int) -> None:
        """Adds an outcome; the oldest one makes room for it."""
        if len(self._entries) == self._entries.maxlen:
            self._dropped_at = self._entries[0][0]
        self._entries.append((time, operation, cost, benefit))

    def evaluate(self, now: datetime, lookback_days: float, metric: str) -> Effectiveness:
        """Computes a figure and its interval.

        Raises:
            ConfigurationError: there is no such metric.
        """
        if metric not in _METRICS:
            known = ", ".join(map(repr, _METRICS))
            raise ConfigurationError(f"metric must be one of {known}, not {metric!r}")
        start = now - timedelta(days=lookback_days)
        entries = [entry for entry in self._entries if entry[0] >= start]
        first = start if self._dropped_at is None else max(start, self._dropped_at)
        covered = lookback_days if first == start else (now - first) / _DAY
        facts = (len(entries), lookback_days, covered)
        if not entries:
            return Effectiveness(metric, None, None, None, _CONFIDENCE, *facts)
        sample = _Sample(entries, math.ceil((now - entries[0][0]) / self._period), per_operation=metric == "regret")
        value = float(sample.figures(metric, sample.columns.sum(axis=0, keepdims=True))[0])
        if not math.isfinite(value):
            return Effectiveness(metric, None, None, None, _CONFIDENCE, *facts)
        lower, upper = sample.interval(metric, self._seed)
        return Effectiveness(metric, value, lower, upper, _CONFIDENCE, *facts)


class _Sample:
    """Outcomes as the rows of an array: count, cost and benefit, for each operation or for all in one.

    Attributes:
        columns: (G, 3 K) sums of groups of outcomes. Up to a thousand outcomes each is a group of its own; more are
            dealt out to a thousand groups at random, which leaves the variance of every sum as it is.
    """

    columns: NDArray[np.float64]

    def __init__(
        self,
        entries: Sequence[tuple[datetime, Operation, int, int]],
        periods: int,
        *,
        per_operation: bool,
    ) -> None:
        import numpy as np

        index: dict[Operation, int] = {}
        own = np.array([index.setdefault(entry[1], len(index)) for entry in entries])
        kinds = len(index) if per_operation else 1
        groups = np.arange(len(entries))
        if len(entries) > _MAX_GROUPS:
            groups = np.random.default_rng(0).permutation(groups) % _MAX_GROUPS
        cells = groups * kinds + (own if per_operation else 0)
        cost, benefit = (np.array([entry[n] for entry in entries], dtype=float) / UNITS_PER_ONE for n in (2, 3))
        shape = (min(len(entries), _MAX_GROUPS), kinds)
        weights = (None, cost, benefit)
        sums = [np.bincount(cells, w, shape[0] * kinds).reshape(shape) for w in weights]
        self.columns = np.concatenate(sums, axis=1).astype(float)
        self._volumes = np.array([_volume(operation, periods) for operation in index])

    def interval(self, metric: str, seed: int) -> tuple[float | None, float | None]:
        """The expanded percentile interval of the bootstrap (Efron 1979; Hesterberg 2015, section 5.4)."""
        import numpy as np

        size = len(self.columns)
        if size < _MIN_FOR_INTERVAL:
            return None, None
        random = np.random.default_rng(seed)
        picks = random.integers(0, size, (_RESAMPLES, size)) + size * np.arange(_RESAMPLES)[:, None]
        counts = np.bincount(picks.ravel(), minlength=_RESAMPLES * size).reshape(_RESAMPLES, size)
        figures = self.figures(metric, counts @ self.columns)
        tail = _tail(size)
        lower, upper = np.quantile(figures[np.isfinite(figures)], (tail, 1 - tail))
        return float(lower), float(upper)

    def figures(self, metric: str, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """The figure of each row of sums."""
        import numpy as np

        counts, costs, benefits = np.split(sums, 3, axis=1)
        cost, benefit = costs.sum(axis=1), benefits.sum(axis=1)
        if metric == "cost":
            return cost
        if metric == "benefit":
            return benefit
        if metric == "roi":
            return np.divide(benefit, cost, out=np.full_like(cost, np.inf), where=cost > 0)
        return np.maximum(self._best(counts, costs, benefits) - benefit, 0.0)

    def _best(
        self, counts: NDArray[np.float64], costs: NDArray[np.float64], benefits: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The most that the same money could have brought: best operations first, each up to its volume."""
        import numpy as np

        paid = costs > 0
        roi = np.divide(benefits, costs, out=np.zeros_like(costs), where=paid)
        most = np.maximum(counts, self._volumes) / np.maximum(counts, 1) * costs
        most = np.where(paid, most, 0.0)
        order = np.argsort(-roi, axis=1, kind="stable")
        roi, most = (np.take_along_axis(column, order, axis=1) for column in (roi, most))
        spent = costs.sum(axis=1, keepdims=True)
        before = np.minimum(np.cumsum(np.minimum(most, spent), axis=1), spent)
        before = np.concatenate([np.zeros_like(spent), before[:, :-1]], axis=1)
        used = np.minimum(most, spent - before)
        free = np.where(paid, 0.0, benefits).sum(axis=1)
        return (used * roi).sum(axis=1) + free


def _volume(operation: Operation, periods: int) -> float:
    return math.inf if operation.max_volume is None else float(operation.max_volume * max(1, periods))


def _tail(size: int) -> float:
    """Share of resamples beyond each end: less than 2.5 %, as much as Student's t is wider than the normal."""
    z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)
    f = size - 1
    # Fisher's expansion of the quantiles of t around those of the normal (Abramowitz & Stegun 26.7.5).
    t = z + (z**3 + z) / (4 * f) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * f**2)
    return NormalDist().cdf(-math.sqrt(size / f) * t)

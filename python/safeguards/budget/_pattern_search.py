"""Finds the patterns of an agent's usage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from safeguards.budget.usage_patterns import UsageAnomaly, UsagePatterns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, tzinfo

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Known = tuple[datetime, Floats, int]

__all__ = ["find_patterns"]

# Robust standard deviations from which usage is an anomaly.
_ANOMALY_SCORE = 4.0
# Standard deviation over median absolute deviation, of normal numbers.
_NORMAL = 1.4826
_QUARTER = timedelta(minutes=15)
_MINUTES_OF_A_DAY = 1440
_MIN_DAYS_OF_A_TREND = 3


def find_patterns(
    agent_id: str,
    known: Known | None,
    time_bucket_minutes: int,
    zone: tzinfo | None,
) -> UsagePatterns:
    """The patterns of usage by quarter-hour from some instant on."""
    import numpy as np

    buckets = _Buckets.of(known, time_bucket_minutes, zone)
    of_a_day = _MINUTES_OF_A_DAY // time_bucket_minutes
    cells = buckets.weekdays * of_a_day + buckets.slots
    roots = np.sqrt(buckets.usage)
    scores = _scores(roots, buckets.slots, cells)
    usual = np.abs(scores) <= _ANOMALY_SCORE
    profile = _means(cells, buckets.usage, 7 * of_a_day)
    days, weekdays = buckets.whole_days(of_a_day)
    return UsagePatterns(
        agent_id=agent_id,
        time_bucket_minutes=time_bucket_minutes,
        start=buckets.times[0] if buckets.times else None,
        end=_plus(buckets.times[-1], time_bucket_minutes, zone) if buckets.times else None,
        data_points=known[2] if known else 0,
        times=tuple(buckets.times),
        usage=buckets.usage,
        by_time_of_day=_means(buckets.slots, buckets.usage, of_a_day),
        by_weekday=_means(weekdays, days, 7),
        profile=profile.reshape(7, of_a_day),
        trend=_trend(days),
        daily_strength=_strength(roots[usual], np.zeros_like(cells[usual]), buckets.slots[usual]),
        weekly_strength=_strength(roots[usual], buckets.slots[usual], cells[usual]),
        anomalies=_anomalies(buckets, scores),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Buckets:
    """Complete buckets of usage, by the local clock."""

    times: list[datetime]
    usage: Floats
    slots: Ints
    weekdays: Ints
    dates: Ints

    @classmethod
    def of(cls, known: Known | None, minutes: int, zone: tzinfo | None) -> _Buckets:
        import numpy as np

        whole = [bucket for bucket in _buckets(known, minutes, zone) if bucket[2] * 15 == minutes]
        times = [time for time, _, _ in whole]
        slots = [(time.hour * 60 + time.minute) // minutes for time in times]
        return cls(
            times=times,
            usage=np.array([usage for _, usage, _ in whole], dtype=np.float64),
            slots=np.array(slots, dtype=np.int64),
            weekdays=np.array([time.weekday() for time in times], dtype=np.int64),
            dates=np.array([time.toordinal() for time in times], dtype=np.int64),
        )

    def whole_days(self, of_a_day: int) -> tuple[Floats, Ints]:
        """Usage and weekday of each day of which all is known, but for an hour that the clock skipped."""
        import numpy as np

        dates, place, counts = np.unique(self.dates, return_inverse=True, return_counts=True)
        sums = np.bincount(place, weights=self.usage, minlength=len(dates)).astype(np.float64)
        whole = counts >= of_a_day - of_a_day // 24
        return sums[whole], (dates[whole] + 6) % 7


def _buckets(known: Known | None, minutes: int, zone: tzinfo | None) -> Iterator[tuple[datetime, float, int]]:
    """Start, usage and quarter-hours of each bucket, by the local clock. An hour shown twice is two."""
    if known is None:
        return
    first, quarters, _ = known
    times = ((first + i * _QUARTER).astimezone(zone) for i in range(len(quarters)))

    def bucket(entry: tuple[datetime, float]) -> object:
        time = entry[0]
        return time.date(), (time.hour * 60 + time.minute) // minutes, time.utcoffset()

    for _, group in groupby(zip(times, quarters.tolist(), strict=True), key=bucket):
        entries = list(group)
        yield entries[0][0], sum(amount for _, amount in entries), len(entries)


def _plus(time: datetime, minutes: int, zone: tzinfo | None) -> datetime:
    return (time.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(zone)


def _means(groups: Ints, values: Floats, count: int) -> Floats:
    """Mean of each group's values; NaN of none."""
    import numpy as np

    counts = np.bincount(groups, minlength=count)
    sums = np.bincount(groups, weights=values, minlength=count)
    means: Floats = np.divide(sums, counts, out=np.full(count, np.nan), where=counts > 0)
    return means


def _trend(days: Floats) -> float | None:
    """Median slope between any two days, as a share of the median day."""
    import numpy as np

    if len(days) < _MIN_DAYS_OF_A_TREND:
        return None
    first, second = np.triu_indices(len(days), 1)
    slope = float(np.median((days[second] - days[first]) / (second - first)))
    usual = float(np.median(days)) or float(days.mean())
    return slope / usual if usual else 0.0


def _others(values: Floats, groups: Ints) -> Floats:
    """For each value the mean of the others in its group; NaN where it is alone."""
    import numpy as np

    counts = np.bincount(groups)[groups]
    sums = np.bincount(groups, weights=values)[groups]
    alone = np.full(len(values), np.nan)
    means: Floats = np.divide(sums - values, counts - 1, out=alone, where=counts > 1)
    return means


def _strength(values: Floats, coarse: Ints, fine: Ints) -> float | None:
    """What a finer grouping explains of what a coarser one leaves, each value foreseen from the others."""
    import numpy as np

    foreseen = _others(values, fine)
    seen = np.isfinite(foreseen)
    if not seen.any():
        return None
    left = float(((values - _others(values, coarse))[seen] ** 2).sum())
    unexplained = float(((values - foreseen)[seen] ** 2).sum())
    # Less than rounding errors is nothing.
    return max(0.0, 1.0 - unexplained / left) if left > 1e-18 * float((values**2).sum()) else 0.0


def _scores(roots: Floats, slots: Ints, cells: Ints) -> Floats:
    """Robust standard deviations from the time of day, or from other weeks where these are nearer."""
    import numpy as np

    if not len(roots):
        return roots
    expected = _medians(roots, slots)
    off_day = roots - expected
    gaps = np.abs(off_day)
    # Times of day at which nothing is usual would hide how much is usual at the others.
    busy = expected > 0
    spread = _spread(gaps[busy] if busy.any() else gaps)
    if not spread:
        return np.zeros_like(gaps)
    off_week = roots - _others(roots, cells)
    off = np.where(np.abs(off_week) < gaps, off_week, off_day)
    # Busy times of day vary more than quiet ones.
    return off / np.maximum(spread, _NORMAL * _medians(gaps, slots))


def _spread(gaps: Floats) -> float:
    """The standard deviation of normal gaps: from their median, or where most are zero from their mean."""
    import numpy as np

    return _NORMAL * float(np.median(gaps)) or 1.2533 * float(gaps.mean())


def _medians(values: Floats, groups: Ints) -> Floats:
    """For each value the median of its group."""
    import numpy as np

    medians = np.zeros(int(groups.max()) + 1)
    for group in np.unique(groups):
        medians[group] = np.median(values[groups == group])
    return medians[groups]


def _anomalies(buckets: _Buckets, scores: Floats) -> tuple[UsageAnomaly, ...]:
    import numpy as np

    odd = np.flatnonzero(np.abs(scores) > _ANOMALY_SCORE)
    expected = _medians(buckets.usage, buckets.slots) if len(odd) else buckets.usage
    return tuple(
        UsageAnomaly(buckets.times[i], float(buckets.usage[i]), float(expected[i]), float(scores[i]))
        for i in odd
    )

"""What an agent's usage looks like: its hours, its weekdays, its trend, and what does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from safeguards._extras import require
from safeguards._values.frames import Tabular

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["UsageAnomaly", "UsagePatterns"]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class UsageAnomaly:
    """A bucket that fits neither its time of day nor the same hour of other weeks.

    Attributes:
        time: its start, in local time.
        amount: what was used.
        expected: the median of this time of day.
        score: how many robust standard deviations it is off, on a scale of square roots; negative if it is
            less than expected.
    """

    time: datetime
    amount: float
    expected: float
    score: float

    def __str__(self) -> str:
        return f"{self.time:%Y-%m-%d %H:%M} {self.amount:.3g} instead of {self.expected:.3g}"


@dataclass(frozen=True, eq=False)
class UsagePatterns(Tabular):
    """What is known of an agent's habits. False if that is nothing.

    Times are local, in the learner's time zone. Usage is in budget units, as floats: an estimate for people,
    not the books.

    Attributes:
        agent_id: the agent.
        time_bucket_minutes: length of a bucket.
        start: the first instant; None if nothing is known.
        end: the first instant after it.
        data_points: usages, or points that were loaded.
        times: start of each bucket that is complete.
        usage: float64 (buckets,): usage of each.
        by_time_of_day: float64 (buckets of a day,): mean usage by time of day; NaN where none is known.
        by_weekday: float64 (7,): mean usage of a day, Monday first; NaN where no whole day is known.
        profile: float64 (7, buckets of a day): mean usage by weekday and time of day; NaN where unknown.
        trend: change of a day's usage from one day to the next, as a share of the median day: the median
            slope between any two days (Theil & Sen). None with less than three whole days.
        daily_strength: 0 to 1: the share of the variance of usage (of its square roots, anomalies aside) that
            the time of day explains on days that it was not learned from. None with less than two days.
        weekly_strength: 0 to 1: the share that the weekday explains of what the time of day leaves. None with
            less than two weeks.
        anomalies: what does not fit, by time.
    """

    agent_id: str
    time_bucket_minutes: int
    start: datetime | None
    end: datetime | None
    data_points: int
    times: tuple[datetime, ...]
    usage: Floats
    by_time_of_day: Floats
    by_weekday: Floats
    profile: Floats
    trend: float | None
    daily_strength: float | None
    weekly_strength: float | None
    anomalies: tuple[UsageAnomaly, ...]

    def __bool__(self) -> bool:
        return len(self.times) > 0

    @property
    def mean(self) -> float:
        """Mean usage of a bucket; 0 if nothing is known."""
        return float(self.usage.mean()) if self else 0.0

    def explain_missing(self) -> dict[str, str]:
        """Why what is `None` is: the reason by the name of the attribute."""
        if not self:
            nothing = f"nothing is known of agent {self.agent_id!r} yet: load_history or start_collection"
            return dict.fromkeys(("start", "end", "trend", "daily_strength", "weekly_strength"), nothing)
        needs = {
            "trend": "at least three whole days, with usage on most of them",
            "daily_strength": "at least two days that differ",
            "weekly_strength": "at least two weeks that differ",
        }
        days = len(self.times) * self.time_bucket_minutes / (24 * 60)
        return {
            name: f"it takes {need}; {days:.3g} days are known"
            for name, need in needs.items()
            if getattr(self, name) is None
        }

    def _cells(self) -> Mapping[str, Sequence[Any]]:
        return {"time": list(self.times), "usage": self.usage.tolist()}

    def plot(self) -> Figure:
        """Draws usage over time, the profile of the day, and hours by weekday.

        Returns:
            A `matplotlib.figure.Figure`, free of global state.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        require("matplotlib", "plot")
        # By its name: pictures are an edge of the library, which nothing but callers reaches.
        figure: Figure = import_module("safeguards.budget._plots").plot_patterns(self)
        return figure

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, ready for JSON; what is unknown is None."""
        return {
            "agent_id": self.agent_id,
            "time_bucket_minutes": self.time_bucket_minutes,
            "start": None if self.start is None else self.start.isoformat(),
            "end": None if self.end is None else self.end.isoformat(),
            "data_points": self.data_points,
            "mean": self.mean,
            "by_time_of_day": _plain(self.by_time_of_day),
            "by_weekday": _plain(self.by_weekday),
            "trend": self.trend,
            "daily_strength": self.daily_strength,
            "weekly_strength": self.weekly_strength,
            "anomalies": [
                {"time": a.time.isoformat(), "amount": a.amount, "expected": a.expected, "score": a.score}
                for a in self.anomalies
            ],
        }

    def __str__(self) -> str:
        if not self:
            return f"agent {self.agent_id!r}: nothing is known yet"
        span = f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M}"
        lines = [f"{name:<10} {text}" for name, text in self._findings()]
        return "\n  ".join([f"agent {self.agent_id!r}, {span} ({self.data_points} data points)", *lines])

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{escape(str(self))}</p>"
        head, *_ = str(self).splitlines()
        rows = (f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in self._findings())
        return f"<p>{escape(head)}</p><table>{''.join(rows)}</table>"

    def _findings(self) -> list[tuple[str, str]]:
        idle = float((self.usage == 0).mean())
        usage = f"{self.mean:.3g} per {self.time_bucket_minutes} minutes, none in {idle:.0%} of them"
        trend = "not known yet" if self.trend is None else f"{self.trend:+.1%} a day"
        times = [self._time_of_day(i) for i in range(len(self.by_time_of_day))]
        days = [f"on {day}s" for day in WEEKDAYS]
        return [
            ("usage", usage),
            ("day", _season(self.daily_strength, [f"at {time}" for time in times], self.by_time_of_day)),
            ("week", _season(self.weekly_strength, days, self.by_weekday)),
            ("trend", trend),
            ("anomalies", self._anomaly_text()),
        ]

    def _time_of_day(self, bucket: int) -> str:
        return "{:02}:{:02}".format(*divmod(bucket * self.time_bucket_minutes, 60))

    def _anomaly_text(self) -> str:
        if not self.anomalies:
            return "none"
        worst = sorted(self.anomalies, key=lambda anomaly: -abs(anomaly.score))[:_SHOWN]
        more = len(self.anomalies) - len(worst)
        return "; ".join([*map(str, worst), *([f"and {more} more"] if more else [])])


def _season(strength: float | None, names: list[str], means: Floats) -> str:
    import numpy as np

    if strength is None:
        return "not known yet"
    if np.isnan(means).all():
        return f"strength {strength:.2f}"
    most, least = int(np.nanargmax(means)), int(np.nanargmin(means))
    ends = f"most {names[most]} ({means[most]:.3g}), least {names[least]} ({means[least]:.3g})"
    return f"strength {strength:.2f}: {ends}"


def _plain(values: Floats) -> list[float | None]:
    import numpy as np

    return [None if np.isnan(value) else float(value) for value in values]

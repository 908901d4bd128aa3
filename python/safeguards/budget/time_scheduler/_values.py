"""What a schedule of budgets is made of, and what it tells about itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime, time
    from decimal import Decimal

__all__ = ["Occurrence", "ScheduleIssue", "TimeProfile", "Transition"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = timedelta(days=1)
_LAST_MINUTE = timedelta(hours=23, minutes=59)


@dataclass(frozen=True, slots=True)
class TimeProfile:
    """A budget for a time of the day, on some days of the week.

    Attributes:
        name: its name within the schedule of its pool.
        budget: what the pool has when the profile comes into force.
        start_time: when its window begins, in local time.
        end_time: the first moment after its window. One before `start_time` is that of the next day; one in
            the last minute of the day, as 23:59, is the end of the day.
        days: 0 is Monday, 6 is Sunday.
        each_day: whether windows that follow each other without a gap are granted one by one.

    Example:
        >>> from datetime import time
        >>> from decimal import Decimal
        >>> print(TimeProfile("night", Decimal(500), time(22), time(9), frozenset(range(5))))
        night: 500, 22:00-09:00 Mon-Fri
    """

    name: str
    budget: Decimal
    start_time: time
    end_time: time
    days: frozenset[int]
    each_day: bool = False

    @property
    def opens(self) -> timedelta:
        """From midnight to the begin of the window."""
        return _since_midnight(self.start_time)

    @property
    def closes(self) -> timedelta:
        """From midnight to the end of the window; less than `opens` if it ends on the next day."""
        end = _since_midnight(self.end_time)
        return _DAY if end >= _LAST_MINUTE else end

    @property
    def width(self) -> timedelta:
        """How long the window is, on a day of 24 hours."""
        width = self.closes - self.opens
        return width if width > timedelta(0) else width + _DAY

    def __str__(self) -> str:
        hours = f"{_hours(self.opens)}-{_hours(self.closes)}"
        return f"{self.name}: {self.budget}, {hours} {_day_names(self.days)}"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One contiguous stretch of local time in which a profile is in force: what is granted once.

    Attributes:
        profile: name of the profile.
        start: its first moment, aware, in UTC.
        end: the first moment after it, aware, in UTC. Where clocks are set back over its begin or its end,
            another profile may be in force in between.
    """

    profile: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Transition:
    """A moment at which another profile comes into force, or the same one anew.

    Attributes:
        pool_id: the pool.
        time: when, aware, in UTC.
        before: name of the profile until then; `None` in a gap.
        after: name of the profile from then on; `None` in a gap.
    """

    pool_id: str
    time: datetime
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.time:%a %Y-%m-%d %H:%M} UTC {self.pool_id!r}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class ScheduleIssue:
    """A stretch of the week without a profile, or with more than one.

    Attributes:
        kind: `"gap"` or `"overlap"`.
        start: its begin, from Monday 00:00 in local time.
        end: the first moment after it; beyond seven days where it goes on into the next week.
        profiles: names of the profiles that overlap, the one in force first.

    Example:
        >>> print(ScheduleIssue("gap", timedelta(days=4, hours=22), timedelta(days=5), ()))
        gap Fri 22:00 to Sat 00:00: no profile is in force, the pool keeps what it has
    """

    kind: Literal["gap", "overlap"]
    start: timedelta
    end: timedelta
    profiles: tuple[str, ...]

    def __str__(self) -> str:
        when = f"{self.kind} {week_time(self.start)} to {week_time(self.end)}"
        if self.kind == "gap":
            return f"{when}: no profile is in force, the pool keeps what it has"
        wider = ", ".join(map(repr, self.profiles[1:]))
        return f"{when}: {self.profiles[0]!r} is in force, narrower than {wider}"


def week_time(offset: timedelta) -> str:
    """A moment of the week, as `"Mon 09:00"`."""
    return f"{_DAYS[offset.days % 7]} {_hours(offset % _DAY)}"


def _since_midnight(at: time) -> timedelta:
    return timedelta(hours=at.hour, minutes=at.minute, seconds=at.second, microseconds=at.microsecond)


def _hours(offset: timedelta) -> str:
    minutes, rest = divmod(offset, timedelta(minutes=1))
    seconds = f":{rest.total_seconds():09.6f}".rstrip("0").rstrip(".") if rest else ""
    return f"{minutes // 60:02}:{minutes % 60:02}{seconds}"


def _day_names(days: frozenset[int]) -> str:
    if len(days) == len(_DAYS):
        return "every day"
    ordered = sorted(days)
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:  # noqa: PLR2004 - three in a row
        return f"{_DAYS[ordered[0]]}-{_DAYS[ordered[-1]]}"
    return " ".join(_DAYS[day] for day in ordered)

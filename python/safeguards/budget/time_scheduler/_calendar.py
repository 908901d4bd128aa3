"""The arithmetic of a weekly schedule: which profile is in force, and when that changes.

It has two halves. `Week` is the pattern in local time, as a clock on the wall shows it: a ring of seven days,
cut into stretches that have one profile each. `Calendar` lays it over the time line of one zone. The time on
the wall decides: where clocks are set forward, what they skip does not happen, and a stretch whose begin is
skipped begins when they jump; where they are set back, what was in force at an hour is in force again when
the hour is shown again, as the same occurrence.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from safeguards._values import time_zones
from safeguards.budget.time_scheduler._values import Occurrence, ScheduleIssue, week_time
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import tzinfo

    from safeguards.budget.time_scheduler._values import TimeProfile

DaysMean = Literal["current", "start"]

_DAY = timedelta(days=1)
_WEEK = 7 * _DAY
_NOTHING = timedelta(0)

# No zone has ever changed its offset twice within a week.
_PROBE = timedelta(days=6)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the week, from `start` after Monday 00:00 and maybe into the next week; a profile or none."""

    start: timedelta
    length: timedelta
    profile: TimeProfile | None


class Week:
    """Which profile is in force at each moment of a week of local time.

    Args:
        profiles: with names that differ.
        days_mean: what the days of a profile filter: the `"current"` local day, or the one on which a window
            that crosses midnight did `"start"`.

    Raises:
        ConfigurationError: profiles of equal width overlap, and no narrower one decides.
    """

    def __init__(self, profiles: Sequence[TimeProfile], days_mean: DaysMean) -> None:
        self.profiles = tuple(profiles)
        self._days_mean = days_mean
        self._pieces = [(start, length, self._candidates(start)) for start, length in _pieces(profiles)]
        self.stretches = self._joined()
        self._starts = [stretch.start for stretch in self.stretches]

    def at(self, local: datetime) -> tuple[datetime, datetime, TimeProfile | None]:
        """The stretch around a moment of local time: its begin, the first moment after it, its profile."""
        offset = _DAY * local.weekday() + (local - local.replace(hour=0, minute=0, second=0, microsecond=0))
        stretch = self.stretches[bisect_right(self._starts, offset) - 1]  # -1: the last one goes on
        start = local - (offset - stretch.start) % _WEEK
        return start, start + stretch.length, stretch.profile

    def issues(self) -> list[ScheduleIssue]:
        """Gaps and overlaps, in the order of the week."""
        found: list[ScheduleIssue] = []
        for start, length, profiles in self._pieces:
            if len(profiles) == 1:
                continue
            names = tuple(profile.name for profile in profiles)
            if found and found[-1].end == start and found[-1].profiles == names:
                found[-1] = ScheduleIssue(found[-1].kind, found[-1].start, start + length, names)
            else:
                found.append(ScheduleIssue("overlap" if names else "gap", start, start + length, names))
        # One that lasts over the end of the week is one, not two.
        if len(found) > 1 and found[0].start == _NOTHING and found[-1].end == _WEEK:
            first, last = found[0], found[-1]
            if first.profiles == last.profiles:
                joined = ScheduleIssue(last.kind, last.start, last.end + first.end, last.profiles)
                found = [*found[1:-1], joined]
        return found

    def _candidates(self, offset: timedelta) -> list[TimeProfile]:
        """Who covers a moment of the week, the narrowest first."""
        found = [profile for profile in self.profiles if self._covers(profile, offset)]
        found.sort(key=lambda profile: profile.width)
        if len(found) > 1 and found[0].width == found[1].width:
            raise ConfigurationError(
                f"profiles {found[0].name!r} and {found[1].name!r} overlap on {week_time(offset)} and are of "
                f"equal width: the narrower of two is in force, so give one of them other hours or days"
            )
        return found

    def _covers(self, profile: TimeProfile, offset: timedelta) -> bool:
        day, time = offset.days, offset % _DAY
        if profile.opens < profile.closes:
            return day in profile.days and profile.opens <= time < profile.closes
        if time >= profile.opens:
            return day in profile.days
        began = day if self._days_mean == "current" else (day - 1) % 7
        return time < profile.closes and began in profile.days

    def _joined(self) -> list[Stretch]:
        """The pieces, put together where the same profile stays in force."""
        stretches: list[Stretch] = []
        winners = [(start, length, found[0] if found else None) for start, length, found in self._pieces]
        endless = all(profile == winners[0][2] for _, _, profile in winners)
        previous = winners[-1][2]
        for start, length, profile in winners:
            if profile != previous or _begins_anew(profile, start, endless=endless):
                stretches.append(Stretch(start, length, profile))
            elif stretches:
                stretches[-1] = Stretch(stretches[-1].start, stretches[-1].length + length, profile)
            previous = profile
        # What comes before the first begin belongs to the last stretch.
        last = stretches[-1]
        stretches[-1] = Stretch(last.start, last.length + stretches[0].start, last.profile)
        return stretches


def _pieces(profiles: Iterable[TimeProfile]) -> Iterator[tuple[timedelta, timedelta]]:
    """Begin and length of parts of the week in which nothing changes."""
    cuts = {_NOTHING, _DAY} | {cut for profile in profiles for cut in (profile.opens, profile.closes)}
    ordered = sorted(cuts)
    for day in range(7):
        for start, end in pairwise(ordered):
            yield day * _DAY + start, end - start


def _begins_anew(profile: TimeProfile | None, offset: timedelta, *, endless: bool) -> bool:
    """Whether a window of the profile begins there, and counts even if the one before ends there.

    A profile that is always in force begins anew each day: else it would be granted once, for ever.
    """
    return profile is not None and (profile.each_day or endless) and offset % _DAY == profile.opens


class Calendar:
    """A week on the time line of a zone.

    Args:
        week: the pattern.
        zone: the time zone; that of this machine if None, as `datetime` reads it.
    """

    def __init__(self, week: Week, zone: tzinfo | None) -> None:
        if zone is None:
            time_zones.check_local()
        self.week = week
        self._zone = zone
        self._latest: tuple[datetime, datetime, Occurrence | None] | None = None

    def at(self, instant: datetime) -> Occurrence | None:
        """What is in force at an instant (aware, in UTC)."""
        return self._piece(instant)[1]

    def next_change(self, instant: datetime) -> datetime:
        """The first instant after this one at which another occurrence, or none, is in force."""
        return self._piece(instant)[0]

    def changes(
        self, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, Occurrence | None, Occurrence | None]]:
        """Instants in `start <= t < end` at which that changes, with what is in force before and after."""
        instant = start - timedelta.resolution
        before = self.at(instant)
        while (instant := self.next_change(instant)) < end:
            after = self.at(instant)
            yield instant, before, after
            before = after

    def local(self, instant: datetime) -> datetime:
        """What the clock on the wall shows, without a zone."""
        return instant.astimezone(self._zone).replace(tzinfo=None)

    def first(self, local: datetime) -> datetime:
        """The first instant at which the clock shows `local` or, if that is skipped, has passed it."""
        first, second = self._both(local)
        return first if self.local(first) == local else self._jump(first, second)

    def last(self, local: datetime) -> datetime:
        """The last instant that comes right after one at which the clock shows less than `local`."""
        first, second = self._both(local)
        if self.local(first) != local:
            return self._jump(first, second)
        is_set_back_to_it = self.local(second - timedelta.resolution) > local
        return first if is_set_back_to_it else second

    def _both(self, local: datetime) -> tuple[datetime, datetime]:
        """The instants at which the clock shows `local`, twice the same one if there is but one.

        If it is skipped: what it is by the offsets before and after the jump, which lies between the two.
        """
        zone = self._zone  # a datetime without one is in the local time of this machine
        first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return min(first, second), max(first, second)

    def _jump(self, start: datetime, end: datetime) -> datetime:
        """The instant between two at which clocks are set forward."""
        return self._change_of_offset(start, end) or end

    def _piece(self, instant: datetime) -> tuple[datetime, Occurrence | None]:
        """What is in force at an instant, and until when."""
        latest = self._latest
        if latest is None or not latest[0] <= instant < latest[1]:
            end, occurrence = self._find(instant)
            self._latest = latest = (instant, end, occurrence)
        return latest[1], latest[2]

    def _find(self, instant: datetime) -> tuple[datetime, Occurrence | None]:
        end, occurrence = self._stretch(instant)
        while occurrence is None:  # a window between two gaps may be skipped
            further, occurrence = self._stretch(end)
            if occurrence is None:
                end = further
            else:
                return end, None
        return end, occurrence

    def _stretch(self, instant: datetime) -> tuple[datetime, Occurrence | None]:
        """The stretch of the week that an instant lies in: until when, and what is in force."""
        local = self.local(instant)
        start, end, profile = self.week.at(local)
        while (change := self._change_of_offset(instant, instant + (end - local))) is not None:
            instant, local = change, self.local(change)
            if not start <= local < end:
                break
        else:
            instant += end - local
        occurrence = None if profile is None else Occurrence(profile.name, self.first(start), self.last(end))
        return instant, occurrence

    def _change_of_offset(self, start: datetime, end: datetime) -> datetime | None:
        """The first instant in `start < t <= end` from which the zone has another offset."""
        offset = self._offset(start)
        while start < end:
            probe = min(start + _PROBE, end)
            if self._offset(probe) != offset:
                return self._bisected(start, probe, offset)
            start = probe
        return None

    def _bisected(self, start: datetime, end: datetime, offset: timedelta) -> datetime:
        while end - start > timedelta.resolution:
            middle = start + (end - start) / 2
            if self._offset(middle) == offset:
                start = middle
            else:
                end = middle
        return end

    def _offset(self, instant: datetime) -> timedelta:
        return self.local(instant) - instant.replace(tzinfo=None)

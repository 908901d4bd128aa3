"""Pacing of one pool as it goes: what it spends and turns away, slot by slot, and what it may admit now."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from safeguards._native import Turn
from safeguards.budget.time_scheduler._pacing import DemandHistory, Pace

if TYPE_CHECKING:
    from safeguards.budget.time_scheduler._calendar import Calendar
    from safeguards.budget.time_scheduler._values import Occurrence

Pacing = Literal["none", "even", "forecast"]

SLOT = timedelta(minutes=10)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - slots are those of the clock on the wall
_MOST_AT_ONCE = 86_400.0
_PACES = 4


class Now(NamedTuple):
    """An instant on both lines of time.

    Attributes:
        wall: the wall time, aware.
        seconds: the monotonic time.
    """

    wall: datetime
    seconds: float


class LivePacing:
    """Watches a pool and says which share of its demand to admit.

    Demand is what was spent or set aside, and what was turned away. It is noted in slots of ten minutes of
    the clock on the wall, so that days of 23 and 25 hours line up with others. How long it took to come is
    read on the monotonic line: a wall clock that is set makes no demand come sooner or later.

    Args:
        mode: `"even"` or `"forecast"`.
        history: the demand of the last seven days.
    """

    def __init__(self, mode: Pacing, history: DemandHistory) -> None:
        self._mode = mode
        self._history = history
        self._turn = Turn("the pacing of a pool")
        self._is_looking = False
        self._share = 1.0
        self._latest: tuple[float, float] | None = None
        self._turned_away: deque[float] = deque()
        self._pace = Pace(1)
        self._paces: dict[Occurrence, Pace] = {}  # of the latest ones: a clock may go back to them

    def turn_away(self, amount: float) -> None:
        """Takes note of demand that was not admitted."""
        self._turned_away.append(amount)

    def observe(self, calendar: Calendar, now: Now, used: float) -> None:
        """Takes note of what the pool has used in all, until now."""
        with self._turn:
            self._look(calendar, now, used, None)

    def throttle(self, calendar: Calendar, now: Now, used: float, remaining: float) -> float:
        """The share to admit now; 1 while no profile is in force."""
        with self._turn:
            self._look(calendar, now, used, remaining)
            return self._share

    def _look(self, calendar: Calendar, now: Now, used: float, remaining: float | None) -> None:
        if self._is_looking:
            return  # a signal handler or a finalizer asks in the middle of a look: what was found last holds
        try:
            self._is_looking = True
            occurrence = self._observe(calendar, now, used)
            if occurrence is None:
                self._share = 1.0
            elif remaining is not None:
                self._share = self._pace.throttle(remaining, _position(calendar, occurrence, now.wall))
        finally:
            self._is_looking = False

    def _observe(self, calendar: Calendar, now: Now, used: float) -> Occurrence | None:
        latest, self._latest = self._latest, (now.seconds, used)
        demand = sum(self._turned_away.popleft() for _ in range(len(self._turned_away)))
        if latest is not None and now.seconds - latest[0] <= _MOST_AT_ONCE:
            demand += used - latest[1]
            begin = now.wall - timedelta(seconds=now.seconds - latest[0])
            self._note(calendar.local(begin), calendar.local(now.wall), demand)
            self._pace.see(demand)
        occurrence = calendar.at(now.wall)
        if occurrence is not None:
            pace = self._paces.get(occurrence)
            if pace is None or _position(calendar, occurrence, now.wall) < pace.begin:
                self._paces[occurrence] = pace = self._begun(calendar, occurrence, now.wall)
                if len(self._paces) > _PACES:
                    del self._paces[next(iter(self._paces))]
            self._pace = pace
        return occurrence

    def _note(self, start: datetime, end: datetime, demand: float) -> None:
        """Spreads demand evenly over the slots in which it came; over one, if clocks were set back."""
        last = _slot(end)
        length = (end - start) / SLOT
        for slot in range(min(_slot(start), last), last + 1):
            covered = min(end, _EPOCH + (slot + 1) * SLOT) - max(start, _EPOCH + slot * SLOT)
            share = covered / SLOT / length if length > 0 else float(slot == last)
            self._history.add(slot, demand * share)

    def _begun(self, calendar: Calendar, occurrence: Occurrence, now: datetime) -> Pace:
        first, end = _slot(calendar.local(occurrence.start)), calendar.local(occurrence.end)
        slots = max(-((_EPOCH + first * SLOT - end) // SLOT), 1)
        days = self._history.earlier(first, slots) if self._mode == "forecast" else []
        return Pace(slots, days, _position(calendar, occurrence, now))


def _slot(local: datetime) -> int:
    return (local - _EPOCH) // SLOT


def _position(calendar: Calendar, occurrence: Occurrence, now: datetime) -> float:
    """Slots from the begin of an occurrence."""
    start = _EPOCH + _slot(calendar.local(occurrence.start)) * SLOT
    return max((calendar.local(now) - start) / SLOT, 0.0)

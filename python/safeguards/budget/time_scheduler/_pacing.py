"""Pacing: how much of the demand to admit now, so that a budget lasts as long as it is meant to.

The rule is one: admit `remaining / need` of what comes, where `need` is what the rest of the time is
expected to ask for. A constant share is what one would choose with hindsight (if the worth of work has
diminishing returns, every hour should get the same share of what it asks for), so all that matters is to
expect the need well.

*Even* takes it that demand goes on as it has since the beginning. *Forecast* asks each of the last seven
days what the rest would be like if this day went on as that one did: that day's rest, times how today
compares with that day so far. Bursts do not come back at the same minute, so of each day as much is first
spread evenly over its slots as the days do not have in common: nothing if they are all alike, nearly
everything if none is like another.
"""

from __future__ import annotations

import math
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING

from safeguards._values.arguments import listed, mapping, shown
from safeguards._values.numbers import number, whole
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SLOTS_PER_DAY = 144
DAYS = 7

_MOST_SLOTS = 2**53
_MOST_DEMAND = 1e15
_UNLIKE = 0.5  # how little a day has in common with others, when there are no others
_TRUST = 0.02  # how much of a day must be seen to weigh as much as the days before


class Pace:
    """Expects the need of the rest of a stretch of time, divided into slots.

    Args:
        slots: how many slots the stretch has.
        days: demand in the same slots of earlier days, the same number of slots each; none if unknown.
        begin: where observation begins, in slots from the start.
    """

    def __init__(self, slots: int, days: Iterable[Sequence[float]] = (), begin: float = 0.0) -> None:
        self._slots = slots
        self._begin = begin
        self._seen = 0.0
        known = list(days)
        even = _unlike(known)
        self._sums = [_smoothed_sums(day, even) for day in known]
        self._prior = _TRUST * sum(sums[-1] for sums in self._sums) / max(len(self._sums), 1)

    def see(self, demand: float) -> None:
        """Takes note of demand, whether it was admitted or not; less than 0 takes some back."""
        self._seen = max(self._seen + demand, 0.0)

    def throttle(self, remaining: float, position: float) -> float:
        """The share of demand to admit now.

        Args:
            remaining: what is left of the budget.
            position: where in the stretch that is, in slots from its start.
        """
        if remaining <= 0:
            return 0.0
        need = self._forecast_need(position) if self._prior > 0 else self._even_need(remaining, position)
        return 1.0 if need <= remaining else remaining / need

    def _even_need(self, remaining: float, position: float) -> float:
        """The slots that are left, at the rate so far; one slot of what the budget allows counts as seen."""
        left = self._slots - position
        if left <= 0:
            return 0.0
        allowed = remaining / left
        return left * (self._seen + allowed) / (position - self._begin + 1)

    def _forecast_need(self, position: float) -> float:
        """The rest of each earlier day, scaled by how this one compares with it.

        Days differ. With returns that diminish as a square root does, the share that is best on the average
        of what may come is that for the squared mean root of the needs.
        """
        roots = 0.0
        for sums in self._sums:
            done = _at(sums, position)
            scale = (self._seen + self._prior) / (done - _at(sums, self._begin) + self._prior)
            roots += math.sqrt((sums[-1] - done) * scale)
        root = roots / len(self._sums)
        return root * root


def _unlike(days: Sequence[Sequence[float]]) -> float:
    """The share of a day's demand that comes at other times than on the other days, in the mean over days."""
    shapes = [[slot / total for slot in day] for day in days if (total := sum(day)) > 0]
    if len(shapes) < 2:  # noqa: PLR2004 - there is nothing to compare
        return _UNLIKE
    sums = [sum(slots) for slots in zip(*shapes, strict=True)]
    others = len(shapes) - 1
    common: float = sum(
        min(slot, (all_days - slot) / others)
        for shape in shapes
        for slot, all_days in zip(shape, sums, strict=True)
    )
    return min(max(1 - common / len(shapes), 0.0), 1.0)


def _smoothed_sums(day: Sequence[float], even: float) -> list[float]:
    """Running sums over the slots of a day, from 0 to the total; a share of it is spread evenly."""
    mean = sum(day) / len(day)
    return list(accumulate(((1 - even) * slot + even * mean for slot in day), initial=0.0))


def _at(sums: Sequence[float], position: float) -> float:
    """A running sum at a position between its points."""
    slot = min(max(int(position), 0), len(sums) - 2)
    part = min(max(position - slot, 0.0), 1.0)
    return sums[slot] + part * (sums[slot + 1] - sums[slot])


class DemandHistory:
    """The demand of this day and the seven before it, slot by slot, in a ring.

    Slots are numbered through, `slots_per_day` to a day. One that was not observed is unknown, not zero.
    """

    def __init__(self, slots_per_day: int = SLOTS_PER_DAY) -> None:
        self._per_day = slots_per_day
        kept = (DAYS + 1) * slots_per_day  # with the day that is under way
        self._ring = array("d", [math.nan]) * kept
        self._newest: int | None = None

    def add(self, slot: int, demand: float) -> None:
        """Adds to the demand of a slot. Slots that were left out since the newest one are unknown."""
        size = len(self._ring)
        if self._newest is None or slot > self._newest:
            oldest_unknown = slot - size + 1 if self._newest is None else self._newest + 1
            for unknown in range(max(oldest_unknown, slot - size + 1), slot + 1):
                self._ring[unknown % size] = math.nan
            self._newest = slot
        elif slot <= self._newest - size:
            return  # a clock that was set back by more than is kept
        known = self._ring[slot % size]
        self._ring[slot % size] = demand if math.isnan(known) else max(known + demand, 0.0)

    def earlier(self, first: int, count: int) -> list[list[float]]:
        """The demand in the slots `first..first + count` of each earlier day that is known well enough.

        Up to a day, each of the seven days before; for longer stretches the same days of the week before.
        """
        shifts = range(1, DAYS + 1) if count <= self._per_day else (DAYS,)
        days = (
            [self._get(slot - shift * self._per_day) for slot in range(first, first + count)]
            for shift in shifts
        )
        return [filled for day in days if (filled := _filled(day)) is not None]

    def _get(self, slot: int) -> float:
        newest = self._newest
        known = newest is not None and newest - len(self._ring) < slot <= newest
        return self._ring[slot % len(self._ring)] if known else math.nan

    def to_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON: number of the newest slot, and demand from the oldest slot on."""
        if self._newest is None:
            return {"newest": None, "demand": []}
        slots = range(self._newest - len(self._ring) + 1, self._newest + 1)
        values = (self._get(slot) for slot in slots)
        return {"newest": self._newest, "demand": [None if math.isnan(value) else value for value in values]}

    @classmethod
    def from_dict(cls, plain: object, name: str = "plain") -> DemandHistory:
        """What `to_dict` returned.

        Raises:
            ArgumentTypeError: a part is of another type.
            ConfigurationError: it is no such thing otherwise; `name` says where.
        """
        given = mapping(name, plain)
        if given.keys() != {"newest", "demand"}:
            raise ConfigurationError(f"{name} must have 'newest' and 'demand', not {shown(list(given))}")
        history, newest = cls(), given["newest"]
        values = listed(f"{name}['demand']", given["demand"])
        if newest is None and not values:
            return history
        size = len(history._ring)
        newest = whole(f"{name}['newest']", newest, -_MOST_SLOTS, _MOST_SLOTS)
        if len(values) != size:
            raise ConfigurationError(f"{name}['demand'] must have {size} values, not {len(values)}")
        for slot, value in enumerate(values, newest - size + 1):
            if value is not None:
                history.add(slot, number(f"a value of {name}['demand']", value, 0, _MOST_DEMAND))
        history._newest = newest
        return history


def _filled(day: list[float]) -> list[float] | None:
    """Unknown slots at the mean of the known ones; None if less than half is known."""
    known = [demand for demand in day if not math.isnan(demand)]
    if not known or 2 * len(known) < len(day):
        return None
    mean = sum(known) / len(known)
    return [mean if math.isnan(demand) else demand for demand in day]

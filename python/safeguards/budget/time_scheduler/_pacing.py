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
from datetime import date, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

from safeguards._values.arguments import listed, mapping, shown, text
from safeguards._values.numbers import number
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SLOTS_PER_DAY = 144
DAYS = 7

_MOST_DAYS = DAYS + 3
"""This day and those before, and two of a clock that was wrong."""
_FIRST_DAY = date(1970, 1, 1)
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
        self.begin = begin
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
        return left * (self._seen + allowed) / (position - self.begin + 1)

    def _forecast_need(self, position: float) -> float:
        """The rest of each earlier day, scaled by how this one compares with it.

        Days differ. With returns that diminish as a square root does, the share that is best on the average
        of what may come is that for the squared mean root of the needs.
        """
        roots = 0.0
        for sums in self._sums:
            done = _at(sums, position)
            scale = (self._seen + self._prior) / (done - _at(sums, self.begin) + self._prior)
            roots += math.sqrt(max(sums[-1] - done, 0.0) * scale)
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
    """The demand of the latest days, slot by slot: at least of this day and the seven before it.

    Slots are numbered through, `slots_per_day` to a day. One that was not observed is unknown, not zero. Days
    are kept apart, and no latest one is remembered: what a clock that was wrong dated takes room and no more.
    """

    def __init__(self, slots_per_day: int = SLOTS_PER_DAY) -> None:
        self._per_day = slots_per_day
        self._days: dict[int, array[float]] = {}

    def add(self, slot: int, demand: float) -> None:
        """Adds to the demand of a slot, less than 0 takes some back; the present is where it is added."""
        day, place = divmod(slot, self._per_day)
        slots = self._days.get(day)
        if slots is None:
            slots = self._days[day] = array("d", [math.nan]) * self._per_day
            if len(self._days) > _MOST_DAYS:
                # A day that was before the seven, or else one that is yet to come: a clock was wrong.
                del self._days[min(other for other in self._days if not day - DAYS <= other <= day)]
        known = slots[place]
        slots[place] = max(demand if math.isnan(known) else known + demand, 0.0)

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
        day, place = divmod(slot, self._per_day)
        slots = self._days.get(day)
        return math.nan if slots is None else slots[place]

    def to_dict(self) -> dict[str, list[float | None]]:
        """Plain values, ready for JSON: the demand of each slot of a day, by its date."""
        return {
            (_FIRST_DAY + timedelta(days=day)).isoformat(): [
                None if math.isnan(value) else value for value in self._days[day]
            ]
            for day in sorted(self._days)
        }

    @classmethod
    def from_dict(cls, plain: object, name: str = "plain") -> DemandHistory:
        """What `to_dict` returned.

        Raises:
            ArgumentTypeError: a part is of another type.
            ConfigurationError: it is no such thing otherwise; `name` says where.
        """
        history, given = cls(), mapping(name, plain)
        if len(given) > _MOST_DAYS:
            raise ConfigurationError(f"{name} must have at most {_MOST_DAYS} days, not {len(given)}")
        for day, demand in given.items():
            where = f"{name}[{shown(day)}]"
            values = listed(where, demand)
            if len(values) != history._per_day:
                raise ConfigurationError(f"{where} must have {history._per_day} values, not {len(values)}")
            history._days[_day_number(name, day)] = array(
                "d",
                (
                    math.nan if value is None else number(f"a value of {where}", value, 0, _MOST_DEMAND)
                    for value in values
                ),
            )
        return history


def _day_number(name: str, day: object) -> int:
    try:
        return (date.fromisoformat(text(f"a day of {name}", day)) - _FIRST_DAY).days
    except ValueError:
        raise ConfigurationError(f"a day of {name} must be a date, not {shown(day)}") from None


def _filled(day: list[float]) -> list[float] | None:
    """Unknown slots at the mean of the known ones; None if less than half is known."""
    known = [demand for demand in day if not math.isnan(demand)]
    if not known or 2 * len(known) < len(day):
        return None
    mean = sum(known) / len(known)
    return [mean if math.isnan(demand) else demand for demand in day]

"""Schedules as people write them, checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from safeguards._values import time_zones
from safeguards.budget.time_scheduler._values import TimeProfile
from safeguards.core._amounts import amount
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEYS = ("budget", "start_time", "end_time", "days", "each_day")
_OPTIONAL = {"days": range(7), "each_day": False}
_MARGIN = timedelta(days=60)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC) + _MARGIN, datetime.max.replace(tzinfo=UTC) - _MARGIN


def profiles(schedule: object) -> list[TimeProfile]:
    """The profiles of a schedule, `{name: {"budget", "start_time", "end_time", "days", "each_day"}}`.

    Raises:
        ConfigurationError: it is no such mapping, or a value makes no sense.
        InvalidAmountError: a budget is not an amount.
        TypeError: a budget is of a type that no amount has.
    """
    if not isinstance(schedule, Mapping) or not schedule:
        raise ConfigurationError(
            f"schedule must be a mapping of at least one profile by its name, not {schedule!r}"
        )
    return [_profile(name, entry) for name, entry in schedule.items()]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def instant(name: str, at: datetime) -> datetime:
    """An aware datetime in UTC that calendars can reach.

    Raises:
        ConfigurationError: it is no datetime, or too near to the ends of the calendar.
    """
    if not isinstance(at, datetime):
        raise ConfigurationError(f"{name} must be a datetime, not {at!r}")
    found = time_zones.as_utc(at)
    if not _FIRST < found < _LAST:
        raise ConfigurationError(f"{name} is too near to the ends of the calendar: {at}")
    return found


def one_of(name: str, value: Any, choices: Iterable[str]) -> Any:
    """One of some words.

    Raises:
        ConfigurationError: it is none of them.
    """
    if value not in tuple(choices):
        raise ConfigurationError(f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}")
    return value


def _profile(name: object, entry: object) -> TimeProfile:
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"the name of a profile must be text, not {name!r}")
    where = f"schedule[{name!r}]"
    if not isinstance(entry, Mapping):
        raise ConfigurationError(
            f"{where} must be a mapping with {', '.join(map(repr, _KEYS))}, not {entry!r}"
        )
    given: dict[Any, Any] = dict(entry)  # pyright: ignore[reportUnknownArgumentType]
    for key in given:
        if key not in _KEYS:
            close = get_close_matches(str(key), _KEYS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(repr, _KEYS))}"
            raise ConfigurationError(f"{where} has an unknown key {key!r}: {hint}")
    missing = [key for key in _KEYS if key not in given and key not in _OPTIONAL]
    if missing:
        raise ConfigurationError(f"{where} has no {missing[0]!r}")
    given = _OPTIONAL | given
    start, end = (_time(f"{where}[{key!r}]", given[key]) for key in ("start_time", "end_time"))
    if start == end:
        raise ConfigurationError(
            f"{where} ends at {end}, when it starts: for a whole day use time(0, 0) to time(23, 59)"
        )
    if not isinstance(given["each_day"], bool):
        raise ConfigurationError(f"{where}['each_day'] must be True or False, not {given['each_day']!r}")
    days = _days(f"{where}['days']", given["days"])
    return TimeProfile(
        name, amount(given["budget"], f"{where}['budget']"), start, end, days, given["each_day"]
    )


def _time(where: str, value: object) -> time:
    if not isinstance(value, time):
        raise ConfigurationError(f"{where} must be a datetime.time such as time(9, 30), not {value!r}")
    if value.tzinfo is not None:
        raise ConfigurationError(
            f"{where} must have no tzinfo: the zone is that of the schedule, its `timezone`"
        )
    return value


def _days(where: str, value: object) -> frozenset[int]:
    try:
        days = [] if isinstance(value, str) else list(value)  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportUnknownVariableType]
    except TypeError:
        days = []
    if not days or any(type(day) is not int or not 0 <= day < 7 for day in days):  # noqa: PLR2004 # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        raise ConfigurationError(
            f"{where} must be numbers from 0 (Monday) to 6 (Sunday), at least one, not {value!r}"
        )
    return frozenset(days)  # pyright: ignore[reportUnknownArgumentType]

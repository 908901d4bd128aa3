"""Schedules as people write them, checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from difflib import get_close_matches
from typing import Any

from safeguards._values import time_zones
from safeguards._values.amounts import amount
from safeguards._values.arguments import listed, mapping, shown, text
from safeguards.budget.time_scheduler._values import TimeProfile
from safeguards.exceptions import ConfigurationError

_KEYS = ("budget", "start_time", "end_time", "days", "each_day")
_OPTIONAL = {"days": range(7), "each_day": False}
_MARGIN = timedelta(days=60)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC) + _MARGIN, datetime.max.replace(tzinfo=UTC) - _MARGIN


def profiles(schedule: Any) -> list[TimeProfile]:
    """The profiles of a schedule, `{name: {"budget", "start_time", "end_time", "days", "each_day"}}`.

    Raises:
        ConfigurationError: it is no such mapping; times are equal or have a zone, days are not from 0 to 6.
        InvalidAmountError: a budget is not an amount.
        TypeError: a budget is of a type that no amount has.
    """
    if not isinstance(schedule, Mapping) or not schedule:
        raise ConfigurationError(
            f"schedule must be a mapping of at least one profile by its name, not {shown(schedule)}"  # pyright: ignore[reportUnknownArgumentType]
        )
    return [_profile(name, entry) for name, entry in schedule.items()]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def instant(name: str, at: datetime) -> datetime:
    """An aware datetime in UTC that calendars can reach.

    Raises:
        ConfigurationError: it is no datetime, or too near to the ends of the calendar.
    """
    if not isinstance(at, datetime):
        raise ConfigurationError(f"{name} must be a datetime, not {shown(at)}")
    found = time_zones.as_utc(at)
    if not _FIRST < found < _LAST:
        raise ConfigurationError(f"{name} is too near to the ends of the calendar: {at}")
    return found


def grants(name: str, entries: object) -> list[tuple[str, str, datetime]]:
    """Pool, profile and begin of what was granted, of `{pool: [[profile, begin], ...]}`.

    Raises:
        ArgumentTypeError: a part is of another type.
        ConfigurationError: it is no such thing otherwise.
    """
    found: list[tuple[str, str, datetime]] = []
    for pool, pairs in mapping(name, entries).items():
        where = f"{name}[{shown(pool)}]"
        for pair in listed(where, pairs):
            parts = listed(f"a pair of {where}", pair)
            if len(parts) != 2:  # noqa: PLR2004
                raise ConfigurationError(
                    f"{where} must hold pairs of a profile and its begin, not {shown(pair)}"
                )
            profile, begin = (text(f"a pair of {where}", part) for part in parts)
            found.append((text(f"a pool of {name}", pool), profile, _begin(where, begin)))
    return found


def _begin(where: str, begin: str) -> datetime:
    try:
        at = datetime.fromisoformat(begin)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {shown(begin)} is no time in ISO 8601") from error
    return instant(where, at)


def _profile(name: object, entry: object) -> TimeProfile:
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"the name of a profile must be text, not {shown(name)}")
    where = f"schedule[{shown(name)}]"
    if not isinstance(entry, Mapping):
        raise ConfigurationError(
            f"{where} must be a mapping with {', '.join(map(repr, _KEYS))}, not {shown(entry)}"
        )
    given: dict[Any, Any] = dict(entry)  # pyright: ignore[reportUnknownArgumentType]
    for key in given:
        if key not in _KEYS:
            close = get_close_matches(str(key), _KEYS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(repr, _KEYS))}"
            raise ConfigurationError(f"{where} has an unknown key {shown(key)}: {hint}")
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
        raise ConfigurationError(f"{where}['each_day'] must be True or False, not {shown(given['each_day'])}")
    days = _days(f"{where}['days']", given["days"])
    return TimeProfile(
        name, amount(given["budget"], f"{where}['budget']"), start, end, days, given["each_day"]
    )


def _time(where: str, value: object) -> time:
    if not isinstance(value, time):
        raise ConfigurationError(f"{where} must be a datetime.time such as time(9, 30), not {shown(value)}")
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
            f"{where} must be numbers from 0 (Monday) to 6 (Sunday), at least one, not {shown(value)}"
        )
    return frozenset(days)  # pyright: ignore[reportUnknownArgumentType]

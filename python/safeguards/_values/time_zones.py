"""The one reader of time zones, and of times that may have none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from safeguards._native import check_local_time_zone, time_zone_name, time_zone_rules
from safeguards._values.arguments import shown
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TimeZone", "as_utc", "check_local", "check_past", "read"]

_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d\d)(?::?([0-5]\d)(?::?([0-5]\d))?)?", re.IGNORECASE | re.ASCII)
_FORMS = (
    "a name such as 'Europe/Berlin' or 'UTC', an offset such as '+02:00', a ZoneInfo or a datetime.timezone"
)
_DAY_SECONDS = 86_400
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class TimeZone(NamedTuple):
    """A time zone for both sides of the border.

    Attributes:
        tzinfo: as Python has it; None is local time.
        native: as the compiled module reads it: a name, or seconds east of Greenwich. None is local time.
    """

    tzinfo: tzinfo | None
    native: str | int | None


def read(zone: object, argument: str = "timezone") -> TimeZone:
    """A zone in any of the forms that people write; None is the local one, which is not looked at here.

    Names are those of the database of time zones, in capitals or not, and need no file of this machine: where
    Python finds none, the rules that the package brings along are taken. Offsets are hours, with or without
    minutes and seconds: `"+02:00"`, `"-0330"`, `"UTC+2"` is none. A `tzinfo` is one with a name (its `key`,
    or `zone`) or with an offset that is always the same.

    Raises:
        ConfigurationError: it is none of them, or no zone has this name.
    """
    if zone is None:
        return TimeZone(None, None)
    if isinstance(zone, str):
        return _from_text(zone, argument)
    if isinstance(zone, tzinfo):
        name = getattr(zone, "key", None) or getattr(zone, "zone", None)
        if isinstance(name, str):
            return _named(name, argument)
        offset: object = zone.utcoffset(None)
        if isinstance(offset, timedelta):
            return _fixed(offset, zone, argument)
        raise ConfigurationError(
            f"{argument} has neither a name nor one offset, {shown(zone)}: pass its name"
        )
    raise ConfigurationError(f"{argument} must be {_FORMS}, not {shown(zone)}")


def check_local() -> None:
    """Local time is asked for: the environment variable `TZ`, if set, must name a zone.

    Raises:
        ConfigurationError: it does not. Python would compute in UTC without a word.
    """
    check_local_time_zone()


def as_utc(at: datetime, zone: tzinfo | None = None) -> datetime:
    """A time in UTC; a naive one is in `zone`, by default in local time.

    What lies beyond the calendar after that, as `datetime.max` in America does, is its last or first instant:
    `datetime.min` and `datetime.max` are the open ends of a range in every zone.

    Raises:
        ConfigurationError: local time is asked for, and `TZ` is wrong.
        TypeError: it is no `datetime`.
    """
    if not isinstance(at, datetime):
        raise TypeError(f"a time must be a datetime, not {shown(at)}")
    if at.tzinfo is None:
        if zone is None:
            check_local()
        else:
            at = at.replace(tzinfo=zone)
    at.utcoffset()  # what a zone raises is its own error, and no end of the calendar
    try:
        return at.astimezone(UTC)
    except (OverflowError, ValueError):
        return _LAST if at.year > 1970 else _FIRST  # noqa: PLR2004 - either end


def check_past(argument: str, times: Iterable[datetime], now: datetime) -> None:
    """Refuses usage that is later than now: it would say that all before it is known.

    Args:
        argument: what the times are called.
        times: when usage was, aware.
        now: the time of the coordinator's clock.

    Raises:
        ConfigurationError: one of them is later; says which is the first, and by how much.
    """
    for place, at in enumerate(times):
        if at > now:
            raise ConfigurationError(
                f"{argument}[{place}] ({at:%Y-%m-%d %H:%M:%S} UTC) is {at - now} later than now "
                f"({now:%Y-%m-%d %H:%M:%S} UTC): usage is known when it is past. Nothing was loaded; leave "
                "it out, or set right the clock that was wrong"
            )


def _from_text(text: str, argument: str) -> TimeZone:
    found = _OFFSET.fullmatch(text)
    if found is None:
        return _named(text, argument)
    sign, *parts = found.groups("0")
    hours, minutes, seconds = map(int, parts)
    length = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return _fixed(-length if sign == "-" else length, text, argument)


def _fixed(offset: timedelta, zone: object, argument: str) -> TimeZone:
    seconds = offset.total_seconds()
    if not seconds.is_integer() or abs(seconds) >= _DAY_SECONDS:
        raise ConfigurationError(
            f"{argument} must be whole seconds off UTC, less than a day, not {shown(zone)}"
        )
    if seconds == 0:
        return TimeZone(UTC, "UTC")
    return TimeZone(timezone(offset), int(seconds))


def _named(text: str, argument: str) -> TimeZone:
    try:
        name = "UTC" if text in {"Z", "z"} else time_zone_name(text)
    except (ConfigurationError, UnicodeError):
        raise ConfigurationError(f"{argument} {shown(text)} is not known: use {_FORMS}") from None
    return TimeZone(UTC if name == "UTC" else _zone_info(name), name)


def _zone_info(name: str) -> tzinfo:
    from io import BytesIO
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        rules = time_zone_rules(name)
        if rules is None:
            raise
        return ZoneInfo.from_file(BytesIO(rules), key=name)

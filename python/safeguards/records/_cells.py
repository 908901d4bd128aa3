"""What stands in a cell: a time, a cost, a count, a name."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Real
from typing import NamedTuple

from safeguards._values.arguments import shown
from safeguards._values.decimals import MAX_AMOUNT, NOTHING
from safeguards._values.tables import is_missing
from safeguards._values.time_zones import as_utc

__all__ = ["MICROS_PER_HOUR", "CellError", "Time", "cost", "count", "is_unknown", "name", "time"]

MOST_COUNT = 10**15
MOST_PLACES = 30
# As everywhere: plain digits, or an exponent. The sign is read to be refused by its name.
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,6})?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_UNKNOWN = frozenset({"", "nan", "na", "n/a", "nat", "<na>", "null", "none"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Epochs are told apart by their size: seconds of the year 5138 are milliseconds of 1973.
_UNITS = ((10**11, 6, "s"), (10**14, 3, "ms"), (10**17, 0, "us"), (10**99, -3, "ns"))
_MOST_HOURS = 999_999
_MOST_DIGITS = 1_000
_LAST_MICROS = 253_402_300_800 * 10**6
MICROS_PER_HOUR = 3_600 * 10**6


class CellError(ValueError):
    """A cell is not what its column says; the text says why."""


class Time(NamedTuple):
    """When something was.

    Attributes:
        micros: microseconds since 1970 in UTC, or since zero of a clock without a date.
        kind: how it was written: "hour" (a number of hours), "s", "ms", "us" or "ns" (a number of these),
            "date" (with a time of day) or "day" (without).
    """

    micros: int
    kind: str


def is_unknown(cell: object) -> bool:
    """Whether the cell tells nothing: empty, NaN, null."""
    if isinstance(cell, str):
        return not cell or (not cell[0].isdigit() and cell.strip().lower() in _UNKNOWN)
    return type(cell) is not int and is_missing(cell)


def time(column: str, cell: object, zone: tzinfo | None, decimal: str = ".", *, hours: bool = False) -> Time:
    """A time: a date with or without a zone, seconds or milliseconds since 1970 or any other begin.

    Args:
        column: what messages call it.
        cell: what stands there.
        zone: of dates that have none.
        decimal: the sign between ones and tenths.
        hours: whether whole numbers of up to six digits count hours.

    Raises:
        CellError: it is no time.
    """
    if isinstance(cell, datetime):
        return Time(_micros(column, cell, zone), "date")
    if isinstance(cell, date):
        return Time(_micros(column, datetime(cell.year, cell.month, cell.day), zone), "day")  # noqa: DTZ001
    if is_unknown(cell):
        raise CellError(f"{column} is empty")
    if isinstance(cell, str):
        text = cell.strip()
        if not _NUMBER.fullmatch(_point(text, decimal)):
            return _written(column, text, zone, hours)
    return _counted(column, _number(column, cell, decimal, _wanted_time(hours)), hours)


def _wanted_time(hours: bool) -> str:
    if hours:
        return "a whole number of up to 6 digits, or a time"
    return "a time, as 2026-03-02T15:04:05Z or seconds since 1970"


def _written(column: str, text: str, zone: tzinfo | None, hours: bool) -> Time:
    for name in (" UTC", " GMT"):
        text = text.removesuffix(name) + "+00:00" if text.endswith(name) else text
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CellError(f"{column} must be {_wanted_time(hours)}, not {shown(text)}") from None
    return Time(_micros(column, found, zone), "day" if _DAY.fullmatch(text) else "date")


def _micros(column: str, at: datetime, zone: tzinfo | None) -> int:
    try:
        return (as_utc(at, zone) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError) as error:
        raise CellError(f"{column} must be a time of the years 1 to 9999: {error}") from None


def _counted(column: str, number: Decimal, hours: bool) -> Time:
    if number < 0:
        raise CellError(f"{column} must be {_wanted_time(hours)}, not {number:f}")
    if hours and number <= _MOST_HOURS:
        if not _is_whole(number):
            raise CellError(f"{column} must be a whole number of up to 6 digits, not {number:f}")
        return Time(int(number) * MICROS_PER_HOUR, "hour")
    power, kind = next((power, kind) for bound, power, kind in _UNITS if number < bound)
    numerator, denominator = number.as_integer_ratio()
    micros = round(Fraction(numerator * 10 ** (power + 3), denominator * 1000))
    if micros >= _LAST_MICROS:
        raise CellError(f"{column} must be a time of the years 1 to 9999, not {number:f}")
    return Time(micros, kind)


def cost(column: str, cell: object, decimal: str = ".") -> Decimal | None:
    """A cost, exact; None if it is not known.

    Raises:
        CellError: it is no number from 0 to 10^15 with up to 30 decimal places.
    """
    if is_unknown(cell):
        return None
    number = _number(column, cell, decimal, "a number from 0 to 10^15, as 0.25")
    if not 0 <= number <= MAX_AMOUNT:
        raise CellError(f"{column} must be a number from 0 to 10^15, as 0.25, not {shown(cell)}")
    return number if _places(number) <= MOST_PLACES else _stripped(column, number)


def _stripped(column: str, number: Decimal) -> Decimal:
    """Without zeros at the end, which may be many."""
    text = f"{number:f}".rstrip("0")
    if len(text.partition(".")[2]) > MOST_PLACES:
        raise CellError(f"{column} must have at most {MOST_PLACES} decimal places, not {shown(f'{number}')}")
    return Decimal(text)


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _is_whole(number: Decimal) -> bool:
    return _places(number) <= 0 or number.as_integer_ratio()[1] == 1


def count(column: str, cell: object, most: int = MOST_COUNT, decimal: str = ".") -> int | None:
    """A whole number from 0 to `most`; None if it is not known.

    Raises:
        CellError: it is none.
    """
    if type(cell) is int and 0 <= cell <= most:
        return cell
    if is_unknown(cell):
        return None
    wanted = "a whole number from 0 to 10^15" if most == MOST_COUNT else f"a whole number from 0 to {most}"
    number = _number(column, cell, decimal, wanted)
    if not _is_whole(number) or not 0 <= number <= most:
        raise CellError(f"{column} must be {wanted}, not {shown(cell)}")
    return int(number)


def name(cell: object) -> str | None:
    """A name; None if there is none."""
    if is_unknown(cell):
        return None
    return cell.strip() if isinstance(cell, str) else str(cell)


def _point(text: str, decimal: str) -> str:
    return text.replace(",", ".") if decimal == "," and "." not in text else text


def _number(column: str, cell: object, decimal: str, wanted: str) -> Decimal:
    """A number of a cell, exact. Of a float what it prints, as a file would have it."""
    found = _decimal(cell, decimal)
    if found is None or not found.is_finite() or (found and not _is_handy(found)):
        raise CellError(f"{column} must be {wanted}, not {shown(cell)}")
    return found or NOTHING


def _is_handy(number: Decimal) -> bool:
    """Whether it takes no time to compute with: far beyond each range nobody needs to look."""
    _, digits, exponent = number.as_tuple()
    return (
        isinstance(exponent, int) and -_MOST_DIGITS < exponent < _MOST_DIGITS and len(digits) < _MOST_DIGITS
    )


def _decimal(cell: object, decimal: str) -> Decimal | None:
    if isinstance(cell, str):
        text = _point(cell.strip(), decimal)
    elif isinstance(cell, Decimal):
        return cell
    elif isinstance(cell, bool):
        return None
    elif isinstance(cell, Integral):
        return Decimal(int(cell))
    else:
        text = repr(float(cell)) if isinstance(cell, Real) else ""
    return Decimal(text) if _NUMBER.fullmatch(text) else None

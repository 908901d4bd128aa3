"""The one place where Python code reads numbers: what is no number, or out of range, is refused by name.

numpy's scalars are numbers as Python's own; bools and arrays are none. Money is read elsewhere: in the core.
"""

from __future__ import annotations

import math
import operator
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

from safeguards._values.arguments import shown
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LONGEST",
    "MAX_AGENTS",
    "MAX_SEED",
    "SHORTEST",
    "as_float",
    "fraction",
    "number",
    "real",
    "seconds",
    "share",
    "whole",
]

SHORTEST, LONGEST = 0.001, 3_153_600_000.0
"""Seconds that something is done again after: a millisecond to a hundred years."""
MAX_SEED = 2**64 - 1
MAX_AGENTS = 2**32 - 1
_ENDLESS = 2**63 - 1
_GROUPED = 10**60


def whole(name: str, value: object, low: int, high: int = _ENDLESS) -> int:
    """A whole number from `low` to `high`, or from `low` on.

    Raises:
        ArgumentTypeError: it is no whole number.
        ConfigurationError: it is out of range.
    """
    allowed = f"from {low:,} {'on' if high >= _ENDLESS else f'to {high:,}'}"
    if not _is_whole(value):
        raise ArgumentTypeError(f"{name} must be a whole number, not {shown(value)}: {allowed}")
    found = operator.index(value)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    if not low <= found <= high:
        given = f"{found:,}" if abs(found) < _GROUPED else shown(found)
        raise ConfigurationError(f"{name} must be {allowed}, not {given}")
    return found


def number(
    name: str,
    value: object,
    low: float,
    high: float,
    *,
    above: bool = False,
    below: bool = False,
    hint: str = "",
) -> float:
    """A finite number from `low` to `high`; beyond `low` if `above`, short of `high` if `below`.

    Args:
        name: of the argument.
        value: what was given.
        low: the least.
        high: the most.
        above: whether `low` itself is too little.
        below: whether `high` itself is too much.
        hint: what to do about one that is out of range.

    Raises:
        ArgumentTypeError: it is no number.
        ConfigurationError: it is out of range.
    """
    found = real(name, value, lambda: f": {_range(low, high, above, below)}")
    is_inside = (low < found if above else low <= found) and (found < high if below else found <= high)
    if not is_inside:  # NaN is not
        allowed = _range(low, high, above, below)
        raise ConfigurationError(f"{name} must be {allowed}, not {shown(value)}{hint and f': {hint}'}")
    return found


def real(name: str, value: object, allowed: Callable[[], str] = str) -> float:
    """Any number, whose range is checked where it is used; infinite or NaN for what no float can be.

    Raises:
        ArgumentTypeError: it is no number.
    """
    if not _is_number(value):
        raise ArgumentTypeError(f"{name} must be a number, not {shown(value)}{allowed()}")
    return _float(value)


def share(name: str, value: object, *, above: bool = False, below: bool = False) -> float:
    """A share from 0 to 1; above 0 if `above`, below 1 if `below`.

    Raises:
        ArgumentTypeError: it is no number.
        ConfigurationError: it is out of range.
    """
    return number(name, value, 0, 1, above=above, below=below, hint="for 10 % write 0.1")


def fraction(name: str, value: float | Decimal) -> Fraction:
    """A share from 0 to 1, read as it is written: 0.1 is a tenth.

    Raises:
        ArgumentTypeError: it is no number.
        ConfigurationError: it is out of range.
    """
    share(name, value)
    return value if isinstance(value, Fraction) else Fraction(str(value))


def seconds(name: str, value: object) -> float:
    """Seconds after which something is done again: a millisecond to a hundred years.

    Raises:
        ArgumentTypeError: it is no number.
        ConfigurationError: it is out of range.
    """
    return number(name, value, SHORTEST, LONGEST, hint="they are seconds")


def _range(low: float, high: float, above: bool, below: bool) -> str:
    least, most = _plain(low), _plain(high)
    if above:
        return f"above {least} and {'below' if below else 'at most'} {most}"
    return f"from {least} to {'below ' if below else ''}{most}"


def as_float(value: object) -> float:
    """A number as a float, for compiled code; infinite or NaN for what no float can be.

    Raises:
        TypeError: it is no number.
    """
    if not _is_number(value):
        raise TypeError(f"must be a number, not {shown(value)}")
    return _float(value)


def _is_whole(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, Integral) or (isinstance(value, SupportsIndex) and not _is_of_numpy(value))


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, Real | Decimal):
        return True
    return isinstance(value, SupportsFloat | SupportsIndex) and not _is_of_numpy(value)


def _is_of_numpy(value: object) -> bool:
    """Whether it is an array, or one of numpy's scalars that are no real numbers."""
    return hasattr(value, "__array__")


def _float(value: Any) -> float:
    """As a float; infinite or NaN, which no range holds, for what no float can be."""
    try:
        return float(value)
    except OverflowError:  # an int of 400 digits
        return math.inf if value > 0 else -math.inf
    except ValueError:  # a signalling NaN
        return math.nan


def _plain(bound: float) -> str:
    return f"{int(bound):,}" if abs(bound) < 10**15 and bound == int(bound) else f"{bound:g}"

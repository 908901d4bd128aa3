"""Checks of arguments, and amounts as whole units of 1e-9."""

from __future__ import annotations

import operator
from decimal import Context, Decimal
from fractions import Fraction
from numbers import Real

from safeguards.exceptions import ConfigurationError

UNITS_PER_ONE = 10**9

# Whatever context the caller computes in: this one holds every amount exactly.
_EXACT = Context(prec=60)
_PLACES = Decimal("1e-9")


def amount(units: int) -> Decimal:
    """Units as an amount, without trailing zeros: `Decimal("0.1")`, `Decimal("120")`."""
    whole, rest = divmod(units, UNITS_PER_ONE)
    return Decimal(whole) if rest == 0 else _EXACT.multiply(Decimal(units), _PLACES).normalize(_EXACT)


def fraction(name: str, value: float | Decimal) -> Fraction:
    """A share from 0 to 1, read as it is written: 0.1 is a tenth.

    Raises:
        TypeError: it is not a number.
        ConfigurationError: it is out of range.
    """
    return Fraction(str(_real(name, value, 0, 1, "for 10 % write 0.1")))


def number(name: str, value: float | Decimal, low: float, high: float) -> float:
    """A number of `low..high`.

    Raises:
        TypeError: it is not a number.
        ConfigurationError: it is out of range.
    """
    return float(_real(name, value, low, high, ""))


def _real(name: str, value: float | Decimal, low: float, high: float, advice: str) -> Real | Decimal:
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not low <= float(value) <= high:  # NaN is not
        hint = f": {advice}" if advice else ""
        raise ConfigurationError(f"{name} must be from {low:,} to {high:,}, not {value}{hint}")
    return value


def whole(name: str, value: int, low: int, high: int) -> int:
    """A whole number of `low..high`.

    Raises:
        TypeError: it is not a whole number.
        ConfigurationError: it is out of range.
    """
    try:
        result = operator.index(value)
    except TypeError:
        result = None
    if result is None or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if not low <= result <= high:
        raise ConfigurationError(f"{name} must be from {low:,} to {high:,}, not {result:,}")
    return result

"""Arithmetic with amounts: exact, whatever decimal context the caller computes in.

Operators on `Decimal`, `sum` and `Decimal.quantize` compute in the context of the thread: one with few digits
rounds in silence, one with traps raises. So all that Python computes with amounts is computed here.
Comparisons, `min`, `max`, `int`, `float` and the constructor are exact everywhere. The linter sees to it:
`tests/stubs/decimal.pyi`.
"""

from __future__ import annotations

from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_UP,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "MAX_AMOUNT",
    "MAX_DIGITS",
    "NOTHING",
    "PLACES",
    "ROUND_CEILING",
    "ROUND_DOWN",
    "ROUND_FLOOR",
    "ROUND_HALF_EVEN",
    "ROUND_UP",
    "UNITS_PER_ONE",
    "add",
    "of_float",
    "of_units",
    "plain",
    "ratio",
    "rounded",
    "shifted",
    "subtract",
    "times",
    "total",
]

PLACES = 9
UNITS_PER_ONE = 1_000_000_000
NOTHING = Decimal(0)
MAX_AMOUNT = Decimal(10**15)
MAX_DIGITS = 60
"""An amount has 24 digits; times a share of 17 digits, summed up over a billion of them, it has 50."""

# Every field is given: those that are not would be those of `DefaultContext`, which programs may change.
_EXACT = Context(
    prec=MAX_DIGITS,
    rounding=ROUND_HALF_EVEN,
    Emin=-999_999,
    Emax=999_999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[DivisionByZero, InvalidOperation, Overflow],
)
_UNIT = Decimal((0, (1,), -PLACES))
_ONE = Decimal(1)
_NEEDS_NO_EXPONENT = range(-PLACES, 1)

add, subtract, times = _EXACT.add, _EXACT.subtract, _EXACT.multiply


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The sum of amounts."""
    found = NOTHING
    for amount in amounts:
        found = add(found, amount)
    return found


def ratio(part: Decimal, whole: Decimal) -> float:
    """What a part is of a whole.

    Raises:
        decimal.DivisionByZero: the whole is nothing.
    """
    return float(_EXACT.divide(part, whole))


def shifted(number: Decimal, places: int) -> Decimal:
    """Ten to the `places` times a number, without needless zeros."""
    return _EXACT.scaleb(number, places).normalize(_EXACT)


def rounded(number: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """A number to the nine places that an amount has.

    Raises:
        decimal.InvalidOperation: it has more digits than any amount, or is not finite.
    """
    return number.quantize(_UNIT, rounding, _EXACT)


def plain(number: Decimal) -> Decimal:
    """The same number without needless zeros, and without an exponent above 0: `Decimal("120")`.

    Raises:
        decimal.InvalidOperation: it has more digits than any amount, or is not finite.
    """
    short = number.normalize(_EXACT)
    exponent = short.as_tuple().exponent
    return short if exponent in _NEEDS_NO_EXPONENT else short.quantize(_ONE, ROUND_HALF_EVEN, _EXACT)


def of_units(units: int) -> Decimal:
    """Whole units of 1e-9 as an amount, without needless zeros: `Decimal("0.1")`, `Decimal("120")`."""
    return plain(_EXACT.scaleb(units, -PLACES))


def of_float(number: float) -> Decimal:
    """A float as it is written: 0.1 as a tenth."""
    return Decimal(repr(float(number)))

"""Checks of arguments, and amounts as whole units of 1e-9."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction

from safeguards._values.numbers import share

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
    share(name, value)
    return Fraction(value) if isinstance(value, Fraction) else Fraction(str(value))

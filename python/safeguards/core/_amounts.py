"""Amounts that people hand in or read: exact, whatever decimal context the caller computes in."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import TYPE_CHECKING

from safeguards._native import amount_units

if TYPE_CHECKING:
    from safeguards._native import Amount

__all__ = ["amount", "plain"]

_EXACT = Context(prec=60)
_DECIMALS = range(-9, 1)
_ONE = Decimal(1)


def amount(value: Amount, argument: str) -> Decimal:
    """The amount of an argument.

    Raises:
        InvalidAmountError: it is none; it names the argument.
        TypeError: it is of a type that no amount has.
    """
    units = amount_units(value, round_up=False, argument=argument)
    return plain(Decimal(units).scaleb(-9, _EXACT))


def plain(amount: Decimal) -> Decimal:
    """The same amount without needless zeros, and without an exponent above 0."""
    short = amount.normalize(_EXACT)
    return short if short.as_tuple().exponent in _DECIMALS else short.quantize(_ONE, context=_EXACT)

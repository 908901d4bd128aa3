"""Amounts that people hand in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards._native import amount_units
from safeguards._values.decimals import of_units

if TYPE_CHECKING:
    from decimal import Decimal

    from safeguards._native import Amount

__all__ = ["amount"]


def amount(value: Amount, argument: str) -> Decimal:
    """The amount of an argument.

    Raises:
        InvalidAmountError: it is none; it names the argument.
        TypeError: it is of a type that no amount has.
    """
    return of_units(amount_units(value, round_up=False, argument=argument))

"""What options of several commands have in common."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import typer

from safeguards._native import amount_units
from safeguards._values.decimals import MAX_AMOUNT

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["amount", "number", "whole"]


def amount(value: str | Decimal) -> Decimal:
    """An amount, as an option gives it, by the grammar of the library; a default is one already.

    Raises:
        BadParameter: it is none, or more than 10^15.
    """
    if isinstance(value, Decimal):
        return value
    try:
        amount_units(value, round_up=True, argument="value")
        return Decimal(value)
    except ValueError as error:  # InvalidAmountError
        if "more than" in str(error):
            raise typer.BadParameter(f"{value} is more than an amount can be: {MAX_AMOUNT:,}") from None
        raise typer.BadParameter(f"{value!r} is not an amount: write decimal digits, as 12.50") from None


def whole(low: int, high: int) -> Callable[[str | int], int]:
    """A reader of whole numbers in a range, which help texts do not show as a formula."""

    def read(value: str | int) -> int:
        text = str(value)
        if not (text.isascii() and text.isdigit() and low <= int(text[:20]) <= high):
            raise typer.BadParameter(f"must be a whole number from {low:,} to {high:,}, not {text}")
        return int(text)

    return read


def number(low: float, high: float) -> Callable[[str | float], float]:
    """A reader of numbers in a range."""

    def read(value: str | float) -> float:
        try:
            found = float(value)
        except ValueError:
            found = float("nan")
        if not low <= found <= high:
            raise typer.BadParameter(f"must be a number from {low:,} to {high:,}, not {value}")
        return found

    return read

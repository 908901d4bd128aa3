"""What options of several commands have in common."""

import re
from decimal import Decimal

import typer

from safeguards._values.decimals import MAX_AMOUNT

__all__ = ["amount"]

_AMOUNT = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)


def amount(value: str | Decimal) -> Decimal:
    """An amount, as an option gives it; a default is one already.

    Raises:
        BadParameter: not plain decimal digits, or more than 10^15.
    """
    if isinstance(value, Decimal):
        return value
    if not _AMOUNT.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is not an amount: write decimal digits, as 12.50")
    number = Decimal(value)
    if number > MAX_AMOUNT:
        raise typer.BadParameter(f"{value} is more than an amount can be: {MAX_AMOUNT:,}")
    return number

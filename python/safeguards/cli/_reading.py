"""The options by which every command that reads usage is told what stands where."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeguards.cli._options import amount
from safeguards.records import NOTIONAL_PRICE, PRESETS, Price, Records, read
from safeguards.records._records import UNKNOWN

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Agent",
    "Cost",
    "InputPrice",
    "Operation",
    "OutputPrice",
    "Preset",
    "SkipBad",
    "Time",
    "Timezone",
    "TokensIn",
    "TokensOut",
    "UnknownCosts",
    "Wanted",
]

_COLUMNS = "Columns of the file"


def _column(flag: str, text: str) -> Any:
    return typer.Option(flag, metavar="COLUMN", show_default=False, rich_help_panel=_COLUMNS, help=text)


Time = Annotated[str | None, _column("--time", "Column that tells when.")]
Agent = Annotated[str | None, _column("--agent", "Column that tells who.")]
Cost = Annotated[str | None, _column("--cost", "Column that tells what it cost.")]
Operation = Annotated[str | None, _column("--operation", "Column that tells what for.")]
TokensIn = Annotated[str | None, _column("--tokens-in", "Column with the length of the question.")]
TokensOut = Annotated[str | None, _column("--tokens-out", "Column with the length of the answer.")]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="EXPORT",
        show_default=False,
        help=f"Which export it is, if its columns do not tell: {', '.join(PRESETS)}.",
    ),
]
Timezone = Annotated[str, typer.Option("--timezone", metavar="ZONE", help="Zone of times that have none.")]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out rows that cannot be read, and count them.")
]
UnknownCosts = Annotated[
    str,
    typer.Option(
        "--unknown",
        metavar="WHAT",
        help=f"Costs that are not known: {', '.join(UNKNOWN)} (the agents that have them).",
    ),
]
InputPrice = Annotated[
    Decimal | None,
    typer.Option(
        "--input-price",
        parser=amount,
        metavar="AMOUNT",
        show_default=False,
        help="Price of a million input tokens, in files without costs.",
    ),
]
OutputPrice = Annotated[
    Decimal | None,
    typer.Option(
        "--output-price",
        parser=amount,
        metavar="AMOUNT",
        show_default=False,
        help="Price of a million output tokens, in files without costs.",
    ),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options say, together.

    Attributes:
        columns: names of columns by role.
        preset: which export it is.
        timezone: of times without one.
        skip_bad: whether bad rows are left out.
        unknown: what is done about costs that are not known.
        input_price: price of a million input tokens.
        output_price: price of a million output tokens.
    """

    columns: dict[str, str | None]
    preset: str | None
    timezone: str
    skip_bad: bool
    unknown: Any
    input_price: Decimal | None
    output_price: Decimal | None

    def records(self, path: Path, agents: int | None = None) -> Records:
        """Reads a file."""
        return read(
            path,
            preset=self.preset,
            agents=agents,
            timezone=self.timezone,
            skip_bad=self.skip_bad,
            **self.columns,
        )

    def price(self, usual: Price | None = None) -> Price | None:
        """What tokens cost; None if nothing was said.

        Args:
            usual: what is not said; None: both must be said, or none.
        """
        given = self.input_price, self.output_price
        if given == (None, None):
            return usual
        if usual is None and None in given:
            raise typer.BadParameter("--input-price and --output-price go together")
        usual = NOTIONAL_PRICE if usual is None else usual
        read, written = given
        return Price(
            usual.input_tokens if read is None else read, usual.output_tokens if written is None else written
        )

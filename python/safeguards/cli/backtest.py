"""`safeguards backtest`: policies on recorded demand, before they are trusted."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from safeguards.backtest import Backtest, Demand
from safeguards.exceptions import ConfigurationError

KINDS = {
    "forecast": "how well the next day of each agent is forecast",
    "pool-size": "how large pools should have been",
    "reallocation": "which agents should have had the budget of their pool",
    "pacing": "how a day's budget should have been spread over its hours",
    "rl": "what a policy learned from the record would have done",
}
"""Each is a module `safeguards.backtest.<kind>` with a function `backtest_<kind>` (`-` is `_` in both)."""


def command(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS)}.")],
    demand: Annotated[
        Path,
        typer.Argument(
            metavar="DEMAND.csv",
            help="What agents spent: columns hour, agent, cost_usd; hours left out are zero. May be .csv.gz.",
        ),
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write pictures there (extra 'plot').")
    ] = None,
) -> None:
    """Replay recorded demand through budget policies.

    It tells which of them would have served the demand best. Nothing is decided with what came later: each
    policy sees an hour's demand after it has decided on it.

    Exit codes: 0 done, 2 wrong usage or wrong input.
    """
    run = _engine(kind)
    record = Demand.read_csv(demand)
    with Console(stderr=True).status("replaying"):
        result = run(record)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
    else:
        _print(kind, demand, result)
    if plot is not None:
        _plot(result, plot)


def _engine(kind: str) -> Any:
    if kind not in KINDS:
        raise ConfigurationError(f"KIND must be one of {', '.join(KINDS)}, not {kind!r}")
    name = kind.replace("-", "_")
    module = f"safeguards.backtest.{name}"
    try:
        return getattr(import_module(module), f"backtest_{name}")
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ConfigurationError(f"KIND {kind!r} is not part of this version of safeguards yet") from None


def _print(kind: str, source: Path, result: Backtest[Any]) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{escape(source.name)}[/]: {KINDS[kind]}\n")
    rows = [_columns(row) for row in result.rows]
    table = Table(box=box.SIMPLE, pad_edge=False)
    for name, value in rows[0].items():
        is_number = isinstance(value, int | float)
        table.add_column(name.replace("_", " "), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_shown(name, value) for name, value in row.items()))
    console.print(table)
    console.print(result.verdict)


def _columns(row: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", row) if isinstance(row, Mapping) else asdict(row)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1%}" if name.endswith(("share", "rate")) else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _plot(result: Backtest[Any], directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path in result.plot(directory):
            typer.echo(f"wrote {path}", err=True)
    except OSError as error:
        raise ConfigurationError(f"--plot: {error}") from None

"""`safeguards backtest`: policies on recorded demand, before they are trusted."""

import inspect
import json
import re
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
from safeguards.cli._allocation import progress_bar
from safeguards.exceptions import ConfigurationError, SafeguardsError

KINDS = {
    "forecast": "how well the next day of each agent is forecast",
    "pool-size": "how large pools should have been",
    "reallocation": "which agents should have had the budget of their pool",
    "pacing": "how a day's budget should have been spread over its hours",
    "rl": "what a policy learned from the record would have done",
}
"""Each is a module `safeguards.backtest.<kind>` with a function `backtest_<kind>` (`-` is `_` in both)."""

_PRIORITY = re.compile(r"(?P<agent>.+)=(?P<rank>[0-9]+)", re.DOTALL)


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
    min_activity: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Leave out agents that are active in no more than this share of hours."
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="pool-size, reallocation: mean demand over mean budget."),
    ] = None,
    budget_share: Annotated[
        float | None, typer.Option(metavar="SHARE", help="pacing: a day's budget over its demand.")
    ] = None,
    priorities: Annotated[
        str | None,
        typer.Option(
            metavar="AGENT=1..10,...|random",
            help="reallocation: priorities, 5 for agents that are not named.",
        ),
    ] = None,
    reserve: Annotated[
        float | None, typer.Option(metavar="SHARE", help="reallocation: what of the pool is kept back.")
    ] = None,
    interval: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="reallocation: from one run to the next.")
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(metavar="HOURS", help="forecast: hours that are foreseen at once.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the resamples of the verdict and of all that is drawn.")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODULE:FUNCTION",
            help="A policy of your own beside ours (forecast, pool-size, reallocation); can be repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write pictures there (extra 'plot').")
    ] = None,
) -> None:
    """Replay recorded demand through budget policies.

    It tells which of them served this record best, ours or not, at the same money, and whether that may be
    chance. Nothing is decided with what came later: each policy sees an hour after it has decided on it.

    Exit codes: 0 done, 2 wrong usage or wrong input.
    """
    run = _engine(kind)
    options = {
        "min_activity": min_activity,
        "target": target,
        "budget_share": budget_share,
        "priorities": None if priorities is None else _priorities(priorities),
        "reserve": reserve,
        "interval": interval,
        "horizon": horizon,
        "seed": seed,
        "policies": None if not policy else dict(map(_policy, policy)),
    }
    given = _fitting(kind, run, {name: value for name, value in options.items() if value is not None})
    record = Demand.read_csv(demand)
    with progress_bar("replaying") as advance:
        if "progress" in inspect.signature(run).parameters:
            given["progress"] = advance
        try:
            result = run(record, **given)
        except ConfigurationError as error:
            raise _naming_options(error, options) from None
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
    return getattr(import_module(f"safeguards.backtest.{name}"), f"backtest_{name}")


def _fitting(kind: str, run: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The options, if this kind has them all."""
    known = inspect.signature(run).parameters
    for name in given:
        if name not in known:
            kinds = [other for other in KINDS if name in inspect.signature(_engine(other)).parameters]
            raise ConfigurationError(f"{_flag(name)} is an option of {', '.join(kinds)}, not of {kind}")
    return given


def _flag(name: str) -> str:
    return "--policy" if name == "policies" else f"--{name.replace('_', '-')}"


def _naming_options(error: ConfigurationError, options: Mapping[str, Any]) -> ConfigurationError:
    """The same error in the words of the command: arguments are called as its options."""
    text = re.sub(rf"\b({'|'.join(options)})\b(?= must| is|=|:)", lambda match: _flag(match[1]), str(error))
    return ConfigurationError(text)


def _priorities(text: str) -> dict[str, int] | str:
    if text == "random":
        return text
    found: dict[str, int] = {}
    for part in text.split(","):
        match = _PRIORITY.fullmatch(part.strip())
        if match is None:
            raise ConfigurationError(f"--priorities: {part!r} is not of the form agent=8, and not random")
        found[match["agent"]] = int(match["rank"])
    return found


def _policy(text: str) -> tuple[str, Any]:
    """A policy by its name, from where it can be imported."""
    name, _, path = text.partition("=")
    module, _, function = path.partition(":")
    if not (name and module and function):
        raise ConfigurationError(f"--policy: {text!r} is not of the form name=package.module:function")
    try:
        return name, getattr(import_module(module), function)
    except SafeguardsError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever importing it does
        raise ConfigurationError(f"--policy: {path} cannot be imported: {error}") from None


def _print(kind: str, source: Path, result: Backtest[Any]) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{escape(source.name)}[/]: {KINDS[kind]}\n")
    rows = [cast("Mapping[str, Any]", asdict(row)) for row in result.rows]
    table = Table(box=box.SIMPLE, pad_edge=False)
    for name, value in rows[0].items():
        is_number = isinstance(value, int | float)
        heading = result.columns[name][0]
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_shown(name, value)) for name, value in row.items()))
    console.print(table)
    for heading, meaning in result.columns.values():
        if meaning:
            console.print(f"{heading}: {meaning}", style="dim", markup=False, soft_wrap=True)
    console.print()
    for note in result.notes:
        console.print(_in_options(note), markup=False, soft_wrap=True)
    console.print(result.verdict, style="bold", markup=False, soft_wrap=True)


def _in_options(note: str) -> str:
    return note.replace("min_activity=", "--min-activity ").replace("priorities by agent", "--priorities")


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

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

from safeguards.backtest import Backtest
from safeguards.cli import _reading
from safeguards.cli._allocation import progress_bar
from safeguards.cli._output import directory_for, writing
from safeguards.cli._screen import Column, Screen
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
            metavar="DEMAND",
            help="What agents spent: one row for each call, or for each hour of an agent, in any order: who, "
            "when and how much. CSV, .jsonl, .json, .parquet, packed (.gz) or not. Hours left out are zero.",
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
    time: _reading.Time = None,
    agent: _reading.Agent = None,
    cost: _reading.Cost = None,
    operation: _reading.Operation = None,
    tokens_in: _reading.TokensIn = None,
    tokens_out: _reading.TokensOut = None,
    input_price: _reading.InputPrice = None,
    output_price: _reading.OutputPrice = None,
    preset: _reading.Preset = None,
    timezone: _reading.Timezone = "UTC",
    skip_bad: _reading.SkipBad = False,
    unknown: _reading.UnknownCosts = "refuse",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write pictures there (extra 'plot').")
    ] = None,
) -> None:
    """Replay recorded demand through budget policies.

    It tells which of them served this record best, ours or not, at the same money, and whether that may be
    chance. Nothing is decided with what came later: each policy sees an hour after it has decided on it.

    Exit codes: 0 done, 2 wrong usage or wrong input, 3 pictures or results cannot be written.
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
    wanted = _reading.Wanted(
        {"time": time, "agent": agent, "cost": cost, "operation": operation}
        | {"tokens_in": tokens_in, "tokens_out": tokens_out},
        preset,
        timezone,
        skip_bad,
        unknown,
        input_price,
        output_price,
    )
    pictures = None if plot is None else directory_for("--plot", plot)
    records = wanted.records(demand)
    record = records.demand(unknown=wanted.unknown, price=wanted.price())
    with progress_bar("replaying") as advance:
        if "progress" in inspect.signature(run).parameters:
            given["progress"] = advance
        try:
            result = run(record, **given)
        except ConfigurationError as error:
            raise _naming_options(error, options) from None
    if as_json:
        typer.echo(json.dumps({"record": records.to_dict(), **result.to_dict()}, indent=2))
    else:
        _print(kind, demand, records.notes(), result)
    if pictures is not None:
        with writing("--plot", pictures):
            for path in result.plot(pictures):
                typer.echo(f"wrote {path}", err=True)


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


def _print(kind: str, source: Path, notes: list[str], result: Backtest[Any]) -> None:
    screen = Screen()
    screen.line(f"{source.name}: {KINDS[kind]}", "bold")
    for note in notes:
        screen.line(note, "dim")
    screen.line()
    rows = [cast("Mapping[str, Any]", asdict(row)) for row in result.rows]
    columns = [
        Column(result.columns[name][0], is_figure=all(_is_figure(row[name]) for row in rows))
        for name in rows[0]
    ]
    screen.table(columns, [[_shown(name, value) for name, value in row.items()] for row in rows])
    for heading, meaning in result.columns.values():
        if meaning:
            screen.line(f"{heading}: {meaning}", "dim")
    screen.line()
    for note in result.notes:
        screen.line(_in_options(note))
    screen.line(result.verdict, "bold")


def _is_figure(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _in_options(note: str) -> str:
    return note.replace("min_activity=", "--min-activity ").replace("priorities by agent", "--priorities")


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1%}" if name.endswith(("share", "rate")) else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

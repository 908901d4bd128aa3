"""`safeguards replay`: recorded requests through budgets and rate limits."""

import json
import sys
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from safeguards._values.decimals import ratio, total
from safeguards.cli import _reading
from safeguards.cli._options import amount, number, whole
from safeguards.cli._screen import Cell, Column, Screen
from safeguards.records import NOTIONAL_PRICE, Trace
from safeguards.records._trace import DEFAULT_AGENTS
from safeguards.testing.replay import DEFAULT_LIMITS, Books, Limits, Report, replay

_LONG_TRACE = 100_000
_SUGGESTED = "what the trace needs"


def _limit(text: str, unset: str = _SUGGESTED) -> Any:
    return typer.Option(parser=amount, metavar="AMOUNT", show_default=unset, help=text)


def command(
    trace: Annotated[
        Path | None,
        typer.Argument(
            metavar="TRACE",
            show_default=False,
            help="One row for each call, in any order: who, when, and what it cost or its tokens. CSV, "
            ".jsonl, .json, .parquet or .npz. Without it: an hour of a real LLM service, 19,366 requests.",
        ),
    ] = None,
    *,
    agents: Annotated[
        int | None,
        typer.Option(
            parser=whole(1, 1_000_000),
            metavar="NUMBER",
            show_default="100 for .npz",
            help="Agents that requests are divided among if no column names them.",
        ),
    ] = None,
    pools: Annotated[
        int | None,
        typer.Option(
            parser=whole(1, 100_000),
            metavar="NUMBER",
            show_default="1",
            help="Pools that the agents are dealt to.",
        ),
    ] = None,
    agent_budget: Annotated[Decimal | None, _limit("Budget of each agent.")] = None,
    pool_budget: Annotated[Decimal | None, _limit("Budget of each pool.")] = None,
    platform_budget: Annotated[Decimal | None, _limit("Budget of the pool above all pools.")] = None,
    rate_limit: Annotated[
        Decimal | None, _limit("Most that an agent may spend in a window.", "no limit")
    ] = None,
    rate_window: Annotated[
        float,
        typer.Option(
            parser=number(0.001, 31_622_400), metavar="SECONDS", help="Length of the sliding window."
        ),
    ] = DEFAULT_LIMITS.rate_window.total_seconds(),
    input_price: _reading.InputPrice = None,
    output_price: _reading.OutputPrice = None,
    time: _reading.Time = None,
    agent: _reading.Agent = None,
    cost: _reading.Cost = None,
    operation: _reading.Operation = None,
    tokens_in: _reading.TokensIn = None,
    tokens_out: _reading.TokensOut = None,
    preset: _reading.Preset = None,
    timezone: _reading.Timezone = "UTC",
    skip_bad: _reading.SkipBad = False,
    unknown: _reading.UnknownCosts = "refuse",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; amounts are strings.")
    ] = False,
) -> None:
    """Feed recorded requests through agents, pools and rate limits.

    A manual clock is moved to the time of each request. The most that it can cost is reserved; when its
    work is done (0.5 s and 20 ms per output token, a notional speed) what it did cost is settled.

    Budgets that are not given are what the trace needs for nothing to be refused, and printed. The hour that
    is shipped has limits of its own, which show every kind of refusal.

    Exit codes: 0 nothing was overspent, 1 something was, 2 wrong usage or wrong input, 3 cannot be written.
    """
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
    price = wanted.price(NOTIONAL_PRICE)
    notes: list[str] = []
    record = None
    if trace is None:
        recorded = Trace.azure_conversations(agents=agents or DEFAULT_AGENTS, price=price or NOTIONAL_PRICE)
    else:
        records = wanted.records(trace, agents or (DEFAULT_AGENTS if trace.suffix == ".npz" else None))
        recorded = records.trace(unknown=wanted.unknown, price=price)
        notes, record = records.notes(), records.to_dict()
    given = {
        "agent_budget": agent_budget,
        "pool_budget": pool_budget,
        "platform_budget": platform_budget,
        "rate_limit": rate_limit,
    }
    limits, note = _limits(recorded, given, pools, timedelta(seconds=rate_window), is_ours=trace is None)
    notes += [note] if note else []
    report = _replay(recorded, limits)
    if as_json:
        told = report.to_dict()
        typer.echo(json.dumps(told if record is None else {"record": record, **told}, indent=2))
    else:
        _print(report, limits, notes)
    raise typer.Exit(0 if report.is_exact else 1)


def _limits(
    trace: Trace, given: dict[str, Decimal | None], pools: int | None, window: timedelta, *, is_ours: bool
) -> tuple[Limits, str]:
    """The limits, and what is to be said about those that nobody gave."""
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if is_ours:
        return replace(DEFAULT_LIMITS, pools=pools or DEFAULT_LIMITS.pools, rate_window=window, **chosen), ""
    needed = replace(Limits.suggested(trace, pools=pools or 1), rate_window=window)
    options = {
        f"--{name.replace('_', '-')}": getattr(needed, name)
        for name in ("agent_budget", "pool_budget", "platform_budget")
        if name not in chosen
    }
    listed = " ".join(f"{option} {value:f}" for option, value in options.items())
    note = f"not given, so what this trace needs: {listed}" if listed else ""
    return replace(needed, **chosen), note


def _replay(trace: Trace, limits: Limits) -> Report:
    if len(trace) < _LONG_TRACE or not sys.stderr.isatty():
        return replay(trace, limits)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replaying", total=len(trace))
        return replay(trace, limits, on_progress=lambda done: progress.update(task, completed=done))


def _print(report: Report, limits: Limits, notes: list[str]) -> None:
    screen = Screen()
    screen.line(f"{report.trace}: {report.requests:,} requests of {len(report.agents):,} agents", "bold")
    for note in notes:
        screen.line(note, "dim")
    screen.line()
    _decisions(screen, report, limits)
    _spending(screen, report)
    _verdict(screen, report)


def _decisions(screen: Screen, report: Report, limits: Limits) -> None:
    rate = "none"
    if limits.rate_limit is not None:
        rate = f"{limits.rate_limit:f} in {limits.rate_window.total_seconds():g} s each"
    bounds = {
        "agent budget": f"{limits.agent_budget:f} each",
        "pool budget": f"{limits.pool_budget:f} each",
        "platform budget": f"{limits.platform_budget:f}",
        "rate limit": rate,
    }
    rows = [("admitted", f"{report.admitted:,}", f"{report.admitted / report.requests:.1%}", "")]
    for reason, count in report.refused.items():
        rows.append((f"refused: {reason}", f"{count:,}", f"{count / report.requests:.1%}", bounds[reason]))
    screen.table(_columns("requests", "share", "limit"), rows)


def _spending(screen: Screen, report: Report) -> None:
    agents = Books(
        total(books.budget for books in report.agents.values()),
        total(books.spent for books in report.agents.values()),
    )
    books_of = {
        **report.pools,
        "platform (all pools)": report.platform,
        f"{len(report.agents):,} agents": agents,
    }
    rows: list[tuple[str, str, str, str]] = []
    for name, books in books_of.items():
        used = f"{ratio(books.spent, books.budget):.1%}" if books.budget else "-"
        rows.append((name, f"{books.spent:.9f}", _plain(books.budget), used))
    screen.table(_columns("spent", "of budget", "used"), rows)


def _plain(budget: Decimal) -> str:
    """A budget with all of its decimal places, at least two."""
    text = f"{budget:.9f}".rstrip("0")
    whole, _, places = text.partition(".")
    return f"{whole}.{places:0<2}"


def _verdict(screen: Screen, report: Report) -> None:
    colour = "green" if report.is_exact else "bold red"
    rows = (
        ("overspend", f"{report.overspend:.9f}", "summed up without asking the ledger"),
        ("over a rate limit", f"{report.over_rate_limit:.9f}", "in any window of any agent"),
        ("books agree", "yes" if report.books_agree else "NO", "the ledger's, account by account"),
        ("decisions per second", f"{report.decisions_per_second:,.0f}", f"{report.seconds:.3f} s wall time"),
    )
    columns = (Column("", least=24, style="bold"), Column("", is_figure=True), Column("", style="dim"))
    screen.table(columns, [(name, Cell(value, colour), text) for name, value, text in rows])


def _columns(*figures: str) -> list[Column]:
    return [Column("", least=24), *(Column(name, is_figure=True) for name in figures)]

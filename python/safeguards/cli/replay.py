"""`safeguards replay`: recorded requests through budgets and rate limits."""

import json
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from safeguards._values.decimals import ratio, total
from safeguards.cli._options import amount
from safeguards.testing.replay import DEFAULT_LIMITS, Books, Limits, Report, replay
from safeguards.testing.traces import NOTIONAL_PRICE, Price, Trace

_LONG_TRACE = 100_000


def command(
    trace: Annotated[
        Path | None,
        typer.Argument(
            metavar="TRACE",
            show_default=False,
            help="CSV with columns t_s, agent, and cost or input_tokens and output_tokens; or .npz with t_s, "
            "input_tokens, output_tokens. Without it: an hour of a real LLM service, 19,366 requests.",
        ),
    ] = None,
    *,
    agents: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Agents that requests without a name are divided among.")
    ] = 100,
    pools: Annotated[
        int, typer.Option(min=1, max=100_000, help="Pools that the agents are dealt to.")
    ] = DEFAULT_LIMITS.pools,
    agent_budget: Annotated[
        Decimal, typer.Option(parser=amount, metavar="AMOUNT", help="Budget of each agent.")
    ] = DEFAULT_LIMITS.agent_budget,
    pool_budget: Annotated[
        Decimal, typer.Option(parser=amount, metavar="AMOUNT", help="Budget of each pool.")
    ] = DEFAULT_LIMITS.pool_budget,
    platform_budget: Annotated[
        Decimal, typer.Option(parser=amount, metavar="AMOUNT", help="Budget of the pool above all pools.")
    ] = DEFAULT_LIMITS.platform_budget,
    rate_limit: Annotated[
        Decimal | None,
        typer.Option(parser=amount, metavar="AMOUNT", help="Most that an agent may spend in a window."),
    ] = DEFAULT_LIMITS.rate_limit,
    rate_window: Annotated[
        float,
        typer.Option(min=0.001, max=31_622_400, metavar="SECONDS", help="Length of the sliding window."),
    ] = DEFAULT_LIMITS.rate_window.total_seconds(),
    input_price: Annotated[
        Decimal, typer.Option(parser=amount, metavar="AMOUNT", help="Price of a million input tokens.")
    ] = NOTIONAL_PRICE.input_tokens,
    output_price: Annotated[
        Decimal, typer.Option(parser=amount, metavar="AMOUNT", help="Price of a million output tokens.")
    ] = NOTIONAL_PRICE.output_tokens,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; amounts are strings.")
    ] = False,
) -> None:
    """Feed recorded requests through agents, pools and rate limits.

    A manual clock is moved to the time of each request. The most that it can cost is reserved; when its
    work is done (0.5 s and 20 ms per output token, a notional speed) what it did cost is settled.

    Exit codes: 0 nothing was overspent, 1 something was, 2 wrong usage or wrong input.
    """
    price = Price(input_price, output_price)
    recorded = (
        Trace.azure_conversations(agents=agents, price=price)
        if trace is None
        else Trace.load(trace, agents=agents, price=price)
    )
    limits = Limits(
        agent_budget, pool_budget, platform_budget, pools, rate_limit, timedelta(seconds=rate_window)
    )
    report = _replay(recorded, limits)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        _print(report, limits)
    raise typer.Exit(0 if report.is_exact else 1)


def _replay(trace: Trace, limits: Limits) -> Report:
    if len(trace) < _LONG_TRACE or not sys.stderr.isatty():
        return replay(trace, limits)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replaying", total=len(trace))
        return replay(trace, limits, on_progress=lambda done: progress.update(task, completed=done))


def _print(report: Report, limits: Limits) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{report.trace}[/]: {report.requests:,} requests of {len(report.agents):,} agents\n")
    console.print(_decisions(report, limits))
    console.print(_spending(report))
    console.print(_verdict(report))


def _decisions(report: Report, limits: Limits) -> Table:
    table = _table("", "requests", "share", "limit")
    bounds = {
        "agent budget": f"{limits.agent_budget} each",
        "pool budget": f"{limits.pool_budget} each",
        "platform budget": f"{limits.platform_budget}",
        "rate limit": f"{limits.rate_limit} in {limits.rate_window.total_seconds():g} s each",
    }
    table.add_row("admitted", f"{report.admitted:,}", f"{report.admitted / report.requests:.1%}", "")
    for reason, count in report.refused.items():
        table.add_row(f"refused: {reason}", f"{count:,}", f"{count / report.requests:.1%}", bounds[reason])
    return table


def _spending(report: Report) -> Table:
    table = _table("", "spent", "of budget", "used")
    agents = Books(
        total(books.budget for books in report.agents.values()),
        total(books.spent for books in report.agents.values()),
    )
    rows = {
        **report.pools,
        "platform (all pools)": report.platform,
        f"{len(report.agents):,} agents": agents,
    }
    for name, books in rows.items():
        used = f"{ratio(books.spent, books.budget):.1%}" if books.budget else "-"
        table.add_row(name, f"{books.spent:.9f}", f"{books.budget:.2f}", used)
    return table


def _verdict(report: Report) -> Table:
    table = Table.grid(padding=(0, 2))
    colour = "green" if report.is_exact else "bold red"
    table.add_column(style="bold")
    table.add_column(justify="right", style=colour)
    table.add_column(style="dim")
    table.add_row("overspend", f"{report.overspend:.9f}", "summed up without asking the ledger")
    table.add_row("over a rate limit", f"{report.over_rate_limit:.9f}", "in any window of any agent")
    table.add_row("books agree", "yes" if report.books_agree else "NO", "the ledger's, account by account")
    table.add_row(
        "decisions per second", f"{report.decisions_per_second:,.0f}", f"{report.seconds:.3f} s wall time"
    )
    return table


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column(first, min_width=24)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table

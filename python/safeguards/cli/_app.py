"""The application: a table of commands, each in a module of its own, imported when it is wanted."""

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from safeguards.exceptions import SafeguardsError

COMMANDS = ("replay", "demo", "simulate", "paper", "backtest")
"""Each is a module `safeguards.cli.<name>` with a function `command`."""


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature of the base class
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        single = typer.Typer(rich_markup_mode=None, add_completion=False)
        single.command(cmd_name)(import_module(f"safeguards.cli.{cmd_name}").command)
        return typer.main.get_command(single)


app = typer.Typer(
    cls=_Commands,
    name="safeguards",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"safeguards {version('budget-safeguards')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Budgets for AI agents that are never overspent."""


def run() -> None:
    """Runs the command that the arguments of the process name."""
    try:
        app()
    except SafeguardsError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)

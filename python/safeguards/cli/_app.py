"""The application: a table of commands, each in a module of its own, imported when it is wanted."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from safeguards.cli._output import OutputError
from safeguards.exceptions import SafeguardsError

UNWRITABLE = 3
"""Exit code when what was asked for cannot be written: a full disk, a path that is no place for it."""

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
        command = typer.main.get_command(single)
        for option in command.params:
            _say_default(option)
        return command


def _say_default(option: Any) -> None:
    """Defaults in words stand in brackets; typer would add parentheses."""
    if isinstance(getattr(option, "show_default", None), str):
        option.help = f"{option.help}  [default: {option.show_default}]"
        option.show_default = False


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
    """Runs the command that the arguments of the process name, and ends the process."""
    sys.exit(_ended(_run))


def _run() -> int:
    try:
        app()
    except SafeguardsError as error:
        typer.echo(f"error: {error}", err=True)
        return UNWRITABLE if isinstance(error, OutputError) else 2
    except SystemExit as end:
        if isinstance(
            end.__context__, BrokenPipeError
        ):  # typer and rich end with 1, which means something here
            raise end.__context__ from None
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _ended(run: Callable[[], int]) -> int:
    """The exit code of a command, when all that it printed is written."""
    try:
        code = run()
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough: no error of anybody
        _be_quiet()
        return 128 + getattr(signal, "SIGPIPE", 13)
    except OSError as error:
        _be_quiet()
        sys.stderr.write(f"error: the output cannot be written: {error.strerror or error}\n")
        return UNWRITABLE
    return code


def _be_quiet() -> None:
    """Python flushes once more at its end, and would tell about it."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""`python -m paper`: the paper's whole evaluation and what lies beyond it, as one page."""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from paper import evaluation
from safeguards._extras import require
from safeguards.cli._allocation import naming_options, progress_bar
from safeguards.exceptions import ConfigurationError, SafeguardsError

_PAGE = "safeguards-paper.html"
_MOST_AGENTS = 1_000_000


def command(
    *,
    out: Annotated[
        Path, typer.Option(metavar="DIR|FILE.html", help=f"Where the page goes; {_PAGE} in a directory.")
    ] = Path(_PAGE),
    trials: Annotated[int, typer.Option(help="Repetitions of each simulation.")] = 100,
    seed: Annotated[int, typer.Option(help="Where all random numbers come from.")] = 0,
    agents: Annotated[
        int, typer.Option(help="Most agents in the section on scale, from 1000 up to a million.")
    ] = _MOST_AGENTS,
    threads: Annotated[
        int | None, typer.Option(show_default="one per core", help="Most threads to use.")
    ] = None,
) -> None:
    """Run the evaluation of She & Leung (2009) again, as a page.

    Table 1, Figures 1 to 10, both readings of the misprints, other readings, and what lies beyond: strategies
    without parameters, random walks and sudden changes, noise, careless agents, larger tasks, up to a million
    agents. Published figures stand beside measured ones. One HTML file, figures embedded; takes minutes.

    Exit codes: 0 done, 2 wrong usage or wrong input.
    """
    require("matplotlib", "plot")
    from paper.sections import report_page

    if not 1000 <= agents <= _MOST_AGENTS:
        raise ConfigurationError(f"--agents must be from 1,000 to {_MOST_AGENTS:,}, not {agents:,}")
    path = _prepare(out)
    with naming_options(capacities="--setting"), progress_bar("simulating") as advance:
        measured = evaluation.run(
            evaluation.plan(trials=trials, seed=seed, largest=agents),
            threads=threads,
            progress=lambda done, in_all, key: advance(done, in_all, str(key[0]) if key else "done"),
        )
    text = report_page(measured, trials=trials, seed=seed, version=version("budget-safeguards"))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from None
    typer.echo(f"wrote {path}")


def _prepare(out: Path) -> Path:
    """The file to write, its directory made: better refused now than after minutes of work."""
    path = out if out.suffix in (".html", ".htm") else out / _PAGE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigurationError(f"--out: cannot write {path}")
    return path


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"--out: cannot write {path}: {error.strerror}")


def main() -> None:
    """Runs it with the arguments of the process."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command("paper")(command)
    try:
        app()
    except SafeguardsError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

"""What `simulate` and `paper` have in common: progress, numbers, errors that name options."""

import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from safeguards.exceptions import ConfigurationError

__all__ = ["naming_options", "number", "progress_bar"]

_OPTIONS = {
    "n_agents": "--agents",
    "trials": "--trials",
    "seed": "--seed",
    "threads": "--threads",
    "observation_noise": "--noise",
    "careless_fraction": "--careless",
    "task_units": "--task-units",
    "task_steps": "--task-steps",
    "adjusting_rate": "--adjusting-rate",
    "scaling_factor": "--scaling-factor",
    "choice": "--choice",
    "attitude": "--attitude",
}


@contextmanager
def naming_options(*, capacities: str) -> Generator[None]:
    """Lets an error of the library name the option that was wrong, instead of the argument.

    Args:
        capacities: the option that the capacities came from.
    """
    try:
        yield
    except ConfigurationError as error:
        options = _OPTIONS | {"capacities": capacities}
        argument = re.match(r"\w+", str(error))
        if argument is None or argument[0] not in options:
            raise
        rest = str(error)[argument.end() :]
        if options[argument[0]] == "--setting":
            rest = f": capacities{rest}"
        rest = rest.replace("allow_scarcity=True", "--allow-scarcity")
        raise ConfigurationError(options[argument[0]] + rest) from None


@contextmanager
def progress_bar(label: str) -> Generator[Callable[[int, int, str], None]]:
    """A bar on the error output if that is a terminal, nothing otherwise; gone when the work is done.

    Yields:
        A function to call with (done, in all, what is at work).
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(label)

        def advance(done: int, in_all: int, what: str) -> None:
            progress.update(task, completed=done, total=in_all, description=f"{label}: {what}")

        yield advance


def number(value: float) -> str:
    """An average deviation with the digits that mean something."""
    if value >= 1000:  # noqa: PLR2004 - from there on no decimals are read
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004

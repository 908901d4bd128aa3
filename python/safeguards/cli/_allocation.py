"""What `simulate` and `paper` have in common: progress, numbers, errors that name options."""

import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from safeguards.allocation import PUBLISHED_DEVIATIONS, SimulationResult
from safeguards.exceptions import ConfigurationError

__all__ = ["PAPER_STRATEGIES", "WARM_UP", "naming_options", "number", "progress_bar", "spread"]

WARM_UP = 20
"""First steps that a second figure of every simulation leaves out: agents start with no knowledge."""
PAPER_STRATEGIES = tuple(PUBLISHED_DEVIATIONS[1])

_FIRST_LINE, _EVERY = 10.0, 30.0
"""Seconds until the first line of progress, and from one to the next."""
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
    """How far long work is, and how long it will take: a bar on a terminal, else a line now and then.

    The bar is gone when the work is done. Lines go to the error output, the first one after ten seconds.

    Yields:
        A function to call with (done, in all, what is at work).
    """
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield _Lines(label)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label)

        def advance(done: int, in_all: int, what: str) -> None:
            progress.update(task, completed=done, total=in_all, description=f"{label}: {what}")

        yield advance


class _Lines:
    """Says how far work is where no bar can be drawn: in a file, or in the log of a machine."""

    def __init__(self, label: str, clock: Callable[[], float] = monotonic) -> None:
        self._label, self._clock, self._began = label, clock, clock()
        self._next = _FIRST_LINE

    def __call__(self, done: int, in_all: int, what: str) -> None:
        elapsed = self._clock() - self._began
        if elapsed < self._next or not 0 < done < in_all:
            return
        self._next = elapsed + _EVERY
        left = elapsed * (in_all - done) / done
        text = f"{self._label}: {what}, {done / in_all:.0%} done, about {timedelta(seconds=round(left))} left"
        print(text, file=sys.stderr, flush=True)  # noqa: T201


def number(value: float) -> str:
    """An average deviation with the digits that mean something."""
    if value >= 1000:  # noqa: PLR2004 - from there on no decimals are read
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004


def spread(result: SimulationResult) -> float | None:
    """Standard deviation of the trials' deviations; None for a single trial."""
    deviations = result.trial_deviations
    return float(deviations.std(ddof=1)) if len(deviations) > 1 else None

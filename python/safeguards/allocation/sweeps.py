"""`sweep`: a table of deviations, capacities by strategies, on one machine or many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safeguards._values.arguments import called, shown
from safeguards.allocation.simulation import trials_after
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from numpy.typing import ArrayLike

    from safeguards.allocation.strategies import Strategy

_PARTS = 1000

__all__ = ["SweepResult", "SweepRow", "sweep"]


@dataclass(frozen=True)
class SweepRow:
    """One cell of the table.

    Attributes:
        setting: name of the capacities.
        strategy: name of the strategy in this sweep.
        average_deviation: mean over trials of equation (5) after the warm-up, in units squared.
        standard_deviation: of the trials' deviations around it (0 for a single trial).
        trials: number of trials.
    """

    setting: str
    strategy: str
    average_deviation: float
    standard_deviation: float
    trials: int


@dataclass(frozen=True)
class SweepResult:
    """The table of a sweep, setting after setting.

    Attributes:
        rows: one for each pair of capacities and strategy, in the order in which they were given.
    """

    rows: tuple[SweepRow, ...]

    def __str__(self) -> str:
        settings = list(dict.fromkeys(row.setting for row in self.rows))
        strategies = list(dict.fromkeys(row.strategy for row in self.rows))
        width = max(len(name) for name in strategies)
        columns = [max(len(name), 10) for name in settings]
        lines = ["  ".join([" " * width, *(s.rjust(w) for s, w in zip(settings, columns, strict=True))])]
        for strategy in strategies:
            cells = [f"{self[setting, strategy].average_deviation:.2f}" for setting in settings]
            lines.append(
                "  ".join(
                    [strategy.ljust(width), *(c.rjust(w) for c, w in zip(cells, columns, strict=True))]
                ),
            )
        return "\n".join(lines)

    def __getitem__(self, key: tuple[str, str]) -> SweepRow:
        for row in self.rows:
            if (row.setting, row.strategy) == key:
                return row
        raise KeyError(key)


def sweep(
    capacities: ArrayLike | Mapping[str, ArrayLike],
    strategies: Sequence[Strategy] | Mapping[str, Strategy],
    *,
    executor: Executor | None = None,
    warm_up: int = 0,
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> SweepResult:
    """Simulates every strategy against every capacities and tabulates the deviations.

    Args:
        capacities: (T, Q) capacities, or several by the name of their setting.
        strategies: strategies, named by their `repr`, or by names of one's own.
        executor: where the simulations run: any `concurrent.futures.Executor`, threads, processes or
            `safeguards.allocation.ray.RayExecutor` for a Ray cluster. Default: one after the other, here.
        warm_up: first steps that do not count.
        threads: threads of one simulation; default: one per core here, 1 under an executor.
        progress: called now and then with (done, in all), in thousandths of a simulation. Not under
            an executor.
        **options: anything else that `simulate` takes, such as `trials`, `seed` or `n_agents`; loads are not
            kept.

    Returns:
        One row for each pair. It is the same wherever it ran.

    Raises:
        ConfigurationError: an argument is out of its range, a name is given twice, or there is nothing to
            simulate.

    Example:
        >>> from safeguards.allocation import FlowStrategy, RandomStrategy, experiment_setting
        >>> settings = {"1": experiment_setting(1), "2": experiment_setting(2)}
        >>> strategies = {"flow": FlowStrategy(), "random": RandomStrategy()}
        >>> table = sweep(settings, strategies, trials=2, warm_up=20)
        >>> table["1", "flow"].average_deviation < 2 < table["2", "random"].average_deviation
        True
    """
    _check(strategies, executor, progress)
    settings = capacities if isinstance(capacities, Mapping) else {"capacities": capacities}
    named = strategies if isinstance(strategies, Mapping) else _by_repr(strategies)
    if not settings or not named:
        raise ConfigurationError("capacities and strategies must not be empty: there is nothing to simulate")
    pairs = [(setting, strategy) for setting in settings for strategy in named]
    options |= {"threads": 1 if threads is None and executor is not None else threads}
    jobs = [(settings[setting], named[strategy], warm_up, options) for setting, strategy in pairs]
    if executor is None:
        outcomes = [_deviations(*job, _within(progress, n, len(jobs))) for n, job in enumerate(jobs)]
    else:
        futures = [executor.submit(_deviations, *job) for job in jobs]
        outcomes = [future.result() for future in futures]
    return SweepResult(
        tuple(
            SweepRow(setting, strategy, mean, spread, trials)
            for (setting, strategy), (mean, spread, trials) in zip(pairs, outcomes, strict=True)
        ),
    )


def _within(
    progress: Callable[[int, int], object] | None, done: int, in_all: int
) -> Callable[[int, int], object] | None:
    """Progress of one simulation as part of all, in thousandths of one."""
    if progress is None:
        return None
    return lambda now, steps: progress(done * _PARTS + now * _PARTS // steps, in_all * _PARTS)


def _check(strategies: object, executor: object, progress: object) -> None:
    if progress is not None:
        called("progress", progress)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ArgumentTypeError(f"executor must be a concurrent.futures.Executor, not {shown(executor)}")
    if not isinstance(strategies, Mapping | Sequence) or isinstance(strategies, str | bytes):
        raise ArgumentTypeError(
            f"strategies must be strategies, or strategies by name, not {shown(strategies)}"
        )


def _by_repr(strategies: Sequence[Strategy]) -> dict[str, Strategy]:
    named = {repr(strategy): strategy for strategy in strategies}
    if len(named) < len(strategies):
        raise ConfigurationError("strategies must differ, or be given by names of your own")
    return named


def _deviations(
    capacities: ArrayLike,
    strategy: Strategy,
    warm_up: int,
    options: dict[str, Any],
    progress: Callable[[int, int], object] | None = None,
) -> tuple[float, float, int]:
    """One simulation, wherever it runs: only its figures travel back."""
    result = trials_after(warm_up, capacities, strategy, keep_loads=False, progress=progress, **options)
    deviations = result.trial_deviations
    spread = float(deviations.std(ddof=1)) if len(deviations) > 1 else 0.0
    return float(deviations.mean()), spread, len(deviations)

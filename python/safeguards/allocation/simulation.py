"""`simulate`: N agents that follow one strategy against capacities over time, many trials of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from safeguards import _native
from safeguards._values.arguments import flag, shown
from safeguards._values.arrays import floats
from safeguards._values.numbers import MAX_AGENTS, MAX_SEED, real, whole
from safeguards.allocation.settings import experiment_setting
from safeguards.allocation.strategies import Strategy
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["SimulationResult", "simulate"]


__all__ = ["SimulationResult", "simulate"]


@dataclass(frozen=True, eq=False, repr=False)
class SimulationResult:
    """Loads of every trial, and how far they were from the capacities.

    Attributes:
        strategy: what the agents followed.
        capacities: (T, Q) float64 true capacities, in units.
        loads: (trials, T, Q) int64 units held at each resource.
    """

    strategy: Strategy
    capacities: NDArray[np.float64]
    loads: NDArray[np.int64]

    def __repr__(self) -> str:
        trials, steps, resources = self.loads.shape
        return (
            f"<SimulationResult of {self.strategy!r}: {trials} trials of {steps} steps with {resources} "
            f"resources, average deviation {self.average_deviation:.4g}>"
        )

    @property
    def trial_deviations(self) -> NDArray[np.float64]:
        """(trials,) float64: equations (4) and (5) of each trial, as means over T and Q, in units squared."""
        deviations: NDArray[np.float64] = ((self.loads - self.capacities) ** 2).mean(axis=(1, 2))
        return deviations

    @property
    def average_deviation(self) -> float:
        """Equation (5), the mean over T, Q and trials of (load - capacity) squared, in units squared."""
        return float(self.trial_deviations.mean())

    def after(self, warm_up: int) -> SimulationResult:
        """Returns the result without its first steps.

        Args:
            warm_up: number of steps to drop, less than T.

        Raises:
            ConfigurationError: nothing would be left.
        """
        warm_up = whole("warm_up", warm_up, 0, len(self.capacities) - 1)
        return replace(self, capacities=self.capacities[warm_up:], loads=self.loads[:, warm_up:])


def simulate(
    capacities: ArrayLike,
    strategy: Strategy,
    *,
    n_agents: int = 1000,
    trials: int = 100,
    seed: int = 0,
    initial_attitudes: ArrayLike | None = None,
    observation_noise: float = 0.0,
    careless_fraction: float = 0.0,
    task_units: int = 1,
    task_steps: int = 1,
    allow_scarcity: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> SimulationResult:
    """Runs agents that follow a strategy against capacities over time.

    At each step every agent whose task has ended chooses a resource for its next; a resource is overloaded if
    its load exceeds its capacity; the agents then learn how their choices went. The result is the same for
    the same arguments, whatever the number of threads and the platform. Ctrl-C stops it; other Python threads
    go on meanwhile.

    Args:
        capacities: (T, Q) true capacities, in units: finite, not negative, no step without any. Q up to
            65,535.
        strategy: what the agents follow.
        n_agents: number of agents, N.
        trials: independent repetitions, each with random numbers of its own.
        seed: where all random numbers come from, from 0 to 2**64 - 1.
        initial_attitudes: attitudes at the start, in [0, 1], of shape (N, Q) for all trials or (trials, N,
            Q); without Q for a strategy with a single attitude per agent. Default: uniform random.
        observation_noise: standard deviation of the capacities that agents read, relative to the true ones.
            All agents read the same: at each step, resource by resource, max(0, C * (1 + noise * z)) with z
            of mean 0 and variance 1 (the sum of twelve uniforms less six). Overload is decided by the true
            ones.
        careless_fraction: part of the agents that choose uniformly at random at every step instead; the same
            agents throughout, the last ones (of each cohort, see task_steps), rounded to whole agents.
        task_units: units of its resource that a task holds. Agents and strategies see capacities in tasks.
        task_steps: steps for which a task holds them; what is held counts as load all the while, overloaded
            or not. The agent chooses again when its task ends, and what it learns is whether its resource was
            overloaded at the step in which it chose. Agents are cut into `task_steps` cohorts in order; all
            choose at step 1, cohort k (from 0) again at step 2 + k and then every `task_steps`, so that
            1/task_steps of them is due at each step.
        allow_scarcity: accept steps whose capacities are less than all tasks need.
        threads: most threads to use; default: one per core. A trial runs on one.
        progress: called about twenty times a second with (steps done, steps in all), counted over all trials.

    Returns:
        Loads of every trial and their deviation from capacity.

    Raises:
        ConfigurationError: an argument makes no sense; raised before any work and naming the argument.
        TypeError: an argument of the wrong type.
        ThreadStartError: the system started not one thread; where it starts a few, these do the work.

    Example:
        >>> from safeguards.allocation import AdaptiveStrategy, experiment_setting
        >>> result = simulate(experiment_setting(1), AdaptiveStrategy.for_setting(1), trials=10, seed=1)
        >>> 50 < result.average_deviation < 150
        True
    """
    if not isinstance(strategy, Strategy):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentTypeError(f"strategy must be a Strategy such as FlowStrategy(), not {shown(strategy)}")
    if progress is not None and not callable(progress):
        raise ArgumentTypeError(f"progress must be callable, not {shown(progress)}")
    capacities = floats("capacities", capacities, 2)
    _refuse_misprint(capacities)
    trials = whole("trials", trials, 1, 2**32)
    attitudes = None
    if initial_attitudes is not None:
        attitudes = floats("initial_attitudes", initial_attitudes, 1, 2, 3)
    steps = trials * len(capacities)
    loads = _native.simulate_allocation(
        strategy._native(),  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        capacities,
        n_agents=whole("n_agents", n_agents, 1, MAX_AGENTS),
        trials=trials,
        seed=whole("seed", seed, 0, MAX_SEED),
        initial_attitudes=attitudes,
        observation_noise=real("observation_noise", observation_noise),
        careless_fraction=real("careless_fraction", careless_fraction),
        task_units=whole("task_units", task_units, 1, 1_000_000),
        task_steps=whole("task_steps", task_steps, 1, 1_000_000),
        allow_scarcity=flag("allow_scarcity", allow_scarcity),
        threads=0 if threads is None else whole("threads", threads, 1, 4096),
        progress=None if progress is None else lambda done: progress(done, steps),
    )
    return SimulationResult(strategy, capacities, loads)


def _refuse_misprint(capacities: NDArray[np.float64]) -> None:
    """Negative capacities that are the paper's setting 3 as printed are told apart from any others."""
    import numpy as np

    if capacities.shape != (1200, 3) or not (capacities < 0).any():
        return
    total = float(capacities[0].sum())
    if 0 < total < np.inf and np.allclose(capacities, experiment_setting(3, as_printed=True, total=total)):
        raise ConfigurationError(
            "capacities must not be negative: this is the paper's setting 3 as printed, where a misprint "
            "makes the third capacity negative from step 1051 on; experiment_setting(3) corrects it",
        )

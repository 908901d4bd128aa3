"""`simulate`: N agents that follow one strategy against capacities over time, many trials of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safeguards import _native
from safeguards._values.arguments import called, flag, shown
from safeguards._values.arrays import floats
from safeguards._values.numbers import MAX_AGENTS, MAX_SEED, real, whole
from safeguards.allocation._capacities import named
from safeguards.allocation._memory import refuse_more_than_there_is, sized
from safeguards.allocation.strategies import Strategy
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Loads = NDArray[np.int64]

__all__ = ["MOST_KEPT", "SimulationResult", "simulate", "trials_after"]

MOST_KEPT = 1 << 30
"""Bytes of loads that are kept without being asked for."""
_AT_ONCE = 1 << 26
"""Bytes of loads that are held at once where only statistics are kept."""
_NEVER_KEPT = "keep_loads=False keeps the statistics alone"


@dataclass(frozen=True, eq=False, repr=False)
class SimulationResult:
    """How far loads were from the capacities and, unless only statistics were kept, the loads.

    Attributes:
        strategy: what the agents followed.
        capacities: (T, Q) float64 true capacities, in units.
        resources: the name of each resource.
        trials: how many.
        step_deviations: (T,) float64: mean of (load - capacity) squared at each step, over resources and
            trials, in units squared.
        mean_loads: (T, Q) float64: load at each resource, mean over trials.
    """

    strategy: Strategy
    capacities: Floats
    resources: tuple[str, ...]
    trials: int
    step_deviations: Floats
    mean_loads: Floats
    _trial_deviations: Floats | None
    _loads: Loads | None

    def __repr__(self) -> str:
        steps, resources = self.capacities.shape
        return (
            f"<SimulationResult of {self.strategy!r}: {self.trials} trials of {steps} steps with {resources} "
            f"resources, average deviation {self.average_deviation:.4g}>"
        )

    @property
    def has_loads(self) -> bool:
        """Whether the loads were kept."""
        return self._loads is not None

    @property
    def loads(self) -> Loads:
        """(trials, T, Q) int64 units held at each resource.

        Raises:
            ConfigurationError: they were not kept.
        """
        if self._loads is None:
            size = sized(self.trials * self.capacities.size * 8)
            raise ConfigurationError(
                f"loads were not kept: they are {size}. Simulate with keep_loads=True, or read mean_loads "
                "and step_deviations"
            )
        return self._loads

    @property
    def trial_deviations(self) -> Floats:
        """(trials,) float64: equations (4) and (5) of each trial, as means over T and Q, in units squared.

        Raises:
            ConfigurationError: without the first steps they need loads, and these were not kept.
        """
        if self._trial_deviations is None:
            raise ConfigurationError(
                "trial_deviations without the first steps need loads, which were not kept: simulate with "
                "keep_loads=True, or use sweep(..., warm_up=...)"
            )
        return self._trial_deviations

    @property
    def average_deviation(self) -> float:
        """Equation (5), the mean over T, Q and trials of (load - capacity) squared, in units squared."""
        return float(self.step_deviations.mean())

    def after(self, warm_up: int) -> SimulationResult:
        """Returns the result without its first steps.

        Args:
            warm_up: number of steps to drop, less than T.

        Raises:
            ConfigurationError: nothing would be left.
        """
        warm_up = whole("warm_up", warm_up, 0, len(self.capacities) - 1)
        capacities, loads = (
            self.capacities[warm_up:],
            None if self._loads is None else self._loads[:, warm_up:],
        )
        deviations = None if warm_up else self._trial_deviations
        if loads is not None:
            statistics = _Statistics(self.trials, capacities)
            statistics.add(loads)
            deviations = statistics.trial_deviations
        return SimulationResult(
            self.strategy,
            capacities,
            self.resources,
            self.trials,
            self.step_deviations[warm_up:],
            self.mean_loads[warm_up:],
            deviations,
            loads,
        )


class _Statistics:
    """What is known of trials that are looked at one after the other: the same however they come."""

    def __init__(self, trials: int, capacities: Floats, warm_up: int = 0) -> None:
        import numpy as np

        self.trial_deviations = np.empty(trials)
        self._capacities, self._warm_up, self._seen = capacities, warm_up, 0
        self._of_steps, self._loads = np.zeros(len(capacities)), np.zeros(capacities.shape)

    def add(self, loads: Loads) -> None:
        for trial in loads:
            squared = (trial - self._capacities) ** 2
            self.trial_deviations[self._seen] = squared[self._warm_up :].mean()
            self._of_steps += squared.mean(axis=1)
            self._loads += trial
            self._seen += 1

    @property
    def step_deviations(self) -> Floats:
        return self._of_steps / self._seen

    @property
    def mean_loads(self) -> Floats:
        return self._loads / self._seen


def simulate(
    capacities: ArrayLike | Mapping[str, ArrayLike],
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
    keep_loads: bool | None = None,
) -> SimulationResult:
    """Runs agents that follow a strategy against capacities over time.

    At each step every agent whose task has ended chooses a resource for its next; a resource is overloaded if
    its load exceeds its capacity; the agents then learn how their choices went. The result is the same for
    the same arguments, whatever the number of threads and the platform. Ctrl-C stops it; other Python threads
    go on meanwhile. What would not fit into the memory that is free is refused before any work.

    Args:
        capacities: (T, Q) true capacities, in units: finite, not negative, no step without any. Q up to
            65,535. Columns by the name of their resource, or a data frame, name the resources.
        strategy: what the agents follow: one of the package, a `CustomStrategy`, or a `MixedStrategy`.
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
        keep_loads: whether the loads of every trial are kept: trials * T * Q * 8 bytes. Default: if they take
            no more than 2**30 bytes. The statistics are the same.

    Returns:
        Deviation from capacity, mean loads, and the loads of every trial if they are kept.

    Raises:
        ConfigurationError: an argument is out of its range, or there is not the memory for it; raised before
            any work and naming the argument.
        TypeError: an argument of the wrong type.
        ThreadStartError: the system started not one thread; where it starts a few, these do the work.

    Example:
        >>> from safeguards.allocation import AdaptiveStrategy, experiment_setting
        >>> result = simulate(experiment_setting(1), AdaptiveStrategy.for_setting(1), trials=10, seed=1)
        >>> 50 < result.average_deviation < 150
        True
    """
    return trials_after(
        0,
        capacities,
        strategy,
        keep_loads=keep_loads,
        n_agents=n_agents,
        trials=trials,
        seed=seed,
        initial_attitudes=initial_attitudes,
        observation_noise=observation_noise,
        careless_fraction=careless_fraction,
        task_units=task_units,
        task_steps=task_steps,
        allow_scarcity=allow_scarcity,
        threads=threads,
        progress=progress,
    )


def trials_after(
    warm_up: int,
    capacities: ArrayLike | Mapping[str, ArrayLike],
    strategy: Strategy,
    *,
    n_agents: int = 1000,
    trials: int = 100,
    seed: int = 0,
    initial_attitudes: ArrayLike | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    keep_loads: bool | None = None,
    allow_scarcity: bool = False,
    observation_noise: float = 0.0,
    careless_fraction: float = 0.0,
    task_units: int = 1,
    task_steps: int = 1,
) -> SimulationResult:
    """As `simulate`, with the deviations of trials without their first steps."""
    if not isinstance(strategy, Strategy):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentTypeError(f"strategy must be a Strategy such as FlowStrategy(), not {shown(strategy)}")
    if progress is not None:
        called("progress", progress)
    values, resources = named(capacities)
    warm_up = whole("warm_up", warm_up, 0, max(len(values) - 1, 0))
    run = _Run(
        values,
        strategy,
        trials=whole("trials", trials, 1, 2**32),
        threads=0 if threads is None else whole("threads", threads, 1, 4096),
        attitudes=None
        if initial_attitudes is None
        else floats("initial_attitudes", initial_attitudes, 1, 2, 3),
        progress=progress,
        options={
            "n_agents": whole("n_agents", n_agents, 1, MAX_AGENTS),
            "seed": whole("seed", seed, 0, MAX_SEED),
            "observation_noise": real("observation_noise", observation_noise),
            "careless_fraction": real("careless_fraction", careless_fraction),
            "task_units": whole("task_units", task_units, 1, 1_000_000),
            "task_steps": whole("task_steps", task_steps, 1, 1_000_000),
            "allow_scarcity": flag("allow_scarcity", allow_scarcity),
        },
    )
    is_small = run.bytes_of_loads <= MOST_KEPT
    keep = is_small if keep_loads is None else flag("keep_loads", keep_loads)
    run.check_memory(keep=keep)
    statistics = _Statistics(run.trials, values, warm_up)
    kept: Loads | None = None
    for loads in run.parts(keep=keep):
        statistics.add(loads)
        kept = loads if keep else None
    return SimulationResult(
        strategy,
        values,
        resources,
        run.trials,
        statistics.step_deviations,
        statistics.mean_loads,
        statistics.trial_deviations,
        kept,
    )


@dataclass(frozen=True)
class _Run:
    """One simulation, its arguments checked."""

    capacities: Floats
    strategy: Strategy
    trials: int
    threads: int
    attitudes: Floats | None
    progress: Callable[[int, int], object] | None
    options: dict[str, Any]

    @property
    def bytes_of_loads(self) -> int:
        return self.trials * self._bytes_of_trial

    @property
    def _bytes_of_trial(self) -> int:
        return int(self.capacities.size) * 8

    @property
    def _at_once(self) -> int:
        """Trials that are held at once where only statistics are kept."""
        return min(self.trials, max(_AT_ONCE // max(self._bytes_of_trial, 1), self._workers, 1))

    @property
    def _workers(self) -> int:
        return min(self.threads or os.cpu_count() or 1, self.trials)

    def check_memory(self, *, keep: bool) -> None:
        """Refuses what would not fit, before any of it is asked for.

        Raises:
            ConfigurationError: there is less memory.
        """
        agents, resources = self.options["n_agents"], self.capacities.shape[1]
        state = self.strategy.bytes_per_agent(resources) * agents * self._workers
        refuse_more_than_there_is(
            f"n_agents={agents:,} on {self._workers} threads", state, "take fewer agents, or fewer threads"
        )
        if keep:
            what = f"trials={self.trials:,} whose loads are kept"
            advice = f"{_NEVER_KEPT}, or take fewer trials"
            refuse_more_than_there_is(what, self.bytes_of_loads + self.trials * 8 + state, advice)
        else:
            what = f"trials={self.trials:,} of {len(self.capacities):,} steps with {resources:,} resources"
            needed = self._at_once * self._bytes_of_trial + self.trials * 8 + state
            refuse_more_than_there_is(what, needed, "take fewer trials, threads or steps")

    def parts(self, *, keep: bool) -> Iterator[Loads]:
        """Loads of all trials at once, or of some after the other."""
        size = self.trials if keep else self._at_once
        for first in range(0, self.trials, size):
            yield self._part(first, min(size, self.trials - first))

    def _part(self, first: int, trials: int) -> Loads:
        failures: list[BaseException] = []
        attitudes = self.attitudes
        if attitudes is not None and len(attitudes) == self.trials and self._is_of_trials(attitudes):
            attitudes = attitudes[first : first + trials]
        return _native.simulate_allocation(
            self.strategy._native_with(failures),  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            self.capacities,
            trials=trials,
            first_trial=first,
            initial_attitudes=attitudes,
            threads=self.threads,
            progress=lambda done: self._tell(first, done, failures),
            **self.options,
        )

    def _is_of_trials(self, attitudes: Floats) -> bool:
        """Whether each trial has attitudes of its own: their shape is one axis longer than that of agents."""
        of_one = 1 if getattr(self.strategy, "attitude", "resource") == "agent" else 2
        return attitudes.ndim > of_one

    def _tell(self, first: int, done: int, failures: list[BaseException]) -> None:
        if failures:
            raise failures[0]
        if self.progress is not None:
            steps = len(self.capacities)
            self.progress(first * steps + done, self.trials * steps)

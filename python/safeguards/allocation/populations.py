"""Strategies of one's own, and several strategies side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from safeguards import _native
from safeguards._values.arguments import instance, shown
from safeguards._values.arrays import array
from safeguards._values.numbers import number
from safeguards.allocation.strategies import Strategy
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from safeguards._native import AllocationStrategy

__all__ = ["CustomStrategy", "MixedStrategy", "Population", "Public"]


@dataclass(frozen=True, eq=False)
class Public:
    """What every agent may know when it chooses.

    Attributes:
        step: the step, from 1.
        capacities: (Q,) float64: those of the last step, as they were read; at the first step those of the
            step itself.
        loads: (Q,) int64: tasks at each resource in the last step; zeros at the first.
        overloaded: (Q,) bool: which resources were overloaded in the last step.
    """

    step: int
    capacities: NDArray[np.float64]
    loads: NDArray[np.int64]
    overloaded: NDArray[np.bool_]


class Population(Protocol):
    """The agents of one trial: what a rule of your own has to have. Calls are for many agents at once."""

    def choose(self, agents: NDArray[np.intp], public: Public) -> ArrayLike:
        """Lets agents choose.

        Args:
            agents: (n,) numbers of those who choose now, from 0: all, unless tasks take several steps.
            public: what all may know.

        Returns:
            (n,) the resource of each, from 0.
        """
        ...

    def update(
        self, agents: NDArray[np.intp], choices: NDArray[np.intp], overloaded: NDArray[np.bool_]
    ) -> object:
        """Tells agents how their last choice went, right before they choose again.

        Args:
            agents: (n,) their numbers.
            choices: (n,) what each had chosen.
            overloaded: (n,) whether that resource was overloaded in that step.
        """
        ...


@dataclass(frozen=True)
class CustomStrategy(Strategy):
    """A rule of your own, in `simulate`, `sweep`, `MixedStrategy` and one's own loop.

    `start` is called for each trial and makes its agents; a class does, if its `__init__` takes the three
    arguments. What it raises ends the simulation and is raised there. Rules run one at a time: they are
    Python. For the executors of `sweep` that are other processes, `start` must be importable there.

    Args:
        label: what tables and pictures call it.
        start: `start(n_agents, n_resources, random)` returns a `Population`; `random` is a
            `numpy.random.Generator` of this trial.

    Raises:
        ConfigurationError: `start` cannot be called, or there is no label.

    Example:
        >>> import numpy as np
        >>> class ToTheFree:
        ...     def __init__(self, n_agents, n_resources, random):
        ...         self.n_resources, self.random = n_resources, random
        ...         self.now = random.integers(n_resources, size=n_agents)
        ...     def choose(self, agents, public):
        ...         return self.now[agents]
        ...     def update(self, agents, choices, overloaded):
        ...         moves = overloaded & (self.random.random(len(agents)) < 0.05)
        ...         self.now[agents[moves]] = self.random.integers(self.n_resources, size=moves.sum())
        >>> from safeguards.allocation import experiment_setting, simulate
        >>> result = simulate(experiment_setting(1)[:200], CustomStrategy("to the free", ToTheFree), trials=2)
        >>> result.strategy.name, result.loads.sum(axis=2).max().item()
        ('to the free', 1000)
    """

    label: str
    start: Callable[[int, int, np.random.Generator], Population]

    def __post_init__(self) -> None:
        if not isinstance(self.label, str) or not self.label:
            raise ConfigurationError(f"label must be a name, not {shown(self.label)}")
        if not callable(self.start):
            raise ConfigurationError(f"start must be callable, not {shown(self.start)}")

    @property
    def name(self) -> str:  # type: ignore[override] # of each one, not of the class
        """What tables call it."""
        return self.label

    def _native(self) -> AllocationStrategy:
        return self._native_with([])

    def _native_with(self, failures: list[BaseException]) -> AllocationStrategy:
        def start(n_agents: int, n_resources: int, seed: int) -> Callable[..., NDArray[np.uint16]]:
            return _Turns(self, n_agents, n_resources, seed, failures)

        return _native.AllocationStrategy.custom(start)


class _Turns:
    """The agents of one trial, as the native simulation calls them. Its failures are kept for the caller."""

    def __init__(
        self,
        strategy: CustomStrategy,
        n_agents: int,
        n_resources: int,
        seed: int,
        failures: list[BaseException],
    ) -> None:
        self._n_resources, self._failures = n_resources, failures
        self._name = strategy.name
        self._population: Population | None = None
        try:
            import numpy as np

            self._population = strategy.start(n_agents, n_resources, np.random.default_rng(seed))
        except BaseException as error:  # noqa: BLE001 - it is raised where the simulation was called
            failures.append(error)

    def __call__(  # noqa: PLR0917 - as native code calls it
        self,
        place: tuple[int, int, int],
        capacities: NDArray[np.float64],
        loads: NDArray[np.int64],
        overloaded: NDArray[np.bool_],
        outcome: NDArray[np.bool_] | None,
        choices: NDArray[np.uint16],
    ) -> NDArray[np.uint16]:
        import numpy as np

        population = self._population
        if self._failures or population is None:
            return np.zeros_like(choices)
        try:
            first, end, step = place
            agents, last = np.arange(first, end), choices.astype(np.intp)
            if outcome is not None:
                population.update(agents, last, outcome[last])
            chosen = population.choose(agents, Public(step, capacities, loads, overloaded))
            return self._checked(chosen, len(agents))
        except BaseException as error:  # noqa: BLE001 - it is raised where the simulation was called
            self._failures.append(error)
            return np.zeros_like(choices)

    def _checked(self, chosen: ArrayLike, agents: int) -> NDArray[np.uint16]:
        found = array(f"{self._name}: what choose returns", chosen)
        if found.shape != (agents,) or found.dtype.kind not in "iu":
            raise ConfigurationError(
                f"{self._name}: choose must return {agents} whole numbers, not shape {found.shape} of "
                f"{found.dtype}"
            )
        if agents and not (found.min() >= 0 and found.max() < self._n_resources):
            raise ConfigurationError(
                f"{self._name}: choose must return resources from 0 to {self._n_resources - 1}, not "
                f"{found.min()} to {found.max()}"
            )
        return found.astype("uint16")


@dataclass(frozen=True)
class MixedStrategy(Strategy):
    """Agents of several strategies side by side, at the same resources.

    Each has its part of the agents, in order, rounded to whole agents; they count from 0 among themselves.
    Loads that a strategy reads are those of all; `GalstyanStrategy` watches neighbours of its own kind, and
    `PreviousCapacityStrategy` deals out its own agents.

    Args:
        parts: strategies, each with its part: any numbers above 0, in proportion.

    Raises:
        ConfigurationError: there is no strategy, or a part is not above 0.

    Example:
        >>> from safeguards.allocation import FlowStrategy, RandomStrategy, experiment_setting, simulate
        >>> half = MixedStrategy({FlowStrategy(): 0.5, RandomStrategy(): 0.5})
        >>> half.name
        'flow 50% + random 50%'
        >>> for strategy in (FlowStrategy(), half):
        ...     print(round(simulate(experiment_setting(1), strategy, trials=20).after(20).average_deviation))
        1
        120
    """

    name: ClassVar[str] = "mixed"

    parts: Mapping[Strategy, float] | tuple[tuple[Strategy, float], ...]

    def __post_init__(self) -> None:
        pairs: tuple[tuple[Any, Any], ...] = _pairs(self.parts)
        checked = tuple(
            (
                instance("a strategy of parts", strategy, Strategy),  # type: ignore[type-abstract]
                number("a part of parts", part, 0, 1e15, above=True),
            )
            for strategy, part in pairs
        )
        if not checked:
            raise ConfigurationError("parts must have a strategy at least")
        object.__setattr__(self, "parts", checked)
        total = sum(part for _, part in checked)
        label = " + ".join(f"{strategy.name} {part / total:.0%}" for strategy, part in checked)
        object.__setattr__(self, "name", label)

    def _native(self) -> AllocationStrategy:
        return self._native_with([])

    def _native_with(self, failures: list[BaseException]) -> AllocationStrategy:
        parts: Any = self.parts
        natives = [strategy._native_with(failures) for strategy, _ in parts]  # noqa: SLF001
        return _native.AllocationStrategy.mixed(natives, [part for _, part in parts])


def _pairs(parts: Any) -> tuple[tuple[Any, Any], ...]:
    pairs = tuple(cast("Any", parts).items()) if isinstance(parts, Mapping) else parts
    if not _is_sequence(pairs) or not all(_is_sequence(pair) and len(pair) == 2 for pair in pairs):  # noqa: PLR2004
        raise ArgumentTypeError(f"parts must be parts by strategy, not {shown(cast('object', parts))}")
    return tuple(pairs)


def _is_sequence(value: object) -> bool:
    return isinstance(value, tuple | list)

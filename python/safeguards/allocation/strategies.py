"""How agents choose: frozen values, compared and shown by their parameters.

Every strategy says in its docstring which information its agents use, and each choice that its source leaves
open. The state of agents is native; `strategy.agents(...)` makes some for one's own loop, `simulate` makes
them by itself.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Self

from safeguards import _native
from safeguards._values.arguments import one_of
from safeguards._values.arrays import flags, floats, whole_numbers
from safeguards._values.numbers import MAX_AGENTS, MAX_SEED, real, whole
from safeguards.allocation._arguments import setting_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from safeguards._native import AllocationStrategy

__all__ = [
    "STRATEGIES",
    "AdaptiveStrategy",
    "FlowStrategy",
    "GalstyanStrategy",
    "LamLeungStrategy",
    "PreviousCapacityStrategy",
    "RandomStrategy",
    "Strategy",
    "StrategyAgents",
    "WinStayStrategy",
]


@dataclass(frozen=True)
class Strategy(abc.ABC):
    """How agents choose among resources: the base of all strategies of this package."""

    name: ClassVar[str]
    """What the command line and the tables call it."""

    def __post_init__(self) -> None:
        self._native().check(1)

    @abc.abstractmethod
    def _native(self) -> _native.AllocationStrategy:
        """The strategy as native code takes it."""

    def _native_with(self, failures: list[BaseException]) -> AllocationStrategy:  # noqa: ARG002
        """The same; what goes wrong in rules of one's own is put into `failures`."""
        return self._native()

    def agents(
        self,
        n_agents: int,
        n_resources: int,
        *,
        seed: int = 0,
        initial_attitudes: ArrayLike | None = None,
    ) -> StrategyAgents:
        """Makes agents that follow this strategy, for one's own loop.

        Args:
            n_agents: number of agents, N.
            n_resources: number of resources, Q.
            seed: where their random numbers come from; the same as trial 0 of `simulate` with this seed.
            initial_attitudes: (N, Q) attitudes in [0, 1], or (N,) if each agent has a single one; default:
                uniform random.

        Returns:
            Agents at their first step.

        Raises:
            ConfigurationError: an argument out of range, or attitudes of the wrong shape.
        """
        n_agents = whole("n_agents", n_agents, 1, MAX_AGENTS)
        n_resources = whole("n_resources", n_resources, 1, 65_535)
        seed = whole("seed", seed, 0, MAX_SEED)
        attitudes = None
        if initial_attitudes is not None:
            attitudes = floats("initial_attitudes", initial_attitudes, 1, 2)
        failures: list[BaseException] = []
        strategy = self._native_with(failures)
        native = _native.AllocationAgents(strategy, n_agents, n_resources, seed, attitudes)
        if failures:
            raise failures[0]
        return StrategyAgents(self, native, n_agents, failures)

    def bytes_per_agent(self, n_resources: int) -> int:
        """Bytes of state that a simulation keeps for each agent.

        >>> AdaptiveStrategy().bytes_per_agent(3)
        38
        """
        return self._native().bytes_per_agent(whole("n_resources", n_resources, 1, 65_535))


class StrategyAgents:
    """N agents that follow one strategy, step by step: `choose`, look at what happened, `update`.

    Thread-safe; calls in the wrong order are refused.

    Example:
        >>> import numpy as np
        >>> agents = AdaptiveStrategy(adjusting_rate=0.01, scaling_factor=4).agents(1000, 3, seed=7)
        >>> for capacities in ([500.0, 300.0, 200.0], [480.0, 310.0, 210.0]):
        ...     choices = agents.choose(capacities)
        ...     loads = np.bincount(choices, minlength=3)
        ...     agents.update(loads > capacities)
        >>> agents.step, int(loads.sum())
        (2, 1000)
    """

    def __init__(
        self,
        strategy: Strategy,
        native: _native.AllocationAgents,
        n_agents: int,
        failures: list[BaseException],
    ) -> None:
        self._strategy = strategy
        self._failures = failures
        self._native = native
        self._n_agents = n_agents

    def __repr__(self) -> str:
        return f"<{self._n_agents} agents of {self._strategy!r} after {self.step} steps>"

    @property
    def step(self) -> int:
        """Steps begun."""
        return self._native.step

    def choose(self, capacities: ArrayLike) -> NDArray[np.uint16]:
        """Begins a step: every agent chooses a resource.

        Args:
            capacities: (Q,) capacities of this step, finite, not negative, not all zero. The agents look at
                them as the paper's do: while they choose at steps 1 and 2, from the step after on otherwise.

        Returns:
            (N,) uint16: the resource of each agent.

        Raises:
            ConfigurationError: they are no capacities, or the step before was not ended with `update`.
        """
        choices = self._native.choose(floats("capacities", capacities, 1))
        if self._failures:
            raise self._failures[0]
        return choices

    def update(self, overloaded: ArrayLike, loads: ArrayLike | None = None) -> None:
        """Ends the step: tells the agents how it went.

        Args:
            overloaded: (Q,) bool: which resources were. An agent learns of the one that it had chosen.
            loads: (Q,) whole numbers: agents at each resource, for strategies that read public loads;
                default: the choices of these agents, counted.

        Raises:
            ConfigurationError: arrays of the wrong shape or type, or `choose` was not called before.
        """
        counted = None if loads is None else whole_numbers("loads", loads, "Q")
        self._native.update(flags("overloaded", overloaded, "Q"), counted)


@dataclass(frozen=True)
class AdaptiveStrategy(Strategy):
    """The adaptive strategy of She & Leung 2009, section 3.2, equations (1) to (3).

    Each agent keeps, for each resource, a number of hits (it chose the resource and that was not overloaded)
    and an attitude in [0, 1], uniform random at the start. At time step t, from 1, it weighs

    - experience e = n / t, with n the hits so far,
    - prediction p = C / sum(C) at t = 1 and 2, with the capacities of the step itself, and then
      ((C1 + (C1 - C2)) * f) / sum(C1), with C1 and C2 the capacities of the last step and of the one before,
    - attractiveness (1 - a) * e + a * p,

    and takes the resource with the largest, the first of equal ones. If the resource was not overloaded (its
    load is at most its capacity) its attitude rises by the adjusting rate, else it falls by it; then it is
    clipped to [0, 1]. All of it in double precision in this order, with true divisions and nothing fused, and
    sums in the order of numpy's `sum`: another program that starts with the same `initial_attitudes` gets the
    same loads to the last agent.

    Left open by the paper, and decided here: its example of experience (6 hits after 10 steps, 6/10) also
    reads as n / (t - 1), hits over the steps that have been; n / t with t the step being decided is what
    equation (1) says. Ties, clipping, and that attitudes are kept for each resource are not spelled out there
    either. With `choice="roulette"` a resource is drawn in proportion to its attractiveness (negative ones
    count as none), with `attitude="agent"` an agent has one attitude for all resources; both together come
    nearest to the published deviations.

    Args:
        adjusting_rate: the paper's a_delta, from 0 to 1.
        scaling_factor: the paper's f, from 0 to 1e9.
        choice: "max" or "roulette".
        attitude: "resource" or "agent".

    Information: own wins and losses; capacities of past steps, and of the current one at t = 1 and 2.

    Raises:
        ConfigurationError: a parameter out of range.

    Example:
        >>> AdaptiveStrategy.for_setting(2)
        AdaptiveStrategy(adjusting_rate=0.02, scaling_factor=6.0, choice='max', attitude='resource')
    """

    name: ClassVar[str] = "adaptive"

    adjusting_rate: float = 0.01
    scaling_factor: float = 4.0
    choice: Literal["max", "roulette"] = "max"
    attitude: Literal["resource", "agent"] = "resource"

    def __post_init__(self) -> None:
        one_of("choice", self.choice, ("max", "roulette"))
        one_of("attitude", self.attitude, ("resource", "agent"))
        super().__post_init__()

    @classmethod
    def for_setting(
        cls,
        n: int,
        *,
        choice: Literal["max", "roulette"] = "max",
        attitude: Literal["resource", "agent"] = "resource",
    ) -> Self:
        """Returns the strategy with the parameters that the paper tuned for one of its experiment settings.

        Args:
            n: 1, 2 or 3.
            choice: as in the class.
            attitude: as in the class.

        Raises:
            ConfigurationError: no such setting.
        """
        tuned = {1: (0.01, 4.0), 2: (0.02, 6.0), 3: (0.02, 4.0)}
        return cls(*tuned[setting_number(n)], choice=choice, attitude=attitude)

    def _native(self) -> _native.AllocationStrategy:
        return _native.AllocationStrategy.adaptive(
            real("adjusting_rate", self.adjusting_rate),
            real("scaling_factor", self.scaling_factor),
            self.choice == "roulette",
            self.attitude == "agent",
        )


@dataclass(frozen=True)
class LamLeungStrategy(Strategy):
    """The strategy of Lam & Leung 2007, as She & Leung 2009 describe it in sections 2 and 4.2.

    An agent takes the resource with the largest (1 - a) * h + a * u: h is the part of the last `history`
    steps in which the resource was not overloaded, u the agent's preference for it, a its attitude. After a
    hit the attitude for the chosen resource rises by `increase`, after a miss it falls by `decrease`.

    Left open there, and decided here: the history is public and the same for all agents; before the first
    step it is random, each entry free or overloaded with even chances; attitudes and preferences are uniform
    random in [0, 1], attitudes are clipped to it, preferences never change; ties go to the lowest index.
    Since h is the same for all, agents herd to what was free lately.

    Args:
        history: steps that h looks back, H, from 1 to 10,000.
        increase: the paper's a_plus, from 0 to 1.
        decrease: the paper's a_minus, from 0 to 1.

    Information: own wins and losses; which resources were overloaded.

    Raises:
        ConfigurationError: a parameter out of range.
    """

    name: ClassVar[str] = "lam-leung"

    history: int = 5
    increase: float = 0.02
    decrease: float = 0.02

    def _native(self) -> _native.AllocationStrategy:
        history = whole("history", self.history, 1, 10_000)
        rates = (real(name, getattr(self, name)) for name in ("increase", "decrease"))
        return _native.AllocationStrategy.lam_leung(history, *rates)


@dataclass(frozen=True)
class GalstyanStrategy(Strategy):
    """The strategy of Galstyan, Kolar & Lerman 2003, as She & Leung 2009 describe it in sections 2 and 4.2.

    An agent watches `neighbours` other agents and owns `tables` lookup tables, all drawn at random once: a
    table says for each combination of the neighbours' last choices which resource to take. The agent follows
    the table with the highest score. After each step every table gains a point if the resource that it had
    suggested was not overloaded, and loses one if it was.

    Left open there, and decided here: neighbours are drawn with replacement from all agents, oneself
    included; their choices before the first step are random; all tables are scored, followed or not, since
    which resources were overloaded is public; equal scores are drawn among, evenly.

    Args:
        neighbours: K, at least 0; Q ** K must be at most 65,536.
        tables: S, from 1 to 256.

    Information: the neighbours' last choices; which resources were overloaded.

    Raises:
        ConfigurationError: a parameter out of range.
    """

    name: ClassVar[str] = "galstyan"

    neighbours: int = 2
    tables: int = 2

    def _native(self) -> _native.AllocationStrategy:
        neighbours = whole("neighbours", self.neighbours, 0, 65_536)
        return _native.AllocationStrategy.galstyan(neighbours, whole("tables", self.tables, 1, 256))


@dataclass(frozen=True)
class WinStayStrategy(Strategy):
    """Stay, unless the capacity goes or the step was lost. No parameters; the paper's own information only.

    - *Follow the capacity.* If the forecast capacity of an agent's resource falls, it leaves with the
      probability of the fall, 1 - C / C_before, for a resource whose forecast rises, in proportion to the
      rises. Loads then move as capacities do, on average, and nobody moves where nothing changes.
    - *Correct what is left.* An agent that lost leaves with a small probability, for another resource in
      proportion to forecast capacities. It starts from the relative error of independent choosers,
      sqrt((1 - share) / C), and tunes itself by the signs of what happens: another loss in a row makes it
      larger (times 1.2, up to 1/2), a change between loss and win smaller (times 0.6, down to half an
      expected mover for the whole resource).
    - The *forecast* is the last capacity, the straight line through the last two, or either of them of
      smoothed capacities (Brown's exponential smoothing with 0.5, 0.2 and 0.08), whichever had the smallest
      discounted squared error (0.97 per step). The first two win where capacities are exact, the smoothed
      ones where they are read with noise.

    At the first step agents choose evenly, at the second in proportion to the capacities of the first.

    Information: own wins and losses; capacities of past steps.
    """

    name: ClassVar[str] = "win-stay"

    def _native(self) -> _native.AllocationStrategy:
        return _native.AllocationStrategy.win_stay()


@dataclass(frozen=True)
class FlowStrategy(Strategy):
    """The excess leaves and goes where there is room. No parameters; needs the last loads to be public.

    With the last load A and the target C of each resource, an agent leaves with probability (A - C)+ / A and
    goes in proportion to (C - A)+. The target is the forecast capacity (that of `WinStayStrategy`), as far as
    the miss of the last step, load less forecast, is corrected at once: C = A + (forecast - last forecast) -
    gain * miss. The gain starts at 1 and follows the correlation of one step's misses with the next one's:
    misses that go on raise it, misses that turn round lower it (down to 0.05), since then chance was chased,
    such as the carelessness of others. If all capacities together are less than all loads, each resource is
    to carry its share of what there is.

    Information: loads and capacities of past steps.
    """

    name: ClassVar[str] = "flow"

    def _native(self) -> _native.AllocationStrategy:
        return _native.AllocationStrategy.flow()


@dataclass(frozen=True)
class RandomStrategy(Strategy):
    """A yardstick: each agent draws a resource at every step, in proportion to the forecast capacities.

    Its deviation is about the mean of C * (1 - C / N), whatever the capacities do.

    Information: capacities of past steps.
    """

    name: ClassVar[str] = "random"

    def _native(self) -> _native.AllocationStrategy:
        return _native.AllocationStrategy.random()


@dataclass(frozen=True)
class PreviousCapacityStrategy(Strategy):
    """A yardstick: a centre deals the agents out by the capacities of the last step, rounded to whole agents.

    What can be had by knowing who else is there, but not the future.

    Information: capacities of past steps, and a centre that tells each agent where to go.
    """

    name: ClassVar[str] = "previous-capacity"

    def _native(self) -> _native.AllocationStrategy:
        return _native.AllocationStrategy.previous_capacity()


STRATEGIES: Final[Mapping[str, type[Strategy]]] = MappingProxyType(
    {
        strategy.name: strategy
        for strategy in (
            AdaptiveStrategy,
            LamLeungStrategy,
            GalstyanStrategy,
            WinStayStrategy,
            FlowStrategy,
            RandomStrategy,
            PreviousCapacityStrategy,
        )
    },
)
"""Every strategy by its name; each can be made without arguments."""

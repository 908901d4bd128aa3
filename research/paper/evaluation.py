"""The whole evaluation of She & Leung 2009, and what lies beyond it, as one plan of simulations.

A plan is data: which simulations, under which keys. `run` carries it out and returns what was measured; how
it is shown is the business of the caller (`python -m paper` makes a page of it). Nothing here is fitted to
what was published.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from safeguards.allocation.settings import (
    experiment_setting,
    random_walk_setting,
    step_change_setting,
)
from safeguards.allocation.simulation import SimulationResult, simulate
from safeguards.allocation.strategies import (
    AdaptiveStrategy,
    FlowStrategy,
    GalstyanStrategy,
    LamLeungStrategy,
    PreviousCapacityStrategy,
    RandomStrategy,
    Strategy,
    WinStayStrategy,
)
from safeguards.cli._allocation import PAPER_STRATEGIES, WARM_UP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    Key = tuple[Any, ...]
    Plan = Mapping[Key, "Simulation"]

__all__ = [
    "ADJUSTING_RATES",
    "AGENTS",
    "ALL_STRATEGIES",
    "CONDITIONS",
    "LIVE_STRATEGIES",
    "PAPER_STRATEGIES",
    "RESOURCES",
    "SCALING_FACTORS",
    "SETTINGS",
    "VARIANTS",
    "WARM_UP",
    "Measured",
    "Simulation",
    "plan",
    "run",
    "strategy_for",
]

SETTINGS: Final = (1, 2, 3)
ADJUSTING_RATES: Final = tuple(n / 100 for n in range(1, 11))
SCALING_FACTORS: Final = tuple(float(f) for f in range(2, 11))
VARIANTS: Final[tuple[tuple[Literal["max", "roulette"], Literal["resource", "agent"]], ...]] = (
    ("max", "resource"),
    ("max", "agent"),
    ("roulette", "resource"),
    ("roulette", "agent"),
)
"""Readings of how an agent of the adaptive strategy chooses, and of what it has an attitude for."""
CONDITIONS: Final[Mapping[str, tuple[float, ...]]] = {
    "observation_noise": (0.0, 0.01, 0.02, 0.05, 0.1),
    "careless_fraction": (0.0, 0.1, 0.2, 0.3),
    "task_units": (1, 2, 5, 10),
    "task_steps": (1, 2, 5, 10),
}
AGENTS: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
RESOURCES: Final = (2, 3, 4, 8, 16, 32)

_WALKS = 10


@dataclass(frozen=True)
class Simulation:
    """One simulation of a plan, over one or several capacities.

    Attributes:
        capacities: (T, Q) capacities; several are averaged over, each with its share of the trials.
        strategy: what the agents follow.
        options: anything else that `simulate` takes.
        keep: whether the loads are kept, for a figure.
    """

    capacities: tuple[NDArray[np.float64], ...]
    strategy: Strategy
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    keep: bool = False

    @property
    def work(self) -> int:
        """Agent-steps, as a measure of how long it takes."""
        trials: int = self.options.get("trials", 100)
        agents: int = self.options.get("n_agents", 1000)
        return sum(len(c) for c in self.capacities) * self._share(trials) * agents

    def _share(self, trials: int) -> int:
        return -(-trials // len(self.capacities))

    def run(self, threads: int | None, progress: Callable[[int, int], object] | None) -> Measured:
        """Carries it out."""
        options = dict(self.options)
        options["trials"] = self._share(options.get("trials", 100))
        seed = options.pop("seed", 0)
        results = [
            simulate(
                c,
                self.strategy,
                seed=seed + n,
                threads=threads,
                progress=self._part(n, progress),
                keep_loads=self.keep,
                **options,
            )
            for n, c in enumerate(self.capacities)
        ]
        return _measure(results, keep=self.keep)

    def _part(
        self, n: int, progress: Callable[[int, int], object] | None
    ) -> Callable[[int, int], object] | None:
        """Progress of the n-th of its capacities as part of all of them."""
        if progress is None:
            return None
        parts = len(self.capacities)
        return lambda now, steps: progress(n * steps + now, parts * steps)


@dataclass(frozen=True)
class Measured:
    """What a simulation gave.

    Attributes:
        average_deviation: equation (5), mean over steps, resources and trials, in units squared.
        standard_deviation: of the trials' deviations around it (0 for a single trial).
        settled_deviation: the same as the first without the first `WARM_UP` steps.
        deviation_of_mean_load: equation (5) of the load averaged over trials, the other order of averaging.
        trials: how many.
        result: the loads, if they were kept.
    """

    average_deviation: float
    standard_deviation: float
    settled_deviation: float
    deviation_of_mean_load: float
    trials: int
    result: SimulationResult | None


def _measure(results: list[SimulationResult], *, keep: bool) -> Measured:
    import numpy as np

    deviations = np.concatenate([result.trial_deviations for result in results])
    settled = [result.after(min(WARM_UP, len(result.capacities) - 1)).average_deviation for result in results]
    of_mean = [float(((r.mean_loads - r.capacities) ** 2).mean()) for r in results]
    return Measured(
        average_deviation=float(deviations.mean()),
        standard_deviation=float(deviations.std(ddof=1)) if len(deviations) > 1 else 0.0,
        settled_deviation=float(np.mean(settled)),
        deviation_of_mean_load=float(np.mean(of_mean)),
        trials=len(deviations),
        result=results[0] if keep else None,
    )


def plan(*, trials: int = 100, seed: int = 0, largest: int = 1_000_000) -> dict[Key, Simulation]:
    """Returns every simulation of the evaluation.

    The first part of a key names the section:

    - `("table 1", setting, strategy)`: the paper's table; loads are kept for Figures 1 to 9;
    - `("as printed", setting, strategy)`: settings 2 and 3 to the letter, the latter until a capacity is
      negative;
    - `("variant", setting, choice, attitude)`: readings of how an agent chooses;
    - `("sweep", setting, adjusting rate, scaling factor)`: section 4.3;
    - `("beyond", setting, strategy)`: all strategies, also on ten random walks and ten step changes;
    - `("condition", option, value, strategy)`: noise, carelessness and larger tasks, on setting 1;
    - `("agents", N, strategy)`: setting 1 scaled; `("resources", Q, strategy)`: random walks.

    Args:
        trials: of each simulation; those with many agents make fewer, two at least.
        seed: of every simulation.
        largest: largest number of agents in the section on scale.
    """
    common: dict[str, Any] = {"trials": trials, "seed": seed}
    sections = (
        _table_1(common),
        _as_printed(common),
        _variants(common),
        _sweep(common),
        _beyond(common),
        _conditions(common),
        _scale(common, largest),
    )
    return dict(itertools.chain.from_iterable(sections))


def run(
    simulations: Plan,
    *,
    threads: int | None = None,
    progress: Callable[[int, int, Key], object] | None = None,
) -> dict[Key, Measured]:
    """Carries a plan out, simulation after simulation.

    Args:
        simulations: from `plan`, or part of it.
        threads: most threads to use; default: one per core.
        progress: called now and then with (agent-steps done, agent-steps in all, the key at work).
    """
    in_all = sum(simulation.work for simulation in simulations.values())
    done = 0
    measured: dict[Key, Measured] = {}
    for key, simulation in simulations.items():
        if progress is not None:
            progress(done, in_all, key)
        measured[key] = simulation.run(threads, _within(progress, done, in_all, key, simulation.work))
        done += simulation.work
    if progress is not None:
        progress(in_all, in_all, ())
    return measured


def _within(
    progress: Callable[[int, int, Key], object] | None,
    done: int,
    in_all: int,
    key: Key,
    work: int,
) -> Callable[[int, int], object] | None:
    """Progress of one simulation as part of all."""
    if progress is None:
        return None
    return lambda now, steps: progress(done + min(work, work * now // steps), in_all, key)


def strategy_for(name: str, setting: object) -> Strategy:
    """Returns a strategy by name, with the parameters that the paper tuned for a setting if it did."""
    if name == "adaptive":
        return AdaptiveStrategy.for_setting(setting) if setting in SETTINGS else AdaptiveStrategy(0.02, 4.0)
    strategies = (
        LamLeungStrategy(),
        GalstyanStrategy(),
        WinStayStrategy(),
        FlowStrategy(),
        RandomStrategy(),
        PreviousCapacityStrategy(),
    )
    return {strategy.name: strategy for strategy in strategies}[name]


def _table_1(common: Mapping[str, Any]) -> Iterator[tuple[Key, Simulation]]:
    for setting, name in itertools.product(SETTINGS, PAPER_STRATEGIES):
        capacities = experiment_setting(setting)
        yield (
            ("table 1", setting, name),
            Simulation((capacities,), strategy_for(name, setting), common, keep=True),
        )


def _as_printed(common: Mapping[str, Any]) -> Iterator[tuple[Key, Simulation]]:
    third = experiment_setting(3, as_printed=True)
    feasible = third[: int((third < 0).any(axis=1).argmax())]
    for setting, capacities in ((2, experiment_setting(2, as_printed=True)), (3, feasible)):
        for name in PAPER_STRATEGIES:
            strategy = strategy_for(name, setting)
            yield ("as printed", setting, name), Simulation((capacities,), strategy, common, keep=True)


def _variants(common: Mapping[str, Any]) -> Iterator[tuple[Key, Simulation]]:
    for setting, (choice, attitude) in itertools.product(SETTINGS, VARIANTS):
        strategy = AdaptiveStrategy.for_setting(setting, choice=choice, attitude=attitude)
        yield (
            ("variant", setting, choice, attitude),
            Simulation((experiment_setting(setting),), strategy, common),
        )


def _sweep(common: Mapping[str, Any]) -> Iterator[tuple[Key, Simulation]]:
    for setting, rate, factor in itertools.product(SETTINGS, ADJUSTING_RATES, SCALING_FACTORS):
        capacities = experiment_setting(setting)
        yield (
            ("sweep", setting, rate, factor),
            Simulation((capacities,), AdaptiveStrategy(rate, factor), common),
        )


def _beyond(common: Mapping[str, Any]) -> Iterator[tuple[Key, Simulation]]:
    settings: dict[object, tuple[NDArray[np.float64], ...]] = {
        **{n: (experiment_setting(n),) for n in SETTINGS},
        "random walk": tuple(random_walk_setting(seed=seed) for seed in range(_WALKS)),
        "step change": tuple(step_change_setting(seed=seed) for seed in range(_WALKS)),
    }
    for name, (setting, capacities) in itertools.product(ALL_STRATEGIES, settings.items()):
        keep = name in ("win-stay", "flow") and setting in (2, "random walk", "step change")
        yield (
            ("beyond", setting, name),
            Simulation(capacities, strategy_for(name, setting), common, keep=keep),
        )


def _conditions(common: Mapping[str, Any]) -> Iterator[tuple[Key, Simulation]]:
    for option, values in CONDITIONS.items():
        for value, name in itertools.product(values, LIVE_STRATEGIES):
            units = int(value) if option == "task_units" else 1
            capacities = experiment_setting(1, total=1000.0 * units)
            options = {**common, option: value}
            yield (
                ("condition", option, value, name),
                Simulation((capacities,), strategy_for(name, 1), options),
            )


def _scale(common: Mapping[str, Any], largest: int) -> Iterator[tuple[Key, Simulation]]:
    for agents, name in itertools.product((n for n in AGENTS if n <= largest), LIVE_STRATEGIES):
        trials = common["trials"] * 1000 // max(agents, 1000)
        options = {**common, "n_agents": agents, "trials": max(trials, min(2, common["trials"]))}
        capacities = experiment_setting(1, total=float(agents))
        yield ("agents", agents, name), Simulation((capacities,), strategy_for(name, 1), options)
    for resources in RESOURCES:
        walks = tuple(
            random_walk_setting(n_resources=resources, sigma=15 / resources, least=150 / resources, seed=seed)
            for seed in range(_WALKS)
        )
        for name in LIVE_STRATEGIES:
            yield ("resources", resources, name), Simulation(walks, strategy_for(name, None), common)


ALL_STRATEGIES: Final = (*PAPER_STRATEGIES, "win-stay", "flow", "random", "previous-capacity")
LIVE_STRATEGIES: Final = ("adaptive", "win-stay", "flow", "random")
"""Those of the sections on conditions and scale: the paper's, the parameter-free ones, and a yardstick."""

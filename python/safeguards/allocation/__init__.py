"""Agents that share resources of changing capacity, without a centre.

The system of She & Leung, "An adaptive strategy for resource allocation with changing capacities" (2009), run
in native code, and strategies beyond it:

- `simulate` runs N agents that follow one strategy against capacities over time; `sweep` runs a table of it;
- `experiment_setting`, `random_walk_setting`, `step_change_setting` make capacities;
- `CustomStrategy` runs a rule of your own, `MixedStrategy` several side by side;
- `AdaptiveStrategy` and the other strategies are values; `strategy.agents(...)` gives agents for one's own
  loop;
- `ResourceSelector` lets the agents of a running program choose among real resources.

Example:
    >>> from safeguards.allocation import FlowStrategy, experiment_setting, simulate
    >>> result = simulate(experiment_setting(1), FlowStrategy(), trials=3)
    >>> result.loads.shape
    (3, 1000, 3)
    >>> result.after(20).average_deviation < 2
    True
"""

from safeguards._later import later
from safeguards.allocation.populations import CustomStrategy, MixedStrategy, Population, Public
from safeguards.allocation.selector import ResourceSelector
from safeguards.allocation.settings import (
    PUBLISHED_DEVIATIONS,
    experiment_setting,
    random_walk_setting,
    step_change_setting,
)
from safeguards.allocation.simulation import SimulationResult, simulate
from safeguards.allocation.strategies import (
    STRATEGIES,
    AdaptiveStrategy,
    FlowStrategy,
    GalstyanStrategy,
    LamLeungStrategy,
    PreviousCapacityStrategy,
    RandomStrategy,
    Strategy,
    StrategyAgents,
    WinStayStrategy,
)
from safeguards.allocation.sweeps import SweepResult, sweep

__all__ = [
    "PUBLISHED_DEVIATIONS",
    "STRATEGIES",
    "AdaptiveStrategy",
    "CustomStrategy",
    "FlowStrategy",
    "GalstyanStrategy",
    "LamLeungStrategy",
    "MixedStrategy",
    "Population",
    "PreviousCapacityStrategy",
    "Public",
    "RandomStrategy",
    "ResourceSelector",
    "SimulationResult",
    "Strategy",
    "StrategyAgents",
    "SweepResult",
    "WinStayStrategy",
    "experiment_setting",
    "random_walk_setting",
    "simulate",
    "step_change_setting",
    "sweep",
]

__getattr__, __dir__ = later(__name__)

"""The compiled core."""

from collections.abc import Callable
from typing import final

import numpy as np
from numpy.typing import NDArray

# --- allocation ---

@final
class AllocationStrategy:
    """A strategy and its parameters, checked when it is used."""

    @staticmethod
    def adaptive(
        adjusting_rate: float,
        scaling_factor: float,
        roulette: bool,
        per_agent: bool,
    ) -> AllocationStrategy: ...
    @staticmethod
    def lam_leung(history: int, increase: float, decrease: float) -> AllocationStrategy: ...
    @staticmethod
    def galstyan(neighbours: int, tables: int) -> AllocationStrategy: ...
    @staticmethod
    def win_stay() -> AllocationStrategy: ...
    @staticmethod
    def flow() -> AllocationStrategy: ...
    @staticmethod
    def random() -> AllocationStrategy: ...
    @staticmethod
    def previous_capacity() -> AllocationStrategy: ...
    def check(self, resources: int) -> None: ...
    def bytes_per_agent(self, resources: int) -> int: ...

@final
class AllocationAgents:
    """N agents for one's own loop."""

    def __new__(
        cls,
        strategy: AllocationStrategy,
        n_agents: int,
        n_resources: int,
        seed: int,
        initial_attitudes: NDArray[np.float64] | None,
    ) -> AllocationAgents: ...
    @property
    def step(self) -> int: ...
    def choose(self, capacities: NDArray[np.float64]) -> NDArray[np.uint16]: ...
    def update(self, overloaded: NDArray[np.bool_], loads: NDArray[np.int64] | None) -> None: ...

@final
class AllocationSelector:
    """The live selector; resources are numbers here."""

    def __new__(
        cls,
        strategy: AllocationStrategy,
        n_resources: int,
        max_agents: int,
        seed: int,
    ) -> AllocationSelector: ...
    @property
    def n_agents(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def bytes_per_agent(self) -> int: ...
    def choose(self, agent_id: str) -> int: ...
    def report(self, agent_id: str, resource: int, overloaded: bool) -> bool: ...
    def observe_capacity(self, resource: int, capacity: float) -> None: ...
    def advance(self) -> NDArray[np.int64]: ...
    def forget(self, agent_id: str) -> None: ...

def simulate_allocation(
    strategy: AllocationStrategy,
    capacities: NDArray[np.float64],
    *,
    n_agents: int,
    trials: int,
    seed: int,
    initial_attitudes: NDArray[np.float64] | None,
    observation_noise: float,
    careless_fraction: float,
    task_units: int,
    task_steps: int,
    allow_scarcity: bool,
    threads: int,
    progress: Callable[[int], object] | None,
) -> NDArray[np.int64]:
    """Runs all trials; the loads as an int64 array of shape (trials, T, Q)."""

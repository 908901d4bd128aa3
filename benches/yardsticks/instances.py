"""Random problems, and the allocator that is asked for their solution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from safeguards import Allocation, BudgetCoordinator, CostBenefitAllocator, ManualClock


def allocator_for(n_agents: int, **options: Any) -> CostBenefitAllocator:
    """An allocator whose coordinator knows agent_0 to agent_{n-1}, on a clock that stands still."""
    coordinator = BudgetCoordinator(clock=ManualClock())
    coordinator.create_budget_pool("team", 1000)
    for number in range(n_agents):
        coordinator.register_agent(f"agent_{number}", "team")
    return CostBenefitAllocator(coordinator, **options)


@dataclass(frozen=True)
class Instance:
    """Operations of agents 0 to n - 1, and what is to be split."""

    agents: list[int]
    cost: list[int]
    benefit: list[int]
    variability: list[float]
    volumes: list[int | None]
    total: int
    floor: float
    tolerance: float

    @property
    def n_agents(self) -> int:
        return max(self.agents) + 1

    @property
    def roi(self) -> np.ndarray:
        return np.array(self.benefit) / np.array(self.cost)

    @property
    def deviation(self) -> np.ndarray:
        return np.array(self.variability) * self.roi

    @property
    def caps(self) -> np.ndarray:
        """As shares of the total."""
        volumes = [np.inf if volume is None else float(volume) for volume in self.volumes]
        return np.array(volumes) * np.array(self.cost) / self.total

    @property
    def reachable(self) -> list[int]:
        """Operations that an agent may use: none of its others without a cap returns more."""
        roi = self.roi
        uncapped = [k for k, volume in enumerate(self.volumes) if volume is None]
        best = {
            a: max((roi[k] for k in uncapped if self.agents[k] == a), default=0) for a in set(self.agents)
        }
        return [k for k, agent in enumerate(self.agents) if roi[k] >= best[agent]]

    def objective(self, shares: np.ndarray) -> float:
        variance = float(np.sum((self.deviation * shares) ** 2))
        if self.tolerance == 0:
            return -variance / 2
        risk = (1 - self.tolerance) / (2 * self.tolerance)
        return float(np.sum(self.roi * shares)) - risk * variance


def random_instance(seed: int) -> Instance:
    random = np.random.default_rng(seed)
    n_agents = int(random.integers(1, 12))
    n = int(random.integers(n_agents, 25))
    agents = [*range(n_agents), *random.integers(0, n_agents, n - n_agents).tolist()]
    total = 1000
    volumes = [None if random.random() < 0.4 else int(random.integers(0, 60)) for _ in range(n)]
    return Instance(
        agents=agents,
        cost=random.integers(1, 30, n).tolist(),
        benefit=random.integers(0, 100, n).tolist(),
        variability=[0.0 if random.random() < 0.1 else float(v) for v in random.uniform(0, 1.5, n)],
        volumes=volumes,
        total=total,
        floor=float(random.choice([0, 0, 0.01, 0.03, 1 / n_agents])),
        tolerance=float(random.choice([0, 1, *random.uniform(0, 1, 4)])),
    )


def registered(instance: Instance) -> CostBenefitAllocator:
    """An allocator that knows the operations of an instance."""
    allocator = allocator_for(instance.n_agents)
    columns = (instance.agents, instance.cost, instance.benefit, instance.variability, instance.volumes)
    for number, (agent, *figures, volume) in enumerate(zip(*columns, strict=True)):
        allocator.register_operation(f"agent_{agent}", f"task_{number}", *figures, max_volume=volume)
    return allocator


def optimize(instance: Instance) -> Allocation:
    return registered(instance).optimize_allocation(instance.total, instance.floor, instance.tolerance)


def shares_of(allocation: Allocation, instance: Instance) -> np.ndarray:
    """The share of each operation, in the order of the instance."""
    shares = np.zeros(len(instance.agents))
    for share in allocation.operations:
        shares[int(share.operation_type.removeprefix("task_"))] = float(share.amount) / instance.total
    return shares

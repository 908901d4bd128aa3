"""The platform that the benches run on: agents of ours in pools, two levels, with their history."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from safeguards import BudgetCoordinator
from safeguards.testing import ManualClock

AMOUNT = Decimal("0.0017")
RESERVED = Decimal("0.0030")
BUDGET = Decimal(10**9)
UNITS = 10**9
"""Of the batch API: one unit is 1e-9."""


@dataclass(frozen=True)
class Fleet:
    coordinator: BudgetCoordinator
    pools: tuple[str, ...]
    agents: tuple[str, ...]

    def spent(self, agent: str) -> Decimal:
        """What the agent spent by its own account."""
        return BUDGET - self.coordinator.get_budget(agent)

    def spent_by_pools(self) -> Decimal:
        return BUDGET * len(self.pools) - sum(self.coordinator.get_pool_budget(pool) for pool in self.pools)

    def prove(self, operations: int) -> str:
        """Check the books after so many debits of AMOUNT: by the agents, and again by the pools."""
        expected = operations * AMOUNT
        by_agents = sum(map(self.spent, self.agents))
        assert by_agents == expected, f"{by_agents} spent, expected {expected}"
        assert self.spent_by_pools() == expected, f"{self.spent_by_pools()} by pools, expected {expected}"
        self.coordinator.verify()
        return "exact"


def fleet(n_agents: int = 100, *, agents_per_pool: int = 1_000, clock: ManualClock | None = None) -> Fleet:
    """Register agents, each with a budget that the benches cannot exhaust."""
    coordinator = BudgetCoordinator(clock=clock)
    n_pools = -(-n_agents // agents_per_pool)
    pools = tuple(coordinator.create_budget_pool(f"pool-{i}", BUDGET) for i in range(n_pools))
    agents = tuple(
        coordinator.register_agent(f"agent-{i}", pools[i // agents_per_pool], initial_budget=BUDGET)
        for i in range(n_agents)
    )
    return Fleet(coordinator, pools, agents)

"""Budgets by cost and benefit: money goes where it returns most, as surely as you want it.

Tell what each agent's operations cost and bring; `optimize_allocation` splits a total among the agents;
`record_outcome` learns what they really cost and bring; `evaluate_effectiveness` says how well it went.
`safeguards.budget.cost_benefit.plots` draws an allocation.

Example:
    >>> from safeguards import BudgetCoordinator
    >>> coordinator = BudgetCoordinator()
    >>> team = coordinator.create_budget_pool("team", 1000)
    >>> allocator = CostBenefitAllocator(coordinator)
    >>> for agent, benefit in (("writer", 30), ("tester", 20)):
    ...     _ = coordinator.register_agent(agent, team)
    ...     allocator.register_operation(agent, "task", 10, benefit, 0.2, max_volume=60)
    >>> print(allocator.optimize_allocation(1000, min_allocation_percentage=0.1, risk_tolerance=1))
    writer  600  60.0 %
    tester  400  40.0 %
"""

from safeguards._later import later
from safeguards.budget.cost_benefit._allocation import Allocation, OperationShare
from safeguards.budget.cost_benefit._allocator import CostBenefitAllocator
from safeguards.budget.cost_benefit._effectiveness import Effectiveness
from safeguards.budget.cost_benefit._operation import OperationEstimate

__all__ = [
    "Allocation",
    "CostBenefitAllocator",
    "Effectiveness",
    "OperationEstimate",
    "OperationShare",
]

__getattr__, __dir__ = later(__name__)

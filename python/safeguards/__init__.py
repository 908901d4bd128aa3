"""Budget control for platforms that run many AI agents.

Never overspent: a budget of 1.00 hit by 50 threads with 0.10 each admits exactly 10, to the last digit.
`BudgetCoordinator` is where to start.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from safeguards._native import ManualClock, SystemClock
from safeguards.budget.multi_resource import (
    FairShares,
    MultiResourceBudget,
    ResourceReceipt,
    ResourceReservation,
    fair_shares,
    fair_tasks,
)
from safeguards.budget.rate_limiter import BudgetRateLimiter
from safeguards.core.budget_coordination import Account, BudgetCoordinator, Receipt, Reservation
from safeguards.core.notification_manager import NotificationManager
from safeguards.exceptions import (
    BooksError,
    BudgetError,
    BudgetExceededError,
    ConfigurationError,
    IdempotencyConflictError,
    InfeasibleAllocationError,
    InvalidAmountError,
    MissingExtraError,
    RateLimitExceededError,
    ReservationError,
    RewardError,
    SafeguardsError,
    TraceError,
    UnknownAgentError,
    UnknownPoolError,
    UnknownResourceError,
)
from safeguards.types import (
    AgentPriority,
    Alert,
    AlertSeverity,
    BudgetEvent,
    BudgetMetrics,
    BudgetPrediction,
    Decision,
    FairShare,
    RateLimit,
    ResourceMetrics,
    UsageEvent,
)

if TYPE_CHECKING:
    from safeguards.budget.cost_benefit import (
        Allocation,
        CostBenefitAllocator,
        Effectiveness,
        OperationEstimate,
        OperationShare,
    )
    from safeguards.budget.pattern_learner import BudgetPatternLearner
    from safeguards.budget.rl_optimizer import (
        BudgetPolicy,
        BudgetRLOptimizer,
        PolicyEvaluation,
        RewardFunction,
        RewardWeights,
    )
    from safeguards.budget.time_scheduler import (
        BudgetTimeScheduler,
        Occurrence,
        ScheduleIssue,
        TimeProfile,
        Transition,
    )
    from safeguards.budget.usage_patterns import UsageAnomaly, UsagePatterns
    from safeguards.core.controller import Controller
    from safeguards.core.dynamic_budget import AdaptivePoolSizer, PriorityBasedReallocator

__all__ = [
    "Account",
    "AdaptivePoolSizer",
    "AgentPriority",
    "Alert",
    "AlertSeverity",
    "Allocation",
    "BooksError",
    "BudgetCoordinator",
    "BudgetError",
    "BudgetEvent",
    "BudgetExceededError",
    "BudgetMetrics",
    "BudgetPatternLearner",
    "BudgetPolicy",
    "BudgetPrediction",
    "BudgetRLOptimizer",
    "BudgetRateLimiter",
    "BudgetTimeScheduler",
    "ConfigurationError",
    "Controller",
    "CostBenefitAllocator",
    "Decision",
    "Effectiveness",
    "FairShare",
    "FairShares",
    "IdempotencyConflictError",
    "InfeasibleAllocationError",
    "InvalidAmountError",
    "ManualClock",
    "MissingExtraError",
    "MultiResourceBudget",
    "NotificationManager",
    "Occurrence",
    "OperationEstimate",
    "OperationShare",
    "PolicyEvaluation",
    "PriorityBasedReallocator",
    "RateLimit",
    "RateLimitExceededError",
    "Receipt",
    "Reservation",
    "ReservationError",
    "ResourceMetrics",
    "ResourceReceipt",
    "ResourceReservation",
    "RewardError",
    "RewardFunction",
    "RewardWeights",
    "SafeguardsError",
    "ScheduleIssue",
    "SystemClock",
    "TimeProfile",
    "TraceError",
    "Transition",
    "UnknownAgentError",
    "UnknownPoolError",
    "UnknownResourceError",
    "UsageAnomaly",
    "UsageEvent",
    "UsagePatterns",
    "fair_shares",
    "fair_tasks",
]

# What steers budgets is imported when it is first asked for: who only guards a budget does not wait for it.
_LATER = {
    "AdaptivePoolSizer": "safeguards.core.dynamic_budget",
    "Allocation": "safeguards.budget.cost_benefit",
    "BudgetPolicy": "safeguards.budget.rl_optimizer",
    "BudgetRLOptimizer": "safeguards.budget.rl_optimizer",
    "BudgetTimeScheduler": "safeguards.budget.time_scheduler",
    "BudgetPatternLearner": "safeguards.budget.pattern_learner",
    "Controller": "safeguards.core.controller",
    "CostBenefitAllocator": "safeguards.budget.cost_benefit",
    "Effectiveness": "safeguards.budget.cost_benefit",
    "Occurrence": "safeguards.budget.time_scheduler",
    "OperationEstimate": "safeguards.budget.cost_benefit",
    "OperationShare": "safeguards.budget.cost_benefit",
    "PolicyEvaluation": "safeguards.budget.rl_optimizer",
    "RewardFunction": "safeguards.budget.rl_optimizer",
    "RewardWeights": "safeguards.budget.rl_optimizer",
    "ScheduleIssue": "safeguards.budget.time_scheduler",
    "TimeProfile": "safeguards.budget.time_scheduler",
    "Transition": "safeguards.budget.time_scheduler",
    "UsageAnomaly": "safeguards.budget.usage_patterns",
    "UsagePatterns": "safeguards.budget.usage_patterns",
    "PriorityBasedReallocator": "safeguards.core.dynamic_budget",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'safeguards' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LATER[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__

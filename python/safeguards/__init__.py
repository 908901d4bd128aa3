"""Budget control for platforms that run many AI agents.

Never overspent: a budget of 1.00 hit by 50 threads with 0.10 each admits exactly 10, to the last digit.
`BudgetCoordinator` is where to start.
"""

from typing import TYPE_CHECKING

from safeguards import _native
from safeguards._later import later
from safeguards._native import ManualClock, SystemClock
from safeguards.budget.rate_limiter import BudgetRateLimiter
from safeguards.core.budget_coordination import Account, BudgetCoordinator, Receipt, Reservation
from safeguards.core.notification_manager import NotificationManager
from safeguards.exceptions import (
    AccountSuspendedError,
    ArgumentTypeError,
    BooksError,
    BudgetError,
    BudgetExceededError,
    ClosedError,
    ConfigurationError,
    ControllerBusyError,
    IdempotencyConflictError,
    IdempotencyInProgressError,
    InfeasibleAllocationError,
    InvalidAmountError,
    JournalError,
    MissingExtraError,
    PinnedError,
    RateLimitExceededError,
    RefundError,
    ReservationError,
    RewardError,
    SafeguardsError,
    ThreadStartError,
    TraceError,
    UnknownAgentError,
    UnknownPoolError,
    UnknownResourceError,
)
from safeguards.types import (
    AccountInfo,
    AgentInfo,
    AgentPriority,
    Alert,
    AlertSeverity,
    AmountColumn,
    BudgetEvent,
    BudgetMetrics,
    Credit,
    MetricsTable,
    PoolInfo,
    RateLimit,
    Refund,
    RefusalCount,
    ResourceMetrics,
    UsageEvent,
)

if TYPE_CHECKING:
    from safeguards import (
        alerts as alerts,
    )
    from safeguards import (
        allocation as allocation,
    )
    from safeguards import (
        backtest as backtest,
    )
    from safeguards import (
        budget as budget,
    )
    from safeguards import (
        cli as cli,
    )
    from safeguards import (
        core as core,
    )
    from safeguards import (
        exceptions as exceptions,
    )
    from safeguards import (
        integrations as integrations,
    )
    from safeguards import (
        testing as testing,
    )
    from safeguards import (
        types as types,
    )
    from safeguards.budget.cost_benefit import (
        Allocation,
        CostBenefitAllocator,
        Effectiveness,
        OperationEstimate,
        OperationShare,
    )
    from safeguards.budget.multi_resource import (
        FairShares,
        MultiResourceBudget,
        ResourceReceipt,
        ResourceReservation,
        fair_shares,
        fair_tasks,
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
    from safeguards.types.decisions import Adjust, Allot, Deal, Decision, Draw, Resize, SetBudget
    from safeguards.types.predictions import BudgetPrediction
    from safeguards.types.shares import FairShare

__all__ = [
    "Account",
    "AccountInfo",
    "AccountSuspendedError",
    "AdaptivePoolSizer",
    "Adjust",
    "AgentInfo",
    "AgentPriority",
    "Alert",
    "AlertSeverity",
    "Allocation",
    "Allot",
    "AmountColumn",
    "ArgumentTypeError",
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
    "ClosedError",
    "ConfigurationError",
    "Controller",
    "ControllerBusyError",
    "CostBenefitAllocator",
    "Credit",
    "Deal",
    "Decision",
    "Draw",
    "Effectiveness",
    "FairShare",
    "FairShares",
    "IdempotencyConflictError",
    "IdempotencyInProgressError",
    "InfeasibleAllocationError",
    "InvalidAmountError",
    "JournalError",
    "ManualClock",
    "MetricsTable",
    "MissingExtraError",
    "MultiResourceBudget",
    "NotificationManager",
    "Occurrence",
    "OperationEstimate",
    "OperationShare",
    "PinnedError",
    "PolicyEvaluation",
    "PoolInfo",
    "PriorityBasedReallocator",
    "RateLimit",
    "RateLimitExceededError",
    "Receipt",
    "Refund",
    "RefundError",
    "RefusalCount",
    "Reservation",
    "ReservationError",
    "Resize",
    "ResourceMetrics",
    "ResourceReceipt",
    "ResourceReservation",
    "RewardError",
    "RewardFunction",
    "RewardWeights",
    "SafeguardsError",
    "ScheduleIssue",
    "SetBudget",
    "SystemClock",
    "ThreadStartError",
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

__version__: str = _native.__version__

# What steers budgets is imported when it is first asked for: who only guards a budget does not wait for it.
_LATER = {
    name: module
    for module, names in {
        "safeguards.budget.cost_benefit": (
            "Allocation",
            "CostBenefitAllocator",
            "Effectiveness",
            "OperationEstimate",
            "OperationShare",
        ),
        "safeguards.budget.multi_resource": (
            "FairShares",
            "MultiResourceBudget",
            "ResourceReceipt",
            "ResourceReservation",
            "fair_shares",
            "fair_tasks",
        ),
        "safeguards.budget.pattern_learner": ("BudgetPatternLearner",),
        "safeguards.budget.rl_optimizer": (
            "BudgetPolicy",
            "BudgetRLOptimizer",
            "PolicyEvaluation",
            "RewardFunction",
            "RewardWeights",
        ),
        "safeguards.budget.time_scheduler": (
            "BudgetTimeScheduler",
            "Occurrence",
            "ScheduleIssue",
            "TimeProfile",
            "Transition",
        ),
        "safeguards.budget.usage_patterns": ("UsageAnomaly", "UsagePatterns"),
        "safeguards.core.controller": ("Controller",),
        "safeguards.core.dynamic_budget": ("AdaptivePoolSizer", "PriorityBasedReallocator"),
        "safeguards.types.decisions": (
            "Adjust",
            "Allot",
            "Deal",
            "Decision",
            "Draw",
            "Resize",
            "SetBudget",
        ),
        "safeguards.types.predictions": ("BudgetPrediction",),
        "safeguards.types.shares": ("FairShare",),
    }.items()
    for name in names
}
__getattr__, __dir__ = later(__name__, _LATER)

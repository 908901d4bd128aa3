"""Plain values: enums and frozen dataclasses that the whole library speaks in."""

from typing import TYPE_CHECKING

from safeguards._later import later
from safeguards.types.alerts import Alert
from safeguards.types.enums import AgentPriority, AlertSeverity
from safeguards.types.metrics import (
    AccountInfo,
    AgentInfo,
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
    from safeguards.types.decisions import Adjust, Allot, Deal, Decision, Draw, Resize, SetBudget
    from safeguards.types.predictions import BudgetPrediction
    from safeguards.types.shares import FairShare

__all__ = [
    "AccountInfo",
    "Adjust",
    "AgentInfo",
    "AgentPriority",
    "Alert",
    "AlertSeverity",
    "Allot",
    "AmountColumn",
    "BudgetEvent",
    "BudgetMetrics",
    "BudgetPrediction",
    "Credit",
    "Deal",
    "Decision",
    "Draw",
    "FairShare",
    "MetricsTable",
    "PoolInfo",
    "RateLimit",
    "Refund",
    "RefusalCount",
    "Resize",
    "ResourceMetrics",
    "SetBudget",
    "UsageEvent",
]

__getattr__, __dir__ = later(
    __name__,
    {
        "BudgetPrediction": "safeguards.types.predictions",
        "Decision": "safeguards.types.decisions",
        "Adjust": "safeguards.types.decisions",
        "Allot": "safeguards.types.decisions",
        "Deal": "safeguards.types.decisions",
        "Draw": "safeguards.types.decisions",
        "Resize": "safeguards.types.decisions",
        "SetBudget": "safeguards.types.decisions",
        "FairShare": "safeguards.types.shares",
    },
)

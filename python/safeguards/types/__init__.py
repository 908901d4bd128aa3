"""Plain values: enums and frozen dataclasses that the whole library speaks in."""

from safeguards.types.alerts import Alert
from safeguards.types.decisions import Decision
from safeguards.types.enums import AgentPriority, AlertSeverity
from safeguards.types.metrics import BudgetEvent, BudgetMetrics, RateLimit, ResourceMetrics, UsageEvent
from safeguards.types.predictions import BudgetPrediction
from safeguards.types.shares import FairShare

__all__ = [
    "AgentPriority",
    "Alert",
    "AlertSeverity",
    "BudgetEvent",
    "BudgetMetrics",
    "BudgetPrediction",
    "Decision",
    "FairShare",
    "RateLimit",
    "ResourceMetrics",
    "UsageEvent",
]

"""Priorities and severities."""

from enum import IntEnum

__all__ = ["AgentPriority", "AlertSeverity"]


class AgentPriority(IntEnum):
    """How much an agent matters. Every int from 1 to 10 is a valid priority; these have names."""

    MINIMAL = 1
    LOW = 3
    MEDIUM = 5
    HIGH = 8
    CRITICAL = 10


class AlertSeverity(IntEnum):
    """How soon somebody should look."""

    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4

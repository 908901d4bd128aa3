"""What the ledger tells about an account."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from safeguards._values.decimals import add, ratio

__all__ = ["BudgetEvent", "BudgetMetrics", "EventKind", "RateLimit", "ResourceMetrics", "UsageEvent"]

EventKind = Literal[
    "debit",
    "reserve",
    "settle",
    "late_settle",
    "release",
    "expire",
    "update",
    "renew",
    "period_budget",
    "raise",
    "lower",
    "transfer_out",
    "transfer_in",
    "recorded",
]


@dataclass(frozen=True, slots=True)
class BudgetMetrics:
    """The books of an agent or a pool at one instant: `granted == remaining + reserved + spent`.

    Attributes:
        granted: all that was ever granted, less what was taken back.
        remaining: what may still be spent; negative only after an overdraft.
        reserved: set aside by active reservations.
        spent: charged so far.
        initial_budget: what the current period began with. A period begins when a pool's `budget_period`
            does, and whenever the budget is set; at first with the account itself.
        period_granted: granted in the current period: the initial budget, and what was added and taken since.
        period_spent: charged in the current period.
        priority: 1 to 10.
        active_reservations: how many reservations an agent has; 0 for a pool.
    """

    granted: Decimal
    remaining: Decimal
    reserved: Decimal
    spent: Decimal
    initial_budget: Decimal
    period_granted: Decimal
    period_spent: Decimal
    priority: int
    active_reservations: int

    @property
    def utilization(self) -> float:
        """Share of the period's budget that is used: `(spent + reserved) / granted` of the period.

        Above 1 after an overdraft; 0 if nothing was granted.
        """
        return _utilization(self)


@dataclass(frozen=True, slots=True)
class ResourceMetrics:
    """The books of a resource at one instant: `granted == remaining + reserved + spent`.

    Attributes:
        granted: all that was granted, less what was taken back.
        remaining: what may still be spent; negative only after an overdraft.
        reserved: set aside by active reservations.
        spent: charged so far.
        period_granted: granted in the current period, which begins whenever the budget is set.
        period_spent: charged in the current period.
    """

    granted: Decimal
    remaining: Decimal
    reserved: Decimal
    spent: Decimal
    period_granted: Decimal
    period_spent: Decimal

    @property
    def utilization(self) -> float:
        """Share of the period's budget that is used: `(spent + reserved) / granted` of the period.

        Above 1 after an overdraft; 0 if nothing was granted.
        """
        return _utilization(self)


def _utilization(metrics: BudgetMetrics | ResourceMetrics) -> float:
    if not metrics.period_granted:
        return 0.0
    return ratio(add(metrics.period_spent, metrics.reserved), metrics.period_granted)


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """Spending of one agent: one charge, or the sum of an hour that lies further back.

    Attributes:
        start: when it was charged, aware, in UTC; for a sum, the start of its hour.
        amount: how much.
        operation_type: what for, if it was told.
        source: `"ledger"` if it was charged to the budget, `"recorded"` if it was only stated.
        sequence: position of the event in the agent's history, from 1; of a sum, that of its newest event.
    """

    start: datetime
    amount: Decimal
    operation_type: str | None
    source: Literal["ledger", "recorded"]
    sequence: int


@dataclass(frozen=True, slots=True)
class BudgetEvent:
    """One thing that happened to an account.

    Attributes:
        time: when, aware, in UTC.
        kind: what happened.
        amount: how much moved; for `"update"` and `"renew"`, how much remained afterwards.
        operation_type: what for, if it was told.
        sequence: position in the account's history: 1, 2, 3 and so on, without gaps.
    """

    time: datetime
    kind: EventKind
    amount: Decimal
    operation_type: str | None
    sequence: int


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A sliding window of an agent.

    Attributes:
        max_budget: the most that it admits.
        time_window: how long a charge stays in it.
        spent: charged within the last `time_window`.
    """

    max_budget: Decimal
    time_window: timedelta
    spent: Decimal

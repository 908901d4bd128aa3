"""What the ledger tells about an account."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from safeguards._values.copies import Plain
from safeguards._values.decimals import NOTHING, add, of_units, ratio, subtract

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "AccountInfo",
    "AgentInfo",
    "AmountColumn",
    "BudgetEvent",
    "BudgetMetrics",
    "Credit",
    "EventKind",
    "MetricsTable",
    "PoolInfo",
    "RateLimit",
    "Refund",
    "RefusalCount",
    "ResourceMetrics",
    "UsageEvent",
]


EventKind = Literal[
    "debit",
    "reserve",
    "settle",
    "default_settle",
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
    "suspend",
    "resume",
    "enforcement",
    "priority",
    "move",
    "max_budget",
    "would_refuse",
    "overdraft_limit",
    "recorded",
    "unpaid",
    "refund",
    "credit",
    "credit_end",
]


@dataclass(frozen=True, slots=True)
class BudgetMetrics(Plain):
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
        unpaid: what settlements cost beyond the overdraft limits of their paths: charged nowhere, and no part
            of `spent`.
        refunded: charges that were given back; no part of `spent` any more.
        credits: the part of `remaining` that ends by itself.
        suspended: whether somebody has suspended it.
        enforcement: what it does where it cannot pay: `"enforce"`, `"warn"` or `"shadow"`.
        would_refuse: how often it would have refused, and did not enforce.
        budget_refusals: how often this budget has refused: calls, each counted once.
        window_refusals: how often one of its windows has.
        refusals: how often it has for whatever reason; `BudgetCoordinator.get_refusals` says to whom, and
        why.
        currency: what the amounts are amounts of.
        kept: how much of what remains is kept for a call that waits, and so not available to others.
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
    unpaid: Decimal
    refunded: Decimal
    credits: Decimal
    suspended: bool = False
    enforcement: str = "enforce"
    would_refuse: int = field(default=0, compare=False)
    budget_refusals: int = field(default=0, compare=False)  # a refusal changes nothing
    window_refusals: int = field(default=0, compare=False)
    refusals: int = field(default=0, compare=False)
    currency: str = "USD"
    kept: Decimal = field(default=Decimal(0), compare=False)  # it follows from who waits

    @property
    def utilization(self) -> float:
        """Share of the period's budget that is used: `(spent + reserved) / granted` of the period.

        Above 1 after an overdraft; 0 if nothing was granted.
        """
        return _utilization(self)


@dataclass(frozen=True, slots=True)
class RefusalCount(Plain):
    """How often an account has refused an agent one kind of operation, for one reason.

    Attributes:
        account: the agent or pool that refused.
        is_pool: whether it is a pool.
        asked_by: the agent whose operation it was. `None` for the sum of those that are not told apart: an
            account tells its 32 busiest pairs of agent and operation type apart.
        operation_type: what for, if it was told.
        reason: why: `"budget"`, `"window"`, `"resource"` (the agent's budget of a resource) or `"capacity"`
            (what all agents share of one; counted with the agent that asked). There may be more in later
            versions.
        count: how often.
    """

    account: str
    is_pool: bool
    asked_by: str | None
    operation_type: str | None
    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountInfo(Plain):
    """What an account is bound by, and when it is granted its budget.

    Attributes:
        priority: 1 to 10.
        budget_period: as `create_budget_pool` takes it, and all that follow; None if it has none.
        timezone: the zone whose days count: a name, or an offset; None where no calendar counts.
        anchor_day: the day on which periods begin.
        anchor_hour: the hour at which they do.
        rollover: how much of what a period leaves goes into the next one: `"none"`, `"all"`, or an amount.
        overdraft: what becomes of what is missing: `"carry"` or `"forgive"`.
        overdraft_limit: how far below zero facts may take it; None without a bound.
        max_budget: the most that it may have in a period; None without a bound.
        enforcement: what it does where it cannot pay: `"enforce"`, `"warn"` or `"shadow"`.
        renews_at: when the next period begins, aware, in UTC; None if none does.
        period_budget: what periods begin with; None without periods.
    """

    priority: int
    budget_period: str | timedelta | None
    timezone: str | None
    anchor_day: int
    anchor_hour: int
    rollover: str | Decimal
    overdraft: str
    overdraft_limit: Decimal | None
    max_budget: Decimal | None
    enforcement: str
    renews_at: datetime | None
    period_budget: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolInfo(AccountInfo):
    """Where a pool stands, what it is bound by, and when it is granted its budget.

    Attributes:
        name: what people call it.
        parent_id: the pool above it; None at the top.
        pool_ids: the pools right below it, in the order in which they were made.
        agents: how many agents stand right below it; `BudgetCoordinator.get_pool_agents` lists them.
    """

    name: str
    parent_id: str | None
    pool_ids: tuple[str, ...]
    agents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo(AccountInfo):
    """Where an agent stands, what it is bound by, and when it is granted its budget.

    Attributes:
        pool_id: the pool right above it.
    """

    pool_id: str


@dataclass(frozen=True, slots=True)
class Credit(Plain):
    """Money of an account that ends by itself, at one instant.

    What is not left, reserved or spent is gone: it ended with it, or was cut off by a smaller budget.

    Attributes:
        id: the same on every account that was credited in one step; of no other credit of the coordinator.
        amount: what it began with.
        left: what can still be spent of it.
        reserved: what active reservations hold of it.
        spent: what was charged to it, or has filled what was below zero.
        expires_at: when it ends, aware, in UTC.
        ended: whether it has.
    """

    id: int
    amount: Decimal
    left: Decimal
    reserved: Decimal
    spent: Decimal
    expires_at: datetime
    ended: bool


@dataclass(frozen=True, slots=True)
class Refund(Plain):
    """What a refund has done.

    Attributes:
        amount: what was given back.
        refunded: all that was given back of the charge by then.
        remaining: what the agent has left.
        sequence: position of the event in the agent's history.
    """

    amount: Decimal
    refunded: Decimal
    remaining: Decimal
    sequence: int


@dataclass(frozen=True, slots=True, eq=False)
class AmountColumn(Plain):
    """One amount of each account: exact in two columns, and rounded in a third.

    Attributes:
        whole: whole units, rounded down, shape (n,), int64.
        billionths: billionths on top, 0 to 999,999,999, shape (n,), int64.
        rounded: the same, rounded to the nearest float, for display: shape (n,), float64.
    """

    whole: NDArray[np.int64]
    billionths: NDArray[np.int64]
    rounded: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, row: int) -> Decimal:
        """The exact amount of one account."""
        units = int(self.whole[row]) * 10**9 + int(self.billionths[row])
        return of_units(units)


@dataclass(frozen=True, slots=True, eq=False)
class MetricsTable(Plain):
    """The books of all accounts, one row for each: agents first, then pools by id.

    Each row is of one instant. `BudgetMetrics` says what its columns are.

    Attributes:
        ids: ids of the accounts, n of them.
        is_pool: whether it is a pool, shape (n,), bool.
        priority: 1 to 10, shape (n,), uint8.
        granted: amounts.
        remaining: amounts.
        kept: amounts.
        reserved: amounts.
        spent: amounts.
        period_granted: amounts.
        period_spent: amounts.
        credits: amounts.
        active_reservations: of agents, shape (n,), int64.
        budget_refusals: shape (n,), int64.
        window_refusals: shape (n,), int64.
        refusals: shape (n,), int64.
        currency: what the amounts are amounts of.

    Example:
        >>> from safeguards import BudgetCoordinator
        >>> coordinator = BudgetCoordinator()
        >>> team = coordinator.create_budget_pool("team", 10)
        >>> bot = coordinator.register_agent("bot", team, initial_budget="0.1")
        >>> table = coordinator.get_all_metrics()
        >>> table.ids, table.remaining.rounded.tolist(), table.remaining[0]
        (['bot', 'team'], [0.1, 10.0], Decimal('0.1'))
    """

    ids: list[str]
    is_pool: NDArray[np.bool_]
    priority: NDArray[np.uint8]
    granted: AmountColumn
    remaining: AmountColumn
    kept: AmountColumn
    reserved: AmountColumn
    spent: AmountColumn
    period_granted: AmountColumn
    period_spent: AmountColumn
    credits: AmountColumn
    active_reservations: NDArray[np.int64]
    budget_refusals: NDArray[np.int64]
    window_refusals: NDArray[np.int64]
    refusals: NDArray[np.int64]
    currency: str

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        pools = int(self.is_pool.sum())
        return f"MetricsTable({len(self) - pools} agents, {pools} pools, in {self.currency})"


@dataclass(frozen=True, slots=True)
class ResourceMetrics(Plain):
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
class UsageEvent(Plain):
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
    source: Literal["ledger", "recorded", "unpaid"]
    sequence: int


@dataclass(frozen=True, slots=True)
class BudgetEvent(Plain):
    """One thing that happened to an account.

    Attributes:
        time: when, aware, in UTC.
        kind: what happened.
        amount: how much moved; for `"update"` and `"renew"`, how much remained afterwards.
        operation_type: what for, if it was told.
        sequence: position in the account's history: 1, 2, 3 and so on, without gaps.
        actor: who caused it, of the newest that people and controllers have caused; None of all others.
        reason: why.
    """

    time: datetime
    kind: EventKind
    amount: Decimal
    operation_type: str | None
    sequence: int
    actor: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RateLimit(Plain):
    """A sliding window of an agent or a pool, of money or of a resource.

    Attributes:
        max_budget: the most that it admits.
        time_window: how long a charge stays in it.
        spent: charged within the last `time_window`.
        reserved: set aside by active reservations, which it holds until they are settled.
    """

    max_budget: Decimal
    time_window: timedelta
    spent: Decimal
    reserved: Decimal = NOTHING

    @property
    def available(self) -> Decimal:
        """What it admits now: never less than 0."""
        return max(NOTHING, subtract(self.max_budget, add(self.spent, self.reserved)))

"""The coordinator: pools, agents, and the one ledger that decides what may be paid for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, final
from weakref import WeakSet

from safeguards._native import Account, Ledger, Receipt, Reservation, SystemClock
from safeguards._values.arguments import items, shown
from safeguards._values.copies import not_copied
from safeguards.core import _report
from safeguards.core._agents import agent_row
from safeguards.core._observer import AlertObserver
from safeguards.core._tending import Tending
from safeguards.core.notification_manager import NotificationManager
from safeguards.exceptions import BooksError
from safeguards.types.metrics import (
    AgentInfo,
    AmountColumn,
    BudgetEvent,
    BudgetMetrics,
    Credit,
    MetricsTable,
    PoolInfo,
    Refund,
    RefusalCount,
    UsageEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta, tzinfo

    from safeguards._native import Amount, Clock
    from safeguards.core._agents import AgentArguments
    from safeguards.core.controller import Controller
    from safeguards.types.decisions import Decision

__all__ = ["Account", "BudgetCoordinator", "Receipt", "Reservation"]

_INSTEAD = (
    "BudgetCoordinator takes its arguments in __new__ and is not meant to be subclassed: hold one in an "
    "attribute of your class instead"
)
_ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@final
class BudgetCoordinator(Ledger):
    """All budgets of one process: decides before each operation whether it may be paid for.

    Agents are debited; a debit passes through the agent's own budget and through every pool above it, all of
    them or none. Any number of threads and tasks may call any method at any time: no budget is overspent.
    Amounts are `Decimal`, `int` or decimal `str`, exact to 9 decimal places; more places are rounded against
    the spender (charges up, grants down).

    It is not meant to be subclassed, and type checkers are told so: its methods are compiled and do not call
    each other, and its arguments are taken by `__new__`. Hold one in an attribute of your class instead.

    Args:
        notification_manager: whom to tell when spending crosses a threshold; one of its own if not given.
        clock: where to read the time; the system's clocks if not given. `safeguards.testing` has one that
            stands still.
        history_events: latest events of each agent that are kept as they were, at most; at least three
            quarters of so many.
        history_sums: sums by hour, operation type and source that are kept of older usage. Beyond that the
            oldest sums merge, so that no usage is lost. An agent's whole history takes at most about
            `32 * history_events + 48 * history_sums` bytes: 26 KiB as it is.
        currency: what all its amounts are amounts of: 1 to 16 letters, digits, `.`, `_` or `-`. It is told in
            metrics and errors, and nothing is converted.
        patience: seconds for which younger calls pass one that waits (`timeout=`) and does not fit; then what
            comes back is kept for it. `math.inf` keeps nothing.

    Example:
        >>> coordinator = BudgetCoordinator()
        >>> team = coordinator.create_budget_pool("team", "10.00")
        >>> bot = coordinator.register_agent("bot", team, initial_budget="1.00")
        >>> coordinator.try_debit(bot, "0.70"), coordinator.try_debit(bot, "0.70")
        (True, False)
        >>> coordinator.get_budget(bot), coordinator.get_pool_budget(team)
        (Decimal('0.3'), Decimal('9.3'))
    """

    notification_manager: NotificationManager
    clock: Clock
    _observer: AlertObserver
    _controllers: WeakSet[Controller[Any]]
    _tending: dict[str, Tending]

    def __new__(  # noqa: D102 - the class documents it
        cls,
        notification_manager: NotificationManager | None = None,
        *,
        clock: Clock | None = None,
        history_events: int = 64,
        history_sums: int = 512,
        currency: str = "USD",
        patience: float = 1.0,
    ) -> Self:
        manager = NotificationManager() if notification_manager is None else notification_manager
        if not isinstance(manager, NotificationManager):
            text = f"notification_manager must be a NotificationManager, not {shown(manager)}"
            raise TypeError(text if cls is BudgetCoordinator else f"{text}; {_INSTEAD}")
        read_time = SystemClock() if clock is None else clock
        observer = AlertObserver(manager, read_time)
        self = super().__new__(
            cls,
            clock=read_time,
            thresholds=manager.thresholds,
            history_events=history_events,
            history_sums=history_sums,
            observer=observer,
            currency=currency,
            refusals_per_minute=manager.refusals_per_minute,
            patience=patience,
        )
        self.notification_manager = manager
        self.clock = read_time
        self._observer = observer
        self._controllers = WeakSet()
        self._tending = {}
        return self

    def _tend_in(self, seconds: float) -> None:
        tending = self._tending.get("it") or self._tending.setdefault("it", Tending(self))
        tending.tend_in(seconds)

    # What is charged.

    debit = Ledger.debit
    debit_async = Ledger.debit_async
    try_debit = Ledger.try_debit
    reserve = Ledger.reserve
    reserve_async = Ledger.reserve_async
    try_reserve = Ledger.try_reserve
    account = Ledger.account
    reservation = Ledger.reservation
    reservations = Ledger.reservations
    transfer = Ledger.transfer
    expire = Ledger.expire
    handle = Ledger.handle
    debit_many = Ledger.debit_many
    reserve_many = Ledger.reserve_many
    settle_many = Ledger.settle_many
    release_many = Ledger.release_many

    def refund(self, of: Receipt | str, amount: Amount | None = None) -> Refund:
        """Gives part of a charge back, or all that is left of it: what would still be there without it.

        Each account that the charge passed gets it back, if the period in which it was charged still runs
        there; where a period has begun since, by the calendar or because the budget was set, what was left
        has lapsed, and the account gets nothing. Its `spent` falls all the same, in the period of the charge.
        A window gets it back while the charge is in it.

        A charge can be given back for 24 hours. A key whose charge was given back whole has no effect any
        more: the next operation under it is decided anew.

        Args:
            of: the receipt of a debit or of a settlement; or the idempotency key, or the id of the
                reservation, that it was made under (a key that looks like an id is taken for a key).
            amount: how much, more than 9 decimal places are rounded down; all that is left if not given.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            RefundError: the charge is unknown, too old, of resources, or less is left of it; or nothing was
                charged for the reservation. Facts (`record_usage`) and batches cannot be given back.

        Example:
            >>> coordinator = BudgetCoordinator()
            >>> team = coordinator.create_budget_pool("team", 10)
            >>> bot = coordinator.register_agent("bot", team, initial_budget=5)
            >>> receipt = coordinator.debit(bot, 2)
            >>> coordinator.refund(receipt, "0.50").remaining
            Decimal('3.5')
            >>> receipt.refunded, coordinator.get_agent_metrics(bot).spent
            (Decimal('0.5'), Decimal('1.5'))
            >>> coordinator.refund(receipt, 2)
            Traceback (most recent call last):
            safeguards.exceptions.RefundError: 2 cannot be given back of 2, of which 0.5...
        """
        return Refund(*self._refund(of, amount))

    # Accounts that come and go.

    def create_budget_pool(
        self,
        name: str,
        initial_budget: Amount,
        priority: int = 5,
        *,
        parent_id: str | None = None,
        pool_id: str | None = None,
        budget_period: str | timedelta | None = None,
        timezone: str | tzinfo | None = None,
        exist_ok: bool = False,
        anchor_day: int = 1,
        anchor_hour: int = 0,
        rollover: str | Amount = "none",
        overdraft: str = "carry",
        overdraft_limit: Amount | None = None,
        enforcement: Literal["enforce", "warn", "shadow"] = "enforce",
    ) -> str:
        """Makes a pool.

        Args:
            name: what people call it.
            initial_budget: what it may spend; with a period, what each period begins with.
            priority: 1 to 10.
            parent_id: the pool above it, if any. Pools are at most 32 deep.
            pool_id: its id; the name if not given.
            budget_period: `"hourly"`, `"daily"`, `"weekly"` (from Monday), `"monthly"`, `"quarterly"` (from
                January), `"yearly"` or a `timedelta` (from now). At each begin the budget is `initial_budget`
                again, less what is still reserved and less an overdraft; what was left is gone. Days and
                months are those of the calendar in `timezone`, whatever its clock changes: each is granted
                once, and one that was granted is not taken back when the clock is.
            timezone: a name such as `"Europe/Berlin"`, an offset such as `"+02:00"`, a `ZoneInfo` or a
                `datetime.timezone`; local time if not given.
            exist_ok: a pool of this id that exists already stays as it is, its money included.
            anchor_day: the day on which weeks (1 is Monday) or months, quarters and years (1 to 31, of their
                first month; the last day of a month that has fewer) begin.
            anchor_hour: the local hour, 0 to 23, at which days, and all that is longer, begin.
            rollover: how much of what a period leaves goes into the next one: `"none"`, `"all"`, or at most
                this amount.
            overdraft: `"carry"`: the next period pays for an overdraft; `"forgive"`: it begins without.
            overdraft_limit: how far below zero facts may take the pool: what a settlement costs beyond that
                is charged nowhere on its path, and told as unpaid. None: no bound.
            enforcement: `"enforce"`, `"warn"` or `"shadow"`, see `set_enforcement`.

        Returns:
            The pool's id.

        Raises:
            UnknownPoolError: there is no pool `parent_id`.
            InvalidAmountError: `initial_budget` is not an amount.
            ConfigurationError: the id is taken, empty or longer than 512 bytes, `priority` is not from 1 to
                10, an argument is none of the above, or it would be 33 pools deep; or the pool that
                `exist_ok` would leave as it is has another parent, period or zone.
        """
        chosen = name if pool_id is None else pool_id
        rules = {
            "budget_period": budget_period,
            "timezone": timezone,
            "anchor_day": anchor_day,
            "anchor_hour": anchor_hour,
            "rollover": rollover,
            "overdraft": overdraft,
            "overdraft_limit": overdraft_limit,
            "enforcement": enforcement,
        }
        self._create_pool(chosen, initial_budget, priority, parent_id, name, exist_ok, rules)
        return chosen

    register_agent = Ledger.register_agent

    def register_agents(
        self,
        agents: Iterable[AgentArguments],
        pool_id: str | None = None,
        priority: int = 5,
        initial_budget: Amount = 0,
        *,
        exist_ok: bool = False,
    ) -> list[str]:
        """Registers many agents in one step: all of them or none.

        Args:
            agents: for each agent its id, or what differs from the other arguments of this call: a mapping of
                arguments of `register_agent`, or a tuple of `(agent_id, pool_id, priority, initial_budget)`
                that may end early.
            pool_id: the pool right above those that name none.
            priority: of those that name none.
            initial_budget: of those that name none.
            exist_ok: agents that are registered already stay as they are, their money included.

        Returns:
            Their ids, in the same order.

        Raises:
            InvalidAmountError: a budget is not an amount.
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: as `register_agent`; or an id comes twice, or an agent has no pool.
            ArgumentTypeError: an agent is given as none of the three, or `agents` is text or a mapping: that
                would be one agent.

        Example:
            >>> coordinator = BudgetCoordinator()
            >>> team = coordinator.create_budget_pool("team", 100)
            >>> agents = ["ann", ("bob", team, 8), {"agent_id": "eve", "initial_budget": "0.50"}]
            >>> coordinator.register_agents(agents, team, initial_budget=2)
            ['ann', 'bob', 'eve']
            >>> coordinator.get_agent_priority("bob"), coordinator.get_budget("eve")
            (8, Decimal('0.5'))
        """
        common = {"pool_id": pool_id, "priority": priority, "initial_budget": initial_budget}
        rows = [agent_row(agent, common) for agent in items("agents", agents, "agents")]
        self._register_agents(rows, exist_ok=exist_ok)
        return [row[0] for row in rows]

    unregister_agent = Ledger.unregister_agent
    close_pool = Ledger.close_pool
    move_agent = Ledger.move_agent
    move_pool = Ledger.move_pool

    # What people decide while they live.

    suspend = Ledger.suspend
    resume = Ledger.resume
    set_enforcement = Ledger.set_enforcement
    set_priority = Ledger.set_priority
    set_max_budget = Ledger.set_max_budget
    set_overdraft_limit = Ledger.set_overdraft_limit

    def close(self) -> None:
        """Stops the controllers; from then on every method raises `ClosedError`. Closing again does nothing.

        Calls that wait end with that error as well.

        Leaving a `with` block of a coordinator closes it.

        Example:
            >>> with BudgetCoordinator() as coordinator:
            ...     team = coordinator.create_budget_pool("team", 10)
            >>> coordinator.get_pool_budget("team")
            Traceback (most recent call last):
            safeguards.exceptions.ClosedError: this coordinator is closed...
        """
        if self.closed:
            return
        self._check_process()
        for controller in list(self._controllers):
            controller.stop()
        self._close()

    def __enter__(self) -> Self:
        self._check_process()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What they may spend.

    get_budget = Ledger.get_budget
    get_available = Ledger.get_available
    update_budget = Ledger.update_budget
    adjust_budget = Ledger.adjust_budget
    get_pool_budget = Ledger.get_pool_budget
    update_pool_budget = Ledger.update_pool_budget
    adjust_pool_budget = Ledger.adjust_pool_budget
    update_period_budget = Ledger.update_period_budget

    def credit(
        self, account_id: str, amount: Amount, *, expires_at: datetime, with_pools: bool = False
    ) -> Credit:
        """Gives an account money that ends by itself.

        What an account has is its base and its credits. What ends soonest is spent first, the base last; what
        a reservation gives back goes to where it came from, and what comes back to a credit that has ended is
        gone. A new period sets the base and leaves credits. `update_budget` and `update_pool_budget` set what
        remains, and so the base beside credits; where these are more than that, the one that ends last is cut
        first. Controllers, `adjust_budget` and `transfer` move the base only.

        Args:
            account_id: of a pool or an agent; of the pool where both have this id.
            amount: how much; more than 9 decimal places are rounded down.
            expires_at: when what is left of it is gone; naive datetimes are local time.
            with_pools: every pool above gets a credit of the same amount and id in the same step, so that the
                account can spend its own whatever they have.

        Returns:
            The credit, as it begins: where the account was below zero, some of it is spent.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            ConfigurationError: `amount` is 0, or `expires_at` has passed; an account would have more than
                10^15, an agent more than its `max_budget`, or more than 1,024 credits that have not ended.
            UnknownAgentError: there is neither an agent nor a pool of this id.

        Example:
            >>> from datetime import UTC, timedelta
            >>> from safeguards.testing import ManualClock
            >>> clock = ManualClock(datetime(2026, 11, 2, tzinfo=UTC))
            >>> coordinator = BudgetCoordinator(clock=clock)
            >>> team = coordinator.create_budget_pool("team", 100)
            >>> bot = coordinator.register_agent("bot", team, initial_budget=5)
            >>> credit = coordinator.credit(bot, 3, expires_at=clock.now() + timedelta(hours=1))
            >>> receipt = coordinator.debit(bot, 1)
            >>> coordinator.get_budget(bot), coordinator.get_credits(bot)[0].left
            (Decimal('7'), Decimal('2'))
            >>> clock.advance(timedelta(hours=1))
            >>> coordinator.get_budget(bot)
            Decimal('5')
        """
        return Credit(*self._credit(account_id, amount, expires_at, with_pools))

    def get_credits(self, account_id: str, *, include_ended: bool = False) -> list[Credit]:
        """The credits of an account, in the order in which they end.

        Args:
            account_id: of a pool or an agent; of the pool where both have this id.
            include_ended: before them those that have ended and are remembered: the newest 64, and all of
                which reservations still hold something.

        Raises:
            UnknownAgentError: there is neither an agent nor a pool of this id.
        """
        credits_ = [Credit(*row) for row in self._credits(account_id)]
        return [credit for credit in credits_ if include_ended or not credit.ended]

    # Looking.

    get_agent_priority = Ledger.get_agent_priority
    get_pool_agents = Ledger.get_pool_agents
    get_all_agent_ids = Ledger.get_all_agent_ids
    get_pool_ids = Ledger.get_pool_ids

    def get_agent_metrics(self, agent_id: str) -> BudgetMetrics:
        """An agent's books at one instant.

        Raises:
            UnknownAgentError: no agent of this id is registered.
        """
        return BudgetMetrics(**self._agent_snapshot(agent_id))

    def get_pool_metrics(self, pool_id: str) -> BudgetMetrics:
        """A pool's books at one instant.

        Raises:
            UnknownPoolError: no pool of this id exists.
        """
        return BudgetMetrics(**self._pool_snapshot(pool_id))

    def get_all_metrics(self) -> MetricsTable:
        """The books of all accounts at once, as columns: what a scrape of many agents asks for.

        Each row is of one instant; rows may be of different ones, as nothing stands still meanwhile.
        """
        amounts, rest = self._columns()
        columns: dict[str, Any] = {name: AmountColumn(*column) for name, column in amounts.items()}
        return MetricsTable(**columns, **rest, currency=self.currency)

    def get_refusals(self, account_id: str | None = None) -> list[RefusalCount]:
        """What accounts have refused, ever: to which agent, what for, and why.

        A call is counted once, by the account that its error names. An account tells its 32 busiest pairs of
        agent and operation type apart, more often refused ones first; what it refused to others is one sum
        for each reason, whose `asked_by` is `None`. Counting costs nothing where nothing is refused.

        Args:
            account_id: only what this agent or pool has refused.

        Raises:
            UnknownAgentError: there is neither an agent nor a pool of this id.

        Example:
            >>> coordinator = BudgetCoordinator()
            >>> team = coordinator.create_budget_pool("team", 1)
            >>> bot = coordinator.register_agent("bot", team, initial_budget=10)
            >>> coordinator.try_debit(bot, 2, operation_type="chat"), coordinator.try_debit(bot, 11)
            (False, False)
            >>> for refused in coordinator.get_refusals():
            ...     print(refused.account, refused.asked_by, refused.operation_type, refused.count)
            bot bot None 1
            team bot chat 1
        """
        refused = self._refusals(account_id)
        return [
            RefusalCount(account, is_pool, asked_by, operation_type, reason, count)
            for is_pool, account, asked_by, operation_type, reason, count in refused
        ]

    def get_pool_info(self, pool_id: str) -> PoolInfo:
        """Where a pool stands, and when it is granted its budget.

        Raises:
            UnknownPoolError: no pool of this id exists.

        Example:
            >>> coordinator = BudgetCoordinator()
            >>> team = coordinator.create_budget_pool("team", 10, budget_period="daily", timezone="UTC")
            >>> info = coordinator.get_pool_info(team)
            >>> info.parent_id, info.budget_period, info.timezone, info.period_budget
            (None, 'daily', 'UTC', Decimal('10'))
        """
        return PoolInfo(**self._pool_info(pool_id))

    def get_agent_info(self, agent_id: str) -> AgentInfo:
        """Where an agent stands, what it is bound by, and when it is granted its budget.

        Raises:
            UnknownAgentError: no agent of this id is registered.

        Example:
            >>> coordinator = BudgetCoordinator()
            >>> team = coordinator.create_budget_pool("team", 100)
            >>> bot = coordinator.register_agent("bot", team, 5, 2, budget_period="daily", timezone="UTC")
            >>> info = coordinator.get_agent_info(bot)
            >>> info.pool_id, info.budget_period, info.period_budget
            ('team', 'daily', Decimal('2'))
        """
        return AgentInfo(**self._agent_info(agent_id))

    def get_agent_usage_history(
        self,
        agent_id: str,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        *,
        operation_type: str | None = None,
    ) -> list[UsageEvent]:
        """What an agent spent in `start_time <= t < end_time`, oldest first.

        The latest events are exact; of older ones, each hour's sum by operation type stands at the start of
        its hour. A naive `datetime` is local time; without one the range is open on that side.

        Args:
            agent_id: the agent.
            start_time: the first instant of the range.
            end_time: the first instant after it.
            operation_type: only usage of this type.

        Raises:
            UnknownAgentError: no agent of this id is registered.
        """
        first, end = _ALWAYS
        first = first if start_time is None else start_time
        end = end if end_time is None else end_time
        usage = self._usage(agent_id, first, end)
        events = [UsageEvent(*entry) for entry in usage]
        return [e for e in events if operation_type is None or e.operation_type == operation_type]

    def get_agent_events(self, agent_id: str) -> list[BudgetEvent]:
        """The latest events of an agent, of every kind, oldest first."""
        return [BudgetEvent(*event) for event in self._agent_events(agent_id)]

    def get_pool_events(self, pool_id: str) -> list[BudgetEvent]:
        """The latest grants of a pool, oldest first. What it spends are its agents' events."""
        return [BudgetEvent(*event) for event in self._pool_events(pool_id)]

    def verify(self) -> None:
        """Audits the books: every invariant, each at one instant, with all accounts locked that it is about.

        That is one agent after another, then each topmost pool with all below it while their books are
        added up, and all agents only where a capacity is set. Ctrl-C ends it.

        In every account granted = remaining + reserved + spent; an agent's reserved is the sum of its active
        reservations and its spent that of its usage history; a pool's reserved is the sum of what is reserved
        right below it, and its spent covers what is spent there.

        Raises:
            BooksError: an invariant does not hold. Nothing that a program does can make that happen.
        """
        violations = self._violations()
        if violations:
            account, text = violations[0]
            raise BooksError(
                f"the books of {account!r} are wrong ({len(violations)} faults in all): {text}; report this",
                account=account,
                violations=violations,
            )

    def execute(self, decision: Decision) -> Decision:
        """Carries a decision out, all of it in one step, or nothing: the only way by which one moves money.

        Controllers do so in their runs; call it yourself with what `evaluate` proposed and you have reviewed,
        also later. Most changes are relative (`Adjust` and what derives from it): what was spent since the
        decision was made stays spent, and never more is taken than remains. A `SetBudget` sets what remains,
        whatever was spent. Executed twice, a relative change is made twice.

        Args:
            decision: the decision; not one that was applied before.

        Returns:
            The decision, applied, with what was really changed in `old`, `new` and `change`.

        Raises:
            PinnedError: the budget is pinned.
            UnknownAgentError: no agent of this id is registered.
            UnknownPoolError: no pool of this id exists.
            InvalidAmountError: an amount of the change is none.
            ConfigurationError: it was applied, or granted once, before; or more than 10^15 would be left.

        Example:
            >>> coordinator = BudgetCoordinator()
            >>> team = coordinator.create_budget_pool("team", 10)
            >>> bot = coordinator.register_agent("bot", team, initial_budget=5)
            >>> from decimal import Decimal
            >>> from safeguards import Decision
            >>> decision = Decision("agent", bot, Decimal(5), Decimal(2), "it is idle")
            >>> receipt = coordinator.debit(bot, 3)
            >>> done = coordinator.execute(decision)
            >>> done.status, done.new, done.change
            ('applied', Decimal('3'), Adjust(by=Decimal('-2')))
            >>> coordinator.get_budget(bot)
            Decimal('0')
        """
        from safeguards.core._execution import execute  # who only guards a budget does not wait for it

        return execute(self, decision)

    def pin(self, account_id: str) -> None:
        """Keeps controllers from changing this agent's or pool's budget. People still can.

        Raises:
            UnknownAgentError: there is neither an agent nor a pool of this id.
        """
        self._pin(account_id, is_pinned=True)

    def unpin(self, account_id: str) -> None:
        """Lets controllers change this budget again."""
        self._pin(account_id, is_pinned=False)

    @property
    def pinned(self) -> frozenset[str]:
        """Ids that controllers leave alone."""
        return frozenset(self._pinned())

    def _listen_low(self, listener: Callable[[str], None]) -> None:
        """Calls `listener(agent_id)` for each agent that runs low, of the pools that `_watch_low` watches."""
        self._observer.listen(listener)

    def _unlisten_low(self, listener: Callable[[str], None]) -> None:
        self._observer.unlisten(listener)

    @property
    def _low_listeners(self) -> tuple[Callable[[str], None], ...]:
        return self._observer.listeners

    def __reduce__(self) -> NoReturn:
        not_copied(
            self,
            "it owns budgets, which a copy would spend again. One that is made in another process is a "
            "budget of its own: N processes are N budgets; pass ids, and let one process own them",
        )

    def __repr__(self) -> str:
        return _report.line(self)

    def _repr_html_(self) -> str:
        return _report.html(self)

"""The compiled core: what `BudgetCoordinator` and `BudgetRateLimiter` are made of.

Docstrings are copies of those of the compiled module (`make stub-docs`); a test compares them.
"""

from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Generic, Literal, Self, TypeAlias, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from safeguards.types._observer import Observer

_T_co = TypeVar("_T_co", covariant=True)

__version__: Final[str]

Amount: TypeAlias = Decimal | int | str
_Event: TypeAlias = tuple[datetime, Any, Decimal, str | None, int, str | None, str | None]
_Enforcement: TypeAlias = Literal["enforce", "warn", "shadow"]
_CutOff: TypeAlias = type[BaseException] | tuple[type[BaseException], ...] | None
Clock: TypeAlias = ManualClock | SystemClock
_Overage: TypeAlias = Literal["allow_with_overdraft", "allow_if_available", "reject"]
_CreditRow: TypeAlias = tuple[int, Decimal, Decimal, Decimal, Decimal, datetime, bool]
_Snapshot: TypeAlias = dict[str, Any]  # what BudgetMetrics takes
_ResourceSnapshot: TypeAlias = dict[str, Any]  # what ResourceMetrics takes
_Usage: TypeAlias = tuple[datetime, Decimal, str | None, Literal["ledger", "recorded", "unpaid"], int]

_Prediction: TypeAlias = tuple[
    Decimal, Decimal, Decimal, float, list[float], list[tuple[str, float]], datetime, datetime, int, int
]

@disjoint_base
class Ledger:
    """The books behind `BudgetCoordinator`, which inherits every method from here.

    Examples of its methods start from a `coordinator` with the agent `"bot"` (1.00) in the pool `"team"`
    (10.00).

    Args:
        clock: where to read the time; the system's clocks if not given.
        thresholds: shares of a budget whose crossing is told, up to 1; at most 100.
        history_events: latest events of each agent that are kept as they were, at most; at least three
            quarters of so many.
        history_sums: sums by hour that are kept of older usage, at least 2.
        currency: what its amounts are amounts of, such as `"USD"`: 1 to 16 letters, digits, `.`, `_` or `-`.
        patience: seconds for which others pass a call that waits and does not fit; then what comes back is
            kept for it.
        observer: who is told of alarms, after the books are written: by `on_crossing(**facts)` of a
            threshold that was crossed, by `on_low(agent_id)` of an agent that runs low, and by
            `on_refusing(**facts)` of an account that refuses often. Nobody if not given.
        refusals_per_minute: an account that refuses more often than that is told of; none is if not given.
    """
    def __new__(
        cls,
        *,
        clock: Clock | None = None,
        thresholds: Iterable[float] = ...,
        history_events: int = 64,
        history_sums: int = 512,
        observer: Observer | None = None,
        currency: str = "USD",
        refusals_per_minute: int | None = None,
        patience: float = 1.0,
    ) -> Self: ...
    def debit(
        self,
        agent_id: str,
        amount: Amount,
        *,
        also: str | Iterable[str] | None = None,
        operation_type: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Receipt:
        """Charges an agent and every pool above it: all of them or none.

        A debit of 0 is admitted and leaves no event.

        Args:
            agent_id: the agent.
            amount: how much; more than 9 decimal places are rounded up.
            also: ids of agents or pools that are charged as well, each with every account above it: all or
                none, and one that is met twice once.
            operation_type: what for, at most 256 bytes; the usage history can be read by it.
            idempotency_key: of 1 to 256 bytes; a repetition with the same key, agent, `also`, amount and
                operation type has no effect and the first receipt, with `is_repeat`. The newest 100,000 keys
                are remembered for 24 hours; refusals are not remembered.
            timeout: seconds that it waits if it does not fit, `math.inf` without an end; None not to wait.
                It is no part of what a key stands for.

        Returns:
            What was charged, what remains, and the position of the event in the agent's history.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            UnknownAgentError: no agent of this id is registered.
            BudgetExceededError: an account on the path cannot pay; nothing was changed.
            RateLimitExceededError: a window of the agent is full; nothing was changed.
            IdempotencyConflictError: the key was used for another operation.
            IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.

        Example:
            >>> coordinator.debit("bot", "0.25", operation_type="search")
            Receipt(amount=0.25, remaining=0.75, sequence=2)
            >>> coordinator.debit("bot", 5)
            Traceback (most recent call last):
            safeguards.exceptions.BudgetExceededError: agent "bot" cannot pay 5: 0.75 of 1 remain...
        """
    def debit_async(
        self,
        agent_id: str,
        amount: Amount,
        *,
        also: str | Iterable[str] | None = None,
        operation_type: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> PendingDebit:
        """As `debit`, for tasks: what it returns is awaited, and charges then.

        A task that is cancelled while it waits is charged nothing.

        Returns:
            What is awaited for the receipt.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            UnknownAgentError: no agent of this id is registered.
            ConfigurationError: `timeout` is negative or not a number.

        Example:
            >>> import asyncio
            >>> async def pay():
            ...     return await coordinator.debit_async("bot", "0.25", timeout=5)
            >>> asyncio.run(pay()).remaining
            Decimal('0.75')
        """
    def try_debit(
        self,
        agent_id: str,
        amount: Amount,
        *,
        also: str | Iterable[str] | None = None,
        operation_type: str | None = None,
        idempotency_key: str | None = None,
    ) -> bool:
        """As `debit`, but tells with a bool whether it was admitted: the form for hot loops.

        Returns:
            True if it was charged; False if a budget or a window refused it, and nothing was changed.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            UnknownAgentError: no agent of this id is registered.
            IdempotencyConflictError: the key was used for another operation.
            IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.

        Example:
            >>> coordinator.try_debit("bot", "0.70"), coordinator.try_debit("bot", "0.70")
            (True, False)
        """
    def reserve(
        self,
        agent_id: str,
        amount: Amount,
        *,
        also: str | Iterable[str] | None = None,
        ttl_seconds: float = 900.0,
        overage: _Overage = "allow_with_overdraft",
        operation_type: str | None = None,
        idempotency_key: str | None = None,
        on_cancel: Amount | None = None,
        on_error: Amount | None = None,
        cut_off: _CutOff = None,
        timeout: float | None = None,
    ) -> Reservation:
        """Sets aside the most that a piece of work can cost; settle it for what it did cost.

        As a context manager the reservation is kept alive while the body runs. What happens when the body is
        left, unless it settled or released the reservation itself:

        - normally: it is settled for what was reserved;
        - cut off in the middle (a cancelled task, a generator that was closed, Ctrl-C, a time-out: whatever
          is no `Exception`, `TimeoutError`, and what `cut_off` names): it is settled for `on_cancel`, as the
          work may have cost by then;
        - by any other error: it is settled for `on_error`.

        Where that is 0 it is released, and its key is free. Of a group of exceptions one that cuts off is
        enough. If the settlement is refused, as much of it is settled as was reserved. Nothing takes the
        place of the exception: what was refused is noted on it. Such a settlement is a `default_settle`
        among the events.

        Args:
            agent_id: the agent.
            amount: the most it can cost; more than 9 decimal places are rounded up.
            also: ids of agents or pools that are charged as well, each with every account above it: all or
                none, and one that is met twice once.
            ttl_seconds: seconds until it is given back by itself, above 0.
            overage: what settling for more may do. `"allow_with_overdraft"` charges it, whatever remains:
                what was spent is a fact. `"allow_if_available"` charges it if every account and window has
                room for the excess. `"reject"` refuses it.
            operation_type: what for, at most 256 bytes.
            idempotency_key: of 1 to 256 bytes. A repetition with the same key, agent, `also`, amount,
                operation type, `ttl_seconds` and `overage` returns the same reservation while it is active or
                settled, with `is_repeat`. One that was released or has expired has no effect: the next
                request under its key is decided anew.
            on_cancel: what a `with` block that is cut off settles for; 0 if not given.
            on_error: what one that ends with an error settles for; 0 if not given.
            cut_off: a class of errors, or a tuple of them, that cut it off as well: those of a client that
                say that it did not wait for the answer.
            timeout: seconds that it waits if it does not fit, `math.inf` without an end; None not to wait.
                It is no part of what a key stands for.

        Raises:
            InvalidAmountError: `amount`, `on_cancel` or `on_error` is not an amount.
            UnknownAgentError: no agent of this id is registered.
            ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
                `on_cancel` or `on_error` is more than is reserved under `"reject"`, a name is longer than 256
                bytes, or a key is empty or longer than that.
            BudgetExceededError: an account on the path cannot pay; nothing was changed.
            RateLimitExceededError: a window of the agent is full; nothing was changed.
            IdempotencyConflictError: the key was used for another operation.
            IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.

        Example:
            >>> with coordinator.reserve("bot", "0.50") as reservation:
            ...     receipt = reservation.settle("0.20")
            >>> coordinator.get_budget("bot")
            Decimal('0.8')
        """
    def reserve_async(
        self,
        agent_id: str,
        amount: Amount,
        *,
        also: str | Iterable[str] | None = None,
        ttl_seconds: float = 900.0,
        overage: _Overage = "allow_with_overdraft",
        operation_type: str | None = None,
        idempotency_key: str | None = None,
        on_cancel: Amount | None = None,
        on_error: Amount | None = None,
        cut_off: _CutOff = None,
        timeout: float | None = None,
    ) -> PendingReservation:
        """As `reserve`, for tasks: what it returns is awaited, or entered with `async with`.

        A task that is cancelled while it waits holds nothing.

        Returns:
            What is awaited for the reservation.

        Raises:
            InvalidAmountError: `amount`, `on_cancel` or `on_error` is not an amount.
            UnknownAgentError: no agent of this id is registered.
            ConfigurationError: as `reserve`; or `timeout` is negative or not a number.

        Example:
            >>> import asyncio
            >>> async def work():
            ...     async with coordinator.reserve_async("bot", "0.50", timeout=5) as reservation:
            ...         return reservation.settle("0.20").remaining
            >>> asyncio.run(work())
            Decimal('0.8')
        """
    def try_reserve(
        self,
        agent_id: str,
        amount: Amount,
        *,
        also: str | Iterable[str] | None = None,
        ttl_seconds: float = 900.0,
        overage: _Overage = "allow_with_overdraft",
        operation_type: str | None = None,
        idempotency_key: str | None = None,
        on_cancel: Amount | None = None,
        on_error: Amount | None = None,
        cut_off: _CutOff = None,
    ) -> Reservation | None:
        """As `reserve`, but returns None if a budget or a window refuses.

        Raises:
            InvalidAmountError: `amount`, `on_cancel` or `on_error` is not an amount.
            UnknownAgentError: no agent of this id is registered.
            ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
                `on_cancel` or `on_error` is more than is reserved under `"reject"`, a name is longer than 256
                bytes, or a key is empty or longer than that.
            IdempotencyConflictError: the key was used for another operation.
            IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.

        Example:
            >>> coordinator.try_reserve("bot", 2) is None
            True
        """
    def debit_many(
        self,
        handles: NDArray[np.uint32],
        units: NDArray[np.int64],
        *,
        operation_type: str | None = None,
    ) -> NDArray[np.bool_]:
        """Debits many agents in one call, each in turn, with the interpreter lock released.

        Item i debits the agent of `handles[i]` by `units[i]` billionths, exactly as `try_debit` does. A
        malformed item refuses the whole call before anything is charged. An agent that is unregistered while
        the call is under way is charged nothing from then on.

        Signals are handled meanwhile, as Ctrl-C. What their handler raises ends the call between two items:
        what was charged by then stays charged, and the exception has an attribute `admitted`, which tells it
        as the result would, for as many items as were done.

        Args:
            handles: agents by `handle`, shape (n,), dtype uint32, in memory in any layout.
            units: amounts in units of 1e-9, shape (n,), dtype int64, in any layout.
            operation_type: what for, at most 256 bytes.

        Returns:
            Which items were admitted, shape (n,), dtype bool.

        Raises:
            TypeError: not a one-dimensional array of that dtype in native byte order, or one with a mask.
            ConfigurationError: the arrays differ in length, or an amount is negative.
            UnknownAgentError: a handle names no registered agent.
            KeyboardInterrupt: Ctrl-C ended it after the first `len(error.admitted)` items.

        Example:
            >>> import numpy as np
            >>> handles = np.full(3, coordinator.handle("bot"), dtype=np.uint32)
            >>> coordinator.debit_many(handles, np.array([400_000_000] * 3))
            array([ True,  True, False])
        """
    def reserve_many(
        self,
        handles: NDArray[np.uint32],
        units: NDArray[np.int64],
        *,
        ttl_seconds: float = 900.0,
        overage: _Overage = "allow_with_overdraft",
        operation_type: str | None = None,
    ) -> NDArray[np.uint64]:
        """Reserves for many agents in one call, each in turn, with the interpreter lock released.

        Item i sets `units[i]` billionths aside for the agent of `handles[i]`, exactly as `reserve` does. A
        reservation is named by its agent and its number, by which `settle_many` and `release_many` close it;
        an agent's reservations, of money and of resources, are numbered 1, 2, 3 and so on. No object stands
        for it, so nobody warns if it is forgotten: it is given back when its time to live is over.

        A malformed item refuses the whole call before anything is reserved. An agent that is unregistered
        while the call is under way reserves nothing from then on.

        Signals are handled meanwhile, as Ctrl-C. What their handler raises ends the call between two items:
        what was reserved by then stays reserved, and the exception has an attribute `numbers`, which tells
        it as the result would, for as many items as were done.

        Args:
            handles: agents by `handle`, shape (n,), dtype uint32, in memory in any layout.
            units: the most that each piece of work can cost, in units of 1e-9, shape (n,), dtype int64, in
                any layout.
            ttl_seconds: seconds until each is given back by itself, above 0.
            overage: what settling for more may do, as of `reserve`.
            operation_type: what for, at most 256 bytes.

        Returns:
            Numbers of the reservations among those of their agents, 0 where a budget or a window refused,
            shape (n,), dtype uint64.

        Raises:
            TypeError: not a one-dimensional array of that dtype in native byte order, or one with a mask.
            ConfigurationError: the arrays differ in length, an amount is negative, `ttl_seconds` is not
                positive and finite, `overage` is none of the three, or the operation type is longer than 256
                bytes.
            UnknownAgentError: a handle names no registered agent.
            KeyboardInterrupt: Ctrl-C ended it after the first `len(error.numbers)` items.

        Example:
            >>> import numpy as np
            >>> handles = np.full(3, coordinator.handle("bot"), dtype=np.uint32)
            >>> coordinator.reserve_many(handles, np.array([400_000_000] * 3))
            array([1, 2, 0], dtype=uint64)
        """
    def settle_many(
        self, handles: NDArray[np.uint32], numbers: NDArray[np.uint64], units: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Settles many reservations of money in one call, each in turn, with the interpreter lock released.

        Item i charges `units[i]` billionths for the reservation `numbers[i]` of the agent of `handles[i]`,
        exactly as its `settle` does: under its overage policy, and late if it has expired and is among the
        100,000 that ended last. It does not matter how it was made.

        A malformed item refuses the whole call before anything is charged. Signals are handled as by
        `debit_many`; the attribute is called `settled`.

        Args:
            handles: agents by `handle`, shape (n,), dtype uint32, in memory in any layout.
            numbers: their reservations by number, shape (n,), dtype uint64, in any layout. 0, as
                `reserve_many` says what was refused, names none.
            units: what each has cost, in units of 1e-9, shape (n,), dtype int64, in any layout.

        Returns:
            Shape (n,), dtype bool. True where it is charged for so much, by this call or, which has no
            effect any more, by an earlier one. False, and nothing was changed, where the overage policy
            refused, where it was released or settled for another amount, and where the number names no
            reservation of money that is active or remembered.

        Raises:
            TypeError: not a one-dimensional array of that dtype in native byte order, or one with a mask.
            ConfigurationError: the arrays differ in length, or an amount is negative.
            UnknownAgentError: a handle names no registered agent.
            KeyboardInterrupt: Ctrl-C ended it after the first `len(error.settled)` items.

        Example:
            >>> import numpy as np
            >>> handles = np.full(3, coordinator.handle("bot"), dtype=np.uint32)
            >>> numbers = coordinator.reserve_many(handles, np.array([400_000_000] * 3))
            >>> coordinator.settle_many(handles, numbers, np.array([100_000_000] * 3))
            array([ True,  True, False])
            >>> coordinator.get_budget("bot")
            Decimal('0.8')
        """
    def release_many(self, handles: NDArray[np.uint32], numbers: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Releases many reservations of money in one call, each in turn, with the interpreter lock released.

        Item i gives back the reservation `numbers[i]` of the agent of `handles[i]`, as its `release` does. A
        malformed item refuses the whole call before anything is given back. Signals are handled as by
        `debit_many`; the attribute is called `released`.

        Args:
            handles: agents by `handle`, shape (n,), dtype uint32, in memory in any layout.
            numbers: their reservations by number, shape (n,), dtype uint64, in any layout.

        Returns:
            Shape (n,), dtype bool. True where it is given back: by this call, by an earlier one, or by time.
            False, and nothing was changed, where it was settled, and where the number names no reservation
            of money that is active or remembered.

        Raises:
            TypeError: not a one-dimensional array of that dtype in native byte order, or one with a mask.
            ConfigurationError: the arrays differ in length.
            UnknownAgentError: a handle names no registered agent.
            KeyboardInterrupt: Ctrl-C ended it after the first `len(error.released)` items.

        Example:
            >>> import numpy as np
            >>> handles = np.full(2, coordinator.handle("bot"), dtype=np.uint32)
            >>> numbers = coordinator.reserve_many(handles, np.array([400_000_000] * 2))
            >>> coordinator.release_many(handles, numbers), coordinator.get_budget("bot")
            (array([ True,  True]), Decimal('1'))
        """
    def reservation(self, reservation_id: str) -> Reservation | ResourceReservation:
        """The reservation of an id, as `Reservation.id` tells it: active, or ended and remembered.

        It is found while it is active, and afterwards as long as it is among the newest 100,000 that ended.
        The handle is another one of the same reservation: whatever is done through one of them holds for all.

        Args:
            reservation_id: of a reservation of money, or of resources.

        Raises:
            ReservationError: it is unknown or forgotten: of another coordinator, of an agent that was
                unregistered, or too long ago. Nothing is charged by it any more.

        Example:
            >>> held = coordinator.reserve("bot", "0.50")
            >>> again = coordinator.reservation(held.id)
            >>> again.settle("0.20").remaining, held.state
            (Decimal('0.8'), 'settled')
        """
    def reservations(self, agent_id: str | None = None) -> list[Reservation | ResourceReservation]:
        """Every active reservation, of money and of resources, by agent and number.

        Args:
            agent_id: those of this agent only.

        Raises:
            UnknownAgentError: no agent of this id is registered.

        Example:
            >>> held = coordinator.reserve("bot", "0.50")
            >>> coordinator.reservations()
            [Reservation(1, agent="bot", amount=0.5, active)]
            >>> held.release()
            >>> coordinator.reservations("bot")
            []
        """
    def transfer(self, from_agent_id: str, to_agent_id: str, amount: Amount) -> None:
        """Moves budget from one agent to another, of one pool or of two; the pools are not touched.

        Args:
            from_agent_id: who gives.
            to_agent_id: who gets.
            amount: how much; more than 9 decimal places are rounded down.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            UnknownAgentError: one of the two is not registered.
            ConfigurationError: both are the same agent, or the taker would have more than 10^15 left.
            BudgetExceededError: the giver has less left; nothing was changed.

        Example:
            >>> coordinator.register_agent("helper", "team")
            'helper'
            >>> coordinator.transfer("bot", "helper", "0.40")
            >>> coordinator.get_budget("bot"), coordinator.get_budget("helper")
            (Decimal('0.6'), Decimal('0.4'))
        """
    def expire(self) -> int:
        """Gives back every reservation whose time to live is over.

        It is never needed for the books to be right: whoever reads an account, or is refused by one, sees
        what is due first.

        Returns:
            How many reservations were given back.

        Example:
            >>> coordinator.expire()
            0
        """
    def register_agent(
        self,
        agent_id: str,
        pool_id: str,
        priority: int = 5,
        initial_budget: Amount = 0,
        *,
        exist_ok: bool = False,
        budget_period: str | timedelta | None = None,
        timezone: str | tzinfo | None = None,
        anchor_day: int = 1,
        anchor_hour: int = 0,
        rollover: str | Amount = "none",
        overdraft: str = "carry",
        overdraft_limit: Amount | None = None,
        max_budget: Amount | None = None,
        enforcement: _Enforcement = "enforce",
    ) -> str:
        """Registers an agent below a pool. Takes nothing from the pool: the budgets below may add up to more.

        Args:
            agent_id: its id, 1 to 512 bytes of UTF-8, unique among agents.
            pool_id: the pool right above it.
            priority: 1 to 10.
            initial_budget: what it may spend; more than 9 decimal places are rounded down.
            exist_ok: an agent that is registered already stays as it is, its money included.
            budget_period: as of `create_budget_pool`: what each period begins with is `initial_budget`.
            timezone: as of `create_budget_pool`; and so are all that follow.
            anchor_day: the day on which periods begin.
            anchor_hour: the hour at which they do.
            rollover: how much of what a period leaves goes into the next one.
            overdraft: what becomes of what is missing.
            overdraft_limit: how far below zero facts may take it.
            max_budget: the most that it may have in a period, see `set_max_budget`; None: no bound.
            enforcement: as of `set_enforcement`.

        Returns:
            `agent_id`.

        Raises:
            InvalidAmountError: `initial_budget` is not an amount.
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: the id is taken, empty or too long, or `priority` is out of range; or the
                agent that `exist_ok` would leave as it is stands below another pool, or has another period.

        Example:
            >>> coordinator.register_agent("writer", "team", priority=8, initial_budget="2.50")
            'writer'
        """
    def unregister_agent(self, agent_id: str) -> None:
        """Forgets an agent and its history. What it has spent stays in the books of its pools.

        Raises:
            UnknownAgentError: no agent of this id is registered.
            ConfigurationError: it has active reservations.

        Example:
            >>> coordinator.unregister_agent("bot")
            >>> coordinator.get_all_agent_ids()
            []
        """
    def account(self, agent_id: str) -> Account:
        """An agent's account, found once: the fastest way to debit it again and again.

        Raises:
            UnknownAgentError: no agent of this id is registered.

        Example:
            >>> account = coordinator.account("bot")
            >>> account.try_debit("0.10"), account.budget
            (True, Decimal('0.9'))
        """
    def handle(self, agent_id: str) -> int:
        """The number by which `debit_many` names an agent, valid until it is unregistered.

        Raises:
            UnknownAgentError: no agent of this id is registered.

        Example:
            >>> coordinator.handle("bot")
            0
        """
    def get_budget(self, agent_id: str) -> Decimal:
        """What an agent has left: its own remaining budget, negative only after an overdraft.

        Raises:
            UnknownAgentError: no agent of this id is registered.

        Example:
            >>> coordinator.get_budget("bot")
            Decimal('1')
        """
    def get_available(self, agent_id: str) -> Decimal:
        """The least that remains on the path from an agent to its topmost pool: what it can really spend now.

        Raises:
            UnknownAgentError: no agent of this id is registered.

        Example:
            >>> coordinator.update_budget("bot", 50)
            >>> coordinator.get_budget("bot"), coordinator.get_available("bot")
            (Decimal('50'), Decimal('10'))
        """
    def update_budget(self, agent_id: str, budget: Amount) -> None:
        """Makes `budget` remain for an agent, whatever its pools say. Reservations are untouched.

        Args:
            agent_id: the agent.
            budget: what it may spend from now on; more than 9 decimal places are rounded down.

        Raises:
            InvalidAmountError: `budget` is not an amount.
            UnknownAgentError: no agent of this id is registered.

        Example:
            >>> coordinator.update_budget("bot", "2.50")
            >>> coordinator.get_budget("bot")
            Decimal('2.5')
        """
    def adjust_budget(self, agent_id: str, change: Amount) -> Decimal:
        """Adds to what remains for an agent, or takes away, in one step: safe while others spend.

        It changes the current period; `update_budget` begins a new one.

        Args:
            agent_id: the agent.
            change: how much; more than 9 decimal places are rounded down. Below zero it is taken away,
                rounded up, but never more than remains.

        Returns:
            The change that was made.

        Raises:
            InvalidAmountError: `change` is not an amount with a sign.
            UnknownAgentError: no agent of this id is registered.
            ConfigurationError: it would have more than 10^15 left.

        Example:
            >>> coordinator.adjust_budget("bot", "0.50"), coordinator.adjust_budget("bot", -2)
            (Decimal('0.5'), Decimal('-1.5'))
        """
    def get_pool_budget(self, pool_id: str) -> Decimal:
        """What a pool has left: its own remaining budget, negative only after an overdraft.

        Raises:
            UnknownPoolError: no pool of this id exists.

        Example:
            >>> coordinator.get_pool_budget("team")
            Decimal('10')
        """
    def update_pool_budget(self, pool_id: str, budget: Amount) -> None:
        """Makes `budget` remain for a pool. Reservations are untouched.

        Later periods of a pool with a `budget_period` begin with what they did before.

        Raises:
            InvalidAmountError: `budget` is not an amount.
            UnknownPoolError: no pool of this id exists.

        Example:
            >>> coordinator.update_pool_budget("team", 20)
            >>> coordinator.get_pool_budget("team")
            Decimal('20')
        """
    def adjust_pool_budget(self, pool_id: str, change: Amount) -> Decimal:
        """Adds to what remains for a pool, or takes away, in one step: safe while others spend.

        It changes the current period; `update_pool_budget` begins a new one. Later periods of a pool with a
        `budget_period` begin with what they did before.

        Args:
            pool_id: the pool.
            change: as in `adjust_budget`.

        Returns:
            The change that was made.

        Raises:
            InvalidAmountError: `change` is not an amount with a sign.
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: it would have more than 10^15 left.

        Example:
            >>> coordinator.adjust_pool_budget("team", "2.50"), coordinator.get_pool_budget("team")
            (Decimal('2.5'), Decimal('12.5'))
        """
    def suspend(self, account_id: str, *, actor: str = "", reason: str = "") -> None:
        """Lets no work begin on an account, and on all below it, until `resume`.

        Debits and reservations are refused with an `AccountSuspendedError`, a `BudgetExceededError` as well;
        the `try_` forms refuse. What is set aside by then can be settled.

        Args:
            account_id: of a pool or an agent; of the pool where both have this id.
            actor: who decides it, for the events.
            reason: why.

        Raises:
            UnknownAgentError: there is neither an agent nor a pool of this id.

        Example:
            >>> coordinator.suspend("team", actor="ann", reason="it loops")
            >>> coordinator.try_debit("bot", "0.10"), coordinator.get_available("bot")
            (False, Decimal('0'))
            >>> coordinator.resume("team")
            >>> coordinator.try_debit("bot", "0.10")
            True
        """
    def resume(self, account_id: str, *, actor: str = "", reason: str = "") -> None:
        """Lets work begin again on an account that was suspended. One that was not is no error.

        Args:
            account_id: of a pool or an agent; of the pool where both have this id.
            actor: who decides it, for the events.
            reason: why.

        Raises:
            UnknownAgentError: there is neither an agent nor a pool of this id.

        Example:
            >>> coordinator.resume("bot")
        """
    def set_enforcement(
        self, account_id: str, enforcement: _Enforcement, *, actor: str = "", reason: str = ""
    ) -> None:
        """What an account does from now on where it cannot pay, or where a window of its is full.

        Args:
            account_id: of a pool or an agent; of the pool where both have this id.
            enforcement: `"enforce"`: it refuses. `"warn"`: it is charged in full, below zero if need be, and
                never a reason to refuse; what it would have refused is a `would_refuse` event, counted in its
                metrics and alerted. `"shadow"`: the same without alerts. The other accounts of a path decide
                alone.
            actor: who decides it, for the events.
            reason: why.

        Raises:
            UnknownAgentError: there is neither an agent nor a pool of this id.
            ConfigurationError: `enforcement` is none of the three.

        Example:
            >>> coordinator.set_enforcement("bot", "shadow")
            >>> coordinator.try_debit("bot", 3), coordinator.try_debit("bot", 8)
            (True, False)
            >>> coordinator.get_budget("bot"), coordinator.get_agent_metrics("bot").would_refuse
            (Decimal('-2'), 1)
        """
    def set_priority(self, account_id: str, priority: int, *, actor: str = "", reason: str = "") -> None:
        """Changes whose need comes first.

        Args:
            account_id: of a pool or an agent; of the pool where both have this id.
            priority: 1 to 10.
            actor: who decides it, for the events.
            reason: why.

        Raises:
            UnknownAgentError: there is neither an agent nor a pool of this id.
            ConfigurationError: `priority` is out of range.

        Example:
            >>> coordinator.set_priority("bot", 8, reason="it answers customers")
            >>> coordinator.get_agent_priority("bot")
            8
        """
    def set_max_budget(
        self, agent_id: str, max_budget: Amount | None, *, actor: str = "", reason: str = ""
    ) -> None:
        """Bounds what an agent may have in a period: spent, reserved and remaining.

        The period is the agent's own, else that of the nearest pool above it that has one, else since its
        budget was set. Controllers never grant beyond it; `update_budget`, `adjust_budget` and `transfer` are
        refused where they would. What the agent has stays.

        Args:
            agent_id: the agent.
            max_budget: the bound; None for none.
            actor: who decides it, for the events.
            reason: why.

        Raises:
            InvalidAmountError: `max_budget` is not an amount.
            UnknownAgentError: no agent of this id is registered.

        Example:
            >>> coordinator.set_max_budget("bot", 2)
            >>> coordinator.update_budget("bot", 3)
            Traceback (most recent call last):
            safeguards.exceptions.ConfigurationError: agent "bot" may have 2 in a period (max_budget)...
        """
    def set_overdraft_limit(
        self, account_id: str, limit: Amount | None, *, actor: str = "", reason: str = ""
    ) -> None:
        """Bounds how far below zero settlements may take an account from now on.

        What a settlement costs beyond the least headroom on its path is charged nowhere: the receipt, the
        metrics and the usage history tell it as unpaid, and an alert does. One that is further below stays
        there.

        Args:
            account_id: of a pool or an agent; of the pool where both have this id.
            limit: the bound; None for none.
            actor: who decides it, for the events.
            reason: why.

        Raises:
            InvalidAmountError: `limit` is not an amount.
            UnknownAgentError: there is neither an agent nor a pool of this id.

        Example:
            >>> coordinator.set_overdraft_limit("team", "0.50")
            >>> receipt = coordinator.reserve("bot", "0.10").settle(500)
            >>> receipt.amount, receipt.unpaid, coordinator.get_pool_metrics("team").unpaid
            (Decimal('10.5'), Decimal('489.5'), Decimal('489.5'))
        """
    def move_agent(self, agent_id: str, pool_id: str, *, actor: str = "", reason: str = "") -> None:
        """Puts an agent below another pool.

        What it has spent stays in the books of the pools that paid for it, and a refund of it goes there;
        what it has left goes along.

        Args:
            agent_id: the agent.
            pool_id: the pool that is to stand right above it. Where it does already nothing happens.
            actor: who decides it, for the events.
            reason: why.

        Raises:
            UnknownAgentError: no agent of this id is registered.
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: it has active reservations.

        Example:
            >>> other = coordinator.create_budget_pool("other", 5)
            >>> coordinator.move_agent("bot", other, reason="it changed teams")
            >>> coordinator.get_pool_agents(other)
            ['bot']
        """
    def move_pool(self, pool_id: str, parent_id: str | None, *, actor: str = "", reason: str = "") -> None:
        """Puts a pool, with all that stands below it, below another pool, or at the top.

        What was spent in it stays in the books of the pools that paid for it, and a refund of it goes there.

        Args:
            pool_id: the pool.
            parent_id: the pool that is to stand right above it; None for the top. Where it does already
                nothing happens.
            actor: who decides it, for the events.
            reason: why.

        Raises:
            UnknownPoolError: one of the two does not exist.
            ConfigurationError: something below it has active reservations, the new parent stands below it, or
                it would be more than 32 pools deep.

        Example:
            >>> other = coordinator.create_budget_pool("company", 50)
            >>> coordinator.move_pool("team", other)
            >>> coordinator.get_pool_info("team").parent_id
            'company'
        """
    def close_pool(self, pool_id: str) -> None:
        """Closes a pool below which nothing stands any more.

        What it has left lapses; what was spent in it stays in the books of the pools above.

        Raises:
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: agents or pools stand below it, or something of it is reserved.

        Example:
            >>> coordinator.create_budget_pool("trial", 5)
            'trial'
            >>> coordinator.close_pool("trial")
            >>> coordinator.get_pool_ids()
            ['team']
        """
    def update_period_budget(self, account_id: str, budget: Amount) -> None:
        """Sets what later periods of an account begin with. The current period stays as it is.

        Args:
            account_id: of a pool or an agent; of the pool where both have this id.
            budget: what the next period begins with, and those after it.

        Raises:
            InvalidAmountError: `budget` is not an amount.
            UnknownAgentError: there is neither an agent nor a pool of this id.
            ConfigurationError: the account has no `budget_period`.

        Example:
            >>> pool = coordinator.create_budget_pool("daily", 5, budget_period="daily", timezone="UTC")
            >>> coordinator.update_period_budget(pool, 7)
            >>> coordinator.get_pool_budget(pool)
            Decimal('5')
        """
    def get_agent_priority(self, agent_id: str) -> int:
        """An agent's priority, 1 to 10.

        Raises:
            UnknownAgentError: no agent of this id is registered.

        Example:
            >>> coordinator.get_agent_priority("bot")
            5
        """
    def get_pool_agents(self, pool_id: str) -> list[str]:
        """Ids of the agents right below a pool, sorted.

        Raises:
            UnknownPoolError: no pool of this id exists.

        Example:
            >>> coordinator.get_pool_agents("team")
            ['bot']
        """
    def get_all_agent_ids(self) -> list[str]:
        """Ids of all agents, in no order that means anything.

        Example:
            >>> coordinator.get_all_agent_ids()
            ['bot']
        """
    def get_pool_ids(self) -> list[str]:
        """Ids of all pools, sorted.

        Example:
            >>> coordinator.get_pool_ids()
            ['team']
        """
    def _create_pool(
        self,
        pool_id: str,
        initial_budget: Amount,
        priority: int,
        parent_id: str | None,
        name: str | None,
        exist_ok: bool,
        rules: dict[str, Any],
    ) -> None: ...
    def _register_agents(
        self, rows: Sequence[tuple[str, str, int, Amount, dict[str, Any] | None]], exist_ok: bool
    ) -> None: ...
    @property
    def currency(self) -> str:
        """What the amounts are amounts of, such as `"USD"`. Fixed when the coordinator is made."""
    @property
    def closed(self) -> bool:
        """Whether it was closed: every other method raises then."""
    def _close(self) -> None: ...
    def _check_process(self) -> None: ...
    def _tend_waiting(self) -> float | None: ...
    def _waiting_count(self) -> int: ...
    def _columns(
        self,
    ) -> tuple[
        dict[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]], dict[str, Any]
    ]: ...
    def _refusals(
        self, account_id: str | None
    ) -> list[tuple[bool, str, str | None, str | None, str, int]]: ...
    def _credit(
        self, account_id: str, amount: Amount, expires_at: datetime, with_pools: bool
    ) -> _CreditRow: ...
    def _credits(self, account_id: str) -> list[_CreditRow]: ...
    def _refund(self, of: Receipt | str, amount: Amount | None) -> tuple[Decimal, Decimal, Decimal, int]: ...
    def _pool_info(self, pool_id: str) -> dict[str, Any]: ...
    def _agent_info(self, agent_id: str) -> dict[str, Any]: ...
    def _has_pool(self, pool_id: str) -> bool: ...
    def _pin(self, account_id: str, is_pinned: bool) -> None: ...
    def _is_pinned(self, account_id: str) -> bool: ...
    def _pinned(self) -> list[str]: ...
    def _agents_below(self, pool_id: str) -> int: ...
    def _pool_refusals(self, pool_id: str) -> int: ...
    def _pool_renewal(self, pool_id: str) -> tuple[datetime, datetime, Decimal] | None: ...
    def _agent_snapshot(self, agent_id: str) -> _Snapshot: ...
    def _agent_activity(self, agent_id: str) -> tuple[Decimal, Decimal, Decimal, int, int]: ...
    def _watch_low(self, pool_id: str, low: Amount | None) -> None: ...
    def _pool_snapshot(self, pool_id: str) -> _Snapshot: ...
    def _usage(self, agent_id: str, start_time: datetime, end_time: datetime) -> list[_Usage]: ...
    # The kind is one of `safeguards.types.metrics.EventKind`, which stands above this module.
    def _agent_events(self, agent_id: str) -> list[_Event]: ...
    def _pool_events(self, pool_id: str) -> list[_Event]: ...
    def _violations(self) -> list[tuple[str, str]]: ...

@final
class Account:
    """One agent's account: the same operations as the coordinator's, without looking up the id.

    Two of the same agent are equal. It belongs to this registration of the agent: once the agent is
    unregistered, every operation raises `UnknownAgentError`, even if the id is registered anew.

    Example:
        >>> account = coordinator.account("bot")
        >>> account
        Account("bot", budget=1)
        >>> account == coordinator.account("bot")
        True
    """
    @property
    def id(self) -> str:
        """The agent's id."""
    @property
    def pool_id(self) -> str:
        """Id of the pool right above it."""
    @property
    def budget(self) -> Decimal:
        """What the agent has left: its own remaining budget, negative only after an overdraft."""
    @property
    def available(self) -> Decimal:
        """The least that remains on the path from the agent to its topmost pool."""
    def debit(
        self,
        amount: Amount,
        *,
        also: str | Iterable[str] | None = None,
        operation_type: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Receipt:
        """Charges the agent and every pool above it, all of them or none, as `BudgetCoordinator.debit` does.

        Args:
            amount: how much; more than 9 decimal places are rounded up.
            also: ids of agents or pools that are charged as well, each with every account above it: all or
                none, and one that is met twice once.
            operation_type: what for, at most 256 bytes.
            idempotency_key: of 1 to 256 bytes; a repetition with the same key has no effect and the first
                receipt, with `is_repeat`.
            timeout: seconds that it waits if it does not fit, `math.inf` without an end; None not to wait.
                It is no part of what a key stands for.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            UnknownAgentError: the agent was unregistered.
            BudgetExceededError: an account on the path cannot pay; nothing was changed.
            RateLimitExceededError: a window of the agent is full; nothing was changed.
            IdempotencyConflictError: the key was used for another operation.
            IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.

        Example:
            >>> coordinator.account("bot").debit("0.25").remaining
            Decimal('0.75')
        """
    def debit_async(
        self,
        amount: Amount,
        *,
        also: str | Iterable[str] | None = None,
        operation_type: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> PendingDebit:
        """As `debit`, for tasks: what it returns is awaited, and charges then.

        A task that is cancelled while it waits is charged nothing.

        Returns:
            What is awaited for the receipt.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            ConfigurationError: `timeout` is negative or not a number.

        Example:
            >>> import asyncio
            >>> async def pay():
            ...     return await coordinator.account("bot").debit_async("0.25", timeout=5)
            >>> asyncio.run(pay()).remaining
            Decimal('0.75')
        """
    def try_debit(
        self,
        amount: Amount,
        *,
        also: str | Iterable[str] | None = None,
        operation_type: str | None = None,
        idempotency_key: str | None = None,
    ) -> bool:
        """As `debit`, but tells with a bool whether it was admitted: the fastest form of all.

        Returns:
            True if it was charged; False if a budget or a window refused it, and nothing was changed.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            UnknownAgentError: the agent was unregistered.
            IdempotencyConflictError: the key was used for another operation.
            IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.

        Example:
            >>> coordinator.account("bot").try_debit("1.01")
            False
        """
    def reserve(
        self,
        amount: Amount,
        *,
        also: str | Iterable[str] | None = None,
        ttl_seconds: float = 900.0,
        overage: _Overage = "allow_with_overdraft",
        operation_type: str | None = None,
        idempotency_key: str | None = None,
        on_cancel: Amount | None = None,
        on_error: Amount | None = None,
        cut_off: _CutOff = None,
        timeout: float | None = None,
    ) -> Reservation:
        """Sets aside the most that a piece of work can cost; settle it for what it did cost.

        As a context manager the reservation is kept alive while the body runs. What happens when the body is
        left, unless it settled or released the reservation itself:

        - normally: it is settled for what was reserved;
        - cut off in the middle (a cancelled task, a generator that was closed, Ctrl-C, a time-out: whatever
          is no `Exception`, `TimeoutError`, and what `cut_off` names): it is settled for `on_cancel`, as the
          work may have cost by then;
        - by any other error: it is settled for `on_error`.

        Where that is 0 it is released, and its key is free. Of a group of exceptions one that cuts off is
        enough. If the settlement is refused, as much of it is settled as was reserved. Nothing takes the
        place of the exception: what was refused is noted on it. Such a settlement is a `default_settle`
        among the events.

        Args:
            amount: the most it can cost; more than 9 decimal places are rounded up.
            also: ids of agents or pools that are charged as well, each with every account above it: all or
                none, and one that is met twice once.
            ttl_seconds: seconds until it is given back by itself, above 0.
            overage: what settling for more may do. `"allow_with_overdraft"` charges it, whatever remains:
                what was spent is a fact. `"allow_if_available"` charges it if every account and window has
                room for the excess. `"reject"` refuses it.
            operation_type: what for, at most 256 bytes.
            idempotency_key: of 1 to 256 bytes. A repetition with the same key, agent, `also`, amount,
                operation type, `ttl_seconds` and `overage` returns the same reservation while it is active or
                settled, with `is_repeat`. One that was released or has expired has no effect: the next
                request under its key is decided anew.
            on_cancel: what a `with` block that is cut off settles for; 0 if not given.
            on_error: what one that ends with an error settles for; 0 if not given.
            cut_off: a class of errors, or a tuple of them, that cut it off as well: those of a client that
                say that it did not wait for the answer.
            timeout: seconds that it waits if it does not fit, `math.inf` without an end; None not to wait.
                It is no part of what a key stands for.

        Raises:
            InvalidAmountError: `amount`, `on_cancel` or `on_error` is not an amount.
            UnknownAgentError: the agent was unregistered.
            ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
                `on_cancel` or `on_error` is more than is reserved under `"reject"`, a name is longer than 256
                bytes, or a key is empty or longer than that.
            BudgetExceededError: an account on the path cannot pay; nothing was changed.
            RateLimitExceededError: a window of the agent is full; nothing was changed.
            IdempotencyConflictError: the key was used for another operation.
            IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.

        Example:
            >>> with coordinator.account("bot").reserve("0.50") as reservation:
            ...     reservation
            Reservation(1, agent="bot", amount=0.5, active)
        """
    def reserve_async(
        self,
        amount: Amount,
        *,
        also: str | Iterable[str] | None = None,
        ttl_seconds: float = 900.0,
        overage: _Overage = "allow_with_overdraft",
        operation_type: str | None = None,
        idempotency_key: str | None = None,
        on_cancel: Amount | None = None,
        on_error: Amount | None = None,
        cut_off: _CutOff = None,
        timeout: float | None = None,
    ) -> PendingReservation:
        """As `reserve`, for tasks: what it returns is awaited, or entered with `async with`.

        A task that is cancelled while it waits holds nothing.

        Returns:
            What is awaited for the reservation.

        Raises:
            InvalidAmountError: `amount`, `on_cancel` or `on_error` is not an amount.
            ConfigurationError: as `reserve`; or `timeout` is negative or not a number.

        Example:
            >>> import asyncio
            >>> async def work():
            ...     async with coordinator.account("bot").reserve_async("0.50", timeout=5) as reservation:
            ...         return reservation.settle("0.20").remaining
            >>> asyncio.run(work())
            Decimal('0.8')
        """
    def try_reserve(
        self,
        amount: Amount,
        *,
        also: str | Iterable[str] | None = None,
        ttl_seconds: float = 900.0,
        overage: _Overage = "allow_with_overdraft",
        operation_type: str | None = None,
        idempotency_key: str | None = None,
        on_cancel: Amount | None = None,
        on_error: Amount | None = None,
        cut_off: _CutOff = None,
    ) -> Reservation | None:
        """As `reserve`, but returns None if a budget or a window refuses.

        Raises:
            InvalidAmountError: `amount`, `on_cancel` or `on_error` is not an amount.
            UnknownAgentError: the agent was unregistered.
            ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
                `on_cancel` or `on_error` is more than is reserved under `"reject"`, a name is longer than 256
                bytes, or a key is empty or longer than that.
            IdempotencyConflictError: the key was used for another operation.
            IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.

        Example:
            >>> coordinator.account("bot").try_reserve(2) is None
            True
        """
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Reservation:
    """Money set aside for one piece of work: made by `reserve`, closed by `settle` or `release`, or by time.

    Works with `with` and `async with`; see `BudgetCoordinator.reserve`. One that is dropped while it is
    active stays set aside until its time to live is over, and warns with a `ResourceWarning`. Two of one
    reservation, as repetitions with an idempotency key return, are equal.

    Example:
        >>> reservation = coordinator.reserve("bot", "0.50")
        >>> coordinator.get_budget("bot")
        Decimal('0.5')
        >>> reservation.settle("0.20").remaining
        Decimal('0.8')
        >>> reservation
        Reservation(1, agent="bot", amount=0.5, settled)
    """
    @property
    def amount(self) -> Decimal:
        """What was set aside."""
    @property
    def id(self) -> str:
        """What names it outside of this object: `BudgetCoordinator.reservation` finds it by that."""
    @property
    def agent_id(self) -> str:
        """Id of the agent that it was made for."""
    @property
    def number(self) -> int:
        """Its number among the agent's reservations: 1, 2, 3 and so on."""
    @property
    def state(self) -> Literal["active", "settled", "released", "expired"]:
        """Where it stands now: `"active"`, `"settled"`, `"released"` or `"expired"`."""
    @property
    def is_repeat(self) -> bool:
        """Whether it was made before, by the first `reserve` under the same idempotency key.

        Under a key one that is settled can be entered by `with` all the same, and its `state` asked there:
        settling it for the same amount has no effect.
        """
    @property
    def receipt(self) -> Receipt | None:
        """What it was settled for; None if it was not."""
    def settle(self, amount: Amount) -> Receipt:
        """Charges what the work has cost and gives the rest back.

        A repetition with the same amount has no effect.

        After the time to live is over it still charges what it is told, under the overage policy, as a late
        settlement: what was spent is a fact.

        Args:
            amount: what it has cost; more than 9 decimal places are rounded up.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            ReservationError: it was released, or settled for another amount.
            BudgetExceededError: it costs more than was reserved, and the overage policy refuses; it stays
                active.
            RateLimitExceededError: it costs more than was reserved, and a window has no room; it stays
                active.

        Example:
            >>> reservation = coordinator.reserve("bot", "0.50")
            >>> reservation.settle("0.20") == reservation.settle("0.20")
            True
            >>> reservation.settle("0.30")
            Traceback (most recent call last):
            safeguards.exceptions.ReservationError: reservation 1 of agent "bot" was settled for 0.2 before...
        """
    def release(self) -> None:
        """Gives back all that was set aside. A repetition, or one that has expired, changes nothing.

        Raises:
            ReservationError: it was settled.

        Example:
            >>> reservation = coordinator.reserve("bot", "0.50")
            >>> reservation.release()
            >>> reservation.state, coordinator.get_budget("bot")
            ('released', Decimal('1'))
        """
    def extend(self, ttl_seconds: float) -> None:
        """Lets it live for `ttl_seconds` from now on, in or out of a `with` block.

        Args:
            ttl_seconds: seconds, above 0.

        Raises:
            ConfigurationError: `ttl_seconds` is not positive and finite.
            ReservationError: it was settled or released, or has expired.

        Example:
            >>> reservation = coordinator.reserve("bot", "0.50", ttl_seconds=60)
            >>> clock.advance(59)
            >>> reservation.extend(60)
            >>> clock.advance(59)
            >>> reservation.state
            'active'
            >>> reservation.release()
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        _class: type[BaseException] | None,
        exception: BaseException | None,
        _traceback: TracebackType | None,
    ) -> Literal[False]: ...
    def __aenter__(self) -> _Ready[Self]: ...
    def __aexit__(
        self,
        _class: type[BaseException] | None,
        exception: BaseException | None,
        _traceback: TracebackType | None,
    ) -> _Ready[Literal[False]]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Receipt:
    """What a debit or a settlement has done. Amounts become `Decimal`s when somebody looks.

    Equal to another of the same amounts and sequence; hashable. `BudgetCoordinator.refund` takes it.

    Example:
        >>> receipt = coordinator.debit("bot", "0.25")
        >>> receipt.amount, receipt.remaining, receipt.sequence
        (Decimal('0.25'), Decimal('0.75'), 2)
    """
    @property
    def amount(self) -> Decimal:
        """What was charged."""
    @property
    def remaining(self) -> Decimal:
        """What the agent had left right after it."""
    @property
    def sequence(self) -> int:
        """Position of the event in the agent's history: 1, 2, 3 and so on."""
    @property
    def is_repeat(self) -> bool:
        """Whether it was charged before, by the first operation under the same idempotency key."""
    @property
    def unpaid(self) -> Decimal:
        """What a settlement cost beyond the overdraft limits of its path: charged nowhere."""
    @property
    def id(self) -> str:
        """What tells this charge from all others, for records of your own."""
    @property
    def refunded(self) -> Decimal:
        """What of it was given back by now, as far as that is remembered: for 24 hours."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@disjoint_base
class RateLimiter:
    """The windows behind `BudgetRateLimiter`, which inherits every method from here.

    Examples of its methods start from a `limiter` of a `coordinator` with the agent `"bot"`, which may spend
    1.00 in a minute, on a `clock` that stands still. Every method takes the id of an agent or of a pool; the
    agent is meant where both have it and no `kind` is named.

    Args:
        coordinator: the coordinator of the agents.
    """
    def __new__(cls, coordinator: Ledger) -> Self: ...
    def check_rate_limit(
        self,
        agent_id: str,
        amount: Amount,
        *,
        resource: str | None = None,
        kind: Literal["agent", "pool"] | None = None,
    ) -> bool:
        """Whether `amount` fits now into every window of an account and of the pools above it.

        Charges nothing. What is refused is what `get_retry_after` tells about next.

        Args:
            agent_id: the agent, or a pool.
            amount: how much; more than 9 decimal places are rounded up.
            resource: a resource of the agent, whose windows are asked alone; money, if not given.
            kind: `"agent"` or `"pool"`, where both have the id.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            UnknownAgentError: there is neither an agent nor a pool of this id.
            UnknownResourceError: the agent has no budget for the resource.
            ConfigurationError: `kind` is neither, or a pool is asked for a resource.

        Example:
            >>> limiter.check_rate_limit("bot", "0.80"), limiter.check_rate_limit("bot", "1.20")
            (True, False)
        """
    def record_usage(
        self,
        agent_id: str,
        amount: Amount,
        *,
        operation_type: str | None = None,
        resource: str | None = None,
        kind: Literal["agent", "pool"] | None = None,
    ) -> None:
        """States that `amount` was spent elsewhere: a fact, which nothing refuses.

        It counts in every window of the account and of the pools above it, and enters the usage history of
        the account with the source `"recorded"`; no budget is touched.

        Args:
            agent_id: the agent, or a pool.
            amount: how much; more than 9 decimal places are rounded up.
            operation_type: what for.
            resource: a resource of the agent, whose windows are meant alone; money, if not given.
            kind: `"agent"` or `"pool"`, where both have the id.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            UnknownAgentError: there is neither an agent nor a pool of this id.
            UnknownResourceError: the agent has no budget for the resource.
            ConfigurationError: `kind` is neither, or a pool is asked for a resource.

        Example:
            >>> limiter.record_usage("bot", "0.90")
            >>> limiter.check_rate_limit("bot", "0.20"), coordinator.get_budget("bot")
            (False, Decimal('1'))
        """
    def acquire(
        self,
        agent_id: str,
        amount: Amount,
        *,
        resource: str | None = None,
        kind: Literal["agent", "pool"] | None = None,
    ) -> None:
        """Charges `amount` to every window of an account and of the pools above it, all of them or none.

        No budget is touched.

        Args:
            agent_id: the agent, or a pool.
            amount: how much; more than 9 decimal places are rounded up.
            resource: a resource of the agent, whose windows are meant alone; money, if not given.
            kind: `"agent"` or `"pool"`, where both have the id.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            UnknownAgentError: there is neither an agent nor a pool of this id.
            UnknownResourceError: the agent has no budget for the resource.
            ConfigurationError: `kind` is neither, or a pool is asked for a resource.
            RateLimitExceededError: a window is full; nothing was changed, and `retry_after` says for how
                long.

        Example:
            >>> limiter.acquire("bot", "0.80")
            >>> limiter.acquire("bot", "0.80")
            Traceback (most recent call last):
            safeguards.exceptions.RateLimitExceededError: agent "bot" may spend 1 in 60 s and cannot...
        """
    def try_acquire(
        self,
        agent_id: str,
        amount: Amount,
        *,
        resource: str | None = None,
        kind: Literal["agent", "pool"] | None = None,
    ) -> bool:
        """As `acquire`, but tells with a bool whether it was admitted.

        Args:
            agent_id: the agent, or a pool.
            amount: how much; more than 9 decimal places are rounded up.
            resource: a resource of the agent, whose windows are meant alone; money, if not given.
            kind: `"agent"` or `"pool"`, where both have the id.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            UnknownAgentError: there is neither an agent nor a pool of this id.
            UnknownResourceError: the agent has no budget for the resource.
            ConfigurationError: `kind` is neither, or a pool is asked for a resource.

        Example:
            >>> limiter.try_acquire("bot", "0.80"), limiter.try_acquire("bot", "0.80")
            (True, False)
        """
    def get_retry_after(
        self,
        agent_id: str,
        amount: Amount | None = None,
        *,
        resource: str | None = None,
        kind: Literal["agent", "pool"] | None = None,
    ) -> float:
        """Seconds until enough of what was charged has left the windows for `amount`: it fits no sooner.

        What is reserved may come back at any moment, and so it does not count here: where reservations fill a
        window, it is asked again when one of them has ended. Nobody knows what others charge meanwhile.

        Args:
            agent_id: the agent, or a pool; the windows of the pools above it count as well.
            amount: how much; what was refused to the account last, if not given.
            resource: a resource of the agent, whose windows are meant alone; money, if not given.
            kind: `"agent"` or `"pool"`, where both have the id.

        Returns:
            0.0 if it fits beside what was charged, if nothing was refused or if there is no limit; `math.inf`
            if it can never fit.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            UnknownAgentError: there is neither an agent nor a pool of this id.
            UnknownResourceError: the agent has no budget for the resource.
            ConfigurationError: `kind` is neither, or a pool is asked for a resource.

        Example:
            >>> limiter.acquire("bot", "0.80")
            >>> clock.advance(15)
            >>> limiter.get_retry_after("bot", "0.20"), limiter.get_retry_after("bot", "0.21")
            (0.0, 45.0)
            >>> limiter.get_retry_after("bot", 2)
            inf
        """
    def _set_rate_limit(
        self,
        agent_id: str,
        max_budget: Amount,
        time_window: timedelta,
        exact: bool,
        resource: str | None,
        kind: str | None,
    ) -> None: ...
    def _remove_rate_limit(
        self, agent_id: str, time_window: timedelta | None, resource: str | None, kind: str | None
    ) -> int: ...
    def _windows(
        self, agent_id: str, resource: str | None, kind: str | None
    ) -> list[tuple[float, Decimal, Decimal, Decimal]]: ...

@disjoint_base
class ResourceBudgets:
    """The budgets behind `MultiResourceBudget`, which inherits every method from here.

    Examples of its methods start from a `multi_resource` of a `coordinator` whose agent `"bot"` may spend 100
    `"calls"` and 10 `"seconds"`.

    Args:
        budget_coordinator: the coordinator of the agents.
    """
    def __new__(cls, budget_coordinator: Ledger) -> Self: ...
    def initialize_budgets(
        self, agent_id: str, budgets: Mapping[str, Amount], *, exist_ok: bool = False
    ) -> None:
        """Gives an agent these resources and no others. Called again it replaces them: the books begin anew.

        Args:
            agent_id: the agent.
            budgets: what it may spend, by resource type; more than 9 decimal places are rounded down.
            exist_ok: resources that the agent has keep what remains, and only the others are added: what a
                program says that begins with books which may be there already.

        Raises:
            InvalidAmountError: a budget is not an amount.
            UnknownAgentError: no agent of this id is registered.
            ConfigurationError: a resource type is empty or longer than 512 bytes, it is the 1,025th, or
                reservations of the agent's resources are active.

        Example:
            >>> multi_resource.initialize_budgets("bot", {"calls": 50, "gigabytes": "2.5"})
            >>> multi_resource.get_budgets("bot")
            {'calls': Decimal('50'), 'gigabytes': Decimal('2.5')}
        """
    def update_budget(self, agent_id: str, resource_type: str, budget: Amount) -> None:
        """Makes `budget` of a resource remain for an agent. Reservations are untouched.

        Args:
            agent_id: the agent.
            resource_type: one of its resources.
            budget: what it may spend from now on; more than 9 decimal places are rounded down.

        Raises:
            InvalidAmountError: `budget` is not an amount.
            UnknownAgentError: no agent of this id is registered.
            UnknownResourceError: the agent has no budget for this resource.

        Example:
            >>> multi_resource.update_budget("bot", "calls", 5)
            >>> multi_resource.get_budget("bot", "calls")
            Decimal('5')
        """
    def get_budget(self, agent_id: str, resource_type: str) -> Decimal:
        """What an agent has left of a resource, negative only after an overdraft.

        Raises:
            UnknownAgentError: no agent of this id is registered.
            UnknownResourceError: the agent has no budget for this resource.

        Example:
            >>> multi_resource.get_budget("bot", "seconds")
            Decimal('10')
        """
    def get_budgets(self, agent_id: str) -> dict[str, Decimal]:
        """What an agent has left of each of its resources, all at one instant.

        Raises:
            UnknownAgentError: no agent of this id is registered.

        Example:
            >>> multi_resource.get_budgets("bot")
            {'calls': Decimal('100'), 'seconds': Decimal('10')}
        """
    def get_resource_types(self, agent_id: str) -> list[str]:
        """The resource types that an agent has budgets for, in the order in which they were first named.

        Raises:
            UnknownAgentError: no agent of this id is registered.

        Example:
            >>> multi_resource.get_resource_types("bot")
            ['calls', 'seconds']
        """
    def has_sufficient_budget(self, agent_id: str, resource_type: str, amount: Amount) -> bool:
        """Whether a debit of `amount` would be admitted now, by the agent's budget and by the capacity.

        It may no longer be a moment later: `try_debit` asks and charges in one step.

        Raises:
            InvalidAmountError: `amount` is not an amount.
            UnknownAgentError: no agent of this id is registered.
            UnknownResourceError: the agent has no budget for this resource.

        Example:
            >>> multi_resource.has_sufficient_budget("bot", "seconds", 10)
            True
            >>> multi_resource.has_sufficient_budget("bot", "minutes", 1)
            Traceback (most recent call last):
            safeguards.exceptions.UnknownResourceError: agent "bot" has no budget for resource "minutes"...
        """
    def debit(
        self,
        agent_id: str,
        amounts: Mapping[str, Amount],
        *,
        operation_type: str | None = None,
        idempotency_key: str | None = None,
    ) -> ResourceReceipt:
        """Charges an agent several resources in one step: all of them or none. Nobody ever sees a part of it.

        Args:
            agent_id: the agent.
            amounts: how much of which resource types; more than 9 decimal places are rounded up.
            operation_type: what for, at most 256 bytes; the usage history can be read by it.
            idempotency_key: of 1 to 256 bytes; a repetition with the same key, agent, amounts and operation
                type has no effect and the first receipt, with `is_repeat`. The keys are not those of the
                coordinator's debits: one request may use its key for both.

        Returns:
            What was charged, and what remains of these resources.

        Raises:
            InvalidAmountError: an amount is not one.
            UnknownAgentError: no agent of this id is registered.
            UnknownResourceError: the agent has no budget for one of the resources.
            BudgetExceededError: a budget or a capacity cannot pay; `resource` says which, and nothing was
                changed.
            IdempotencyConflictError: the key was used for another operation.
            IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.

        Example:
            >>> multi_resource.debit("bot", {"calls": 1, "seconds": "2.5"})
            ResourceReceipt(amounts={calls: 1, seconds: 2.5}, remaining={calls: 99, seconds: 7.5})
            >>> multi_resource.debit("bot", {"calls": 1, "seconds": 8})
            Traceback (most recent call last):
            safeguards.exceptions.BudgetExceededError: agent "bot" cannot pay 8 of "seconds": 7.5 of 10...
            >>> multi_resource.get_budget("bot", "calls")
            Decimal('99')
        """
    def try_debit(
        self,
        agent_id: str,
        amounts: Mapping[str, Amount],
        *,
        operation_type: str | None = None,
        idempotency_key: str | None = None,
    ) -> bool:
        """As `debit`, but tells with a bool whether it was admitted: the form for hot loops.

        Raises:
            InvalidAmountError: an amount is not one.
            UnknownAgentError: no agent of this id is registered.
            UnknownResourceError: the agent has no budget for one of the resources.
            IdempotencyConflictError: the key was used for another operation.
            IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.

        Example:
            >>> multi_resource.try_debit("bot", {"calls": 1, "seconds": 8})
            True
            >>> multi_resource.try_debit("bot", {"calls": 1, "seconds": 8})
            False
        """
    def reserve(
        self,
        agent_id: str,
        amounts: Mapping[str, Amount],
        *,
        ttl_seconds: float = 900.0,
        overage: _Overage = "allow_with_overdraft",
        operation_type: str | None = None,
        idempotency_key: str | None = None,
        on_cancel: Mapping[str, Amount] | None = None,
        on_error: Mapping[str, Amount] | None = None,
        cut_off: _CutOff = None,
    ) -> ResourceReservation:
        """Sets aside the most that a piece of work can take, all or none; settle it for what it took.

        As a context manager it is kept alive while the body runs. Leaving the body settles what was reserved,
        unless the body settled or released it itself. Cut off, or left by an error, it does what is said of
        `BudgetCoordinator.reserve`.

        Args:
            agent_id: the agent.
            amounts: the most of each resource type; more than 9 decimal places are rounded up.
            ttl_seconds: seconds until it is given back by itself, above 0.
            overage: what settling for more of a resource may do. `"allow_with_overdraft"` charges it,
                whatever remains: what was spent is a fact. `"allow_if_available"` charges it if every budget
                and capacity has room for the excess. `"reject"` refuses it.
            operation_type: what for, at most 256 bytes.
            idempotency_key: of 1 to 256 bytes. A repetition with the same key, agent, amounts, operation
                type, `ttl_seconds` and `overage` returns the same reservation while it is active or settled,
                with `is_repeat`. One that was released or has expired has no effect: the next request under
                its key is decided anew.
            on_cancel: what a `with` block that is cut off settles for; nothing if not given.
            on_error: what one that ends with an error settles for; nothing if not given.
            cut_off: a class of errors, or a tuple of them, that cut it off as well.

        Raises:
            InvalidAmountError: an amount is not one.
            UnknownAgentError: no agent of this id is registered.
            UnknownResourceError: the agent has no budget for one of the resources.
            ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
                `on_cancel` or `on_error` is more than is reserved under `"reject"`, a name is longer than 256
                bytes, or a key is empty or longer than that.
            BudgetExceededError: a budget or a capacity cannot pay; nothing was changed.
            IdempotencyConflictError: the key was used for another operation.
            IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.

        Example:
            >>> with multi_resource.reserve("bot", {"calls": 1, "seconds": 8}) as reservation:
            ...     receipt = reservation.settle({"calls": 1, "seconds": "2.5"})
            >>> multi_resource.get_budgets("bot")
            {'calls': Decimal('99'), 'seconds': Decimal('7.5')}
        """
    def try_reserve(
        self,
        agent_id: str,
        amounts: Mapping[str, Amount],
        *,
        ttl_seconds: float = 900.0,
        overage: _Overage = "allow_with_overdraft",
        operation_type: str | None = None,
        idempotency_key: str | None = None,
        on_cancel: Mapping[str, Amount] | None = None,
        on_error: Mapping[str, Amount] | None = None,
        cut_off: _CutOff = None,
    ) -> ResourceReservation | None:
        """As `reserve`, but returns None if a budget or a capacity refuses.

        Raises:
            InvalidAmountError: an amount is not one.
            UnknownAgentError: no agent of this id is registered.
            UnknownResourceError: the agent has no budget for one of the resources.
            ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
                `on_cancel` or `on_error` is more than is reserved under `"reject"`, a name is longer than 256
                bytes, or a key is empty or longer than that.
            IdempotencyConflictError: the key was used for another operation.
            IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.

        Example:
            >>> multi_resource.try_reserve("bot", {"calls": 1, "seconds": 11}) is None
            True
        """
    def set_capacity(self, resource_type: str, capacity: Amount) -> None:
        """Makes `capacity` of a resource remain for all agents together, whatever their budgets add up to.

        From then on every debit and reservation passes it in the same step as the agent's budget. The first
        time counts what the agents have reserved by then, and stops all of them for that long.

        Args:
            resource_type: the resource type; no agent need have it yet.
            capacity: what all may spend from now on; more than 9 decimal places are rounded down.

        Raises:
            InvalidAmountError: `capacity` is not an amount.
            ConfigurationError: the resource type is empty or too long, or the 1,025th.

        Example:
            >>> multi_resource.set_capacity("calls", 30)
            >>> multi_resource.debit("bot", {"calls": 40})
            Traceback (most recent call last):
            safeguards.exceptions.BudgetExceededError: all agents together cannot pay 40 of "calls", asked...
        """
    def remove_capacity(self, resource_type: str) -> bool:
        """Lets agents spend a resource within their own budgets only.

        Returns:
            Whether a capacity was set.

        Example:
            >>> multi_resource.set_capacity("calls", 30)
            >>> multi_resource.remove_capacity("calls"), multi_resource.remove_capacity("calls")
            (True, False)
        """
    def get_capacity(self, resource_type: str) -> Decimal | None:
        """What all agents together may still spend of a resource; None if no capacity is set.

        Example:
            >>> multi_resource.set_capacity("calls", 30)
            >>> multi_resource.try_debit("bot", {"calls": 1})
            True
            >>> multi_resource.get_capacity("calls"), multi_resource.get_capacity("seconds")
            (Decimal('29'), None)
        """
    def _metrics(self, agent_id: str, resource_type: str) -> _ResourceSnapshot: ...
    def _all_metrics(self, agent_id: str) -> dict[str, _ResourceSnapshot]: ...
    def _capacity_metrics(self, resource_type: str) -> _ResourceSnapshot | None: ...
    def _usage(
        self, agent_id: str, resource_type: str, start_time: datetime, end_time: datetime
    ) -> list[_Usage]: ...
    def _events(self, agent_id: str, resource_type: str) -> list[_Event]: ...

@final
class ResourceReservation:
    """Resources set aside for a piece of work: made by `reserve`, closed by `settle`, `release` or time.

    Works with `with` and `async with`; see `MultiResourceBudget.reserve`. One that is dropped while it is
    active stays set aside until its time to live is over, and warns with a `ResourceWarning`. Two of one
    reservation, as repetitions with an idempotency key return, are equal.

    Example:
        >>> reservation = multi_resource.reserve("bot", {"calls": 1, "seconds": 8})
        >>> multi_resource.get_budget("bot", "seconds")
        Decimal('2')
        >>> reservation.settle({"calls": 1, "seconds": "2.5"}).remaining["seconds"]
        Decimal('7.5')
        >>> reservation
        ResourceReservation(1, agent="bot", amounts={calls: 1, seconds: 8}, settled)
    """
    @property
    def amounts(self) -> dict[str, Decimal]:
        """What was set aside, by resource type."""
    @property
    def id(self) -> str:
        """What names it outside of this object: `BudgetCoordinator.reservation` finds it by that."""
    @property
    def agent_id(self) -> str:
        """Id of the agent that it was made for."""
    @property
    def number(self) -> int:
        """Its number among the agent's reservations, of money or resources: 1, 2, 3 and so on."""
    @property
    def state(self) -> Literal["active", "settled", "released", "expired"]:
        """Where it stands now: `"active"`, `"settled"`, `"released"` or `"expired"`."""
    @property
    def is_repeat(self) -> bool:
        """Whether it was made before, by the first `reserve` under the same idempotency key.

        Under a key one that is settled can be entered by `with` all the same, and its `state` asked there:
        settling it for the same amounts has no effect.
        """
    @property
    def receipt(self) -> ResourceReceipt | None:
        """What it was settled for; None if it was not."""
    def settle(self, amounts: Mapping[str, Amount]) -> ResourceReceipt:
        """Charges what the work has taken and gives the rest back, of all resources in one step.

        A repetition with the same amounts has no effect. After the time to live is over it still charges what
        it is told, under the overage policy, as a late settlement: what was spent is a fact.

        Args:
            amounts: what it has taken of each resource type; nothing of those that are not named. More than 9
                decimal places are rounded up. It may name resources of the agent that were not reserved:
                then all of it is beyond what was reserved.

        Raises:
            InvalidAmountError: an amount is not one.
            UnknownResourceError: the agent has no budget for one of the resources.
            ReservationError: it was released, or settled for other amounts.
            BudgetExceededError: it took more of a resource than was reserved, and the overage policy refuses;
                it stays active.

        Example:
            >>> reservation = multi_resource.reserve("bot", {"calls": 1, "seconds": 8})
            >>> reservation.settle({"seconds": "2.5"}).amounts
            {'calls': Decimal('0'), 'seconds': Decimal('2.5')}
            >>> reservation.settle({"seconds": 3})
            Traceback (most recent call last):
            safeguards.exceptions.ReservationError: reservation 1 of agent "bot" was settled for {calls: 0,...
        """
    def release(self) -> None:
        """Gives back all that was set aside. A repetition, or one that has expired, changes nothing.

        Raises:
            ReservationError: it was settled.

        Example:
            >>> reservation = multi_resource.reserve("bot", {"calls": 1, "seconds": 8})
            >>> reservation.release()
            >>> reservation.state, multi_resource.get_budget("bot", "seconds")
            ('released', Decimal('10'))
        """
    def extend(self, ttl_seconds: float) -> None:
        """Lets it live for `ttl_seconds` from now on, in or out of a `with` block.

        Args:
            ttl_seconds: seconds, above 0.

        Raises:
            ConfigurationError: `ttl_seconds` is not positive and finite.
            ReservationError: it was settled or released, or has expired.

        Example:
            >>> reservation = multi_resource.reserve("bot", {"calls": 1}, ttl_seconds=60)
            >>> clock.advance(59)
            >>> reservation.extend(60)
            >>> clock.advance(59)
            >>> reservation.state
            'active'
            >>> reservation.release()
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        _class: type[BaseException] | None,
        exception: BaseException | None,
        _traceback: TracebackType | None,
    ) -> Literal[False]: ...
    def __aenter__(self) -> _Ready[Self]: ...
    def __aexit__(
        self,
        _class: type[BaseException] | None,
        exception: BaseException | None,
        _traceback: TracebackType | None,
    ) -> _Ready[Literal[False]]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class ResourceReceipt:
    """What a debit or a settlement of resources has done. Amounts become `Decimal`s when somebody looks.

    Equal to another with the same values; hashable.

    Example:
        >>> receipt = multi_resource.debit("bot", {"calls": 1, "seconds": "2.5"})
        >>> receipt.amounts
        {'calls': Decimal('1'), 'seconds': Decimal('2.5')}
        >>> receipt.remaining["seconds"], receipt.sequences["seconds"]
        (Decimal('7.5'), 2)
    """
    @property
    def amounts(self) -> dict[str, Decimal]:
        """What was charged, by resource type. A settlement names what was reserved or charged."""
    @property
    def remaining(self) -> dict[str, Decimal]:
        """What the agent had left right after it, of each of these resources."""
    @property
    def sequences(self) -> dict[str, int]:
        """Position of the event in the agent's history of each resource: 1, 2, 3 and so on."""
    @property
    def is_repeat(self) -> bool:
        """Whether it was charged before, by the first operation under the same idempotency key."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class FairAllocation:
    """Exact shares of agents, by their place among the demands."""
    def __new__(
        cls,
        demands: Mapping[str, Mapping[str, Amount]],
        capacities: Mapping[str, Amount],
        weights: Mapping[str, float | Mapping[str, float]] | None,
        caps: Mapping[str, Amount] | None,
    ) -> Self: ...
    def share(self, row: int) -> tuple[Decimal, float, str | None, str | None, dict[str, Decimal]]:
        """The share of the agent in a row."""
    def allocated(self) -> dict[str, Decimal]:
        """How much of each resource is given away."""

def execute_decision(
    ledger: Ledger,
    is_pool: bool,
    account: str,
    budget: Amount | None,
    by: Amount,
    later_periods: Amount,
    actor: str,
    reason: str,
) -> tuple[Decimal, Decimal, Decimal]:
    """Carries a decision out: all of it in one step, or nothing.

    Takes the coordinator; whether the account is a pool; its id; what is to remain, or None and what is
    added to it and to later periods; who decided, and why. Returns what remained before and the changes
    that were made.
    """

def fair_tasks(
    demands: NDArray[np.float64],
    capacities: NDArray[np.float64],
    weights: NDArray[np.float64],
    caps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Tasks of agents whose demands stand in the rows of an array."""

@final
class ManualClock:
    """A clock that stands still until it is told to move: for tests, and for traces that are replayed.

    Args:
        start: the wall time that it shows first, before 2262; a naive one is local time. 2026-01-01 UTC if
            not given.

    Raises:
        ConfigurationError: `start` is out of range.

    Example:
        >>> clock = ManualClock()
        >>> clock.advance(90)
        >>> clock
        ManualClock(2026-01-01T00:01:30+00:00)
    """
    def __new__(cls, start: datetime | None = None) -> Self: ...
    def advance(self, by: float | timedelta) -> None:
        """Moves both lines forward, the monotonic one and the wall time.

        Controllers that were started run on the way, each when its time has come, in this thread.

        Args:
            by: seconds, rounded to nanoseconds, or a `timedelta`.

        Raises:
            ConfigurationError: `by` is negative, not finite or no time at all.

        Example:
            >>> clock.advance(timedelta(minutes=1))
            >>> clock.monotonic()
            60.0
        """
    def set_wall(self, to: datetime) -> None:
        """Moves the wall time alone, either way: what an administrator or a time server does.

        Args:
            to: the wall time; a naive one is local time.

        Raises:
            ConfigurationError: `to` is out of range.

        Example:
            >>> clock.set_wall(datetime(2026, 7, 1, tzinfo=UTC))
            >>> clock.now(), clock.monotonic()
            (datetime.datetime(2026, 7, 1, 0, 0, tzinfo=datetime.timezone.utc), 0.0)
        """
    def _skip(self, nanos: int) -> None: ...
    def _monotonic_nanos(self) -> int: ...
    def _share_ticker(self, offered: Any) -> Any: ...
    def monotonic(self) -> float:
        """Seconds that the clock was advanced by."""
    def now(self) -> datetime:
        """The wall time, aware, in UTC."""

@final
class SystemClock:
    """The operating system's clocks.

    Example:
        >>> SystemClock()
        SystemClock()
    """
    def __new__(cls) -> Self: ...
    def _monotonic_nanos(self) -> int: ...
    def monotonic(self) -> float:
        """Seconds on a line that only goes forward, also while the machine sleeps; its zero means nothing."""
    def now(self) -> datetime:
        """The wall time, aware, in UTC."""

@final
class Empty:
    """Takes what the hot methods take and does nothing: what a call costs before any work."""
    def __new__(cls) -> Self: ...
    def try_debit(
        self, agent_id: Any, amount: Any, *, operation_type: Any = None, idempotency_key: Any = None
    ) -> bool:
        """Does nothing, as `BudgetCoordinator.try_debit` is called."""
    def account_try_debit(
        self, amount: Any, *, operation_type: Any = None, idempotency_key: Any = None
    ) -> bool:
        """Does nothing, as `Account.try_debit` is called."""
    def try_acquire(self, agent_id: Any, amount: Any) -> bool:
        """Does nothing, as `BudgetRateLimiter.try_acquire` is called."""

@final
class PendingReservation:
    """A reservation that is made when it is awaited, or entered with `async with`: see `reserve_async`.

    Example:
        >>> import asyncio
        >>> async def work():
        ...     async with coordinator.reserve_async("bot", "0.50", timeout=5) as reservation:
        ...         return reservation.settle("0.20").remaining
        >>> asyncio.run(work())
        Decimal('0.8')
    """
    def _begin(self, wake: Callable[[], object]) -> Any: ...
    def _keep(self, reservation: Reservation) -> None: ...
    def __await__(self) -> Generator[Any, None, Reservation]: ...
    def __aenter__(self) -> Coroutine[Any, Any, Reservation]: ...
    def __aexit__(
        self,
        _class: type[BaseException] | None,
        exception: BaseException | None,
        _traceback: TracebackType | None,
    ) -> _Ready[bool]: ...

@final
class PendingDebit:
    """A debit that is charged when it is awaited: what `debit_async` returns.

    Example:
        >>> import asyncio
        >>> async def pay():
        ...     return await coordinator.debit_async("bot", "0.25", timeout=5)
        >>> asyncio.run(pay()).remaining
        Decimal('0.75')
    """
    def _begin(self, wake: Callable[[], object]) -> Any: ...
    def __await__(self) -> Generator[Any, None, Receipt]: ...

@final
class _Waiter:
    @property
    def _seconds_left(self) -> float | None: ...
    def _finish(self) -> Any: ...
    def _withdraw(self) -> None: ...

@final
class _Ready(Generic[_T_co]):
    """An awaitable that has its result already: what `async with` awaits."""
    def __await__(self) -> Generator[Any, None, _T_co]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> _T_co: ...

def time_zone_name(name: str) -> str:
    """The name of a time zone as the database of zones writes it, whatever the case of the letters.

    Example:
        >>> time_zone_name("europe/berlin")
        'Europe/Berlin'
    """

def time_zone_rules(name: str) -> bytes | None:
    """The rules of a zone as a file of the format TZif; none if it is not known.

    Example:
        >>> time_zone_rules("Europe/Berlin")[:4]
        b'TZif'
    """

def check_local_time_zone() -> None:
    """Refuses an environment variable `TZ` that names no time zone.

    Example:
        >>> check_local_time_zone()
    """

def reads_decimals_in_place() -> bool:
    """Whether `Decimal`s are read in place on this interpreter. If not: by text, with the same results."""

def amount_units(value: Amount, *, round_up: bool, in_place: bool = True, argument: str = "value") -> int:
    """The amount of a value in units of 1e-9, as the methods above read it.

    Args:
        value: a `Decimal`, an `int` or a decimal `str`.
        round_up: which way more than 9 decimal places are rounded.
        in_place: whether a `Decimal` may be read in place; if not, it is read by its text.
        argument: what an error calls the value.

    Raises:
        InvalidAmountError: `value` is not an amount.

    Example:
        >>> amount_units(Decimal("0.1"), round_up=True, in_place=True)
        100000000
    """

@final
class AllocationStrategy:
    """A strategy and its parameters, checked when it is used."""

    @staticmethod
    def adaptive(
        adjusting_rate: float,
        scaling_factor: float,
        roulette: bool,
        per_agent: bool,
    ) -> AllocationStrategy:
        """She & Leung 2009."""
    @staticmethod
    def lam_leung(history: int, increase: float, decrease: float) -> AllocationStrategy:
        """Lam & Leung 2007."""
    @staticmethod
    def galstyan(neighbours: int, tables: int) -> AllocationStrategy:
        """Galstyan, Kolar & Lerman 2003."""
    @staticmethod
    def win_stay() -> AllocationStrategy:
        """Own wins and losses and past capacities."""
    @staticmethod
    def flow() -> AllocationStrategy:
        """Public past loads and capacities."""
    @staticmethod
    def random() -> AllocationStrategy:
        """Each agent on its own, in proportion to the forecast capacities."""
    @staticmethod
    def previous_capacity() -> AllocationStrategy:
        """A centre that sets loads to the previous capacities."""
    @staticmethod
    def custom(start: Callable[[int, int, int], Callable[..., NDArray[np.uint16]]]) -> AllocationStrategy:
        """A rule in Python: `start(n_agents, n_resources, seed)` makes the agents of a trial."""
    @staticmethod
    def mixed(strategies: Sequence[AllocationStrategy], parts: Sequence[float]) -> AllocationStrategy:
        """Strategies side by side, each with its part of the agents."""
    def check(self, resources: int) -> None:
        """Refuses parameters that make no sense with this number of resources."""
    def bytes_per_agent(self, resources: int) -> int:
        """Bytes of state that a simulation keeps for each agent."""

@final
class AllocationAgents:
    """N agents for one's own loop."""

    def __new__(
        cls,
        strategy: AllocationStrategy,
        n_agents: int,
        n_resources: int,
        seed: int,
        initial_attitudes: NDArray[np.float64] | None,
    ) -> AllocationAgents: ...
    @property
    def step(self) -> int:
        """Steps begun."""
    def choose(self, capacities: NDArray[np.float64]) -> NDArray[np.uint16]:
        """Opens a step; each agent's resource as a uint16 array."""
    def update(self, overloaded: NDArray[np.bool_], loads: NDArray[np.int64] | None) -> None:
        """Closes the step."""

@final
class AllocationSelector:
    """The live selector; resources are numbers here."""

    def __new__(
        cls,
        strategy: AllocationStrategy,
        n_resources: int,
        max_agents: int,
        seed: int,
    ) -> AllocationSelector: ...
    @property
    def n_agents(self) -> int:
        """Agents known."""
    @property
    def step(self) -> int:
        """The step that is open, from 1."""
    @property
    def bytes_per_agent(self) -> int:
        """About how many bytes an agent takes, without its name."""
    def choose(self, agent_id: str) -> int:
        """The agent's resource in this step."""
    def report(self, agent_id: str, resource: int, overloaded: bool) -> bool:
        """What became of the agent's last choice; whether it was noted."""
    def observe_capacity(self, resource: int, capacity: float) -> None:
        """What is known of a capacity from now on."""
    def advance(self) -> NDArray[np.int64]:
        """Ends the step and returns its loads as an int64 array."""
    def forget(self, agent_id: str) -> None:
        """Makes room for another agent."""

def simulate_allocation(
    strategy: AllocationStrategy,
    capacities: NDArray[np.float64],
    *,
    n_agents: int,
    trials: int,
    first_trial: int,
    seed: int,
    initial_attitudes: NDArray[np.float64] | None,
    observation_noise: float,
    careless_fraction: float,
    task_units: int,
    task_steps: int,
    allow_scarcity: bool,
    threads: int,
    progress: Callable[[int], object] | None,
) -> NDArray[np.int64]:
    """Runs all trials; the loads as an int64 array of shape (trials, T, Q)."""

@final
class UsageLearner:
    """Usage of many agents, and what it says of the future."""
    def __new__(cls, days: int, min_points: int, timezone: str | int | None) -> Self: ...
    def read(self, ledger: Ledger) -> int:
        """Reads what is new in a ledger; the number of agents that had something."""
    def load(
        self,
        agent_id: str,
        at: list[int],
        amounts: Iterable[Amount] | NDArray[np.float64],
        now: datetime,
    ) -> None:
        """Takes note of usage from elsewhere: microseconds since 1970, and amounts."""
    def usage(self, agent_id: str) -> tuple[datetime, NDArray[np.float64], int] | None:
        """start, usage of each quarter-hour, data points."""
    def predict(
        self, agent_id: str, start: datetime, hours: int, level: float, margin: float
    ) -> _Prediction | None:
        """What an agent will need; `None` where too little is known."""
    def predict_all(
        self, start: datetime, hours: int, level: float, margin: float
    ) -> list[tuple[str, _Prediction]]:
        """What each agent will need of which enough is known."""
    def agents(self) -> list[str]:
        """Ids of the agents of which anything is known, sorted."""
    def bytes(self, agent_id: str) -> int | None:
        """Memory of an agent."""

def forecast_usage(
    usage: NDArray[np.float64],
    first: NDArray[np.int64],
    *,
    lead: int,
    length: int,
    level: float,
    margin: float,
    threads: int,
) -> dict[str, NDArray[np.float64]]:
    """Forecasts every agent of a panel; arrays by name."""

@final
class Turn:
    """A lock that its thread may take again, and that refuses to be waited for in vain.

    Args:
        what: is busy while it is taken, in the message of the error.
        patience_seconds: how long somebody waits at most; for ever if not given.
    """
    def __new__(cls, what: str, patience_seconds: float | None = None) -> Turn: ...
    def acquire(self, blocking: bool = True) -> bool:
        """Takes it, and waits for it if need be; whether it is taken.

        Args:
            blocking: waits; else the answer is False if another thread has it.

        Raises:
            ControllerBusyError: the thread that has it waits for this one, or has not given it back in time.

        Example:
            >>> from safeguards._native import Turn
            >>> turn = Turn("the pump", patience_seconds=1)
            >>> turn.acquire(), turn.acquire(blocking=False)
            (True, True)
            >>> turn.release(), turn.release()
            (None, None)
        """
    def release(self) -> None:
        """Gives it back, as often as it was taken. One that this thread does not have stays where it is.

        Example:
            >>> from safeguards._native import Turn
            >>> turn = Turn("the pump")
            >>> with turn:
            ...     print("it is mine")
            it is mine
            >>> turn.release()
        """
    def __enter__(self) -> None: ...
    def __exit__(
        self,
        _class: type[BaseException] | None,
        _exception: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None: ...

@final
class NextHour:
    """Forecasts the demand of the next step, for many series at once, as the demand streams in.

    A step is one period of any length; the seasons are lengths in steps, and the default, a day and a week,
    is for hours. Each series is forecast by its last value, its level, its level above the profile of each
    season, and a regression of square roots on its own past; they are weighted by their discounted absolute
    errors (exponential weights: Cesa-Bianchi & Lugosi 2006, "Prediction, Learning, and Games"). How much
    more may come is read off the ratios of actual demand to forecast of late (conformal prediction: Vovk,
    Gammerman & Shafer 2005). Young series borrow from the others. Memory is constant, at most 4 KiB a
    series with the default seasons.

    Args:
        n_series: series to begin with.
        seasons: at most two different lengths of 2 to 10,080 steps.

    Raises:
        ConfigurationError: `seasons` cannot be followed.

    Example:
        >>> day = np.where(np.arange(24) < 8, 2.0, 10.0)  # from 8 o'clock on there is work
        >>> forecaster = NextHour(1)
        >>> for demand in np.tile(day, 8)[:-16]:  # a week and eight hours
        ...     forecaster.observe(np.array([demand]))
        >>> forecaster.forecast().round(1)
        array([10.])
    """
    def __new__(cls, n_series: int, *, seasons: Sequence[int] = ...) -> Self: ...
    @property
    def n_series(self) -> int:
        """Series there are."""
    @property
    def bytes_per_series(self) -> int:
        """Bytes that a series takes."""
    def observe(self, demand: NDArray[np.float64], *, at_least: NDArray[np.bool_] | None = None) -> None:
        """Takes the demand of one step.

        Args:
            demand: one value for each series, in any unit, not negative; NaN where it is unknown.
            at_least: True where more was wanted than `demand` says, because a budget cut it off. Such a
                demand is taken as the mean of what lay above it so far, in ratios to the forecast.

        Raises:
            ConfigurationError: a wrong length, or a demand that is negative or infinite. Nothing was taken.

        Example:
            >>> forecaster = NextHour(1)
            >>> forecaster.observe(np.array([5.0]))
            >>> forecaster.forecast()
            array([5.])
        """
    def forecast(self) -> NDArray[np.float64]:
        """The expected demand of the next step; NaN for a series of which nothing is known.

        Example:
            >>> forecaster = NextHour(2)
            >>> forecaster.observe(np.array([3.0, np.nan]))
            >>> forecaster.forecast()
            array([ 3., nan])
        """
    def latest(self) -> NDArray[np.float64]:
        """The demand of the last known step as it was taken; NaN where none is.

        Example:
            >>> forecaster = NextHour(1)
            >>> _ = forecaster.replay(np.array([[8.0, 12.0] * 50]))
            >>> forecaster.observe(np.array([8.1]), at_least=np.array([True]))
            >>> forecaster.latest().round(1)
            array([10.2])
        """
    def quantile(self, probability: float) -> NDArray[np.float64]:
        """What the demand of the next step stays within, with this probability.

        Args:
            probability: between 0 and 1.

        Returns:
            The forecast times that quantile of the ratios of late, own and pooled; NaN where nothing is
            known.

        Raises:
            ConfigurationError: `probability` is none.

        Example:
            >>> forecaster = NextHour(1)
            >>> _ = forecaster.replay(np.random.default_rng(0).uniform(5.0, 15.0, (1, 500)))
            >>> forecaster.forecast().round(1), forecaster.quantile(0.9).round(1)
            (array([11.]), array([15.1]))
        """
    def confidence(self, within: float) -> NDArray[np.float64]:
        """How sure the forecast is.

        Args:
            within: a factor, such as 1.2.

        Returns:
            For each series, the probability that the demand of the next step is at most `within` times the
            forecast, as it was in the steps of late; NaN where no forecast was ever compared with what came.

        Raises:
            ConfigurationError: `within` is not positive.

        Example:
            >>> forecaster = NextHour(1)
            >>> _ = forecaster.replay(np.random.default_rng(0).uniform(5.0, 15.0, (1, 500)))
            >>> forecaster.confidence(1.2).round(2)
            array([0.73])
        """
    def replay(self, demand: NDArray[np.float64], *, probability: float | None = None) -> NDArray[np.float64]:
        """Takes a whole history, and says what was expected of each step before it was seen.

        Args:
            demand: of shape (n_series, T); NaN where it is unknown.
            probability: gives the quantile instead of the forecast.

        Returns:
            Of the same shape; column t was decided when the columns before t had been seen.

        Raises:
            ConfigurationError: a wrong shape, or a demand that is negative or infinite. Nothing was taken.
            ThreadStartError: the system started no thread. As with Ctrl-C, nothing was taken.

        Example:
            >>> NextHour(1).replay(np.array([[8.0, 8.0, 8.0]]))
            array([[nan,  8.,  8.]])
        """
    def __deepcopy__(self, _memo: Any, /) -> NextHour: ...
    def extend(self, n_series: int) -> None:
        """Adds series at the end.

        Example:
            >>> forecaster = NextHour(1)
            >>> forecaster.extend(2)
            >>> forecaster.n_series
            3
        """
    def retain(self, keep: NDArray[np.bool_]) -> None:
        """Drops the series where `keep` is False; the others move up.

        Raises:
            ConfigurationError: a wrong length.

        Example:
            >>> forecaster = NextHour(3)
            >>> forecaster.retain(np.array([True, False, True]))
            >>> forecaster.n_series
            2
        """

def split_budget(
    agent_ids: list[str],
    agents: list[int],
    expected: list[float],
    deviations: list[float],
    caps: list[int | None],
    *,
    total: int,
    floor: int,
    tolerance: float,
) -> tuple[list[Decimal], list[int], int, float | None]:
    """Splits a total among agents; what `CostBenefitAllocator` is made of.

    Operations are parallel lists: the index of the agent, the expected return of a unit of money, its
    standard deviation, the most units that can be used.

    Returns:
        The amount of each agent; of each operation, in units of 1e-9; the units that are left over; and what
        one more unit of the total would be worth.

    Raises:
        InfeasibleAllocationError: the floors cannot be kept.
        ConfigurationError: the lists do not belong together.
    """

_Places: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]

@final
class QTable:
    """The value of each action in each situation: a class, and a place on each of two axes.

    Between the nodes of the axes values are interpolated; beyond the ends they are those of the end.
    Situations are three arrays: classes (int64), places on the axis of shares and on that of budgets.
    `safeguards.budget.rl_optimizer` learns with it.

    Args:
        classes: how many.
        shares: nodes of the first axis, at least 2, rising.
        budgets: nodes of the second axis, at least 2, rising.
        actions: how many.
        values: of shape (classes, shares, budgets, actions); zeros if not given.

    Raises:
        ConfigurationError: a size below its least, or a shape that is not the one above.

    Example:
        >>> table = QTable(1, np.array([0.0, 1.0]), np.array([0.0, 1.0, 2.0]), 3)
        >>> table.values.shape
        (1, 2, 3, 3)
    """
    def __new__(
        cls,
        classes: int,
        shares: NDArray[np.float64],
        budgets: NDArray[np.float64],
        actions: int,
        values: NDArray[np.float64] | None = None,
    ) -> Self: ...
    @property
    def values(self) -> NDArray[np.float64]:
        """A copy of the values, of shape (classes, shares, budgets, actions)."""
    def best(self, at: _Places) -> NDArray[np.int64]:
        """The number of the best action in each situation; of equal ones the one nearest to the middle.

        Raises:
            ConfigurationError: lengths that differ, a class that is none, or a place that is not finite.

        Example:
            >>> table = QTable(1, np.array([0.0, 1.0]), np.array([0.0, 1.0]), 3)
            >>> table.best((np.array([0, 0]), np.array([0.5, 0.1]), np.array([0.0, 9.0])))
            array([1, 1])
        """
    def fit(
        self,
        at: _Places,
        rewards: NDArray[np.float64],
        to_classes: NDArray[np.int64],
        to_shares: NDArray[np.float64],
        to_budgets: NDArray[np.float64],
        discount: float,
        sweeps: int,
    ) -> int:
        """Learns from what every action does in n situations; what it knew before is forgotten.

        It is fitted Q-iteration (Ernst, Geurts & Wehenkel, 2005).

        Args:
            at: the situations.
            rewards: of shape (n, actions).
            to_classes: the class that follows, whatever is done.
            to_shares: the place on the axis of shares that follows, whatever is done.
            to_budgets: the place on the axis of budgets that follows, of shape (n, actions).
            discount: what the next step's reward is worth, from 0 to below 1.
            sweeps: at most so many; it ends when no value moves any more.

        Returns:
            The number of sweeps.

        Raises:
            ConfigurationError: lengths that differ, or values that are not finite. Nothing was forgotten.
            ThreadStartError: the system started no thread. As with Ctrl-C, nothing was forgotten.

        Example:
            >>> table = QTable(1, np.array([0.0, 1.0]), np.array([0.0, 1.0]), 2)
            >>> here, zero = np.zeros(1), np.zeros(1, np.int64)
            >>> rewards, stay = np.array([[1.0, 3.0]]), np.zeros((1, 2))
            >>> _ = table.fit((zero, here, here), rewards, zero, here, stay, 0.5, 100)
            >>> table.values[0, 0, 0].round(2)  # 3 at each step from now on is worth 3 + 3/2 + 3/4 ...
            array([4., 6.])
        """
    def update(
        self,
        at: _Places,
        actions: NDArray[np.int64],
        rewards: NDArray[np.float64],
        to: _Places,
        learning_rate: float,
        discount: float,
    ) -> None:
        """Learns from single steps, one after the other (Watkins & Dayan 1992).

        Args:
            at: the situations.
            actions: what was done.
            rewards: what it was worth.
            to: the situations that followed.
            learning_rate: how far a value moves towards what was seen.
            discount: what the next step's reward is worth.

        Raises:
            ConfigurationError: lengths that differ, or values that make no sense. Nothing was learnt.

        Example:
            >>> table = QTable(1, np.array([0.0, 1.0]), np.array([0.0, 1.0]), 2)
            >>> here = (np.zeros(1, np.int64), np.zeros(1), np.zeros(1))
            >>> table.update(here, np.array([1]), np.array([3.0]), here, 0.1, 0.9)
            >>> table.values[0, 0, 0].round(2)
            array([0. , 0.3])
        """
    def copy(self) -> Self:
        """A table with the same values, which learns on its own.

        Example:
            >>> table = QTable(1, np.array([0.0, 1.0]), np.array([0.0, 1.0]), 2)
            >>> np.array_equal(table.copy().values, table.values)
            True
        """

def best_budgets(
    demand: NDArray[np.float64],
    tasks: NDArray[np.float64],
    start: NDArray[np.float64],
    levels: NDArray[np.float64],
    max_change: float,
    rewards: tuple[float, float, float, float],
) -> NDArray[np.float64]:
    """The best budgets in hindsight: dynamic programming over a grid of budgets, with all demand known.

    Args:
        demand: of shape (agents, steps), known in full.
        tasks: how many tasks each demand stands for, of the same shape.
        start: each agent's budget before the first step; of the levels, the nearest is taken.
        levels: the budgets there are, above 0, rising.
        max_change: the most that a budget changes at a time, as a share of it.
        rewards: for the share of the budget that is used, for demand above the budget, for each task, for
            each unit of change.

    Returns:
        The budget of each agent in each step, of the shape of `demand`.

    Raises:
        ConfigurationError: shapes that differ, levels that do not rise, or a value that is no finite number.
        ThreadStartError: the system started no thread.

    Example:
        >>> demand = np.array([[1.0, 1.0, 2.0]])
        >>> levels = np.array([1.0, 1.3, 1.69, 2.0])
        >>> best_budgets(demand, demand, np.array([1.0]), levels, 0.3, (50.0, -100.0, 10.0, -0.1))
        array([[1.3 , 1.69, 2.  ]])
    """

def max_min_shares(
    total: Amount,
    needs: Sequence[Amount],
    weights: Sequence[float],
    *,
    floors: Sequence[Amount] | None = None,
    ceilings: Sequence[Amount] | None = None,
) -> list[Decimal]:
    """Divides an amount by weighted max-min fairness, to the last unit.

    First everybody is given up to their need: who needs less than their part by weight gets it all, and the
    others share what is left by weight (Bertsekas & Gallager 1992, "Data Networks", section 6.5.2). What is
    over then goes out in proportion to the needs; by weight if nobody needs anything. Shares are rounded to
    1e-9 by largest remainders, of equal ones the first.

    Args:
        total: what is divided.
        needs: what each can use.
        weights: how much each counts, from 1e-9 to 1e9.
        floors: the least that each gets; nothing if not given. If they add up to more than `total`, each
            gets its part of it by its floor.
        ceilings: the most that each gets; no bound if not given.

    Returns:
        One `Decimal` each. They add up to `total`, or to all ceilings if that is less.

    Raises:
        InvalidAmountError: something is not an amount.
        ConfigurationError: the lengths differ, a weight is out of range or a ceiling is below its floor.

    Example:
        >>> max_min_shares(100, [10, 80, 90], [1, 1, 2])
        [Decimal('10'), Decimal('30'), Decimal('60')]
    """

@final
class PoolMembers:
    """A pool and the agents right below it, at one instant."""
    def __new__(cls, ledger: Ledger, pool_id: str) -> Self: ...
    @property
    def pie(self) -> Decimal:
        """What the pool has left."""
    @property
    def renews_in(self) -> float | None:
        """Seconds until the pool is granted its budget anew; None if it has no period."""
    @property
    def ids(self) -> list[str]:
        """Ids of the agents."""
    @property
    def priorities(self) -> NDArray[np.uint8]:
        """Their priorities."""
    @property
    def remaining(self) -> NDArray[np.float64]:
        """What each has left."""
    @property
    def spent(self) -> NDArray[np.float64]:
        """What each has spent so far."""
    def deal(
        self,
        needs: NDArray[np.float64],
        weights: NDArray[np.float64],
        fixed: NDArray[np.bool_],
        rule: tuple[float, float, float | None],
    ) -> tuple[list[tuple[int, Decimal, Decimal]], Decimal, bool]:
        """Deals the pool out.

        Takes needs (infinite for all there is), weights, who keeps what it has, and the shares of the rule:
        floor, reserve, largest change or None. Returns the agents whose budget changes (position, old, new),
        what is kept back, and whether there is enough for all floors.
        """
    def __len__(self) -> int: ...

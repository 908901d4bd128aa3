"""The one tree of errors.

::

    SafeguardsError
    ├── MissingExtraError                an optional dependency is not installed; also an ImportError
    ├── ThreadStartError                 the system started no thread; also a RuntimeError
    └── BudgetError
        ├── BudgetExceededError          an account on the path cannot pay
        │   └── AccountSuspendedError    somebody has suspended it: no work may begin
        ├── RateLimitExceededError       a window of the agent is full
        ├── ReservationError             settled or released before, with another outcome
        ├── RefundError                  a charge cannot be given back, or not so much of it
        ├── UnknownAgentError            also a KeyError
        ├── UnknownPoolError             also a KeyError
        ├── UnknownResourceError         also a KeyError
        ├── InvalidAmountError           also a ValueError
        ├── IdempotencyConflictError     a key was used for another operation
        ├── IdempotencyInProgressError   what was asked for under a key is being done
        ├── ConfigurationError           also a ValueError
        │   ├── ArgumentTypeError        not even of the right type; also a TypeError
        │   └── InfeasibleAllocationError  what each agent is to get at least is more than there is
        ├── ControllerBusyError          it is at work in another thread; also a RuntimeError
        ├── RewardError                  a reward function failed; also a ValueError
        ├── PinnedError                  controllers are to leave this budget alone
        ├── BooksError                   an audit found an invariant that does not hold
        ├── ClosedError                  the coordinator was closed
        ├── JournalError                 a change cannot be written down, and so it was not made
        └── TraceError                   a recorded trace cannot be read; also a ValueError

Every error carries its facts as fields, not only in its text, survives pickling, and turns into a plain
dictionary with `to_dict`. None of them is an `OSError`: client libraries retry those on their own.
An amount of a wrong *type* (a float, a bool) is a plain `TypeError`: it is a mistake in the program, not a
state of a budget. So is an id that is no text, or no Unicode (half of a surrogate pair).
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, ClassVar

__all__ = [
    "AccountSuspendedError",
    "ArgumentTypeError",
    "BooksError",
    "BudgetError",
    "BudgetExceededError",
    "ClosedError",
    "ConfigurationError",
    "ControllerBusyError",
    "IdempotencyConflictError",
    "IdempotencyInProgressError",
    "InfeasibleAllocationError",
    "InvalidAmountError",
    "JournalError",
    "MissingExtraError",
    "PinnedError",
    "RateLimitExceededError",
    "RefundError",
    "ReservationError",
    "RewardError",
    "SafeguardsError",
    "ThreadStartError",
    "TraceError",
    "UnknownAgentError",
    "UnknownPoolError",
    "UnknownResourceError",
]


class SafeguardsError(Exception):
    """Base of every error of this library.

    Args:
        message: what happened, and what to do next.
        **fields: the facts; each class names its own in `fields`. A fact not given is `None`.
    """

    fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, message: str = "", **fields: object) -> None:
        super().__init__(message)
        unknown = fields.keys() - set(self.fields)
        if unknown:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        for name in self.fields:
            setattr(self, name, fields.get(name))

    def __str__(self) -> str:
        # KeyError would show the repr of the message, quotes and all.
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, vars(self)  # fields and notes

    def to_dict(self) -> dict[str, Any]:
        """Name, message and fields as plain values, ready for JSON.

        Amounts are decimal strings; a `retry_after` of infinity, which JSON does not know, is `"inf"`.

        >>> BudgetExceededError("no", account="bot", requested=Decimal("0.10")).to_dict()["requested"]
        '0.10'
        """
        facts = {name: getattr(self, name) for name in self.fields}
        plain = {name: _plain(value) for name, value in facts.items()}
        return {"error": type(self).__name__, "message": str(self), **plain}


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if value == math.inf else value


class MissingExtraError(SafeguardsError, ImportError):
    """An optional dependency is not installed.

    Attributes:
        extra: the extra of this distribution that brings it.
        module: what could not be imported.
    """

    fields: ClassVar[tuple[str, ...]] = ("extra", "module")

    extra: str | None
    module: str | None


class ThreadStartError(SafeguardsError, RuntimeError):
    """The system started no thread: the process is at its limit of threads or memory. Nothing has changed.

    A later try can succeed: end threads or processes, or raise the limit (`ulimit -u`, `ulimit -v`, the pids
    limit of a container).

    Attributes:
        thread: name of the thread, where it has one.
    """

    fields: ClassVar[tuple[str, ...]] = ("thread",)

    thread: str | None


class BudgetError(SafeguardsError):
    """Anything that went wrong with a budget.

    Attributes:
        account: id of the agent or pool it is about.
        budget: what that account had left (signed: negative after an overdraft).
        limit: what it was granted; for a rate limit, the most that its window admits.
        spent: charged so far; for a rate limit, within the window.
        reserved: set aside by active reservations.
        requested: the amount that was asked for.
        available: the most that would have been admitted by that account.
        retry_after: seconds until it can succeed; `math.inf` if never; `None` if time does not help.
        currency: what the amounts are amounts of, such as `"USD"`; `None` if they are not money.
    """

    fields: ClassVar[tuple[str, ...]] = (
        "account",
        "budget",
        "limit",
        "spent",
        "reserved",
        "requested",
        "available",
        "retry_after",
        "currency",
    )

    account: str | None
    budget: Decimal | None
    limit: Decimal | None
    spent: Decimal | None
    reserved: Decimal | None
    requested: Decimal | None
    available: Decimal | None
    retry_after: float | None
    currency: str | None


class BudgetExceededError(BudgetError):
    """An account on the path from the agent to its topmost pool cannot pay. Nothing was changed.

    Attributes:
        resource: the resource type that could not be paid for; `None` for money. If `account` is `None` as
            well as `resource` set, it is the capacity that all agents share.
        asked_by: the agent whose debit, reservation or settlement it was; `None` for a transfer.
        path: ids of all accounts that were to pay, all or none: the agent, the pools above it, and what
        `also=`
            named with all above; `None` for a transfer.
        in_flight: what is reserved on the account that refused, and may come back.
        kept: what of it is kept for a call that waits.
        waited: seconds that the call has waited; `None` if it was not to wait.
    """

    fields: ClassVar[tuple[str, ...]] = (
        *BudgetError.fields,
        "resource",
        "asked_by",
        "path",
        "in_flight",
        "kept",
        "waited",
    )

    resource: str | None
    asked_by: str | None
    path: list[str] | None
    in_flight: Decimal | None
    kept: Decimal | None
    waited: float | None


class AccountSuspendedError(BudgetExceededError):
    """An account on the path was suspended: no work may begin until `resume`. Nothing was changed."""


class RateLimitExceededError(BudgetError):
    """A window on the path is full: the agent's, or one of a pool. Nothing was changed.

    `retry_after` says when enough of what was charged will have left all of them: it fits no sooner. Where
    reservations fill a window it is later, once enough of what they hold has come back.

    Attributes:
        time_window: length of the window that refused, in seconds.
        resource: the resource type that the window limits; `None` for money.
        asked_by: the agent whose operation it was.
        path: ids of all accounts that were to pay, all or none: the agent, the pools above it, and what
        `also=`
            named with all above.
        in_flight: what is reserved in the window, and may come back to it.
        kept: how much room is kept for a call that waits.
        waited: seconds that the call has waited; `None` if it was not to wait.
    """

    fields: ClassVar[tuple[str, ...]] = (
        *BudgetError.fields,
        "time_window",
        "resource",
        "asked_by",
        "path",
        "in_flight",
        "kept",
        "waited",
    )

    time_window: float | None
    resource: str | None
    asked_by: str | None
    path: list[str] | None
    in_flight: Decimal | None
    kept: Decimal | None
    waited: float | None


class ReservationError(BudgetError):
    """A reservation was closed before, with another outcome, or is unknown or forgotten.

    Attributes:
        reservation: number of the reservation.
        state: what it was closed as: "settled", "released" or "expired"; "unknown" if that is forgotten.
    """

    fields: ClassVar[tuple[str, ...]] = (*BudgetError.fields, "reservation", "state")

    reservation: int | None
    state: str | None


class RefundError(BudgetError):
    """A charge cannot be given back, or not so much of it. Nothing was changed.

    Attributes:
        charged: what was charged, where that is known.
        refunded: what of it was given back before.
    """

    fields: ClassVar[tuple[str, ...]] = (*BudgetError.fields, "charged", "refunded")

    charged: Decimal | None
    refunded: Decimal | None


class UnknownAgentError(BudgetError, KeyError):
    """No agent of this id is registered."""


class UnknownPoolError(BudgetError, KeyError):
    """No pool of this id exists."""


class UnknownResourceError(BudgetError, KeyError):
    """The agent has no budget for this resource type.

    Attributes:
        resource: the resource type that was named.
        known: the resource types that there are.
    """

    fields: ClassVar[tuple[str, ...]] = (*BudgetError.fields, "resource", "known")

    resource: str | None
    known: list[str] | None


class InvalidAmountError(BudgetError, ValueError):
    """Not an amount: negative, not a number, infinite, too large, or not decimal digits.

    Attributes:
        argument: name of the argument.
        value: what was given, as text.
    """

    fields: ClassVar[tuple[str, ...]] = (*BudgetError.fields, "argument", "value")

    argument: str | None
    value: str | None


class IdempotencyConflictError(BudgetError):
    """An idempotency key was used before, for another operation, whose effect stands.

    Attributes:
        idempotency_key: the key.
    """

    fields: ClassVar[tuple[str, ...]] = (*BudgetError.fields, "idempotency_key")

    idempotency_key: str | None


class IdempotencyInProgressError(BudgetError):
    """What was reserved under an idempotency key is at work in a `with` block. Nothing was changed.

    Ask again after `retry_after` seconds: by then the work may have ended, with or without an effect.

    Attributes:
        idempotency_key: the key.
    """

    fields: ClassVar[tuple[str, ...]] = (*BudgetError.fields, "idempotency_key")

    idempotency_key: str | None


class ConfigurationError(BudgetError, ValueError):
    """An argument is out of its range or does not go with others; the message says what would.

    Such as an id that is used twice, a period of no length, shapes that do not match.
    """


class ArgumentTypeError(ConfigurationError, TypeError):
    """An argument of a wrong type: text or a bool where a number belongs, an array for one value."""


class InfeasibleAllocationError(ConfigurationError):
    """What each agent is to get at least cannot be had: it is more than there is, or than an agent can use.

    `requested` is what each agent is to get, `available` the most that it could be, `limit` what there was to
    split; `account` is the agent that cannot use it, `None` if it is about all of them.
    """


class ControllerBusyError(BudgetError, RuntimeError):
    """A controller, or a clock that is advanced, is at work in another thread. Nothing was done; try later.

    It is raised where waiting would never end, as that thread waits for this one, and by a call that has
    waited for a minute.
    """


class PinnedError(BudgetError):
    """A decision on a budget that controllers are to leave alone: nothing was changed.

    Unpin it first, or change it yourself, with `update_budget` or `adjust_budget`: pins bind controllers.
    """


class RewardError(BudgetError, ValueError):
    """A reward function raised, or returned what is no finite number. The policy is still the one before.

    Attributes:
        state: the state that it was called with.
        action: the action.
        next_state: the state after it.
        value: what it returned; `None` if it raised or returned NaN.
    """

    fields: ClassVar[tuple[str, ...]] = (*BudgetError.fields, "state", "action", "next_state", "value")

    state: dict[str, float] | None
    action: dict[str, float] | None
    next_state: dict[str, float] | None
    value: float | None


class BooksError(BudgetError):
    """An audit of the books found an invariant that does not hold.

    Attributes:
        violations: pairs of an account's id and what is wrong with it.
    """

    fields: ClassVar[tuple[str, ...]] = (*BudgetError.fields, "violations")

    violations: list[tuple[str, str]] | None


class ClosedError(BudgetError):
    """The coordinator was closed: nothing can be asked of it, or done through it, any more."""


class JournalError(BudgetError):
    """A change cannot be written down, and so it was not made: nothing has happened.

    Attributes:
        reason: why it cannot be written.
    """

    fields: ClassVar[tuple[str, ...]] = (*BudgetError.fields, "reason")

    reason: str | None


class TraceError(BudgetError, ValueError):
    """A recorded trace cannot be read: no such file, a column that is missing, a number that is none.

    Attributes:
        path: the file.
        line: the line of a text file, from 1; `None` where it is about the whole file.
    """

    fields: ClassVar[tuple[str, ...]] = (*BudgetError.fields, "path", "line")

    path: str | None
    line: int | None

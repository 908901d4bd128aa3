"""Who the ledger tells: of thresholds that were crossed, and of agents that run low."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards.core._cell import Cell
from safeguards.types.enums import AlertSeverity

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from safeguards._native import Clock
    from safeguards.core.notification_manager import NotificationManager

__all__ = ["AlertObserver"]


class AlertObserver:
    """Makes alerts of what is crossed, and calls who listens for agents that run low.

    It knows nothing of the coordinator that it belongs to, so that neither keeps the other alive.
    """

    __slots__ = ("_listeners", "clock", "manager")

    def __init__(self, manager: NotificationManager, clock: Clock) -> None:
        self.manager = manager
        self.clock = clock
        self._listeners: Cell[tuple[Callable[[str], None], ...]] = Cell(())

    def on_crossing(
        self,
        *,
        kind: str,
        account: str | None,
        resource: str | None,
        threshold: float,
        granted: Decimal,
        spent: Decimal,
    ) -> None:
        """A charge has crossed a threshold: one alert."""
        who, whose, remedy = _words(kind, account, resource)
        facts = {"kind": kind, "threshold": threshold, "granted": granted, "spent": spent}
        self._send(
            AlertSeverity.WARNING if threshold < 1 else AlertSeverity.ERROR,
            f"{who} spent {threshold:.0%} of {whose}",
            f"{spent} of {granted} is spent: raise it with {remedy}.",
            account,
            **(facts if resource is None else {"resource": resource, **facts}),
        )

    def on_refusing(
        self, *, kind: str, account: str, refusals: int, asked_by: str, operation_type: str | None
    ) -> None:
        """An account refuses more often than it should: one alert."""
        limit = self.manager.refusals_per_minute
        what = "of no operation type" if operation_type is None else f"for {operation_type!r}"
        remedy = "update_pool_budget" if kind == "pool" else "update_budget or set_rate_limit"
        self._send(
            AlertSeverity.WARNING,
            f"{kind} {account!r} refuses more than {limit} operations a minute",
            f"{refusals} in the last minute, the last one to agent {asked_by!r}, {what}; get_refusals tells "
            f"them apart. Stop who asks in vain, or raise it with {remedy}.",
            account,
            kind=kind,
            refusals=refusals,
            refusals_per_minute=limit,
            asked_by=asked_by,
            operation_type=operation_type,
        )

    def on_would_refuse(self, *, kind: str, account: str, requested: Decimal, available: Decimal) -> None:
        """An account that warns would have refused: one alert, until it admits again."""
        self._send(
            AlertSeverity.WARNING,
            f"{kind} {account!r} would have refused {requested}",
            f"{available} was left; it is charged all the same, because it only warns. Raise its budget, "
            f"or let it refuse with set_enforcement({account!r}, 'enforce').",
            account,
            kind=kind,
            requested=requested,
            available=available,
        )

    def on_unpaid(
        self, *, account: str, charged: Decimal, unpaid: Decimal, operation_type: str | None
    ) -> None:
        """A settlement cost more than overdraft limits let it charge: one alert each."""
        self._send(
            AlertSeverity.ERROR,
            f"agent {account!r} has cost {unpaid} more than may be charged",
            f"A settlement charged {charged}; {unpaid} beyond the overdraft limits of its path is in no "
            "budget. Reserve the most that the work can cost, or raise the budgets.",
            account,
            charged=charged,
            unpaid=unpaid,
            operation_type=operation_type,
        )

    def on_low(self, agent_id: str) -> None:
        """An agent runs low: everybody who listens is called, whatever others raise."""
        ended: BaseException | None = None
        for listener in self.listeners:
            try:
                listener(agent_id)
            except BaseException as error:  # noqa: BLE001 - raised when the others have been called
                ended = error
        if ended is not None:
            raise ended

    @property
    def listeners(self) -> tuple[Callable[[str], None], ...]:
        """Who is called for agents that run low."""
        return self._listeners.value

    def listen(self, listener: Callable[[str], None]) -> None:
        """Calls `listener(agent_id)` for each agent that runs low, of the pools that are watched for it."""
        self._listeners.update(lambda known: known if listener in known else (*known, listener))

    def unlisten(self, listener: Callable[[str], None]) -> None:
        """Does not call `listener` any more."""
        self._listeners.update(lambda known: tuple(other for other in known if other != listener))

    def _send(
        self, severity: AlertSeverity, title: str, message: str, account: str | None, **facts: object
    ) -> None:
        """Sends an alert of what is so now."""
        self.manager.send_alert(title, message, severity, account=account, time=self.clock.now(), **facts)


def _words(kind: str, account: str | None, resource: str | None) -> tuple[str, str, str]:
    """Who has spent, of what, and with which method more can be given."""
    if kind == "capacity":
        return "all agents together have", f"the capacity of {resource!r}", "set_capacity"
    if resource is not None:
        return f"agent {account!r} has", f"its budget of {resource!r}", "MultiResourceBudget.update_budget"
    remedy = "update_pool_budget" if kind == "pool" else "update_budget"
    return f"{kind} {account!r} has", "its budget", remedy

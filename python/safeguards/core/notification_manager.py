"""Alerts, and the handlers that carry them to people."""

from __future__ import annotations

import logging
import sys
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from safeguards._values.arguments import shown
from safeguards._values.numbers import number, whole
from safeguards.core._cell import Cell, snapshot
from safeguards.exceptions import ConfigurationError
from safeguards.types.alerts import Alert
from safeguards.types.enums import AlertSeverity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Handler = Callable[[Alert], object]

__all__ = ["HandlerFailure", "NotificationManager"]

_HIGHEST_THRESHOLD = 1_000
_logger = logging.getLogger("safeguards.alerts")


@dataclass(frozen=True, slots=True)
class HandlerFailure:
    """A handler that raised instead of handling.

    Attributes:
        alert: what it was given.
        error: what it raised.
    """

    alert: Alert
    error: Exception


class NotificationManager:
    """Keeps the latest alerts and hands each to every handler that wants its severity.

    Handlers run in the thread that calls `send_alert`, outside every lock. A coordinator sends its alerts in
    its own calls (`debit`, `settle`, ...), after the books are written and before the call returns: most
    often in the one that caused the alert, else in one that another thread makes at that time.

    A handler that raises an `Exception` breaks nothing: the error is logged, kept in `failures`, and the
    other handlers still run. What ends a program or a task (`KeyboardInterrupt`, `SystemExit`,
    `asyncio.CancelledError`) reaches the caller, after the other handlers: a debit that it comes out of has
    been charged. In the thread of the controllers it is told with an alert.

    Safe to use from many threads, and in the middle of itself: by handlers, signal handlers, finalizers.

    Args:
        thresholds: shares of a budget. When spending crosses one, an alert is sent, once in each period of
            the budget: `0.8` tells that 80 % is spent. A share of 1 is an error, one below a warning.
        max_alerts: alerts and failures that are kept; older ones are dropped.

    Raises:
        ConfigurationError: a threshold is not above 0 and up to 1, or `max_alerts` is below 1.

    Example:
        >>> manager = NotificationManager()
        >>> manager.add_handler(lambda alert: print(alert.severity.name, alert.title))
        >>> _ = manager.send_alert("Model prices have changed", severity=AlertSeverity.INFO)
        INFO Model prices have changed
    """

    def __init__(self, *, thresholds: Iterable[float] = (0.8, 1.0), max_alerts: int = 1_000) -> None:
        self.thresholds = tuple(number("thresholds", share, 0, 1, above=True) for share in thresholds)
        max_alerts = whole("max_alerts", max_alerts, 1, sys.maxsize)
        self._handlers: Cell[tuple[tuple[Handler, AlertSeverity], ...]] = Cell(())
        self._alerts: deque[Alert] = deque(maxlen=max_alerts)
        self._failures: deque[HandlerFailure] = deque(maxlen=max_alerts)

    def add_handler(self, handler: Handler, *, min_severity: AlertSeverity = AlertSeverity.INFO) -> None:
        """Calls `handler(alert)` for every alert of at least `min_severity` from now on."""
        _check_handler(handler)
        entry = (handler, _severity(min_severity))
        self._handlers.update(lambda entries: (*entries, entry))

    def remove_handler(self, handler: Handler) -> None:
        """Calls `handler` no more. One that was never added is no error."""
        _check_handler(handler)
        self._handlers.update(lambda entries: tuple(entry for entry in entries if entry[0] != handler))

    def send_alert(
        self,
        alert: Alert | str,
        message: str = "",
        severity: AlertSeverity = AlertSeverity.WARNING,
        *,
        account: str | None = None,
        time: datetime | None = None,
        **details: Any,
    ) -> Alert:
        """Keeps an alert and hands it to the handlers.

        Args:
            alert: the alert, or the title of one that the other arguments make.
            message: what happened, and what to do.
            severity: how soon somebody should look.
            account: id of the agent or pool that it is about.
            time: when it happened; now if not given.
            **details: facts for programs.

        Returns:
            The alert as it was sent.

        Raises:
            BaseException: what a handler raised that is no `Exception`, after the others have run.
        """
        if isinstance(alert, str):
            alert = Alert(alert, message, _severity(severity), time, account, details)
        elif not isinstance(alert, Alert):
            raise TypeError(f"an alert is an Alert or the title of one, not {shown(alert)}")
        if alert.time is None:
            alert = replace(alert, time=datetime.now(UTC))
        self._alerts.append(alert)
        ended: BaseException | None = None
        for handler, min_severity in self._handlers.value:
            if alert.severity >= min_severity:
                try:
                    self._call(handler, alert)
                except BaseException as error:  # noqa: BLE001 - raised when the others have run
                    if ended is not None:
                        self._log(alert, ended)
                    ended = error
        if ended is not None:
            raise ended
        return alert

    def _call(self, handler: Handler, alert: Alert) -> None:
        try:
            handler(alert)
        except Exception as error:  # noqa: BLE001 - the debit that caused the alert goes on
            self._keep_failure(alert, error)

    def _keep_failure(self, alert: Alert, error: Exception) -> None:
        self._failures.append(HandlerFailure(alert, error))
        self._log(alert, error)

    def _log(self, alert: Alert, error: BaseException) -> None:
        try:
            _logger.error("a handler failed on the alert %r", alert.title, exc_info=error)
        except Exception as failure:  # noqa: BLE001 - who logs may fail as well
            self._failures.append(HandlerFailure(alert, failure))

    def get_alerts(
        self,
        severity: AlertSeverity | None = None,
        *,
        min_severity: AlertSeverity | None = None,
        account: str | None = None,
    ) -> list[Alert]:
        """The latest alerts, oldest first.

        Args:
            severity: only those of exactly this severity.
            min_severity: only those of at least this severity.
            account: only those about this agent or pool.
        """
        least = AlertSeverity.INFO if min_severity is None else _severity(min_severity)
        only = None if severity is None else _severity(severity)
        return [
            alert
            for alert in snapshot(self._alerts)
            if alert.severity >= least and only in {None, alert.severity} and account in {None, alert.account}
        ]

    @property
    def failures(self) -> list[HandlerFailure]:
        """Handlers that raised, oldest first."""
        return snapshot(self._failures)

    def __repr__(self) -> str:
        return f"NotificationManager({len(self._alerts)} alerts, {len(self._handlers.value)} handlers)"


def _check_handler(handler: object) -> None:
    if not callable(handler):
        raise ConfigurationError(f"a handler is called with each alert: {shown(handler)} cannot be called")


def _severity(value: AlertSeverity | int) -> AlertSeverity:
    try:
        return AlertSeverity(value)
    except (ValueError, ArithmeticError, TypeError):
        names = ", ".join(AlertSeverity.__members__)
        raise ConfigurationError(f"a severity is an AlertSeverity ({names}), not {shown(value)}") from None

"""Alerts, and the handlers that carry them to people."""

from __future__ import annotations

import itertools
import logging
import sys
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from safeguards._values.arguments import shown
from safeguards._values.copies import not_copied
from safeguards._values.numbers import number, whole
from safeguards.core._cell import Cell, snapshot
from safeguards.core._handlers import Entry
from safeguards.exceptions import ArgumentTypeError, ConfigurationError
from safeguards.types.alerts import Alert
from safeguards.types.enums import AlertSeverity

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Iterable

    from safeguards.core._handlers import Handler

__all__ = ["HandlerFailure", "NotificationManager"]

_LEAST_SHARE, _MAX_THRESHOLDS = 0.000001, 100
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

    A handler may be a coroutine function: it runs on the event loop that ran where it was added, or on the
    one that was passed, and nobody waits for it. What it raises is logged and kept in the same way. So it is
    with a function that returns an awaitable. At most 1,000 alerts of a handler wait for its loop; one more
    is a failure.

    `safeguards.alerts` has handlers that write to a log, a webhook, or Slack.

    Safe to use from many threads, and in the middle of itself: by handlers, signal handlers, finalizers.

    Args:
        thresholds: shares of a budget, from 0.000001 to 1, at most 100 of them. When spending crosses one, an
            alert is sent: `0.8` tells that 80 % is spent. It is told again after a new period has begun, or
            the budget was raised so that a smaller share of it is spent. A share of 1 is an error, one below
            a warning. Fixed from then on.
        max_alerts: alerts and failures that are kept; older ones are dropped.
        refusals_per_minute: when an account refuses more often than that, an alert is sent, and again when it
            has refused half as often, or less, in between; 1 to 1,000,000, or None for never. Minutes are
            counted in steps of five seconds.

    Raises:
        ConfigurationError: a threshold is out of range, there are more than 100, `max_alerts` is below 1, or
            `refusals_per_minute` is out of range.
        ArgumentTypeError: `thresholds` are no numbers, or `max_alerts` is none.

    Example:
        >>> manager = NotificationManager()
        >>> manager.add_handler(lambda alert: print(alert.severity.name, alert.title))
        >>> _ = manager.send_alert("Model prices have changed", severity=AlertSeverity.INFO)
        INFO Model prices have changed
    """

    def __init__(
        self,
        *,
        thresholds: Iterable[float] = (0.8, 1.0),
        max_alerts: int = 1_000,
        refusals_per_minute: int | None = 60,
    ) -> None:
        self._thresholds = _shares(thresholds)
        rate = refusals_per_minute
        self._refusals_per_minute = None if rate is None else whole("refusals_per_minute", rate, 1, 1_000_000)
        max_alerts = whole("max_alerts", max_alerts, 1, sys.maxsize)
        self._handlers: Cell[tuple[Entry, ...]] = Cell(())
        self._alerts: deque[Alert] = deque(maxlen=max_alerts)
        self._failures: deque[HandlerFailure] = deque(maxlen=max_alerts)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Shares of a budget whose crossing is told."""
        return self._thresholds

    @property
    def refusals_per_minute(self) -> int | None:
        """How often an account may refuse in a minute before that is told."""
        return self._refusals_per_minute

    def add_handler(
        self,
        handler: Handler,
        *,
        min_severity: AlertSeverity = AlertSeverity.INFO,
        loop: AbstractEventLoop | None = None,
    ) -> None:
        """Calls `handler(alert)` for every alert of at least `min_severity` from now on.

        Args:
            handler: a function, a coroutine function, or anything that can be called.
            min_severity: the least severity that it is called for.
            loop: the event loop on which its coroutines run; the one that runs here if not given.

        Raises:
            ConfigurationError: it cannot be called; it is a coroutine function and there is no loop to run it
                on; or it is a generator function, of which a call does nothing.
            ArgumentTypeError: `loop` is no event loop.
        """
        entry = Entry(handler, _severity("min_severity", min_severity), loop)
        self._handlers.update(lambda entries: (*entries, entry))

    def remove_handler(self, handler: Handler) -> None:
        """Calls `handler` no more. One that was never added is no error."""
        if not callable(handler):
            raise ConfigurationError(
                f"a handler is called with each alert: {shown(handler)} cannot be called"
            )
        self._handlers.update(lambda entries: tuple(each for each in entries if each.handler != handler))

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
            alert = Alert(alert, message, _severity("severity", severity), time, account, details)
        elif not isinstance(alert, Alert):
            raise TypeError(f"an alert is an Alert or the title of one, not {shown(alert)}")
        if alert.time is None:
            alert = replace(alert, time=datetime.now(UTC))
        self._alerts.append(alert)
        ended: BaseException | None = None
        for entry in self._handlers.value:
            if alert.severity >= entry.min_severity:
                try:
                    self._call(entry, alert)
                except BaseException as error:  # noqa: BLE001 - raised when the others have run
                    if ended is not None:
                        self._log(alert, ended)
                    ended = error
        if ended is not None:
            raise ended
        return alert

    def _call(self, entry: Entry, alert: Alert) -> None:
        try:
            entry.handle(alert, self._keep_failure)
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
        least = AlertSeverity.INFO if min_severity is None else _severity("min_severity", min_severity)
        only = None if severity is None else _severity("severity", severity)
        return [
            alert
            for alert in snapshot(self._alerts)
            if alert.severity >= least and only in {None, alert.severity} and account in {None, alert.account}
        ]

    @property
    def failures(self) -> list[HandlerFailure]:
        """Handlers that raised, oldest first."""
        return snapshot(self._failures)

    def __reduce__(self) -> NoReturn:
        not_copied(self, "its handlers are those of this process; make one where it is used")

    def __repr__(self) -> str:
        return f"NotificationManager({len(self._alerts)} alerts, {len(self._handlers.value)} handlers)"


def _shares(thresholds: Iterable[float]) -> tuple[float, ...]:
    wanted = f"thresholds must be at most {_MAX_THRESHOLDS} shares of a budget, such as (0.8, 1.0)"
    if isinstance(thresholds, str | bytes):
        raise ArgumentTypeError(f"{wanted}, not {shown(thresholds)}")
    try:
        each = iter(thresholds)
    except TypeError:
        raise ArgumentTypeError(f"{wanted}, not {shown(thresholds)}") from None
    shares = tuple(itertools.islice(each, _MAX_THRESHOLDS + 1))  # one more: an endless one is not read on
    if len(shares) > _MAX_THRESHOLDS:
        raise ConfigurationError(f"{wanted}, not more")
    return tuple(number("thresholds", share, _LEAST_SHARE, 1, hint="for 80 % write 0.8") for share in shares)


def _severity(argument: str, value: AlertSeverity | int) -> AlertSeverity:
    try:
        return AlertSeverity(value)
    except (ValueError, ArithmeticError, TypeError):
        names = ", ".join(AlertSeverity.__members__)
        raise ConfigurationError(
            f"{argument} must be an AlertSeverity ({names}), not {shown(value)}"
        ) from None

"""Handlers of alerts: functions that are called, and coroutine functions that run on an event loop."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

from safeguards._values.arguments import shown
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable

    from safeguards.types.alerts import Alert
    from safeguards.types.enums import AlertSeverity

    Handler = Callable[[Alert], object]
    Fail = Callable[[Alert, Exception], None]

__all__ = ["MAX_WAITING", "Entry"]

MAX_WAITING = 1_000
"""Alerts of one handler that wait for its event loop, at most."""
_REMEDY = "add it where its event loop runs, or pass that as loop="


class Entry:
    """One handler of alerts.

    Args:
        handler: what is called with each alert.
        min_severity: alerts below it are not for this handler.
        loop: where its coroutines run; the loop that runs here, if any, if not given.

    Raises:
        ConfigurationError: it can never handle anything: it cannot be called, is a generator function, or a
            coroutine function without a loop to run on.
        ArgumentTypeError: `loop` is no event loop.
    """

    __slots__ = ("handler", "is_async", "loop", "min_severity", "waiting")

    def __init__(self, handler: Handler, min_severity: AlertSeverity, loop: AbstractEventLoop | None) -> None:
        if loop is not None:
            _check_loop(loop)
        self.handler = handler
        self.min_severity = min_severity
        self.is_async = _is_async(handler)
        self.loop = loop if loop is not None or not self.is_async else _running_loop()
        # Alerts that were handed to the loop and are not handled yet: entries of a dict, which need no lock.
        self.waiting: dict[object, object] = {}
        if self.is_async and self.loop is None:
            raise ConfigurationError(
                f"the handler {shown(handler)} is a coroutine function and no event loop runs here: {_REMEDY}"
            )

    def handle(self, alert: Alert, fail: Fail) -> None:
        """Calls the handler, or hands the alert to its loop. `fail` is told what fails there.

        Raises:
            BaseException: what the handler raised.
        """
        if self.is_async:
            self._run(lambda: self.handler(alert), alert, fail)
            return
        result = self.handler(alert)
        if inspect.isawaitable(result) and not _is_under_way(result):
            self._run_result(result, alert, fail)

    def _run_result(self, result: Awaitable[object], alert: Alert, fail: Fail) -> None:
        if self.loop is None and _running_loop() is None:
            if inspect.iscoroutine(result):
                result.close()
            raise ConfigurationError(
                f"the handler {shown(self.handler)} returned an awaitable and no event loop runs here, so "
                f"that nothing of it was done: {_REMEDY}"
            )
        self._run(lambda: result, alert, fail)

    def _run(self, begin: Callable[[], Any], alert: Alert, fail: Fail) -> None:
        """Awaits what `begin` returns on the loop, in whatever thread that runs."""
        loop = self.loop or _running_loop()
        if loop is None or len(self.waiting) >= MAX_WAITING:
            raise RuntimeError(f"{MAX_WAITING:,} alerts wait for this handler's event loop: it was not told")
        token, tasks = object(), self.waiting
        tasks[token] = None

        async def handle() -> None:
            try:
                await begin()
            except Exception as error:  # noqa: BLE001 - the loop goes on
                fail(alert, error)
            except BaseException:
                fail(alert, RuntimeError("the handler was ended before it was done"))
                raise
            finally:
                tasks.pop(token, None)

        def start() -> None:
            task = loop.create_task(handle())
            if not task.done():  # loops may begin it at once
                tasks[token] = task  # which is kept alive by nobody else

        try:
            loop.call_soon_threadsafe(start)
        except RuntimeError:  # it was closed
            tasks.pop(token, None)
            raise


def _is_async(handler: Handler) -> bool:
    if not callable(handler):
        raise ConfigurationError(f"a handler is called with each alert: {shown(handler)} cannot be called")
    called = handler if isinstance(handler, type) else getattr(handler, "__call__", None)  # noqa: B004
    each = (handler, called)
    if any(map(inspect.isgeneratorfunction, each)) or any(map(inspect.isasyncgenfunction, each)):
        raise ConfigurationError(
            f"the handler {shown(handler)} is a generator function, of which a call does nothing: take its "
            "yield out"
        )
    return any(map(inspect.iscoroutinefunction, each))


def _check_loop(loop: object) -> None:
    if not all(callable(getattr(loop, name, None)) for name in ("call_soon_threadsafe", "create_task")):
        raise ArgumentTypeError(f"loop must be an event loop of asyncio, not {shown(loop)}")
    if loop.is_closed():  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
        raise ConfigurationError(f"loop must be one that can run, not {shown(loop)}: it is closed")


def _running_loop() -> AbstractEventLoop | None:
    """The loop that runs in this thread. None runs where asyncio was never imported."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        loop: AbstractEventLoop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop


def _is_under_way(result: object) -> bool:
    """Whether it is a task or a future, which somebody runs already."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and bool(asyncio.isfuture(result))

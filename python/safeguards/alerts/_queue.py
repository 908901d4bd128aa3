"""A handler that puts alerts into a queue, and a thread that delivers them, again and again if need be."""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import random as random_numbers
import threading
import time
import weakref
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NoReturn, Self

from safeguards._values.arguments import instance, told
from safeguards._values.numbers import number, whole
from safeguards.core._cell import Cell, snapshot
from safeguards.core._threads import start_thread
from safeguards.types.alerts import Alert

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["QueuedSink", "TryAgain"]

_FIRST_DELAY, _LONGEST_DELAY = 1.0, 60.0
_THREAD = "safeguards-alerts"
_AT_EXIT = 2.0
"""Seconds that all sinks together get when the interpreter ends."""
_logger = logging.getLogger("safeguards.alerts")


class TryAgain(Exception):  # noqa: N818 - no error of the caller's
    """A delivery failed in a way that may pass.

    Args:
        reason: what happened, without secrets.
        after: seconds that the other side wants to be left alone for.
    """

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class QueuedSink:
    """What all sinks do: take alerts without waiting, deliver them in order, and count what they had to drop.

    Safe to use from many threads, signal handlers and finalizers: alerts are put into a `SimpleQueue`. A
    forked child has a queue and a thread of its own; what waited before the fork is delivered by the parent.
    """

    def __init__(
        self,
        max_queued: int,
        max_attempts: int,
        wait: Callable[[float], object] | None,
        random: Callable[[], float] | None,
    ) -> None:
        self._max_queued = whole("max_queued", max_queued, 1, 1_000_000)
        self._max_attempts = whole("max_attempts", max_attempts, 1, 100)
        self._wait = wait
        self._random = random_numbers.random if random is None else random
        self._workers: dict[int, _Worker] = {}
        self._is_closed = False
        self._delivered: Cell[int] = Cell(0)
        self._dropped: Cell[int] = Cell(0)
        _sinks.add(self)

    def _deliver(self, alert: Alert) -> None:
        """Delivers an alert.

        Raises:
            TryAgain: it failed in a way that may pass.
            Exception: it failed for good.
        """
        raise NotImplementedError

    def __call__(self, alert: Alert) -> None:
        """Takes an alert, and returns at once. Where the queue is full it is dropped: counted and logged.

        Raises:
            ThreadStartError: the system started no thread. The alert waits for the next one.
        """
        instance("alert", alert, Alert)
        worker = self._worker()
        if self._is_closed:
            self._drop(alert, "the sink is closed")
        elif worker.queue.qsize() >= self._max_queued:
            self._drop(alert, f"{self._max_queued:,} others wait")
        else:
            worker.queue.put(alert)
            worker.start()
            if worker.must_end.is_set:  # it was closed meanwhile
                worker.drop_all()

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Waits until what was taken so far is delivered or dropped.

        Args:
            timeout_seconds: how long at most.

        Returns:
            Whether it was in time.
        """
        seconds = number("timeout_seconds", timeout_seconds, 0, threading.TIMEOUT_MAX)
        worker = self._worker()
        if worker.queue.empty() and not worker.is_started:
            return True
        reached = _Flag()
        worker.queue.put(reached)
        worker.start()
        if worker.ended.is_set:
            return True
        return reached.wait(seconds)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Delivers what waits and ends the thread; alerts that come later are dropped.

        When the interpreter ends, sinks that were not closed get two seconds for it, all together.

        Args:
            timeout_seconds: how long at most. What is not delivered by then is dropped: counted and logged.
        """
        seconds = number("timeout_seconds", timeout_seconds, 0, threading.TIMEOUT_MAX)
        if not self._is_closed:
            self._is_closed = True
            self._worker().end(seconds)

    @property
    def delivered(self) -> int:
        """How many alerts were delivered."""
        return self._delivered.value

    @property
    def dropped(self) -> int:
        """How many alerts were given up: the queue was full, each attempt failed, or it was closed."""
        return self._dropped.value

    @property
    def waiting(self) -> int:
        """How many alerts wait, about: those in the queue."""
        return self._worker().queue.qsize()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._where()}: {self.delivered} delivered, {self.dropped} dropped)"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy a {type(self).__name__}, which has a queue and a thread: make one where "
            "it is used"
        )

    def _where(self) -> str:
        """Where it delivers to, without secrets."""
        raise NotImplementedError

    def _worker(self) -> _Worker:
        """The queue and the thread of this process."""
        pid = os.getpid()
        return self._workers.get(pid) or self._workers.setdefault(pid, _Worker(self._attempt, self._drop))

    def _attempt(self, alert: Alert, worker: _Worker) -> None:
        """Delivers an alert, or drops it after the last attempt. Between two it waits longer and longer."""
        for attempt in itertools.count(1):
            try:
                self._deliver(alert)
            except TryAgain as error:
                if attempt == self._max_attempts or worker.must_end.is_set:
                    self._drop(alert, f"{error} ({attempt} attempts)")
                    return
                self._pause(attempt, error.after, worker)
            except Exception as error:  # noqa: BLE001 - the thread goes on with the next
                self._drop(alert, told(error))
                return
            else:
                self._delivered.update(lambda count: count + 1)
                return

    def _pause(self, attempt: int, after: float, worker: _Worker) -> None:
        """Half of the delay is drawn: who failed at the same time does not come back at the same time."""
        longest = min(_FIRST_DELAY * 2.0 ** (attempt - 1), _LONGEST_DELAY)
        delay = max(longest * (1 + self._random()) / 2, min(after, _LONGEST_DELAY))
        wait = self._wait or worker.must_end.wait
        wait(delay)

    def _drop(self, alert: Alert, reason: str) -> None:
        self._dropped.update(lambda count: count + 1)
        with suppress(Exception):  # who logs may fail as well; it is counted
            _logger.warning("%r did not deliver the alert %r: %s", self, alert.title, reason)


class _Flag:
    """Something that is so from some time on. It has no lock, which a signal handler could find taken."""

    __slots__ = ("_calls", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._calls: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """From now on it is so."""
        self.is_set = True
        self._calls.put(None)

    def wait(self, seconds: float) -> bool:
        """Whether it is so within some time."""
        if not self.is_set:
            with suppress(Empty):
                self._calls.get(timeout=seconds)
                self._calls.put(None)  # for others who wait
        return self.is_set


class _Worker:
    """The queue of one sink in one process, and the thread that empties it."""

    def __init__(self, attempt: Callable[[Alert, _Worker], None], drop: Callable[[Alert, str], None]) -> None:
        self.queue: SimpleQueue[Alert | _Flag | None] = SimpleQueue()
        self.must_end = _Flag()
        self.ended = _Flag()
        self._attempt = attempt
        self._drop = drop
        self._started: dict[str, object] = {}

    @property
    def is_started(self) -> bool:
        return bool(self._started)

    def start(self) -> None:
        """Starts the thread if there is none. Of those who do so at once, one does."""
        token = object()
        if self._started.setdefault("by", token) is token:
            try:
                start_thread(_THREAD, self._run)
            except BaseException:
                self._started.clear()
                raise

    def end(self, seconds: float) -> None:
        """Lets the thread empty the queue for so long. What is left then is dropped."""
        if self.is_started:
            self.queue.put(None)
            if threading.current_thread().name != _THREAD:  # it cannot wait for itself
                self.ended.wait(seconds)
        self.must_end.set()
        self.drop_all()
        self.queue.put(None)  # for the thread, which may be at its last alert

    def _run(self) -> None:
        while (alert := self.queue.get()) is not None:
            if isinstance(alert, _Flag):
                alert.set()
            else:
                self._attempt(alert, self)
        self.ended.set()
        self.drop_all()  # what came meanwhile

    def drop_all(self) -> None:
        """Drops what waits."""
        while True:
            try:
                waiting = self.queue.get_nowait()
            except Empty:
                return
            if isinstance(waiting, _Flag):
                waiting.set()
            elif waiting is not None:
                self._drop(waiting, "the sink was closed before")


_sinks: weakref.WeakSet[QueuedSink] = weakref.WeakSet()


def _close_all() -> None:
    deadline = time.monotonic() + _AT_EXIT
    for sink in snapshot(_sinks):
        sink.close(max(deadline - time.monotonic(), 0))


atexit.register(_close_all)

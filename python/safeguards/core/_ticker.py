"""Runs what falls due: one thread for the whole process, or no thread at all on a clock that stands still."""

from __future__ import annotations

import atexit
import heapq
import itertools
import logging
import os
import threading
from typing import TYPE_CHECKING

from safeguards._native import ManualClock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from safeguards._native import Clock

__all__ = ["Job", "Ticker", "ticker_of"]

_NANOS = 1_000_000_000
_END = 2**63 - 1
"""Where clocks stop, 292 years on."""
_AFTER_FAILURE = 60.0
_logger = logging.getLogger("safeguards.ticker")


class Job:
    """Something that is run again and again.

    Attributes:
        run: runs it, and returns the seconds until it wants to run next.
        due: when it runs next, in nanoseconds of the clock's monotonic line.
        is_cancelled: it runs no more.
    """

    __slots__ = ("due", "is_cancelled", "run")

    def __init__(self, run: Callable[[], float], due: int) -> None:
        self.run = run
        self.due = due
        self.is_cancelled = False


class Ticker:
    """The jobs of one clock, run one after the other in the order in which they fall due.

    A job that falls due again before it has run runs once. What a job raises is logged and does not end it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: list[tuple[int, int, Job]] = []
        self._numbers = itertools.count()
        self._lock = threading.Condition()

    def schedule(self, run: Callable[[], float], delay_seconds: float) -> Job:
        """Runs `run` in `delay_seconds` for the first time. Returns its job, which can be cancelled."""
        job = Job(run, self._clock._monotonic_nanos() + _nanos(delay_seconds))  # noqa: SLF001 - one library
        self._push(job)
        return job

    def cancel(self, job: Job) -> None:
        """Runs `job` no more. If it is running right now, this is its last time."""
        with self._lock:
            job.is_cancelled = True
            self._queue = [entry for entry in self._queue if entry[2] is not job]
            heapq.heapify(self._queue)
            self._lock.notify_all()

    def _push(self, job: Job) -> None:
        with self._lock:
            if not job.is_cancelled:
                heapq.heappush(self._queue, (job.due, next(self._numbers), job))
                self._lock.notify_all()

    def _next_due(self) -> int | None:
        with self._lock:
            return self._queue[0][0] if self._queue else None

    def _run_next(self) -> None:
        """Runs the first job of the queue, if it is due, and puts it back for its next time."""
        with self._lock:
            now = self._clock._monotonic_nanos()  # noqa: SLF001
            if not self._queue or self._queue[0][0] > now:
                return
            job = heapq.heappop(self._queue)[2]
        delay = _AFTER_FAILURE
        try:
            delay = job.run()
        except Exception:  # a job that fails must not end the others
            _logger.exception("a job failed; it runs again in a minute")
        finally:  # an interrupt ends what runs now, not what comes later
            now = self._clock._monotonic_nanos()  # noqa: SLF001
            job.due = max(job.due + _nanos(delay), now)  # no drift, and no catching up after a long sleep
            self._push(job)


class _ThreadTicker(Ticker):
    """On the system's clocks: a daemon thread waits for the next job."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def _push(self, job: Job) -> None:
        with self._lock:
            super()._push(job)
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._wait_and_run, name="safeguards", daemon=True)
                self._thread.start()

    def _wait_and_run(self) -> None:
        while self._wait():
            try:
                self._run_next()
            except BaseException:  # whoever ends a job with SystemExit must not end the thread of all jobs
                _logger.exception("a job was ended; it runs again in a minute")

    def _wait(self) -> bool:
        """Waits until a job is due. False when the process ends."""
        with self._lock:
            while not self._is_closed:
                due = self._next_due()
                wait = None if due is None else (due - self._clock._monotonic_nanos()) / _NANOS  # noqa: SLF001
                if wait is not None and wait <= 0:
                    return True
                self._lock.wait(wait if wait is None else min(wait, threading.TIMEOUT_MAX))
            return False

    def close(self) -> None:
        """Ends the thread: the interpreter is about to go."""
        with self._lock:
            self._is_closed = True
            self._lock.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)


class _ManualTicker(Ticker):
    """On a `ManualClock`: jobs run while it is advanced, each at its own time, in the thread that does so."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self._manual = clock
        self._turn = threading.RLock()

    def advance(self, nanos: int) -> None:
        """Moves the clock forward and runs on the way what falls due."""
        with self._turn:
            end = min(self._manual._monotonic_nanos() + nanos, _END)  # noqa: SLF001
            while (due := self._next_due()) is not None and due <= end:
                self._skip_to(due)
                self._run_next()
            self._skip_to(end)

    def _skip_to(self, then: int) -> None:
        self._manual._skip(max(then - self._manual._monotonic_nanos(), 0))  # noqa: SLF001


_lock = threading.Lock()
_of_the_process: _ThreadTicker | None = None


def ticker_of(clock: Clock) -> Ticker:
    """The ticker of a clock: always the same one."""
    if isinstance(clock, ManualClock):
        shared: Ticker = clock._share_ticker(_ManualTicker(clock))  # noqa: SLF001
        return shared
    global _of_the_process  # noqa: PLW0603 - one thread for the process
    with _lock:
        if _of_the_process is None:
            _of_the_process = _ThreadTicker()
            atexit.register(_of_the_process.close)
        return _of_the_process


def _forget() -> None:
    """In a forked child the thread is gone, and with it whatever it would have run."""
    global _of_the_process, _lock
    _of_the_process, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _nanos(seconds: float) -> int:
    return round(seconds * _NANOS)

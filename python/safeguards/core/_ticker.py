"""Runs what falls due: one thread for the whole process, or no thread at all on a clock that stands still.

Nothing here is locked: jobs are scheduled and cancelled by signal handlers, finalizers and forked children as
well, in the middle of whatever their thread is at. What is shared is changed in steps that nothing gets
between: an entry of a dict, an item of a `SimpleQueue`, which is made for that.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import math
import os
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from safeguards._native import ManualClock, SystemClock, Turn
from safeguards.core._cell import snapshot
from safeguards.core._threads import start_thread
from safeguards.exceptions import ThreadStartError

if TYPE_CHECKING:
    from collections.abc import Callable

    from safeguards._native import Clock

    Tell = Callable[[BaseException | None], object]

__all__ = ["PATIENCE", "Job", "Ticker", "is_delay", "ticker_of"]

PATIENCE = 1.0
"""Seconds after which a run that goes on leaves the thread of all to the other jobs."""
_NANOS = 1_000_000_000
_END = 2**63 - 1
"""Where clocks stop, 292 years on."""
_AFTER_FAILURE = 60.0
_LONGEST_WAIT = 60.0
"""Seconds. A wait stands still while the machine sleeps, the clock does not: a job is at most so late."""
_logger = logging.getLogger("safeguards.ticker")


def is_delay(seconds: float) -> bool:
    """Whether it is a number of seconds that somebody can wait for."""
    try:
        return 0 <= seconds < math.inf
    except (TypeError, ArithmeticError):
        return False


class Job:
    """Something that is run again and again.

    Attributes:
        run: runs it, and returns the seconds until it wants to run next; None if never.
        tell: called if it takes longer than `PATIENCE`, with None, and if it is ended by what is no
            `Exception`, with that.
        due: when it runs next, in nanoseconds of the clock's monotonic line.
        order: of two that are due at the same time, the lower one is first.
        latest: when it runs next at the latest, if somebody said so while it ran.
        is_running: it runs right now.
        is_told_late: somebody was told that it takes long, and it has not been quick since.
    """

    __slots__ = ("due", "is_running", "is_told_late", "latest", "order", "run", "tell")

    def __init__(self, run: Callable[[], float | None], due: int, order: int, tell: Tell | None) -> None:
        self.run = run
        self.due = due
        self.order = order
        self.tell = tell
        self.latest: int | None = None
        self.is_running = self.is_told_late = False


class Ticker:
    """The jobs of one clock, run one after the other in the order in which they fall due.

    A job that falls due again before it has run runs once. What a job raises is logged and does not end it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: dict[Job, None] = {}
        self._numbers = itertools.count()

    def schedule(
        self, run: Callable[[], float | None], delay_seconds: float, tell: Tell | None = None
    ) -> Job:
        """Runs `run` in `delay_seconds` for the first time. Returns its job, which can be cancelled.

        Raises:
            ThreadStartError: there is no thread to run it in. It is not scheduled.
        """
        job = Job(run, self._now() + _nanos(delay_seconds), next(self._numbers), tell)
        self._jobs[job] = None
        try:
            self._changed()
        except BaseException:
            self.cancel(job)
            raise
        return job

    def cancel(self, job: Job) -> None:
        """Runs `job` no more. If it is running right now, this is its last time."""
        self._jobs.pop(job, None)

    def hasten(self, job: Job, delay_seconds: float) -> None:
        """Runs `job` in `delay_seconds` at the latest."""
        latest = self._now() + _nanos(delay_seconds)
        job.latest = latest if job.latest is None else min(latest, job.latest)
        job.due = min(job.due, latest)
        self._changed()

    def _changed(self) -> None:
        """Called when a job may be due earlier than all before."""

    def _now(self) -> int:
        return self._clock._monotonic_nanos()  # noqa: SLF001 - one library

    def _next(self) -> Job | None:
        """The job that is due first, of those that wait."""
        waiting = (job for job in snapshot(self._jobs) if not job.is_running)
        return min(waiting, key=lambda job: (job.due, job.order), default=None)

    def _run(self, job: Job) -> None:
        """Runs a job that is due, and puts it back for its next time."""
        delay: float | None = _AFTER_FAILURE
        try:
            job.is_running, job.latest = True, None
            delay = job.run()
        except Exception:  # a job that fails must not end the others
            _logger.exception("a job failed; it runs again in a minute")
        finally:  # an interrupt ends what runs now, not what comes later
            self._put_back(job, delay)

    def _put_back(self, job: Job, delay: float | None) -> None:
        if delay is None:
            self.cancel(job)
            return
        if not is_delay(delay):
            _logger.error("a job wants to run next in %r seconds; it runs again in a minute", delay)
            delay = _AFTER_FAILURE
        # No drift, no catching up after a long sleep, and never twice at the same time.
        due, now = job.due + max(_nanos(delay), 1), self._now()
        job.due = max(due if job.latest is None else min(due, job.latest), now)
        job.order = next(self._numbers)
        job.is_running = False


class _Run:
    """A run that somebody keeps an eye on.

    Attributes:
        job: what runs.
        finished: locked until the run has ended.
        fate: "done" or "late", whichever was first.
    """

    __slots__ = ("fate", "finished", "job")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.fate: dict[str, str] = {}
        self.finished = threading.Lock()  # a signal: its own thread opens it, one other waits
        self.finished.acquire()

    def ends(self, fate: str) -> bool:
        """Settles how it ends. False if that was settled otherwise."""
        return self.fate.setdefault("fate", fate) == fate


class _ThreadTicker(Ticker):
    """On the system's clocks: a daemon thread leads, that is, waits for the next job and runs it.

    Where there is more than one job, another thread stands by. If a run takes longer than `PATIENCE`, that
    thread leads from then on, and the one before ends when its run does: no callback keeps other jobs waiting
    for longer than that.
    """

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self._is_closed = False
        self._calls: SimpleQueue[None] = SimpleQueue()  # wakes who leads
        self._first: dict[str, threading.Thread] = {}
        self._leader: threading.Thread | None = None
        self._unwatched: dict[str, _Run] = {}  # what runs, until somebody keeps an eye on it
        self._watched: SimpleQueue[_Run | None] | None = None  # what the thread that stands by looks at

    def _changed(self) -> None:
        self._calls.put(None)
        self._let_watch()
        # One that was started and does not lead yet may still fail to: only one that does is relied on. Of
        # two that are started the first leads.
        if self._leader is None and not self._is_closed:
            start_thread("safeguards", self._begin)

    def _begin(self) -> None:
        me = threading.current_thread()
        if self._first.setdefault("leader", me) is me:
            self._leader = me
            self._lead()

    def _lead(self) -> None:
        leads = True
        while leads and not self._is_closed:
            try:
                job = self._wait()
                leads = job is None or self._run_watched(job)
            except BaseException:  # nothing may end the thread of all jobs
                _logger.exception("the thread of all controllers goes on after an error")

    def _wait(self) -> Job | None:
        """Waits for a job that is due. None when the process ends."""
        while not self._is_closed:
            job = self._next()
            wait = _LONGEST_WAIT if job is None else (job.due - self._now()) / _NANOS
            if wait <= 0:
                return job
            try:
                self._calls.get(timeout=min(wait, _LONGEST_WAIT))
            except Empty:
                continue
        return None

    def _run_watched(self, job: Job) -> bool:
        """Runs a job. False if it took so long that another thread leads."""
        run = _Run(job)
        self._unwatched["run"] = run
        self._let_watch()
        try:
            self._run_safely(job)
        finally:
            run.finished.release()
            leads = run.ends("done")
            if leads:
                job.is_told_late = False
            self._calls.put(None)  # for who leads now: the job is back
        return leads

    def _run_safely(self, job: Job) -> None:
        try:
            self._run(job)
        except BaseException as error:  # whoever ends a job with SystemExit must not end the thread of all
            _logger.exception("a job was ended; it runs again in a minute")
            if job.tell is not None:
                job.tell(error)

    def _let_watch(self) -> None:
        """Lets the thread that stands by look at what runs, if that keeps others waiting."""
        run = self._unwatched.pop("run", None) if len(self._jobs) > 1 else None
        if run is not None:
            self._watch(run)

    def _watch(self, run: _Run) -> None:
        if self._watched is None:
            watched: SimpleQueue[_Run | None] = SimpleQueue()
            try:
                start_thread("safeguards-standby", self._stand_by, watched)
            except ThreadStartError as error:
                _logger.warning("nobody can take over from a run that takes long: %s", error)
                return
            self._watched = watched
        self._watched.put(run)

    def _stand_by(self, watched: SimpleQueue[_Run | None]) -> None:
        while (run := watched.get()) is not None:
            if run.finished.acquire(timeout=PATIENCE) or not run.ends("late"):
                continue
            before, me = self._leader, threading.current_thread()
            if before is not None:
                before.name = "safeguards-late"
            me.name = "safeguards"
            self._watched, self._leader = None, me
            self._tell_late(run.job)
            self._lead()
            return

    def _tell_late(self, job: Job) -> None:
        """Tells once, as a job of its own: handlers may take long as well."""
        tell = job.tell
        if tell is None or job.is_told_late:
            return
        job.is_told_late = True

        def tell_once() -> None:
            tell(None)

        self.schedule(tell_once, 0)

    def close(self) -> None:
        """Ends the threads: the interpreter is about to go."""
        self._is_closed = True
        self._calls.put(None)
        if self._watched is not None:
            self._watched.put(None)
        if self._leader is not None and self._leader is not threading.current_thread():
            self._leader.join(timeout=1.0)


class _ManualTicker(Ticker):
    """On a `ManualClock`: jobs run while it is advanced, each at its own time, in the thread that does so."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self._manual = clock
        self._turn = Turn("the clock")

    def advance(self, nanos: int) -> None:
        """Moves the clock forward and runs on the way what falls due."""
        with self._turn:
            end = min(self._now() + nanos, _END)
            while (job := self._next()) is not None and job.due <= end:
                self._skip_to(job.due)
                self._run(job)
            self._skip_to(end)

    def _skip_to(self, then: int) -> None:
        self._manual._skip(max(then - self._now(), 0))  # noqa: SLF001


_of_the_process: dict[str, _ThreadTicker] = {}


def ticker_of(clock: Clock) -> Ticker:
    """The ticker of a clock: always the same one."""
    if isinstance(clock, ManualClock):
        shared: Ticker = clock._share_ticker(_ManualTicker(clock))  # noqa: SLF001
        return shared
    return _of_the_process.get("ticker") or _of_the_process.setdefault("ticker", _ThreadTicker())


@atexit.register
def _close() -> None:
    """Not the one of a process that this one was forked from: its threads are not here."""
    ticker = _of_the_process.get("ticker")
    if ticker is not None:
        ticker.close()


if hasattr(os, "register_at_fork"):
    # In a forked child the thread is gone, and with it whatever it would have run.
    os.register_at_fork(after_in_child=_of_the_process.clear)


def _nanos(seconds: float) -> int:
    return round(seconds * _NANOS)

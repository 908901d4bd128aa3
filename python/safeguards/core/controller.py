"""The base of everything that steers budgets: looks, decides, tells, changes, on an interval."""

from __future__ import annotations

import logging
import sys
import traceback
from abc import ABC, abstractmethod
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Generic, NoReturn, Self, TypeVar

from safeguards._native import Turn
from safeguards._values.arguments import instance, shown, told
from safeguards._values.copies import not_copied
from safeguards._values.decimals import ROUND_DOWN, add, of_float, plain, rounded, subtract, times
from safeguards._values.numbers import LONGEST, number, seconds, whole

# `execute` wants it: loaded now, as a run must not fail for want of open files.
from safeguards.core import _execution  # noqa: F401 # pyright: ignore[reportUnusedImport]
from safeguards.core._cell import Cell, snapshot
from safeguards.core._spell import Spell, is_alive
from safeguards.core._ticker import PATIENCE, is_delay, ticker_of
from safeguards.core.budget_coordination import BudgetCoordinator
from safeguards.exceptions import ConfigurationError, PinnedError, UnknownAgentError, UnknownPoolError
from safeguards.types.decisions import Decision
from safeguards.types.enums import AlertSeverity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from types import TracebackType

    from safeguards.core._ticker import Job

    Judge = Callable[[Decision], object]
    Execute = Callable[[Decision], Decision | None]

__all__ = ["Controller", "Decision"]

_View = TypeVar("_View")
"""What a controller sees when it looks: of a type of its own."""

_SHOWN = 3
_LONGEST_WAIT = 60.0
_LARGEST_CHANGE = 1e15
_logger = logging.getLogger("safeguards.controllers")


class Controller(ABC, Generic[_View]):
    """Turns what it sees of a coordinator into decisions on its budgets.

    `evaluate` only says what it would do; `run_once` does it; `start` does it again and again, for the first
    time one interval later, in a thread that all controllers share. Every decision has a reason and is kept
    in `history`; one alert tells of each run that changed something. A budget that is pinned is left alone.
    A controller that fails says so with an alert, falls back to its simple rule and goes on.

    One of your own has two methods: `observe`, which looks, and `propose`, which decides by what was seen.
    Neither changes anything, and so a dry run is a call of both. There are a few more for controllers that
    remember something between two runs; all of them are called in runs only. See docs/controllers.md.

    Any thread may call any method at any time; so may signal handlers, finalizers and callbacks. A run waits
    for one that is under way in another thread, unless that one waits for this thread. One that takes longer
    than a second in the shared thread is told with an alert, and the others go on in another thread.

    Args:
        budget_coordinator: the coordinator whose budgets it steers.
        interval_seconds: seconds from one run to the next, from 0.001 to a hundred years.
        max_change: the most that one decision changes, as a share of what the subject's period began with
            (`BudgetMetrics.initial_budget`), above 0: with 0.1 a budget set to 100 moves by at most 10 at a
            time, whatever is left of it. No bound if not given.
        history_size: decisions that are kept; older ones are dropped.

    Raises:
        ArgumentTypeError: an argument is of a wrong type.
        ConfigurationError: an argument is out of its range.
    """

    fallback: ClassVar[str] = "no change"
    """What is done when the controller fails, in words."""

    def __init__(
        self,
        budget_coordinator: BudgetCoordinator,
        interval_seconds: float,
        *,
        max_change: float | None = None,
        history_size: int = 10_000,
    ) -> None:
        self.budget_coordinator = instance("budget_coordinator", budget_coordinator, BudgetCoordinator)
        self.interval_seconds = seconds("interval_seconds", interval_seconds)
        self.budget_coordinator._controllers.add(self)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - one library
        self.max_change = (
            None if max_change is None else number("max_change", max_change, 0, _LARGEST_CHANGE, above=True)
        )
        self._history: deque[Decision] = deque(maxlen=whole("history_size", history_size, 1, sys.maxsize))
        self._judges: Cell[tuple[Judge, ...]] = Cell(())
        # The whole state: whether it runs, and since which start.
        self._spell: Cell[Spell | None] = Cell(None)
        self._turn = Turn(self._name, _LONGEST_WAIT)  # one run at a time; callbacks are called in it
        self._applying = Turn(f"a decision of {self._name}", _LONGEST_WAIT)  # what `stop` waits for
        self._is_learning = False

    # What people call.

    def evaluate(self) -> list[Decision]:
        """What `run_once` would decide now. Changes nothing, and raises what goes wrong.

        To carry out one of them after all: `coordinator.execute(decision)`.

        Raises:
            ControllerBusyError: it runs in another thread, and waiting for that would take for ever.
        """
        self.budget_coordinator._check_process()  # noqa: SLF001 - one library
        with self._turn:
            now = self.now()
            return self._prepared(self.propose(self.observe(now)), now)

    def run_once(self) -> list[Decision]:
        """Decides and changes what was decided.

        Returns:
            Every decision with what became of it.

        Raises:
            ControllerBusyError: it runs in another thread, and waiting for that would take for ever: that run
                waits for this thread, or it has not ended for a minute. Nothing was done.
        """
        return self._run(None)

    def start(self) -> None:
        """Runs on the interval from now on, the first time one interval later. A second start does nothing.

        With a `ManualClock` it runs while the clock is advanced. Of a start and a stop that meet, the later
        one holds; a stop in the middle of a start, as by a signal handler, ends what it began.

        Raises:
            ThreadStartError: there is no thread to run it in. It is not running; a later start can succeed.
        """
        self.budget_coordinator._check_process()  # noqa: SLF001 - one library
        spell = Spell()
        try:
            if self._spell.update(lambda now: now if is_alive(now) else spell) is not spell:
                return
            self.begin(spell)
        except BaseException:
            self._spell.update(lambda now: None if now is spell else now)
            self.end(spell)
            raise
        if not self._is_current(spell):
            self.end(spell)  # once more: it was stopped before all of it had begun

    def stop(self) -> None:
        """Runs no more. No decision is applied after this returns; one that is under way is waited for.

        Raises:
            ControllerBusyError: that decision waits for this thread, or has been under way for a minute.
        """
        spell = self._spell.exchange(None)
        if not is_alive(spell):
            spell = None  # the thread that ran it is not in this process
        if spell is not None:
            self.end(spell)
        with self._applying:
            pass

    @property
    def running(self) -> bool:
        """Whether it was started, in this process, and not stopped since."""
        return is_alive(self._spell.value)

    @property
    def history(self) -> list[Decision]:
        """The latest decisions, oldest first, with what became of each."""
        return snapshot(self._history)

    def on_decision(self, callback: Judge) -> None:
        """Calls `callback(decision)` before each decision is applied; `False` from it is a veto.

        A callback that raises is a veto as well: who cannot judge does not agree.

        Raises:
            ConfigurationError: `callback` cannot be called.
        """
        if not callable(callback):
            raise ConfigurationError(
                f"a callback is called with each decision: {shown(callback)} cannot be called"
            )
        self._judges.update(lambda judges: (*judges, callback))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __reduce__(self) -> NoReturn:
        not_copied(self, "it steers the budgets of this process; make one where those are")

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"{self._name}({state}, every {self.interval_seconds:g} s, {len(self._history)} decisions)"

    # What a controller is made of.

    @abstractmethod
    def observe(self, now: datetime) -> _View:
        """Looks: what there is to see of the coordinator, for `propose`. Changes nothing.

        Args:
            now: the wall time, aware, in UTC.
        """

    @abstractmethod
    def propose(self, view: _View) -> list[Decision]:
        """What should change, by what was seen. Changes nothing, also not what the controller remembers."""

    def fall_back(self, view: _View) -> list[Decision]:  # noqa: ARG002 - for those that have a simple rule
        """What should change when `propose` fails: the simple rule that `fallback` describes.

        Nothing, if not given. As `propose`, it changes nothing.
        """
        return []

    # For controllers that remember something between two runs. No dry run calls these.

    def learn(self, view: _View) -> None:
        """Takes note of what was seen, in each run before `propose`. A failure is told; the run goes on."""

    def carry_out(
        self,
        view: _View | None,  # noqa: ARG002 - for those who keep in it what was planned
        decisions: list[Decision],
        execute: Execute,
    ) -> Iterator[Decision]:
        """Has the decisions of a run executed, and says what became of each.

        For controllers that limit decisions by what became of those before, or take note of it.

        Args:
            view: what was seen; None for `act`.
            decisions: what was decided: bounded, and without what would change nothing.
            execute: asks the callbacks, executes a decision, and returns it with what became of it. None if
                the controller was stopped before.
        """
        return (done for decision in decisions if (done := execute(decision)) is not None)

    def begin(self, spell: Spell) -> None:
        """Starts what is needed while it runs. It may be called off at any line, by `end`."""
        delay = self.next_delay(self.now())
        if not is_delay(delay):
            raise ConfigurationError(f"{self._name} cannot wait for {delay!r} seconds until its first run")
        ticker = ticker_of(self.budget_coordinator.clock)
        spell.job = ticker.schedule(lambda: self._tick(spell), delay, self.tell_of_run)

    def end(self, spell: Spell) -> None:
        """Ends what `begin` has begun so far. It may be called again."""
        if spell.job is not None:
            ticker_of(self.budget_coordinator.clock).cancel(spell.job)

    def next_delay(self, now: datetime) -> float:  # noqa: ARG002 - for those that follow the wall clock
        """Seconds until the next run: the interval, if not given."""
        return self.interval_seconds

    # What it may call.

    def now(self) -> datetime:
        """The wall time of the coordinator's clock, aware, in UTC."""
        return self.budget_coordinator.clock.now()

    def between_runs(self) -> Turn:
        """To be held (`with`) while settings are changed that a run reads."""
        return self._turn

    def run_by(self, rule: Callable[[_View], list[Decision]]) -> list[Decision]:
        """One run by another rule than `propose`. Raises what goes wrong in it."""
        return self._run(None, rule)

    def act(self, decisions: list[Decision]) -> list[Decision]:
        """Carries out decisions between two runs, at once and in any thread, and keeps them in the history.

        Nothing if it is not running. They are bounded as all are; no alert tells of them.
        """
        spell = self._spell.value
        done: list[Decision] = []
        if spell is not None:
            self._carry_out_all(None, self._prepared(decisions, self.now()), spell, done)
        return done

    def hasten(self, delay_seconds: float | None = None) -> None:
        """Lets the next run come earlier, if it was to come later.

        Args:
            delay_seconds: when at the latest, from 0 on; what `next_delay` says if not given.

        Raises:
            ConfigurationError: `delay_seconds` is out of range.
        """
        if delay_seconds is not None:
            delay_seconds = number("delay_seconds", delay_seconds, 0, LONGEST)
        job = self._job
        if job is not None and self.running:
            delay = self._delay() if delay_seconds is None else delay_seconds
            ticker_of(self.budget_coordinator.clock).hasten(job, delay)

    def tell_failure(self, what: str, error: BaseException) -> None:
        """Tells with an alert what went wrong. It must not be silent, nor stop the platform."""
        _logger.error("%s %s", self._name, what, exc_info=error)
        traceback.clear_frames(error.__traceback__)  # alerts are kept: not with all that was computed
        self.budget_coordinator.notification_manager.send_alert(
            f"{self._name} {what}",
            f"{type(error).__name__}: {told(error)}. Its rule for such a case: {self.fallback}.",
            AlertSeverity.ERROR,
            time=self.now(),
            error=error,
        )

    def tell_of_run(self, ended: BaseException | None) -> None:
        """Called by the thread of all controllers: a run was ended, or takes so long that others go on."""
        if ended is not None:
            self.tell_failure("was ended in the thread of all controllers, and runs again in a minute", ended)
            return
        self.budget_coordinator.notification_manager.send_alert(
            f"{self._name} takes long",
            f"A run of it has taken more than {PATIENCE:g} s and goes on: something of yours that it calls "
            "may be waiting. The other controllers go on in another thread; its own next run comes after.",
            AlertSeverity.WARNING,
            time=self.now(),
        )

    @property
    def spell(self) -> Spell | None:
        """The time from the latest start, until it is stopped."""
        return self._spell.value

    # Starts and stops. They may meet in any order: each `end` undoes what it finds of its own spell, and can
    # be called again.

    def _is_current(self, spell: Spell) -> bool:
        return self._spell.value is spell

    @property
    def _job(self) -> Job | None:
        spell = self._spell.value
        return None if spell is None else spell.job

    # One run.

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _tick(self, spell: Spell) -> float | None:
        if not self._is_current(spell):
            return None
        # From before the run: what happens on the wall clock while it runs is looked at right after it.
        delay = self._delay()
        try:
            self._run(spell)
        except Exception as error:  # noqa: BLE001 - whatever it is: it goes on, and not in silence
            self.tell_failure("failed", error)
        return delay

    def _delay(self) -> float:
        """Seconds until the next run: the interval, if `next_delay` fails."""
        try:
            delay = self.next_delay(self.now())
            if is_delay(delay):
                return delay
            raise ConfigurationError(f"{delay!r} seconds until the next run are none; the interval is taken")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - it goes on, and not in silence
            self.tell_failure("does not know when to run next", error)
            return self.interval_seconds

    def _run(
        self, spell: Spell | None, rule: Callable[[_View], list[Decision]] | None = None
    ) -> list[Decision]:
        self.budget_coordinator._check_process()  # noqa: SLF001 - one library
        done: list[Decision] = []
        try:
            with self._turn:
                self._run_in_turn(spell, rule, done)
        finally:
            self._tell(done)
        return done

    def _run_in_turn(
        self, spell: Spell | None, rule: Callable[[_View], list[Decision]] | None, done: list[Decision]
    ) -> None:
        now = self.now()
        try:
            view = self.observe(now)
        except Exception as error:  # noqa: BLE001 - it must not stop the platform, nor be silent
            self.tell_failure("failed", error)
            return
        self.remember(view)
        decisions = self._decide(view, now) if rule is None else self._prepared(rule(view), now)
        self._carry_out_all(view, decisions, spell, done)

    def _carry_out_all(
        self, view: _View | None, decisions: list[Decision], spell: Spell | None, done: list[Decision]
    ) -> None:
        """Carries decisions out and keeps them in `done` and the history, also those before an interrupt."""
        try:
            for outcome in self.carry_out(view, decisions, partial(self._execute, spell)):
                done.append(outcome)  # noqa: PERF402 - what comes before an interrupt is kept
        finally:
            self._history.extend(done)

    def remember(self, view: _View) -> None:
        """Has it `learn`, and tells if that fails. Not in the middle of itself."""
        if self._is_learning:
            return  # a signal handler or a finalizer runs it in the middle of that, which goes on afterwards
        try:
            self._is_learning = True
            self.learn(view)
        except Exception as error:  # noqa: BLE001 - the rules still see the coordinator as it is
            self.tell_failure("could not observe", error)
        finally:
            self._is_learning = False

    def _decide(self, view: _View, now: datetime) -> list[Decision]:
        for rule, what in ((self.propose, "failed"), (self.fall_back, "failed in its fallback as well")):
            try:
                return self._prepared(rule(view), now)
            except Exception as error:  # noqa: BLE001 - it must not stop the platform, nor be silent
                self.tell_failure(what, error)
        return []

    def _prepared(self, decisions: list[Decision], now: datetime) -> list[Decision]:
        """The decisions that change something, bounded, with a name and a time."""
        named = (self._bounded(d).signed(self._name, now) for d in decisions)
        return [decision for decision in named if not decision.change.is_nothing]

    def _bounded(self, decision: Decision) -> Decision:
        if self.max_change is None:
            return decision
        coordinator = self.budget_coordinator
        look = coordinator.get_pool_metrics if decision.kind == "pool" else coordinator.get_agent_metrics
        try:
            initial = look(decision.subject).initial_budget
            most = rounded(times(initial, of_float(self.max_change)), ROUND_DOWN)
            least, highest = subtract(decision.old, most), add(decision.old, most)
            new = plain(min(max(decision.new, least), highest))
        except (UnknownAgentError, UnknownPoolError, ArithmeticError):
            return decision  # it has left meanwhile, or is no amount that there is: it fails alone, applied
        if new == decision.new:
            return decision
        reason = f"{decision.reason}; at most {self.max_change:.0%} of {initial} at a time"
        return decision.bounded(new, reason, wanted=decision.new)

    def _execute(self, spell: Spell | None, decision: Decision) -> Decision | None:
        """Executes a decision that nobody objects to. None if the controller was stopped before."""
        if self.budget_coordinator._is_pinned(decision.subject):  # noqa: SLF001 - one library
            return decision.with_status("pinned")
        if not all(self._agrees(judge, decision) for judge in self._judges.value):
            return decision.with_status("vetoed")
        with self._applying:
            if spell is not None and not self._is_current(spell):
                return None
            try:
                return self.budget_coordinator.execute(decision)
            except PinnedError:  # by a callback, or by somebody meanwhile
                return decision.with_status("pinned")
            except Exception as error:  # noqa: BLE001 - the others are still applied
                return decision.with_status("failed", told(error))

    def _agrees(self, judge: Judge, decision: Decision) -> bool:
        try:
            return judge(decision) is not False
        except Exception as error:  # noqa: BLE001 - it is told, and nothing is changed
            self.tell_failure("could not ask a callback, so it left things as they were", error)
            return False

    # Telling.

    def _tell(self, decisions: list[Decision]) -> None:
        self._tell_of("changed", [d for d in decisions if d.status == "applied"], AlertSeverity.INFO)
        self._tell_of("could not change", [d for d in decisions if d.status == "failed"], AlertSeverity.ERROR)

    def _tell_of(self, what: str, decisions: list[Decision], severity: AlertSeverity) -> None:
        if not decisions:
            return
        budgets = "one budget" if len(decisions) == 1 else f"{len(decisions)} budgets"
        lines = [str(decision) for decision in decisions[:_SHOWN]]
        if len(decisions) > _SHOWN:
            lines.append(f"and {len(decisions) - _SHOWN} more, in the history of the controller")
        self.budget_coordinator.notification_manager.send_alert(
            f"{self._name} {what} {budgets}",
            "\n".join(lines),
            severity,
            account=decisions[0].subject if len(decisions) == 1 else None,
            time=decisions[0].time,
            # No more than that: alerts are kept, and a run may decide on every agent.
            decisions=tuple(decisions[:_SHOWN]),
            count=len(decisions),
        )

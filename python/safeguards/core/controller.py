"""The base of everything that steers budgets: looks, decides, tells, changes, on an interval."""

from __future__ import annotations

import logging
import sys
import traceback
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self

from safeguards._native import Turn
from safeguards._values.arguments import instance, shown, told
from safeguards._values.decimals import ROUND_DOWN, add, of_float, plain, rounded, subtract, times
from safeguards._values.numbers import number, seconds, whole
from safeguards.core._cell import Cell, snapshot
from safeguards.core._spell import Spell, is_alive
from safeguards.core._ticker import PATIENCE, is_delay, ticker_of
from safeguards.core.budget_coordination import BudgetCoordinator
from safeguards.exceptions import ConfigurationError, UnknownAgentError, UnknownPoolError
from safeguards.types.decisions import Decision
from safeguards.types.enums import AlertSeverity

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from types import TracebackType

    from safeguards.core._ticker import Job

    Judge = Callable[[Decision], object]

__all__ = ["Controller", "Decision"]

_SHOWN = 3
_LONGEST_WAIT = 60.0
_LARGEST_CHANGE = 1e15
_logger = logging.getLogger("safeguards.controllers")


class Controller(ABC):
    """Turns what it sees of a coordinator into decisions on its budgets.

    `evaluate` only says what it would do; `run_once` does it; `start` does it again and again, for the first
    time one interval later, in a thread that all controllers share. Every decision has a reason and is kept
    in `history`; one alert tells of each run that changed something. A budget that is pinned is left alone.
    A controller that fails says so with an alert, falls back to its simple rule and goes on.

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
        self.max_change = (
            None if max_change is None else number("max_change", max_change, 0, _LARGEST_CHANGE, above=True)
        )
        self._history: deque[Decision] = deque(maxlen=whole("history_size", history_size, 1, sys.maxsize))
        self._judges: Cell[tuple[Judge, ...]] = Cell(())
        # The whole state: whether it runs, and since which start.
        self._spell: Cell[Spell | None] = Cell(None)
        self._turn = Turn(self._name, _LONGEST_WAIT)  # one run at a time; callbacks are called in it
        self._applying = Turn(f"a decision of {self._name}", _LONGEST_WAIT)  # what `stop` waits for
        self._is_observing = False

    # What people call.

    def evaluate(self) -> list[Decision]:
        """What `run_once` would decide now. Changes nothing, and raises what goes wrong.

        Raises:
            ControllerBusyError: it runs in another thread, and waiting for that would take for ever.
        """
        self.budget_coordinator._check_process()  # noqa: SLF001 - one library
        with self._turn:
            now = self._now()
            return self._prepared(self._propose(now), now)

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
            self._begin(spell)
        except BaseException:
            self._spell.update(lambda now: None if now is spell else now)
            self._end(spell)
            raise
        if not self._is_current(spell):
            self._end(spell)  # once more: it was stopped before all of it had begun

    def stop(self) -> None:
        """Runs no more. No decision is applied after this returns; one that is under way is waited for.

        Raises:
            ControllerBusyError: that decision waits for this thread, or has been under way for a minute.
        """
        spell = self._spell.exchange(None)
        if not is_alive(spell):
            spell = None  # the thread that ran it is not in this process
        if spell is not None:
            self._end(spell)
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

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"{self._name}({state}, every {self.interval_seconds:g} s, {len(self._history)} decisions)"

    # What a controller is made of.

    @abstractmethod
    def _propose(self, now: datetime) -> list[Decision]:
        """What should change. Changes nothing itself."""

    def _fall_back(self, now: datetime) -> list[Decision]:  # noqa: ARG002 - for those that have a simple rule
        """What should change when `_propose` fails: the simple rule that `fallback` describes."""
        return []

    def _observe(self, now: datetime) -> None:  # noqa: B027 - for those that learn
        """Takes note of what happened since the last time, before each run."""

    def _apply(self, decision: Decision) -> None:
        """Changes the budget by the difference, so that what was spent meanwhile stays spent."""
        change = subtract(decision.new, decision.old)
        coordinator = self.budget_coordinator
        adjust = coordinator.adjust_pool_budget if decision.kind == "pool" else coordinator.adjust_budget
        adjust(decision.subject, change)

    def _matters(self, decision: Decision) -> bool:
        """Whether carrying it out would do anything."""
        return decision.old != decision.new

    def _next_delay(self, now: datetime) -> float:  # noqa: ARG002 - for those that follow the wall clock
        """Seconds until the next run."""
        return self.interval_seconds

    # Starts and stops. They may meet in any order: each `_end` undoes what it finds of its own spell, and can
    # be called again.

    def _begin(self, spell: Spell) -> None:
        """Starts what a spell needs."""
        delay = self._next_delay(self._now())
        if not is_delay(delay):
            raise ConfigurationError(f"{self._name} cannot wait for {delay!r} seconds until its first run")
        ticker = ticker_of(self.budget_coordinator.clock)
        spell.job = ticker.schedule(lambda: self._tick(spell), delay, self._tell_of_run)

    def _end(self, spell: Spell) -> None:
        """Ends what `_begin` has begun so far."""
        if spell.job is not None:
            ticker_of(self.budget_coordinator.clock).cancel(spell.job)

    def _is_current(self, spell: Spell) -> bool:
        return self._spell.value is spell

    @property
    def _job(self) -> Job | None:
        spell = self._spell.value
        return None if spell is None else spell.job

    def _hasten(self) -> None:
        """Lets the next run come when `_next_delay` says, if it was to come later."""
        job = self._job
        if job is not None and self.running:
            delay = self._delay()
            ticker_of(self.budget_coordinator.clock).hasten(job, delay)

    # One run.

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _now(self) -> datetime:
        return self.budget_coordinator.clock.now()

    def _tick(self, spell: Spell) -> float | None:
        if not self._is_current(spell):
            return None
        # From before the run: what happens on the wall clock while it runs is looked at right after it.
        delay = self._delay()
        try:
            self._run(spell)
        except Exception as error:  # noqa: BLE001 - whatever it is: it goes on, and not in silence
            self._tell_failure("failed", error)
        return delay

    def _delay(self) -> float:
        """Seconds until the next run: the interval, if `_next_delay` fails."""
        try:
            delay = self._next_delay(self._now())
            if is_delay(delay):
                return delay
            raise ConfigurationError(f"{delay!r} seconds until the next run are none; the interval is taken")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - it goes on, and not in silence
            self._tell_failure("does not know when to run next", error)
            return self.interval_seconds

    def _run(self, spell: Spell | None) -> list[Decision]:
        self.budget_coordinator._check_process()  # noqa: SLF001 - one library
        done: list[Decision] = []
        try:
            with self._turn:
                self._run_in_turn(spell, done)
        finally:
            self._tell(done)
        return done

    def _run_in_turn(self, spell: Spell | None, done: list[Decision]) -> None:
        now = self._now()
        self._try_observe(now)
        self._carry_out_all(self._decide(now), spell, done)

    def _carry_out_all(self, decisions: list[Decision], spell: Spell | None, done: list[Decision]) -> None:
        """Carries decisions out and keeps them in `done` and the history, also those before an interrupt."""
        try:
            for decision in decisions:
                outcome = self._carry_out(decision, spell)
                if outcome is not None:
                    done.append(outcome)
        finally:
            self._keep(done)

    def _try_observe(self, now: datetime) -> None:
        if self._is_observing:
            return  # a signal handler or a finalizer runs it in the middle of that, which goes on afterwards
        try:
            self._is_observing = True
            self._observe(now)
        except Exception as error:  # noqa: BLE001 - the rules still see the coordinator as it is
            self._tell_failure("could not observe", error)
        finally:
            self._is_observing = False

    def _decide(self, now: datetime) -> list[Decision]:
        for rule in (self._propose, self._fall_back):
            try:
                return self._prepared(rule(now), now)
            except Exception as error:  # noqa: BLE001 - it must not stop the platform, nor be silent
                what = "failed" if rule == self._propose else "failed in its fallback as well"
                self._tell_failure(what, error)
        return []

    def _prepared(self, decisions: list[Decision], now: datetime) -> list[Decision]:
        """The decisions that change something, bounded, with a name and a time."""
        named = (self._bounded(d).signed(self._name, now) for d in decisions)
        return [decision for decision in named if self._matters(decision)]

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
        return replace(decision, new=new, reason=reason, inputs={**decision.inputs, "wanted": decision.new})

    def _carry_out(self, decision: Decision, spell: Spell | None) -> Decision | None:
        """Applies a decision that nobody objects to. None if the controller was stopped before."""
        if self.budget_coordinator._is_pinned(decision.subject):  # noqa: SLF001 - one library
            return decision.with_status("pinned")
        if not all(self._agrees(judge, decision) for judge in self._judges.value):
            return decision.with_status("vetoed")
        with self._applying:
            if spell is not None and not self._is_current(spell):
                return None
            try:
                self._apply(decision)
            except Exception as error:  # noqa: BLE001 - the others are still applied
                return decision.with_status("failed", told(error))
        return decision.with_status("applied")

    def _agrees(self, judge: Judge, decision: Decision) -> bool:
        try:
            return judge(decision) is not False
        except Exception as error:  # noqa: BLE001 - it is told, and nothing is changed
            self._tell_failure("could not ask a callback, so it left things as they were", error)
            return False

    def _keep(self, decisions: list[Decision]) -> None:
        self._history.extend(decisions)

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

    def _tell_of_run(self, ended: BaseException | None) -> None:
        """Called by the thread of all controllers: a run was ended, or takes so long that others go on."""
        if ended is not None:
            self._tell_failure(
                "was ended in the thread of all controllers, and runs again in a minute", ended
            )
            return
        self.budget_coordinator.notification_manager.send_alert(
            f"{self._name} takes long",
            f"A run of it has taken more than {PATIENCE:g} s and goes on: something of yours that it calls "
            "may be waiting. The other controllers go on in another thread; its own next run comes after.",
            AlertSeverity.WARNING,
            time=self._now(),
        )

    def _tell_failure(self, what: str, error: BaseException) -> None:
        _logger.error("%s %s", self._name, what, exc_info=error)
        traceback.clear_frames(error.__traceback__)  # alerts are kept: not with all that was computed
        self.budget_coordinator.notification_manager.send_alert(
            f"{self._name} {what}",
            f"{type(error).__name__}: {told(error)}. Its rule for such a case: {self.fallback}.",
            AlertSeverity.ERROR,
            time=self._now(),
            error=error,
        )

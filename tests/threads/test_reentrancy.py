"""Nothing waits for itself: whatever a signal, a finalizer or a handler calls, in the middle of any call."""

import ast
import gc
import json
import logging
import os
import subprocess
import sys
import weakref
from functools import partial
from pathlib import Path

import pytest

import safeguards
from safeguards import (
    AlertSeverity,
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRLOptimizer,
    BudgetTimeScheduler,
    ManualClock,
    PriorityBasedReallocator,
)
from safeguards.core._cell import Cell
from safeguards.core._ticker import ticker_of

from .meetings import at_line, at_once
from .movers import Mover
from .reentry import ENOUGH, HOWS

TORTURE = "SAFEGUARDS_TORTURE" in os.environ
SECONDS, SEEDS = (20, range(5)) if TORTURE else (1, [20_260_105])
PACKAGE = Path(safeguards.__file__).parent


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("how", HOWS)
def test_calls_in_the_middle_of_calls(how, seed):
    """Nothing hangs, nothing is lost, the books hold, and what was stopped is."""
    command = [sys.executable, "-m", "tests.threads.reentry", how, str(seed), str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 60, check=False)
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-3000:]}"
    counted = json.loads(done.stdout)
    assert counted["calls"] > ENOUGH
    assert counted["busy"] < counted["calls"] / 10


# What may hold a lock over what: nothing may, so there are none.

LOCKS = {"Lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier", "allocate_lock"}
EXCEPTIONS = {
    "core/_ticker.py": {"Lock": 1},  # a signal from one thread to one other: nothing is done while it is held
    "cli/demo.py": {"Lock": 3, "Barrier": 1},  # what people write by hand, as a demonstration
}


def locks_in(path):
    """How often each kind of lock is named, be it of `threading` or imported from there."""
    nodes = ast.walk(ast.parse(path.read_text()))
    names = [getattr(node, "attr", getattr(node, "id", None)) for node in nodes]
    return {name: names.count(name) for name in names if name in LOCKS}


def test_no_lock_in_the_python_face():
    """Signal handlers, finalizers and forks find every lock of Python taken, some day.

    A value is replaced as a whole (`Cell`), changed in one step of a dict or a deque, or handed over in a
    `SimpleQueue`; what must wait takes a `Turn`.
    """
    found = {str(path.relative_to(PACKAGE)): locks_in(path) for path in sorted(PACKAGE.rglob("*.py"))}
    assert {path: locks for path, locks in found.items() if locks} == EXCEPTIONS


def test_a_cell_loses_no_change_at_any_line():
    cell, changes = Cell(0), []

    def add():
        changes.append(1)
        cell.update(lambda value: value + 1)

    for number in range(1, 40):
        for change in (cell.update, cell.exchange_by):
            trace, _ = at_line(number, "_cell.py", add)
            sys.settrace(trace)
            try:
                change(lambda value: value + 1_000_000)
            finally:
                sys.settrace(None)
    assert len(changes) > 20
    assert cell.value == 78 * 1_000_000 + len(changes)


def test_a_cell_loses_no_change_of_many_threads():
    cell = Cell(())

    def work(name):
        for number in range(500):
            cell.update(lambda values: (*values, (name, number)))  # noqa: B023 - at once

    at_once(*(partial(work, name) for name in range(4)))
    assert len(cell.value) == len(set(cell.value)) == 2000
    assert [n for name, n in cell.value if name == 0] == list(range(500))


def test_a_cell_keeps_no_old_value():
    class Value:
        pass

    first = Value()
    cell, gone = Cell(first), weakref.ref(first)
    del first
    cell.update(lambda _: Value())
    gc.collect()
    assert gone() is None


CONTROLLERS = {
    "mover": Mover,
    "reallocator": PriorityBasedReallocator,
    "scheduler": BudgetTimeScheduler,
    "learner": BudgetPatternLearner,
    "optimizer": BudgetRLOptimizer,
}


OWN_FILES = ("controller.py", "reallocator.py", "_scheduler.py", "pattern_learner.py", "rl_optimizer.py")


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_stop_at_any_line_of_a_start_ends_it(coordinator, name):
    """What a SIGTERM handler does while the main thread is in `start()`."""
    controller, ticker = CONTROLLERS[name](coordinator), ticker_of(coordinator.clock)

    def start(stop_at):
        trace, lines = at_line(stop_at, OWN_FILES, controller.stop)
        sys.settrace(trace)
        try:
            controller.start()
        finally:
            sys.settrace(None)
        return len(lines)

    last = start(stop_at=0)
    assert controller.running
    assert ticker._jobs
    controller.stop()
    was_running = []
    for at in range(1, last + 1):
        start(stop_at=at)
        was_running.append(controller.running)
        assert bool(ticker._jobs) == controller.running, at
        controller.stop()
        assert (controller.running, coordinator._low_listeners, ticker._jobs) == (False, (), {}), at
    assert was_running == sorted(was_running, reverse=True)  # only by a stop before the start had begun
    assert 5 < sum(was_running) < len(was_running) - 5


def test_handlers_of_all_kinds_call_what_called_them(coordinator, caplog):
    """Alert handlers, logging handlers, weakref callbacks and `__del__`, each in the middle of an alert."""
    manager, depth, told = coordinator.notification_manager, [], []

    def again(*_):
        if len(depth) < 5:
            depth.append(1)
            number = len(depth)  # before deeper calls count on
            manager.send_alert("nested", severity=AlertSeverity.INFO)
            told.append(len(manager.get_alerts()) + len(manager.failures))
            coordinator.create_budget_pool(f"nested {number}", 1)
            coordinator.pin("bot")

    class Log(logging.Handler):
        def emit(self, record):
            again()

    class Dying:
        def __del__(self):
            again()

    def handler(alert):
        weakref.finalize(Dying(), again)
        again()
        raise RuntimeError("a handler fails, and that is logged")

    manager.add_handler(handler)
    logging.getLogger("safeguards").addHandler(log := Log())
    try:
        coordinator.debit("bot", 1)
    finally:
        logging.getLogger("safeguards").removeHandler(log)
    assert len(told) == 5
    assert coordinator.pinned == {"bot"}
    assert len(coordinator.get_pool_ids()) == 6


def test_a_log_that_fails_hides_no_failure():
    class Log(logging.Handler):
        def emit(self, record):
            raise OSError("the disk is full")

    coordinator, seen = BudgetCoordinator(clock=ManualClock()), []
    manager = coordinator.notification_manager
    manager.add_handler(lambda alert: 1 / 0)
    manager.add_handler(seen.append)
    logging.getLogger("safeguards").addHandler(log := Log())
    try:
        manager.send_alert("once")
    finally:
        logging.getLogger("safeguards").removeHandler(log)
    assert [type(failure.error) for failure in manager.failures] == [ZeroDivisionError, OSError]
    assert len(seen) == 1

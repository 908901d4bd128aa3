"""A process is forked while other threads are in the middle of anything: the child never hangs."""

import atexit
import itertools
import json
import os
import signal
import sys
import threading
import time
import warnings
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from safeguards import (
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRLOptimizer,
    BudgetTimeScheduler,
    ConfigurationError,
    CostBenefitAllocator,
    ManualClock,
    NotificationManager,
    PriorityBasedReallocator,
    SafeguardsError,
    _native,
)
from safeguards.allocation import AdaptiveStrategy, ResourceSelector, simulate

from .movers import Mover, wait_for
from .reentry import EVENING, HOURS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")

# Where the interpreter has no lock, each dict and list has one, and who was at it leaves it locked in the
# child: one that only reads a dict which other threads write may hang as well. That is for CPython to mend.
LEAVES_LOCKS = not getattr(sys, "_is_gil_enabled", lambda: True)()
FORKS = 200 if "SAFEGUARDS_TORTURE" in os.environ else 12
SECONDS = 20


class World:
    """One of everything that threads share, and a call of each by name."""

    def __init__(self):
        self.numbers = itertools.count()
        self.manager = NotificationManager()
        self.team = team = BudgetCoordinator(self.manager)
        team.create_budget_pool("team", 10**9)
        team.register_agent("bot", "team", initial_budget=10**6)
        self.clock = ManualClock()
        self.mover = Mover(team)
        self.reallocator = PriorityBasedReallocator(team)
        self.scheduler = BudgetTimeScheduler(team, timezone="UTC", pacing="even")
        self.scheduler.add_time_profile("team", {"day": HOURS})
        self.learner = BudgetPatternLearner(team, min_data_points=10)
        now = datetime.now(UTC)
        hours = [now - timedelta(hours=n) for n in range(400, 0, -1)]
        for agent in ("bot", "one", "two"):
            self.learner.load_history(agent, hours, np.ones(400))
        self.optimizer = BudgetRLOptimizer(team)
        self.allocator = CostBenefitAllocator(team)
        self.allocator.register_operation("bot", "draft", 5, 15)
        self.series = _native.NextHour(200)
        self.table = _native.QTable(1, np.array([0.0, 1.0]), np.array([0.0, 1.0]), 2)
        self.selector = ResourceSelector(["a", "b"], AdaptiveStrategy(), max_agents=5000)
        for agent in range(3000):
            self.selector.choose(f"a{agent}")

    def calls(self):
        team, manager = self.team, self.manager
        here, zero, ones = np.zeros(1), np.zeros(1, np.int64), np.ones((2, 20))
        return {
            "alerts": lambda: (manager.send_alert("x"), manager.get_alerts(), manager.failures),
            "handlers": lambda: (manager.add_handler(print_nothing), manager.remove_handler(print_nothing)),
            "pools": lambda: team.create_budget_pool(f"pool {next(self.numbers)}", 1),
            "pins": lambda: (team.pin("bot"), team.unpin("bot")),
            "debit": lambda: team.try_debit("bot", "0.001"),
            "runs": lambda: (self.mover.run_once(), self.mover.evaluate(), self.mover.history),
            "starts": lambda: (self.mover.start(), self.mover.stop()),
            "reallocator": lambda: (
                self.reallocator.start(),
                self.reallocator.run_once(),
                self.reallocator.stop(),
            ),
            "reserve": lambda: self.reallocator.get_reserve("team"),
            "profiles": lambda: self.scheduler.add_time_profile("team", {"evening": EVENING}),
            "pacing": lambda: (self.scheduler.throttle("team"), self.scheduler.admits("team", 1)),
            "state": self.scheduler.state,
            "needs": lambda: self.learner.predict_budget_needs("bot", datetime.now(UTC)),
            "needs of all": self.learner.evaluate,
            "collection": lambda: (self.learner.start_collection(), self.learner.stop_collection()),
            "policy": lambda: (self.optimizer.get_policy(), self.optimizer.evaluate()),
            "outcomes": lambda: self.allocator.record_outcome("bot", "draft", 1, 2),
            "allocation": lambda: self.allocator.optimize_allocation(100),
            "clock": lambda: self.clock.advance(1),
            "series": lambda: (self.series.observe(np.ones(200)), self.series.forecast()),
            "table": lambda: (
                self.table.fit((zero, here, here), np.ones((1, 2)), zero, here, np.zeros((1, 2)), 0.5, 10),
                self.table.values,
            ),
            "hindsight": lambda: _native.best_budgets(
                ones, ones, np.ones(2), np.array([1.0, 1.3]), 0.3, (50.0, -100.0, 10.0, -0.1)
            ),
            "selector": lambda: (self.selector.choose("a1"), self.selector.advance()),
            "simulation": lambda: simulate(
                np.full((10, 3), 100.0), AdaptiveStrategy(), n_agents=50, trials=4
            ),
        }


def print_nothing(alert):
    """A handler."""


MUST_BE_REFUSED = {"pools", "debit", "runs", "starts", "reallocator", "allocation", "outcomes"}
"""Calls that would spend, or promise, what the parent spends and promises as well."""


def child(world, writer):
    """Calls everything, and tells what was at work and what came of it."""
    outcomes = {}
    for name, call in world.calls().items():
        os.write(writer, f"{json.dumps(['begun', name])}\n".encode())
        try:
            call()
            outcomes[name] = "done"
        except SafeguardsError as error:
            outcomes[name] = f"{type(error).__name__}: {error}"
    os.write(writer, f"{json.dumps(['begun', 'coordinators of its own'])}\n".encode())
    own = BudgetCoordinator(world.manager)
    own.create_budget_pool("team", 1000)
    own.register_agent("bot", "team", initial_budget=100)
    own.debit("bot", 99)
    movers = [
        kind(own) for kind in (Mover, PriorityBasedReallocator, BudgetTimeScheduler, BudgetPatternLearner)
    ]
    quick = Mover(own, 0.01)
    for mover in (*movers, quick):
        assert mover.run_once() is not None
        mover.start()
    wait_for(lambda: quick.runs > 3, SECONDS / 2)
    for mover in (*movers, quick):
        mover.stop()
    assert not world.mover.running
    for mover in (world.mover, world.reallocator, world.scheduler, world.learner):
        mover.stop()  # nothing to stop: no refusal either, and nothing to wait for
    atexit._run_exitfuncs()
    os.write(writer, f"{json.dumps(['ended', outcomes])}\n".encode())


def fork(world):
    """Forks, and returns what the child told; or what it was at when its time was over."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(SECONDS)
            child(world, writer)
            code = 0
        except BaseException as error:
            os.write(writer, f"{json.dumps(['failed', repr(error)])}\n".encode())
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        told = [json.loads(line) for line in stream.read().splitlines()]
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"status {status}; at the end it was at {told[-2:]}"
    return told[-1][1]


@pytest.mark.skipif(
    LEAVES_LOCKS, reason="a CPython without its lock leaves dicts and lists locked in the child"
)
def test_no_child_hangs_whatever_other_threads_were_at():
    """Threads call everything in loops; the children of many forks call everything, too."""
    world, is_over, errors = World(), threading.Event(), []
    calls = list(world.calls().items())

    def work(part):
        while not is_over.is_set():
            for name, call in part:
                try:
                    call()
                except SafeguardsError as error:
                    errors.append(f"{name}: {error}")

    threads = [threading.Thread(target=work, args=(calls[n::4],), daemon=True) for n in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in range(FORKS):
            time.sleep(0.01)
            outcomes = fork(world)
            for name in MUST_BE_REFUSED:
                assert "made before a fork" in outcomes[name], (name, outcomes[name])
            told = [text for text in outcomes.values() if text != "done"]
            assert all("fork" in text for text in told), told
    finally:
        sys.setswitchinterval(before)
        is_over.set()
        for thread in threads:
            thread.join(30)
    assert errors == []
    world.team.verify()


def test_a_child_of_a_thread_that_has_a_turn():
    """Who forks in the middle of a callback has the turn in the child as well, and gives it back there."""
    world = World()
    seen = []

    def judge(decision):
        if not seen:
            seen.append(in_child(world))

    def in_child(world):
        pid = os.fork()
        if pid == 0:
            signal.alarm(SECONDS)
            try:
                with pytest.raises(ConfigurationError, match="fork"):
                    world.mover.run_once()
                world.mover.stop()
                threading.Thread(
                    target=lambda: seen.append(world.mover._turn.acquire(blocking=False))
                ).start()
                wait_for(lambda: seen)
                os._exit(0 if seen == [False] else 2)
            finally:
                os._exit(1)
        return os.waitpid(pid, 0)[1]

    world.mover.on_decision(judge)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        world.mover.run_once()
    assert seen == [0]


def test_what_was_in_use_at_the_fork_is_refused_by_name():
    """A thread is in the middle of a long computation: the child does not wait for it."""
    series = _native.NextHour(2000)
    demand, begun = np.random.default_rng(0).random((2000, 1200)), threading.Event()

    def work():
        begun.set()
        series.replay(demand)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert begun.wait(30)
    time.sleep(0.2)
    assert thread.is_alive(), "it was too quick for this test"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        signal.alarm(SECONDS)
        try:
            with pytest.raises(
                ConfigurationError, match="in use by another thread when the process was forked"
            ):
                series.forecast()
            with pytest.raises(ConfigurationError, match="make a new one"):
                series.observe(np.ones(2000))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    thread.join()
    assert len(series.forecast()) == 2000

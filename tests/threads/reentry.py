"""Calls of the API in the middle of calls of the API: by signals, finalizers, the collector and tracers.

`python -m tests.threads.reentry HOW SEED SECONDS` writes what was counted, as JSON. It runs in a process of
its own, so that one that waits for itself can be ended: tests/threads/test_reentrancy.py does.
"""

import gc
import itertools
import json
import logging
import random
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from datetime import time as wall_time

from safeguards import (
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRLOptimizer,
    BudgetTimeScheduler,
    ControllerBusyError,
    CostBenefitAllocator,
    ManualClock,
    NotificationManager,
    PriorityBasedReallocator,
)

from .movers import Mover

HOURS = {"budget": 50, "start_time": wall_time(0), "end_time": wall_time(12)}
ENOUGH = 100
"""Calls, at least: a busy machine may take longer for them than it was given."""
EVENING = {"budget": 20, "start_time": wall_time(12), "end_time": wall_time(23)}


class World:
    """One of everything, calls of it by name, and what they should add up to."""

    def __init__(self, seed, *, is_live):
        self.random = random.Random(seed)
        clock = None if is_live else ManualClock(datetime(2026, 1, 5, tzinfo=UTC))
        self.clock = clock
        self.manager = NotificationManager(thresholds=[0.01, 0.5, 1], max_alerts=10**6)
        self.team = BudgetCoordinator(self.manager, clock=clock)
        self.team.create_budget_pool("team", 10**9)
        for agent in ("ann", "ben"):
            self.team.register_agent(agent, "team", initial_budget=10)
        self.mover = Mover(self.team, 0.01 if is_live else 60)
        self.reallocator = PriorityBasedReallocator(self.team, 0.01 if is_live else 60, emergency_threshold=5)
        self.scheduler = BudgetTimeScheduler(self.team, timezone="UTC", pacing="even")
        self.scheduler.add_time_profile("team", {"day": HOURS})
        self.learner = BudgetPatternLearner(self.team)
        self.optimizer = BudgetRLOptimizer(self.team)
        self.controllers = (self.mover, self.reallocator, self.scheduler, self.learner, self.optimizer)
        self.allocator = CostBenefitAllocator(self.team)
        self.allocator.register_operation("ann", "draft", 5, 15)
        # What was done is counted in steps that nothing gets between.
        self.pools, self.alerts, self.handlers, self.outcomes = ([] for _ in range(4))
        self.busy, self.calls, self.errors = [], [], []
        self.numbers = itertools.count()
        self.depth = threading.local()

    def operations(self):
        team, manager = self.team, self.manager
        calls = {
            "debit": lambda: team.try_debit("ann", "0.5"),
            "settle": lambda: (held := team.try_reserve("ben", 1)) and held.settle("0.5"),
            "grant": lambda: team.update_budget("ann", 10),
            "pool": lambda: self.pools.append(team.create_budget_pool(f"p{next(self.numbers)}", 1)),
            "pins": lambda: (team.pin("ann"), team.pinned, team.unpin("ann")),
            "alert": lambda: self.alerts.append(manager.send_alert("test", account=f"n{next(self.numbers)}")),
            "alerts": lambda: (manager.get_alerts(account="ann"), manager.failures),
            "handler": self.add_handler,
            "outcome": lambda: self.outcomes.append(self.allocator.record_outcome("ann", "draft", 1, 2)),
            "allocate": lambda: (self.allocator.optimize_allocation(10), self.allocator.get_operations()),
            "profile": lambda: self.scheduler.add_time_profile("team", {"evening": EVENING}),
            "admits": lambda: (self.scheduler.admits("team", 1), self.scheduler.state()),
            "reserve": lambda: self.reallocator.get_reserve("team"),
            "known": self.learner.known_agents,
            "collect": lambda: (self.learner.start_collection(), self.learner.stop_collection()),
            "policy": self.optimizer.get_policy,
        }
        for controller in self.controllers:
            name = type(controller).__name__
            calls[f"start {name}"] = controller.start
            calls[f"stop {name}"] = controller.stop
            calls[f"look {name}"] = lambda one=controller: (one.evaluate(), one.history, one.running)
            calls[f"run {name}"] = controller.run_once
        if self.clock is not None:
            calls["advance"] = lambda: self.clock.advance(self.random.choice([1, 60, 900]))
        return calls

    def add_handler(self):
        self.manager.add_handler(lambda _: None)
        self.handlers.append(1)

    def call(self, *_):
        """One call of anything: in the middle of whatever this thread is at, unless that is such a call."""
        if getattr(self.depth, "value", 0) > 1:
            return
        self.depth.value = getattr(self.depth, "value", 0) + 1
        name, do = self.random.choice(self.choices)
        try:
            do()
        except ControllerBusyError as error:
            self.busy.append(str(error))
        except BaseException as error:
            self.errors.append(f"{name}: {error!r}")
        finally:
            self.calls.append(name)
            self.depth.value -= 1

    def play(self, how, seconds):
        self.choices = list(self.operations().items())
        others = [threading.Thread(target=self.work, args=(time.monotonic() + seconds,)) for _ in range(2)]
        for thread in others:
            thread.start()
        with HOWS[how](self):
            self.work(time.monotonic() + seconds)
        for thread in others:
            thread.join()

    def work(self, end):
        while time.monotonic() < end or len(self.calls) <= ENOUGH:
            self.call()

    def check(self):
        for controller in self.controllers:
            controller.stop()
            assert not controller.running
        self.learner.stop_collection()
        assert not self.learner.collecting
        assert self.team._low_listeners == ()
        for controller in self.controllers:
            with controller:
                assert controller.running and controller._job is not None
            controller.run_once()
        self.team.verify()
        assert self.errors == [], self.errors[:5]
        assert sorted(self.team.get_pool_ids()) == sorted(["team", *self.pools]), "a pool was lost"
        sent = [alert.account for alert in self.manager.get_alerts() if alert.title == "test"]
        assert sorted(sent) == sorted(alert.account for alert in self.alerts), "an alert was lost"
        assert len(self.manager._handlers.value) == len(self.handlers), "a handler was lost"
        assert self.allocator.get_operations()[0].outcomes == len(self.outcomes), "an outcome was lost"
        assert self.manager.failures == []


class Signals:
    """A timer's signals."""

    def __init__(self, world):
        self.world = world

    def __enter__(self):
        signal.signal(signal.SIGALRM, self.world.call)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.0007)

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)


class Finalizers:
    """The collector, at nearly every allocation, and objects that call when they are collected."""

    def __init__(self, world):
        self.world = world

    def __enter__(self):
        world = self.world

        class Last:
            def __init__(self):
                self.myself = self

            def __del__(self):
                if not done:
                    Last()
                world.call()

        done = []
        self.done, self.before = done, gc.get_threshold()
        for _ in range(3):
            Last()
        gc.callbacks.append(self.called)
        gc.set_threshold(30, 2, 1000)

    def called(self, phase, _info):
        if self.world.random.random() < 0.1:
            self.world.call()

    def __exit__(self, *_):
        self.done.append(1)
        gc.set_threshold(*self.before)
        gc.callbacks.remove(self.called)


class Tracers:
    """A trace function: at lines and returns, in the middle of any expression's statement."""

    def __init__(self, world):
        self.world = world

    def __enter__(self):
        sys.settrace(self.trace)

    def trace(self, frame, _event, _arg):
        path = frame.f_code.co_filename
        if "/safeguards/" not in path:
            return None
        often = path.endswith("_cell.py")  # where what threads share is changed
        if self.world.random.random() < (0.3 if often else 0.005):
            self.world.call()
        return self.trace

    def __exit__(self, *_):
        sys.settrace(None)


class Profilers(Tracers):
    """A profile function: at calls and returns, also those of compiled functions."""

    def __enter__(self):
        sys.setprofile(self.trace)

    def __exit__(self, *_):
        sys.setprofile(None)


class Live(Signals):
    """Signals, while controllers run in their thread."""


HOWS = {
    "signals": Signals,
    "finalizers": Finalizers,
    "tracers": Tracers,
    "profilers": Profilers,
    "live": Live,
}


def main(how, seed, seconds):
    world = World(int(seed), is_live=how == "live")
    world.play(how, float(seconds))
    world.check()
    sys.stdout.write(json.dumps({"calls": len(world.calls), "busy": len(world.busy)}))


if __name__ == "__main__":
    import faulthandler

    logging.disable()  # runs that a call came in the middle of
    faulthandler.dump_traceback_later(float(sys.argv[3]) + 30, exit=True)
    main(*sys.argv[1:])

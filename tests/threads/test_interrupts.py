"""Ctrl-C at any line of a controller's run: what it has learnt stays whole, and later runs go well."""

import sys
from datetime import UTC, datetime
from datetime import time as wall_time

import pytest

from safeguards import (
    AdaptivePoolSizer,
    AlertSeverity,
    BudgetCoordinator,
    BudgetRLOptimizer,
    BudgetTimeScheduler,
    ManualClock,
    PriorityBasedReallocator,
)

HOURS = {"budget": 50, "start_time": wall_time(0), "end_time": wall_time(12)}


def sizer(team):
    made = AdaptivePoolSizer(team)
    made.configure_pool("team")
    return made


def scheduler(team):
    made = BudgetTimeScheduler(team, timezone="UTC", pacing="even")
    made.add_time_profile("team", {"day": HOURS})
    return made


CONTROLLERS = {
    "sizer": sizer,
    "scheduler": scheduler,
    "reallocator": lambda team: PriorityBasedReallocator(team, 1800),
    "optimizer": BudgetRLOptimizer,
}


class World:
    """A controller that has run twice, and agents that have come and gone since."""

    def __init__(self, name):
        self.clock = ManualClock(datetime(2026, 1, 5, tzinfo=UTC))
        self.team = BudgetCoordinator(clock=self.clock)
        self.team.create_budget_pool("team", 1000)
        for agent in ("ann", "ben", "cid"):
            self.team.register_agent(agent, "team", initial_budget=50)
        self.controller = CONTROLLERS[name](self.team)
        self.run()
        self.run()
        self.spend()
        self.team.unregister_agent("cid")
        self.team.register_agent("dan", "team", initial_budget=50)

    def spend(self):
        self.team.try_debit("ann", 2)
        self.team.try_debit("ben", 1)
        self.clock.advance(3600)

    def run(self):
        self.spend()
        self.controller.run_once()

    def errors(self):
        return [alert.message for alert in self.team.notification_manager.get_alerts(AlertSeverity.ERROR)]


def run_until(world, number, act):
    """One run, with `act` at the line of that number. Where that was; None if there are fewer lines."""
    place, lines = None, 0

    def trace(frame, event, _arg):
        nonlocal place, lines
        if "/safeguards/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            lines += 1
            if lines == number:
                place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                sys.settrace(None)
                act()
        return trace

    sys.settrace(trace)
    try:
        world.controller.run_once()
    finally:
        sys.settrace(None)
    return place


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", CONTROLLERS)
def test_an_interrupt_at_any_line_breaks_no_later_run(name):
    number, is_interrupted = 0, True
    while is_interrupted:
        number += 1
        world = World(name)
        try:
            is_interrupted = run_until(world, number, interrupt) is not None
        except KeyboardInterrupt:
            is_interrupted = True
        before = len(world.errors())
        world.run()
        world.run()
        assert world.errors()[before:] == [], f"after an interrupt at line {number}"
        assert not world.team.verify()
    assert number > 100


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_look_or_a_run_at_any_line_is_no_failure(name):
    """As signal handlers and finalizers call it."""
    number, place = 0, ""
    while place is not None:
        number += 1
        world = World(name)
        act = (world.controller.evaluate, world.controller.run_once)[number % 2]
        place = run_until(world, number, act)
        world.run()
        assert world.errors() == [], f"{act.__name__} at {place}"
        assert not world.team.verify()
    assert number > 100

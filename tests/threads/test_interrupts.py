"""Ctrl-C at any line of a controller's run: what it has learnt stays whole, and later runs go well."""

import sys
from datetime import UTC, datetime
from datetime import time as wall_time
from pathlib import Path

import pytest

import safeguards
from safeguards import (
    AdaptivePoolSizer,
    AlertSeverity,
    BudgetCoordinator,
    BudgetRLOptimizer,
    BudgetTimeScheduler,
    ManualClock,
    PriorityBasedReallocator,
)

from .meetings import at_line

FILES = tuple(map(str, Path(safeguards.__file__).parent.rglob("*.py")))
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


def run_with(world, number, act):
    """One run, with `act` at the line of that number. Returns how many lines there were."""
    trace, lines = at_line(number, FILES, act)
    sys.settrace(trace)
    try:
        world.controller.run_once()
    finally:
        sys.settrace(None)
    return len(lines)


def every_line(name):
    """A new world for each line of a run, with the number of the line."""
    last = run_with(World(name), 0, None)
    assert last > 100
    return ((number, World(name)) for number in range(1, last + 1))


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", CONTROLLERS)
def test_an_interrupt_at_any_line_breaks_no_later_run(name):
    for number, world in every_line(name):
        with pytest.raises(KeyboardInterrupt):
            run_with(world, number, interrupt)
        before = len(world.errors())
        world.run()
        world.run()
        assert world.errors()[before:] == [], f"after an interrupt at line {number}"
        assert not world.team.verify()


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_look_or_a_run_at_any_line_is_no_failure(name):
    """As signal handlers and finalizers call it."""
    for number, world in every_line(name):
        act = (world.controller.evaluate, world.controller.run_once)[number % 2]
        run_with(world, number, act)
        world.run()
        assert world.errors() == [], f"{act.__name__} at line {number}"
        assert not world.team.verify()

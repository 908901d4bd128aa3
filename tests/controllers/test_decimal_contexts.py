"""Whoever computes with few digits, or traps what is inexact, gets the same budgets from every controller."""

from datetime import UTC, datetime, time
from decimal import Inexact, localcontext

import pytest

from safeguards import (
    AdaptivePoolSizer,
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRLOptimizer,
    BudgetTimeScheduler,
    ManualClock,
    PriorityBasedReallocator,
)

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = 3600


def sizer(coordinator, policy):
    sizer = AdaptivePoolSizer(coordinator, max_pool_budget="98765.4321", max_change=0.2345)
    sizer.configure_pool("team", 0.6543, min_agents_for_adjustment=1, policy=policy)
    return sizer


def reallocator(coordinator):
    reallocator = PriorityBasedReallocator(coordinator, HOUR, "12.3456789")
    reallocator.configure(0.0333, 0.0777, {1: 0.123, 10: 4.567})
    return reallocator


def optimizer(coordinator):
    optimizer = BudgetRLOptimizer(budget_coordinator=coordinator)
    optimizer.configure(update_interval_minutes=60, max_budget_change_percentage=0.333)
    return optimizer


def scheduler(coordinator):
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC")
    day = {"budget": "123.456789012", "start_time": time(6), "end_time": time(18)}
    night = {"budget": "7.000000001", "start_time": time(18), "end_time": time(6)}
    scheduler.add_time_profile("team", {"day": day, "night": night}, pacing="forecast")
    return scheduler


def learner(coordinator):
    return BudgetPatternLearner(coordinator, interval_seconds=HOUR, min_data_points=1)


CONTROLLERS = {
    "step": lambda coordinator: sizer(coordinator, "step"),
    "predictive": lambda coordinator: sizer(coordinator, "predictive"),
    "auto": lambda coordinator: sizer(coordinator, "auto"),
    "reallocator": reallocator,
    "optimizer": optimizer,
    "scheduler": scheduler,
    "learner": learner,
}


def few_digits(context):
    context.prec = 3


def no_inexact(context):
    context.prec = 3
    context.traps[Inexact] = True


def run(make, prepare):
    """What a controller decides in three days of odd amounts, and the budgets that come of it."""
    with localcontext() as context:
        prepare(context)
        coordinator = BudgetCoordinator(clock=ManualClock(START))
        coordinator.create_budget_pool("team", "1234.567890123", budget_period="daily", timezone="UTC")
        for agent, budget in (("ann", "123.456789"), ("bob", "98.7654321")):
            coordinator.register_agent(agent, "team", initial_budget=budget)
        controller = make(coordinator)
        with controller:
            for hour in range(72):
                coordinator.try_debit("ann", f"{1 + hour % 24}.{hour:03d}000007")
                coordinator.try_debit("bob", f"0.{1 + hour:03d}456789")
                coordinator.clock.advance(HOUR)
        budgets = [coordinator.get_pool_budget("team"), *map(coordinator.get_budget, ("ann", "bob"))]
        coordinator.verify()
        return [(d.subject, d.old, d.new, d.status) for d in controller.history], budgets


@pytest.mark.parametrize("name", CONTROLLERS)
@pytest.mark.parametrize("prepare", [few_digits, no_inexact])
def test_the_callers_context_changes_no_budget(name, prepare):
    expected = run(CONTROLLERS[name], lambda _: None)
    assert run(CONTROLLERS[name], prepare) == expected
    assert all(status != "failed" for *_, status in expected[0])
    assert expected[0] or name == "learner"

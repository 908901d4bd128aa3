"""What most tests start from: one agent (1.00) in one pool (10.00), on a clock that stands still."""

import pytest

from safeguards import BudgetCoordinator, BudgetRateLimiter, ManualClock, NotificationManager


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def manager():
    return NotificationManager()


@pytest.fixture
def coordinator(clock, manager):
    coordinator = BudgetCoordinator(manager, clock=clock)
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    yield coordinator
    coordinator.verify()


@pytest.fixture
def limiter(coordinator):
    return BudgetRateLimiter(coordinator)

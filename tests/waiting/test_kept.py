"""What is kept for a call that has waited for longer than its patience."""

import math
from decimal import Decimal

import numpy as np
import pytest

from safeguards import BudgetCoordinator, BudgetExceededError, ManualClock

from .calls import waiting


def kept(coordinator):
    agent, pool = coordinator.get_agent_metrics("bot"), coordinator.get_pool_metrics("team")
    return agent.kept, pool.kept


def test_what_comes_back_is_kept_after_patience(coordinator, clock):
    one, two, three = (coordinator.reserve("bot", "0.30") for _ in range(3))
    large = waiting(coordinator, coordinator.reserve, "bot", "0.80", timeout=math.inf)
    clock.advance(0.9)
    one.release()
    assert coordinator.try_debit("bot", "0.30"), "a younger one passes"
    assert kept(coordinator) == (0, 0)
    clock.advance(0.1)
    two.settle(0)
    assert not large.is_over()
    assert kept(coordinator) == (0, 0), "nothing that comes back would be enough"
    coordinator.adjust_budget("bot", "0.40")
    large.result().release()
    three.release()
    assert coordinator.get_budget("bot") == Decimal("1.1")


def test_nobody_else_gets_what_is_kept(coordinator, clock):
    one, two = coordinator.reserve("bot", "0.50"), coordinator.reserve("bot", "0.40")
    large = waiting(coordinator, coordinator.reserve, "bot", "0.80", timeout=math.inf)
    clock.advance(1)
    two.release()
    assert kept(coordinator) == (Decimal("0.4"), 0), "the pool has enough"
    table = coordinator.get_all_metrics()
    assert table.kept[table.ids.index("bot")] == Decimal("0.4")
    assert (coordinator.get_budget("bot"), coordinator.get_available("bot")) == (
        Decimal("0.5"),
        Decimal("0.1"),
    )
    assert coordinator.account("bot").available == Decimal("0.1")
    with pytest.raises(BudgetExceededError, match=r"0.5 reserved, 0.4 kept for a call that waits") as refused:
        coordinator.debit("bot", "0.20")
    error = refused.value
    assert (error.kept, error.available, error.in_flight) == (Decimal("0.4"), Decimal("0.1"), Decimal("0.5"))
    assert not coordinator.try_debit("bot", "0.20")
    assert coordinator.try_reserve("bot", "0.20") is None
    with pytest.raises(BudgetExceededError):
        coordinator.transfer("bot", coordinator.register_agent("helper", "team"), "0.20")
    handles, units = np.array([coordinator.handle("bot")] * 4, np.uint32), np.full(4, 200_000_000)
    assert not coordinator.debit_many(handles, units).any()
    assert coordinator.try_debit("bot", "0.10"), "what is free is free"
    small = waiting(coordinator, coordinator.reserve, "bot", "0.05", timeout=math.inf)
    one.release()
    large.result().settle("0.10")
    small.result().release()
    assert kept(coordinator) == (0, 0)
    assert coordinator.get_agent_metrics("bot").spent == Decimal("0.2")


def test_what_is_kept_is_free_when_its_waiter_goes(coordinator, clock):
    one, two = coordinator.reserve("bot", "0.50"), coordinator.reserve("bot", "0.40")
    large = waiting(coordinator, coordinator.reserve, "bot", "0.80", timeout=3)
    small = waiting(coordinator, coordinator.reserve, "bot", "0.30", timeout=math.inf)
    clock.advance(1)
    two.release()
    assert kept(coordinator) == (Decimal("0.4"), 0)
    assert not small.is_over()
    clock.advance(2)
    with pytest.raises(BudgetExceededError):
        large.result()
    small.result().release()
    one.release()
    assert kept(coordinator) == (0, 0)


def test_it_is_kept_for_one_at_a_time_and_for_the_higher_priority(coordinator, clock):
    coordinator.register_agent("boss", "team", 9, initial_budget=10)
    coordinator.register_agent("aide", "team", 2, initial_budget=10)
    holds = [coordinator.reserve("boss", 3) for _ in range(3)]
    aide = waiting(coordinator, coordinator.reserve, "aide", 8, timeout=math.inf)
    clock.advance(1)
    holds.pop().release()
    assert coordinator.get_pool_metrics("team").kept == 3
    boss = waiting(coordinator, coordinator.reserve, "boss", 7, timeout=math.inf)
    clock.advance(1)
    assert coordinator.get_pool_metrics("team").kept == 0, "it begins anew"
    holds.pop().release()
    boss.result().settle(0)
    assert not aide.is_over()
    clock.advance(0)
    holds.pop().release()
    aide.result().release()


@pytest.mark.parametrize(("patience", "keeps"), [(0, True), (10, False), (math.inf, False)])
def test_patience_is_the_coordinators(patience, keeps):
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock, patience=patience)
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    one, two = coordinator.reserve("bot", "0.50"), coordinator.reserve("bot", "0.40")
    large = waiting(coordinator, coordinator.reserve, "bot", "0.80", timeout=math.inf)
    clock.advance(5)
    two.release()
    assert (coordinator.get_agent_metrics("bot").kept > 0) == keeps
    one.release()
    large.result().release()


def test_equal_books_are_equal_whatever_is_kept(coordinator, clock):
    """It is no state: a copy of the books has none of it."""
    one, two = coordinator.reserve("bot", "0.50"), coordinator.reserve("bot", "0.40")
    before = coordinator.get_agent_metrics("bot")
    large = waiting(coordinator, coordinator.reserve, "bot", "0.80", timeout=math.inf)
    clock.advance(1)
    assert coordinator.get_agent_metrics("bot") == before
    two.release()
    one.release()
    large.result().release()

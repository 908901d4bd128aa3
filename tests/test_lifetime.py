"""Nothing leaks: cycles are collected, and references come back to where they were."""

import gc
import sys
import weakref
from decimal import Decimal

import pytest

from safeguards import BudgetCoordinator, BudgetExceededError, BudgetRateLimiter, ManualClock


def make():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 10**6)
    coordinator.register_agent("bot", "team", initial_budget=10**6)
    return coordinator


@pytest.mark.parametrize(
    "tie",
    [
        lambda c: setattr(c, "limiter", BudgetRateLimiter(c)),
        lambda c: setattr(c, "account", c.account("bot")),
        lambda c: c.notification_manager.add_handler(lambda _: c),
        lambda c: c.notification_manager.add_handler(c.debit),
    ],
)
def test_cycles_are_collected(tie):
    coordinator = make()
    alive = weakref.ref(coordinator)
    tie(coordinator)
    del coordinator
    gc.collect()
    assert alive() is None


def test_parts_keep_the_whole_alive():
    account, reservation = make().account("bot"), make().reserve("bot", 1)
    gc.collect()
    assert account.try_debit(1)
    assert reservation.settle(1).remaining == 10**6 - 1


def test_no_references_leak():
    coordinator, amount, name = make(), Decimal("0.001"), "a name of its own"
    limiter, account = BudgetRateLimiter(coordinator), coordinator.account("bot")

    def everything():
        coordinator.debit("bot", amount, operation_type=name, idempotency_key=name)
        coordinator.try_debit("bot", amount, operation_type=name)
        account.try_debit(amount)
        with coordinator.reserve("bot", amount, on_cancel=amount, operation_type=name):
            pass
        limiter.acquire("bot", amount)
        coordinator.get_agent_metrics("bot")
        with pytest.raises(BudgetExceededError):
            coordinator.debit("bot", 10**9)

    def counts():
        return [sys.getrefcount(thing) for thing in (coordinator, amount, name, limiter, account, Decimal)]

    everything()
    before = counts()
    for _ in range(200):
        everything()
    gc.collect()
    after = counts()
    assert all(abs(one - other) < 20 for one, other in zip(before, after, strict=True)), (before, after)


def test_a_holder_that_is_gone_keeps_nothing_alive():
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=10)
    reservation = coordinator.reserve("bot", 4, ttl_seconds=60)
    reservation.__enter__()
    clock.advance(30)
    with pytest.warns(ResourceWarning, match="dropped without settle or release"):
        del reservation
    assert coordinator.get_budget("bot") == 6
    clock.advance(30)
    assert coordinator.get_budget("bot") == 10
    coordinator.verify()

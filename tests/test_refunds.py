"""Charges given back: what would still be there without them, on every account that they passed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from safeguards import (
    BudgetCoordinator,
    BudgetRateLimiter,
    ManualClock,
    MultiResourceBudget,
    Refund,
    RefundError,
)


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def coordinator(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 100, budget_period="daily", timezone="UTC")
    coordinator.register_agent("bot", "team", initial_budget=10)
    yield coordinator
    coordinator.verify()


def books(coordinator, account="bot"):
    kind = coordinator.get_agent_metrics if account != "team" else coordinator.get_pool_metrics
    metrics = kind(account)
    return metrics.remaining, metrics.spent, metrics.refunded


def test_all_of_a_charge_or_a_part_comes_back_on_the_whole_path(coordinator):
    receipt = coordinator.debit("bot", 4)
    assert coordinator.refund(receipt, 1) == Refund(Decimal(1), Decimal(1), Decimal(7), 3)
    assert (books(coordinator), books(coordinator, "team")) == ((7, 3, 1), (97, 3, 1))
    assert coordinator.refund(receipt) == Refund(Decimal(3), Decimal(4), Decimal(10), 4)
    assert (books(coordinator), books(coordinator, "team")) == ((10, 0, 4), (100, 0, 4))
    assert receipt.refunded == 4
    assert [event.kind for event in coordinator.get_agent_events("bot")] == [
        "update",
        "debit",
        "refund",
        "refund",
    ]


def test_never_more_than_was_charged(coordinator):
    receipt = coordinator.debit("bot", 4)
    coordinator.refund(receipt, "1.5")
    with pytest.raises(
        RefundError, match=r"^3 cannot be given back of 4, of which 1.5 were given back before: .* 2.5$"
    ) as e:
        coordinator.refund(receipt, 3)
    assert (e.value.charged, e.value.refunded, e.value.requested, e.value.currency) == (
        4,
        Decimal("1.5"),
        3,
        "USD",
    )
    coordinator.refund(receipt)
    assert coordinator.refund(receipt).amount == 0
    assert books(coordinator) == (10, 0, 4)


def by_receipt(coordinator):
    return coordinator.debit("bot", 4)


def by_key_of_a_debit(coordinator):
    coordinator.debit("bot", 4, idempotency_key="k")
    return "k"


def by_key_of_a_reservation(coordinator):
    coordinator.reserve("bot", 5, idempotency_key="k").settle(4)
    return "k"


def by_reservation(coordinator):
    reservation = coordinator.reserve("bot", 5)
    reservation.settle(4)
    return reservation.id


def by_receipt_of_a_settlement(coordinator):
    return coordinator.reserve("bot", 5).settle(4)


def by_account(coordinator):
    return coordinator.account("bot").debit(4)


WAYS = [
    by_receipt,
    by_key_of_a_debit,
    by_key_of_a_reservation,
    by_reservation,
    by_receipt_of_a_settlement,
    by_account,
]


@pytest.mark.parametrize("way", WAYS)
def test_a_charge_is_named_in_any_way(coordinator, way):
    of = way(coordinator)
    assert coordinator.refund(of, 1).remaining == 7
    assert coordinator.refund(of).remaining == 10


def test_a_key_that_looks_like_an_id_is_a_key(coordinator):
    reservation = coordinator.reserve("bot", 1)
    reservation.settle(1)
    coordinator.debit("bot", 2, idempotency_key=reservation.id)
    assert coordinator.refund(reservation.id).amount == 2


def test_an_account_whose_period_is_over_gets_nothing_back(coordinator, clock):
    receipt = coordinator.debit("bot", 4)
    clock.advance(timedelta(hours=20))
    receipt = coordinator.debit("bot", 2)
    clock.advance(timedelta(hours=5))
    coordinator.refund(receipt)
    # The pool's day is over: what was left of it has lapsed. The agent has no periods.
    assert books(coordinator, "team") == (100, 4, 2)
    assert coordinator.get_pool_metrics("team").period_spent == 0
    assert books(coordinator) == (6, 4, 2)


def test_a_budget_that_was_set_since_is_a_period_of_its_own(coordinator):
    receipt = coordinator.debit("bot", 4)
    coordinator.update_budget("bot", 5)
    coordinator.adjust_pool_budget("team", 7)  # but not one that was moved
    coordinator.refund(receipt)
    assert (books(coordinator), books(coordinator, "team")) == ((5, 0, 4), (107, 0, 4))


def test_a_window_gets_it_back_while_the_charge_is_in_it(coordinator, clock):
    limiter = BudgetRateLimiter(coordinator)
    limiter.set_rate_limit("bot", 5, timedelta(minutes=1))
    first, second = coordinator.debit("bot", 3), coordinator.debit("bot", 2)
    assert not coordinator.try_debit("bot", 1)
    coordinator.refund(second)
    assert not coordinator.try_debit("bot", 3)
    assert coordinator.try_debit("bot", 2)
    clock.advance(59)
    limiter.remove_rate_limit("bot")
    limiter.set_rate_limit("bot", 5, timedelta(minutes=1))
    coordinator.debit("bot", 1)
    coordinator.refund(first)  # this window has never seen it
    assert not coordinator.try_debit("bot", 5)


def test_several_lines_at_once(coordinator):
    coordinator.create_budget_pool("user", 50, parent_id="team")
    receipt = coordinator.debit("bot", 4, also=("user",))
    coordinator.refund(receipt, 3)
    assert [coordinator.get_pool_metrics(pool).spent for pool in ("team", "user")] == [1, 1]
    assert coordinator.get_budget("bot") == 9


def test_a_key_whose_charge_was_given_back_is_decided_anew(coordinator):
    coordinator.debit("bot", 4, idempotency_key="k")
    coordinator.refund("k", 1)
    partly = coordinator.debit("bot", 4, idempotency_key="k")
    assert (partly.is_repeat, partly.refunded) == (True, 1)
    coordinator.refund("k")
    again = coordinator.debit("bot", 3, idempotency_key="k")
    assert (again.is_repeat, again.refunded, coordinator.get_budget("bot")) == (False, 0, 7)
    with coordinator.reserve("bot", 2, idempotency_key="r") as reservation:
        reservation.settle(2)
    coordinator.refund("r")
    with coordinator.reserve("bot", 2, idempotency_key="r") as again:
        assert not again.is_repeat


def test_what_is_too_old(coordinator, clock):
    receipt = coordinator.debit("bot", 4)
    clock.advance(timedelta(hours=24) - timedelta(seconds=1))
    coordinator.refund(receipt, 1)
    clock.advance(1)
    with pytest.raises(RefundError, match="more than 24 hours ago.* adjust_budget"):
        coordinator.refund(receipt, 1)
    assert coordinator.get_budget("bot") == 7


def test_what_cannot_be_given_back(coordinator):
    other = BudgetCoordinator()
    other.create_budget_pool("team", 10)
    other.register_agent("bot", "team", initial_budget=10)
    held, released = coordinator.reserve("bot", 1), coordinator.reserve("bot", 1)
    released.release()
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", {"calls": 9})
    calls = resources.reserve("bot", {"calls": 1})
    calls.settle({"calls": 1})
    for of, why in [
        (other.debit("bot", 1), "no charge of this coordinator is known by that"),
        ("nowhere", "no charge of this coordinator is known by that"),
        ("", "no charge of this coordinator is known by that"),
        (held.id, "nothing was charged for that reservation: settle or release it"),
        (released.id, "nothing was charged for that reservation"),
        (calls.id, "charges of resources are not given back: raise the budget"),
    ]:
        before = coordinator.get_agent_metrics("bot")
        with pytest.raises(RefundError, match=why):
            coordinator.refund(of)
        assert coordinator.get_agent_metrics("bot") == before
    for of in (None, 5, object(), held):
        with pytest.raises(
            TypeError, match="of must be a Receipt, an idempotency key or the id of a reservation"
        ):
            coordinator.refund(of)
    held.release()


def test_an_agent_that_has_left_gets_nothing_back(coordinator):
    receipt = coordinator.debit("bot", 4)
    coordinator.unregister_agent("bot")
    coordinator.register_agent("bot", "team", initial_budget=10)
    with pytest.raises(RefundError):
        coordinator.refund(receipt)
    assert coordinator.get_budget("bot") == 10


# What settlements cost beyond an overdraft limit.


def test_the_least_headroom_bounds_the_charge_on_the_whole_path(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 100, overdraft_limit=5)
    coordinator.register_agent("bot", "team", initial_budget=1, overdraft_limit=300)
    receipt = coordinator.reserve("bot", "0.10").settle(500)
    assert (receipt.amount, receipt.unpaid, receipt.remaining) == (105, 395, -104)
    for metrics in (coordinator.get_agent_metrics("bot"), coordinator.get_pool_metrics("team")):
        assert (metrics.spent, metrics.unpaid) == (105, 395)
    assert coordinator.get_pool_budget("team") == -5
    usage = coordinator.get_agent_usage_history("bot")
    assert {event.source: event.amount for event in usage} == {"ledger": 105, "unpaid": 395}
    assert [event.kind for event in coordinator.get_pool_events("team")] == ["update", "unpaid"]
    # What was set aside is charged all the same, and at most that.
    coordinator.update_pool_budget("team", 10)
    held = coordinator.reserve("bot", 0)
    assert held.settle(0).unpaid == 0
    coordinator.verify()


def test_a_settlement_is_repeated_by_what_it_cost(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1, overdraft_limit=0)
    reservation = coordinator.reserve("bot", 1)
    first = reservation.settle(7)
    assert first == reservation.settle(7) == reservation.receipt
    assert repr(first) == "Receipt(amount=1, remaining=0, sequence=4, unpaid=6)"
    coordinator.refund(first)
    assert coordinator.get_budget("bot") == 1
    late = coordinator.reserve("bot", 1, ttl_seconds=1)
    clock.advance(2)
    assert (late.settle(3).amount, late.receipt.unpaid) == (1, 2)
    coordinator.verify()


def test_a_limit_that_is_set_later(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=10)
    coordinator.reserve("bot", 0).settle(25)
    coordinator.set_overdraft_limit("bot", 3)
    held = coordinator.reserve("bot", 0)
    assert (held.settle(1).amount, held.receipt.unpaid, coordinator.get_budget("bot")) == (0, 1, -15)
    coordinator.set_overdraft_limit("bot", None)
    assert coordinator.reserve("bot", 0).settle(1).amount == 1
    assert coordinator.get_agent_info("bot").overdraft_limit is None
    assert [
        event.amount for event in coordinator.get_agent_events("bot") if event.kind == "overdraft_limit"
    ] == [3, 0]

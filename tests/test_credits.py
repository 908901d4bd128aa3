"""Credits: money of an account that ends by itself, through every door that moves money."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from safeguards import (
    AgentPriority,
    BudgetCoordinator,
    BudgetExceededError,
    ConfigurationError,
    Credit,
    InvalidAmountError,
    ManualClock,
    UnknownAgentError,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def coordinator(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 100)
    coordinator.register_agent("bot", "team", initial_budget=10)
    yield coordinator
    coordinator.verify()


def lines(coordinator, account="bot"):
    credits_ = coordinator.get_credits(account, include_ended=True)
    return [(credit.left, credit.reserved, credit.spent, credit.ended) for credit in credits_]


def test_a_credit_is_what_it_was_given(coordinator, clock):
    ends = clock.now() + HOUR
    credit = coordinator.credit("bot", "2.5", expires_at=ends)
    none = Decimal(0)
    assert credit == Credit(1, Decimal("2.5"), Decimal("2.5"), none, none, ends, ended=False)
    assert coordinator.get_credits("bot") == [credit]
    metrics = coordinator.get_agent_metrics("bot")
    assert (metrics.remaining, metrics.credits, metrics.granted) == (
        Decimal("12.5"),
        Decimal("2.5"),
        Decimal("12.5"),
    )
    with pytest.raises(AttributeError):
        credit.left = 7


def test_it_is_gone_when_it_ends(coordinator, clock):
    coordinator.credit("bot", 5, expires_at=clock.now() + HOUR)
    coordinator.debit("bot", 2)
    clock.advance(HOUR - timedelta(microseconds=1))
    assert coordinator.get_budget("bot") == 13
    clock.advance(timedelta(microseconds=1))
    assert coordinator.get_budget("bot") == 10
    assert (coordinator.get_credits("bot"), lines(coordinator)) == ([], [(0, 0, 2, True)])
    events = [(event.kind, event.amount) for event in coordinator.get_agent_events("bot")]
    assert events == [("update", 10), ("credit", 5), ("debit", 2), ("credit_end", 3)]


def test_a_pool_has_credits_as_an_agent_does(coordinator, clock):
    coordinator.credit("team", 5, expires_at=clock.now() + HOUR)
    coordinator.debit("bot", 2)
    assert (coordinator.get_pool_budget("team"), lines(coordinator, "team")) == (103, [(3, 0, 2, False)])
    assert coordinator.get_pool_metrics("team").credits == 3
    clock.advance(HOUR)
    assert coordinator.get_pool_budget("team") == 100
    kinds = [event.kind for event in coordinator.get_pool_events("team")]
    assert kinds == ["update", "credit", "credit_end"]


def test_a_line_is_credited_in_one_step_under_one_id(coordinator, clock):
    coordinator.update_pool_budget("team", 1)
    credit = coordinator.credit("bot", 20, expires_at=clock.now() + HOUR, with_pools=True)
    assert coordinator.get_available("bot") == 21
    coordinator.debit("bot", 21)
    (of_team,) = coordinator.get_credits("team")
    assert (of_team.id, of_team.spent) == (credit.id, 20)
    clock.advance(HOUR)
    assert (coordinator.get_budget("bot"), coordinator.get_pool_budget("team")) == (9, 0)


def by_receipt(coordinator, amount):
    try:
        return coordinator.debit("bot", amount).amount == amount
    except BudgetExceededError:
        return False


def by_batch(coordinator, amount):
    handles, units = np.array([coordinator.handle("bot")], np.uint32), np.array([amount * 10**9])
    return bool(coordinator.debit_many(handles, units)[0])


def by_reservation(coordinator, amount):
    held = coordinator.try_reserve("bot", amount)
    return held is not None and held.settle(amount).amount == amount


def by_batch_of_reservations(coordinator, amount):
    handles, units = np.array([coordinator.handle("bot")], np.uint32), np.array([amount * 10**9])
    numbers = coordinator.reserve_many(handles, units)
    return bool(numbers[0]) and bool(coordinator.settle_many(handles, numbers, units)[0])


DOORS = {
    "try_debit": lambda coordinator, amount: coordinator.try_debit("bot", amount),
    "debit": by_receipt,
    "account": lambda coordinator, amount: coordinator.account("bot").try_debit(amount),
    "debit_many": by_batch,
    "reserve": by_reservation,
    "reserve_many": by_batch_of_reservations,
    "also": lambda coordinator, amount: coordinator.try_debit("bot", amount, also=("other",)),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_spends_credits_and_sees_their_end(coordinator, clock, door):
    coordinator.create_budget_pool("other", 100)
    coordinator.credit("bot", 5, expires_at=clock.now() + HOUR, with_pools=True)
    assert DOORS[door](coordinator, 3)
    assert (lines(coordinator), lines(coordinator, "team")) == ([(2, 0, 3, False)], [(2, 0, 3, False)])
    clock.advance(HOUR)
    assert not DOORS[door](coordinator, 11)
    assert DOORS[door](coordinator, 10)
    assert (coordinator.get_budget("bot"), coordinator.get_pool_budget("team")) == (0, 90)
    assert lines(coordinator) == lines(coordinator, "team") == [(0, 0, 3, True)]


@pytest.mark.parametrize("back", ["release", "expiry", "leaving", "release_many"])
def test_every_way_back_leads_to_where_it_came_from(coordinator, clock, back):
    coordinator.credit("bot", 5, expires_at=clock.now() + HOUR)
    held = coordinator.reserve("bot", 7, ttl_seconds=7_200)
    coordinator.debit("bot", 1)
    assert lines(coordinator) == [(0, 5, 0, False)]
    if back == "leaving":
        held.__enter__()
    clock.advance(2 * HOUR if back == "expiry" else HOUR)
    if back == "release":
        held.release()
    elif back == "leaving":
        held.__exit__(KeyError, KeyError(), None)
    elif back == "release_many":
        handles, numbers = coordinator.handle("bot"), held.number
        coordinator.release_many(np.array([handles], np.uint32), np.array([numbers], np.uint64))
    assert coordinator.get_budget("bot") == 9
    assert lines(coordinator) == [(0, 0, 0, True)]


def test_a_settlement_is_charged_to_what_has_ended_first(coordinator, clock):
    coordinator.credit("bot", 5, expires_at=clock.now() + HOUR)
    held = coordinator.reserve("bot", 7, ttl_seconds=7_200)
    clock.advance(HOUR)
    assert coordinator.get_agent_metrics("bot").reserved == 7
    assert held.settle(6).remaining == 9
    assert lines(coordinator) == [(0, 0, 5, True)]


def test_setting_what_remains_changes_nothing(coordinator, clock):
    for hours, amount in ((1, 5), (2, 3)):
        coordinator.credit("bot", amount, expires_at=clock.now() + hours * HOUR)
    coordinator.debit("bot", 2)
    before = lines(coordinator)
    coordinator.update_budget("bot", coordinator.get_budget("bot"))
    assert (coordinator.get_budget("bot"), lines(coordinator)) == (16, before)
    coordinator.update_budget("bot", 4)
    assert lines(coordinator) == [(3, 0, 2, False), (1, 0, 0, False)]
    clock.advance(2 * HOUR)
    assert coordinator.get_budget("bot") == 0


def test_a_decision_and_an_adjustment_move_the_base_alone(coordinator, clock):
    coordinator.credit("bot", 5, expires_at=clock.now() + HOUR)
    assert coordinator.adjust_budget("bot", -12) == -10
    assert (coordinator.get_budget("bot"), lines(coordinator)) == (5, [(5, 0, 0, False)])
    coordinator.credit("team", 5, expires_at=clock.now() + HOUR)
    assert coordinator.adjust_pool_budget("team", -200) == -100


def test_a_transfer_takes_nothing_of_credits_and_says_so(coordinator, clock):
    coordinator.register_agent("eve", "team", AgentPriority.LOW)
    coordinator.credit("bot", 5, expires_at=clock.now() + HOUR)
    message = (
        r'^agent "bot" cannot pay 11: 10 of 15 remain \(0 spent, 0 reserved, and 5 of credits, which are not '
        r"transferred\); raise it with update_budget or transfer$"
    )
    with pytest.raises(BudgetExceededError, match=message) as e:
        coordinator.transfer("bot", "eve", 11)
    assert (e.value.available, e.value.budget) == (10, 15)
    coordinator.transfer("bot", "eve", 10)
    assert (coordinator.get_budget("bot"), coordinator.get_budget("eve")) == (5, 10)


def test_a_refund_gives_nothing_to_a_credit_that_has_ended(coordinator, clock):
    coordinator.credit("bot", 5, expires_at=clock.now() + HOUR)
    running, ended = coordinator.debit("bot", 2), coordinator.debit("bot", 3)
    assert coordinator.refund(running).remaining == 12
    assert lines(coordinator) == [(2, 0, 3, False)]
    clock.advance(HOUR)
    assert coordinator.refund(ended).remaining == 10
    assert coordinator.get_agent_metrics("bot").spent == 0


def test_a_new_period_leaves_credits(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("daily", 10, budget_period="daily", timezone="UTC")
    coordinator.register_agent("bot", "daily", initial_budget=100)
    coordinator.credit("daily", 5, expires_at=clock.now() + 36 * HOUR)
    renews_at = coordinator.get_pool_info("daily").renews_at
    assert renews_at == clock.now() + 24 * HOUR
    coordinator.debit("bot", 7)
    clock.advance(24 * HOUR)
    assert (coordinator.get_pool_budget("daily"), lines(coordinator, "daily")) == (10, [(0, 0, 5, False)])
    coordinator.credit("daily", 5, expires_at=clock.now() + 36 * HOUR)
    clock.advance(24 * HOUR)
    assert coordinator.get_pool_budget("daily") == 15
    clock.advance(12 * HOUR)
    assert coordinator.get_pool_budget("daily") == 10
    coordinator.verify()


def test_a_credit_serves_who_waits():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 1)
    coordinator.register_agent("bot", "team", initial_budget=1)
    held = coordinator.reserve("bot", 1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(coordinator.reserve, "bot", 1, timeout=30)
        time.sleep(0.05)  # It waits by now; it is served as well if it does not.
        ends = datetime.now(UTC) + HOUR
        coordinator.credit("bot", 1, expires_at=ends, with_pools=True)
        waiting.result(timeout=10).release()
    held.release()
    assert [credit.left for credit in coordinator.get_credits("bot")] == [1]
    coordinator.verify()


def test_what_never_comes_back_is_not_told_as_in_flight(coordinator, clock):
    coordinator.credit("bot", 5, expires_at=clock.now() + HOUR)
    held = coordinator.reserve("bot", 7, ttl_seconds=7_200)
    clock.advance(HOUR)
    with pytest.raises(BudgetExceededError) as e:
        coordinator.debit("bot", 9)
    assert (e.value.in_flight, e.value.available) == (2, 8)
    held.release()


def test_columns_tell_credits(coordinator, clock):
    coordinator.credit("team", "0.25", expires_at=clock.now() + HOUR)
    table = coordinator.get_all_metrics()
    assert [table.credits[row] for row in range(2)] == [0, Decimal("0.25")]


def test_naive_times_are_local_and_others_are_what_they_say(coordinator, clock):
    local = (clock.now() + HOUR).astimezone().replace(tzinfo=None)
    assert coordinator.credit("bot", 1, expires_at=local).expires_at == clock.now() + HOUR
    other = (clock.now() + HOUR).astimezone(ZoneInfo("Asia/Kathmandu"))
    assert coordinator.credit("bot", 1, expires_at=other).expires_at == clock.now() + HOUR


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"expires_at": datetime(2020, 1, 1)},  # noqa: DTZ001 - naive ones are local
            ConfigurationError,
            "^expires_at must lie in the future",
        ),
        ({"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}, ConfigurationError, "^expires_at must lie in the"),
        ({"expires_at": datetime.max.replace(tzinfo=UTC)}, ConfigurationError, "^expires_at is out of range"),
        ({"expires_at": None}, TypeError, "^expires_at must be a datetime, not None"),
        ({"expires_at": 1.5}, TypeError, "^expires_at must be a datetime, not float"),
        ({}, TypeError, "expires_at"),
        ({"amount": 0}, ConfigurationError, "^amount must be above 0"),
        ({"amount": -1}, InvalidAmountError, "^amount "),
        ({"amount": 0.5}, TypeError, "^amount "),
        ({"amount": 10**15}, ConfigurationError, "cannot get 1000000000000000 more"),
        ({"account_id": "nobody"}, UnknownAgentError, "nobody"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name_and_changes_nothing(
    coordinator, clock, arguments, error, message
):
    given = {"account_id": "bot", "amount": 1, **arguments}
    if "account_id" in arguments or "amount" in arguments:
        given["expires_at"] = clock.now() + HOUR
    before = coordinator.get_agent_metrics("bot"), coordinator.get_agent_events("bot")
    with pytest.raises(error, match=message):
        coordinator.credit(**given)
    assert (coordinator.get_agent_metrics("bot"), coordinator.get_agent_events("bot")) == before
    with pytest.raises(UnknownAgentError):
        coordinator.get_credits("nobody")


def test_a_clock_that_was_ahead_ends_a_credit_early_and_never_twice(coordinator, clock):
    begin = clock.now()
    coordinator.credit("bot", 5, expires_at=begin + HOUR)
    clock.set_wall(begin + HOUR)
    assert coordinator.get_budget("bot") == 10
    clock.set_wall(begin)
    assert coordinator.get_budget("bot") == 10
    clock.set_wall(begin + 2 * HOUR)
    assert coordinator.get_budget("bot") == 10


def test_a_person_bounds_credits_too(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 100, budget_period="daily", timezone="UTC")
    coordinator.register_agent("bot", "team", initial_budget=3, max_budget=5)
    for with_pools in (False, True):
        with pytest.raises(ConfigurationError, match=r"may have 5 in a period \(max_budget\)"):
            coordinator.credit("bot", 3, expires_at=clock.now() + HOUR, with_pools=with_pools)
    assert (coordinator.get_budget("bot"), coordinator.get_pool_budget("team")) == (3, 100)
    coordinator.credit("bot", 2, expires_at=clock.now() + HOUR, with_pools=True)
    assert (coordinator.get_budget("bot"), coordinator.get_pool_budget("team")) == (5, 102)

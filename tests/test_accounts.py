"""Accounts that are there already, many at once, and closing; what names a reservation; all books at once."""

import gc
import warnings
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    AdaptivePoolSizer,
    ArgumentTypeError,
    BudgetCoordinator,
    BudgetExceededError,
    ClosedError,
    ConfigurationError,
    InvalidAmountError,
    ManualClock,
    MultiResourceBudget,
    RateLimitExceededError,
    ReservationError,
    UnknownPoolError,
)
from safeguards.budget.rate_limiter import BudgetRateLimiter


def begin(coordinator):
    """How a program begins whose books may be there already."""
    team = coordinator.create_budget_pool("team", 10, budget_period="daily", timezone="UTC", exist_ok=True)
    bot = coordinator.register_agent("bot", team, initial_budget=1, exist_ok=True)
    helpers = coordinator.register_agents(["ann", "bob"], team, initial_budget="0.5", exist_ok=True)
    MultiResourceBudget(coordinator).initialize_budgets(bot, {"calls": 5}, exist_ok=True)
    return team, bot, helpers


# What is there stays.


def test_a_program_may_begin_twice():
    coordinator = BudgetCoordinator(clock=ManualClock())
    assert begin(coordinator) == ("team", "bot", ["ann", "bob"])
    coordinator.debit("bot", "0.75")
    MultiResourceBudget(coordinator).debit("bot", {"calls": 3})
    before = coordinator.get_agent_events("bot"), coordinator.get_pool_events("team")
    begin(coordinator)
    assert (coordinator.get_agent_events("bot"), coordinator.get_pool_events("team")) == before
    assert coordinator.get_budget("bot") == Decimal("0.25")
    assert MultiResourceBudget(coordinator).get_budget("bot", "calls") == 2
    coordinator.verify()


def test_a_taken_id_is_refused_with_a_way_out(coordinator):
    with pytest.raises(ConfigurationError, match="another pool_id, or pass exist_ok=True"):
        coordinator.create_budget_pool("team", 5)
    with pytest.raises(ConfigurationError, match=r'agent "bot" is registered already.*exist_ok=True'):
        coordinator.register_agent("bot", "team")
    assert coordinator.create_budget_pool("team", 5, pool_id="other") == "other"
    assert coordinator.get_pool_info("other").name == "team", "names alone may repeat"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"parent_id": "above"}, 'below no pool, not pool "above"'),
        ({"budget_period": None, "timezone": None}, "daily in UTC, not none"),
        ({"budget_period": "hourly"}, "daily in UTC, not hourly in UTC"),
        ({"timezone": "Europe/Berlin"}, "daily in UTC, not daily in Europe/Berlin"),
        ({"budget_period": timedelta(hours=36)}, "daily in UTC, not every 129600s"),
    ],
)
def test_another_parent_period_or_zone_names_both(changed, words):
    coordinator = BudgetCoordinator(clock=ManualClock())
    coordinator.create_budget_pool("above", 10)
    asked = {"budget_period": "daily", "timezone": "UTC"}
    coordinator.create_budget_pool("team", 10, **asked)
    with pytest.raises(ConfigurationError, match='"team" exists') as refused:
        coordinator.create_budget_pool("team", 10, **(asked | changed), exist_ok=True)
    assert words in str(refused.value)
    coordinator.register_agent("bot", "team")
    with pytest.raises(ConfigurationError, match='agent "bot" exists below pool "team", not pool "above"'):
        coordinator.register_agent("bot", "above", exist_ok=True)


def test_periods_of_one_length_are_alike_whenever_they_began():
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock)
    for _ in range(2):
        coordinator.create_budget_pool("team", 10, budget_period=timedelta(hours=5), exist_ok=True)
        clock.advance(timedelta(hours=1))
    assert coordinator.get_pool_info("team").renews_at == clock.now() + timedelta(hours=3)


# Many at once.


def test_agents_are_given_in_three_forms(coordinator):
    agents = ["a", ("b", "team", 8, "0.25"), {"agent_id": "c", "initial_budget": 3, "priority": 2}, ("d",)]
    assert coordinator.register_agents(agents, "team", 4, "1.5") == ["a", "b", "c", "d"]
    told = [(coordinator.get_agent_priority(a), coordinator.get_budget(a)) for a in "abcd"]
    assert told == [(4, Decimal("1.5")), (8, Decimal("0.25")), (2, 3), (4, Decimal("1.5"))]
    assert coordinator.register_agents([], "team") == []


@pytest.mark.parametrize(
    ("last", "error", "words"),
    [
        ("bot", ConfigurationError, "registered already"),
        ("a", ConfigurationError, '"a" comes twice'),
        ("", ConfigurationError, "agent_id must have 1 to 512 bytes"),
        (("z", "nowhere"), UnknownPoolError, '"nowhere"'),
        (("z", "team", 11), ConfigurationError, "priority"),
        (("z", "team", 5, -1), InvalidAmountError, "initial_budget"),
        (("z", "team", 5, 1, 1), ArgumentTypeError, "1 to 4 arguments"),
        (3, ArgumentTypeError, "ids, mappings or tuples"),
        ("\ud800", ArgumentTypeError, "agent_id must be Unicode"),
        (("b", "\ud800"), ArgumentTypeError, "pool_id must be Unicode"),
        ({"agent_id": "z", "budget": 1}, ConfigurationError, "'budget' is none of them"),
        ({"pool_id": "team"}, ConfigurationError, "agent_id is missing"),
    ],
)
def test_all_agents_are_registered_or_none(coordinator, last, error, words):
    with pytest.raises(error, match=words):
        coordinator.register_agents(["a", last], "team")
    assert coordinator.get_all_agent_ids() == ["bot"]


def test_an_agent_without_a_pool_is_named(coordinator):
    with pytest.raises(ConfigurationError, match="agent 'a' has no pool_id"):
        coordinator.register_agents(["a"])


# Reservations by their ids.


def test_an_id_is_text_that_finds_the_reservation(coordinator):
    made = coordinator.reserve("bot", "0.5", overage="reject")
    found = coordinator.reservation(made.id)
    assert (found, found.id, found.amount, found.state) == (made, made.id, Decimal("0.5"), "active")
    with pytest.raises(BudgetExceededError):
        found.settle("0.6")
    receipt = found.settle("0.3")
    assert (made.state, made.receipt, coordinator.reservation(made.id).receipt) == (
        "settled",
        receipt,
        receipt,
    )
    assert coordinator.reservation(made.id).settle("0.3") == receipt
    assert coordinator.reservation(made.id).amount == Decimal("0.5")


def test_active_reservations_of_all_and_of_one(coordinator):
    coordinator.register_agent("eve", "team", initial_budget=1)
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", {"calls": 5})
    made = [
        coordinator.reserve("bot", "0.5"),
        resources.reserve("bot", {"calls": 2}),
        coordinator.reserve("eve", "0.25"),
    ]
    assert coordinator.reservations() == made
    assert coordinator.reservations("eve") == made[2:]
    assert coordinator.reservation(made[1].id).amounts == {"calls": 2}
    for reservation in coordinator.reservations():
        reservation.release()
    assert coordinator.reservations() == []


@pytest.mark.parametrize("bad", ["", "x", "0-0-1", "ffffffffffffffff-0-1", "é" * 300])
def test_what_is_no_id_is_unknown(coordinator, bad):
    with pytest.raises(ReservationError, match="is unknown or forgotten") as unknown:
        coordinator.reservation(bad)
    assert unknown.value.state == "unknown"


def test_an_id_of_another_coordinator_is_unknown(coordinator):
    other = BudgetCoordinator()
    other.create_budget_pool("team", 10)
    other.register_agent("bot", "team", initial_budget=1)
    with coordinator.reserve("bot", "0.5") as made, pytest.raises(ReservationError, match="unknown"):
        other.reservation(made.id)


def test_who_looks_for_a_reservation_does_not_answer_for_it(coordinator, clock):
    """Neither warns when it goes, nor lets expire what somebody else keeps alive."""
    with coordinator.reserve("bot", "0.5", ttl_seconds=1) as made:
        with warnings.catch_warnings(action="error"):
            coordinator.reservation(made.id)
            gc.collect()
        clock.advance(5)
        assert made.state == "active"


def test_who_works_on_a_found_reservation_keeps_it_when_its_maker_goes(coordinator, clock):
    made = coordinator.reserve("bot", "0.5", ttl_seconds=1)
    with coordinator.reservation(made.id) as found:
        with warnings.catch_warnings(action="error"):
            del made
            gc.collect()
        clock.advance(5)
        assert found.state == "active"
        found.settle("0.2")
    assert coordinator.get_budget("bot") == Decimal("0.8")


def test_who_worked_on_a_found_reservation_and_left_it_open_is_warned(coordinator):
    made = coordinator.reserve("bot", "0.5")
    found = coordinator.reservation(made.id)
    found.__enter__()
    with warnings.catch_warnings(action="error"):
        del made
        gc.collect()
    with pytest.warns(ResourceWarning, match="reservation 1 of agent"):
        del found
        gc.collect()


# Closing.


def test_a_closed_coordinator_refuses_everything_by_name():
    with BudgetCoordinator() as coordinator:
        coordinator.create_budget_pool("team", 10)
        coordinator.register_agent("bot", "team", initial_budget=1)
        account, held = coordinator.account("bot"), coordinator.reserve("bot", "0.5")
        resources, limiter = MultiResourceBudget(coordinator), BudgetRateLimiter(coordinator)
        assert not coordinator.closed
    assert coordinator.closed
    handles = np.zeros(1, dtype=np.uint32)
    calls = [
        lambda: coordinator.debit("bot", 1),
        lambda: coordinator.try_debit("bot", 1),
        lambda: coordinator.debit_many(handles, np.ones(1, dtype=np.int64)),
        lambda: coordinator.get_budget("bot"),
        lambda: coordinator.create_budget_pool("new", 1),
        lambda: coordinator.register_agents(["new"], "team"),
        lambda: coordinator.reservation(held.id),
        coordinator.get_all_metrics,
        coordinator.verify,
        coordinator.expire,
        coordinator.__enter__,
        lambda: account.try_debit("0.1"),
        lambda: held.settle("0.1"),
        lambda: held.state,
        lambda: resources.get_budgets("bot"),
        lambda: limiter.acquire("bot", 1),
    ]
    for call in calls:
        with pytest.raises(ClosedError, match="this coordinator is closed"):
            call()
    coordinator.close()


def test_a_reservation_outlives_a_closed_coordinator_in_silence():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    held = coordinator.reserve("bot", "0.5")
    coordinator.close()
    assert repr(coordinator) == "BudgetCoordinator(closed)"
    assert coordinator._repr_html_() == "<p>BudgetCoordinator(closed)</p>"
    assert repr(held) == 'Reservation(1, agent="bot", amount=0.5, of a coordinator that is closed)'
    with warnings.catch_warnings(action="error"):
        del held
        gc.collect()


def test_closing_stops_the_controllers():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 10)
    sizer = AdaptivePoolSizer(coordinator)
    sizer.configure_pool("team")
    sizer.start()
    coordinator.close()
    assert not sizer.running


# What is told.


def test_the_currency_is_told_with_amounts_of_money():
    coordinator = BudgetCoordinator(currency="EUR")
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    assert (coordinator.currency, coordinator.get_agent_metrics("bot").currency) == ("EUR", "EUR")
    assert coordinator.get_all_metrics().currency == "EUR"
    with pytest.raises(BudgetExceededError) as refused:
        coordinator.debit("bot", 5)
    assert refused.value.to_dict()["currency"] == "EUR"
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", {"calls": 1})
    with pytest.raises(BudgetExceededError) as refused:
        resources.debit("bot", {"calls": 5})
    assert refused.value.currency is None
    with pytest.raises(AttributeError):
        coordinator.currency = "USD"
    assert BudgetCoordinator().currency == "USD"


@pytest.mark.parametrize("bad", ["", "US D", "x" * 17, "€"])
def test_what_is_no_currency(bad):
    with pytest.raises(ConfigurationError, match="currency must be 1 to 16 letters"):
        BudgetCoordinator(currency=bad)


def test_a_pool_tells_where_it_stands():
    coordinator = BudgetCoordinator(clock=ManualClock())
    coordinator.create_budget_pool("root", 100)
    coordinator.create_budget_pool(
        "The team", 5, 7, parent_id="root", pool_id="team", budget_period="monthly", timezone="+02:00"
    )
    coordinator.register_agent("bot", "team")
    info = coordinator.get_pool_info("team")
    assert (info.name, info.parent_id, info.priority) == ("The team", "root", 7)
    assert (info.pool_ids, info.agents) == ((), 1)
    assert (info.budget_period, info.timezone, info.period_budget) == ("monthly", "+02:00", 5)
    assert info.renews_at.isoformat() == "2026-01-31T22:00:00+00:00"
    root = coordinator.get_pool_info("root")
    assert (root.pool_ids, root.budget_period, root.renews_at, root.timezone) == (("team",), None, None, None)
    with pytest.raises(UnknownPoolError):
        coordinator.get_pool_info("nowhere")


def test_refusals_are_counted_by_what_refused_and_change_nothing(coordinator):
    BudgetRateLimiter(coordinator).set_rate_limit("bot", "0.5", timedelta(minutes=1))
    before = coordinator.get_agent_metrics("bot")
    for amount, error in (
        (2, BudgetExceededError),
        ("0.6", RateLimitExceededError),
        (3, BudgetExceededError),
    ):
        with pytest.raises(error):
            coordinator.debit("bot", amount)
    after = coordinator.get_agent_metrics("bot")
    assert after == before
    assert (after.budget_refusals, after.window_refusals) == (2, 1)


def test_all_metrics_are_those_of_each_account(coordinator):
    coordinator.register_agents(["a", "b"], "team", initial_budget="0.1")
    coordinator.debit("a", "0.000000001")
    coordinator.reserve("bot", "0.25").settle(3)
    assert not coordinator.try_debit("b", 1)
    table = coordinator.get_all_metrics()
    assert (len(table), repr(table)) == (4, "MetricsTable(3 agents, 1 pools, in USD)")
    assert sorted(table.ids[:3]) == ["a", "b", "bot"]
    assert table.is_pool.tolist() == [False, False, False, True]
    for row, account in enumerate(table.ids):
        look = coordinator.get_pool_metrics if table.is_pool[row] else coordinator.get_agent_metrics
        one = look(account)
        for name in ("granted", "remaining", "reserved", "spent", "period_granted", "period_spent"):
            column = getattr(table, name)
            assert column[row] == getattr(one, name)
            assert column.rounded[row] == float(getattr(one, name))
        for name in ("priority", "active_reservations", "budget_refusals", "window_refusals"):
            assert getattr(table, name)[row] == getattr(one, name)

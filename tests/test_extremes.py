"""Extreme amounts and clocks: an answer or a named refusal, sound books, never a panic."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeguards import (
    BudgetCoordinator,
    BudgetRateLimiter,
    ConfigurationError,
    ManualClock,
    MultiResourceBudget,
    SafeguardsError,
)

MOST = 10**15
EARLIEST = datetime(1677, 9, 21, 0, 12, 44, tzinfo=UTC)
LATEST = datetime(2262, 4, 11, 23, 47, 16, tzinfo=UTC)
AMOUNTS = st.sampled_from([0, 1, MOST, MOST - 1, "0.000000001", "999999999999999.999999999"])
CHANGES = st.sampled_from([0, 1, -1, MOST, -MOST, "-0.000000001"])
TIMES = st.sampled_from(
    [EARLIEST, EARLIEST + timedelta(hours=1), LATEST, datetime(2026, 3, 29, 1, tzinfo=UTC)]
)
ADVANCES = st.sampled_from([0, 1, 3_600, 10**9, timedelta.max])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("debit"), AMOUNTS),
        st.tuples(st.just("reserve"), AMOUNTS),
        st.tuples(st.just("settle"), AMOUNTS),
        st.tuples(st.just("update"), AMOUNTS),
        st.tuples(st.just("update_pool"), AMOUNTS),
        st.tuples(st.just("period"), AMOUNTS),
        st.tuples(st.just("adjust"), CHANGES),
        st.tuples(st.just("adjust_pool"), CHANGES),
        st.tuples(st.just("transfer"), AMOUNTS),
        st.tuples(st.just("record"), AMOUNTS),
        st.tuples(st.just("resource"), AMOUNTS),
        st.tuples(st.just("capacity"), AMOUNTS),
        st.tuples(st.just("wall"), TIMES),
        st.tuples(st.just("advance"), ADVANCES),
    ),
    max_size=60,
)


def make(start, period):
    clock = ManualClock(start)
    coordinator = BudgetCoordinator(clock=clock, history_events=2, history_sums=2)
    coordinator.create_budget_pool("team", MOST, budget_period=period, timezone="UTC")
    for agent in ("bot", "other"):
        coordinator.register_agent(agent, "team", initial_budget=MOST)
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", {"calls": MOST})
    limiter = BudgetRateLimiter(coordinator)
    limiter.set_rate_limit("other", 10**10, timedelta(days=366))
    return clock, coordinator, resources, limiter


def picture(coordinator, resources):
    agents = [coordinator.get_agent_metrics(agent) for agent in ("bot", "other")]
    events = [coordinator.get_agent_events(agent) for agent in ("bot", "other")]
    pool = coordinator.get_pool_metrics("team"), coordinator.get_pool_events("team")
    return agents, events, pool, resources.get_budgets("bot"), resources.get_capacity("calls")


# PanicException is no Exception: one that came out would end the test.
@settings(max_examples=60, deadline=None)
@given(start=TIMES, period=st.sampled_from([None, "hourly", "daily", "monthly", timedelta.max]), steps=STEPS)
def test_nothing_panics_and_refusals_change_nothing(start, period, steps):
    clock, coordinator, resources, limiter = make(start, period)
    kept = []
    acts = {
        "debit": lambda x: coordinator.debit("bot", x),
        "reserve": lambda x: kept.append(coordinator.reserve("bot", x, ttl_seconds=1e300)),
        "settle": lambda x: kept and kept.pop().settle(x),
        "update": lambda x: coordinator.update_budget("bot", x),
        "update_pool": lambda x: coordinator.update_pool_budget("team", x),
        "period": lambda x: coordinator.update_period_budget("team", x),
        "adjust": lambda x: coordinator.adjust_budget("bot", x),
        "adjust_pool": lambda x: coordinator.adjust_pool_budget("team", x),
        "transfer": lambda x: coordinator.transfer("bot", "other", x),
        "record": lambda x: limiter.record_usage("other", x),
        "resource": lambda x: resources.debit("bot", {"calls": x}),
        "capacity": lambda x: resources.set_capacity("calls", x),
        "wall": clock.set_wall,
        "advance": clock.advance,
    }
    for name, argument in steps:
        before = picture(coordinator, resources)
        try:
            acts[name](argument)
        except SafeguardsError:
            assert picture(coordinator, resources) == before
        coordinator.verify()
        limiter.get_retry_after("other", 1)
        repr(coordinator)
    for reservation in kept:
        reservation.release()
    coordinator.verify()


def test_usage_is_summed_where_time_begins():
    _, coordinator, *_ = make(EARLIEST, "hourly")
    for _ in range(70):
        coordinator.debit("bot", 1)
    assert sum(event.amount for event in coordinator.get_agent_usage_history("bot")) == 70
    coordinator.verify()


def test_a_budget_has_a_most():
    _, coordinator, *_ = make(EARLIEST, None)
    for act in (
        lambda: coordinator.adjust_budget("bot", "0.000000001"),
        lambda: coordinator.adjust_pool_budget("team", MOST),
        lambda: coordinator.transfer("bot", "other", 1),
    ):
        with pytest.raises(ConfigurationError, match="must not be raised above 1000000000000000"):
            act()
    assert coordinator.get_budget("bot") == coordinator.get_pool_budget("team") == MOST

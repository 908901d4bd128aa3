"""A wall clock that was wrong and is right again: nothing remembers the latest time that was seen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from functools import partial

import numpy as np
import pytest

from safeguards import (
    AdaptivePoolSizer,
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRLOptimizer,
    BudgetTimeScheduler,
    CostBenefitAllocator,
    ManualClock,
    PriorityBasedReallocator,
)
from safeguards.exceptions import ConfigurationError
from time_scheduler.schedules import window

NOW = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TEN_MINUTES, YEAR = timedelta(minutes=10), timedelta(days=365)
DAYS = {"day": window(time(0), time(23, 59), budget=100)}
WRONG = [TEN_MINUTES, DAY, YEAR, -YEAR]


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def coordinator(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 10**9)
    coordinator.register_agent("bot", "team", initial_budget=10**8)
    yield coordinator
    coordinator.verify()


def pass_two_hours(clock, wrong_by=None, meanwhile=lambda: None):
    """Two hours; for ten minutes around the full one the wall clock may be wrong."""
    clock.advance(HOUR - TEN_MINUTES / 2)
    if wrong_by is not None:
        clock.set_wall(clock.now() + wrong_by)
    clock.advance(TEN_MINUTES / 2)
    meanwhile()
    clock.advance(TEN_MINUTES / 2)
    if wrong_by is not None:
        clock.set_wall(clock.now() - wrong_by)
    clock.advance(HOUR - TEN_MINUTES / 2)


# ---------------------------------------------------------------------------------- the learner


def learned(wrong_by):
    """What a learner knows after 20 days of office hours; on the 19th the clock was wrong."""
    clock = ManualClock(NOW)
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 10**9)
    coordinator.register_agent("bot", "team", initial_budget=10**8)
    learner = BudgetPatternLearner(coordinator, min_data_points=20, timezone=UTC)
    learner.start_collection()
    for hour in range(0, 20 * 24, 2):
        if 9 <= hour % 24 < 17:
            coordinator.debit("bot", 4)
        pass_two_hours(clock, wrong_by if hour == 18 * 24 + 4 else None)
    return learner, clock.now()


@pytest.mark.parametrize("wrong_by", WRONG, ids=str)
def test_the_learner_knows_and_foresees_what_it_would_have(wrong_by):
    (right, now), (learner, _) = learned(None), learned(wrong_by)
    for found, wanted in zip(
        learner.analyze_patterns("bot").usage, right.analyze_patterns("bot").usage, strict=True
    ):
        assert found == wanted
    prediction = learner.predict_budget_needs("bot", now, 24)
    assert prediction == right.predict_budget_needs("bot", now, 24)
    assert prediction.known_hours == 14 * 24 and float(prediction.predicted_budget) == pytest.approx(16)


@pytest.mark.parametrize(
    ("kind", "zone"),  # in which it reads times without one: its own, or the machine's
    [(partial(BudgetPatternLearner, timezone="UTC"), UTC), (BudgetRLOptimizer, None)],
    ids=["BudgetPatternLearner", "BudgetRLOptimizer"],
)
@pytest.mark.parametrize(
    ("ahead", "told"),
    [(timedelta(microseconds=1), "0:00:00.000001"), (TEN_MINUTES, "0:10:00"), (YEAR, "365 days, 0:00:00")],
    ids=str,
)
def test_history_that_is_yet_to_come_is_refused_by_name(coordinator, kind, zone, ahead, told):
    controller = kind(coordinator)
    hours = [NOW - n * HOUR for n in range(336, 0, -1)]
    controller.load_history("bot", hours, [1] * 336)
    later = [*hours[:7], NOW + ahead, NOW + 2 * YEAR]
    without_zone = [at.astimezone(zone).replace(tzinfo=None) for at in later]
    for times in (later, np.array(without_zone, "datetime64[us]")):
        with pytest.raises(ConfigurationError) as caught:
            controller.load_history("bot", times, [10**6] * 9)
        assert f"timestamps[7] ({NOW + ahead:%Y-%m-%d %H:%M:%S} UTC) is {told} later than now" in str(
            caught.value
        )
        assert "Nothing was loaded" in str(caught.value)
    if isinstance(controller, BudgetPatternLearner):
        assert controller.analyze_patterns("bot").usage.sum() == 336
    else:
        assert np.nansum(controller._past.history().recording().demand) == 336


# ---------------------------------------------------------------------------------- other controllers


def paced(wrong_by):
    """The hourly shares that pacing admits on the fourth day; on the second the clock was wrong."""
    clock = ManualClock(NOW)
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 100)
    coordinator.register_agent("bot", "team", initial_budget=10**8)
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC", pacing="forecast")
    scheduler.add_time_profile("team", DAYS)
    scheduler.apply_current_profile("team")
    scheduler.start()

    def work():
        amount = 12 if 9 <= clock.now().hour < 17 else 4
        if scheduler.admits("team", amount):
            coordinator.try_debit("bot", amount)

    shares = []
    for hour in range(0, 96, 2):
        work()
        pass_two_hours(clock, wrong_by if hour == 36 else None, work)
        if hour >= 72:
            shares.append(scheduler.throttle("team"))
    return shares, scheduler


@pytest.mark.parametrize("wrong_by", WRONG, ids=str)
def test_pacing_knows_the_days_that_it_has_seen(wrong_by):
    (shares, right), (found, scheduler) = paced(None), paced(wrong_by)
    assert found == pytest.approx(shares, rel=0.1) and min(shares) < 0.9
    wanted, known = right.state()["demand"]["team"], scheduler.state()["demand"]["team"]
    for day in wanted:
        differ = [
            n for n, (a, b) in enumerate(zip(wanted[day], known[day], strict=True)) if a != pytest.approx(b)
        ]
        assert len(differ) <= 3, (day, differ)
    later = BudgetTimeScheduler(scheduler.budget_coordinator, pacing="forecast")
    later.restore(json.loads(json.dumps(scheduler.state())))
    assert later.state() == scheduler.state()


def test_the_day_goes_on_with_what_was_seen_of_it(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 100)
    coordinator.register_agent("bot", "team", initial_budget=10**8)
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC", pacing="even")
    scheduler.add_time_profile("team", DAYS)
    scheduler.apply_current_profile("team")
    scheduler.start()
    for _ in range(6):
        coordinator.debit("bot", 12)
        clock.advance(HOUR)
    before = scheduler.throttle("team")
    assert before < 0.2  # 28 for 18 hours at 12 an hour
    for wrong_by in (YEAR, -YEAR):
        clock.set_wall(clock.now() + wrong_by)
        scheduler.throttle("team")
        clock.set_wall(clock.now() - wrong_by)
        assert scheduler.throttle("team") == pytest.approx(before)


def test_a_grant_that_was_not_wanted_is_not_asked_for_again(clock, coordinator):
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC")
    scheduler.add_time_profile("team", DAYS)
    asked = []
    scheduler.on_decision(lambda decision: asked.append(decision.inputs["start"]) or False)
    scheduler.run_once()
    for wrong_by in (YEAR, -YEAR):
        clock.set_wall(NOW + wrong_by)
        scheduler.run_once()
        clock.set_wall(NOW)
        scheduler.run_once()
    assert asked == [NOW, NOW + YEAR, NOW - YEAR]


def sized(wrong_by, period):
    """What a sizer expects of a period and of the next step; on the tenth day the clock was wrong."""
    clock = ManualClock(NOW)
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 1000, budget_period=period, timezone="UTC")
    coordinator.register_agent("bot", "team", initial_budget=10**8)
    sizer = AdaptivePoolSizer(coordinator, min_pool_budget=1000)
    sizer.configure_pool("team", min_agents_for_adjustment=1, policy="predictive")
    sizer.start()
    for hour in range(0, 16 * 24, 2):
        weekday = (hour // 24) % 7 < 5
        coordinator.debit("bot", 8 if weekday else 1)
        pass_two_hours(clock, wrong_by if hour == 9 * 24 + 12 else None)
    tracker = sizer._tracker
    return (
        tracker.expect_period("team", None),
        sizer.get_forecast("team"),
        coordinator.get_pool_budget("team"),
    )


@pytest.mark.parametrize("period", ["daily", timedelta(days=1), timedelta(hours=5)], ids=str)
@pytest.mark.parametrize("wrong_by", [*WRONG, 12 * HOUR + TEN_MINUTES], ids=str)
def test_the_sizer_expects_what_it_would_have(wrong_by, period):
    (in_period, next_step, _), found = sized(None, period), sized(wrong_by, period)
    assert in_period > 0 and next_step >= 0
    assert found[:2] == pytest.approx((in_period, next_step), rel=0.02)


def reallocated(wrong_by):
    clock = ManualClock(NOW)
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 1000)
    for agent in ("bot", "bee"):
        coordinator.register_agent(agent, "team", initial_budget=500)
    with PriorityBasedReallocator(coordinator), BudgetRLOptimizer(coordinator, seed=1):
        for hour in range(0, 48, 2):
            coordinator.try_debit("bot", 7)
            coordinator.try_debit("bee", 1 + hour % 3)
            pass_two_hours(clock, wrong_by if hour == 20 else None)
    return [coordinator.get_budget(agent) for agent in ("bot", "bee")]


@pytest.mark.parametrize("wrong_by", WRONG, ids=str)
def test_who_counts_on_the_monotonic_line_sees_nothing(wrong_by):
    assert reallocated(wrong_by) == reallocated(None)


def test_outcomes_of_a_clock_that_was_ahead_are_not_those_of_the_last_days(clock, coordinator):
    allocator = CostBenefitAllocator(coordinator, history_outcomes=4)
    allocator.register_operation("bot", "ask", 1, 2)
    allocator.record_outcome("bot", "ask", 1, 3)
    clock.set_wall(NOW + YEAR)
    allocator.record_outcome("bot", "ask", 1, 1000)
    clock.set_wall(NOW + HOUR)
    allocator.record_outcome("bot", "ask", 1, 5)
    found = allocator.evaluate_effectiveness(7, "benefit")
    assert (found.value, found.outcomes) == (8, 2)
    for _ in range(3):  # the two oldest make room, the one that was ahead as well
        allocator.record_outcome("bot", "ask", 1, 7)
    found = allocator.evaluate_effectiveness(7, "benefit")
    assert (found.value, found.outcomes) == (26, 4) and 0 <= found.covered_days <= 7
    clock.set_wall(NOW + YEAR + HOUR)
    assert allocator.evaluate_effectiveness(7, "benefit").outcomes == 0

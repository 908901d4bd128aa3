"""A wall clock that was wrong and is right again: nothing remembers the latest time that was seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from safeguards import BudgetCoordinator, BudgetPatternLearner, BudgetRLOptimizer, ManualClock
from safeguards.exceptions import ConfigurationError

NOW = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TEN_MINUTES, YEAR = timedelta(minutes=10), timedelta(days=365)
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


def pass_an_hour(clock, wrong_by=None):
    """An hour, for ten minutes of which the wall clock may be wrong."""
    if wrong_by is None:
        clock.advance(HOUR)
        return
    clock.advance(HOUR / 2 - TEN_MINUTES)
    clock.set_wall(clock.now() + wrong_by)
    clock.advance(TEN_MINUTES)
    clock.set_wall(clock.now() - wrong_by)
    clock.advance(HOUR / 2)


# ---------------------------------------------------------------------------------- the learner


def learned(wrong_by):
    """What a learner knows after 20 days of office hours, on the 18th of which the clock was wrong."""
    clock = ManualClock(NOW)
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 10**9)
    coordinator.register_agent("bot", "team", initial_budget=10**8)
    learner = BudgetPatternLearner(coordinator, timezone=UTC)
    learner.start_collection()
    for hour in range(20 * 24):
        if 9 <= hour % 24 < 17:
            coordinator.debit("bot", 2)
        pass_an_hour(clock, wrong_by if hour == 18 * 24 + 3 else None)
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


@pytest.mark.parametrize("kind", [BudgetPatternLearner, BudgetRLOptimizer])
@pytest.mark.parametrize(
    ("ahead", "told"),
    [(timedelta(microseconds=1), "0:00:00.000001"), (TEN_MINUTES, "0:10:00"), (YEAR, "365 days, 0:00:00")],
    ids=str,
)
def test_history_that_is_yet_to_come_is_refused_by_name(coordinator, clock, kind, ahead, told):
    controller = kind(coordinator)
    hours = [NOW - n * HOUR for n in range(336, 0, -1)]
    controller.load_history("bot", hours, [1] * 336)
    later = [*hours[:7], NOW + ahead, NOW + 2 * YEAR]
    for times in (later, np.array([time.replace(tzinfo=None) for time in later], "datetime64[us]")):
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

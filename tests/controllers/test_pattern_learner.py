"""The pattern learner: what it collects, what it shows, what it foresees, what it changes."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from safeguards import (
    AlertSeverity,
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRateLimiter,
    ConfigurationError,
    InvalidAmountError,
    ManualClock,
    UnknownAgentError,
)

NOW = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def coordinator(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 10**6)
    coordinator.register_agent("bot", "team", initial_budget=10**5)
    yield coordinator
    coordinator.verify()


@pytest.fixture
def learner(coordinator):
    return BudgetPatternLearner(coordinator, timezone=UTC)


def office(time):
    """Two an hour from nine to five, on weekdays."""
    return 2 if 9 <= time.hour < 17 and time.weekday() < 5 else 0


def every_day(time):
    return 2 if 9 <= time.hour < 17 else 0


def hours_before(now, days=14):
    return [now - n * HOUR for n in range(24 * days, 0, -1)]


def teach(learner, agent="bot", *, now=NOW, days=14, need=office):
    hours = hours_before(now, days)
    learner.load_history(agent, hours, [need(hour) for hour in hours])


def work(coordinator, clock, days, *, agent="bot", need=office, times=1):
    """Spends as a need says, some times an hour, on a clock that goes on."""
    for _ in range(days * 24):
        for _ in range(times):
            coordinator.debit(agent, Decimal(need(clock.now())) / times)
        clock.advance(HOUR)


# ---------------------------------------------------------------------------------- nothing known


def test_nothing_is_known_of_anybody(learner):
    patterns = learner.analyze_patterns("bot")
    assert not patterns
    assert str(patterns) == "agent 'bot': nothing is known yet"
    assert (patterns.data_points, patterns.mean, patterns.start, patterns.anomalies) == (0, 0, None, ())
    assert patterns.trend is patterns.daily_strength is patterns.weekly_strength is None
    assert "nothing is known" in patterns._repr_html_()
    assert patterns.to_dict()["by_weekday"] == [None] * 7
    assert learner.predict_budget_needs("bot", NOW) is None
    with pytest.raises(UnknownAgentError, match='no agent "nobody" is registered'):
        learner.predict_budget_needs("nobody", NOW)
    assert learner.known_agents() == []
    assert learner.evaluate() == learner.run_once() == []


def test_too_few_points_are_no_prediction(coordinator):
    learner = BudgetPatternLearner(coordinator, min_data_points=30, timezone=UTC)
    hours = hours_before(NOW, 3)
    learner.load_history("bot", hours[:29], [1] * 29)
    assert learner.predict_budget_needs("bot", NOW) is None
    assert learner.analyze_patterns("bot").data_points == 29
    learner.load_history("bot", hours[29:30], [1])
    assert learner.predict_budget_needs("bot", NOW).data_points == 30


# ---------------------------------------------------------------------------------- collecting


def test_usage_is_collected_from_charges_and_statements(learner, coordinator, clock):
    limiter = BudgetRateLimiter(coordinator)
    coordinator.debit("bot", "0.5")  # before the start: the coordinator remembers it
    learner.start_collection()
    assert learner.collecting
    with coordinator.reserve("bot", 2) as reservation:
        reservation.settle("1.5")
    limiter.record_usage("bot", "0.25")
    clock.advance(HOUR)
    coordinator.debit("bot", 3)
    clock.advance(HOUR)
    patterns = learner.analyze_patterns("bot")
    assert patterns.usage.tolist() == [2.25, 3.0]
    assert (patterns.data_points, patterns.start, patterns.end) == (4, NOW, NOW + 2 * HOUR)


def test_two_weeks_of_work_are_learned_while_the_clock_runs(learner, coordinator, clock):
    learner.start_collection()
    work(coordinator, clock, 14, need=every_day, times=3)
    prediction = learner.predict_budget_needs("bot", clock.now() + 24 * HOUR, 24)
    assert prediction.predicted_budget == pytest.approx(Decimal(16), abs=Decimal("0.6"))
    assert prediction.reliable and prediction.confidence > 0.9
    assert (prediction.known_until, prediction.known_hours) == (clock.now(), 14 * 24 - 9)
    assert prediction.data_points == 3 * 8 * 14
    patterns = learner.analyze_patterns("bot")
    assert patterns.usage.sum() == pytest.approx(16 * 14)
    assert patterns.by_weekday.tolist()[1:] == pytest.approx([16] * 6)


def test_nothing_is_collected_after_the_end(learner, coordinator, clock):
    learner.start_collection()
    coordinator.debit("bot", 1)
    learner.stop_collection()  # reads a last time
    assert not learner.collecting
    clock.advance(HOUR)
    coordinator.debit("bot", 7)
    clock.advance(24 * HOUR)
    assert learner.known_agents() == ["bot"]
    assert learner.analyze_patterns("bot").usage.sum() == 0  # the hour was not over when it was last read
    learner.start_collection()
    assert learner.analyze_patterns("bot").usage.sum() == 8  # the coordinator remembers the rest
    learner.start_collection()  # no effect
    learner.stop_collection()
    learner.stop_collection()


def test_agents_join_and_leave(learner, coordinator, clock):
    learner.start_collection()
    coordinator.register_agent("guest", "team", initial_budget=10)
    coordinator.debit("guest", 1)
    clock.advance(HOUR)
    coordinator.debit("guest", 2)
    coordinator.unregister_agent("guest")  # with usage that was not read yet
    clock.advance(HOUR)
    assert learner.analyze_patterns("guest", 15).usage.sum() == 3
    coordinator.register_agent("guest", "team", initial_budget=10)  # another one of this name
    coordinator.debit("guest", 4)
    clock.advance(HOUR)
    assert learner.analyze_patterns("guest", 15).usage.sum() == 7


def test_usage_under_load_is_counted_once(coordinator):
    """Threads spend while another one reads as fast as it can."""
    learner = BudgetPatternLearner(coordinator, timezone=UTC)
    learner.start_collection()
    agents = [coordinator.register_agent(f"agent {i}", "team", initial_budget=1000) for i in range(4)]
    done = threading.Event()

    def spend(agent):
        for _ in range(3000):
            coordinator.debit(agent, "0.01")

    def read():
        while not done.is_set():
            learner._read()

    reader = threading.Thread(target=read)
    spenders = [threading.Thread(target=spend, args=[agent]) for agent in agents]
    reader.start()
    for thread in spenders:
        thread.start()
    for thread in spenders:
        thread.join()
    done.set()
    reader.join()
    coordinator.clock.advance(HOUR)
    for agent in agents:
        patterns = learner.analyze_patterns(agent)
        assert patterns.usage.sum() == pytest.approx(30, abs=1e-6)
        assert patterns.data_points == 3000


def test_a_reading_that_fails_is_told_and_the_next_one_catches_up(learner, coordinator, clock, monkeypatch):
    learner.start_collection()
    coordinator.debit("bot", 5)
    read = learner._read
    monkeypatch.setattr(learner, "_read", lambda: 1 / 0)
    clock.advance(HOUR)
    alerts = coordinator.notification_manager.get_alerts()
    assert "BudgetPatternLearner could not observe" in {alert.title for alert in alerts}
    monkeypatch.setattr(learner, "_read", read)
    clock.advance(HOUR)
    assert learner.analyze_patterns("bot").usage.sum() == 5


# ---------------------------------------------------------------------------------- loading


def test_histories_of_all_kinds_are_the_same(coordinator):
    times = hours_before(NOW, 6)
    amounts = [office(time) for time in times]
    naive = np.array([time.replace(tzinfo=None) for time in times], dtype="datetime64[s]")
    east = timezone(timedelta(hours=5))
    kinds = [
        (times, amounts),
        (times, [Decimal(amount) for amount in amounts]),
        ([time.astimezone(east) for time in times], [str(amount) for amount in amounts]),
        (naive, np.array(amounts, dtype=np.float32)),
        (list(naive), np.array(amounts)),
        (naive.astype("datetime64[ns]").tolist() and naive, amounts),
        (list(reversed(times)), list(reversed(amounts))),
    ]
    found = []
    for timestamps, values in kinds:
        learner = BudgetPatternLearner(coordinator, timezone="UTC")
        learner.load_history("bot", timestamps, values)
        found.append(learner.predict_budget_needs("bot", NOW, 24))
    assert len({prediction.predicted_budget for prediction in found}) == 1
    assert all(prediction.known_until == NOW for prediction in found)


def test_naive_times_are_in_the_learners_time_zone(coordinator):
    noon = NOW.replace(hour=12, tzinfo=None)
    learner = BudgetPatternLearner(coordinator, min_data_points=1, timezone=ZoneInfo("Asia/Kolkata"))
    coordinator.clock.advance(24 * HOUR)
    learner.load_history("bot", [noon], [1])
    assert learner.analyze_patterns("bot").start.astimezone(UTC) == NOW.replace(hour=6, minute=30)
    prediction = learner.predict_budget_needs("bot", noon + HOUR, 1)
    assert prediction.start == NOW.replace(hour=7, minute=30)
    local = BudgetPatternLearner(coordinator, min_data_points=1)
    local.load_history("bot", [noon], [1])
    assert local.analyze_patterns("bot").start == noon.astimezone()


@pytest.mark.parametrize(
    ("timestamps", "amounts", "error", "message"),
    [
        ([NOW], [1, 2], ConfigurationError, "1 timestamps and 2 amounts"),
        ([NOW, NOW], [1, -1], InvalidAmountError, "amounts"),
        ([NOW], [0.5], TypeError, "a float cannot hold decimal amounts exactly"),
        ([NOW, NOW], np.array([1.0, np.nan]), ConfigurationError, "hour 1 is NaN"),
        ([NOW], np.array([-1.0]), ConfigurationError, "hour 0 is -1"),
        ([NOW], np.array(["1"]), ConfigurationError, "array of real numbers"),
        ([NOW], np.array([[1.0]]), ConfigurationError, "one dimension"),
        (["2026-01-01"], [1], TypeError, "must be a datetime"),
        (np.array(["NaT"], dtype="datetime64[s]"), [1], TypeError, "must be a datetime"),
        ([1234567890], [1], TypeError, "must be a datetime"),
        (np.array([1234567890]), [1], TypeError, "must be datetime64, not int64"),
    ],
)
def test_a_history_that_is_wrong_changes_nothing(learner, timestamps, amounts, error, message):
    with pytest.raises(error, match=message):
        learner.load_history("bot", timestamps, amounts)
    assert learner.known_agents() == []


def test_only_the_learning_period_counts(coordinator):
    learner = BudgetPatternLearner(coordinator, learning_period_days=7, min_data_points=1, timezone=UTC)
    teach(learner, days=30, need=lambda time: 100 if time < NOW - timedelta(days=7) else 1)
    patterns = learner.analyze_patterns("bot")
    assert (patterns.usage == 1).all() and len(patterns.usage) == 7 * 24
    prediction = learner.predict_budget_needs("bot", NOW, 24)
    assert (prediction.known_hours, float(prediction.predicted_budget)) == (7 * 24, pytest.approx(24))


# ---------------------------------------------------------------------------------- predicting


def test_the_prediction_says_what_it_is_about(learner):
    teach(learner)
    prediction = learner.predict_budget_needs("bot", NOW + timedelta(minutes=7), 24)
    assert (prediction.agent_id, prediction.start, prediction.end) == ("bot", NOW, NOW + 24 * HOUR)
    assert prediction.lower <= prediction.predicted_budget <= prediction.upper
    assert isinstance(prediction.predicted_budget, Decimal)
    assert (prediction.level, prediction.margin) == (0.8, Decimal("1.2"))
    assert sum(prediction.hourly) == pytest.approx(16, abs=1)
    assert sum(prediction.experts.values()) == pytest.approx(1)
    told = prediction.to_dict()
    assert told["reliable"] is True and told["start"] == "2026-03-02T00:00:00+00:00"
    assert "1.2 times that is enough with probability" in str(prediction)


@pytest.mark.parametrize(
    ("ahead", "hours", "need"),
    [(9, 1, 2), (10, 4, 8), (0, 9, 0), (24, 24, 16), (33, 8, 16), (48, 48, 32), (96, 72, 16), (0, 168, 80)],
)
def test_windows_of_hours_and_days_ahead(coordinator, ahead, hours, need):
    learner = BudgetPatternLearner(coordinator, learning_period_days=42, timezone=UTC)
    teach(learner, days=42)
    prediction = learner.predict_budget_needs("bot", NOW + ahead * HOUR, hours)
    assert float(prediction.predicted_budget) == pytest.approx(need, rel=0.15, abs=0.2)
    assert prediction.end - prediction.start == hours * HOUR


def test_a_past_time_is_predicted_from_what_was_before_it(learner):
    teach(learner, need=lambda time: 1 if time < NOW - 48 * HOUR else 50)
    prediction = learner.predict_budget_needs("bot", NOW - 48 * HOUR, 24)
    assert float(prediction.predicted_budget) == pytest.approx(24, rel=0.01)
    assert prediction.known_until == NOW - 48 * HOUR


def test_what_is_known_from_too_long_ago_is_not_enough(learner):
    teach(learner)
    assert learner.predict_budget_needs("bot", NOW + 14 * 24 * HOUR, 24) is not None
    assert learner.predict_budget_needs("bot", NOW + 15 * 24 * HOUR, 24) is None


def test_reliability_is_confidence_of_the_asked_level(coordinator):
    rng = np.random.default_rng(3)
    found = {}
    for level in (0.5, 0.95):
        learner = BudgetPatternLearner(coordinator, prediction_confidence=level, timezone=UTC)
        for agent in range(20):
            usage = rng.lognormal(0, 1, 336)
            learner.load_history(f"agent {agent}", hours_before(NOW), usage)
        found[level] = learner.predict_budget_needs("agent 0", NOW, 24)
    assert found[0.5].reliable and not found[0.95].reliable
    width = {level: one.upper - one.lower for level, one in found.items()}
    assert width[0.95] > 2 * width[0.5]


@pytest.mark.parametrize("days_after_the_change", [1, 3, 6])
def test_habits_follow_the_local_clock_when_it_changes(coordinator, days_after_the_change):
    berlin = ZoneInfo("Europe/Berlin")
    learner = BudgetPatternLearner(coordinator, timezone=berlin)
    now = datetime(2026, 3, 29, tzinfo=berlin) + timedelta(days=days_after_the_change)
    hours = [now.astimezone(UTC) - n * HOUR for n in range(14 * 24, 0, -1)]
    coordinator.clock.set_wall(now)
    learner.load_history("bot", hours, [2 if 9 <= h.astimezone(berlin).hour < 17 else 0 for h in hours])
    for hour, need in [(8, 0), (9, 2), (16, 2), (17, 0)]:
        prediction = learner.predict_budget_needs("bot", now.replace(hour=hour), 1)
        assert float(prediction.predicted_budget) == pytest.approx(need, abs=0.1), hour


def test_a_day_with_an_hour_more_needs_more(coordinator):
    learner = BudgetPatternLearner(coordinator, timezone="Europe/Berlin")
    start = datetime(2026, 10, 25, tzinfo=ZoneInfo("Europe/Berlin"))
    coordinator.clock.set_wall(start)
    learner.load_history("bot", [start.astimezone(UTC) - n * HOUR for n in range(336, 0, -1)], [1] * 336)
    assert float(learner.predict_budget_needs("bot", start, 25).predicted_budget) == pytest.approx(25)


# ---------------------------------------------------------------------------------- patterns


def test_patterns_of_an_office(learner, tmp_path):
    rng = np.random.default_rng(0)
    hours = hours_before(NOW)
    usage = np.array([office(hour) for hour in hours]) * rng.lognormal(0, 0.05, 336)
    usage[100] = 40.0
    learner.load_history("bot", hours, usage)
    patterns = learner.analyze_patterns("bot")
    assert (patterns.by_time_of_day[9:17] > 1.3).all()
    assert (patterns.by_time_of_day > 0).sum() == 9  # the eight hours, and the one of the anomaly
    assert patterns.profile.shape == (7, 24) and patterns.profile[6].sum() == 0
    assert patterns.daily_strength > 0.3 and patterns.weekly_strength > 0.5
    [anomaly] = patterns.anomalies
    assert (anomaly.time, anomaly.expected) == (hours[100], 0)
    assert " 40 instead of 0" in str(patterns)
    assert "<table>" in patterns._repr_html_()
    figure = patterns.plot()
    figure.savefig(tmp_path / "patterns.png")
    drawn = {line.get_gid(): line for line in figure.axes[0].lines}
    assert np.allclose(drawn["usage"].get_ydata(), usage)
    learner.budget_coordinator.register_agent("new", "team")
    assert learner.analyze_patterns("new").plot().axes


@pytest.mark.parametrize("minutes", [15, 30, 60, 120, 240, 480, 1440])
def test_buckets_of_any_length_hold_the_same_usage(learner, minutes):
    teach(learner)
    patterns = learner.analyze_patterns("bot", time_bucket_minutes=minutes)
    assert len(patterns.usage) == 14 * 1440 // minutes
    assert patterns.usage.sum() == 160
    assert len(patterns.by_time_of_day) == 1440 // minutes
    assert patterns.by_weekday.tolist() == [16] * 5 + [0] * 2


@pytest.mark.parametrize("minutes", [0, -60, 7, 50, 2880, 60.0, True, "60"])
def test_buckets_of_no_use_are_refused(learner, minutes):
    with pytest.raises(ConfigurationError, match="time_bucket_minutes must be a multiple of 15"):
        learner.analyze_patterns("bot", minutes)


def test_a_trend_is_the_median_slope(learner):
    first = NOW - timedelta(days=14)
    teach(learner, need=lambda time: 10 + (time - first).days)
    assert learner.analyze_patterns("bot").trend == pytest.approx(1 / 16.5)


def test_noise_has_no_season(learner):
    learner.load_history("bot", hours_before(NOW), np.random.default_rng(1).lognormal(0, 0.5, 336))
    patterns = learner.analyze_patterns("bot")
    assert patterns.daily_strength < 0.05 and patterns.weekly_strength < 0.05


# ---------------------------------------------------------------------------------- controller


def test_budgets_are_set_only_when_it_is_started(learner, coordinator, clock):
    learner.start_collection()
    work(coordinator, clock, 15, times=2)
    before = coordinator.get_budget("bot")
    [proposed] = learner.evaluate()
    assert (proposed.subject, proposed.old, proposed.status) == ("bot", before, "proposed")
    assert coordinator.get_budget("bot") == before
    assert not learner.running
    [applied] = learner.run_once()
    need = applied.inputs["predicted_budget"]
    assert coordinator.get_budget("bot") == applied.new == pytest.approx(need * Decimal("1.2"))
    assert 16 <= need <= 17
    assert "it will need about 16" in applied.reason
    learner.stop_collection()


def test_started_it_sets_budgets_each_interval(coordinator, clock):
    learner = BudgetPatternLearner(coordinator, min_data_points=20, timezone=UTC)
    with learner:
        assert learner.collecting and learner.running
        work(coordinator, clock, 12, need=lambda _: 1)
    assert not learner.running
    times = [decision.time for decision in learner.history]
    assert times and all(time.hour == 0 for time in times)
    assert float(learner.history[-1].new) == pytest.approx(24 * 1.2, rel=0.02)
    assert {decision.status for decision in learner.history} == {"applied"}


def test_agents_that_are_not_registered_get_no_budget(learner, coordinator):
    for agent in ("bot", "stranger"):
        teach(learner, agent)
    assert [decision.subject for decision in learner.evaluate()] == ["bot"]
    assert coordinator.get_all_agent_ids() == ["bot"]


def test_an_agent_that_leaves_while_needs_are_predicted_is_left_out(learner, coordinator, monkeypatch):
    coordinator.register_agent("other", "team", initial_budget=1)
    for agent in ("bot", "other"):
        teach(learner, agent, need=every_day)
    registered = coordinator.get_all_agent_ids()
    monkeypatch.setattr(coordinator, "get_all_agent_ids", lambda: registered)
    coordinator.unregister_agent("bot")  # right after it was looked up
    [decision] = learner.run_once()
    assert (decision.subject, decision.status) == ("other", "applied")
    assert coordinator.notification_manager.get_alerts(AlertSeverity.ERROR) == []


def test_what_is_not_reliable_changes_nothing(learner, coordinator):
    rng = np.random.default_rng(0)
    learner.load_history("bot", hours_before(NOW), rng.lognormal(0, 3, 336))
    assert not learner.predict_budget_needs("bot", NOW, 24).reliable
    assert learner.evaluate() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_period_days": 0}, "learning_period_days must be from 1 to 366"),
        ({"learning_period_days": 1.5}, "learning_period_days"),
        ({"learning_period_days": True}, "learning_period_days"),
        ({"prediction_confidence": 1}, "prediction_confidence must be above 0 and below 1"),
        ({"prediction_confidence": "0.8"}, "prediction_confidence must be a number, not '0.8'"),
        ({"min_data_points": 0}, "min_data_points"),
        ({"interval_seconds": 1800}, "whole hours"),
        ({"interval_seconds": 400 * 86_400}, "interval_seconds must be whole hours, at most 8784"),
        ({"timezone": "Mars/Olympus"}, "timezone 'Mars/Olympus' is not known"),
        ({"timezone": 1}, "timezone must be a name such as"),
    ],
)
def test_bad_configuration_is_refused(coordinator, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        BudgetPatternLearner(coordinator, **arguments)


@pytest.mark.parametrize("hours", [0, -1, 0.5, float("nan"), 9000, "24", True])
def test_windows_of_no_use_are_refused(learner, hours):
    with pytest.raises(ConfigurationError, match="prediction_window_hours must be "):
        learner.predict_budget_needs("bot", NOW, hours)


def test_times_and_ids_of_a_wrong_type_are_refused(learner):
    teach(learner)
    with pytest.raises(TypeError, match="must be a datetime"):
        learner.predict_budget_needs("bot", "tomorrow")
    with pytest.raises(TypeError, match="agent_id must be a str"):
        learner.predict_budget_needs(7, NOW)
    assert learner.predict_budget_needs("bot", datetime.max.replace(tzinfo=UTC)) is None


def test_importing_it_imports_nothing_heavy():
    program = (
        "import sys, safeguards.budget.pattern_learner;"
        "print('numpy' in sys.modules, 'zoneinfo' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "False False\n"

"""Grants: what is set, when, and only once."""

import gc
import json
import threading
import weakref
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from time import monotonic, sleep
from zoneinfo import ZoneInfo

import pytest

from safeguards import (
    AlertSeverity,
    BudgetCoordinator,
    BudgetTimeScheduler,
    ConfigurationError,
    InvalidAmountError,
    ManualClock,
    UnknownPoolError,
)
from time_scheduler.schedules import GUIDE, NESTED, WEEKDAYS, WEEKEND, window

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
BUDGETS = {name: entry["budget"] for name, entry in GUIDE.items()}


def hours(n):
    return timedelta(hours=n)


@pytest.fixture
def clock():
    return ManualClock(MONDAY + hours(8.5))


@pytest.fixture
def scheduler(coordinator):
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC")
    scheduler.add_time_profile("team", GUIDE)
    yield scheduler
    scheduler.stop()


def grants(scheduler):
    return [(d.inputs["profile"], d.time) for d in scheduler.history if d.status == "applied"]


def test_a_grant_sets_what_remains_and_begins_a_period(scheduler, coordinator):
    decision = scheduler.apply_current_profile("team")
    assert (decision.old, decision.new, decision.status) == (10, 500, "applied")
    assert decision.reason == "profile 'night_hours' is in force until Mon 2026-01-05 09:00"
    assert decision.inputs == {"profile": "night_hours", "start": MONDAY, "end": MONDAY + hours(9)}
    assert coordinator.get_pool_budget("team") == 500
    assert coordinator.get_pool_metrics("team").initial_budget == 500
    assert coordinator.get_pool_events("team")[-1].kind == "update"
    assert scheduler.history == [decision]
    [alert] = coordinator.notification_manager.get_alerts()
    assert (alert.severity, alert.account) == (AlertSeverity.INFO, "team")


def test_reservations_and_what_was_spent_are_untouched(scheduler, coordinator):
    coordinator.debit("bot", "0.25")
    reservation = coordinator.reserve("bot", "0.5")
    scheduler.apply_current_profile("team")
    metrics = coordinator.get_pool_metrics("team")
    assert (metrics.remaining, metrics.reserved, metrics.spent) == (500, Decimal("0.5"), Decimal("0.25"))
    reservation.release()


def test_it_is_granted_once_whatever_is_spent(scheduler, coordinator, clock):
    assert scheduler.apply_current_profile("team")
    coordinator.debit("bot", 1)
    assert scheduler.apply_current_profile("team") is None
    assert scheduler.run_once() == [] and scheduler.evaluate() == []
    clock.advance(29 * 60)
    assert scheduler.apply_current_profile("team") is None
    assert coordinator.get_pool_budget("team") == 499
    clock.advance(60)
    assert scheduler.evaluate()[0].new == 5000
    assert coordinator.get_pool_budget("team") == 499
    [decision] = scheduler.run_once()
    assert (decision.new, coordinator.get_pool_budget("team")) == (5000, 5000)


def test_a_grant_of_what_remains_already_counts(scheduler, coordinator):
    coordinator.update_pool_budget("team", 500)
    assert scheduler.apply_current_profile("team").new == 500
    coordinator.debit("bot", 1)
    assert scheduler.run_once() == []
    assert coordinator.get_pool_budget("team") == 499


def test_in_a_gap_nothing_happens(scheduler, coordinator, clock):
    scheduler.remove_time_profile("team", "night_hours")
    assert scheduler.current_profile("team") is None
    assert scheduler.apply_current_profile("team") is None
    assert coordinator.get_pool_budget("team") == 10
    clock.advance(1800)
    assert scheduler.apply_current_profile("team").new == 5000


def test_the_week_of_the_guide(scheduler, coordinator, clock):
    scheduler.start()
    clock.advance(timedelta(days=7) - hours(8.5))
    night = [("night_hours", MONDAY + timedelta(days=day) + hours(22)) for day in range(5)]
    business = [("business_hours", MONDAY + timedelta(days=day) + hours(9)) for day in range(5)]
    evening = [("evening_hours", MONDAY + timedelta(days=day) + hours(17)) for day in range(5)]
    expected = [
        ("night_hours", MONDAY + hours(8.5) + timedelta(minutes=1)),
        *sorted(night + business + evening, key=lambda entry: entry[1]),
        ("weekend", MONDAY + timedelta(days=5)),
        ("night_hours", MONDAY + timedelta(days=7)),
    ]
    assert grants(scheduler) == expected
    assert [decision.new for decision in scheduler.history] == [BUDGETS[name] for name, _ in expected]
    assert coordinator.get_pool_budget("team") == 500


def test_start_waits_for_the_next_run_or_the_next_transition(scheduler, coordinator, clock):
    scheduler.start()
    clock.advance(59)
    assert coordinator.get_pool_budget("team") == 10
    clock.advance(1)
    assert coordinator.get_pool_budget("team") == 500
    clock.advance(28 * 60 + 59.999)
    assert coordinator.get_pool_budget("team") == 500
    clock.advance(0.001)
    assert coordinator.get_pool_budget("team") == 5000
    scheduler.stop()
    clock.set_wall(MONDAY + hours(16.9999))
    scheduler.start()
    clock.advance(0.37)
    assert coordinator.get_pool_budget("team") == 2000


def test_a_clock_that_is_set_forward_and_back(scheduler, coordinator, clock):
    scheduler.start()
    clock.advance(60)
    clock.set_wall(MONDAY + hours(18))
    assert coordinator.get_pool_budget("team") == 500
    clock.advance(60)
    assert coordinator.get_pool_budget("team") == 2000
    coordinator.debit("bot", 1)
    clock.set_wall(MONDAY + hours(8))
    clock.advance(60)  # the night again, which was granted
    assert coordinator.get_pool_budget("team") == 1999
    clock.set_wall(MONDAY + hours(19))
    clock.advance(60)  # and the evening
    assert coordinator.get_pool_budget("team") == 1999
    assert [name for name, _ in grants(scheduler)] == ["night_hours", "evening_hours"]
    assert scheduler.current_profile("team").name == "evening_hours"


def test_a_year_forward_by_mistake_blocks_nothing(scheduler, coordinator, clock):
    clock.set_wall(MONDAY + timedelta(days=365))
    scheduler.run_once()
    clock.set_wall(MONDAY + hours(10))
    assert scheduler.run_once()[0].new == 5000


def test_a_profile_that_begins_while_a_run_is_under_way_is_granted_right_after_it(
    scheduler, coordinator, clock, monkeypatch
):
    propose = scheduler.propose

    def think(now):  # it looked at 08:59:59.9, and takes its time
        decisions = propose(now)
        if now < MONDAY + hours(9):
            clock._skip(200_000_000)
        return decisions

    monkeypatch.setattr(scheduler, "propose", think)
    clock.advance(timedelta(minutes=29, seconds=-0.1))
    scheduler.start()
    clock.advance(60)
    clock.advance(0)
    assert clock.now() < MONDAY + hours(9) + timedelta(seconds=1)
    assert [d.inputs["profile"] for d in scheduler.history] == ["night_hours", "business_hours"]
    assert coordinator.get_pool_budget("team") == BUDGETS["business_hours"]


def test_clocks_that_are_set_back_for_winter(coordinator, clock):
    scheduler = BudgetTimeScheduler(coordinator, timezone="Europe/Berlin")
    schedule = {
        "late": window(time(20), time(2, 30), budget=20),
        "early": window(time(2, 30), time(20), budget=30),
    }
    scheduler.add_time_profile("team", schedule)
    clock.set_wall(datetime(2026, 10, 24, 23, tzinfo=BERLIN))
    scheduler.start()
    seen = []
    for _ in range(5 * 60):
        clock.advance(60)
        budget = coordinator.get_pool_budget("team")
        if not seen or seen[-1][1] != budget:
            seen.append((clock.now().astimezone(BERLIN).strftime("%H:%M %z"), budget))
    assert seen == [("23:01 +0200", 20), ("02:30 +0200", 30)]
    assert (
        scheduler.current_profile("team", datetime(2026, 10, 25, 2, 15, fold=1, tzinfo=BERLIN)).name == "late"
    )
    assert scheduler.current_profile("team", datetime(2026, 10, 25, 2, 45, tzinfo=BERLIN)).name == "early"


def test_another_scheduler_does_not_grant_again(scheduler, coordinator, clock):
    scheduler.apply_current_profile("team")
    coordinator.debit("bot", 1)
    second = BudgetTimeScheduler(coordinator, timezone="UTC")
    second.add_time_profile("team", GUIDE)
    assert second.apply_current_profile("team") is None
    clock.advance(1800)
    assert second.apply_current_profile("team").new == 5000
    assert scheduler.run_once() == []


def test_another_process_does_not_grant_again(scheduler, coordinator, clock):
    scheduler.apply_current_profile("team")
    state = json.loads(json.dumps(scheduler.state()))
    assert state["granted"] == {"team": [["night_hours", "2026-01-05T00:00:00+00:00"]]}
    other = BudgetCoordinator(clock=clock)
    other.create_budget_pool("team", 7)
    later = BudgetTimeScheduler(other, timezone="UTC")
    later.restore(state)
    later.add_time_profile("team", GUIDE)
    assert later.apply_current_profile("team") is None
    assert other.get_pool_budget("team") == 7
    clock.advance(1800)
    assert later.apply_current_profile("team").new == 5000


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"version": 1, "granted": {}, "demand": {}},
        {"version": 2, "granted": {"team": [["a"]]}, "demand": {}},
        {"version": 2, "granted": {"team": [["a", "yesterday"]]}, "demand": {}},
        {"version": 2, "granted": {"ok": [["a", "2026-01-05T00:00:00+00:00"]]}, "demand": {"team": []}},
        {"version": 2, "granted": {}, "demand": {"team": {"2026-01-05": [1]}}},
        {"version": 2, "granted": {}, "demand": {"team": {"2026-01-05": ["x"] * 144}}},
        {"version": 2, "granted": {}, "demand": {"team": {"2026-01-05": [-1.0] * 144}}},
        {"version": 2, "granted": {}, "demand": {"team": {"2026-01-05": [float("inf")] * 144}}},
        {"version": 2, "granted": {}, "demand": {"team": {"Monday": [1] * 144}}},
        {
            "version": 2,
            "granted": {},
            "demand": {"team": {f"2026-01-{day}": [1] * 144 for day in range(10, 21)}},
        },
    ],
)
def test_a_state_that_is_none_changes_nothing(scheduler, state):
    before = scheduler.state()
    with pytest.raises(ConfigurationError, match="state must be what"):
        scheduler.restore(state)
    assert scheduler.state() == before


def test_memory_of_grants_is_bounded_and_goes_with_the_coordinator(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 1)
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC")
    scheduler.add_time_profile("team", {"x": window(time(0), time(12)), "y": window(time(12), time(0))})
    for _ in range(1_200):
        clock.advance(hours(12))
        assert len(scheduler.run_once()) == 1
    assert len(scheduler.state()["granted"]["team"]) == 1_000
    gone = weakref.ref(coordinator)
    del coordinator, scheduler
    gc.collect()
    assert gone() is None


def test_a_veto_holds_until_the_profile_is_over(scheduler, coordinator, clock):
    asked = []
    scheduler.on_decision(lambda decision: asked.append(decision.new) or decision.new > 1000)
    scheduler.start()
    clock.advance(hours(1))
    assert asked == [500, 5000]
    assert [decision.status for decision in scheduler.history] == ["vetoed", "applied"]
    assert coordinator.get_pool_budget("team") == 5000


def test_one_may_ask_again_after_a_veto(scheduler, coordinator):
    answers = iter([False, True])
    scheduler.on_decision(lambda _: next(answers))
    assert scheduler.apply_current_profile("team").status == "vetoed"
    assert scheduler.run_once() == []
    assert scheduler.apply_current_profile("team").status == "applied"
    assert coordinator.get_pool_budget("team") == 500


def test_a_pinned_pool_gets_its_grant_when_it_is_unpinned(scheduler, coordinator, clock):
    coordinator.pin("team")
    scheduler.start()
    clock.advance(600)
    assert [decision.status for decision in scheduler.history] == ["pinned"]
    assert coordinator.get_pool_budget("team") == 10
    coordinator.unpin("team")
    clock.advance(60)
    assert coordinator.get_pool_budget("team") == 500


def test_a_grant_that_fails_is_tried_again(scheduler, coordinator, clock, monkeypatch):
    def broken(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(BudgetCoordinator, "execute", broken)
    [decision] = scheduler.run_once()
    assert (decision.status, decision.error) == ("failed", "no")
    monkeypatch.undo()
    [decision] = scheduler.run_once()
    assert decision.status == "applied"


def test_max_change_bounds_a_grant(coordinator):
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC", max_change=0.5)
    scheduler.add_time_profile("team", GUIDE)
    assert scheduler.apply_current_profile("team").new == 15
    assert scheduler.apply_current_profile("team") is None


def test_many_threads_grant_once(coordinator, clock):
    schedulers = [BudgetTimeScheduler(coordinator, timezone="UTC") for _ in range(8)]
    for scheduler in schedulers:
        scheduler.add_time_profile("team", GUIDE)
    for day in range(20):
        clock.set_wall(MONDAY + timedelta(days=7 * day) + hours(10))
        barrier = threading.Barrier(len(schedulers))

        def run(scheduler, barrier=barrier):
            barrier.wait()
            scheduler.apply_current_profile("team")

        threads = [threading.Thread(target=run, args=(scheduler,)) for scheduler in schedulers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        updates = [e for e in coordinator.get_pool_events("team") if e.kind == "update"]
        assert len(updates) == 1 + day + 1  # the first one is the creation


def test_the_narrower_window_is_in_force(scheduler, coordinator, clock):
    scheduler.add_time_profile("team", {"lunch": window(time(12), time(13), WEEKDAYS, 50)})
    assert scheduler.current_profile("team", MONDAY + hours(12.5)).name == "lunch"
    clock.set_wall(MONDAY + hours(10))
    budgets = []
    for _ in range(5):
        scheduler.run_once()
        budgets.append(coordinator.get_pool_budget("team"))
        clock.advance(3600)
    # What comes back after it is granted: a pool must not be left with the budget of its lunch.
    assert budgets == [5000, 5000, 50, 5000, 5000]


def test_validate_lists_gaps_and_overlaps(scheduler):
    assert scheduler.validate("team") == []
    scheduler.add_time_profile("team", {"lunch": window(time(12), time(13), [0])})
    scheduler.remove_time_profile("team", "night_hours")
    issues = [str(issue) for issue in scheduler.validate("team")]
    assert issues == [
        "gap Mon 00:00 to Mon 09:00: no profile is in force, the pool keeps what it has",
        "overlap Mon 12:00 to Mon 13:00: 'lunch' is in force, narrower than 'business_hours'",
        "gap Mon 22:00 to Tue 09:00: no profile is in force, the pool keeps what it has",
        "gap Tue 22:00 to Wed 09:00: no profile is in force, the pool keeps what it has",
        "gap Wed 22:00 to Thu 09:00: no profile is in force, the pool keeps what it has",
        "gap Thu 22:00 to Fri 09:00: no profile is in force, the pool keeps what it has",
        "gap Fri 22:00 to Sat 00:00: no profile is in force, the pool keeps what it has",
    ]
    scheduler.remove_time_profile("team", "weekend")
    last = scheduler.validate("team")[-1]
    assert str(last).startswith("gap Fri 22:00 to Mon 09:00")
    assert (last.start, last.end) == (timedelta(days=4, hours=22), timedelta(days=7, hours=9))


def test_days_of_the_start(coordinator):
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC", days_mean="start")
    scheduler.add_time_profile("team", {"night": window(time(22), time(9), WEEKDAYS)})
    friday = MONDAY + timedelta(days=4)
    assert scheduler.current_profile("team", friday + hours(30)).name == "night"
    assert scheduler.current_profile("team", MONDAY + hours(1)) is None
    scheduler.add_time_profile("team", {"night": window(time(22), time(9), WEEKDAYS)}, days_mean="current")
    assert scheduler.current_profile("team", friday + hours(30)) is None
    assert scheduler.current_profile("team", MONDAY + hours(1)).name == "night"


def test_each_day_of_a_weekend(coordinator, clock):
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC")
    for each_day, expected in ((False, 2), (True, 3)):
        weekend = window(time(0), time(23, 59), WEEKEND, 9, each_day=each_day)
        scheduler.add_time_profile("team", {f"weekend {each_day}": weekend})
        assert len(scheduler.transitions("team", MONDAY, MONDAY + timedelta(days=7))) == expected
        scheduler.remove_time_profile("team")


def test_transitions_and_the_next_one(scheduler):
    changes = scheduler.transitions("team", MONDAY, MONDAY + timedelta(days=1))
    assert [(c.time - MONDAY, c.before, c.after) for c in changes] == [
        (hours(0), "weekend", "night_hours"),
        (hours(9), "night_hours", "business_hours"),
        (hours(17), "business_hours", "evening_hours"),
        (hours(22), "evening_hours", "night_hours"),
    ]
    assert scheduler.next_transition("team") == changes[1]
    assert scheduler.next_transition("team", MONDAY + hours(9)) == changes[2]
    assert scheduler.next_transition("team", datetime(2026, 1, 5, 16)) == changes[2]  # noqa: DTZ001 - in the zone
    assert str(changes[1]) == "Mon 2026-01-05 09:00 UTC 'team': night_hours -> business_hours"
    assert scheduler.transitions("team", MONDAY, MONDAY) == []


def test_pools_have_zones_of_their_own(scheduler, coordinator):
    coordinator.create_budget_pool("tokyo", 1)
    scheduler.add_time_profile("tokyo", GUIDE, timezone="Asia/Tokyo")
    assert scheduler.current_profile("tokyo", MONDAY).name == "business_hours"
    assert scheduler.current_profile("tokyo", datetime(2026, 1, 5, 9)).name == "business_hours"  # noqa: DTZ001
    assert scheduler.current_profile("team", MONDAY).name == "night_hours"
    scheduler.add_time_profile("tokyo", {"lunch": window(time(12), time(13))})
    assert scheduler.current_profile("tokyo", MONDAY).name == "business_hours"  # the zone stays
    fixed = timezone(timedelta(hours=-3))
    scheduler.add_time_profile("tokyo", {"lunch": window(time(12), time(13))}, timezone=fixed)
    assert scheduler.current_profile("tokyo", MONDAY + hours(15)).name == "lunch"


def test_adding_replaces_and_keeps(scheduler):
    scheduler.add_time_profile("team", {"weekend": window(time(0), time(23, 59), WEEKEND, 1)})
    assert [p.name for p in scheduler.get_time_profiles("team")] == list(GUIDE)
    assert scheduler.get_time_profiles("team")[-1].budget == 1


def test_what_is_shown(scheduler):
    text = scheduler.describe("team").splitlines()
    assert text[:4] == [
        "pool 'team', UTC",
        "from       to         profile         budget",
        "Mon 00:00  Mon 09:00  night_hours        500",
        "Mon 09:00  Mon 17:00  business_hours    5000",
    ]
    assert text[-1] == "Sat 00:00  Mon 00:00  weekend           1000"
    assert len(text) == 2 + 17
    html = scheduler._repr_html_()
    assert html.count("<tr>") == 18 and "business_hours" in html
    scheduler.add_time_profile("team", {"<b>": window(time(1), time(2))})
    assert "<b>" not in scheduler._repr_html_()
    assert repr(scheduler) == "BudgetTimeScheduler(stopped, every 60 s, 0 decisions)"


def profile(**changes):
    return {"x": window(time(9), time(17)) | changes}


@pytest.mark.parametrize(
    ("schedule", "error", "why"),
    [
        ({}, ConfigurationError, "schedule must be a mapping of at least one profile"),
        ([1], ConfigurationError, "schedule must be a mapping"),
        ({"x": 5}, ConfigurationError, r"schedule\['x'\] must be a mapping with 'budget', 'start_time'"),
        ({3: profile()["x"]}, ConfigurationError, "the name of a profile must be text, not 3"),
        (
            profile(start=3),
            ConfigurationError,
            r"schedule\['x'\] has an unknown key 'start': did you mean 'start_time'",
        ),
        (profile(colour=3), ConfigurationError, "unknown key 'colour': there are 'budget'"),
        (
            {"x": {"budget": 1, "start_time": time(9)}},
            ConfigurationError,
            r"schedule\['x'\] has no 'end_time'",
        ),
        (profile(days=[7]), ConfigurationError, r"schedule\['x'\]\['days'\] must be numbers from 0"),
        (profile(days=[-1]), ConfigurationError, "must be numbers from 0"),
        (profile(days=[]), ConfigurationError, "at least one"),
        (profile(days="01"), ConfigurationError, "must be numbers from 0"),
        (profile(days=[True]), ConfigurationError, "must be numbers from 0"),
        (profile(days=3), ConfigurationError, "must be numbers from 0"),
        (profile(start_time="09:00"), ConfigurationError, r"\['start_time'\] must be a datetime.time"),
        (profile(end_time=MONDAY), ConfigurationError, r"\['end_time'\] must be a datetime.time"),
        (profile(end_time=time(17, tzinfo=UTC)), ConfigurationError, r"\['end_time'\] must have no tzinfo"),
        (profile(end_time=time(9)), ConfigurationError, r"schedule\['x'\] ends at 09:00:00, when it starts"),
        (profile(each_day=1), ConfigurationError, r"\['each_day'\] must be True or False"),
        (profile(budget=-1), InvalidAmountError, r"schedule\['x'\]\['budget'\]"),
        (profile(budget="NaN"), InvalidAmountError, r"schedule\['x'\]\['budget'\]"),
        (profile(budget=1.5), TypeError, r"schedule\['x'\]\['budget'\]"),
        (
            {"y": window(time(10), time(18), [3])},
            ConfigurationError,
            "'business_hours' and 'y' overlap on Thu 10:00 and are of equal width",
        ),
        (
            profile(days=[6]) | {"y": window(time(16), time(0), [6])},
            ConfigurationError,
            "profiles 'x' and 'y' overlap on Sun 16:00",
        ),
    ],
)
def test_a_schedule_that_makes_no_sense_changes_nothing(scheduler, schedule, error, why):
    before = scheduler.get_time_profiles("team")
    with pytest.raises(error, match=why):
        scheduler.add_time_profile("team", schedule)
    assert scheduler.get_time_profiles("team") == before


def test_a_tie_that_a_narrower_one_decides_is_none(scheduler):
    schedule = {"a": window(time(0), time(2)), "b": window(time(1), time(3)), "c": window(time(1), time(2))}
    scheduler.remove_time_profile("team")
    scheduler.add_time_profile("team", schedule)
    assert scheduler.current_profile("team", MONDAY + hours(1.5)).name == "c"


@pytest.mark.parametrize(
    ("arguments", "error", "why"),
    [
        ({"timezone": "Mars/Olympus"}, ConfigurationError, "timezone 'Mars/Olympus' is not known"),
        ({"timezone": "../etc/passwd"}, ConfigurationError, "is not known"),
        ({"timezone": ""}, ConfigurationError, "is not known"),
        ({"timezone": 5}, ConfigurationError, "timezone must be a name such as"),
        ({"days_mean": "end"}, ConfigurationError, "days_mean must be 'current' or 'start', not 'end'"),
        ({"pacing": "fast"}, ConfigurationError, "pacing must be 'none', 'even' or 'forecast', not 'fast'"),
    ],
)
def test_arguments_that_make_no_sense(scheduler, coordinator, arguments, error, why):
    with pytest.raises(error, match=why):
        BudgetTimeScheduler(coordinator, **arguments)
    with pytest.raises(error, match=why):
        scheduler.add_time_profile("team", GUIDE, **arguments)


def test_intervals_are_at_most_a_minute(coordinator):
    with pytest.raises(ConfigurationError, match="interval_seconds must be at most 60"):
        BudgetTimeScheduler(coordinator, interval_seconds=61)
    with pytest.raises(ConfigurationError, match="interval"):
        BudgetTimeScheduler(coordinator, interval_seconds=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda s, pool: s.apply_current_profile(pool),
        lambda s, pool: s.current_profile(pool),
        lambda s, pool: s.current_occurrence(pool),
        lambda s, pool: s.next_transition(pool),
        lambda s, pool: s.transitions(pool, MONDAY, MONDAY),
        lambda s, pool: s.validate(pool),
        lambda s, pool: s.describe(pool),
        lambda s, pool: s.get_time_profiles(pool),
        lambda s, pool: s.remove_time_profile(pool),
        lambda s, pool: s.throttle(pool),
        lambda s, pool: s.admits(pool, 1),
    ],
)
def test_pools_that_are_unknown_or_have_no_schedule(scheduler, coordinator, call):
    with pytest.raises(UnknownPoolError):
        call(scheduler, "nobody")
    coordinator.create_budget_pool("other", 1)
    with pytest.raises(
        ConfigurationError, match="pool 'other' has no schedule: give it one with add_time_profile"
    ):
        call(scheduler, "other")


def test_other_refusals(scheduler):
    with pytest.raises(UnknownPoolError):
        scheduler.add_time_profile("nobody", GUIDE)
    with pytest.raises(ConfigurationError, match="no profile 'noon': there are 'business_hours'"):
        scheduler.remove_time_profile("team", "noon")
    for at in (
        datetime(9999, 12, 31),  # noqa: DTZ001 - in the zone
        datetime(1, 1, 1),  # noqa: DTZ001
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=BERLIN),
    ):
        with pytest.raises(ConfigurationError, match="at is too near to the ends of the calendar"):
            scheduler.current_profile("team", at)
    with pytest.raises(ConfigurationError, match="after must be a datetime"):
        scheduler.next_transition("team", date(2026, 1, 1))


def test_after_removal_nothing_is_granted(scheduler, coordinator, clock):
    scheduler.start()
    scheduler.remove_time_profile("team")
    clock.advance(hours(24))
    assert coordinator.get_pool_budget("team") == 10


def test_many_pools_on_one_scheduler(clock):
    coordinator = BudgetCoordinator(clock=clock)
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC")
    for n in range(50):
        coordinator.create_budget_pool(f"p{n}", n)
        schedule = NESTED if n % 2 else GUIDE
        scheduler.add_time_profile(f"p{n}", schedule)
    scheduler.start()
    clock.advance(timedelta(days=7))
    for n in range(50):
        changes = scheduler.transitions(f"p{n}", MONDAY + hours(8.5), MONDAY + timedelta(days=7) + hours(8.5))
        granted = [d for d in scheduler.history if d.subject == f"p{n}"]
        assert len(granted) == len(changes) + 1  # and the one at its start


def test_what_is_in_force_when_it_is_added_to_a_running_scheduler_is_granted_at_once(clock, coordinator):
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC")
    with scheduler:
        clock.advance(1)
        scheduler.add_time_profile("team", GUIDE)
        assert scheduler.history == []
        clock.advance(0.001)
        assert grants(scheduler) == [("night_hours", MONDAY + hours(8.5) + timedelta(seconds=1))]
        clock.advance(3600)
        assert len(grants(scheduler)) == 2


def test_one_that_is_not_in_force_yet_waits_for_its_begin(clock, coordinator):
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC")
    with scheduler:
        clock.advance(1)
        later = {"budget": 5, "start_time": time(8, 31), "end_time": time(9)}
        scheduler.add_time_profile("team", {"later": later})
        clock.advance(58)
        assert grants(scheduler) == []
        clock.advance(1)
        assert grants(scheduler) == [("later", MONDAY + hours(8.5) + timedelta(minutes=1))]


def test_on_the_system_s_clock_it_does_not_take_a_minute():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 1)
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC")
    with scheduler:
        always = {"budget": 7, "start_time": time(0), "end_time": time(23, 59)}
        scheduler.add_time_profile("team", {"always": always})
        end = monotonic() + 20
        while coordinator.get_pool_budget("team") != 7 and monotonic() < end:
            sleep(0.01)
    assert coordinator.get_pool_budget("team") == 7

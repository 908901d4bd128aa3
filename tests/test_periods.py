"""Budgets of periods: granted at each boundary of the calendar, once, whatever clocks do."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from cronsim import CronSim

from safeguards import (
    BudgetCoordinator,
    BudgetExceededError,
    ConfigurationError,
    ManualClock,
    UnknownAgentError,
)

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # midnight comes twice
    "America/Santiago",  # midnight is skipped
    "Australia/Lord_Howe",  # moves by half an hour
    "Asia/Kolkata",  # half an hour off
    "Asia/Kathmandu",  # a quarter off
    "Africa/Cairo",
]
CRON = {"hourly": "0 * * * *", "daily": "0 0 * * *", "weekly": "0 0 * * 1", "monthly": "0 0 1 * *"}


def make(start, period, zone="UTC", budget=5):
    clock = ManualClock(start)
    coordinator = BudgetCoordinator(clock=clock)
    pool = coordinator.create_budget_pool("pool", budget, budget_period=period, timezone=zone)
    coordinator.register_agent("bot", pool, initial_budget=10**9)
    return clock, coordinator


def next_grant(coordinator):
    """When the pool is granted anew, as a refusal tells it."""
    with pytest.raises(BudgetExceededError) as caught:
        coordinator.debit("bot", 10**6)
    return caught.value.retry_after


def boundaries(clock, coordinator, until):
    """Every boundary as the ledger has it, from now on."""
    found = []
    while clock.now() < until:
        clock.advance(next_grant(coordinator))
        found.append(clock.now())
    return found


def begin_of_day(day, zone):
    """The first instant of a local date: midnight, or what comes in its place."""
    midnight = datetime.combine(day, time(), zone)
    instant = midnight.astimezone(UTC)
    # A midnight that is skipped reads, turned around, as an earlier or a later time of the clock.
    while instant.astimezone(zone).date() < day:
        instant += timedelta(minutes=15)
    while (instant - timedelta(minutes=15)).astimezone(zone).date() == day:
        instant -= timedelta(minutes=15)
    return instant


def changes_of(zone, year):
    """Days of a year in which the zone's clock changes."""
    days = [date(year, 1, 1) + timedelta(n) for n in range(366)]
    offset = [datetime.combine(day, time(12), zone).utcoffset() for day in days]
    return [day for day, before, after in zip(days[1:], offset, offset[1:], strict=False) if before != after]


@pytest.mark.parametrize("zone_name", ZONES)
@pytest.mark.parametrize("period", ["daily", "weekly", "monthly"])
def test_boundaries_are_those_of_the_calendar(period, zone_name):
    zone = ZoneInfo(zone_name)
    start, until = datetime(2024, 1, 15, 12, tzinfo=UTC), datetime(2027, 2, 2, tzinfo=UTC)
    clock, coordinator = make(start, period, zone_name)
    found = boundaries(clock, coordinator, until)
    days = [date(2024, 1, 16) + timedelta(n) for n in range(1_200)]
    is_first = {
        "daily": lambda _: True,
        "weekly": lambda d: d.weekday() == 0,
        "monthly": lambda d: d.day == 1,
    }
    expected = [begin_of_day(day, zone) for day in days if is_first[period](day)]
    assert found == expected[: len(found)]
    assert len(found) > 30


@pytest.mark.parametrize("zone_name", ZONES)
@pytest.mark.parametrize("period", CRON)
def test_boundaries_are_those_of_cron(period, zone_name):
    """Where midnight is skipped or comes twice cron has its own habits; on all other days the two agree."""
    zone = ZoneInfo(zone_name)
    changes = {
        day + timedelta(n) for year in (2025, 2026) for day in changes_of(zone, year) for n in (-1, 0, 1)
    }
    start = datetime(2025, 2, 1, 0, 30, tzinfo=zone)
    until = start + timedelta(days=60 if period == "hourly" else 500)
    clock, coordinator = make(start, period, zone_name)
    ours = {at for at in boundaries(clock, coordinator, until) if at.astimezone(zone).date() not in changes}
    cron = CronSim(CRON[period], start)
    theirs = set()
    while (at := next(cron)) <= until:
        if at.date() not in changes:
            theirs.add(at.astimezone(UTC))
    assert {at for at in ours if at <= until} == theirs
    assert theirs


@pytest.mark.parametrize("zone_name", ZONES)
def test_full_hours_over_every_clock_change(zone_name):
    zone = ZoneInfo(zone_name)
    for day in [*changes_of(zone, 2025), *changes_of(zone, 2026)] or [date(2026, 1, 1)]:
        start = datetime.combine(day, time(), zone).astimezone(UTC) - timedelta(hours=26, minutes=5)
        clock, coordinator = make(start, "hourly", zone_name)
        found = boundaries(clock, coordinator, start + timedelta(hours=52))
        minutes = [start + timedelta(minutes=n) for n in range(1, 60 * 54)]
        whole = [at.replace(second=0) for at in minutes if at.astimezone(zone).minute == 0]
        assert found == whole[: len(found)], (zone_name, day)


def test_a_budget_is_granted_once_a_day_over_all_clock_changes():
    """Every hour of two years an agent takes all it can: no local day pays out more than its budget."""
    for zone_name in ("Europe/Berlin", "America/Havana", "America/Santiago"):
        zone = ZoneInfo(zone_name)
        clock, coordinator = make(datetime(2025, 1, 1, 0, 30, tzinfo=zone), "daily", zone_name)
        paid = {}
        for _ in range(2 * 366 * 48):
            if coordinator.try_debit("bot", 5):
                today = clock.now().astimezone(zone).date()
                paid[today] = paid.get(today, 0) + 5
            clock.advance(1_800)
        assert set(paid.values()) == {5}
        assert len(paid) in {732, 733}
        assert [e.kind for e in coordinator.get_pool_events("pool")][-1] == "renew"
        coordinator.verify()


def test_what_was_left_is_gone_and_what_is_reserved_counts():
    clock, coordinator = make(datetime(2026, 1, 1, tzinfo=UTC), "hourly")
    coordinator.debit("bot", 2)
    reservation = coordinator.reserve("bot", 1, ttl_seconds=10**6)
    clock.advance(3_600)
    metrics = coordinator.get_pool_metrics("pool")
    assert (metrics.remaining, metrics.reserved, metrics.spent) == (4, 1, 2)
    assert (metrics.period_granted, metrics.period_spent) == (5, 0)
    assert metrics.utilization == 0.2
    reservation.settle(1)
    assert coordinator.get_pool_budget("pool") == 4
    clock.advance(3_600)
    assert coordinator.get_pool_budget("pool") == 5


def test_the_next_period_pays_for_an_overdraft():
    clock, coordinator = make(datetime(2026, 1, 1, tzinfo=UTC), "hourly")
    coordinator.reserve("bot", 5).settle(12)
    assert coordinator.get_pool_budget("pool") == -7
    assert not coordinator.try_debit("bot", 1)
    clock.advance(3_600)
    assert coordinator.get_pool_budget("pool") == -2
    assert not coordinator.try_debit("bot", 1)
    clock.advance(3_600)
    assert coordinator.get_pool_budget("pool") == 3
    coordinator.verify()


def made_with(**rules):
    """A pool of 5 an hour of these rules; what remains in it at the begin of the next hour after a use."""

    def remaining(use):
        clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        coordinator = BudgetCoordinator(clock=clock)
        coordinator.create_budget_pool("pool", 5, budget_period="hourly", timezone="UTC", **rules)
        coordinator.register_agent("bot", "pool", initial_budget=100)
        use(coordinator)
        clock.advance(3_600)
        left = coordinator.get_pool_budget("pool")
        coordinator.verify()
        return left

    return remaining


held = []


def spend(amount):
    return lambda coordinator: coordinator.debit("bot", amount)


def overdraw(amount):
    return lambda coordinator: coordinator.reserve("bot", 0).settle(amount)


def hold(amount):
    """Holds so much for as long as the test lives."""
    return lambda coordinator: held.append(coordinator.reserve("bot", amount, ttl_seconds=10**6))


@pytest.mark.parametrize(
    ("rules", "use", "left"),
    [
        ({}, spend(2), 5),
        ({"rollover": "all"}, spend(2), 8),
        ({"rollover": "1.5"}, spend(2), Decimal("6.5")),
        ({"rollover": 3}, spend(4), 6),
        ({"rollover": "all"}, hold(2), 8),  # of the 10 that two hours were granted, 2 are set aside
        ({}, hold(2), 3),
        ({}, overdraw(7), 3),
        ({}, overdraw(12), -2),
        ({"overdraft": "forgive"}, overdraw(12), 5),
        ({"rollover": "all", "overdraft": "forgive"}, overdraw(12), 5),
        ({"overdraft_limit": 1}, overdraw(12), 4),
    ],
)
def test_what_goes_into_the_next_period(rules, use, left):
    assert made_with(**rules)(use) == left


@pytest.mark.parametrize(
    ("period", "anchor", "start", "begins"),
    [
        ("monthly", {"anchor_day": 15}, (2026, 1, 20), [(2, 15), (3, 15)]),
        ("monthly", {"anchor_day": 31}, (2026, 1, 31), [(2, 28), (3, 31), (4, 30)]),
        ("quarterly", {}, (2026, 2, 1), [(4, 1), (7, 1), (10, 1)]),
        ("quarterly", {"anchor_day": 15}, (2026, 4, 10), [(4, 15), (7, 15)]),
        ("yearly", {"anchor_day": 5}, (2026, 1, 1), [(1, 5)]),
        ("weekly", {"anchor_day": 7}, (2026, 1, 1), [(1, 4), (1, 11)]),
    ],
)
def test_anchored_days(period, anchor, start, begins):
    clock = ManualClock(datetime(*start, tzinfo=UTC))
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("pool", 5, budget_period=period, timezone="UTC", **anchor)
    coordinator.register_agent("bot", "pool", initial_budget=10**9)
    found = [clock.advance(next_grant(coordinator)) or clock.now() for _ in begins]
    assert [(at.month, at.day) for at in found] == begins
    assert {(at.hour, at.minute) for at in found} == {(0, 0)}


def test_a_day_turns_at_its_hour_whatever_the_clock_of_the_zone_does():
    zone = ZoneInfo("Europe/Berlin")
    clock = ManualClock(datetime(2026, 3, 27, 12, tzinfo=zone))
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("pool", 5, budget_period="daily", timezone="Europe/Berlin", anchor_hour=9)
    coordinator.register_agent("bot", "pool", initial_budget=10**9)
    found = boundaries(clock, coordinator, datetime(2026, 3, 31, tzinfo=zone))
    assert [(at.astimezone(zone).day, at.astimezone(zone).hour) for at in found] == [
        (day, 9) for day in (28, 29, 30, 31)
    ]


def test_agents_have_periods_of_their_own():
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("pool", 100)
    coordinator.register_agent("bot", "pool", initial_budget=2, budget_period="daily", timezone="UTC")
    coordinator.register_agents(
        [
            {
                "agent_id": "saver",
                "initial_budget": 1,
                "budget_period": "daily",
                "rollover": "all",
                "timezone": "UTC",
            }
        ],
        "pool",
    )
    coordinator.debit("bot", 2)
    with pytest.raises(
        BudgetExceededError, match=r'agent "bot" cannot pay 1: 0 of 2 remain.*anew in 86400 s'
    ) as caught:
        coordinator.debit("bot", 1)
    assert caught.value.retry_after == 86_400
    clock.advance(timedelta(days=1))
    assert (coordinator.get_budget("bot"), coordinator.get_budget("saver")) == (2, 2)
    assert coordinator.get_pool_budget("pool") == 98
    coordinator.update_period_budget("bot", 3)
    clock.advance(timedelta(days=1))
    coordinator.reserve("bot", 3).settle(1)
    assert coordinator.get_budget("bot") == 2
    info = coordinator.get_agent_info("bot")
    assert (info.period_budget, info.renews_at) == (3, datetime(2026, 1, 4, tzinfo=UTC))
    assert [event.kind for event in coordinator.get_agent_events("saver")] == ["update", "renew", "renew"]
    coordinator.verify()


def test_later_periods_of_whom_nobody_knows_or_who_has_none(coordinator):
    with pytest.raises(
        UnknownAgentError, match='there is neither an agent nor a pool "nobody": make it first'
    ):
        coordinator.update_period_budget("nobody", 1)
    with pytest.raises(ConfigurationError, match='agent "bot" has no budget_period.*: use update_budget'):
        coordinator.update_period_budget("bot", 1)


def batch(*items):
    """Handles and units of a batch."""
    handles, amounts = zip(*items, strict=True)
    return np.array(handles, np.uint32), np.array(amounts, np.int64) * 10**9


def test_the_period_of_an_agent_is_found_by_every_door():
    """Whoever looks first, or charges first, grants the new period."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("pool", 10**6)
    doors = {
        "debit": lambda c, bot: c.try_debit(bot, 2),
        "reserve": lambda c, bot: c.reserve(bot, 2).settle(2) is not None,
        "account": lambda c, bot: c.account(bot).try_debit(2),
        "transfer": lambda c, bot: c.transfer(bot, "other", 2) is None,
        "debit_many": lambda c, bot: c.debit_many(*batch((c.handle(bot), 2))).tolist() == [True],
        "debit_many below locked pools": lambda c, bot: c.debit_many(
            *batch((c.handle(bot), 2), *[(c.handle("other"), 0)] * 99)
        )[0],
        "reserve_many": lambda c, bot: c.reserve_many(*batch((c.handle(bot), 2)))[0] > 0,
        "also": lambda c, bot: c.try_debit("other", 2, also=(bot,)),
        "get_budget": lambda c, bot: c.get_budget(bot) == 2,
        "columns": lambda c, bot: c.get_all_metrics().remaining[c.get_all_metrics().ids.index(bot)] == 2,
    }
    coordinator.register_agent("other", "pool", initial_budget=10**3)
    for name in doors:
        coordinator.register_agent(name, "pool", initial_budget=2, budget_period="daily", timezone="UTC")
        coordinator.debit(name, 2)
        assert not coordinator.try_debit(name, 2)
    clock.advance(timedelta(days=1))
    for name, door in doors.items():
        assert door(coordinator, name), name
    coordinator.verify()


@pytest.mark.parametrize("period", ["hourly", "daily", "monthly", timedelta(hours=1)])
def test_a_clock_that_was_ahead_keeps_no_later_period_from_its_budget(period):
    clock, coordinator = make(datetime(2026, 3, 2, tzinfo=UTC), period)
    right = clock.now()
    clock.set_wall(right + timedelta(days=365))
    coordinator.debit("bot", 5)
    clock.advance(600)
    clock.set_wall(right + timedelta(minutes=10))
    assert (
        coordinator.get_pool_budget("pool") == 0
    )  # back in a period that was granted: nothing given, nothing taken
    for _ in range(3):
        clock.advance(next_grant(coordinator))
        assert coordinator.get_pool_budget("pool") == 5
        coordinator.debit("bot", 5)


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"anchor_day": 0}, "anchor_day must be from 1 to 31, not 0"),
        ({"anchor_day": 32}, "anchor_day must be from 1 to 31, not 32"),
        ({"anchor_hour": 24}, "anchor_hour must be from 0 to 23, not 24"),
        ({"budget_period": "daily", "anchor_day": 2}, "a day has none"),
        ({"budget_period": "hourly", "anchor_hour": 2}, "this one has none"),
        ({"budget_period": "weekly", "anchor_day": 8}, "from 1 \\(Monday\\) to 7"),
        (
            {"budget_period": None, "rollover": "all"},
            "rollover is about periods: give the account a budget_period",
        ),
        ({"budget_period": None, "anchor_day": 3}, "anchor_day is about periods"),
        ({"rollover": "some"}, 'rollover must be "none", "all" or an amount, not'),
        ({"overdraft": "ignore"}, 'overdraft must be "carry" or "forgive", not'),
    ],
)
def test_rules_that_cannot_be_meant(coordinator, rules, why):
    rules = {"budget_period": "monthly", "timezone": "UTC"} | rules
    with pytest.raises(ConfigurationError, match=why):
        coordinator.create_budget_pool("p", 1, **rules)
    with pytest.raises(ConfigurationError, match=why):
        coordinator.register_agent("p", "team", **rules)
    assert coordinator.get_pool_ids() == ["team"]
    assert "p" not in coordinator.get_all_agent_ids()


def test_periods_that_nobody_saw_are_granted_once():
    clock, coordinator = make(datetime(2026, 1, 1, tzinfo=UTC), "daily")
    coordinator.debit("bot", 5)
    clock.advance(timedelta(days=40))
    assert coordinator.get_pool_budget("pool") == 5
    assert [event.kind for event in coordinator.get_pool_events("pool")] == ["update", "renew"]
    assert next_grant(coordinator) == 86_400.0


def test_a_wall_clock_set_back_grants_nothing_again():
    clock, coordinator = make(datetime(2026, 1, 1, 23, tzinfo=UTC), "daily")
    coordinator.debit("bot", 5)
    clock.advance(timedelta(hours=2))
    coordinator.debit("bot", 5)
    for hour in (22, 23):
        clock.set_wall(datetime(2026, 1, 1, hour, tzinfo=UTC))
        assert not coordinator.try_debit("bot", 1)
    clock.set_wall(datetime(2026, 1, 2, 0, 30, tzinfo=UTC))
    assert not coordinator.try_debit("bot", 1)
    clock.set_wall(datetime(2026, 1, 3, tzinfo=UTC))
    assert coordinator.try_debit("bot", 5)


def test_a_timedelta_counts_from_the_creation():
    clock, coordinator = make(datetime(2026, 1, 1, 7, 7, 7, tzinfo=UTC), timedelta(minutes=90), None)
    assert next_grant(coordinator) == 5_400.0
    clock.advance(5_399)
    assert next_grant(coordinator) == 1.0
    clock.advance(5_402)
    assert next_grant(coordinator) == 5_399.0


def test_period_budgets():
    clock, coordinator = make(datetime(2026, 1, 1, tzinfo=UTC), "hourly")
    coordinator.update_period_budget("pool", "7.5")
    coordinator.update_pool_budget("pool", 1)
    assert coordinator.get_pool_budget("pool") == 1
    clock.advance(3_600)
    assert coordinator.get_pool_budget("pool") == Decimal("7.5")


@pytest.mark.parametrize("zone", ["Europe/Berlin", ZoneInfo("Europe/Berlin")], ids=type)
def test_zones_by_name_and_by_object(zone):
    _, coordinator = make(datetime(2026, 6, 1, 20, tzinfo=UTC), "daily", zone)
    assert next_grant(coordinator) == 2 * 3_600.0


def test_utc_and_local_time():
    for zone in (UTC, None):
        _, coordinator = make(datetime(2026, 6, 1, 20, tzinfo=UTC), "daily", zone)
        assert 0 < next_grant(coordinator) <= 86_400.0


@pytest.mark.parametrize(
    ("period", "zone", "why"),
    [
        ("never", None, "budget_period must be 'hourly', .* 'monthly', 'quarterly', 'yearly' or a timedelta"),
        ("", None, "budget_period must be"),
        (3600, None, "budget_period must be"),
        (timedelta(0), None, "budget_period must be longer than nothing"),
        (timedelta(-1), None, "budget_period must be longer than nothing"),
        ("daily", "Mars/Olympus", "timezone .* is not known"),
        ("daily", "", "timezone .* is not known"),
        ("daily", 5, "timezone must be a name such as"),
    ],
)
def test_what_is_no_period(coordinator, period, zone, why):
    with pytest.raises(ConfigurationError, match=why):
        coordinator.create_budget_pool("p", 1, budget_period=period, timezone=zone)
    assert coordinator.get_pool_ids() == ["team"]


def test_the_longest_period(coordinator):
    coordinator.create_budget_pool("for ever", 1, budget_period=timedelta.max)
    assert coordinator.get_pool_budget("for ever") == 1

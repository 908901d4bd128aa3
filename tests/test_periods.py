"""Budgets of periods: granted at each boundary of the calendar, once, whatever clocks do."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from safeguards import BudgetCoordinator, BudgetExceededError, ConfigurationError, ManualClock

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


def test_an_overdraft_ends_with_its_period():
    clock, coordinator = make(datetime(2026, 1, 1, tzinfo=UTC), "hourly")
    coordinator.reserve("bot", 5).settle(8)
    assert coordinator.get_pool_budget("pool") == -3
    assert not coordinator.try_debit("bot", 1)
    clock.advance(3_600)
    assert coordinator.get_pool_budget("pool") == 5


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
        ("yearly", None, "budget_period must be 'hourly', 'daily', 'weekly', 'monthly' or a timedelta"),
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

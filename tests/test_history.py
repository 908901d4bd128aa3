"""Usage history: the latest events exact, older ones in sums by the hour, no usage lost, memory bounded."""

import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from safeguards import BudgetCoordinator, BudgetRateLimiter, ManualClock, UsageEvent

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def make(**options):
    clock = ManualClock(START)
    coordinator = BudgetCoordinator(clock=clock, **options)
    coordinator.create_budget_pool("team", 10**9)
    coordinator.register_agent("bot", "team", initial_budget=10**9)
    return clock, coordinator


def test_events_are_exact():
    clock, coordinator = make()
    coordinator.debit("bot", 1, operation_type="search")
    clock.advance(90)
    coordinator.reserve("bot", 5, operation_type="write").settle("2.5")
    assert coordinator.get_agent_usage_history("bot") == [
        UsageEvent(START, Decimal(1), "search", "ledger", 2),
        UsageEvent(START + timedelta(seconds=90), Decimal("2.5"), "write", "ledger", 4),
    ]


def test_a_range_contains_its_start_and_not_its_end():
    clock, coordinator = make()
    for _ in range(4):
        coordinator.debit("bot", 1)
        clock.advance(HOUR)
    found = coordinator.get_agent_usage_history("bot", START + HOUR, START + 3 * HOUR)
    assert [event.start for event in found] == [START + HOUR, START + 2 * HOUR]
    assert coordinator.get_agent_usage_history("bot", START + HOUR, START + HOUR) == []
    assert coordinator.get_agent_usage_history("bot", START + 3 * HOUR, START) == []
    assert len(coordinator.get_agent_usage_history("bot", end_time=START + HOUR)) == 1
    assert len(coordinator.get_agent_usage_history("bot", start_time=START + HOUR)) == 3


def test_aware_times_of_any_zone():
    _, coordinator = make()
    coordinator.debit("bot", 1)
    east = __import__("zoneinfo").ZoneInfo("Asia/Tokyo")
    around = [(START + shift).astimezone(east) for shift in (-HOUR, HOUR)]
    assert len(coordinator.get_agent_usage_history("bot", *around)) == 1


def test_naive_times_are_local():
    code = """
from datetime import UTC, datetime
from safeguards import BudgetCoordinator, ManualClock
c = BudgetCoordinator(clock=ManualClock(datetime(2026, 1, 1, 12)))
c.create_budget_pool("team", 10)
c.register_agent("bot", "team", initial_budget=5)
c.debit("bot", 1)
[event] = c.get_agent_usage_history("bot", datetime(2026, 1, 1, 12), datetime(2026, 1, 1, 12, 0, 1))
print(event.start.isoformat())
"""
    environment = os.environ | {"TZ": "America/New_York"}
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment)
    assert printed.strip() == "2026-01-01T17:00:00+00:00"


def test_by_operation_type():
    _, coordinator = make()
    for name in ("search", "write", None, "search"):
        coordinator.debit("bot", 1, operation_type=name)
    found = coordinator.get_agent_usage_history("bot", operation_type="search")
    assert [event.sequence for event in found] == [2, 5]
    assert coordinator.get_agent_usage_history("bot", operation_type="read") == []


def test_both_sources():
    _, coordinator = make()
    coordinator.debit("bot", 1)
    BudgetRateLimiter(coordinator).record_usage("bot", 2, operation_type="x")
    found = coordinator.get_agent_usage_history("bot")
    assert [(event.amount, event.source) for event in found] == [(1, "ledger"), (2, "recorded")]
    assert coordinator.get_agent_metrics("bot").spent == 1


def test_older_events_are_sums_by_the_hour_at_its_start():
    clock, coordinator = make(history_events=0)
    clock.advance(600)
    for name in ("a", "a", "b"):
        coordinator.debit("bot", 1, operation_type=name)
    clock.advance(HOUR)
    coordinator.debit("bot", 4, operation_type="a")
    found = coordinator.get_agent_usage_history("bot")
    assert sorted((event.start, event.amount, event.operation_type) for event in found) == [
        (START, 1, "b"),
        (START, 2, "a"),
        (START + HOUR + timedelta(seconds=600), 4, "a"),
    ]


@pytest.mark.parametrize(("events", "sums"), [(0, 2), (1, 3), (16, 8), (128, 512)])
def test_no_usage_is_lost_and_memory_is_bounded(events, sums):
    rng = random.Random(events)
    clock, coordinator = make(history_events=events, history_sums=sums)
    limiter, recorded = BudgetRateLimiter(coordinator), Decimal(0)
    for _ in range(3_000):
        clock.advance(rng.choice((0, 1, 900, 7_200)))
        amount, name = Decimal(rng.randrange(1, 999)) / 1000, rng.choice((None, "a", "b", "c"))
        if rng.random() < 0.2:
            limiter.record_usage("bot", amount, operation_type=name)
            recorded += amount
        else:
            coordinator.debit("bot", amount, operation_type=name)
    history = coordinator.get_agent_usage_history("bot")
    total = {
        source: sum(e.amount for e in history if e.source == source) for source in ("ledger", "recorded")
    }
    assert total == {"ledger": coordinator.get_agent_metrics("bot").spent, "recorded": recorded}
    starts = [event.start for event in history]
    assert starts == sorted(starts)
    # What is summed is summed in batches: a part of the latest events may wait for it.
    assert len(history) <= 2 * events + 64 + max(sums, 2)
    assert history[-1].sequence == 3_001
    coordinator.verify()


def test_the_latest_events_stay_exact():
    clock, coordinator = make(history_events=32)
    for number in range(1_000):
        clock.advance(1)
        coordinator.debit("bot", number + 1)
    latest = coordinator.get_agent_usage_history("bot")[-24:]  # three quarters, at least
    assert [event.amount for event in latest] == list(range(977, 1001))
    assert [event.start for event in latest] == [START + timedelta(seconds=n) for n in range(977, 1001)]
    assert [event.sequence for event in coordinator.get_agent_events("bot")][-1] == 1_001


def test_endless_operation_types_share_a_name_and_no_debit_is_refused():
    _, coordinator = make(history_events=10_000)
    for number in range(5_000):
        coordinator.debit("bot", 1, operation_type=f"request {number}")
    names = [event.operation_type for event in coordinator.get_agent_usage_history("bot")]
    assert names[0] == "request 0" and names[4_095] == "request 4095"
    assert set(names[4_096:]) == {"(other)"}


def test_a_wall_clock_set_back_keeps_every_event():
    clock, coordinator = make(history_events=2)
    for hour in (5, 3, 9, 1, 4, 4, 8):
        clock.set_wall(START + hour * HOUR)
        coordinator.debit("bot", 1)
    assert sum(event.amount for event in coordinator.get_agent_usage_history("bot")) == 7
    coordinator.verify()


def test_events_of_every_kind():
    clock, coordinator = make()
    coordinator.register_agent("other", "team", initial_budget=5)
    coordinator.debit("bot", 1)
    coordinator.reserve("bot", 1).settle(1)
    coordinator.reserve("bot", 1).release()
    late = coordinator.reserve("bot", 1, ttl_seconds=1)
    clock.advance(1)
    late.settle(1)
    coordinator.transfer("bot", "other", 1)
    coordinator.transfer("other", "bot", 1)
    coordinator.update_budget("bot", 7)
    BudgetRateLimiter(coordinator).record_usage("bot", 1)
    events = coordinator.get_agent_events("bot")
    assert [event.kind for event in events] == [
        *("update", "debit", "reserve", "settle", "reserve", "release", "reserve", "expire", "late_settle"),
        *("transfer_out", "transfer_in", "update", "recorded"),
    ]
    assert [event.sequence for event in events] == list(range(1, 14))
    assert all(event.time.tzinfo is UTC for event in events)


def test_a_long_history_costs_a_debit_nothing():
    """A result summed over all history would make the thousandth look a thousand times as dear."""
    _, coordinator = make(history_events=100_000)
    for _ in range(50_000):
        coordinator.try_debit("bot", 1)
    assert coordinator.get_agent_metrics("bot").spent == 50_000

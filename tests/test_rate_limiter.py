"""Sliding windows: never above the limit, never more than 1/128 late, exact about when to come again."""

import math
import random
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeguards import BudgetCoordinator, BudgetRateLimiter, ManualClock, RateLimit, RateLimitExceededError

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NANOSECOND = 1e-9


def make(limit, window, *, exact=False):
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 10**9)
    coordinator.register_agent("bot", "team", initial_budget=10**9)
    limiter = BudgetRateLimiter(coordinator)
    limiter.set_rate_limit("bot", limit, window, exact=exact)
    return clock, coordinator, limiter


def spent(limiter):
    return [limit.spent for limit in limiter.get_rate_limits("bot")]


def test_no_limit_admits_everything(limiter):
    limiter.acquire("bot", 10**15)
    assert limiter.check_rate_limit("bot", 10**15)
    assert limiter.get_retry_after("bot") == limiter.get_retry_after("bot", 10**15) == 0.0


def test_several_windows_bind_together(limiter, clock):
    limiter.set_rate_limit("bot", 10, HOUR)
    limiter.set_rate_limit("bot", 3, MINUTE)
    assert limiter.get_rate_limits("bot") == [
        RateLimit(Decimal(3), MINUTE, Decimal(0)),
        RateLimit(Decimal(10), HOUR, Decimal(0)),
    ]
    admitted = 0
    for _ in range(4):
        admitted += sum(limiter.try_acquire("bot", 1) for _ in range(5))
        clock.advance(60)
    assert admitted == 3 + 3 + 3 + 1
    with pytest.raises(RateLimitExceededError) as caught:
        limiter.acquire("bot", 1)
    assert (caught.value.time_window, caught.value.retry_after) == (3600.0, 3600.0 - 240)


def test_what_one_window_refuses_the_others_do_not_count(limiter):
    limiter.set_rate_limit("bot", 3, MINUTE)
    limiter.set_rate_limit("bot", 10, HOUR)
    limiter.acquire("bot", 2)
    assert not limiter.try_acquire("bot", 2)
    assert spent(limiter) == [2, 2]


def test_the_same_time_window_replaces_the_limit_and_keeps_what_was_charged(limiter):
    limiter.set_rate_limit("bot", 3, MINUTE)
    limiter.acquire("bot", 2)
    limiter.set_rate_limit("bot", 5, timedelta(seconds=60))
    assert limiter.get_rate_limits("bot") == [RateLimit(Decimal(5), MINUTE, Decimal(2))]
    assert limiter.try_acquire("bot", 3)
    limiter.set_rate_limit("bot", 1, MINUTE)
    assert not limiter.try_acquire("bot", "0.000000001")


def test_remove(limiter):
    limiter.set_rate_limit("bot", 1, MINUTE)
    limiter.set_rate_limit("bot", 2, HOUR)
    limiter.set_rate_limit("bot", 3, DAY)
    assert limiter.remove_rate_limit("bot", HOUR) == 1
    assert limiter.remove_rate_limit("bot", HOUR) == 0
    assert [limit.time_window for limit in limiter.get_rate_limits("bot")] == [MINUTE, DAY]
    assert limiter.remove_rate_limit("bot") == 2
    assert limiter.try_acquire("bot", 100)


def test_windows_bind_debit_and_reserve_in_the_same_step(coordinator, limiter):
    limiter.set_rate_limit("bot", "0.5", MINUTE)
    coordinator.debit("bot", "0.2")
    reservation = coordinator.reserve("bot", "0.2")
    assert not coordinator.try_debit("bot", "0.2")
    assert not limiter.try_acquire("bot", "0.2")
    reservation.settle("0.1")
    assert spent(limiter) == [Decimal("0.3")]
    coordinator.debit("bot", "0.2")
    assert coordinator.get_budget("bot") == Decimal("0.5")


def test_what_is_released_or_expires_leaves_the_window(coordinator, limiter, clock):
    limiter.set_rate_limit("bot", "0.5", HOUR)
    coordinator.reserve("bot", "0.5").release()
    expiring = coordinator.reserve("bot", "0.5", ttl_seconds=10)
    assert not coordinator.try_debit("bot", "0.1")
    assert limiter.get_retry_after("bot") == 0.0  # a lower bound: it may be released at any moment
    clock.advance(10)
    assert coordinator.try_debit("bot", "0.1")
    assert expiring.state == "expired"


def test_acquire_touches_no_budget(coordinator, limiter):
    limiter.set_rate_limit("bot", 100, MINUTE)
    before = coordinator.get_agent_metrics("bot"), coordinator.get_agent_usage_history("bot")
    limiter.acquire("bot", 100)
    assert (coordinator.get_agent_metrics("bot"), coordinator.get_agent_usage_history("bot")) == before


def test_record_usage_states_a_fact(coordinator, limiter, clock):
    limiter.set_rate_limit("bot", 1, MINUTE)
    for amount in ("0.75", "5", "0"):
        limiter.record_usage("bot", amount, operation_type="elsewhere")
    assert spent(limiter) == [Decimal("5.75")]
    assert coordinator.get_budget("bot") == 1
    history = coordinator.get_agent_usage_history("bot")
    assert [(e.amount, e.source, e.operation_type) for e in history] == [
        (Decimal("0.75"), "recorded", "elsewhere"),
        (Decimal(5), "recorded", "elsewhere"),
    ]
    assert not limiter.check_rate_limit("bot", "0.1")
    assert limiter.get_retry_after("bot", 1) == 60.0
    clock.advance(60)
    assert limiter.try_acquire("bot", 1)


def test_check_charges_nothing_and_is_remembered(limiter, clock):
    limiter.set_rate_limit("bot", 1, MINUTE)
    limiter.acquire("bot", "0.8")
    clock.advance(20)
    assert [limiter.check_rate_limit("bot", "0.2") for _ in range(10)] == [True] * 10
    assert not limiter.check_rate_limit("bot", "0.3")
    assert limiter.get_retry_after("bot") == 40.0
    assert spent(limiter) == [Decimal("0.8")]


def test_retry_after_is_zero_or_never(limiter):
    limiter.set_rate_limit("bot", 1, MINUTE)
    assert limiter.get_retry_after("bot") == 0.0  # nothing was refused
    limiter.record_usage("bot", 5)
    assert limiter.get_retry_after("bot") == 0.0  # still nothing
    assert limiter.get_retry_after("bot", 0) in {0.0, 60.0}
    assert limiter.get_retry_after("bot", 2) == math.inf
    assert not limiter.try_acquire("bot", 2)
    assert limiter.get_retry_after("bot") == math.inf


def test_a_limit_of_nothing_admits_nothing(limiter, coordinator):
    limiter.set_rate_limit("bot", 0, MINUTE)
    assert not limiter.try_acquire("bot", "0.000000001")
    assert limiter.try_acquire("bot", 0)
    assert limiter.get_retry_after("bot", 1) == math.inf
    assert not coordinator.try_debit("bot", 1)


@pytest.mark.parametrize("exact", [False, True])
def test_no_burst_at_the_edge_of_a_minute(exact):
    """A counter of this minute and the last one admits 100 at second 59 and 99 more at second 61."""
    clock, _, limiter = make(100, MINUTE, exact=exact)
    clock.advance(59)
    assert sum(limiter.try_acquire("bot", 1) for _ in range(200)) == 100
    clock.advance(2)
    assert sum(limiter.try_acquire("bot", 1) for _ in range(200)) == 0
    clock.advance(58 - NANOSECOND)
    assert sum(limiter.try_acquire("bot", 1) for _ in range(200)) == 0
    clock.advance(NANOSECOND)
    assert sum(limiter.try_acquire("bot", 1) for _ in range(200)) == 100


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    "window", [timedelta(microseconds=1), timedelta(seconds=1), MINUTE, DAY, timedelta(366)]
)
def test_a_single_charge_leaves_exactly_on_time(window, exact):
    clock, _, limiter = make(1, window, exact=exact)
    clock.advance(12.345678901)
    limiter.acquire("bot", 1)
    assert limiter.get_retry_after("bot", 1) == window.total_seconds()
    clock.advance(window - timedelta(microseconds=1))
    clock.advance(999 * NANOSECOND)
    assert not limiter.try_acquire("bot", 1)
    assert limiter.get_retry_after("bot") == NANOSECOND
    clock.advance(NANOSECOND)
    assert limiter.try_acquire("bot", 1)


class NaiveWindow:
    """Every charge with its date, in nanoseconds."""

    def __init__(self, limit, length):
        self.limit, self.length, self.charges = limit, length, deque()

    def spent(self, now, slack=0):
        return sum(units for at, units in self.charges if at + self.length + slack > now)


def adversary(rng, length, newest):
    """How long to wait: nothing, a little, to the edge of a charge or a bucket, or past it all."""
    to_edge = newest + length
    edges = (to_edge - 1, to_edge, to_edge + 1, to_edge + length // 128, newest + length // 128)
    choice = rng.random()
    if choice < 0.4:
        return 0
    if choice < 0.7:
        return rng.randrange(max(length // 100, 1))
    return max(rng.choice(edges), 0) if choice < 0.95 else rng.randrange(2 * length)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_never_above_the_limit_and_never_late(seed, exact):
    rng = random.Random(seed)
    length = rng.choice((1_000, 60 * 10**9, 3_600 * 10**9))
    clock, coordinator, limiter = make(100, timedelta(microseconds=length // 1000), exact=exact)
    naive, now, slack = NaiveWindow(100, length), 0, 0 if exact else length // 128
    refused = 0
    for _ in range(1_500):
        newest = naive.charges[rng.randrange(len(naive.charges))][0] if naive.charges else now
        wait = adversary(rng, length, newest - now)
        clock.advance(wait * NANOSECOND)
        now += wait
        amount = rng.choice((1, 1, 5, 20, 60, 100))
        if limiter.try_acquire("bot", amount):
            naive.charges.append((now, amount))
            assert naive.spent(now) <= 100
        else:
            refused += 1
            assert naive.spent(now, slack) + amount > 100, "it had left long ago"
            retry = round(limiter.get_retry_after("bot") * 1e9)
            assert 0 < retry <= length + slack
            if rng.random() < 0.3:
                clock.advance((retry - 1) * NANOSECOND)
                assert not limiter.check_rate_limit("bot", amount)
                clock.advance(NANOSECOND)
                now += retry
                assert limiter.try_acquire("bot", amount)
                naive.charges.append((now, amount))
                assert naive.spent(now) <= 100
        while naive.charges and naive.charges[0][0] + 2 * length < now:
            naive.charges.popleft()
    assert refused > 100
    coordinator.verify()


@settings(max_examples=50, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 70 * 10**9), st.integers(1, 40)), min_size=1, max_size=60))
def test_retry_after_is_exact(steps):
    clock, _, limiter = make(100, MINUTE)
    for wait, amount in steps:
        clock.advance(wait * NANOSECOND)
        if limiter.try_acquire("bot", amount):
            continue
        retry = limiter.get_retry_after("bot")
        clock.advance(retry - NANOSECOND)
        assert not limiter.check_rate_limit("bot", amount)
        clock.advance(NANOSECOND)
        limiter.acquire("bot", amount)


def test_a_wall_clock_that_jumps_moves_no_window():
    clock, coordinator, limiter = make(1, HOUR)
    coordinator.debit("bot", 1)
    for year in (1990, 2200, 2026):
        clock.set_wall(datetime(year, 1, 1, tzinfo=UTC))
        assert not coordinator.try_debit("bot", 1)
        assert limiter.get_retry_after("bot", 1) == 3600.0
    clock.advance(3600)
    assert coordinator.try_debit("bot", 1)


def test_two_limiters_of_one_coordinator_see_the_same_windows(coordinator, limiter):
    other = BudgetRateLimiter(coordinator)
    other.set_rate_limit("bot", 1, MINUTE)
    limiter.acquire("bot", 1)
    assert not other.try_acquire("bot", 1)
    assert other.get_rate_limits("bot") == limiter.get_rate_limits("bot")


def test_the_largest_amounts(limiter):
    limiter.set_rate_limit("bot", 10**10, MINUTE)
    limiter.acquire("bot", 10**10)
    for _ in range(3):
        limiter.record_usage("bot", 10**15)
    assert not limiter.try_acquire("bot", "0.000000001")


def test_thousands_of_windows_stay(clock):
    """Live state is never evicted in silence, as a bounded cache would."""
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 10**9)
    limiter = BudgetRateLimiter(coordinator)
    names = [coordinator.register_agent(f"agent {i}", "team", initial_budget=1) for i in range(5_000)]
    for name in names:
        limiter.set_rate_limit(name, 1, MINUTE)
        limiter.acquire(name, 1)
    assert not any(limiter.check_rate_limit(name, 1) for name in names)

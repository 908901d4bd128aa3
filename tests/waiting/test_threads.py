"""Threads that wait for their turn: who is served, when, and how waiting ends."""

import gc
import itertools
import math
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from safeguards import (
    BudgetCoordinator,
    BudgetExceededError,
    BudgetRateLimiter,
    ClosedError,
    ConfigurationError,
    IdempotencyConflictError,
    ManualClock,
    RateLimitExceededError,
    UnknownAgentError,
)

from .calls import Call, until, waiting


def test_fifty_threads_share_a_budget_that_two_of_them_fill():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget="0.10")

    def call(_):
        with coordinator.reserve("bot", "0.041", timeout=30) as held:
            time.sleep(0.001)
            held.settle("0.00035")

    with ThreadPoolExecutor(50, thread_name_prefix="callers") as threads:
        list(threads.map(call, range(50)))
    metrics = coordinator.get_agent_metrics("bot")
    assert (metrics.spent, metrics.reserved) == (Decimal("0.0175"), 0)
    assert metrics.budget_refusals == 0, "who waits and is served was not refused"
    assert coordinator._waiting_count() == 0
    coordinator.verify()


@pytest.mark.parametrize("give_back", ["settle", "release", "raise", "transfer", "expire", "leave"])
def test_whatever_gives_back_serves(coordinator, clock, give_back):
    coordinator.register_agent("helper", "team", initial_budget=1)
    held = coordinator.reserve("bot", "0.90", ttl_seconds=60)
    call = waiting(coordinator, coordinator.reserve, "bot", "0.50", timeout=math.inf)
    match give_back:
        case "settle":
            held.settle("0.10")
        case "release":
            held.release()
        case "raise":
            coordinator.adjust_budget("bot", "0.40")
        case "transfer":
            coordinator.transfer("helper", "bot", "0.40")
        case "expire":
            clock.advance(60)
        case "leave":
            with held:
                held.settle("0.50")
    reservation = call.result()
    assert (reservation.amount, reservation.state) == (Decimal("0.5"), "active")
    assert coordinator._waiting_count() == 0
    reservation.release()
    if held.state == "active":
        held.release()


def test_a_debit_that_waited_is_charged_once_with_a_receipt(coordinator):
    held = coordinator.reserve("bot", "0.90")
    call = waiting(coordinator, coordinator.debit, "bot", "0.50", operation_type="search", timeout=5)
    held.release()
    receipt = call.result()
    assert (receipt.amount, receipt.remaining) == (Decimal("0.5"), Decimal("0.5"))
    usage = coordinator.get_agent_usage_history("bot", operation_type="search")
    assert [event.amount for event in usage] == [Decimal("0.5")]
    assert coordinator.get_agent_metrics("bot").reserved == 0


def test_the_account_waits_as_the_coordinator_does(coordinator):
    account = coordinator.account("bot")
    held = account.reserve("0.90", timeout=5)
    debit = waiting(coordinator, account.debit, "0.10", timeout=5)
    second = waiting(coordinator, account.reserve, "0.50", timeout=5)
    assert debit.result().amount == Decimal("0.1"), "it fits"
    held.release()
    second.result().release()


def test_the_higher_priority_is_served_first_and_then_the_older(coordinator):
    coordinator.register_agent("boss", "team", 9, initial_budget=10)
    coordinator.register_agent("aide", "team", 2, initial_budget=10)
    holds = [coordinator.reserve("boss", 2) for _ in range(5)]
    calls = {
        name: waiting(coordinator, coordinator.debit, agent, amount, timeout=math.inf)
        for name, agent, amount in [
            ("aide", "aide", 2),
            ("bot", "bot", 1),
            ("first boss", "boss", 2),
            ("other bot", "bot", "0.50"),
            ("boss", "boss", 2),
        ]
    }
    coordinator.update_budget("bot", 10)
    coordinator.adjust_budget("boss", 10)
    order = []
    for held in holds:
        held.release()
        until(lambda: sum(not call.is_over() for call in calls.values()) == coordinator._waiting_count())
        order.append(sorted(name for name, call in calls.items() if call.is_over()))
    order = [sorted(set(now) - set(before)) for before, now in itertools.pairwise([[], *order])]
    assert order == [["first boss"], ["boss"], ["bot", "other bot"], ["aide"], []]


def test_a_timeout_is_told_with_what_was_waited(coordinator, clock):
    held = coordinator.reserve("bot", "0.90", ttl_seconds=60)
    call = waiting(coordinator, coordinator.reserve, "bot", "0.50", timeout=5)
    clock.advance(4.5)
    assert not call.is_over()
    clock.advance(0.5)
    with pytest.raises(BudgetExceededError) as refused:
        call.result()
    error = refused.value
    assert (error.waited, error.in_flight, error.retry_after) == (5, Decimal("0.9"), 55)
    assert error.to_dict()["in_flight"] == "0.9"
    assert coordinator.get_agent_metrics("bot").budget_refusals == 1
    held.release()
    assert coordinator.get_budget("bot") == 1


def test_a_timeout_on_the_clock_of_the_system():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    with coordinator.reserve("bot", "0.90") as held:
        begun = time.monotonic()
        with pytest.raises(BudgetExceededError) as refused:
            coordinator.debit("bot", "0.50", timeout=0.05)
        assert 0.05 <= time.monotonic() - begun < 20
        assert 0.05 <= refused.value.waited < 20
        assert refused.value.retry_after is None, "work that goes on keeps it alive"
        held.settle(0)
    with pytest.raises(BudgetExceededError) as refused:
        coordinator.debit("bot", "1.01", timeout=0)
    assert refused.value.waited == 0
    with pytest.raises(BudgetExceededError) as refused:
        coordinator.debit("bot", "1.01")
    assert refused.value.waited is None


def test_expiry_on_the_clock_of_the_system_serves():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    held = coordinator.reserve("bot", "0.90", ttl_seconds=0.1)
    with coordinator.reserve("bot", "0.50", timeout=30):
        assert held.state == "expired"


@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, "5 s"])
@pytest.mark.parametrize("method", ["reserve", "debit", "reserve_async", "debit_async"])
def test_a_timeout_that_is_none_is_named(coordinator, method, timeout):
    for call in (getattr(coordinator, method), getattr(coordinator.account("bot"), method)):
        arguments = ("bot", 1) if call.__self__ is coordinator else (1,)
        with pytest.raises((ConfigurationError, TypeError), match="timeout must be"):
            call(*arguments, timeout=timeout)
    assert coordinator.get_budget("bot") == 1


@pytest.mark.parametrize("patience", [-1, math.nan])
def test_a_patience_that_is_none_is_named(patience):
    with pytest.raises(ConfigurationError, match="patience must be seconds"):
        BudgetCoordinator(patience=patience)


def test_what_can_never_fit_is_refused_at_once(coordinator, limiter):
    begun = time.monotonic()
    for call in (coordinator.reserve, coordinator.debit):
        with pytest.raises(BudgetExceededError, match='agent "bot" cannot pay 1.01') as refused:
            call("bot", "1.01", timeout=math.inf)
        assert refused.value.waited == 0
    coordinator.update_budget("bot", 100)
    with pytest.raises(BudgetExceededError, match='pool "team" cannot pay 11'):
        coordinator.reserve("bot", 11, timeout=math.inf)
    limiter.set_rate_limit("bot", 5, timedelta(minutes=1))
    with pytest.raises(RateLimitExceededError) as refused:
        coordinator.reserve("bot", 6, timeout=math.inf)
    assert refused.value.retry_after == math.inf
    assert time.monotonic() - begun < 20
    assert coordinator._waiting_count() == 0


def test_who_leaves_is_waited_for_no_more(coordinator):
    coordinator.register_agent("other", "team", initial_budget=10)
    held = coordinator.reserve("other", 10)
    call = waiting(coordinator, coordinator.reserve, "bot", 1, timeout=math.inf)
    coordinator.unregister_agent("bot")
    with pytest.raises(UnknownAgentError):
        call.result()
    held.release()


def test_a_new_period_serves():
    clock = ManualClock(datetime(2026, 3, 1, 23, 59, tzinfo=UTC))
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 10, budget_period="daily", timezone="UTC")
    coordinator.register_agent("bot", "team", initial_budget=100)
    coordinator.debit("bot", 8)
    call = waiting(coordinator, coordinator.debit, "bot", 5, timeout=600)
    clock.advance(59)
    assert not call.is_over()
    clock.advance(1)
    assert call.result().amount == 5
    assert coordinator.get_pool_budget("team") == 5


def test_a_window_serves_when_it_has_room(coordinator, clock, limiter):
    limiter.set_rate_limit("bot", "0.50", timedelta(minutes=1))
    coordinator.debit("bot", "0.20")
    clock.advance(10)
    coordinator.debit("bot", "0.20")
    small = waiting(coordinator, coordinator.debit, "bot", "0.20", timeout=600)
    large = waiting(coordinator, coordinator.debit, "bot", "0.40", timeout=600)
    clock.advance(49.9)
    assert not small.is_over()
    clock.advance(0.1)
    assert small.result().amount == Decimal("0.2")
    assert coordinator._waiting_count() == 1
    clock.advance(60)
    assert large.result().amount == Decimal("0.4")


def test_closing_ends_all_waiting():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    held = coordinator.reserve("bot", 1)
    calls = [waiting(coordinator, coordinator.reserve, "bot", 1, timeout=math.inf) for _ in range(3)]
    assert coordinator._waiting_count() == 3
    coordinator.close()
    for call in calls:
        with pytest.raises(ClosedError):
            call.result()
    del held
    gc.collect()


def test_ctrl_c_ends_waiting_and_leaves_nothing():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    held = coordinator.reserve("bot", "0.90")
    assert threading.current_thread() is threading.main_thread()

    def interrupt():
        until(lambda: coordinator._waiting_count() == 1)
        os.kill(os.getpid(), signal.SIGINT)

    for call in (coordinator.reserve, coordinator.debit):
        interrupted = Call(interrupt)
        with pytest.raises(KeyboardInterrupt):
            call("bot", "0.50", timeout=30)
        interrupted.result()
        assert coordinator._waiting_count() == 0
    held.release()
    assert coordinator.get_budget("bot") == 1


def test_ctrl_c_in_the_moment_of_being_served_loses_nothing():
    """The handler gives back what the call waits for, and raises: it was served when it is interrupted."""
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    for call in (coordinator.reserve, coordinator.debit):
        held = [coordinator.reserve("bot", "0.90")]

        def serve_and_raise(*_, held=held):
            held.pop().release()
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGINT, serve_and_raise)
        try:

            def interrupt():
                until(lambda: coordinator._waiting_count() == 1)
                os.kill(os.getpid(), signal.SIGINT)

            interrupted = Call(interrupt)
            with pytest.raises(KeyboardInterrupt):
                call("bot", "0.50", timeout=30)
            interrupted.result()
        finally:
            signal.signal(signal.SIGINT, before)
        metrics = coordinator.get_agent_metrics("bot")
        assert (metrics.remaining, metrics.spent, metrics.reserved) == (1, 0, 0)
        assert not held


def test_two_waiters_with_one_key_have_one_effect(coordinator):
    key = {"idempotency_key": "k", "timeout": math.inf}
    held = coordinator.reserve("bot", "0.90")
    debits = [waiting(coordinator, coordinator.debit, "bot", "0.30", **key) for _ in range(3)]
    held.release()
    receipts = [debit.result() for debit in debits]
    assert receipts[0] == receipts[1] == receipts[2]
    assert coordinator.get_agent_metrics("bot").spent == Decimal("0.3")
    assert coordinator.get_agent_metrics("bot").reserved == 0
    assert coordinator.debit("bot", "0.30", idempotency_key="k") == receipts[0], (
        "the timeout is no part of it"
    )
    with pytest.raises(IdempotencyConflictError):
        coordinator.debit("bot", "0.31", **key)


def test_two_waiters_with_one_key_hold_one_reservation(coordinator):
    key = {"idempotency_key": "k", "timeout": math.inf}
    held = coordinator.reserve("bot", "0.90")
    calls = [waiting(coordinator, coordinator.reserve, "bot", "0.30", **key) for _ in range(2)]
    held.release()
    one, other = (call.result() for call in calls)
    assert one == other
    assert coordinator.get_agent_metrics("bot").active_reservations == 1
    one.release()


def test_a_key_is_free_while_its_call_waits_and_when_it_was_refused(coordinator, clock):
    held = coordinator.reserve("bot", "0.90")
    call = waiting(coordinator, coordinator.debit, "bot", "0.30", idempotency_key="k", timeout=5)
    with pytest.raises(BudgetExceededError):
        coordinator.debit("bot", "0.30", idempotency_key="k")
    clock.advance(5)
    with pytest.raises(BudgetExceededError):
        call.result()
    held.release()
    assert coordinator.debit("bot", "0.30", idempotency_key="k").amount == Decimal("0.3")


def test_lines_that_are_joined_are_waited_for_together(coordinator):
    coordinator.create_budget_pool("users", 10)
    coordinator.register_agent("ann", "users", initial_budget=1)
    both = [coordinator.reserve("bot", 1), coordinator.reserve("ann", 1)]
    joined = waiting(coordinator, coordinator.reserve, "bot", 1, also=("ann",), timeout=math.inf)
    alone = waiting(coordinator, coordinator.reserve, "ann", 1, timeout=math.inf)
    both[1].release()
    alone.result().release()
    assert not joined.is_over(), "one line is not enough"
    both[0].release()
    joined.result().release()


def test_many_threads_with_small_and_large_requests_are_all_served():
    coordinator = BudgetCoordinator(patience=0.01)
    coordinator.create_budget_pool("team", 1)
    coordinator.create_budget_pool("users", 1)
    agents = coordinator.register_agents(["a", "b", "c"], "team", initial_budget="0.70")
    users = coordinator.register_agents(["u", "v"], "users", initial_budget="0.80")
    served = []

    def work(number):
        for turn in range(20):
            amount = "0.65" if (number + turn) % 7 == 0 else "0.05"
            also = users[turn % 2] if turn % 5 == 0 else None
            with coordinator.reserve(agents[number % 3], amount, also=also, timeout=60) as held:
                time.sleep(0)
                held.settle("0.0001")
            coordinator.try_debit(agents[turn % 3], "0.0001")
            served.append(1)

    with ThreadPoolExecutor(16, thread_name_prefix="callers") as threads:
        list(threads.map(work, range(16)))
    assert len(served) == 320
    assert coordinator._waiting_count() == 0
    assert all(coordinator.get_agent_metrics(agent).reserved == 0 for agent in agents + users)
    coordinator.verify()


def test_rate_limiters_wait_for_nobody(coordinator, limiter):
    """`acquire` does not wait; it takes no room that is kept."""
    assert isinstance(limiter, BudgetRateLimiter)
    limiter.set_rate_limit("bot", "0.50", timedelta(minutes=1))
    assert limiter.try_acquire("bot", "0.40")
    call = waiting(coordinator, coordinator.debit, "bot", "0.30", timeout=600)
    coordinator.clock.advance(2)
    assert not limiter.try_acquire("bot", "0.10"), "it is kept"
    coordinator.clock.advance(58)
    assert call.result().amount == Decimal("0.3")

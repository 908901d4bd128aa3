"""What was refused is counted, each call once: by whom, to whom, what for and why. Nothing else changes."""

import asyncio
import contextlib
import copy
import json
import threading
from datetime import timedelta

import numpy as np
import pytest

from safeguards import (
    BudgetCoordinator,
    BudgetExceededError,
    BudgetRateLimiter,
    ConfigurationError,
    ManualClock,
    MultiResourceBudget,
    NotificationManager,
    RateLimitExceededError,
    RefusalCount,
    UnknownAgentError,
)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def coordinator(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("root", 1000)
    coordinator.create_budget_pool("team", 20, parent_id="root")
    coordinator.register_agent("poor", "team", initial_budget=1)
    coordinator.register_agent("rich", "team", initial_budget=100)
    return coordinator


def counts(coordinator, account_id=None):
    return {
        (c.account, c.asked_by, c.operation_type, c.reason): c.count
        for c in coordinator.get_refusals(account_id)
    }


def refusals(coordinator, account):
    metrics = coordinator.get_pool_metrics if account in {"root", "team"} else coordinator.get_agent_metrics
    return metrics(account).refusals


def test_each_refused_call_is_counted_once_by_the_account_that_refuses(coordinator):
    attempts = [
        lambda: coordinator.debit("rich", 21, operation_type="chat"),
        lambda: coordinator.reserve("rich", 21, operation_type="chat"),
        lambda: coordinator.account("rich").debit(21, operation_type="chat"),
        lambda: coordinator.account("rich").reserve(21, operation_type="chat"),
        lambda: coordinator.debit("rich", 21, operation_type="chat", idempotency_key="a"),
        lambda: coordinator.reserve("rich", 21, operation_type="chat", idempotency_key="b"),
        lambda: coordinator.debit("rich", 21, also="poor", operation_type="chat"),
    ]
    for number, attempt in enumerate(attempts, start=1):
        with pytest.raises(BudgetExceededError):
            attempt()
        expected = {("team", "rich", "chat", "budget"): number - (number == len(attempts))}
        # The last one is refused by "poor", which is charged beside it.
        expected |= {("poor", "rich", "chat", "budget"): 1} if number == len(attempts) else {}
        assert counts(coordinator) == expected
    tries = [
        coordinator.try_debit("rich", 21),
        coordinator.try_reserve("rich", 21) is not None,
        coordinator.account("rich").try_debit(21),
        coordinator.account("rich").try_reserve(21) is not None,
    ]
    assert tries == [False] * 4
    assert counts(coordinator, "team") == {
        ("team", "rich", "chat", "budget"): 6,
        ("team", "rich", None, "budget"): 4,
    }
    assert [refusals(coordinator, account) for account in ("root", "team", "rich", "poor")] == [0, 10, 0, 1]


def test_batches_count_theirs(coordinator):
    handles = np.array([coordinator.handle("poor")] * 50 + [coordinator.handle("rich")] * 50, dtype=np.uint32)
    one = np.full(100, 1_000_000_000, dtype=np.int64)
    admitted = coordinator.debit_many(handles, one, operation_type="batch")
    assert admitted.sum() == 1 + 19
    assert counts(coordinator) == {
        ("poor", "poor", "batch", "budget"): 49,
        ("team", "rich", "batch", "budget"): 31,
    }
    assert (coordinator.reserve_many(handles, one) == 0).all()
    assert counts(coordinator)["team", "rich", None, "budget"] == 50
    coordinator.update_budget("poor", 1)
    coordinator.update_pool_budget("team", 20)
    held = coordinator.reserve("poor", 1, overage="allow_if_available", operation_type="late")
    settled = coordinator.settle_many(
        handles[:1], np.array([held.number], dtype=np.uint64), np.array([2_000_000_000])
    )
    assert not settled[0]
    held.release()
    assert counts(coordinator)["poor", "poor", "late", "budget"] == 1


def test_settling_for_more_than_there_is_counts(coordinator):
    held = coordinator.reserve("rich", 1, overage="allow_if_available", operation_type="work")
    with pytest.raises(BudgetExceededError) as refused:
        held.settle(30)
    assert refused.value.asked_by == "rich" and refused.value.path == ["rich", "team", "root"]
    assert counts(coordinator) == {("team", "rich", "work", "budget"): 1}
    held.release()


def test_windows_and_resources_have_reasons_of_their_own(coordinator):
    limiter = BudgetRateLimiter(coordinator)
    limiter.set_rate_limit("rich", 2, timedelta(minutes=1))
    coordinator.debit("rich", 2)
    assert not coordinator.try_debit("rich", 1, operation_type="chat")
    assert not limiter.try_acquire("rich", 1)
    with pytest.raises(RateLimitExceededError):
        limiter.acquire("rich", 1)
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("rich", {"gpu": 5})
    resources.set_capacity("gpu", 3)
    assert not resources.try_debit("rich", {"gpu": 6}, operation_type="train")
    assert resources.try_reserve("rich", {"gpu": 4}, operation_type="train") is None
    assert not resources.has_sufficient_budget("rich", "gpu", 6)  # a question
    assert counts(coordinator) == {
        ("rich", "rich", "chat", "window"): 1,
        ("rich", "rich", None, "window"): 2,
        ("rich", "rich", "train", "resource"): 1,
        ("rich", "rich", "train", "capacity"): 1,
    }
    metrics = coordinator.get_agent_metrics("rich")
    assert (metrics.budget_refusals, metrics.window_refusals, metrics.refusals) == (0, 3, 5)
    table = coordinator.get_all_metrics()
    row = table.ids.index("rich")
    assert (table.window_refusals[row], table.refusals[row]) == (3, 5)
    assert table.refusals.dtype == np.int64 and table.refusals.sum() == 5


def test_what_is_admitted_once_reservations_have_expired_is_no_refusal(coordinator, clock):
    held = coordinator.reserve("poor", 1, ttl_seconds=10)
    clock.advance(11)
    assert coordinator.try_debit("poor", 1)
    assert coordinator.get_refusals() == [] and refusals(coordinator, "poor") == 0
    assert held.state == "expired"


def test_what_is_no_operation_of_an_agent_is_not_counted(coordinator):
    with pytest.raises(BudgetExceededError) as refused:
        coordinator.transfer("poor", "rich", 2)
    assert (refused.value.asked_by, refused.value.path) == (None, None)
    with pytest.raises(UnknownAgentError):
        coordinator.debit("nobody", 1)
    coordinator.get_available("poor")
    assert coordinator.get_refusals() == []


def test_a_refusal_names_who_asked_and_the_whole_path(coordinator):
    coordinator.create_budget_pool("user:7", 1)
    with pytest.raises(BudgetExceededError) as refused:
        coordinator.debit("rich", 2, also=("user:7", "poor"))
    error = refused.value
    assert error.account == "poor" and error.asked_by == "rich"
    assert error.path == ["rich", "team", "root", "poor", "user:7"]
    assert str(error).startswith('agent "poor" cannot pay 2, asked by agent "rich": 1 of 1 remain')
    told = json.loads(json.dumps(error.to_dict()))
    assert told["asked_by"] == "rich" and told["path"] == ["rich", "team", "root", "poor", "user:7"]
    copied = copy.copy(error)
    assert (copied.asked_by, copied.path) == (error.asked_by, error.path)
    with pytest.raises(
        BudgetExceededError, match='pool "team" cannot pay 21, asked by agent "rich": 20 of 20'
    ):
        coordinator.debit("rich", 21)
    with pytest.raises(BudgetExceededError, match='agent "poor" cannot pay 2: 1 of 1 remain') as own:
        coordinator.debit("poor", 2)
    assert own.value.asked_by == "poor" and own.value.path == ["poor", "team", "root"]


def test_a_window_of_another_agent_says_who_asked(coordinator):
    BudgetRateLimiter(coordinator).set_rate_limit("poor", "0.5", timedelta(minutes=1))
    with pytest.raises(RateLimitExceededError) as refused:
        coordinator.debit("rich", 1, also="poor")
    assert 'cannot spend 1 now, asked by agent "rich" (0 spent' in str(refused.value)
    assert refused.value.asked_by == "rich" and refused.value.path == ["rich", "team", "root", "poor"]
    assert counts(coordinator) == {("poor", "rich", None, "window"): 1}


def test_an_agent_and_a_pool_of_one_id(coordinator):
    coordinator.register_agent("team", "team", initial_budget=100)
    assert not coordinator.try_debit("team", 50) and not coordinator.try_debit("team", 101)
    assert [(c.is_pool, c.asked_by, c.count) for c in coordinator.get_refusals("team")] == [
        (False, "team", 1),
        (True, "team", 1),
    ]
    with pytest.raises(BudgetExceededError, match='pool "team" cannot pay 50, asked by agent "team"'):
        coordinator.debit("team", 50)


def test_the_busiest_32_pairs_are_told_apart_and_the_rest_is_one_sum(coordinator):
    coordinator.update_pool_budget("team", 0)
    for name in range(200):
        coordinator.try_debit("rich", 1, operation_type=f"job {name}")
        coordinator.try_debit("rich", 1, operation_type="often")
    told = coordinator.get_refusals("team")
    assert len(told) == 33 and sum(each.count for each in told) == 400
    assert told[0] == RefusalCount(
        "team", is_pool=True, asked_by="rich", operation_type="often", reason="budget", count=200
    )
    assert told[-1].asked_by is None and told[-1].operation_type is None and told[-1].count == 169
    ordered = [each.count for each in told[:-1]]
    assert ordered == sorted(ordered, reverse=True)


def test_an_agent_that_is_registered_again_is_told_by_its_id(coordinator):
    coordinator.update_pool_budget("team", 0)
    assert not coordinator.try_debit("poor", 1)
    coordinator.unregister_agent("poor")
    coordinator.register_agent("poor", "team", initial_budget=5)
    assert not coordinator.try_debit("poor", 1)
    assert counts(coordinator) == {("team", "poor", None, "budget"): 2}


def test_refusals_change_nothing_else(coordinator):
    before = [coordinator.get_agent_metrics("poor"), coordinator.get_agent_events("poor")]
    coordinator.try_debit("poor", 2)
    assert [coordinator.get_agent_metrics("poor"), coordinator.get_agent_events("poor")] == before
    coordinator.verify()


def test_threads_lose_none(coordinator):
    coordinator.update_pool_budget("team", 0)

    def ask():
        for _ in range(500):
            coordinator.try_debit("rich", 1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts(coordinator) == {("team", "rich", None, "budget"): 4_000}


def test_unknown_ids(coordinator):
    with pytest.raises(UnknownAgentError, match="neither an agent nor a pool"):
        coordinator.get_refusals("nobody")
    assert coordinator.get_refusals("team") == []


# Alerts.


def alerting(rate, clock=None):
    manager = NotificationManager(thresholds=(), refusals_per_minute=rate)
    coordinator = BudgetCoordinator(manager, clock=clock or ManualClock())
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    return manager, coordinator


def test_an_account_that_refuses_often_is_told_once():
    manager, coordinator = alerting(10)
    for _ in range(10):
        coordinator.try_debit("bot", 2, operation_type="chat")
    assert manager.get_alerts() == []
    for _ in range(100):
        coordinator.try_debit("bot", 2, operation_type="chat")
    [alert] = manager.get_alerts()
    assert alert.title == "agent 'bot' refuses more than 10 operations a minute"
    assert alert.account == "bot" and alert.severity.name == "WARNING"
    assert "11 in the last minute, the last one to agent 'bot', for 'chat'" in alert.message
    assert alert.details == {
        "kind": "agent",
        "refusals": 11,
        "refusals_per_minute": 10,
        "asked_by": "bot",
        "operation_type": "chat",
    }


def test_it_is_told_again_after_it_was_quiet():
    clock = ManualClock()
    manager, coordinator = alerting(10, clock)

    def refuse(times):
        for _ in range(times):
            coordinator.try_debit("bot", 2)
        return len(manager.get_alerts())

    assert refuse(20) == 1
    clock.advance(61)
    assert refuse(10) == 1
    assert refuse(1) == 2
    # A steady stream at the limit is told once, not at every turn of it.
    clock.advance(120)
    for _ in range(300):
        clock.advance(6.5)
        refuse(1)
    assert refuse(0) == 2
    for _ in range(300):
        clock.advance(5)
        refuse(1)
    assert refuse(0) == 3


@pytest.mark.parametrize(
    "attempt",
    [
        lambda c: c.debit("bot", 2),
        lambda c: c.reserve("bot", 2),
        lambda c: c.account("bot").debit(2),
        lambda c: c.account("bot").reserve(2),
        lambda c: c.try_debit("bot", 2),
        lambda c: c.try_reserve("bot", 2),
        lambda c: c.account("bot").try_debit(2),
        lambda c: c.account("bot").try_reserve(2),
        lambda c: c.debit_many(np.array([c.handle("bot")], dtype=np.uint32), np.array([2 * 10**9])),
        lambda c: _settle(c, 2),
        lambda c: _limiter(c).acquire("bot", 2),
        lambda c: _limiter(c).try_acquire("bot", 2),
        lambda c: _limiter(c).check_rate_limit("bot", 2),
        lambda c: _resources(c).debit("bot", {"gpu": 2}),
        lambda c: _resources(c).reserve("bot", {"gpu": 2}),
        lambda c: _resources(c).try_debit("bot", {"gpu": 2}),
    ],
)
def test_every_refused_call_tells_itself(attempt):
    manager, coordinator = alerting(1)
    told = []
    manager.add_handler(lambda alert: told.append(alert.account))
    for _ in range(2):
        assert told == []
        with contextlib.suppress(BudgetExceededError, RateLimitExceededError):
            attempt(coordinator)
    assert told == ["bot"]


def _settle(coordinator, amount):
    held = coordinator.try_reserve("bot", 1, overage="allow_if_available")
    try:
        held.settle(amount)
    finally:
        held.release()


def _limiter(coordinator):
    limiter = BudgetRateLimiter(coordinator)
    limiter.set_rate_limit("bot", 1, timedelta(minutes=1))
    return limiter


def _resources(coordinator):
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", {"gpu": 1})
    return resources


def test_a_pool_says_who_asked_last():
    manager, coordinator = alerting(1)
    coordinator.update_budget("bot", 1000)
    for _ in range(2):
        coordinator.try_debit("bot", 11)
    [alert] = manager.get_alerts()
    assert alert.title == "pool 'team' refuses more than 1 operations a minute"
    assert "agent 'bot', of no operation type" in alert.message and "update_pool_budget" in alert.message


def test_a_handler_sees_it_before_the_error_is_raised_and_may_end_the_program():
    manager, coordinator = alerting(1)
    coordinator.try_debit("bot", 2)

    def interrupt(alert):
        raise KeyboardInterrupt

    manager.add_handler(interrupt)
    with pytest.raises(KeyboardInterrupt):
        coordinator.debit("bot", 2)
    with pytest.raises(BudgetExceededError):
        coordinator.debit("bot", 2)


def test_the_rate_is_60_unless_it_is_given():
    manager = NotificationManager()
    assert manager.refusals_per_minute == 60
    with pytest.raises(AttributeError):
        manager.refusals_per_minute = 5
    manager, coordinator = alerting(None)
    for _ in range(10_000):
        coordinator.try_debit("bot", 2)
    assert manager.get_alerts() == [] and coordinator.get_agent_metrics("bot").refusals == 10_000


@pytest.mark.parametrize("rate", [0, -1, 1.5, True, "60", float("nan"), 10**6 + 1, 10**400])
def test_what_is_no_rate(rate):
    with pytest.raises(ConfigurationError, match="refusals_per_minute must be"):
        NotificationManager(refusals_per_minute=rate)


def test_tasks_are_counted(coordinator):
    async def ask():
        return coordinator.try_debit("poor", 2, operation_type="task")

    async def main():
        return await asyncio.gather(*(ask() for _ in range(20)))

    assert asyncio.run(main()) == [False] * 20
    assert counts(coordinator) == {("poor", "poor", "task", "budget"): 20}

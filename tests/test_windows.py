"""Windows of pools, which all below share, and of resources: in one step with the money, all or nothing."""

import math
import threading
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    BudgetCoordinator,
    BudgetRateLimiter,
    ConfigurationError,
    ManualClock,
    MultiResourceBudget,
    RateLimit,
    RateLimitExceededError,
    UnknownAgentError,
    UnknownPoolError,
    UnknownResourceError,
)

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
BILLION = 10**9


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def coordinator(clock):
    """A company with two teams; ann and bob in the one, eve in the other."""
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("company", 1000)
    for team in ("team", "other"):
        coordinator.create_budget_pool(team, 400, parent_id="company")
    for name, team in (("ann", "team"), ("bob", "team"), ("eve", "other")):
        coordinator.register_agent(name, team, initial_budget=100)
    yield coordinator
    coordinator.verify()


@pytest.fixture
def limiter(coordinator):
    return BudgetRateLimiter(coordinator)


@pytest.fixture
def resources(coordinator):
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("ann", {"requests": 1000, "tokens": 1_000_000})
    return resources


def window(limiter, account, **of):
    (found,) = limiter.get_rate_limits(account, **of)
    return found.spent, found.reserved, found.available


def books(coordinator):
    pools = [coordinator.get_pool_metrics(pool) for pool in ("company", "team", "other")]
    agents = [coordinator.get_agent_metrics(agent) for agent in ("ann", "bob", "eve")]
    return [(metrics.remaining, metrics.reserved, metrics.spent) for metrics in pools + agents]


# Pools.


def test_all_below_a_pool_share_its_window(coordinator, limiter, clock):
    limiter.set_rate_limit("team", 10, MINUTE)
    coordinator.debit("ann", 6)
    coordinator.debit("eve", 6)  # of another team
    before = books(coordinator)
    assert not coordinator.try_debit("bob", 5)
    assert coordinator.try_reserve("bob", 5) is None
    assert books(coordinator) == before
    coordinator.debit("bob", 4)
    assert window(limiter, "team") == (10, 0, 0)
    clock.advance(MINUTE)
    coordinator.debit("bob", 10)


def test_the_error_speaks_of_the_pool(coordinator, limiter, clock):
    limiter.set_rate_limit("team", 10, MINUTE)
    coordinator.debit("ann", 6)
    clock.advance(20)
    with pytest.raises(RateLimitExceededError) as caught:
        coordinator.debit("bob", 5)
    error = caught.value
    assert str(error) == (
        'pool "team" may spend 10 in 60 s and cannot spend 5 now, asked by agent "bob" '
        "(6 spent, 0 reserved); it fits in 40 s"
    )
    assert (error.account, error.limit, error.spent, error.reserved) == ("team", 10, 6, 0)
    assert (error.requested, error.available, error.retry_after, error.time_window) == (5, 4, 40.0, 60.0)
    assert (error.asked_by, error.path) == ("bob", ["bob", "team", "company"])
    with pytest.raises(
        RateLimitExceededError, match=r'^pool "team" may spend 10 in 60 s and cannot spend 11 now \('
    ):
        limiter.acquire("team", 11)


def test_every_window_on_the_way_binds_and_all_are_charged_or_none(coordinator, limiter):
    limiter.set_rate_limit("ann", 8, MINUTE)
    limiter.set_rate_limit("team", 6, MINUTE)
    limiter.set_rate_limit("company", 9, MINUTE)
    coordinator.debit("ann", 4)
    assert [window(limiter, who)[0] for who in ("ann", "team", "company")] == [4, 4, 4]
    assert not coordinator.try_debit("ann", 3)  # the team
    assert coordinator.try_debit("eve", 4)  # the company alone
    assert not coordinator.try_debit("eve", 2)
    assert not coordinator.try_debit("ann", 2)  # the company again
    assert [window(limiter, who)[0] for who in ("ann", "team", "company")] == [4, 4, 8]
    assert coordinator.try_debit("ann", 1)


def test_a_budget_that_refuses_is_told_before_a_window(coordinator, limiter):
    limiter.set_rate_limit("team", 1, MINUTE)
    coordinator.update_pool_budget("company", 2)
    with pytest.raises(Exception, match=r'^pool "company" cannot pay 3'):
        coordinator.debit("ann", 3)
    assert window(limiter, "team") == (0, 0, 1)


def test_reservations_are_held_in_the_windows_of_pools(coordinator, limiter, clock):
    limiter.set_rate_limit("team", 10, MINUTE)
    held = coordinator.reserve("ann", 7)
    assert window(limiter, "team") == (0, 7, 3)
    assert not coordinator.try_debit("bob", 4)
    held.settle("2.5")
    assert window(limiter, "team") == (Decimal("2.5"), 0, Decimal("7.5"))
    coordinator.reserve("bob", 7).release()
    expiring = coordinator.reserve("bob", 7, ttl_seconds=10)
    clock.advance(10)
    assert window(limiter, "team") == (Decimal("2.5"), 0, Decimal("7.5"))
    expiring.settle(1)  # late: charged all the same
    assert window(limiter, "team") == (Decimal("3.5"), 0, Decimal("6.5"))


def test_an_overage_passes_the_windows_of_pools_under_its_policy(coordinator, limiter):
    limiter.set_rate_limit("team", 10, MINUTE)
    strict = coordinator.reserve("ann", 4, overage="allow_if_available")
    coordinator.debit("bob", 5)
    with pytest.raises(RateLimitExceededError, match=r'^pool "team"'):
        strict.settle(6)
    assert strict.state == "active"
    strict.settle(5)
    fact = coordinator.reserve("eve", 1)
    limiter.set_rate_limit("other", 3, MINUTE)
    fact.settle(20)
    assert window(limiter, "other") == (20, 0, 0)


def test_a_window_that_is_set_while_reservations_are_open_holds_them(coordinator, limiter):
    one, other = coordinator.reserve("ann", 4), coordinator.reserve("bob", 3)
    limiter.set_rate_limit("team", 10, MINUTE)
    limiter.set_rate_limit("ann", 5, MINUTE)
    assert (window(limiter, "team"), window(limiter, "ann")) == ((0, 7, 3), (0, 4, 1))
    assert not coordinator.try_debit("bob", 4)
    assert coordinator.try_debit("bob", 2)
    one.settle(4)
    other.release()
    assert (window(limiter, "team"), window(limiter, "ann")) == ((6, 0, 4), (4, 0, 1))
    limiter.set_rate_limit("team", 20, MINUTE)
    assert window(limiter, "team") == (6, 0, 14)


def test_what_is_charged_beside_an_agent_passes_its_windows_once(coordinator, limiter):
    limiter.set_rate_limit("company", 10, MINUTE)
    limiter.set_rate_limit("other", 5, MINUTE)
    coordinator.debit("ann", 4, also=("eve",))
    assert window(limiter, "company") == (4, 0, 6)
    assert window(limiter, "other") == (4, 0, 1)
    assert not coordinator.try_debit("ann", 2, also=("other",))
    with pytest.raises(RateLimitExceededError, match=r'^pool "other".*asked by agent "ann"'):
        coordinator.reserve("ann", 2, also=("other",))
    held = coordinator.reserve("ann", 1, also=("eve",))
    assert window(limiter, "company") == (4, 1, 5)
    held.settle(1)
    assert window(limiter, "other") == (5, 0, 0)


def test_batches_ask_the_windows_of_pools(coordinator, limiter):
    limiter.set_rate_limit("team", 10, MINUTE)
    handles = np.array([coordinator.handle(name) for name in ("ann", "bob") * 4], dtype=np.uint32)
    units = np.full(8, 2 * BILLION, dtype=np.int64)
    numbers = coordinator.reserve_many(handles, units)
    assert (numbers > 0).tolist() == [True] * 5 + [False] * 3
    assert window(limiter, "team") == (0, 10, 0)
    settled = coordinator.settle_many(handles[:5], numbers[:5], units[:5] // 2)
    assert settled.all()
    assert window(limiter, "team") == (5, 0, 5)
    assert coordinator.debit_many(handles, units).tolist() == [True] * 2 + [False] * 6
    held = coordinator.reserve_many(handles[:4], units[:4] // 4)
    assert window(limiter, "team") == (9, 1, 0)
    assert coordinator.release_many(handles[:2], held[:2]).all()
    assert window(limiter, "team") == (9, 0, 1)


def test_refunds_come_back_to_the_windows_of_pools(coordinator, limiter, clock):
    limiter.set_rate_limit("team", 10, MINUTE)
    limiter.set_rate_limit("company", 10, HOUR)
    receipt = coordinator.debit("ann", 6)
    coordinator.refund(receipt, 2)
    assert (window(limiter, "team")[0], window(limiter, "company")[0]) == (4, 4)
    clock.advance(MINUTE)
    coordinator.debit("bob", 3)
    coordinator.refund(receipt)
    assert (window(limiter, "team")[0], window(limiter, "company")[0]) == (3, 3)


def test_acquire_check_and_record_pass_the_pools_above(coordinator, limiter, clock):
    limiter.set_rate_limit("team", 10, MINUTE)
    before = books(coordinator)
    limiter.acquire("ann", 6)
    assert limiter.check_rate_limit("bob", 4)
    assert not limiter.check_rate_limit("bob", 5)
    assert limiter.get_retry_after("bob") == 60.0
    assert not limiter.try_acquire("team", 5)
    assert limiter.get_retry_after("team") == 60.0
    assert limiter.try_acquire("team", 1)
    limiter.record_usage("bob", 100)
    assert window(limiter, "team") == (107, 0, 0)
    clock.advance(MINUTE)
    assert limiter.try_acquire("eve", 1000)
    assert limiter.try_acquire("bob", 10)
    assert books(coordinator) == before
    assert [event.amount for event in coordinator.get_agent_usage_history("bob")] == [100]


def test_retry_after_is_that_of_the_whole_way_and_ignores_what_is_reserved(coordinator, limiter, clock):
    limiter.set_rate_limit("ann", 10, MINUTE)
    limiter.set_rate_limit("team", 10, HOUR)
    coordinator.debit("ann", 6)
    with pytest.raises(RateLimitExceededError) as caught:
        coordinator.debit("ann", 5)
    assert caught.value.account == "ann"
    assert caught.value.retry_after == 3600.0
    assert limiter.get_retry_after("ann") == 3600.0
    assert limiter.get_retry_after("ann", 11) == math.inf
    held = coordinator.reserve("bob", 4, ttl_seconds=10)
    with pytest.raises(
        RateLimitExceededError, match=r"it fits when enough of what is reserved has come back$"
    ) as e:
        coordinator.debit("bob", 1)
    assert (e.value.retry_after, limiter.get_retry_after("bob", 1)) == (0.0, 0.0)
    assert limiter.get_retry_after("bob", 5) == 3600.0
    held.release()
    assert coordinator.try_debit("bob", 1)


def test_an_id_of_both_kinds_means_the_agent_unless_told(coordinator, limiter):
    coordinator.register_agent("team", "team", initial_budget=50)
    limiter.set_rate_limit("team", 3, MINUTE)
    limiter.set_rate_limit("team", 5, MINUTE, kind="pool")
    assert coordinator.try_debit("ann", 5)
    assert window(limiter, "team") == window(limiter, "team", kind="agent") == (0, 0, 3)
    assert window(limiter, "team", kind="pool") == (5, 0, 0)
    assert limiter.remove_rate_limit("team", kind="pool") == 1
    assert limiter.check_rate_limit("team", 9, kind="pool")
    assert not limiter.check_rate_limit("team", 9)
    limiter.acquire("team", 2, kind="agent")
    limiter.record_usage("team", 1, kind="agent")
    assert limiter.get_retry_after("team", 1, kind="agent") == 60.0
    assert limiter.get_retry_after("team", 1, kind="pool") == 0.0


def test_who_is_nobody_and_what_is_no_kind(limiter):
    doors = (
        lambda *a, **k: limiter.set_rate_limit(*a, 1, MINUTE, **k),
        lambda *a, **k: limiter.check_rate_limit(*a, 1, **k),
        lambda *a, **k: limiter.acquire(*a, 1, **k),
        lambda *a, **k: limiter.try_acquire(*a, 1, **k),
        lambda *a, **k: limiter.record_usage(*a, 1, **k),
        limiter.get_retry_after,
        limiter.get_rate_limits,
        limiter.remove_rate_limit,
    )
    for door in doors:
        with pytest.raises(UnknownAgentError, match=r'^there is neither an agent nor a pool "nobody"'):
            door("nobody")
        with pytest.raises(UnknownAgentError, match=r'^no agent "team" is registered'):
            door("team", kind="agent")
        with pytest.raises(UnknownPoolError, match=r'^no pool "ann" exists'):
            door("ann", kind="pool")
        with pytest.raises(ConfigurationError, match=r'^kind must be "agent" or "pool", got "swarm"$'):
            door("ann", kind="swarm")
        with pytest.raises(ConfigurationError, match=r'^pool "team" has no resources'):
            door("team", resource="requests")
        with pytest.raises(UnknownResourceError, match=r'^agent "ann" has no budget for resource "requests"'):
            door("ann", resource="requests")


def test_a_pool_has_sixteen_windows(limiter):
    for seconds in range(1, 17):
        limiter.set_rate_limit("team", 1, timedelta(seconds=seconds))
    with pytest.raises(ConfigurationError, match=r'^pool "team" has 16 windows'):
        limiter.set_rate_limit("team", 1, HOUR)
    assert limiter.remove_rate_limit("team") == 16


def test_threads_of_many_agents_never_pass_the_window_of_their_pool():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("crowd", 10**9)
    names = [coordinator.register_agent(f"agent {i}", "crowd", initial_budget=10**6) for i in range(8)]
    limiter = BudgetRateLimiter(coordinator)
    limiter.set_rate_limit("crowd", 1000, HOUR)
    admitted = []

    def work(name):
        debits = sum(coordinator.try_debit(name, 1) for _ in range(200))
        held = [coordinator.try_reserve(name, 1) for _ in range(100)]
        settled = [one.settle(1) for one in held if one is not None]
        admitted.append(debits + len(settled))

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(admitted) == 1000
    assert window(limiter, "crowd") == (1000, 0, 0)
    coordinator.verify()


@pytest.mark.parametrize("what", ["time", "a release", "a settlement"])
def test_a_call_waits_for_room_in_the_window_of_a_pool(what):
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("crew", 1000)
    for name in ("ann", "bob"):
        coordinator.register_agent(name, "crew", initial_budget=100)
    limiter = BudgetRateLimiter(coordinator)
    limiter.set_rate_limit("crew", 10, timedelta(seconds=0.3) if what == "time" else HOUR)
    end = {
        "time": None,
        "a release": lambda held: held.release(),
        "a settlement": lambda held: held.settle(4),
    }[what]
    if end is None:
        coordinator.debit("ann", 10)
    else:
        timer = threading.Timer(0.1, end, (coordinator.reserve("ann", 10),))
        timer.start()
    with pytest.raises(RateLimitExceededError, match=r'^pool "crew" may spend 10'):
        coordinator.debit("bob", 6)
    with pytest.raises(RateLimitExceededError, match="it can never fit"):
        coordinator.debit("bob", 11, timeout=60)
    assert coordinator.debit("bob", 6, timeout=60).amount == 6
    assert window(limiter, "crew")[0] in {6, 10}
    coordinator.verify()


# Resources.


def test_a_window_on_a_resource_binds_debits_of_it(coordinator, limiter, resources, clock):
    limiter.set_rate_limit("ann", 2, MINUTE, resource="requests")
    limiter.set_rate_limit("ann", 1000, MINUTE, resource="tokens")
    resources.debit("ann", {"requests": 1, "tokens": 600})
    before = resources.get_budgets("ann")
    assert not resources.try_debit("ann", {"requests": 1, "tokens": 600})
    assert resources.get_budgets("ann") == before
    assert window(limiter, "ann", resource="requests") == (1, 0, 1)
    assert resources.try_debit("ann", {"requests": 1, "tokens": 400})
    with pytest.raises(RateLimitExceededError) as caught:
        resources.debit("ann", {"requests": 1})
    error = caught.value
    assert str(error) == (
        'agent "ann" may spend 2 of "requests" in 60 s and cannot spend 1 now '
        "(2 spent, 0 reserved); it fits in 60 s"
    )
    assert (error.resource, error.currency, error.retry_after, error.asked_by) == (
        "requests",
        None,
        60.0,
        "ann",
    )
    assert limiter.get_retry_after("ann", 1, resource="tokens") == 60.0
    clock.advance(MINUTE)
    resources.debit("ann", {"requests": 2})
    assert coordinator.try_debit("ann", 100)  # money has no window


def test_reservations_of_resources_are_held_in_their_windows(limiter, resources, clock):
    limiter.set_rate_limit("ann", 10, MINUTE, resource="tokens")
    held = resources.reserve("ann", {"tokens": 6, "requests": 1}, overage="allow_if_available")
    assert window(limiter, "ann", resource="tokens") == (0, 6, 4)
    assert resources.try_reserve("ann", {"tokens": 5}) is None
    resources.reserve("ann", {"tokens": 2}).release()
    resources.debit("ann", {"tokens": 3})
    with pytest.raises(RateLimitExceededError):
        held.settle({"tokens": 8, "requests": 1})
    held.settle({"tokens": 7, "requests": 1})
    assert window(limiter, "ann", resource="tokens") == (10, 0, 0)
    clock.advance(MINUTE)
    fact = resources.reserve("ann", {"tokens": 6}, ttl_seconds=5)
    clock.advance(5)
    assert window(limiter, "ann", resource="tokens") == (0, 0, 10)
    fact.settle({"tokens": 60})
    assert window(limiter, "ann", resource="tokens") == (60, 0, 0)


def test_a_window_that_is_set_on_a_resource_holds_what_is_reserved(limiter, resources):
    held = resources.reserve("ann", {"tokens": 6})
    limiter.set_rate_limit("ann", 10, MINUTE, resource="tokens")
    assert window(limiter, "ann", resource="tokens") == (0, 6, 4)
    held.settle({"tokens": 2})
    assert limiter.get_rate_limits("ann", resource="tokens") == [RateLimit(Decimal(10), MINUTE, Decimal(2))]


def test_windows_of_a_resource_and_of_money_are_apart(coordinator, limiter, resources):
    limiter.set_rate_limit("ann", 5, MINUTE)
    limiter.set_rate_limit("ann", 3, MINUTE, resource="requests")
    limiter.acquire("ann", 2, resource="requests")
    assert not limiter.try_acquire("ann", 2, resource="requests")
    assert limiter.check_rate_limit("ann", 5)
    limiter.record_usage("ann", 9, resource="requests", operation_type="elsewhere")
    assert window(limiter, "ann", resource="requests") == (11, 0, 0)
    assert window(limiter, "ann") == (0, 0, 5)
    assert resources.get_budgets("ann")["requests"] == 1000
    (usage,) = resources.get_usage_history("ann", "requests")
    assert (usage.amount, usage.source, usage.operation_type) == (9, "recorded", "elsewhere")
    assert limiter.remove_rate_limit("ann", resource="requests") == 1
    assert limiter.get_rate_limits("ann", resource="requests") == []
    assert len(limiter.get_rate_limits("ann")) == 1
    assert coordinator.try_debit("ann", 5)


def test_budgets_that_begin_anew_keep_their_windows(limiter, resources):
    limiter.set_rate_limit("ann", 3, MINUTE, resource="requests")
    resources.debit("ann", {"requests": 2})
    resources.initialize_budgets("ann", {"requests": 10, "gigabytes": 1})
    assert window(limiter, "ann", resource="requests") == (2, 0, 1)
    assert not resources.try_debit("ann", {"requests": 2})
    resources.initialize_budgets("ann", {"tokens": 10})
    with pytest.raises(UnknownResourceError):
        limiter.get_rate_limits("ann", resource="requests")


def test_a_rate_limit_tells_what_it_admits():
    limit = RateLimit(Decimal(10), MINUTE, Decimal(4), Decimal(3))
    assert (limit.reserved, limit.available) == (3, 3)
    assert RateLimit(Decimal(1), MINUTE, Decimal(4)).available == 0

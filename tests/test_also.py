"""`also=`: what several accounts pay at once is paid by all of them or by none."""

import itertools
import threading
from decimal import Decimal

import pytest

from safeguards import (
    BudgetCoordinator,
    BudgetExceededError,
    BudgetRateLimiter,
    ConfigurationError,
    IdempotencyConflictError,
    RateLimitExceededError,
    UnknownAgentError,
)

ALSO = ("customer", "model")


@pytest.fixture
def shared(clock):
    """A bot of a team, a customer and a model, which are pools, and a user, who is an agent."""
    shared = BudgetCoordinator(clock=clock)
    for pool, budget in (("team", 100), ("customer", 10), ("model", 5)):
        shared.create_budget_pool(pool, budget)
    shared.register_agent("bot", "team", initial_budget=50)
    shared.register_agent("user", "customer", initial_budget=4)
    yield shared
    assert not shared.verify()


def left(shared):
    return [
        shared.get_budget("bot"),
        *(shared.get_pool_budget(pool) for pool in ("team", "customer", "model")),
        shared.get_budget("user"),
    ]


def test_all_pay(shared):
    shared.debit("bot", 3, also=ALSO)
    assert left(shared) == [47, 97, 7, 2, 4]


def test_one_that_cannot_pay_refuses_for_all(shared):
    before = left(shared)
    for attempt in (
        lambda: shared.debit("bot", 6, also=ALSO),
        lambda: shared.reserve("bot", 6, also=ALSO),
        lambda: shared.account("bot").debit(6, also=ALSO),
        lambda: shared.account("bot").reserve(6, also=ALSO),
    ):
        with pytest.raises(BudgetExceededError) as refusal:
            attempt()
        assert (refusal.value.account, refusal.value.available) == ("model", 5)
    assert not shared.try_debit("bot", 6, also=ALSO)
    assert shared.try_reserve("bot", 6, also=ALSO) is None
    assert not shared.account("bot").try_debit(6, also=ALSO)
    assert shared.account("bot").try_reserve(6, also=ALSO) is None
    assert left(shared) == before


def test_an_account_that_is_met_twice_pays_once(shared):
    shared.debit("bot", 2, also=["user", "customer", "user", "bot", "team"])
    assert left(shared) == [48, 98, 8, 5, 2]


def test_one_id_alone_is_one_id(shared):
    shared.debit("bot", 1, also="model")
    assert left(shared) == [49, 99, 10, 4, 4]


def test_the_order_of_the_ids_says_nothing(shared):
    for also in itertools.permutations(["customer", "model", "user"]):
        shared.debit("bot", "0.5", also=also)
    assert left(shared) == [47, 97, 7, 2, 1]


def test_what_is_reserved_is_settled_and_given_back_everywhere(shared):
    with shared.reserve("bot", 4, also=ALSO) as held:
        assert left(shared) == [46, 96, 6, 1, 4]
        held.settle(1)
    assert left(shared) == [49, 99, 9, 4, 4]
    shared.reserve("bot", 4, also=ALSO).release()
    assert left(shared) == [49, 99, 9, 4, 4]


def test_what_expires_comes_back_everywhere(shared, clock):
    held = shared.reserve("bot", 4, also=ALSO, ttl_seconds=60)
    held.extend(120)
    clock.advance(119)
    assert left(shared) == [46, 96, 6, 1, 4]
    clock.advance(2)
    assert left(shared) == [50, 100, 10, 5, 4]
    assert held.state == "expired"


def test_windows_of_all_bind(shared):
    limiter = BudgetRateLimiter(shared)
    from datetime import timedelta

    limiter.set_rate_limit("user", 2, timedelta(minutes=1))
    shared.debit("bot", "1.5", also="user")
    before = left(shared)
    with pytest.raises(RateLimitExceededError) as refusal:
        shared.debit("bot", 1, also="user")
    assert refusal.value.account == "user"
    assert left(shared) == before


def test_a_key_is_one_operation_with_the_same_payers(shared):
    shared.debit("bot", 1, also=ALSO, idempotency_key="k")
    shared.debit("bot", 1, also=tuple(reversed(ALSO)), idempotency_key="k")
    assert left(shared) == [49, 99, 9, 4, 4]
    with pytest.raises(IdempotencyConflictError):
        shared.debit("bot", 1, also="model", idempotency_key="k")
    with pytest.raises(IdempotencyConflictError):
        shared.debit("bot", 1, idempotency_key="k")
    assert left(shared) == [49, 99, 9, 4, 4]


def test_overdrafts_are_everybodys(shared):
    held = shared.reserve("bot", 4, also=ALSO)
    held.settle(7)
    assert left(shared) == [43, 93, 3, -2, 4]
    assert not shared.try_debit("bot", 1, also="model")
    assert shared.try_debit("bot", 1)


@pytest.mark.parametrize("also", ["nobody", ("customer", "nobody"), ("nobody", "nobody")])
def test_who_is_not_known_pays_nothing(shared, also):
    before = left(shared)
    with pytest.raises(UnknownAgentError, match="nobody"):
        shared.debit("bot", 1, also=also)
    with pytest.raises(UnknownAgentError, match="nobody"):
        shared.reserve("bot", 1, also=also)
    assert left(shared) == before


@pytest.mark.parametrize("also", [7, b"model", ["model", 7], [None], [["model"]]])
def test_what_is_no_id_is_refused(shared, also):
    with pytest.raises(TypeError, match="also must be ids of agents or pools"):
        shared.debit("bot", 1, also=also)


def test_an_endless_list_is_not_read_to_its_end(shared):
    for also in (itertools.repeat("model"), (f"pool-{number}" for number in itertools.count())):
        with pytest.raises(ConfigurationError, match="at most 255 accounts"):
            shared.debit("bot", 1, also=also)


def test_nobody_is_an_empty_list(shared):
    shared.debit("bot", 1, also=())
    assert left(shared) == [49, 99, 10, 5, 4]


def test_threads_that_share_payers_in_any_order_never_overspend_nor_wait_for_each_other(clock):
    shared = BudgetCoordinator(clock=clock)
    pools = [f"pool-{number}" for number in range(4)]
    for pool in pools:
        shared.create_budget_pool(pool, 300)
        shared.register_agent(f"bot of {pool}", pool, initial_budget=300)
    orders, admitted = list(itertools.permutations(pools)), []

    def work(number):
        for turn in range(300):
            also = orders[(number * 7 + turn) % len(orders)]
            agent = f"bot of {pools[(number + turn) % 4]}"
            if turn % 3 and (held := shared.try_reserve(agent, 1, also=also)):
                held.settle(Decimal("0.5"))
                admitted.append(Decimal("0.5"))
            elif shared.try_debit(agent, 1, also=also):
                admitted.append(Decimal(1))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {shared.get_pool_budget(pool) for pool in pools} == {300 - sum(admitted)}
    assert 0 <= 300 - sum(admitted) < 1
    assert not shared.verify()

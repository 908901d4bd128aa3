"""One effect for each key, at every door; what is refused or given back may be tried again."""

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal

import pytest

from doors import DEBITS, RESERVES, Door
from safeguards import (
    BudgetExceededError,
    IdempotencyConflictError,
    IdempotencyInProgressError,
    ReservationError,
)

KEY = {"idempotency_key": "k"}


@pytest.fixture
def make_door(coordinator, resources):
    coordinator.update_budget("bot", 10)
    return lambda name: Door(coordinator, resources, name)


@pytest.fixture(params=DEBITS)
def debit(make_door, request):
    return make_door(request.param)


@pytest.fixture(params=RESERVES)
def reserve(make_door, request):
    return make_door(request.param)


def numbers(*values):
    return tuple(Decimal(value) for value in values)


def test_a_repetition_has_the_first_receipt_and_no_effect(coordinator):
    receipt = coordinator.debit("bot", "0.25", operation_type="x", **KEY)
    coordinator.debit("bot", "0.25")
    for _ in range(3):
        assert coordinator.debit("bot", "0.250", operation_type="x", **KEY) == receipt
        assert coordinator.account("bot").debit("0.25", operation_type="x", **KEY) == receipt
        assert coordinator.try_debit("bot", "0.25", operation_type="x", **KEY)
    assert float(coordinator.get_budget("bot")) == 0.5
    assert len(coordinator.get_agent_events("bot")) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.debit("other", "0.25", operation_type="x", **KEY),
        lambda c: c.debit("bot", "0.26", operation_type="x", **KEY),
        lambda c: c.debit("bot", "0.25", operation_type="y", **KEY),
        lambda c: c.debit("bot", "0.25", **KEY),
        lambda c: c.reserve("bot", "0.25", operation_type="x", **KEY),
        lambda c: c.try_debit("bot", "0.26", operation_type="x", **KEY),
        lambda c: c.try_reserve("bot", "0.25", operation_type="x", **KEY),
    ],
)
def test_another_payload_is_a_conflict_and_changes_nothing(coordinator, change):
    coordinator.register_agent("other", "team", initial_budget=1)
    coordinator.debit("bot", "0.25", operation_type="x", **KEY)
    with pytest.raises(IdempotencyConflictError, match="use a new key for a new operation") as caught:
        change(coordinator)
    assert caught.value.idempotency_key == "k"
    assert float(coordinator.get_pool_budget("team")) == 9.75


def test_a_refusal_is_not_remembered(coordinator):
    with pytest.raises(BudgetExceededError):
        coordinator.debit("bot", 5, **KEY)
    assert not coordinator.try_debit("bot", 5, **KEY)
    coordinator.update_budget("bot", 5)
    assert coordinator.debit("bot", 5, **KEY).remaining == 0
    assert coordinator.try_debit("bot", 5, **KEY)


def test_a_remembered_debit_is_admitted_even_if_nothing_is_left(coordinator):
    coordinator.debit("bot", 1, **KEY)
    assert coordinator.get_budget("bot") == 0
    assert coordinator.try_debit("bot", 1, **KEY)


def test_a_debit_comes_back_as_it_was(debit):
    first, again, later = (debit(2, **KEY) for _ in range(3))
    assert debit.books == numbers(0, 2)
    if debit.method == "debit":
        assert first == again == later and hash(first) == hash(again)
        assert [receipt.is_repeat for receipt in (first, again, later)] == [False, True, True]
        assert not debit(1).is_repeat  # without a key
    else:
        assert (first, again, later) == (True, True, True)


def test_a_refused_debit_leaves_no_key(debit):
    assert debit.refuses(1000, **KEY) and debit.refuses(1000, **KEY)
    done = debit(1, **KEY)  # decided anew, whatever it asks for
    assert done is True or not done.is_repeat
    assert debit.books == numbers(0, 1)


# ----------------------------------------------------------------------------------------------- reservations


def test_an_active_reservation_is_the_same_one(reserve):
    first, again = reserve(5, **KEY), reserve(5, **KEY)
    assert (first == again, first.number == again.number, first.id == again.id) == (True, True, True)
    assert (first.is_repeat, again.is_repeat) == (False, True)
    assert reserve.books == numbers(5, 0)
    receipt = reserve.settle(again, 2)
    assert (first.state, first.receipt, reserve.settle(first, 2)) == ("settled", receipt, receipt)
    assert reserve.books == numbers(0, 2)


def test_a_settled_reservation_comes_back_with_its_receipt(reserve):
    receipt = reserve.settle(reserve(5, **KEY), 2)
    again = reserve(5, **KEY)
    assert (again.is_repeat, again.state, again.receipt) == (True, "settled", receipt)
    assert reserve.books == numbers(0, 2)


def test_a_settled_reservation_can_be_entered_again(reserve):
    """The same program runs once more, and charges nothing more."""
    for _ in range(3):
        with reserve(5, **KEY) as reservation:
            reserve.settle(reservation, 2)
    with reserve(5, **KEY):
        pass
    with pytest.raises(ZeroDivisionError), reserve(5, **KEY):
        1 / 0  # noqa: B018
    assert reserve.books == numbers(0, 2)
    with pytest.raises(ReservationError, match="what it cost beyond can be debited"), reserve(5, **KEY) as it:
        reserve.settle(it, 3)
    assert reserve.books == numbers(0, 2)


def test_who_made_it_may_find_it_settled_by_another(reserve):
    first, again = reserve(5, **KEY), reserve(5, **KEY)
    with again:
        reserve.settle(again, 2)
    with first:
        assert (first.is_repeat, first.state, first.receipt) == (False, "settled", again.receipt)
    assert reserve.books == numbers(0, 2)


def test_without_a_key_what_is_settled_is_not_entered(reserve):
    first = reserve(5)
    reserve.settle(first, 2)
    with pytest.raises(ReservationError, match="was settled for"), first:
        pytest.fail("the body ran without money")
    found = reserve(5, **KEY)
    found.release()
    with pytest.raises(ReservationError, match="was released before"), found:
        pytest.fail("the body ran without money")


def test_what_was_released_is_decided_anew(reserve):
    first = reserve(5, **KEY)
    first.release()
    again = reserve(5, **KEY)
    assert (again.is_repeat, again.state, again.number) == (False, "active", first.number + 1)
    assert (again != first, first.state) == (True, "released")
    assert reserve.books == numbers(5, 0)
    reserve.settle(again, 4)
    assert reserve.books == numbers(0, 4)


def test_what_has_expired_is_decided_anew(reserve, clock):
    first = reserve(5, ttl_seconds=60, **KEY)
    clock.advance(60)
    again = reserve(5, ttl_seconds=60, **KEY)
    assert (first.state, again.state, again.is_repeat) == ("expired", "active", False)
    assert reserve.books == numbers(5, 0)
    again.release()


def test_what_is_decided_anew_can_be_refused(reserve):
    reserve(5, **KEY).release()
    assert reserve.refuses(1000, **KEY) and reserve.refuses(1000, **KEY)
    again = reserve(1, **KEY)
    assert (again.is_repeat, reserve.books) == (False, numbers(1, 0))
    again.release()


def test_a_dead_key_takes_any_payload(reserve, clock):
    reserve(5, ttl_seconds=60, **KEY).release()
    longer = reserve(7, ttl_seconds=120, overage="reject", operation_type="other", **KEY)
    assert (longer.is_repeat, longer.state) == (False, "active")
    assert reserve.books == numbers(7, 0)
    clock.advance(120)
    done = reserve.other("debit")(3, **KEY)
    assert not done.is_repeat
    assert reserve.books == numbers(0, 3)
    with pytest.raises(IdempotencyConflictError):
        reserve(5, ttl_seconds=60, **KEY)


def test_what_was_settled_late_has_an_effect(reserve, clock):
    first = reserve(5, ttl_seconds=60, **KEY)
    clock.advance(60)
    receipt = reserve.settle(first, 4)
    again = reserve(5, ttl_seconds=60, **KEY)
    assert (again.is_repeat, again.state, again.receipt) == (True, "settled", receipt)
    with again:
        reserve.settle(again, 4)
    assert reserve.books == numbers(0, 4)


def test_two_that_were_decided_under_a_key_are_two(reserve, clock):
    """The first has expired, and its work was done all the same: both are facts."""
    first = reserve(5, ttl_seconds=60, **KEY)
    clock.advance(60)
    again = reserve(5, ttl_seconds=60, **KEY)
    reserve.settle(first, 4)
    reserve.settle(again, 1)
    assert reserve.books == numbers(0, 5)
    assert reserve(5, ttl_seconds=60, **KEY) == again


def test_what_fails_in_a_block_can_be_tried_again(reserve):
    for _ in range(3):
        reservation = reserve(5, **KEY)
        assert not reservation.is_repeat
        with pytest.raises(ConnectionError), reservation:
            raise ConnectionError("the provider is down")
    with reserve(5, **KEY) as reservation:
        assert not reservation.is_repeat
        reserve.settle(reservation, 2)
    assert reserve.books == numbers(0, 2)


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, TimeoutError])
def test_what_is_cut_off_for_nothing_can_be_tried_again(reserve, error):
    with pytest.raises(error), reserve(5, **KEY):
        raise error
    with reserve(5, **KEY) as again:
        assert not again.is_repeat
        reserve.settle(again, 2)
    assert reserve.books == numbers(0, 2)


def test_what_is_cut_off_and_charged_has_an_effect(reserve):
    with pytest.raises(TimeoutError), reserve(5, on_cancel=reserve.what(1), **KEY):
        raise TimeoutError
    again = reserve(5, on_cancel=reserve.what(1), **KEY)
    assert (again.is_repeat, again.state) == (True, "settled")
    assert reserve.books == numbers(0, 1)


def test_how_a_block_is_left_is_no_part_of_what_a_key_stands_for(reserve):
    first = reserve(5, **KEY)
    again = reserve(5, on_cancel=reserve.what(1), on_error=reserve.what(2), cut_off=ValueError, **KEY)
    assert first == again and again.is_repeat
    with pytest.raises(ZeroDivisionError), again:
        1 / 0  # noqa: B018
    assert reserve.books == numbers(0, 2)


@pytest.mark.parametrize(
    "other", [{"ttl_seconds": 61}, {"overage": "reject"}, {"operation_type": "other"}, {"amount": 6}]
)
@pytest.mark.parametrize("is_settled", [False, True])
def test_another_payload_is_a_conflict_while_there_is_an_effect(reserve, other, is_settled):
    asked = {"amount": 5, "ttl_seconds": 60, **KEY}
    first = reserve(**asked)
    if is_settled:
        reserve.settle(first, 2)
    before = reserve.books
    with pytest.raises(IdempotencyConflictError, match="ttl_seconds or overage"):
        reserve(**asked | other)
    for method in ("debit", "try_debit"):
        with pytest.raises(IdempotencyConflictError):
            reserve.other(method)(5, **KEY)
    assert reserve.books == before
    assert reserve(**asked) == first
    reserve.settle(first, 2)


def test_all_that_is_charged_beside_it_is_part_of_what_a_key_stands_for(coordinator):
    for agent in ("one", "two"):
        coordinator.register_agent(agent, "team", initial_budget=1)
    account = coordinator.account("bot")
    first = coordinator.reserve("bot", "0.1", also=("one", "two"), **KEY)
    assert coordinator.reserve("bot", "0.1", also=["two", "one", "one"], **KEY) == first  # the same accounts
    assert account.try_reserve("0.1", also=("one", "two"), **KEY) == first
    for also in (None, "one", ("one", "team")):
        with pytest.raises(IdempotencyConflictError, match="also="):
            account.reserve("0.1", also=also, **KEY)
    first.release()
    assert not coordinator.reserve("bot", "0.1", also="one", **KEY).settle("0.1").is_repeat
    assert [coordinator.get_budget(agent) for agent in ("one", "two")] == [Decimal("0.9"), 1]


def test_money_and_resources_have_their_own_keys(coordinator, resources):
    """One request is charged both under the key that it came with."""
    with coordinator.reserve("bot", "0.5", **KEY), resources.reserve("bot", {"calls": 1}, **KEY) as calls:
        assert not calls.is_repeat
    assert not coordinator.debit("bot", "0.1", idempotency_key="other").is_repeat
    assert not resources.debit("bot", {"calls": 1}, idempotency_key="other").is_repeat


def test_a_key_that_was_decided_anew_lives_a_day_from_then_on(reserve, clock):
    reserve(5, **KEY).release()
    clock.advance(20 * 3600)
    reserve.settle(reserve(5, **KEY), 2)
    clock.advance(24 * 3600 - 1)
    assert reserve(5, **KEY).is_repeat
    clock.advance(1)
    again = reserve(5, **KEY)
    assert (again.is_repeat, again.state) == (False, "active")
    again.release()


# ------------------------------------------------------------------------------------------------ in progress


def assert_in_progress(reserve, **options):
    with pytest.raises(IdempotencyInProgressError, match='idempotency key "k" is at work') as caught:
        reserve(5, **options, **KEY)
    assert (caught.value.idempotency_key, caught.value.retry_after) == ("k", 1.0)


def test_what_is_at_work_is_in_progress(reserve, clock):
    with reserve(5, ttl_seconds=60, **KEY) as reservation:
        for _ in range(2):
            assert_in_progress(reserve, ttl_seconds=60)
            assert_in_progress(reserve)  # another payload: how it ends decides
            for debit in ("debit", "try_debit"):
                with pytest.raises(IdempotencyInProgressError):
                    reserve.other(debit)(5, **KEY)
            clock.advance(10_000)  # kept alive
        assert reserve.books == numbers(5, 0)
        reserve.settle(reservation, 2)
        assert reserve(5, ttl_seconds=60, **KEY).state == "settled"  # what it has cost is known
    assert reserve(5, ttl_seconds=60, **KEY).is_repeat
    assert reserve.books == numbers(0, 2)


def test_what_is_at_work_in_another_thread_is_in_progress(reserve):
    inside, may_end = threading.Event(), threading.Event()

    def work():
        with reserve(5, **KEY) as reservation:
            inside.set()
            assert may_end.wait(30)
            reserve.settle(reservation, 2)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert inside.wait(30)
        assert_in_progress(reserve)
    finally:
        may_end.set()
        thread.join(30)
    assert (reserve(5, **KEY).state, reserve.books) == ("settled", numbers(0, 2))


def test_what_is_at_work_in_another_task_is_in_progress(reserve):
    async def work(inside, may_end):
        async with reserve(5, **KEY):
            inside.set()
            await may_end.wait()

    async def main():
        inside, may_end = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(work(inside, may_end))
        await inside.wait()
        assert_in_progress(reserve)
        task.cancel()
        await asyncio.wait([task])
        async with reserve(5, **KEY) as again:
            assert not again.is_repeat
            reserve.settle(again, 2)

    asyncio.run(main())
    assert reserve.books == numbers(0, 2)


def test_what_was_entered_and_is_gone_is_not_in_progress(reserve):
    """Nobody will leave the block: the reservation is there for whoever comes, until its time is over."""
    with pytest.warns(ResourceWarning, match="dropped without settle or release"):
        reserve(5, **KEY).__enter__()
        gc.collect()
    again = reserve(5, **KEY)
    assert (again.is_repeat, again.state) == (True, "active")
    again.release()


def test_of_two_who_have_it_one_does_the_work(reserve):
    first, second = reserve(5, **KEY), reserve(5, **KEY)
    with first:
        with pytest.raises(IdempotencyInProgressError) as caught, second:
            pytest.fail("the work was done twice")
        assert (caught.value.idempotency_key, caught.value.retry_after) == ("k", 1.0)
        reserve.settle(first, 2)
    with second:
        assert second.receipt == first.receipt
    assert reserve.books == numbers(0, 2)


def test_of_many_threads_one_does_the_work(reserve):
    rounds, threads = 50, 4
    barrier, done = threading.Barrier(threads), []

    def work():
        for number in range(rounds):
            barrier.wait(30)
            with suppress(IdempotencyInProgressError), reserve("0.01", idempotency_key=str(number)) as it:
                if it.state == "settled":
                    continue
                done.append(number)
                reserve.settle(it, "0.01")

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(work) for _ in range(threads)]:
            future.result(60)
    assert sorted(done) == list(range(rounds))
    assert reserve.books == numbers(0, "0.50")


# ----------------------------------------------------------------------------------------- how long, how many


def test_keys_are_forgotten_after_a_day(coordinator, clock):
    coordinator.debit("bot", "0.25", **KEY)
    clock.advance(24 * 3600 - 1)
    coordinator.debit("bot", "0.25", **KEY)
    assert float(coordinator.get_budget("bot")) == 0.75
    clock.advance(1)
    coordinator.debit("bot", "0.25", **KEY)
    assert float(coordinator.get_budget("bot")) == 0.5


def test_the_newest_hundred_thousand_keys_are_remembered(coordinator):
    coordinator.update_budget("bot", 10)
    coordinator.debit("bot", "0.25", idempotency_key="first")
    coordinator.debit("bot", "0.25", idempotency_key="second")
    for number in range(99_999):
        coordinator.try_debit("bot", "0.000001", idempotency_key=str(number))
    spent = coordinator.get_agent_metrics("bot").spent
    coordinator.debit("bot", "0.25", idempotency_key="second")
    assert coordinator.get_agent_metrics("bot").spent == spent
    for number in range(20_000):  # A few more than those are kept, never fewer.
        coordinator.try_debit("bot", "0.000001", idempotency_key=f"more {number}")
    spent = coordinator.get_agent_metrics("bot").spent
    coordinator.debit("bot", "0.25", idempotency_key="first")
    assert float(coordinator.get_agent_metrics("bot").spent - spent) == 0.25


def test_an_agent_registered_anew_has_spent_nothing_under_the_key(coordinator):
    coordinator.debit("bot", "0.25", **KEY)
    coordinator.unregister_agent("bot")
    coordinator.register_agent("bot", "team", initial_budget=1)
    with pytest.raises(IdempotencyConflictError):
        coordinator.debit("bot", "0.25", **KEY)


def test_strange_keys(coordinator):
    for key in (" ", "🤖", "a\0b", "x" * 256):
        receipt = coordinator.debit("bot", "0.1", idempotency_key=key)
        assert coordinator.debit("bot", "0.1", idempotency_key=key) == receipt
    assert float(coordinator.get_budget("bot")) == 0.6

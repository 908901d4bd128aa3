"""Calls that can wait know their keys, and how a block is left, as all others do."""

import asyncio
import threading
from decimal import Decimal

import pytest

from safeguards import IdempotencyConflictError, IdempotencyInProgressError

from .calls import waiting

KEY = {"idempotency_key": "k"}
WAITS = {"timeout": 30}


@pytest.fixture(params=["coordinator", "account"])
def owner(coordinator, request):
    """What is asked, and what it is told first."""
    if request.param == "account":
        return coordinator.account("bot"), ()
    return coordinator, ("bot",)


@pytest.fixture(params=["reserve", "reserve_async"])
def reserve(owner, request):
    asked, place = owner
    call = getattr(asked, request.param)
    if request.param == "reserve":
        return lambda amount, **options: call(*place, amount, **WAITS, **options)

    async def obtain(amount, options):
        return await call(*place, amount, **WAITS, **options)

    return lambda amount, **options: asyncio.run(obtain(amount, options))


@pytest.fixture(params=["debit", "debit_async"])
def debit(owner, request):
    asked, place = owner
    call = getattr(asked, request.param)
    if request.param == "debit":
        return lambda amount, **options: call(*place, amount, **WAITS, **options)

    async def pay(amount, options):
        return await call(*place, amount, **WAITS, **options)

    return lambda amount, **options: asyncio.run(pay(amount, options))


def test_a_debit_comes_back_as_it_was(coordinator, debit):
    first, again = debit("0.4", **KEY), debit("0.4", **KEY)
    assert (first == again, first.is_repeat, again.is_repeat) == (True, False, True)
    with pytest.raises(IdempotencyConflictError):
        debit("0.5", **KEY)
    assert coordinator.get_budget("bot") == Decimal("0.6")


def test_a_reservation_comes_back_while_it_has_an_effect(coordinator, reserve):
    first, again = reserve("0.4", **KEY), reserve("0.4", **KEY)
    assert (first == again, first.is_repeat, again.is_repeat) == (True, False, True)
    receipt = first.settle("0.1")
    assert reserve("0.4", **KEY).receipt == receipt
    assert coordinator.get_budget("bot") == Decimal("0.9")
    reserve("0.2", idempotency_key="other").release()
    third = reserve("0.3", idempotency_key="other")
    assert (third.is_repeat, third.state) == (False, "active")
    third.release()


def test_what_is_at_work_is_not_waited_for(coordinator, reserve, debit):
    with coordinator.reserve("bot", "1", **KEY):
        for call in (reserve, debit):
            with pytest.raises(IdempotencyInProgressError) as caught:
                call("1", **KEY)
            assert caught.value.retry_after == 1.0
    assert coordinator.get_budget("bot") == 0


def test_of_those_who_waited_under_a_key_one_was_the_first(coordinator):
    held = coordinator.reserve("bot", "0.90")
    calls = [waiting(coordinator, coordinator.reserve, "bot", "0.30", timeout=30, **KEY) for _ in range(3)]
    held.release()
    reservations = [call.result() for call in calls]
    assert sorted(reservation.is_repeat for reservation in reservations) == [False, True, True]
    with reservations[0]:
        for other in reservations[1:]:
            with pytest.raises(IdempotencyInProgressError), other:
                pytest.fail("the work was done twice")
        reservations[0].settle("0.20")
    for other in reservations[1:]:
        with other:
            assert other.state == "settled"
    assert coordinator.get_agent_metrics("bot").spent == Decimal("0.2")


def test_of_those_who_waited_to_pay_under_a_key_one_was_the_first(coordinator):
    held = coordinator.reserve("bot", "0.90")
    calls = [waiting(coordinator, coordinator.debit, "bot", "0.30", timeout=30, **KEY) for _ in range(3)]
    held.release()
    assert sorted(call.result().is_repeat for call in calls) == [False, True, True]
    assert coordinator.get_agent_metrics("bot").spent == Decimal("0.3")


def test_a_repetition_that_nobody_waits_for_leaves_the_first_alone(coordinator):
    """What a call got in the moment in which it was cancelled is given back, if it was its own."""

    async def ask():
        return await coordinator.reserve_async("bot", "0.4", timeout=30, **KEY)

    async def main():
        held = coordinator.reserve("bot", "1")
        first, second = (asyncio.create_task(ask()) for _ in range(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        held.release()  # serves both
        second.cancel()
        reservation = await first
        await asyncio.wait([second])
        assert second.cancelled()
        return reservation

    reservation = asyncio.run(main())
    assert (reservation.state, coordinator.get_agent_metrics("bot").reserved) == ("active", Decimal("0.4"))
    reservation.settle("0.4")


class NoAnswer(Exception):  # noqa: N818 - as a client calls it
    pass


@pytest.mark.parametrize("has_waited", [False, True])
@pytest.mark.parametrize(
    ("error", "spent"),
    [
        (KeyboardInterrupt, "0.1"),
        (asyncio.CancelledError, "0.1"),
        (TimeoutError, "0.1"),
        (NoAnswer, "0.1"),
        (ValueError, "0.2"),
    ],
)
def test_a_block_is_left_as_any_other(coordinator, reserve, has_waited, error, spent):
    held = coordinator.reserve("bot", "1")
    if not has_waited:
        held.release()
    timer = threading.Timer(0.05, held.release)
    timer.start()
    reservation = reserve("0.5", on_cancel="0.1", on_error="0.2", cut_off=NoAnswer)
    timer.join()
    with pytest.raises(error), reservation:
        raise error
    assert coordinator.get_agent_metrics("bot").spent == Decimal(spent)
    assert coordinator.get_agent_events("bot")[-1].kind == "default_settle"


@pytest.mark.parametrize(("error", "spent"), [(TimeoutError, "0.1"), (NoAnswer, "0.1"), (ValueError, "0.2")])
def test_a_block_that_is_entered_when_its_turn_has_come(coordinator, owner, error, spent):
    asked, place = owner

    async def main():
        told = {"on_cancel": "0.1", "on_error": "0.2", "cut_off": (NoAnswer,)}
        async with asked.reserve_async(*place, "0.5", **WAITS, **told):
            raise error

    with pytest.raises(error):
        asyncio.run(main())
    assert coordinator.get_agent_metrics("bot").spent == Decimal(spent)
    with pytest.raises(TypeError, match="cut_off must be a class"):
        asked.reserve_async(*place, "0.5", cut_off="all")

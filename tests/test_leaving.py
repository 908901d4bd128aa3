"""Leaving a `with` block under an exception: the exception wins, and no money is left reserved."""

import asyncio
from contextlib import nullcontext
from decimal import Decimal

import pytest

from safeguards import (
    BudgetExceededError,
    ConfigurationError,
    IdempotencyConflictError,
    RateLimitExceededError,
    ReservationError,
    UnknownResourceError,
)


async def leave(reservation, error, inside=lambda: None):
    async with reservation:
        inside()
        raise error


def leave_plain(reservation, error, inside=lambda: None):
    with reservation:
        inside()
        raise error


BLOCKS = {
    "with": leave_plain,
    "async with": lambda *arguments, **options: asyncio.run(leave(*arguments, **options)),
}


@pytest.fixture(params=BLOCKS)
def block(request):
    return BLOCKS[request.param]


def test_a_refused_settlement_does_not_hide_the_cancellation(coordinator, block):
    reservation = coordinator.reserve("bot", "0.50", overage="allow_if_available", on_cancel=8)
    with pytest.raises(asyncio.CancelledError) as caught:
        block(reservation, asyncio.CancelledError("stop"))
    assert caught.value.args == ("stop",)
    assert "cannot pay 7.5" in caught.value.__notes__[0]
    assert isinstance(caught.value.__context__, BudgetExceededError)
    # As much as was reserved.
    assert (reservation.state, reservation.receipt.amount) == ("settled", Decimal("0.5"))
    assert coordinator.get_agent_metrics("bot").reserved == 0


def test_a_key_finds_no_stricter_reservation_than_was_asked_for(coordinator, block):
    """What is asked of leaving it could never be done with that one."""
    first = coordinator.reserve("bot", "0.50", overage="reject", idempotency_key="k")
    with pytest.raises(IdempotencyConflictError):
        coordinator.reserve("bot", "0.50", on_cancel=8, idempotency_key="k")
    again = coordinator.reserve("bot", "0.50", overage="reject", on_cancel="0.50", idempotency_key="k")
    with pytest.raises(asyncio.CancelledError) as caught:
        block(again, asyncio.CancelledError())
    assert not hasattr(caught.value, "__notes__")
    assert (first.state, first.receipt.amount) == ("settled", Decimal("0.5"))


def test_a_full_window_does_not_hide_the_cancellation(coordinator, limiter, block):
    from datetime import timedelta

    limiter.set_rate_limit("bot", "0.60", timedelta(minutes=1))
    reservation = coordinator.reserve("bot", "0.50", overage="allow_if_available", on_cancel="0.70")
    with pytest.raises(asyncio.CancelledError) as caught:
        block(reservation, asyncio.CancelledError())
    assert isinstance(caught.value.__context__, RateLimitExceededError)
    assert reservation.receipt.amount == Decimal("0.5")


def test_a_task_is_cancelled_even_so(coordinator):
    async def work():
        async with coordinator.reserve("bot", "0.50", overage="allow_if_available", on_cancel=8):
            await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())
    assert coordinator.get_agent_metrics("bot").reserved == 0


class Ends(BaseException):
    """As what a framework ends its programs with."""


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, Ends])
def test_what_ends_a_program_is_raised_in_place_of_the_cancellation(coordinator, block, end):
    """Ctrl-C in a handler of the alert that the settlement raises."""

    def handler(_alert):
        raise end

    coordinator.notification_manager.add_handler(handler)
    reservation = coordinator.reserve("bot", "0.50", on_cancel="0.95")
    with pytest.raises(end):
        block(reservation, asyncio.CancelledError())
    assert (reservation.state, reservation.receipt.amount) == ("settled", Decimal("0.95"))


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, Ends])
@pytest.mark.parametrize("reserve", ["reserve", "try_reserve"])
@pytest.mark.parametrize("key", [None, "k"])
def test_what_ends_a_program_leaves_nothing_reserved_that_nobody_has(coordinator, end, reserve, key):
    """A key leads back to what it reserved; without one, nobody could ever close it."""

    def on_low(_agent):
        raise end

    coordinator._watch_low("team", Decimal("0.5"))
    coordinator._listen_low(on_low)
    for make in (coordinator, coordinator.account("bot")):
        arguments = ("bot", "0.95") if make is coordinator else ("0.95",)
        told = pytest.warns(ResourceWarning, match="stays set aside") if key else nullcontext()
        with told, pytest.raises(end):
            getattr(make, reserve)(*arguments, idempotency_key=key)
        assert coordinator.get_agent_metrics("bot").reserved == (Decimal("0.95") if key else 0)
        if key:
            getattr(make, reserve)(*arguments, idempotency_key=key).release()
            return


def test_resources_are_settled_as_far_as_they_were_reserved(resources, block):
    asked = {"calls": 1, "seconds": 5}
    reservation = resources.reserve(
        "bot", asked, overage="allow_if_available", on_cancel={"calls": 1, "seconds": 80}
    )
    with pytest.raises(asyncio.CancelledError) as caught:
        block(reservation, asyncio.CancelledError())
    assert isinstance(caught.value.__context__, BudgetExceededError)
    assert reservation.receipt.amounts == {"calls": 1, "seconds": 5}
    assert resources.get_budgets("bot") == {"calls": 99, "seconds": 5}


@pytest.mark.parametrize("error", [ValueError("body"), KeyboardInterrupt(), GeneratorExit(), SystemExit(3)])
def test_a_release_that_fails_does_not_hide_what_the_body_raised(coordinator, resources, block, error):
    for reservation in (coordinator.reserve("bot", "0.50"), resources.reserve("bot", {"calls": 1})):
        # Closed by somebody else between the look at its state and the release: as near as a test can come.
        with pytest.raises(type(error)) as caught:
            block(reservation, error)
        assert caught.value is error
        assert reservation.state == "released"


def test_a_context_that_is_there_is_kept(coordinator):
    reservation = coordinator.reserve("bot", "0.50", overage="allow_if_available", on_cancel=8)
    cause = ValueError("first")
    cancelled = asyncio.CancelledError()
    cancelled.__context__ = cause
    with pytest.raises(asyncio.CancelledError) as caught:
        leave_plain(reservation, cancelled)
    assert caught.value.__context__ is cause
    assert len(caught.value.__notes__) == 1


def test_what_was_closed_in_the_body_stays_closed(coordinator, block):
    reservation = coordinator.reserve("bot", "0.50", on_cancel="0.10")
    with pytest.raises(asyncio.CancelledError) as caught:
        block(reservation, asyncio.CancelledError(), inside=lambda: reservation.settle("0.30"))
    assert reservation.receipt.amount == Decimal("0.3")
    assert not hasattr(caught.value, "__notes__")
    with pytest.raises(ReservationError):
        reservation.release()


@pytest.mark.parametrize("argument", ["on_cancel", "on_error"])
def test_what_a_block_could_never_settle_for_is_refused_at_once(coordinator, resources, argument):
    for reserve in (coordinator.reserve, coordinator.try_reserve):
        with pytest.raises(
            ConfigurationError, match=rf"{argument} must not be more than the 1 that is reserved, not 8"
        ):
            reserve("bot", 1, overage="reject", **{argument: 8})
        with pytest.raises(TypeError, match=f"{argument} must be a Decimal"):
            reserve("bot", 1, **{argument: 0.5})
    account = coordinator.account("bot")
    for reserve in (account.reserve, account.try_reserve):
        with pytest.raises(ConfigurationError, match=f"{argument} must not be more"):
            reserve(1, overage="reject", **{argument: 8})
    for reserve in (resources.reserve, resources.try_reserve):
        for wrong, most in (({"calls": 2}, 1), ({"seconds": 1}, 0)):
            [name] = wrong
            message = rf'{argument}\["{name}"\] must not be more than the {most} that'
            with pytest.raises(ConfigurationError, match=message):
                reserve("bot", {"calls": 1}, overage="reject", **{argument: wrong})
        with pytest.raises(TypeError, match=argument):
            reserve("bot", {"calls": 1}, **{argument: 5})
        with pytest.raises(UnknownResourceError, match="tokens"):
            reserve("bot", {"calls": 1}, **{argument: {"tokens": 1}})
    assert coordinator.get_agent_metrics("bot").reserved == 0
    assert resources.get_metrics("bot", "calls").reserved == 0
    assert coordinator.reserve("bot", 1, overage="reject", **{argument: 1}).settle(0)

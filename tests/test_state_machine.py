"""Each row of the money state machine, through Python: what it does to the books, and its one event."""

import asyncio
import gc
import sys
import warnings
from datetime import timedelta
from decimal import Decimal

import pytest

from safeguards import (
    BudgetExceededError,
    IdempotencyConflictError,
    RateLimitExceededError,
    ReservationError,
    UnknownAgentError,
)


def books(coordinator, pool="team"):
    """Remaining, reserved and spent of the agent and of its pool."""
    agent, above = coordinator.get_agent_metrics("bot"), coordinator.get_pool_metrics(pool)
    assert agent.granted == agent.remaining + agent.reserved + agent.spent
    return tuple((float(m.remaining), float(m.reserved), float(m.spent)) for m in (agent, above))


def kinds(coordinator):
    """Kinds of the agent's events after its registration."""
    return [event.kind for event in coordinator.get_agent_events("bot")][1:]


UNTOUCHED = ((1, 0, 0), (10, 0, 0))


def test_a_debit_that_fits(coordinator):
    receipt = coordinator.debit("bot", "0.25", operation_type="search")
    assert (receipt.amount, receipt.remaining, receipt.sequence) == (Decimal("0.25"), Decimal("0.75"), 2)
    assert books(coordinator) == ((0.75, 0, 0.25), (9.75, 0, 0.25))
    [_, event] = coordinator.get_agent_events("bot")
    assert (event.kind, event.amount, event.operation_type, event.sequence) == (
        "debit",
        Decimal("0.25"),
        "search",
        2,
    )


def test_a_reservation_that_fits(coordinator):
    reservation = coordinator.reserve("bot", "0.25", operation_type="search")
    assert (reservation.state, reservation.amount, reservation.agent_id) == ("active", Decimal("0.25"), "bot")
    assert reservation.receipt is None
    assert books(coordinator) == ((0.75, 0.25, 0), (9.75, 0.25, 0))
    assert kinds(coordinator) == ["reserve"]
    assert coordinator.get_agent_metrics("bot").active_reservations == 1
    reservation.release()


@pytest.mark.parametrize("budget", [1, 100], ids=["by the agent", "by the pool"])
@pytest.mark.parametrize("operation", ["debit", "reserve"])
def test_what_a_budget_refuses_changes_nothing(coordinator, operation, budget):
    coordinator.update_budget("bot", budget)
    before = books(coordinator), kinds(coordinator)
    with pytest.raises(BudgetExceededError) as caught:
        getattr(coordinator, operation)("bot", 11)
    assert caught.value.account == ("bot" if budget == 1 else "team")
    assert getattr(coordinator, f"try_{operation}")("bot", 11) is (False if operation == "debit" else None)
    account = coordinator.account("bot")
    assert getattr(account, f"try_{operation}")(11) is (False if operation == "debit" else None)
    assert (books(coordinator), kinds(coordinator)) == before


@pytest.mark.parametrize("operation", ["debit", "reserve"])
def test_what_a_window_refuses_changes_nothing(coordinator, limiter, operation):
    limiter.set_rate_limit("bot", "0.5", timedelta(minutes=1))
    with pytest.raises(RateLimitExceededError):
        getattr(coordinator, operation)("bot", "0.6")
    assert getattr(coordinator, f"try_{operation}")("bot", "0.6") is (False if operation == "debit" else None)
    assert (books(coordinator), kinds(coordinator)) == (UNTOUCHED, [])
    assert limiter.get_rate_limits("bot")[0].spent == 0


def test_what_a_pool_refuses_is_not_charged_to_the_window(coordinator, limiter):
    limiter.set_rate_limit("bot", 100, timedelta(minutes=1))
    coordinator.update_budget("bot", 100)
    assert not coordinator.try_debit("bot", 11)
    assert limiter.get_rate_limits("bot")[0].spent == 0


@pytest.mark.parametrize("charged", ["0", "0.25", "0.50"])
def test_settling_for_no_more_than_was_reserved(coordinator, charged):
    reservation = coordinator.reserve("bot", "0.50", operation_type="search")
    receipt = reservation.settle(charged)
    spent = float(charged)
    assert books(coordinator) == ((1 - spent, 0, spent), (10 - spent, 0, spent))
    assert kinds(coordinator) == ["reserve", "settle"]
    assert (reservation.state, reservation.receipt) == ("settled", receipt)
    assert (receipt.amount, receipt.remaining) == (Decimal(charged), 1 - Decimal(charged))


def test_overage_by_default_is_charged_because_it_is_a_fact(coordinator):
    reservation = coordinator.reserve("bot", "0.50")
    assert reservation.settle("1.25").remaining == Decimal("-0.25")
    assert books(coordinator) == ((-0.25, 0, 1.25), (8.75, 0, 1.25))
    assert not coordinator.try_debit("bot", "0.000000001")
    assert coordinator.try_debit("bot", 0)
    assert coordinator.get_agent_metrics("bot").utilization == 1.25


def test_overage_if_available(coordinator):
    reservation = coordinator.reserve("bot", "0.50", overage="allow_if_available")
    with pytest.raises(BudgetExceededError) as caught:
        reservation.settle("1.25")
    assert (caught.value.requested, caught.value.available) == (Decimal("0.75"), Decimal("0.5"))
    assert reservation.state == "active"
    assert books(coordinator) == ((0.5, 0.5, 0), (9.5, 0.5, 0))
    reservation.settle("0.75")
    assert books(coordinator) == ((0.25, 0, 0.75), (9.25, 0, 0.75))
    assert kinds(coordinator) == ["reserve", "settle"]


def test_overage_if_available_in_the_window_too(coordinator, limiter):
    limiter.set_rate_limit("bot", "0.6", timedelta(minutes=1))
    reservation = coordinator.reserve("bot", "0.50", overage="allow_if_available")
    with pytest.raises(RateLimitExceededError):
        reservation.settle("0.75")
    assert reservation.state == "active"
    reservation.settle("0.6")
    assert limiter.get_rate_limits("bot")[0].spent == Decimal("0.6")


def test_overage_rejected(coordinator):
    reservation = coordinator.reserve("bot", "0.50", overage="reject")
    with pytest.raises(BudgetExceededError, match="settle at most 0.5 and debit the rest"):
        reservation.settle("0.51")
    assert reservation.state == "active"
    reservation.settle("0.50")
    assert books(coordinator) == ((0.5, 0, 0.5), (9.5, 0, 0.5))


def test_release(coordinator):
    reservation = coordinator.reserve("bot", "0.50")
    reservation.release()
    assert (books(coordinator), reservation.state) == (UNTOUCHED, "released")
    assert kinds(coordinator) == ["reserve", "release"]


def test_time_to_live(coordinator, clock):
    reservation = coordinator.reserve("bot", "0.50", ttl_seconds=60)
    clock.advance(59.999)
    assert reservation.state == "active"
    clock.advance(0.001)
    assert reservation.state == "expired"
    assert (books(coordinator), kinds(coordinator)) == (UNTOUCHED, ["reserve", "expire"])


def test_the_default_time_to_live_is_fifteen_minutes(coordinator, clock):
    reservation = coordinator.reserve("bot", "0.50")
    clock.advance(899)
    assert (coordinator.expire(), reservation.state) == (0, "active")
    clock.advance(1)
    assert (coordinator.expire(), reservation.state) == (1, "expired")


@pytest.mark.parametrize("look", ["get_budget", "get_available", "get_agent_metrics"])
def test_an_expiry_is_seen_at_the_first_look(coordinator, clock, look):
    reservation = coordinator.reserve("bot", "0.50", ttl_seconds=1)
    clock.advance(1)
    seen = getattr(coordinator, look)("bot")
    assert getattr(seen, "remaining", seen) == 1
    assert reservation.state == "expired"


def test_an_expiry_is_seen_at_the_refusal_that_it_lifts(coordinator, clock):
    coordinator.register_agent("other", "team", initial_budget=10)
    reservation = coordinator.reserve("bot", "1", ttl_seconds=1)
    assert not coordinator.try_debit("other", "9.5")
    clock.advance(1)
    assert coordinator.try_debit("other", "9.5")
    assert reservation.state == "expired"


def test_a_late_settlement_still_charges(coordinator, clock):
    reservation = coordinator.reserve("bot", "0.50", ttl_seconds=1)
    clock.advance(1)
    reservation.settle("0.40")
    assert (books(coordinator), reservation.state) == (((0.6, 0, 0.4), (9.6, 0, 0.4)), "settled")
    assert kinds(coordinator) == ["reserve", "expire", "late_settle"]
    assert reservation.settle("0.40") == reservation.receipt


@pytest.mark.parametrize(
    ("overage", "admitted"), [("allow_with_overdraft", True), ("allow_if_available", False)]
)
def test_a_late_settlement_keeps_to_the_overage_policy(coordinator, clock, overage, admitted):
    reservation = coordinator.reserve("bot", "0.50", ttl_seconds=1, overage=overage)
    clock.advance(1)
    coordinator.debit("bot", "0.80")
    if admitted:
        assert reservation.settle("0.40").remaining == Decimal("-0.2")
    else:
        with pytest.raises(BudgetExceededError):
            reservation.settle("0.40")
        assert reservation.state == "expired"


def test_what_was_set_aside_is_paid_even_under_an_overdraft(coordinator):
    held = coordinator.reserve("bot", "0.4", overage="allow_if_available")
    overdrawn = coordinator.reserve("bot", "0.6")
    overdrawn.settle(2)
    assert coordinator.get_budget("bot") == Decimal("-1.4")
    assert held.settle("0.4").remaining == Decimal("-1.4")


def test_settling_again(coordinator):
    reservation = coordinator.reserve("bot", "0.50")
    receipt, before = reservation.settle("0.20"), books(coordinator)
    assert reservation.settle(Decimal("0.2")) == receipt
    with pytest.raises(ReservationError, match="was settled for 0.2 before"):
        reservation.settle("0.30")
    with pytest.raises(ReservationError):
        reservation.release()
    assert books(coordinator) == before
    assert kinds(coordinator) == ["reserve", "settle"]


def test_releasing_again(coordinator):
    reservation = coordinator.reserve("bot", "0.50")
    reservation.release()
    reservation.release()
    with pytest.raises(ReservationError, match="was released before"):
        reservation.settle("0.10")
    assert (books(coordinator), kinds(coordinator)) == (UNTOUCHED, ["reserve", "release"])


# Blocks. Each ending, in a plain block and in an asynchronous one.


class Broken(Exception):  # noqa: N818 - a failure, not an error
    pass


def in_block(coordinator, body, **options):
    with coordinator.reserve("bot", "0.50", **options) as reservation:
        body(reservation)
    return reservation


def in_async_block(coordinator, body, **options):
    async def run():
        async with coordinator.reserve("bot", "0.50", **options) as reservation:
            await asyncio.sleep(0)
            body(reservation)
        return reservation

    return asyncio.run(run())


both = pytest.mark.parametrize("block", [in_block, in_async_block])


@both
def test_leaving_a_block_settles_what_was_reserved(coordinator, block):
    reservation = block(coordinator, lambda _: None)
    assert (reservation.state, reservation.receipt.amount) == ("settled", Decimal("0.5"))
    # Nobody said what it has cost.
    assert kinds(coordinator) == ["reserve", "default_settle"]


@both
def test_an_exception_releases(coordinator, block):
    def fail(_):
        raise Broken

    with pytest.raises(Broken):
        block(coordinator, fail)
    assert (books(coordinator), kinds(coordinator)) == (UNTOUCHED, ["reserve", "release"])


@both
@pytest.mark.parametrize(
    ("on_cancel", "charged", "ended"),
    [
        (None, "0", "release"),
        (0, "0", "release"),
        ("0.10", "0.1", "default_settle"),
        (Decimal("0.7"), "0.7", "default_settle"),
    ],
)
def test_a_cancelled_block_settles_on_cancel(coordinator, block, on_cancel, charged, ended):
    def cancelled(_):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        block(coordinator, cancelled, on_cancel=on_cancel)
    assert coordinator.get_agent_metrics("bot").spent == Decimal(charged)
    assert coordinator.get_agent_metrics("bot").reserved == 0
    assert kinds(coordinator) == ["reserve", ended]


def test_a_task_that_is_cancelled_from_outside(coordinator):
    async def work():
        async with coordinator.reserve("bot", "0.50", on_cancel="0.05"):
            await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert books(coordinator) == ((0.95, 0, 0.05), (9.95, 0, 0.05))


@both
@pytest.mark.parametrize("fails", [False, True])
def test_a_body_that_settles_itself_is_left_alone(coordinator, block, fails):
    def body(reservation):
        reservation.settle("0.20")
        if fails:
            raise Broken

    if fails:
        with pytest.raises(Broken):
            block(coordinator, body)
    else:
        block(coordinator, body)
    assert books(coordinator) == ((0.8, 0, 0.2), (9.8, 0, 0.2))
    assert kinds(coordinator) == ["reserve", "settle"]


@both
def test_a_body_that_releases_itself_is_left_alone(coordinator, block):
    assert block(coordinator, lambda reservation: reservation.release()).state == "released"
    assert (books(coordinator), kinds(coordinator)) == (UNTOUCHED, ["reserve", "release"])


@both
def test_a_block_keeps_its_reservation_alive(coordinator, clock, block):
    def long(reservation):
        clock.advance(10_000)
        assert coordinator.expire() == 0
        assert reservation.state == "active"
        assert coordinator.get_agent_metrics("bot").reserved == Decimal("0.5")

    assert block(coordinator, long, ttl_seconds=1).state == "settled"
    assert kinds(coordinator) == ["reserve", "default_settle"]


def test_a_closed_reservation_pays_for_no_block(coordinator, clock):
    released, settled, expired = (coordinator.reserve("bot", "0.1", ttl_seconds=1) for _ in range(3))
    released.release()
    settled.settle("0.1")
    clock.advance(1)
    for reservation, state in ((released, "released"), (settled, "settled"), (expired, "expired")):
        with pytest.raises(ReservationError) as caught, reservation:
            pytest.fail("the body ran without money")
        assert caught.value.state == state


def test_other_ways_out_of_a_block_release(coordinator):
    def generator():
        with coordinator.reserve("bot", "0.5"):
            yield

    running = generator()
    next(running)
    running.close()
    with pytest.raises(KeyboardInterrupt), coordinator.reserve("bot", "0.5"):
        raise KeyboardInterrupt
    assert (books(coordinator), kinds(coordinator)) == (UNTOUCHED, ["reserve", "release"] * 2)


# Dropped.


def test_a_dropped_reservation_warns_and_stays_until_its_time_is_over(coordinator, clock):
    reservation = coordinator.reserve("bot", "0.50", ttl_seconds=5)
    with pytest.warns(ResourceWarning, match=r'reservation 1 of agent "bot" \(0.5\) was dropped'):
        del reservation
        gc.collect()
    assert books(coordinator) == ((0.5, 0.5, 0), (9.5, 0.5, 0))
    clock.advance(5)
    assert (books(coordinator), kinds(coordinator)) == (UNTOUCHED, ["reserve", "expire"])


def test_a_closed_reservation_is_dropped_in_silence(coordinator, clock):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coordinator.reserve("bot", "0.1").settle(0)
        coordinator.reserve("bot", "0.1").release()
        expired = coordinator.reserve("bot", "0.1", ttl_seconds=1)
        clock.advance(1)
        del expired


def test_of_two_holders_of_one_reservation_only_the_last_warns(coordinator):
    first, again = (coordinator.reserve("bot", "0.1", idempotency_key="k") for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del again
    with pytest.warns(ResourceWarning):
        del first


def test_a_reservation_dropped_while_an_exception_is_on_its_way(coordinator):
    with pytest.warns(ResourceWarning), pytest.raises(ZeroDivisionError):
        str(coordinator.reserve("bot", "0.1"), 1 / 0)
    assert coordinator.get_agent_metrics("bot").reserved == Decimal("0.1")


def test_a_warning_that_is_an_error_is_reported_and_changes_nothing(coordinator):
    seen = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda report: seen.append(report.exc_value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            coordinator.reserve("bot", "0.1")
    finally:
        sys.unraisablehook = hook
    assert [type(error) for error in seen] == [ResourceWarning]


# Budgets.


def test_update_budget_moves_what_was_granted_and_no_reservation(coordinator):
    coordinator.debit("bot", "0.20")
    reservation = coordinator.reserve("bot", "0.30")
    coordinator.update_budget("bot", 50)
    metrics = coordinator.get_agent_metrics("bot")
    assert (metrics.remaining, metrics.reserved, metrics.spent) == (50, Decimal("0.3"), Decimal("0.2"))
    assert metrics.granted == Decimal("50.5")
    assert coordinator.get_available("bot") == Decimal("9.5")
    coordinator.update_budget("bot", 0)
    reservation.settle("0.3")
    assert coordinator.get_budget("bot") == 0
    assert kinds(coordinator) == ["debit", "reserve", "update", "update", "settle"]


def test_update_pool_budget(coordinator):
    coordinator.debit("bot", "0.5")
    coordinator.update_pool_budget("team", "0.25")
    assert coordinator.get_pool_budget("team") == Decimal("0.25")
    assert not coordinator.try_debit("bot", "0.30")
    assert [event.kind for event in coordinator.get_pool_events("team")] == ["update", "update"]


def test_transfer_moves_remaining_and_granted_across_pools(coordinator):
    coordinator.create_budget_pool("others", 3)
    coordinator.register_agent("taker", "others")
    coordinator.transfer("bot", "taker", "0.40")
    giver, taker = coordinator.get_agent_metrics("bot"), coordinator.get_agent_metrics("taker")
    assert (giver.remaining, giver.granted, taker.remaining, taker.granted) == (
        Decimal("0.6"),
        Decimal("0.6"),
        Decimal("0.4"),
        Decimal("0.4"),
    )
    assert (coordinator.get_pool_budget("team"), coordinator.get_pool_budget("others")) == (10, 3)
    assert kinds(coordinator) == ["transfer_out"]
    assert coordinator.get_agent_events("taker")[-1].kind == "transfer_in"
    before = books(coordinator)
    with pytest.raises(BudgetExceededError):
        coordinator.transfer("bot", "taker", "0.61")
    assert books(coordinator) == before


def test_what_is_reserved_cannot_be_transferred(coordinator):
    coordinator.register_agent("taker", "team")
    with coordinator.reserve("bot", "0.70") as reservation:
        with pytest.raises(BudgetExceededError):
            coordinator.transfer("bot", "taker", "0.40")
        reservation.release()
    coordinator.transfer("bot", "taker", 1)


def test_same_key_same_payload_has_no_effect(coordinator):
    first = coordinator.debit("bot", "0.25", idempotency_key="k")
    assert coordinator.debit("bot", "0.25", idempotency_key="k") == first
    assert coordinator.try_debit("bot", "0.25", idempotency_key="k")
    with pytest.raises(IdempotencyConflictError):
        coordinator.debit("bot", "0.30", idempotency_key="k")
    assert (coordinator.get_budget("bot"), kinds(coordinator)) == (Decimal("0.75"), ["debit"])


# Leaving.


def test_an_agent_leaves_when_nothing_is_on_its_way(coordinator):
    account = coordinator.account("bot")
    reservation = coordinator.reserve("bot", "0.50")
    with pytest.raises(ValueError, match="has 1 active reservations"):
        coordinator.unregister_agent("bot")
    reservation.settle("0.20")
    coordinator.unregister_agent("bot")
    assert coordinator.get_pool_metrics("team").spent == Decimal("0.2")
    for call in (account.debit, account.try_debit, account.reserve, account.try_reserve):
        with pytest.raises(UnknownAgentError):
            call("0.1")
    assert repr(account) == 'Account("bot", unregistered)'
    coordinator.register_agent("bot", "team", initial_budget=1)
    with pytest.raises(UnknownAgentError):
        account.debit("0.1")
    assert coordinator.account("bot") != account


def test_deep_paths_are_charged_in_full_or_not_at_all(coordinator):
    above = "team"
    for depth in range(31):
        above = coordinator.create_budget_pool(f"level {depth}", 10, parent_id=above)
    coordinator.register_agent("deep", above, initial_budget=100)
    coordinator.debit("deep", 4)
    assert all(coordinator.get_pool_budget(pool) == 6 for pool in coordinator.get_pool_ids())
    coordinator.update_pool_budget("team", 1)
    with pytest.raises(BudgetExceededError) as caught:
        coordinator.reserve("deep", 2)
    assert caught.value.account == "team"
    assert coordinator.get_available("deep") == 1
    with pytest.raises(ValueError, match="at most 32 deep"):
        coordinator.create_budget_pool("too deep", 1, parent_id=above)

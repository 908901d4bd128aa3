"""Many threads and tasks at once: nothing is overspent, nothing hangs, the books hold at every instant."""

import asyncio
import faulthandler
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    BudgetCoordinator,
    BudgetExceededError,
    BudgetRateLimiter,
    ConfigurationError,
    ReservationError,
    UnknownAgentError,
)

SECONDS = 2.0


@pytest.fixture(autouse=True)
def restless():
    """Lets threads take turns as often as they can. A hang is a failure."""
    # A thread that hangs in compiled code keeps the interpreter's lock: no Python code could end the test.
    faulthandler.dump_traceback_later(90, exit=True, file=sys.__stderr__)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def world():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 1000)
    coordinator.register_agent("bot", "team", initial_budget=1)
    yield coordinator
    coordinator.verify()


def together(functions):
    """Runs all functions at once, each in its thread, and returns what they returned."""
    barrier = threading.Barrier(len(functions))

    def run(function):
        barrier.wait(30)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(30) for future in [pool.submit(run, function) for function in functions]]


def for_a_while(*functions):
    """Calls each function again and again in its thread, for a fixed time. Returns how often."""
    deadline = time.monotonic() + SECONDS

    def again(function):
        calls = 0
        while time.monotonic() < deadline:
            function()
            calls += 1
        return calls

    return together([lambda function=function: again(function) for function in functions])


@pytest.mark.parametrize("how", ["debit", "try_debit", "account", "reserve", "debit_many"])
def test_the_last_cent(world, how):
    account, cent = world.account("bot"), Decimal("0.01")
    handle, units = np.array([world.handle("bot")], dtype=np.uint32), np.array([10_000_000])

    def once():
        if how == "try_debit":
            return world.try_debit("bot", cent)
        if how == "account":
            return account.try_debit(cent)
        if how == "debit_many":
            return bool(world.debit_many(handle, units)[0])
        try:
            world.debit("bot", cent) if how == "debit" else world.reserve("bot", cent).settle(cent)
        except BudgetExceededError:
            return False
        return True

    results = together([lambda: [once() for _ in range(5)]] * 64)
    assert sum(map(sum, results)) == 100
    assert (world.get_budget("bot"), world.get_agent_metrics("bot").spent) == (0, 1)
    assert world.get_pool_budget("team") == 999


def test_fifty_times_0_10_against_1_00(world):
    assert sum(together([lambda: world.try_debit("bot", "0.10")] * 50)) == 10
    assert world.get_agent_metrics("bot").spent == 1


def test_a_pool_that_many_agents_share(world):
    world.update_pool_budget("team", 1)
    names = [world.register_agent(f"agent {i}", "team", initial_budget=1) for i in range(32)]
    results = together(
        [lambda name=name: [world.try_debit(name, "0.01") for _ in range(10)] for name in names]
    )
    assert sum(map(sum, results)) == 100
    assert world.get_pool_budget("team") == 0


def test_readers_against_writers(world):
    for i in range(4):
        world.register_agent(f"agent {i}", "team", initial_budget=100)
    limiter = BudgetRateLimiter(world)

    def writer(name, other):
        def write():
            world.try_debit(name, "0.001")
            if (reservation := world.try_reserve(name, "0.002", ttl_seconds=0.001)) is not None:
                try:
                    reservation.settle("0.003")
                except ReservationError:
                    reservation.release()
            limiter.record_usage(name, "0.001")
            try:
                world.transfer(name, other, "0.001")
            except BudgetExceededError:
                world.update_budget(name, 100)

        return write

    def reader():
        world.verify()
        for i in range(4):
            metrics = world.get_agent_metrics(f"agent {i}")
            assert metrics.granted == metrics.remaining + metrics.reserved + metrics.spent
            world.get_agent_usage_history(f"agent {i}")
        world.expire()
        repr(world)

    names = [f"agent {i}" for i in range(4)]
    writers = [writer(name, other) for name, other in zip(names, names[1:] + names[:1], strict=True)]
    calls = for_a_while(*writers, reader, reader)
    assert min(calls) > 10, calls


def test_debits_one_by_one_against_batches(world):
    world.update_budget("bot", 10_000)
    world.update_pool_budget("team", 10_000)
    handles = np.full(100, world.handle("bot"), dtype=np.uint32)
    units = np.full(100, 1_000_000)
    admitted = []
    single = lambda: admitted.append(1 if world.try_debit("bot", "0.001") else 0)  # noqa: E731
    batch = lambda: admitted.append(int(world.debit_many(handles, units).sum()))  # noqa: E731
    for_a_while(single, single, batch, batch, world.verify)
    assert world.get_agent_metrics("bot").spent == sum(admitted) * Decimal("0.001")


def test_agents_come_and_go_while_others_pay(world):
    spent = []

    def come_and_go(name):
        def once():
            world.register_agent(name, "team", initial_budget=10**6)
            spent.append(world.debit(name, "0.001").amount)
            world.unregister_agent(name)

        return once

    def pay_for_any():
        for name in ("x", "y"):
            try:
                spent.append(world.debit(name, "0.001").amount)
            except (UnknownAgentError, BudgetExceededError):
                pass

    def pay_in_batches():
        try:
            handles = np.array([world.handle("x")], dtype=np.uint32)
            spent.append(Decimal("0.001") * int(world.debit_many(handles, np.array([1_000_000])).sum()))
        except UnknownAgentError:
            pass

    world.update_pool_budget("team", 10**6)
    for_a_while(come_and_go("x"), come_and_go("y"), pay_for_any, pay_in_batches, world.verify)
    assert world.get_pool_metrics("team").spent == sum(spent)


def test_only_one_thread_makes_a_pool(world):
    def make():
        try:
            return world.create_budget_pool("same", 1)
        except ConfigurationError:
            return None

    assert sum(name is not None for name in together([make] * 32)) == 1
    made = together([lambda: world.create_budget_pool("other", 1, exist_ok=True)] * 32)
    assert made == ["other"] * 32 and world.get_pool_budget("other") == 1


def test_only_one_thread_registers_an_id(world):
    def register():
        try:
            return world.register_agent("same", "team")
        except ConfigurationError:
            return None

    assert sum(name is not None for name in together([register] * 32)) == 1


def test_one_key_has_one_effect(world):
    receipts = together([lambda: world.debit("bot", "0.25", idempotency_key="k")] * 32)
    assert len(set(receipts)) == 1
    assert world.get_budget("bot") == Decimal("0.75")


def test_one_outcome_of_a_reservation_that_all_close(world):
    for i in range(50):
        world.update_budget("bot", 1)
        reservation = world.reserve("bot", "0.5")
        outcomes = []

        def close(how, reservation=reservation, outcomes=outcomes):
            try:
                reservation.settle("0.2") if how else reservation.release()
                outcomes.append(how)
            except ReservationError:
                pass

        together([lambda how=how: close(how) for how in (True, False) * 4])
        assert len(set(outcomes)) == 1, i
        assert world.get_budget("bot") == (Decimal("0.8") if outcomes[0] else 1)


def test_pins_of_many_threads(world):
    names = [world.register_agent(f"agent {i}", "team") for i in range(64)]
    together([lambda name=name: world.pin(name) for name in names])
    assert world.pinned == set(names)
    together([lambda name=name: world.unpin(name) for name in names])
    assert world.pinned == set()


def test_windows_of_many_threads(world):
    limiter = BudgetRateLimiter(world)
    limiter.set_rate_limit("bot", 1, timedelta(hours=1))
    results = together([lambda: [limiter.try_acquire("bot", "0.01") for _ in range(5)]] * 64)
    assert sum(map(sum, results)) == 100


def test_tasks(world):
    admitted = []

    async def work():
        for _ in range(5):
            if (reservation := world.try_reserve("bot", "0.10")) is None:
                continue
            async with reservation:
                await asyncio.sleep(0)
            admitted.append(reservation.receipt.amount)

    async def main():
        await asyncio.wait_for(asyncio.gather(*(work() for _ in range(50))), 30)

    asyncio.run(main())
    assert (len(admitted), sum(admitted), world.get_budget("bot")) == (10, 1, 0)


def test_tasks_that_are_cancelled_at_any_point(world):
    async def work():
        async with world.reserve("bot", "0.001"):
            await asyncio.sleep(0.001)
            await asyncio.sleep(0.001)

    async def main():
        tasks = [asyncio.create_task(work()) for _ in range(300)]
        for turn, task in enumerate(tasks):
            if turn % 7 == 0:
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    metrics = world.get_agent_metrics("bot")
    assert (metrics.reserved, metrics.active_reservations) == (0, 0)
    assert metrics.remaining + metrics.spent == 1

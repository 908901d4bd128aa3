"""Tasks that wait for their turn."""

import asyncio
import gc
import math
import warnings
from decimal import Decimal

import pytest

from safeguards import BudgetCoordinator, BudgetExceededError, ClosedError

from .calls import Call, waiting


@pytest.fixture
def bot():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget="0.10")
    yield coordinator
    if not coordinator.closed:
        assert coordinator._waiting_count() == 0
        coordinator.verify()


async def settled():
    """Lets every task run until none can go on."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_fifty_calls_of_which_two_fit_are_served_in_twenty_five_rounds(bot):
    async def main():
        gates, served = [], []

        async def call():
            async with bot.reserve_async("bot", "0.041", timeout=60) as held:
                gate = asyncio.Event()
                gates.append(gate)
                await gate.wait()
                held.settle("0.00035")
                served.append(1)

        tasks = [asyncio.create_task(call()) for _ in range(50)]
        rounds = 0
        while len(served) < 50 and rounds < 100:
            await settled()
            rounds += 1
            for gate in gates:
                gate.set()
            gates.clear()
            await settled()
        await asyncio.gather(*tasks)
        return rounds

    assert asyncio.run(main()) <= 1.2 * 25
    assert bot.get_agent_metrics("bot").spent == Decimal("0.0175")


def test_it_is_awaited_or_entered(bot):
    async def main():
        held = await bot.reserve_async("bot", "0.05")
        receipt = await bot.account("bot").debit_async("0.01", timeout=1)
        assert (held.amount, receipt.amount) == (Decimal("0.05"), Decimal("0.01"))
        async with bot.account("bot").reserve_async("0.04", timeout=1) as other:
            other.settle("0.01")
        held.release()
        async with bot.reserve_async("bot", "0.04") as forgotten:
            pass
        return forgotten.state

    assert asyncio.run(main()) == "settled"
    assert bot.get_agent_metrics("bot").spent == Decimal("0.06")


def test_without_a_timeout_it_does_not_wait(bot):
    async def main():
        held = bot.reserve("bot", "0.09")
        with pytest.raises(BudgetExceededError) as refused:
            await bot.reserve_async("bot", "0.05")
        with pytest.raises(BudgetExceededError):
            async with bot.reserve_async("bot", "0.05", timeout=0):
                pass
        held.release()
        return refused.value.waited

    assert asyncio.run(main()) is None


def test_time_is_over_while_it_waits(bot):
    async def main():
        held = bot.reserve("bot", "0.09")
        with pytest.raises(BudgetExceededError) as refused:
            await bot.debit_async("bot", "0.05", timeout=0.02)
        held.release()
        return refused.value.waited

    assert 0.02 <= asyncio.run(main()) < 20


@pytest.mark.parametrize("cancel", ["task", "wait_for", "timeout"])
def test_a_cancelled_task_leaves_nothing(bot, cancel):
    async def main():
        held = bot.reserve("bot", "0.09")

        async def wait():
            async with bot.reserve_async("bot", "0.05", timeout=math.inf):
                raise AssertionError("it has nothing")

        if cancel == "task":
            task = asyncio.create_task(wait())
            await settled()
            assert bot._waiting_count() == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        elif cancel == "wait_for":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait(), 0.01)
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await wait()
        assert bot._waiting_count() == 0
        held.release()

    asyncio.run(main())
    assert bot.get_budget("bot") == Decimal("0.1")


@pytest.mark.parametrize("method", ["reserve_async", "debit_async"])
def test_a_task_that_is_cancelled_in_the_moment_of_being_served_leaves_nothing(bot, method):
    async def main():
        held = bot.reserve("bot", "0.09")

        async def wait():
            return await getattr(bot, method)("bot", "0.05", timeout=math.inf)

        first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
        await settled()
        held.release()  # both fit
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        got = await second
        if method == "reserve_async":
            got.release()

    asyncio.run(main())
    spent = Decimal("0.05") if method == "debit_async" else 0
    metrics = bot.get_agent_metrics("bot")
    assert (metrics.spent, metrics.reserved) == (spent, 0)


def test_who_is_left_behind_in_a_loop_that_was_closed_gets_nothing(bot):
    """Its reservation goes to the next one."""
    held = bot.reserve("bot", "0.09")
    loop = asyncio.new_event_loop()

    async def wait():
        async with bot.reserve_async("bot", "0.05", timeout=math.inf):
            raise AssertionError("nobody runs this")

    coroutine = wait()
    task = loop.create_task(coroutine)
    loop.run_until_complete(settled())
    assert bot._waiting_count() == 1
    loop.close()
    held.release()
    assert bot._waiting_count() == 0
    assert bot.get_agent_metrics("bot").reserved == 0
    assert not task.done()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        del task, coroutine
        gc.collect()


def test_a_coroutine_that_is_closed_waits_no_more(bot):
    held = bot.reserve("bot", "0.09")

    async def main():
        async def wait():
            await bot.debit_async("bot", "0.05", timeout=math.inf)

        coroutine = wait()
        coroutine.send(None)
        assert bot._waiting_count() == 1
        coroutine.close()
        assert bot._waiting_count() == 0

    asyncio.run(main())
    held.release()
    assert bot.get_budget("bot") == Decimal("0.1")


def test_threads_and_tasks_wait_in_one_queue(bot):
    held = bot.reserve("bot", "0.09")

    async def main():
        task = asyncio.create_task(wait())
        await settled()
        thread = await asyncio.to_thread(waiting, bot, bot.debit, "bot", "0.05", timeout=30)
        held.release()
        await task
        return thread

    async def wait():
        await bot.debit_async("bot", "0.05", timeout=30)

    asyncio.run(main()).result()
    assert bot.get_budget("bot") == 0


def test_a_thread_serves_a_task(bot):
    held = bot.reserve("bot", "0.09")

    async def main():
        task = asyncio.create_task(wait())
        await settled()
        releases = Call(held.release)
        receipt = await task
        releases.result()
        return receipt

    async def wait():
        return await bot.debit_async("bot", "0.05", timeout=30)

    assert asyncio.run(main()).remaining == Decimal("0.05")


def test_closing_ends_the_waiting_of_tasks(bot):
    async def main():
        bot.reserve("bot", "0.09")
        task = asyncio.create_task(wait())
        await settled()
        bot.close()
        with pytest.raises(ClosedError):
            await task

    async def wait():
        await bot.reserve_async("bot", "0.05", timeout=math.inf)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asyncio.run(main())
        gc.collect()


def test_a_pending_reservation_is_entered_once(bot):
    async def main():
        pending = bot.reserve_async("bot", "0.02")
        async with pending:
            with pytest.raises(RuntimeError, match="call reserve_async for each block"):
                async with pending:
                    pass
        return bot.get_agent_metrics("bot").reserved

    assert asyncio.run(main()) == 0

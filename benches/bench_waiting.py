"""A hand-off: from who gives something back to who waits for it, beside what Python has for waiting."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Coroutine
from decimal import Decimal
from time import perf_counter, sleep
from typing import Any

import pytest

from harness import Versus, at_most
from measure import Contender, work
from safeguards import BudgetCoordinator

pytestmark = pytest.mark.benchmark(group="Waiting")

HANDOFFS = 10_000
ALL = Decimal(1)


def bench_threads(versus: Versus, *, is_quick: bool) -> None:
    """Two threads, of which one goes on when the other lets it."""
    turns = 50 if is_quick else HANDOFFS // 2
    ours = handoffs("a thread goes on", lambda budget: both_wait(budget, reservers(budget, turns)), 2 * turns)
    events = handoffs("threading.Event", lambda _: in_threads(setters(turns)), 2 * turns)
    versus(ours, (events, at_most(1.5)))


def bench_tasks(versus: Versus, *, is_quick: bool) -> None:
    """Two tasks, of which one goes on when the other lets it."""
    turns = 50 if is_quick else HANDOFFS // 2
    ours = handoffs("a task goes on", lambda budget: asyncio.run(reserving(budget, 2, turns)), 2 * turns)
    calls = handoffs("call_soon_threadsafe", lambda _: asyncio.run(calling(turns)), 2 * turns)
    versus(ours, (calls, at_most(1.5)))


def bench_many(versus: Versus, *, is_quick: bool) -> None:
    """The same among many tasks: each costs a logarithm of how many wait."""
    few, many = (10, 100) if is_quick else (100, 10_000)
    rounds = many // few
    one_by_one = handoffs(
        f"each of {many:,} that wait", lambda budget: asyncio.run(reserving(budget, many, 1)), many
    )
    of_few = handoffs(f"each of {few}", lambda budget: asyncio.run(reserving(budget, few, rounds)), many)
    versus(one_by_one, (of_few, at_most(3)))


class Budget:
    """What one call takes whole, and how often it was taken."""

    def __init__(self) -> None:
        self.coordinator = BudgetCoordinator()
        self.coordinator.create_budget_pool("team", ALL)
        self.coordinator.register_agent("bot", "team", initial_budget=ALL)
        self.account = self.coordinator.account("bot")


def handoffs(name: str, run: Callable[[Budget], object], each: int) -> Contender:
    """Wall time of a hand-off."""
    budget = Budget()

    def verify(_: int) -> str:
        metrics = budget.coordinator.get_agent_metrics("bot")
        assert (metrics.remaining, metrics.reserved, metrics.budget_refusals) == (ALL, 0, 0)
        return "nothing is left over"

    return work(name, lambda: run(budget), verify, each=each, how="wall time", timer=perf_counter)


def in_threads(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=each) for each in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def both_wait(budget: Budget, works: list[Callable[[], None]]) -> None:
    """Lets them begin when both wait: from then on each lets the other go on."""
    held = budget.account.reserve(ALL)

    def begin() -> None:
        while budget.coordinator._waiting_count() < len(works):  # noqa: SLF001 - nobody else wants to know
            sleep(0)
        held.release()

    in_threads([*works, begin])


def reservers(budget: Budget, turns: int) -> list[Callable[[], None]]:
    reserve = budget.account.reserve

    def take_turns() -> None:
        for _ in range(turns):
            reserve(ALL, timeout=math.inf).release()

    return [take_turns, take_turns]


def setters(turns: int) -> list[Callable[[], None]]:
    events = [threading.Event(), threading.Event()]
    events[0].set()

    def take_turns(own: threading.Event, other: threading.Event) -> None:
        for _ in range(turns):
            own.wait()
            own.clear()
            other.set()

    return [lambda: take_turns(*events), lambda: take_turns(*reversed(events))]


async def reserving(budget: Budget, tasks: int, turns: int) -> None:
    reserve = budget.account.reserve_async

    async def take_turns() -> None:
        for _ in range(turns):
            reservation = await reserve(ALL, timeout=math.inf)
            await asyncio.sleep(0)  # the others come to wait
            reservation.release()

    await gathered([take_turns() for _ in range(tasks)])


async def calling(turns: int) -> None:
    loop = asyncio.get_running_loop()
    waits: list[asyncio.Future[None]] = [loop.create_future(), loop.create_future()]
    waits[0].set_result(None)

    async def take_turns(own: int) -> None:
        for _ in range(turns):
            await waits[own]
            waits[own] = loop.create_future()
            await asyncio.sleep(0)
            loop.call_soon_threadsafe(waits[1 - own].set_result, None)

    await gathered([take_turns(0), take_turns(1)])


async def gathered(works: list[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*works)

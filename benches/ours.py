"""Ours and the hand-written guard, put through the overspend experiment."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from rivals.usage import BUDGET, PRICE, Model, Usage, in_tasks, in_threads
from safeguards import BudgetCoordinator, BudgetExceededError

NAME = "budget-safeguards"
AGENT = "agent"


def handwritten() -> list[Usage]:
    return [Usage("check, call, then add up under a lock", "threads", _check_then_charge)]


def overspend() -> list[Usage]:
    return [
        Usage("with coordinator.reserve(): call, settle", "threads", _threads),
        Usage("async with coordinator.reserve(): call, settle", "asyncio", _tasks),
    ]


def _check_then_charge(model: Model) -> Decimal:
    spent = Decimal(0)

    def job() -> None:
        nonlocal spent
        if spent + PRICE <= BUDGET:
            model.call()
            with model.lock:
                spent += PRICE

    in_threads(model, job, refusals=())
    return spent


def _coordinator() -> BudgetCoordinator:
    coordinator = BudgetCoordinator()
    pool = coordinator.create_budget_pool("pool", BUDGET)
    coordinator.register_agent(AGENT, pool, initial_budget=BUDGET)
    return coordinator


def _threads(model: Model) -> Decimal:
    coordinator = _coordinator()

    def job() -> None:
        with coordinator.reserve(AGENT, PRICE) as reservation:
            model.call()
            reservation.settle(PRICE)

    in_threads(model, job, refusals=(BudgetExceededError,))
    return _spent(coordinator)


def _tasks(model: Model) -> Decimal:
    return asyncio.run(_in_tasks(model))


async def _in_tasks(model: Model) -> Decimal:
    coordinator = _coordinator()

    async def job() -> None:
        async with coordinator.reserve(AGENT, PRICE) as reservation:
            await model.call_async()
            reservation.settle(PRICE)

    await in_tasks(model, job, refusals=(BudgetExceededError,))
    return _spent(coordinator)


def _spent(coordinator: BudgetCoordinator) -> Decimal:
    coordinator.verify()
    return BUDGET - coordinator.get_budget(AGENT)

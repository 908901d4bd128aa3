"""agent-safeguards: budgets are read and set, so a charge is a read, a comparison and a write of the caller.

It is imported as `safeguards`, which is one reason for an environment of its own.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from safeguards.api import APIFactory, APIVersion

from measure import Contender
from rivals.usage import BUDGET, PRICE, Model, Usage, in_threads
from safeguards.core.budget_coordination import BudgetCoordinator
from safeguards.core.notification_manager import NotificationManager

NAME = "agent-safeguards"


def _agent(budget: Decimal) -> tuple[Any, str]:
    coordinator = BudgetCoordinator(NotificationManager())
    factory = APIFactory()
    budgets = factory.create_budget_api(APIVersion.V1, coordinator)
    budgets.create_budget_pool(name="main_pool", initial_budget=budget * 10, priority=5)
    agents = factory.create_agent_api(APIVersion.V1, coordinator)
    agent = agents.create_agent(name="agent", initial_budget=budget, priority=3)
    return budgets, agent.id


def speed() -> list[Contender]:
    start, amount = Decimal(10**9), Decimal("0.0017")
    api, agent = _agent(start)

    def debit() -> bool:
        current = api.get_budget(agent)
        if amount > current:
            return False
        api.update_budget(agent, current - amount)
        return True

    def verify(operations: int) -> str:
        assert api.get_budget(agent) == start - operations * amount
        return "exact"

    how = "get_budget(), compare, update_budget(), as its quick start does; not safe under threads"
    return [Contender("debit", "debit()", {"debit": debit}, verify, calls=20_000, how=how)]


def overspend() -> list[Usage]:
    return [Usage("get_budget() before, update_budget() after the call", "threads", _read_and_set)]


def _read_and_set(model: Model) -> Decimal:
    api, agent = _agent(BUDGET)

    def job() -> None:
        if api.get_budget(agent) >= PRICE:
            model.call()
            api.update_budget(agent, api.get_budget(agent) - PRICE)

    in_threads(model, job, refusals=())
    return BUDGET - api.get_budget(agent)

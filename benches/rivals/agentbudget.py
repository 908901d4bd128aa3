"""agentbudget: a session that adds up what answers and tools cost, and raises once the limit is passed."""

from __future__ import annotations

import asyncio

import agentbudget
from agentbudget import AgentBudget, BudgetExhausted, LoopDetected

from measure import Contender
from rivals import openai_model
from rivals.usage import PRICE, Model, Usage, in_tasks, in_threads

NAME = "agentbudget"


def speed() -> list[Contender]:
    session = AgentBudget(max_spend=1e9).session()

    def verify(operations: int) -> str:
        drift = abs(session.spent - operations * 17 / 10_000)
        assert drift < 1e-4
        return f"off by {drift:.1e} (float)"

    names = {"session": session}
    return [Contender("debit", "session.track(None, cost=0.0017)", names, verify, calls=20_000)]


def overspend() -> list[Usage]:
    return [
        Usage(
            "agentbudget.init('$1.00'), OpenAI SDK calls in asyncio.gather",
            "asyncio",
            lambda model: asyncio.run(_drop_in(model)),
        ),
        Usage("session.would_exceed() before, session.track() after the call", "threads", _would_exceed),
    ]


async def _drop_in(model: Model) -> float:
    per_million = openai_model.DOLLARS_PER_1000_TOKENS * 1_000
    agentbudget.register_model(openai_model.NAME, per_million, 0.0)
    agentbudget.init("$1.00")
    client = openai_model.client(model)

    async def job() -> None:
        await client.chat.completions.create(model=openai_model.NAME, messages=openai_model.MESSAGES)

    await in_tasks(model, job, refusals=(BudgetExhausted, LoopDetected))
    spent = float(agentbudget.spent())
    agentbudget.teardown()
    return spent


def _would_exceed(model: Model) -> float:
    session = AgentBudget(max_spend="$1.00").session()

    def job() -> None:
        if not session.would_exceed(float(PRICE)):
            model.call()
            session.track(None, cost=float(PRICE))

    in_threads(model, job, refusals=(BudgetExhausted,))
    return float(session.spent)

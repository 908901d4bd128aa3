"""shekel: patches the model SDKs inside a `with budget(...)` block and adds up what answers cost."""

from __future__ import annotations

import asyncio
from typing import Any

from shekel import BudgetExceededError, budget, tool

from measure import Contender
from rivals import openai_model
from rivals.usage import Model, Usage, in_tasks

NAME = "shekel"


def speed() -> list[Contender]:
    def plain() -> None:
        pass

    priced = tool(plain, price=0.0017)
    guard = budget(max_usd=1e9, tool_prices={"plain": 0.0017})
    guard.__enter__()  # stays open for the whole measurement

    def verify(operations: int) -> str:
        drift = abs(guard.tool_spent - operations * 17 / 10_000)
        guard.__exit__(None, None, None)
        assert drift < 1e-4
        return f"off by {drift:.1e} (float)"

    names: dict[str, Any] = {"priced": priced, "plain": plain}
    how = "@tool(price=...) in a with budget(max_usd=..., tool_prices=...) block; the bare call is subtracted"
    return [Contender("debit", "priced()", names, verify, loop="plain()", calls=20_000, how=how)]


def overspend() -> list[Usage]:
    how = "with budget(max_usd=1.00): OpenAI SDK calls in asyncio.gather"
    return [Usage(how, "asyncio", lambda model: asyncio.run(_calls_in_block(model)))]


async def _calls_in_block(model: Model) -> float:
    client = openai_model.client(model)
    prices = {"input": openai_model.DOLLARS_PER_1000_TOKENS, "output": 0.0}
    with budget(max_usd=1.0, price_per_1k_tokens=prices) as guard:

        async def job() -> None:
            await client.chat.completions.create(model=openai_model.NAME, messages=openai_model.MESSAGES)

        await in_tasks(model, job, refusals=(BudgetExceededError,))
        return float(guard.spent)

"""What the adapters of rate limiters share: the questions put to each of them.

Rate limiters count whole numbers, so an amount is a number of 1e-4 dollars here: 0.0017 is 17. A charge of 17
is what a limiter by amount must do; a charge of 1 is what a limiter of requests does.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

from measure import Contender

AGENTS = tuple(f"agent-{i}" for i in range(10_000))
LIMIT = 10**9
AMOUNT = 17
DAY_SECONDS = 86_400


def contender(
    name: str,
    statement: str,
    names: dict[str, Any],
    used: Callable[[str], int] | None,
    cost: int,
    calls: int = 20_000,
    how: str = "",
) -> Contender:
    """A charge on one of 10,000 windows, in turn; `next_agent()` is the loop's own part.

    Args:
        used: what a window says was charged to an agent, or None if the library does not say.
    """
    next_agent, idle_agent = cycle(AGENTS).__next__, cycle(AGENTS).__next__

    def verify(operations: int) -> str:
        if used is None:
            return "not checked: it does not say what was used"
        expected = operations // len(AGENTS) * cost
        total = used(AGENTS[0])
        assert expected <= total <= expected + cost, f"{total} used, expected {expected}"
        return "exact"

    everything = {**names, "next_agent": next_agent, "idle_agent": idle_agent}
    return Contender(name, statement, everything, verify, loop="idle_agent()", calls=calls, how=how)

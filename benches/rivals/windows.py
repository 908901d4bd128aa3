"""What the adapters of rate limiters share: the question put to each, and two ways to check the answer.

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

Verify = Callable[[int], str]


def contender(name: str, statement: str, names: dict[str, Any], verify: Verify, **options: Any) -> Contender:
    """Charge one of 10,000 windows after the other; `next_agent()` is the loop's own part."""
    cycles = {"next_agent": cycle(AGENTS).__next__, "idle_agent": cycle(AGENTS).__next__}
    return Contender(name, statement, {**names, **cycles}, verify, loop="idle_agent()", **options)


def by_use(used: Callable[[str], int], cost: int) -> Verify:
    """Check what a window says was charged to an agent."""

    def verify(operations: int) -> str:
        expected, total = -(-operations // len(AGENTS)) * cost, used(AGENTS[0])
        assert total == expected, f"{total} used, expected {expected}"
        return "exact"

    return verify


def by_limit(admit: Callable[[], bool]) -> Verify:
    """Check that a limiter of ten charges, made for the purpose, admits ten of them and no more."""

    def verify(_: int) -> str:
        admitted = [admit() for _ in range(12)]
        assert admitted == [True] * 10 + [False] * 2, admitted
        return "10 of 12 admitted by a limit of 10"

    return verify

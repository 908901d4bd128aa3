"""The hot operations as contenders: ours, a native method that does nothing, and what a user would write.

Every contender has a ledger of its own. Where there are many agents, `next_agent()` names one after the
other; it is the loop's own part.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import cycle
from typing import Any

from fleet import AMOUNT, BUDGET, RESERVED, fleet
from handwritten import Ledger, PathLedger, Windows
from measure import Contender
from safeguards import BudgetRateLimiter
from safeguards._native import Empty  # the measure of a native call: no part of the public face

AGENT = "agent-50"
AGENTS = tuple(f"agent-{i}" for i in range(100))
N_WINDOWS = 10_000
DAY_SECONDS = 86_400
ARGUMENTS = {"agent": AGENT, "amount": AMOUNT, "reserved": RESERVED}


def ours(name: str, statement: str, calls: int = 100_000) -> Contender:
    """An operation of ours on one agent of a hundred."""
    mine = fleet()
    names = {**ARGUMENTS, "coordinator": mine.coordinator, "account": mine.coordinator.account(AGENT)}
    return Contender(name, statement, names, mine.prove, calls=calls)


def empty(name: str, statement: str) -> Contender:
    """A native method that reads none of its arguments: no native library can be faster."""
    return Contender(
        name, statement, {**ARGUMENTS, "empty": Empty()}, lambda _: "does nothing", calls=500_000
    )


def by_hand(statement: str, calls: int = 100_000) -> Contender:
    """The least that is correct: one level, no history."""
    ledger = Ledger()
    for agent in AGENTS:
        ledger.add(agent, BUDGET)
    return _by_hand("hand-written", statement, ledger, AGENTS, calls=calls)


def same_by_hand(statement: str, calls: int = 100_000) -> Contender:
    """The same work as ours: two levels, usage history."""
    ledger = PathLedger()
    ledger.add("pool", BUDGET)
    for agent in AGENTS:
        ledger.add(agent, BUDGET, parent="pool")
    return _by_hand("hand-written, same work", statement, ledger, AGENTS, calls=calls)


def ours_of_many(name: str, statement: str, n_agents: int, calls: int = 100_000) -> Contender:
    """An operation of ours on a random agent of so many; `next_account()` is its handle."""
    mine = fleet(n_agents)
    drawn = _drawn(mine.agents)
    names, loop = {**ARGUMENTS, "coordinator": mine.coordinator, **_in_turn("agent", drawn)}, "idle_agent()"
    if "next_account" in statement:
        handles = {agent: mine.coordinator.account(agent) for agent in mine.agents}
        names |= _in_turn("account", [handles[agent] for agent in drawn])
        loop = "idle_account()"

    def verify(calls: int) -> str:
        return mine.prove(calls + n_agents)

    for agent in mine.agents:
        mine.coordinator.try_debit(agent, AMOUNT)
    return Contender(name, statement, names, verify, loop=loop, calls=calls)


def by_hand_of_many(statement: str, n_agents: int, calls: int = 100_000) -> Contender:
    """The least that is correct, on a random agent of so many."""
    ledger = Ledger()
    agents = [f"agent-{i}" for i in range(n_agents)]
    for agent in agents:
        ledger.add(agent, BUDGET + AMOUNT)
        ledger.try_debit(agent, AMOUNT)
    return _by_hand("hand-written", statement, ledger, agents, loop="idle_agent()", calls=calls)


def our_windows(name: str, events: int) -> Contender:
    """Charges one of 10,000 windows after the other, each with so many events in it."""
    mine = fleet(N_WINDOWS)
    limiter = BudgetRateLimiter(mine.coordinator)
    for agent in mine.agents:
        limiter.set_rate_limit(agent_id=agent, max_budget=BUDGET, time_window=timedelta(days=1))

    def used(agent: str) -> Decimal:
        (window,) = limiter.get_rate_limits(agent)
        return window.spent

    return _windows(name, limiter, mine.agents, events, used)


def ours_under_windows(name: str, statement: str) -> Contender:
    """An operation of ours on one agent of a hundred, under a window of its own and one of its pool."""
    mine = fleet()
    limiter = BudgetRateLimiter(mine.coordinator)
    for account in (AGENT, *mine.pools):
        limiter.set_rate_limit(account, BUDGET, timedelta(minutes=1))
    names = {**ARGUMENTS, "coordinator": mine.coordinator}

    def verify(calls: int) -> str:
        for account in (AGENT, *mine.pools):
            (window,) = limiter.get_rate_limits(account)
            assert 0 < window.spent <= calls * AMOUNT, f"{window.spent} in the window of {account}"
        return mine.prove(calls)

    return Contender(name, statement, names, verify)


def windows_by_hand(events: int) -> Contender:
    agents = tuple(f"agent-{i}" for i in range(N_WINDOWS))
    windows = Windows()
    for agent in agents:
        windows.add(agent, BUDGET, DAY_SECONDS)
    return _windows("hand-written", windows, agents, events, windows.used)


def _windows(
    name: str, windows: Any, agents: Sequence[str], events: int, used: Callable[[str], Decimal]
) -> Contender:
    busy = agents[::10] if events else agents  # ten million charges by hand would fill a gigabyte
    for agent in busy:
        for _ in range(events):
            windows.try_acquire(agent, AMOUNT)

    def verify(calls: int) -> str:
        expected = (events + -(-calls // len(busy))) * AMOUNT
        assert used(busy[0]) == expected, f"{used(busy[0])} used, expected {expected}"
        return "exact"

    names = {"windows": windows, "amount": AMOUNT, **_in_turn("agent", busy)}
    statement = "windows.try_acquire(next_agent(), amount)"
    return Contender(name, statement, names, verify, loop="idle_agent()", calls=50_000)


def _in_turn(noun: str, items: Sequence[Any]) -> dict[str, Callable[[], Any]]:
    return {f"next_{noun}": cycle(items).__next__, f"idle_{noun}": cycle(items).__next__}


def _drawn(agents: Sequence[str]) -> list[str]:
    """A million draws, in an order that no cache can foresee and that is the same in every run."""
    return random.Random(0).choices(agents, k=2**20)


def _by_hand(
    name: str, statement: str, ledger: Ledger | PathLedger, agents: Sequence[str], **options: Any
) -> Contender:
    def verify(calls: int) -> str:
        left, expected = sum(map(ledger.remaining, agents)), len(agents) * BUDGET - calls * AMOUNT
        assert left == expected, f"{left} left, expected {expected}"
        return "exact"

    names = {**ARGUMENTS, "ledger": ledger, **_in_turn("agent", _drawn(agents))}
    return Contender(name, statement, names, verify, **options)

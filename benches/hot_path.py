"""Debits, reservations and windows: ours, an empty native method, and what a user would write instead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import cycle
from typing import Any

from fleet import AMOUNT, BUDGET, RESERVED, fleet
from handwritten import Ledger, PathLedger, Windows
from measure import Contender, Measurement, measure
from report import Row
from safeguards._native import Empty
from safeguards.budget.rate_limiter import BudgetRateLimiter

AGENT = "agent-50"
DAY_SECONDS = 86_400
N_WINDOWS = 10_000


def debits() -> list[Row]:
    results = measure(
        _ours("try_debit", "coordinator.try_debit(agent, amount)"),
        _ours("account.try_debit", "account.try_debit(amount)"),
        _ours("debit", "coordinator.debit(agent, amount)"),
        _empty("empty(id, amount)", "empty.try_debit(agent, amount)"),
        _empty("empty(amount)", "empty.account_try_debit(amount)"),
        _handwritten("hand-written", "ledger.try_debit(agent, amount)", _least()),
        _handwritten("hand-written, same work", "ledger.try_debit(agent, amount)", _same_work()),
    )
    ns = {name: result.ns for name, result in results.items()}
    least, same = ns["hand-written"], ns["hand-written, same work"]
    ours, bound = ns["try_debit"], ns["account.try_debit"]
    return [
        *_times(results),
        Row("hand-written / try_debit", least / ours, "x", 2.2, note="it has one level and no history"),
        Row("hand-written, same work / try_debit", same / ours, "x", 5, note="two levels, usage history"),
        Row("hand-written / Account.try_debit", least / bound, "x", 3),
        Row("try_debit / empty native method", ours / ns["empty(id, amount)"], "x"),
        Row("Account.try_debit / empty native method", bound / ns["empty(amount)"], "x", 3, "most", "a goal"),
        Row("debit with receipt / try_debit", ns["debit"] / ours, "x", 1.5, "most"),
    ]


def reservations() -> list[Row]:
    ticket = "ledger.settle(ledger.reserve(agent, reserved), amount)"
    results = measure(
        _ours("reserve + settle", "coordinator.reserve(agent, reserved).settle(amount)", calls=50_000),
        _empty("empty(id, amount)", "empty.try_debit(agent, reserved)"),
        _handwritten("hand-written reserve + settle", ticket, _least(), calls=50_000),
        _handwritten("hand-written reserve + settle, same work", ticket, _same_work(), calls=20_000),
    )
    ours = results["reserve + settle"].ns
    least, same = "hand-written reserve + settle", "hand-written reserve + settle, same work"
    return [
        *_times(results),
        Row("hand-written / reserve + settle", results[least].ns / ours, "x", 4),
        Row("hand-written, same work / reserve + settle", results[same].ns / ours, "x"),
        Row("reserve + settle / empty native method", ours / results["empty(id, amount)"].ns, "x"),
    ]


def windows() -> list[Row]:
    rows = []
    for events in (0, 1_000):
        ours, hand = f"try_acquire, {events:,} events", f"hand-written window, {events:,} events"
        results = measure(
            _our_windows(ours, events),
            _empty("empty try_acquire", "empty.try_acquire(agent, amount)"),
            _handwritten_windows(hand, events),
        )
        rows += _times(results)
        ratio = results[hand].ns / results[ours].ns
        rows.append(Row(f"hand-written / {ours}", ratio, "x", 3.5, note=f"{N_WINDOWS:,} windows, in turn"))
    return rows


def _ours(name: str, statement: str, calls: int = 100_000) -> Contender:
    ours = fleet()
    names = {**_arguments(), "coordinator": ours.coordinator, "account": ours.coordinator.account(AGENT)}
    return Contender(name, statement, names, lambda n: ours.prove(AGENT, n), calls=calls)


def _empty(name: str, statement: str) -> Contender:
    names = {**_arguments(), "empty": Empty()}
    return Contender(name, statement, names, lambda _: "does nothing", calls=500_000)


def _handwritten(name: str, statement: str, ledger: Ledger | PathLedger, calls: int = 100_000) -> Contender:
    def verify(operations: int) -> str:
        assert ledger.remaining(AGENT) == BUDGET - operations * AMOUNT
        return "exact"

    return Contender(name, statement, {**_arguments(), "ledger": ledger}, verify, calls=calls)


def _arguments() -> dict[str, Any]:
    return {"agent": AGENT, "amount": AMOUNT, "reserved": RESERVED}


def _least() -> Ledger:
    ledger = Ledger()
    for i in range(100):
        ledger.add(f"agent-{i}", BUDGET)
    return ledger


def _same_work() -> PathLedger:
    ledger = PathLedger()
    ledger.add("pool", BUDGET)
    for i in range(100):
        ledger.add(f"agent-{i}", BUDGET, parent="pool")
    return ledger


def _our_windows(name: str, events: int) -> Contender:
    ours = fleet(N_WINDOWS)
    limiter = BudgetRateLimiter(ours.coordinator)
    for agent in ours.agents:
        limiter.set_rate_limit(agent_id=agent, max_budget=BUDGET, time_window=timedelta(days=1))

    def used(agent: str) -> Decimal:
        (window,) = limiter.get_rate_limits(agent)
        return window.spent

    return _window_contender(name, ("limiter", limiter), ours.agents, events, used)


def _handwritten_windows(name: str, events: int) -> Contender:
    agents = tuple(f"agent-{i}" for i in range(N_WINDOWS))
    by_hand = Windows()
    for agent in agents:
        by_hand.add(agent, BUDGET, DAY_SECONDS)
    return _window_contender(name, ("windows", by_hand), agents, events, by_hand.used)


def _window_contender(
    name: str,
    subject: tuple[str, Any],
    agents: tuple[str, ...],
    events: int,
    used: Callable[[str], Decimal],
) -> Contender:
    variable, windows = subject
    busy = agents[::10] if events else agents  # ten million charges by hand would fill a gigabyte
    for agent in busy:
        for _ in range(events):
            windows.try_acquire(agent, AMOUNT)
    calls = 50_000

    def verify(operations: int) -> str:
        expected = (events + operations // len(busy)) * AMOUNT
        assert used(busy[0]) == expected, f"{used(busy[0])} used, expected {expected}"
        return "exact"

    names = {
        variable: windows,
        "amount": AMOUNT,
        "next_agent": cycle(busy).__next__,
        "idle_agent": cycle(busy).__next__,
    }
    statement = f"{variable}.try_acquire(next_agent(), amount)"
    return Contender(name, statement, names, verify, loop="idle_agent()", calls=calls)


def _times(results: dict[str, Measurement]) -> list[Row]:
    return [Row(name, result.ns, "ns", note=result.proof) for name, result in results.items()]

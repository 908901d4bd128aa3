"""What a careful user writes instead of installing a library: correct under threads, and no more than needed.

`Ledger` is the least that works: one level, no history. `PathLedger` does what ours does: it checks its
argument, debits a whole path of accounts or none, and keeps a usage history. `Window` limits the amount spent
in a sliding window.
"""

from __future__ import annotations

import time
from collections import deque
from decimal import Decimal
from threading import Lock


class Ledger:
    """A dict of remaining budgets under one lock."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._remaining: dict[str, Decimal] = {}
        self._reserved: dict[int, tuple[str, Decimal]] = {}
        self._tickets = 0

    def add(self, agent: str, budget: Decimal) -> None:
        self._remaining[agent] = budget

    def remaining(self, agent: str) -> Decimal:
        return self._remaining[agent]

    def try_debit(self, agent: str, amount: Decimal) -> bool:
        with self._lock:
            remaining = self._remaining[agent]
            if amount > remaining:
                return False
            self._remaining[agent] = remaining - amount
            return True

    def reserve(self, agent: str, amount: Decimal) -> int | None:
        with self._lock:
            remaining = self._remaining[agent]
            if amount > remaining:
                return None
            self._remaining[agent] = remaining - amount
            self._tickets += 1
            self._reserved[self._tickets] = (agent, amount)
            return self._tickets

    def settle(self, ticket: int, cost: Decimal) -> None:
        with self._lock:
            agent, amount = self._reserved.pop(ticket)
            self._remaining[agent] += amount - cost


class Account:
    """What one account of a path knows."""

    __slots__ = ("path", "remaining", "reserved", "spent", "usage")

    def __init__(self, budget: Decimal, parent: Account | None = None) -> None:
        self.remaining = budget
        self.reserved = Decimal(0)
        self.spent = Decimal(0)
        self.path: tuple[Account, ...] = (self,) if parent is None else (self, *parent.path)
        self.usage: deque[tuple[float, Decimal, str | None, int]] = deque(maxlen=256)


class PathLedger:
    """Accounts in pools, debited all or none, with a usage history."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._accounts: dict[str, Account] = {}
        self._reserved: dict[int, tuple[Account, Decimal]] = {}
        self._sequence = 0

    def add(self, name: str, budget: Decimal, parent: str | None = None) -> None:
        self._accounts[name] = Account(budget, self._accounts[parent] if parent else None)

    def remaining(self, name: str) -> Decimal:
        return self._accounts[name].remaining

    def try_debit(self, agent: str, amount: Decimal, operation_type: str | None = None) -> bool:
        _check(amount)
        with self._lock:
            account = self._accounts[agent]
            for step in account.path:
                if amount > step.remaining:
                    return False
            for step in account.path:
                step.remaining -= amount
                step.spent += amount
            self._sequence += 1
            account.usage.append((time.time(), amount, operation_type, self._sequence))
            return True

    def reserve(self, agent: str, amount: Decimal) -> int | None:
        _check(amount)
        with self._lock:
            account = self._accounts[agent]
            for step in account.path:
                if amount > step.remaining:
                    return None
            for step in account.path:
                step.remaining -= amount
                step.reserved += amount
            self._sequence += 1
            self._reserved[self._sequence] = (account, amount)
            return self._sequence

    def settle(self, ticket: int, cost: Decimal, operation_type: str | None = None) -> None:
        _check(cost)
        with self._lock:
            account, amount = self._reserved.pop(ticket)
            for step in account.path:
                step.reserved -= amount
                step.remaining += amount - cost
                step.spent += cost
            self._sequence += 1
            account.usage.append((time.time(), cost, operation_type, self._sequence))


def _check(amount: Decimal) -> None:
    if not isinstance(amount, Decimal):
        raise TypeError(f"an amount is a Decimal, not {type(amount).__name__}")
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"not an amount: {amount}")


class Window:
    """At most `limit` in the last `seconds`: every charge is kept until it leaves the window."""

    def __init__(self, limit: Decimal, seconds: float) -> None:
        self._lock = Lock()
        self._limit = limit
        self._seconds = seconds
        self._used = Decimal(0)
        self._charges: deque[tuple[float, Decimal]] = deque()

    @property
    def used(self) -> Decimal:
        return self._used

    def try_acquire(self, amount: Decimal) -> bool:
        now = time.monotonic()
        with self._lock:
            charges = self._charges
            while charges and charges[0][0] <= now - self._seconds:
                self._used -= charges.popleft()[1]
            if self._used + amount > self._limit:
                return False
            self._used += amount
            charges.append((now, amount))
            return True


class Windows:
    """One window per agent."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}

    def add(self, agent: str, limit: Decimal, seconds: float) -> None:
        self._windows[agent] = Window(limit, seconds)

    def used(self, agent: str) -> Decimal:
        return self._windows[agent].used

    def try_acquire(self, agent: str, amount: Decimal) -> bool:
        return self._windows[agent].try_acquire(amount)

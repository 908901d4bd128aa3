"""A hand-made ledger in SQLite: one conditional UPDATE per debit, write-ahead log, integers of 1e-9."""

from __future__ import annotations

import sqlite3
import tempfile
from decimal import Decimal
from pathlib import Path

from measure import Contender
from rivals.usage import BUDGET, PRICE, Model, Usage, in_threads

NAME = "SQLite ledger, hand-written"
VERSION = sqlite3.sqlite_version
UNITS = 10**9
DEBIT = "UPDATE account SET remaining = remaining - ?1 WHERE id = ?2 AND remaining >= ?1"


class Ledger:
    """Accounts in a file; every debit is its own transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = self._connect()
        self._connection.execute(
            "CREATE TABLE account (id TEXT PRIMARY KEY, remaining INTEGER) WITHOUT ROWID"
        )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def for_this_thread(self) -> sqlite3.Connection:
        return self._connect()

    def add(self, agent: str, units: int) -> None:
        self._connection.execute("INSERT INTO account VALUES (?, ?)", (agent, units))

    def remaining(self, agent: str) -> int:
        (units,) = self._connection.execute("SELECT remaining FROM account WHERE id = ?", (agent,)).fetchone()
        return int(units)

    def try_debit(self, agent: str, units: int) -> bool:
        return self._connection.execute(DEBIT, (units, agent)).rowcount == 1


def _ledger() -> Ledger:
    return Ledger(Path(tempfile.mkdtemp()) / "ledger.sqlite")


def speed() -> list[Contender]:
    ledger, start, amount = _ledger(), 10**18, 1_700_000
    ledger.add("agent", start)

    def verify(operations: int) -> str:
        assert ledger.remaining("agent") == start - operations * amount
        return "exact"

    names = {"ledger": ledger, "agent": "agent", "units": amount}
    how = "one conditional UPDATE per debit, WAL, synchronous=NORMAL; durable; without the waits for the disk"
    return [Contender("debit", "ledger.try_debit(agent, units)", names, verify, calls=5_000, how=how)]


def overspend() -> list[Usage]:
    return [Usage("conditional UPDATE before the call", "threads", _conditional_update)]


def _conditional_update(model: Model) -> Decimal:
    ledger = _ledger()
    ledger.add("agent", int(BUDGET * UNITS))

    def job() -> None:
        connection = ledger.for_this_thread()
        if connection.execute(DEBIT, (int(PRICE * UNITS), "agent")).rowcount == 1:
            model.call()
        connection.close()

    in_threads(model, job, refusals=())
    return BUDGET - Decimal(ledger.remaining("agent")) / UNITS

"""`python -m rivals.speed ADAPTER`: time one library in a process of its own and print JSON."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import platform
import sys
from decimal import Decimal
from typing import Any

from handwritten import Ledger
from measure import Contender, measure

AMOUNT = Decimal("0.0017")
BUDGET = Decimal(10**9)


def control() -> Contender:
    """The hand-written ledger, timed in every process: tells whether two processes can be compared."""
    ledger = Ledger()
    ledger.add("agent", BUDGET)

    def verify(operations: int) -> str:
        assert ledger.remaining("agent") == BUDGET - operations * AMOUNT
        return "exact"

    names = {"ledger": ledger, "agent": "agent", "amount": AMOUNT}
    return Contender("control", "ledger.try_debit(agent, amount)", names, verify)


def version(adapter: Any) -> str:
    return getattr(adapter, "VERSION", None) or importlib.metadata.version(adapter.NAME)


def main(name: str) -> None:
    adapter = importlib.import_module(f"rivals.{name}")
    contenders = adapter.speed() if hasattr(adapter, "speed") else []
    results = measure(*contenders, control()) if contenders else {}
    report = {
        "name": adapter.NAME,
        "version": version(adapter),
        "python": platform.python_version(),
        "control": results.pop("control").to_dict() if contenders else None,
        "operations": [result.to_dict() for result in results.values()],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1])

"""`python -m rivals.overspend ADAPTER`: run the overspend experiment through one library and print JSON."""

from __future__ import annotations

import importlib
import json
import sys
from decimal import Decimal
from typing import Any

from rivals.speed import version
from rivals.usage import Model, Usage


def outcome(library: str, release: str, usage: Usage) -> dict[str, Any]:
    """Run one usage with 50 calls at once, and again with one after the other, which is the control."""
    model, control = Model(), Model(together=False)
    books = usage.run(model)
    usage.run(control)
    return {
        "library": library,
        "version": release,
        "how": usage.how,
        "concurrency": usage.concurrency,
        "served": model.served,
        "bill": str(model.bill),
        "bill_one_by_one": str(control.bill),
        "books": plain(Decimal(books)),
    }


def plain(amount: Decimal) -> str:
    """Show cents, and nine places only where cents do not tell the truth (floats drift by less)."""
    exact = round(amount, 9)
    return f"{exact:.2f}" if exact == round(exact, 2) else f"{exact:f}"


def main(name: str) -> None:
    adapter = importlib.import_module(f"rivals.{name}")
    usages = adapter.overspend() if hasattr(adapter, "overspend") else []
    print(json.dumps([outcome(adapter.NAME, version(adapter), usage) for usage in usages]))


if __name__ == "__main__":
    main(sys.argv[1])

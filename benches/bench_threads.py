"""Two threads on agents of different pools, beside one thread that does as much: under one lock they wait."""

from __future__ import annotations

import threading
from itertools import repeat
from time import perf_counter
from typing import Any

import pytest

from fleet import AMOUNT, BUDGET, fleet
from handwritten import PathLedger
from harness import Versus, at_least
from measure import Contender, work

pytestmark = pytest.mark.benchmark(group="Threads")

DEBITS = 300_000
AGENTS = ("agent-0", "agent-1")


@pytest.mark.parametrize(("make", "bar"), [("ours", at_least(0.9)), ("by hand", None)])
def bench_two_threads(versus: Versus, make: str, bar: Any, *, is_quick: bool) -> None:
    debits = 1_000 if is_quick else DEBITS
    two = threads(f"two threads, {make}", ledger(make), AGENTS, debits)
    one = threads("one thread", ledger(make), AGENTS[:1], debits)
    versus(two, (one, bar) if bar else one)


def ledger(make: str) -> Any:
    if make == "ours":
        return fleet(len(AGENTS), agents_per_pool=1).coordinator
    by_hand = PathLedger()
    for i, agent in enumerate(AGENTS):
        by_hand.add(f"pool-{i}", BUDGET)
        by_hand.add(agent, BUDGET, parent=f"pool-{i}")
    return by_hand


def threads(name: str, kept: Any, agents: tuple[str, ...], debits: int) -> Contender:
    """Wall time of the debits of all threads; a debit of two threads at once counts as two."""
    left = kept.remaining if isinstance(kept, PathLedger) else kept.get_budget

    def verify(calls: int) -> str:
        for agent in agents:
            assert BUDGET - left(agent) == calls * debits * AMOUNT
        return "exact"

    def run() -> None:
        start(kept, agents, debits)

    return work(name, run, verify, each=len(agents) * debits, how="the loop included", timer=perf_counter)


def start(kept: Any, agents: tuple[str, ...], debits: int) -> None:
    together = threading.Barrier(len(agents))

    def worker(agent: str) -> None:
        try_debit = kept.try_debit
        together.wait()
        for _ in repeat(None, debits):
            try_debit(agent, AMOUNT)

    workers = [threading.Thread(target=worker, args=(agent,)) for agent in agents]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()

"""What happens with more of it: two threads on different agents, and batches over many accounts."""

from __future__ import annotations

import threading
import time
from itertools import repeat
from typing import Any

import numpy as np

from fleet import AMOUNT, BUDGET, UNITS, fleet
from handwritten import PathLedger
from measure import ROUNDS, Spread
from report import Row

DEBITS = 300_000
BATCH = 1_000_000


def threads() -> list[Row]:
    """Throughput of two threads on agents of different pools, as a share of what one thread does alone."""
    ours, by_hand = fleet(2, agents_per_pool=1), PathLedger()
    for i in range(2):
        by_hand.add(f"pool-{i}", BUDGET)
        by_hand.add(f"agent-{i}", BUDGET, parent=f"pool-{i}")
    shares: dict[str, list[float]] = {"ours": [], "hand-written": []}
    for _ in range(ROUNDS):
        for name, ledger in (("ours", ours.coordinator), ("hand-written", by_hand)):
            one = _throughput(ledger, ["agent-0"])
            two = _throughput(ledger, ["agent-0", "agent-1"])
            shares[name].append(two / one)
    assert ours.spent("agent-0") == _spent(by_hand, "agent-0") == 2 * ROUNDS * DEBITS * AMOUNT
    assert ours.spent("agent-1") == _spent(by_hand, "agent-1") == ROUNDS * DEBITS * AMOUNT
    ours.coordinator.verify()
    note = "throughput of two threads / of one, loop included; exact"
    return [
        Row("two threads / one: try_debit", Spread(tuple(shares["ours"])), "x", 0.9, note=note),
        Row("two threads / one: by hand", Spread(tuple(shares["hand-written"])), "x", note=note),
    ]


def _spent(ledger: PathLedger, agent: str) -> Any:
    return BUDGET - ledger.remaining(agent)


def _throughput(ledger: Any, agents: list[str]) -> float:
    start = threading.Barrier(len(agents) + 1)

    def worker(agent: str) -> None:
        try_debit = ledger.try_debit
        start.wait()
        for _ in repeat(None, DEBITS):
            try_debit(agent, AMOUNT)

    workers = [threading.Thread(target=worker, args=(agent,)) for agent in agents]
    for thread in workers:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in workers:
        thread.join()
    return len(agents) * DEBITS / (time.perf_counter() - began)


def batches() -> list[Row]:
    return [_batch(1_000, bar=15), _batch(1_000_000, bar=5)]


def _batch(n_agents: int, bar: float) -> Row:
    ours = fleet(n_agents)
    handles = np.array([ours.coordinator.handle(agent) for agent in ours.agents], dtype=np.uint32)
    order = np.random.default_rng(0).integers(0, n_agents, BATCH)
    batch, units = handles[order], np.full(BATCH, int(AMOUNT * UNITS), dtype=np.int64)
    speeds = []
    for number in range(ROUNDS + 1):
        began = time.thread_time()
        admitted = ours.coordinator.debit_many(batch, units)
        seconds = time.thread_time() - began
        assert admitted.all()
        if number > 0:
            speeds.append(BATCH / seconds / 1e6)
    busiest = int(np.bincount(order).argmax())
    times = int((order == busiest).sum())
    assert ours.spent(ours.agents[busiest]) == (ROUNDS + 1) * times * AMOUNT
    assert ours.spent_by_pools() == (ROUNDS + 1) * BATCH * AMOUNT
    ours.coordinator.verify()
    note = f"batches of {BATCH:,} in random order, pools of 1,000 agents, one thread; exact"
    return Row(f"debit_many over {n_agents:,} accounts", Spread(tuple(speeds)), "million/s", bar, note=note)

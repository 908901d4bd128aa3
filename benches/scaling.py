"""What a second thread brings: debits of two threads, each on its own agent, beside those of one.

    python benches/scaling.py

Twice as many where neither the library nor the interpreter makes one thread wait for the other. Short rounds
of one and of two threads take turns, and the fastest of each are compared: others on the machine make a round
slower, never faster. On a very busy one two threads may never run at once: the load is told.
"""

from __future__ import annotations

import os
import sys
import threading
from decimal import Decimal
from itertools import repeat
from time import perf_counter
from typing import Any

from fleet import AMOUNT, fleet

ROUNDS, DEBITS = 100, 25_000
AGENTS = ("agent-0", "agent-1")


def seconds(kept: Any, agents: tuple[str, ...]) -> float:
    """Wall time of so many debits of each agent, each in its thread."""
    together = threading.Barrier(len(agents))
    times: list[tuple[float, float]] = []

    def worker(agent: str) -> None:
        try_debit, amount = kept.try_debit, Decimal(str(AMOUNT))  # objects of its own
        together.wait()
        begun = perf_counter()
        for _ in repeat(None, DEBITS):
            try_debit(agent, amount)
        times.append((begun, perf_counter()))

    workers = [threading.Thread(target=worker, args=(agent,)) for agent in agents]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    begins, ends = zip(*times, strict=True)
    return max(ends) - min(begins)


def scaling(agents_per_pool: int) -> float:
    """How many times as many debits two threads make in the same time as one."""
    made = fleet(len(AGENTS), agents_per_pool=agents_per_pool)
    one, two = [], []
    for _ in range(ROUNDS):
        one.append(seconds(made.coordinator, AGENTS[:1]))
        two.append(seconds(made.coordinator, AGENTS))
    made.prove(ROUNDS * (1 + len(AGENTS)) * DEBITS)
    return len(AGENTS) * min(one) / min(two)


def main() -> None:
    """Prints the figures."""
    is_locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    lock = "with" if is_locked else "without"
    load = os.getloadavg()[0]
    print(f"two threads beside one, {lock} the interpreter's lock: {os.cpu_count()} cores, load {load:.1f}")
    print(f"  agents of two pools: {scaling(1):.2f} times as many debits")
    print(f"  agents of one pool: {scaling(len(AGENTS)):.2f} times as many debits")


if __name__ == "__main__":
    main()

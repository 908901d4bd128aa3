"""Memory and import time, each measured in fresh processes.

`python footprint.py agents|windows|full_windows COUNT` prints the bytes that one of them costs. It reads
/proc, so it runs on Linux only.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from measure import Spread

FRESH_PROCESSES = 5
IMPORT = """
import sys, time
began = time.perf_counter()
import safeguards
seconds = time.perf_counter() - began
print(seconds * 1000, "numpy" in sys.modules)
"""


def rows() -> list:
    from report import Row

    def each(kind: str, count: int) -> Spread:
        return Spread(tuple(_run(__file__, kind, str(count)) for _ in range(3)))

    note = "growth of resident memory in a process of its own"
    return [
        Row("idle agent account, of 1,000,000", each("agents", 1_000_000), "bytes", 512, "most", note),
        Row("window with one charge, of 100,000", each("windows", 100_000), "bytes", 2048, "most", note),
        Row("window with 1,000 charges, of 2,000", each("full_windows", 2_000), "bytes", 2048, "most", note),
        _import_row(Row),
    ]


def _import_row(row: type) -> object:
    outputs = [_python("-c", IMPORT).split() for _ in range(2 * FRESH_PROCESSES)]
    assert all(numpy == "False" for _, numpy in outputs), "numpy is imported by `import safeguards`"
    times = Spread(tuple(float(milliseconds) for milliseconds, _ in outputs))
    return row(
        "import safeguards", times, "ms", 50, "most", "wall time in fresh processes; numpy not imported"
    )


def _run(*arguments: str) -> float:
    return float(json.loads(_python(*arguments)))


def _python(*arguments: str) -> str:
    run = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
    return run.stdout


def _resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def bytes_each(kind: str, count: int) -> float:
    """Build so many of a kind and divide what the process grew by."""
    from fleet import AMOUNT, BUDGET, fleet
    from safeguards import BudgetCoordinator
    from safeguards.budget.rate_limiter import BudgetRateLimiter
    from safeguards.testing import ManualClock

    if kind == "agents":
        coordinator = BudgetCoordinator()
        pool = coordinator.create_budget_pool("pool", BUDGET)
        before = _resident_bytes()
        for i in range(count):
            coordinator.register_agent(f"agent-{i}", pool, initial_budget=BUDGET)
        return (_resident_bytes() - before) / count

    charges = 1_000 if kind == "full_windows" else 1
    clock = ManualClock()
    ours = fleet(count, clock=clock)
    limiter = BudgetRateLimiter(ours.coordinator)
    before = _resident_bytes()
    for agent in ours.agents:
        limiter.set_rate_limit(agent_id=agent, max_budget=BUDGET, time_window=timedelta(hours=1))
    for _ in range(charges):
        for agent in ours.agents:
            limiter.try_acquire(agent, AMOUNT)
        clock.advance(3600 / charges)
    return (_resident_bytes() - before) / count


if __name__ == "__main__":
    print(bytes_each(sys.argv[1], int(sys.argv[2])))

"""Bytes that one of a kind costs, in a process of its own: `python footprint.py KIND COUNT`.

It reads /proc, so it runs on Linux only.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from fleet import AMOUNT, BUDGET, fleet
from safeguards import BudgetCoordinator, BudgetPatternLearner, BudgetRateLimiter, ManualClock
from yardsticks.recorded import m_large

DAYS = 21

Work = Callable[[], None]


def agents(count: int) -> Work:
    coordinator = BudgetCoordinator()
    pool = coordinator.create_budget_pool("pool", BUDGET)

    def build() -> None:
        for i in range(count):
            coordinator.register_agent(f"agent-{i}", pool, initial_budget=BUDGET)

    return build


def windows(count: int, charges: int = 1) -> Work:
    clock = ManualClock()
    ours = fleet(count, clock=clock)
    limiter = BudgetRateLimiter(ours.coordinator)

    def build() -> None:
        for agent in ours.agents:
            limiter.set_rate_limit(agent_id=agent, max_budget=BUDGET, time_window=timedelta(hours=1))
        for _ in range(charges):
            for agent in ours.agents:
                limiter.try_acquire(agent, AMOUNT)
            clock.advance(3600 / charges)

    return build


def full_windows(count: int) -> Work:
    return windows(count, charges=1_000)


def learning_agents(count: int) -> Work:
    """Agents that have spent each hour of three weeks."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    coordinator = BudgetCoordinator(clock=ManualClock(start + timedelta(days=DAYS)))
    learner = BudgetPatternLearner(coordinator, timezone=UTC)
    hours = np.datetime64("2026-01-01", "s") + np.arange(DAYS * 24) * np.timedelta64(3600, "s")
    usage = np.resize(m_large().cost, (count, len(hours)))
    learner.load_history("warm up", hours, usage[0])

    def build() -> None:
        for agent in range(count):
            learner.load_history(f"agent {agent}", hours, usage[agent])

    return build


KINDS = {one.__name__: one for one in (agents, windows, full_windows, learning_agents)}


def resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(kind: str, count: int) -> None:
    build = KINDS[kind](count)
    before = resident_bytes()
    build()
    print((resident_bytes() - before) / count)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

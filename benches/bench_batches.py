"""A million operations of random agents in one call, by handles that were looked up before."""

from __future__ import annotations

import numpy as np
import pytest

from fleet import AMOUNT, RESERVED, UNITS, fleet
from harness import Versus, at_least
from measure import Contender, work

pytestmark = pytest.mark.benchmark(group="Batches")

BATCH = 1_000_000
PAIRS = 100_000
"""A hundred for each agent are active at once."""


@pytest.mark.parametrize(("n_agents", "bar"), [(1_000, 15.0), (1_000_000, 5.0)])
def bench_debit_many(versus: Versus, n_agents: int, bar: float, *, is_quick: bool) -> None:
    name, n_agents = f"debit_many, {n_agents:,} agents", min(n_agents, 1_000) if is_quick else n_agents
    versus(batch(name, n_agents), bar=at_least(bar, "million/s"))


def batch(name: str, n_agents: int) -> Contender:
    """Pools of 1,000 agents, one thread."""
    ours = fleet(n_agents)
    handles = np.array([ours.coordinator.handle(agent) for agent in ours.agents], dtype=np.uint32)
    order = np.random.default_rng(0).integers(0, n_agents, BATCH)
    chosen, units = handles[order], np.full(BATCH, int(AMOUNT * UNITS), dtype=np.int64)
    busiest = int(np.bincount(order).argmax())
    times = int((order == busiest).sum())

    def debit() -> None:
        admitted = ours.coordinator.debit_many(chosen, units)
        assert admitted.all(), f"{(~admitted).sum()} debits were refused"

    def verify(calls: int) -> str:
        assert ours.spent(ours.agents[busiest]) == calls * times * AMOUNT
        return ours.prove(calls * BATCH)

    return work(name, debit, verify, each=BATCH, how="batches of 1,000,000 in random order, one thread")


@pytest.mark.parametrize(("n_agents", "bar"), [(1_000, 5.0)])
def bench_reserve_settle_many(versus: Versus, n_agents: int, bar: float) -> None:
    name = f"reserve_many + settle_many, {n_agents:,} agents"
    versus(pairs(name, n_agents), bar=at_least(bar, "million/s"))


def pairs(name: str, n_agents: int) -> Contender:
    """Each call reserves a batch and settles it for less: so many pairs."""
    ours = fleet(n_agents)
    handles = np.array([ours.coordinator.handle(agent) for agent in ours.agents], dtype=np.uint32)
    chosen = handles[np.random.default_rng(0).integers(0, n_agents, PAIRS)]
    reserved = np.full(PAIRS, int(RESERVED * UNITS), dtype=np.int64)
    charged = np.full(PAIRS, int(AMOUNT * UNITS), dtype=np.int64)

    def call() -> None:
        numbers = ours.coordinator.reserve_many(chosen, reserved)
        assert numbers.all(), f"{(numbers == 0).sum()} reservations were refused"
        settled = ours.coordinator.settle_many(chosen, numbers, charged)
        assert settled.all(), f"{(~settled).sum()} settlements were refused"

    def verify(calls: int) -> str:
        return ours.prove(calls * PAIRS)

    how = f"batches of {PAIRS:,} in random order, one thread"
    return work(name, call, verify, each=PAIRS, how=how, calls=10)

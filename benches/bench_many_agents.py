"""Speed where agents are many: a random one of N in each call, so that most of what it needs is in no cache.

Ours has two levels and a usage history; what is written by hand has one level and none. Every agent has been
charged once before: no call that is timed is the first of its agent.
"""

from __future__ import annotations

import pytest

from contenders import by_hand_of_many, ours_of_many
from harness import Versus, at_least

pytestmark = pytest.mark.benchmark(group="Many agents")

BY_HAND = "ledger.try_debit(next_agent(), amount)"
TICKET = "ledger.settle(ledger.reserve(next_agent(), reserved), amount)"
FEW = 1_000
"""So many suffice to see that a bench works."""


def counted(n_agents: int) -> str:
    return "1 agent" if n_agents == 1 else f"{n_agents:,} agents"


@pytest.mark.parametrize(
    ("n_agents", "bar"), [(1, 2.6), (1_000, 2.5), (10_000, 2.2), (100_000, 2.0), (1_000_000, 2.0)]
)
def bench_try_debit(versus: Versus, n_agents: int, bar: float, *, is_quick: bool) -> None:
    name, n_agents = f"try_debit, {counted(n_agents)}", min(n_agents, FEW) if is_quick else n_agents
    debit = ours_of_many(name, "coordinator.try_debit(next_agent(), amount)", n_agents)
    versus(debit, (by_hand_of_many(BY_HAND, n_agents), at_least(bar)))


@pytest.mark.parametrize(("n_agents", "bar"), [(1, 4.0), (1_000, 3.5), (10_000, 3.0), (100_000, 3.0)])
def bench_account_try_debit(versus: Versus, n_agents: int, bar: float, *, is_quick: bool) -> None:
    name, n_agents = f"Account.try_debit, {counted(n_agents)}", min(n_agents, FEW) if is_quick else n_agents
    debit = ours_of_many(name, "next_account().try_debit(amount)", n_agents)
    versus(debit, (by_hand_of_many(BY_HAND, n_agents), at_least(bar)))


@pytest.mark.parametrize(("n_agents", "bar"), [(1, 3.0), (1_000, 2.8), (10_000, 2.5), (100_000, 2.0)])
def bench_reserve_settle(versus: Versus, n_agents: int, bar: float, *, is_quick: bool) -> None:
    name, n_agents = f"reserve + settle, {counted(n_agents)}", min(n_agents, FEW) if is_quick else n_agents
    statement = "coordinator.reserve(next_agent(), reserved).settle(amount)"
    pair = ours_of_many(name, statement, n_agents, calls=50_000)
    versus(pair, (by_hand_of_many(TICKET, n_agents, calls=50_000), at_least(bar)))

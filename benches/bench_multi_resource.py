"""Several resources in one step beside one budget, and fair shares of ten thousand agents."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from time import process_time
from typing import Any

import numpy as np
import pytest

from contenders import AGENT, ours
from fleet import fleet
from harness import Bar, Versus, at_most
from measure import Contender, work
from safeguards import MultiResourceBudget, fair_shares, fair_tasks

pytestmark = pytest.mark.benchmark(group="Several resources")

BUDGET = 10**12
AMOUNTS = {
    "api_calls": Decimal(1),
    "compute_seconds": Decimal("2.5"),
    "storage_gb": Decimal("0.01"),
    "bandwidth_gb": Decimal("0.2"),
}
AGENTS = 10_000
TRY_DEBIT = "resources.try_debit(agent, amounts)"


@pytest.mark.parametrize(
    ("name", "options", "bar"),
    [
        ("try_debit of 4 resources", {}, at_most(3)),
        ("try_debit of 4 resources with capacities", {"capacities": True}, None),
        ("try_debit of 1 resource", {"names": 1}, None),
    ],
)
def bench_try_debit(versus: Versus, name: str, options: dict[str, Any], bar: Bar | None) -> None:
    single = ours("try_debit", "coordinator.try_debit(agent, amount)")
    versus(resources(name, TRY_DEBIT, **options), (single, bar) if bar else single)


def bench_debit(versus: Versus) -> None:
    mine = resources("debit of 4 resources, with its receipt", "resources.debit(agent, amounts)")
    versus(mine, ours("debit, with its receipt", "coordinator.debit(agent, amount)"))


def bench_reserve_settle(versus: Versus) -> None:
    statement = "resources.reserve(agent, amounts).settle(amounts)"
    single = ours("reserve + settle", "coordinator.reserve(agent, amount).settle(amount)", calls=50_000)
    versus(resources("reserve + settle of 4 resources", statement), single)


def resources(name: str, statement: str, *, names: int = 4, capacities: bool = False) -> Contender:
    coordinator = fleet().coordinator
    kept = MultiResourceBudget(coordinator)
    for agent in coordinator.get_all_agent_ids():
        kept.initialize_budgets(agent, dict.fromkeys(AMOUNTS, BUDGET))
    amounts = dict(list(AMOUNTS.items())[:names])
    if capacities:
        for resource in AMOUNTS:
            kept.set_capacity(resource, BUDGET)

    def verify(calls: int) -> str:
        coordinator.verify()
        for resource, metrics in kept.get_metrics(AGENT).items():
            assert metrics.spent == amounts.get(resource, 0) * calls, f"{metrics.spent} of {resource}"
        return "exact"

    scope = {"resources": kept, "agent": AGENT, "amounts": amounts}
    return Contender(name, statement, scope, verify, calls=50_000)


@pytest.mark.parametrize("kind", ["plain", "weights", "weights and caps", "from an array"])
def bench_fair_shares(versus: Versus, kind: str, *, is_quick: bool) -> None:
    """10,000 agents and 4 resources, from dicts and from arrays."""
    agents = 100 if is_quick else AGENTS
    draw = np.random.default_rng(0)
    matrix = draw.integers(1, 10**6, (agents, len(AMOUNTS)))
    demands = {
        f"agent-{i}": {name: Decimal(int(d)) / 1000 for name, d in zip(AMOUNTS, row, strict=True)}
        for i, row in enumerate(matrix)
    }
    capacities = dict.fromkeys(AMOUNTS, Decimal(10**6))
    weights = dict(zip(demands, draw.uniform(0.1, 10, agents).tolist(), strict=True))
    caps = {
        agent: Decimal(int(cap)) / 100
        for agent, cap in zip(demands, draw.integers(1, 1000, agents), strict=True)
    }
    array, total = matrix / 1000, np.full(len(AMOUNTS), 1e6)
    call = {
        "plain": lambda: fair_shares(demands, capacities),
        "weights": lambda: fair_shares(demands, capacities, weights),
        "weights and caps": lambda: fair_shares(demands, capacities, weights, caps=caps),
        "from an array": lambda: fair_tasks(array, total),
    }[kind]

    def verify(_: int) -> str:
        return prove(matrix, demands, capacities)

    contender = work(f"fair shares of {AGENTS:,} agents x 4, {kind}", call, verify, timer=process_time)
    versus(contender, bar=at_most(5, "ms"))


def prove(matrix: np.ndarray, demands: dict[str, Any], capacities: dict[str, Decimal]) -> str:
    """Every share against fractions: the first resource to be used up, which here every agent needs."""
    pace = [Fraction(10**9, int(row.max())) for row in matrix]
    scale = 10**100
    whole = [p.numerator * scale // p.denominator for p in pace]
    rates = [sum(int(d) * p for d, p in zip(column, whole, strict=True)) for column in matrix.T]
    level = Fraction(10**9 * scale, max(rates))
    found = fair_shares(demands, capacities)
    off = max(abs(Fraction(share.tasks) - level * p) for share, p in zip(found.values(), pace, strict=True))
    assert off <= Fraction(1, 10**9), f"a share is {float(off)} off"
    assert all(found.allocated[name] <= capacity for name, capacity in capacities.items())
    return "equal to fractions to 1e-9"

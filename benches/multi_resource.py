"""Several resources in one step beside one budget, and fair shares of ten thousand agents.

`python benches/multi_resource.py [--json PATH]` measures this section alone. Both sides of a ratio are
measured in one run. Fair shares are compared with sums in fractions before they are timed.
"""

from __future__ import annotations

import argparse
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from time import process_time

import numpy as np

from fleet import AMOUNT, fleet
from measure import ROUNDS, Contender, Spread, measure
from report import Row, machine, show, write
from safeguards import MultiResourceBudget, fair_shares, fair_tasks

AGENT = "agent-50"
BUDGET = 10**12
AMOUNTS = {
    "api_calls": Decimal(1),
    "compute_seconds": Decimal("2.5"),
    "storage_gb": Decimal("0.01"),
    "bandwidth_gb": Decimal("0.2"),
}
AGENTS = 10_000


def rows() -> list[Row]:
    return [*debits(), *shares()]


def debits() -> list[Row]:
    """A debit of four resources beside one of money, each in a fleet of its own."""
    results = measure(
        _money("try_debit", "coordinator.try_debit(agent, amount)"),
        _resources("try_debit of 4 resources", "resources.try_debit(agent, amounts)"),
        _resources("try_debit of 4 with capacities", "resources.try_debit(agent, amounts)", capacities=True),
        _resources("try_debit of 1 resource", "resources.try_debit(agent, amounts)", names=1),
        _resources("debit of 4 with receipt", "resources.debit(agent, amounts)"),
        _money("reserve + settle", "coordinator.reserve(agent, amount).settle(amount)"),
        _resources("reserve + settle of 4", "resources.reserve(agent, amounts).settle(amounts)"),
    )
    ns = {name: result.ns for name, result in results.items()}
    four, single = ns["try_debit of 4 resources"], ns["try_debit"]
    both = ns["reserve + settle of 4"] / ns["reserve + settle"]
    return [
        *[Row(name, spread, "ns", note=results[name].proof) for name, spread in ns.items()],
        Row("4 resources / single try_debit", four / single, "x", 3, "most"),
        Row(
            "4 resources with capacities / single try_debit",
            ns["try_debit of 4 with capacities"] / single,
            "x",
        ),
        Row("4 resources / 4 single debits", four / single.scaled(4), "x"),
        Row("reserve + settle, 4 resources / single", both, "x"),
    ]


def shares() -> list[Row]:
    """Fair shares of 10,000 agents and 4 resources, from dicts and from arrays."""
    rng = np.random.default_rng(0)
    matrix = rng.integers(1, 10**6, (AGENTS, len(AMOUNTS)))
    demands = {
        f"agent-{i}": {name: Decimal(int(d)) / 1000 for name, d in zip(AMOUNTS, row, strict=True)}
        for i, row in enumerate(matrix)
    }
    capacities = dict.fromkeys(AMOUNTS, Decimal(10**6))
    weights = {
        agent: float(weight) for agent, weight in zip(demands, rng.uniform(0.1, 10, AGENTS), strict=True)
    }
    caps = {
        agent: Decimal(int(cap)) / 100
        for agent, cap in zip(demands, rng.integers(1, 1000, AGENTS), strict=True)
    }
    array, total = matrix / 1000, np.full(len(AMOUNTS), 1e6)
    proof = prove(matrix, demands, capacities)
    timed = {
        "fair_shares, 10,000 agents x 4": lambda: fair_shares(demands, capacities),
        "fair_shares with weights": lambda: fair_shares(demands, capacities, weights),
        "fair_shares with weights and caps": lambda: fair_shares(demands, capacities, weights, caps=caps),
        "fair_tasks, from an array": lambda: fair_tasks(array, total),
    }
    samples: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(ROUNDS + 1):
        for name, work in timed.items():
            began = process_time()
            work()
            if turn:
                samples[name].append((process_time() - began) * 1e3)
    return [
        Row(name, Spread(tuple(ms)), "ms", None if "caps" in name else 5, "most", note=proof)
        for name, ms in samples.items()
    ]


def prove(matrix: np.ndarray, demands: dict, capacities: dict) -> str:
    """Every share against fractions: the first resource to be used up, which here every agent needs."""
    pace = [Fraction(10**9, int(row.max())) for row in matrix]
    scale = 10**100
    whole = [p.numerator * scale // p.denominator for p in pace]
    rates = [sum(int(d) * p for d, p in zip(column, whole, strict=True)) for column in matrix.T]
    level = Fraction(10**9 * scale, max(rates))
    found = fair_shares(demands, capacities)
    off = max(abs(Fraction(share.tasks) - level * p) for share, p in zip(found.values(), pace, strict=True))
    if off > Fraction(1, 10**9) or any(found.allocated[name] > c for name, c in capacities.items()):
        raise AssertionError(f"a share is {float(off)} off")
    return "equal to fractions to 1e-9"


def _money(name: str, statement: str) -> Contender:
    ours = fleet()
    names = {"coordinator": ours.coordinator, "agent": AGENT, "amount": AMOUNT}
    return Contender(name, statement, names, lambda n: ours.prove(AGENT, n), calls=50_000)


def _resources(name: str, statement: str, *, names: int = 4, capacities: bool = False) -> Contender:
    coordinator = fleet().coordinator
    resources = MultiResourceBudget(coordinator)
    for agent in coordinator.get_all_agent_ids():
        resources.initialize_budgets(agent, dict.fromkeys(AMOUNTS, BUDGET))
    amounts = dict(list(AMOUNTS.items())[:names])
    if capacities:
        for resource in AMOUNTS:
            resources.set_capacity(resource, BUDGET)

    def verify(n: int) -> str:
        coordinator.verify()
        for resource, metrics in resources.get_metrics(AGENT).items():
            if metrics.spent != amounts.get(resource, 0) * n:
                raise AssertionError(f"{metrics.spent} of {resource} spent by {n} debits")
        return f"spent exactly {n:,} times the amounts"

    scope = {"resources": resources, "agent": AGENT, "amounts": amounts}
    return Contender(name, statement, scope, verify, calls=50_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    arguments = parser.parse_args()
    facts = machine()
    sections = {"Multi-resource": rows()}
    show(f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}", sections)
    if arguments.json:
        write(sections, {"machine": facts}, arguments.json)


if __name__ == "__main__":
    main()

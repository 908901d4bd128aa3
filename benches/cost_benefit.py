"""Splitting a budget among 1,000 operations: the whole call, the solver in it, and HiGHS on the same problem.

`python benches/cost_benefit.py` measures this section alone. Nothing is timed before the objective equals
that of HiGHS to 1e-6. Times are processor times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import thread_time

import numpy as np

from measure import Spread
from report import Row, machine, show
from safeguards import CostBenefitAllocator
from safeguards.budget.cost_benefit._allocation import Columns

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cost_benefit"))

from highs import solve
from instances import Instance, allocator_for, registered, shares_of

from safeguards._native import split_budget

ROUNDS = 7
CALLS = 20
OPERATIONS = 1000
INTERVALS = 200
FLOOR, TOTAL = 0.0002, 100_000


def rows() -> list[Row]:
    return [row for per_agent in (1, 10) for row in measured(per_agent)] + learning() + coverage()


def measured(per_agent: int) -> list[Row]:
    """One shape of the problem: 1,000 operations of so many agents."""
    instance = problem(OPERATIONS // per_agent)
    allocator = registered(instance)
    proof = verify(instance, allocator)
    arguments = native_arguments(allocator)

    def whole() -> None:
        allocator.optimize_allocation(TOTAL, FLOOR, instance.tolerance)

    def solver() -> None:
        split_budget(*arguments, total=TOTAL * 10**9, floor=round(TOTAL * FLOOR) * 10**9, tolerance=0.5)

    def highs() -> None:
        solve(instance)

    ours, native, theirs = [], [], []
    for _ in range(ROUNDS):
        ours.append(milliseconds(whole, CALLS))
        native.append(milliseconds(solver, CALLS))
        theirs.append(milliseconds(highs, 1))
    size = f"1,000 operations of {OPERATIONS // per_agent:,} agents"
    whole_call = Spread(tuple(ours))
    return [
        Row(f"optimize_allocation, {size}", whole_call, "ms", 1.0, "most", note=proof),
        Row(f"of which the solver, {size}", Spread(tuple(native)), "ms", note="with its conversions"),
        Row(
            f"HiGHS / optimize_allocation, {size}",
            Spread(tuple(theirs)) / whole_call,
            "x",
            note="with its model",
        ),
    ]


def problem(n_agents: int) -> Instance:
    random = np.random.default_rng(n_agents)
    extra = random.integers(0, n_agents, OPERATIONS - n_agents).tolist()
    volumes = [None if random.random() < 0.3 else int(random.integers(2, 30)) for _ in range(OPERATIONS)]
    return Instance(
        agents=[*range(n_agents), *extra],
        cost=random.integers(10, 100, OPERATIONS).tolist(),
        benefit=random.integers(10, 300, OPERATIONS).tolist(),
        variability=random.uniform(0.05, 1, OPERATIONS).tolist(),
        volumes=volumes,
        total=TOTAL,
        floor=FLOOR,
        tolerance=0.5,
    )


def verify(instance: Instance, allocator: CostBenefitAllocator) -> str:
    allocation = allocator.optimize_allocation(TOTAL, FLOOR, instance.tolerance)
    ours, theirs = instance.objective(shares_of(allocation, instance)), instance.objective(solve(instance))
    if abs(ours - theirs) > 1e-6 * max(1.0, abs(theirs)) or sum(allocation.values()) != TOTAL:
        raise AssertionError(f"the objective is {ours}, that of HiGHS {theirs}")
    return f"objective {ours:.9f}, HiGHS {theirs:.9f}"


def native_arguments(allocator: CostBenefitAllocator) -> tuple[list[object], ...]:
    every = allocator._agents  # noqa: SLF001 - the bench looks inside to time the part alone
    columns = Columns([operation for own in every.values() for operation in own.values()])
    agents = [agent for agent, own in enumerate(every.values()) for _ in own]
    return list(every), agents, columns.roi, columns.deviation, columns.caps


def learning() -> list[Row]:
    """Recording an outcome, and an interval over a hundred thousand of them."""
    instance = problem(OPERATIONS)
    recorded = registered(instance)
    names = [(f"agent_{agent}", f"task_{number}") for number, agent in enumerate(instance.agents)]
    record, evaluate = [], {"roi": [], "regret": []}

    def note() -> None:
        for agent, operation in names:
            recorded.record_outcome(agent, operation, 15, 20)

    record += [milliseconds(note, 15) for _ in range(ROUNDS)]
    for metric, times in evaluate.items():
        found = recorded.evaluate_effectiveness(7, metric)
        if (found.outcomes, found.value) != (100_000, {"roi": 20 / 15, "regret": 0.0}[metric]):
            raise AssertionError(f"{found!r} is not what was recorded")
        times += [
            milliseconds(lambda m=metric: recorded.evaluate_effectiveness(7, m), 1) for _ in range(ROUNDS)
        ]
    return [
        Row("record_outcome", Spread(tuple(record)), "us", note="a thousand operations in turn"),
        *(
            Row(f"evaluate_effectiveness, {metric}, 100,000 outcomes", Spread(tuple(times)), "ms")
            for metric, times in evaluate.items()
        ),
    ]


def coverage() -> list[Row]:
    """How often the 95 % interval of the return holds the true one, by the kind and number of outcomes."""
    random = np.random.default_rng(5)
    kinds: dict[str, tuple[float, Callable[[int], np.ndarray]]] = {
        "normal, 30 %": (10.0, lambda n: random.normal(10, 3, n).clip(0)),
        "passing 3 in 10": (0.3, lambda n: (random.random(n) < 0.3).astype(float)),
        "log-normal, sigma 1": (float(np.exp(0.5)), lambda n: random.lognormal(0, 1, n)),
    }
    return [
        Row(
            f"95 % interval of roi holds it, {kind}, {n} outcomes",
            Spread(tuple(held(mean, draw, n) for _ in range(3))),
            "%",
            note=f"{INTERVALS} intervals a round",
        )
        for kind, (mean, draw) in kinds.items()
        for n in (5, 10, 30, 118)
    ]


def held(mean: float, draw: Callable[[int], np.ndarray], n: int) -> float:
    hits = 0
    for _ in range(INTERVALS):
        allocator = allocator_for(1)
        allocator.register_operation("agent_0", "work", 5, 5)
        for benefit in draw(n):
            allocator.record_outcome("agent_0", "work", 5, f"{benefit:.9f}")
        found = allocator.evaluate_effectiveness(7, "roi")
        hits += found.lower <= mean / 5 <= found.upper
    return 100 * hits / INTERVALS


def milliseconds(work: Callable[[], object], calls: int) -> float:
    started = thread_time()
    for _ in range(calls):
        work()
    return (thread_time() - started) / calls * 1e3


def main() -> None:
    facts = machine()
    show(
        f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}",
        {"Cost and benefit": rows()},
    )


if __name__ == "__main__":
    main()

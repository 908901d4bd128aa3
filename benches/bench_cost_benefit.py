"""Splitting a budget among 1,000 operations: the whole call, and HiGHS on the same problem; and learning."""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness import Record, Versus, at_most
from measure import work
from safeguards import CostBenefitAllocator
from yardsticks.highs import solve
from yardsticks.instances import Instance, allocator_for, registered, shares_of

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.benchmark(group="Cost and benefit")

OPERATIONS = 1_000
FLOOR, TOTAL = 0.0002, 100_000
OUTCOMES = 100_000
KINDS = {
    "normal, 30 %": (10.0, lambda draw, n: draw.normal(10, 3, n).clip(0)),
    "passing 3 in 10": (0.3, lambda draw, n: (draw.random(n) < 0.3).astype(float)),
    "log-normal, sigma 1": (float(np.exp(0.5)), lambda draw, n: draw.lognormal(0, 1, n)),
}


@pytest.mark.parametrize("n_agents", [1_000, 100])
def bench_optimize(versus: Versus, n_agents: int) -> None:
    """The objective equals that of HiGHS to 1e-6."""
    instance = problem(n_agents)
    allocator = registered(instance)

    def whole() -> None:
        allocator.optimize_allocation(TOTAL, FLOOR, instance.tolerance)

    def verify(_: int) -> str:
        return compared(instance, allocator)

    name = f"optimize_allocation, 1,000 operations of {n_agents:,} agents"
    highs = work("HiGHS, with its model", lambda: solve(instance), lambda _: "the measure")
    versus(work(name, whole, verify, calls=20), highs, bar=at_most(1, "ms"))


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


def compared(instance: Instance, allocator: CostBenefitAllocator) -> str:
    allocation = allocator.optimize_allocation(TOTAL, FLOOR, instance.tolerance)
    assert sum(allocation.values()) == TOTAL
    ours, theirs = instance.objective(shares_of(allocation, instance)), instance.objective(solve(instance))
    assert abs(ours - theirs) <= 1e-6 * max(1.0, abs(theirs)), f"objective {ours}, that of HiGHS {theirs}"
    return f"objective {ours:.9f}, HiGHS {theirs:.9f}"


def bench_record_outcome(versus: Versus) -> None:
    """A thousand operations in turn."""
    instance = problem(OPERATIONS)
    allocator = registered(instance)
    names = [(f"agent_{agent}", f"task_{number}") for number, agent in enumerate(instance.agents)]

    def call() -> None:
        for agent, operation in names:
            allocator.record_outcome(agent, operation, 15, 20)

    def verify(calls: int) -> str:
        found = allocator.evaluate_effectiveness(7, "roi")
        assert found.outcomes == min(calls * OPERATIONS, OUTCOMES), found.outcomes
        return f"{found.outcomes:,} outcomes"

    versus(work("record_outcome", call, verify, calls=10, each=OPERATIONS), unit="us")


@pytest.mark.parametrize(("metric", "value"), [("roi", 20 / 15), ("regret", 0.0)])
def bench_evaluate(versus: Versus, metric: str, value: float, *, is_quick: bool) -> None:
    outcomes = 1_000 if is_quick else OUTCOMES
    allocator = registered(problem(OPERATIONS))
    names = [(f"agent_{agent}", f"task_{n}") for n, agent in enumerate(problem(OPERATIONS).agents)]
    for number in range(outcomes):
        allocator.record_outcome(*names[number % OPERATIONS], 15, 20)

    def verify(_: int) -> str:
        found = allocator.evaluate_effectiveness(7, metric)
        assert found.outcomes == outcomes, found
        assert isclose(found.value, value, abs_tol=1e-9), found
        return f"{found.value:.3f}"

    name = f"evaluate_effectiveness, {metric}, {OUTCOMES:,} outcomes"
    versus(work(name, lambda: allocator.evaluate_effectiveness(7, metric), verify), unit="ms")


@pytest.mark.parametrize("kind", KINDS)
def bench_interval(benchmark: BenchmarkFixture, record: Record, kind: str, *, is_quick: bool) -> None:
    """How often the 95 % interval of the return holds the true one."""
    counts, intervals = ((5,), 10) if is_quick else ((5, 10, 30, 118), 200)
    random = np.random.default_rng(5)
    rounds = 1 if is_quick else 3
    shares = benchmark.pedantic(
        lambda: {n: [held(kind, random, n, intervals) for _ in range(rounds)] for n in counts}, rounds=1
    )
    for n, percents in shares.items():
        record(f"95 % interval of roi holds it, {kind}, {n} outcomes", percents, "%")


def held(kind: str, random: np.random.Generator, n: int, intervals: int) -> float:
    mean, draw = KINDS[kind]
    hits = 0
    for _ in range(intervals):
        allocator = allocator_for(1)
        allocator.register_operation("agent_0", "work", 5, 5)
        for benefit in draw(random, n):
            allocator.record_outcome("agent_0", "work", 5, f"{benefit:.9f}")
        found = allocator.evaluate_effectiveness(7, "roi")
        hits += found.lower <= mean / 5 <= found.upper
    return 100 * hits / intervals

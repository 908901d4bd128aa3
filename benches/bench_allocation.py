"""Simulated agents: speed on one core, against a vectorised numpy twin and against the machine's memory.

Processor time of all threads, since a simulation has its own, if nothing else is said.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pytest

from harness import Versus, at_least, at_most
from measure import Contender, work
from safeguards.allocation import (
    STRATEGIES,
    AdaptiveStrategy,
    GalstyanStrategy,
    LamLeungStrategy,
    experiment_setting,
    simulate,
)
from yardsticks.twin import adaptive_twin

pytestmark = pytest.mark.benchmark(group="Allocation")

RESOURCES = 3
STATE = AdaptiveStrategy().bytes_per_agent(RESOURCES)


@pytest.mark.parametrize(("n_agents", "steps"), [(1_000, 1_000), (1_000_000, 50)])
def bench_adaptive(versus: Versus, n_agents: int, steps: int, *, is_quick: bool) -> None:
    """The paper's strategy; the native loads equal the twin's, to the last agent."""
    name = f"an agent's step, {n_agents:,} agents"
    if is_quick:
        n_agents, steps = 100, 50
    capacities = experiment_setting(1, total=float(n_agents))[:steps]
    trials = max(1, 20_000_000 // (n_agents * steps)) if not is_quick else 1
    attitudes = np.random.default_rng(0).random((n_agents, RESOURCES))

    def native() -> None:
        simulate(capacities, AdaptiveStrategy(), n_agents=n_agents, trials=trials, threads=1)

    def verify(_: int) -> str:
        some = capacities[: max(5, steps // 10)]
        found = simulate(some, AdaptiveStrategy(), n_agents=n_agents, trials=1, initial_attitudes=attitudes)
        assert (found.loads[0] == adaptive_twin(some, attitudes, 0.01, 4.0)).all(), "the twin's loads differ"
        return f"loads of {len(some)} steps equal the twin's"

    ours = work(name, native, verify, each=trials * steps * n_agents, timer=process_time)
    twin = (twin_contender(capacities, attitudes), at_least(10))
    versus(ours, twin, copying(n_agents * STATE), bar=at_least(100, "million/s"))


def twin_contender(capacities: np.ndarray, attitudes: np.ndarray) -> Contender:
    steps = min(len(capacities), max(5, 1_000_000 // len(attitudes)))

    def call() -> None:
        adaptive_twin(capacities[:steps], attitudes, 0.01, 4.0)

    each = steps * len(attitudes)
    return work("vectorised numpy", call, lambda _: "the measure", each=each, timer=process_time)


def copying(size: int) -> Contender:
    """A step reads and writes the state of every agent once; so does a copy within as large a working set."""
    source, target = np.ones(size // 16), np.zeros(size // 16)
    times = max(1, 2**28 // size)

    def call() -> None:
        for _ in range(times):
            np.copyto(target, source)

    each = max(1, times * size // (2 * STATE))
    how = f"{STATE} bytes of an agent, read and written"
    return work("copying as many bytes", call, lambda _: "copies", each=each, timer=process_time, how=how)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "adaptive"])
def bench_strategy(versus: Versus, name: str) -> None:
    strategy, capacities = STRATEGIES[name](), experiment_setting(1)

    def call() -> None:
        simulate(capacities, strategy, trials=5, threads=1)

    agents = int(simulate(capacities[:1], strategy, trials=1).loads.sum())
    each = 5 * len(capacities) * agents
    versus(
        work(f"an agent's step, {name}", call, kept_agents(strategy), each=each, timer=process_time),
        unit="million/s",
    )


def kept_agents(*strategies: Any) -> Callable[[int], str]:
    """No agent is lost: the loads of every step add up to all of them."""

    def verify(_: int) -> str:
        for strategy in strategies:
            loads = simulate(experiment_setting(1), strategy, trials=1).loads
            assert (loads.sum(axis=2) == 1_000).all(), f"agents were lost by {strategy}"
        return "no agent is lost"

    return verify


def bench_table_1(versus: Versus, *, is_quick: bool) -> None:
    """The paper's evaluation: 3 settings, 3 strategies, 100 trials each, on all cores. Wall time."""
    trials = 2 if is_quick else 100
    settings = {
        n: (AdaptiveStrategy.for_setting(n), LamLeungStrategy(), GalstyanStrategy()) for n in (1, 2, 3)
    }

    def call() -> None:
        for n, strategies in settings.items():
            for strategy in strategies:
                found = simulate(experiment_setting(n), strategy, trials=trials)
                assert (found.loads.sum(axis=2) == 1_000).all(), f"agents were lost in {n} by {strategy}"

    contender = work("Table 1, 100 trials", call, lambda _: "no agent is lost", timer=perf_counter)
    versus(contender, bar=at_most(10, "s"), rounds=3)

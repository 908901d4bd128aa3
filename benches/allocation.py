"""Simulated agents: speed on one core, against a vectorised numpy twin and against the machine's memory.

`python benches/allocation.py [--json PATH]` measures this section alone. Both sides of a ratio are measured
in turn, in one process. Nothing is timed before the native loads equal the twin's, to the last agent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from measure import Spread
from report import Row, machine, show, write
from safeguards.allocation import (
    STRATEGIES,
    AdaptiveStrategy,
    GalstyanStrategy,
    LamLeungStrategy,
    experiment_setting,
    simulate,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "allocation"))

from twin import adaptive_twin

ROUNDS = 7
RESOURCES = 3
STATE = AdaptiveStrategy().bytes_per_agent(RESOURCES)


def rows() -> list[Row]:
    return [*adaptive(1000, 1000), *adaptive(1_000_000, 50), *others(), *table_1()]


def adaptive(n_agents: int, steps: int) -> list[Row]:
    """The paper's strategy on one core: its speed, beside the twin's and the memory's."""
    proof = verify(n_agents, max(5, steps // 10))
    capacities = experiment_setting(1, total=float(n_agents))
    trials = max(1, 20_000_000 // (n_agents * steps))
    twin_steps = max(5, 1_000_000 // n_agents)
    attitudes = np.random.default_rng(0).random((n_agents, RESOURCES))
    native, twin, memory = [], [], []

    def run() -> object:
        return simulate(capacities[:steps], AdaptiveStrategy(), n_agents=n_agents, trials=trials, threads=1)

    run()
    for _ in range(ROUNDS):
        native.append(trials * steps * n_agents / seconds(run) / 1e6)
        elapsed = seconds(lambda: adaptive_twin(capacities[:twin_steps], attitudes, 0.01, 4.0))
        twin.append(twin_steps * n_agents / elapsed / 1e6)
        memory.append(copied_gigabytes_per_second(n_agents * STATE))
    ours, theirs = Spread(tuple(native)), Spread(tuple(twin))
    # A step reads and writes the state of every agent once.
    traffic = ours.scaled(2 * STATE / 1e3)
    size = f"N = {n_agents:,}"
    return [
        Row(f"agent-steps per core, {size}", ours, "million/s", 100, note=proof),
        Row(f"agent-steps / numpy twin, {size}", ours / theirs, "x", 10),
        Row(
            f"memory traffic / copying as many bytes, {size}",
            traffic / Spread(tuple(memory)),
            "x",
            note=f"{STATE} bytes per agent, read and written once a step",
        ),
    ]


def verify(n_agents: int, steps: int) -> str:
    capacities = experiment_setting(1, total=float(n_agents))[:steps]
    attitudes = np.random.default_rng(0).random((n_agents, RESOURCES))
    result = simulate(
        capacities, AdaptiveStrategy(), n_agents=n_agents, trials=1, initial_attitudes=attitudes
    )
    if not (result.loads[0] == adaptive_twin(capacities, attitudes, 0.01, 4.0)).all():
        raise AssertionError(f"the twin's loads differ at N = {n_agents}")
    return f"loads of {steps} steps equal the twin's"


def copied_gigabytes_per_second(size: int) -> float:
    """What the memory gives one core: bytes read and written by a copy within a working set of this size."""
    source, target = np.ones(size // 16), np.zeros(size // 16)
    times = max(1, 2**29 // size)
    return times * size / seconds(lambda: [np.copyto(target, source) for _ in range(times)]) / 1e9


def others() -> list[Row]:
    """Every other strategy on one core, N = 1,000."""

    def speed(name: str) -> float:
        strategy, capacities = STRATEGIES[name](), experiment_setting(1)
        return 5 / seconds(lambda: simulate(capacities, strategy, trials=5, threads=1))

    names = [name for name in STRATEGIES if name != "adaptive"]
    return [
        Row(f"agent-steps per core, {name}", Spread(tuple(speed(name) for _ in range(ROUNDS))), "million/s")
        for name in names
    ]


def table_1() -> list[Row]:
    """The paper's evaluation: 3 settings, 3 strategies, 100 trials each, on all cores."""

    def run() -> None:
        for n in (1, 2, 3):
            for strategy in (AdaptiveStrategy.for_setting(n), LamLeungStrategy(), GalstyanStrategy()):
                result = simulate(experiment_setting(n), strategy, trials=100)
                if not (result.loads.sum(axis=2) == 1000).all():
                    raise AssertionError(f"agents were lost in setting {n} by {strategy}")

    wall, processor = [], []
    for _ in range(5):
        began = process_time()
        wall.append(seconds(run, perf_counter) * 1e3)
        processor.append((process_time() - began) * 1e3)
    return [
        Row("Table 1, 100 trials", Spread(tuple(wall)), "ms", 10_000, "most", note="wall time, all cores"),
        Row("Table 1, 100 trials: processor time", Spread(tuple(processor)), "ms"),
    ]


def seconds(work: Callable[[], object], clock: Callable[[], float] = process_time) -> float:
    """Processor time of all threads, since a simulation has its own; other processes lengthen it little."""
    started = clock()
    work()
    return clock() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    arguments = parser.parse_args()
    facts = machine()
    sections = {"Allocation": rows()}
    show(f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}", sections)
    if arguments.json:
        write(sections, {"machine": facts}, arguments.json)


if __name__ == "__main__":
    main()

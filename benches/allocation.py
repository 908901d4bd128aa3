"""Speed of simulated agents, against a vectorised numpy twin and against the machine's memory.

Run `python benches/allocation.py [--json PATH] [--repeats N]`. Every figure is the median of its repeats,
with the least and the largest beside it; both sides of a ratio are measured in turn, in one run. Regressing
means: less than 100 million agent-steps per second and core, less than ten times the twin, or Table 1 in 10 s
or more.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "allocation"))

from twin import adaptive_twin

from safeguards.allocation import (
    STRATEGIES,
    AdaptiveStrategy,
    GalstyanStrategy,
    LamLeungStrategy,
    experiment_setting,
    simulate,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RESOURCES = 3


class Spread:
    """Repeats of one figure."""

    def __init__(self, values: list[float]) -> None:
        self.values = sorted(values)
        self.median = statistics.median(values)

    def __str__(self) -> str:
        return f"{self.median:10.1f}  ({self.values[0]:.1f} to {self.values[-1]:.1f})"

    def to_dict(self) -> dict[str, float]:
        """The figures alone, for JSON."""
        return {"median": self.median, "least": self.values[0], "largest": self.values[-1]}


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def verify(n_agents: int, steps: int) -> None:
    """The native loads are the twin's, to the last agent: else no figure means anything."""
    capacities = experiment_setting(1, total=float(n_agents))[:steps]
    attitudes = np.random.default_rng(0).random((n_agents, RESOURCES))
    native = simulate(
        capacities,
        AdaptiveStrategy(),
        n_agents=n_agents,
        trials=1,
        initial_attitudes=attitudes,
    )
    assert (native.loads[0] == adaptive_twin(capacities, attitudes, 0.01, 4.0)).all()


def copied_bytes_per_second(size: int) -> float:
    """Bytes read and written by a copy within a working set of this size: what the memory gives one core."""
    source, target = np.ones(size // 16), np.zeros(size // 16)
    rounds = max(1, 2**30 // size)
    elapsed = seconds(lambda: [np.copyto(target, source) for _ in range(rounds)])
    return rounds * size / elapsed


def measure_agents(n_agents: int, steps: int, twin_steps: int, repeats: int) -> dict[str, Any]:
    """One core: millions of agent-steps a second of both, their ratio, and the share of the memory speed."""
    capacities = experiment_setting(1, total=float(n_agents))
    few, strategy = capacities[:twin_steps], AdaptiveStrategy()
    trials = max(1, 20_000_000 // (n_agents * steps))
    attitudes = np.random.default_rng(0).random((n_agents, RESOURCES))
    state = strategy.bytes_per_agent(RESOURCES)
    native, twin, ratio, memory = [], [], [], []

    def run() -> object:
        return simulate(capacities[:steps], strategy, n_agents=n_agents, trials=trials, threads=1)

    run()
    for _ in range(repeats):
        native.append(trials * steps * n_agents / seconds(run) / 1e6)
        elapsed = seconds(lambda: adaptive_twin(few, attitudes, 0.01, 4.0))
        twin.append(twin_steps * n_agents / elapsed / 1e6)
        ratio.append(native[-1] / twin[-1])
        # A step reads and writes the state of every agent once.
        memory.append(100 * native[-1] * 1e6 * 2 * state / copied_bytes_per_second(n_agents * state))
    return {
        "million agent-steps/s per core": Spread(native),
        "  numpy twin": Spread(twin),
        "  times the twin": Spread(ratio),
        "  % of copy bandwidth, same working set": Spread(memory),
    }


def measure_strategies(repeats: int) -> dict[str, Any]:
    """One core, N = 1,000: millions of agent-steps a second of every strategy."""
    capacities = experiment_setting(1)

    def speed(name: str) -> float:
        elapsed = seconds(lambda: simulate(capacities, STRATEGIES[name](), trials=5, threads=1))
        return 5 * 1000 * 1000 / elapsed / 1e6

    return {name: Spread([speed(name) for _ in range(repeats)]) for name in STRATEGIES}


def measure_table_1(repeats: int) -> dict[str, Any]:
    """The whole of the paper's Table 1, 100 trials each, on all cores, in seconds."""

    def table() -> None:
        for n in (1, 2, 3):
            for strategy in (AdaptiveStrategy.for_setting(n), LamLeungStrategy(), GalstyanStrategy()):
                result = simulate(experiment_setting(n), strategy, trials=100)
                assert (result.loads.sum(axis=2) == 1000).all()

    return {"seconds": Spread([seconds(table) for _ in range(repeats)])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    verify(1000, 1000)
    verify(1_000_000, 5)
    state = AdaptiveStrategy().bytes_per_agent(RESOURCES)
    sections = {
        "N = 1,000": measure_agents(1000, 1000, 1000, options.repeats),
        "N = 1,000,000": measure_agents(1_000_000, 50, 5, options.repeats),
        "million agent-steps/s per core, N = 1,000": measure_strategies(options.repeats),
        "Table 1, 3 settings x 3 strategies x 100 trials": measure_table_1(options.repeats),
    }
    print(f"adaptive strategy, Q = {RESOURCES}: {state} bytes per agent; loads equal the twin's")
    for title, rows in sections.items():
        print(f"\n{title}")
        for name, spread in rows.items():
            print(f"  {name:40}{spread}")
    if options.json:
        figures = {
            title: {name.strip(): spread.to_dict() for name, spread in rows.items()}
            for title, rows in sections.items()
        }
        text = json.dumps({"bench": "allocation", "bytes_per_agent": state, "figures": figures}, indent=2)
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()

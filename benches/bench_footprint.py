"""Memory and import time, each measured in fresh processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import Record, at_most

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.benchmark(group="Memory and import")

FOOTPRINT = Path(__file__).parent / "footprint.py"
IMPORT = """
import sys, time
began = time.perf_counter()
import safeguards
seconds = time.perf_counter() - began
print(seconds * 1000, "numpy" in sys.modules)
"""


@pytest.mark.parametrize(
    ("kind", "count", "name", "bar"),
    [
        ("agents", 1_000_000, "idle agent account, of 1,000,000", 512),
        ("windows", 100_000, "window with one charge, of 100,000", 2048),
        ("full_windows", 2_000, "window with 1,000 charges, of 2,000", 2048),
    ],
    ids=["agents", "windows", "full windows"],
)
def bench_memory(
    benchmark: BenchmarkFixture, record: Record, kind: str, count: int, name: str, bar: int, *, is_quick: bool
) -> None:
    """Growth of resident memory, divided by what was built."""
    count = min(count, 100) if is_quick else count
    grown: list[float] = []
    benchmark.pedantic(lambda: grown.append(float(python(str(FOOTPRINT), kind, str(count)))), rounds=3)
    record(name, grown, at_most(bar, "bytes"), "growth of resident memory in a process of its own")


def bench_import(benchmark: BenchmarkFixture, record: Record) -> None:
    """Wall time; numpy is not imported."""
    answers: list[list[str]] = []
    benchmark.pedantic(lambda: answers.append(python("-c", IMPORT).split()), rounds=10)
    assert all(numpy == "False" for _, numpy in answers), "numpy is imported by `import safeguards`"
    record("import safeguards", [float(ms) for ms, _ in answers], at_most(50, "ms"), "numpy not imported")


def python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout

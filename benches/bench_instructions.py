"""Instructions of the hot calls, the interpreter's included: the same on every run of the same build."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from harness import Record
from instructions import CALLS, FEW, count, table

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = [
    pytest.mark.benchmark(group="Instructions"),
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="instructions: valgrind is not installed"),
]


def bench_instructions(benchmark: BenchmarkFixture, record: Record, *, is_quick: bool) -> None:
    """Less those of an empty loop."""
    if is_quick:
        assert benchmark.pedantic(count, (CALLS["try_debit"], FEW)) > 0
        return
    for name, instructions in benchmark.pedantic(table, rounds=1).items():
        record(name, instructions, "instructions")

"""The fixtures in a run of pytest-benchmark: what a bench reports, and that it fails if a result is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHES = Path(__file__).parent
BENCH = """
import pytest
from harness import at_least, at_most
from measure import work

pytestmark = pytest.mark.benchmark(group="Naps")

def nap(name, steps, verify=lambda calls: f"{calls} calls"):
    return work(name, lambda: sum(range(steps)), verify, calls=100)

def test_short_and_long(versus, record):
    versus(nap("short", 100), (nap("long", 10_000), at_least(2)), (nap("same", 100), at_most(1_000)))
    record("bytes of a nap", [1, 2, 3], at_most(1, "bytes"), "a guess")
"""
WRONG = """
    def wrong(calls):
        raise AssertionError("a nap is missing")

    versus(nap("short", 100, wrong))
"""


def run(folder: Path, bench: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text("from harness import is_quick, record, versus\n")
    (folder / "test_naps.py").write_text(bench)
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(folder), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(BENCHES)}
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False, env=environment)


def test_each_contender_is_a_result_of_one_group(tmp_path: Path) -> None:
    done = run(tmp_path, BENCH, f"--benchmark-json={tmp_path / 'out.json'}")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert [(one["group"], one["name"], one["stats"]["rounds"]) for one in results] == [
        ("Naps: short", "short", 7),
        ("Naps: short", "long", 7),
        ("Naps: short", "same", 7),
    ]
    assert len({one["fullname"] for one in results}) == 3
    ours, long, same = (one["extra_info"] for one in results)
    assert {one["verified"] for one in (ours, long, same)} == {"800 calls"}
    assert (ours["unit"], ours["met"]) == ("ns", None)
    assert (long["bar"], long["met"]) == ({"least": 2}, True)
    assert long["ratio_quartiles"][0] <= long["ratio"] <= long["ratio_quartiles"][1]
    assert (same["bar"], same["met"], same["ratio_of"]) == ({"most": 1_000}, True, "ours / other")
    assert [(one["name"], one["value"], one["met"]) for one in ours["figures"]] == [
        ("bytes of a nap", 2.0, False)
    ]


@pytest.mark.parametrize("options", [(), ("--benchmark-disable",)], ids=["measured", "quick"])
def test_a_wrong_result_fails_the_run(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, BENCH.partition("    versus(")[0] + WRONG, *options)
    assert done.returncode == 1
    assert "a nap is missing" in done.stdout


def test_a_quick_run_calls_each_contender_once(tmp_path: Path) -> None:
    counted = BENCH.replace('f"{calls} calls"', "print(calls, 'calls of one')")
    done = run(tmp_path, counted, "--benchmark-disable", "-s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("1 calls of one") == 3


def test_more_rounds_are_measured_if_they_are_asked_for(tmp_path: Path) -> None:
    options = ("--benchmark-min-rounds=9", f"--benchmark-json={tmp_path / 'out.json'}")
    assert run(tmp_path, BENCH, *options).returncode == 0
    results = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert {one["stats"]["rounds"] for one in results} == {9}

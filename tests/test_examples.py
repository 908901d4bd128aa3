"""Every script in examples/ runs and prints what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))

PRINTED = {
    "guarded_call.py": [
        "WHAT IS A BUDGET? 0.0132",
        "AND A POOL? 0.0088",
        "refused: 0.01 asked, 0.0088 there",
        "refused: 0.01 asked, 0.0088 there",
    ],
    "many_agents.py": [
        "399,918 of 500,000 admitted, 199.999999996 spent of 200",
        "exact: True",
    ],
    "tasks.py": [
        "wave 1: 10 of 50 paid for, 0.4 left",
        "wave 2: 4 of 50 paid for, 0.16 left",
    ],
}


def test_every_example_is_tested():
    assert [path.name for path in EXAMPLES if path.name not in PRINTED] == []


@pytest.mark.parametrize("name", PRINTED)
def test_example(name):
    path = EXAMPLES[0].parent / name
    done = subprocess.run(
        [sys.executable, "-W", "error", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == PRINTED[name]

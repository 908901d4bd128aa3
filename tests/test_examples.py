"""Every script in examples/ runs and prints what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))

PRINTED = {
    "choose_endpoint.py": [
        "step   load/limit of    north    south     west",
        "  10                    62/64    44/43    44/43",
        "  20                    72/73    39/38    39/38",
        "  30                    75/74    38/38    37/38",
        "  40                    66/66    42/42    42/42",
        "  50                    50/51    50/49    50/49",
        "  60                    37/36    56/57    57/57",
        "  70                    26/27    62/62    62/62",
        "  80                    25/26    62/62    63/62",
        "  90                    34/34    58/58    58/58",
        " 100                    50/49    51/51    49/51",
        "refused: 0.7% of 15,000 requests",
        "load within 5 of the limit: 100% of the time",
    ],
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

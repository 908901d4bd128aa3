"""`safeguards backtest`, as a process."""

import json
import os
import subprocess
import sys

import pytest

from yardsticks.recorded import DATA

RECORD = DATA / "servegen_m-large_hourly.csv.gz"


def backtest(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "safeguards", "backtest", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "110", "NO_COLOR": "1"},
    )


def test_a_table_and_a_sentence():
    done = backtest("pool-size", RECORD)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "servegen_m-large_hourly.csv.gz: how large pools should have been"
    assert lines[-1] == "predictive leaves 57% less demand unmet than the step rule at the same mean budget"
    shares = {line.split()[0]: line.split()[1] for line in lines if "%" in line and len(line.split()) == 6}
    assert shares == {
        "static": "36.0%",
        "step": "33.0%",
        "predictive": "14.1%",
        "auto": "14.8%",
        "hpa-like": "18.0%",
        "vpa-like": "33.5%",
    }


def test_learned_budgets():
    done = backtest("rl", RECORD)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "servegen_m-large_hourly.csv.gz: what a policy learned from the record would have done"
    policies = [line.split()[0] for line in lines if line.count("%") == 3]
    assert policies == ["nothing", "step", "learned", "gated", "clairvoyant"]
    assert lines[-1].endswith("the gate opens")


def test_json_and_pictures(tmp_path):
    done = backtest("pool-size", RECORD, "--json", "--plot", tmp_path / "new" / "pictures")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert (told["pools"], told["left_out"], told["hours"]) == (57, 105, 336)
    written = [line.removeprefix("wrote ") for line in done.stderr.splitlines()]
    assert written == [
        str(tmp_path / "new" / "pictures" / f"pool-size-{name}.png") for name in ("policies", "pool")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("magic", RECORD),
            "error: KIND must be one of forecast, pool-size, reallocation, pacing, rl, not 'magic'",
        ),
        (("pool-size", "nowhere.csv"), "error: nowhere.csv: No such file or directory"),
        (("pool-size", RECORD, "--plot", RECORD), "error: --plot: "),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, message):
    done = backtest(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


def test_a_file_may_be_named_like_markup(tmp_path):
    path = tmp_path / "[old] record.csv"
    path.write_text("hour,agent,cost_usd\n" + "".join(f"{hour},a,{hour % 3}\n" for hour in range(72)))
    done = backtest("reallocation", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("[old] record.csv: which agents")


def test_every_kind_runs_or_says_that_it_is_not_there():
    from safeguards.cli.backtest import KINDS

    for kind in KINDS:
        if kind != "pool-size":
            done = backtest(kind, "nowhere.csv")
            told = done.stderr.strip()
            missing = f"error: KIND {kind!r} is not part of this version of safeguards yet"
            assert (done.returncode, told in {missing, "error: nowhere.csv: No such file or directory"}) == (
                2,
                True,
            )

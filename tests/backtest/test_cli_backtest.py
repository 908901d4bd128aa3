"""`safeguards backtest`, as a process."""

import json
import os
import random
import subprocess
import sys

import pytest

from safeguards.cli.backtest import KINDS
from yardsticks.recorded import DATA

RECORD = DATA / "servegen_m-large_hourly.csv.gz"


def backtest(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "safeguards", "backtest", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "110", "NO_COLOR": "1", "PYTHONPATH": str(cwd or "")},
    )


def test_a_table_and_a_sentence():
    done = backtest("pool-size", RECORD)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "servegen_m-large_hourly.csv.gz: how large pools should have been"
    assert lines[-1].startswith("best here: predictive; ours (auto) leaves 5% more demand unmet")
    assert lines[-2].startswith("left out: 105 of 162 agents, with ")
    assert "--min-activity 0.3" in lines[-2]
    assert "unmet: share of demand refused, if each policy has the same mean budget" in lines
    shares = {line.split()[0]: line.split()[1] for line in lines if line.count("%") == 4}
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
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "servegen_m-large_hourly.csv.gz: what a policy learned from the record would have done"
    policies = [line.split()[0] for line in lines[:-1] if line.count("%") == 3]
    assert policies == ["static", "step", "learned", "gated", "clairvoyant"]
    assert lines[-2].endswith("is open: learned is in force")


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("pool-size", RECORD, "--horizon", 3),
            "error: --horizon is an option of forecast, not of pool-size",
        ),
        (
            ("forecast", RECORD, "--target", 1),
            "error: --target is an option of pool-size, reallocation, not of",
        ),
        (("pool-size", RECORD, "--target", 0), "error: --target must be from 1e-09 to 1, not 0"),
        (
            ("pacing", RECORD, "--min-activity", 1),
            "error: --min-activity is 1: before and after hour 168 no agent",
        ),
        (("reallocation", RECORD, "--reserve", 2), "error: --reserve must be from 0 to 1, not 2"),
        (
            ("reallocation", RECORD, "--priorities", "a"),
            "error: --priorities: 'a' is not of the form agent=8",
        ),
        (
            ("reallocation", RECORD, "--priorities", "a=8"),
            "error: --priorities: there is no agent 'a' in what",
        ),
        (
            ("pool-size", RECORD, "--policy", "x"),
            "error: --policy: 'x' is not of the form name=package.module",
        ),
        (
            ("pool-size", RECORD, "--policy", "x=no.such:f"),
            "error: --policy: no.such:f cannot be imported: No",
        ),
    ],
)
def test_options_are_named_as_they_are_written(arguments, message):
    done = backtest(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(message), done.stderr
    assert len(done.stderr.splitlines()) == 1


def office(path, hours=28 * 24):
    """Two agents that work from nine to five on weekdays: active in less than a quarter of the hours."""
    draws = random.Random(3)
    rows = [
        f"{hour},{agent},{draws.lognormvariate(0, 0.4):.4f}"
        for agent in ("support", "billing")
        for hour in range(hours)
        if hour // 24 % 7 < 5 and 9 <= hour % 24 < 17
    ]
    path.write_text("hour,agent,cost_usd\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_office_hours_get_an_answer(kind, tmp_path):
    done = backtest(kind, office(tmp_path / "office.csv"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].startswith(("best here: ", "no difference here: "))
    if kind != "reallocation":
        assert any("no agent wants something in 30% of the hours: all 2 agents" in line for line in lines)


def test_a_policy_of_one_s_own_beside_ours(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def twice_the_last_hour(coordinator):\n    return lambda seen: 2 * seen.spent[:, -1] + 1\n"
    )
    path = office(tmp_path / "office.csv", 8 * 24)
    done = backtest("pool-size", path, "--policy", "mine=mine:twice_the_last_hour", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [row["policy"] for row in told["rows"]][-1] == "mine"
    assert 0 < told["rows"][-1]["unmet_share"] < 1


@pytest.mark.parametrize("place", [RECORD, "/proc/nowhere", "/dev/full"])
def test_a_place_for_pictures_that_is_none_is_told_before_the_work(place):
    done = backtest("pool-size", "nowhere.csv", "--plot", place)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"error: --plot: cannot write {place}: ")


def test_a_log_of_calls(tmp_path):
    rows = [f"{3600 * hour + 60 * n},a{n % 2},0.{1 + hour % 7}" for hour in range(24 * 21) for n in range(4)]
    path = tmp_path / "calls.csv"
    path.write_text("\n".join(["Time;Agent;Cost", *rows[::-1]]).replace(",", ";"), encoding="utf-8")
    done = backtest("pool-size", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1] == "a table: time from Time, agent from Agent, cost from Cost"
    told = json.loads(backtest("pool-size", path, "--json").stdout)
    assert (told["record"]["calls"], told["record"]["agents"], told["hours"]) == (len(rows), 2, 24 * 21)


def test_bad_and_unknown_rows_are_told(tmp_path):
    path = tmp_path / "calls.csv"
    rows = [f"{hour},{agent},{1 + hour % 5}" for hour in range(24 * 21) for agent in ("a", "b", "c")]
    path.write_text("\n".join(["hour,agent,cost_usd", *rows, "5,a,many", "6,c,"]), encoding="utf-8")
    done = backtest("pool-size", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "(1 of 1,514 rows are bad: --skip-bad leaves them out)" in done.stderr
    done = backtest("pool-size", path, "--skip-bad")
    assert done.returncode == 2
    assert "1 cost of 1 agent not known, which is not zero" in done.stderr
    done = backtest("pool-size", path, "--skip-bad", "--unknown", "leave-out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 bad row left out: line 1514: cost_usd must be a number" in " ".join(done.stdout.split())
    assert "1 cost not known: empty or NaN, which is not zero" in done.stdout

"""The command line, as a process."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

REFUSED = {"agent budget": 79, "pool budget": 545, "platform budget": 1471, "rate limit": 459}
HEAD = "t_s,agent,cost\n"


def safeguards(*arguments, width=80, python=("-m", "safeguards")):
    return subprocess.run(
        [sys.executable, *python, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": str(width), "NO_COLOR": "1"},
    )


def replayed(*arguments):
    done = safeguards("replay", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture
def write(tmp_path):
    def write(text, name="trace.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_version():
    done = safeguards("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "safeguards 0.1.0\n", "")


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("arguments", [["--help"], ["replay", "-h"], ["demo", "-h"], ["replay"], ["demo"]])
def test_output_fits_the_terminal(arguments, width):
    done = safeguards(*arguments, width=width)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= width


class TestReplay:
    def test_the_hour_of_a_real_service(self):
        report = replayed()
        assert report["requests"] == 19366
        assert report["admitted"] == 16812
        assert report["refused"] == REFUSED
        assert report["admitted"] + sum(REFUSED.values()) == 19366
        assert report["overspend"] == report["over_rate_limit"] == "0.000000000"
        assert report["books_agree"] is True
        assert report["demanded"] == "96.791325"
        assert report["platform"] == {"budget": "83.000000000", "spent": "82.990607500"}
        assert len(report["agents"]) == 100

    def test_sums_agree(self):
        report = replayed()
        total = Decimal(report["platform"]["spent"])
        for accounts in (report["pools"], report["agents"]):
            assert sum(Decimal(account["spent"]) for account in accounts.values()) == total
        assert all(Decimal(a["spent"]) <= Decimal(a["budget"]) for a in report["agents"].values())

    def test_same_trace_same_result(self):
        first, second = replayed(), replayed()
        for report in (first, second):
            del report["seconds"], report["decisions_per_second"]
        assert first == second

    def test_table(self):
        done = safeguards("replay")
        assert (done.returncode, done.stderr) == (0, "")
        lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
        assert "azure_llm_2023_conv: 19,366 requests of 100 agents" in lines
        assert "admitted 16,812 86.8%" in lines
        assert "refused: rate limit 459 2.4% 0.06 in 60 s each" in lines
        assert "pool-2 20.990680000 21.00 100.0%" in lines
        assert any(line.startswith("overspend 0.000000000 ") for line in lines)
        assert any(line.startswith("books agree yes ") for line in lines)
        assert any(line.startswith("decisions per second ") for line in lines)

    def test_the_readme_shows_this_table(self):
        shown = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
        table = shown.partition("It prints, the same on every machine")[2].split("```")[1]
        rows = [" ".join(row.split()) for row in table.splitlines()[1:] if row.strip() != "..."]
        printed = [" ".join(line.split()) for line in safeguards("replay").stdout.splitlines()]
        # The rule is as long as the terminal's columns make it.
        assert len(rows) == 8
        assert [row for row in rows if row not in printed and not row.startswith("──")] == []

    def test_options(self):
        report = replayed("--agents", 7, "--pools", 3, "--agent-budget", "2", "--output-price", "0")
        assert len(report["agents"]) == 7
        assert list(report["pools"]) == ["pool-1", "pool-2", "pool-3"]
        assert report["demanded"] == "55.904675"  # 22,361,870 input tokens at 2.5 per million
        assert report["overspend"] == "0.000000000"

    def test_own_costs(self, write):
        path = write(HEAD + "0,ada,0.30\n0.5,bob,0.50\n1,ada,0.30\n1,ada,0.40\n")
        report = replayed(path, "--agent-budget", "0.70", "--rate-limit", "1")
        assert report["trace"] == "trace"
        assert (report["admitted"], report["refused"]["agent budget"]) == (3, 1)
        assert report["agents"]["ada"] == {"budget": "0.700000000", "spent": "0.600000000"}
        assert report["demanded"] == "1.5"

    def test_own_tokens_with_a_mark_of_the_byte_order(self, write):
        path = write(
            b"\xef\xbb\xbft_s,agent,input_tokens,output_tokens,note\n5,a,1000,200,x\n6,b,1000,100,\n"
        )
        report = replayed(path)
        assert (report["admitted"], report["demanded"]) == (2, "0.008")
        assert report["agents"]["a"]["spent"] == "0.004500000"

    def test_agents_called_like_pools_are_told_apart(self, write):
        rows = "".join(f"{second},{agent},0.50\n" for second in range(3) for agent in ("platform", "pool-1"))
        path = write(HEAD + rows)
        report = replayed(path, "--pools", 1, "--agent-budget", "0.5", "--rate-limit", "9")
        assert (report["admitted"], report["refused"]["agent budget"]) == (2, 4)
        report = replayed(
            path, "--pools", 1, "--pool-budget", "1", "--agent-budget", "9", "--rate-limit", "9"
        )
        assert (report["admitted"], report["refused"]["pool budget"]) == (2, 4)
        options = ("--platform-budget", "0.5", "--agent-budget", "9", "--rate-limit", "9")
        report = replayed(path, "--pools", 1, *options)
        assert (report["admitted"], report["refused"]["platform budget"]) == (1, 5)

    def test_costs_with_more_than_nine_places_are_charged_up(self, write):
        report = replayed(write(HEAD + "0,ada,0.0000000001\n"))
        assert report["agents"]["ada"]["spent"] == "0.000000001"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (HEAD + "0,a,1\n1,a,NaN\n", "1 cost of 1 agent not known, which is not zero: --unknown zero"),
            (HEAD + "0,a,-1\n", "line 2: cost must be a number from 0 to 10^15, as 0.25, not '-1'"),
            (HEAD + "0,a,1e99\n", "line 2: cost must be a number from 0 to 10^15, as 0.25, not '1e99'"),
            (HEAD + "0,a\n", "line 2: there are 2 cells where 3 are expected"),
            (HEAD + "0,a,1000000000000001\n", "line 2: cost must be a number from 0 to 10^15"),
            (HEAD + "0, ,1\n", "line 2: agent is empty"),
            (
                "t_s,cost\n0,1\n",
                "line 1: no column is the agent: name it with --agent (agent=); there are t_s, cost",
            ),
            (
                "t_s,agent\n0,1\n",
                "line 1: no column is the cost: name it with --cost (cost=); there are t_s, agent",
            ),
            (
                "t_s,agent,input_tokens,output_tokens\n0,a,1,0.5\n",
                "line 2: output_tokens must be a whole number",
            ),
            (HEAD, "there are no rows below the head"),
            ("", "the file is empty"),
            (b"\xff\xfe\x00", "not text in UTF-8"),
        ],
    )
    def test_wrong_csv(self, write, text, message):
        path = write(text)
        done = safeguards("replay", path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: {path}")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1

    def test_wrong_archive(self, write):
        done = safeguards("replay", write("no archive", "trace.npz"))
        assert (done.returncode, done.stdout) == (2, "")
        assert "trace.npz: not an archive of numpy arrays" in done.stderr

    def test_missing_file(self, tmp_path):
        done = safeguards("replay", tmp_path / "none.csv")
        assert (done.returncode, done.stderr) == (
            2,
            f"error: {tmp_path / 'none.csv'}: No such file or directory\n",
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--rate-limit", "x"], "'x' is not an amount: write decimal digits, as 12.50"),
            (["--pool-budget", "1" + "0" * 16], "is more than an amount can be"),
            (["--pools", "0"], "--pools"),
            (["--rate-window", "nan"], "--rate-window"),
            (["--rate-limit", "20000000000"], "max_budget of a window must not be more than 10000000000"),
            (["--colour"], "--colour"),
        ],
    )
    def test_wrong_options(self, arguments, message):
        done = safeguards("replay", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_unknown_command():
    done = safeguards("rerun")
    assert done.returncode == 2
    assert "rerun" in done.stderr


def test_demo():
    done = safeguards("demo", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    scenes = json.loads(done.stdout)["scenes"]
    assert [scene["concurrency"] for scene in scenes] == ["threads", "threads", "asyncio", "asyncio"]
    hand_written, ours = scenes[0::2], scenes[1::2]
    for scene in ours:
        assert (scene["answered"], scene["refused"]) == (10, 40)
        assert (scene["bill"], scene["overspent"]) == ("1.00", "0.00")
    # Threads may come late on a loaded machine; tasks cannot.
    assert all(Decimal(scene["overspent"]) > 0 for scene in hand_written)
    assert hand_written[1]["bill"] == "5.00"


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; import safeguards.cli as c; c.main()"
    done = safeguards(python=("-c", code))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"needs {missing!r}" in done.stderr
    assert "pip install 'budget-safeguards[cli]'" in done.stderr


def test_numpy_and_the_extra_are_imported_when_used():
    code = (
        "import sys, safeguards, safeguards.testing, safeguards.cli\n"
        "print([m for m in ('numpy', 'typer', 'rich') if m in sys.modules])"
    )
    assert safeguards(python=("-c", code)).stdout == "[]\n"

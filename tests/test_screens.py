"""What commands print: no figure is cut on any screen, and what cannot be written is told in a line."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from safeguards.cli import backtest
from safeguards.cli._screen import Cell, Column, Screen
from safeguards.records import read

FIGURE = re.compile(r"[0-9][0-9,.]*%?")
WIDTHS = (40, 60, 80, 120)
HOURS = 24 * 28


def command(*arguments):
    return [sys.executable, "-m", "safeguards", *map(str, arguments)]


def environment(width):
    return {**os.environ, "COLUMNS": str(width), "NO_COLOR": "1"}


def piped(*arguments, width):
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, check=False, env=environment(width)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_a_terminal(*arguments, width):
    """What a terminal of this width gets, without what moves its cursor."""
    ours, theirs = pty.openpty()
    env = environment(width) | {"TERM": "xterm", "LINES": "24"}
    with subprocess.Popen(command(*arguments), stdout=theirs, stderr=subprocess.DEVNULL, env=env) as process:
        os.close(theirs)
        data = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux: nobody writes any more
                break
            if not piece:
                break
            data += piece
    os.close(ours)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode())


def figures(text):
    """Every figure but the time that it took."""
    return set(FIGURE.findall(re.split(r"decisions per", text)[0]))


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "demand.csv"
    rows = [f"{h},agent-{a},{(h * (a + 3)) % 17 + h % 24}.{a}25" for h in range(HOURS) for a in range(4)]
    path.write_text("\n".join(["hour,agent,cost_usd", *rows]), encoding="utf-8")
    return path


@pytest.mark.parametrize("look", [piped, on_a_terminal])
@pytest.mark.parametrize("name", ["replay", "demo"])
def test_a_narrow_screen_shows_every_figure(name, look):
    wide = figures(piped(name, width=200))
    assert len(wide) > 5
    for width in WIDTHS:
        assert wide <= figures(look(name, width=width)), width


@pytest.mark.parametrize(
    "arguments",
    [["simulate", "--trials", 2], ["simulate", "--setting", 2, "--trials", 2], ["paper", "--trials", 1]],
)
def test_so_do_simulations(arguments):
    wide = figures(piped(*arguments, width=200))
    assert len(wide) > 10
    assert all(wide <= figures(piped(*arguments, width=width)) for width in (40, 60))


@pytest.mark.parametrize("kind", ["forecast", "pool-size", "reallocation", "pacing", "rl"])
def test_so_does_every_backtest(kind, record, monkeypatch, capsys):
    """Run once: the screen is what changes."""
    result = backtest._engine(kind)(read(record).demand())
    shown = {}
    for width in (200, *WIDTHS):
        monkeypatch.setenv("COLUMNS", str(width))
        backtest._print(kind, record, read(record).notes(), result)
        shown[width] = figures(capsys.readouterr().out)
    assert len(shown[200]) > 5
    assert all(shown[200] <= shown[width] for width in WIDTHS)


@pytest.mark.parametrize("arguments", [["replay"], ["backtest"], ["demo"], ["simulate"], ["paper"], []])
def test_helps_are_for_people(arguments):
    text = piped(*arguments, "--help", width=80)
    assert "default: (" not in text
    assert "<=" not in text
    assert max(map(len, text.splitlines())) <= 80


cells = st.text("0123456789.,% abcXYZ-", max_size=18).map(str.strip)


class TestScreen:
    @given(st.data(), st.integers(1, 140), st.integers(1, 6))
    def test_no_cell_is_cut(self, data, width, columns):
        heads = [Column(f"{data.draw(cells)}", is_figure=number > 0) for number in range(columns)]
        rows = data.draw(
            st.lists(st.lists(cells, min_size=columns, max_size=columns), min_size=1, max_size=5)
        )
        screen = Screen()
        screen.console = Console(width=width, color_system=None)
        with screen.console.capture() as capture:
            screen.table(heads, rows)
        printed = capture.get()
        for row in rows:
            for number, cell in enumerate(row):
                if number > 0:
                    assert cell in printed  # figures are not even folded
                assert all(word in printed for word in cell.split())

    def test_it_folds_before_it_stacks(self):
        heads = [Column("policy"), Column("mean size", is_figure=True), Column("unmet share", is_figure=True)]
        rows = [["a long name", "1,234.5", Cell("12.5%", "bold")]]
        shown = {}
        for width in (80, 26, 10):
            screen = Screen()
            screen.console = Console(width=width, color_system=None)
            with screen.console.capture() as capture:
                screen.table(heads, rows)
            shown[width] = capture.get().splitlines()
        assert shown[80] == [
            "policy       mean size  unmet share",
            "───────────────────────────────────",
            "a long name    1,234.5        12.5%",
            "",
        ]
        assert shown[26][0].split() == ["policy", "mean", "unmet"]
        assert max(map(len, shown[26])) <= 26
        assert shown[10] == ["a long name", "  mean size: 1,234.5", "  unmet share: 12.5%", ""]


class TestWriting:
    @pytest.mark.parametrize("arguments", [["replay"], ["replay", "--json"], ["--help"], ["demo", "--json"]])
    def test_a_full_disk_is_an_error_of_its_own(self, arguments):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert done.returncode == 3
        assert done.stderr == "error: the output cannot be written: No space left on device\n"

    @pytest.mark.parametrize("arguments", [["replay"], ["replay", "--json"], ["demo"], ["--help"]])
    def test_nobody_reads_on(self, arguments):
        with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.close()
            told = process.stderr.read()
            process.wait(60)
        assert told == b""
        assert process.returncode == 141


def test_replay_judges_by_what_it_is_told(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(
        "t_s,agent,cost\n1772452800,ada,900\n1772452803,bob,1234.56\n1772452801,ada,50\n", encoding="utf-8"
    )
    text = " ".join(piped("replay", path, width=80).split())
    advice = "--agent-budget 1300 --pool-budget 2200 --platform-budget 2200"
    assert f"not given, so what this trace needs: {advice}" in text
    assert "admitted 3 100.0%" in text
    assert "rate limit 0 0.0% none" in text
    advised = " ".join(piped("replay", path, *advice.split(), width=80).split())
    assert "admitted 3 100.0%" in advised
    assert "not given" not in advised
    lower = " ".join(piped("replay", path, "--agent-budget", "949.99", width=80).split())
    assert "refused: agent budget 2 66.7% 949.99 each" in lower

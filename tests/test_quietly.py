"""`make run` says what it does in a few lines, and all of it only if it fails."""

import subprocess
from pathlib import Path

QUIETLY = Path(__file__).parent / "quietly.sh"


def quietly(*arguments):
    return subprocess.run([QUIETLY, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_what_goes_well_is_told_in_a_line():
    done = quietly("[1/3] building", "sh", "-c", "for n in 1 2 3; do echo word $n; done; echo bad >&2")
    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "[1/3] building"
    assert lines[-1].startswith("[1/3] building: done in ")
    assert len(lines) == 2


def test_what_fails_tells_all():
    done = quietly("building", "sh", "-c", "echo no such crate; exit 7")
    assert (done.returncode, done.stdout) == (7, "")
    assert "no such crate\nbuilding: failed after " in done.stderr

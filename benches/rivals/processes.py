"""Run the adapters, each in a process of the rivals' own environment.

A library that does not install or fails is reported with the reason; nothing is left out in silence.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rivals import ADAPTERS, PYTHON_312

BENCHES = Path(__file__).parents[1]
ROOT = BENCHES.parent
TIMEOUT_SECONDS = 300


class NotRunError(Exception):
    """A library could not be run, and why."""


def interpreter(adapter: str) -> Path:
    newer = adapter in PYTHON_312
    python = ROOT / (".venv-rivals-312" if newer else ".venv-rivals") / "bin" / "python"
    if not python.exists():
        needs = "it asks for Python 3.12 or newer, and none was found" if newer else "run `make bench-rivals`"
        raise NotRunError(f"not installed: {needs}")
    return python


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


class Worker:
    """One adapter's process; `operations` take turns with contenders of this process.

    Raises:
        NotRunError: the library failed before it could be measured.
    """

    def __init__(self, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self._process = process
        self._errors = errors
        about = self._answer()
        self.name, self.version = about["name"], about["version"]
        self.operations = [
            Operation(self, number, **operation) for number, operation in enumerate(about["operations"])
        ]

    def ask(self, what: str, number: int) -> Any:
        assert self._process.stdin is not None
        print(what, number, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        self._errors.seek(0)
        raise NotRunError(last_line(self._errors.read()))


@contextmanager
def working(adapter: str) -> Iterator[Worker]:
    """Starts the process of an adapter; it ends with its input.

    Raises:
        NotRunError: the library is not installed, or failed before it could be measured.
    """
    command = [interpreter(adapter), "-m", "rivals.speed", adapter]
    with (
        tempfile.TemporaryDirectory() as scratch,  # some of them write files where they stand
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command,
            cwd=scratch,
            env={**os.environ, "PYTHONPATH": str(BENCHES)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        yield Worker(process, errors)


@dataclass
class Operation:
    """A contender in the process of its library."""

    worker: Worker
    number: int
    name: str
    how: str

    def once(self) -> None:
        self.worker.ask("once", self.number)

    def round(self) -> float:
        return float(self.worker.ask("round", self.number))

    def prove(self) -> str:
        return str(self.worker.ask("prove", self.number))


def overspend() -> dict[str, Any]:
    """Outcomes of the experiment by adapter; `{"error": reason}` stands for one that could not be run."""
    answers: dict[str, Any] = {}
    for adapter in ADAPTERS:
        print(f"  {adapter}", file=sys.stderr)
        try:
            answers[adapter] = _overspend(adapter)
        except NotRunError as reason:
            answers[adapter] = {"error": str(reason)}
    return answers


def _overspend(adapter: str) -> Any:
    command = [interpreter(adapter), "-m", "rivals.overspend", adapter]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            done = subprocess.run(
                command,
                cwd=scratch,
                env={**os.environ, "PYTHONPATH": str(BENCHES)},
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise NotRunError(f"did not finish within {TIMEOUT_SECONDS} s") from late
    if done.returncode != 0:
        raise NotRunError(last_line(done.stderr))
    return json.loads(done.stdout.splitlines()[-1])

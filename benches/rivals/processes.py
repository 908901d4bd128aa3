"""Run the adapters, each in a process of the rivals' own environment.

A library that does not install or fails is reported with the reason; nothing is left out in silence.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from rivals import ADAPTERS, PYTHON_312

BENCHES = Path(__file__).parents[1]
ROOT = BENCHES.parent
TIMEOUT_SECONDS = 300


def run_all(experiment: Literal["speed", "overspend"]) -> dict[str, Any]:
    """Answers by adapter; `{"error": reason}` stands for one that could not be run."""
    answers = {}
    for adapter in ADAPTERS:
        print(f"  {experiment}: {adapter}", file=sys.stderr)
        answers[adapter] = run(experiment, adapter)
    return answers


def run(experiment: str, adapter: str) -> Any:
    newer = adapter in PYTHON_312
    python = ROOT / (".venv-rivals-312" if newer else ".venv-rivals") / "bin" / "python"
    if not python.exists():
        needs = "it asks for Python 3.12 or newer, and none was found" if newer else "run `make bench-rivals`"
        return {"error": f"not installed: {needs}"}
    environment = {**os.environ, "PYTHONPATH": str(BENCHES)}
    with tempfile.TemporaryDirectory() as scratch:  # some of them write files where they stand
        try:
            process = subprocess.run(
                [python, "-m", f"rivals.{experiment}", adapter],
                cwd=scratch,
                env=environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"did not finish within {TIMEOUT_SECONDS} s"}
    if process.returncode != 0:
        return {"error": process.stderr.strip().splitlines()[-1]}
    return json.loads(process.stdout.splitlines()[-1])

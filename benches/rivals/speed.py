"""`python -m rivals.speed ADAPTER`: one library in a process of its own, which takes its turn when told.

It prints a line of JSON that says what there is to measure. Then each line that it reads, such as `round 2`,
asks operation number 2 for a `round`, to make a call `once`, or to `prove` its result. A line of
JSON answers.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import sys
from typing import Any, TextIO

from measure import Contender


def version(adapter: Any) -> str:
    return getattr(adapter, "VERSION", None) or importlib.metadata.version(adapter.NAME)


def described(adapter: Any, contenders: list[Contender]) -> dict[str, Any]:
    return {
        "name": adapter.NAME,
        "version": version(adapter),
        "python": platform.python_version(),
        "operations": [{"name": one.name, "how": one.how or one.statement} for one in contenders],
    }


def main(name: str, answers: TextIO) -> None:
    adapter = importlib.import_module(f"rivals.{name}")
    contenders = adapter.speed() if hasattr(adapter, "speed") else []
    print(json.dumps(described(adapter, contenders)), file=answers, flush=True)
    for line in sys.stdin:
        what, number = line.split()
        print(json.dumps(getattr(contenders[int(number)], what)()), file=answers, flush=True)


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as kept:
        os.dup2(2, 1)  # what a library prints must not be taken for an answer
        main(sys.argv[1], kept)

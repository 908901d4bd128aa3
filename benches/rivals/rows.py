"""The rivals' speeds as lines of the table."""

from __future__ import annotations

from typing import Any

from measure import Spread
from report import Row


def rows(answers: dict[str, Any], ours: dict[str, Spread]) -> list[Row]:
    """One line per operation, and the one bar that names a rival.

    Args:
        answers: what `run_all("speed")` returned.
        ours: nanoseconds of our operations by name, of the same run.
    """
    lines = []
    for answer in answers.values():
        for operation in answer.get("operations", []):
            note = "; ".join(filter(None, (operation["verified"], operation["how"])))
            what = f"{answer['name']} {answer['version']}: {operation['name']}"
            lines.append(Row(what, _spread(operation), "ns", note=note))
    window = ours.get("try_acquire, 0 events")
    throttled = answers["throttled_py"].get("operations", [])
    sliding = [operation for operation in throttled if operation["name"] == "amount, sliding window"]
    if window and sliding:
        ratio = _spread(sliding[0]) / window
        lines.append(Row("throttled-py sliding window / try_acquire", ratio, "x", 25, note="two processes"))
    return lines


def controls(answers: dict[str, Any]) -> list[Row]:
    """The hand-written ledger in every rival's process: a wide spread says that they must not be compared."""
    medians = [a["control"]["ns"]["median"] for a in answers.values() if a.get("control")]
    note = "the hand-written debit in each of the rivals' processes"
    return [Row("control", Spread(tuple(medians)), "ns", note=note)] if medians else []


def missing(answers: dict[str, Any]) -> list[str]:
    """What could not be measured, and why."""
    absent = [f"{name}: {answer['error']}" for name, answer in answers.items() if "error" in answer]
    silent = [
        f"{answer['name']}: no operation of its own that can be timed"
        for answer in answers.values()
        if "error" not in answer and not answer["operations"]
    ]
    return absent + silent


def _spread(operation: dict[str, Any]) -> Spread:
    return Spread(tuple(operation["ns"]["samples"]))

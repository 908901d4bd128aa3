"""`make picture`: run the overspend experiment, print its table and draw `docs/overspend.svg`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import ours
from rivals.overspend import outcome
from rivals.processes import ROOT
from rivals.processes import overspend as run_all
from rivals.speed import version
from rivals.usage import BUDGET, CALLS, PRICE

RESULTS = Path(__file__).parent / "overspend.json"
PICTURE = ROOT / "docs" / "overspend.svg"


def outcomes() -> tuple[list[dict[str, Any]], list[str]]:
    """What every guard let through, ours last, and what could not be run."""
    answers = run_all()
    absent = [f"{name}: {answer['error']}" for name, answer in answers.items() if "error" in answer]
    absent += [
        f"{name}: limits rates and keeps no budget" for name, answer in answers.items() if answer == []
    ]
    ran = [one for answer in answers.values() if "error" not in answer for one in answer]
    by_hand = [outcome("hand-written", "", usage) for usage in ours.handwritten()]
    own = [outcome("safeguards", version(ours), usage) for usage in ours.overspend()]
    assert all(one["bill"] == str(BUDGET) for one in own), f"ours did not hold: {own}"
    return [*ran, *by_hand, *own], absent


def show(results: list[dict[str, Any]], absent: list[str]) -> None:
    table = Table(
        title=f"{CALLS} calls of {PRICE} at once against a budget of {BUDGET}", title_justify="left"
    )
    columns = ("guard", "used as", "calls", "billed", "its books say", "billed one by one")
    for column in columns:
        table.add_column(column, justify="left" if column in columns[:3] else "right")
    for one in results:
        name = f"{one['library']} {one['version']}".strip()
        style = "green" if one["bill"] == str(BUDGET) else "red"
        bill = f"[{style}]{one['bill']}"
        table.add_row(name, one["how"], one["concurrency"], bill, one["books"], one["bill_one_by_one"])
    Console(width=150).print(table)
    print(*(f"not run: {reason}" for reason in absent), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path, default=PICTURE, help=".svg or .png")
    parser.add_argument("--redraw", action="store_true", help="from the last run")
    arguments = parser.parse_args()
    if arguments.redraw:
        document = json.loads(RESULTS.read_text())
    else:
        results, absent = outcomes()
        document = {"results": results, "not_run": absent}
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    show(document["results"], document["not_run"])

    from overspend_picture import draw

    draw(document["results"], arguments.picture)


if __name__ == "__main__":
    main()

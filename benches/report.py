"""One table and one JSON file per run: what was measured, its bar, and by how much it misses."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from measure import Spread

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        what: the operation, and what it is compared with.
        figure: a sample per round.
        unit: "x" for a ratio, else "ns", "million/s", "bytes", "ms".
        bar: what the median has to reach, or None if it is only reported.
        bound: whether the bar is the least or the most allowed.
        note: how it was measured, verified, or why it is missing.
    """

    what: str
    figure: Spread
    unit: str
    bar: float | None = None
    bound: Literal["least", "most"] = "least"
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.bar is None:
            return ""
        share = self.figure.median / self.bar - 1
        passed = share >= 0 if self.bound == "least" else share <= 0
        return "pass" if passed else f"misses by {abs(share):.0%}"

    def to_dict(self) -> dict[str, Any]:
        bar = None if self.bar is None else {self.bound: self.bar}
        return {
            "what": self.what,
            "unit": self.unit,
            "figure": self.figure.to_dict(),
            "bar": bar,
            "verdict": self.verdict,
            "note": self.note,
        }


def machine() -> dict[str, Any]:
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def show(title: str, sections: dict[str, list[Row]]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in ("what", "median", "spread", "bar", "verdict", "note"):
        table.add_column(column, justify="right" if column in {"median", "spread", "bar"} else "left")
    for row, last in _with_last(sections):
        bar = "" if row.bar is None else f"{'>=' if row.bound == 'least' else '<='} {row.bar:g}"
        style = "" if not row.verdict else "green" if row.verdict == "pass" else "red"
        spread = f"{_number(row.figure.low)} .. {_number(row.figure.high)}"
        median = f"{_number(row.figure.median)} {row.unit}"
        verdict = f"[{style}]{row.verdict}" if style else ""
        table.add_row(row.what, median, spread, bar, verdict, row.note, end_section=last)
    Console(width=None if os.isatty(1) else 170).print(table)


def write(sections: dict[str, list[Row]], extra: dict[str, Any], path: Path) -> None:
    rows = {name: [row.to_dict() for row in rows] for name, rows in sections.items()}
    document = {**extra, "sections": rows}
    path.write_text(json.dumps(document, indent=1) + "\n")


def _with_last(sections: dict[str, list[Row]]) -> Iterator[tuple[Row, bool]]:
    return ((row, row is rows[-1]) for rows in sections.values() for row in rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

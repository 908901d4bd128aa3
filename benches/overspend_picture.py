"""The overspend picture: what was billed through each guard, against the budget it was to hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rivals.usage import BUDGET, CALLS, PRICE

# Mid-tones, legible on a white page and on a dark one; the background stays transparent.
TEXT, FAINT = "#768390", "#8b949e"
WITHIN, BEYOND, OURS = "#8b949e", "#e5534b", "#2ea043"
LIMIT, ALL = float(BUDGET), float(CALLS * PRICE)
ROW_INCHES, HEAD_INCHES, FOOT_INCHES = 0.46, 1.25, 0.5
LABELS = -4.15
"""Where the labels start, on the axis of money."""


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Draw one bar per guard: ours, then those that hold, then those that overspend."""
    rows = sorted(_ours_once(results), key=lambda one: (one["library"] != "safeguards", float(one["bill"])))
    height = ROW_INCHES * len(rows) + HEAD_INCHES + FOOT_INCHES
    with mpl.rc_context({"font.family": "DejaVu Sans", "svg.hashsalt": "overspend"}):
        figure = Figure(figsize=(10, height))
        axes = figure.add_axes((0.02, FOOT_INCHES / height, 0.96, ROW_INCHES * len(rows) / height))
        axes.set_xlim(LABELS, ALL * 1.16)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_axis_off()
        for row, one in enumerate(rows):
            _guard(axes, row, one)
        axes.plot(
            [LIMIT, LIMIT], [-0.62, len(rows) - 0.5], color=TEXT, linewidth=1.2, dashes=(4, 3), clip_on=False
        )
        axes.text(LIMIT, -0.72, f"budget {BUDGET}", ha="center", color=TEXT, fontsize=9)
        _words(figure, rows, height)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, transparent=True, dpi=110, metadata=metadata)


def _ours_once(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ours in one row, if threads and tasks were billed the same."""
    own = [one for one in results if one["library"] == "safeguards"]
    if len({(one["bill"], one["books"]) for one in own}) != 1:
        return results
    concurrency = " and ".join(one["concurrency"] for one in own)
    joint = own[0] | {"how": "with coordinator.reserve(): call, settle", "concurrency": concurrency}
    return [one for one in results if one["library"] != "safeguards"] + [joint]


def _guard(axes: Axes, row: int, one: dict[str, Any]) -> None:
    bill, ours = float(one["bill"]), one["library"] == "safeguards"
    color = OURS if ours else WITHIN
    axes.barh(row, min(bill, LIMIT), height=0.52, color=color)
    if bill > LIMIT:
        axes.barh(row, bill - LIMIT, left=LIMIT, height=0.52, color=BEYOND)
        if one["books"] != one["bill"]:
            books = f"its own books say {one['books']}"
            axes.text(bill - 0.08, row, books, ha="right", va="center", color="white", fontsize=8)
    mark = BEYOND if bill > LIMIT else color
    axes.text(bill + 0.08, row, one["bill"], va="center", color=mark, fontsize=11, weight="bold")
    name = f"{one['library']} {one['version']}".strip()
    axes.text(
        LABELS, row - 0.15, name, va="center", color=color if ours else TEXT, fontsize=10.5, weight="bold"
    )
    how = f"{one['how']} · {one['concurrency']}"
    axes.text(LABELS, row + 0.23, how, va="center", color=FAINT, fontsize=7.5)


def _words(figure: Figure, rows: list[dict[str, Any]], height: float) -> None:
    title = f"{CALLS} concurrent calls of {PRICE} against a budget of {BUDGET}"
    figure.text(0.02, 1 - 0.38 / height, title, color=TEXT, fontsize=15, weight="bold")
    below = "What the model billed. Each library is used as its documentation tells; overspending in red."
    figure.text(0.02, 1 - 0.66 / height, below, color=FAINT, fontsize=9)
    most = max(one["bill_one_by_one"] for one in rows)
    control = (
        f"One after the other, until the first refusal, the same calls cost at most {most} in every row."
    )
    figure.text(0.02, 0.18 / height, control, color=FAINT, fontsize=8)

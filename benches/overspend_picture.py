"""The overspend picture: what was billed by each guard, against the budget it was to hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rivals.usage import BUDGET, CALLS, PRICE

# Mid-tones: they stand on a white page and on a dark one, and the background stays transparent.
TEXT = "#7d8590"
OVER = "#e5534b"
HELD = "#57ab5a"
OURS = "#2ea043"
LIMIT = float(BUDGET)
ALL = float(CALLS * PRICE)


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Draw horizontal bars, worst first, ours last."""
    ordered = sorted(results, key=lambda one: (one["library"] == "safeguards", -float(one["bill"])))
    mpl.rcParams.update({"font.family": "DejaVu Sans", "svg.fonttype": "none", "svg.hashsalt": "overspend"})
    figure = Figure(figsize=(10, 0.62 * len(ordered) + 1.5))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.42, right=0.93, top=1 - 0.95 / figure.get_figheight(), bottom=0.02)
    for row, one in enumerate(ordered):
        _bar(axes, len(ordered) - 1 - row, one)
    _limit(axes, len(ordered))
    title = f"{CALLS} calls of {PRICE} at once, budget {BUDGET}: what was billed"
    figure.text(0.02, 1 - 0.36 / figure.get_figheight(), title, color=TEXT, fontsize=14, weight="bold")
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, transparent=True, dpi=110, metadata=metadata)


def _bar(axes: Axes, height: int, one: dict[str, Any]) -> None:
    bill, ours = float(one["bill"]), one["library"] == "safeguards"
    held = bill <= LIMIT
    color = OURS if ours else HELD if held else OVER
    axes.barh(height, bill, height=0.56, color=color, alpha=1 if ours else 0.85)
    if not held:
        axes.barh(height, LIMIT, height=0.56, color=color, alpha=0.35)
    times = "" if held else f"   {bill / LIMIT:g}x"
    axes.text(
        bill + 0.06, height, f"{one['bill']}{times}", va="center", color=color, fontsize=11, weight="bold"
    )
    name = f"{one['library']} {one['version']}".strip()
    weight = "bold" if ours else "normal"
    axes.text(-0.08, height + 0.14, name, ha="right", va="center", color=color, fontsize=11, weight=weight)
    how = f"{one['how']} · {one['concurrency']}"
    axes.text(-0.08, height - 0.2, how, ha="right", va="center", color=TEXT, fontsize=7.5)


def _limit(axes: Axes, rows: int) -> None:
    axes.axvline(LIMIT, color=TEXT, linewidth=1.4, linestyle=(0, (4, 3)))
    axes.text(LIMIT, rows - 0.42, f"budget {BUDGET}", ha="center", va="bottom", color=TEXT, fontsize=9)
    axes.set_xlim(0, ALL * 1.08)
    axes.set_ylim(-0.6, rows - 0.2)
    axes.set_axis_off()

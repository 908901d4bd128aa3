"""Draws the pictures of docs/reallocation.md: `python benches/reallocation_pictures.py`."""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.figure import Figure

from safeguards.allocation.plots import svg
from safeguards.backtest._reallocation_plots import plot_hours, plot_policies
from safeguards.backtest.reallocation import backtest_reallocation

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from backtest.recorded import m_large, normalised

ROOT = Path(__file__).parents[1]
# A mid-tone, legible on a white page and on a dark one.
TEXT = "#768390"


def write(figure: Figure, name: str) -> None:
    text = svg(figure, prefix=name).replace("currentColor", TEXT)
    (ROOT / "docs" / f"{name}.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    result = backtest_reallocation(normalised(m_large(), 336))
    write(plot_policies(result), "reallocation")
    write(plot_hours(result), "reallocation_hours")

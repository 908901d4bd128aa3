"""Draws the pictures of docs/pool_sizing.md: `python benches/pool_size_pictures.py`."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from safeguards.allocation.plots import svg
from safeguards.backtest import Demand
from safeguards.backtest._pool_size_plots import plot_policies, plot_pool
from safeguards.backtest.pool_size import backtest_pool_size

ROOT = Path(__file__).parents[1]
# A mid-tone, legible on a white page and on a dark one.
TEXT = "#768390"


def write(figure: Figure, name: str) -> None:
    text = svg(figure, prefix=name).replace("currentColor", TEXT)
    (ROOT / "docs" / f"{name}.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    result = backtest_pool_size(Demand.read_csv(ROOT / "examples/data/servegen_m-large_hourly.csv.gz"))
    write(plot_policies(result), "pool_sizing")
    write(plot_pool(result, "client-48"), "pool_sizing_week")

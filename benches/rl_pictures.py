"""Draws the pictures of docs/reinforcement_learning.md: `python benches/rl_pictures.py`."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from safeguards.allocation.plots import svg
from safeguards.backtest import Demand
from safeguards.backtest._rl_plots import plot_agent, plot_policies, plot_policy
from safeguards.backtest.rl import backtest_rl

ROOT = Path(__file__).parents[1]
# A mid-tone, legible on a white page and on a dark one.
TEXT = "#768390"


def write(figure: Figure, name: str) -> None:
    text = svg(figure, prefix=name).replace("currentColor", TEXT)
    (ROOT / "docs" / f"{name}.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    result = backtest_rl(Demand.read_csv(ROOT / "examples/data/servegen_m-large_hourly.csv.gz"))
    write(plot_policies(result), "reinforcement_learning")
    write(plot_agent(result), "reinforcement_learning_week")
    write(plot_policy(result.learned), "reinforcement_learning_policy")

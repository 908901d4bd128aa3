"""Draws the pictures of docs/reallocation.md: `python benches/reallocation_pictures.py`."""

from __future__ import annotations

from drawing import write
from safeguards.backtest._reallocation_plots import plot_hours, plot_policies
from safeguards.backtest.reallocation import backtest_reallocation
from yardsticks.recorded import m_large, normalised

if __name__ == "__main__":
    result = backtest_reallocation(normalised(m_large(), 336), priorities="random")
    write(plot_policies(result), "reallocation")
    write(plot_hours(result), "reallocation_hours")

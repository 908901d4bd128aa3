"""Draws the pictures of docs/pool_sizing.md: `python benches/pool_size_pictures.py`."""

from __future__ import annotations

from drawing import ROOT, write
from safeguards.backtest import Demand
from safeguards.backtest._pool_size_plots import plot_policies, plot_pool
from safeguards.backtest.pool_size import backtest_pool_size

if __name__ == "__main__":
    result = backtest_pool_size(Demand.read_csv(ROOT / "examples/data/servegen_m-large_hourly.csv.gz"))
    write(plot_policies(result), "pool_sizing")
    write(plot_pool(result, "client-48"), "pool_sizing_week")

"""Draws the pictures of docs/reinforcement_learning.md: `python benches/learned_budgets_pictures.py`."""

from __future__ import annotations

from drawing import ROOT, write
from safeguards.backtest import Demand
from safeguards.backtest._rl_plots import plot_agent, plot_policies, plot_policy
from safeguards.backtest.rl import backtest_rl

if __name__ == "__main__":
    result = backtest_rl(Demand.read_csv(ROOT / "examples/data/servegen_m-large_hourly.csv.gz"))
    write(plot_policies(result), "reinforcement_learning")
    write(plot_agent(result), "reinforcement_learning_week")
    write(plot_policy(result.learned), "reinforcement_learning_policy")

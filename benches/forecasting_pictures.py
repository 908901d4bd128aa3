"""Draws the pictures of docs/forecasting.md: `python benches/forecasting_pictures.py`."""

from __future__ import annotations

from drawing import write
from safeguards.backtest._forecast_plots import plot_days, plot_errors
from safeguards.backtest.forecast import backtest_forecast
from yardsticks.recorded import m_large, nab_tweets

if __name__ == "__main__":
    write(plot_errors(backtest_forecast(m_large())), "forecasting-errors")
    write(plot_days(backtest_forecast(nab_tweets())), "forecasting-days")

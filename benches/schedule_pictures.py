"""Draws the pictures of docs/schedules.md: `python benches/schedule_pictures.py`."""

from __future__ import annotations

import sys
from datetime import time
from pathlib import Path

from matplotlib.figure import Figure

from drawing import write
from safeguards import BudgetCoordinator, BudgetTimeScheduler
from safeguards.backtest._pacing_plots import plot_day, plot_rules
from safeguards.backtest.pacing import backtest_pacing
from safeguards.budget.time_scheduler.plots import plot_week

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from backtest.recorded import m_large_slots

SHOWN = ("agent 113", 9)
WEEKDAYS = range(5)


def guides_week() -> Figure:
    coordinator = BudgetCoordinator()
    team = coordinator.create_budget_pool("team", 1)
    scheduler = BudgetTimeScheduler(coordinator)
    hours = {
        "business_hours": (5000, time(9), time(17), WEEKDAYS),
        "evening_hours": (2000, time(17), time(22), WEEKDAYS),
        "night_hours": (500, time(22), time(9), WEEKDAYS),
        "weekend": (1000, time(0), time(23, 59), (5, 6)),
    }
    keys = ("budget", "start_time", "end_time", "days")
    scheduler.add_time_profile(
        team, {name: dict(zip(keys, values, strict=True)) for name, values in hours.items()}
    )
    return plot_week(scheduler, team, title="The budget of a pool over the week; a bar where it is granted")


if __name__ == "__main__":
    write(guides_week(), "schedule_week")
    result = backtest_pacing(m_large_slots())
    write(plot_rules(result), "pacing_rules")
    days = list(zip(result.agents, result.days, strict=True))
    write(plot_day(result, days.index(SHOWN)), "pacing_day")

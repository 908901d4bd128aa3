"""Draws the pictures of docs/schedules.md: `python benches/schedule_pictures.py`."""

from __future__ import annotations

from matplotlib.figure import Figure

from drawing import write
from safeguards import BudgetCoordinator, BudgetTimeScheduler
from safeguards.backtest._pacing_plots import plot_day, plot_rules
from safeguards.backtest.pacing import backtest_pacing
from safeguards.budget.time_scheduler.plots import plot_week
from yardsticks.guide import WEEK
from yardsticks.recorded import m_large_slots

SHOWN = ("agent 113", 9)


def guides_week() -> Figure:
    coordinator = BudgetCoordinator()
    team = coordinator.create_budget_pool("team", 1)
    scheduler = BudgetTimeScheduler(coordinator)
    scheduler.add_time_profile(team, WEEK)
    return plot_week(scheduler, team, title="The budget of a pool over the week; a bar where it is granted")


if __name__ == "__main__":
    write(guides_week(), "schedule_week")
    result = backtest_pacing(m_large_slots())
    write(plot_rules(result), "pacing_rules")
    days = list(zip(result.agents, result.days, strict=True))
    write(plot_day(result, days.index(SHOWN)), "pacing_day")

"""Budgets by the time of the day, and how to make them last.

`BudgetTimeScheduler` grants pools other budgets in business hours, evenings, nights and on weekends; with
pacing it says how much of the demand to admit, so that a budget lasts until the next one comes.
`safeguards.budget.time_scheduler.plots` draws a week.
"""

from safeguards._later import later
from safeguards.budget.time_scheduler._scheduler import BudgetTimeScheduler
from safeguards.budget.time_scheduler._values import Occurrence, ScheduleIssue, TimeProfile, Transition

__all__ = ["BudgetTimeScheduler", "Occurrence", "ScheduleIssue", "TimeProfile", "Transition"]

__getattr__, __dir__ = later(__name__)

"""What the guide that this package implements prints: its week of budgets, and its reward."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import time
from decimal import Decimal
from pathlib import Path

WEEKDAYS, WEEKEND, EVERY_DAY = range(5), (5, 6), range(7)
TEXT = Path(__file__).parents[2] / "tests" / "data" / "dynamic_budget.md"

Profile = dict[str, object]


def window(start: time, end: time, days: object = EVERY_DAY, budget: int = 1, **more: object) -> Profile:
    return {"budget": Decimal(budget), "start_time": start, "end_time": end, "days": days, **more}


WEEK = {
    "business_hours": window(time(9), time(17), WEEKDAYS, 5000),
    "evening_hours": window(time(17), time(22), WEEKDAYS, 2000),
    "night_hours": window(time(22), time(9), WEEKDAYS, 500),
    "weekend": window(time(0), time(23, 59), WEEKEND, 1000),
}


def reward() -> Callable[..., float]:
    """The reward function, executed from the guide's own text."""
    [source] = re.findall(r"^def reward_function.*?(?=^# )", TEXT.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Callable[..., float]] = {}
    exec(source, names)  # noqa: S102 - the guide's own text
    return names["reward_function"]

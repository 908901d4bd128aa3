"""Schedules that several tests use."""

from datetime import time

from yardsticks.guide import WEEK as GUIDE
from yardsticks.guide import WEEKDAYS, WEEKEND, window

__all__ = ["ALWAYS", "AWKWARD", "GUIDE", "NESTED", "SCHEDULES", "WEEKDAYS", "WEEKEND", "window"]

# Begins and ends in the hours that clocks skip and repeat: at midnight, at half hours, across midnight.
AWKWARD = {
    "late": window(time(23, 30), time(0, 15)),
    "early": window(time(0, 15), time(1, 45), (0, 2, 5, 6)),
    "around two": window(time(1, 45), time(2, 15)),
    "half past two": window(time(2, 30), time(12)),
    "midday": window(time(11), time(12, 1), (5, 6)),
}

# Narrower windows inside wider ones, and a profile that is granted each day.
NESTED = {
    "base": window(time(0), time(23, 59), each_day=True),
    "morning": window(time(0, 30), time(3, 30)),
    "peak": window(time(2), time(2, 45), (0, 3, 5, 6)),
    "midnight": window(time(23, 45), time(0, 10), (5, 6)),
}

ALWAYS = {"always": window(time(0), time(23, 59))}

SCHEDULES = {"guide": GUIDE, "awkward": AWKWARD, "nested": NESTED, "always": ALWAYS}

"""The picture of a week shows what is in force, and where the pool is granted."""

from datetime import time

from safeguards import BudgetTimeScheduler
from safeguards.budget.time_scheduler.plots import plot_week
from time_scheduler.schedules import GUIDE, window


def drawn(coordinator, schedule):
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC")
    scheduler.add_time_profile("team", schedule)
    return plot_week(scheduler, "team", title="A week").axes[0]


def test_the_week_of_the_guide(coordinator):
    axes = drawn(coordinator, GUIDE)
    bars = [bar for bar in axes.patches if bar.get_gid()]
    assert sum(bar.get_width() for bar in bars) == 7 * 24
    assert [bar.get_gid() for bar in bars][:4] == [
        "Mon 0 night_hours",
        "Mon 9 business_hours",
        "Mon 17 evening_hours",
        "Mon 22 night_hours",
    ]
    begins = [line.get_gid() for line in axes.lines]
    assert len(begins) == 17, "one for each grant of the week"
    assert "begin Mon 0 night_hours" in begins, "Sunday is weekend"
    assert "begin Tue 0 night_hours" not in begins, "Monday's night goes on"
    assert sum(text.get_text() == "5000" for text in axes.texts) == 5
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(GUIDE)


def test_gaps_and_what_goes_on_into_the_next_week(coordinator):
    axes = drawn(coordinator, {"night": window(time(22), time(6), [6, 0])})
    bars = {bar.get_gid(): bar.get_width() for bar in axes.patches if bar.get_gid()}
    # Sunday until six and from ten at night, Monday likewise: Sunday's evening and Monday's morning are one.
    assert {gid: width for gid, width in bars.items() if "night" in gid} == {
        "Mon 0 night": 6,
        "Mon 22 night": 2,
        "Sun 0 night": 6,
        "Sun 22 night": 2,
    }
    assert [line.get_gid() for line in axes.lines] == [
        f"begin {gid}" for gid in ("Mon 22 night", "Sun 0 night", "Sun 22 night")
    ]
    assert sum(bars.values()) == 7 * 24


def test_each_day_is_granted_for_itself(coordinator):
    axes = drawn(coordinator, {"always": window(time(0), time(23, 59))})
    assert len(axes.lines) == 7

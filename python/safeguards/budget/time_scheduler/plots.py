"""A picture of a week of budgets. Needs matplotlib, which is imported when called."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves parts of its annotations open.

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from safeguards._extras import require
from safeguards._figures import COLOURS, INK, SIZE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from safeguards.budget.time_scheduler import BudgetTimeScheduler

__all__ = ["plot_week"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_HOUR = timedelta(hours=1)
_LABEL_FROM = 1.5 * _HOUR
_HEIGHT = 0.72
_LABEL = "#101418"  # dark on every ground: it stands on a coloured bar


def plot_week(scheduler: BudgetTimeScheduler, pool_id: str, *, title: str | None = None) -> Figure:
    """Draws which profile is in force when: a row for each day, a colour for each profile.

    Local time runs from left to right. Gaps are hatched; a bar and the budget stand where a profile comes
    into force and the pool is granted; what goes on after midnight has its budget in brackets.

    Args:
        scheduler: whose schedule.
        pool_id: the pool.
        title: a line above the figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UnknownPoolError: no pool of this id exists.
        ConfigurationError: the pool has no schedule.

    Example:
        >>> from datetime import time
        >>> from safeguards import BudgetCoordinator, BudgetTimeScheduler
        >>> coordinator = BudgetCoordinator()
        >>> team = coordinator.create_budget_pool("team", 10)
        >>> scheduler = BudgetTimeScheduler(coordinator)
        >>> day = {"budget": 100, "start_time": time(9), "end_time": time(17), "days": [0]}
        >>> scheduler.add_time_profile(team, {"day": day})
        >>> [patch.get_gid() for patch in plot_week(scheduler, team).axes[0].patches][:3]
        ['Mon 0 gap', 'Mon 9 day', 'Mon 17 gap']
    """
    require("matplotlib", "plot")
    from matplotlib.figure import Figure

    profiles = scheduler.get_time_profiles(pool_id)
    colours = {profile.name: COLOURS[n % len(COLOURS)] for n, profile in enumerate(profiles)}
    budgets = {profile.name: profile.budget for profile in profiles}
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    for start, end, name, is_begin in _parts(scheduler, pool_id):
        day, left = start.days, (start % _DAY) / _HOUR
        width = (end - start) / _HOUR
        gid = f"{_DAYS[day]} {left:g} {name or 'gap'}"
        if name is None:
            axes.barh(
                day,
                width,
                left=left,
                height=_HEIGHT,
                fill=False,
                hatch="///",
                edgecolor=INK,
                alpha=0.25,
                gid=gid,
            )
            continue
        axes.barh(day, width, left=left, height=_HEIGHT, color=colours[name], alpha=0.75, gid=gid)
        if is_begin:
            edge = [day - _HEIGHT / 2, day + _HEIGHT / 2]
            axes.plot([left, left], edge, color=INK, linewidth=2.2, solid_capstyle="butt", gid=f"begin {gid}")
        if end - start >= _LABEL_FROM:
            middle = (left + width / 2, day)
            label = str(budgets[name]) if is_begin else f"({budgets[name]})"
            axes.annotate(label, middle, ha="center", va="center", fontsize=9, color=_LABEL)
    for name, colour in colours.items():
        axes.bar(0, 0, color=colour, alpha=0.75, label=name)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_xlim(-0.1, 24.1)
    axes.set_ylim(6.6, -0.6)
    axes.set_yticks(range(7), _DAYS)
    axes.set_xticks(range(0, 25, 3), [f"{hour:02}:00" for hour in range(0, 25, 3)])
    axes.set_xlabel("Local time; numbers are budgets", color=INK)
    axes.tick_params(length=0, colors=INK)
    axes.legend(
        frameon=False, labelcolor=INK, fontsize=9, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.16)
    )
    if title is not None:
        axes.set_title(title, loc="left", fontsize=11, color=INK)
    return figure


def _parts(
    scheduler: BudgetTimeScheduler, pool_id: str
) -> list[tuple[timedelta, timedelta, str | None, bool]]:
    """Begin, end and profile of each stretch, cut at midnights, and whether the stretch begins there."""
    parts: list[tuple[timedelta, timedelta, str | None, bool]] = []
    week = scheduler._plan_of(pool_id).calendar.week  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    for stretch in week.stretches:
        name = None if stretch.profile is None else stretch.profile.name
        at, end = stretch.start, stretch.start + stretch.length
        while at < end:
            until = min(end, (at // _DAY + 1) * _DAY)
            parts.append((at % _WEEK, at % _WEEK + (until - at), name, at == stretch.start))
            at = until
    return sorted(parts, key=lambda part: part[0])

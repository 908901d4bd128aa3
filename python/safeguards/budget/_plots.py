"""Pictures of what was learned. Need matplotlib, which is imported when called."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# matplotlib leaves parts of its annotations open.

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards._extras import require
from safeguards._figures import COLOURS, INK
from safeguards.budget.usage_patterns import WEEKDAYS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from safeguards.budget.usage_patterns import UsagePatterns

__all__ = ["plot_patterns"]

_SIZE = (9.0, 5.4)


def plot_patterns(patterns: UsagePatterns) -> Figure:
    """Draws usage over time with what does not fit, the profile of the day, and hours by weekday.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("matplotlib", "plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    over_time, profile, week = figure.subplot_mosaic([["time", "time"], ["day", "week"]]).values()
    figure.suptitle(f"agent {patterns.agent_id!r}: usage per {patterns.time_bucket_minutes} minutes")
    if not patterns:
        over_time.text(0.5, 0.5, "nothing is known yet", ha="center", transform=over_time.transAxes)
        return figure
    _draw_time(over_time, patterns)
    _draw_day(profile, patterns)
    _draw_week(week, patterns)
    return figure


def _draw_time(axes: Axes, patterns: UsagePatterns) -> None:
    times = _wall(patterns.times)
    axes.plot(times, patterns.usage, color=COLOURS[0], linewidth=0.9, gid="usage")
    odd = patterns.anomalies
    axes.scatter(
        _wall([anomaly.time for anomaly in odd]),
        [anomaly.amount for anomaly in odd],
        s=22,
        facecolors="none",
        edgecolors=COLOURS[1],
        label="anomalies",
        gid="anomalies",
        zorder=3,
    )
    if odd:
        axes.legend(frameon=False)
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", rotation=20)


def _wall(times: Sequence[datetime]) -> NDArray[np.datetime64]:
    """Local wall times: matplotlib would turn aware ones into UTC."""
    import numpy as np

    return np.array([time.replace(tzinfo=None) for time in times], dtype="datetime64[us]")


def _draw_day(axes: Axes, patterns: UsagePatterns) -> None:
    hours = [i * patterns.time_bucket_minutes / 60 for i in range(len(patterns.by_time_of_day))]
    width = patterns.time_bucket_minutes / 60
    axes.bar(hours, patterns.by_time_of_day, width=0.9 * width, align="edge", color=COLOURS[0])
    axes.axhline(patterns.mean, color=INK, linestyle="--", linewidth=0.8)
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 6))
    axes.set_title(_titled("by time of day", patterns.daily_strength))
    axes.set_xlabel("local hour")


def _draw_week(axes: Axes, patterns: UsagePatterns) -> None:
    axes.imshow(patterns.profile, aspect="auto", cmap="Blues", vmin=0, extent=(0, 24, 7, 0))
    axes.set_yticks([day + 0.5 for day in range(7)], [name[:3] for name in WEEKDAYS])
    axes.set_xticks(range(0, 25, 6))
    axes.set_title(_titled("by weekday", patterns.weekly_strength))
    axes.set_xlabel("local hour")


def _titled(name: str, strength: float | None) -> str:
    return name if strength is None else f"{name} (strength {strength:.2f})"

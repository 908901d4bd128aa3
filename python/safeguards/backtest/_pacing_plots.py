"""Pictures of a backtest of pacing."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# matplotlib and numpy leave parts of their annotations open.

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards._figures import COLOURS, INK, add_legend, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from safeguards.backtest.pacing import PacingBacktest

__all__ = ["plot_day", "plot_rules"]

_COLOUR_OF = {"none": COLOURS[1], "static": COLOURS[3], "even": COLOURS[2], "forecast": COLOURS[0]}


def plot_rules(backtest: PacingBacktest) -> Figure:
    """Utility of each day under each rule, from the worst day to the best."""
    import numpy as np

    figure, axes = new_axes("What a day's budget does, compared with hindsight; days from worst to best")
    place = np.linspace(0, 1, len(backtest.days))
    for row in backtest.rows:
        axes.plot(
            place,
            np.sort(backtest.utility_of_days(row.rule)),
            color=_COLOUR_OF[row.rule],
            linewidth=1.6,
            label=f"{row.rule}: {row.utility_share:.1%} in the mean",
            gid=f"utility-{row.rule}",
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.01)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("Share of days")
    axes.set_ylabel("Utility, share of hindsight")
    add_legend(axes, columns=2)
    return figure


def plot_day(backtest: PacingBacktest, day: int | None = None) -> Figure:
    """What was wanted on a day, and what was admitted with and without pacing.

    Args:
        backtest: what to draw.
        day: position of the day; if not given, the one whose gain by pacing is in the middle.
    """
    import numpy as np

    gain = backtest.utility_of_days("forecast") - backtest.utility_of_days("none")
    index = int(np.argsort(gain)[len(gain) // 2]) if day is None else day
    name, wanted = backtest.agents[index], backtest.demand[index]
    figure, axes = new_axes(
        f"A day of {name}: wanted, and admitted at {backtest.budget_share:.0%} of its cost"
    )
    hours = np.arange(backtest.slots_per_day + 1) * 24 / backtest.slots_per_day
    axes.fill_between(hours[:-1], wanted, color=INK, alpha=0.2, linewidth=0, step="post", label="wanted")
    for rule, style in (("none", (0, (3, 1.5))), ("forecast", "-")):
        spent = wanted * backtest.admitted[rule][index]
        axes.step(
            hours,
            np.append(spent, spent[-1]),
            where="post",
            color=_COLOUR_OF[rule],
            linestyle=style,
            linewidth=1.3,
            label={"none": "without pacing", "forecast": "forecast pacing"}[rule],
            gid=f"admitted-{rule}",
        )
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 4), [f"{hour}:00" for hour in range(0, 25, 4)])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("Hour of the day")
    axes.set_ylabel("Cost of a slot, in the unit of the record")
    add_legend(axes, columns=3)
    return figure

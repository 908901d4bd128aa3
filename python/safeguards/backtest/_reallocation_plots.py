"""Pictures of a backtest of reallocation."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# matplotlib and numpy leave parts of their annotations open.

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards._figures import COLOURS, INK, add_legend, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from safeguards.backtest.reallocation import ReallocationBacktest

__all__ = ["plot_hours", "plot_policies"]

_BASELINE, _OURS = "static priority shares", "reallocated"
_SHORT = 1e-12


def plot_policies(backtest: ReallocationBacktest) -> Figure:
    """How often agents ran out, and how much demand was unmet, under each policy."""
    figure, axes = new_axes(
        "Agent-hours that ran out, and demand that was refused",
        size=(7.2, 0.62 * len(backtest.rows) + 1.2),
    )
    places = range(len(backtest.rows))
    for offset, column, colour, label in (
        (-0.19, "exhausted_share", COLOURS[0], "agent-hours exhausted"),
        (0.19, "unmet_share", COLOURS[4], "demand not met"),
    ):
        for place, row in zip(places, backtest.rows, strict=True):
            share = getattr(row, column)
            axes.barh(
                place + offset,
                share,
                height=0.36,
                color=colour,
                alpha=0.75,
                label=label if place == 0 else None,
                gid=f"{column}-{row.policy}",
            )
            axes.annotate(f" {share:.1%}", (share, place + offset), va="center", fontsize=7.5, color=INK)
    axes.set_yticks(places, [row.policy for row in backtest.rows])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.margins(x=0.12)
    axes.set_xlabel("Share")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(visible=False, axis="y")
    add_legend(axes, columns=2)
    return figure


def plot_hours(backtest: ReallocationBacktest) -> Figure:
    """How many agents were out of budget in each hour, under static shares and as reallocated."""
    import numpy as np

    figure, axes = new_axes("Agents out of budget, hour by hour")
    for number, policy in enumerate((_BASELINE, _OURS)):
        exhausted = (backtest.unmet[policy] > _SHORT * backtest.pool_budget).sum(axis=0)
        axes.step(
            np.arange(len(exhausted)) / 24,
            exhausted,
            where="post",
            color=COLOURS[1 - number],
            linewidth=1.1,
            label=policy,
            gid=f"exhausted-{policy}",
        )
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("Day")
    axes.set_ylabel(f"Agents, of {len(backtest.demand.agents)}")
    add_legend(axes, columns=2)
    return figure

"""Pictures of a backtest of pool sizes."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# matplotlib and numpy leave parts of their annotations open.

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards._figures import COLOURS, INK, add_legend, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from safeguards.backtest.pool_size import PoolSizeBacktest

__all__ = ["plot_policies", "plot_pool"]

_SHOWN_HOURS = 168


def plot_policies(backtest: PoolSizeBacktest) -> Figure:
    """Unmet demand of each policy at the same mean budget: a bar is the mean over pools, a dot is a pool."""
    import numpy as np
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure, axes = new_axes("Demand left unmet at the same mean budget, per pool and in the mean")
    order = sorted(backtest.rows, key=lambda row: -row.unmet_share)
    demand = backtest.demand.cost[:, backtest.warm_up_hours :]
    for place, row in enumerate(order):
        ours = row.policy in {"step", "predictive", "auto"}
        colour = COLOURS[0] if ours else COLOURS[4]
        axes.barh(place, row.unmet_share, color=colour, alpha=0.55, height=0.62, gid=f"mean-{row.policy}")
        shares = backtest.unmet_of_pools(row.policy)
        spread = np.linspace(-0.24, 0.24, len(demand))
        axes.plot(
            shares, place + spread, ".", color=INK, markersize=2.6, alpha=0.6, gid=f"pools-{row.policy}"
        )
        axes.annotate(
            f"{row.unmet_share:.1%}",
            (row.unmet_share, place + 0.44),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK,
        )
    axes.set_yticks(range(len(order)), [row.policy for row in order])
    entries = [
        Patch(color=COLOURS[0], alpha=0.55),
        Patch(color=COLOURS[4], alpha=0.55),
        Line2D([], [], color=INK, marker=".", linestyle="", markersize=4),
    ]
    words = ["ours, mean of pools", "others, mean of pools", "one pool"]
    add_legend(axes, columns=3, entries=(entries, words))
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("Share of demand that did not fit")
    axes.grid(visible=False, axis="y")
    return figure


def plot_pool(backtest: PoolSizeBacktest, pool: str | None = None) -> Figure:
    """A week of one pool: what was wanted, and what two policies gave at the same mean budget.

    Args:
        backtest: what to draw.
        pool: which one; if not given, the one whose gain is in the middle.
    """
    import numpy as np

    gain = backtest.unmet_of_pools("step") - backtest.unmet_of_pools("predictive")
    middle = int(np.argsort(gain)[len(gain) // 2])
    index = middle if pool is None else backtest.demand.agents.index(pool)
    name, begin = backtest.demand.agents[index], backtest.warm_up_hours
    figure, axes = new_axes(f"A week of {name}: what was wanted, and what it was given")
    hours = np.arange(begin, min(begin + _SHOWN_HOURS, backtest.demand.hours))
    days = (hours - begin) / 24
    demand = backtest.demand.cost[index, hours]
    axes.fill_between(days, demand, color=INK, alpha=0.22, linewidth=0, step="post", label="demand")
    for number, policy in enumerate(("predictive", "step")):
        sizes = backtest.scaled(policy)[index, hours - begin]
        axes.step(
            days,
            sizes,
            where="post",
            color=COLOURS[number],
            linewidth=1.2,
            label=policy,
            gid=f"size-{policy}",
        )
    axes.set_xlim(0, days[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("Day")
    axes.set_ylabel("USD an hour")
    add_legend(axes, columns=3)
    return figure

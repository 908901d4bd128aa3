"""Pictures of a backtest of learned budgets."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# matplotlib and numpy leave parts of their annotations open.

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards._figures import COLOURS, INK, add_legend, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from safeguards.backtest.rl import RlBacktest
    from safeguards.budget._rl.policy import BudgetPolicy

__all__ = ["plot_agent", "plot_policies", "plot_policy"]

_SHOWN_HOURS = 168
_ZERO = 1e-9


def plot_policies(backtest: RlBacktest) -> Figure:
    """How much of the gap between static budgets and the clairvoyant each policy closes."""
    figure, axes = new_axes("How far each comes from static budgets (0%) to hindsight (100%)")
    shown = [row for row in backtest.rows if row.policy in {"step", "learned", "clairvoyant"}]
    for place, row in enumerate(shown):
        colour = COLOURS[0] if row.policy == "learned" else COLOURS[4]
        axes.barh(place, row.closed_share, color=colour, alpha=0.7, height=0.6, gid=f"closed-{row.policy}")
        text = f"{row.closed_share:.0%}, exhausted in {row.exhausted_share:.0%} of hours"
        axes.text(row.closed_share + 0.015, place, text, va="center", fontsize=9, color=INK)
    axes.set_xlim(min(0.0, *(row.closed_share for row in shown)), 1.6)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_yticks(range(len(shown)), [row.policy for row in shown])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(visible=False, axis="y")
    return figure


def plot_agent(backtest: RlBacktest, agent: str | None = None) -> Figure:
    """A week of one agent: what it wanted, and what two policies gave it.

    Args:
        backtest: what to draw.
        agent: which one; if not given, the one whose gain is in the middle.
    """
    import numpy as np

    begin, demand = backtest.training_hours, backtest.demand
    wanted = demand.cost[:, begin : begin + _SHOWN_HOURS]
    learned, step = (backtest.budgets[name][:, : wanted.shape[1]] for name in ("learned", "step"))
    gain = (wanted > step).mean(axis=1) - (wanted > learned).mean(axis=1)
    middle = int(np.argsort(gain)[len(gain) // 2])
    row = middle if agent is None else demand.agents.index(agent)
    figure, axes = new_axes(f"A week of {demand.agents[row]}: what it wanted, and what it was given")
    days = np.arange(wanted.shape[1]) / 24
    axes.fill_between(days, wanted[row], color=INK, alpha=0.22, linewidth=0, step="post", label="demand")
    for number, (name, budgets) in enumerate((("learned", learned), ("step", step))):
        axes.step(
            days,
            budgets[row],
            where="post",
            color=COLOURS[number],
            linewidth=1.2,
            label=name,
            gid=f"budget-{name}",
        )
    axes.set_xlim(0, days[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("Day")
    axes.set_ylabel("In units of the agent's\nmean hour while learning")
    add_legend(axes, columns=3)
    return figure


def plot_policy(policy: BudgetPolicy, kind: int = 0) -> Figure:
    """The learned change of a budget, by the forecast and by the budget, for one kind of demand."""
    import numpy as np

    from safeguards.budget._rl.history import Outlook

    figure, axes = new_axes(f"Learned change of a budget: {policy.kinds.name(kind)}")
    budgets, shares = np.geomspace(0.2, 5, 81), np.geomspace(0.05, 1.2, 61)
    across, up = (part.ravel() for part in np.meshgrid(budgets, shares))
    outlook = Outlook(np.ones(len(up)), up, np.ones(len(up)))
    best = policy.best(across, outlook, np.full(len(up), kind, np.int64))
    change = np.array(policy.changes)[best].reshape(len(shares), len(budgets))
    most = max(map(abs, policy.changes))
    mesh = axes.pcolormesh(
        budgets, shares, change, cmap="PuOr", vmin=-most, vmax=most, shading="nearest", rasterized=True
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    axes.set_yticks([0.05, 0.1, 0.25, 0.5, 1], ["5%", "10%", "25%", "50%", "100%"])
    axes.minorticks_off()
    axes.set_xlabel("Budget over forecast need")
    axes.set_ylabel("Forecast need over the day's peak")
    bar = figure.colorbar(mesh, ax=axes)
    bar.set_label("Change of the budget\n(brown lowers it, purple raises it)", color=INK, fontsize=9)
    bar.ax.tick_params(colors=INK)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:+.0%}" if abs(value) > _ZERO else "0%")
    return figure

"""Pictures of a backtest of forecasts."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# matplotlib leaves parts of its annotations open.

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards._extras import require
from safeguards._figures import COLOURS, INK, dress, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from safeguards.backtest.forecast import ForecastBacktest

__all__ = ["plot_days", "plot_errors", "plot_reliability"]

_SHOWN = 4


def plot_errors(result: ForecastBacktest) -> Figure:
    """Each policy's error of an hour, over that of repeating yesterday."""
    rows = result.rows[::-1]
    one = "the usual change from day to day" if rows[0].mase_ratio is None else "yesterday repeated"
    figure, axes = new_axes(f"Error of an hour, {result.horizon} hours ahead ({one}: 1)", size=(7.2, 2.6))
    errors = [row.mase if row.mase_ratio is None else row.mase_ratio for row in rows]
    colours = [COLOURS[0] if row.covered_share is not None else COLOURS[4] for row in rows]
    bars = axes.barh([row.policy for row in rows], errors, color=colours)
    axes.bar_label(bars, fmt="%.2f", padding=3, color=INK)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.1)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle="--")
    return figure


def plot_days(result: ForecastBacktest) -> Figure:
    """The agents that need most: what was foreseen, and what came."""
    require("matplotlib", "plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    most = result.actual.sum(axis=0).argsort()[::-1][:_SHOWN].tolist()
    days = result.origins / 24
    columns = 2 if len(most) > 1 else 1
    grid = figure.subplots((len(most) + columns - 1) // columns, columns, squeeze=False).ravel()
    for axes, agent in zip(grid, most, strict=False):
        lower, upper = result.lower[:, agent], result.upper[:, agent]
        axes.fill_between(days, lower, upper, color=COLOURS[0], alpha=0.2, linewidth=0, label="interval")
        axes.plot(days, result.predicted[:, agent], color=COLOURS[0], label="foreseen")
        axes.plot(days, result.actual[:, agent], color=INK, marker=".", linestyle="--", label="came")
        dress(axes, result.agents[agent])
        axes.set_ylim(bottom=0)
    for axes in grid[len(most) :]:
        axes.set_axis_off()
    grid[0].legend(frameon=False, labelcolor=INK, fontsize=8)
    figure.supxlabel("Day", color=INK, fontsize=10)
    figure.supylabel(f"Need of {result.horizon} hours", color=INK, fontsize=10)
    return figure


def plot_reliability(result: ForecastBacktest) -> Figure:
    """Confidence against how often it came true."""
    figure, axes = new_axes("Does confidence come true?", size=(4.2, 4.0))
    bins = result.reliability()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
    sizes = [12 + 240 * count / result.confidence.size for _, _, count in bins]
    axes.scatter(
        [said for said, _, _ in bins], [came for _, came, _ in bins], s=sizes, color=COLOURS[0], zorder=3
    )
    axes.set_xlabel(f"Confidence that {result.margin:g} times the forecast is enough")
    axes.set_ylabel("Share of windows for which it was")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    return figure

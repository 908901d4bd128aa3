"""Pictures of a backtest of forecasts."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# matplotlib leaves parts of its annotations open.

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards._extras import require
from safeguards._figures import COLOURS, INK, add_legend, dress, new_axes

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
    axes.set_xlabel("Mean error of an hour; less is better")
    axes.axvline(1, color=INK, linewidth=0.8, linestyle="--")
    return figure


def plot_days(result: ForecastBacktest) -> Figure:
    """What was foreseen, and what came: of agents with much need and with little."""
    require("matplotlib", "plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    by_need = result.actual.sum(axis=0).argsort()[::-1]
    shown = by_need[:: -(-len(by_need) // _SHOWN)].tolist()
    days = result.origins / 24
    columns = 2 if len(shown) > 1 else 1
    grid = figure.subplots((len(shown) + columns - 1) // columns, columns, squeeze=False).ravel()
    for axes, agent in zip(grid, shown, strict=False):
        lower, upper = result.lower[:, agent], result.upper[:, agent]
        axes.fill_between(
            days, lower, upper, color=COLOURS[0], alpha=0.2, linewidth=0, label=f"{result.level:.0%} interval"
        )
        axes.plot(days, result.predicted[:, agent], color=COLOURS[0], label="foreseen")
        axes.plot(days, result.actual[:, agent], color=INK, marker=".", linestyle="--", label="came")
        dress(axes)
        axes.set_title(_with_worst_miss(result, agent), loc="left", fontsize=9, color=INK)
        axes.set_ylim(bottom=0)
    for axes in grid[-columns:]:
        axes.set_xlabel("Day of the record")
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    lines, words = grid[0].get_legend_handles_labels()
    figure.legend(
        lines, words, frameon=False, labelcolor=INK, fontsize=9, ncols=3, loc="outside lower center"
    )
    figure.suptitle(
        f"Need of {result.horizon} hours, foreseen and come: agents from most need to least",
        x=0.01,
        ha="left",
        fontsize=11,
        color=INK,
    )
    figure.supylabel(f"Need of {result.horizon} hours, in the unit of the record", color=INK, fontsize=10)
    return figure


def _with_worst_miss(result: ForecastBacktest, agent: int) -> str:
    """An agent's name, and how far its worst day was from the forecast."""
    import numpy as np

    came, foreseen = result.actual[:, agent], result.predicted[:, agent]
    times = np.divide(came, foreseen, out=np.ones_like(came), where=foreseen > 0)
    worst = int(np.argmax(np.abs(np.log(np.maximum(times, 1e-9)))))
    return f"{result.agents[agent]}: worst day {times[worst]:.1f} times the forecast"


def plot_reliability(result: ForecastBacktest) -> Figure:
    """Confidence against how often it came true."""
    from matplotlib.lines import Line2D

    figure, axes = new_axes("Does confidence come true?", size=(6.6, 4.0))
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
    least, most = min(count for _, _, count in bins), max(count for _, _, count in bins)
    handles = [
        Line2D([], [], color=COLOURS[0], marker="o", linestyle="", markersize=7),
        Line2D([], [], color=INK, linewidth=0.8, linestyle="--"),
    ]
    windows = f"{least:,} windows" if least == most else f"{least:,} to {most:,} windows, by its size"
    add_legend(axes, columns=1, entries=(handles, [f"a tenth of confidence:\n{windows}", "as often as said"]))
    return figure

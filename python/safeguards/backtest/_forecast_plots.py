"""Pictures of a backtest of forecasts."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# matplotlib leaves parts of its annotations open.

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards._extras import require
from safeguards.allocation.plots import COLOURS, INK

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from safeguards.backtest.forecast import ForecastBacktest

__all__ = ["draw"]

_SHOWN = 4


def draw(result: ForecastBacktest, directory: Path, file_format: str) -> list[Path]:
    """Writes all pictures into a directory."""
    require("matplotlib", "plot")
    pictures = {"errors": _errors(result), "days": _days(result), "reliability": _reliability(result)}
    files = []
    for name, figure in pictures.items():
        file = directory / f"forecast-{name}.{file_format}"
        # Without the date of the day, the same result is the same file.
        figure.savefig(file, dpi=150, metadata={"Date": None} if file_format == "svg" else None)
        files.append(file)
    return files


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _clean(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _errors(result: ForecastBacktest) -> Figure:
    figure = _figure(7.2, 2.6)
    axes = figure.subplots()
    rows = result.rows[::-1]
    ratios = [row.mase_ratio for row in rows]
    colours = [COLOURS[0] if row.covered_share is not None else "#9aa5b1" for row in rows]
    bars = axes.barh([row.policy for row in rows], ratios, color=colours)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle="--")
    axes.set_xlabel(f"error of an hour, {result.horizon} hours ahead (yesterday repeated = 1)")
    _clean(axes)
    return figure


def _days(result: ForecastBacktest) -> Figure:
    """The agents that need most: what was foreseen, and what came."""
    figure = _figure(7.2, 4.6)
    most = result.actual.sum(axis=0).argsort()[::-1][:_SHOWN].tolist()
    days = result.origins / 24
    columns = 2 if len(most) > 1 else 1
    grid = figure.subplots((len(most) + columns - 1) // columns, columns, squeeze=False).ravel()
    for axes, agent in zip(grid, most, strict=False):
        lower, upper = result.lower[:, agent], result.upper[:, agent]
        axes.fill_between(days, lower, upper, color=COLOURS[0], alpha=0.2, linewidth=0, label="interval")
        axes.plot(days, result.predicted[:, agent], color=COLOURS[0], label="foreseen")
        axes.plot(days, result.actual[:, agent], color=INK, marker=".", linestyle="--", label="came")
        axes.set_title(result.agents[agent], fontsize=9)
        axes.set_ylim(bottom=0)
        _clean(axes)
    for axes in grid[len(most) :]:
        axes.set_axis_off()
    grid[0].legend(frameon=False, fontsize=8)
    figure.supxlabel("day", fontsize=9)
    figure.supylabel(f"need of {result.horizon} hours", fontsize=9)
    return figure


def _reliability(result: ForecastBacktest) -> Figure:
    figure = _figure(4.2, 4.0)
    axes = figure.subplots()
    bins = result.reliability()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
    sizes = [12 + 240 * count / result.confidence.size for _, _, count in bins]
    axes.scatter(
        [said for said, _, _ in bins], [came for _, came, _ in bins], s=sizes, color=COLOURS[0], zorder=3
    )
    axes.set_xlabel(f"confidence that {result.margin:g} times the forecast is enough")
    axes.set_ylabel("share of windows for which it was")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    _clean(axes)
    return figure

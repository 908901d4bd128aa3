"""Figures of simulations, in the layout of the paper's. Need matplotlib, which is imported when called.

Every function returns a `matplotlib.figure.Figure` that is free of global state: `figure.savefig("name.png")`
writes it, `svg` turns it into text for a page. Lines carry their meaning as `gid`, so that what is drawn can
be read back.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# matplotlib and numpy leave parts of their annotations open.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from safeguards._figures import COLOURS, INK, add_legend, new_axes, save_png, svg
from safeguards._values.arrays import array
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from safeguards.allocation.simulation import SimulationResult

__all__ = ["plot_capacities", "plot_deviations", "plot_loads", "save_png", "svg"]

_BAND = (10, 90)


def plot_loads(
    result: SimulationResult,
    *,
    resources: Sequence[int | str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws load against capacity over time, the layout of the paper's Figures 1 to 9.

    A coloured line is the mean load over trials, the band around it holds the middle 80 % of the trials at
    each step (if loads were kept), and the broken line of the same colour is the capacity.

    Args:
        result: what to draw.
        resources: which resources, by name or from 0. Default: all of up to four, else the first four; the
            title says so then.
        title: a line above the figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigurationError: no such resource.

    Example:
        >>> from safeguards.allocation import FlowStrategy, experiment_setting, simulate
        >>> figure = plot_loads(simulate(experiment_setting(1), FlowStrategy(), trials=2), resources=[0, 1])
        >>> sorted(line.get_gid() for line in figure.axes[0].lines)
        ['capacity-1', 'capacity-2', 'load-1', 'load-2']
    """
    import numpy as np
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    steps, n_resources = result.capacities.shape
    chosen = _chosen(result, resources)
    if resources is None and n_resources > len(chosen):
        title = f"{title or result.strategy.name} (the first {len(chosen)} of {n_resources} resources)"
    figure, axes = new_axes(title)
    time = np.arange(1, steps + 1)
    has_bands = result.has_loads and result.trials > 1
    names = [_labelled(result.resources[resource]) for resource in chosen]
    for number, resource in enumerate(chosen):
        colour, name = COLOURS[number % len(COLOURS)], result.resources[resource]
        if has_bands:
            low, high = np.percentile(result.loads[:, :, resource], _BAND, axis=0)
            axes.fill_between(time, low, high, color=colour, alpha=0.22, linewidth=0, gid=f"band-{name}")
        axes.plot(time, result.mean_loads[:, resource], color=colour, linewidth=1.1, gid=f"load-{name}")
        axes.plot(
            time,
            result.capacities[:, resource],
            color=INK,
            linewidth=1.2,
            dashes=(5, 2.5) if number % 2 == 0 else (1.5, 1.5),
            gid=f"capacity-{name}",
        )
    axes.set_xlim(1, max(steps, 2))
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("Time step")
    axes.set_ylabel("Load and capacity (units)")
    drawn: list[Line2D | Patch] = [
        Line2D([], [], color=COLOURS[number % len(COLOURS)], linewidth=2) for number in range(len(chosen))
    ]
    labels = [f"Load of {name}" + (", mean of trials" if result.trials > 1 else "") for name in names]
    drawn.append(Line2D([], [], color=INK, linewidth=1.2, linestyle="--"))
    labels.append("Capacity")
    if has_bands:
        drawn.append(Patch(color=INK, alpha=0.22, linewidth=0))
        labels.append("Middle 80 % of trials, in the load's colour")
    add_legend(axes, columns=2, entries=(drawn, labels))
    return figure


_MOST_DRAWN = 4


def _chosen(result: SimulationResult, resources: Sequence[int | str] | None) -> list[int]:
    names = result.resources
    if resources is None:
        return list(range(min(_MOST_DRAWN, len(names))))
    chosen = [names.index(r) if isinstance(r, str) and r in names else r for r in resources]
    if not chosen or not all(isinstance(r, int) and 0 <= r < len(names) for r in chosen):
        raise ConfigurationError(
            f"resources must be some of 0 to {len(names) - 1} or of {', '.join(names)}, not {list(resources)}"
        )
    return [int(r) for r in chosen]


def _labelled(name: str) -> str:
    """A name in a sentence: resources without names are numbered."""
    return f"resource {name}" if name.isdecimal() else name


def plot_capacities(capacities: Mapping[str, ArrayLike], *, title: str | None = None) -> Figure:
    """Draws one or two readings of the same capacities over time, a colour for each resource.

    Args:
        capacities: (T, Q) capacities by the name of their reading; the first is solid, the other broken.
        title: a line above the figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigurationError: there is no reading, or one of another number of dimensions.

    Example:
        >>> figure = plot_capacities({"rising": [[1, 2], [2, 1]]})
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [1, 2]
    """
    import numpy as np

    readings = {name: array(f"capacities[{name!r}]", values, 2) for name, values in capacities.items()}
    if not readings:
        raise ConfigurationError("capacities must have at least one reading")
    figure, axes = new_axes(title)
    for (reading, steps), style in zip(readings.items(), ("-", (0, (4, 2))), strict=False):
        for resource in range(steps.shape[1]):
            axes.plot(
                np.arange(1, len(steps) + 1),
                steps[:, resource],
                color=COLOURS[resource % len(COLOURS)],
                linestyle=style,
                linewidth=1.4,
                label=f"Resource {resource + 1}, {reading}",
                gid=f"{reading}-{resource + 1}",
            )
    axes.set_xlim(1, max(map(len, readings.values())))
    axes.axhline(0, color=INK, linewidth=0.8, gid="zero")
    axes.set_xlabel("Time step")
    axes.set_ylabel("Capacity (units)")
    add_legend(axes, columns=len(capacities))
    return figure


def plot_deviations(
    parameter: str,
    values: Sequence[float],
    lines: Mapping[str, ArrayLike],
    *,
    logarithmic: Literal["", "y", "xy"] = "",
    graded: bool = False,
    measure: str = "Average deviation (units²)",
    title: str | None = None,
) -> Figure:
    """Draws the average deviation against a parameter, the layout of the paper's Figures 10(a) and 10(b).

    Args:
        parameter: name of the parameter, for the horizontal axis.
        values: (P,) values of it.
        lines: (P,) average deviations by the name of their line.
        logarithmic: which axes are.
        graded: lines are steps of a second parameter, in order, and get the shades of one scale of colours.
        measure: what the lines show, for the vertical axis.
        title: a line above the figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigurationError: a line has another number of points than there are values.

    Example:
        >>> figure = plot_deviations("Scaling factor", [2, 3, 4], {"rate 0.01": [300, 200, 100]})
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [300, 200, 100]
    """
    figure, axes = new_axes(title)
    for number, (name, line) in enumerate(lines.items()):
        points = array(f"lines[{name!r}]", line)
        if points.shape != (len(values),):
            raise ConfigurationError(f"lines[{name!r}] must have {len(values)} points, not {points.shape}")
        colour = _grade(number, len(lines)) if graded else COLOURS[number % len(COLOURS)]
        marker = "osD^vP"[number % 6]
        axes.plot(
            values, points, color=colour, marker=marker, markersize=4, linewidth=1.3, label=name, gid=name
        )
    if "x" in logarithmic:
        axes.set_xscale("log")
    if "y" in logarithmic:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(parameter)
    axes.set_ylabel(measure)
    add_legend(axes, columns=1)
    return figure


def _grade(number: int, total: int) -> tuple[float, float, float, float]:
    """A shade between magenta and orange: both stand out on white and on black."""
    from matplotlib import colormaps

    return colormaps["plasma"](0.38 + 0.4 * number / max(1, total - 1))

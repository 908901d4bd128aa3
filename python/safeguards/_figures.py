"""How the pictures of the library look. Needs matplotlib, which is imported when called.

A figure is free of global state: `figure.savefig("name.png")` writes it. Lines carry their meaning as `gid`:
what is drawn can be read back.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# matplotlib leaves parts of its annotations open.

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from safeguards._extras import require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "INK", "SIZE", "add_legend", "dress", "new_axes", "save_all", "save_png", "svg"]

# Okabe & Ito's colours, which the colour-blind tell apart; black and yellow are left out: one of them
# disappears on either background.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
INK = "#1f2328"
SIZE = (7.2, 3.7)


def new_axes(title: str | None, *, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """A figure with one pair of axes.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("matplotlib", "plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    dress(axes, title)
    return figure, axes


def dress(axes: Axes, title: str | None = None) -> None:
    """Gives axes the look of all of them: two sides, a faint grid, everything in ink."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    axes.tick_params(which="both", colors=INK)
    axes.grid(visible=True, color=INK, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
        label.set_color(INK)
    if title is not None:
        axes.set_title(title, loc="left", fontsize=11, color=INK)


def add_legend(
    axes: Axes, *, columns: int, entries: tuple[Sequence[Artist], Sequence[str]] | None = None
) -> None:
    """Beside the axes, where it hides no data, if it is one column; below them if it is several.

    Args:
        axes: what to explain.
        columns: of the legend.
        entries: what stands in it, and in which words; what was drawn with a label if not given.
    """
    where: dict[str, Any] = (
        {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
        if columns == 1
        else {"ncols": columns, "loc": "upper center", "bbox_to_anchor": (0.5, -0.16)}
    )
    said = axes.get_legend_handles_labels() if entries is None else entries
    axes.legend(*said, frameon=False, labelcolor=INK, fontsize=9, **where)


def save_png(figure: Figure, path: Path) -> None:
    """Writes a figure as a PNG file of 150 dots per inch.

    Raises:
        OSError: the file cannot be written.
    """
    figure.savefig(path, dpi=150)


def save_all(figures: Mapping[str, Figure], directory: Path) -> list[Path]:
    """Writes each figure into a directory that exists as `<name>.png`, and returns the files."""
    paths = {directory / f"{name}.png": figure for name, figure in figures.items()}
    for path, figure in paths.items():
        save_png(figure, path)
    return list(paths)


def svg(figure: Figure, *, prefix: str) -> str:
    """Returns a figure as an `<svg>` element for a page: its ink takes the colour of the text around it.

    Args:
        figure: what to turn into text.
        prefix: put before every id, so that several figures can stand in one page.
    """
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "safeguards", "path.simplify_threshold": 0.3}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{prefix}-", text)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    return text.replace(INK, "currentColor")

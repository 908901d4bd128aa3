"""Draws the picture of docs/multi_resource.md: `python benches/multi_resource_pictures.py`."""

from __future__ import annotations

from runpy import run_path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from drawing import ROOT, write
from safeguards import FairShares, fair_shares
from safeguards._figures import COLOURS, INK, dress

CLUSTER = run_path(str(ROOT / "examples" / "fair_cluster.py"))
CAPACITIES, DEMANDS = CLUSTER["CAPACITIES"], CLUSTER["DEMANDS"]

END = 0.85
"""Where the axis of the level ends, beyond the last event."""


def draw() -> Figure:
    """How the dominant shares rise and stop, and what each agent has of each resource in the end."""
    shares = fair_shares(DEMANDS, CAPACITIES)
    figure = Figure(figsize=(9.2, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.1])
    _filling(left, shares)
    _resources(right, shares)
    dress(left, "All shares rise together until something is used up")
    dress(right, "Who has how much in the end")
    return figure


def _filling(axes: Axes, shares: FairShares) -> None:
    """Weights are equal: until it stops, an agent's dominant share is the level."""
    # The first lines are the widest: those of two agents that stop together lie on each other.
    for width, colour, (agent, share) in zip((6, 2.4, 4, 4), COLOURS, shares.items(), strict=False):
        stop = share.dominant_share
        axes.plot([stop, END], [stop, stop], color=colour, linewidth=width, gid=agent, solid_capstyle="butt")
    axes.plot(
        [0, shares["cache"].dominant_share], [0, shares["cache"].dominant_share], color=INK, linewidth=1.2
    )
    for resource, level in sorted({(s.limited_by, s.dominant_share) for s in shares.values()}):
        axes.annotate(
            f"{resource} is used up",
            (level, level),
            (level - 0.03, level),
            ha="right",
            va="center",
            color=INK,
            fontsize=9,
        )
    axes.set_xlim(0, END)
    axes.set_ylim(0, END)
    axes.set_xlabel("Level")
    axes.set_ylabel("Dominant share")


def _resources(axes: Axes, shares: FairShares) -> None:
    names = list(CAPACITIES)
    ends = dict.fromkeys(names, 0.0)
    for colour, (agent, share) in zip(COLOURS, shares.items(), strict=False):
        parts = [float(share.allocation[name] / CAPACITIES[name]) for name in names]
        axes.barh(names, parts, left=list(ends.values()), color=colour, height=0.55, label=agent)
        for name, part in zip(names, parts, strict=True):
            if part > 0.06:
                axes.text(
                    ends[name] + part / 2,
                    name,
                    f"{share.allocation[name]:g}",
                    ha="center",
                    va="center",
                    color="white",
                    fontsize=9,
                )
            ends[name] += part
    axes.set_yticks(range(len(names)), [f"{name}\n{CAPACITIES[name]}" for name in names])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xlabel("Part of the capacity")
    axes.legend(frameon=False, labelcolor=INK, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))


if __name__ == "__main__":
    write(draw(), "fair_shares")

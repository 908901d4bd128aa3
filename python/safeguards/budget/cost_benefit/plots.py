"""A picture of an allocation. Needs matplotlib, which is imported when called."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves parts of its annotations open.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safeguards._figures import COLOURS, INK, add_legend, new_axes
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from safeguards.budget.cost_benefit import Allocation, OperationShare

__all__ = ["plot_allocation"]

_MAX_AGENTS = 40
_LABEL_FROM = 0.04
"""Part of the width below which a name would run into its neighbours'."""


def plot_allocation(allocation: Allocation, *, title: str | None = None) -> Figure:
    """Draws what each unit of money is worth where it went, against what the next one would be worth.

    Money runs from left to right, agent by agent in their colours. The height of an operation is what a unit
    of money returns there, less the discount for risk, which grows from left to right with its share. The
    broken line is the price: what one unit more would be worth. What ends on the line gets what it is worth;
    what ends above it is cut off by its volume cap, a thick edge; what lies below it is there for the floor,
    hatched. A cross is an operation that gets nothing, at what its first unit would be worth.

    Args:
        allocation: what to draw; of many agents, the forty that get most.
        title: a line above the figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigurationError: nothing was allocated.

    Example:
        >>> from safeguards import BudgetCoordinator, CostBenefitAllocator
        >>> coordinator = BudgetCoordinator()
        >>> bot = coordinator.register_agent("bot", coordinator.create_budget_pool("team", 1))
        >>> allocator = CostBenefitAllocator(coordinator)
        >>> allocator.register_operation(bot, "draft", 5, 15, benefit_variability=0.2)
        >>> figure = plot_allocation(allocator.optimize_allocation(100))
        >>> [patch.get_gid() for patch in figure.axes[0].patches]
        ['bot/draft']
    """
    if not any(allocation.values()):
        raise ConfigurationError("nothing was allocated: there is nothing to draw")
    axes = new_axes(title)[1]
    axes.grid(visible=False)
    left = 0.0
    for number, agent in enumerate(
        sorted(allocation, key=allocation.__getitem__, reverse=True)[:_MAX_AGENTS]
    ):
        own = [share for share in allocation.operations if share.agent_id == agent]
        left = _draw_agent(axes, allocation, own, left, COLOURS[number % len(COLOURS)])
    if allocation.price is not None:
        axes.axhline(allocation.price, color="white", linewidth=2.6, alpha=0.6, gid="behind-the-price")
        axes.axhline(allocation.price, color=INK, linewidth=1.2, dashes=(5, 2.5), gid="price")
        axes.annotate(
            f" one unit more: {allocation.price:.3g}",
            (1.0, allocation.price),
            xycoords=("axes fraction", "data"),
            va="center",
            color=INK,
            fontsize=9,
        )
    _explain(axes, allocation)
    axes.set_xlim(0, left)
    axes.set_xlabel("Money, agent by agent")
    axes.set_ylabel("Worth of a unit: return less risk")
    if allocation.risk_tolerance:
        axes.set_ylim(bottom=0)
    return axes.get_figure(root=True)  # type: ignore[return-value]


def _explain(axes: Axes, allocation: Allocation) -> None:
    """A legend of the signs that occur."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shares = allocation.operations
    signs: list[tuple[bool, Any, str]] = [
        (allocation.price is not None, Line2D([], [], color=INK, dashes=(5, 2.5)), "worth of one unit more"),
        (
            any(share.reason == "floor" and share.amount for share in shares),
            Patch(facecolor="none", edgecolor=INK, hatch="///", linewidth=0),
            "there for the floor",
        ),
        (
            any(share.reason == "volume" and share.amount for share in shares),
            Line2D([], [], color=INK, linewidth=2.2),
            "cut off by its volume cap",
        ),
        (
            any(not share.amount for share in shares),
            Line2D([], [], color=INK, marker="X", markeredgecolor="white", markersize=8, linestyle=""),
            "gets nothing",
        ),
    ]
    found = [(sign, words) for occurs, sign, words in signs if occurs]
    if found:
        add_legend(axes, columns=2, entries=([sign for sign, _ in found], [words for _, words in found]))


def _draw_agent(
    axes: Axes, allocation: Allocation, shares: list[OperationShare], left: float, colour: str
) -> float:
    """Draws an agent's operations from the best on; returns where the next agent starts."""
    from matplotlib.patches import Polygon

    begin = left
    for share in sorted(shares, key=lambda share: share.roi, reverse=True):
        first = share.roi if allocation.risk_tolerance else 0.0
        gid = f"{share.agent_id}/{share.operation_type}"
        if not share.amount:
            axes.plot(
                left,
                first,
                marker="X",
                color=INK,
                markeredgecolor="white",
                markersize=8,
                clip_on=False,
                gid=gid,
            )
            continue
        right = left + float(share.amount)
        corners = [(left, 0.0), (left, first), (right, share.marginal), (right, 0.0)]
        hatch = "///" if share.reason == "floor" else None
        patch = Polygon(
            corners, facecolor=colour, alpha=0.75, edgecolor="white", linewidth=0.8, hatch=hatch, gid=gid
        )
        axes.add_patch(patch)
        if share.reason == "volume":
            axes.plot(
                [right, right],
                [allocation.price or 0, share.marginal],
                color=INK,
                linewidth=2.2,
                gid=f"cap-{gid}",
            )
        left = right
    if left - begin >= _LABEL_FROM * float(allocation.total_budget):
        agent = shares[0].agent_id
        label = f"{agent}\n{allocation[agent]:,.2f}".removesuffix(".00")
        axes.annotate(
            label,
            ((begin + left) / 2, 0),
            (0, 5),
            textcoords="offset points",
            ha="center",
            color="white",
            fontsize=8,
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.5},
        )
    axes.autoscale_view()
    return left

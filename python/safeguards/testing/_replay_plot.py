"""The picture of a replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from safeguards.testing.replay import Report

__all__ = ["plot_report"]


def plot_report(report: Report) -> Figure:
    """What was spent of each budget, the fullest accounts first; beside it what became of requests."""
    figure = Figure(figsize=(9, 4.5), layout="constrained", facecolor="white")
    spent, asked = figure.subplots(1, 2, width_ratios=(2, 1))
    agents = sorted(report.agents.values(), key=lambda books: -float(books.spent))
    budget = [float(books.budget) for books in agents]
    spent.bar(range(len(agents)), [float(books.spent) for books in agents], color="#4477aa", label="spent")
    spent.step(range(len(agents)), budget, where="mid", color="#aa3377", label="budget")
    spent.set(title=f"{report.trace}: agents", xlabel="agents, by what they spent", ylabel="amount")
    spent.legend()
    counts = {
        "admitted": report.admitted,
        **{f"refused:\n{reason}": n for reason, n in report.refused.items()},
    }
    bars = asked.barh(
        list(counts), list(counts.values()), color=["#228833", *["#ccbb44"] * (len(counts) - 1)]
    )
    asked.bar_label(bars, [f"{count:,}" for count in counts.values()], padding=2)
    asked.invert_yaxis()
    asked.set(title="requests", xlabel="number")
    asked.margins(x=0.25)
    return figure

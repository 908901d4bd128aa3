"""Draws the pictures of docs/cost_benefit.md: `python benches/cost_benefit_pictures.py`."""

from __future__ import annotations

from runpy import run_path

from matplotlib.figure import Figure

from drawing import ROOT, TEXT, write
from safeguards import Allocation, BudgetCoordinator, CostBenefitAllocator
from safeguards._figures import COLOURS, add_legend, new_axes
from safeguards.budget.cost_benefit.plots import plot_allocation

EXAMPLE = run_path(str(ROOT / "examples" / "best_models.py"))
BUDGETS, compare = EXAMPLE["BUDGETS"], EXAMPLE["compare"]

STYLES = {
    "volumes, tolerance 1": (COLOURS[0], "o"),
    "volumes, tolerance 0.5": (COLOURS[4], "s"),
    "no volumes, best tolerance": (COLOURS[1], "D"),
    "no volumes, tolerance 0.5": (COLOURS[5], "^"),
    "equal parts": (TEXT, "v"),
}


def a_team() -> Allocation:
    """The allocation that the page explains."""
    coordinator = BudgetCoordinator()
    team = coordinator.create_budget_pool("team", 1000)
    allocator = CostBenefitAllocator(coordinator)
    for agent in ("writer", "analyst", "tester", "helper"):
        coordinator.register_agent(agent, team)
    allocator.register_operation("writer", "translate", 5, 15, 0.2, max_volume=40)
    allocator.register_operation("writer", "summarise", 10, 25, 0.4)
    allocator.register_operation("writer", "rewrite", 10, 20, 0.1)
    allocator.register_operation("analyst", "analyse", 20, 50, 0.3)
    allocator.register_operation("tester", "run suite", 20, 10, 0.3)
    allocator.register_operation("helper", "answer", 5, 11, 0.3, max_volume=30)
    return allocator.optimize_allocation(1000, min_allocation_percentage=0.1, risk_tolerance=0.5)


def hindsight() -> Figure:
    """How near each way to split a budget comes to the optimum in hindsight."""
    found = {part: dict(compare(part)) for part in BUDGETS}
    figure, axes = new_axes(None)
    for name, (colour, marker) in STYLES.items():
        values = [found[part][name] for part in BUDGETS]
        axes.plot(BUDGETS, values, color=colour, marker=marker, markersize=5, label=name)
    axes.set_xscale("log")
    axes.set_xticks(BUDGETS, [f"{part:.0%}".replace("%", " %") for part in BUDGETS])
    axes.minorticks_off()
    axes.set_ylim(0, 1.04)
    axes.set_xlabel("Budget, as a part of what all cases on all models cost")
    axes.set_ylabel("Part of the optimum in hindsight")
    add_legend(axes, columns=1)
    return figure


if __name__ == "__main__":
    write(plot_allocation(a_team(), title="What a unit of money is worth where it went"), "cost_benefit")
    write(hindsight(), "cost_benefit_volumes")

"""How to split a budget among 51 real coding models, learnt on half of their cases, judged on the other half.

Each model worked on the same 225 cases of a public leaderboard; we know how many it passed and what that
cost. Here each model is an agent with one operation, a case. Half of its cases, drawn at random, tell what a
case costs and how often it is passed. With that a budget is split, and each model works on the other half
until its part of the budget or its cases are used up. What counts is how many cases are passed, as a share
of the most that the same money could have passed had everything been known: the optimum in hindsight.

More money than its cases cost is lost on a model. Who does not tell the allocator how many cases there are
(`max_volume`) can only spread the money by tolerating less risk.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from safeguards import BudgetCoordinator, CostBenefitAllocator

DATA = Path(__file__).parent / "data" / "aider_polyglot.csv"
BUDGETS = (0.01, 0.05, 0.1, 0.25, 0.5)
"""As parts of what it costs to let every model work on every case."""
TOLERANCES = (0.0, 0.01, 0.05, 0.1, 0.3, 0.5, 0.9, 1.0)
TRIALS = 20
VARIABILITY = 0.3


@dataclass(frozen=True)
class Models:
    """What the leaderboard tells of each model."""

    names: list[str]
    cases: NDArray[np.int64]
    passed: NDArray[np.int64]
    cost: NDArray[np.float64]
    """USD per case."""


def read() -> Models:
    """The runs whose cost was recorded."""
    with DATA.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if is_priced(row["total_cost_usd"])]
    cases = np.array([int(row["test_cases"]) for row in rows])
    return Models(
        [f"{row['model']} ({row['date']})" for row in rows],
        cases,
        np.array([int(row["passed"]) for row in rows]),
        np.array([float(row["total_cost_usd"]) for row in rows]) / cases,
    )


def is_priced(text: str) -> bool:
    """Whether a cost was recorded: the table has zeros, gaps and remarks."""
    return text.replace(".", "").isdigit() and float(text) > 0


class Trial:
    """One way to draw the cases by which models are judged beforehand, and a budget."""

    def __init__(self, models: Models, part: float, seed: int) -> None:
        self.models = models
        seen = models.cases // 2
        passed = np.random.default_rng(seed).hypergeometric(models.passed, models.cases - models.passed, seen)
        self.cases = models.cases - seen
        self.rate_before, self.rate = passed / seen, (models.passed - passed) / self.cases
        self.budget = round(part * float((models.cost * self.cases).sum()), 6)

    def allocate(self, *, volumes: bool, risk_tolerance: float) -> NDArray[np.float64]:
        """What the allocator gives each model, told how many cases there are or not."""
        coordinator = BudgetCoordinator()
        pool = coordinator.create_budget_pool("models", 0)
        allocator = CostBenefitAllocator(coordinator)
        for number, name in enumerate(self.models.names):
            allocator.register_operation(
                coordinator.register_agent(name, pool),
                "case",
                average_cost=f"{self.models.cost[number]:.9f}",
                average_benefit=f"{self.rate_before[number]:.9f}",
                benefit_variability=VARIABILITY,
                max_volume=int(self.cases[number]) if volumes else None,
            )
        amounts = allocator.optimize_allocation(f"{self.budget:.6f}", risk_tolerance=risk_tolerance)
        return np.array([float(amounts[name]) for name in self.models.names])

    def passed(self, amounts: NDArray[np.float64]) -> float:
        """How many cases are passed with these amounts."""
        return float((np.minimum(amounts / self.models.cost, self.cases) * self.rate).sum())

    def in_hindsight(self) -> float:
        """The most that can be passed: the models that turned out best first, until the money is spent."""
        order = np.argsort(-self.rate / self.models.cost)
        most = (self.models.cost * self.cases)[order]
        spent = np.clip(self.budget - (most.cumsum() - most), 0, most)
        amounts = np.zeros_like(spent)
        amounts[order] = spent
        return self.passed(amounts)


def compare(part: float) -> Iterator[tuple[str, float]]:
    """For each way to split a budget, the mean share of the optimum in hindsight."""
    models = read()
    trials = [Trial(models, part, seed) for seed in range(TRIALS)]

    def share(*, volumes: bool, risk_tolerance: float) -> float:
        split = {"volumes": volumes, "risk_tolerance": risk_tolerance}
        return float(
            np.mean([trial.passed(trial.allocate(**split)) / trial.in_hindsight() for trial in trials])
        )

    equal = np.ones(len(models.names)) / len(models.names)
    yield "equal parts", float(np.mean([t.passed(t.budget * equal) / t.in_hindsight() for t in trials]))
    blind = {tolerance: share(volumes=False, risk_tolerance=tolerance) for tolerance in TOLERANCES}
    yield "no volumes, tolerance 0.5", blind[0.5]
    yield "no volumes, best tolerance", max(blind.values())
    yield "volumes, tolerance 0.5", share(volumes=True, risk_tolerance=0.5)
    yield "volumes, tolerance 1", share(volumes=True, risk_tolerance=1.0)


def main() -> None:
    """Prints a table, and where a small budget goes."""
    shares = {part: dict(compare(part)) for part in BUDGETS}
    print(f"{'part of the optimum in hindsight':34}", *(f"{part:>7.0%}" for part in BUDGETS))
    for way in shares[BUDGETS[0]]:
        print(f"{way:34}", *(f"{shares[part][way]:7.2f}" for part in BUDGETS))
    trial = Trial(read(), BUDGETS[0], seed=0)
    amounts = trial.allocate(volumes=True, risk_tolerance=1.0)
    print(f"\n{trial.budget:.2f} USD, volumes, tolerance 1:")
    for number in np.argsort(-trial.rate_before / trial.models.cost)[: (amounts > 0).sum()]:
        cases = amounts[number] / trial.models.cost[number]
        print(f"  {amounts[number]:5.2f} USD, {cases:3.0f} cases: {trial.models.names[number]}")


if __name__ == "__main__":
    main()

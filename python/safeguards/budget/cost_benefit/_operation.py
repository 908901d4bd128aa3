"""What is known of an operation: what was registered, and what its outcomes have taught since."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safeguards.budget.cost_benefit._arguments import amount

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["Operation", "OperationEstimate"]


@dataclass(frozen=True, slots=True)
class OperationEstimate:
    """What is known of an operation of an agent.

    Attributes:
        agent_id: who does it.
        operation_type: what it is called.
        average_cost: what one costs, in money.
        average_benefit: what one brings.
        benefit_variability: standard deviation of the benefit of one, as a share of its average.
        max_volume: the most that make sense in a period; `None` without a limit.
        outcomes: how many real ones were recorded.
    """

    agent_id: str
    operation_type: str
    average_cost: Decimal
    average_benefit: Decimal
    benefit_variability: float
    max_volume: int | None
    outcomes: int

    @property
    def roi(self) -> float:
        """Return on investment: benefit per unit of money."""
        return float(self.average_benefit) / float(self.average_cost)

    @property
    def deviation(self) -> float:
        """Standard deviation of the return: `benefit_variability * roi`."""
        return self.benefit_variability * self.roi


class Operation:
    """Running averages of one operation, in units of 1e-9.

    What was registered counts as so many outcomes (`weight`), of which `benefit` and `variability` are the
    mean and the relative standard deviation: the conjugate prior of a normal mean and variance (Gelman et
    al., Bayesian Data Analysis, section 3.3), and the credibility n / (n + weight) of Bühlmann (1967). Sums
    are whole numbers, so that nothing is lost however many outcomes there are.
    """

    __slots__ = (
        "agent_id",
        "benefit",
        "benefits",
        "cap",
        "cost",
        "costs",
        "deviation",
        "max_volume",
        "operation_type",
        "outcomes",
        "roi",
        "squares",
        "variability",
        "weight",
    )

    def __init__(
        self,
        agent_id: str,
        operation_type: str,
        *,
        cost: int,
        benefit: int,
        variability: float,
        max_volume: int | None,
        weight: int,
    ) -> None:
        self.agent_id = agent_id
        self.operation_type = operation_type
        self.cost = cost
        self.benefit = benefit
        self.variability = variability
        self.max_volume = max_volume
        self.weight = weight
        self.outcomes = self.costs = self.benefits = self.squares = 0
        self._update()

    def record(self, cost: int, benefit: int) -> None:
        """Adds a real outcome."""
        self.outcomes += 1
        self.costs += cost
        self.benefits += benefit
        self.squares += benefit * benefit
        self._update()

    def estimate(self) -> OperationEstimate:
        """What is known now."""
        count = self.weight + self.outcomes
        return OperationEstimate(
            self.agent_id,
            self.operation_type,
            amount(self._total_cost() // count),
            amount(self._total_benefit() // count),
            self.deviation / self.roi if self.roi else 0.0,
            self.max_volume,
            self.outcomes,
        )

    def _total_cost(self) -> int:
        return self.weight * self.cost + self.costs

    def _total_benefit(self) -> int:
        return self.weight * self.benefit + self.benefits

    def _update(self) -> None:
        """What the optimiser reads: the return, its deviation, and the most money that can be used."""
        cost, count = self._total_cost(), self.weight + self.outcomes
        self.roi = self._total_benefit() / cost
        # The deviation of one benefit, divided by the average cost of one.
        self.deviation = math.sqrt(self._variance()) * count / cost
        self.cap = None if self.max_volume is None else cost * self.max_volume // count

    def _variance(self) -> float:
        """Variance of a benefit over the registered and the recorded ones together."""
        prior = self.weight * (self.variability * self.benefit) ** 2
        if not self.outcomes:
            return prior / self.weight
        count = self.weight + self.outcomes
        within = (self.outcomes * self.squares - self.benefits**2) / self.outcomes
        surprise = (self.benefits - self.outcomes * self.benefit) ** 2
        return (prior + within + self.weight * surprise / (self.outcomes * count)) / count

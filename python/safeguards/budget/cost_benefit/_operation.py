"""What is known of an operation: what was registered, and what its outcomes have taught since."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from safeguards._values.decimals import of_units
from safeguards.core._cell import Cell

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


class Known(NamedTuple):
    """What is known of an operation at one instant: sums over its outcomes, and what the optimiser reads.

    Attributes:
        outcomes: how many were recorded.
        costs: what they cost together.
        benefits: what they brought together.
        squares: the sum of the squares of what each brought.
        roi: the return.
        deviation: the standard deviation of the return.
        cap: the most money that can be used; `None` without a limit.
    """

    outcomes: int
    costs: int
    benefits: int
    squares: int
    roi: float
    deviation: float
    cap: int | None


class Operation:
    """Running averages of one operation, in units of 1e-9.

    What was registered counts as so many outcomes (`weight`), of which `benefit` and `variability` are the
    mean and the relative standard deviation: the conjugate prior of a normal mean and variance (Gelman et
    al., Bayesian Data Analysis, section 3.3), and the credibility n / (n + weight) of Bühlmann (1967). Sums
    are whole numbers, so that nothing is lost however many outcomes there are. Any thread may record.
    """

    __slots__ = (
        "_known",
        "agent_id",
        "benefit",
        "cost",
        "max_volume",
        "operation_type",
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
        self._known = Cell(self._made(0, 0, 0, 0))

    @property
    def known(self) -> Known:
        """What is known now."""
        return self._known.value

    def record(self, cost: int, benefit: int) -> None:
        """Adds a real outcome."""
        self._known.update(
            lambda known: self._made(
                known.outcomes + 1,
                known.costs + cost,
                known.benefits + benefit,
                known.squares + benefit * benefit,
            )
        )

    def estimate(self) -> OperationEstimate:
        """The averages now."""
        known = self.known
        count = self.weight + known.outcomes
        return OperationEstimate(
            self.agent_id,
            self.operation_type,
            of_units((self.weight * self.cost + known.costs) // count),
            of_units((self.weight * self.benefit + known.benefits) // count),
            known.deviation / known.roi if known.roi else 0.0,
            self.max_volume,
            known.outcomes,
        )

    def _made(self, outcomes: int, costs: int, benefits: int, squares: int) -> Known:
        cost, count = self.weight * self.cost + costs, self.weight + outcomes
        variance = self._variance(outcomes, benefits, squares)
        return Known(
            outcomes,
            costs,
            benefits,
            squares,
            roi=(self.weight * self.benefit + benefits) / cost,
            # The deviation of one benefit, divided by the average cost of one.
            deviation=math.sqrt(variance) * count / cost,
            cap=None if self.max_volume is None else cost * self.max_volume // count,
        )

    def _variance(self, outcomes: int, benefits: int, squares: int) -> float:
        """Variance of a benefit over the registered and the recorded ones together."""
        prior = self.weight * (self.variability * self.benefit) ** 2
        if not outcomes:
            return prior / self.weight
        count = self.weight + outcomes
        within = (outcomes * squares - benefits**2) / outcomes
        surprise = (benefits - outcomes * self.benefit) ** 2
        return (prior + within + self.weight * surprise / (outcomes * count)) / count

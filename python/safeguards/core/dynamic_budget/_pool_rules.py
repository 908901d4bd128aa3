"""How large a pool should be: the rules that live sizing and backtests share, in plain numbers."""

from __future__ import annotations

from array import array
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safeguards._values.arguments import one_of
from safeguards._values.numbers import share

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GROWTH_RATE", "KEPT", "SHRINK_RATE", "Comparison", "Policy", "SizingRule", "unmet_share"]

Policy = Literal["auto", "predictive", "step"]

GROWTH_RATE = 0.2
"""By how much the step rule grows a pool, if it is not told."""
SHRINK_RATE = 0.1
"""By how much the step rule shrinks a pool, if it is not told."""
KEPT = 0.02
"""What a forecast leaves a pool at least, as a share of its first size and of its largest demand of late:
from an empty pool nobody can spend, so nobody could see that it is wanted again."""

_RECENT = 336
"""Steps that rules are compared on: two weeks of hours."""
_ENOUGH = 72
"""Steps before they are compared at all: three days of hours."""
_AGAIN = 24
"""Steps from one comparison to the next."""
_BETTER = 0.95
"""Unmet demand that the forecast may leave, as a share of what the step rule leaves, to be preferred."""
_LEAST, _MOST = 0.02, 50.0
"""Sizes that the step rule's shadow keeps to, in means of the demand: as a pool has its bounds."""


@dataclass(frozen=True, slots=True)
class SizingRule:
    """How one pool is sized.

    Attributes:
        utilization_target: the share of a pool that should be used.
        growth_rate: the most that a pool grows by at once; None: 20 % by the step rule, any for a forecast.
        shrink_rate: the most that it shrinks by at once; None: 10 % by the step rule, any for a forecast.
        exhaustion_rate: how often a forecast may fall short; None: it is divided by the target instead.
        policy: which rule is in force.
    """

    utilization_target: float = 0.7
    growth_rate: float | None = None
    shrink_rate: float | None = None
    exhaustion_rate: float | None = None
    policy: Policy = "auto"

    def __post_init__(self) -> None:
        read = {"utilization_target": share("utilization_target", self.utilization_target, above=True)}
        for name in ("growth_rate", "shrink_rate", "exhaustion_rate"):
            value = getattr(self, name)
            if value is not None:
                read[name] = share(name, value, above=name == "exhaustion_rate")
        one_of("policy", self.policy, ("step", "predictive", "auto"))
        for name, value in read.items():
            object.__setattr__(self, name, value)

    def factor(self, utilization: float) -> float:
        """What the step rule multiplies the size of a pool by: the guide's rule.

        >>> [SizingRule().factor(utilization) for utilization in (0.8, 0.7, 0.6)]
        [1.2, 1.0, 0.9]
        """
        if utilization > self.utilization_target:
            return 1.0 + (GROWTH_RATE if self.growth_rate is None else self.growth_rate)
        if utilization < self.utilization_target:
            return 1.0 - (SHRINK_RATE if self.shrink_rate is None else self.shrink_rate)
        return 1.0

    @property
    def probability(self) -> float | None:
        """How surely a step's demand must fit; None if the forecast is divided by the target."""
        return None if self.exhaustion_rate is None else 1.0 - self.exhaustion_rate

    def need(self, expected: float) -> float:
        """What a step should be given, from its forecast, or from its quantile if there is a probability."""
        return expected / self.utilization_target if self.exhaustion_rate is None else expected

    def bounded(self, size: float, wanted: float) -> float:
        """The size that a pool gets if this one is wanted: growth and shrink bind if they were set."""
        if self.growth_rate is not None:
            wanted = min(wanted, size * (1.0 + self.growth_rate))
        if self.shrink_rate is not None:
            wanted = max(wanted, size * (1.0 - self.shrink_rate))
        return wanted


def unmet_share(demand: Sequence[float], sizes: Sequence[float], utilization: float) -> float:
    """The share of demand that does not fit, with sizes scaled so that their mean is demand / utilization.

    So scaled, two policies cost the same and differ only in when they give. 0 where nothing is wanted.

    >>> unmet_share([10, 30], [20, 20], 1.0), unmet_share([10, 30], [10, 30], 1.0)
    (0.25, 0.0)
    """
    import numpy as np

    demanded, sized = np.asarray(demand, float), np.asarray(sizes, float)
    wanted, given = float(demanded.sum()), float(sized.sum())
    if wanted <= 0:
        return 0.0
    if given <= 0:
        return 1.0
    scale = wanted / utilization / given
    return float(np.maximum(demanded - scale * sized, 0.0).sum()) / wanted


class Comparison:
    """The step rule and the forecast on the same demand, side by side, as if each had sized the pool alone.

    Args:
        rule: how the pool is sized.
    """

    def __init__(self, rule: SizingRule) -> None:
        self.rule = rule
        # Of late: what was wanted, what the step rule would have given, what the forecast would have.
        self._demand, self._by_step, self._by_forecast = array("d"), array("d"), array("d")
        self._step = self._predictive = 0.0
        self._seen, self._total = 0, 0.0
        self.is_forecast_better = False

    def add(self, demand: float, need: float) -> None:
        """Takes the demand of a step, and what the forecast would have given it before it was seen.

        A step of which either is unknown (NaN) does not count.
        """
        if not (demand >= 0 and need >= 0):
            return
        rule = self.rule
        self._predictive = rule.bounded(self._predictive, need) if self._predictive else need
        if self._step:
            self._note(demand)
        self._seen, self._total = self._seen + 1, self._total + demand
        mean = self._total / self._seen
        if mean > 0:
            size = self._step or mean / rule.utilization_target
            size *= rule.factor(min(demand, size) / size)
            self._step = min(max(size, _LEAST * mean), _MOST * mean)
        if len(self._demand) >= _ENOUGH and self._seen % _AGAIN == 0:
            self._compare()

    def copied(self) -> Comparison:
        """A copy that goes on by itself."""
        new = copy(self)
        vars(new).update(
            _demand=self._demand[:], _by_step=self._by_step[:], _by_forecast=self._by_forecast[:]
        )
        return new

    @property
    def largest(self) -> float:
        """The largest demand of late."""
        return max(self._demand, default=0.0)

    def _note(self, demand: float) -> None:
        columns = (self._demand, self._by_step, self._by_forecast)
        for column, value in zip(columns, (demand, self._step, self._predictive), strict=True):
            column.append(value)
            del column[:-_RECENT]

    def _compare(self) -> None:
        target = self.rule.utilization_target
        by_step = unmet_share(self._demand, self._by_step, target)
        by_forecast = unmet_share(self._demand, self._by_forecast, target)
        self.is_forecast_better = by_forecast < _BETTER * by_step

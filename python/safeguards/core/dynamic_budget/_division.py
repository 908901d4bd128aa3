"""By what rule a pool is divided, and the pool on the table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from safeguards._values.arguments import mapping, shown
from safeguards._values.decimals import subtract
from safeguards._values.numbers import number, share, whole
from safeguards.exceptions import ConfigurationError
from safeguards.types.decisions import Deal, Decision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    import numpy as np
    from numpy.typing import NDArray

    from safeguards._native import PoolMembers

    Figures = NDArray[np.float64]

__all__ = ["DEFAULT_WEIGHTS", "PIE", "RESERVE", "Rule", "Table", "boundless"]

DEFAULT_WEIGHTS: Final = {1: 0.2, 10: 2.0}
"""Priority / 5."""
PIE, RESERVE = "pie", "reserve"
"""Where the money of a decision comes from."""

_HIGHEST: Final = 10
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-9, 1e9


@dataclass(frozen=True, slots=True)
class Rule:
    """What `PriorityBasedReallocator.configure` was told.

    Attributes:
        floor: the least that an agent has, as a share of what its period began with.
        reserve: what is kept back, as a share of the pool.
        weights: how much each priority counts.

    Raises:
        ConfigurationError: one of them is out of its range.
    """

    floor: float
    reserve: float
    weights: Mapping[int, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "floor", share("min_budget_percentage", self.floor))
        object.__setattr__(self, "reserve", share("reserve_percentage", self.reserve))
        object.__setattr__(self, "weights", _checked_weights(self.weights))

    def weigh(self, priorities: Sequence[int] | NDArray[np.uint8]) -> Figures:
        """By priority; between the given ones in proportion, beyond them like the last one."""
        import numpy as np

        keys = sorted(self.weights)
        weights: Figures = np.interp(np.asarray(priorities), keys, [self.weights[key] for key in keys])
        return weights


class Table:
    """A pool whose agents wait for their parts."""

    def __init__(self, pool_id: str, members: PoolMembers, needs: Figures, rule: Rule) -> None:
        self.pool_id = pool_id
        self.members = members
        self.ids = members.ids
        self.needs = needs
        self.weights = rule.weigh(members.priorities)
        self.heaviest = float(self.weights.max())

    def part(self, row: int, old: Decimal, new: Decimal) -> Decision:
        """The part of an agent, if it is another one than it has."""
        need, weight = float(self.needs[row]), float(self.weights[row])
        figures = {"pool": self.pool_id, "from": PIE, "need": need, "weight": weight}
        change = Deal(subtract(new, old), self.pool_id)
        reason = _part_reason(need, weight, new)
        return Decision("agent", self.ids[row], old, new, reason, figures, change=change)

    def weight_first(self, part: tuple[int, Decimal, Decimal]) -> float:
        """Orders parts: of heavy agents first."""
        return -float(self.weights[part[0]])


def _part_reason(need: float, weight: float, new: Decimal) -> str:
    if math.isinf(need):
        return f"nothing is known of the needs: its part by weight {weight:g}"
    if float(new) >= need:
        return f"covers its need of {need:.6g}"
    return f"its part by weight {weight:g} of too little: it needs {need:.6g}"


def boundless(pool_id: str, members: PoolMembers) -> Figures:  # noqa: ARG001 - as `_needs`
    import numpy as np

    return np.full(len(members), np.inf)


def _checked_weights(weights: Mapping[int, float]) -> dict[int, float]:
    given = mapping("priority_weights", weights)
    if not given:
        raise ConfigurationError("priority_weights must not be empty: leave it out for priority / 5")
    return {
        whole("a priority of priority_weights", priority, 1, _HIGHEST): number(
            f"priority_weights[{shown(priority)}]", weight, _LEAST_WEIGHT, _MOST_WEIGHT
        )
        for priority, weight in given.items()
    }

"""The step rule of `AdaptivePoolSizer`, for many agents at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards.core.dynamic_budget._pool_rules import GROWTH_RATE, SHRINK_RATE, SizingRule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TARGET", "step_changes"]

TARGET = SizingRule().utilization_target


def step_changes(utilization: NDArray[np.float64]) -> NDArray[np.float64]:
    """Changes of budgets: +20 % above a utilization of 70 %, -10 % below it, nothing at it."""
    import numpy as np

    grown = np.where(utilization > TARGET, GROWTH_RATE, 0.0)
    return np.where(utilization < TARGET, -SHRINK_RATE, grown)

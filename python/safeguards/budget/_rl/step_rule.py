"""The guide's step rule, for many agents at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GROWTH", "SHRINK", "TARGET", "step_changes"]

TARGET, GROWTH, SHRINK = 0.7, 0.2, 0.1


def step_changes(utilization: NDArray[np.float64]) -> NDArray[np.float64]:
    """Changes of budgets: +20 % above a utilization of 70 %, else -10 %; nothing where it is exactly that."""
    import numpy as np

    return np.where(utilization > TARGET, GROWTH, np.where(utilization < TARGET, -SHRINK, 0.0))

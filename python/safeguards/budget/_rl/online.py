"""Small steps between trainings: what really came of each decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from safeguards._native import QTable
    from safeguards.budget._rl.rewards import Reward

    Floats = NDArray[np.float64]
    Places = tuple[NDArray[np.int64], Floats, Floats]

__all__ = ["Move", "learn"]


class Move(NamedTuple):
    """A learned change, until it is known what came of it.

    Attributes:
        kind: of demand.
        share: place on the axis of forecasts.
        budget: place on the axis of budgets.
        action: number of the change.
        state: what the reward function is told of before.
        told: what it is told of the change.
    """

    kind: int
    share: float
    budget: float
    action: int
    state: dict[str, float]
    told: dict[str, float]


def learn(
    table: QTable,
    reward: Reward,
    moves: Sequence[Move],
    states: Sequence[dict[str, float]],
    there: Places,
    *,
    learning_rate: float,
    discount: float,
) -> None:
    """Moves values towards what came of moves: the states after them, and where those lie in the table.

    Raises:
        RewardError: the reward function failed. Nothing was learnt.
    """
    import numpy as np

    told = ([move.state for move in moves], [move.told for move in moves], states)
    rewards = reward(*(_columns(rows) for rows in told))[:, 0]
    here = (
        np.array([move.kind for move in moves], np.int64),
        np.array([move.share for move in moves]),
        np.array([move.budget for move in moves]),
    )
    actions = np.array([move.action for move in moves], np.int64)
    table.update(here, actions, rewards, there, learning_rate, discount)


def _columns(rows: Sequence[dict[str, float]]) -> dict[str, Floats]:
    import numpy as np

    return {name: np.array([[row[name]] for row in rows]) for name in rows[0]}

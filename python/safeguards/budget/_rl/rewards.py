"""What an interval was worth: the guide's reward with its weights, or any function of one's own."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

from safeguards._values.arguments import flag, shown
from safeguards._values.arrays import array
from safeguards._values.numbers import number
from safeguards.exceptions import ConfigurationError, RewardError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Columns = Mapping[str, NDArray[np.float64]]

__all__ = ["Reward", "RewardFunction", "RewardWeights"]


class RewardFunction(Protocol):
    """A function of the state before, the action, and the state after."""

    def __call__(
        self, state: Mapping[str, Any], action: Mapping[str, Any], next_state: Mapping[str, Any], /
    ) -> Any: ...


_MOST_WEIGHT = 1e100


@dataclass(frozen=True, slots=True)
class RewardWeights:
    """The guide's reward, with weights to choose. It is computed for all transitions at once.

    Attributes:
        utilization: for the share of the budget that was used.
        exhaustion: if the budget refused something.
        completed_task: for each debit or settlement.
        change: for each unit by which the budget was changed, up or down.

    Example:
        >>> reward = RewardWeights()
        >>> state, action = {}, {"budget_change": -5.0}
        >>> reward(state, action, {"utilization": 0.5, "exhausted": 0.0, "completed_tasks": 3.0})
        54.5
    """

    utilization: float = 50.0
    exhaustion: float = -100.0
    completed_task: float = 10.0
    change: float = -0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = number(field.name, getattr(self, field.name), -_MOST_WEIGHT, _MOST_WEIGHT)
            object.__setattr__(self, field.name, value)

    def __call__(
        self,
        state: Mapping[str, Any],  # noqa: ARG002 - it depends on what happened only
        action: Mapping[str, Any],
        next_state: Mapping[str, Any],
        /,
    ) -> Any:
        """The reward of one transition, or of many whose values are arrays."""
        return (
            self.utilization * next_state["utilization"]
            + self.exhaustion * next_state["exhausted"]
            + self.completed_task * next_state["completed_tasks"]
            + self.change * abs(action["budget_change"])
        )


class Reward:
    """A reward function that is called for many transitions, and whose answers are checked.

    Args:
        function: takes state, action and next state, each a dictionary of floats.
        vectorized: it takes dictionaries of arrays instead, and returns an array.
    """

    def __init__(self, function: RewardFunction, *, vectorized: bool = False) -> None:
        if not callable(function):
            raise ConfigurationError(
                f"reward_function must take state, action and next state: {shown(function)} cannot be called"
            )
        self.function = function
        self.is_vectorized = flag("vectorized", vectorized) or isinstance(function, RewardWeights)

    def __call__(self, state: Columns, action: Columns, next_state: Columns) -> NDArray[np.float64]:
        """The rewards of n states under k actions, of shape (n, k).

        Args:
            state: columns of shape (n, 1).
            action: columns of shape (n, k).
            next_state: columns of shape (n, 1) or (n, k).

        Raises:
            RewardError: the function raised, or returned what is no finite number.
        """
        import numpy as np

        shape = action["budget_change"].shape
        if self.is_vectorized:
            wide = [
                {name: np.broadcast_to(column, shape) for name, column in columns.items()}
                for columns in (state, action, next_state)
            ]
            rewards = self._called(wide, shape)
        else:
            rewards = np.array(self._one_by_one(state, action, next_state, shape), np.float64).reshape(shape)
        if not np.isfinite(rewards).all():
            place = divmod(int(np.argmin(np.isfinite(rewards))), shape[1])
            parts = [_at(columns, place) for columns in (state, action, next_state)]
            raise _refusal(f"returned {rewards[place]}", parts, float(rewards[place]))
        return rewards

    def _called(self, wide: Sequence[Columns], shape: tuple[int, ...]) -> NDArray[np.float64]:
        import numpy as np

        try:
            given = np.asarray(array("the rewards", self.function(*wide)), np.float64)
            return np.array(np.broadcast_to(given, shape))
        except Exception as error:
            if not shape[0]:
                return np.zeros(shape)
            parts = [_at(columns, (0, 0)) for columns in wide]
            raise _refusal(f"failed on arrays ({type(error).__name__}: {error})", parts) from error

    def _one_by_one(
        self, state: Columns, action: Columns, next_state: Columns, shape: tuple[int, ...]
    ) -> list[float]:
        states = _rows(state)
        common = _rows({name: column for name, column in next_state.items() if column.shape[1] == 1})
        own = {name: column for name, column in next_state.items() if column.shape[1] > 1}
        actions, outcomes = _cells(action, shape), _cells(own, shape)
        function, width = self.function, shape[1]
        rewards: list[float] = []
        try:
            for place, (done, outcome) in enumerate(zip(actions, outcomes, strict=True)):
                row = place // width
                rewards.append(float(function(states[row], done, common[row] | outcome)))
        except Exception as error:
            row = len(rewards) // width
            where = divmod(len(rewards), width)
            parts = [states[row], _at(action, where), common[row] | _at(own, where)]
            raise _refusal(f"raised {type(error).__name__}: {error}", parts) from error
        return rewards


def _rows(columns: Columns) -> list[dict[str, float]]:
    """Columns of width 1 as one dictionary for each row."""
    names = tuple(columns)
    lists = [column[:, 0].tolist() for column in columns.values()]
    return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]


def _cells(columns: Columns, shape: tuple[int, ...]) -> list[dict[str, float]]:
    """Columns as one dictionary for each cell, row by row."""
    import numpy as np

    names = tuple(columns)
    lists = [np.broadcast_to(column, shape).ravel().tolist() for column in columns.values()]
    if not lists:
        return [{} for _ in range(shape[0] * shape[1])]
    return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]


def _at(columns: Columns, place: tuple[int, ...]) -> dict[str, float]:
    return {name: float(c[place[0], place[1] if c.shape[1] > 1 else 0]) for name, c in columns.items()}


def _refusal(what: str, parts: Sequence[Mapping[str, float]], value: float | None = None) -> RewardError:
    state, action, next_state = (dict(part) for part in parts)
    return RewardError(
        f"the reward function {what}, for state {state}, action {action}, next state {next_state}; "
        "it must return a finite number for every transition",
        state=state,
        action=action,
        next_state=next_state,
        value=None if value is None or math.isnan(value) else value,
    )

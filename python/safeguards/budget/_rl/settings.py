"""What a user sets: the reward, the features, how far and how fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safeguards._values.arguments import items, shown
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from safeguards.budget._rl.rewards import Reward

    CustomFeature = Callable[[str, datetime], float]

__all__ = ["ALWAYS", "FEATURES", "Settings", "feature_names", "feature_value"]

FEATURES = (
    "time_of_day",
    "day_of_week",
    "agent_priority",
    "recent_usage",
    "remaining_budget_percentage",
    "utilization",
    "exhausted",
    "completed_tasks",
)
ALWAYS = ("utilization", "exhausted", "completed_tasks")
"""What every reward function is told: the guide's reads them."""

_ACTIONS = 7
_MOST_CUSTOM = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """How training is done.

    Attributes:
        reward: what an interval was worth.
        state_features: what the reward function is told.
        custom: features of one's own, by name.
        sweeps: of Q-iteration, at most.
        discount: what the next interval's reward is worth.
        max_change: the most that a budget changes at a time, as a share of it.
        seed: of the situations that are looked at.
    """

    reward: Reward
    state_features: tuple[str, ...] = FEATURES[:5]
    custom: Mapping[str, CustomFeature] = field(default_factory=dict[str, "CustomFeature"])
    sweeps: int = 1000
    discount: float = 0.9
    max_change: float = 0.3
    seed: int = 0

    @property
    def changes(self) -> tuple[float, ...]:
        """The actions, as shares of a budget: even steps from the most down to the most up."""
        half = _ACTIONS // 2
        return tuple(round(self.max_change * step / half, 12) for step in range(-half, half + 1))


def feature_value(name: str, feature: CustomFeature, agent: str, at: datetime) -> float:
    """A custom feature's value.

    Raises:
        ConfigurationError: it raised, or is no finite number.
    """
    try:
        value = float(feature(agent, at))
    except Exception as error:
        raise ConfigurationError(
            f"the feature {name!r} raised {type(error).__name__} for agent {agent!r} at {at}: {error}"
        ) from error
    if not abs(value) < float("inf"):
        raise ConfigurationError(f"the feature {name!r} is {value} for agent {agent!r} at {at}")
    return value


def feature_names(names: Sequence[str], custom: Mapping[str, CustomFeature]) -> tuple[str, ...]:
    """The names of all features, each once.

    Raises:
        ConfigurationError: a name is unknown, or a custom feature cannot be used.
    """
    names = items("state_features", names, "names")
    unknown = [name for name in names if name not in FEATURES and name not in custom]
    if unknown:
        raise ConfigurationError(
            f"unknown state feature {shown(unknown[0])}: there are {', '.join(FEATURES)}; "
            "give one of your own in custom_features"
        )
    taken = [name for name in custom if name in FEATURES]
    if taken:
        raise ConfigurationError(f"the custom feature {taken[0]!r} has the name of a feature that there is")
    wrong = [name for name, feature in custom.items() if not callable(feature)]
    if wrong:
        raise ConfigurationError(f"the custom feature {wrong[0]!r} cannot be called with agent id and time")
    if len(custom) > _MOST_CUSTOM:
        raise ConfigurationError(f"at most {_MOST_CUSTOM} custom features, not {len(custom)}")
    return tuple(dict.fromkeys((*names, *custom)))

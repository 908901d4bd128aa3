"""The problem of `BudgetRLOptimizer` as a gymnasium environment, for people who train with other libraries.

Needs the extra `rl`. Stable-Baselines3, for one, trains on it as it is::

    from stable_baselines3 import DQN
    from safeguards.backtest import Demand
    from safeguards.integrations.gymnasium import BudgetEnv

    model = DQN("MlpPolicy", BudgetEnv(Demand.read_csv("demand.csv")))
    model.learn(100_000)
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy and gymnasium leave parts of their annotations open.

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from safeguards._extras import require
from safeguards._values.arguments import instance, mapping, shown
from safeguards._values.numbers import share, whole
from safeguards.backtest.demand import Demand
from safeguards.budget._rl.history import History
from safeguards.budget._rl.rewards import Reward, RewardWeights
from safeguards.budget._rl.settings import Settings
from safeguards.budget._rl.training import START, WARM_UP, Fleet, Training, next_budgets
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from safeguards.budget._rl.rewards import RewardFunction

require("gymnasium", "rl")

import gymnasium  # noqa: E402 - what it would raise says nothing of the extra

__all__ = ["BudgetEnv"]

_HOUR = 3600.0
_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
_LOW = np.array([-5.0, -7.0, 0.0, 0.0, 0.0, -1.0, -1.0, 0.0], np.float32)
_HIGH = np.array([5.0, 3.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0], np.float32)


class BudgetEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """The budget of one agent, hour by hour, on recorded demand that does not depend on it.

    An episode follows one agent, drawn at random, through `episode_hours` consecutive hours; it is truncated
    at their end and never terminates. The budget begins at 1.4 times the agent's mean hour.

    Actions are numbers of changes of the budget: with a `max_change` of 0.3, 0 to 6 are -30 %, -20 %, -10 %,
    0, +10 %, +20 %, +30 %. An observation has, as float32: the logarithms of budget / need, of the forecast
    as a share of the day's peak, and of the spread, all three as `BudgetRLOptimizer` sees them; utilization
    and exhaustion (0 or 1) of the hour before; sine and cosine of the time of day; the day of the week / 6.
    Hour 0 of the record is Monday, 0:00.

    Args:
        demand: what agents wanted, in full. Each counts in units of its mean hour; such a unit is one task.
        reward_function: as of `BudgetRLOptimizer.configure`; the guide's reward if not given.
        max_change: the most that the budget changes at a time, as a share of it.
        episode_hours: the length of an episode.

    Raises:
        MissingExtraError: gymnasium is not installed.
        ConfigurationError: `max_change` is not from 0 to 1, `episode_hours` is below 1, no agent has any
            demand, or the record is shorter than a day and an episode.

    Example:
        >>> import numpy as np
        >>> from safeguards.backtest import Demand
        >>> day = np.where(np.arange(24) < 8, 1.0, 10.0)
        >>> env = BudgetEnv(Demand(("office",), np.tile(day, 14)[None]), episode_hours=24)
        >>> observation, info = env.reset(seed=1)
        >>> observation, reward, terminated, truncated, info = env.step(3)  # the budget stays
        >>> info["agent"], int(env.action_space.n), observation.shape
        ('office', 7, (8,))
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - as gymnasium wants it

    def __init__(
        self,
        demand: Demand,
        *,
        reward_function: RewardFunction | None = None,
        max_change: float = 0.3,
        episode_hours: int = 168,
    ) -> None:
        settings = Settings(
            Reward(RewardWeights() if reward_function is None else reward_function),
            max_change=share("max_change", max_change),
        )
        instance("demand", demand, Demand)
        episode_hours = whole("episode_hours", episode_hours, 1)
        if demand.hours < WARM_UP + episode_hours + 1:
            raise ConfigurationError(
                f"{demand.hours} hours are too few: it takes a day and {episode_hours + 1} hours"
            )
        mean = demand.cost.mean(axis=1)
        self._agents = [name for name, cost in zip(demand.agents, mean, strict=True) if cost > 0]
        if not self._agents:
            raise ConfigurationError("no agent has any demand")
        units = demand.cost[mean > 0] / mean[mean > 0, None]
        fleet = Fleet(self._agents, np.full(len(units), 5.0), _MONDAY, _HOUR)
        self._training = Training(_history(self._agents, units), fleet, settings)
        self._settings, self._episode_hours, self._hours = settings, episode_hours, demand.hours
        self._agent = self._hour = self._end = 0
        self._budget = START
        self.action_space = gymnasium.spaces.Discrete(len(settings.changes))
        self.observation_space = gymnasium.spaces.Box(_LOW, _HIGH, dtype=np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins an episode. `options` may name an `"agent"` and the `"hour"` that it begins with."""
        super().reset(seed=None if seed is None else whole("seed", seed, 0))
        options = {} if options is None else mapping("options", options)
        first, last = WARM_UP, self._hours - self._episode_hours - 1
        agent = int(self.np_random.integers(len(self._agents)))
        hour = int(self.np_random.integers(first, last + 1))
        if "agent" in options and options["agent"] not in self._agents:
            raise ConfigurationError(f"no agent {shown(options['agent'])} with demand")
        self._agent = self._agents.index(options["agent"]) if "agent" in options else agent
        self._hour = whole("hour", options.get("hour", hour), first, last)
        self._end = self._hour + self._episode_hours
        self._budget = START
        return self._observation(), self._info()

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Changes the budget and lets an hour pass.

        Returns:
            Observation, reward, False, whether the episode is over, and agent, hour and budget.

        Raises:
            RewardError: the reward function failed.
        """
        change = np.array(
            [self._settings.changes[whole("action", action, 0, len(self._settings.changes) - 1)]]
        )
        before = np.array([self._budget])
        after = next_budgets(before, change, np.ones(1), self._settings.max_change)
        agent, hour = np.array([self._agent]), np.array([self._hour])
        told = self._training.transition(agent, hour, before, after[:, None])
        reward = float(self._settings.reward(*told)[0, 0])
        self._budget, self._hour = float(after[0]), self._hour + 1
        return self._observation(), reward, False, self._hour >= self._end, self._info()

    def _observation(self) -> NDArray[np.float32]:
        recording, agent, hour = self._training.recording, self._agent, self._hour
        outlook = [part[agent, hour] for part in recording.outlook]
        wanted = recording.demand[agent, hour - 1]
        day = 2 * np.pi * (hour % 24) / 24
        seen = (
            np.log(self._budget / outlook[0]),
            np.log(outlook[1]),
            np.log(outlook[2]),
            min(wanted / self._budget, 1.0),
            float(wanted > self._budget),
            np.sin(day),
            np.cos(day),
            hour // 24 % 7 / 6,
        )
        return np.clip(np.array(seen, np.float32), _LOW, _HIGH)

    def _info(self) -> dict[str, Any]:
        return {"agent": self._agents[self._agent], "hour": self._hour, "budget": self._budget}


def _history(agents: list[str], units: NDArray[np.float64]) -> Any:
    history = History(_HOUR, kept=units.shape[1])
    history.keep(agents)
    for column in units.T:
        history.observe(column, np.full(len(agents), np.nan), np.zeros(len(agents), np.bool_))
    return history.recording()

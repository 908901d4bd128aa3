"""From a recorded history to a policy, and the days on which it has to prove itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from safeguards._values import time_zones
from safeguards.budget._rl.history import Outlook
from safeguards.budget._rl.policy import BudgetPolicy, Kinds, PolicyEvaluation, new_table, places
from safeguards.budget._rl.settings import ALWAYS, feature_value
from safeguards.budget._rl.step_rule import step_changes
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from safeguards.budget._rl.history import Recording
    from safeguards.budget._rl.settings import Settings

    Floats = NDArray[np.float64]

__all__ = ["ENOUGH", "START", "WARM_UP", "Fleet", "Training", "next_budgets", "outcome"]

ENOUGH = 96
"""Intervals that training needs: four days of hours."""
LEAST, MOST = 0.1, 20.0
"""Budgets that are learnt about, as multiples of the agent's mean demand; learned changes lead no further."""
START = 1.4
"""The budget that comparisons begin with, as a multiple of the mean demand."""

_POINTS, _SLOW_POINTS = 160_000, 100_000
"""Situations that are learnt from, at most; fewer if a Python function is called for each."""
_PER_INTERVAL = (2, 96)
WARM_UP = 24
"""Intervals at the beginning that say little: nothing was known when they came."""
_HELD_OUT = 0.25
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Whose history it is, and when it was.

    Attributes:
        agents: ids, in the order of the history.
        priorities: 1 to 10, of each.
        end: when the last interval ended, aware.
        interval_seconds: the length of an interval.
    """

    agents: Sequence[str]
    priorities: Floats
    end: datetime
    interval_seconds: float

    def starts(self, intervals: int) -> list[datetime]:
        """When each interval began, and the end of the last one; in local time."""
        time_zones.check_local()
        step = timedelta(seconds=self.interval_seconds)
        return [(self.end - step * (intervals - n)).astimezone() for n in range(intervals + 1)]


def next_budgets(budgets: Floats, changes: Floats, scale: Floats, max_change: float) -> Floats:
    """Budgets after a change: within what is learnt about, and never changed by more than the most."""
    import numpy as np

    wanted = np.clip(budgets * (1.0 + changes), LEAST * scale, MOST * scale)
    return np.clip(wanted, budgets * (1.0 - max_change), budgets * (1.0 + max_change))


def outcome(demand: Floats, tasks: Floats, budgets: Floats) -> dict[str, Floats]:
    """What an interval comes to: how budgets meet demand."""
    import numpy as np

    spent = np.minimum(demand, budgets)
    used = spent / budgets
    met = np.divide(spent, demand, out=np.ones_like(spent), where=np.broadcast_to(demand > 0, spent.shape))
    return {
        "utilization": used,
        "exhausted": (demand > budgets).astype(np.float64),
        "completed_tasks": tasks * met,
        "recent_usage": spent,
        "remaining_budget_percentage": 1.0 - used,
    }


class Training:
    """One training on one history.

    Args:
        recording: what was seen. It is not changed.
        fleet: whose it is.
        settings: how.
    """

    def __init__(self, recording: Recording, fleet: Fleet, settings: Settings) -> None:
        self.recording = recording
        self.fleet = fleet
        self.settings = settings
        self._calendar = self._features_of_time()
        self._custom = {name: self._values_of(name) for name in settings.custom}

    def run(self) -> BudgetPolicy:
        """Learns from everything, after it was tried on held-out days.

        Raises:
            RewardError: the reward function failed.
            ConfigurationError: too little is known, or a custom feature failed.
        """
        intervals = self.recording.intervals
        if intervals < ENOUGH:
            raise ConfigurationError(
                f"training needs a history of {ENOUGH} intervals; {intervals} are known: "
                "load a history, or wait"
            )
        held_out = self._held_out(intervals)
        first = self.fit(intervals - held_out)
        evaluation = self.evaluate(first, intervals - held_out)
        return replace(self.fit(intervals), evaluation=evaluation, trained=self.fleet.end)

    def _held_out(self, intervals: int) -> int:
        """About a quarter of the history, in whole days if it has four."""
        per_day = max(1, round(_DAY / self.fleet.interval_seconds))
        quarter = intervals * _HELD_OUT
        return round(quarter / per_day) * per_day or round(quarter)

    # What is learnt from.

    def fit(self, end: int) -> BudgetPolicy:
        """What the first `end` intervals teach."""
        import numpy as np

        settings, recording = self.settings, self.recording.until(end)
        kinds = self._kinds(recording)
        agents, hours = self._known(recording)
        agents, hours, budgets = self._situations(agents, hours, recording.scale)
        changes = np.array(settings.changes)
        scale = recording.scale[agents, None]
        after = next_budgets(budgets[:, None], changes[None, :], scale, settings.max_change)
        rewards = settings.reward(*self.transition(agents, hours, budgets, after))
        table = new_table(kinds, len(changes))
        numbers = self._numbers(kinds)
        here, there = _at(recording.outlook, agents, hours), _at(recording.outlook, agents, hours + 1)
        place = places(budgets, here, numbers[agents, hours])
        next_kind, next_share, next_budget = places(after, _column(there), numbers[agents, hours + 1])
        sweeps = table.fit(
            place, rewards, next_kind, next_share[:, 0], next_budget, settings.discount, settings.sweeps
        )
        return BudgetPolicy(
            state_features=settings.state_features,
            changes=settings.changes,
            kinds=kinds,
            discount_factor=settings.discount,
            intervals=len(np.unique(agents * recording.intervals + hours)),
            sweeps=sweeps,
            table=table,
        )

    def _kinds(self, recording: Recording) -> Kinds:
        import numpy as np

        is_known = np.isfinite(recording.outlook.spread)
        spreads = _bounds(recording.outlook.spread[is_known], (1 / 3, 2 / 3))
        end = recording.intervals
        custom = {name: _bounds(values[:, :end].ravel(), (0.5,)) for name, values in self._custom.items()}
        by_priority = "agent_priority" in self.settings.state_features
        bands = np.digitize(self.fleet.priorities, [4, 8])
        return Kinds(spreads, by_priority and len(np.unique(bands)) > 1, custom)

    def _numbers(self, kinds: Kinds) -> NDArray[np.int64]:
        """The kind of each interval of each agent."""
        import numpy as np

        spread = self.recording.outlook.spread
        priority = np.broadcast_to(self.fleet.priorities[:, None], spread.shape)
        custom = {name: values[:, : spread.shape[1]] for name, values in self._custom.items()}
        return kinds.of(spread, priority, custom)

    def _known(self, recording: Recording) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Agents and intervals of which everything is known, and of the interval before and after."""
        import numpy as np

        is_known = np.isfinite(recording.demand) & np.isfinite(recording.outlook.need)
        is_known &= recording.scale[:, None] > 0
        usable = is_known[:, 1:-1] & is_known[:, 2:] & np.isfinite(recording.demand[:, :-2])
        usable[:, : WARM_UP - 1] = False
        agents, hours = np.nonzero(usable)
        if not len(agents):
            raise ConfigurationError(
                "there is nothing to learn from: no agent spent anything, or hardly ever"
            )
        return agents, hours + 1

    def _situations(
        self, agents: NDArray[np.int64], hours: NDArray[np.int64], scale: Floats
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
        """Budgets to look at in each interval: drawn evenly by ratio, one from each of equal ranges."""
        import numpy as np

        draws = np.random.default_rng(self.settings.seed)
        most = _POINTS if self.settings.reward.is_vectorized else _SLOW_POINTS
        each = int(np.clip(most // len(agents), *_PER_INTERVAL))
        if len(agents) * each > most:
            chosen = np.sort(draws.choice(len(agents), most // each, replace=False))
            agents, hours = agents[chosen], hours[chosen]
        place = (np.arange(each) + draws.random((len(agents), each))) / each
        budgets = LEAST * (MOST / LEAST) ** place * scale[agents, None]
        return np.repeat(agents, each), np.repeat(hours, each), budgets.ravel()

    # What a reward function is told.

    def transition(
        self, agents: NDArray[np.int64], hours: NDArray[np.int64], budgets: Floats, after: Floats
    ) -> tuple[dict[str, Floats], dict[str, Floats], dict[str, Floats]]:
        """State, action and next state of n budgets under k changes, as columns of width 1 or k."""
        demand, tasks = self.recording.demand, self.recording.tasks
        before = outcome(demand[agents, hours - 1, None], tasks[agents, hours - 1, None], budgets[:, None])
        then = outcome(demand[agents, hours, None], tasks[agents, hours, None], after)
        action = {
            "budget_change": after - budgets[:, None],
            "budget_change_percentage": after / budgets[:, None] - 1.0,
        }
        return self._state(agents, hours, before), action, self._state(agents, hours + 1, then)

    def _state(
        self, agents: NDArray[np.int64], hours: NDArray[np.int64], seen: dict[str, Floats]
    ) -> dict[str, Floats]:
        values = {
            **{name: column[hours, None] for name, column in self._calendar.items()},
            "agent_priority": self.fleet.priorities[agents, None],
            **seen,
            **{name: column[agents, hours][:, None] for name, column in self._custom.items()},
        }
        names = dict.fromkeys((*self.settings.state_features, *ALWAYS, *self._custom))
        return {name: values[name] for name in names}

    def _features_of_time(self) -> dict[str, Floats]:
        import numpy as np

        starts = self.fleet.starts(self.recording.intervals)
        hours = [start.hour + start.minute / 60 + start.second / 3600 for start in starts]
        days = [float(start.weekday()) for start in starts]
        return {"time_of_day": np.array(hours), "day_of_week": np.array(days)}

    def _values_of(self, name: str) -> Floats:
        import numpy as np

        starts = self.fleet.starts(self.recording.intervals)
        feature = self.settings.custom[name]
        return np.array(
            [[feature_value(name, feature, agent, at) for at in starts] for agent in self.fleet.agents]
        )

    # The held-out days.

    def evaluate(self, policy: BudgetPolicy, begin: int) -> PolicyEvaluation:
        """Lets the policy, the step rule and budgets that stay as they are compete from `begin` on."""
        import numpy as np

        numbers, outlook = self._numbers(policy.kinds), self.recording.outlook
        changes = np.array(policy.changes)
        scale = self.recording.until(begin).scale

        def learned(hour: int, budgets: Floats, used: Floats) -> Floats:
            expected = Outlook(*(part[:, hour] for part in outlook))
            is_known = np.isfinite(expected.need) & (budgets > 0)
            known = Outlook(*(part[is_known] for part in expected))
            change = step_changes(used)
            change[is_known] = changes[policy.best(budgets[is_known], known, numbers[is_known, hour])]
            return change

        def step(_hour: int, _budgets: Floats, used: Floats) -> Floats:
            return step_changes(used)

        def nothing(_hour: int, budgets: Floats, _used: Floats) -> Floats:
            return np.zeros(len(budgets))

        results = [self._compete(rule, begin, scale) for rule in (learned, step, nothing)]
        gain = _by_day(results[0] - results[1], self.fleet.interval_seconds)
        error = float(np.std(gain, ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else float("inf")
        means = [float(np.nanmean(result)) for result in results]
        return PolicyEvaluation(means[0], means[1], means[2], self.recording.intervals - begin, error)

    def _compete(self, rule: Callable[[int, Floats, Floats], Floats], begin: int, scale: Floats) -> Floats:
        """Rewards of each agent in each held-out interval; NaN where demand is unknown."""
        import numpy as np

        recording, settings = self.recording, self.settings
        budgets = START * scale
        agents = np.flatnonzero(scale > 0)
        used = np.full(len(scale), 0.7)
        rewards = np.full((len(scale), recording.intervals - begin), np.nan)
        for hour in range(begin, recording.intervals):
            change = np.clip(rule(hour, budgets, used), -settings.max_change, settings.max_change)
            after = next_budgets(budgets, change, scale, settings.max_change)
            here = agents[
                np.isfinite(recording.demand[agents, hour]) & np.isfinite(recording.demand[agents, hour - 1])
            ]
            if len(here):
                told = self.transition(here, np.full(len(here), hour), budgets[here], after[here, None])
                rewards[here, hour - begin] = settings.reward(*told)[:, 0]
                used[here] = told[2]["utilization"][:, 0]
            budgets = after
        return rewards


def _bounds(values: Floats, levels: Sequence[float]) -> tuple[float, ...]:
    """Quantiles that split values into parts which are not empty."""
    import numpy as np

    if not len(values):
        return ()
    found = np.unique(np.quantile(values, levels))
    return tuple(float(bound) for bound in found if values.min() < bound)


def _at(outlook: Outlook, agents: NDArray[np.int64], hours: NDArray[np.int64]) -> Outlook:
    return Outlook(*(part[agents, hours] for part in outlook))


def _column(outlook: Outlook) -> Outlook:
    return Outlook(*(part[:, None] for part in outlook))


def _by_day(gain: Floats, interval_seconds: float) -> Floats:
    """Mean gain of each agent on each day; days of which nothing is known are left out."""
    import numpy as np

    per_day = max(1, min(round(_DAY / interval_seconds), gain.shape[1]))
    days = [gain[:, begin : begin + per_day] for begin in range(0, gain.shape[1] - per_day + 1, per_day)]
    is_known = [np.isfinite(day).any(axis=1) for day in days]
    means = [np.nanmean(day[known], axis=1) for day, known in zip(days, is_known, strict=True)]
    return np.concatenate(means) if means else np.zeros(0)

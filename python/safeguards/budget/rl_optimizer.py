"""`BudgetRLOptimizer`: budgets of agents that follow a policy learnt from their own history."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from safeguards._native import ManualClock
from safeguards._values import time_zones
from safeguards._values.arguments import instance, mapping
from safeguards._values.decimals import (
    NOTHING,
    ROUND_CEILING,
    ROUND_FLOOR,
    add,
    of_float,
    plain,
    ratio,
    rounded,
    subtract,
    times,
)
from safeguards._values.numbers import LONGEST, MAX_SEED, SHORTEST, number, share, whole
from safeguards.budget._rl.history import Outlook, loaded_points
from safeguards.budget._rl.online import Move, learn
from safeguards.budget._rl.past import Interval, Look, Past
from safeguards.budget._rl.policy import BudgetPolicy, PolicyEvaluation, places
from safeguards.budget._rl.rewards import Reward, RewardFunction, RewardWeights
from safeguards.budget._rl.settings import (
    ALWAYS,
    FEATURES,
    Settings,
    feature_names,
    feature_value,
)
from safeguards.budget._rl.step_rule import TARGET, step_changes
from safeguards.budget._rl.training import ENOUGH, Fleet, Training, next_budgets
from safeguards.core._threads import start_thread
from safeguards.core.controller import Controller
from safeguards.exceptions import ConfigurationError, ThreadStartError, UnknownAgentError
from safeguards.types.decisions import Allot, Decision
from safeguards.types.enums import AlertSeverity

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    import numpy as np
    from numpy.typing import NDArray

    from safeguards.core._spell import Spell
    from safeguards.core.budget_coordination import BudgetCoordinator
    from safeguards.core.controller import Execute

    Floats = NDArray[np.float64]

__all__ = ["BudgetPolicy", "BudgetRLOptimizer", "PolicyEvaluation", "RewardFunction", "RewardWeights"]

_DAY = 86_400.0
_HOUR = 3600.0
_MINUTE = 60.0


class _Outcome(list["BudgetPolicy | BaseException"]):
    """What came of a training: empty as long as it goes on."""


@dataclass(slots=True)
class _View:
    """What agents did since the last run, and what the policy does about it once that is decided."""

    look: Look
    now: datetime
    run: int
    """Number of the run, by which exploration is drawn: a dry run says what the run will try."""
    moves: dict[str, Move] = field(default_factory=dict[str, "Move"])

    @property
    def seen(self) -> dict[str, Interval]:
        return self.look.seen


class BudgetRLOptimizer(Controller[_View]):
    """Learns how to change agents' budgets, from what happened, for a reward that you define.

    An agent's budget is what it may spend in one interval. At each run the optimizer decides by how much to
    change it, by at most `max_budget_change_percentage`, and gives the agent its new budget for the next
    interval: what remains becomes the new budget, less what is still reserved. A decision's `old` and `new`
    are budgets of an interval. Pools are left alone: agents' budgets may add up to more than their pool has,
    and the pool holds them all the same.

    Until a learned policy is better than the step rule on days that were held out, the step rule is in force:
    above a utilization of 70 % a budget grows by 20 %, below it it shrinks by 10 %. Training needs four days
    of hours (96 intervals), takes about a second in a thread of its own, and is repeated daily; on a
    `ManualClock` it runs while the clock is advanced. A new policy is adopted at the run after it.

    How it learns: demand does not depend on the budget, so every interval that was seen says what would have
    come of any budget and any change of it. Fitted Q-iteration on such hindsight transitions (Sinclair et
    al., ICML 2023) values each change by the forecast of the next interval, the busiest interval of the last
    day and the uncertainty of the forecast. In between the values follow what really happens (Q-learning,
    with `learning_rate`). See docs/reinforcement_learning.md.

    Args:
        budget_coordinator: the coordinator whose agents it steers.
        learning_rate: how far one interval moves a value, between 0 and 1; 0 learns only in training.
        discount_factor: what the next interval's reward is worth beside this one's, from 0 to below 1.
        exploration_rate: how often a change next to the best one is tried, between 0 and 1.
        state_features: what the reward function is told, of `time_of_day` (hours, local time), `day_of_week`
            (0 is Monday), `agent_priority`, `recent_usage` (spent in the interval before),
            `remaining_budget_percentage` (share of the budget that was left, 0 to 1). `utilization`,
            `exhausted` and `completed_tasks` are always told. Without `time_of_day` or `day_of_week`
            forecasts follow no days or weeks; without `agent_priority` all agents share what was learnt.
        custom_features: features of your own: a function of agent id and local time for each name. Intervals
            are told apart by whether they are above the median.
        seed: of exploration and of the situations that are looked at in training.
        max_change: as in `Controller`.
        history_size: as in `Controller`.

    Raises:
        ConfigurationError: an argument is out of the range that is told with it, or a feature is unknown.

    Example:
        >>> from safeguards import BudgetCoordinator
        >>> coordinator = BudgetCoordinator()
        >>> team = coordinator.create_budget_pool("team", 1000)
        >>> bot = coordinator.register_agent("bot", team, initial_budget=50)
        >>> optimizer = BudgetRLOptimizer(coordinator)
        >>> receipt = coordinator.debit(bot, 40)
        >>> [decision] = optimizer.run_once()
        >>> print(decision.old, decision.new, decision.reason)
        50 60 80% of 50 is used, above 70%: step rule, +20%
        >>> coordinator.get_budget(bot)
        Decimal('60')
        >>> print(optimizer.get_policy())
        untrained: step rule in force
    """

    fallback = "the step rule"

    def __init__(
        self,
        budget_coordinator: BudgetCoordinator,
        learning_rate: float = 0.01,
        discount_factor: float = 0.9,
        exploration_rate: float = 0.1,
        state_features: Sequence[str] = FEATURES[:5],
        *,
        custom_features: Mapping[str, Callable[[str, datetime], float]] | None = None,
        seed: int = 0,
        max_change: float | None = None,
        history_size: int = 10_000,
    ) -> None:
        super().__init__(budget_coordinator, _HOUR, max_change=max_change, history_size=history_size)
        time_zones.check_local()  # hours of the day and days of the week are local
        self.learning_rate = share("learning_rate", learning_rate)
        self.discount_factor = share("discount_factor", discount_factor, below=True)
        self.exploration_rate = share("exploration_rate", exploration_rate)
        self.custom_features = mapping("custom_features", {} if custom_features is None else custom_features)
        self.state_features = feature_names(state_features, self.custom_features)
        self._settings = Settings(
            Reward(RewardWeights()),
            state_features=tuple(name for name in self.state_features if name not in self.custom_features),
            custom=self.custom_features,
            discount=self.discount_factor,
            seed=whole("seed", seed, 0, MAX_SEED),
        )
        self._policy = BudgetPolicy(state_features=self.state_features)
        self._forget()

    def _forget(self) -> None:
        """Begins to watch anew."""
        names = self.state_features
        self._past = Past(
            self.budget_coordinator,
            self.interval_seconds,
            by_day="time_of_day" in names,
            by_week="day_of_week" in names,
        )
        self._runs = 0
        self._moves: dict[str, Move] = {}
        self._due = self.budget_coordinator.clock.monotonic()
        self._thread: threading.Thread | None = None
        self._outcome = _Outcome()

    def configure(
        self,
        reward_function: RewardFunction | None = None,
        training_episodes: int = 1000,
        max_budget_change_percentage: float = 0.3,
        update_interval_minutes: float = 60,
        *,
        vectorized: bool = False,
    ) -> None:
        """Sets what is good, and how it is pursued. The next training follows it; a policy stays until then.

        Args:
            reward_function: takes a state, an action and the state after it, each a dictionary of floats, and
                returns how good that is. `action["budget_change"]` is in the budget's units,
                `action["budget_change_percentage"]` is a share of the budget. It is called once for each
                transition that is looked at, in one batch for each training. `RewardWeights()`, which is the
                guide's reward and the default, needs no calls.
            training_episodes: sweeps of Q-iteration, at most, 1 to 10^9; it ends when nothing changes any
                more.
            max_budget_change_percentage: the most that a budget changes at a time, above 0 and at most 1. The
                step rule is bound by it, too.
            update_interval_minutes: minutes from one run to the next, a millisecond to a hundred years. What
                was seen in intervals of another length is forgotten.
            vectorized: the function takes dictionaries of arrays and returns an array.

        Raises:
            ConfigurationError: an argument is out of the range that is told with it. Nothing was changed.
        """
        reward = Reward(
            RewardWeights() if reward_function is None else reward_function, vectorized=vectorized
        )
        sweeps = whole("training_episodes", training_episodes, 1, 10**9)
        most = share("max_budget_change_percentage", max_budget_change_percentage, above=True)
        minutes = number(
            "update_interval_minutes", update_interval_minutes, SHORTEST / _MINUTE, LONGEST / _MINUTE
        )
        with self.between_runs():
            self._settings = replace(self._settings, reward=reward, sweeps=sweeps, max_change=most)
            self._moves, self._outcome = {}, _Outcome()
            self._due = self.budget_coordinator.clock.monotonic()
            if minutes * _MINUTE != self.interval_seconds:
                self.interval_seconds = minutes * _MINUTE
                self._forget()
        self.hasten()

    def start(self) -> None:
        """As `Controller.start`. What the coordinator knows of the last three weeks is learnt from.

        Raises:
            ThreadStartError: as `Controller.start`.
        """
        super().start()

    def begin(self, spell: Spell) -> None:
        """Reads the usage history first. As `Controller.begin`."""
        with self.between_runs():
            self._past.read_usage_history()
        super().begin(spell)

    def load_history(
        self, agent_id: str, timestamps: Sequence[datetime], amounts: Sequence[float | Decimal | str]
    ) -> None:
        """Takes an agent's history from elsewhere in place of what was seen of it. The next run trains on it.

        Intervals between the points are taken as known: nothing was wanted in them. What the coordinator has
        in its own usage history is read by `start` and need not be loaded.

        Args:
            agent_id: the agent.
            timestamps: when, as `datetime`s or a numpy array of `datetime64`, in any order; naive ones are
                local time. Points more than 504 intervals (three weeks of hours) ago are left out.
            amounts: how much was wanted at each of them. Here floats are welcome: histories are measured.

        Raises:
            UnknownAgentError: the agent is not registered.
            ConfigurationError: lengths that differ, amounts that are no finite number from 0 on, or a
                timestamp that is later than now: it says which is the first, and by how much.
        """
        self.budget_coordinator.get_agent_priority(agent_id)  # raises for an id that is unknown
        points = loaded_points(timestamps, amounts)
        time_zones.check_past("timestamps", (at for at, _ in points), self.now())
        with self.between_runs():
            self._past.load(agent_id, points)
            self._due = self.budget_coordinator.clock.monotonic()

    def train(self) -> BudgetPolicy:
        """Trains now, in this thread, on everything that is known, and adopts the policy at once.

        Nobody needs to call this: what runs on the interval trains by itself.

        Raises:
            RewardError: the reward function failed; the policy is the one before.
            ConfigurationError: too little is known, or a custom feature failed; likewise.
        """
        with self.between_runs():
            self._adopt(self._training(self.now())())
            return self._policy

    def get_policy(self) -> BudgetPolicy:
        """The policy as it is now, with what was learnt since it was trained. Printed, it is a table."""
        with self.between_runs():
            table = self._policy.table
            return self._policy if table is None else replace(self._policy, table=table.copy())

    def use_policy(self, policy: BudgetPolicy) -> None:
        """Takes a policy from elsewhere, such as one that was saved. The next training replaces it.

        Raises:
            ConfigurationError: it was learnt with other custom features, or changes budgets by more than is
                allowed here.
        """
        instance("policy", policy, BudgetPolicy)
        if set(policy.kinds.custom) != set(self.custom_features):
            raise ConfigurationError(
                f"the policy was learnt with the custom features {sorted(policy.kinds.custom)}, "
                f"but there are {sorted(self.custom_features)}"
            )
        most = max(map(abs, policy.changes), default=0.0)
        if most > self._settings.max_change + 1e-9:
            raise ConfigurationError(
                f"the policy changes budgets by up to {most:.0%}; "
                f"max_budget_change_percentage is {self._settings.max_change:.0%}"
            )
        with self.between_runs():
            table = policy.table
            self._policy = policy if table is None else replace(policy, table=table.copy())
            self._moves = {}

    # One run.

    def observe(self, now: datetime) -> _View:
        """Looks at what agents did since the last run. As `Controller.observe`."""
        return _View(self._past.look(), now, self._runs)

    def learn(self, view: _View) -> None:
        """Ends the interval, and learns from what came of the last decisions. As `Controller.learn`."""
        self._runs += 1
        self._past.observe(view.look)
        self._adopt_trained()
        self._train_if_due(view.now)
        self._learn_from_moves(view.seen, view.now)

    def propose(self, view: _View) -> list[Decision]:
        """Follows the policy where it knows what to expect, else the step rule. As `Controller.propose`."""
        learned = self._learned(view) if self._policy.is_in_force else {}
        steps = {agent: seen for agent, seen in view.seen.items() if agent not in learned}
        return [*learned.values(), *self._by_step(steps)]

    def fall_back(self, view: _View) -> list[Decision]:
        """Follows the step rule. As `Controller.fall_back`."""
        return self._by_step(view.seen)

    def carry_out(
        self, view: _View | None, decisions: list[Decision], execute: Execute
    ) -> Iterator[Decision]:
        """Remembers what was decided, to learn from what comes of it. As `Controller.carry_out`."""
        self._moves = {} if view is None else view.moves
        return super().carry_out(view, decisions, execute)

    # Decisions.

    def _by_step(self, looks: Mapping[str, Interval]) -> list[Decision]:
        import numpy as np

        changes = step_changes(np.array([seen.utilization for seen in looks.values()]))
        decisions: list[Decision] = []
        for (agent, seen), change in zip(looks.items(), changes.tolist(), strict=True):
            side = "above" if change > 0 else "below" if change < 0 else "at"
            reason = f"{seen.utilization:.0%} of {seen.budget} is used, {side} {TARGET:.0%}: step rule"
            decisions.append(self._decision(agent, seen, change, reason, {"policy": "step"}))
        return decisions

    def _learned(self, view: _View) -> dict[str, Decision]:
        """What the policy decides, for the agents of which it knows what to expect."""
        import numpy as np

        looks, now, moves = view.seen, view.now, dict[str, Move]()
        known, outlook, scale, kinds = self._known(looks, now)
        if not known:
            return {}
        budgets = np.array([float(looks[agent].budget) for agent in known])
        best = self._policy.best(budgets, outlook, kinds)
        actions = self._explored(best, view.run)
        wanted = np.array(self._policy.changes)[actions]
        after = next_budgets(budgets, wanted, scale, self._settings.max_change)
        numbers, shares, rows = places(budgets, outlook, kinds)
        decisions: dict[str, Decision] = {}
        for place, agent in enumerate(known):
            seen, action = looks[agent], int(actions[place])
            share = float(outlook.share[place])
            how = "tried" if action != best[place] else "learned"
            reason = (
                f"next: {share:.0%} of the day's peak; budget {budgets[place] / outlook.need[place]:.2g} "
                f"times the need: {how}"
            )
            inputs = {"policy": how, "forecast_share": share, "need": float(outlook.need[place])}
            decision = self._decision(agent, seen, float(after[place] / budgets[place] - 1), reason, inputs)
            decisions[agent] = decision
            change = float(subtract(decision.new, decision.old))
            told = {"budget_change": change, "budget_change_percentage": change / budgets[place]}
            state = self._state(agent, seen, now)
            moves[agent] = Move(
                int(numbers[place]), float(shares[place]), float(rows[place]), action, state, told
            )
        view.moves = moves
        return decisions

    def _decision(
        self, agent: str, seen: Interval, change: float, reason: str, inputs: dict[str, Any]
    ) -> Decision:
        """A decision within the largest change, to the last digit."""
        old, most = seen.budget, of_float(self._settings.max_change)
        least = rounded(times(old, subtract(1, most)), ROUND_CEILING)
        highest = rounded(times(old, add(1, most)), ROUND_FLOOR)
        wanted = rounded(times(old, of_float(round(1.0 + change, 9))))
        new = plain(max(min(max(wanted, least), highest), NOTHING))
        done = ratio(new, old) - 1 if old > 0 else 0.0
        facts = {
            "utilization": seen.utilization,
            "exhausted": seen.is_exhausted,
            "completed_tasks": seen.tasks,
            "left": seen.left,
        }
        rest = Allot(subtract(new, seen.left))
        return Decision(
            kind="agent",
            subject=agent,
            old=old,
            new=new,
            reason=f"{reason}, {done:+.0%}",
            inputs=facts | inputs,
            change=rest,
        )

    def _known(
        self, looks: Mapping[str, Interval], now: datetime
    ) -> tuple[list[str], Outlook, Floats, NDArray[np.int64]]:
        """Agents that have a budget and a forecast, with what is expected of each."""
        import numpy as np

        history = self._past.history()
        agents, outlook = history.agents, history.outlook()
        is_known = np.isfinite(outlook.need) & np.array(
            [agent in looks and looks[agent].budget > 0 for agent in agents], np.bool_
        )
        known = [agent for agent, is_so in zip(agents, is_known, strict=True) if is_so]
        outlook = Outlook(*(part[is_known] for part in outlook))
        priority = np.array([self._priority(agent) for agent in known])
        local = now.astimezone()
        custom = {
            name: np.array([feature_value(name, feature, agent, local) for agent in known])
            for name, feature in self.custom_features.items()
        }
        kinds = self._policy.kinds.of(outlook.spread, priority, custom)
        return known, outlook, history.scale()[is_known], kinds

    def _explored(self, best: NDArray[np.int64], run: int) -> NDArray[np.int64]:
        """Now and then a change next to the best one, which is within the largest change as all of them."""
        import numpy as np

        draws = np.random.default_rng((self._settings.seed, run))
        tries = draws.random(len(best)) < self.exploration_rate
        steps = np.where(draws.random(len(best)) < 0.5, -1, 1)  # noqa: PLR2004 - up or down
        return np.clip(best + np.where(tries, steps, 0), 0, len(self._policy.changes) - 1)

    # What is seen.

    def _priority(self, agent: str) -> float:
        try:
            return float(self.budget_coordinator.get_agent_priority(agent))
        except UnknownAgentError:  # it has left since
            return 5.0

    def _state(self, agent: str, seen: Interval, now: datetime) -> dict[str, float]:
        """What the reward function is told of an agent."""
        local = now.astimezone()
        values = {
            "time_of_day": local.hour + local.minute / 60 + local.second / 3600,
            "day_of_week": float(local.weekday()),
            "agent_priority": self._priority(agent),
            "recent_usage": float(seen.spent),
            "remaining_budget_percentage": max(1.0 - seen.utilization, 0.0),
            "utilization": min(seen.utilization, 1.0),
            "exhausted": float(seen.is_exhausted),
            "completed_tasks": float(seen.tasks),
        }
        custom = {n: feature_value(n, f, agent, local) for n, f in self.custom_features.items()}
        names = dict.fromkeys((*self._settings.state_features, *ALWAYS))
        return {name: values[name] for name in names} | custom

    # Learning.

    def _learn_from_moves(self, looks: Mapping[str, Interval], now: datetime) -> None:
        """Small steps towards what came of the last decisions."""
        import numpy as np

        moves, self._moves = self._moves, {}
        table = self._policy.table
        if table is None or not moves or not self.learning_rate:
            return
        known, outlook, _, kinds = self._known(looks, now)
        moved = np.array([agent in moves for agent in known], np.bool_)
        agents = [agent for agent in known if agent in moves]
        budgets = np.array([float(looks[agent].budget) for agent in known])
        numbers, shares, rows = places(budgets, outlook, kinds)
        there = (numbers[moved], shares[moved], rows[moved])
        states = [self._state(agent, looks[agent], now) for agent in agents]
        settings = self._settings
        if agents:
            begun = [moves[agent] for agent in agents]
            rates = {"learning_rate": self.learning_rate, "discount": settings.discount}
            learn(table, settings.reward, begun, states, there, **rates)

    def _training(self, now: datetime) -> Callable[[], BudgetPolicy]:
        """A training on what is known now, to be run at once or aside."""
        import numpy as np

        history = self._past.history()
        agents = history.agents
        priorities = np.array([self._priority(agent) for agent in agents])
        fleet = Fleet(tuple(agents), priorities, now, self.interval_seconds)
        recording, settings = history.recording(), self._settings
        return lambda: Training(recording, fleet, settings).run()

    def _train_if_due(self, now: datetime) -> None:
        """Begins to train: in a thread of its own, or right here on a clock that is advanced by hand."""
        clock = self.budget_coordinator.clock
        is_busy = self._thread is not None and self._thread.is_alive()
        if len(self._past.history()) < ENOUGH or clock.monotonic() < self._due or is_busy:
            return
        due, self._due = self._due, clock.monotonic() + _DAY
        self._outcome = outcome = _Outcome()
        training = self._training(now)
        if isinstance(clock, ManualClock):
            _train(training, outcome)
            return
        try:
            self._thread = start_thread("safeguards-training", _train_aside, training, outcome)
        except ThreadStartError as error:
            self._due = due  # the next run tries again
            self.tell_failure("could not begin to train, and keeps the policy it had", error)

    def _adopt_trained(self) -> None:
        """Takes what a training has brought, at the run after it."""
        if not self._outcome:
            return
        outcome, self._outcome = self._outcome[0], _Outcome()
        if isinstance(outcome, BudgetPolicy):
            self._adopt(outcome)
        else:
            self.tell_failure("could not train, and keeps the policy it had", outcome)

    def _adopt(self, policy: BudgetPolicy) -> None:
        was, self._policy, self._moves = self._policy, policy, {}
        if was.is_trained and was.is_in_force == policy.is_in_force:
            return
        rule = "learned policy" if policy.is_in_force else "step rule"
        self.budget_coordinator.notification_manager.send_alert(
            f"{type(self).__name__} was trained: {rule} in force",
            f"learned: {policy.evaluation}",
            AlertSeverity.INFO,
            time=self.now(),
            evaluation=policy.evaluation,
        )


def _train(training: Callable[[], BudgetPolicy], outcome: _Outcome) -> None:
    """Trains, and leaves what came of it for the next run to find."""
    try:
        outcome.append(training())
    except Exception as error:  # noqa: BLE001 - the next run tells of it
        outcome.append(error)


def _train_aside(training: Callable[[], BudgetPolicy], outcome: _Outcome) -> None:
    """The same in a thread of its own, which nothing may end in silence."""
    try:
        _train(training, outcome)
    except BaseException as error:  # noqa: BLE001 - as above: nobody else hears of it
        outcome.append(error)

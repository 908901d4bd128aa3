"""The reallocator against recorded demand: how often agents run out, beside what one would do without it.

Ours is no model of the reallocator but the thing itself: agents debit a real ledger on a clock that stands still,
and `PriorityBasedReallocator` runs each hour.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Protocol

from safeguards._native import ManualClock, max_min_shares
from safeguards.core.budget_coordination import BudgetCoordinator
from safeguards.core.dynamic_budget.reallocator import PriorityBasedReallocator
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Table = NDArray[np.float64]

__all__ = ["Demand", "ReallocationBacktest", "ReallocationRow", "backtest_reallocation"]

WEIGHTS = {10: 4.0, 8: 2.0, 5: 1.0, 3: 0.5}
_BASELINE = "static priority shares"
_HOUR = 3600
_PLACES = 9
_POOL = "pool"
_EXHAUSTED = 1e-9
"""What an agent may be short of, in an hour, and still count as served."""


class Demand(Protocol):
    """What agents wanted to spend.

    Attributes:
        agents: their ids.
        cost: of shape (agents, hours), what each wanted to spend in each hour.
    """

    @property
    def agents(self) -> Sequence[str]: ...
    @property
    def cost(self) -> Table: ...


@dataclass(frozen=True, slots=True)
class ReallocationRow:
    """What one policy would have done.

    Attributes:
        policy: its name.
        exhausted: share of agent-hours whose demand was more than the agent could get.
        unmet: share of the demand that was not met.
        weighted_unmet: the same, with each agent's demand counted by its weight.
        avoided: share of the exhaustions under static priority shares that this policy avoids.
    """

    policy: str
    exhausted: float
    unmet: float
    weighted_unmet: float
    avoided: float


@dataclass(frozen=True, slots=True)
class ReallocationBacktest:
    """Policies on one recorded demand.

    Attributes:
        rows: one for each policy.
        agents: how many there were.
        hours: how many hours count.
        budget: what the pool was granted each hour.
    """

    rows: list[ReallocationRow]
    agents: int
    hours: int
    budget: float

    def row(self, policy: str) -> ReallocationRow:
        """The row of a policy.

        Raises:
            ConfigurationError: there is none of this name.
        """
        for row in self.rows:
            if row.policy == policy:
                return row
        names = ", ".join(repr(row.policy) for row in self.rows)
        raise ConfigurationError(f"no policy is called {policy!r}: there are {names}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    def plot(self, directory: str | Path) -> list[Path]:
        """Draws `reallocation.svg`: the exhaustions and the unmet demand of each policy.

        Needs the `plot` extra.

        Returns:
            The file that was written.
        """
        from safeguards.backtest._reallocation_plot import draw

        return [draw(self.rows, directory)]


def backtest_reallocation(
    demand: Demand,
    *,
    weights: Mapping[int, float] | None = None,
    priorities: Sequence[int] | None = None,
    utilization: float = 0.8,
    min_budget_percentage: float = 0.1,
    reserve_percentage: float = 0.2,
    emergency_percentage: float = 0.05,
    warm_up_hours: int = 168,
    steps_per_hour: int = 60,
    seed: int = 0,
) -> ReallocationBacktest:
    """Replays demand against static shares, the reallocator, and hindsight.

    The pool is granted the same budget each hour, and what is not spent in an hour is gone. An exhaustion is
    an agent-hour whose demand exceeds what the agent could get. The policies:

    - `static equal shares` and `static priority shares`: the same part of the pool in every hour;
    - `reallocated, no reserve`: dealt out anew each hour, nothing kept back;
    - `reallocated`: with the reserve, heavier agents first: within an hour the agents spend in the order of
      their weights, and among equal ones those who want less come first;
    - `reallocated, as it comes`: the same, but all agents spend evenly through the hour and draw on the
      reserve as they run low, whoever comes first: what a busy platform sees;
    - `reallocated every 10 minutes, as it comes`: the same, dealt out anew six times an hour;
    - `hindsight`: each hour's demand is known, and the whole pool is divided by it.

    Args:
        demand: what agents wanted to spend, hour by hour.
        weights: how much each priority counts; 4, 2, 1 and 0.5 for 10, 8, 5 and 3 if not given.
        priorities: one for each agent; drawn from the keys of `weights` if not given.
        utilization: mean demand over what the pool is granted, above 0.
        min_budget_percentage: as in `PriorityBasedReallocator.configure`; floors are shares of equal parts.
        reserve_percentage: as in `PriorityBasedReallocator.configure`.
        emergency_percentage: the emergency threshold, as a share of an equal part of the pool.
        warm_up_hours: hours that are replayed and not counted: the reallocator learns in them.
        steps_per_hour: debits in which an agent spends its demand of an hour.
        seed: for the priorities.

    Raises:
        ConfigurationError: an argument makes no sense, or there are no hours after the warm-up.
    """
    import numpy as np

    cost = np.asarray(demand.cost, float)
    table = dict(WEIGHTS) if weights is None else dict(weights)
    _check(cost, warm_up_hours, utilization, steps_per_hour)
    drawn = np.random.default_rng(seed).choice(np.array(list(table)), len(cost))
    ranks = [int(rank) for rank in (drawn if priorities is None else priorities)]
    if len(ranks) != len(cost):
        raise ConfigurationError(f"priorities has {len(ranks)} items for {len(cost)} agents")
    counted = cost[:, warm_up_hours:]
    budget = float(counted.mean(axis=1).sum() / utilization)
    keys = sorted(table)
    weight = np.interp(ranks, keys, [table[key] for key in keys])
    replay = _Replay(demand.agents, cost, ranks, table, budget, steps_per_hour)
    rule = (min_budget_percentage, reserve_percentage, emergency_percentage)

    equal = np.full(len(cost), budget / len(cost))[:, None]
    share = (budget * weight / weight.sum())[:, None]
    unmet = {
        "static equal shares": np.maximum(counted - equal, 0),
        _BASELINE: np.maximum(counted - share, 0),
        "reallocated, no reserve": replay.run((rule[0], 0.0, rule[2]), "by weight")[:, warm_up_hours:],
        "reallocated": replay.run(rule, "by weight")[:, warm_up_hours:],
        "reallocated, as it comes": replay.run(rule, "as it comes")[:, warm_up_hours:],
        "reallocated every 10 minutes, as it comes": replay.run(rule, "as it comes", runs_per_hour=6)[:, warm_up_hours:],
        "hindsight": _hindsight(counted, weight, budget),
    }
    worst = float((unmet[_BASELINE] > _EXHAUSTED).mean())
    rows = [_row(policy, missed, counted, weight, worst) for policy, missed in unmet.items()]
    return ReallocationBacktest(rows, len(cost), counted.shape[1], budget)


def _check(cost: Table, warm_up_hours: int, utilization: float, steps: int) -> None:
    if cost.ndim != 2 or not cost.size or not (cost >= 0).all():  # noqa: PLR2004 - agents by hours
        raise ConfigurationError("demand.cost must be of shape (agents, hours), with nothing below zero")
    if not 0 <= warm_up_hours < cost.shape[1]:
        raise ConfigurationError(
            f"warm_up_hours is {warm_up_hours}, and demand has {cost.shape[1]} hours: some must be left to count"
        )
    if not cost[:, warm_up_hours:].any():
        raise ConfigurationError("nothing was wanted after the warm-up: there is nothing to compare")
    if not utilization > 0:
        raise ConfigurationError(f"utilization must be above 0, not {utilization!r}")
    if steps < 1:
        raise ConfigurationError(f"steps_per_hour must be at least 1, not {steps!r}")


def _row(policy: str, missed: Table, wanted: Table, weight: Table, worst: float) -> ReallocationRow:
    exhausted = float((missed > _EXHAUSTED).mean())
    by_weight = float((weight[:, None] * missed).sum() / (weight[:, None] * wanted).sum())
    avoided = 1 - exhausted / worst if worst else 0.0
    return ReallocationRow(policy, exhausted, float(missed.sum() / wanted.sum()), by_weight, avoided)


def _hindsight(cost: Table, weight: Table, budget: float) -> Table:
    """What is unmet if each hour is divided with its demand known."""
    import numpy as np

    got = [max_min_shares(_decimal(budget), [_decimal(x) for x in hour], weight.tolist()) for hour in cost.T]
    return np.maximum(cost - np.array(got, float).T, 0)


class _Replay:
    """Demand, spent through a coordinator of its own in each run."""

    def __init__(
        self,
        agents: Sequence[str],
        cost: Table,
        priorities: Sequence[int],
        weights: Mapping[int, float],
        budget: float,
        steps: int,
    ) -> None:
        self.agents = list(agents)
        self.cost = cost
        self.priorities = priorities
        self.weights = weights
        self.budget = budget
        self.steps = steps

    def run(
        self,
        rule: tuple[float, float, float],
        order: Literal["by weight", "as it comes"],
        *,
        runs_per_hour: int = 1,
    ) -> Table:
        """What stays unmet, by agent and hour. `rule` has the shares of floor, reserve and emergency."""
        import numpy as np

        coordinator, clock = self._coordinator()
        floor, reserve, emergency = rule
        threshold = _decimal(emergency * self.budget / len(self.agents))
        interval = _HOUR / runs_per_hour
        reallocator = PriorityBasedReallocator(coordinator, interval, threshold, history_size=1)
        reallocator.configure(floor, reserve, self.weights)
        accounts = [coordinator.account(agent) for agent in self.agents]
        unmet = np.zeros_like(self.cost)
        reallocator.start()
        clock.advance(_HOUR)  # the first division: nothing is known yet
        for hour, wanted in enumerate(self.cost.T):
            amounts = [_decimal(cost / self.steps) for cost in wanted]
            refused = [0] * len(accounts)
            turns = self._turns(wanted, order)
            for part in range(runs_per_hour):
                for agent in turns[part * len(turns) // runs_per_hour : (part + 1) * len(turns) // runs_per_hour]:
                    refused[agent] += not accounts[agent].try_debit(amounts[agent])
                clock.advance(interval)
            unmet[:, hour] = wanted * np.array(refused) / self.steps
        reallocator.stop()
        coordinator.verify()
        return unmet

    def _coordinator(self) -> tuple[BudgetCoordinator, ManualClock]:
        clock = ManualClock()
        coordinator = BudgetCoordinator(clock=clock, history_events=1, history_sums=2)
        period = timedelta(seconds=_HOUR)
        coordinator.create_budget_pool(_POOL, _decimal(self.budget), pool_id=_POOL, budget_period=period)
        equal = _decimal(self.budget / len(self.agents))
        for agent, priority in zip(self.agents, self.priorities, strict=True):
            coordinator.register_agent(agent, _POOL, priority, equal)
        return coordinator, clock

    def _turns(self, wanted: Table, order: str) -> list[int]:
        """Who debits next, one debit after the other, for an hour."""
        spenders = [agent for agent, cost in enumerate(wanted) if cost > 0]
        if order == "as it comes":
            return spenders * self.steps
        spenders.sort(key=lambda agent: (-self.priorities[agent], wanted[agent]))
        return [agent for agent in spenders for _ in range(self.steps)]


def _decimal(value: float) -> Decimal:
    return Decimal(str(round(float(value), _PLACES)))

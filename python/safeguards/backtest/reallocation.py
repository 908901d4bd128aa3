"""Which agents should have had the budget of their pool? The reallocator on recorded demand.

What is replayed is no model of the reallocator but the thing itself: agents debit a real ledger on a clock
that stands still, and `PriorityBasedReallocator` runs on that clock.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves parts of its annotations open.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from safeguards._native import ManualClock, max_min_shares
from safeguards._values.arguments import instance, shown
from safeguards._values.decimals import PLACES, of_float
from safeguards._values.numbers import MAX_SEED, number, share, whole
from safeguards.backtest._base import Backtest
from safeguards.backtest.demand import Demand
from safeguards.core.budget_coordination import BudgetCoordinator
from safeguards.core.dynamic_budget._division import Rule
from safeguards.core.dynamic_budget.reallocator import PriorityBasedReallocator
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Table = NDArray[np.float64]
    Order = Literal["by priority", "as it comes"]

__all__ = ["ReallocationBacktest", "ReallocationRow", "backtest_reallocation"]

_WEIGHTS = {10: 4.0, 8: 2.0, 5: 1.0, 3: 0.5}
_BASELINE = "static priority shares"
_BEST = "reallocated"
_HOUR = 3600
_WEEK = 168
_LEAST_UTILIZED = 1e-6
_MOST_UTILIZED = 1000
_MOST_STEPS = 3600
_POOL = "pool"
_SHORT = 1e-12
"""What an agent may miss in an hour and still count as served, as a share of the budget of the pool."""
_REPLAYED = 10**6
"""The budget of the pool that is replayed: whatever the unit of the record, amounts have digits enough."""


@dataclass(frozen=True, slots=True)
class ReallocationRow:
    """What one policy would have done.

    Attributes:
        policy: its name.
        exhausted_share: share of agent-hours whose demand was more than the agent could get.
        avoided_share: share of the exhaustions under static priority shares that this policy avoids; below 0
            if it has more.
        unmet_share: share of demand that was not met.
        weighted_unmet_share: the same, with demand counted by the weight of its agent.
    """

    policy: str
    exhausted_share: float
    avoided_share: float
    unmet_share: float
    weighted_unmet_share: float


@dataclass(frozen=True, eq=False)
class ReallocationBacktest(Backtest[ReallocationRow]):
    """What became of each policy.

    Attributes:
        demand: what was replayed.
        priorities: one for each agent.
        warm_up_hours: hours that are seen, but not scored.
        pool_budget: what the pool was granted for each hour.
        unmet: (agents, scored hours) of each policy: what it did not meet.
        rows: a row for each policy.
    """

    kind: ClassVar[str] = "reallocation"

    demand: Demand
    priorities: list[int]
    warm_up_hours: int
    pool_budget: float
    unmet: dict[str, Table]
    rows: list[ReallocationRow]

    @property
    def verdict(self) -> str:
        """What it comes to, in one sentence."""
        avoided, best = self.row(_BEST).avoided_share, self.row("hindsight").avoided_share
        if avoided < 0:
            return f"reallocation exhausts agents {-avoided:.0%} more often than static priority shares"
        return (
            f"reallocation avoids {avoided:.0%} of the exhaustions under static priority shares; "
            f"who knew each hour's demand would avoid {best:.0%}"
        )

    def _facts(self) -> dict[str, Any]:
        return {
            "agents": len(self.demand.agents),
            "hours": self.demand.hours,
            "warm_up_hours": self.warm_up_hours,
            "pool_budget": self.pool_budget,
            "priorities": dict(zip(self.demand.agents, self.priorities, strict=True)),
        }

    def _figures(self) -> dict[str, Figure]:
        from safeguards.backtest._reallocation_plots import plot_hours, plot_policies

        return {"policies": plot_policies(self), "hours": plot_hours(self)}


def backtest_reallocation(
    demand: Demand,
    *,
    priority_weights: Mapping[int, float] | None = None,
    priorities: Sequence[int] | None = None,
    utilization: float = 0.8,
    min_budget_percentage: float = 0.1,
    reserve_percentage: float = 0.2,
    emergency_percentage: float = 0.05,
    warm_up_hours: int | None = None,
    steps_per_hour: int = 60,
    seed: int = 0,
) -> ReallocationBacktest:
    """Replays demand through one pool, dealt out to its agents before the demand of each hour is seen.

    The pool is granted the same budget for each hour, and what an hour leaves is gone. Agents spend an hour's
    demand in equal steps. An exhaustion is an agent-hour whose demand is more than the agent could get.

    - `static equal shares`, `static priority shares`: the same part of the pool in every hour;
    - `reallocated without reserve`: dealt out anew each hour, nothing kept back;
    - `reallocated`: with the reserve; within each hour agents of a higher priority spend first, and of equal
      ones those that want less: the order in which the reserve is meant to be granted;
    - `reallocated, as it comes`: the same, but all agents spend side by side, and the reserve goes to those
      that run low first;
    - `reallocated every 10 minutes`: likewise, but dealt out anew six times an hour;
    - `hindsight`: divided with each hour's demand known.

    Args:
        demand: what was wanted.
        priority_weights: how much each priority counts; 4, 2, 1 and 0.5 for 10, 8, 5 and 3 if not given.
        priorities: one for each agent; drawn from the keys of `priority_weights` if not given.
        utilization: the pool is granted the mean demand divided by it.
        min_budget_percentage: as of `PriorityBasedReallocator.configure`, of an equal part of the pool.
        reserve_percentage: as of `PriorityBasedReallocator.configure`.
        emergency_percentage: the emergency threshold, as a share of an equal part of the pool.
        warm_up_hours: hours that are seen, but not scored: a week, or half of a shorter record, if not given.
        steps_per_hour: debits by which an agent spends an hour's demand.
        seed: for the priorities that are drawn.

    Raises:
        ConfigurationError: an argument makes no sense, or nothing was wanted after the warm-up.

    Example:
        >>> import numpy as np
        >>> from safeguards.backtest import Demand
        >>> day, night = np.tile([9.0] * 12 + [1.0] * 12, 14), np.tile([1.0] * 12 + [9.0] * 12, 14)
        >>> result = backtest_reallocation(Demand(("day", "night"), np.stack([day, night])))
        >>> print(result.verdict)
        reallocation avoids 100% of the exhaustions under static priority shares; who knew each hour's ...
    """
    import numpy as np

    instance("demand", demand, Demand)
    rule = Rule(
        min_budget_percentage, reserve_percentage, _WEIGHTS if priority_weights is None else priority_weights
    )
    weights = dict(rule.weights)
    usual = min(_WEEK, demand.hours // 2)
    warm_up = whole("warm_up_hours", usual if warm_up_hours is None else warm_up_hours, 0, demand.hours - 1)
    utilization = number("utilization", utilization, _LEAST_UTILIZED, _MOST_UTILIZED)
    emergency_percentage = share("emergency_percentage", emergency_percentage)
    steps_per_hour = whole("steps_per_hour", steps_per_hour, 1, _MOST_STEPS)
    if not demand.cost[:, warm_up:].any():
        raise ConfigurationError(f"nothing was wanted after hour {warm_up}: there is nothing to compare")
    ranks = _priorities(len(demand.agents), weights, priorities, seed)
    budget = demand.cost[:, warm_up:].mean(axis=1).sum() / utilization
    cost = demand.cost * (_REPLAYED / budget)
    scored = cost[:, warm_up:]
    replay = _Replay(demand.agents, cost, ranks, weights, min_budget_percentage, steps_per_hour)
    weight = rule.weigh(ranks)
    reserve, emergency = reserve_percentage, emergency_percentage
    unmet = {
        "static equal shares": _static(scored, np.ones(len(scored))),
        _BASELINE: _static(scored, weight),
        "reallocated without reserve": replay.run("by priority", 0.0, emergency)[:, warm_up:],
        _BEST: replay.run("by priority", reserve, emergency)[:, warm_up:],
        "reallocated, as it comes": replay.run("as it comes", reserve, emergency)[:, warm_up:],
        "reallocated every 10 minutes": replay.run("as it comes", reserve, emergency, 6)[:, warm_up:],
        "hindsight": _hindsight(scored, weight),
    }
    worst = float(_is_short(unmet[_BASELINE]).mean())
    return ReallocationBacktest(
        demand=demand,
        priorities=ranks,
        warm_up_hours=warm_up,
        pool_budget=budget,
        unmet={policy: missed * (budget / _REPLAYED) for policy, missed in unmet.items()},
        rows=[_row(policy, missed, scored, weight, worst) for policy, missed in unmet.items()],
    )


def _priorities(
    agents: int, weights: Mapping[int, float], priorities: Sequence[int] | None, seed: int
) -> list[int]:
    import numpy as np

    if priorities is None:
        drawn = np.random.default_rng(whole("seed", seed, 0, MAX_SEED)).choice(
            np.array(list(weights)), agents
        )
        return [int(rank) for rank in drawn]
    if not isinstance(priorities, Sequence) or isinstance(priorities, str | bytes):
        raise ArgumentTypeError(
            f"priorities must be whole numbers, one for each agent, not {shown(priorities)}"
        )
    if len(priorities) != agents:
        raise ConfigurationError(f"priorities must be {agents}, one for each agent, not {len(priorities)}")
    return [whole("a priority of priorities", rank, 1, 10) for rank in priorities]


def _row(policy: str, missed: Table, wanted: Table, weight: Table, worst: float) -> ReallocationRow:
    exhausted = float(_is_short(missed).mean())
    return ReallocationRow(
        policy=policy,
        exhausted_share=exhausted,
        avoided_share=1 - exhausted / worst if worst else 0.0,
        unmet_share=float(missed.sum() / wanted.sum()),
        weighted_unmet_share=float((weight @ missed).sum() / (weight @ wanted).sum()),
    )


def _is_short(missed: Table) -> NDArray[np.bool_]:
    return missed > _SHORT * _REPLAYED


# The policies: what of the demand each leaves unmet of a pool of `_REPLAYED`.


def _static(cost: Table, weight: Table) -> Table:
    import numpy as np

    missed: Table = np.maximum(cost - (_REPLAYED * weight / weight.sum())[:, None], 0)
    return missed


def _hindsight(cost: Table, weight: Table) -> Table:
    import numpy as np

    weights = weight.tolist()
    shares = [max_min_shares(_REPLAYED, [_decimal(wanted) for wanted in hour], weights) for hour in cost.T]
    missed: Table = np.maximum(cost - np.array(shares, float).T, 0)
    return missed


@dataclass(frozen=True, slots=True)
class _Replay:
    """Demand that is spent through a coordinator, one of its own for each run."""

    agents: Sequence[str]
    cost: Table
    priorities: list[int]
    weights: Mapping[int, float]
    floor: float
    steps: int

    def run(self, order: Order, reserve: float, emergency: float, runs_per_hour: int = 1) -> Table:
        """What stays unmet, by agent and hour. `emergency` is a share of an equal part of the pool."""
        import numpy as np

        coordinator, clock = self._coordinator()
        interval = _HOUR / runs_per_hour
        threshold = _decimal(emergency * _REPLAYED / len(self.agents))
        reallocator = PriorityBasedReallocator(coordinator, interval, threshold, history_size=1)
        reallocator.configure(self.floor, reserve, self.weights)
        accounts = [coordinator.account(agent) for agent in self.agents]
        unmet = np.zeros(self.cost.shape)
        with reallocator:
            clock.advance(_HOUR)  # the first division: nothing is known yet
            for hour, wanted in enumerate(self.cost.T):
                # More than there ever is is refused, however much it is.
                amounts = [_decimal(min(cost / self.steps, 2 * _REPLAYED)) for cost in wanted]
                refused = np.zeros(len(accounts))
                for turns in np.array_split(self._turns(wanted, order), runs_per_hour):
                    for agent in turns.tolist():
                        refused[agent] += not accounts[agent].try_debit(amounts[agent])
                    clock.advance(interval)
                unmet[:, hour] = wanted * refused / self.steps
        coordinator.verify()
        return unmet

    def _coordinator(self) -> tuple[BudgetCoordinator, ManualClock]:
        clock = ManualClock()
        coordinator = BudgetCoordinator(clock=clock, history_events=1, history_sums=2)
        coordinator.create_budget_pool(_POOL, _REPLAYED, budget_period=timedelta(seconds=_HOUR))
        equal = _decimal(_REPLAYED / len(self.agents))
        for agent, priority in zip(self.agents, self.priorities, strict=True):
            coordinator.register_agent(agent, _POOL, priority, equal)
        return coordinator, clock

    def _turns(self, wanted: Table, order: Order) -> NDArray[np.int64]:
        """Who debits next, one debit after the other, for an hour."""
        import numpy as np

        spenders = np.flatnonzero(wanted)
        if order == "as it comes":
            return np.tile(spenders, self.steps)
        ranked = sorted(spenders.tolist(), key=lambda agent: (-self.priorities[agent], wanted[agent]))
        return np.repeat(np.array(ranked, int), self.steps)


def _decimal(value: float) -> Decimal:
    return of_float(round(float(value), PLACES))

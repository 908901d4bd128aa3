"""Which agents should have had the budget of their pool? The reallocator on recorded demand."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves parts of its annotations open.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from safeguards._native import max_min_shares
from safeguards._values.arguments import instance, one_of, shown
from safeguards._values.numbers import MAX_SEED, number, share, whole
from safeguards.backtest._base import Backtest
from safeguards.backtest._compare import Comparison, compare
from safeguards.backtest._engine import (
    HOUR,
    PLENTY,
    Ground,
    Policy,
    exact,
    nobody,
    own_policies,
    replay,
    telling,
)
from safeguards.backtest._part import named, take_part
from safeguards.backtest.demand import Demand
from safeguards.core.dynamic_budget._division import Rule
from safeguards.core.dynamic_budget.reallocator import PriorityBasedReallocator
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from safeguards.core.budget_coordination import BudgetCoordinator

    Table = NDArray[np.float64]

__all__ = ["ReallocationBacktest", "ReallocationRow", "backtest_reallocation"]

_WEIGHTS = {10: 4.0, 8: 2.0, 5: 1.0, 3: 0.5}
BASELINE = "static priority shares"
OURS = "reallocated"
UNSTEERED = "no agent budgets"
HINDSIGHT = "hindsight"
_USUAL_PRIORITY = 5
_WEEK = 168
_LEAST_TARGET = 1e-6
_MOST_TARGET = 1000
_MOST_STEPS = 3600
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
        demand: what was replayed: the agents that took part.
        left_out: agents that did not.
        priorities: one for each agent.
        warm_up_hours: hours that are seen, but not scored.
        pool_budget: what the pool was granted for each hour.
        unmet: (agents, scored hours) of each policy: what it did not meet.
        rows: a row for each policy.
        comparison: the policies by unmet demand, counted by the weight of its agent.
        notes: what was left out, and what was assumed.
    """

    kind: ClassVar[str] = "reallocation"
    loses: ClassVar[str] = "demand unmet, by weight"
    columns: ClassVar[Mapping[str, tuple[str, str]]] = {
        "policy": ("policy", ""),
        "exhausted_share": ("ran out", "share of agent-hours in which an agent got less than it wanted"),
        "avoided_share": ("avoided", f"share of these under {BASELINE} that the policy avoids"),
        "unmet_share": ("unmet", "share of all demand that was refused"),
        "weighted_unmet_share": ("unmet, by weight", "the same, with demand counted by its agent's weight"),
    }

    demand: Demand
    left_out: int
    priorities: list[int]
    warm_up_hours: int
    pool_budget: float
    unmet: dict[str, Table]
    rows: list[ReallocationRow]
    comparison: Comparison
    notes: tuple[str, ...]

    def _facts(self) -> dict[str, Any]:
        return {
            "agents": len(self.demand.agents),
            "left_out": self.left_out,
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
    priorities: Mapping[str, int] | Sequence[int] | str | None = None,
    target: float = 0.8,
    min_budget_percentage: float = 0.1,
    reserve: float = 0.2,
    emergency_percentage: float = 0.05,
    interval: float = HOUR,
    min_activity: float = 0.0,
    warm_up_hours: int | None = None,
    steps_per_hour: int = 60,
    order: Literal["as it comes", "by priority"] = "as it comes",
    seed: int = 0,
    policies: Mapping[str, Policy] | None = None,
    progress: Callable[[int, int, str], object] | None = None,
) -> ReallocationBacktest:
    """Replays demand through one pool, dealt out to its agents before the demand of each hour is seen.

    The pool is granted the same budget for each hour, and what an hour leaves is gone: every policy has the
    same money. Agents spend an hour's demand side by side, in equal steps, through a real ledger. An
    exhaustion is an agent-hour whose demand is more than the agent could get.

    - `no agent budgets`: the pool alone bounds them;
    - `static equal shares`, `static priority shares`: the same part of the pool in every hour;
    - `reallocated`: `PriorityBasedReallocator` deals out anew on its interval, with the reserve;
    - `reallocated without reserve`: the same with nothing kept back;
    - your own `policies`;
    - `hindsight`: divided with each hour's demand known.

    Args:
        demand: what was wanted.
        priority_weights: how much each priority counts; 4, 2, 1 and 0.5 for 10, 8, 5 and 3 if not given.
        priorities: by agent, or one for each agent, or "random" to draw them from the keys of
            `priority_weights`. Those of the record if not given; an agent without one has 5.
        target: the pool is granted the mean demand divided by it; 0.000001 to 1,000.
        min_budget_percentage: as of `PriorityBasedReallocator.configure`, of an equal part of the pool; 0 to
            1.
        reserve: as `reserve_percentage` of `PriorityBasedReallocator.configure`; 0 to 1.
        emergency_percentage: the emergency threshold, as a share of an equal part of the pool; 0 to 1.
        interval: seconds from one run of the reallocator to the next: from one step to a day.
        min_activity: agents that want something in no more than this share of the hours, before or after the
            warm-up, are left out; 0 to 1, where 0 takes all that ever want something.
        warm_up_hours: hours that are seen, but not scored: a week, or half of a shorter record, if not given.
        steps_per_hour: debits by which an agent spends an hour's demand, from 1 on.
        order: "as it comes": all agents spend side by side, as on a busy platform; "by priority": within an
            hour agents of a higher priority spend first, and of equal ones those that want less, the order in
            which a reserve is meant to be granted. That takes ten times as long.
        seed: for priorities that are drawn, and for the resamples of the verdict.
        policies: your own by name: each is called with a `BudgetCoordinator` whose agents have an equal part
            of the pool, and makes controllers, or a function of `Seen` that gives budgets for each hour.
        progress: called now and then with (done, in all, policy at work).

    Raises:
        ConfigurationError: an argument is out of the range that is told with it, or nothing was wanted after
            the warm-up.

    Example:
        >>> import numpy as np
        >>> from safeguards.backtest import Demand
        >>> day, night = np.tile([9.0] * 12 + [1.0] * 12, 14), np.tile([1.0] * 12 + [9.0] * 12, 14)
        >>> result = backtest_reallocation(Demand(("day", "night"), np.stack([day, night])))
        >>> result.comparison.best
        'reallocated'
    """
    import numpy as np

    instance("demand", demand, Demand)
    given = _WEIGHTS if priority_weights is None else priority_weights
    rule = Rule(min_budget_percentage, share("reserve", reserve), given)
    usual = min(_WEEK, demand.hours // 2)
    warm_up = whole("warm_up_hours", usual if warm_up_hours is None else warm_up_hours, 0, demand.hours - 1)
    target = number("target", target, _LEAST_TARGET, _MOST_TARGET)
    emergency = share("emergency_percentage", emergency_percentage)
    steps = whole("steps_per_hour", steps_per_hour, 1, _MOST_STEPS)
    one_of("order", order, ("as it comes", "by priority"))
    interval = number("interval", interval, HOUR / steps, 24 * HOUR)
    shown_part, left_out, notes = _taking_part(demand, warm_up, share("min_activity", min_activity))
    if not shown_part.cost[:, warm_up:].any():
        raise ConfigurationError(f"nothing was wanted after hour {warm_up}: there is nothing to compare")
    ranks, assumed = _priorities(shown_part, dict(rule.weights), priorities, seed)
    budget = shown_part.cost[:, warm_up:].mean(axis=1).sum() / target
    cost, weight = shown_part.cost * (_REPLAYED / budget), rule.weigh(ranks)
    ground = Ground(shown_part.agents, cost, tuple(ranks), steps, float(_REPLAYED), order == "by priority")
    equal = np.full(len(cost), _REPLAYED / len(cost))
    plenty = np.full(len(cost), float(PLENTY))
    ours = _ours(rule, float(interval), emergency * _REPLAYED / len(cost))
    runs: dict[str, tuple[Policy, Any, Table]] = {
        UNSTEERED: (nobody, "agents", plenty),
        "static equal shares": (nobody, "pools", equal),
        BASELINE: (nobody, "pools", _REPLAYED * weight / weight.sum()),
        "reallocated without reserve": (ours(0.0), "agents", equal),
        OURS: (ours(rule.reserve), "agents", equal),
    }
    runs |= {
        name: (policy, "agents", equal) for name, policy in own_policies(policies, (*runs, HINDSIGHT)).items()
    }
    unmet: dict[str, Table] = {}
    for place, (name, (policy, steers, start)) in enumerate(runs.items()):
        told = telling(progress, place, len(runs), name)
        found = replay(ground, policy, steers=steers, start=start, progress=told)
        unmet[name] = found.unmet[:, warm_up:]
    scored = cost[:, warm_up:]
    unmet[HINDSIGHT] = _hindsight(scored, weight)
    worst = float(_is_short(unmet[BASELINE]).mean())
    comparison = compare(
        {name: (weight @ missed)[None] for name, missed in unmet.items()},
        (weight @ scored)[None],
        ours=OURS,
        apart=frozenset({HINDSIGHT}),
        seed=seed,
    )
    return ReallocationBacktest(
        demand=shown_part,
        left_out=left_out,
        priorities=ranks,
        warm_up_hours=warm_up,
        pool_budget=budget,
        unmet={policy: missed * (budget / _REPLAYED) for policy, missed in unmet.items()},
        rows=[_row(policy, missed, scored, weight, worst) for policy, missed in unmet.items()],
        comparison=comparison,
        notes=(*notes, *assumed),
    )


def _ours(rule: Rule, interval: float, emergency: float) -> Callable[[float], Policy]:
    """The reallocator with so much in reserve, after its first division: nothing is known yet."""

    def with_reserve(reserve: float) -> Policy:
        def make(coordinator: BudgetCoordinator) -> PriorityBasedReallocator:
            reallocator = PriorityBasedReallocator(coordinator, interval, exact(emergency), history_size=1)
            reallocator.configure(rule.floor, reserve, rule.weights)
            reallocator.run_once()
            return reallocator

        return make

    return with_reserve


def _taking_part(demand: Demand, warm_up: int, min_activity: float) -> tuple[Demand, int, tuple[str, ...]]:
    if not min_activity:
        return demand, 0, ()
    part = take_part(demand.cost, warm_up, min_activity)
    agents = named(demand.agents, part.is_in)
    return Demand(agents, demand.cost[part.is_in]), part.left_out, part.notes


def _priorities(
    demand: Demand,
    weights: Mapping[int, float],
    priorities: Mapping[str, int] | Sequence[int] | str | None,
    seed: int,
) -> tuple[list[int], tuple[str, ...]]:
    """A priority for each agent, and what was assumed."""
    import numpy as np

    seed = whole("seed", seed, 0, MAX_SEED)
    agents = demand.agents
    if priorities == "random":
        drawn = np.random.default_rng(seed).choice(np.array(list(weights)), len(agents))
        return [int(rank) for rank in drawn], (f"assumed: priorities were drawn at random, by seed {seed}",)
    if priorities is None:
        priorities = getattr(demand, "priorities", None) or {}
    if isinstance(priorities, Mapping):
        unknown = [agent for agent in priorities if agent not in agents]
        if unknown and priorities is not getattr(demand, "priorities", None):
            raise ConfigurationError(f"priorities: there is no agent {shown(unknown[0])} in what is replayed")
        ranks = [
            whole("a priority of priorities", priorities.get(agent, _USUAL_PRIORITY), 1, 10)
            for agent in agents
        ]
        without = sum(agent not in priorities for agent in agents)
        return ranks, (_assumed(without, len(agents)),) if without else ()
    if not isinstance(priorities, Sequence) or isinstance(priorities, str | bytes):
        raise ArgumentTypeError(
            'priorities must be whole numbers by agent, or one for each agent, or "random", not '
            f"{shown(priorities)}"
        )
    if len(priorities) != len(agents):
        raise ConfigurationError(
            f"priorities must be {len(agents)}, one for each agent, not {len(priorities)}"
        )
    return [whole("a priority of priorities", rank, 1, 10) for rank in priorities], ()


def _assumed(without: int, agents: int) -> str:
    who = "all agents have" if without == agents else f"{without} of {agents} agents have"
    return (
        f"assumed: {who} priority {_USUAL_PRIORITY}: the record says nothing of it (give it a column "
        "`priority`, or priorities by agent)"
    )


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


def _hindsight(cost: Table, weight: Table) -> Table:
    import numpy as np

    weights = weight.tolist()
    shares = [max_min_shares(_REPLAYED, [exact(wanted) for wanted in hour], weights) for hour in cost.T]
    missed: Table = np.maximum(cost - np.array(shares, float).T, 0)
    return missed

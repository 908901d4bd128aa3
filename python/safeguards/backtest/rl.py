"""What would a policy learned from the first week have done? Budgets of agents on recorded demand."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves parts of its annotations open.

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from safeguards._native import best_budgets
from safeguards._values.arguments import instance
from safeguards._values.numbers import MAX_SEED, share, whole
from safeguards.backtest._base import Backtest
from safeguards.backtest._compare import Comparison, compare
from safeguards.backtest._part import named, take_part
from safeguards.backtest.demand import Demand
from safeguards.budget._rl.history import History
from safeguards.budget._rl.rewards import Reward, RewardWeights
from safeguards.budget._rl.settings import Settings
from safeguards.budget._rl.step_rule import step_changes
from safeguards.budget._rl.training import ENOUGH, LEAST, MOST, START, Fleet, Training, next_budgets, outcome
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from safeguards.budget._rl.policy import BudgetPolicy

    Floats = NDArray[np.float64]
    Rule = Callable[[Floats, Floats], Floats]

__all__ = ["RlBacktest", "RlRow", "backtest_rl"]

_WEEK = 168
_LEVELS = 241
_LARGEST = 50.0
_HOUR = 3600.0
_PRIORITY = 5.0
_EPOCH = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RlRow:
    """One policy, as the mean over all agents and hours.

    Attributes:
        policy: its name.
        reward: of an agent in an hour.
        exhausted_share: share of hours in which demand did not fit.
        utilization_share: share of the budgets that was used.
        closed_share: how much of the gap between doing nothing and the clairvoyant it closes.
    """

    policy: str
    reward: float
    exhausted_share: float
    utilization_share: float
    closed_share: float


@dataclass(frozen=True, eq=False)
class RlBacktest(Backtest[RlRow]):
    """What became of each policy.

    Attributes:
        demand: what was replayed: the agents that took part, each in units of its mean hour while learning.
        left_out: agents that were left out, because they were active in too few hours.
        training_hours: hours that were learned from; the rest is scored.
        learned: the policy, with how it did on the days that training held out.
        budgets: (agents, scored hours) of each policy.
        rows: a row for each policy.
        comparison: the policies by the reward that they miss of that with hindsight.
        notes: what was left out, and what was assumed.
    """

    kind: ClassVar[str] = "rl"
    loses: ClassVar[str] = "reward unreached"
    columns: ClassVar[Mapping[str, tuple[str, str]]] = {
        "policy": ("policy", ""),
        "reward": ("reward", "of an agent in an hour, in the mean"),
        "exhausted_share": ("ran out", "share of agent-hours in which demand did not fit"),
        "utilization_share": ("used", "share of the budgets that was used"),
        "closed_share": ("gap closed", "how far it comes from static budgets to hindsight"),
    }

    demand: Demand
    left_out: int
    training_hours: int
    learned: BudgetPolicy
    budgets: dict[str, Floats]
    rows: list[RlRow]
    comparison: Comparison
    notes: tuple[str, ...]

    def _facts(self) -> dict[str, Any]:
        evaluation = self.learned.evaluation
        return {
            "agents": len(self.demand.agents),
            "left_out": self.left_out,
            "hours": self.demand.hours,
            "training_hours": self.training_hours,
            "held_out": None if evaluation is None else asdict(evaluation),
            "gate_is_open": self.learned.is_in_force,
        }

    def _figures(self) -> dict[str, Figure]:
        from safeguards.backtest._rl_plots import plot_agent, plot_policies, plot_policy

        return {
            "policies": plot_policies(self),
            "agent": plot_agent(self),
            "policy": plot_policy(self.learned),
        }


def backtest_rl(
    demand: Demand,
    *,
    reward: RewardWeights | None = None,
    max_change: float = 0.3,
    discount_factor: float = 0.9,
    training_hours: int | None = None,
    min_activity: float | None = None,
    seed: int = 0,
) -> RlBacktest:
    """Learns from the first week and replays the rest, hour by hour.

    Each agent's demand counts in units of its mean hour while learning: one such unit is one task. A budget
    is for one hour, begins at 1.4 units and changes by at most `max_change` at a time. The policies:
    `static` (budgets stay), `step` (the step rule), `learned`, `gated` (what `BudgetRLOptimizer` has in
    force: `learned` if it was better on the days that training held out, else `step`) and `clairvoyant`
    (dynamic programming with all demand known). `step` and `learned` see what was spent, not what was wanted
    beyond it.

    Args:
        demand: what was wanted.
        reward: what is good; the guide's reward if not given.
        max_change: the most that a budget changes at a time, as a share of it, 0 to 1.
        discount_factor: what the next hour's reward is worth while learning, from 0 to below 1.
        training_hours: hours that are learned from, at least 96: a week, or half of a shorter record, if not
            given.
        min_activity: agents with demand in a smaller share (0 to 1) of the hours, while learning or after it,
            are left out: 0.3 if not given, but if nobody is so active, all take part that ever want
            something.
        seed: of the situations that are looked at in training, and of the resamples of the verdict.

    Raises:
        ConfigurationError: an argument is out of the range that is told with it, or no agent is left.

    Example:
        >>> import numpy as np
        >>> from safeguards.backtest import Demand
        >>> day = np.where(np.arange(24) < 8, 1.0, 10.0)
        >>> result = backtest_rl(Demand(("office",), np.tile(day, 14)[None]))
        >>> [row.policy for row in result.rows]
        ['static', 'step', 'learned', 'gated', 'clairvoyant']
        >>> result.row("learned").closed_share > result.row("step").closed_share
        True
    """
    import numpy as np

    instance("demand", demand, Demand)
    if reward is not None:
        instance("reward", reward, RewardWeights)
    settings = Settings(
        Reward(RewardWeights() if reward is None else reward),
        max_change=share("max_change", max_change),
        discount=share("discount_factor", discount_factor, below=True),
        seed=whole("seed", seed, 0, MAX_SEED),
    )
    usual = min(_WEEK, demand.hours // 2)
    begin = whole("training_hours", usual if training_hours is None else training_hours, 0)
    if not ENOUGH <= begin < demand.hours:
        raise ConfigurationError(
            f"{begin} of {demand.hours} hours to learn from: at least {ENOUGH} are needed, and some to score"
        )
    part = take_part(demand.cost, begin, min_activity, strictly=False)
    shown = _in_units(Demand(named(demand.agents, part.is_in), demand.cost[part.is_in]), begin)
    wanted, history = shown.cost, _recorded(shown, begin)
    fleet = Fleet(shown.agents, np.full(len(shown.agents), _PRIORITY), _EPOCH, _HOUR)
    policy = Training(history.recording(), fleet, settings).run()
    scored, start = wanted[:, begin:], np.full(len(wanted), START)
    levels = LEAST * (MOST / LEAST) ** np.linspace(0, 1, _LEVELS)
    weights = settings.reward.function
    assert isinstance(weights, RewardWeights)  # noqa: S101 - as it was made
    told = (weights.utilization, weights.exhaustion, weights.completed_task, weights.change)
    budgets = {
        "static": _replayed(scored, settings, lambda _b, used: np.zeros(len(used)), None),
        "step": _replayed(scored, settings, lambda _b, used: step_changes(used), None),
        "learned": _replayed(scored, settings, _learned(policy, history), history),
    }
    budgets["gated"] = budgets["learned" if policy.is_in_force else "step"]
    budgets["clairvoyant"] = best_budgets(scored, scored, start, levels, settings.max_change, told)
    worth = {name: _worth(scored, chosen, weights) for name, chosen in budgets.items()}
    comparison = compare(
        {name: worth["clairvoyant"] - found for name, found in worth.items()},
        np.ones_like(scored),
        ours="gated",
        apart=frozenset({"clairvoyant"}),
        seed=settings.seed,
    )
    rows = _rows(scored, budgets, worth)
    gate = "open: learned is in force" if policy.is_in_force else "shut: the step rule is in force"
    notes = (*part.notes, f"the gate, on the days that training held out, is {gate}")
    return RlBacktest(shown, part.left_out, begin, policy, budgets, rows, comparison, notes)


def _in_units(demand: Demand, begin: int) -> Demand:
    """Each agent in units of its mean hour before."""
    import numpy as np

    cost = demand.cost
    units = np.minimum(cost / cost[:, :begin].mean(axis=1, keepdims=True), _LARGEST)
    return Demand(demand.agents, units)


def _recorded(demand: Demand, end: int) -> History:
    import numpy as np

    history = History(_HOUR)
    history.keep(demand.agents)
    nothing, unknown = np.zeros(len(demand.agents), np.bool_), np.full(len(demand.agents), np.nan)
    for column in demand.cost[:, :end].T:
        history.observe(column, unknown, nothing)
    return history


def _learned(policy: BudgetPolicy, history: History) -> Rule:
    import numpy as np

    changes = np.array(policy.changes)

    def rule(budgets: Floats, _used: Floats) -> Floats:
        outlook = history.outlook()
        kinds = policy.kinds.of(outlook.spread, np.full(len(budgets), _PRIORITY), {})
        return changes[policy.best(budgets, outlook, kinds)]

    return rule


def _replayed(demand: Floats, settings: Settings, rule: Rule, history: History | None) -> Floats:
    """Budgets that a rule chooses, each before the demand of its hour is seen."""
    import numpy as np

    agents, hours = demand.shape
    budgets, used = np.full(agents, START), np.full(agents, 0.7)
    chosen = np.empty((agents, hours))
    for hour in range(hours):
        change = np.clip(rule(budgets, used), -settings.max_change, settings.max_change)
        budgets = next_budgets(budgets, change, np.ones(agents), settings.max_change)
        chosen[:, hour], spent = budgets, np.minimum(demand[:, hour], budgets)
        used = spent / budgets
        if history is not None:
            history.observe(spent, np.full(agents, np.nan), demand[:, hour] > budgets)
    return chosen


def _worth(demand: Floats, chosen: Floats, weights: RewardWeights) -> Floats:
    """The reward of each agent and hour under the budgets that were chosen."""
    import numpy as np

    before = np.hstack([np.full((len(chosen), 1), START), chosen[:, :-1]])
    worth: Floats = weights({}, {"budget_change": chosen - before}, outcome(demand, demand, chosen))
    return worth


def _rows(demand: Floats, budgets: dict[str, Floats], worth: dict[str, Floats]) -> list[RlRow]:
    facts: dict[str, tuple[float, float, float]] = {}
    for name, chosen in budgets.items():
        came = outcome(demand, demand, chosen)
        exhausted, used = came["exhausted"], came["utilization"]
        facts[name] = (float(worth[name].mean()), float(exhausted.mean()), float(used.mean()))
    nothing, most = facts["static"][0], facts["clairvoyant"][0]
    gap = most - nothing
    rows: list[RlRow] = []
    for name, (mean, full, used_up) in facts.items():
        closed = (mean - nothing) / gap if gap > 0 else 0.0
        rows.append(RlRow(name, mean, full, used_up, closed))
    return rows

"""How large should the pools have been? Sizing policies on recorded demand."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves parts of its annotations open.

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from safeguards._native import NextHour
from safeguards._values.arguments import called, instance
from safeguards._values.numbers import MAX_SEED, number, whole
from safeguards.backtest._base import Backtest
from safeguards.backtest._compare import Comparison as Verdict
from safeguards.backtest._compare import compare
from safeguards.backtest._engine import Ground, Policy, own_policies, replay, telling
from safeguards.backtest._part import named, take_part
from safeguards.backtest.demand import Demand
from safeguards.core.dynamic_budget._pool_rules import KEPT, Comparison, SizingRule
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Sizes = NDArray[np.float64]

__all__ = ["CalibrationRow", "PoolSizeBacktest", "PoolSizeRow", "backtest_pool_size"]

_WEEK = 168
_LEAST_TARGET = 1e-9
_RECENT = 336
_LARGEST = 50.0
"""Sizes are at most this many times the first one, and at least `KEPT` of it."""
_ASKED = (0.05, 0.1, 0.2)
_HALF_LIFE = 24.0
_MARGIN = 1.15
_VPA_SHARE = 0.9
_REPLAYED, _STEPS = 1000, 60
"""Mean demand of a pool that is replayed on a ledger, and the debits by which it is spent."""


@dataclass(frozen=True, slots=True)
class PoolSizeRow:
    """One policy, as the mean over all pools.

    Attributes:
        policy: its name.
        unmet_share: share of demand that did not fit, if every policy has the same mean budget.
        exhausted_share: share of hours in which demand did not fit, likewise.
        mean_size: mean size that the policy chose by itself, as a multiple of the mean demand.
        own_unmet_share: share of demand that did not fit into the sizes that it chose by itself.
        own_exhausted_share: share of hours in which it did not.
    """

    policy: str
    unmet_share: float
    exhausted_share: float
    mean_size: float
    own_unmet_share: float
    own_exhausted_share: float


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """How often pools that were sized for an exhaustion rate were exhausted.

    Attributes:
        asked_rate: the `exhaustion_rate`.
        measured_rate: share of hours in which demand did not fit.
    """

    asked_rate: float
    measured_rate: float


@dataclass(frozen=True, eq=False)
class PoolSizeBacktest(Backtest[PoolSizeRow]):
    """What became of each policy.

    Attributes:
        demand: what was replayed: the pools that took part.
        left_out: agents that were left out, because they were active in too few hours.
        warm_up_hours: hours that are seen, but not scored.
        target: the mean budget is the mean demand divided by it.
        sizes: (pools, hours) of each policy, as it chose them.
        rows: a row for each policy.
        calibration: a row for each exhaustion rate that was asked for.
        comparison: the policies by unmet demand at the same mean budget.
        notes: what was left out, and what was assumed.
    """

    kind: ClassVar[str] = "pool-size"
    loses: ClassVar[str] = "demand unmet"
    columns: ClassVar[Mapping[str, tuple[str, str]]] = {
        "policy": ("policy", ""),
        "unmet_share": ("unmet", "share of demand refused, if each policy has the same mean budget"),
        "exhausted_share": ("ran out", "share of hours in which demand did not fit, likewise"),
        "mean_size": ("own size", "mean budget that the policy chose by itself, in multiples of mean demand"),
        "own_unmet_share": ("own unmet", "share of demand refused with the budgets that it chose by itself"),
        "own_exhausted_share": ("own ran out", "share of hours in which that did not fit"),
    }

    demand: Demand
    left_out: int
    warm_up_hours: int
    target: float
    sizes: dict[str, Sizes]
    rows: list[PoolSizeRow]
    calibration: list[CalibrationRow]
    comparison: Verdict
    notes: tuple[str, ...]

    def scaled(self, policy: str) -> Sizes:
        """A policy's sizes in the scored hours, scaled for each pool to the mean budget of all policies.

        Raises:
            ConfigurationError: there is no such policy.
        """
        self.row(policy)
        return _scaled(*self._scored(policy), self.target)

    def unmet_of_pools(self, policy: str) -> Sizes:
        """Each pool's share of demand that a policy leaves unmet, at the mean budget of all policies.

        Raises:
            ConfigurationError: there is no such policy.
        """
        return _unmet(self._scored(policy)[0], self.scaled(policy))

    def _scored(self, policy: str) -> tuple[Sizes, Sizes]:
        return self.demand.cost[:, self.warm_up_hours :], self.sizes[policy][:, self.warm_up_hours :]

    def _facts(self) -> dict[str, Any]:
        return {
            "pools": len(self.demand.agents),
            "left_out": self.left_out,
            "hours": self.demand.hours,
            "warm_up_hours": self.warm_up_hours,
            "target": self.target,
            "calibration": [asdict(row) for row in self.calibration],
        }

    def _figures(self) -> dict[str, Figure]:
        from safeguards.backtest._pool_size_plots import plot_policies, plot_pool

        return {"policies": plot_policies(self), "pool": plot_pool(self)}


def backtest_pool_size(
    demand: Demand,
    *,
    target: float = 0.7,
    growth_rate: float | None = None,
    shrink_rate: float | None = None,
    warm_up_hours: int | None = None,
    min_activity: float | None = None,
    seed: int = 0,
    policies: Mapping[str, Policy] | None = None,
    progress: Callable[[int, int, str], object] | None = None,
) -> PoolSizeBacktest:
    """Replays demand through pools of one agent each, sized anew each hour before the demand of it is seen.

    The policies: `static` (the mean of the warm-up), `step`, `predictive` and `auto` (those of
    `AdaptivePoolSizer`, by the same code), `hpa-like` (the demand of the last hour, as a Kubernetes
    HorizontalPodAutoscaler scales) and `vpa-like` (the 90 % quantile of demand with a half-life of 24 hours,
    and 15 % margin, as a VerticalPodAutoscaler recommends).

    They are compared at the same cost: each policy's sizes are scaled, for each pool, so that their mean is
    the mean demand divided by the target. What then differs is only when they give.

    Args:
        demand: what was wanted.
        target: as `utilization_target` of `AdaptivePoolSizer.configure_pool`, at most 1.
        growth_rate: likewise.
        shrink_rate: likewise.
        warm_up_hours: hours that are seen, but not scored: a week, or half of a shorter record, if not given.
        min_activity: agents with demand in no more than this share (0 to 1) of the hours, in or after the
            warm-up, are left out: 0.3 if not given, but if nobody is so active, all take part that ever want
            something.
        seed: of the resamples of the verdict.
        policies: your own by name. Each runs on a real ledger, where each pool has a period of an hour and is
            called as its agent: it is called with the `BudgetCoordinator`, and makes controllers, or a
            function of `Seen` that gives each pool's budget for the next hour. It sees what was spent.
        progress: called now and then with (done, in all, policy at work).

    Raises:
        ConfigurationError: an argument is out of the range that is told with it, or no agent is left.

    Example:
        >>> import numpy as np
        >>> from safeguards.backtest import Demand
        >>> day = np.where(np.arange(24) < 8, 1.0, 10.0)
        >>> result = backtest_pool_size(Demand(("office",), np.tile(day, 14)[None]))
        >>> [(row.policy, round(row.unmet_share, 2)) for row in result.rows][:3]
        [('static', 0.0), ('step', 0.07), ('predictive', 0.0)]
    """
    import numpy as np

    instance("demand", demand, Demand)
    target = number("target", target, _LEAST_TARGET, 1)
    rule = SizingRule(target, growth_rate, shrink_rate)
    if demand.hours < 2:  # noqa: PLR2004 - one to see, one to score
        raise ConfigurationError(f"demand must last two hours at least, not {demand.hours}")
    usual = min(_WEEK, demand.hours // 2)
    warm_up = whole("warm_up_hours", usual if warm_up_hours is None else warm_up_hours, 1, demand.hours - 1)
    part = take_part(demand.cost, warm_up, min_activity)
    pools = Demand(named(demand.agents, part.is_in), demand.cost[part.is_in])
    if progress is not None:
        called("progress", progress)(0, 1 + len(policies or ()), "policies of the package")
    sizes = _sizes(pools.cost, rule, warm_up)
    for place, (name, policy) in enumerate(own_policies(policies, tuple(sizes)).items(), start=1):
        told = telling(progress, place, 1 + len(policies or ()), name)
        sizes[name] = _live(pools, policy, rule, warm_up, told)
    scored = pools.cost[:, warm_up:]
    verdict = compare(
        {n: np.maximum(scored - _scaled(scored, s[:, warm_up:], target), 0) for n, s in sizes.items()},
        scored,
        ours="auto",
        seed=whole("seed", seed, 0, MAX_SEED),
    )
    return PoolSizeBacktest(
        demand=pools,
        left_out=part.left_out,
        warm_up_hours=warm_up,
        target=target,
        sizes=sizes,
        rows=[_row(name, pools.cost[:, warm_up:], s[:, warm_up:], rule) for name, s in sizes.items()],
        calibration=[_calibration(pools.cost, warm_up, asked) for asked in _ASKED],
        comparison=verdict,
        notes=part.notes,
    )


def _live(
    pools: Demand,
    policy: Policy,
    rule: SizingRule,
    warm_up: int,
    progress: Callable[[int, int], object] | None,
) -> Sizes:
    """What somebody's own policy gives pools of a real ledger, each in units of its mean demand."""
    unit = pools.cost.mean(axis=1, keepdims=True) / _REPLAYED
    start = _first(pools.cost, rule, warm_up) / unit[:, 0]
    ground = Ground(pools.agents, pools.cost / unit, (5,) * len(pools.agents), _STEPS)
    budgets = replay(ground, policy, steers="pools", start=start, progress=progress).budgets
    sizes: Sizes = budgets * unit
    return sizes


def _row(name: str, demand: Sizes, sizes: Sizes, rule: SizingRule) -> PoolSizeRow:
    scaled = _scaled(demand, sizes, rule.utilization_target)
    return PoolSizeRow(
        policy=name,
        unmet_share=float(_unmet(demand, scaled).mean()),
        exhausted_share=float((demand > scaled).mean()),
        mean_size=float((sizes.mean(axis=1) / demand.mean(axis=1)).mean()),
        own_unmet_share=float(_unmet(demand, sizes).mean()),
        own_exhausted_share=float((demand > sizes).mean()),
    )


def _scaled(demand: Sizes, sizes: Sizes, utilization: float) -> Sizes:
    """The sizes of each pool, scaled so that their mean is mean demand / utilization."""
    import numpy as np

    given = np.maximum(sizes.mean(axis=1), np.finfo(float).tiny)
    scaled: Sizes = sizes * (demand.mean(axis=1) / utilization / given)[:, None]
    return scaled


def _unmet(demand: Sizes, sizes: Sizes) -> Sizes:
    """Each pool's share of demand that does not fit."""
    import numpy as np

    shares: Sizes = np.maximum(demand - sizes, 0).sum(axis=1) / demand.sum(axis=1)
    return shares


def _calibration(cost: Sizes, warm_up: int, asked: float) -> CalibrationRow:
    rule = SizingRule(exhaustion_rate=asked)
    sizes = _predictive(_needs(cost, rule), rule, _first(cost, rule, warm_up))
    return CalibrationRow(asked, float((cost > sizes)[:, warm_up:].mean()))


# The policies: (pools, hours) of demand to sizes that were decided before each hour.


def _sizes(cost: Sizes, rule: SizingRule, warm_up: int) -> dict[str, Sizes]:
    """The sizes of each policy. Those that forecast share one forecast, which takes most of the time."""
    first, needs = _first(cost, rule, warm_up), _needs(cost, rule)
    step, predictive = _step(cost, rule, first), _predictive(needs, rule, first)
    return {
        "static": _static(cost, first),
        "step": step,
        "predictive": predictive,
        "auto": _auto(cost, needs, rule, step, predictive),
        "hpa-like": _hpa_like(cost, rule, first),
        "vpa-like": _vpa_like(cost, first),
    }


def _first(cost: Sizes, rule: SizingRule, warm_up: int) -> Sizes:
    """What each pool is given before anything is known of it: enough for the mean of the warm-up."""
    import numpy as np

    return np.asarray(cost[:, :warm_up].mean(axis=1) / rule.utilization_target, np.float64)


def _static(cost: Sizes, first: Sizes) -> Sizes:
    import numpy as np

    return np.repeat(first[:, None], cost.shape[1], axis=1)


def _step(cost: Sizes, rule: SizingRule, first: Sizes) -> Sizes:
    import numpy as np

    sizes = np.empty_like(cost)
    for pool, (demand, start) in enumerate(zip(cost.tolist(), first.tolist(), strict=True)):
        size = start
        for hour, wanted in enumerate(demand):
            sizes[pool, hour] = size
            size *= rule.factor(min(wanted, size) / size)
            size = min(max(size, KEPT * start), _LARGEST * start)
    return sizes


def _needs(cost: Sizes, rule: SizingRule) -> Sizes:
    """What the forecast says that each hour needs; NaN while nothing is known."""
    expected = NextHour(len(cost)).replay(cost, probability=rule.probability)
    return expected if rule.probability is not None else expected / rule.utilization_target


def _predictive(needs: Sizes, rule: SizingRule, first: Sizes) -> Sizes:
    import numpy as np

    sizes: Sizes = np.fmax(needs, KEPT * first[:, None])
    for of_pool, size in zip(sizes, first.tolist(), strict=True):
        for hour, wanted in enumerate(of_pool.tolist()):
            of_pool[hour] = size = rule.bounded(size, wanted)  # noqa: PLW2901 - each is bounded by the one before
    return sizes


def _auto(cost: Sizes, needs: Sizes, rule: SizingRule, step: Sizes, predictive: Sizes) -> Sizes:
    import numpy as np

    is_predictive = np.zeros(cost.shape, bool)
    for pool, demand in enumerate(cost.tolist()):
        comparison = Comparison(rule)
        for hour, wanted in enumerate(demand):
            is_predictive[pool, hour] = comparison.is_forecast_better
            comparison.add(wanted, float(needs[pool, hour]))
    return np.where(is_predictive, predictive, step)


def _hpa_like(cost: Sizes, rule: SizingRule, first: Sizes) -> Sizes:
    import numpy as np

    last = np.hstack([first[:, None], cost[:, :-1] / rule.utilization_target])
    return np.maximum(last, KEPT * first[:, None])


def _vpa_like(cost: Sizes, first: Sizes) -> Sizes:
    import numpy as np

    sizes = np.empty_like(cost)
    sizes[:, 0] = first
    for hour in range(1, cost.shape[1]):
        seen = cost[:, max(0, hour - _RECENT) : hour]
        weights = 0.5 ** (np.arange(seen.shape[1])[::-1] / _HALF_LIFE)
        order = np.argsort(seen, axis=1)
        below = weights[order].cumsum(axis=1) / weights.sum()
        at = np.minimum((below < _VPA_SHARE).sum(axis=1), seen.shape[1] - 1)[:, None]
        quantile = np.take_along_axis(seen, np.take_along_axis(order, at, axis=1), axis=1)
        sizes[:, hour] = quantile[:, 0] * _MARGIN
    return sizes

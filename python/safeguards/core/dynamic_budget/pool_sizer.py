"""`AdaptivePoolSizer`: pools that grow and shrink with what is used of them, or with what will be."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from safeguards._values.amounts import amount
from safeguards._values.arguments import shown
from safeguards._values.decimals import MAX_AMOUNT, add, of_float, plain, rounded, subtract, times
from safeguards._values.numbers import share, whole
from safeguards.core.controller import Controller
from safeguards.core.dynamic_budget._pool_demand import DemandTracker, Look, renewal_of
from safeguards.core.dynamic_budget._pool_rules import SizingRule
from safeguards.exceptions import ConfigurationError, UnknownPoolError
from safeguards.types.decisions import Decision

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from safeguards._native import Amount
    from safeguards.core.budget_coordination import BudgetCoordinator
    from safeguards.core.dynamic_budget._pool_rules import Policy

__all__ = ["AdaptivePoolSizer"]

_SAME_LENGTH = 1.01
"""Periods this much longer than the interval still count as one step: an hour's clock drifts a little."""


@dataclass(frozen=True, slots=True)
class _Pool:
    rule: SizingRule
    min_agents: int


class AdaptivePoolSizer(Controller):
    """Sizes budget pools by how much of them is used, or by what they are going to need.

    A pool's size is what it was granted in its period: its `budget_period`, or the time since it was created
    or its budget was last set. A change of size changes what remains, and what later periods begin with.

    Three policies:

    - `"step"`: above the target utilization a pool grows by `growth_rate`, below it it shrinks by
      `shrink_rate`. Utilization is (spent + reserved) / size of the period that just ended, or else of the
      current one.
    - `"predictive"`: a pool is given what it will need until the next run, or in its next period: the
      forecast of its demand divided by the target utilization, or, with `exhaustion_rate`, as much as is
      enough all but that often. `growth_rate` and `shrink_rate` bound it only if they are set.
    - `"auto"`: the step rule, until the forecast would have left less demand unmet on the pool's own last two
      weeks. Three days of hours are the least that it wants to have seen.

    How demand is told from spending and what a pool is given in its period is in
    docs/decisions/0011-sizes-of-pools.md.

    Args:
        budget_coordinator: the coordinator whose pools it sizes.
        adjustment_interval_seconds: seconds from one run to the next, and the step of the forecast.
        min_pool_budget: no pool is made smaller.
        max_pool_budget: no pool is made larger; no bound if not given.
        max_change: as in `Controller`.
        history_size: as in `Controller`.

    Raises:
        ConfigurationError: an argument makes no sense.
        InvalidAmountError: a bound is not an amount.

    Example:
        >>> from safeguards import BudgetCoordinator
        >>> coordinator = BudgetCoordinator()
        >>> team = coordinator.create_budget_pool("team", 1000)
        >>> for name in ("reader", "writer", "critic"):
        ...     _ = coordinator.register_agent(name, team, initial_budget=500)
        >>> sizer = AdaptivePoolSizer(coordinator, max_pool_budget=1100)
        >>> sizer.configure_pool(team, utilization_target=0.7)
        >>> receipts = [coordinator.debit("reader", 400), coordinator.debit("writer", 350)]
        >>> [decision] = sizer.run_once()
        >>> print(decision.reason)
        75% of 1000 is used, above the target of 70%: step rule, +20%, at most 1100
        >>> coordinator.get_pool_budget(team)
        Decimal('350')
    """

    fallback = "the step rule"

    def __init__(
        self,
        budget_coordinator: BudgetCoordinator,
        adjustment_interval_seconds: float = 3600,
        min_pool_budget: Amount = 0,
        max_pool_budget: Amount | None = None,
        *,
        max_change: float | None = None,
        history_size: int = 10_000,
    ) -> None:
        super().__init__(
            budget_coordinator,
            adjustment_interval_seconds,
            max_change=max_change,
            history_size=history_size,
        )
        self.min_pool_budget = amount(min_pool_budget, "min_pool_budget")
        self.max_pool_budget = None if max_pool_budget is None else amount(max_pool_budget, "max_pool_budget")
        if self.max_pool_budget is not None and self.max_pool_budget < self.min_pool_budget:
            raise ConfigurationError(
                f"max_pool_budget ({self.max_pool_budget}) is below min_pool_budget ({self.min_pool_budget})"
            )
        self._pools: dict[str, _Pool] = {}
        self._tracker = DemandTracker(self.interval_seconds, self.budget_coordinator.clock.monotonic())
        self._looks: dict[str, Look] | None = None

    def configure_pool(
        self,
        pool_id: str,
        utilization_target: float = 0.7,
        growth_rate: float | None = None,
        shrink_rate: float | None = None,
        min_agents_for_adjustment: int = 3,
        *,
        policy: Policy = "auto",
        exhaustion_rate: float | None = None,
    ) -> None:
        """Sizes a pool from now on, or by other rules.

        What is known of its demand is kept; `"auto"` compares anew if something is changed.

        Args:
            pool_id: the pool.
            utilization_target: the share of the pool that should be used, above 0 and at most 1.
            growth_rate: the most that it grows by at once, as a share of its size: 0.2 by the step rule if
                not given. It bounds a forecast only if it is given.
            shrink_rate: the most that it shrinks by at once: 0.1 by the step rule if not given.
            min_agents_for_adjustment: with fewer agents, at any depth, the pool is left as it is.
            policy: `"step"`, `"predictive"` or `"auto"`, as above.
            exhaustion_rate: how often a step, or a period, may turn out to need more than it was given:
                0.05 is one in twenty. The forecast is then not divided by the target.

        Raises:
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: an argument is out of its range.
        """
        rule = SizingRule(utilization_target, growth_rate, shrink_rate, exhaustion_rate, policy)
        least = whole("min_agents_for_adjustment", min_agents_for_adjustment, 0)
        with self._turn:
            self._tracker.add(self.budget_coordinator, pool_id, rule)
            self._pools[pool_id] = _Pool(rule, least)

    def remove_pool(self, pool_id: str) -> None:
        """Leaves a pool alone from now on, and forgets its demand.

        Raises:
            UnknownPoolError: the pool was not configured.
        """
        with self._turn:
            self._rule_of(pool_id)
            del self._pools[pool_id]
            if pool_id in self._tracker:
                self._tracker.remove(pool_id)

    @property
    def pool_ids(self) -> list[str]:
        """The pools that are sized, sorted."""
        with self._turn:
            return sorted(self._pools)

    def policy_in_force(self, pool_id: str) -> Literal["step", "predictive"]:
        """The rule that sizes a pool now: of interest where the policy is `"auto"`.

        Raises:
            UnknownPoolError: the pool was not configured.
        """
        with self._turn:
            self._rule_of(pool_id)
            return "predictive" if self._is_predictive(self._tracker, pool_id) else "step"

    def get_forecast(self, pool_id: str, probability: float | None = None) -> float:
        """What a pool's agents will spend in the next interval.

        Args:
            pool_id: the pool.
            probability: gives what demand stays within with this probability, instead of what is expected.

        Returns:
            An amount as a float; NaN while nothing is known.

        Raises:
            UnknownPoolError: the pool was not configured.
            ConfigurationError: `probability` is not between 0 and 1.
        """
        with self._turn:
            self._rule_of(pool_id)
            if probability is not None:
                probability = share("probability", probability, above=True, below=True)
            return self._tracker.expect(probability)[pool_id]

    # One run.

    def _observe(self, now: datetime) -> None:  # noqa: ARG002 - the clock's own line counts
        self._looks = None
        looks = self._looks = self._tracker.observe(self.budget_coordinator)
        for pool_id in self._pools.keys() - looks.keys():
            self._pools.pop(pool_id, None)

    def _propose(self, now: datetime) -> list[Decision]:  # noqa: ARG002
        tracker, looks = self._tracker, self._looks
        self._looks = None
        if looks is None:  # a dry run: it must leave no trace
            tracker = deepcopy(tracker)
            looks = tracker.observe(self.budget_coordinator)
        expected = {p: tracker.expect(p) for p in {pool.rule.probability for pool in self._pools.values()}}
        decisions: list[Decision] = []
        for pool_id, look in looks.items():
            rule = self._pools[pool_id].rule
            if not self._has_enough_agents(pool_id):
                continue
            wanted = expected[rule.probability][pool_id]
            if self._is_predictive(tracker, pool_id) and wanted >= 0:
                decisions += self._by_forecast(pool_id, look, wanted, tracker)
            else:
                decisions.append(self._by_step(pool_id, look.metrics.period_granted, look.utilization))
        return decisions

    def _fall_back(self, now: datetime) -> list[Decision]:  # noqa: ARG002 - it looks at the present only
        books = {pool_id: self.budget_coordinator.get_pool_metrics(pool_id) for pool_id in self._pools}
        return [
            self._by_step(pool_id, metrics.period_granted, metrics.utilization)
            for pool_id, metrics in books.items()
            if self._has_enough_agents(pool_id)
        ]

    def _apply(self, decision: Decision) -> None:
        super()._apply(decision)
        coordinator, pool_id = self.budget_coordinator, decision.subject
        if decision.inputs["later_periods"]:
            renewal = renewal_of(coordinator, pool_id)
            if renewal is not None:
                change = subtract(decision.new, decision.old)
                coordinator.update_period_budget(pool_id, self._clamped(add(renewal.budget, change)))
        self._tracker.applied(coordinator, pool_id)

    # The two rules.

    def _by_step(self, pool_id: str, size: Decimal, utilization: float) -> Decision:
        rule = self._pools[pool_id].rule
        factor = rule.factor(utilization)
        wanted = times(size, of_float(round(factor, 9)))
        side = "above" if factor > 1 else "below" if factor < 1 else "at"
        what = f"{utilization:.0%} of {size} is used, {side} the target of {rule.utilization_target:.0%}"
        inputs = {"policy": "step", "utilization": utilization}
        return self._decision(pool_id, size, wanted, f"{what}: step rule, {factor - 1:+.0%}", inputs)

    def _by_forecast(
        self, pool_id: str, look: Look, expected: float, tracker: DemandTracker
    ) -> list[Decision]:
        rule, metrics, renewal = self._pools[pool_id].rule, look.metrics, look.renewal
        need, interval = max(rule.need(expected), tracker.floor(pool_id)), self.interval_seconds
        inputs = {"policy": "predictive", "utilization": look.utilization, "expected": expected, "need": need}
        if renewal is None:
            wanted = float(metrics.period_spent) + need
            return [self._sized(pool_id, metrics.period_granted, wanted, interval, inputs)]
        if renewal.length <= _SAME_LENGTH * interval:
            wanted = need * renewal.length / interval
            return [self._sized(pool_id, renewal.budget, wanted, interval, inputs)]
        in_period = tracker.expect_period(pool_id, rule.probability)
        if look.ended is not None and in_period >= 0:
            wanted = rule.need(in_period)
            inputs |= {"expected": in_period, "need": wanted}
            return [self._sized(pool_id, renewal.budget, wanted, renewal.length, inputs)]
        short = need - float(metrics.remaining) - float(metrics.reserved)
        if short <= 0:
            return []
        inputs["later_periods"] = False
        wanted = float(metrics.period_granted) + short
        return [self._sized(pool_id, metrics.period_granted, wanted, interval, inputs)]

    def _sized(
        self, pool_id: str, old: Decimal, wanted: float, seconds: float, inputs: dict[str, Any]
    ) -> Decision:
        rule, size = self._pools[pool_id].rule, float(old)
        bounded = rule.bounded(size, wanted)
        often = rule.exhaustion_rate
        how = f"at {rule.utilization_target:.0%} use" if often is None else f"short in {often:.0%} of cases"
        reason = f"{inputs['need']:.6g} will be needed in the next {_span(seconds)} ({how})"
        if bounded != wanted and size:
            reason += f", {bounded / size - 1:+.0%} at a time"
        return self._decision(pool_id, old, of_float(min(bounded, float(MAX_AMOUNT))), reason, inputs)

    def _decision(
        self, pool_id: str, old: Decimal, wanted: Decimal, reason: str, inputs: dict[str, Any]
    ) -> Decision:
        new, wanted = self._clamped(wanted), rounded(wanted)
        if new != wanted:
            reason += f", at {'least' if new > wanted else 'most'} {new}"
        return Decision("pool", pool_id, old, new, reason, {"later_periods": True, **inputs})

    def _clamped(self, size: Decimal) -> Decimal:
        largest = MAX_AMOUNT if self.max_pool_budget is None else self.max_pool_budget
        return plain(min(max(rounded(size), self.min_pool_budget), largest))

    def _rule_of(self, pool_id: str) -> SizingRule:
        pool = self._pools.get(pool_id)
        if pool is None:
            raise UnknownPoolError(
                f"pool {shown(pool_id)} is not sized: call configure_pool first", account=pool_id
            )
        return pool.rule

    def _is_predictive(self, tracker: DemandTracker, pool_id: str) -> bool:
        policy = self._pools[pool_id].rule.policy
        return policy == "predictive" or (policy == "auto" and tracker.is_forecast_better(pool_id))

    def _has_enough_agents(self, pool_id: str) -> bool:
        coordinator = self.budget_coordinator
        found = coordinator._agents_below(pool_id)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        return found >= self._pools[pool_id].min_agents


def _span(seconds: float) -> str:
    """A length of time, in words."""
    for name, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds / length
            return name if count == 1 else f"{count:g} {name}s"
    return f"{seconds:g} s"

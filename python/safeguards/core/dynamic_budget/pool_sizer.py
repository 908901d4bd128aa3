"""`AdaptivePoolSizer`: pools that grow and shrink with what is used of them, or with what will be."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from safeguards._values.amounts import amount
from safeguards._values.arguments import shown, text
from safeguards._values.decimals import MAX_AMOUNT, NOTHING, add, of_float, plain, rounded, subtract, times
from safeguards._values.numbers import seconds, share, whole
from safeguards.core.controller import Controller
from safeguards.core.dynamic_budget._pool_demand import DemandTracker, Look
from safeguards.core.dynamic_budget._pool_rules import SizingRule
from safeguards.exceptions import ConfigurationError, UnknownPoolError
from safeguards.types.decisions import Decision, Resize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from decimal import Decimal

    from safeguards._native import Amount
    from safeguards.core.budget_coordination import BudgetCoordinator
    from safeguards.core.controller import Execute
    from safeguards.core.dynamic_budget._pool_rules import Policy

__all__ = ["AdaptivePoolSizer"]

_SAME_LENGTH = 1.01
"""Periods this much longer than the interval still count as one step: an hour's clock drifts a little."""


@dataclass(frozen=True, slots=True)
class _Pool:
    rule: SizingRule
    min_agents: int


@dataclass(frozen=True, slots=True)
class _Size:
    """What is resized: a pool, its size, and what its later periods begin with if they are to follow."""

    pool_id: str
    size: Decimal
    later: Decimal | None


class _View:
    """The pools as they are, and their demand with what this look adds to it."""

    def __init__(self, looks: dict[str, Look], before: DemandTracker, now: float) -> None:
        self.looks = looks
        self._before = before
        self._now = now

    @cached_property
    def demand(self) -> DemandTracker:
        return self._before.after(self.looks, self._now)


class AdaptivePoolSizer(Controller[_View]):
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
        ConfigurationError: the interval is not from a millisecond to a hundred years, or `max_change` or
            `history_size` is out of the range of `Controller`.
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
            seconds("adjustment_interval_seconds", adjustment_interval_seconds),
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
        with self.between_runs():
            self._tracker.add(self.budget_coordinator, pool_id, rule)
            self._pools[pool_id] = _Pool(rule, least)

    def remove_pool(self, pool_id: str) -> None:
        """Leaves a pool alone from now on, and forgets its demand.

        Raises:
            UnknownPoolError: the pool was not configured.
        """
        with self.between_runs():
            self._rule_of(pool_id)
            del self._pools[pool_id]
            if pool_id in self._tracker:
                self._tracker.remove(pool_id)

    @property
    def pool_ids(self) -> list[str]:
        """The pools that are sized, sorted."""
        with self.between_runs():
            return sorted(self._pools)

    def policy_in_force(self, pool_id: str) -> Literal["step", "predictive"]:
        """The rule that sizes a pool now: of interest where the policy is `"auto"`.

        Raises:
            UnknownPoolError: the pool was not configured.
        """
        with self.between_runs():
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
        with self.between_runs():
            self._rule_of(pool_id)
            if probability is not None:
                probability = share("probability", probability, above=True, below=True)
            return self._tracker.expect(probability)[pool_id]

    # One run.

    def observe(self, now: datetime) -> _View:  # noqa: ARG002 - the clock's own line counts
        """Looks at the pools that are sized. As `Controller.observe`."""
        coordinator = self.budget_coordinator
        looks: dict[str, Look] = {}
        for pool_id in list(self._pools):
            with suppress(UnknownPoolError):
                looks[pool_id] = self._tracker.look(coordinator, pool_id)
        return _View(looks, self._tracker, coordinator.clock.monotonic())

    def learn(self, view: _View) -> None:
        """Takes note of the demand. As `Controller.learn`."""
        for pool_id in self._pools.keys() - view.looks.keys():
            self._pools.pop(pool_id, None)
        self._tracker = view.demand

    def propose(self, view: _View) -> list[Decision]:
        """Sizes by forecast or by the step rule. As `Controller.propose`."""
        demand = view.demand
        rules = {pool_id: self._pools[pool_id].rule for pool_id in view.looks}
        expected = {p: demand.expect(p) for p in {rule.probability for rule in rules.values()}}
        decisions: list[Decision] = []
        for pool_id, look in view.looks.items():
            if not self._has_enough_agents(pool_id):
                continue
            wanted = expected[rules[pool_id].probability][pool_id]
            if self._is_predictive(demand, pool_id) and wanted >= 0:
                decisions += self._by_forecast(pool_id, look, wanted, demand)
            else:
                decisions.append(self._by_step(pool_id, look, look.utilization))
        return decisions

    def fall_back(self, view: _View) -> list[Decision]:
        """Sizes by the step rule, by what is used now. As `Controller.fall_back`."""
        return [
            self._by_step(pool_id, look, look.metrics.utilization)
            for pool_id, look in view.looks.items()
            if self._has_enough_agents(pool_id)
        ]

    def carry_out(
        self, view: _View | None, decisions: list[Decision], execute: Execute
    ) -> Iterator[Decision]:
        """Measures periods by the sizes that were really set. As `Controller.carry_out`."""
        for done in super().carry_out(view, decisions, execute):
            if done.status == "applied":
                self._tracker.applied(self.budget_coordinator, done.subject)
            yield done

    # The two rules.

    def _by_step(self, pool_id: str, look: Look, utilization: float) -> Decision:
        rule, size = self._pools[pool_id].rule, look.metrics.period_granted
        factor = rule.factor(utilization)
        wanted = times(size, of_float(round(factor, 9)))
        side = "above" if factor > 1 else "below" if factor < 1 else "at"
        what = f"{utilization:.0%} of {size} is used, {side} the target of {rule.utilization_target:.0%}"
        inputs = {"policy": "step", "utilization": utilization}
        reason = f"{what}: step rule, {factor - 1:+.0%}"
        return self._decision(_Size(pool_id, size, look.later), wanted, reason, inputs)

    def _by_forecast(
        self, pool_id: str, look: Look, expected: float, tracker: DemandTracker
    ) -> list[Decision]:
        rule, metrics, renewal = self._pools[pool_id].rule, look.metrics, look.renewal
        need, interval = max(rule.need(expected), tracker.floor(pool_id)), self.interval_seconds
        inputs = {"policy": "predictive", "utilization": look.utilization, "expected": expected, "need": need}
        now = _Size(pool_id, metrics.period_granted, None)
        if renewal is None:
            return [self._sized(now, float(metrics.period_spent) + need, interval, inputs)]
        each = _Size(pool_id, renewal.budget, renewal.budget)
        if renewal.length <= _SAME_LENGTH * interval:
            return [self._sized(each, need * renewal.length / interval, interval, inputs)]
        in_period = tracker.expect_period(pool_id, rule.probability)
        if look.ended is not None and in_period >= 0:
            wanted = rule.need(in_period)
            inputs |= {"expected": in_period, "need": wanted}
            return [self._sized(each, wanted, renewal.length, inputs)]
        short = need - float(metrics.remaining) - float(metrics.reserved)
        return (
            [self._sized(now, float(metrics.period_granted) + short, interval, inputs)] if short > 0 else []
        )

    def _sized(self, pool: _Size, wanted: float, seconds: float, inputs: dict[str, Any]) -> Decision:
        rule, size = self._pools[pool.pool_id].rule, float(pool.size)
        bounded = rule.bounded(size, wanted)
        often = rule.exhaustion_rate
        how = f"at {rule.utilization_target:.0%} use" if often is None else f"short in {often:.0%} of cases"
        reason = f"{inputs['need']:.6g} will be needed in the next {_span(seconds)} ({how})"
        if bounded != wanted and size:
            reason += f", {bounded / size - 1:+.0%} at a time"
        return self._decision(pool, of_float(min(bounded, float(MAX_AMOUNT))), reason, inputs)

    def _decision(self, pool: _Size, wanted: Decimal, reason: str, inputs: dict[str, Any]) -> Decision:
        """A decision within the bounds; on later periods as well, where they are to follow."""
        old, new, wanted = pool.size, self._clamped(wanted), rounded(wanted)
        if new != wanted:
            reason += f", at {'least' if new > wanted else 'most'} {new}"
        by, later = subtract(new, old), NOTHING
        if by and pool.later is not None:
            later = subtract(self._clamped(add(pool.later, by)), pool.later)
        inputs = {"later_periods": bool(later), **inputs}
        return Decision("pool", pool.pool_id, old, new, reason, inputs, change=Resize(by, later))

    def _clamped(self, size: Decimal) -> Decimal:
        largest = MAX_AMOUNT if self.max_pool_budget is None else self.max_pool_budget
        return plain(min(max(rounded(size), self.min_pool_budget), largest))

    def _rule_of(self, pool_id: str) -> SizingRule:
        pool = self._pools.get(text("pool_id", pool_id))
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

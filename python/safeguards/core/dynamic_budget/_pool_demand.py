"""What pools are seen to want: their spending, cut into steps of one interval and into their own periods."""

from __future__ import annotations

import math
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from safeguards._native import NextHour
from safeguards._values.decimals import subtract
from safeguards.core.dynamic_budget._pool_rules import KEPT, Comparison, SizingRule

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from safeguards.core.budget_coordination import BudgetCoordinator
    from safeguards.types.metrics import BudgetMetrics

__all__ = ["DemandTracker", "Ended", "Look", "Renewal", "renewal_of"]

_DAY = 86_400
_WEEK = 7 * _DAY
_SEASONS = range(2, 10_081)
"""Lengths of a season that the forecaster follows, in steps."""
_LONGEST_GAP = 336
"""Steps that were missed and are told to the forecaster, at most."""
_DRY = 0.02
"""A pool of whose budget less than this share is left has cut its agents off: they may have wanted more."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """When a pool's budget is granted anew.

    Attributes:
        ends: the end of the current period.
        length: seconds of the period that follows.
        budget: what later periods begin with.
    """

    ends: datetime
    length: float
    budget: Decimal


@dataclass(frozen=True, slots=True)
class Ended:
    """The periods of a pool that ended since the last look.

    Attributes:
        periods: how many.
        granted: what they were granted, together.
        spent: what they spent, together.
        reserved: what was still reserved.
    """

    periods: int
    granted: float
    spent: float
    reserved: float

    @property
    def utilization(self) -> float:
        """Share of what was granted that was used."""
        return (self.spent + self.reserved) / self.granted if self.granted > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """A pool as it is now.

    Attributes:
        metrics: its books.
        refusals: how often it refused, ever.
        renewal: its period, if it has one.
        at: when that was, in seconds of the clock.
        began: when its current period began, likewise; as seen now, whatever a wall clock showed before.
        ended: the periods that ended since it was last observed, if any did.
    """

    metrics: BudgetMetrics
    refusals: int
    renewal: Renewal | None
    at: float
    began: float
    ended: Ended | None

    @property
    def later(self) -> Decimal | None:
        """What later periods begin with; None if there are none."""
        return None if self.renewal is None else self.renewal.budget

    @property
    def utilization(self) -> float:
        """Of the period that just ended, else of the current one."""
        return self.metrics.utilization if self.ended is None else self.ended.utilization


@dataclass(slots=True)
class _Pool:
    """What is remembered of a pool."""

    seen: Look
    comparison: Comparison
    periods: NextHour | None
    """Demand by its own periods, if they are longer than a step."""
    size_before: float
    """Its size when it was first watched."""
    began: float
    """When the open step began, in seconds of the clock."""
    spent_before: Decimal
    """What had been spent when the open step began."""
    told: Look
    """Its look when a period of its own was last told to the forecaster."""
    spent_told: float
    """What had been spent in all when the period after that began."""
    is_cut: bool = False
    """Whether its agents were cut off in the open step."""

    def copied(self) -> _Pool:
        return replace(self, comparison=self.comparison.copied(), periods=deepcopy(self.periods))


class DemandTracker:
    """The demand of pools in steps of one interval, with a forecast of the next step.

    Spending is seen; demand is what was wanted. They differ in a step in which the pool refused or ran dry:
    what was spent then is taken as the least that was wanted (`NextHour.observe`, `at_least`). A step that
    took longer or shorter than the interval counts with its average; steps that were missed are unknown.

    Args:
        interval: seconds of a step.
        now: seconds of the clock.
    """

    def __init__(self, interval: float, now: float) -> None:
        self._interval = interval
        self._began = now
        self._pools: dict[str, _Pool] = {}
        self._steps = NextHour(0, seasons=_seasons(interval))

    def __contains__(self, pool_id: str) -> bool:
        return pool_id in self._pools

    def add(self, coordinator: BudgetCoordinator, pool_id: str, rule: SizingRule) -> None:
        """Begins to watch a pool, or compares by another rule from now on.

        Raises:
            UnknownPoolError: no pool of this id exists.
        """
        known = self._pools.get(pool_id)
        if known is not None:
            if known.comparison.rule != rule:
                known.comparison = Comparison(rule)
            return
        look = _look(coordinator, pool_id, None)
        is_longer = look.renewal is not None and look.renewal.length > self._interval
        periods = NextHour(1, seasons=_seasons(look.renewal.length)) if look.renewal and is_longer else None
        size = float(look.metrics.period_granted)
        spent_told = _less(look.metrics.spent, look.metrics.period_spent)
        self._pools[pool_id] = _Pool(
            look, Comparison(rule), periods, size, look.at, look.metrics.spent, look, spent_told
        )
        self._steps.extend(1)

    def remove(self, pool_id: str) -> None:
        """Watches a pool no more."""
        import numpy as np

        self._steps.retain(np.array([known != pool_id for known in self._pools], bool))
        del self._pools[pool_id]

    def look(self, coordinator: BudgetCoordinator, pool_id: str) -> Look:
        """A pool as it is now, and what ended since it was last observed."""
        return _look(coordinator, pool_id, self._pools[pool_id].seen)

    def after(self, looks: dict[str, Look], now: float) -> DemandTracker:
        """The same after these looks at `now`, in seconds of the clock: with another step, if one is over.

        This one stays as it is. Pools that are not among the looks are gone, and forgotten.
        """
        new = self._copied()
        for pool_id in self._pools.keys() - looks.keys():
            new.remove(pool_id)
        for pool_id, look in looks.items():
            new._note(new._pools[pool_id], look)  # noqa: SLF001 - one of this kind
        steps = round((now - self._began) / self._interval)
        if steps >= 1:
            new._close(steps, now)  # noqa: SLF001
        return new

    def _copied(self) -> DemandTracker:
        new = copy(self)
        vars(new).update(
            _pools={pool_id: pool.copied() for pool_id, pool in self._pools.items()},
            _steps=deepcopy(self._steps),
        )
        return new

    def applied(self, coordinator: BudgetCoordinator, pool_id: str) -> None:
        """Takes note of a size that was just changed, so that the period is measured by it."""
        pool = self._pools.get(pool_id)
        if pool is not None:
            pool.seen = _look(coordinator, pool_id, None)

    def expect(self, probability: float | None) -> dict[str, float]:
        """Each pool's demand in the next step, or what it stays within with a probability; NaN if unknown."""
        return dict(zip(self._pools, _expected(self._steps, probability), strict=True))

    def expect_period(self, pool_id: str, probability: float | None) -> float:
        """As `expect`, of a pool's own period; NaN if it is not longer than a step."""
        periods = self._pools[pool_id].periods
        return float("nan") if periods is None else _expected(periods, probability)[0]

    def is_forecast_better(self, pool_id: str) -> bool:
        """Whether the forecast would have served this pool better than the step rule, on its own history."""
        return self._pools[pool_id].comparison.is_forecast_better

    def floor(self, pool_id: str) -> float:
        """What a pool keeps whatever the forecast says, so that new demand can show."""
        pool = self._pools[pool_id]
        return KEPT * max(pool.size_before, pool.comparison.largest)

    def _note(self, pool: _Pool, look: Look) -> None:
        ended, metrics = look.ended, look.metrics
        pool.is_cut |= look.refusals > pool.seen.refusals
        if ended is None:
            remaining = float(metrics.remaining)
            pool.is_cut |= remaining <= _DRY * (remaining + _less(metrics.spent, pool.spent_before))
        else:
            was_dry = ended.utilization >= 1 - _DRY
            pool.is_cut |= was_dry
            self._tell_period(pool, look, was_dry)
        pool.seen = look

    def _tell_period(self, pool: _Pool, look: Look, was_dry: bool) -> None:
        """Tells what was wanted in the periods that are over, by the time that passed since the last one was.

        A period that a wall clock began too early, and begins again when it is right, is over once.
        """
        if pool.periods is None or pool.seen.renewal is None:
            return
        periods = round((look.began - pool.told.began) / pool.seen.renewal.length)
        if periods >= 1:
            spent = _spent_before(pool.seen, look)
            was_cut = was_dry or look.refusals > pool.told.refusals
            _observe(pool.periods, [max(spent - pool.spent_told, 0.0) / periods], [was_cut], periods)
            pool.told, pool.spent_told = look, spent

    def _close(self, steps: int, now: float) -> None:
        pools = self._pools.values()
        demand = [self._demand_of(pool, now) for pool in pools]
        needs = self._needs()
        _observe(self._steps, demand, [pool.is_cut for pool in pools], steps)
        for pool, spent, wanted, need in zip(pools, demand, self._steps.latest(), needs, strict=True):
            is_unknown = spent == 0 and pool.is_cut  # empty all the time: nothing could show
            if steps == 1 and spent >= 0 and not is_unknown:
                pool.comparison.add(float(wanted), need)
        for pool in pools:
            pool.began, pool.spent_before, pool.is_cut = now, pool.seen.metrics.spent, False
        self._began = now

    def _needs(self) -> list[float]:
        """What each pool's rule would have given it for the open step."""
        rules = [pool.comparison.rule for pool in self._pools.values()]
        expected = {p: _expected(self._steps, p) for p in {rule.probability for rule in rules}}
        return [rule.need(expected[rule.probability][row]) for row, rule in enumerate(rules)]

    def _demand_of(self, pool: _Pool, now: float) -> float:
        """What was spent in the open step, as if it took one interval; NaN if it is too young to tell."""
        elapsed = now - pool.began
        if elapsed < self._interval / 2:
            return float("nan")
        return _less(pool.seen.metrics.spent, pool.spent_before) * self._interval / elapsed


def _look(coordinator: BudgetCoordinator, pool_id: str, seen: Look | None) -> Look:
    metrics = coordinator.get_pool_metrics(pool_id)
    refusals = coordinator._pool_refusals(pool_id)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    renewal = renewal_of(coordinator, pool_id)
    clock = coordinator.clock
    at = clock.monotonic()
    rest = 0.0 if renewal is None else (renewal.ends - clock.now()).total_seconds()
    began = at if renewal is None else at - max(renewal.length - rest, 0.0)
    return Look(metrics, refusals, renewal, at, began, _ended(seen, metrics, renewal, at))


def _ended(seen: Look | None, metrics: BudgetMetrics, renewal: Renewal | None, at: float) -> Ended | None:
    """What ended between two looks: a period did if the current one ends later.

    There were no more of them than time has passed for, however far a wall clock was set.
    """
    if seen is None or seen.renewal is None or renewal is None or renewal.ends <= seen.renewal.ends:
        return None
    before = seen.metrics
    shown = round((renewal.ends - seen.renewal.ends).total_seconds() / renewal.length)
    periods = max(1, min(shown, math.ceil((at - seen.at) / renewal.length)))
    granted = float(before.period_granted) + (periods - 1) * float(seen.renewal.budget)
    spent = float(before.period_spent) + _less(metrics.spent, before.spent) - float(metrics.period_spent)
    return Ended(periods, granted, max(spent, 0.0), float(metrics.reserved))


def _spent_before(seen: Look, look: Look) -> float:
    """What had been spent in all when the current period began, between two looks.

    The books say it, unless the period was granted before, when a wall clock was ahead.
    """
    spent_then = _less(look.metrics.spent, look.metrics.period_spent)
    before, since = float(seen.metrics.spent), _less(look.metrics.spent, seen.metrics.spent)
    if spent_then >= before or look.at <= seen.at:
        return spent_then
    return before + since * min(max((look.began - seen.at) / (look.at - seen.at), 0.0), 1.0)


def renewal_of(coordinator: BudgetCoordinator, pool_id: str) -> Renewal | None:
    """The period of a pool; None if it has none, or one without end."""
    found = coordinator._pool_renewal(pool_id)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - one library
    if found is None or found[1] <= found[0]:
        return None
    return Renewal(found[0], (found[1] - found[0]).total_seconds(), found[2])


def _less(amount: Decimal, other: Decimal) -> float:
    """The difference, whatever context the caller computes in."""
    return float(subtract(amount, other))


def _expected(forecaster: NextHour, probability: float | None) -> list[float]:
    expected = forecaster.forecast() if probability is None else forecaster.quantile(probability)
    return [float(value) for value in expected]


def _observe(forecaster: NextHour, demand: list[float], is_cut: list[bool], steps: int) -> None:
    """The last of so many steps; the ones before it are unknown."""
    import numpy as np

    unknown = np.full(len(demand), np.nan)
    for _ in range(min(steps - 1, _LONGEST_GAP)):
        forecaster.observe(unknown)
    forecaster.observe(np.array(demand, float), at_least=np.array(is_cut, bool))


def _seasons(seconds: float) -> list[int]:
    """A day and a week, as far as they are whole numbers of steps."""
    lengths = [season / seconds for season in (_DAY, _WEEK)]
    return [int(length) for length in lengths if length in _SEASONS]

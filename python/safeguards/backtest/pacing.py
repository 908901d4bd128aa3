"""How should a day's budget have been spread over its hours? Rules of pacing on recorded demand."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves parts of its annotations open.

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from safeguards._values.arguments import shown
from safeguards._values.arrays import floats
from safeguards._values.numbers import MAX_SEED, share, whole
from safeguards.backtest._base import Backtest
from safeguards.backtest._compare import Comparison, compare
from safeguards.backtest._part import take_part
from safeguards.backtest.demand import Demand
from safeguards.budget.time_scheduler._pacing import DAYS, SLOTS_PER_DAY, DemandHistory, Pace
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    Shares = NDArray[np.float64]

__all__ = ["PacingBacktest", "PacingRow", "backtest_pacing"]

RULES = ("none", "static", "even", "forecast")

_HOURS = 24
_BLACKED_OUT = 0.05
_QUANTILE = 0.1
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class PacingRow:
    """One rule, over all days of all agents.

    Attributes:
        rule: its name, as `pacing` of `BudgetTimeScheduler`.
        utility_share: utility, as a share of what the same budget gives with hindsight; mean over days.
        worst_utility_share: the same, at the 10 % quantile of days.
        used_share: share of the budget that was used; mean over days.
        blacked_out_share: share of slots whose demand was admitted by less than 5 %; mean over days.
    """

    rule: str
    utility_share: float
    worst_utility_share: float
    used_share: float
    blacked_out_share: float


@dataclass(frozen=True, eq=False)
class PacingBacktest(Backtest[PacingRow]):
    """What became of each rule.

    Attributes:
        budget_share: the budget of each day, as a share of its demand.
        slots_per_day: slots of a day.
        agents: name of the agent of each day.
        days: number of each day, from the begin of the record.
        demand: (days, slots) demand of each day.
        admitted: (days, slots) of each rule: share of each slot's demand that was admitted.
        left_out: agents that were left out, because they were active in too few hours.
        rows: a row for each rule.
        comparison: the rules by the utility that they miss.
        notes: what was left out, and what was assumed.
    """

    kind: ClassVar[str] = "pacing"
    loses: ClassVar[str] = "utility unreached"
    columns: ClassVar[Mapping[str, tuple[str, str]]] = {
        "rule": ("rule", ""),
        "utility_share": ("utility", "share of what the same budget does with hindsight, mean over days"),
        "worst_utility_share": ("on bad days", "the same, on the worst tenth of the days at best"),
        "used_share": ("used", "share of the budget that was used"),
        "blacked_out_share": ("went without", "share of hours of which less than 5 % was admitted"),
    }

    budget_share: float
    slots_per_day: int
    agents: tuple[str, ...]
    days: tuple[int, ...]
    demand: Shares
    admitted: dict[str, Shares]
    left_out: int
    rows: list[PacingRow]
    comparison: Comparison
    notes: tuple[str, ...]

    def utility_of_days(self, rule: str) -> Shares:
        """Utility of each day, as a share of that with hindsight.

        Raises:
            ConfigurationError: there is no such rule.
        """
        self.row(rule)
        return _utility(self.demand, self.admitted[rule], self.budget_share)

    def _facts(self) -> dict[str, Any]:
        return {
            "days": len(self.days),
            "agents": len(set(self.agents)),
            "left_out": self.left_out,
            "slots_per_day": self.slots_per_day,
            "budget_share": self.budget_share,
        }

    def _figures(self) -> dict[str, Figure]:
        from safeguards.backtest._pacing_plots import plot_day, plot_rules

        return {"rules": plot_rules(self), "day": plot_day(self)}


def backtest_pacing(
    demand: Demand | ArrayLike,
    *,
    budget_share: float = 0.7,
    slots_per_day: int | None = None,
    warm_up_days: int | None = None,
    min_activity: float | None = None,
    seed: int = 0,
) -> PacingBacktest:
    """Replays days whose budget is less than their demand, and admits a share of each slot.

    The rules but one are those of `BudgetTimeScheduler`, by the same code: `none` spends until the budget is
    empty, `static` gives each slot the same part of it and what was left before (that one is no part of the
    scheduler), `even` expects demand to go on as it has since midnight, `forecast` learns from the last
    seven days when it comes. The share of a slot is chosen before anything of its demand is seen.

    What a slot is worth is its demand times the square root of the share that is admitted: the first tenth
    of the work is worth more than the last. With hindsight one would then admit the same share all day, and
    the budget would be used up at midnight; that is 100 %.

    Args:
        demand: what was wanted: hours, or an array of (agents, slots) that are not negative, from a midnight
            on.
        budget_share: budget of each day as a share of what the day turns out to want; above 0, at most 1.
        slots_per_day: slots of a day; 24 for a `Demand`, 144 for an array if not given.
        warm_up_days: days that are learnt from, but not scored: a week, or half of a shorter record, if not
            given.
        min_activity: agents with demand in no more than this share (0 to 1) of the hours, in or after the
            warm-up, are left out: 0.3 if not given, but if nobody is so active, all take part that ever want
            something.
        seed: of the resamples of the verdict.

    Raises:
        ConfigurationError: an argument is out of the range that is told with it, or no agent is left.

    Example:
        >>> import numpy as np
        >>> from safeguards.backtest import Demand
        >>> day = np.where(np.arange(24) < 8, 1.0, 10.0)
        >>> result = backtest_pacing(Demand(("office",), np.tile(day, 14)[None]))
        >>> [(row.rule, round(row.utility_share, 2)) for row in result.rows]
        [('none', 0.84), ('static', 1.0), ('even', 0.96), ('forecast', 1.0)]
    """
    names, slots, per_day = _slots(demand, slots_per_day)
    n_days = slots.shape[1] // per_day
    budget_share = share("budget_share", budget_share, above=True)
    usual = min(DAYS, n_days // 2)
    warm_up = whole("warm_up_days", usual if warm_up_days is None else warm_up_days, 1, n_days - 1)
    keep, left_out, notes = _active(slots, per_day, warm_up, min_activity)
    agents, days, wanted, admitted = _replay(
        names, slots, keep, per_day=per_day, warm_up=warm_up, budget_share=budget_share
    )
    return PacingBacktest(
        budget_share=budget_share,
        slots_per_day=per_day,
        agents=agents,
        days=days,
        demand=wanted,
        admitted=admitted,
        left_out=left_out,
        rows=[_row(rule, wanted, shares, budget_share) for rule, shares in admitted.items()],
        comparison=_compared(days, wanted, admitted, budget_share, seed),
        notes=(*notes, "assumed: the record begins at midnight"),
    )


def _slots(demand: Demand | ArrayLike, slots_per_day: int | None) -> tuple[tuple[str, ...], Shares, int]:
    import numpy as np

    if isinstance(demand, Demand):
        names, slots, usual = demand.agents, demand.cost, _HOURS
    else:
        slots, usual = floats("demand", demand), SLOTS_PER_DAY
        if slots.ndim != 2 or not (np.isfinite(slots).all() and (slots >= 0).all()):  # noqa: PLR2004
            raise ConfigurationError(
                f"demand must be (agents, slots), finite and not negative, not of shape {slots.shape}"
            )
        names = tuple(f"agent {number}" for number in range(1, len(slots) + 1))
    per_day = whole("slots_per_day", usual if slots_per_day is None else slots_per_day, 0)
    if not per_day or per_day % _HOURS:
        raise ConfigurationError(f"slots_per_day must be 24 or a multiple of it, not {shown(per_day)}")
    if slots.shape[1] < 2 * per_day:
        raise ConfigurationError(
            f"demand must last two days at least, not {slots.shape[1]} slots of {per_day} a day"
        )
    return names, slots, per_day


def _active(
    slots: Shares, per_day: int, warm_up: int, min_activity: float | None
) -> tuple[Sequence[int], int, tuple[str, ...]]:
    """Who takes part, how many do not, and what is to be said of it."""
    import numpy as np

    per_hour = per_day // _HOURS
    whole = slots.shape[1] // per_day * per_day
    hourly = slots[:, :whole].reshape(len(slots), -1, per_hour).sum(axis=2)
    part = take_part(hourly, warm_up * _HOURS, min_activity)
    keep: list[int] = np.flatnonzero(part.is_in).tolist()
    return keep, part.left_out, part.notes


def _compared(
    days: Sequence[int], wanted: Shares, admitted: dict[str, Shares], budget_share: float, seed: int
) -> Comparison:
    """The rules by the utility that they miss of that with hindsight, day by day of the record."""
    import numpy as np

    place = np.array(days) - min(days)
    counts = np.bincount(place).astype(float)[None]
    losses = {
        rule: np.bincount(place, weights=1 - _utility(wanted, shares, budget_share)).astype(float)[None]
        for rule, shares in admitted.items()
    }
    return compare(losses, counts, ours="forecast", seed=whole("seed", seed, 0, MAX_SEED), block_hours=1)


def _replay(
    names: Sequence[str],
    slots: Shares,
    keep: Sequence[int],
    *,
    per_day: int,
    warm_up: int,
    budget_share: float,
) -> tuple[tuple[str, ...], tuple[int, ...], Shares, dict[str, Shares]]:
    import numpy as np

    agents: list[str] = []
    days: list[int] = []
    wanted: list[list[float]] = []
    admitted: dict[str, list[list[float]]] = {rule: [] for rule in RULES}
    least = _TINY * float(slots[keep].mean())
    for agent in keep:
        history = DemandHistory(per_day)
        for day in range(slots.shape[1] // per_day):
            demand: list[float] = slots[agent, day * per_day : (day + 1) * per_day].tolist()
            if day >= warm_up and sum(demand) > least:
                earlier = history.earlier(day * per_day, per_day)
                for rule in RULES:
                    admitted[rule].append(_paced(rule, demand, earlier, budget_share * sum(demand)))
                agents.append(names[agent])
                days.append(day)
                wanted.append(demand)
            for slot, amount in enumerate(demand, day * per_day):
                history.add(slot, amount)
    if not days:
        raise ConfigurationError(
            f"what is wanted from day {warm_up} on is next to nothing beside what was before"
        )
    return (
        tuple(agents),
        tuple(days),
        np.array(wanted),
        {rule: np.array(rows) for rule, rows in admitted.items()},
    )


def _paced(rule: str, demand: list[float], earlier: list[list[float]], budget: float) -> list[float]:
    """The share of each slot's demand that a rule admits."""
    pace = Pace(len(demand), earlier if rule == "forecast" else ())
    shares: list[float] = []
    for slot, wanted in enumerate(demand):
        share = 1.0 if rule in {"none", "static"} else pace.throttle(budget, slot)
        least = budget * (len(demand) - 1 - slot) / (len(demand) - slot) if rule == "static" else 0.0
        spent = min(share * wanted, budget - least)
        shares.append(spent / wanted if wanted > 0 else share)
        budget -= spent
        pace.see(wanted)
    return shares


def _row(rule: str, demand: Shares, admitted: Shares, budget_share: float) -> PacingRow:
    import numpy as np

    utility = _utility(demand, admitted, budget_share)
    used = (admitted * demand).sum(axis=1) / demand.sum(axis=1) / budget_share
    blacked_out = (admitted < _BLACKED_OUT) & (demand > 0)
    return PacingRow(
        rule,
        float(utility.mean()),
        float(np.quantile(utility, _QUANTILE)),
        float(used.mean()),
        float(blacked_out.mean()),
    )


def _utility(demand: Shares, admitted: Shares, budget_share: float) -> Shares:
    import numpy as np

    best = demand.sum(axis=1) * math.sqrt(budget_share)
    shares: Shares = (demand * np.sqrt(admitted)).sum(axis=1) / best
    return shares

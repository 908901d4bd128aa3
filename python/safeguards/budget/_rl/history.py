"""What agents wanted, interval by interval, and what was expected of each interval before it came."""

from __future__ import annotations

from collections import deque
from copy import copy, deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from safeguards._native import NextHour
from safeguards._values import time_zones
from safeguards._values.arguments import items, shown
from safeguards._values.arrays import floats, instants, is_column
from safeguards._values.numbers import as_float
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["KEPT", "History", "Outlook", "Recording", "by_interval", "loaded_points"]

KEPT = 504
"""Intervals that are kept: three weeks of hours."""

_SMALLEST = 0.01
"""The least that is expected of an interval, as a share of the mean demand: ratios to it must make sense."""
_SURELY = 0.9
"""The next interval's need is told with this probability."""
_LEAST_SPREAD = 1.05
_DAY, _WEEK = 86_400.0, 604_800.0
_LONGEST_SEASON = 10_080
_LONGEST_GAP = 336


class Outlook(NamedTuple):
    """What is expected of the next interval of each agent; NaN where nothing is known.

    Attributes:
        need: what a budget is compared with: the geometric mean of what the interval stays within nine times
            out of ten, and of the busiest interval of the last day.
        share: the forecast as a share of that busiest interval.
        spread: what the interval stays within nine times out of ten, as a multiple of the forecast.
    """

    need: Floats
    share: Floats
    spread: Floats


@dataclass(frozen=True, slots=True)
class Recording:
    """A history as arrays of shape (agents, intervals); NaN where nothing is known.

    Attributes:
        demand: what was wanted: what was spent, or more where a budget refused.
        tasks: debits and settlements that this demand stands for.
        outlook: what was expected of the interval before it came.
        scale: mean demand of each agent; 0 if it never wanted anything.
    """

    demand: Floats
    tasks: Floats
    outlook: Outlook
    scale: Floats

    @property
    def intervals(self) -> int:
        """How many there are."""
        return int(self.demand.shape[1])

    def until(self, end: int) -> Recording:
        """The first intervals, as if no more had been seen."""
        demand = self.demand[:, :end]
        outlook = Outlook(*(part[:, :end] for part in self.outlook))
        return Recording(demand, self.tasks[:, :end], outlook, _scale(demand))


class History:
    """Demand as it streams in, with a forecast of the next interval. Memory is bounded.

    Args:
        interval_seconds: the length of an interval.
        by_day: days resemble each other.
        by_week: weeks do.
        kept: intervals that are kept.
    """

    def __init__(
        self, interval_seconds: float, *, by_day: bool = True, by_week: bool = True, kept: int = KEPT
    ) -> None:
        import numpy as np

        self.interval_seconds = interval_seconds
        self.by_day, self.by_week = by_day, by_week
        self.agents: list[str] = []
        self._forecaster = NextHour(0, seasons=self._seasons())
        self._steps: deque[dict[str, NDArray[Any]]] = deque(maxlen=kept)
        self._peaks: deque[Floats] = deque(maxlen=max(2, min(round(_DAY / interval_seconds), KEPT)))
        self._total, self._known = np.zeros(0), np.zeros(0)

    def __len__(self) -> int:
        return len(self._steps)

    def _seasons(self) -> list[int]:
        wanted = [(_DAY, self.by_day), (_WEEK, self.by_week)]
        lengths = {round(length / self.interval_seconds) for length, is_wanted in wanted if is_wanted}
        return sorted(length for length in lengths if 1 < length <= _LONGEST_SEASON)

    def keep(self, agents: Sequence[str]) -> None:
        """Follows these agents from now on. Who is new has no past; who is gone is forgotten."""
        if set(agents) == set(self.agents):
            return
        changed = copy(self)
        changed._follow(agents)  # noqa: SLF001 - a copy of this one
        # At once: an interrupt before it leaves all as it was.
        self.__dict__.update(changed.__dict__)

    def _follow(self, agents: Sequence[str]) -> None:
        import numpy as np

        self._forecaster = deepcopy(self._forecaster)
        wanted = set(agents)
        kept = np.array([agent in wanted for agent in self.agents], np.bool_)
        if not kept.all():
            self._forget(kept)
        known = set(self.agents)
        new = [agent for agent in agents if agent not in known]
        self._forecaster.extend(len(new))
        self.agents = self.agents + new
        self._total, self._known = (
            _padded(part, len(self.agents), 0.0) for part in (self._total, self._known)
        )

    def _forget(self, kept: NDArray[np.bool_]) -> None:
        self._forecaster.retain(kept)
        self.agents = [agent for agent, is_kept in zip(self.agents, kept, strict=True) if is_kept]
        self._total, self._known = self._total[kept], self._known[kept]
        self._peaks = deque((_padded(peak, len(kept))[kept] for peak in self._peaks), self._peaks.maxlen)
        steps = ({name: _padded(c, len(kept))[kept] for name, c in step.items()} for step in self._steps)
        self._steps = deque(steps, self._steps.maxlen)

    def observe(self, spent: Floats, tasks: Floats, is_cut: NDArray[np.bool_], *, missed: int = 0) -> None:
        """Takes one interval of all agents, in the order of `agents`.

        Args:
            spent: what was spent; NaN where it is unknown.
            tasks: debits and settlements; NaN where they were not counted.
            is_cut: where a budget refused: more was wanted.
            missed: intervals before this one of which nothing is known.
        """
        import numpy as np

        unknown = np.full(len(self.agents), np.nan)
        for _ in range(min(missed, _LONGEST_GAP)):
            self._take(unknown, unknown, np.zeros(len(self.agents), np.bool_))
        self._take(spent, tasks, is_cut)

    def _take(self, spent: Floats, tasks: Floats, is_cut: NDArray[np.bool_]) -> None:
        import numpy as np

        outlook = self.outlook()
        within = self._forecaster.quantile(_SURELY)
        # A budget cut it off: it is taken as high as an interval is nine times out of ten, or higher.
        demand = np.where(is_cut, np.fmax(spent, within), spent)
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted_tasks = np.where(is_cut & (spent > 0), tasks * demand / spent, tasks)
        step = {"demand": demand, "tasks": wanted_tasks, **outlook._asdict()}
        self._steps.append({name: column.astype(np.float32) for name, column in step.items()})
        self._forecaster.observe(np.asarray(spent, np.float64), at_least=np.asarray(is_cut, np.bool_))
        self._peaks.append(np.array(spent, np.float64))
        is_known = ~np.isnan(demand)
        self._total = self._total + np.where(is_known, demand, 0.0)
        self._known = self._known + is_known

    def outlook(self) -> Outlook:
        """What is expected of the next interval."""
        import numpy as np

        n = len(self.agents)
        unknown = np.full(n, np.nan)
        if not self._peaks:
            return Outlook(unknown, unknown, unknown)
        least = _SMALLEST * self.scale()
        least = np.where(least > 0, least, np.nan)
        forecast = np.maximum(self._forecaster.forecast(), least)
        within = np.maximum(self._forecaster.quantile(_SURELY), _LEAST_SPREAD * forecast)
        peaks = np.stack([_padded(peak, n) for peak in self._peaks])
        peak = np.maximum(np.fmax.reduce(peaks, axis=0), least)
        return Outlook(np.sqrt(within * peak), forecast / peak, within / forecast)

    def scale(self) -> Floats:
        """Mean demand of each agent; 0 if nothing is known of it."""
        import numpy as np

        scale: Floats = np.divide(
            self._total, self._known, out=np.zeros(len(self.agents)), where=self._known > 0
        )
        return scale

    def recording(self) -> Recording:
        """Everything that is kept, as arrays."""
        import numpy as np

        n = len(self.agents)

        def stacked(name: str) -> Floats:
            columns = [_padded(step[name], n) for step in self._steps]
            stack: Floats = np.stack(columns, axis=1, dtype=np.float64) if columns else np.empty((n, 0))
            return stack

        demand = stacked("demand")
        outlook = Outlook(*(stacked(name) for name in Outlook._fields))
        return Recording(demand, _counted(stacked("tasks"), demand), outlook, _scale(demand))


def _padded(column: Floats, length: int, value: float = float("nan")) -> Floats:
    """A column from a time when there were fewer agents."""
    import numpy as np

    if len(column) == length:
        return column
    padded: Floats = np.concatenate([column, np.full(length - len(column), value, column.dtype)])
    return padded


def _scale(demand: Floats) -> Floats:
    import numpy as np

    is_known = ~np.isnan(demand)
    total, known = np.where(is_known, demand, 0.0).sum(axis=1), is_known.sum(axis=1)
    scale: Floats = np.divide(total, known, out=np.zeros(len(demand)), where=known > 0)
    return scale


def _counted(tasks: Floats, demand: Floats) -> Floats:
    """Tasks, where they were not counted in proportion to demand: as the agent's tasks cost where they were.

    Without any count, what an agent wants in its mean interval is one task.
    """
    import numpy as np

    is_counted = ~np.isnan(tasks) & ~np.isnan(demand)
    count = np.where(is_counted, tasks, 0.0).sum(axis=1)
    cost = np.where(is_counted, demand, 0.0).sum(axis=1)
    scale = _scale(demand)
    per_unit = np.divide(1.0, scale, out=np.zeros(len(scale)), where=scale > 0)
    per_unit = np.divide(count, cost, out=per_unit, where=(cost > 0) & (count > 0))
    return np.where(is_counted, tasks, demand * per_unit[:, None])


def loaded_points(
    timestamps: Sequence[datetime], amounts: Sequence[float | Decimal | str]
) -> list[tuple[datetime, float]]:
    """Points of a history as they were given, checked.

    Raises:
        ConfigurationError: lengths that differ, or amounts that are no finite number from 0 on.
        TypeError: a timestamp is no datetime.
    """
    times: list[datetime] = instants("timestamps", timestamps)
    given = (
        list(floats("amounts", amounts, 1)) if is_column(amounts) else items("amounts", amounts, "numbers")
    )
    if len(times) != len(given):
        raise ConfigurationError(f"{len(times)} timestamps, but {len(given)} amounts")
    points: list[tuple[datetime, float]] = []
    for at, amount in zip(times, given, strict=True):
        try:
            value = float(amount) if isinstance(amount, str) else as_float(amount)
        except (TypeError, ValueError):
            raise ArgumentTypeError(f"amounts must be numbers, not {shown(amount)}") from None
        if not 0 <= value < float("inf"):
            raise ConfigurationError(f"amounts must be finite and not negative, not {shown(amount)}")
        points.append((time_zones.as_utc(at), value))
    return points


def by_interval(points: Sequence[tuple[datetime, float]], end: datetime, interval_seconds: float) -> Floats:
    """Sums of the last `KEPT` intervals before `end`; NaN before the first point."""
    import numpy as np

    row = np.full(KEPT, np.nan)
    step = timedelta(seconds=interval_seconds)
    places = [(KEPT + (at - end) // step, value) for at, value in points]
    inside = [(place, value) for place, value in places if 0 <= place < KEPT]
    if inside:
        row[max(min(place for place, _ in places), 0) :] = 0.0
    for place, value in inside:
        row[place] += value
    return row

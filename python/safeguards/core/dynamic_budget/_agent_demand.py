"""What the agents of a pool are seen to want: their spending, cut into steps of one interval."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from safeguards._native import NextHour

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from safeguards._native import PoolMembers

    Figures = NDArray[np.float64]

__all__ = ["AgentDemand"]

_DAY = 86_400
_LONGEST_SEASON = 336
"""Steps of the longest season that is followed, a week of half hours: 8 KiB an agent."""
_SHORTEST_SEASON = 2
_MEAN_STEPS = 336
"""Steps over which the mean of an agent is taken, about."""
_LEAST = 0.02
"""The least that somebody needs, as a share of the mean need."""


class AgentDemand:
    """The demand of a pool's agents in steps of one interval, with a forecast of what comes.

    What an agent spent counts as what it wanted, even if it ran dry: reading more into it was tried, and gave
    so much to those that want without end that more of the others ran out. Nobody's need is nothing, so that
    new demand can show. Agents come and go; of one that came in the middle of a step the first whole step
    counts.

    Args:
        interval: seconds of a step.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._spent: dict[str, float] = {}
        self._means: dict[str, tuple[float, int]] = {}
        self._began: float | None = None
        # One value, so that neither an interrupt nor a call in the middle sees a forecaster of others.
        self._series: tuple[list[str], NextHour] = ([], NextHour(0, seasons=_seasons(interval)))

    def observe(self, members: PoolMembers, now: float) -> None:
        """Looks at the agents at `now`, in seconds of the clock, and closes the step if it is over."""
        import numpy as np

        elapsed = self._interval if self._began is None else now - self._began
        steps = round(elapsed / self._interval)
        if steps < 1:
            return
        ids, spent = members.ids, members.spent
        self._take_in(ids)
        if self._began is not None:
            before = np.array([self._spent.get(agent, np.nan) for agent in ids], float)
            demand = (spent - before) * self._interval / elapsed
            demand[demand < 0] = np.nan  # registered anew
            self._close(ids, demand, steps)
        self._spent = dict(zip(ids, spent.tolist(), strict=True))
        self._began = now

    def expect(self, ids: list[str], steps: float) -> Figures:
        """What each will want in the next so many steps: the first by the forecast, later ones by the mean.

        Who is not known is like the mean of those that are. Infinite if nobody is known, or nobody wants
        anything.
        """
        import numpy as np

        known, forecaster = self._series
        forecast = dict(zip(known, forecaster.forecast().tolist(), strict=True))
        nobody = (np.nan, 0)
        first = np.array([forecast.get(agent, np.nan) for agent in ids], float)
        later = np.array([self._means.get(agent, nobody)[0] for agent in ids], float)
        needs = first + (steps - 1) * np.where(np.isnan(later), first, later) if steps > 1 else first
        is_known = ~np.isnan(needs)
        mean = float(needs[is_known].mean()) if is_known.any() else 0.0
        if mean == 0:
            return np.full(len(ids), np.inf)
        return np.where(is_known, np.maximum(needs, _LEAST * mean), mean)

    def _take_in(self, ids: list[str]) -> None:
        """Forgets those that left and makes room for those that came."""
        import numpy as np

        before, forecaster = self._series
        if ids == before:
            return
        here = set(ids)
        kept = [agent for agent in before if agent in here]
        known = set(kept)
        new = [agent for agent in ids if agent not in known]
        forecaster = deepcopy(forecaster)
        forecaster.retain(np.array([agent in here for agent in before], bool))
        forecaster.extend(len(new))
        self._series = (kept + new, forecaster)
        self._means = {agent: mean for agent, mean in self._means.items() if agent in here}

    def _close(self, ids: list[str], demand: Figures, steps: int) -> None:
        import numpy as np

        row = {agent: i for i, agent in enumerate(ids)}
        known, forecaster = self._series
        order = np.array([row[agent] for agent in known], int)
        unknown = np.full(len(ids), np.nan)
        for _ in range(min(steps - 1, _LONGEST_SEASON)):
            forecaster.observe(unknown)
        forecaster.observe(demand[order])
        for agent, value in zip(ids, demand.tolist(), strict=True):
            if value >= 0:
                mean, count = self._means.get(agent, (0.0, 0))
                count = min(count + 1, _MEAN_STEPS)
                self._means[agent] = (mean + (value - mean) / count, count)


def _seasons(interval: float) -> list[int]:
    """A day and a week, as far as they are whole numbers of steps and not too many."""
    lengths = [days * _DAY / interval for days in (1, 7)]
    fit = [steps for steps in lengths if _SHORTEST_SEASON <= steps <= _LONGEST_SEASON]
    return [int(steps) for steps in fit if steps.is_integer()]

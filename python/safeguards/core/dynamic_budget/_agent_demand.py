"""What the agents of a pool are seen to want: their spending, cut into steps of one interval."""

from __future__ import annotations

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
"""Steps of the longest season that is followed: a week of half hours, so that an agent takes 8 KiB at most."""
_MEAN_STEPS = 336
"""Steps over which the mean of an agent is taken, about."""
_DRY = 0.1
"""An agent with less left than this share of what it spent in the step was cut off: it may have wanted more."""


class AgentDemand:
    """The demand of a pool's agents in steps of one interval, with a forecast of what comes.

    Spending is what is seen; demand is what was wanted. They differ where an agent has run dry: what it spent
    then is taken as the least that it wanted (`NextHour.observe`, `at_least`). Agents come and go; of one
    that came in the middle of a step the first whole step counts.

    Args:
        interval: seconds of a step.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._ids: list[str] = []
        self._spent: dict[str, float] = {}
        self._mean: dict[str, tuple[float, int]] = {}
        self._began: float | None = None
        self._forecaster = NextHour(0, seasons=_seasons(interval))

    def observe(self, members: PoolMembers, now: float) -> None:
        """Looks at the agents at `now`, in seconds of the clock, and closes the step if it is over."""
        import numpy as np

        ids, spent = members.ids, members.spent
        steps = 0 if self._began is None else round((now - self._began) / self._interval)
        if self._began is not None and steps < 1:
            return
        self._take_in(ids)
        if self._began is not None:
            before = np.array([self._spent.get(agent, np.nan) for agent in ids], float)
            demand = (spent - before) * self._interval / (now - self._began)
            demand[demand < 0] = np.nan  # registered anew
            is_dry = members.remaining <= _DRY * np.where(demand > 0, demand, 0.0)
            self._close(ids, demand, is_dry & ~np.isnan(demand), steps)
        self._spent = dict(zip(ids, spent.tolist(), strict=True))
        self._began = now

    def expect(self, ids: list[str], steps: float) -> Figures:
        """What each will want in the next so many steps: the first by the forecast, later ones by the mean.

        Who is not known is like the mean of those that are; infinite if nobody is known.
        """
        import numpy as np

        forecast = dict(zip(self._ids, self._forecaster.forecast().tolist(), strict=True))
        nobody = (np.nan, 0)
        first = np.array([forecast.get(agent, np.nan) for agent in ids], float)
        later = np.array([self._mean.get(agent, nobody)[0] for agent in ids], float)
        needs = first + (steps - 1) * np.where(np.isnan(later), first, later) if steps > 1 else first
        is_known = ~np.isnan(needs)
        return np.where(is_known, needs, needs[is_known].mean() if is_known.any() else np.inf)

    def _take_in(self, ids: list[str]) -> None:
        """Forgets those that left and makes room for those that came; the forecaster's order is `_ids`."""
        import numpy as np

        if ids == self._ids:
            return
        here = set(ids)
        self._forecaster.retain(np.array([agent in here for agent in self._ids], bool))
        kept = [agent for agent in self._ids if agent in here]
        known = set(kept)
        new = [agent for agent in ids if agent not in known]
        self._forecaster.extend(len(new))
        self._ids = kept + new
        self._mean = {agent: mean for agent, mean in self._mean.items() if agent in here}

    def _close(self, ids: list[str], demand: Figures, is_dry: NDArray[np.bool_], steps: int) -> None:
        import numpy as np

        row = {agent: i for i, agent in enumerate(ids)}
        order = np.array([row[agent] for agent in self._ids], int)
        unknown = np.full(len(ids), np.nan)
        for _ in range(min(steps - 1, _LONGEST_SEASON)):
            self._forecaster.observe(unknown)
        self._forecaster.observe(demand[order], at_least=is_dry[order])
        for agent, value in zip(ids, demand.tolist(), strict=True):
            if value >= 0:
                mean, count = self._mean.get(agent, (0.0, 0))
                count = min(count + 1, _MEAN_STEPS)
                self._mean[agent] = (mean + (value - mean) / count, count)


def _seasons(interval: float) -> list[int]:
    """A day and a week, as far as they are whole numbers of steps and not too many."""
    lengths = [days * _DAY / interval for days in (1, 7)]
    return [int(steps) for steps in lengths if steps == int(steps) and 2 <= steps <= _LONGEST_SEASON]

"""What a fleet did: read off the books at each run, from its usage history, or from elsewhere."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from safeguards.budget._rl.history import KEPT, History, by_interval
from safeguards.budget._rl.watch import Interval, Look, Watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from safeguards.core.budget_coordination import BudgetCoordinator

    Floats = NDArray[np.float64]

__all__ = ["Interval", "Look", "Past"]

_HOUR = 3600.0
_MOST_AGENTS = 10_000
"""Fleets up to this size have their usage history read."""


class Past:
    """The demand of all agents, interval by interval, up to now.

    Args:
        coordinator: whose agents they are.
        interval_seconds: the length of an interval.
        by_day: days resemble each other.
        by_week: weeks do.
    """

    def __init__(
        self, coordinator: BudgetCoordinator, interval_seconds: float, *, by_day: bool, by_week: bool
    ) -> None:
        self._coordinator = coordinator
        self._interval_seconds = interval_seconds
        self._seasons = {"by_day": by_day, "by_week": by_week}
        self._watch = Watch(coordinator)
        self._history = History(interval_seconds, **self._seasons)
        self._loaded: dict[str, Floats] = {}
        self._begin()

    def _begin(self) -> None:
        """An interval is open from now on."""
        clock = self._coordinator.clock
        self._began, self._began_at = clock.monotonic(), clock.now()
        self._open: dict[str, list[float]] = {}

    def look(self) -> Look:
        """Every agent since the last run. Changes nothing."""
        return self._watch.look()

    def observe(self, look: Look) -> None:
        """Takes a look as the last one, and ends an interval that is over."""
        self._watch.remember(look)
        for agent, seen in look.seen.items():
            sums = self._open.setdefault(agent, [0.0, 0.0, 0.0])
            for place, value in enumerate((float(seen.spent), seen.tasks, seen.is_exhausted)):
                sums[place] += value
        self._close(look.seen)

    def _close(self, looks: Mapping[str, Interval]) -> None:
        """An interval that took longer counts with its average."""
        import numpy as np

        passed = self._coordinator.clock.monotonic() - self._began
        intervals = round(passed / self._interval_seconds)
        if intervals < 1:
            return
        history = self.history()
        history.keep(list(looks))
        sums = np.array([self._open.get(agent, (0, 0, 0)) for agent in history.agents]).reshape(-1, 3)
        spent, tasks = sums[:, 0] / intervals, sums[:, 1] / intervals
        history.observe(spent, tasks, sums[:, 2] > 0, missed=intervals - 1)
        self._begin()

    def load(self, agent_id: str, points: Sequence[tuple[datetime, float]]) -> None:
        """Takes an agent's history from elsewhere, up to now, in place of what was seen of it."""
        self._begin()
        self._loaded[agent_id] = by_interval(points, self._began_at, self._interval_seconds)

    def read_usage_history(self) -> None:
        """Takes what the coordinator knows of the past, unless something is known already.

        It knows the latest charges and sums of hours. They count up to where watching began: what was spent
        since is in the interval that is open.
        """
        agents, end = self._coordinator.get_all_agent_ids(), self._began_at
        is_known = len(self._history) > 0 or self._interval_seconds < _HOUR
        if is_known or len(agents) > _MOST_AGENTS:
            return
        begin = end - timedelta(seconds=KEPT * self._interval_seconds)
        for agent in agents:
            usage = self._coordinator.get_agent_usage_history(agent, begin, end)
            points = [(event.start, float(event.amount)) for event in usage if event.source == "ledger"]
            if points and agent not in self._loaded:
                self._loaded[agent] = by_interval(points, end, self._interval_seconds)

    def history(self) -> History:
        """All of it: what was seen, behind what was loaded since."""
        import numpy as np

        if not self._loaded:
            return self._history
        seen, loaded, self._loaded = self._history.recording().demand, self._loaded, {}
        agents = list(dict.fromkeys((*self._history.agents, *loaded)))
        rows = np.full((len(agents), KEPT), np.nan)
        rows[: len(seen), KEPT - seen.shape[1] :] = seen
        for agent, row in loaded.items():
            rows[agents.index(agent)] = row
        self._history = History(self._interval_seconds, **self._seasons)
        self._history.keep(agents)
        nothing, unknown = np.zeros(len(agents), np.bool_), np.full(len(agents), np.nan)
        first = int(np.argmax(np.isfinite(rows).any(axis=0)))
        for column in rows[:, first:].T:
            self._history.observe(column, unknown, nothing)
        return self._history

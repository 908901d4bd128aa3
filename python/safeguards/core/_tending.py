"""Whoever comes when time alone gives something back to calls that wait."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from safeguards.core._ticker import ticker_of

if TYPE_CHECKING:
    from safeguards.core._ticker import Job
    from safeguards.core.budget_coordination import BudgetCoordinator

__all__ = ["Tending"]

_NOBODY_WAITS = 1e9
"""Seconds until somebody looks again, if nobody asks earlier: 31 years."""


class Tending:
    """Comes when time alone gives something back to those who wait: on the ticker of the coordinator's clock.

    Nothing is locked, as in the ticker: it may be asked for in the middle of anything.
    """

    def __init__(self, coordinator: BudgetCoordinator) -> None:
        self._coordinator = weakref.ref(coordinator)
        self._ticker = ticker_of(coordinator.clock)
        self._jobs: dict[str, Job] = {}

    def tend_in(self, seconds: float) -> None:
        """Comes in `seconds` at the latest."""
        job = self._jobs.get("job")
        if job is None:
            new = self._ticker.schedule(self._run, seconds)
            job = self._jobs.setdefault("job", new)
            if job is new:
                return
            self._ticker.cancel(new)
        self._ticker.hasten(job, seconds)

    def _run(self) -> float | None:
        coordinator = self._coordinator()
        if coordinator is None or coordinator.closed:
            return None
        seconds = coordinator._tend_waiting()  # noqa: SLF001
        return _NOBODY_WAITS if seconds is None else seconds

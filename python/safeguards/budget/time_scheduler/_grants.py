"""Which occurrences of profiles were granted: kept with the coordinator, whoever schedules its budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from safeguards.core._cell import snapshot

if TYPE_CHECKING:
    from datetime import datetime

    from safeguards.budget.time_scheduler._values import Occurrence
    from safeguards.core.budget_coordination import BudgetCoordinator

_MOST = 1_000  # of each pool; the guide's week has 16


class Grants:
    """The latest occurrences that were granted to each pool, in the order of their grants.

    Without a lock: each note is one step of a dict, so that signal handlers and finalizers may ask as well.
    """

    def __init__(self) -> None:
        self._granted: dict[str, dict[tuple[str, datetime], object]] = {}

    def has(self, pool_id: str, occurrence: Occurrence) -> bool:
        """Whether it was granted."""
        return (occurrence.profile, occurrence.start) in self._granted.get(pool_id, ())

    def claim(self, pool_id: str, profile: str, start: datetime) -> bool:
        """Notes a grant. False if it was noted before."""
        granted, mine = self._granted.setdefault(pool_id, {}), object()
        if granted.setdefault((profile, start), mine) is not mine:
            return False
        if len(granted) > _MOST:
            for oldest in snapshot(granted)[: len(granted) - _MOST]:
                granted.pop(oldest, None)
        return True

    def release(self, pool_id: str, profile: str, start: datetime) -> None:
        """Takes back a note: the grant failed."""
        self._granted.get(pool_id, {}).pop((profile, start), None)

    def to_dict(self) -> dict[str, list[list[str]]]:
        """Plain values: for each pool, pairs of a profile and the begin of its occurrence."""
        return {
            pool: [[profile, start.isoformat()] for profile, start in snapshot(self._granted[pool])]
            for pool in snapshot(self._granted)
        }


_of_coordinators: WeakKeyDictionary[BudgetCoordinator, Grants] = WeakKeyDictionary()


def grants_of(coordinator: BudgetCoordinator) -> Grants:
    """The grants of a coordinator: always the same object."""
    return _of_coordinators.setdefault(coordinator, Grants())

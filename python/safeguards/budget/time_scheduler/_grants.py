"""Which occurrences of profiles were granted: kept with the coordinator, whoever schedules its budgets."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from datetime import datetime

    from safeguards.budget.time_scheduler._values import Occurrence
    from safeguards.core.budget_coordination import BudgetCoordinator

_MOST = 1_000  # of each pool; the guide's week has 16


class Grants:
    """The latest occurrences that were granted to each pool, in the order of their grants."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._granted: dict[str, dict[tuple[str, datetime], None]] = {}

    def has(self, pool_id: str, occurrence: Occurrence) -> bool:
        """Whether it was granted."""
        with self._lock:
            return (occurrence.profile, occurrence.start) in self._granted.get(pool_id, ())

    def claim(self, pool_id: str, profile: str, start: datetime) -> bool:
        """Notes a grant. False if it was noted before."""
        with self._lock:
            granted = self._granted.setdefault(pool_id, {})
            if (profile, start) in granted:
                return False
            granted[profile, start] = None
            while len(granted) > _MOST:
                del granted[next(iter(granted))]
            return True

    def release(self, pool_id: str, profile: str, start: datetime) -> None:
        """Takes back a note: the grant failed."""
        with self._lock:
            self._granted.get(pool_id, {}).pop((profile, start), None)

    def to_dict(self) -> dict[str, list[list[str]]]:
        """Plain values: for each pool, pairs of a profile and the begin of its occurrence."""
        with self._lock:
            return {
                pool: [[profile, start.isoformat()] for profile, start in granted]
                for pool, granted in self._granted.items()
            }


_lock = threading.Lock()
_of_coordinators: WeakKeyDictionary[BudgetCoordinator, Grants] = WeakKeyDictionary()


def grants_of(coordinator: BudgetCoordinator) -> Grants:
    """The grants of a coordinator: always the same object."""
    with _lock:
        grants = _of_coordinators.get(coordinator)
        if grants is None:
            grants = _of_coordinators[coordinator] = Grants()
        return grants

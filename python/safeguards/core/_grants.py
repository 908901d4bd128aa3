"""What was granted once, and is not to be granted again: kept with the coordinator, whoever decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from safeguards.core._cell import snapshot

if TYPE_CHECKING:
    from datetime import datetime

    from safeguards.core.budget_coordination import BudgetCoordinator

__all__ = ["Grants", "grants_of"]

_MOST = 1_000  # of each pool; the guide's week has 16


class Grants:
    """The latest of each account, by name and begin, in the order in which they were granted.

    Without a lock: each note is one step of a dict, so that signal handlers and finalizers may ask as well.
    """

    def __init__(self) -> None:
        self._granted: dict[str, dict[tuple[str, datetime], object]] = {}

    def has(self, account: str, name: str, start: datetime) -> bool:
        """Whether it was granted."""
        return (name, start) in self._granted.get(account, ())

    def claim(self, account: str, name: str, start: datetime) -> bool:
        """Notes a grant. False if it was noted before."""
        granted, mine = self._granted.setdefault(account, {}), object()
        if granted.setdefault((name, start), mine) is not mine:
            return False
        if len(granted) > _MOST:
            for oldest in snapshot(granted)[: len(granted) - _MOST]:
                granted.pop(oldest, None)
        return True

    def release(self, account: str, name: str, start: datetime) -> None:
        """Takes back a note: the grant failed."""
        self._granted.get(account, {}).pop((name, start), None)

    def to_dict(self) -> dict[str, list[list[str]]]:
        """Plain values: for each account, pairs of a name and a begin."""
        return {
            account: [[name, start.isoformat()] for name, start in snapshot(self._granted[account])]
            for account in snapshot(self._granted)
        }


_of_coordinators: WeakKeyDictionary[BudgetCoordinator, Grants] = WeakKeyDictionary()


def grants_of(coordinator: BudgetCoordinator) -> Grants:
    """The grants of a coordinator: always the same object."""
    return _of_coordinators.setdefault(coordinator, Grants())

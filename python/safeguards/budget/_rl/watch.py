"""What agents did since somebody last looked: read off the books, changing nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from safeguards._values.decimals import NOTHING, add, subtract
from safeguards.exceptions import UnknownAgentError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from safeguards.core.budget_coordination import BudgetCoordinator

__all__ = ["Interval", "Look", "Watch"]


class Interval(NamedTuple):
    """One agent since the last look.

    Attributes:
        budget: what it could spend: what it spent and what it has left.
        left: what remains or is reserved.
        spent: what was charged.
        tasks: debits and settlements.
        refusals: how often its own budget refused.
    """

    budget: Decimal
    left: Decimal
    spent: Decimal
    tasks: int
    refusals: int

    @property
    def utilization(self) -> float:
        """Share of the budget that was spent; above 1 after an overdraft."""
        return float(self.spent) / float(self.budget) if self.budget > 0 else float(self.spent > 0)

    @property
    def is_exhausted(self) -> bool:
        """Whether it refused something, or nothing is left of it."""
        return self.refusals > 0 or (self.spent > 0 and self.left <= 0)


class _Books(NamedTuple):
    spent: Decimal
    remaining: Decimal
    reserved: Decimal
    tasks: int
    refusals: int


class Look(NamedTuple):
    """All agents at one instant.

    Attributes:
        seen: what each did since the last look that was remembered.
        books: what that was told from.
    """

    seen: dict[str, Interval]
    books: dict[str, _Books]


class Watch:
    """Compares the books of agents with what they were at the last look."""

    def __init__(self, coordinator: BudgetCoordinator) -> None:
        self._coordinator = coordinator
        self._seen = self._books(coordinator.get_all_agent_ids())

    def _books(self, agents: Iterable[str]) -> dict[str, _Books]:
        books: dict[str, _Books] = {}
        for agent in agents:
            with suppress(UnknownAgentError):  # it has left since
                activity = self._coordinator._agent_activity(agent)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
                books[agent] = _Books(*activity)
        return books

    def look(self) -> Look:
        """Every agent since the last look that was remembered. A new agent began with nothing spent."""
        nothing = _Books(NOTHING, NOTHING, NOTHING, 0, 0)
        now = self._books(self._coordinator.get_all_agent_ids())
        return Look(
            {agent: _since(self._seen.get(agent, nothing), books) for agent, books in now.items()}, now
        )

    def remember(self, look: Look) -> None:
        """What comes is compared with this look from now on."""
        self._seen = look.books


def _since(before: _Books, now: _Books) -> Interval:
    if now.tasks < before.tasks or now.spent < before.spent:  # another agent of the same name
        before = _Books(NOTHING, NOTHING, NOTHING, 0, 0)
    spent = subtract(now.spent, before.spent)
    left = add(now.remaining, now.reserved)
    budget = add(left, spent)
    return Interval(budget, left, spent, now.tasks - before.tasks, now.refusals - before.refusals)

"""Sliding windows by amount: how much an agent may spend in any stretch of time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn, Self

from safeguards._native import RateLimiter
from safeguards._values.copies import not_copied
from safeguards.types.metrics import RateLimit

if TYPE_CHECKING:
    from safeguards._native import Amount
    from safeguards.core.budget_coordination import BudgetCoordinator

__all__ = ["BudgetRateLimiter"]


class BudgetRateLimiter(RateLimiter):
    """Limits what agents spend in any stretch of time.

    The windows belong to the agents: `debit` and `reserve` of the coordinator keep to them in the same atomic
    step, and every limiter of the coordinator sees the same ones. `acquire`, `try_acquire` and `record_usage`
    touch windows only, no budget. An amount that is reserved is held in every window until it is settled.

    A window is never above its limit. An amount leaves never before `time_window` after it was charged and at
    most 1/128 of the window later (one alone in its 1/128 leaves exactly on time), in less than 2 KiB per
    window; in exact mode each leaves exactly on time, at 14 to 30 bytes for each.

    Args:
        coordinator: the coordinator of the agents.

    Example:
        >>> from safeguards import BudgetCoordinator
        >>> coordinator = BudgetCoordinator()
        >>> pool = coordinator.create_budget_pool("team", 100)
        >>> bot = coordinator.register_agent("bot", pool, initial_budget=100)
        >>> limiter = BudgetRateLimiter(coordinator)
        >>> limiter.set_rate_limit("bot", "1.00", timedelta(minutes=1))
        >>> limiter.try_acquire("bot", "0.80"), limiter.try_acquire("bot", "0.80")
        (True, False)
        >>> 59 < limiter.get_retry_after("bot") <= 60
        True
    """

    coordinator: BudgetCoordinator

    def __new__(cls, coordinator: BudgetCoordinator) -> Self:  # noqa: D102 - the class documents it
        self = super().__new__(cls, coordinator)
        self.coordinator = coordinator
        return self

    def set_rate_limit(
        self,
        agent_id: str,
        max_budget: Amount,
        time_window: timedelta,
        *,
        exact: bool = False,
    ) -> None:
        """Admits at most `max_budget` within any `time_window`.

        The same `time_window` again replaces the limit and keeps what was charged; another one adds a
        window, which knows nothing of what was charged before it. An agent has at most 16 windows.

        Args:
            agent_id: the agent.
            max_budget: the most that is admitted, up to 10^10.
            time_window: 1 microsecond to 366 days.
            exact: whether each amount leaves exactly on time, at the price of memory for each.

        Raises:
            UnknownAgentError: no agent of this id is registered.
            InvalidAmountError: `max_budget` is not an amount.
            ConfigurationError: `time_window` is no `timedelta` of that range, `max_budget` is above 10^10, or
                it would be the 17th window of the agent.
        """
        self._set_rate_limit(agent_id, max_budget, time_window, exact)

    def remove_rate_limit(self, agent_id: str, time_window: timedelta | None = None) -> int:
        """Removes the window of this length, or all of them, and forgets what was charged.

        Returns:
            How many windows there were.

        Raises:
            UnknownAgentError: no agent of this id is registered.
        """
        return self._remove_rate_limit(agent_id, time_window)

    def get_rate_limits(self, agent_id: str) -> list[RateLimit]:
        """Every window of an agent, shortest first.

        Raises:
            UnknownAgentError: no agent of this id is registered.
        """
        return [
            RateLimit(limit, timedelta(seconds=seconds), spent)
            for seconds, limit, spent in self._windows(agent_id)
        ]

    def __reduce__(self) -> NoReturn:
        not_copied(
            self, "it belongs to a coordinator of this process; make one of a coordinator where it is used"
        )

    def __repr__(self) -> str:
        return f"BudgetRateLimiter({self.coordinator!r})"

"""Sliding windows by amount: how much an agent or a pool may spend in any stretch of time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NoReturn, Self

from safeguards._native import RateLimiter
from safeguards._values.copies import OF_COORDINATOR, not_copied
from safeguards.types.metrics import RateLimit

if TYPE_CHECKING:
    from safeguards._native import Amount
    from safeguards.core.budget_coordination import BudgetCoordinator

__all__ = ["BudgetRateLimiter"]


class BudgetRateLimiter(RateLimiter):
    """Limits what agents and pools spend in any stretch of time.

    The windows belong to the accounts: `debit` and `reserve` of the coordinator keep to those of the agent,
    of every pool above it and of what is charged beside it, in the same atomic step as the budgets; every
    limiter of the coordinator sees the same ones. A pool's window is shared by all below it. With `resource=`
    a window is on one resource of an agent: `debit` and `reserve` of `MultiResourceBudget` keep to it.
    `acquire`, `try_acquire` and `record_usage` touch windows only, no budget. An amount that is reserved is
    held in every window on its path until it is settled.

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
        resource: str | None = None,
        kind: Literal["agent", "pool"] | None = None,
    ) -> None:
        """Admits at most `max_budget` within any `time_window`.

        The same `time_window` again replaces the limit and keeps what was charged; another one adds a
        window, which counts what is reserved by then and knows nothing of what was charged before it. An
        account has at most 16 windows, and so has each resource of an agent.

        Args:
            agent_id: the agent; or a pool, whose window all below it share.
            max_budget: the most that is admitted, up to 10^10: money, or so much of the resource.
            time_window: 1 microsecond to 366 days.
            exact: whether each amount leaves exactly on time, at the price of memory for each.
            resource: a resource of the agent, as `MultiResourceBudget` names it; money, if not given.
            kind: `"agent"` or `"pool"`, where both have the id; the agent, if not given.

        Raises:
            UnknownAgentError: there is neither an agent nor a pool of this id.
            UnknownPoolError: `kind` is `"pool"`, and there is none of this id.
            UnknownResourceError: the agent has no budget for the resource.
            InvalidAmountError: `max_budget` is not an amount.
            ConfigurationError: `time_window` is no `timedelta` of that range, `max_budget` is above 10^10,
                it would be the 17th window, `kind` is neither, or a pool is given a window on a resource.

        Example:
            >>> from safeguards import BudgetCoordinator, MultiResourceBudget
            >>> coordinator = BudgetCoordinator()
            >>> team = coordinator.create_budget_pool("team", 100)
            >>> ann = coordinator.register_agent("ann", team, initial_budget=50)
            >>> bob = coordinator.register_agent("bob", team, initial_budget=50)
            >>> limiter = BudgetRateLimiter(coordinator)
            >>> limiter.set_rate_limit("team", "1.00", timedelta(minutes=1))
            >>> coordinator.try_debit("ann", "0.80"), coordinator.try_debit("bob", "0.80")
            (True, False)

            >>> resources = MultiResourceBudget(coordinator)
            >>> resources.initialize_budgets("ann", {"requests": 1000, "tokens": 100_000})
            >>> limiter.set_rate_limit("ann", 2, timedelta(minutes=1), resource="requests")
            >>> [resources.try_debit("ann", {"requests": 1, "tokens": 70}) for _ in range(3)]
            [True, True, False]
        """
        self._set_rate_limit(agent_id, max_budget, time_window, exact, resource, kind)

    def remove_rate_limit(
        self,
        agent_id: str,
        time_window: timedelta | None = None,
        *,
        resource: str | None = None,
        kind: Literal["agent", "pool"] | None = None,
    ) -> int:
        """Removes the window of this length, or all of them, and forgets what was charged.

        Args:
            agent_id: the agent, or a pool.
            time_window: which one; all, if not given.
            resource: a resource of the agent; money, if not given.
            kind: `"agent"` or `"pool"`, where both have the id.

        Returns:
            How many windows there were.

        Raises:
            UnknownAgentError: there is neither an agent nor a pool of this id.
            UnknownResourceError: the agent has no budget for the resource.
        """
        return self._remove_rate_limit(agent_id, time_window, resource, kind)

    def get_rate_limits(
        self,
        agent_id: str,
        *,
        resource: str | None = None,
        kind: Literal["agent", "pool"] | None = None,
    ) -> list[RateLimit]:
        """Every window of an account, shortest first; those of the pools above it are asked by their ids.

        Args:
            agent_id: the agent, or a pool.
            resource: a resource of the agent; money, if not given.
            kind: `"agent"` or `"pool"`, where both have the id.

        Raises:
            UnknownAgentError: there is neither an agent nor a pool of this id.
            UnknownResourceError: the agent has no budget for the resource.

        Example:
            >>> from safeguards import BudgetCoordinator
            >>> coordinator = BudgetCoordinator()
            >>> team = coordinator.create_budget_pool("team", 100)
            >>> ann = coordinator.register_agent("ann", team, initial_budget=50)
            >>> limiter = BudgetRateLimiter(coordinator)
            >>> limiter.set_rate_limit("team", "1.00", timedelta(minutes=1))
            >>> receipt, held = coordinator.debit("ann", "0.30"), coordinator.reserve("ann", "0.50")
            >>> (window,) = limiter.get_rate_limits("team")
            >>> window.spent, window.reserved, window.available
            (Decimal('0.3'), Decimal('0.5'), Decimal('0.2'))
            >>> held.release()
        """
        return [
            RateLimit(limit, timedelta(seconds=seconds), spent, reserved)
            for seconds, limit, spent, reserved in self._windows(agent_id, resource, kind)
        ]

    def __reduce__(self) -> NoReturn:
        not_copied(self, OF_COORDINATOR)

    def __repr__(self) -> str:
        return f"BudgetRateLimiter({self.coordinator!r})"

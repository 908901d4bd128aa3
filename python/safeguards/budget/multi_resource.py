"""Budgets by resource type: calls, compute seconds, storage, charged several at a time in one step."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self, overload

from safeguards._native import ResourceBudgets, ResourceReceipt, ResourceReservation
from safeguards.exceptions import UnknownResourceError
from safeguards.types.metrics import BudgetEvent, ResourceMetrics, UsageEvent

if TYPE_CHECKING:
    from safeguards.core.budget_coordination import BudgetCoordinator

__all__ = ["MultiResourceBudget", "ResourceReceipt", "ResourceReservation"]

_ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


class MultiResourceBudget(ResourceBudgets):
    """What agents may spend beside their money, by resource type.

    The budgets belong to the agents of the coordinator, as their rate limits do: every `MultiResourceBudget` of
    one coordinator sees the same ones, `coordinator.verify()` audits them, and an agent that is unregistered
    takes them with it. They stand under the agent's own lock. So `debit` and `reserve` take all resources or none
    in one step, and no reader ever sees a part of it; in each budget granted = remaining + reserved + spent at
    every instant.

    There are two kinds of limits. An agent's *budget* is what it may spend of a resource. A *capacity*, set for a
    resource by `set_capacity`, is what all agents together may spend of it; the budgets may add up to more.

    Alerts go to the coordinator's `notification_manager`, at its thresholds, for budgets and for capacities.

    Args:
        budget_coordinator: the coordinator that the agents are registered at.

    Example:
        >>> from safeguards import BudgetCoordinator
        >>> coordinator = BudgetCoordinator()
        >>> team = coordinator.create_budget_pool("team", 100)
        >>> bot = coordinator.register_agent("bot", team)
        >>> multi_resource = MultiResourceBudget(coordinator)
        >>> multi_resource.initialize_budgets("bot", {"api_calls": 1000, "compute_seconds": 3600})
        >>> multi_resource.try_debit("bot", {"api_calls": 1, "compute_seconds": "12.5"})
        True
        >>> multi_resource.try_debit("bot", {"api_calls": 1, "compute_seconds": 3600})
        False
        >>> multi_resource.get_budgets("bot")
        {'api_calls': Decimal('999'), 'compute_seconds': Decimal('3587.5')}
    """

    coordinator: BudgetCoordinator

    def __new__(cls, budget_coordinator: BudgetCoordinator) -> Self:  # noqa: D102 - the class documents it
        self = super().__new__(cls, budget_coordinator)
        self.coordinator = budget_coordinator
        return self

    @overload
    def get_metrics(self, agent_id: str, resource_type: None = None) -> dict[str, ResourceMetrics]: ...
    @overload
    def get_metrics(self, agent_id: str, resource_type: str) -> ResourceMetrics: ...
    def get_metrics(
        self, agent_id: str, resource_type: str | None = None
    ) -> ResourceMetrics | dict[str, ResourceMetrics]:
        """The books of an agent's resources, all at one instant.

        Args:
            agent_id: the agent.
            resource_type: one of its resources; all of them by name if not given.

        Raises:
            UnknownAgentError: no agent of this id is registered.
            UnknownResourceError: the agent has no budget for this resource.
        """
        if resource_type is None:
            return {name: ResourceMetrics(*books) for name, books in self._all_metrics(agent_id).items()}
        return ResourceMetrics(*self._metrics(agent_id, resource_type))

    def get_capacity_metrics(self, resource_type: str) -> ResourceMetrics:
        """The books of a capacity: what all agents together have of a resource.

        It counts what agents spent since the capacity was set, those that were unregistered included.

        Raises:
            UnknownResourceError: no capacity is set for this resource.
        """
        books = self._capacity_metrics(resource_type)
        if books is None:
            raise UnknownResourceError(
                f"no capacity is set for resource {resource_type!r}: call set_capacity first",
                resource=resource_type,
            )
        return ResourceMetrics(*books)

    def get_usage_history(
        self,
        agent_id: str,
        resource_type: str,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        *,
        operation_type: str | None = None,
    ) -> list[UsageEvent]:
        """What an agent spent of a resource in `start_time <= t < end_time`, oldest first.

        As `BudgetCoordinator.get_agent_usage_history`: the latest events are exact, older ones are summed by
        hour and operation type.

        Raises:
            UnknownAgentError: no agent of this id is registered.
            UnknownResourceError: the agent has no budget for this resource.
        """
        first, end = _ALWAYS
        first = first if start_time is None else start_time
        end = end if end_time is None else end_time
        events = [UsageEvent(*usage) for usage in self._usage(agent_id, resource_type, first, end)]
        return [event for event in events if operation_type in {None, event.operation_type}]

    def get_events(self, agent_id: str, resource_type: str) -> list[BudgetEvent]:
        """The latest events of an agent's resource, of every kind, oldest first.

        Raises:
            UnknownAgentError: no agent of this id is registered.
            UnknownResourceError: the agent has no budget for this resource.
        """
        return [BudgetEvent(*event) for event in self._events(agent_id, resource_type)]

    def verify(self) -> None:
        """Audits all books of the coordinator, those of resources and capacities included.

        Raises:
            BooksError: an invariant does not hold. Nothing that a program does can make that happen.
        """
        self.coordinator.verify()

    def __repr__(self) -> str:
        return f"MultiResourceBudget({self.coordinator!r})"

"""Budgets by resource type: calls, compute seconds, storage, charged several at a time in one step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, Self, overload

from safeguards import _native
from safeguards._native import FairAllocation, ResourceBudgets, ResourceReceipt, ResourceReservation
from safeguards._values.arguments import shown
from safeguards._values.arrays import floats
from safeguards._values.copies import OF_COORDINATOR, not_copied
from safeguards._values.decimals import NOTHING
from safeguards._values.frames import Tabular
from safeguards.exceptions import ConfigurationError, UnknownResourceError
from safeguards.types.metrics import BudgetEvent, ResourceMetrics, UsageEvent
from safeguards.types.shares import FairShare

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from safeguards._native import Amount
    from safeguards.core.budget_coordination import BudgetCoordinator

__all__ = [
    "FairShares",
    "MultiResourceBudget",
    "ResourceReceipt",
    "ResourceReservation",
    "fair_shares",
    "fair_tasks",
]

_ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


class MultiResourceBudget(ResourceBudgets):
    """What agents may spend beside their money, by resource type.

    The budgets belong to the agents of the coordinator, as their rate limits do: every `MultiResourceBudget`
    of one coordinator sees the same ones, `coordinator.verify()` audits them, and an agent that is
    unregistered takes them with it. They stand under the agent's own lock. So `debit` and `reserve` take all
    resources or none in one step, and no reader ever sees a part of it; in each budget granted = remaining +
    reserved + spent at every instant.

    There are two kinds of limits. An agent's *budget* is what it may spend of a resource. A *capacity*, set
    for a resource by `set_capacity`, is what all agents together may spend of it; the budgets may add up to
    more.

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
            return {name: ResourceMetrics(**books) for name, books in self._all_metrics(agent_id).items()}
        return ResourceMetrics(**self._metrics(agent_id, resource_type))

    def get_capacity_metrics(self, resource_type: str) -> ResourceMetrics:
        """The books of a capacity: what all agents together have of a resource.

        It counts what agents spent since the capacity was set, those that were unregistered included.

        Raises:
            UnknownResourceError: no capacity is set for this resource.
        """
        books = self._capacity_metrics(resource_type)
        if books is None:
            raise UnknownResourceError(
                f"no capacity is set for resource {shown(resource_type)}: call set_capacity first",
                resource=resource_type,
            )
        return ResourceMetrics(**books)

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

    @staticmethod
    def fair_shares(
        demands: Mapping[str, Mapping[str, Amount]],
        capacities: Mapping[str, Amount],
        weights: Mapping[str, float | Mapping[str, float]] | None = None,
        *,
        caps: Mapping[str, Amount] | None = None,
    ) -> FairShares:
        """Divides capacities fairly among agents, as the function `fair_shares`. Changes no budget."""
        return fair_shares(demands, capacities, weights, caps=caps)

    def __reduce__(self) -> NoReturn:
        not_copied(self, OF_COORDINATOR)

    def __repr__(self) -> str:
        return f"MultiResourceBudget({self.coordinator!r})"


def fair_shares(
    demands: Mapping[str, Mapping[str, Amount]],
    capacities: Mapping[str, Amount],
    weights: Mapping[str, float | Mapping[str, float]] | None = None,
    *,
    caps: Mapping[str, Amount] | None = None,
) -> FairShares:
    """Divides capacities fairly among agents that need the resources in different proportions.

    This is weighted dominant resource fairness. An agent's *dominant share* is the largest part that it has
    of any resource, divided by its weight. All dominant shares rise together until a resource is used up; the
    agents that need it have what they get, and the others go on. With equal weights nobody would rather have
    an equal part of every resource (sharing incentive), nor somebody else's share (envy-freeness); and nobody
    can get more without somebody getting less (Pareto efficiency). It pays no agent to say that it needs more
    than it does.

    It is computed by exact progressive filling, from event to event. Shares are rounded down to 9 decimal
    places, so that they never add up to more than a capacity.

    Args:
        demands: what one task of each agent takes, by resource type; 0 of what is not named.
        capacities: what there is of each resource type.
        weights: how much each agent counts, 1 if not given: a number for all resources, or one for each, from
            1e-9 to 1e9. An agent of weight 2 gets what two agents get together.
        caps: the most tasks that an agent can use, if there is a limit; the rest goes to the others.

    Returns:
        Each agent's `FairShare`, in the order of `demands`.

    Raises:
        InvalidAmountError: a demand, a capacity or a cap is not an amount.
        UnknownResourceError: a demand or a weight names a resource without a capacity.
        ConfigurationError: an agent's tasks take nothing and it has no cap; a weight is out of range; weights
            or caps name an agent that demands nothing.

    Example:
        >>> shares = fair_shares(
        ...     {"A": {"cpu": 1, "memory_gb": 4}, "B": {"cpu": 3, "memory_gb": 1}},
        ...     {"cpu": 9, "memory_gb": 18},
        ... )
        >>> shares["A"].tasks, shares["B"].tasks
        (Decimal('3'), Decimal('2'))
        >>> shares["A"].allocation, shares["A"].dominant_resource, shares["A"].limited_by
        ({'cpu': Decimal('3'), 'memory_gb': Decimal('12')}, 'memory_gb', 'cpu')

    Source:
        A. Ghodsi, M. Zaharia, B. Hindman, A. Konwinski, S. Shenker, I. Stoica: "Dominant Resource Fairness:
        Fair Allocation of Multiple Resource Types", NSDI 2011, sections 4.1 and 4.3.
    """
    allocation = FairAllocation(demands, capacities, weights, caps)
    return FairShares(list(demands), allocation)


class FairShares(Mapping[str, FairShare], Tabular):
    """What every agent gets: a mapping from agents to shares, which are made when somebody looks."""

    def __init__(self, agents: list[str], allocation: FairAllocation) -> None:
        self._agents = agents
        self._allocation = allocation

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {agent: row for row, agent in enumerate(self._agents)}

    @property
    def allocated(self) -> dict[str, Decimal]:
        """How much of each resource is given away, by resource type. Never more than its capacity."""
        return self._allocation.allocated()

    def __getitem__(self, agent_id: str) -> FairShare:
        return FairShare(*self._allocation.share(self._rows[agent_id]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._agents)

    def __len__(self) -> int:
        return len(self._agents)

    def _cells(self) -> Mapping[str, Sequence[Any]]:
        shares = list(self.values())
        resources = list(self.allocated)
        return {
            "agent": list(self),
            "tasks": [share.tasks for share in shares],
            **{name: [share.allocation.get(name, NOTHING) for share in shares] for name in resources},
            "dominant_resource": [share.dominant_resource for share in shares],
            "limited_by": [share.limited_by for share in shares],
        }

    def __repr__(self) -> str:
        return f"FairShares({len(self)} agents, {len(self.allocated)} resources)"


def fair_tasks(
    demands: ArrayLike,
    capacities: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    caps: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Tasks of each agent as `fair_shares` finds them, from arrays and not rounded: the form for experiments.

    Args:
        demands: what one task of each agent takes, shape (agents, resources).
        capacities: what there is of each resource, shape (resources,).
        weights: how much each agent counts, shape (agents,) or (agents, resources); equal if not given.
        caps: the most tasks that an agent can use, shape (agents,); `inf` if there is no limit.

    Returns:
        Tasks, shape (agents,), dtype float64.

    Raises:
        ConfigurationError: shapes do not match, a number is neither 0 nor from 1e-60 to 1e60, a weight is
            not from 1e-9 to 1e9, or an agent's tasks take nothing and it has no cap.

    Example:
        >>> fair_tasks([[1, 4], [3, 1]], [9, 18])
        array([3., 2.])
    """
    import numpy as np

    needs = _numbers("demands", demands, 2)
    total = _numbers("capacities", capacities, 1)
    agents, resources = needs.shape
    factors = np.ones((0,)) if weights is None else floats("weights", weights)
    limits = np.full(agents, np.inf) if caps is None else floats("caps", caps)
    if factors.ndim == 1 and weights is not None:
        factors = factors[:, None].repeat(resources, axis=1)
    _check_shape("capacities", total.shape, (resources,))
    _check_shape("caps", limits.shape, (agents,))
    if weights is not None:
        _check_shape("weights", factors.shape, (agents, resources))
        if not ((factors >= _LEAST_WEIGHT) & (factors <= 1 / _LEAST_WEIGHT)).all():
            raise ConfigurationError("weights must be from 1e-9 to 1e9")
    limits = np.where(np.isinf(limits), limits, _numbers("caps", np.where(np.isposinf(limits), 0, limits), 1))
    return _native.fair_tasks(needs, total, factors.ravel(), limits)


_LEAST_WEIGHT = 1e-9
_LEAST_NUMBER = 1e-60


def _numbers(argument: str, values: ArrayLike, dimensions: int) -> NDArray[np.float64]:
    """An array of numbers that are 0 or of a size that can be computed with."""
    array = floats(argument, values)
    if array.ndim != dimensions:
        raise ConfigurationError(f"{argument} must have {dimensions} dimensions, not {array.ndim}")
    if not ((array == 0) | ((array >= _LEAST_NUMBER) & (array <= 1 / _LEAST_NUMBER))).all():
        raise ConfigurationError(f"{argument} must be 0 or from 1e-60 to 1e60")
    return array


def _check_shape(argument: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ConfigurationError(f"{argument} must have the shape {expected} of demands, not {shape}")

"""One replay for all policies: agents debit a real ledger on a clock of their own, under what steers them.

What is replayed is no model of a controller but the thing itself, through its public methods: it sees what it
would see in a running program, that is what was spent and that something was refused, never what was wanted.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves parts of its annotations open.

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from safeguards._native import ManualClock
from safeguards._values.arguments import called, shown
from safeguards._values.arrays import floats
from safeguards._values.decimals import PLACES, of_float, of_units
from safeguards.core.budget_coordination import BudgetCoordinator
from safeguards.core.controller import Controller
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Table = NDArray[np.float64]

__all__ = [
    "HOUR",
    "PLENTY",
    "Ground",
    "Outcome",
    "Policy",
    "Seen",
    "exact",
    "nobody",
    "own_policies",
    "replay",
    "telling",
]

HOUR = 3600
PLENTY = 10**12
"""More than any agent or pool of a replay wants: a budget that bounds nothing."""
_MOST = 2 * 10**9
"""The largest debit: more than any pool of a replay has."""
_UNITS = 10**9
_ROOT = "all"


@dataclass(frozen=True, eq=False)
class Seen:
    """What a rule of one's own may decide by at the begin of an hour.

    Attributes:
        accounts: names of the agents, or of the pools if these are sized.
        priorities: one for each.
        spent: (accounts, hours so far) float64: what each spent.
        refused: (accounts, hours so far) bool: whether something was refused.
        budgets: (accounts, hours so far) float64: what each was given.
    """

    accounts: tuple[str, ...]
    priorities: tuple[int, ...]
    spent: Table
    refused: NDArray[np.bool_]
    budgets: Table


Own = TypeVar("Own", bound=Callable[..., Any])
HourlyRule: TypeAlias = Callable[[Seen], "Table"]
Policy: TypeAlias = Callable[[BudgetCoordinator], "Controller[Any] | Iterable[Controller[Any]] | HourlyRule"]
"""Makes what steers the budgets of a coordinator: controllers, not started yet, or a rule that is asked for
budgets at the begin of each hour."""


def nobody(_coordinator: BudgetCoordinator) -> tuple[Controller[Any], ...]:
    """The policy that leaves budgets as they are."""
    return ()


@dataclass(frozen=True, eq=False)
class Ground:
    """What is the same for all policies.

    Attributes:
        agents: their names.
        cost: (agents, hours) what each wants; far less than `PLENTY`.
        priorities: one for each agent.
        steps: debits by which an agent spends an hour's demand.
        by_priority: whether within an hour agents of a higher priority spend first, and of equal ones those
            that want less; else all spend side by side.
        pool_budget: what all agents together have for each hour; None if nothing bounds them together.
    """

    agents: tuple[str, ...]
    cost: Table
    priorities: tuple[int, ...]
    steps: int
    pool_budget: float | None = None
    by_priority: bool = False


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of the demand under one policy.

    Attributes:
        unmet: (agents, hours) what was refused.
        budgets: (agents, hours) what each agent or its pool had at the begin of each hour.
    """

    unmet: Table
    budgets: Table


def own_policies(policies: Mapping[str, Own] | None, taken: Sequence[str]) -> dict[str, Own]:
    """Policies of the caller's own, by names that are free.

    Raises:
        ArgumentTypeError: they are no functions by name.
        ConfigurationError: a name is taken.
    """
    found = {} if policies is None else policies
    if not isinstance(found, Mapping) or not all(callable(policy) for policy in found.values()):
        raise ArgumentTypeError(f"policies must be functions by name, not {shown(policies)}")
    for name in found:
        if not isinstance(name, str) or name in taken:
            raise ConfigurationError(f"policies: {shown(name)} is no free name; taken are {', '.join(taken)}")
    return dict(found)


def telling(
    progress: Callable[[int, int, str], object] | None, place: int, runs: int, name: str
) -> Callable[[int, int], object] | None:
    """Progress of one run as part of all."""
    if progress is None:
        return None
    called("progress", progress)
    return lambda hour, hours: progress(place * hours + hour, runs * hours, name)


def replay(
    ground: Ground,
    policy: Policy,
    *,
    steers: Literal["agents", "pools"],
    start: Table,
    progress: Callable[[int, int], object] | None = None,
) -> Outcome:
    """Spends the demand through a coordinator of its own, hour by hour.

    Args:
        ground: what is spent.
        policy: what steers.
        steers: what it steers. Budgets of "agents" are theirs until somebody changes them; "pools" are one
            for each agent, with a period of an hour, called as their agent.
        start: (agents,) what each agent or pool begins with.
        progress: called with (hours done, hours in all).

    Raises:
        ConfigurationError: the policy makes neither controllers nor a rule, or the rule gives no budgets.
    """
    import numpy as np

    stage = _Stage(ground, steers, start)
    steering = policy(stage.coordinator)
    rule = steering if callable(steering) and not isinstance(steering, Controller) else None
    controllers = () if rule is not None else _controllers(steering)
    unmet, budgets = np.zeros(ground.cost.shape), np.zeros(ground.cost.shape)
    units = _units(ground.cost / ground.steps)
    with ExitStack() as running:
        for controller in controllers:
            running.enter_context(controller)
        for hour, wanted in enumerate(ground.cost.T):
            if rule is not None and hour:
                stage.give(_asked(rule, ground, unmet[:, :hour], budgets[:, :hour]))
            budgets[:, hour] = stage.budgets()
            unmet[:, hour] = wanted * stage.spend(wanted > 0, units[:, hour]) / ground.steps
            if progress is not None:
                progress(hour + 1, ground.cost.shape[1])
    stage.coordinator.verify()
    return Outcome(unmet, budgets)


def _controllers(steering: Any) -> tuple[Controller[Any], ...]:
    if isinstance(steering, Controller):
        return (steering,)
    found: tuple[Any, ...] = tuple(steering) if isinstance(steering, Iterable) else (steering,)
    if not all(isinstance(one, Controller) for one in found):
        raise ConfigurationError(
            f"a policy makes a Controller, several, or a function of what was seen, not {shown(steering)}"
        )
    return found


def _asked(rule: HourlyRule, ground: Ground, unmet: Table, budgets: Table) -> Table:
    import numpy as np

    hours = unmet.shape[1]
    seen = Seen(ground.agents, ground.priorities, ground.cost[:, :hours] - unmet, unmet > 0, budgets.copy())
    given = floats("the budgets that a rule gives", rule(seen))
    if given.shape != (len(ground.agents),) or not ((given >= 0) & (given < np.inf)).all():
        raise ConfigurationError(
            f"a rule gives a budget for each of {len(ground.agents)} accounts, finite and not negative; not "
            f"{shown(given)}"
        )
    bounded: Table = np.minimum(given, PLENTY)
    return bounded


class _Stage:
    """A coordinator with pools and agents, and a clock."""

    def __init__(self, ground: Ground, steers: Literal["agents", "pools"], start: Table) -> None:
        import numpy as np

        self.clock = ManualClock()
        self.coordinator = BudgetCoordinator(clock=self.clock, history_events=1, history_sums=2)
        self._ground, self._pools = ground, steers == "pools"
        hour = timedelta(seconds=HOUR)
        root = None
        if ground.pool_budget is not None:
            root = self.coordinator.create_budget_pool(
                _ROOT, exact(ground.pool_budget), pool_id=_ROOT, budget_period=hour
            )
        for agent, priority, budget in zip(ground.agents, ground.priorities, start.tolist(), strict=True):
            pool, own = root, exact(budget)
            if self._pools:
                pool = self.coordinator.create_budget_pool(
                    agent, own, parent_id=root, pool_id=_pool_of(agent), budget_period=hour
                )
                own = Decimal(PLENTY)
            assert pool is not None  # noqa: S101 - agents that are steered share a pool
            self.coordinator.register_agent(agent, pool, priority, own)
        handles = [self.coordinator.handle(agent) for agent in ground.agents]
        self._handles = np.array(handles, np.uint32)

    def budgets(self) -> list[float]:
        """What each agent has now, or its pool."""
        if self._pools:
            return [float(self.coordinator.get_pool_budget(_pool_of(agent))) for agent in self._ground.agents]
        return [float(self.coordinator.get_budget(agent)) for agent in self._ground.agents]

    def give(self, budgets: Table) -> None:
        """Sets what each has from now on."""
        for agent, budget in zip(self._ground.agents, budgets.tolist(), strict=True):
            if self._pools:
                self.coordinator.update_pool_budget(_pool_of(agent), exact(budget))
            else:
                self.coordinator.update_budget(agent, exact(budget))

    def spend(self, is_wanted: NDArray[np.bool_], units: NDArray[np.int64]) -> NDArray[np.int64]:
        """An hour of debits; how many of each agent were refused."""
        import numpy as np

        if self._ground.by_priority:
            return self._spend_in_order(is_wanted, units)
        steps, spenders = self._ground.steps, np.flatnonzero(is_wanted)
        handles, amounts = self._handles[spenders], units[spenders]
        refused = np.zeros(len(is_wanted), np.int64)
        for _ in range(steps):
            if len(spenders):
                refused[spenders] += ~self.coordinator.debit_many(handles, amounts)
            self.clock.advance(HOUR / steps)
        return refused

    def _spend_in_order(self, is_wanted: NDArray[np.bool_], units: NDArray[np.int64]) -> NDArray[np.int64]:
        """One agent after the other: a reserve is asked at the debit that needs it, not after a batch."""
        import numpy as np

        ground, refused = self._ground, np.zeros(len(is_wanted), np.int64)
        rows = np.flatnonzero(is_wanted).tolist()
        for row in sorted(rows, key=lambda row: (-ground.priorities[row], units[row])):
            account, amount = self.coordinator.account(ground.agents[row]), of_units(int(units[row]))
            refused[row] = sum(not account.try_debit(amount) for _ in range(ground.steps))
        self.clock.advance(HOUR)
        return refused


def _pool_of(agent: str) -> str:
    """The id of the pool that one agent has for itself: never that of the pool of all."""
    return f"{agent}'s" if agent == _ROOT else agent


def exact(value: float) -> Decimal:
    """An amount, in places that the ledger has."""
    return of_float(round(float(value), PLACES))


def _units(amounts: Table) -> NDArray[np.int64]:
    """Amounts in billionths. More than there ever is is refused, however much it is."""
    import numpy as np

    units: NDArray[np.int64] = np.rint(np.minimum(amounts, _MOST) * _UNITS).astype(np.int64)
    return units

"""`PriorityBasedReallocator`: what remains of a pool goes to the agents that need it, by their priority."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from safeguards._native import PoolMembers
from safeguards._values.amounts import amount
from safeguards._values.arguments import items, shown, text
from safeguards._values.decimals import NOTHING, add, plain, subtract
from safeguards._values.numbers import seconds
from safeguards.core.controller import Controller
from safeguards.core.dynamic_budget._agent_demand import AgentDemand
from safeguards.core.dynamic_budget._division import (
    DEFAULT_WEIGHTS,
    RESERVE,
    Rule,
    Table,
    boundless,
)
from safeguards.core.dynamic_budget._reserve import Reserve
from safeguards.exceptions import UnknownAgentError, UnknownPoolError
from safeguards.types.decisions import Deal, Decision, Draw
from safeguards.types.enums import AlertSeverity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from safeguards._native import Amount
    from safeguards.core._spell import Spell
    from safeguards.core.budget_coordination import BudgetCoordinator
    from safeguards.core.controller import Execute

    Figures = NDArray[np.float64]
    Part = tuple[int, Decimal, Decimal]

__all__ = ["PriorityBasedReallocator"]


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a pool is to be divided."""

    pool_id: str
    reserve: Decimal
    given_before: Decimal
    heaviest: float
    floors_hold: bool


@dataclass(slots=True)
class _View:
    """The agents of each pool at one instant, and how the pools are divided once that is decided."""

    members: dict[str, PoolMembers]
    given: dict[str, Decimal]
    """All that was granted from each reserve so far."""
    at: float
    plans: list[_Plan] = field(default_factory=list["_Plan"])


class PriorityBasedReallocator(Controller[_View]):
    """Deals what remains of a pool out among its agents, again and again: by need, priority and floors.

    The pie is what remains of the pool. A part of it is kept in reserve; the rest is dealt out as the
    budgets of the agents right below the pool, to the last 1e-9:

    - nobody gets less than their floor, a share of what their period began with;
    - up to the needs it is shared by weighted max-min fairness: who needs less than their part by weight gets
      all of it, the others share what is left by weight;
    - what is over goes out in proportion to the needs.

    What an agent needs is forecast from what it spent, until the pool is granted anew or, without a
    `budget_period`, until the next run. As long as nothing is known of anybody, the weights alone decide.

    From the first run on an agent of which less than `emergency_threshold` remains is granted budget from the
    reserve: right after the debit or reservation that made it low, and at each run, heavier ones first. A
    grant brings it to twice the threshold. Between two runs the heaviest agents may draw all of the reserve;
    one of half their weight half of it, and so on: light agents that come first leave something for others.

    Budgets move by differences, those that are lowered first: less what is spent meanwhile, the budgets of
    the agents never add up to more than what was to be dealt out. An agent that is pinned keeps what it has,
    and the others share the rest. The reasons for all this are in docs/decisions/0012-reallocation.md.

    Args:
        budget_coordinator: the coordinator whose pools it divides.
        reallocation_interval_seconds: seconds from one run to the next, and the step of the forecast.
        emergency_threshold: an agent with less left than this is granted budget from the reserve. Choose it
            above what one debit costs: a debit that does not fit is refused before anybody is told.
        pool_ids: the pools; all of them if not given. One pool wants one reallocator.
        max_change: as in `Controller`.
        history_size: as in `Controller`.

    Raises:
        ConfigurationError: the interval is not from a millisecond to a hundred years, or `max_change` or
            `history_size` is out of the range of `Controller`.
        InvalidAmountError: `emergency_threshold` is not an amount.
        UnknownPoolError: there is no pool of one of the `pool_ids`.

    Example:
        >>> from safeguards import BudgetCoordinator
        >>> coordinator = BudgetCoordinator()
        >>> team = coordinator.create_budget_pool("team", 1000)
        >>> for name, priority in (("pilot", 10), ("intern", 3)):
        ...     _ = coordinator.register_agent(name, team, priority, initial_budget=50)
        >>> reallocator = PriorityBasedReallocator(coordinator)
        >>> reallocator.configure(reserve_percentage=0.2, priority_weights={10: 4, 3: 1})
        >>> for decision in reallocator.run_once():
        ...     print(decision.subject, decision.old, "->", decision.new)
        pilot 50 -> 640
        intern 50 -> 160
        >>> reallocator.get_reserve(team)
        Decimal('200')
    """

    fallback = "shares by weight, above the floors"

    def __init__(
        self,
        budget_coordinator: BudgetCoordinator,
        reallocation_interval_seconds: float = 1800,
        emergency_threshold: Amount = Decimal("5.0"),
        *,
        pool_ids: Iterable[str] | None = None,
        max_change: float | None = None,
        history_size: int = 10_000,
    ) -> None:
        super().__init__(
            budget_coordinator,
            seconds("reallocation_interval_seconds", reallocation_interval_seconds),
            max_change=max_change,
            history_size=history_size,
        )
        self.emergency_threshold = amount(emergency_threshold, "emergency_threshold")
        self._pool_ids = None if pool_ids is None else _known_pools(budget_coordinator, pool_ids)
        self._rule = Rule(0.1, 0.2, DEFAULT_WEIGHTS)
        self._demand: dict[str, AgentDemand] = {}
        self._short_pools: set[str] = set()
        self._reserves: dict[str, Reserve] = {}
        self._helping = threading.local()

    def configure(
        self,
        min_budget_percentage: float = 0.1,
        reserve_percentage: float = 0.2,
        priority_weights: Mapping[int, float] | None = None,
    ) -> None:
        """Divides by these rules from the next run on.

        Args:
            min_budget_percentage: the least that an agent has after a run, as a share of what its period
                began with (`BudgetMetrics.initial_budget`), from 0 to 1. Floors come before the reserve; if
                the pool has less than all of them, they shrink in proportion, and an alert says so.
            reserve_percentage: what of the pool is kept back for agents that run low, from 0 to 1.
            priority_weights: how much each priority counts, from 1e-9 to 1e9. Priorities between the given
                ones count in proportion, beyond them like the last one. Priority / 5 if not given.

        Raises:
            ConfigurationError: an argument is out of its range.
        """
        weights = DEFAULT_WEIGHTS if priority_weights is None else priority_weights
        rule = Rule(min_budget_percentage, reserve_percentage, weights)
        with self.between_runs():
            self._rule = rule

    def start(self) -> None:
        """Runs on the interval from now on, the first time one interval later.

        A second start does nothing.

        Raises:
            ThreadStartError: as `Controller.start`.
        """
        super().start()

    def stop(self) -> None:
        """Runs and grants no more. No decision is applied after this returns.

        Raises:
            ControllerBusyError: as `Controller.stop`.
        """
        super().stop()

    def begin(self, spell: Spell) -> None:
        """Begins to watch demand, and listens. As `Controller.begin`."""
        with self.between_runs():
            self.remember(self.observe(self.now()))
        super().begin(spell)
        self._attend()

    def end(self, spell: Spell) -> None:
        """Listens no more. As `Controller.end`."""
        super().end(spell)
        self._attend()

    def _attend(self) -> None:
        """Listens to agents that run low while it runs, and no longer.

        Starts and stops may come in between. Each looks again after what it did, so that the last one leaves
        things as they should be.
        """
        coordinator, spell = self.budget_coordinator, None
        while True:
            spell = self.spell
            attend = coordinator._unlisten_low if spell is None else coordinator._listen_low  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            attend(self._on_low)
            for pool_id in self._pools():
                threshold = None if spell is None else self.emergency_threshold
                coordinator._watch_low(pool_id, threshold)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            if self.spell is spell:
                return

    def get_reserve(self, pool_id: str) -> Decimal:
        """What of a pool's reserve is not granted yet. 0 before the first run.

        Raises:
            UnknownPoolError: the pool is not reallocated here.
        """
        if text("pool_id", pool_id) not in self._pools():
            self.budget_coordinator.get_pool_budget(pool_id)  # raises for an id that is unknown
            raise UnknownPoolError(
                f"pool {shown(pool_id)} is not reallocated here: name it in pool_ids", account=pool_id
            )
        return self._reserve_of(pool_id).left

    # One run.

    def observe(self, now: datetime) -> _View:  # noqa: ARG002 - the clock's own line counts
        """Looks at the agents of the pools. As `Controller.observe`."""
        coordinator = self.budget_coordinator
        # What is granted while it looks comes off the reserve, whether it is seen in the budgets or not.
        given = {pool_id: self._reserve_of(pool_id).given for pool_id in self._pools()}
        members = {pool_id: PoolMembers(coordinator, pool_id) for pool_id in given}
        return _View(members, given, coordinator.clock.monotonic())

    def learn(self, view: _View) -> None:
        """Takes note of the demand. As `Controller.learn`."""
        for pool_id, members in view.members.items():
            demand = self._demand.setdefault(pool_id, AgentDemand(self.interval_seconds))
            demand.observe(members, view.at)

    def propose(self, view: _View) -> list[Decision]:
        """Divides the pools by need. As `Controller.propose`."""
        return self._divide(view, self._needs)

    def fall_back(self, view: _View) -> list[Decision]:
        """Divides the pools by weight alone. As `Controller.fall_back`."""
        return self._divide(view, boundless)

    def _divide(self, view: _View, needs_of: Callable[[str, PoolMembers], Figures]) -> list[Decision]:
        plans: list[_Plan] = []
        decisions: list[Decision] = []
        for pool_id, members in view.members.items():
            if len(members):
                table = Table(pool_id, members, needs_of(pool_id, members), self._rule)
                decisions += self._divide_pool(table, view.given[pool_id], plans)
        view.plans = plans  # only if all went well: nothing is kept back of what is not dealt out
        return decisions

    def _divide_pool(self, table: Table, given_before: Decimal, plans: list[_Plan]) -> list[Decision]:
        """The decisions of one pool: who gives, then who gets, then who still runs low."""
        import numpy as np

        pinned, rule = self.budget_coordinator.pinned, self._rule
        fixed = np.array([agent in pinned for agent in table.ids], bool)
        changes, reserve, floors_hold = table.members.deal(
            table.needs, table.weights, fixed, (rule.floor, rule.reserve, self.max_change)
        )
        plans.append(_Plan(table.pool_id, reserve, given_before, table.heaviest, floors_hold))
        givers = sorted((part for part in changes if part[2] < part[1]), key=table.weight_first)
        takers = sorted((part for part in changes if part[2] > part[1]), key=table.weight_first)
        dealt = [table.part(row, old, new) for row, old, new in (*givers, *takers)]
        return dealt + self._emergencies(table, changes, fixed, reserve)

    def _emergencies(
        self, table: Table, changes: list[Part], fixed: NDArray[np.bool_], size: Decimal
    ) -> list[Decision]:
        """Grants to those whose part is below the threshold and below what they need: heavy ones first."""
        import numpy as np

        news = {row: new for row, _, new in changes}
        budgets = table.members.remaining
        budgets[list(news)] = [float(new) for new in news.values()]
        is_low = (budgets < float(self.emergency_threshold)) & (budgets < table.needs) & ~fixed
        rows = np.flatnonzero(is_low & np.isfinite(table.needs)).tolist()
        rows.sort(key=lambda row: (-table.weights[row], table.needs[row]))
        reserve = Reserve()
        reserve.begin(size, NOTHING, table.heaviest)
        decisions: list[Decision] = []
        for row in rows:
            agent, weight = table.ids[row], float(table.weights[row])
            try:
                old = news[row] if row in news else self.budget_coordinator.get_budget(agent)
            except UnknownAgentError:
                continue  # it has left meanwhile
            drawn = reserve.draw(agent, weight, self._wanted(old))
            figures = {"need": float(table.needs[row])}
            decisions.append(self._draw(Draw(drawn, table.pool_id, weight), agent, old, figures))
        return decisions

    def _needs(self, pool_id: str, members: PoolMembers) -> Figures:
        """What each agent will want until the pool is granted anew, or else until the next run."""
        demand = self._demand.get(pool_id)
        if demand is None:
            return boundless(pool_id, members)
        steps = (members.renews_in or 0) / self.interval_seconds
        return demand.expect(members.ids, max(steps, 1.0))

    def carry_out(
        self, view: _View | None, decisions: list[Decision], execute: Execute
    ) -> Iterator[Decision]:
        """Executes as far as there is money: of others, or of the reserve. As `Controller.carry_out`."""
        room: dict[str, Decimal] = {}
        for decision in decisions:
            if isinstance(decision.change, Deal) and not isinstance(decision.change, Draw):
                _add(room, decision.change)
        if view is not None:
            self._plan(view.plans)
        for decision in decisions:
            draws = isinstance(decision.change, Draw)
            done = self._grant(decision, execute) if draws else self._deal(decision, room, execute)
            if done is not None:
                yield done

    def _plan(self, plans: list[_Plan]) -> None:
        """Keeps back what was not dealt out."""
        for plan in plans:
            self._reserve_of(plan.pool_id).begin(plan.reserve, plan.given_before, plan.heaviest)
        self._tell_floors(plans)
        if self.running:
            self._attend()  # pools may be new, and agents that are still low are told of once more

    def _deal(self, decision: Decision, room: dict[str, Decimal], execute: Execute) -> Decision | None:
        """Gives an agent its part, as far as others gave it."""
        part = cast("Deal", decision.change)
        most = max(room[part.pool], NOTHING)
        if part.by > most:
            if not most:
                return None
            reason = f"{decision.reason}; others gave less than planned"
            decision = decision.bounded(plain(add(decision.old, most)), reason)
        done = execute(decision)
        if done is not None and done.status == "applied":
            _add(room, cast("Deal", done.change), -1)
        return done

    # The reserve.

    def _on_low(self, agent_id: str) -> None:
        """Called by the call that made an agent low, or by one of another thread; outside all locks."""
        waiting: list[str] | None = getattr(self._helping, "waiting", None)
        if waiting is not None:  # a callback debits in the middle of a grant: one after the other, each once
            if agent_id not in waiting:
                waiting.append(agent_id)
            return
        waiting = self._helping.waiting = [agent_id]
        ended: BaseException | None = None
        try:
            for agent in waiting:  # it grows on the way
                try:
                    self._try_help(agent)
                except BaseException as error:  # noqa: BLE001 - raised when the others are helped
                    ended = error
        finally:
            self._helping.waiting = None
        if ended is not None:
            raise ended

    def _try_help(self, agent_id: str) -> None:
        try:
            self._help(agent_id)
        except UnknownAgentError:
            pass  # it has left already
        except Exception as error:  # noqa: BLE001 - the debit that it happened in goes on
            self.tell_failure("could not grant from a reserve", error)

    def _help(self, agent_id: str) -> None:
        coordinator = self.budget_coordinator
        pool_id = coordinator.account(agent_id).pool_id
        if pool_id not in self._reserves:
            return
        old = coordinator.get_budget(agent_id)
        if old >= self.emergency_threshold:
            return  # somebody was faster
        weight = float(self._rule.weigh([coordinator.get_agent_priority(agent_id)])[0])
        reserve = self._reserve_of(pool_id)
        is_first = not reserve.has_drawn(agent_id)
        done = self.act([self._draw(Draw(self._wanted(old), pool_id, weight), agent_id, old)])
        if not done and self.running and not reserve.has_for(agent_id, weight):
            self._tell_empty(pool_id, agent_id)
        elif is_first and any(decision.status == "applied" for decision in done):
            self._tell_grant(pool_id, done[0])

    def _draw(
        self, draw: Draw, agent_id: str, old: Decimal, figures: Mapping[str, float] = MappingProxyType({})
    ) -> Decision:
        reason = f"emergency: less than {self.emergency_threshold} was left; granted from the reserve"
        inputs = {"pool": draw.pool, "from": RESERVE, "weight": draw.weight, **figures}
        return Decision("agent", agent_id, old, plain(add(old, draw.by)), reason, inputs, change=draw)

    def _grant(self, decision: Decision, execute: Execute) -> Decision | None:
        """Grants out of the reserve what it has for this agent. None if that is nothing."""
        draw = cast("Draw", decision.change)
        reserve = self._reserve_of(draw.pool)
        drawn = reserve.draw(decision.subject, draw.weight, draw.by)
        if not drawn:
            return None
        done: Decision | None = None
        try:
            done = execute(decision.bounded(plain(add(decision.old, drawn)), decision.reason))
        finally:  # also if a callback is interrupted
            if done is None or done.status != "applied":
                reserve.put_back(decision.subject, drawn)
        return done

    def _wanted(self, budget: Decimal) -> Decimal:
        """What brings a low budget to twice the threshold."""
        return max(subtract(add(self.emergency_threshold, self.emergency_threshold), budget), NOTHING)

    def _reserve_of(self, pool_id: str) -> Reserve:
        return self._reserves.setdefault(pool_id, Reserve())

    def _pools(self) -> list[str]:
        return self.budget_coordinator.get_pool_ids() if self._pool_ids is None else self._pool_ids

    # Telling.

    def _tell_grant(self, pool_id: str, decision: Decision) -> None:
        self.budget_coordinator.notification_manager.send_alert(
            f"agent {decision.subject!r} ran low and was granted budget from the reserve of {pool_id!r}",
            f"{decision}. Further grants until the next run are in the history of the controller.",
            AlertSeverity.WARNING,
            account=decision.subject,
            time=decision.time,
            decisions=(decision,),
        )

    def _tell_empty(self, pool_id: str, agent_id: str) -> None:
        """Tells of the first agent, between two runs, that a reserve has nothing for."""
        reserve = self._reserve_of(pool_id)
        is_first, left, size = reserve.is_news(), reserve.left, reserve.size
        if is_first and size:
            self.budget_coordinator.notification_manager.send_alert(
                f"agent {agent_id!r} ran low and the reserve of {pool_id!r} has nothing for it",
                f"{left} of {size} is left, and the agent has drawn what it may. Raise its budget with "
                "update_budget, or wait for the next run.",
                AlertSeverity.ERROR,
                account=agent_id,
                time=self.now(),
                pool=pool_id,
            )

    def _tell_floors(self, plans: list[_Plan]) -> None:
        """Tells of each pool that has less than the floors of its agents: once until it has enough again."""
        short = {plan.pool_id for plan in plans if not plan.floors_hold}
        for pool_id in sorted(short - self._short_pools):
            self.budget_coordinator.notification_manager.send_alert(
                f"pool {pool_id!r} has less left than the floors of its agents",
                f"Each agent gets a part of it by its floor, {self._rule.floor:.0%} of its initial budget. "
                "Raise the pool with update_pool_budget.",
                AlertSeverity.ERROR,
                account=pool_id,
                time=self.now(),
                kind="pool",
            )
        self._short_pools = short


def _add(room: dict[str, Decimal], part: Deal, sign: int = 1) -> None:
    """Adds what others may get: a part that was planned, or less what was really dealt."""
    change = add if sign > 0 else subtract
    room[part.pool] = change(room.get(part.pool, NOTHING), part.by)


def _known_pools(coordinator: BudgetCoordinator, pool_ids: Iterable[str]) -> list[str]:
    known = sorted({text("pool_ids", pool_id) for pool_id in items("pool_ids", pool_ids, "ids of pools")})
    for pool_id in known:
        coordinator.get_pool_budget(pool_id)
    return known

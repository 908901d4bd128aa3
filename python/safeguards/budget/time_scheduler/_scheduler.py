"""Budgets by the time of the day: another budget for business hours, evenings, nights, weekends."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from safeguards._values import time_zones
from safeguards._values.amounts import amount as amount_of
from safeguards._values.arguments import mapping, one_of, shown, text
from safeguards._values.numbers import MAX_SEED, whole
from safeguards.budget.time_scheduler import _arguments as arguments
from safeguards.budget.time_scheduler import _report as report
from safeguards.budget.time_scheduler._calendar import Calendar, DaysMean, Week
from safeguards.budget.time_scheduler._live_pacing import LivePacing, Now, Pacing
from safeguards.budget.time_scheduler._pacing import DemandHistory
from safeguards.budget.time_scheduler._values import Occurrence, ScheduleIssue, TimeProfile, Transition
from safeguards.core._cell import Cell, snapshot
from safeguards.core._grants import grants_of
from safeguards.core.controller import Controller
from safeguards.exceptions import ConfigurationError
from safeguards.types.decisions import Decision, SetBudget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import tzinfo

    from safeguards._native import Amount
    from safeguards.core.budget_coordination import BudgetCoordinator
    from safeguards.core.controller import Execute

__all__ = ["BudgetTimeScheduler"]

_LONGEST_INTERVAL = 60.0
_POOLS_SHOWN = 20
_STATE_VERSION = 2
_MOST_DECLINED = 4
"""Grants of a pool that somebody did not want, the latest ones: a clock may go back to them."""


@dataclass(frozen=True, slots=True)
class _Settings:
    """How the schedule of a pool is read."""

    zone: tzinfo | None = None
    days_mean: DaysMean = "current"
    pacing: Pacing = "none"

    def changed(
        self, timezone: str | tzinfo | None, days_mean: DaysMean | None, pacing: Pacing | None
    ) -> _Settings:
        """The same with what is given."""
        return _Settings(
            self.zone if timezone is None else time_zones.read(timezone).tzinfo,
            self.days_mean if days_mean is None else _days_mean(days_mean),
            self.pacing if pacing is None else _pacing(pacing),
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """The schedule of one pool. It is replaced as a whole, so that readers need no lock."""

    pool_id: str
    settings: _Settings
    calendar: Calendar
    live: LivePacing | None

    @property
    def profiles(self) -> dict[str, TimeProfile]:
        return {profile.name: profile for profile in self.calendar.week.profiles}


class BudgetTimeScheduler(Controller[datetime]):
    """Sets the budgets of pools by the time of the day and the day of the week.

    When a profile comes into force, what remains for its pool is *set* to the budget of the profile, once.
    That holds until the profile is over, whatever is spent, also if a new scheduler takes over. Between
    profiles a pool keeps what it has. Where two overlap, the one with the narrower window is in force.

    The time on the wall decides. A start that is skipped when clocks are set forward counts at the moment of
    the jump; one that comes twice is granted once. If the clock of the machine is set, the right profile is
    in force at the next run, and what was granted before is not granted again.

    With `pacing`, the scheduler also says how much of the demand to admit, so that a budget lasts until its
    profile is over: ask `admits` before work that can wait, or read `throttle`.

    It runs at each change of profile, and every `interval_seconds` in between. A callback's veto holds until
    the profile is over; a pinned pool gets its grant when it is unpinned.

    Args:
        budget_coordinator: the coordinator of the pools.
        timezone: of all times of the day: a name such as `"Europe/Berlin"`, an offset such as `"+02:00"`, a
            `ZoneInfo` or a `datetime.timezone`; the local time of the machine if not given. A pool can have
            another one.
        days_mean: what the `days` of a profile filter: `"current"`, the local day of each moment, so that a
            window from Friday 22:00 to 09:00 ends at midnight if Saturday is not among them; or the day of
            the `"start"` of a window, so that it goes on to Saturday 09:00.
        pacing: how to make budgets last. `"none"` does not. `"even"` expects demand to go on as it has since
            the profile came into force. `"forecast"` learns from the last seven days when demand comes; until
            it has seen one it does as `"even"`.
        interval_seconds: seconds between runs, at most 60.
        max_change: the most that a grant changes, as a share of the budget before; no bound if not given.
        history_size: decisions that are kept.
        seed: of the random numbers of `admits`.

    Raises:
        ConfigurationError: a zone is unknown, `days_mean` or `pacing` is none of these words,
            `interval_seconds` not from 0.001 to 60, `max_change` not above 0, `history_size` below 1, or
            `seed` not from 0 to 2^64 - 1.

    Example:
        >>> from datetime import time
        >>> from safeguards import BudgetCoordinator, ManualClock
        >>> clock = ManualClock(datetime(2026, 1, 5, 8, 30, tzinfo=UTC))  # a Monday
        >>> coordinator = BudgetCoordinator(clock=clock)
        >>> team = coordinator.create_budget_pool("team", 10)
        >>> scheduler = BudgetTimeScheduler(coordinator, timezone="UTC")
        >>> scheduler.add_time_profile(
        ...     team,
        ...     {
        ...         "day": {"budget": 100, "start_time": time(9), "end_time": time(17), "days": range(5)},
        ...         "night": {"budget": 20, "start_time": time(17), "end_time": time(9), "days": range(5)},
        ...     },
        ... )
        >>> scheduler.start()
        >>> clock.advance(60)  # at the first run the night is in force
        >>> coordinator.get_pool_budget(team)
        Decimal('20')
        >>> clock.advance(29 * 60)  # to nine o'clock
        >>> coordinator.get_pool_budget(team)
        Decimal('100')
        >>> print(scheduler.next_transition(team))
        Mon 2026-01-05 17:00 UTC 'team': day -> night
        >>> for issue in scheduler.validate(team):
        ...     print(issue)
        gap Sat 00:00 to Mon 00:00: no profile is in force, the pool keeps what it has
        >>> scheduler.stop()
    """

    fallback: ClassVar[str] = "every pool keeps what it has"

    def __init__(
        self,
        budget_coordinator: BudgetCoordinator,
        *,
        timezone: str | tzinfo | None = None,
        days_mean: DaysMean = "current",
        pacing: Pacing = "none",
        interval_seconds: float = _LONGEST_INTERVAL,
        max_change: float | None = None,
        history_size: int = 10_000,
        seed: int = 0,
    ) -> None:
        super().__init__(
            budget_coordinator, interval_seconds, max_change=max_change, history_size=history_size
        )
        if self.interval_seconds > _LONGEST_INTERVAL:
            raise ConfigurationError(
                f"interval_seconds must be at most {_LONGEST_INTERVAL:g}, so that a clock that is set is "
                f"noticed, not {shown(interval_seconds)}"
            )
        self._defaults = _Settings().changed(timezone, days_mean, pacing)
        self._schedules: Cell[dict[str, _Plan]] = Cell({})  # replaced as a whole, and so is each plan
        self._histories: dict[str, DemandHistory] = {}
        self._declined: dict[str, dict[tuple[str, datetime] | None, str]] = {}
        self._grants = grants_of(budget_coordinator)
        self._random = random.Random(whole("seed", seed, 0, MAX_SEED))  # noqa: S311 - it decides who waits, not who gets in

    # Schedules.

    def add_time_profile(
        self,
        pool_id: str,
        schedule: Mapping[str, Mapping[str, Any]],
        *,
        timezone: str | tzinfo | None = None,
        days_mean: DaysMean | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        """Adds profiles to the schedule of a pool. One of the same name is replaced. All of them or none.

        Nothing is granted by this: the next run does, or `apply_current_profile`. A scheduler that is running
        runs at once if a profile is in force now, else at the first change of the new schedule, whenever its
        next run was to come.

        Args:
            pool_id: the pool.
            schedule: profiles by name, each a mapping with `"budget"`, an amount; `"start_time"` and
                `"end_time"`, each a `datetime.time`; `"days"`, numbers from 0 (Monday) to 6 (Sunday), every
                day if not given; and `"each_day"`, whether windows that follow each other without a gap, as
                Saturday's and Sunday's, are granted one by one rather than once, False if not given. The end
                is exclusive; 23:59 is the end of the day; an end before the start is on the next day. A
                profile that is always in force is granted each day.
            timezone: as for the scheduler, for the whole schedule of this pool; as it was if not given.
            days_mean: likewise.
            pacing: likewise.

        Raises:
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: a profile lacks a part or has times that are equal, days that are not from 0
                to 6 or an unknown key; or two profiles of equal width overlap.
            InvalidAmountError: a budget is not an amount.
        """
        self.budget_coordinator.get_pool_budget(pool_id)
        added = {profile.name: profile for profile in arguments.profiles(schedule)}

        def add(plans: dict[str, _Plan]) -> dict[str, _Plan]:
            old = plans.get(pool_id)
            settings = (self._defaults if old is None else old.settings).changed(timezone, days_mean, pacing)
            profiles = added if old is None else old.profiles | added
            return {**plans, pool_id: self._plan(pool_id, profiles.values(), settings, old)}

        plan = self._schedules.update(add).get(pool_id)
        self.hasten(0.0 if plan is not None and self._grants_due([plan], self.now()) else None)

    def remove_time_profile(self, pool_id: str, name: str | None = None) -> None:
        """Removes a profile from the schedule of a pool, or the whole schedule. The pool keeps what it has.

        Args:
            pool_id: the pool.
            name: of the profile; all of them if not given.

        Raises:
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: the pool has no schedule, or no such profile.
        """
        if name is not None:
            text("name", name)

        def remove(plans: dict[str, _Plan]) -> dict[str, _Plan]:
            old = self._plan_in(plans, pool_id)
            left = {} if name is None else old.profiles
            if name is not None and left.pop(name, None) is None:
                known = ", ".join(map(repr, old.profiles))
                raise ConfigurationError(f"pool {pool_id!r} has no profile {shown(name)}: there are {known}")
            others = {other: plan for other, plan in plans.items() if other != pool_id}
            return others | ({pool_id: self._plan(pool_id, left.values(), old.settings, old)} if left else {})

        self._schedules.update(remove)

    def get_time_profiles(self, pool_id: str) -> list[TimeProfile]:
        """The profiles of a pool, in the order in which they were added.

        Raises:
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: the pool has no schedule.
        """
        return list(self._plan_of(pool_id).calendar.week.profiles)

    def validate(self, pool_id: str) -> list[ScheduleIssue]:
        """Gaps and overlaps in the week of a pool, in the order of the week. Neither is forbidden.

        Raises:
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: the pool has no schedule.
        """
        return self._plan_of(pool_id).calendar.week.issues()

    def describe(self, pool_id: str) -> str:
        """The week of a pool as a table.

        Raises:
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: the pool has no schedule.
        """
        plan = self._plan_of(pool_id)
        return report.text(pool_id, plan.calendar.week, plan.settings.zone)

    # What is in force.

    def current_profile(self, pool_id: str, at: datetime | None = None) -> TimeProfile | None:
        """The profile that is in force; `None` in a gap.

        Args:
            pool_id: the pool.
            at: when; now if not given. A naive one is in the time zone of the pool's schedule.

        Raises:
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: the pool has no schedule, or `at` is at the ends of the calendar.
        """
        occurrence = self.current_occurrence(pool_id, at)
        return None if occurrence is None else self._plan_of(pool_id).profiles.get(occurrence.profile)

    def current_occurrence(self, pool_id: str, at: datetime | None = None) -> Occurrence | None:
        """What is granted once: the profile in force, and from when to when. `None` in a gap.

        Args and errors are those of `current_profile`.
        """
        plan = self._plan_of(pool_id)
        return plan.calendar.at(self._instant(plan, "at", at))

    def next_transition(self, pool_id: str, after: datetime | None = None) -> Transition:
        """The next moment at which another profile comes into force, or none, or the same one anew.

        Args:
            pool_id: the pool.
            after: the moment before; now if not given. A naive one is in the time zone of the schedule.

        Raises:
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: the pool has no schedule, or `after` is at the ends of the calendar.
        """
        plan = self._plan_of(pool_id)
        instant = self._instant(plan, "after", after)
        change = plan.calendar.next_change(instant)
        return _transition(pool_id, change, plan.calendar.at(instant), plan.calendar.at(change))

    def transitions(self, pool_id: str, start: datetime, end: datetime) -> list[Transition]:
        """All such moments in `start <= t < end`.

        Args:
            pool_id: the pool.
            start: the first moment. Naive ones are in the time zone of the schedule.
            end: the first moment after.

        Raises:
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: the pool has no schedule, or a moment is at the ends of the calendar.
        """
        plan = self._plan_of(pool_id)
        first, last = self._instant(plan, "start", start), self._instant(plan, "end", end)
        return [_transition(pool_id, *change) for change in plan.calendar.changes(first, last)]

    def apply_current_profile(self, pool_id: str) -> Decision | None:
        """Grants the profile that is in force, if it was not granted yet.

        Returns:
            The decision with what became of it; `None` if there was nothing to grant: the profile was granted
            before, or none is in force.

        Raises:
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: the pool has no schedule.
        """
        plan = self._plan_of(pool_id)

        def grant(now: datetime) -> list[Decision]:
            self._declined.pop(pool_id, None)
            return self._grants_due([plan], now)

        done = self.run_by(grant)
        return done[0] if done else None

    # Pacing.

    def throttle(self, pool_id: str) -> float:
        """The share of a pool's demand to admit now, from 0 to 1, so that its budget lasts.

        It is what remains over what the rest of the occurrence is expected to need; 1 without pacing and
        while no profile is in force. Demand is what was spent and set aside, and what `admits` turned away:
        what you turn away by a rule of your own is not seen.

        Raises:
            UnknownPoolError: no pool of this id exists.
            ConfigurationError: the pool has no schedule.
        """
        plan = self._plan_of(pool_id)
        if plan.live is None:
            return 1.0
        used, remaining = self._books(pool_id)
        return plan.live.throttle(plan.calendar, self._instants(self.now()), used, remaining)

    def admits(self, pool_id: str, amount: Amount, *, key: str | None = None) -> bool:
        """Whether to admit a piece of work now: for a share of all work as large as `throttle` says.

        It charges nothing. Ask once for each piece of work, at the edge, before work that can wait or be left
        out; what is turned away counts as demand, so one that asks again counts again.

        Args:
            pool_id: the pool that will pay.
            amount: what the work is expected to cost.
            key: the same key gets the same answer as long as the share does not change, and is admitted
                whenever a smaller share would have admitted it: name a user or a conversation to treat its
                work alike. If not given, lots are drawn.

        Raises:
            UnknownPoolError: no pool of this id exists.
            InvalidAmountError: `amount` is not an amount.
            ConfigurationError: the pool has no schedule.
        """
        expected = float(amount_of(amount, "amount"))
        plan = self._plan_of(pool_id)
        share = self.throttle(pool_id)
        lot = self._random.random() if key is None else _lot(pool_id, plan.calendar.at(self.now()), key)
        if lot < share:
            return True
        if plan.live is not None:
            plan.live.turn_away(expected)
        return False

    # What survives a restart of the process.

    def state(self) -> dict[str, Any]:
        """What a scheduler in a new process needs, as plain values ready for JSON.

        These are the grants of the coordinator and the demand that pacing has learnt; not the schedules.
        """
        demand = {pool: self._histories[pool].to_dict() for pool in snapshot(self._histories)}
        return {"version": _STATE_VERSION, "granted": self._grants.to_dict(), "demand": demand}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state` returned in an earlier process. All of it or nothing.

        Call it before the first run: what was granted then is not granted again.

        Raises:
            ConfigurationError: it is not what `state` returns.
        """
        try:
            granted, demand = _read(state)
        except ConfigurationError as error:
            raise type(error)(f"state must be what `state()` returned: {error}") from error
        for entry in granted:
            self._grants.claim(*entry)
        self._histories.update(demand)
        self._schedules.update(
            lambda plans: {
                pool_id: replace(plan, live=self._live(pool_id, plan.settings))
                for pool_id, plan in plans.items()
            }
        )

    def _repr_html_(self) -> str:
        plans = list(self._plans.values())
        tables = [
            report.html(plan.pool_id, plan.calendar.week, plan.settings.zone) for plan in plans[:_POOLS_SHOWN]
        ]
        if len(plans) > _POOLS_SHOWN:
            tables.append(f"<p>and {len(plans) - _POOLS_SHOWN} more pools</p>")
        return "".join(tables)

    # What the base asks for.

    def observe(self, now: datetime) -> datetime:
        """The time on the wall is all there is to see. As `Controller.observe`."""
        return now

    def learn(self, view: datetime) -> None:
        """Takes note of demand, for pacing. As `Controller.learn`."""
        for plan in self._plans.values():
            if plan.live is not None:
                plan.live.observe(plan.calendar, self._instants(view), self._books(plan.pool_id)[0])

    def propose(self, view: datetime) -> list[Decision]:
        """Grants what came into force and was not granted yet. As `Controller.propose`."""
        return self._grants_due(self._plans.values(), view)

    def carry_out(
        self, view: datetime | None, decisions: list[Decision], execute: Execute
    ) -> Iterator[Decision]:
        """Remembers who did not want a grant. As `Controller.carry_out`."""
        for done in super().carry_out(view, decisions, execute):
            if done.status in {"vetoed", "pinned"}:
                once = cast("SetBudget", done.change).once
                declined = self._declined.setdefault(done.subject, {})
                declined[once] = done.status
                if len(declined) > _MOST_DECLINED:
                    del declined[next(iter(declined))]
            yield done

    def next_delay(self, now: datetime) -> float:
        """To the next change of a profile, and at most the interval. As `Controller.next_delay`."""
        changes = (plan.calendar.next_change(now) for plan in self._plans.values())
        return min([self.interval_seconds, *((change - now).total_seconds() for change in changes)])

    # Parts.

    def _grants_due(self, plans: Iterable[_Plan], now: datetime) -> list[Decision]:
        due = ((plan, plan.calendar.at(now)) for plan in plans)
        return [
            self._grant(plan, occurrence)
            for plan, occurrence in due
            if occurrence is not None
            and not self._grants.has(plan.pool_id, occurrence.profile, occurrence.start)
            and not self._is_declined(plan.pool_id, occurrence)
        ]

    def _grant(self, plan: _Plan, occurrence: Occurrence) -> Decision:
        profile = plan.profiles[occurrence.profile]
        until = plan.calendar.local(occurrence.end)
        return Decision(
            kind="pool",
            subject=plan.pool_id,
            old=self.budget_coordinator.get_pool_budget(plan.pool_id),
            new=profile.budget,
            reason=f"profile {profile.name!r} is in force until {until:%a %Y-%m-%d %H:%M}",
            inputs={"profile": profile.name, "start": occurrence.start, "end": occurrence.end},
            change=SetBudget(profile.budget, once=(profile.name, occurrence.start)),
        )

    def _is_declined(self, pool_id: str, occurrence: Occurrence) -> bool:
        """Whether this grant was refused before, so that asking again would only repeat it."""
        status = self._declined.get(pool_id, {}).get((occurrence.profile, occurrence.start))
        if status is None:
            return False
        return status == "vetoed" or self.budget_coordinator._is_pinned(pool_id)  # noqa: SLF001 - one library

    def _plan(
        self, pool_id: str, profiles: Iterable[TimeProfile], settings: _Settings, old: _Plan | None
    ) -> _Plan:
        calendar = Calendar(Week(list(profiles), settings.days_mean), settings.zone)
        if old is not None and old.settings.pacing == settings.pacing:
            live = old.live  # what it has seen of the day still counts
        else:
            live = self._live(pool_id, settings)
        return _Plan(pool_id, settings, calendar, live)

    def _live(self, pool_id: str, settings: _Settings) -> LivePacing | None:
        if settings.pacing == "none":
            return None
        return LivePacing(settings.pacing, self._histories.setdefault(pool_id, DemandHistory()))

    @property
    def _plans(self) -> dict[str, _Plan]:
        """The schedules as they are now; they are replaced, never changed."""
        return self._schedules.value

    def _plan_of(self, pool_id: str) -> _Plan:
        return self._plan_in(self._plans, pool_id)

    def _plan_in(self, plans: Mapping[str, _Plan], pool_id: str) -> _Plan:
        plan = plans.get(pool_id)
        if plan is None:
            self.budget_coordinator.get_pool_budget(pool_id)  # raises for a pool that is unknown
            raise ConfigurationError(f"pool {pool_id!r} has no schedule: give it one with add_time_profile")
        return plan

    def _instant(self, plan: _Plan, name: str, at: datetime | None) -> datetime:
        if at is None:
            return self.now()
        if isinstance(at, datetime) and at.tzinfo is None:
            arguments.instant(name, at.replace(tzinfo=UTC))
            return plan.calendar.last(at) if at.fold else plan.calendar.first(at)
        return arguments.instant(name, at)

    def _instants(self, wall: datetime) -> Now:
        return Now(wall, self.budget_coordinator.clock.monotonic())

    def _books(self, pool_id: str) -> tuple[float, float]:
        """What a pool has used since ever, spent or set aside, and what remains."""
        metrics = self.budget_coordinator.get_pool_metrics(pool_id)
        return float(metrics.spent) + float(metrics.reserved), float(metrics.remaining)


def _transition(
    pool_id: str, time: datetime, before: Occurrence | None, after: Occurrence | None
) -> Transition:
    return Transition(
        pool_id, time, None if before is None else before.profile, None if after is None else after.profile
    )


def _lot(pool_id: str, occurrence: Occurrence | None, key: str) -> float:
    """A number from 0 to 1 that a key keeps until the occurrence is over."""
    start = None if occurrence is None else occurrence.start.isoformat()
    digest = blake2b(repr((pool_id, start, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _days_mean(value: Any) -> DaysMean:
    chosen: Literal["current", "start"] = one_of("days_mean", value, ("current", "start"))
    return chosen


def _pacing(value: Any) -> Pacing:
    chosen: Pacing = one_of("pacing", value, ("none", "even", "forecast"))
    return chosen


def _read(state: object) -> tuple[list[tuple[str, str, datetime]], dict[str, DemandHistory]]:
    """What was granted, and demand by pool, of what `state` returned."""
    given = mapping("state", state)
    missing = [key for key in ("version", "granted", "demand") if key not in given]
    if missing:
        raise ConfigurationError(f"state must be what `state()` returned: it has no {missing[0]!r}")
    whole("state['version']", given["version"], _STATE_VERSION, _STATE_VERSION)
    granted = arguments.grants("state['granted']", given["granted"])
    demand = {
        text("a pool of state['demand']", pool): DemandHistory.from_dict(
            plain, f"state['demand'][{shown(pool)}]"
        )
        for pool, plain in mapping("state['demand']", given["demand"]).items()
    }
    return granted, demand

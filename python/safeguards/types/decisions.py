"""What controllers decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from math import isfinite
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self, TypeAlias, cast, get_args

from safeguards._values.arguments import instance, one_of, shown, text
from safeguards._values.decimals import NOTHING, add, subtract
from safeguards._values.numbers import number
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

__all__ = [
    "Adjust",
    "Allot",
    "Change",
    "Deal",
    "Decision",
    "DecisionStatus",
    "Draw",
    "Resize",
    "SetBudget",
]

DecisionStatus = Literal["proposed", "applied", "vetoed", "pinned", "failed"]
_KINDS = ("agent", "pool")
_STATUSES = get_args(DecisionStatus)
_MOST_WEIGHT = 1e9


def _finite(name: str, amount: object) -> None:
    if not isinstance(amount, Decimal):
        raise ArgumentTypeError(f"{name} must be a Decimal, not {shown(amount)}")
    if not amount.is_finite():
        raise ConfigurationError(f"{name} must be finite, not {shown(amount)}")


def _difference(new: Decimal, old: Decimal) -> Decimal:
    try:
        return subtract(new, old)
    except ArithmeticError:  # these are no amounts, and refused by their name where they would become one
        return new if new.copy_abs() > old.copy_abs() else old.copy_negate()


@dataclass(frozen=True, slots=True)
class Adjust:
    """More remains, or less, in the current period: what is spent between looking and changing stays spent.

    A decision's `old` and `new` are what remains.

    Attributes:
        by: what is added to it; below zero it is taken away, but never more than there is.
    """

    by: Decimal
    kinds: ClassVar[tuple[str, ...]] = _KINDS

    def __post_init__(self) -> None:
        _finite("by", self.by)

    @property
    def is_nothing(self) -> bool:
        """Whether it would change nothing."""
        return not self.by

    def shifted(self, by: Decimal) -> Self:
        """The same change, of so much more: of what its decision's `new` is raised by."""
        _finite("by", by)
        return self.moved(add(self.by, by), NOTHING)

    def moved(self, by: Decimal, later_periods: Decimal) -> Self:  # noqa: ARG002 - as `Resize`
        """The same change, as it was really made."""
        return type(self)(by)


@dataclass(frozen=True, slots=True)
class Resize(Adjust):
    """A pool gets larger or smaller: what remains of it, and what its later periods begin with.

    A decision's `old` and `new` are its size: what it is granted in a period.

    Attributes:
        by: as in `Adjust`.
        later_periods: what is added to what later periods begin with; 0 for a pool without a period.
    """

    later_periods: Decimal = NOTHING
    kinds: ClassVar[tuple[str, ...]] = ("pool",)

    def __post_init__(self) -> None:
        _finite("by", self.by)
        _finite("later_periods", self.later_periods)

    @property
    def is_nothing(self) -> bool:
        """Whether it would change nothing."""
        return not self.by and not self.later_periods

    def shifted(self, by: Decimal) -> Self:
        """The same change, of so much more; later periods change by no more than this one does."""
        _finite("by", by)
        moved = add(self.by, by)
        most = moved.copy_abs()
        return self.moved(moved, max(min(self.later_periods, most), most.copy_negate()))

    def moved(self, by: Decimal, later_periods: Decimal) -> Self:
        """The same change, as it was really made."""
        return type(self)(by, later_periods)


@dataclass(frozen=True, slots=True)
class Allot(Adjust):
    """An agent gets its budget for the next interval.

    A decision's `old` and `new` are budgets of an interval: of the one that is over, and of the next. So
    `by` is what is missing: `new` less what was left when the agent was looked at.
    """

    kinds: ClassVar[tuple[str, ...]] = ("agent",)


@dataclass(frozen=True, slots=True)
class Deal(Adjust):
    """An agent's part of a pool that is divided among its agents: some give, others get what those gave.

    A decision's `old` and `new` are what remains.

    Attributes:
        by: as in `Adjust`.
        pool: the pool.
    """

    pool: str = ""
    kinds: ClassVar[tuple[str, ...]] = ("agent",)

    def __post_init__(self) -> None:
        _finite("by", self.by)
        text("pool", self.pool)

    def moved(self, by: Decimal, later_periods: Decimal) -> Self:  # noqa: ARG002 - as `Resize`
        """The same change, as it was really made."""
        return type(self)(by, self.pool)


@dataclass(frozen=True, slots=True)
class Draw(Deal):
    """An agent that runs low draws on what its pool keeps in reserve.

    A decision's `old` and `new` are what remains.

    Attributes:
        by: as in `Adjust`.
        pool: the pool.
        weight: how much the agent counts.
    """

    weight: float = 1.0
    kinds: ClassVar[tuple[str, ...]] = ("agent",)

    def __post_init__(self) -> None:
        _finite("by", self.by)
        text("pool", self.pool)
        number("weight", self.weight, 0, _MOST_WEIGHT)

    def moved(self, by: Decimal, later_periods: Decimal) -> Self:  # noqa: ARG002 - as `Resize`
        """The same change, as it was really made."""
        return type(self)(by, self.pool, self.weight)


@dataclass(frozen=True, slots=True)
class SetBudget:
    """So much remains, and a new period begins with it, whatever was spent before: what schedules are for.

    A decision's `old` and `new` are what remains.

    Attributes:
        budget: what is to remain.
        once: the name and the begin of what is granted once: done before, it is refused.
    """

    budget: Decimal
    once: tuple[str, datetime] | None = None
    kinds: ClassVar[tuple[str, ...]] = _KINDS

    def __post_init__(self) -> None:
        _finite("budget", self.budget)
        if self.once is not None:
            instance("once", self.once, tuple)
            try:
                name, start = self.once
            except ValueError:
                message = f"once must be a name and the begin of what is granted, not {shown(self.once)}"
                raise ConfigurationError(message) from None
            text("the name of once", name)
            instance("the begin of once", start, datetime)

    @property
    def is_nothing(self) -> bool:
        """Whether it would change nothing: never, as it begins a period."""
        return False

    def shifted(self, by: Decimal) -> SetBudget:
        """The same change, to so much more."""
        _finite("by", by)
        return SetBudget(add(self.budget, by), self.once)


Change: TypeAlias = Adjust | SetBudget
"""What a decision does: one of the classes above."""

_FROM_OLD_TO_NEW = cast("Change", None)


@dataclass(frozen=True, slots=True)
class Decision:
    """A change of one budget that a controller wants, and what became of it.

    Attributes:
        kind: whether the subject is an agent or a pool.
        subject: id of the agent or pool.
        old: the budget before; what that is says the `change`: what remains, if not given.
        new: the budget after. Once applied, it is `old` and what was really changed.
        reason: why, in a sentence.
        inputs: the figures that led to it, by name, for people: nothing is decided by them. Read-only.
        controller: name of the controller, which fills it in, as it does `time`, `status` and `error`.
        time: when it was decided, aware, in UTC.
        status: `"proposed"` by a dry run; `"applied"`; `"vetoed"` by a callback; `"pinned"`, because its
            subject is; `"failed"`, for the reason in `error`.
        error: why it could not be applied.
        change: what is done: `Adjust(new - old)` if not given.

    Raises:
        ArgumentTypeError: a field is of another type.
        ConfigurationError: `kind` or `status` is no such word, an amount is not finite, or the `change` is
            none of such a subject.

    Example:
        >>> from datetime import UTC, datetime
        >>> from decimal import Decimal
        >>> decision = Decision(
        ...     kind="pool",
        ...     subject="team",
        ...     old=Decimal(1000),
        ...     new=Decimal(1200),
        ...     reason="82% of it is used, above the target of 70%",
        ...     inputs={"utilization": 0.82},
        ...     controller="AdaptivePoolSizer",
        ...     time=datetime(2026, 3, 2, 9, tzinfo=UTC),
        ... )
        >>> print(decision)
        2026-03-02 09:00 AdaptivePoolSizer: pool 'team' 1000 -> 1200 (proposed): 82% of it is used, above ...
        >>> decision.change
        Adjust(by=Decimal('200'))
    """

    kind: Literal["agent", "pool"]
    subject: str
    old: Decimal
    new: Decimal
    reason: str
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    controller: str = ""
    time: datetime | None = None
    status: DecisionStatus = "proposed"
    error: str | None = None
    change: Change = _FROM_OLD_TO_NEW

    def __post_init__(self) -> None:
        if type(self.kind) is not str or self.kind != "agent":
            one_of("kind", self.kind, _KINDS)
        if type(self.status) is not str or self.status != "proposed":
            one_of("status", self.status, _STATUSES)
        for name, value in (
            ("subject", self.subject),
            ("reason", self.reason),
            ("controller", self.controller),
        ):
            if type(value) is not str or not value.isascii():
                text(name, value)
        _finite("old", self.old)
        _finite("new", self.new)
        if not isinstance(self.inputs, Mapping):
            raise ArgumentTypeError(f"inputs must be a mapping, not {shown(self.inputs)}")
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))
        if self.time is not None:
            instance("time", self.time, datetime)
        if self.error is not None:
            instance("error", self.error, str)
        self._settle_change()

    def _settle_change(self) -> None:
        if self.change is _FROM_OLD_TO_NEW:
            object.__setattr__(self, "change", Adjust(_difference(self.new, self.old)))
        elif not isinstance(self.change, (Adjust, SetBudget)):
            raise ArgumentTypeError(
                f"change must be one of those in types.decisions, not {shown(self.change)}"
            )
        if self.kind not in self.change.kinds:
            raise ConfigurationError(f"{type(self.change).__name__} changes no {self.kind}")

    def __reduce__(self) -> tuple[Any, ...]:
        values = {name: getattr(self, name) for name in _FIELDS}
        return Decision, tuple((values | {"inputs": dict(self.inputs)}).values())

    def signed(self, controller: str, time: datetime) -> Decision:
        """The same, with who decided it and when."""
        if type(controller) is not str:
            text("controller", controller)
        instance("time", time, datetime)
        return self._with(controller=controller, time=time)

    def with_status(self, status: DecisionStatus, error: str | None = None) -> Decision:
        """The same, with what became of it."""
        one_of("status", status, _STATUSES)
        if error is not None:
            instance("error", error, str)
        return self._with(status=status, error=error)

    def bounded(self, new: Decimal, reason: str, **inputs: Any) -> Decision:
        """The same, with another outcome: its change is larger or smaller by as much as `new` is."""
        _finite("new", new)
        text("reason", reason)
        change = self.change.shifted(subtract(new, self.new))
        more = MappingProxyType({**self.inputs, **inputs}) if inputs else self.inputs
        return self._with(new=new, reason=reason, change=change, inputs=more)

    def applied(self, old: Decimal, new: Decimal, change: Change) -> Decision:
        """The same, applied, with what was really changed."""
        _finite("old", old)
        _finite("new", new)
        if not isinstance(change, type(self.change)):
            raise ArgumentTypeError(f"change must be as the decision's, not {shown(change)}")
        return self._with(old=old, new=new, change=change, status="applied", error=None)

    def _with(self, **changes: Any) -> Decision:
        """The same but for some fields. Every decision passes here twice; it was checked when it was made."""
        other = object.__new__(Decision)
        for name, read, write in _SLOTS:
            write(other, changes[name] if name in changes else read(self))
        return other

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: amounts are decimal strings, and infinity is `"inf"`."""
        change = {item.name: _plain(getattr(self.change, item.name)) for item in fields(self.change)}
        return {
            "controller": self.controller,
            "kind": self.kind,
            "subject": self.subject,
            "old": format(self.old, "f"),
            "new": format(self.new, "f"),
            "reason": self.reason,
            "change": {"type": type(self.change).__name__, **change},
            "inputs": {name: _plain(value) for name, value in self.inputs.items()},
            "time": None if self.time is None else self.time.isoformat(),
            "status": self.status,
            "error": self.error,
        }

    def __str__(self) -> str:
        when = "" if self.time is None else f"{self.time:%Y-%m-%d %H:%M} "
        state = self.status if self.error is None else f"{self.status}: {self.error}"
        change = f"{self.kind} {self.subject!r} {self.old} -> {self.new} ({state})"
        return f"{when}{self.controller}: {change}: {self.reason}"


_FIELDS = tuple(item.name for item in fields(Decision))
_SLOTS = tuple((name, vars(Decision)[name].__get__, vars(Decision)[name].__set__) for name in _FIELDS)


def _plain(value: Any) -> Any:
    is_plain = isinstance(value, bool | int | str | None) or (isinstance(value, float) and isfinite(value))
    return value if is_plain else str(value)

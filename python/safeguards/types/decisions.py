"""What controllers decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Literal, get_args

from safeguards._values.arguments import instance, one_of, shown, text
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

__all__ = ["Decision", "DecisionStatus"]

DecisionStatus = Literal["proposed", "applied", "vetoed", "pinned", "failed"]
_KINDS = ("agent", "pool")
_STATUSES = get_args(DecisionStatus)


@dataclass(frozen=True, slots=True)
class Decision:
    """A change of one budget that a controller wants, and what became of it.

    Attributes:
        kind: whether the subject is an agent or a pool.
        subject: id of the agent or pool.
        old: the budget before.
        new: the budget after. What is applied is the difference, so that what is spent between looking and
            changing stays spent.
        reason: why, in a sentence.
        inputs: the figures that led to it, by name.
        controller: name of the controller, which fills it in, as it does all below.
        time: when it was decided, aware, in UTC.
        status: `"proposed"` by a dry run; `"applied"`; `"vetoed"` by a callback; `"pinned"`, because its
            subject is; `"failed"`, for the reason in `error`.
        error: why it could not be applied.

    Raises:
        ArgumentTypeError: a field is of another type.
        ConfigurationError: `kind` or `status` is no such word, or an amount is not finite.

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
    """

    kind: Literal["agent", "pool"]
    subject: str
    old: Decimal
    new: Decimal
    reason: str
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    controller: str = ""
    time: datetime | None = None
    status: DecisionStatus = "proposed"
    error: str | None = None

    def __post_init__(self) -> None:
        one_of("kind", self.kind, _KINDS)
        one_of("status", self.status, _STATUSES)
        for name in ("subject", "reason", "controller"):
            if type(getattr(self, name)) is not str:
                text(name, getattr(self, name))
        for name in ("old", "new"):
            amount = getattr(self, name)
            if not isinstance(amount, Decimal):
                raise ArgumentTypeError(f"{name} must be a Decimal, not {shown(amount)}")
            if not amount.is_finite():
                raise ConfigurationError(f"{name} must be finite, not {shown(amount)}")
        if not isinstance(self.inputs, Mapping):
            raise ArgumentTypeError(f"inputs must be a mapping, not {shown(self.inputs)}")
        if self.time is not None:
            instance("time", self.time, datetime)
        if self.error is not None:
            instance("error", self.error, str)

    # Written out, because every decision passes here twice and `dataclasses.replace` takes thrice as long.

    def signed(self, controller: str, time: datetime) -> Decision:
        """The same, with who decided it and when."""
        return Decision(
            self.kind,
            self.subject,
            self.old,
            self.new,
            self.reason,
            self.inputs,
            controller,
            time,
            self.status,
            self.error,
        )

    def with_status(self, status: DecisionStatus, error: str | None = None) -> Decision:
        """The same, with what became of it."""
        return Decision(
            self.kind,
            self.subject,
            self.old,
            self.new,
            self.reason,
            self.inputs,
            self.controller,
            self.time,
            status,
            error,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: amounts are decimal strings, and infinity is `"inf"`."""
        return {
            "controller": self.controller,
            "kind": self.kind,
            "subject": self.subject,
            "old": format(self.old, "f"),
            "new": format(self.new, "f"),
            "reason": self.reason,
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


def _plain(value: Any) -> Any:
    is_plain = isinstance(value, bool | int | str | None) or (isinstance(value, float) and isfinite(value))
    return value if is_plain else str(value)

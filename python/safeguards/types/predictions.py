"""What agents are expected to need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

__all__ = ["BudgetPrediction"]


@dataclass(frozen=True, slots=True)
class BudgetPrediction:
    """The need of one agent over a window of hours, as a distribution in a few figures.

    Attributes:
        agent_id: the agent.
        start: the first instant of the window, aware, in UTC: the asked time's quarter-hour.
        end: the first instant after it.
        predicted_budget: the need of the window: as likely more as less.
        lower: `lower` to `upper` holds the need in `level` of all windows.
        upper: see `lower`.
        level: the learner's `prediction_confidence`.
        confidence: probability that the need is at most `margin` times `predicted_budget`, calibrated on
            earlier days of all agents.
        margin: the safety margin that the confidence is about.
        hourly: the need of each hour. It adds up to about `predicted_budget`, not exactly: an hour's middle
            value ignores bursts that a day's does not.
        experts: weight of each way of forecasting that had a say, largest first.
        known_until: the last instant that was known, aware, in UTC.
        known_hours: hours of history that it rests on.
        data_points: usages in them.
    """

    agent_id: str
    start: datetime
    end: datetime
    predicted_budget: Decimal
    lower: Decimal
    upper: Decimal
    level: float
    confidence: float
    margin: Decimal
    hourly: tuple[float, ...]
    experts: Mapping[str, float]
    known_until: datetime
    known_hours: int
    data_points: int

    @property
    def reliable(self) -> bool:
        """Whether the confidence is at least the learner's `prediction_confidence`."""
        return self.confidence >= self.level

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; amounts are decimal strings."""
        values = {name: getattr(self, name) for name in self.__slots__}
        times = {name: values[name].isoformat() for name in ("start", "end", "known_until")}
        amounts = ("predicted_budget", "lower", "upper", "margin")
        texts = {name: format(values[name], "f") for name in amounts}
        parts = {"hourly": list(self.hourly), "experts": dict(self.experts), "reliable": self.reliable}
        return {**values, **times, **texts, **parts}

    def __str__(self) -> str:
        window = f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"
        need = f"{self.predicted_budget:.6g} ({self.level:.0%}: {self.lower:.6g} to {self.upper:.6g})"
        enough = f"{self.margin} times that is enough with probability {self.confidence:.0%}"
        return f"agent {self.agent_id!r}, {window}: {need}; {enough}"

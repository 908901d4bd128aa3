"""What was learnt: which change of a budget is best, as a table that people can read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from safeguards._native import QTable
from safeguards._values.arguments import shown
from safeguards._values.arrays import floats
from safeguards._values.numbers import number, share, whole
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from safeguards.budget._rl.history import Outlook

    Floats = NDArray[np.float64]

__all__ = ["BudgetPolicy", "Kinds", "PolicyEvaluation"]

FORMAT = 1
"""Of the file. It goes up when files of before can no longer be read."""

BUDGETS = (-4.0, 4.0, 41)
"""Budgets as a multiple of the need, in logarithms: from 1/55 to 55."""
SHARES = (0.05, 0.12, 0.25, 0.4, 0.55, 0.7, 0.9, 1.2)
"""Forecasts as a share of the busiest interval of the last day."""

_BANDS = {"low (1-3)": 0, "medium (4-7)": 4, "high (8-10)": 8}
_SHOWN_BUDGETS = (0.25, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0)


@dataclass(frozen=True, slots=True)
class PolicyEvaluation:
    """How rules did on days that were held out: mean reward of an agent in an interval.

    Attributes:
        learned: of the learned policy.
        step: of the step rule.
        nothing: of budgets that stay as they are.
        intervals: how many were held out.
        standard_error: of the difference between the learned policy and the step rule, over agents and days.
    """

    learned: float
    step: float
    nothing: float
    intervals: int
    standard_error: float

    @property
    def is_better(self) -> bool:
        """Whether the learned policy beat the step rule by more than one standard error."""
        return self.learned - self.step > self.standard_error

    def __str__(self) -> str:
        return (
            f"mean reward {self.learned:.2f}, step rule {self.step:.2f}, doing nothing {self.nothing:.2f} "
            f"on the last {self.intervals} intervals, held out (standard error {self.standard_error:.2f})"
        )


@dataclass(frozen=True, slots=True)
class Kinds:
    """Kinds of agents and hours that have a table of their own.

    Attributes:
        spreads: bounds between steady, changeable and erratic demand.
        by_priority: low, medium and high priorities are told apart.
        custom: bounds by the name of a custom feature.
    """

    spreads: tuple[float, ...] = ()
    by_priority: bool = False
    custom: Mapping[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])

    @property
    def _axes(self) -> list[tuple[str, tuple[float, ...]]]:
        priorities = tuple(_BANDS.values())[1:] if self.by_priority else ()
        return [("spread", self.spreads), ("priority", priorities), *self.custom.items()]

    def __len__(self) -> int:
        return math.prod(len(bounds) + 1 for _, bounds in self._axes)

    def of(self, spread: Floats, priority: Floats, custom: Mapping[str, Floats]) -> NDArray[np.int64]:
        """The number of the kind, for arrays of one shape."""
        import numpy as np

        columns = {"spread": spread, "priority": priority, **custom}
        number = np.zeros(spread.shape, np.int64)
        for name, bounds in self._axes:
            place = np.searchsorted(np.array(bounds), columns[name], side="right")
            number = number * (len(bounds) + 1) + place
        return number

    def name(self, number: int) -> str:
        """What people call a kind."""
        words: list[str] = []
        for name, bounds in reversed(self._axes):
            number, place = divmod(number, len(bounds) + 1)
            if bounds:
                words.append(_word(name, bounds, place))
        return ", ".join(reversed(words)) or "all demand"


def _word(name: str, bounds: tuple[float, ...], place: int) -> str:
    if name == "priority":
        return f"{list(_BANDS)[place]} priority"
    if name == "spread" and len(bounds) == 2:  # noqa: PLR2004 - thirds
        return f"{('steady', 'changeable', 'erratic')[place]} demand"
    low = f"{bounds[place - 1]:g} <= " if place else ""
    high = f" < {bounds[place]:g}" if place < len(bounds) else ""
    return f"{low}{name}{high}"


@dataclass(frozen=True, eq=False)
class BudgetPolicy:
    """Which change of an agent's budget is best, by what is expected of its next interval.

    Printed, it says what is in force and why, and shows the learned changes as tables: one for each kind of
    demand, by the forecast (as a share of the busiest interval of the last day) and by the budget (as a
    multiple of the *need*: the geometric mean of what the next interval stays within nine times out of ten,
    and of that busiest interval). `save` and `load` keep it in a JSON file.

    Attributes:
        state_features: what was told to the reward function.
        changes: the actions: changes of a budget, as shares of it.
        kinds: kinds of demand that have a table of their own.
        discount_factor: what the next interval's reward was worth.
        evaluation: how it did on held-out days; None before training.
        trained: when; None before training.
        intervals: how many it learnt from, of all agents together.
        sweeps: sweeps of Q-iteration.

    Example:
        >>> print(BudgetPolicy())
        untrained: step rule in force
    """

    state_features: tuple[str, ...] = ()
    changes: tuple[float, ...] = ()
    kinds: Kinds = field(default_factory=Kinds)
    discount_factor: float = 0.9
    evaluation: PolicyEvaluation | None = None
    trained: datetime | None = None
    intervals: int = 0
    sweeps: int = 0
    table: QTable | None = field(default=None, repr=False)

    @property
    def is_trained(self) -> bool:
        """Whether anything was learnt."""
        return self.table is not None

    @property
    def is_in_force(self) -> bool:
        """Whether it decides: it was trained, and was better than the step rule on the held-out days."""
        return self.is_trained and self.evaluation is not None and self.evaluation.is_better

    @property
    def values(self) -> Floats:
        """What each change is worth: of shape (kinds, forecasts, budgets, changes)."""
        return self._learned.values

    @property
    def _learned(self) -> QTable:
        if self.table is None:
            raise ConfigurationError("the policy is untrained: there is nothing that it would do")
        return self.table

    def best(self, budget: Floats, outlook: Outlook, kind: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of the best change for each budget. What is expected must be known."""
        return self._learned.best(places(budget, outlook, kind))

    # As text.

    def __str__(self) -> str:
        if self.table is None:
            return "untrained: step rule in force"
        head = "learned policy in force" if self.is_in_force else "trained: step rule in force"
        why = "" if self.evaluation is None else f": {self.evaluation}"
        when = "" if self.trained is None else f"trained {self.trained:%Y-%m-%d %H:%M} "
        facts = f"{when}on {self.intervals:,} intervals in {self.sweeps} sweeps"
        tables = [self._table(number) for number in range(len(self.kinds))]
        return "\n".join([f"{head}{why}", facts, *(line for table in tables for line in ["", *table])])

    def _table(self, number: int) -> list[str]:
        import numpy as np

        from safeguards.budget._rl.history import Outlook

        shown = np.array(_SHOWN_BUDGETS)
        lines: list[str] = [f"{self.kinds.name(number)}: change of the budget, by budget / need"]
        lines.append("next, of the day's peak " + "".join(f"{budget:>6g}" for budget in _SHOWN_BUDGETS))
        for cell in SHARES:
            outlook = Outlook(np.ones(len(shown)), np.full(len(shown), cell), np.ones(len(shown)))
            best: list[int] = self.best(shown, outlook, np.full(len(shown), number, np.int64)).tolist()
            cells = "".join(_percent(self.changes[action]) for action in best)
            lines.append(f"{cell:>23.0%} {cells}")
        return lines

    # In a file.

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        kinds = self.kinds
        evaluation = self.evaluation
        return {
            "format": FORMAT,
            "state_features": list(self.state_features),
            "changes": list(self.changes),
            "kinds": {
                "spreads": list(kinds.spreads),
                "by_priority": kinds.by_priority,
                "custom": {name: list(bounds) for name, bounds in kinds.custom.items()},
            },
            "discount_factor": self.discount_factor,
            "evaluation": None
            if evaluation is None
            else {name: getattr(evaluation, name) for name in PolicyEvaluation.__dataclass_fields__},
            "trained": None if self.trained is None else self.trained.isoformat(),
            "intervals": self.intervals,
            "sweeps": self.sweeps,
            "values": None if self.table is None else self.values.tolist(),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The policy that `to_dict` told of.

        Raises:
            ConfigurationError: it is not what `to_dict` writes.
        """
        try:
            return cls._read(plain)
        except ConfigurationError:
            raise
        except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ConfigurationError(f"not a policy ({type(error).__name__}: {str(error)[:100]})") from error

    @classmethod
    def _read(cls, given: Mapping[str, Any]) -> Self:
        if not isinstance(given, Mapping):
            raise ArgumentTypeError(
                f"not a policy: plain must be a mapping that to_dict made, not {shown(given)}"
            )
        plain = dict(given)
        if plain["format"] != FORMAT:
            raise ConfigurationError(
                f"a policy of format {shown(plain['format'])}; this version reads format {FORMAT}"
            )
        kinds = Kinds(
            tuple(float(bound) for bound in plain["kinds"]["spreads"]),
            bool(plain["kinds"]["by_priority"]),
            {str(n): tuple(float(b) for b in bounds) for n, bounds in plain["kinds"]["custom"].items()},
        )
        changes = tuple(number("a change of the policy", change, -1, 1) for change in plain["changes"])
        policy = cls(
            state_features=tuple(str(name) for name in plain["state_features"]),
            changes=changes,
            kinds=kinds,
            discount_factor=share("discount_factor", plain["discount_factor"], below=True),
            evaluation=None if plain["evaluation"] is None else PolicyEvaluation(**plain["evaluation"]),
            trained=None if plain["trained"] is None else datetime.fromisoformat(plain["trained"]),
            intervals=whole("intervals", plain["intervals"], 0),
            sweeps=whole("sweeps", plain["sweeps"], 0),
        )
        values = plain["values"]
        return policy if values is None else replace(policy, table=new_table(kinds, len(changes), values))

    def save(self, path: str | Path) -> None:
        """Writes a JSON file."""
        Path(path).write_text(json.dumps(self.to_dict()) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            ConfigurationError: the file is no policy.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (json.JSONDecodeError, UnicodeDecodeError, ConfigurationError) as error:
            raise ConfigurationError(f"{path}: {error}") from error


def new_table(kinds: Kinds, changes: int, values: object = None) -> QTable:
    """A table for these kinds and so many changes."""
    import numpy as np

    budgets, shares = np.linspace(*BUDGETS), np.log(SHARES)
    if values is None:
        return QTable(len(kinds), shares, budgets, changes)
    given = floats("values", values)
    shape = (len(kinds), len(shares), len(budgets), changes)
    if given.shape != shape:
        raise ConfigurationError(f"values must be of shape {shape}, not {given.shape}")
    return QTable(len(kinds), shares, budgets, changes, given)


def places(
    budget: Floats, outlook: Outlook, kind: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Where budgets lie in a table."""
    import numpy as np

    return kind, np.log(outlook.share), np.log(budget / outlook.need)


def _percent(change: float) -> str:
    return f"{change:>+6.0%}" if change else f"{'.':>6}"

"""What all backtests have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, fields
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from safeguards._figures import save_all
from safeguards._values.arguments import shown
from safeguards._values.frames import Tabular
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from safeguards.backtest._compare import Comparison

Row = TypeVar("Row")


class Backtest(Tabular, ABC, Generic[Row]):
    """What every backtest returns.

    Attributes:
        kind: what was tested, as `safeguards backtest` names it.
        loses: what a policy loses, in words: "demand unmet".
        columns: what the columns of the rows mean: heading and explanation by the name of their field.
        rows: a dataclass for each policy, which its first field names; a `..._share` or `..._rate` is a share
            of 1.
        comparison: the policies by what they lose, and ours against the best of the others.
        notes: what was left out, and what was assumed.
    """

    kind: ClassVar[str]
    loses: ClassVar[str]
    columns: ClassVar[Mapping[str, tuple[str, str]]]
    rows: list[Row]
    comparison: Comparison
    notes: tuple[str, ...]

    def row(self, name: str) -> Row:
        """The row of one policy.

        Raises:
            ConfigurationError: there is no such policy.
        """
        named = {_name(row): row for row in self.rows}
        if not isinstance(name, str) or name not in named:
            raise ConfigurationError(f"a policy is one of {', '.join(named)}, not {shown(name)}")
        return named[name]

    @property
    def verdict(self) -> str:
        """The best policy on this record, ours or not, and by how much: one sentence."""
        return self.comparison.sentence(self.loses)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the hours as plain values, ready for JSON."""
        rows = [asdict(row) for row in self.rows]  # type: ignore[call-overload] # each is a dataclass
        compared = {name: value for name, value in asdict(self.comparison).items() if name != "losses"}
        return {
            "kind": self.kind,
            **self._facts(),
            "rows": rows,
            "comparison": {**compared, "may_be_chance": self.comparison.may_be_chance},
            "notes": list(self.notes),
            "verdict": self.verdict,
        }

    def plot(self, directory: Path) -> list[Path]:
        """Writes pictures into a directory that exists, and returns their files.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        return save_all(
            {f"{self.kind}-{name}": figure for name, figure in self._figures().items()}, directory
        )

    def __str__(self) -> str:
        return f"{self.kind}: {self.verdict}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def _cells(self) -> Mapping[str, Sequence[Any]]:
        rows = [asdict(row) for row in self.rows]  # type: ignore[call-overload] # each is a dataclass
        return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>{super()._repr_html_()}"

    @abstractmethod
    def _facts(self) -> Mapping[str, Any]:
        """What else `to_dict` tells."""

    @abstractmethod
    def _figures(self) -> Mapping[str, Figure]:
        """The pictures by name."""


def _name(row: Any) -> str:
    name: str = getattr(row, fields(row)[0].name)
    return name

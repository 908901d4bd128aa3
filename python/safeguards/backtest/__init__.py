"""Would it have been better? Policies on recorded demand, side by side, before they are trusted.

`Demand.read_csv` reads what agents spent, hour by hour; each kind of backtest is a module with a function
`backtest_<module>(demand, ...)` whose result has the members of `Backtest`. From a shell:
`safeguards backtest KIND DEMAND.csv`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from safeguards.backtest.demand import Demand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Backtest", "Demand"]


class Backtest(Protocol):
    """What every backtest returns."""

    @property
    @abstractmethod
    def rows(self) -> Sequence[Any]:
        """A dataclass or a mapping for each policy, by column; `..._share` and `..._rate` are shares of 1."""

    @property
    @abstractmethod
    def verdict(self) -> str:
        """What it comes to, in one sentence."""

    @abstractmethod
    def to_dict(self) -> Mapping[str, Any]:
        """Everything as plain values, ready for JSON."""

    @abstractmethod
    def plot(self, directory: Path) -> list[Path]:
        """Writes pictures into a directory that exists, and returns their files. Needs the extra `plot`."""

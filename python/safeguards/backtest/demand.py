"""Recorded demand: what each agent wanted to spend, hour by hour."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO, cast

from safeguards._values.arrays import floats
from safeguards.core._lines import LongRowError, bounded
from safeguards.exceptions import ConfigurationError, TraceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Demand"]

_COLUMNS = ("hour", "agent", "cost_usd")
_HOUR = re.compile(r"[0-9]{1,6}", re.ASCII)
_COST = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_MAX_COST = 1e15
_MAX_VALUES = 10**8


@dataclass(frozen=True, eq=False)
class Demand:
    """What agents wanted to spend.

    Attributes:
        agents: their names, sorted.
        cost: (agents, hours) float64, in USD or any other unit; read-only.

    Example:
        >>> import numpy as np
        >>> demand = Demand(("reader", "writer"), np.array([[1.0, 2.0, 3.0], [0.0, 5.0, 0.0]]))
        >>> demand.hours, float(demand.cost.sum())
        (3, 11.0)
    """

    agents: tuple[str, ...]
    cost: NDArray[np.float64]

    def __post_init__(self) -> None:
        import numpy as np

        cost = np.array(floats("cost", self.cost))
        if cost.ndim != 2 or len(cost) != len(self.agents):  # noqa: PLR2004 - agents and hours
            raise ConfigurationError(
                f"cost must be of shape (agents, hours) with {len(self.agents)} agents, not {cost.shape}"
            )
        if not ((cost >= 0) & (cost <= _MAX_COST)).all():
            raise ConfigurationError("cost must be from 0 to 10^15")
        if len(set(self.agents)) != len(self.agents):
            raise ConfigurationError("agents must have different names")
        cost.flags.writeable = False
        object.__setattr__(self, "cost", cost)

    @property
    def hours(self) -> int:
        """How many hours were recorded."""
        return int(self.cost.shape[1])

    def __repr__(self) -> str:
        return f"Demand({len(self.agents)} agents, {self.hours} hours)"

    @classmethod
    def read_csv(cls, path: str | Path) -> Demand:
        """Reads a table with the columns `hour`, `agent` and `cost_usd`; other columns are ignored.

        `hour` counts from any first hour, in any order; an hour that is left out is one without cost. A file
        whose name ends in `.gz` is unpacked. A row has at most 1,048,576 characters.

        Args:
            path: the file.

        Raises:
            TraceError: the file cannot be read; it says in which line and column, and why.
        """
        path = Path(path)
        try:
            with _opened(path) as file:
                return _Reader(path, bounded(file)).read()
        except UnicodeDecodeError as error:
            raise TraceError(f"{path}: not text in UTF-8", path=str(path)) from error
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise TraceError(f"{path}: {reason}", path=str(path)) from error


def _opened(path: Path) -> TextIO:
    open_text = gzip.open if path.suffix == ".gz" else open
    return cast("TextIO", open_text(path, "rt", encoding="utf-8-sig", newline=""))


class _Reader:
    """Reads a table row by row, and knows where it is."""

    def __init__(self, path: Path, rows: csv.DictReader[str]) -> None:
        self.path = path
        self.rows = rows

    def read(self) -> Demand:
        import numpy as np

        try:
            costs = self._costs()
        except LongRowError as error:
            self._fail(str(error), error.line)
        except csv.Error as error:
            self._fail(str(error))
        if not costs:
            raise TraceError(f"{self.path}: there are no rows below the head", path=str(self.path))
        agents = sorted({agent for agent, _ in costs})
        row_of = {agent: row for row, agent in enumerate(agents)}
        first = min(hour for _, hour in costs)
        hours = max(hour for _, hour in costs) - first + 1
        if len(agents) * hours > _MAX_VALUES:
            text = (
                f"{len(agents):,} agents times {hours:,} hours are too many: at most {_MAX_VALUES:,} values"
            )
            raise TraceError(f"{self.path}: {text}", path=str(self.path))
        cost = np.zeros((len(agents), hours))
        for (agent, hour), value in costs.items():
            cost[row_of[agent], hour - first] = value
        return Demand(tuple(agents), cost)

    def _costs(self) -> dict[tuple[str, int], float]:
        columns = list(self.rows.fieldnames or ())
        if not columns:
            raise TraceError(f"{self.path}: the file is empty", path=str(self.path))
        missing = [name for name in _COLUMNS if name not in columns]
        if missing:
            self._fail(f"no column {missing[0]!r}; there are {', '.join(columns)}")
        costs: dict[tuple[str, int], float] = {}
        for row in self.rows:
            hour, agent, cost = (row[name].strip() for name in _COLUMNS)
            if not _HOUR.fullmatch(hour):
                self._fail(f"hour must be a whole number of up to 6 digits, not {hour!r}")
            if not agent:
                self._fail("agent is empty")
            if not _COST.fullmatch(cost) or float(cost) > _MAX_COST:
                self._fail(f"cost_usd must be a number from 0 to 10^15, as 0.25, not {cost!r}")
            if (agent, int(hour)) in costs:
                self._fail(f"hour {int(hour)} of agent {agent!r} stands there twice: add them up")
            costs[agent, int(hour)] = float(cost)
        return costs

    def _fail(self, text: str, line: int | None = None) -> NoReturn:
        line = self.rows.line_num if line is None else line
        raise TraceError(f"{self.path}, line {line}: {text}", path=str(self.path), line=line)

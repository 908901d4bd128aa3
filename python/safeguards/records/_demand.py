"""Recorded demand: what each agent wanted to spend, hour by hour."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from safeguards._values.arguments import items
from safeguards._values.arrays import floats
from safeguards._values.decimals import NOTHING, add
from safeguards._values.frames import frame
from safeguards.exceptions import ConfigurationError, TraceError
from safeguards.records._cells import MICROS_PER_HOUR
from safeguards.records._records import Records, complete

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from safeguards.records._records import Call, Unknown
    from safeguards.records._trace import Price

__all__ = ["Demand"]

_MAX_COST = 1e15
_MAX_VALUES = 10**8
_HOURS_OF_DAY = 24
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Demand:
    """What agents wanted to spend.

    Attributes:
        agents: their names, sorted.
        cost: (agents, hours) float64, in USD or any other unit; read-only.
        start: when the first hour began; None if that is not known.
        priorities: priority by agent, 1 to 10, of those that have one.

    Example:
        >>> import numpy as np
        >>> demand = Demand(("reader", "writer"), np.array([[1.0, 2.0, 3.0], [0.0, 5.0, 0.0]]))
        >>> demand.hours, float(demand.cost.sum())
        (3, 11.0)
    """

    agents: tuple[str, ...]
    cost: NDArray[np.float64]
    start: datetime | None = None
    priorities: Mapping[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        import numpy as np

        cost = np.array(floats("cost", self.cost))
        object.__setattr__(self, "agents", tuple(items("agents", self.agents, "names")))
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

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>"

    @classmethod
    def read(
        cls,
        source: str | Path | Any,
        *,
        unknown: Unknown = "refuse",
        price: Price | None = None,
        **columns: Any,
    ) -> Demand:
        """Reads what `safeguards.records.read` reads, and sums up the calls of each hour.

        Args:
            source: a file or a table.
            unknown: what to do about costs that are not known: "refuse", "zero" or "leave-out" their agents.
            price: what tokens cost, for a table without costs.
            **columns: as for `safeguards.records.read`.

        Raises:
            TraceError: the source cannot be read; says in which line, and why.
            ConfigurationError: `unknown` is none of the three, or a column is none of `read`.

        Example:
            >>> times = ["2026-03-02T09:10:00Z", "2026-03-02T10:50:00Z"]
            >>> calls = {"at": times, "agent": ["a", "a"], "usd": [1, 2]}
            >>> Demand.read(calls, time="at").cost.tolist()
            [[1.0, 2.0]]
        """
        from safeguards.records._reader import read

        return read(source, **columns).demand(unknown=unknown, price=price)

    @classmethod
    def read_csv(cls, path: str | Path) -> Demand:
        """Reads a file; the same as `read`.

        Args:
            path: the file.

        Raises:
            TraceError: the file cannot be read; it says in which line and column, and why.
        """
        return cls.read(path)

    def to_frame(self, library: str = "pandas") -> Any:
        """The hours as a table of `hour` (from 0, or the time if `start` is known), `agent` and `cost`.

        Args:
            library: "pandas", "polars" or "pyarrow".

        Raises:
            MissingExtraError: it is not installed.
        """
        hours: list[Any] = list(range(self.hours))
        if self.start is not None:
            hours = [self.start + timedelta(hours=hour) for hour in hours]
        columns = {
            "hour": hours * len(self.agents),
            "agent": [agent for agent in self.agents for _ in hours],
            "cost": self.cost.ravel().tolist(),
        }
        return frame(columns, library)


def by_hour(records: Records, unknown: Unknown, price: Price | None) -> Demand:
    """The sums of calls by agent and hour."""
    import numpy as np

    calls = complete(records, unknown)
    sums = _sums(records, calls, price)
    agents = sorted({agent for agent, _ in sums})
    row_of = {agent: row for row, agent in enumerate(agents)}
    length = _HOURS_OF_DAY if records.grain == "day" else 1
    first = min(hour for _, hour in sums)
    hours = max(hour for _, hour in sums) - first + length
    if len(agents) * hours > _MAX_VALUES:
        text = f"{len(agents):,} agents times {hours:,} hours are too many: at most {_MAX_VALUES:,} values"
        raise TraceError(f"{records.name}: {text}", path=records.name)
    cost = np.zeros((len(agents), hours))
    for (agent, hour), value in sorted(sums.items()):
        cost[row_of[agent], hour - first : hour - first + length] += float(value) / length
    priorities = {call.agent: call.priority for call in calls if call.priority is not None}
    start = _EPOCH + timedelta(hours=first) if records.is_dated else None
    return Demand(tuple(agents), cost, start, priorities)


def _sums(records: Records, calls: tuple[Call, ...], price: Price | None) -> dict[tuple[str, int], Decimal]:
    has_costs = "cost" in records.columns
    if not has_costs and price is None:
        raise TraceError(
            f"{records.name}: there are tokens and no costs: say what a million of them cost, with "
            "--input-price and --output-price (price=)",
            path=records.name,
        )
    sums: dict[tuple[str, int], Decimal] = {}
    for call in calls:
        cost = call.cost or NOTHING
        if not has_costs and price is not None:
            cost = price.cost(call.input_tokens or 0, call.output_tokens or 0)
        key = call.agent, call.micros // MICROS_PER_HOUR
        sums[key] = add(sums.get(key, NOTHING), cost)
    return sums

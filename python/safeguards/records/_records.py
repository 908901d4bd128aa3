"""What was read: calls in the order of their times, and what is to be said about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from safeguards._values.arguments import one_of
from safeguards._values.decimals import shifted, total
from safeguards._values.frames import frame
from safeguards.exceptions import TraceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    from safeguards.records._demand import Demand
    from safeguards.records._trace import Price, Trace

__all__ = ["UNKNOWN", "BadRow", "Call", "Records", "Unknown"]

Unknown = Literal["refuse", "zero", "leave-out"]
UNKNOWN: tuple[Unknown, ...] = ("refuse", "zero", "leave-out")
"""What can be done about costs that are not known."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Call(NamedTuple):
    """One call, or what an agent spent in an hour or on a day.

    Attributes:
        micros: when, in microseconds since 1970 in UTC, or since zero of a clock without a date.
        agent: who.
        cost: what it cost, exact; None if that is not known.
        input_tokens: length of the question; None if that is not known.
        output_tokens: length of the answer; None if that is not known.
        operation: what it was for; None if that is not known.
        priority: of the agent, 1 to 10; None if that is not known.
    """

    micros: int
    agent: str
    cost: Decimal | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    operation: str | None = None
    priority: int | None = None


class BadRow(NamedTuple):
    """A row that was left out.

    Attributes:
        number: of its line or row, from 1.
        text: why.
    """

    number: int
    text: str


@dataclass(frozen=True, eq=False, repr=False)
class Records:
    """Recorded usage, as `safeguards.records.read` finds it.

    Attributes:
        name: the file.
        calls: the calls, by time.
        grain: "call", "hour" or "day": what a row is.
        is_dated: whether times are dates; if not, they count from a zero of their own.
        columns: names of the columns that were read, by role.
        preset: which export it is; None if it is none that is known.
        bad: the first bad rows.
        bad_rows: how many bad rows were left out.
        left_out: how many rows are no calls in this export: days without costs, steps that cost nothing.
        unit: what bad rows are counted in: "line" or "row".
    """

    name: str
    calls: tuple[Call, ...]
    grain: str
    is_dated: bool
    columns: Mapping[str, tuple[str, ...]]
    preset: str | None = None
    bad: tuple[BadRow, ...] = ()
    bad_rows: int = 0
    left_out: int = 0
    unit: str = "row"

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls)

    @property
    def agents(self) -> list[str]:
        """Every agent, sorted."""
        return sorted({call.agent for call in self.calls})

    @property
    def cost(self) -> Decimal:
        """What all calls cost together, exact, as far as it is known."""
        return shifted(total(call.cost for call in self.calls if call.cost is not None), 0)

    @property
    def unknown(self) -> int:
        """How many calls tell neither their cost nor, in a table without costs, their tokens."""
        return sum(self.is_unknown(call) for call in self.calls)

    def is_unknown(self, call: Call) -> bool:
        """Whether it is not known what a call cost."""
        if "cost" in self.columns:
            return call.cost is None
        return call.input_tokens is None or call.output_tokens is None

    def demand(self, *, unknown: Unknown = "refuse", price: Price | None = None) -> Demand:
        """What each agent spent, hour by hour: the sums of its calls. What is left out is nothing.

        Of a row that is a day, each hour has a 24th.

        Args:
            unknown: what to do about costs that are not known: "refuse", count them as "zero", or "leave-out"
                the agents that have them.
            price: what tokens cost, for a table without costs.

        Raises:
            TraceError: a cost is not known, or there are too many hours.

        Example:
            >>> from safeguards.records import read
            >>> table = {"time": [0, 1800, 3600], "agent": ["a", "a", "b"], "cost": ["0.1", "0.2", "1"]}
            >>> read(table).demand().cost.round(3).tolist()
            [[0.3, 0.0], [0.0, 1.0]]
        """
        from safeguards.records._demand import by_hour

        return by_hour(self, unknown, price)

    def trace(self, *, unknown: Unknown = "refuse", price: Price | None = None) -> Trace:
        """The calls one by one, to be replayed.

        Args:
            unknown: as for `demand`.
            price: what tokens cost, for a table without costs; `NOTIONAL_PRICE` if not given.

        Raises:
            TraceError: a cost is not known.
        """
        from safeguards.records._trace import from_records

        return from_records(self, unknown, price)

    def notes(self) -> list[str]:
        """What should be known about what was read: columns, rows left out, costs that are not known."""
        read_from = ", ".join(
            f"{role.replace('_', ' ')} from {', else '.join(names)}" for role, names in self.columns.items()
        )
        found = [f"{self._title()}: {read_from}"]
        if self.bad_rows:
            shown = "; ".join(f"{self.unit} {row.number}: {row.text}" for row in self.bad)
            more = "; ..." if self.bad_rows > len(self.bad) else ""
            found.append(f"{_counted(self.bad_rows, 'bad row')} left out: {shown}{more}")
        if self.left_out:
            found.append(f"{_counted(self.left_out, 'row')} without a cost left out: no calls")
        if self.unknown:
            found.append(f"{_counted(self.unknown, 'cost')} not known: empty or NaN, which is not zero")
        if self.grain == "day":
            found.append("a row is a day: each of its 24 hours has the same share")
        return found

    def to_frame(self, library: str = "pandas") -> Any:
        """The calls as a table: `micros`, `agent`, `cost` (exact), tokens, `operation`, `priority`.

        Args:
            library: "pandas", "polars" or "pyarrow".

        Raises:
            MissingExtraError: it is not installed.
        """
        columns = zip(*self.calls, strict=True)
        return frame(dict(zip(Call._fields, map(list, columns), strict=True)), library)

    def to_dict(self) -> dict[str, Any]:
        """What was read as plain values, ready for JSON; not the calls."""
        return {
            "name": self.name,
            "preset": self.preset,
            "columns": {role: list(names) for role, names in self.columns.items()},
            "grain": self.grain,
            "calls": len(self.calls),
            "agents": len(self.agents),
            "cost": f"{self.cost:f}",
            "unknown": self.unknown,
            "bad_rows": self.bad_rows,
            "left_out": self.left_out,
        }

    def __str__(self) -> str:
        rows = _counted(len(self.calls), {"hour": "hourly sum", "day": "daily sum"}.get(self.grain, "call"))
        unknown = f", {_counted(self.unknown, 'cost')} not known" if self.unknown else ""
        agents = _counted(len(self.agents), "agent")
        return f"{self.name}: {rows} of {agents}, {self._span()}, cost {self.cost:f}{unknown}"

    def __repr__(self) -> str:
        return f"<Records {self}>"

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes())
        return f"<p>{escape(str(self))}</p><ul>{notes}</ul>"

    def _title(self) -> str:
        from safeguards.records._presets import presets

        return str(presets()[self.preset or "any"]["title"])

    def _span(self) -> str:
        first, last = self.calls[0].micros, self.calls[-1].micros
        if not self.is_dated:
            return f"{(last - first) / 3_600e6:.4g} hours"
        begin, end = (_EPOCH + timedelta(microseconds=micros) for micros in (first, last))
        return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"


def complete(records: Records, unknown: Unknown) -> tuple[Call, ...]:
    """The calls whose costs can be counted on; those that are not known are counted as None if they are zero.

    Raises:
        TraceError: there are none, or one is not known and `unknown` is "refuse".
    """
    one_of("unknown", unknown, UNKNOWN)
    missing = {call.agent for call in records.calls if records.is_unknown(call)}
    if not missing or unknown == "zero":
        return records.calls
    if unknown == "refuse":
        costs, agents = _counted(records.unknown, "cost"), _counted(len(missing), "agent")
        raise TraceError(
            f"{records.name}: {costs} of {agents} not known, which is not zero: --unknown zero (unknown=) "
            "counts them as nothing, --unknown leave-out leaves these agents out",
            path=records.name,
        )
    calls = tuple(call for call in records.calls if call.agent not in missing)
    if not calls:
        raise TraceError(
            f"{records.name}: every agent has costs that are not known: none is left", path=records.name
        )
    return calls


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

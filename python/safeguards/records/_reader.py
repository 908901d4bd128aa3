"""The one reader of what people have recorded: rows of a file or a table become calls."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from safeguards._values.arguments import flag, one_of, text
from safeguards._values.numbers import whole
from safeguards._values.time_zones import read as read_zone
from safeguards.exceptions import TraceError
from safeguards.records import _cells
from safeguards.records._presets import PRESETS, ROLES, Columns, find_columns
from safeguards.records._records import BadRow, Call, Records
from safeguards.records._sources import Source, opened
from safeguards.records._trace import agent_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo
    from pathlib import Path

__all__ = ["read"]

_SHOWN = 3
_MOST_PRIORITY = 10
_DATED = 10**9 * 10**6


def read(
    source: str | Path | Any,
    *,
    preset: str | None = None,
    time: str | None = None,
    agent: str | None = None,
    cost: str | None = None,
    tokens_in: str | None = None,
    tokens_out: str | None = None,
    operation: str | None = None,
    priority: str | None = None,
    agents: int | None = None,
    timezone: str | tzinfo | None = UTC,
    skip_bad: bool = False,
) -> Records:
    """Reads recorded usage: one row for each call, or for each hour or day of an agent, in any order.

    A file is text with commas, semicolons or tabs (`.csv` or any other name), lines of JSON (`.jsonl`), a
    list of objects (`.json`), `.parquet` (extra `parquet`) or `.npz` (arrays of one length); `.gz` is
    unpacked. A table is one of pandas, polars or arrow, or a mapping of columns. Exports of LiteLLM, OpenAI,
    Anthropic, Langfuse and Helicone are known by their columns.

    Times are dates with or without a zone, or seconds, milliseconds, microseconds or nanoseconds since 1970
    or any other begin; a column `hour` may count hours. Costs are exact: plain digits or exponents, in files
    with semicolons also with a decimal comma. A cost that is empty or `nan` is not known, which is not zero.

    Args:
        source: a file or a table.
        preset: which export it is, if it is not to be found out: "litellm", "openai", "anthropic",
            "langfuse" or "helicone".
        time: name of the column that tells when.
        agent: of the one that tells who.
        cost: of the one that tells what it cost.
        tokens_in: of the one with the length of the question.
        tokens_out: of the one with the length of the answer.
        operation: of the one that tells what for.
        priority: of the one with the agent's priority, 1 to 10.
        agents: among how many agents rows are divided if no column is the agent; None: one must be.
        timezone: of dates without a zone; None is local time.
        skip_bad: whether rows that cannot be read are left out, and counted.

    Raises:
        TraceError: the file cannot be read, a column is missing, or a row is bad; says where and why.
        ConfigurationError: `preset` is none of the five, `agents` is below 1, or `timezone` is no zone.

    Example:
        >>> records = read({"time": ["2026-03-02T10:59:00Z", "2026-03-02T10:01:00Z"], "agent": ["a", "b"],
        ...                 "cost": ["0.10", "2e-3"]})
        >>> print(records)
        table: 2 calls of 2 agents, 2026-03-02 10:01 to 2026-03-02 10:59 UTC, cost 0.102
        >>> records.calls[0].agent, records.calls[0].cost
        ('b', Decimal('0.002'))
    """
    given = (time, agent, cost, tokens_in, tokens_out, operation, priority)
    names = dict(
        zip(("time", "agent", "cost", "tokens_in", "tokens_out", "operation", "priority"), given, strict=True)
    )
    named = {role: text(role, name) for role, name in names.items() if name is not None}
    if preset is not None:
        one_of("preset", preset, PRESETS)
    if agents is not None:
        agents = whole("agents", agents, 1)
    zone = read_zone(timezone)
    flag("skip_bad", skip_bad)
    with opened(source) as found:
        if not found.head:
            raise TraceError(f"{found.name}: there are no columns", path=found.name)
        columns = find_columns(found.name, found.head, preset, named, needs_agent=agents is None)
        return _Reading(found, columns, zone.tzinfo, skip_bad, agents).records()


class _Reading:
    """One pass over the rows."""

    def __init__(
        self, source: Source, columns: Columns, zone: tzinfo | None, skip_bad: bool, agents: int | None
    ) -> None:
        self.source = source
        self.columns = columns
        self.zone = zone
        self.skip_bad = skip_bad
        self.agents = agents
        self.calls: list[Call] = []
        self.bad: list[BadRow] = []
        self.left_out = self.rows = self.bad_rows = 0
        self.kind: str | None = None
        self.days = 0
        where = columns.where
        self.place = {role: where[role][0] if role in where else None for role in ROLES}
        self.title = {role: columns.names[role][0] if role in where else role for role in ROLES}
        self.width = len(source.head)
        self.has_hours = self.title["time"].strip().lower() == "hour"

    def records(self) -> Records:
        for number, cells in self.source.rows:
            self.rows += 1
            try:
                call = self._call(cells)
            except _cells.CellError as error:
                self.bad_rows += 1
                if len(self.bad) < _SHOWN:
                    self.bad.append(BadRow(number, str(error)))
            else:
                if call is None:
                    self.left_out += 1
                else:
                    self.calls.append(call)
        self._check()
        self.calls.sort(key=lambda call: call.micros)
        return Records(
            name=self.source.name,
            calls=tuple(self.calls),
            grain=self._grain(),
            is_dated=self.calls[0].micros >= _DATED,
            columns=self.columns.names,
            preset=self.columns.preset,
            bad=tuple(self.bad),
            bad_rows=self.bad_rows,
            left_out=self.left_out,
            unit=self.source.unit,
        )

    def _grain(self) -> str:
        if self.columns.every is not None:
            return self.columns.every
        if self.kind == "hour":
            return "hour"
        return "day" if self.days == len(self.calls) else "call"

    def _check(self) -> None:
        name, unit = self.source.name, self.source.unit
        if self.bad and (not self.skip_bad or not self.calls):
            first = self.bad[0]
            more = f" ({self.bad_rows:,} of {self.rows:,} rows are bad: --skip-bad leaves them out)"
            raise TraceError(
                f"{name}, {unit} {first.number}: {first.text}{more}", path=name, line=first.number
            )
        if not self.calls:
            raise TraceError(f"{name}: there are no rows below the head", path=name)

    def _call(self, cells: Sequence[Any]) -> Call | None:
        if len(cells) != self.width:
            cells = self._padded(cells)
        decimal = self.source.decimal
        price = self._cell(cells, "cost")
        known = None if price is None else _cells.cost(self.title["cost"], price, decimal)
        if known is None and self._is_no_call(cells):
            return None
        at = _cells.time(
            self.title["time"], self._cell(cells, "time"), self.zone, decimal, hours=self.has_hours
        )
        self._check_kind(at.kind)
        who = self._agent(cells)
        return Call(
            at.micros,
            who,
            known,
            self._count(cells, "tokens_in"),
            self._count(cells, "tokens_out"),
            _cells.name(self._cell(cells, "operation")),
            self._priority(cells),
        )

    def _padded(self, cells: Sequence[Any]) -> Sequence[Any]:
        extra = cells[self.width :]
        if len(cells) < self.width:
            raise _cells.CellError(f"there are {len(cells)} cells where {self.width} are expected")
        if any(not _cells.is_unknown(cell) for cell in extra):
            raise _cells.CellError(f"there are {len(cells)} cells where {self.width} are expected")
        return cells[: self.width]

    def _cell(self, cells: Sequence[Any], role: str) -> Any:
        place = self.place[role]
        return None if place is None else cells[place]

    def _is_no_call(self, cells: Sequence[Any]) -> bool:
        rules = self.columns.without_cost
        if rules is None:
            return False
        return not rules or any(str(cells[place]) in values for place, values in rules.items())

    def _check_kind(self, kind: str) -> None:
        """All times are of one kind: a number among dates would be a mistake of decades."""
        self.days += kind == "day"
        plain = "date" if kind == "day" else kind
        if self.kind is None:
            self.kind = plain
        elif plain != self.kind:
            words = {"date": "a date", "hour": "a number of hours"}
            found, before = (words.get(each, f"a number of {each}") for each in (plain, self.kind))
            raise _cells.CellError(f"{self.title['time']} is {found}, and {before} above")

    def _agent(self, cells: Sequence[Any]) -> str:
        if "agent" not in self.columns.where:
            return agent_of(self.rows - 1, self.agents or 1)
        for place in self.columns.where["agent"]:
            found = _cells.name(cells[place])
            if found is not None:
                return found
        raise _cells.CellError(f"{' and '.join(self.columns.names['agent'])} is empty")

    def _count(self, cells: Sequence[Any], role: str) -> int | None:
        cell = self._cell(cells, role)
        return None if cell is None else _cells.count(self.title[role], cell, decimal=self.source.decimal)

    def _priority(self, cells: Sequence[Any]) -> int | None:
        cell = self._cell(cells, "priority")
        if cell is None:
            return None
        found = _cells.count(self.title["priority"], cell, _MOST_PRIORITY, self.source.decimal)
        if found == 0:
            raise _cells.CellError(f"{self.title['priority']} must be from 1 to {_MOST_PRIORITY}, not 0")
        return found

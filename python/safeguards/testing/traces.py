"""Recorded traffic: who asked when, and what it cost."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from safeguards._values.arguments import shown
from safeguards._values.decimals import MAX_AMOUNT, NOTHING, add, shifted, subtract, times, total
from safeguards._values.numbers import MAX_SEED, whole
from safeguards.core._lines import LongRowError, bounded
from safeguards.exceptions import ArgumentTypeError, ConfigurationError, TraceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["NOTIONAL_PRICE", "Price", "Trace", "TracedRequest", "agent_of"]

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)
_MAX_COUNT = 10**9 - 1
_MAX_SECONDS = Decimal(10**9)
_MOST_TOKENS = 10**15
# Of a price or a cost: times 10^15 tokens, summed up over a billion requests, it has 57 digits and is exact.
_MOST_PLACES = 18


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


@dataclass(frozen=True, slots=True)
class Price:
    """What tokens cost.

    Attributes:
        input_tokens: price of a million input tokens.
        output_tokens: price of a million output tokens.

    Raises:
        ArgumentTypeError: a price is no `Decimal`.
        ConfigurationError: a price is not from 0 to 10^15, or has more than 18 decimal places.
    """

    input_tokens: Decimal
    output_tokens: Decimal

    def __post_init__(self) -> None:
        for name in ("input_tokens", "output_tokens"):
            price = getattr(self, name)
            if not isinstance(price, Decimal):
                raise ArgumentTypeError(f"{name} must be a Decimal, not {shown(price)}")
            if not price.is_finite() or not 0 <= price <= MAX_AMOUNT:
                raise ConfigurationError(f"{name} must be from 0 to 10^15, not {shown(price)}")
            if _places(price) > _MOST_PLACES:
                raise ConfigurationError(
                    f"{name} must have at most {_MOST_PLACES} decimal places: {shown(price)}"
                )

    def cost(self, input_tokens: int, output_tokens: int) -> Decimal:
        """The exact price of one request.

        Raises:
            ArgumentTypeError: a count is no whole number.
            ConfigurationError: a count is not from 0 to 10**15.

        >>> NOTIONAL_PRICE.cost(1_000, 200)
        Decimal('0.0045')
        """
        read = times(self.input_tokens, whole("input_tokens", input_tokens, 0, _MOST_TOKENS))
        written = times(self.output_tokens, whole("output_tokens", output_tokens, 0, _MOST_TOKENS))
        return shifted(add(read, written), -6)


NOTIONAL_PRICE = Price(Decimal("2.5"), Decimal(10))
"""USD 2.5 for a million input tokens, 10 for a million output tokens: notional, of the usual size."""


class TracedRequest(NamedTuple):
    """One request of a trace.

    Attributes:
        micros: when it came, in microseconds since the trace began.
        agent: who asked.
        cost: what it cost in the end.
        most: the most that it could cost, known when it came: what a cautious program reserves.
        output_tokens: length of the answer; `None` if the trace does not tell.
    """

    micros: int
    agent: str
    cost: Decimal
    most: Decimal
    output_tokens: int | None


def agent_of(index: int, agents: int) -> str:
    """Whom the request at `index` is attributed to: BLAKE2b of the index, modulo the number of agents.

    Traces are published without names. A fixed hash spreads requests over agents unevenly, as chance does,
    and always in the same way.

    >>> agent_of(0, 100), agent_of(1, 100)
    ('agent-58', 'agent-11')
    """
    index, agents = whole("index", index, 0, MAX_SEED), whole("agents", agents, 1)
    digest = blake2b(index.to_bytes(8, "little"), digest_size=8).digest()
    return f"agent-{int.from_bytes(digest, 'little') % agents:0{len(str(agents - 1))}}"


@dataclass(frozen=True, slots=True)
class Trace:
    """Recorded requests in the order of their times, each priced and attributed to an agent.

    A trace of tokens is priced with `price`. The most that a request could cost is the price of its input,
    which is known beforehand, and of the longest answer in the trace, as if that were the limit that the
    service sets. A trace that tells only costs could cost what it did. A request takes about 300 bytes.

    Attributes:
        name: what the trace is called.
        requests: the requests.

    Example:
        >>> trace = Trace.azure_conversations(agents=100)
        >>> len(trace), trace.cost
        (19366, Decimal('96.791325'))
    """

    name: str
    requests: Sequence[TracedRequest]

    def __len__(self) -> int:
        return len(self.requests)

    def __iter__(self) -> Iterator[TracedRequest]:
        return iter(self.requests)

    @property
    def agents(self) -> list[str]:
        """Every agent of the trace, sorted."""
        return sorted({request.agent for request in self.requests})

    @property
    def cost(self) -> Decimal:
        """What all requests cost together, exact."""
        return shifted(total(request.cost for request in self.requests), 0)

    @classmethod
    def azure_conversations(cls, *, agents: int = 100, price: Price = NOTIONAL_PRICE) -> Trace:
        """An hour of a real conversational LLM service: 19,366 requests.

        Source: AzureLLMInferenceTrace_conv of Azure/AzurePublicDataset, CC-BY 4.0 (Patel et al., "Splitwise",
        ISCA 2024). Needs numpy.
        """
        shipped = resources.files("safeguards") / "data" / "azure_llm_2023_conv_requests.npz"
        with resources.as_file(shipped) as path:
            return cls("azure_llm_2023_conv", cls.load(path, agents=agents, price=price).requests)

    @classmethod
    def load(cls, path: str | Path, *, agents: int = 100, price: Price = NOTIONAL_PRICE) -> Trace:
        """Reads a trace from a file.

        - `.npz`: arrays `t_s`, `input_tokens` and `output_tokens` of one length; `agent_of` names the agents.
        - anything else: CSV with a head, columns `t_s`, `agent`, and either `cost` or `input_tokens` and
          `output_tokens`; other columns are ignored. Costs are decimal digits, read exactly. A row has at
          most 1,048,576 characters.

        `t_s` counts seconds from any begin, never going back; it is rounded to microseconds.

        Args:
            path: the file.
            agents: among how many agents the requests of an `.npz` are divided.
            price: what tokens cost.

        Raises:
            TraceError: the file cannot be read; it says where and why.
            ConfigurationError: `agents` is below 1.
        """
        agents = whole("agents", agents, 1)
        path = Path(path)
        if not path.is_file():
            raise TraceError(f"{path}: no such file", path=str(path))
        requests = _read_npz(path, agents, price) if path.suffix == ".npz" else _read_csv(path, price)
        if not requests:
            raise TraceError(f"{path}: the trace has no requests", path=str(path))
        return cls(path.stem, requests)


def _with_most(rows: Iterable[tuple[int, str, int, int]], price: Price, longest: int) -> list[TracedRequest]:
    # The same numbers of tokens come again and again, and so do their prices.
    cost = lru_cache(maxsize=1 << 16)(price.cost)
    return [
        TracedRequest(micros, agent, cost(read, written), cost(read, longest), written)
        for micros, agent, read, written in rows
    ]


def _read_npz(path: Path, agents: int, price: Price) -> list[TracedRequest]:
    import numpy as np

    names = ("t_s", "input_tokens", "output_tokens")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive]
            columns = [] if missing else [archive[name] for name in names]
    except (OSError, ValueError, EOFError) as error:
        raise TraceError(f"{path}: not an archive of numpy arrays: {error}", path=str(path)) from error
    if missing:
        raise TraceError(f"{path}: the archive has no array {missing[0]!r}", path=str(path))
    times, read, written = columns
    is_wrong = (
        (len({column.shape for column in columns}) != 1 or times.ndim != 1, "arrays differ in shape"),
        (not all(np.issubdtype(c.dtype, np.integer) for c in (read, written)), "tokens are not integers"),
        (not np.all(np.isfinite(times)), "a time is not finite"),
        (bool(np.any(np.diff(times) < 0)), "time goes backwards"),
        (any(np.any((c < 0) | (c > _MAX_COUNT)) for c in (read, written)), "tokens are not within 0 to 10^9"),
    )
    for wrong, text in is_wrong:
        if wrong:
            raise TraceError(f"{path}: {text}", path=str(path))
    micros = np.rint((times.astype(np.float64) - float(times[0] if times.size else 0)) * 1e6).astype(np.int64)
    names_of = (agent_of(index, agents) for index in range(micros.size))
    rows = zip(micros.tolist(), names_of, read.tolist(), written.tolist(), strict=True)
    return _with_most(rows, price, max(written.tolist(), default=0))


def _read_csv(path: Path, price: Price) -> list[TracedRequest]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _CsvReader(path, bounded(file)).read(price)
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: not text in UTF-8", path=str(path)) from error


class _CsvReader:
    """Reads a table row by row, and knows where it is."""

    def __init__(self, path: Path, rows: csv.DictReader[str]) -> None:
        self.path = path
        self.rows = rows

    def read(self, price: Price) -> list[TracedRequest]:
        try:
            columns = self._columns()
            return self._costs() if "cost" in columns else self._tokens(price)
        except LongRowError as error:
            self._fail(str(error), error.line)
        except csv.Error as error:
            self._fail(str(error))

    def _columns(self) -> set[str]:
        columns = set(self.rows.fieldnames or ())
        if not columns:
            raise TraceError(f"{self.path}: the file is empty", path=str(self.path))
        wanted = ("t_s", "agent") if "cost" in columns else ("t_s", "agent", "input_tokens", "output_tokens")
        missing = [name for name in wanted if name not in columns]
        if missing:
            either = " (or 'cost')" if missing[0].endswith("_tokens") else ""
            self._fail(f"no column {missing[0]!r}{either}; there are {', '.join(sorted(columns))}")
        return columns

    def _costs(self) -> list[TracedRequest]:
        requests: list[TracedRequest] = []
        for row, micros, agent in self._moments():
            cost = self._number(row, "cost", MAX_AMOUNT)
            requests.append(TracedRequest(micros, agent, cost, cost, None))
        return requests

    def _tokens(self, price: Price) -> list[TracedRequest]:
        rows = [
            (micros, agent, self._count(row, "input_tokens"), self._count(row, "output_tokens"))
            for row, micros, agent in self._moments()
        ]
        return _with_most(rows, price, max((row[3] for row in rows), default=0))

    def _moments(self) -> Iterator[tuple[dict[str, str], int, str]]:
        first: Decimal | None = None
        last = NOTHING
        for row in self.rows:
            time = self._number(row, "t_s", _MAX_SECONDS)
            if time < last:
                self._fail(f"t_s goes backwards, from {last} to {time}: sort the trace by time")
            first, last = time if first is None else first, time
            agent = row["agent"].strip()
            if not agent:
                self._fail("agent is empty")
            yield row, round(shifted(subtract(time, first), 6)), agent

    def _number(self, row: dict[str, str], column: str, most: Decimal) -> Decimal:
        text = row[column].strip()
        if not _NUMBER.fullmatch(text):
            self._fail(f"{column} must be decimal digits, as 0.25, not {text!r}")
        number = Decimal(text)
        if number > most:
            self._fail(f"{column} must not be more than {most:f}, not {text}")
        if _places(number) > _MOST_PLACES:
            self._fail(f"{column} must have at most {_MOST_PLACES} decimal places, not {text}")
        return number

    def _count(self, row: dict[str, str], column: str) -> int:
        text = row[column].strip()
        if not _COUNT.fullmatch(text):
            self._fail(f"{column} must be a whole number of up to 9 digits, not {text!r}")
        return int(text)

    def _fail(self, text: str, line: int | None = None) -> NoReturn:
        line = self.rows.line_num if line is None else line
        raise TraceError(f"{self.path}, line {line}: {text}", path=str(self.path), line=line)

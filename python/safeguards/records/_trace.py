"""Recorded traffic: who asked when, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safeguards._values.arguments import shown
from safeguards._values.decimals import MAX_AMOUNT, NOTHING, add, shifted, times, total
from safeguards._values.numbers import MAX_SEED, whole
from safeguards.exceptions import ArgumentTypeError, ConfigurationError
from safeguards.records._records import Records, complete

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safeguards.records._records import Call, Unknown

__all__ = ["DEFAULT_AGENTS", "NOTIONAL_PRICE", "Price", "Trace", "TracedRequest", "agent_of"]

DEFAULT_AGENTS = 100
"""Among how many agents requests without names are divided."""

_MOST_TOKENS = 10**15
# Of a price: times 10^15 tokens, summed up over a billion requests, it has 57 digits and is exact.
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
            agents = whole("agents", agents, 1)
            return cls("azure_llm_2023_conv", cls.load(path, agents=agents, price=price).requests)

    @classmethod
    def load(
        cls,
        source: str | Path | Any,
        *,
        agents: int | None = None,
        price: Price | None = None,
        unknown: Unknown = "refuse",
        **columns: Any,
    ) -> Trace:
        """Reads what `safeguards.records.read` reads: one row for each request, in any order.

        What tokens cost is asked for only where there is no column with costs.

        Args:
            source: a file or a table.
            agents: among how many agents requests are divided in which no column names one; 100 for an
                `.npz`, whose arrays have no names.
            price: what tokens cost; `NOTIONAL_PRICE` if not given.
            unknown: what to do about costs that are not known: "refuse", "zero" or "leave-out" their agents.
            **columns: as for `safeguards.records.read`.

        Raises:
            TraceError: the source cannot be read; it says where and why.
            ConfigurationError: `agents` is below 1, `unknown` is none of the three, or a column is none of
                `read`.
        """
        from safeguards.records._reader import read

        if agents is None and str(source).endswith(".npz"):
            agents = DEFAULT_AGENTS
        return read(source, agents=agents, **columns).trace(unknown=unknown, price=price)


def from_records(records: Records, unknown: Unknown, price: Price | None) -> Trace:
    """The calls of records as requests."""
    calls = complete(records, unknown)
    name = Path(records.name).name.partition(".")[0] if records.name != "table" else records.name
    begin = calls[0].micros
    if "cost" in records.columns:
        requests = [
            TracedRequest(
                call.micros - begin,
                call.agent,
                call.cost or NOTHING,
                call.cost or NOTHING,
                call.output_tokens,
            )
            for call in calls
        ]
    else:
        requests = _priced(calls, NOTIONAL_PRICE if price is None else price)
    return Trace(name, requests)


def _priced(calls: Sequence[Call], price: Price) -> list[TracedRequest]:
    # The same numbers of tokens come again and again, and so do their prices.
    cost = lru_cache(maxsize=1 << 16)(price.cost)
    begin, longest = calls[0].micros, max(call.output_tokens or 0 for call in calls)
    return [
        TracedRequest(
            call.micros - begin,
            call.agent,
            cost(call.input_tokens or 0, call.output_tokens or 0),
            cost(call.input_tokens or 0, longest),
            call.output_tokens,
        )
        for call in calls
    ]

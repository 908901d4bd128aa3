"""Recorded traffic through budgets and rate limits, on a clock that is moved to each request's time."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from heapq import heappop, heappush
from html import escape
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from safeguards._extras import require
from safeguards._native import ManualClock
from safeguards._values.decimals import NOTHING, UNITS_PER_ONE, of_units, subtract, total
from safeguards._values.frames import Tabular
from safeguards._values.numbers import whole
from safeguards.budget.rate_limiter import BudgetRateLimiter
from safeguards.core.budget_coordination import BudgetCoordinator
from safeguards.exceptions import BooksError, BudgetExceededError, RateLimitExceededError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from matplotlib.figure import Figure

    from safeguards._native import Reservation
    from safeguards.testing.traces import Trace, TracedRequest

__all__ = [
    "DEFAULT_LIMITS",
    "PLATFORM",
    "REASONS",
    "Books",
    "Limits",
    "Outcome",
    "Reason",
    "Report",
    "replay",
]

Reason = Literal["agent budget", "pool budget", "platform budget", "rate limit"]
REASONS: tuple[Reason, ...] = ("agent budget", "pool budget", "platform budget", "rate limit")
"""Why a request can be refused."""

PLATFORM = "platform"
"""The pool above all others."""

_PROGRESS_EVERY = 10_000
_BASE_MICROS = 500_000
_MICROS_PER_TOKEN = 20_000
_LONGER_THAN_ANY_WORK = 1e9
_ALL = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a replay may spend. By default the shipped trace meets every kind of refusal.

    `Limits.suggested` finds out what a trace of one's own needs.

    Attributes:
        agent_budget: budget of each agent.
        pool_budget: budget of each pool. Agents are dealt to the pools in turn, in the order of their names.
        platform_budget: budget of the pool above all pools.
        pools: how many pools.
        rate_limit: the most that each agent may spend in any `rate_window`; `None` for no limit.
        rate_window: length of the sliding window.
    """

    agent_budget: Decimal = Decimal("0.95")
    pool_budget: Decimal = Decimal("21.00")
    platform_budget: Decimal = Decimal("83.00")
    pools: int = 4
    rate_limit: Decimal | None = Decimal("0.06")
    rate_window: timedelta = timedelta(minutes=1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pools", whole("pools", self.pools, 1))

    @classmethod
    def suggested(cls, trace: Trace, *, pools: int = 1) -> Limits:
        """The budgets that a trace needs for nothing to be refused, rounded up to two digits; no rate limit.

        They hold what was spent and what was reserved for work under way, at the worst instant of the
        neediest agent, of the neediest pool, and of all together.

        Args:
            trace: the requests.
            pools: how many pools the agents are dealt to.

        Example:
            >>> from safeguards.testing import Limits, Trace
            >>> limits = Limits.suggested(Trace.azure_conversations(), pools=4)
            >>> str(limits.agent_budget), str(limits.pool_budget), str(limits.platform_budget)
            ('1.2', '25', '97')
        """
        pools = whole("pools", pools, 1)
        pool_of = {agent: number % pools for number, agent in enumerate(trace.agents)}
        needs = _Needs()
        for request in trace:
            needs.add(request, (request.agent, pool_of[request.agent], _ALL))
        agents = [units for account, units in needs.peak.items() if isinstance(account, str)]
        by_pool = [units for account, units in needs.peak.items() if isinstance(account, int)]
        return cls(
            _rounded_up(max(agents, default=0)),
            _rounded_up(max(by_pool, default=0)),
            _rounded_up(needs.peak[_ALL]),
            pools,
            None,
        )


class _Needs:
    """What accounts hold at most, if nothing is refused: in units of 1e-9, as the ledger counts."""

    def __init__(self) -> None:
        self.held: Counter[Hashable] = Counter()
        self.peak: Counter[Hashable] = Counter()
        self._open: list[tuple[int, int, int, tuple[Hashable, ...]]] = []
        self._number = 0

    def add(self, request: TracedRequest, accounts: tuple[Hashable, ...]) -> None:
        while self._open and self._open[0][0] <= request.micros:
            _, _, unused, done = heappop(self._open)
            for account in done:
                self.held[account] -= unused
        reserved = _charged(request.most)
        for account in accounts:
            self.held[account] += reserved
            self.peak[account] = max(self.peak[account], self.held[account])
        self._number += 1
        unused = reserved - _charged(request.cost)
        heappush(self._open, (_done_at(request), self._number, unused, accounts))


def _done_at(request: TracedRequest) -> int:
    return request.micros + _BASE_MICROS + _MICROS_PER_TOKEN * (request.output_tokens or 0)


def _rounded_up(units: int) -> Decimal:
    """An amount of two digits that is not less."""
    factor = 10 ** max(len(str(units)) - 2, 0)
    return of_units(-(-units // factor) * factor)


DEFAULT_LIMITS = Limits()


class Outcome(NamedTuple):
    """What became of one request.

    Attributes:
        micros: when: of a refusal the request's time, of a settlement the end of its work.
        request: the request.
        reason: why it was refused; `None` if it was settled.
    """

    micros: int
    request: TracedRequest
    reason: Reason | None


class Books(NamedTuple):
    """What an account was granted, and what was charged to it."""

    budget: Decimal
    spent: Decimal


@dataclass(frozen=True, slots=True)
class Report(Tabular):
    """What a replay came to. Everything but `seconds` is the same on each run.

    Amounts are summed up from the outcomes in whole numbers of 1e-9, without asking the ledger; `books_agree`
    says whether the ledger's own books say the same, account by account, and pass their audit.

    Attributes:
        trace: name of the trace.
        requests: how many there were.
        admitted: how many were admitted, and settled for what they cost.
        refused: how many were refused, by reason.
        demanded: what all requests would have cost.
        platform: the pool above all others.
        pools: the pools.
        agents: the agents.
        overspend: what accounts spent beyond their budgets, added up: 0.
        over_rate_limit: the most that an agent spent in any `rate_window` beyond the rate limit: 0.
        peak_reservations: the most reservations that were open at once.
        books_agree: whether the ledger's books say the same.
        seconds: wall time of the loop: clock, reservations, settlements and the list of outcomes.
    """

    trace: str
    requests: int
    admitted: int
    refused: Mapping[Reason, int]
    demanded: Decimal
    platform: Books
    pools: Mapping[str, Books]
    agents: Mapping[str, Books]
    overspend: Decimal
    over_rate_limit: Decimal
    peak_reservations: int
    books_agree: bool
    seconds: float

    @property
    def decisions_per_second(self) -> float:
        """Requests that were decided on for each second of wall time."""
        return self.requests / self.seconds

    @property
    def is_exact(self) -> bool:
        """Whether nothing was overspent and the ledger's books agree."""
        return not self.overspend and not self.over_rate_limit and self.books_agree

    def __str__(self) -> str:
        refused = ", ".join(f"{count:,} by the {reason}" for reason, count in self.refused.items() if count)
        return (
            f"{self.trace}: {self.admitted:,} of {self.requests:,} requests admitted, "
            f"{f'refused {refused}' if refused else 'none refused'}; spent {self.platform.spent:f} of "
            f"{self.demanded:f}, overspent {self.overspend:f}"
        )

    def __repr__(self) -> str:
        return f"<Report {self}>"

    def _cells(self) -> Mapping[str, Sequence[Any]]:
        kinds = ["platform", *("pool" for _ in self.pools), *("agent" for _ in self.agents)]
        return {
            "account": [PLATFORM, *self.pools, *self.agents],
            "kind": kinds,
            "budget": [books.budget for books in self._books()],
            "spent": [books.spent for books in self._books()],
        }

    def _books(self) -> list[Books]:
        return [self.platform, *self.pools.values(), *self.agents.values()]

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>{super(Report, self)._repr_html_()}"

    def plot(self) -> Figure:
        """Draws what was spent of each budget, accounts sorted by it.

        Returns:
            A `matplotlib.figure.Figure`, free of global state.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        require("matplotlib", "plot")
        from safeguards.testing._replay_plot import plot_report

        return plot_report(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: amounts are decimal strings."""
        return {
            "trace": self.trace,
            "requests": self.requests,
            "admitted": self.admitted,
            "refused": dict(self.refused),
            "demanded": f"{self.demanded:f}",
            "platform": _plain(self.platform),
            "pools": {name: _plain(books) for name, books in self.pools.items()},
            "agents": {name: _plain(books) for name, books in self.agents.items()},
            "overspend": f"{self.overspend:.9f}",
            "over_rate_limit": f"{self.over_rate_limit:.9f}",
            "peak_reservations": self.peak_reservations,
            "books_agree": self.books_agree,
            "seconds": round(self.seconds, 6),
            "decisions_per_second": round(self.decisions_per_second),
        }


def replay(
    trace: Trace,
    limits: Limits | None = None,
    *,
    on_progress: Callable[[int], object] | None = None,
) -> Report:
    """Feeds each request of a trace through the budgets of its agent, pool and platform, and its rate limit.

    A manual clock is moved to each request's time. There the most that the request can cost is reserved; when
    its work is done, what it did cost is settled. The work takes 0.5 s and 20 ms for each output token, a
    notional speed, so that the reservations of concurrent requests overlap as they do in a service.

    Args:
        trace: the requests.
        limits: budgets and rate limits; if not given, `Limits.suggested(trace)`, so that nothing is refused.
        on_progress: called with the number of requests done, every 10,000 of them.

    Raises:
        InvalidAmountError: a budget is not an amount.
        ConfigurationError: `rate_limit` is above 10^10, or `rate_window` no `timedelta` from 1 microsecond to
            366 days.

    Example:
        >>> from safeguards.testing import Trace, replay
        >>> report = replay(Trace.azure_conversations())
        >>> report.requests, report.overspend
        (19366, Decimal('0'))
    """
    run = _Run(trace, Limits.suggested(trace) if limits is None else limits)
    begun = perf_counter()
    run.all(on_progress)
    seconds = perf_counter() - begun
    return _Audit(run).report(seconds)


class _Run:
    """The loop, and the list of what happened in it."""

    def __init__(self, trace: Trace, limits: Limits) -> None:
        self.trace = trace
        self.limits = limits
        self.clock = ManualClock()
        self.coordinator = BudgetCoordinator(clock=self.clock)
        self.limiter = BudgetRateLimiter(self.coordinator)
        self.pool_of: dict[str, str] = {}
        self.outcomes: list[Outcome] = []
        self.peak = 0
        self._micros = 0
        # By the time at which the work is done; the number keeps equal times in order.
        self._open: list[tuple[int, int, Reservation, TracedRequest]] = []
        self._open_books()

    def _open_books(self) -> None:
        limits, coordinator = self.limits, self.coordinator
        platform = coordinator.create_budget_pool(PLATFORM, limits.platform_budget)
        self.pools = [
            coordinator.create_budget_pool(f"pool-{number}", limits.pool_budget, parent_id=platform)
            for number in range(1, limits.pools + 1)
        ]
        for number, agent in enumerate(self.trace.agents):
            self.pool_of[agent] = self.pools[number % limits.pools]
            coordinator.register_agent(agent, self.pool_of[agent], initial_budget=limits.agent_budget)
            if limits.rate_limit is not None:
                self.limiter.set_rate_limit(agent, limits.rate_limit, limits.rate_window)

    def all(self, on_progress: Callable[[int], object] | None) -> None:
        for number, request in enumerate(self.trace):
            self._settle_until(request.micros)
            self._move_to(request.micros)
            self._reserve(number, request)
            if on_progress is not None and number % _PROGRESS_EVERY == 0:
                on_progress(number)
        while self._open:
            self._settle_until(self._open[0][0])

    def _move_to(self, micros: int) -> None:
        if micros > self._micros:
            self.clock.advance(timedelta(microseconds=micros - self._micros))
            self._micros = micros

    def _reserve(self, number: int, request: TracedRequest) -> None:
        try:
            reservation = self.coordinator.reserve(
                request.agent, request.most, ttl_seconds=_LONGER_THAN_ANY_WORK
            )
        except (BudgetExceededError, RateLimitExceededError) as error:
            self.outcomes.append(Outcome(request.micros, request, self._reason(error, request)))
            return
        heappush(self._open, (_done_at(request), number, reservation, request))
        self.peak = max(self.peak, len(self._open))

    def _reason(self, error: BudgetExceededError | RateLimitExceededError, request: TracedRequest) -> Reason:
        if isinstance(error, RateLimitExceededError):
            return "rate limit"
        # The agent is asked first. Its name does not tell: a trace may have an agent called "platform".
        if self.coordinator.get_budget(request.agent) < request.most:
            return "agent budget"
        return "platform budget" if error.account == PLATFORM else "pool budget"

    def _settle_until(self, micros: int) -> None:
        while self._open and self._open[0][0] <= micros:
            done_at, _, reservation, request = heappop(self._open)
            self._move_to(done_at)
            reservation.settle(request.cost)
            self.outcomes.append(Outcome(done_at, request, None))


class _Audit:
    """Sums up what happened without the ledger's help, then compares."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.settled = [outcome for outcome in run.outcomes if outcome.reason is None]
        self.by_agent: Counter[str] = Counter()
        self.by_pool: Counter[str] = Counter()
        for outcome in self.settled:
            units = _charged(outcome.request.cost)
            self.by_agent[outcome.request.agent] += units
            self.by_pool[run.pool_of[outcome.request.agent]] += units

    def report(self, seconds: float) -> Report:
        run, limits = self.run, self.run.limits
        refused = Counter(outcome.reason for outcome in run.outcomes)
        platform = _books(limits.platform_budget, self.by_pool.total())
        by_pool = {pool: _books(limits.pool_budget, self.by_pool[pool]) for pool in run.pools}
        by_agent = {agent: _books(limits.agent_budget, self.by_agent[agent]) for agent in run.pool_of}
        everyone = (platform, *by_pool.values(), *by_agent.values())
        return Report(
            trace=run.trace.name,
            requests=len(run.trace),
            admitted=len(self.settled),
            refused={reason: refused[reason] for reason in REASONS},
            demanded=run.trace.cost,
            platform=platform,
            pools=by_pool,
            agents=by_agent,
            overspend=total(max(subtract(books.spent, books.budget), NOTHING) for books in everyone),
            over_rate_limit=self._over_rate_limit(),
            peak_reservations=run.peak,
            books_agree=self._agrees(platform, by_pool, by_agent),
            seconds=seconds,
        )

    def _over_rate_limit(self) -> Decimal:
        limit, window = self.run.limits.rate_limit, self.run.limits.rate_window // timedelta(microseconds=1)
        if limit is None:
            return NOTHING
        charges: dict[str, deque[tuple[int, int]]] = {agent: deque() for agent in self.run.pool_of}
        in_window: Counter[str] = Counter()
        most = 0
        for micros, request, _ in self.settled:
            agent, units = request.agent, _charged(request.cost)
            charges[agent].append((micros, units))
            in_window[agent] += units
            while charges[agent][0][0] <= micros - window:
                in_window[agent] -= charges[agent].popleft()[1]
            most = max(most, in_window[agent])
        return max(subtract(of_units(most), _granted(limit)), NOTHING)

    def _agrees(self, platform: Books, pools: Mapping[str, Books], agents: Mapping[str, Books]) -> bool:
        coordinator = self.run.coordinator
        try:
            coordinator.verify()
        except BooksError:
            return False
        pairs = [(platform, coordinator.get_pool_metrics(PLATFORM))]
        pairs += [(books, coordinator.get_pool_metrics(pool)) for pool, books in pools.items()]
        pairs += [(books, coordinator.get_agent_metrics(agent)) for agent, books in agents.items()]
        return all(
            (books.budget, books.spent) == (metrics.granted, metrics.spent) and not metrics.reserved
            for books, metrics in pairs
        )


def _charged(cost: Decimal) -> int:
    """Whole units of 1e-9, rounded up as a charge is."""
    numerator, denominator = cost.as_integer_ratio()
    return -(-numerator * UNITS_PER_ONE // denominator)


def _granted(budget: Decimal) -> Decimal:
    """What is granted of a budget: the tenth decimal place is dropped."""
    numerator, denominator = budget.as_integer_ratio()
    return of_units(numerator * UNITS_PER_ONE // denominator)


def _books(budget: Decimal, units: int) -> Books:
    return Books(_granted(budget), of_units(units))


def _plain(books: Books) -> dict[str, str]:
    return {"budget": f"{books.budget:.9f}", "spent": f"{books.spent:.9f}"}

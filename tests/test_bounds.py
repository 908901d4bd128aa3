"""What grows is bounded, and what was linear or worse no longer is."""

import gc
import gzip
import itertools
import time
import tracemalloc
from datetime import timedelta
from decimal import Decimal

import pytest

from safeguards import (
    BudgetCoordinator,
    ConfigurationError,
    IdempotencyConflictError,
    ManualClock,
    MultiResourceBudget,
    RateLimitExceededError,
    TraceError,
    UnknownAgentError,
)
from safeguards.allocation.capacity_files import read_capacities
from safeguards.backtest.demand import Demand
from safeguards.testing import Trace

LONG = "x" * 257
SAME = "é" * 128  # 256 bytes


def fastest(act, times=5):
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        act()
        best = min(best, time.perf_counter() - start)
    return best


@pytest.fixture
def resources(coordinator):
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", {"calls": 10})
    return resources


def test_keys_and_operation_types_have_a_longest(coordinator, resources, limiter):
    account = coordinator.account("bot")
    calls = [
        *(lambda f=f, **o: f("bot", "0.01", **o) for f in (coordinator.debit, coordinator.try_debit)),
        *(lambda f=f, **o: f("bot", "0.01", **o) for f in (coordinator.reserve, coordinator.try_reserve)),
        *(lambda f=f, **o: f("0.01", **o) for f in (account.debit, account.try_debit)),
        *(lambda f=f, **o: f("0.01", **o) for f in (account.reserve, account.try_reserve)),
        *(lambda f=f, **o: f("bot", {"calls": 1}, **o) for f in (resources.debit, resources.try_debit)),
        *(lambda f=f, **o: f("bot", {"calls": 1}, **o) for f in (resources.reserve, resources.try_reserve)),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="operation_type must have at most 256 bytes, not 257"):
            call(operation_type=LONG)
        with pytest.raises(ConfigurationError, match="idempotency_key must have 1 to 256 bytes, not 257"):
            call(idempotency_key=LONG)
        with pytest.raises(ConfigurationError, match="idempotency_key must have 1 to 256 bytes, not 0"):
            call(idempotency_key="")
    with pytest.raises(ConfigurationError, match="operation_type must"):
        limiter.record_usage("bot", 1, operation_type=LONG)
    assert coordinator.get_budget("bot") == 1 and resources.get_budget("bot", "calls") == 10
    assert coordinator.try_debit("bot", 1, operation_type=SAME, idempotency_key=SAME)
    assert coordinator.get_agent_usage_history("bot")[0].operation_type == SAME


def test_an_agent_has_sixteen_windows(coordinator, limiter):
    for i in range(1, 17):
        limiter.set_rate_limit("bot", 1, timedelta(seconds=i))
    with pytest.raises(ConfigurationError, match='agent "bot" has 16 windows and gets no more: remove one'):
        limiter.set_rate_limit("bot", 1, timedelta(seconds=17))
    limiter.set_rate_limit("bot", 2, timedelta(seconds=16))  # one that it has
    assert limiter.remove_rate_limit("bot", timedelta(seconds=1)) == 1
    limiter.set_rate_limit("bot", 1, timedelta(seconds=17))
    assert len(limiter.get_rate_limits("bot")) == 16


@pytest.mark.parametrize("wrong", [True, 1, 60.0, "60"])
def test_a_window_is_a_timedelta(coordinator, limiter, wrong):
    with pytest.raises(ConfigurationError, match="time_window must be a timedelta"):
        limiter.set_rate_limit("bot", 1, wrong)


def test_pools_are_made_in_constant_time():
    coordinator = BudgetCoordinator()
    numbers = itertools.count()

    def more(many):
        for number in itertools.islice(numbers, many):
            coordinator.create_budget_pool("team", 1, pool_id=f"team-{number}")

    few = fastest(lambda: more(300), times=3)
    more(6_000)
    assert fastest(lambda: more(300), times=3) < 5 * few
    with pytest.raises(ConfigurationError, match="pool_id must have"):
        coordinator.create_budget_pool("", 1)


def test_pins_are_added_in_constant_time():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 1)
    agents = [coordinator.register_agent(f"agent {i}", "team") for i in range(20_000)]
    few = fastest(lambda: [coordinator.pin(agent) for agent in agents[:1_000]], times=3)
    for agent in agents:
        coordinator.pin(agent)
    assert fastest(lambda: [coordinator.pin(agent) for agent in agents[-1_000:]], times=3) < 5 * few
    assert coordinator.pinned == frozenset(agents)
    coordinator.unpin(agents[0])
    coordinator.unregister_agent(agents[1])
    assert coordinator.pinned == frozenset(agents[2:])


def test_falling_deadlines_expire_in_linear_time():
    def expire(many):
        clock = ManualClock()
        coordinator = BudgetCoordinator(clock=clock)
        coordinator.create_budget_pool("team", 10**9)
        coordinator.register_agent("bot", "team", initial_budget=10**9)
        kept = [coordinator.reserve("bot", 1, ttl_seconds=900 - i / 10**4) for i in range(many)]
        clock.advance(901)
        start = time.process_time()
        assert coordinator.expire() == many
        took = time.process_time() - start
        assert kept[0].state == "expired"
        coordinator.verify()
        return took

    # A step for each that waits would take more than a second.
    assert min(expire(80_000) for _ in range(2)) < 0.4


def test_a_refused_attempt_does_not_look_for_the_time_of_the_next(clock, coordinator, limiter):
    coordinator.update_pool_budget("team", 10**9)
    coordinator.update_budget("bot", 10**9)
    limiter.set_rate_limit("bot", 100_000, timedelta(hours=1), exact=True)
    refused = lambda: [coordinator.try_debit("bot", 100_000) for _ in range(200)]  # noqa: E731
    limiter.acquire("bot", 1)
    few = fastest(refused)
    for _ in range(60_000):
        clock.advance(0.001)
        limiter.acquire("bot", "0.5")
    kept = [coordinator.reserve("bot", "0.5") for _ in range(30_000)]
    assert fastest(refused) < 5 * few
    with pytest.raises(RateLimitExceededError) as caught:
        coordinator.debit("bot", 80_000)
    assert caught.value.retry_after == limiter.get_retry_after("bot", 80_000) > 0
    clock.advance(caught.value.retry_after)
    assert coordinator.try_debit("bot", 80_000)
    assert kept[0].state in {"active", "expired"}


def test_the_time_to_retry_counts_no_reservation_whenever_it_ends(clock, coordinator, limiter):
    limiter.set_rate_limit("bot", 1, timedelta(seconds=100))
    limiter.acquire("bot", "0.25")
    with coordinator.reserve("bot", "0.25"):
        late = coordinator.reserve("bot", "0.25", ttl_seconds=500)
        soon = coordinator.reserve("bot", "0.25", ttl_seconds=50)
        times = [limiter.get_retry_after("bot", part) for part in ("0.25", "0.50", "0.75", "1")]
        assert times == [0, 0, 0, 100]  # any of them may be released at once
        late.release()
        soon.release()


def test_keys_keep_no_history_of_agents_that_have_left():
    coordinator = BudgetCoordinator(history_events=1_000)
    coordinator.create_budget_pool("team", 10**9)
    resources = MultiResourceBudget(coordinator)
    alive = []
    for i in range(300):
        agent = coordinator.register_agent(f"agent {i}", "team", initial_budget=10**6)
        resources.initialize_budgets(agent, {"calls": 10})
        coordinator.debit(agent, 1, idempotency_key=f"debit {i}")
        coordinator.reserve(agent, 1, idempotency_key=f"reserve {i}").settle(1)
        resources.reserve(agent, {"calls": 1}, idempotency_key=f"reserve {i}").settle({"calls": 1})
        alive.append(coordinator.account(agent))
        coordinator.unregister_agent(agent)
    # Keys of those who have left stay used.
    coordinator.register_agent("agent 0", "team", initial_budget=10)
    resources.initialize_budgets("agent 0", {"calls": 10})
    for use in (
        lambda: coordinator.debit("agent 0", 1, idempotency_key="debit 0"),
        lambda: coordinator.reserve("agent 0", 1, idempotency_key="reserve 0"),
        lambda: resources.reserve("agent 0", {"calls": 1}, idempotency_key="reserve 0"),
    ):
        with pytest.raises(IdempotencyConflictError):
            use()
    with pytest.raises(UnknownAgentError):
        alive[0].reserve(1, idempotency_key="reserve 0")
    coordinator.verify()


def rows_of(text, path, packed):
    data = text.encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


@pytest.mark.parametrize(
    ("head", "line"),
    [("hour,agent,cost_usd\n", "0,{},1\n"), ("hour,agent,cost_usd\n", '0,"{}",1\n'), ("", "{}")],
)
@pytest.mark.parametrize("fill", ["a" * (16 << 20), "," * (16 << 20)])
def test_a_long_row_of_recorded_demand_is_refused(tmp_path, head, line, fill):
    path = rows_of(head + line.format(fill), tmp_path / "demand.csv.gz", packed=True)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(TraceError, match="a row is longer than 1,048,576 characters") as caught:
            Demand.read_csv(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.collect()
    assert caught.value.line == 1 + bool(head)
    assert peak < 16 << 20, f"{peak >> 20} MiB to refuse a line"


def test_a_row_of_many_lines_is_refused(tmp_path):
    text = "hour,agent,cost_usd\n0," + ('"' + "a" * 998 + '\n",') * 2_000
    path = rows_of(text, tmp_path / "demand.csv.gz", packed=True)
    with pytest.raises(TraceError, match="a row is longer"):
        Demand.read_csv(path)


def test_a_long_row_of_a_trace_is_refused(tmp_path):
    path = rows_of("t_s,agent,cost\n0,a,1\n1," + "a" * (2 << 20), tmp_path / "trace.csv", packed=False)
    with pytest.raises(TraceError, match="a row is longer") as caught:
        Trace.load(path)
    assert caught.value.line == 3


def test_a_long_row_of_capacities_is_refused(tmp_path):
    path = rows_of("1,2\n" + "1," * (1 << 20), tmp_path / "capacities.csv", packed=False)
    with pytest.raises(ConfigurationError, match=r"line 2: a row is longer than 1,048,576 characters"):
        read_capacities(path)


def test_long_tables_of_short_rows_are_read(tmp_path):
    lines = [f"{i // 1_000},agent {i % 1_000},{i}" for i in range(100_000)]
    text = "\n".join(["hour,agent,cost_usd", *lines, "", ""])
    demand = Demand.read_csv(rows_of(text, tmp_path / "demand.csv", packed=False))
    assert (len(demand.agents), demand.hours) == (1_000, 100)
    assert Decimal(float(demand.cost.sum())) == sum(range(100_000))

"""Batches: each item as one debit, in turn; a malformed item refuses all of them beforehand."""

import random
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    BudgetCoordinator,
    ConfigurationError,
    ManualClock,
    NotificationManager,
    UnknownAgentError,
)

BILLION = 10**9


def arrays(handles, units):
    return np.array(handles, dtype=np.uint32), np.array(units, dtype=np.int64)


@pytest.fixture
def handle(coordinator):
    return coordinator.handle("bot")


def test_in_order(coordinator, handle):
    admitted = coordinator.debit_many(*arrays([handle] * 4, [6 * 10**8, 5 * 10**8, 4 * 10**8, 0]))
    assert (admitted.dtype, admitted.shape) == (np.bool_, (4,))
    assert admitted.tolist() == [True, False, True, True]
    assert (coordinator.get_budget("bot"), coordinator.get_pool_budget("team")) == (0, 9)


def test_as_single_debits_are():
    rng = random.Random(7)
    worlds = []
    for _ in range(2):
        coordinator = BudgetCoordinator(clock=ManualClock())
        top = coordinator.create_budget_pool("top", 60)
        pools = [coordinator.create_budget_pool(f"pool {i}", 25, parent_id=top) for i in range(4)]
        for i in range(40):
            coordinator.register_agent(f"agent {i}", pools[i % 4], initial_budget=3)
        worlds.append(coordinator)
    names = [f"agent {rng.randrange(40)}" for _ in range(2_000)]
    units = [rng.randrange(2 * 10**8) for _ in names]
    single, batch = worlds
    expected = [single.try_debit(name, Decimal(n).scaleb(-9)) for name, n in zip(names, units, strict=True)]
    admitted = batch.debit_many(*arrays([batch.handle(name) for name in names], units))
    assert admitted.tolist() == expected
    assert 0 < sum(expected) < len(expected)
    for name in set(names):
        assert single.get_agent_metrics(name) == batch.get_agent_metrics(name)
    batch.verify()


def test_history_and_windows(coordinator, limiter, handle):
    limiter.set_rate_limit("bot", "0.5", timedelta(minutes=1))
    admitted = coordinator.debit_many(*arrays([handle] * 3, [3 * 10**8] * 3), operation_type="batch")
    assert admitted.tolist() == [True, False, False]
    history = coordinator.get_agent_usage_history("bot", operation_type="batch")
    assert sum(event.amount for event in history) == Decimal("0.3")
    assert limiter.get_rate_limits("bot")[0].spent == Decimal("0.3")


def test_nothing_at_all(coordinator):
    admitted = coordinator.debit_many(*arrays([], []))
    assert (admitted.dtype, admitted.shape) == (np.bool_, (0,))


@pytest.mark.parametrize(
    ("handles", "units", "error", "why"),
    [
        ([0, 0], [1, -1], ConfigurationError, r"units\[1\] is -1: an amount must not be negative"),
        ([0, 7], [1, 1], UnknownAgentError, r"handle 7 names no registered agent: ask handle\(agent_id\)"),
        ([0, 2**32 - 1], [1, 1], UnknownAgentError, "names no registered agent"),
        ([0, 0], [1], ConfigurationError, "handles has 2 items and units 1: they must match"),
    ],
)
def test_a_malformed_item_refuses_the_whole_call(coordinator, handles, units, error, why):
    before = coordinator.get_agent_metrics("bot"), coordinator.get_agent_events("bot")
    with pytest.raises(error, match=why):
        coordinator.debit_many(*arrays(handles, units))
    assert (coordinator.get_agent_metrics("bot"), coordinator.get_agent_events("bot")) == before


@pytest.mark.parametrize(
    "handles",
    [
        [0],
        (0,),
        0,
        None,
        "0",
        np.array([0], dtype=np.int64),
        np.array([0], dtype=np.int32),
        np.array([0.0]),
        np.array([[0]], dtype=np.uint32),
        np.array(0, dtype=np.uint32),
        np.array([0], dtype=">u4"),
        np.array([True]),
        np.array(["0"]),
        np.array([0], dtype=object),
        np.ma.masked_array([0], dtype=object),
    ],
    ids=repr,
)
def test_other_handles_are_type_errors_that_say_what_to_do(coordinator, handles):
    with pytest.raises(
        TypeError, match=r"handles must be a numpy array of shape \(n,\) and dtype uint32, not"
    ):
        coordinator.debit_many(handles, np.array([1]))


@pytest.mark.parametrize(
    "units",
    [[1], np.array([1.0]), np.array([1], dtype=np.uint64), np.array([[1]]), np.array([Decimal(1)])],
    ids=repr,
)
def test_other_units_are_type_errors_that_say_what_to_do(coordinator, units):
    with pytest.raises(TypeError, match=r"numpy.asarray\(units, dtype=numpy.int64\)"):
        coordinator.debit_many(np.zeros(1, dtype=np.uint32), units)


def test_views_of_any_stride(coordinator, handle):
    coordinator.update_budget("bot", 10)
    handles = np.full((6, 2), handle, dtype=np.uint32)
    units = np.arange(12, dtype=np.int64) * 10**8
    expected = units[::-2]
    admitted = coordinator.debit_many(handles[:, 1], expected)
    assert admitted.all()
    spent = coordinator.get_agent_metrics("bot").spent
    assert spent == Decimal(int(expected.sum())).scaleb(-9)
    frozen = np.array([1])
    frozen.flags.writeable = False
    assert coordinator.debit_many(handles[:1, 0], frozen).tolist() == [True]


def test_the_largest_units(coordinator, handle):
    assert coordinator.debit_many(*arrays([handle], [2**63 - 1])).tolist() == [False]


def test_an_old_handle_never_names_another_agent(coordinator):
    seen = set()
    for _ in range(600):
        handle = coordinator.handle("bot")
        assert handle not in seen
        seen.add(handle)
        coordinator.unregister_agent("bot")
        coordinator.register_agent("bot", "team", initial_budget=1)
        with pytest.raises(UnknownAgentError):
            coordinator.debit_many(*arrays([handle], [1]))


def test_a_batch_tells_of_every_crossing():
    manager = NotificationManager(max_alerts=20_000)
    coordinator = BudgetCoordinator(manager)
    coordinator.create_budget_pool("team", 10**9)
    agents = [coordinator.register_agent(f"agent-{n}", "team", initial_budget=10) for n in range(10_000)]
    handles = np.array([coordinator.handle(agent) for agent in agents], np.uint32)
    coordinator.debit_many(handles, np.full(10_000, 9_000_000_000))
    assert {alert.account for alert in manager.get_alerts()} == set(agents)

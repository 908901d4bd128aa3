"""Errors are an interface: one tree, with fields, a next step, and a way over process borders."""

import copy
import inspect
import json
import math
import multiprocessing
import pickle
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    BudgetCoordinator,
    BudgetRateLimiter,
    CostBenefitAllocator,
    Decision,
    MultiResourceBudget,
    exceptions,
)
from safeguards.exceptions import (
    AccountSuspendedError,
    BudgetError,
    BudgetExceededError,
    ConfigurationError,
    IdempotencyConflictError,
    IdempotencyInProgressError,
    InfeasibleAllocationError,
    InvalidAmountError,
    PinnedError,
    RateLimitExceededError,
    RefundError,
    ReservationError,
    SafeguardsError,
    UnknownAgentError,
    UnknownPoolError,
    UnknownResourceError,
)

TREE = {
    "SafeguardsError": (Exception,),
    "MissingExtraError": (exceptions.SafeguardsError, ImportError),
    "ThreadStartError": (exceptions.SafeguardsError, RuntimeError),
    "BudgetError": (SafeguardsError,),
    "BudgetExceededError": (BudgetError,),
    "AccountSuspendedError": (BudgetExceededError,),
    "RateLimitExceededError": (BudgetError,),
    "ReservationError": (BudgetError,),
    "RefundError": (BudgetError,),
    "UnknownAgentError": (BudgetError, KeyError),
    "UnknownPoolError": (BudgetError, KeyError),
    "UnknownResourceError": (BudgetError, KeyError),
    "InvalidAmountError": (BudgetError, ValueError),
    "IdempotencyConflictError": (BudgetError,),
    "IdempotencyInProgressError": (BudgetError,),
    "ConfigurationError": (BudgetError, ValueError),
    "ArgumentTypeError": (ConfigurationError, TypeError),
    "InfeasibleAllocationError": (ConfigurationError,),
    "ControllerBusyError": (BudgetError, RuntimeError),
    "RewardError": (BudgetError, ValueError),
    "PinnedError": (BudgetError,),
    "BooksError": (BudgetError,),
    "ClosedError": (BudgetError,),
    "JournalError": (BudgetError,),
    "TraceError": (BudgetError, ValueError),
}
CLASSES = [getattr(exceptions, name) for name in exceptions.__all__]


def test_the_tree():
    assert {cls.__name__: cls.__bases__ for cls in CLASSES} == TREE
    assert all(name in exceptions.__doc__ for name in TREE)


@pytest.mark.parametrize("cls", CLASSES)
def test_no_error_is_one_that_clients_retry_on_their_own(cls):
    assert not issubclass(cls, OSError | TimeoutError | ConnectionError)


def filled(cls):
    values = {name: Decimal("0.10") for name in cls.fields}
    names = ("account", "argument", "value", "idempotency_key", "state", "resource", "thread")
    texts = dict.fromkeys(names, "text")
    others = {
        "retry_after": 1.5,
        "time_window": 60.0,
        "reservation": 7,
        "violations": [("bot", "wrong")],
        "known": ["cpu"],
    }
    values |= {name: value for name, value in (texts | others).items() if name in values}
    return cls("what happened: what to do", **values)


def same(one, other):
    return type(one) is type(other) and str(one) == str(other) and vars(one) == vars(other)


def echo(error):
    return error


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_are_copied_and_pickled_with_all_they_know(cls):
    error = filled(cls)
    error.add_note("seen twice")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert same(pickle.loads(pickle.dumps(error, protocol)), error)  # noqa: S301 - our own
    assert same(copy.copy(error), error) and same(copy.deepcopy(error), error)
    assert error.__notes__ == ["seen twice"]


def test_errors_travel_between_processes():
    errors = [filled(cls) for cls in CLASSES]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        returned = pool.map_async(echo, errors).get(timeout=60)
    assert all(map(same, returned, errors))


@pytest.mark.parametrize("cls", CLASSES)
def test_to_dict_is_ready_for_json(cls):
    error = filled(cls)
    plain = json.loads(json.dumps(error.to_dict(), allow_nan=False))
    assert plain["error"] == cls.__name__ and plain["message"] == "what happened: what to do"
    assert set(plain) == {"error", "message", *cls.fields}
    if "limit" in plain:
        assert plain["limit"] == "0.10"


def test_never_is_ready_for_json():
    error = RateLimitExceededError("never", retry_after=math.inf)
    assert json.dumps(error.to_dict(), allow_nan=False)
    assert error.to_dict()["retry_after"] == "inf"
    assert BudgetExceededError("e", requested=Decimal("1E-9")).to_dict()["requested"] == "0.000000001"


@pytest.mark.parametrize("cls", [UnknownAgentError, UnknownPoolError])
def test_key_errors_show_their_message_without_quotes(cls):
    assert str(cls("no agent")) == "no agent"


def test_a_field_that_no_error_has_is_a_mistake():
    with pytest.raises(TypeError, match="BudgetError has no field colour"):
        BudgetError("no", colour="red")


def raised(function, *args, **kwargs):
    with pytest.raises(BudgetError) as caught:
        function(*args, **kwargs)
    return caught.value


def refused_later(c):
    """What is refused because of what was done before."""
    working = c.reserve("bot", "0.01", idempotency_key="working").__enter__()
    yield IdempotencyInProgressError, lambda: c.reserve("bot", "0.01", idempotency_key="working")
    working.release()
    yield RefundError, c.refund, "another key"
    yield RefundError, c.refund, "key", 1
    c.suspend("poor", actor="a person", reason="a test")
    yield AccountSuspendedError, c.debit, "poor", 1
    c.resume("poor")


def provoked(coordinator, limiter):
    """Every way in which the core refuses, and the class that says so."""
    c = coordinator
    c.register_agent("poor", "team")
    released, settled, reject = (c.reserve("bot", "0.1", overage="reject") for _ in range(3))
    released.release()
    settled.settle("0.05")
    c.debit("bot", "0.01", idempotency_key="key")
    handles = np.array([10_000], dtype=np.uint32)
    yield UnknownAgentError, c.debit, "nobody", 1
    c.create_budget_pool("pinned", 1)
    c.pin("pinned")
    yield PinnedError, c.execute, Decision("pool", "pinned", Decimal(1), Decimal(2), "a test")
    yield UnknownPoolError, c.get_pool_budget, "nowhere"
    yield UnknownResourceError, MultiResourceBudget(c).debit, "bot", {"tokens": 1}
    yield UnknownAgentError, c.debit_many, handles, np.array([1])
    yield UnknownAgentError, c.release_many, handles, np.array([1], dtype=np.uint64)
    yield ConfigurationError, c.register_agent, "bot", "team"
    yield ConfigurationError, lambda: c.create_budget_pool("team", 1, pool_id="team")
    yield ConfigurationError, c.transfer, "bot", "bot", 0
    yield ConfigurationError, c.update_period_budget, "team", 1
    yield ConfigurationError, c.unregister_agent, "bot"
    yield ConfigurationError, lambda: c.create_budget_pool("x", 1, budget_period="fortnightly")
    yield ConfigurationError, lambda: c.create_budget_pool("x", 1, timezone="Nowhere/Land")
    yield ConfigurationError, lambda: c.create_budget_pool("x", 1, timezone=5)
    yield ConfigurationError, lambda: c.create_budget_pool("x", 1, budget_period=timedelta(0))
    yield ConfigurationError, lambda: c.create_budget_pool("x", 1, priority=11)
    yield ConfigurationError, lambda: c.reserve("bot", 0, ttl_seconds=-1)
    yield ConfigurationError, lambda: c.reserve("bot", 0, overage="maybe")
    yield IdempotencyConflictError, lambda: c.debit("bot", "0.02", idempotency_key="key")
    yield ReservationError, released.settle, 1
    yield ReservationError, settled.settle, 1
    yield ReservationError, settled.release
    yield ReservationError, settled.__enter__
    yield from refused_later(c)
    yield BudgetExceededError, c.debit, "poor", 1
    yield BudgetExceededError, c.transfer, "poor", "bot", 1
    yield BudgetExceededError, reject.settle, 1
    limiter.set_rate_limit("bot", "0.5", timedelta(minutes=1))
    yield RateLimitExceededError, c.debit, "bot", "0.6"
    yield RateLimitExceededError, limiter.acquire, "bot", "0.6"
    yield InvalidAmountError, c.debit, "nobody", -1
    yield ConfigurationError, limiter.set_rate_limit, "bot", 1, timedelta(0)
    yield ConfigurationError, limiter.set_rate_limit, "bot", 10**11, timedelta(1)
    yield UnknownAgentError, c.pin, "nobody"
    allocator = CostBenefitAllocator(c)
    allocator.register_operation("bot", "work", 1, 2, max_volume=5)
    yield InfeasibleAllocationError, allocator.optimize_allocation, 10, 0.6
    reject.release()


def test_every_refusal_has_its_class_its_fields_and_a_next_step(coordinator, limiter):
    for cls, function, *args in provoked(coordinator, limiter):
        error = raised(function, *args)
        assert type(error) is cls, error
        assert set(error.fields) <= set(vars(error))
        assert len(str(error)) > 30, error
        next_step = (": ", "; ", "must ", "between ", "'")
        assert any(mark in str(error) for mark in next_step), f"no next step: {error}"
        assert "None" not in str(error) and "Some(" not in str(error)
        json.dumps(error.to_dict(), allow_nan=False)


def test_the_fields_of_a_refused_budget(coordinator):
    coordinator.debit("bot", "0.25")
    held = coordinator.reserve("bot", "0.50")
    error = raised(coordinator.debit, "bot", "0.30")
    assert type(error) is BudgetExceededError
    assert {name: getattr(error, name) for name in error.fields} == {
        "account": "bot",
        "budget": Decimal("0.25"),
        "limit": Decimal(1),
        "spent": Decimal("0.25"),
        "reserved": Decimal("0.5"),
        "requested": Decimal("0.3"),
        "available": Decimal("0.25"),
        "currency": "USD",
        "retry_after": 900.0,
        "resource": None,
        "asked_by": "bot",
        "path": ["bot", "team"],
        "in_flight": Decimal("0.5"),
        "kept": Decimal(0),
        "waited": None,
    }
    assert str(error) == (
        'agent "bot" cannot pay 0.3: 0.25 of 1 remain (0.25 spent, 0.5 reserved); '
        "raise it with update_budget or transfer, or wait for what is reserved with timeout="
    )
    held.release()


def test_the_account_on_the_path_that_refused_is_named(coordinator):
    coordinator.update_budget("bot", 100)
    error = raised(coordinator.debit, "bot", 11)
    assert (error.account, error.available) == ("team", Decimal(10))
    assert "update_pool_budget" in str(error)
    coordinator.create_budget_pool("hourly", 1, budget_period="hourly", timezone="UTC")
    coordinator.register_agent("worker", "hourly", initial_budget=5)
    error = raised(coordinator.debit, "worker", 2)
    assert (error.account, error.retry_after) == ("hourly", 3600.0)
    assert "granted anew in 3600 s" in str(error)


def test_the_fields_of_a_full_window(coordinator, limiter, clock):
    limiter.set_rate_limit("bot", "0.50", timedelta(minutes=1))
    coordinator.debit("bot", "0.40")
    clock.advance(15)
    error = raised(coordinator.debit, "bot", "0.20")
    assert (error.account, error.limit, error.spent) == ("bot", Decimal("0.5"), Decimal("0.4"))
    assert (error.requested, error.available) == (Decimal("0.2"), Decimal("0.1"))
    assert (error.retry_after, error.time_window) == (45.0, 60.0)
    assert "it fits in 45 s" in str(error)
    assert raised(coordinator.debit, "bot", "0.60").retry_after == math.inf


def test_the_fields_of_a_closed_reservation_and_a_conflict(coordinator):
    reservation = coordinator.reserve("bot", "0.5", idempotency_key="key")
    reservation.settle("0.2")
    error = raised(reservation.settle, "0.3")
    assert (error.account, error.reservation, error.state) == ("bot", 1, "settled")
    error = raised(coordinator.debit, "bot", "0.5", idempotency_key="key")
    assert error.idempotency_key == "key"
    with coordinator.reserve("bot", "0.1", idempotency_key="working"):
        error = raised(coordinator.reserve, "bot", "0.1", idempotency_key="working")
    assert (error.idempotency_key, error.retry_after) == ("working", 1.0)
    assert error.to_dict()["retry_after"] == 1.0
    assert str(error) == (
        'what was reserved under idempotency key "working" is at work in a with block: '
        "ask again when that has ended"
    )


def test_every_error_of_the_core_is_mapped():
    """The compiler asks the map for each variant; here each class is reached."""
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    seen = {case[0] for case in provoked(coordinator, BudgetRateLimiter(coordinator)) if raised(*case[1:])}
    # These are raised as they are, too.
    leaves = {BudgetExceededError, ConfigurationError} | {
        cls for cls in CLASSES if not any(issubclass(c, cls) and c is not cls for c in CLASSES)
    }
    assert seen == leaves - {
        exceptions.ArgumentTypeError,
        exceptions.BooksError,
        exceptions.ClosedError,
        exceptions.JournalError,
        exceptions.ControllerBusyError,
        exceptions.MissingExtraError,
        exceptions.ThreadStartError,
        exceptions.TraceError,
        exceptions.RewardError,
    }


def test_errors_document_their_fields():
    for cls in CLASSES:
        for field in cls.fields:
            assert any(f"{field}:" in (inspect.getdoc(parent) or "") for parent in cls.__mro__), (cls, field)

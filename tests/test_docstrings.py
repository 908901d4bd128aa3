"""Every example in a docstring runs, its output compared; the stub says what the compiled module says."""

import doctest
import importlib
import inspect
import pkgutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

import safeguards
import sync_stub_docs
from safeguards import (
    BudgetCoordinator,
    BudgetRateLimiter,
    ManualClock,
    MultiResourceBudget,
    SystemClock,
    _native,
)

FLAGS = doctest.ELLIPSIS
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(safeguards.__path__, "safeguards.")
    if "_native" not in name and ".cli" not in name and "__main__" not in name
]


def native_documented():
    for name, thing in vars(_native).items():
        if inspect.isclass(thing) or inspect.isroutine(thing):
            yield name, thing
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if not member.startswith("_"):
                    yield f"{name}.{member}", value


NATIVE = dict(sorted(native_documented()))  # the order of a compiled class differs from run to run


def native_namespace():
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    limiter = BudgetRateLimiter(coordinator)
    limiter.set_rate_limit("bot", 1, timedelta(minutes=1))
    windowless = BudgetCoordinator(clock=clock)
    windowless.create_budget_pool("team", 10)
    windowless.register_agent("bot", "team", initial_budget=1)
    names = {"clock": clock, "coordinator": windowless, "amount_units": _native.amount_units}
    classes = {"ManualClock": ManualClock, "SystemClock": SystemClock, "Decimal": Decimal}
    classes |= {"np": np, "NextHour": _native.NextHour, "max_min_shares": _native.max_min_shares}
    classes |= {"QTable": _native.QTable, "best_budgets": _native.best_budgets}
    zones = ("time_zone_name", "time_zone_rules", "check_local_time_zone")
    classes |= {name: getattr(_native, name) for name in zones}
    times = {"datetime": datetime, "timedelta": timedelta, "UTC": UTC}
    multi_resource = MultiResourceBudget(windowless)
    multi_resource.initialize_budgets("bot", {"calls": 100, "seconds": 10})
    names["multi_resource"] = multi_resource
    return {**names, **classes, **times}, {"coordinator": coordinator, "limiter": limiter}


def run(doc, namespace, name):
    output = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    test = doctest.DocTestParser().get_doctest(doc, namespace, name, None, None)
    runner.run(test, out=output.append)
    assert runner.failures == 0, "".join(output)
    return runner.tries


@pytest.mark.parametrize("name", ["safeguards", *MODULES])
def test_examples_of_modules(name):
    module = importlib.import_module(name)
    tests = doctest.DocTestFinder(exclude_empty=True).find(module, name)
    for test in tests:
        run(test.docstring, dict(vars(module)), test.name)


@pytest.mark.parametrize("name", NATIVE)
def test_examples_of_the_compiled_module(name):
    namespace, limited = native_namespace()
    if name.startswith("RateLimiter"):
        namespace |= limited
    tries = run(inspect.cleandoc(NATIVE[name].__doc__ or ""), namespace, name)
    # What a Python class wraps is shown by that class.
    wrapped = name.startswith(
        (
            "Empty",
            "Allocation",
            "FairAllocation",
            "PoolMembers",
            "UsageLearner",
            "execute_decision",
            "fair_tasks",
            "forecast_usage",
            "simulate_allocation",
            "split_budget",
        )
    )
    takes_arguments = inspect.isroutine(NATIVE[name]) and not wrapped
    plain = {"SystemClock.now", "SystemClock.monotonic", "ManualClock.now", "ManualClock.monotonic"}
    if takes_arguments and name not in plain | {"reads_decimals_in_place"}:
        assert tries > 0, f"{name} has no example"


@pytest.mark.parametrize("name", NATIVE)
def test_everything_compiled_has_a_docstring(name):
    assert NATIVE[name].__doc__, name


def test_the_stub_has_the_docstrings_of_the_compiled_module():
    stub = sync_stub_docs.STUB.read_text(encoding="utf-8")
    assert sync_stub_docs.with_docs(stub) == stub, "run `make stub-docs`"


def test_help_shows_the_semantics():
    assert "all of them or none" in BudgetCoordinator.debit.__doc__
    assert "RateLimitExceededError" in BudgetCoordinator.debit.__doc__
    signature = str(inspect.signature(BudgetCoordinator.debit))
    expected = "agent_id, amount, *, also=None, operation_type=None, idempotency_key=None, timeout=None"
    assert signature == f"(self, /, {expected})"

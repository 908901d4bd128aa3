"""Every public name is exported and documented, compiled classes are frozen, signatures are the guide's."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import warnings
from decimal import Decimal
from pathlib import Path

import pytest

import safeguards
from safeguards import (
    AgentPriority,
    BudgetCoordinator,
    BudgetRateLimiter,
    ManualClock,
    MultiResourceBudget,
    NotificationManager,
    _native,
    types,
)
from safeguards._native import Ledger

MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(safeguards.__path__, "safeguards.")
    if "._" not in name and ".cli" not in name
]


@pytest.mark.parametrize("name", ["safeguards", *MODULES])
def test_all_is_complete_and_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__, name
    exported = getattr(module, "__all__", [])
    assert len(set(exported)) == len(exported)
    for public in exported:
        thing = getattr(module, public)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            assert thing.__doc__, f"{name}.{public} has no docstring"
    defined = {
        public
        for public, thing in vars(module).items()
        if getattr(thing, "__module__", None) == name and not public.startswith("_")
    }
    assert defined <= set(exported), f"not in __all__: {defined - set(exported)}"


def test_names_that_are_imported_later_are_exported_and_nothing_else_is_there():
    packages = {name.split(".")[1] for name in MODULES} | {"cli"}
    assert set(safeguards._LATER) <= set(safeguards.__all__)
    assert dir(safeguards) == sorted(packages | set(safeguards.__all__))
    assert safeguards.Controller is importlib.import_module("safeguards.core.controller").Controller
    with pytest.raises(AttributeError, match="module 'safeguards' has no attribute 'Ledgerr'"):
        _ = safeguards.Ledgerr


REACHING = """
import sys, safeguards
for name in sys.argv[1:]:
    found = safeguards
    for part in name.split(".")[1:]:
        assert part in dir(found), name
        found = getattr(found, part)
    assert found is sys.modules[name] or name == "safeguards.testing.replay", name  # a function of that name
"""


def test_every_public_module_is_there_once_the_package_is_imported():
    subprocess.run([sys.executable, "-c", REACHING, *MODULES], check=True)
    for module in (safeguards, safeguards.backtest, safeguards.core):
        with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute '_later_on'"):
            _ = module._later_on
    with pytest.raises(AttributeError, match="has no attribute 'data'"):
        _ = safeguards.data  # a folder, and no package


def test_the_package_exports_what_its_modules_do():
    for name in MODULES:
        if name.endswith(".plots"):
            continue  # edges, which are imported by their own path
        for public in getattr(importlib.import_module(name), "__all__", []):
            if public in {"Change", "DecisionStatus", "EventKind", "HandlerFailure"}:
                continue  # seen in annotations and results only
            if name.split(".")[1] in {"core", "budget", "types", "exceptions"}:
                assert public in safeguards.__all__, f"{name}.{public}"


def public_members():
    for name in safeguards.__all__:
        cls = getattr(safeguards, name)
        for member in dir(cls):
            if not member.startswith("_") and not hasattr(BaseException, member):
                yield f"{name}.{member}"


@pytest.mark.parametrize("path", sorted(set(public_members())))
def test_every_public_member_is_documented(path):
    name, member = path.split(".")
    cls, value = getattr(safeguards, name), inspect.getattr_static(getattr(safeguards, name), member)
    fields = {field.name for field in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    documented = set(getattr(cls, "fields", ())) if issubclass(cls, Exception) else set()
    if member in fields or member == "fields" or member in documented or not callable(value):
        text = " ".join(parent.__doc__ or "" for parent in cls.__mro__) + (value.__doc__ or "")
        assert text, path
    else:
        assert inspect.getdoc(value), path


def test_compiled_classes_are_frozen():
    sources = Path(__file__).parents[1].glob("rust/safeguards-py/src/**/*.rs")
    attributes = [
        m
        for path in sources
        for m in re.findall(r"#\[pyclass\((.*?)\)\]", path.read_text(encoding="utf-8"), re.DOTALL)
    ]
    compiled = [thing for thing in vars(_native).values() if inspect.isclass(thing)]
    assert len(attributes) == len(compiled)
    assert all("frozen" in attribute.split(", ") for attribute in attributes), attributes


def test_no_value_of_a_receipt_or_a_reservation_can_be_set(coordinator):
    receipt = coordinator.debit("bot", "0.1")
    with pytest.raises(AttributeError):
        receipt.amount = 2
    with coordinator.reserve("bot", "0.1") as reservation, pytest.raises(AttributeError):
        reservation.amount = 0


def test_priorities():
    assert {p.name: p.value for p in AgentPriority} == {
        "MINIMAL": 1,
        "LOW": 3,
        "MEDIUM": 5,
        "HIGH": 8,
        "CRITICAL": 10,
    }


def parameters(function):
    return {
        name: (parameter.default if parameter.default is not inspect.Parameter.empty else ...)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self"
    }


OF_WINDOWS = {"resource": None, "kind": None}

SIGNATURES = {
    BudgetCoordinator: {
        "notification_manager": None,
        "clock": None,
        "history_events": 64,
        "history_sums": 512,
        "currency": "USD",
        "patience": 1.0,
    },
    BudgetCoordinator.create_budget_pool: {
        "name": ...,
        "initial_budget": ...,
        "priority": 5,
        "parent_id": None,
        "pool_id": None,
        "budget_period": None,
        "timezone": None,
        "exist_ok": False,
        "anchor_day": 1,
        "anchor_hour": 0,
        "rollover": "none",
        "overdraft": "carry",
        "overdraft_limit": None,
        "enforcement": "enforce",
    },
    BudgetCoordinator.register_agent: {
        "agent_id": ...,
        "pool_id": ...,
        "priority": 5,
        "initial_budget": 0,
        "exist_ok": False,
        "budget_period": None,
        "timezone": None,
        "anchor_day": 1,
        "anchor_hour": 0,
        "rollover": "none",
        "overdraft": "carry",
        "overdraft_limit": None,
        "max_budget": None,
        "enforcement": "enforce",
    },
    BudgetCoordinator.register_agents: {
        "agents": ...,
        "pool_id": None,
        "priority": 5,
        "initial_budget": 0,
        "exist_ok": False,
    },
    BudgetCoordinator.reservation: {"reservation_id": ...},
    BudgetCoordinator.reservations: {"agent_id": None},
    BudgetCoordinator.get_pool_info: {"pool_id": ...},
    BudgetCoordinator.unregister_agent: {"agent_id": ...},
    BudgetCoordinator.get_budget: {"agent_id": ...},
    BudgetCoordinator.get_available: {"agent_id": ...},
    BudgetCoordinator.update_budget: {"agent_id": ..., "budget": ...},
    BudgetCoordinator.get_pool_budget: {"pool_id": ...},
    BudgetCoordinator.update_pool_budget: {"pool_id": ..., "budget": ...},
    BudgetCoordinator.debit: {
        "agent_id": ...,
        "amount": ...,
        "also": None,
        "operation_type": None,
        "idempotency_key": None,
        "timeout": None,
    },
    BudgetCoordinator.try_debit: {
        "agent_id": ...,
        "amount": ...,
        "also": None,
        "operation_type": None,
        "idempotency_key": None,
    },
    BudgetCoordinator.reserve: {
        "agent_id": ...,
        "amount": ...,
        "also": None,
        "ttl_seconds": 900,
        "overage": "allow_with_overdraft",
        "operation_type": None,
        "idempotency_key": None,
        "on_cancel": None,
        "on_error": None,
        "cut_off": None,
        "timeout": None,
    },
    BudgetCoordinator.transfer: {"from_agent_id": ..., "to_agent_id": ..., "amount": ...},
    BudgetCoordinator.debit_many: {"handles": ..., "units": ..., "operation_type": None},
    BudgetCoordinator.reserve_many: {
        "handles": ...,
        "units": ...,
        "ttl_seconds": 900,
        "overage": "allow_with_overdraft",
        "operation_type": None,
    },
    BudgetCoordinator.settle_many: {"handles": ..., "numbers": ..., "units": ...},
    BudgetCoordinator.release_many: {"handles": ..., "numbers": ...},
    BudgetCoordinator.get_agent_usage_history: {
        "agent_id": ...,
        "start_time": None,
        "end_time": None,
        "operation_type": None,
    },
    BudgetCoordinator.get_agent_priority: {"agent_id": ...},
    BudgetCoordinator.get_pool_agents: {"pool_id": ...},
    BudgetCoordinator.pin: {"account_id": ...},
    BudgetRateLimiter: {"coordinator": ...},
    BudgetRateLimiter.set_rate_limit: {
        "agent_id": ...,
        "max_budget": ...,
        "time_window": ...,
        "exact": False,
        **OF_WINDOWS,
    },
    BudgetRateLimiter.check_rate_limit: {"agent_id": ..., "amount": ..., **OF_WINDOWS},
    BudgetRateLimiter.record_usage: {"agent_id": ..., "amount": ..., "operation_type": None, **OF_WINDOWS},
    BudgetRateLimiter.get_retry_after: {"agent_id": ..., "amount": None, **OF_WINDOWS},
    BudgetRateLimiter.acquire: {"agent_id": ..., "amount": ..., **OF_WINDOWS},
    BudgetRateLimiter.try_acquire: {"agent_id": ..., "amount": ..., **OF_WINDOWS},
    MultiResourceBudget: {"budget_coordinator": ...},
    MultiResourceBudget.initialize_budgets: {"agent_id": ..., "budgets": ..., "exist_ok": False},
    MultiResourceBudget.update_budget: {"agent_id": ..., "resource_type": ..., "budget": ...},
    MultiResourceBudget.get_budget: {"agent_id": ..., "resource_type": ...},
    MultiResourceBudget.has_sufficient_budget: {"agent_id": ..., "resource_type": ..., "amount": ...},
    MultiResourceBudget.get_metrics: {"agent_id": ..., "resource_type": None},
    MultiResourceBudget.get_resource_types: {"agent_id": ...},
    MultiResourceBudget.debit: {
        "agent_id": ...,
        "amounts": ...,
        "operation_type": None,
        "idempotency_key": None,
    },
    MultiResourceBudget.reserve: {
        "agent_id": ...,
        "amounts": ...,
        "ttl_seconds": 900,
        "overage": "allow_with_overdraft",
        "operation_type": None,
        "idempotency_key": None,
        "on_cancel": None,
        "on_error": None,
        "cut_off": None,
    },
    MultiResourceBudget.set_capacity: {"resource_type": ..., "capacity": ...},
    safeguards.fair_shares: {"demands": ..., "capacities": ..., "weights": None, "caps": None},
    safeguards.fair_tasks: {"demands": ..., "capacities": ..., "weights": None, "caps": None},
    BudgetRateLimiter.remove_rate_limit: {"agent_id": ..., "time_window": None, **OF_WINDOWS},
    NotificationManager.add_handler: {
        "handler": ...,
        "min_severity": safeguards.AlertSeverity.INFO,
        "loop": None,
    },
    NotificationManager.get_alerts: {"severity": None, "min_severity": None, "account": None},
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda f: f.__qualname__)
def test_signatures_and_defaults(function):
    assert parameters(function) == SIGNATURES[function]


def test_try_forms_take_what_their_raising_forms_take():
    for cls, name in [
        (BudgetCoordinator, "debit"),
        (BudgetCoordinator, "reserve"),
        (BudgetRateLimiter, "acquire"),
        (MultiResourceBudget, "debit"),
        (MultiResourceBudget, "reserve"),
        (safeguards.Account, "debit"),
        (safeguards.Account, "reserve"),
    ]:
        waits = {"timeout": None} if cls in {BudgetCoordinator, safeguards.Account} else {}
        assert parameters(getattr(cls, f"try_{name}")) | waits == parameters(getattr(cls, name))


def test_what_is_awaited_takes_what_is_called():
    for cls in (BudgetCoordinator, safeguards.Account):
        for name in ("debit", "reserve"):
            assert parameters(getattr(cls, f"{name}_async")) == parameters(getattr(cls, name))


def test_values_are_frozen_dataclasses():
    for name in types.__all__:
        cls = getattr(types, name)
        if dataclasses.is_dataclass(cls):
            assert cls.__dataclass_params__.frozen and cls.__slots__ is not None


def test_a_person_can_read_every_repr(coordinator, limiter, manager, clock):
    assert repr(coordinator) == "BudgetCoordinator(1 pools, 1 agents, 10 of 10 left in 'team')"
    assert repr(limiter) == f"BudgetRateLimiter({coordinator!r})"
    assert repr(manager) == "NotificationManager(0 alerts, 0 handlers)"
    assert repr(clock) == "ManualClock(2026-01-01T00:00:00+00:00)"
    assert repr(coordinator.account("bot")) == 'Account("bot", budget=1)'
    assert repr(coordinator.debit("bot", "0.1")) == "Receipt(amount=0.1, remaining=0.9, sequence=2)"


def test_html_is_escaped_and_bounded(coordinator):
    for i in range(50):
        coordinator.create_budget_pool(f"x<script>{i}", 1)
        coordinator.register_agent(f"<b>{i}", "team", initial_budget=1)
    html = coordinator._repr_html_()
    assert "<script>" not in html and "x&lt;script&gt;0" in html
    assert "and 41 more agents" in html and "and 31 more pools" in html


def test_equality_and_hash(coordinator):
    account = coordinator.account("bot")
    assert account == coordinator.account("bot") and account != "bot"
    assert len({account, coordinator.account("bot")}) == 1
    first, again = (
        coordinator.reserve("bot", "0.1", idempotency_key="k"),
        coordinator.reserve("bot", "0.1", idempotency_key="k"),
    )
    other = coordinator.reserve("bot", "0.1")
    assert first == again and hash(first) == hash(again) and first != other
    for reservation in (first, again, other):
        reservation.release()
    receipt = coordinator.debit("bot", "0.1", idempotency_key="d")
    assert receipt == coordinator.debit("bot", "0.1", idempotency_key="d")
    assert receipt != coordinator.debit("bot", "0.1") and len({receipt, receipt}) == 1


def test_a_coordinator_names_its_verbs_itself_and_calls_no_python_for_them():
    verbs = [name for name, thing in vars(Ledger).items() if callable(thing) and not name.startswith("_")]
    assert set(verbs) <= set(vars(BudgetCoordinator))
    assert all(vars(BudgetCoordinator)[name] is vars(Ledger)[name] for name in verbs)


def test_a_subclass_with_arguments_of_its_own_is_told_what_to_do_instead():
    class Tenant(BudgetCoordinator):
        def __init__(self, tenant):
            self.tenant = tenant

    with pytest.raises(TypeError, match="not meant to be subclassed: hold one in an attribute"):
        Tenant("acme")
    assert type("Plain", (BudgetCoordinator,), {})().get_pool_ids() == []


@pytest.mark.parametrize("watched", [True, False])
def test_the_compiled_ledger_stands_alone(watched):
    """It calls whom it was given, and needs no subclass with methods of certain names."""

    class Watch:
        def on_crossing(self, **facts):
            told.append(facts)

        def on_low(self, agent_id):
            told.append(agent_id)

    told = []
    ledger = Ledger(clock=ManualClock(), thresholds=[0.5], observer=Watch() if watched else None)
    ledger._create_pool("team", 10, 5, None, None, exist_ok=False, rules={})
    ledger.register_agent("bot", "team", initial_budget=1)
    ledger._watch_low("team", Decimal("0.5"))
    with warnings.catch_warnings(action="error"):
        ledger.debit("bot", "0.6")
    crossing = {"account": "bot", "kind": "agent", "resource": None, "threshold": 0.5, "granted": 1}
    assert told == ([crossing | {"spent": Decimal("0.6")}, "bot"] if watched else [])

"""Budgets by resource type: what people rely on, bad input, the state machine as Python sees it."""

import asyncio
import gc
import warnings
import weakref
from collections import UserDict
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

import pytest

from safeguards import (
    AlertSeverity,
    BudgetCoordinator,
    BudgetExceededError,
    ConfigurationError,
    IdempotencyConflictError,
    InvalidAmountError,
    ManualClock,
    MultiResourceBudget,
    NotificationManager,
    ReservationError,
    ResourceMetrics,
    UnknownAgentError,
    UnknownResourceError,
)


def books(resources, agent="bot"):
    metrics = resources.get_metrics(agent)
    for m in metrics.values():
        assert m.granted == m.remaining + m.reserved + m.spent
    return {name: (m.remaining, m.reserved, m.spent) for name, m in metrics.items()}


BEFORE = {"calls": (100, 0, 0), "seconds": (10, 0, 0)}


def test_a_debit_takes_all_or_none(resources):
    receipt = resources.debit("bot", {"seconds": "2.5", "calls": 1}, operation_type="search")
    assert receipt.amounts == {"calls": 1, "seconds": Decimal("2.5")}
    assert receipt.remaining == {"calls": 99, "seconds": Decimal("7.5")}
    assert receipt.sequences == {"calls": 2, "seconds": 2}
    with pytest.raises(BudgetExceededError) as caught:
        resources.debit("bot", {"calls": 1, "seconds": 8})
    error = caught.value
    assert (error.account, error.resource, error.requested, error.available) == (
        "bot",
        "seconds",
        8,
        Decimal("7.5"),
    )
    assert (error.limit, error.spent, error.reserved) == (10, Decimal("2.5"), 0)
    assert str(error) == (
        'agent "bot" cannot pay 8 of "seconds": 7.5 of 10 remain (2.5 spent, 0 reserved); raise it with '
        "update_budget"
    )
    assert resources.get_budgets("bot") == {"calls": 99, "seconds": Decimal("7.5")}


def test_three_tenths_fit_into_0_30(resources):
    resources.update_budget("bot", "seconds", "0.30")
    assert [resources.try_debit("bot", {"seconds": "0.10", "calls": 1}) for _ in range(4)] == [True] * 3 + [
        False
    ]
    assert resources.get_budgets("bot") == {"calls": 97, "seconds": 0}


def test_charges_are_rounded_up_and_grants_down(resources):
    resources.initialize_budgets("bot", {"calls": Decimal(1) / 3})
    assert resources.get_budget("bot", "calls") == Decimal("0.333333333")
    assert resources.debit("bot", {"calls": "0.0000000001"}).amounts == {"calls": Decimal("1E-9")}


def test_nothing_is_admitted_and_leaves_no_event(resources):
    resources.reserve("bot", {"seconds": 1}).settle({"seconds": 12})
    assert resources.get_budget("bot", "seconds") == -2
    assert resources.debit("bot", {"seconds": 0, "calls": 1}).amounts == {"calls": 1, "seconds": 0}
    assert resources.try_debit("bot", {})
    assert [event.kind for event in resources.get_events("bot", "seconds")] == ["update", "reserve", "settle"]


@pytest.mark.parametrize("mapping", [dict, UserDict, MappingProxyType])
def test_any_mapping_will_do(resources, mapping):
    assert resources.try_debit("bot", mapping({"calls": 1, "seconds": 1}))
    assert resources.get_budgets("bot") == {"calls": 99, "seconds": 9}


def test_initialize_replaces_and_update_sets(resources):
    resources.debit("bot", {"calls": 1})
    resources.initialize_budgets("bot", {"gigabytes": 3, "calls": 7})
    assert books(resources) == {"calls": (7, 0, 0), "gigabytes": (3, 0, 0)}
    assert resources.get_resource_types("bot") == ["calls", "gigabytes"]
    resources.debit("bot", {"calls": 2})
    resources.update_budget(agent_id="bot", resource_type="calls", budget=50)
    metrics = resources.get_metrics("bot", "calls")
    assert metrics == ResourceMetrics(52, 50, 0, 2, 50, 0)
    assert metrics.utilization == 0
    resources.initialize_budgets("bot", {})
    assert resources.get_budgets("bot") == {}


def test_utilization_counts_what_is_reserved(resources):
    resources.debit("bot", {"seconds": 2})
    with resources.reserve("bot", {"seconds": 5}) as reservation:
        assert resources.get_metrics("bot", "seconds").utilization == 0.7
        reservation.release()
    assert resources.get_metrics("bot")["calls"].utilization == 0


def test_every_one_of_a_coordinator_sees_the_same(resources, coordinator):
    MultiResourceBudget(coordinator).debit("bot", {"calls": 1})
    assert resources.get_budget("bot", "calls") == 99
    assert resources.coordinator is coordinator
    assert repr(resources) == f"MultiResourceBudget({coordinator!r})"


def test_has_sufficient_budget(resources):
    assert resources.has_sufficient_budget(agent_id="bot", resource_type="seconds", amount=10)
    assert not resources.has_sufficient_budget("bot", "seconds", "10.000000001")
    resources.set_capacity("seconds", 4)
    assert not resources.has_sufficient_budget("bot", "seconds", 5)
    assert books(resources) == BEFORE


def test_unregistering_takes_the_budgets_along(resources, coordinator):
    reservation = resources.reserve("bot", {"calls": 1})
    with pytest.raises(ConfigurationError, match="1 active reservations"):
        coordinator.unregister_agent("bot")
    reservation.release()
    coordinator.unregister_agent("bot")
    with pytest.raises(UnknownAgentError):
        resources.debit("bot", {"calls": 1})
    coordinator.register_agent("bot", "team")
    with pytest.raises(UnknownResourceError, match="it has none: call initialize_budgets first"):
        resources.debit("bot", {"calls": 1})


# ------------------------------------------------------------------------------------------ capacities


def test_a_capacity_binds_all_agents(resources, coordinator):
    coordinator.register_agent("other", "team")
    resources.initialize_budgets("other", {"calls": 100})
    resources.set_capacity("calls", 150)
    resources.debit("bot", {"calls": 90, "seconds": 1})
    with pytest.raises(BudgetExceededError) as caught:
        resources.debit("other", {"calls": 61})
    error = caught.value
    assert (error.account, error.resource, error.limit, error.spent, error.available) == (
        None,
        "calls",
        150,
        90,
        60,
    )
    said = 'all agents together cannot pay 61 of "calls", asked by agent "other": 60 of 150 remain'
    assert str(error).startswith(said)
    assert str(error).endswith("raise it with set_capacity")
    assert not resources.try_debit("other", {"calls": 61}) and resources.try_debit("other", {"calls": 60})
    assert resources.get_capacity_metrics("calls") == ResourceMetrics(150, 0, 0, 150, 150, 150)
    resources.set_capacity("calls", 5)
    assert resources.get_capacity("calls") == 5
    assert resources.remove_capacity("calls") and resources.get_capacity("calls") is None
    with pytest.raises(UnknownResourceError, match="no capacity is set for resource 'calls'"):
        resources.get_capacity_metrics("calls")
    resources.verify()


# ------------------------------------------------------------------------------------------ reservations


def test_settle_release_and_repetitions(resources):
    reservation = resources.reserve("bot", {"calls": 3, "seconds": 8}, operation_type="crawl")
    assert reservation.amounts == {"calls": 3, "seconds": 8}
    assert (reservation.agent_id, reservation.number, reservation.state) == ("bot", 1, "active")
    assert reservation.receipt is None
    assert books(resources) == {"calls": (97, 3, 0), "seconds": (2, 8, 0)}
    receipt = reservation.settle({"calls": 2})
    assert receipt == reservation.settle({"calls": 2, "seconds": 0}) == reservation.receipt
    assert hash(receipt) == hash(reservation.receipt)
    with pytest.raises(ReservationError, match=r"settled for \{calls: 2, seconds: 0\} before") as caught:
        reservation.settle({"calls": 3})
    assert (caught.value.state, caught.value.reservation) == ("settled", 1)
    with pytest.raises(ReservationError):
        reservation.release()
    assert books(resources) == {"calls": (98, 0, 2), "seconds": (10, 0, 0)}
    [usage] = resources.get_usage_history("bot", "calls", operation_type="crawl")
    assert (usage.amount, usage.source, usage.sequence) == (2, "ledger", 3)
    assert resources.get_usage_history("bot", "calls", operation_type="other") == []


def test_overage(resources):
    strict = resources.reserve("bot", {"seconds": 4}, overage="reject")
    with pytest.raises(BudgetExceededError, match="reserved 4 and cannot settle 5 of") as caught:
        strict.settle({"seconds": 5})
    assert (caught.value.resource, caught.value.available) == ("seconds", 4)
    cautious = resources.reserve("bot", {"seconds": 1}, overage="allow_if_available")
    with pytest.raises(BudgetExceededError, match="cannot pay 6"):
        cautious.settle({"seconds": 7})
    assert strict.state == cautious.state == "active"
    cautious.settle({"seconds": 6})
    strict.settle({"seconds": 4})
    assert books(resources)["seconds"] == (0, 0, 10)


def test_time_to_live_and_late_settlement(resources, clock):
    late = resources.reserve("bot", {"seconds": 8}, ttl_seconds=60)
    clock.advance(60)
    assert resources.try_debit("bot", {"seconds": 10})
    assert late.state == "expired"
    late.settle({"seconds": 3})
    assert books(resources)["seconds"] == (-3, 0, 13)
    kinds = [event.kind for event in resources.get_events("bot", "seconds")]
    assert kinds == ["update", "reserve", "expire", "debit", "late_settle"]


def test_with_blocks(resources, clock):
    with resources.reserve("bot", {"calls": 1, "seconds": 2}, ttl_seconds=1):
        clock.advance(100)
    assert books(resources) == {"calls": (99, 0, 1), "seconds": (8, 0, 2)}
    with pytest.raises(ZeroDivisionError), resources.reserve("bot", {"calls": 1, "seconds": 2}):
        1 / 0  # noqa: B018
    assert books(resources) == {"calls": (99, 0, 1), "seconds": (8, 0, 2)}
    with resources.reserve("bot", {"seconds": 2}) as reservation:
        reservation.settle({"seconds": 1})
    with pytest.raises(ReservationError), reservation:
        pass
    assert books(resources)["seconds"] == (7, 0, 3)


def test_cancelled_tasks_settle_on_cancel(resources):
    async def work():
        async with resources.reserve("bot", {"calls": 5, "seconds": 2}, on_cancel={"calls": 1}):
            await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with resources.reserve("bot", {"seconds": 2}):
            pass

    asyncio.run(main())
    assert books(resources) == {"calls": (99, 0, 1), "seconds": (8, 0, 2)}


def test_a_forgotten_reservation_warns(resources, clock):
    reservation = resources.reserve("bot", {"calls": 5})
    with pytest.warns(ResourceWarning, match=r'reservation 1 of agent "bot" \(\{calls: 5\}\) was dropped'):
        del reservation
        gc.collect()
    assert books(resources)["calls"] == (95, 5, 0)
    clock.advance(900)
    assert books(resources)["calls"] == (100, 0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resources.reserve("bot", {"calls": 5}).release()


def test_idempotency(resources, coordinator):
    receipt = resources.debit("bot", {"calls": 1, "seconds": 1}, idempotency_key="k")
    assert receipt == resources.debit("bot", {"seconds": 1, "calls": 1}, idempotency_key="k")
    assert receipt != resources.debit("bot", {"calls": 1, "seconds": 1})
    for amounts in ({"calls": 1}, {"calls": 1, "seconds": 2}):
        with pytest.raises(IdempotencyConflictError):
            resources.debit("bot", amounts, idempotency_key="k")
    coordinator.debit("bot", "0.5", idempotency_key="k")
    assert not resources.try_debit("bot", {"seconds": 9}, idempotency_key="r")
    first = resources.reserve("bot", {"seconds": 1}, idempotency_key="r")
    again = resources.reserve("bot", {"seconds": 1}, idempotency_key="r")
    assert first == again and hash(first) == hash(again) and first != receipt
    again.release()
    assert first.state == "released"
    assert books(resources) == {"calls": (98, 0, 2), "seconds": (8, 0, 2)}


# ------------------------------------------------------------------------------------------ alerts, history


def test_thresholds_alert_once(clock):
    manager = NotificationManager()
    coordinator = BudgetCoordinator(manager, clock=clock)
    coordinator.create_budget_pool("team", 0)
    coordinator.register_agent("b{o}t", "team")
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("b{o}t", {"calls": 10, "seconds": 10})
    resources.set_capacity("seconds", 8)
    resources.debit("b{o}t", {"calls": 8, "seconds": 7})
    resources.debit("b{o}t", {"calls": 1, "seconds": 1})
    resources.debit("b{o}t", {"calls": 1})
    told = [
        (a.title, a.severity, a.account, a.details["kind"], a.details["resource"])
        for a in manager.get_alerts()
    ]
    agent, capacity = ("b{o}t", "agent"), (None, "capacity")
    warning, error = AlertSeverity.WARNING, AlertSeverity.ERROR
    assert told == [
        ("all agents together have spent 80% of the capacity of 'seconds'", warning, *capacity, "seconds"),
        ("agent 'b{o}t' has spent 80% of its budget of 'calls'", warning, *agent, "calls"),
        ("all agents together have spent 100% of the capacity of 'seconds'", error, *capacity, "seconds"),
        ("agent 'b{o}t' has spent 80% of its budget of 'seconds'", warning, *agent, "seconds"),
        ("agent 'b{o}t' has spent 100% of its budget of 'calls'", error, *agent, "calls"),
    ]
    assert manager.get_alerts()[1].message == (
        "8 of 10 is spent: raise it with MultiResourceBudget.update_budget."
    )


def test_history_has_a_range(resources, clock):
    start = clock.now()
    for _ in range(3):
        resources.debit("bot", {"calls": 1})
        clock.advance(timedelta(minutes=1))
    usage = resources.get_usage_history(
        "bot", "calls", start + timedelta(minutes=1), start + timedelta(minutes=2)
    )
    assert [event.sequence for event in usage] == [3]
    assert len(resources.get_usage_history("bot", "calls", end_time=datetime.max)) == 3  # noqa: DTZ901
    assert resources.get_usage_history("bot", "seconds") == []


# ------------------------------------------------------------------------------------------ bad input


def calls_with_agent(r):
    yield lambda a: r.initialize_budgets(a, {"calls": 1})
    yield lambda a: r.update_budget(a, "calls", 1)
    yield lambda a: r.get_budget(a, "calls")
    yield r.get_budgets
    yield r.get_resource_types
    yield r.get_metrics
    yield lambda a: r.get_metrics(a, "calls")
    yield lambda a: r.has_sufficient_budget(a, "calls", 1)
    for name in ("debit", "try_debit", "reserve", "try_reserve"):
        yield lambda a, name=name: getattr(r, name)(a, {"calls": 1})
        # An agent that is unknown comes before a resource that is.
        yield lambda a, name=name: getattr(r, name)(a, {"unheard of": 1})
    yield lambda a: r.get_usage_history(a, "calls")
    yield lambda a: r.get_events(a, "calls")


@pytest.mark.parametrize("agent_id", ["nobody", "", "Bot", "bot\0", "🤖", "team", "x" * 10_000], ids=ascii)
def test_unknown_agents(resources, agent_id):
    for call in calls_with_agent(resources):
        with pytest.raises(UnknownAgentError) as caught:
            call(agent_id)
        assert caught.value.account == agent_id
    assert books(resources) == BEFORE


def calls_with_resource(r):
    yield lambda t: r.update_budget("bot", t, 1)
    yield lambda t: r.get_budget("bot", t)
    yield lambda t: r.get_metrics("bot", t)
    yield lambda t: r.has_sufficient_budget("bot", t, 1)
    for name in ("debit", "try_debit", "reserve", "try_reserve"):
        yield lambda t, name=name: getattr(r, name)("bot", {"calls": 1, t: 1})
        yield lambda t, name=name: getattr(r, name)("bot", {"calls": 1000, t: 0})
    yield lambda t: r.reserve("bot", {"calls": 1}, on_cancel={t: 1})
    yield lambda t: r.get_usage_history("bot", t)
    yield lambda t: r.get_events("bot", t)


@pytest.mark.parametrize("name", ["minutes", "", "Calls", "calls ", "é", "gigabytes"], ids=ascii)
def test_unknown_resources(resources, coordinator, name):
    # Another agent's resource is none of this one.
    coordinator.register_agent("other", "team")
    resources.initialize_budgets("other", {"gigabytes": 1})
    for call in calls_with_resource(resources):
        with pytest.raises(UnknownResourceError) as caught:
            call(name)
        error = caught.value
        assert (error.account, error.resource, error.known) == ("bot", name, ["calls", "seconds"])
        assert 'it has "calls", "seconds"' in str(error)
        assert isinstance(error, KeyError)
    assert books(resources) == BEFORE


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("-1", InvalidAmountError),
        (Decimal("NaN"), InvalidAmountError),
        (10**16, InvalidAmountError),
        ("1e", InvalidAmountError),
        (0.5, TypeError),
        (True, TypeError),
        (None, TypeError),
    ],
    ids=repr,
)
def test_bad_amounts_come_first_and_are_named(resources, bad, error):
    for name in ("debit", "try_debit", "reserve", "try_reserve"):
        with pytest.raises(error, match=r'amounts\["seconds"\]') as caught:
            getattr(resources, name)("nobody", {"unheard of": 1, "seconds": bad})
        if error is InvalidAmountError:
            assert caught.value.argument == 'amounts["seconds"]'
    with pytest.raises(error, match=r'on_cancel\["calls"\]'):
        resources.reserve("nobody", {"calls": 1}, ttl_seconds=-1, on_cancel={"calls": bad})
    with pytest.raises(error, match=r'budgets\["calls"\]'):
        resources.initialize_budgets("bot", {"calls": bad})
    with pytest.raises(error, match="budget "):
        resources.update_budget("bot", "calls", bad)
    with pytest.raises(error, match="capacity "):
        resources.set_capacity("calls", bad)
    reservation = resources.reserve("bot", {"calls": 1})
    with pytest.raises(error, match=r'amounts\["calls"\]'):
        reservation.settle({"calls": bad})
    reservation.release()
    assert books(resources) == BEFORE


@pytest.mark.parametrize("bad", [None, 5, "calls", [("calls", 1)], {"calls"}, object], ids=repr)
def test_what_is_no_mapping(resources, bad):
    for call in (resources.debit, resources.try_debit, resources.reserve, resources.initialize_budgets):
        with pytest.raises(TypeError, match="must map resource types to amounts"):
            call("bot", bad)
    assert books(resources) == BEFORE


def test_keys_that_are_no_text(resources):
    with pytest.raises(TypeError, match="keys of amounts must be text, not int"):
        resources.debit("bot", {"calls": 1, 7: 1})
    with pytest.raises(TypeError, match="half of a surrogate pair"):
        resources.debit("bot", {"\ud800": 1})
    assert books(resources) == BEFORE


def test_bad_names_and_terms(resources):
    for name in ("", "x" * 513):
        with pytest.raises(ConfigurationError, match="a resource type must have 1 to 512 bytes"):
            resources.initialize_budgets("bot", {name: 1})
        with pytest.raises(ConfigurationError, match="a resource type must have 1 to 512 bytes"):
            resources.set_capacity(name, 1)
    for options in ({"ttl_seconds": 0}, {"ttl_seconds": float("nan")}, {"overage": "maybe"}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            resources.reserve("bot", {"calls": 1}, **options)
    with pytest.raises(TypeError):
        MultiResourceBudget("coordinator")
    assert books(resources) == BEFORE


def test_resource_types_are_kinds_not_single_things(resources):
    before = books(resources)
    with pytest.raises(ConfigurationError, match="1024 resource types are known"):
        resources.initialize_budgets("bot", {f"single {i}": 1 for i in range(2000)})
    assert books(resources) == before
    resources.initialize_budgets("bot", {f"kind {i}": 1 for i in range(1022)})
    with pytest.raises(ConfigurationError, match="1024 resource types are known"):
        resources.initialize_budgets("bot", {"one more": 1})
    assert len(resources.get_budgets("bot")) == 1022
    assert resources.try_debit("bot", {f"kind {i}": 1 for i in range(1021, -1, -1)})
    assert set(resources.get_budgets("bot").values()) == {0}


class Meddler:
    """A value that changes the dict which it is in, when it is looked at."""

    def __init__(self, amounts):
        self.amounts = amounts

    @property
    def __class__(self):
        self.amounts.clear()
        return int


def test_a_dict_that_changes_while_it_is_read(resources):
    amounts = {"calls": 1, "seconds": 1}
    amounts["calls"] = Meddler(amounts)
    with pytest.raises(TypeError):
        resources.debit("bot", amounts)
    assert books(resources) == BEFORE


def test_everything_is_let_go():
    coordinator = BudgetCoordinator(clock=ManualClock())
    coordinator.create_budget_pool("team", 0)
    coordinator.register_agent("bot", "team")
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", {"calls": 1})
    coordinator.back = (resources, resources.debit("bot", {"calls": 1}))
    gone = weakref.ref(resources)
    del coordinator, resources
    gc.collect()
    assert gone() is None

"""`adjust_budget` and `adjust_pool_budget`: signed changes, exact in any context, safe while others spend."""

import threading
from decimal import Decimal, localcontext

import pytest

from safeguards import InvalidAmountError, UnknownAgentError, UnknownPoolError


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ("0.5", "0.5"),
        (2, "2"),
        (Decimal("-0.25"), "-0.25"),
        ("-0.25", "-0.25"),
        (-1, "-1"),
        (-5, "-1"),
        (Decimal("1E-10"), "0"),  # more decimal places are rounded against the spender
        (Decimal("-1E-10"), "-1E-9"),
        ("-0", "0"),
        (Decimal("-0"), "0"),
    ],
)
def test_the_change_that_was_made(coordinator, change, made):
    assert coordinator.adjust_budget("bot", change) == Decimal(made)
    assert coordinator.get_budget("bot") == 1 + Decimal(made)


def test_the_callers_context_rounds_nothing(coordinator):
    with localcontext(prec=2):
        coordinator.adjust_pool_budget("team", Decimal("-1.234567891"))
    assert coordinator.get_pool_budget("team") == Decimal("8.765432109")


def test_it_stays_in_the_period(coordinator):
    coordinator.debit("bot", "0.25")
    coordinator.adjust_budget("bot", 3)
    metrics = coordinator.get_agent_metrics("bot")
    assert (metrics.initial_budget, metrics.period_granted, metrics.period_spent) == (1, 4, Decimal("0.25"))
    coordinator.update_budget("bot", 2)
    metrics = coordinator.get_agent_metrics("bot")
    assert (metrics.initial_budget, metrics.period_granted, metrics.period_spent) == (2, 2, 0)


def test_each_change_is_one_event(coordinator):
    for change in (1, -2, 0, -1):
        coordinator.adjust_pool_budget("team", change)
    events = [(event.kind, event.amount) for event in coordinator.get_pool_events("team")]
    assert events == [("update", 10), ("raise", 1), ("lower", 2), ("lower", 1)]


@pytest.mark.parametrize("change", ["--1", "-", "-x", "- 1", "-1e99", Decimal("-Infinity"), -(10**16)])
def test_what_is_no_amount(coordinator, change):
    with pytest.raises(InvalidAmountError) as caught:
        coordinator.adjust_budget("bot", change)
    assert caught.value.argument == "change"


@pytest.mark.parametrize("change", [0.5, -0.5, True, None, b"-1"])
def test_wrong_types(coordinator, change):
    with pytest.raises(TypeError, match="change must be a Decimal"):
        coordinator.adjust_budget("bot", change)


def test_unknown_accounts(coordinator):
    with pytest.raises(UnknownAgentError):
        coordinator.adjust_budget("team", 1)
    with pytest.raises(UnknownPoolError):
        coordinator.adjust_pool_budget("bot", 1)


def test_nothing_is_lost_while_others_spend(coordinator):
    coordinator.update_budget("bot", 0)
    coordinator.update_pool_budget("team", 1000)
    spent = [0, 0]

    def spend(i):
        account = coordinator.account("bot")
        for _ in range(4_000):
            spent[i] += account.try_debit("0.01")

    def top_up():
        for _ in range(1_000):
            coordinator.adjust_budget("bot", "0.03")
            coordinator.adjust_budget("bot", "-0.01")

    threads = [threading.Thread(target=spend, args=(i,)) for i in range(2)]
    threads += [threading.Thread(target=top_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics = coordinator.get_agent_metrics("bot")
    assert metrics.spent == sum(spent) * Decimal("0.01")
    events = coordinator.get_agent_events("bot")
    assert metrics.granted >= 40  # a lowering never takes more than there is
    assert metrics.granted == metrics.remaining + metrics.spent
    assert events[-1].sequence >= 2_000 + sum(spent)

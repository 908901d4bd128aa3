"""Alerts: kept, handed on, and sent once for each crossing of a threshold."""

import itertools
import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    Alert,
    AlertSeverity,
    BudgetCoordinator,
    ConfigurationError,
    Decision,
    ManualClock,
    NotificationManager,
)
from safeguards._native import Ledger


def make(*thresholds, **options):
    manager = NotificationManager(thresholds=thresholds)
    coordinator = BudgetCoordinator(manager, clock=ManualClock())
    coordinator.create_budget_pool("team", 100, **options)
    coordinator.register_agent("bot", "team", initial_budget=10)
    return manager, coordinator


def crossed(manager):
    return [(alert.account, alert.details["threshold"]) for alert in manager.get_alerts()]


def test_an_alert_says_all_it_knows():
    manager, coordinator = make(0.8)
    coordinator.debit("bot", "8.5")
    [alert] = manager.get_alerts()
    assert alert == Alert(
        title="agent 'bot' has spent 80% of its budget",
        message="8.5 of 10 is spent: raise it with update_budget.",
        severity=AlertSeverity.WARNING,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        account="bot",
        details={"kind": "agent", "threshold": 0.8, "granted": Decimal(10), "spent": Decimal("8.5")},
    )
    assert len({alert, alert}) == 1


def test_a_threshold_alerts_once_per_crossing_and_not_per_call():
    manager, coordinator = make(0.5, 0.8, 1.0)
    for _ in range(100):
        coordinator.try_debit("bot", "0.1")
    assert crossed(manager) == [("bot", 0.5), ("bot", 0.8), ("bot", 1.0)]
    assert [alert.severity.name for alert in manager.get_alerts()] == ["WARNING", "WARNING", "ERROR"]


def test_one_charge_over_several_thresholds_tells_the_highest():
    manager, coordinator = make(0.5, 0.8)
    coordinator.debit("bot", 9)
    assert crossed(manager) == [("bot", 0.8)]


def test_exactly_at_the_threshold():
    manager, coordinator = make(0.8)
    coordinator.debit("bot", "7.999999999")
    assert crossed(manager) == []
    coordinator.debit("bot", "0.000000001")
    assert crossed(manager) == [("bot", 0.8)]


def test_pools_alert_too():
    manager, coordinator = make(0.8)
    coordinator.update_budget("bot", 1000)
    coordinator.debit("bot", 80)
    assert crossed(manager) == [("team", 0.8)]
    assert "update_pool_budget" in manager.get_alerts()[0].message


def test_every_way_of_spending_tells():
    manager, coordinator = make(0.5)
    handle = np.array([coordinator.handle("bot")], dtype=np.uint32)
    spend = [
        lambda: coordinator.debit("bot", 6),
        lambda: coordinator.try_debit("bot", 6),
        lambda: coordinator.account("bot").debit(6),
        lambda: coordinator.account("bot").try_debit(6),
        lambda: coordinator.reserve("bot", 8).settle(6),
        lambda: coordinator.debit_many(handle, np.array([6_000_000_000])),
    ]
    for number, do in enumerate(spend, start=1):
        coordinator.update_pool_budget("team", 100)
        coordinator.update_budget("bot", 10)
        do()
        assert crossed(manager) == [("bot", 0.5)] * number
    coordinator.reserve("bot", 4).release()
    assert len(crossed(manager)) == len(spend)


def test_a_new_budget_and_a_new_period_tell_again():
    manager, coordinator = make(0.8, budget_period="daily", timezone="UTC")
    clock = ManualClock()
    coordinator.debit("bot", 9)
    coordinator.update_budget("bot", 10)
    coordinator.debit("bot", 9)
    assert crossed(manager) == [("bot", 0.8)] * 2
    manager = NotificationManager()
    coordinator = BudgetCoordinator(manager, clock=clock)
    coordinator.create_budget_pool("daily", 1, budget_period="daily", timezone="UTC")
    coordinator.register_agent("bot", "daily", initial_budget=1000)
    for _ in range(3):
        coordinator.debit("bot", "0.9")
        clock.advance(timedelta(days=1))
    assert crossed(manager) == [("daily", 0.8)] * 3


def test_a_handler_that_raises_breaks_nothing(caplog):
    manager, coordinator = make(0.5)
    seen = []

    def broken(alert):
        raise RuntimeError(alert.title)

    manager.add_handler(broken)
    manager.add_handler(seen.append)
    with caplog.at_level(logging.ERROR, "safeguards.alerts"):
        assert coordinator.debit("bot", 6).remaining == 4
    assert [alert.account for alert in seen] == ["bot"]
    [failure] = manager.failures
    assert failure.alert is seen[0] and isinstance(failure.error, RuntimeError)
    assert "a handler failed" in caplog.text


def test_a_handler_may_spend_itself():
    manager, coordinator = make(0.5)
    coordinator.register_agent("reporter", "team", initial_budget=1)
    manager.add_handler(lambda _: coordinator.try_debit("reporter", "0.6"))
    coordinator.debit("bot", 6)
    assert crossed(manager) == [("bot", 0.5), ("reporter", 0.5)]


def test_handlers_by_severity():
    manager, low, high = NotificationManager(), [], []
    manager.add_handler(low.append)
    manager.add_handler(high.append, min_severity=AlertSeverity.ERROR)
    for severity in AlertSeverity:
        manager.send_alert(severity.name, severity=severity)
    assert [alert.title for alert in low] == ["INFO", "WARNING", "ERROR", "CRITICAL"]
    assert [alert.title for alert in high] == ["ERROR", "CRITICAL"]
    manager.remove_handler(high.append)  # another bound method of the same list is equal
    manager.remove_handler(print)
    manager.send_alert("more", severity=AlertSeverity.CRITICAL)
    assert len(high) == 2 and len(low) == 5


def test_alerts_are_found_by_severity_and_account():
    manager = NotificationManager()
    for severity in AlertSeverity:
        manager.send_alert("title", severity=severity, account=severity.name.lower())
    names = lambda alerts: [alert.account for alert in alerts]  # noqa: E731
    assert names(manager.get_alerts(AlertSeverity.ERROR)) == ["error"]
    assert names(manager.get_alerts(min_severity=AlertSeverity.ERROR)) == ["error", "critical"]
    assert names(manager.get_alerts(account="info")) == ["info"]
    assert names(manager.get_alerts(AlertSeverity.INFO, account="error")) == []


def test_alerts_are_bounded():
    manager = NotificationManager(max_alerts=3)
    manager.add_handler(lambda _: 1 / 0)
    logging.getLogger("safeguards.alerts").disabled = True
    try:
        for i in range(5):
            manager.send_alert(str(i))
    finally:
        logging.getLogger("safeguards.alerts").disabled = False
    assert [alert.title for alert in manager.get_alerts()] == ["2", "3", "4"]
    assert len(manager.failures) == 3


def test_an_alert_of_ones_own():
    manager = NotificationManager()
    sent = manager.send_alert("Prices", "look", AlertSeverity.INFO, account="bot", model="x")
    assert manager.get_alerts() == [sent]
    assert sent.details == {"model": "x"} and sent.time.tzinfo is UTC
    same = Alert("Ready", time=datetime(2026, 1, 1, tzinfo=UTC))
    assert manager.send_alert(same) is same


def test_thresholds_may_be_any_iterable():
    manager = NotificationManager(thresholds=(share / 10 for share in (5, 8)))
    assert manager.thresholds == (0.5, 0.8)
    manager, coordinator = make()
    coordinator.debit("bot", 10)
    assert manager.get_alerts() == []


@pytest.mark.parametrize(
    "thresholds", [[0], [-1], [float("nan")], [1e-9], [1.0000001], [1.5], [float("inf")], [0.5] * 101]
)
def test_what_is_no_threshold(thresholds):
    with pytest.raises(ConfigurationError, match="thresholds must be"):
        BudgetCoordinator(NotificationManager(thresholds=thresholds))


def test_a_hundred_thresholds():
    shares = [n / 100 for n in range(1, 101)]
    manager, coordinator = make(*shares)
    for _ in range(100):
        coordinator.debit("bot", "0.1")
    assert [share for account, share in crossed(manager) if account == "bot"] == shares


def test_other_bad_input():
    manager = NotificationManager()
    with pytest.raises(ConfigurationError, match="cannot be called"):
        manager.add_handler("print")
    with pytest.raises(ConfigurationError, match="severity must be an AlertSeverity"):
        manager.add_handler(print, min_severity=99)
    with pytest.raises(ConfigurationError, match="severity must be an AlertSeverity"):
        manager.get_alerts("high")
    with pytest.raises(ConfigurationError, match="max_alerts must be from 1 on"):
        NotificationManager(max_alerts=0)
    with pytest.raises(TypeError, match="an Alert or the title of one"):
        manager.send_alert(5)
    assert manager.get_alerts() == []


def test_a_budget_that_was_topped_up_tells_again():
    manager, coordinator = make(0.8, 1.0)
    coordinator.update_pool_budget("team", 1000)
    coordinator.register_agent("rich", "team", initial_budget=1000)
    coordinator.debit("bot", 10)
    coordinator.adjust_budget("bot", 90)  # 10 % of 100
    coordinator.debit("bot", 69)
    assert crossed(manager) == [("bot", 1.0)]
    coordinator.debit("bot", 1)
    coordinator.transfer("rich", "bot", 60)  # 50 % of 160
    coordinator.debit("bot", 80)
    told = [("bot", 1.0), ("bot", 0.8), ("bot", 1.0)]
    assert [each for each in crossed(manager) if each[0] == "bot"] == told
    coordinator.adjust_budget("bot", 10)  # 94 %: nothing below 0.8
    coordinator.debit("bot", 9)
    assert [each for each in crossed(manager) if each[0] == "bot"] == told


def test_a_pool_without_a_period_that_was_topped_up_tells_again():
    manager, coordinator = make(0.8)
    coordinator.update_budget("bot", 1000)
    coordinator.debit("bot", 80)
    coordinator.adjust_pool_budget("team", 100)
    coordinator.debit("bot", 79)
    assert crossed(manager) == [("team", 0.8)]
    coordinator.debit("bot", 1)
    assert crossed(manager) == [("team", 0.8)] * 2


def test_what_a_decision_adds_arms_again():
    manager, coordinator = make(0.8)
    coordinator.debit("bot", 9)
    coordinator.execute(Decision("agent", "bot", Decimal(1), Decimal(91), "it needs more"))
    coordinator.debit("bot", 80)
    assert sorted(crossed(manager)) == [("bot", 0.8), ("bot", 0.8), ("team", 0.8)]


@pytest.mark.parametrize(
    "thresholds",
    [
        [True],
        ["0.8"],
        "0.8",
        0.8,
        None,
        [None],
        [0.8, float("nan")],
        [Decimal("sNaN")],
        [Decimal("NaN")],
        [Decimal("1.01")],
        [1e-9],
        [80],
        itertools.repeat(0.5),
    ],
)
def test_thresholds_are_refused_when_they_are_set(thresholds):
    with pytest.raises(ConfigurationError, match="thresholds must be"):
        NotificationManager(thresholds=thresholds)


def test_thresholds_stay_as_they_were_set():
    manager = NotificationManager(thresholds=[Decimal("0.5"), 1, np.float64(0.75)])
    assert manager.thresholds == (0.5, 1, 0.75)
    with pytest.raises(AttributeError):
        manager.thresholds = (5,)
    with pytest.raises(ConfigurationError, match="thresholds must be at most 100 shares"):
        Ledger(thresholds=[80])

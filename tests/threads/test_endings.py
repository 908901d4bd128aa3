"""What ends a program, a task or a thread is not lost: not in handlers, and not in threads of the library."""

import asyncio
import gc
import sys
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    AlertSeverity,
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRLOptimizer,
    ConfigurationError,
    ManualClock,
    MultiResourceBudget,
    NotificationManager,
    PriorityBasedReallocator,
)

from .movers import Mover, wait_for

ENDINGS = [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]


def raising(error, seen=None):
    """A handler that raises at the first alert."""
    seen = [] if seen is None else seen

    def handler(alert):
        seen.append(alert.account)
        if len(seen) == 1:
            raise error

    return handler


def a_team(*thresholds, **options):
    manager = NotificationManager(thresholds=thresholds)
    team = BudgetCoordinator(manager, clock=ManualClock(), **options)
    team.create_budget_pool("team", 10)
    team.register_agent("bot", "team", initial_budget=10)
    return manager, team


def resources(team):
    budgets = MultiResourceBudget(team)
    budgets.initialize_budgets("bot", {"gpu": 10})
    return budgets


def settle_many(team, handles, units):
    return team.settle_many(handles, team.reserve_many(handles, units), units)


SPENDING = {
    "debit": lambda team: team.debit("bot", 6),
    "try_debit": lambda team: team.try_debit("bot", 6),
    "keyed debit": lambda team: team.debit("bot", 6, idempotency_key="k"),
    "account.debit": lambda team: team.account("bot").debit(6),
    "account.try_debit": lambda team: team.account("bot").try_debit(6),
    "settle": lambda team: team.reserve("bot", 6).settle(6),
    "debit_many": lambda team: team.debit_many(
        np.array([team.handle("bot")], np.uint32), np.array([6_000_000_000])
    ),
    "settle_many": lambda team: settle_many(
        team, np.array([team.handle("bot")], np.uint32), np.array([6_000_000_000])
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("spend", SPENDING)
def test_it_reaches_who_spends_after_the_books_and_the_other_handlers(spend, ending):
    manager, team = a_team(0.5)
    seen, after = [], []
    manager.add_handler(raising(ending, seen))
    manager.add_handler(lambda alert: after.append(alert.account))
    with pytest.raises(ending):
        SPENDING[spend](team)
    assert sorted(seen) == sorted(after) == ["bot", "team"]  # both alarms are told, to both handlers
    assert team.get_agent_metrics("bot").spent == 6
    team.verify()
    assert manager.failures == []
    assert len(manager.get_alerts()) == 2


@pytest.mark.parametrize("ending", ENDINGS)
def test_it_reaches_who_spends_a_resource(ending):
    manager, team = a_team(0.5)
    budgets = resources(team)
    manager.add_handler(raising(ending))
    with pytest.raises(ending):
        budgets.reserve("bot", {"gpu": 6}).settle({"gpu": 6})
    team.verify()
    assert len(manager.get_alerts()) == 1


def test_an_exception_never_fails_a_debit_and_hides_no_ending(caplog):
    manager, team = a_team(0.5)
    manager.add_handler(raising(ValueError("no")))
    team.debit("bot", 6)
    manager.add_handler(raising(SystemExit(3)))
    manager.add_handler(raising(KeyboardInterrupt()))
    team.update_budget("bot", 10)
    team.update_pool_budget("team", 100)
    with pytest.raises(KeyboardInterrupt):
        team.debit("bot", 6)
    assert "SystemExit: 3" in caplog.text  # nor does one of them hide the other
    assert [type(failure.error) for failure in manager.failures] == [ValueError]


def test_it_comes_out_of_a_task_that_is_cancelled_in_a_handler():
    manager, team = a_team(0.5)

    async def work():
        task = asyncio.current_task()
        manager.add_handler(lambda _: task.cancel())
        team.debit("bot", 6)
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())
    assert team.get_budget("bot") == 4


def test_what_the_coordinator_itself_fails_at_is_shown(monkeypatch):
    manager, team = a_team(0.5)
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", lambda hook: shown.append(hook.exc_value))
    monkeypatch.setattr(manager, "send_alert", lambda *_, **__: 1 / 0)
    team.debit("bot", 6)
    assert {type(error) for error in shown} == {ZeroDivisionError}
    shown.clear()
    gc.collect()


def test_an_interrupted_grant_goes_back_to_the_reserve():
    _, team = a_team()
    team.update_pool_budget("team", 1000)
    for name in ("ann", "ben"):
        team.register_agent(name, "team", initial_budget=100)
    reallocator = PriorityBasedReallocator(team, emergency_threshold=20)
    with reallocator:
        reallocator.run_once()
        before = reallocator.get_reserve("team")
        assert before > 0

        def interrupt(decision):
            raise KeyboardInterrupt

        reallocator.on_decision(interrupt)
        with pytest.raises(KeyboardInterrupt):
            team.debit("ann", team.get_budget("ann") - 1)
        assert reallocator.get_reserve("team") == before
        assert team.get_budget("ann") == 1
    team.verify()


# In threads of the library.


@pytest.fixture
def live():
    team = BudgetCoordinator()
    team.create_budget_pool("team", 10)
    team.register_agent("bot", "team", initial_budget=1)
    return team


def titles(team, severity=AlertSeverity.ERROR):
    return [alert.title for alert in team.notification_manager.get_alerts(severity)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_run_that_is_ended_is_told_and_others_go_on(live, ending):
    bad, good = Mover(live, 0.01), Mover(live, 0.01)
    bad.on_decision(raising_judge(ending))
    with bad, good:
        wait_for(lambda: titles(live))
        runs = good.runs
        wait_for(lambda: good.runs > runs + 2)
    [alert] = live.notification_manager.get_alerts(AlertSeverity.ERROR)
    assert alert.title == "Mover was ended in the thread of all controllers, and runs again in a minute"
    assert isinstance(alert.details["error"], ending)


def raising_judge(error):
    def judge(decision):
        raise error

    return judge


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), -1.0, "soon", None])
def test_a_delay_that_is_none_is_told_and_the_interval_taken(delay):
    manager, team = a_team()
    mover = Mover(team, 60)
    with mover:
        mover.next_delay = lambda now: delay
        team.clock.advance(180)
        assert mover.runs == 3
        del mover.next_delay
        team.clock.advance(60)
        assert mover.runs == 4
    [first, *_] = manager.get_alerts(AlertSeverity.ERROR)
    assert first.title == "Mover does not know when to run next"
    assert repr(delay) in first.message


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), -0.5])
def test_nobody_starts_with_a_delay_that_is_none(delay):
    _, team = a_team()
    mover = Mover(team, 60)
    mover.next_delay = lambda now: delay
    with pytest.raises(ConfigurationError, match=r"cannot wait for .* seconds until its first run"):
        mover.start()
    assert not mover.running
    del mover.next_delay
    with mover:
        team.clock.advance(60)
    assert mover.runs == 1


def test_a_delay_of_nothing_ends():
    _, team = a_team()
    mover = Mover(team, 60)
    with mover:
        mover.next_delay = lambda now: 60.0 if mover.runs > 4 else 0.0
        team.clock.advance(61)
    assert 5 <= mover.runs <= 7


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
def test_a_training_that_is_ended_in_its_thread_is_told(ending, monkeypatch):
    now = datetime.now(UTC)
    team = BudgetCoordinator()
    team.create_budget_pool("team", 10**6)
    team.register_agent("bot", "team", initial_budget=100)
    optimizer = BudgetRLOptimizer(team)

    def reward(state, action, after):
        raise ending

    optimizer.configure(reward, vectorized=True)
    hours = [now - timedelta(hours=n) for n in range(150, 0, -1)]
    optimizer.load_history("bot", hours, [float(2 + n % 5) for n in range(150)])
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    optimizer.run_once()
    wait_for(lambda: not optimizer._thread.is_alive())
    optimizer.run_once()
    [alert] = team.notification_manager.get_alerts(AlertSeverity.ERROR)
    assert alert.title == "BudgetRLOptimizer could not train, and keeps the policy it had"
    assert isinstance(alert.details["error"], ending)


def test_a_reading_that_fails_is_told_and_the_next_comes(monkeypatch):
    manager, team = a_team()
    learner = BudgetPatternLearner(team)
    learner.start_collection()
    read = learner._read
    monkeypatch.setattr(learner, "_read", lambda: 1 / 0)
    team.clock.advance(900)
    assert titles(team) == ["BudgetPatternLearner could not observe"]
    monkeypatch.setattr(learner, "_read", read)
    team.debit("bot", Decimal(2))
    team.clock.advance(900)
    assert learner.known_agents() == ["bot"]
    assert len(manager.get_alerts(AlertSeverity.ERROR)) == 1

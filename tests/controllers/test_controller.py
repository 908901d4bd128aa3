"""The base of all controllers: runs, bounds, vetoes, failures, time."""

import asyncio
import gc
import json
import re
import subprocess
import sys
import threading
import time
import traceback
import weakref
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from safeguards import (
    AlertSeverity,
    BudgetCoordinator,
    ConfigurationError,
    Decision,
    ManualClock,
    UnknownAgentError,
)
from safeguards.core._ticker import ticker_of
from safeguards.core.controller import Controller

YEAR = 365 * 86_400


class Raiser(Controller):
    """Adds one to each agent's budget. Fails, or wants more, when it is told to."""

    fallback = "half a unit each"

    def __init__(self, coordinator, interval=60, *, step=1, **options):
        super().__init__(coordinator, interval, **options)
        self.step, self.error, self.fallback_error, self.runs = step, None, None, []

    def observe(self, now):
        coordinator = self.budget_coordinator
        return {agent: coordinator.get_budget(agent) for agent in sorted(coordinator.get_all_agent_ids())}

    def learn(self, view):
        self.runs.append(self.budget_coordinator.clock.now())

    def by_step(self, budgets, step):
        return [
            Decision("agent", agent, old, max(old + step, Decimal(0)), "a test")
            for agent, old in budgets.items()
        ]

    def propose(self, view):
        if self.error:
            raise self.error
        return self.by_step(view, self.step)

    def fall_back(self, view):
        if self.fallback_error:
            raise self.fallback_error
        return self.by_step(view, Decimal("0.5"))


@pytest.fixture
def raiser(coordinator):
    return Raiser(coordinator)


def test_evaluate_changes_nothing(raiser, coordinator):
    [decision] = raiser.evaluate()
    assert (decision.subject, decision.old, decision.new) == ("bot", 1, 2)
    assert (decision.controller, decision.status) == ("Raiser", "proposed")
    assert decision.time == coordinator.clock.now()
    assert coordinator.get_budget("bot") == 1
    assert raiser.history == []
    assert coordinator.notification_manager.get_alerts() == []


def test_run_once_applies_keeps_and_tells(raiser, coordinator):
    [decision] = raiser.run_once()
    assert decision.status == "applied"
    assert coordinator.get_budget("bot") == 2
    assert raiser.history == [decision]
    [alert] = coordinator.notification_manager.get_alerts()
    assert (alert.title, alert.severity, alert.account) == (
        "Raiser changed one budget",
        AlertSeverity.INFO,
        "bot",
    )
    assert alert.details["decisions"] == (decision,)
    assert coordinator.get_agent_events("bot")[-1].kind == "raise"


def test_what_is_spent_between_looking_and_changing_stays_spent(raiser, coordinator):
    raiser.on_decision(lambda _: coordinator.debit("bot", "0.75"))
    [decision] = raiser.run_once()
    assert (decision.old, decision.new) == (1, 2)
    assert coordinator.get_budget("bot") == Decimal("1.25")


def test_the_first_run_comes_one_interval_after_the_start(raiser, coordinator, clock):
    raiser.start()
    assert raiser.running
    clock.advance(59.999)
    assert raiser.runs == []
    clock.advance(0.001)
    assert coordinator.get_budget("bot") == 2
    clock.advance(600)
    assert [(now - raiser.runs[0]).total_seconds() for now in raiser.runs] == [60 * n for n in range(11)]
    raiser.stop()
    clock.advance(600)
    assert len(raiser.runs) == 11
    assert not raiser.running


def test_a_second_start_does_nothing_and_a_later_one_starts_again(raiser, clock):
    raiser.start()
    raiser.start()
    clock.advance(60)
    assert len(raiser.runs) == 1
    raiser.stop()
    raiser.stop()
    with raiser:
        clock.advance(59)
        assert len(raiser.runs) == 1
        clock.advance(1)
        assert len(raiser.runs) == 2
    clock.advance(60)
    assert len(raiser.runs) == 2


def test_runs_of_several_controllers_are_in_the_order_of_time(coordinator, clock):
    order = []
    for name, interval in (("a", 7), ("b", 3), ("c", 5)):
        controller = Raiser(coordinator, interval)
        controller.on_decision(lambda d, name=name: order.append((name, clock.monotonic())))
        controller.start()
    clock.advance(30)
    expected = sorted((t, name) for name, i in (("a", 7), ("b", 3), ("c", 5)) for t in range(i, 31, i))
    assert sorted((t, name) for name, t in order) == expected
    assert [t for _, t in order] == [t for t, _ in expected]


def test_max_change_is_a_share_of_what_the_period_began_with(coordinator):
    raiser = Raiser(coordinator, step=5, max_change=0.1)
    coordinator.debit("bot", 1)
    [decision] = raiser.run_once()
    assert (decision.old, decision.new) == (0, Decimal("0.1"))  # an empty budget recovers
    assert decision.inputs["wanted"] == 5
    assert decision.reason == "a test; at most 10% of 1 at a time"
    raiser.step = -5
    [decision] = raiser.run_once()
    assert decision.new == 0


def test_a_bound_that_leaves_nothing_to_change_makes_no_decision(coordinator):
    coordinator.update_budget("bot", 0)
    assert Raiser(coordinator, max_change=0.5).run_once() == []


def test_a_veto_leaves_the_budget(raiser, coordinator):
    raiser.on_decision(lambda decision: decision.new < 2)
    raiser.on_decision(lambda decision: None)
    [decision] = raiser.run_once()
    assert (decision.status, coordinator.get_budget("bot")) == ("vetoed", 1)


def test_a_callback_that_raises_is_a_veto_and_told(raiser, coordinator):
    raiser.on_decision(lambda decision: 1 / 0)
    [decision] = raiser.run_once()
    assert (decision.status, coordinator.get_budget("bot")) == ("vetoed", 1)
    [alert] = coordinator.notification_manager.get_alerts()
    assert alert.severity == AlertSeverity.ERROR
    assert "ZeroDivisionError" in alert.message


class SilentError(Exception):
    """An error that cannot be printed."""

    def __str__(self):
        raise ValueError("no text")


def test_an_error_that_cannot_be_printed_falls_back_and_is_told(raiser, coordinator):
    raiser.error = SilentError()
    [decision] = raiser.run_once()
    assert (decision.status, coordinator.get_budget("bot")) == ("applied", Decimal("1.5"))
    [alert] = coordinator.notification_manager.get_alerts(AlertSeverity.ERROR)
    assert alert.message.startswith("SilentError: <no text: SilentError cannot be printed>.")


def test_a_callback_whose_error_cannot_be_printed_is_a_veto(raiser):
    def judge(_):
        raise SilentError

    raiser.on_decision(judge)
    assert [decision.status for decision in raiser.run_once()] == ["vetoed"]


def test_a_change_whose_error_cannot_be_printed_fails_alone(raiser, coordinator, monkeypatch):
    coordinator.register_agent("other", "team", initial_budget=1)
    execute = coordinator.execute

    def execute_others(decision):
        if decision.subject == "bot":
            raise SilentError
        return execute(decision)

    monkeypatch.setattr(coordinator, "execute", execute_others)
    bot, other = raiser.run_once()
    assert (bot.status, other.status) == ("failed", "applied")
    assert bot.error == "<no text: SilentError cannot be printed>"


@pytest.mark.parametrize("figure", ["1e999999", "1e999999999999999999", "1e-999999"])
@pytest.mark.parametrize("max_change", [None, 0.1])
def test_figures_that_are_no_amounts_fail_alone(coordinator, figure, max_change):
    class Absurd(Raiser):
        def propose(self, view):
            absurd = Decision("agent", "bot", Decimal(figure), Decimal(1), "absurd")
            return [absurd, Decision("agent", "other", Decimal(1), Decimal("1.05"), "good")]

    coordinator.register_agent("other", "team", initial_budget=1)
    bot, other = Absurd(coordinator, max_change=max_change).run_once()
    assert other.status == "applied"
    assert coordinator.get_budget("other") == Decimal("1.05")
    if figure != "1e-999999":  # which is nothing, as good as
        assert bot.status == "failed"


def test_a_pinned_budget_is_left_alone(raiser, coordinator):
    coordinator.pin("bot")
    [decision] = raiser.run_once()
    assert (decision.status, coordinator.get_budget("bot")) == ("pinned", 1)
    coordinator.unpin("bot")
    assert raiser.run_once()[0].status == "applied"


def test_a_failure_falls_back_alerts_and_goes_on(raiser, coordinator, clock):
    raiser.error = RuntimeError("no forecast")
    with raiser:
        clock.advance(60)
        assert coordinator.get_budget("bot") == Decimal("1.5")
        raiser.fallback_error = ValueError("nor this")
        clock.advance(60)
        assert coordinator.get_budget("bot") == Decimal("1.5")
        raiser.error = None
        clock.advance(60)
        assert coordinator.get_budget("bot") == Decimal("2.5")
    errors = coordinator.notification_manager.get_alerts(AlertSeverity.ERROR)
    assert [alert.title for alert in errors] == [
        "Raiser failed",
        "Raiser failed",
        "Raiser failed in its fallback as well",
    ]
    assert errors[0].message == "RuntimeError: no forecast. Its rule for such a case: half a unit each."


def test_evaluate_raises_what_goes_wrong(raiser):
    raiser.error = RuntimeError("no forecast")
    with pytest.raises(RuntimeError, match="no forecast"):
        raiser.evaluate()


def test_an_agent_that_vanishes_fails_alone(raiser, coordinator):
    coordinator.register_agent("other", "team", initial_budget=1)
    raiser.on_decision(lambda d: coordinator.unregister_agent("bot") if d.subject == "bot" else None)
    bot, other = raiser.run_once()
    assert (bot.status, other.status) == ("failed", "applied")
    assert "bot" in bot.error
    titles = [alert.title for alert in coordinator.notification_manager.get_alerts()]
    assert titles == ["Raiser changed one budget", "Raiser could not change one budget"]


def test_a_stop_in_the_middle_of_a_run_applies_nothing_more(raiser, coordinator, clock):
    coordinator.register_agent("other", "team", initial_budget=1)
    raiser.on_decision(lambda d: raiser.stop() if d.subject == "other" else None)
    raiser.start()
    clock.advance(60)
    assert (coordinator.get_budget("bot"), coordinator.get_budget("other")) == (2, 1)
    assert [d.subject for d in raiser.history] == ["bot"]


def test_a_run_that_begins_after_the_stop_applies_nothing(raiser, coordinator):
    raiser.start()
    late = raiser._job.run
    raiser.stop()
    late()
    raiser.start()
    late()
    assert coordinator.get_budget("bot") == 1
    assert raiser.history == []


def test_what_was_done_before_an_interrupt_is_kept_and_the_next_run_comes(raiser, coordinator, clock):
    coordinator.register_agent("other", "team", initial_budget=1)

    def interrupt(decision):
        if decision.subject == "other" and len(raiser.runs) == 1:
            raise KeyboardInterrupt

    raiser.on_decision(interrupt)
    raiser.start()
    with pytest.raises(KeyboardInterrupt):
        clock.advance(60)
    assert [(d.subject, d.status) for d in raiser.history] == [("bot", "applied")]
    clock.advance(60)
    assert len(raiser.runs) == 2
    assert coordinator.get_budget("other") == 2


def test_an_agent_that_leaves_before_it_is_bounded_fails_alone(coordinator):
    coordinator.register_agent("other", "team", initial_budget=1)
    raiser = Raiser(coordinator, max_change=0.5)
    propose = raiser.propose

    def leave(view):
        coordinator.unregister_agent("bot")
        return propose(view)

    raiser.propose = leave
    bot, other = raiser.run_once()
    assert (bot.status, other.status, other.new) == ("failed", "applied", Decimal("1.5"))


def test_alerts_hold_what_they_show_and_no_more(coordinator):
    for name in "cdefg":
        coordinator.register_agent(name, "team")
    decisions = Raiser(coordinator).run_once()
    [alert] = coordinator.notification_manager.get_alerts()
    assert alert.title == "Raiser changed 6 budgets"
    assert alert.message.endswith("and 3 more, in the history of the controller")
    assert alert.details == {"decisions": tuple(decisions[:3]), "count": 6}


def test_alerts_of_failures_hold_nothing_that_was_computed(raiser, coordinator):
    class Figures:
        pass

    seen = []

    def propose(view):
        figures = Figures()
        seen.append(weakref.ref(figures))
        raise RuntimeError("no forecast")

    raiser.propose = propose
    raiser.run_once()
    gc.collect()
    assert seen[0]() is None
    [alert] = coordinator.notification_manager.get_alerts(AlertSeverity.ERROR)
    lines = "".join(traceback.format_exception(alert.details["error"]))
    assert 'raise RuntimeError("no forecast")' in lines  # where it happened can still be read


def test_decisions_are_plain_in_json():
    decision = Decision("agent", "bot", Decimal("1E+3"), Decimal("0E-9"), "x", {"need": float("inf")})
    plain = json.loads(json.dumps(decision.to_dict(), allow_nan=False))
    assert (plain["old"], plain["new"], plain["inputs"]) == ("1000", "0.000000000", {"need": "inf"})


def test_an_agent_that_comes_under_the_id_of_one_that_was_pinned_is_not(coordinator):
    coordinator.pin("bot")
    coordinator.pin("team")
    coordinator.register_agent("team", "team")
    coordinator.unregister_agent("bot")
    coordinator.unregister_agent("team")
    assert coordinator.pinned == {"team"}  # the pool
    with pytest.raises(UnknownAgentError):
        coordinator.unregister_agent("bot")


def test_history_is_bounded(coordinator):
    raiser = Raiser(coordinator, history_size=3)
    for _ in range(5):
        raiser.run_once()
    assert [decision.new for decision in raiser.history] == [4, 5, 6]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval": 0}, "from 0.001 to 3,153,600,000, not 0"),
        ({"interval": float("nan")}, "from 0.001 to 3,153,600,000, not nan"),
        ({"interval": 1e-9}, "from 0.001 to 3,153,600,000, not 1e-09"),
        ({"interval": True}, "interval_seconds must be a number, not True"),
        ({"max_change": 0}, "max_change must be above 0 and at most 1e.15, not 0"),
        ({"max_change": -0.1}, "not -0.1"),
        ({"max_change": True}, "not True"),
        ({"history_size": 0}, "history_size must be from 1 on, not 0"),
        ({"history_size": 2.5}, "not 2.5"),
        ({"history_size": 10**30}, "history_size must be from 1 on, not 1,000"),
    ],
)
def test_wrong_settings_are_refused(coordinator, options, message):
    with pytest.raises(ConfigurationError, match=message):
        Raiser(coordinator, **options)


@pytest.mark.parametrize("name", ["interval", "max_change", "history_size"])
@pytest.mark.parametrize("value", ["60", timedelta(seconds=60), [60]])
def test_settings_of_a_wrong_type_are_named(coordinator, name, value):
    with pytest.raises(ConfigurationError, match=f"{name}.*not {re.escape(repr(value))}"):
        Raiser(coordinator, **{name: value})


def test_only_a_coordinator_is_steered():
    with pytest.raises(TypeError, match="must be a BudgetCoordinator, not 'team'"):
        Raiser("team")


def test_a_callback_can_be_called(raiser):
    with pytest.raises(ConfigurationError, match="cannot be called"):
        raiser.on_decision("no")


def test_a_clock_advanced_by_a_job_ends_where_both_say(clock):
    ticker, seen = ticker_of(clock), []

    def run():
        seen.append(clock.monotonic())
        if len(seen) == 1:
            clock.advance(25)
        return 10

    ticker.schedule(run, 10)
    clock.advance(30)
    assert (clock.monotonic(), seen) == (35, [10])
    clock.advance(0)  # what fell due at 20 runs late, and once
    assert seen == [10, 35]


def test_a_clock_that_comes_to_its_end_stops_there(clock, raiser):
    ticker_of(clock).schedule(lambda: 200 * YEAR, 200 * YEAR)
    clock.advance(1000 * YEAR)
    assert clock.monotonic() == pytest.approx((2**63 - 1) / 1e9)


def test_two_threads_that_advance_one_clock_add_up(clock, raiser):
    raiser.start()
    threads = [threading.Thread(target=lambda: [clock.advance(1) for _ in range(300)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 600
    assert len(raiser.runs) == 10


def test_a_clock_and_what_runs_on_it_are_collected():
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock)
    raiser = Raiser(coordinator)
    raiser.start()
    gone = weakref.ref(raiser)
    del raiser, coordinator, clock
    gc.collect()
    assert gone() is None


# On the system's clocks.


@pytest.fixture
def live():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    return coordinator


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def test_it_runs_by_itself_in_one_shared_thread(live):
    first, second = Raiser(live, 0.01), Raiser(live, 0.01)
    names = set()
    for raiser in (first, second):
        raiser.on_decision(lambda _: names.add(threading.current_thread().name))
    with first, second:
        wait_for(lambda: len(first.runs) > 3 and len(second.runs) > 3)
    runs = len(first.runs)
    budget = live.get_budget("bot")
    time.sleep(0.1)
    assert (len(first.runs), live.get_budget("bot")) == (runs, budget)
    assert names == {"safeguards"}
    assert [thread.name for thread in threading.enumerate()].count("safeguards") == 1


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_what_ends_a_callback_does_not_end_the_thread_of_all(live, error, caplog):
    def leave(decision):
        raise error

    bad, good = Raiser(live, 0.01), Raiser(live, 0.01)
    bad.on_decision(leave)
    with bad, good:
        wait_for(lambda: bad.runs)
        runs = len(good.runs)
        wait_for(lambda: len(good.runs) > runs + 2)
    assert error.__name__ in caplog.text


def test_stop_does_not_wait_for_a_run_that_thinks(live):
    raiser, is_thinking, may_go_on = Raiser(live, 0.01), threading.Event(), threading.Event()

    def propose(view):
        is_thinking.set()
        assert may_go_on.wait(30)
        return raiser.by_step(view, 1)

    raiser.propose = propose
    raiser.start()
    assert is_thinking.wait(30)
    raiser.stop()  # returns at once
    may_go_on.set()
    wait_for(lambda: raiser._turn.acquire(blocking=False))
    assert live.get_budget("bot") == 1
    assert raiser.history == []


def test_a_process_ends_while_controllers_run():
    code = """
from safeguards import BudgetCoordinator
from tests.controllers.test_controller import Raiser, wait_for
coordinator = BudgetCoordinator()
coordinator.create_budget_pool("team", 10)
coordinator.register_agent("bot", "team", initial_budget=1)
raiser = Raiser(coordinator, 0.001)
raiser.start()
wait_for(lambda: len(raiser.runs) > 3)
print("done")
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=root
    )
    assert (done.stdout, done.stderr) == ("done\n", "")

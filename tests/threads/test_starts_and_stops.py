"""Starts, stops and runs that meet: in threads, of controllers that run each other, of slow callbacks."""

import contextlib
import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from datetime import time as wall_time

import pytest

from safeguards import (
    AlertSeverity,
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRLOptimizer,
    BudgetTimeScheduler,
    ConfigurationError,
    ControllerBusyError,
    ManualClock,
    PriorityBasedReallocator,
)
from safeguards._native import Turn
from safeguards.core._ticker import ticker_of

from .meetings import at_once
from .movers import Mover, wait_for


@pytest.fixture(params=["a clock that stands", "the clock of the system"])
def team(request):
    clock = ManualClock() if request.param == "a clock that stands" else None
    team = BudgetCoordinator(clock=clock)
    team.create_budget_pool("team", 1000)
    for agent in ("ann", "ben"):
        team.register_agent(agent, "team", initial_budget=100)
    return team


CONTROLLERS = {
    "mover": Mover,
    "reallocator": PriorityBasedReallocator,
    "scheduler": BudgetTimeScheduler,
    "learner": BudgetPatternLearner,
    "optimizer": BudgetRLOptimizer,
}
SEEDS = range(100) if "SAFEGUARDS_TORTURE" in os.environ else [11_2026]


def jobs_of(controller):
    """What is scheduled for a controller."""
    jobs = ticker_of(controller.budget_coordinator.clock)._jobs
    return [job for job in jobs if getattr(job.tell, "__self__", None) is controller]


def is_whole(controller):
    """Whether all that belongs to a run is there, or nothing of it."""
    team, is_running = controller.budget_coordinator, controller.running
    jobs = len(jobs_of(controller))
    if isinstance(controller, PriorityBasedReallocator):
        assert len(team._low_listeners) == is_running, "running, and deaf"
    if isinstance(controller, BudgetPatternLearner):
        assert controller.collecting == is_running
        jobs -= is_running
    assert jobs == is_running
    return True


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CONTROLLERS)
def test_starts_and_stops_in_any_order_leave_one_or_the_other(team, name, seed):
    controller, draw = CONTROLLERS[name](team), random.Random(seed)
    for turn in range(15):
        work = [[draw.choice(["start", "stop"]) for _ in range(6)] for _ in range(4)]
        at_once(*(lambda calls=calls: [getattr(controller, call)() for call in calls] for calls in work))
        assert is_whole(controller), (seed, turn, work)
    controller.start()
    assert is_whole(controller)
    assert controller.running
    controller.stop()
    assert is_whole(controller)
    assert not controller.running


def test_a_reallocator_that_was_stopped_and_started_at_once_hears(team):
    reallocator = PriorityBasedReallocator(team, emergency_threshold=20)
    reallocator.run_once()
    for _ in range(30):
        at_once(reallocator.start, reallocator.stop, reallocator.start)
        if not reallocator.running:
            assert team._low_listeners == ()
            continue
        team.update_budget("ann", 100)
        reallocator.run_once()
        if reallocator.get_reserve("team") > 20:
            left = team.get_budget("ann")
            team.debit("ann", left - 1)
            assert team.get_budget("ann") > 1, "it runs, and is deaf"
            team.update_pool_budget("team", 1000)
        reallocator.stop()


def test_stop_ends_the_collection_however_it_began(team):
    learner = BudgetPatternLearner(team)
    with learner:
        assert learner.collecting
    assert not learner.collecting
    assert jobs_of(learner) == []
    learner.start_collection()
    with learner:
        assert learner.collecting
    assert not learner.collecting and jobs_of(learner) == []
    learner.start()
    learner.start_collection()
    learner.stop()
    assert not learner.collecting and jobs_of(learner) == []
    learner.start_collection()
    learner.stop()  # it was never started
    assert not learner.collecting and jobs_of(learner) == []
    learner.start_collection()
    team.close()
    assert not learner.collecting


def test_what_was_used_until_the_stop_is_known():
    team = BudgetCoordinator(clock=ManualClock())
    team.create_budget_pool("team", 1000)
    team.register_agent("bot", "team", initial_budget=100)
    learner = BudgetPatternLearner(team)
    with learner:
        team.debit("bot", 3)
    team.clock.advance(900)
    assert learner.known_agents() == ["bot"]


# Controllers that run each other.


@pytest.mark.parametrize("count", [2, 3])
def test_controllers_that_run_each_other_do_not_wait_for_ever(team, count):
    movers = [Mover(team) for _ in range(count)]
    barrier, is_first = threading.Barrier(count), [True] * count
    for place, mover in enumerate(movers):

        def judge(decision, place=place):
            if is_first[place]:
                is_first[place] = False
                barrier.wait(30)
                movers[(place + 1) % count].run_once()

        mover.on_decision(judge)
    begun = time.monotonic()
    at_once(*(mover.run_once for mover in movers))
    assert time.monotonic() - begun < 20
    told = team.notification_manager.get_alerts(AlertSeverity.ERROR)
    assert 1 <= len(told) < count + 1
    assert all(isinstance(alert.details["error"], ControllerBusyError) for alert in told)
    assert all(mover.run_once() for mover in movers)  # and can all run again
    team.verify()


def test_a_clock_and_a_controller_that_wait_for_each_other():
    team = BudgetCoordinator(clock=ManualClock())
    team.create_budget_pool("team", 1000)
    team.register_agent("ann", "team", initial_budget=100)
    mover, is_asked, may_answer = Mover(team), threading.Event(), threading.Event()

    def judge(decision):
        if threading.current_thread().name == "asker":
            is_asked.set()
            assert may_answer.wait(30)
            team.clock.advance(1)

    mover.on_decision(judge)
    mover.start()
    asker = threading.Thread(target=mover.run_once, name="asker", daemon=True)
    asker.start()
    assert is_asked.wait(30)
    threading.Timer(0.2, may_answer.set).start()
    team.clock.advance(60)  # its run waits for the asker's, which wants the clock
    asker.join(30)
    assert not asker.is_alive()
    assert team.clock.monotonic() >= 60
    [alert, *_] = team.notification_manager.get_alerts(AlertSeverity.ERROR)
    assert isinstance(alert.details["error"], ControllerBusyError)


def test_a_turn_is_waited_for_and_given_up_by_name():
    turn, taken, may_end = Turn("the pump", 0.2), threading.Event(), threading.Event()

    def hold():
        with turn, turn:
            taken.set()
            may_end.wait(30)

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    assert taken.wait(30)
    assert not turn.acquire(blocking=False)
    with pytest.raises(ControllerBusyError, match="the pump is busy in another thread.*for too long"):
        turn.acquire()
    threading.Timer(0.05, may_end.set).start()
    with turn:
        assert turn.acquire(blocking=False)
        turn.release()
    holder.join(30)
    assert turn.acquire(blocking=False)


def test_a_turn_is_had_by_one_at_a_time():
    turn, inside, seen = Turn("it"), [], []

    def work():
        for _ in range(200):
            with turn:
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

    at_once(*[work] * 4)
    assert seen == [1] * 800


# Callbacks that wait.


@pytest.fixture
def live():
    team = BudgetCoordinator()
    team.create_budget_pool("team", 1000)
    team.register_agent("ann", "team", initial_budget=100)
    return team


class Sleeper(Mover):
    """Has a name of its own, in alerts."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_callback_that_sleeps_keeps_nobody_waiting_and_is_told(live, when):
    slow, quick = Sleeper(live, 0.01), Mover(live, 0.01)
    may_go_on, is_asleep = threading.Event(), threading.Event()

    def sleep(decision):
        is_asleep.set()
        may_go_on.wait(30)

    def told():
        alerts = live.notification_manager.get_alerts(AlertSeverity.WARNING)
        return [alert for alert in alerts if alert.title == "Sleeper takes long"]

    slow.on_decision(sleep)
    if when == "before":
        quick.start()
    slow.start()
    assert is_asleep.wait(30)
    quick.start()  # also one that starts when the other sleeps already
    runs = quick.runs
    wait_for(lambda: quick.runs > runs + 20)
    wait_for(told)
    assert slow.runs == 1
    may_go_on.set()
    wait_for(lambda: slow.runs > 3)  # and is itself again
    slow.stop()
    quick.stop()
    [alert] = told()
    assert "more than 1 s" in alert.message
    wait_for(lambda: [thread.name for thread in threading.enumerate()].count("safeguards-late") == 0)
    assert [thread.name for thread in threading.enumerate()].count("safeguards") == 1


def test_a_run_waits_for_the_one_in_the_shared_thread(live):
    mover, other, is_asked, may_answer = (
        Mover(live, 0.01),
        Mover(live, 0.01),
        threading.Event(),
        threading.Event(),
    )

    def judge(decision):
        is_asked.set()
        may_answer.wait(30)

    mover.on_decision(judge)
    with mover, other:
        assert is_asked.wait(30)
        threading.Timer(0.1, may_answer.set).start()
        assert mover.run_once()


# Schedules that change while they run.

NEW = {"soon": {"budget": 50, "start_time": wall_time(9, 0, 10), "end_time": wall_time(17)}}


def test_a_profile_that_is_added_comes_into_force_on_time():
    clock = ManualClock(datetime(2026, 1, 5, 9, tzinfo=UTC) - timedelta(seconds=0.5))
    team = BudgetCoordinator(clock=clock)
    team.create_budget_pool("team", 1000)
    scheduler = BudgetTimeScheduler(team, timezone="UTC")
    with scheduler:
        clock.advance(5.5)  # to five seconds past nine
        scheduler.add_time_profile("team", NEW)
        clock.advance(4.999)
        assert team.get_pool_budget("team") == 1000
        clock.advance(0.001)
        assert team.get_pool_budget("team") == 50
        clock.advance(3600)
    assert len(scheduler.history) == 1


def test_one_that_is_added_in_the_middle_of_a_run_comes_on_time_too():
    clock = ManualClock(datetime(2026, 1, 5, 8, 59, tzinfo=UTC))
    team = BudgetCoordinator(clock=clock)
    for pool in ("team", "other"):
        team.create_budget_pool(pool, 1000)
    scheduler = BudgetTimeScheduler(team, timezone="UTC")
    always = {"always": {"budget": 5, "start_time": wall_time(0), "end_time": wall_time(23, 59)}}
    scheduler.add_time_profile("other", always)
    scheduler.on_decision(
        lambda decision: scheduler.add_time_profile("team", NEW) if decision.subject == "other" else None
    )
    with scheduler:
        clock.advance(60)  # the first run, at nine, grants the other pool
        assert team.get_pool_budget("other") == 5
        clock.advance(10)
        assert team.get_pool_budget("team") == 50


def test_a_shorter_interval_holds_at_once():
    team = BudgetCoordinator(clock=ManualClock())
    team.create_budget_pool("team", 1000)
    team.register_agent("ann", "team", initial_budget=100)
    optimizer = BudgetRLOptimizer(team)
    with optimizer:
        optimizer.configure(update_interval_minutes=1)
        team.debit("ann", 90)
        team.clock.advance(60)
        assert len(optimizer.history) == 1


def test_of_several_who_make_the_same_pool_one_does(team):
    made = []

    def make(exist_ok):
        with contextlib.suppress(ConfigurationError):
            made.append(team.create_budget_pool("pool", 1, exist_ok=exist_ok))

    at_once(*[lambda: [make(exist_ok=False) for _ in range(50)]] * 4)
    assert made == ["pool"]
    at_once(*[lambda: [make(exist_ok=True) for _ in range(50)]] * 4)
    assert made == ["pool"] * 201
    assert team.get_pool_budget("pool") == 1

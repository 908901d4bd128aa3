"""Callbacks that mutate, raise, veto and call back, for every controller: what is told is what happened."""

from datetime import UTC, datetime, timedelta

import pytest

from safeguards import BudgetCoordinator, BudgetPatternLearner, ControllerBusyError, ManualClock
from safeguards.types.decisions import Allot, Deal, Draw, Resize, SetBudget

from .test_controller import Raiser
from .test_decimal_contexts import CONTROLLERS, HOUR

START = datetime(2026, 3, 2, tzinfo=UTC)
MAKERS = CONTROLLERS | {"own": lambda coordinator: Raiser(coordinator, HOUR)}
"""One of each, all of which decide something within hours."""
CHANGES = {
    "step": {Resize},
    "predictive": {Resize},
    "auto": {Resize},
    "reallocator": {Deal, Draw},
    "optimizer": {Allot},
    "scheduler": {SetBudget},
}


def world():
    coordinator = BudgetCoordinator(clock=ManualClock(START))
    coordinator.create_budget_pool("team", "1234.567890123", budget_period="daily", timezone="UTC")
    for agent, budget in (("ann", "123.456789"), ("bob", "98.7654321")):
        coordinator.register_agent(agent, "team", initial_budget=budget)
    return coordinator


def play(controller, hours=30):
    """Two agents that spend until they run low, and are raised again."""
    coordinator = controller.budget_coordinator
    if isinstance(controller, BudgetPatternLearner):
        times = [START - timedelta(hours=hour) for hour in range(1, 200)]
        for agent in ("ann", "bob"):
            controller.load_history(agent, times, [f"{1 + hour % 24}.5" for hour in range(199)])
    with controller:
        for hour in range(hours):
            left = coordinator.get_budget("ann")
            coordinator.try_debit(
                "ann", left - 5 if hour % 7 == 6 and left > 5 else f"{1 + hour % 24}.{hour:03d}"
            )
            coordinator.try_debit("bob", f"0.{1 + hour:03d}456789")
            coordinator.clock.advance(HOUR)


def events(coordinator):
    """What the ledger says was granted, adjusted and set since it began."""
    kinds = {"update", "raise", "lower", "period_budget"}
    found = [*coordinator.get_agent_events("ann"), *coordinator.get_agent_events("bob")]
    return [e for e in (*found, *coordinator.get_pool_events("team")) if e.kind in kinds]


@pytest.mark.parametrize("name", MAKERS)
def test_every_controller_decides_something_of_its_kinds(name):
    controller = MAKERS[name](world())
    play(controller)
    assert {d.status for d in controller.history} == {"applied"}
    assert {type(d.change) for d in controller.history} >= CHANGES.get(name, set())


@pytest.mark.parametrize("name", MAKERS)
def test_a_callback_that_tampers_changes_nothing_of_what_happens(name):
    """The figures of a decision are for people: nothing hangs on them, and they cannot be written to."""
    honest, tampered = MAKERS[name](world()), MAKERS[name](world())
    tried = []

    def tamper(decision):
        for act in (
            lambda: decision.inputs.pop("policy"),
            lambda: decision.inputs.update(later_periods=False, left=0, pool="x"),
            lambda: setattr(decision, "new", decision.old),
            lambda: setattr(decision.change, "by", 0),
        ):
            with pytest.raises((AttributeError, TypeError)):
                act()
        tried.append(decision)

    tampered.on_decision(tamper)
    play(honest)
    play(tampered)
    assert tried
    assert {d.status for d in tampered.history} == {"applied"}
    assert tampered.history == honest.history


@pytest.mark.parametrize("answer", ["false", "raise"])
@pytest.mark.parametrize("name", MAKERS)
def test_what_is_vetoed_moves_nothing(name, answer):
    coordinator = world()
    controller = MAKERS[name](coordinator)
    before = len(events(coordinator))
    controller.on_decision(lambda _: False if answer == "false" else 1 / 0)
    play(controller)
    assert {d.status for d in controller.history} == {"vetoed"}
    assert len(events(coordinator)) == before
    coordinator.verify()


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_pinned_in_a_callback_moves_nothing(name):
    coordinator = world()
    controller = MAKERS[name](coordinator)
    before = len(events(coordinator))
    controller.on_decision(lambda decision: coordinator.pin(decision.subject))
    play(controller)
    assert {d.status for d in controller.history} == {"pinned"}
    assert len(events(coordinator)) == before


@pytest.mark.parametrize("name", MAKERS)
def test_callbacks_that_call_back_leave_sound_books(name):
    coordinator = world()
    controller, depth = MAKERS[name](coordinator), []

    def call_back(decision):
        if len(depth) > 1:
            return
        depth.append(decision)
        try:
            controller.evaluate()
            controller.run_once()
            coordinator.try_debit("bob", "0.01")
        except ControllerBusyError:
            pass
        finally:
            depth.pop()

    controller.on_decision(call_back)
    play(controller)
    assert controller.history
    assert {d.status for d in controller.history} <= {"applied", "failed"}
    # What failed was done before by the run within: a profile is granted once.
    assert all("before" in d.error for d in controller.history if d.status == "failed")
    coordinator.verify()


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_applied_is_what_the_ledger_says(name):
    """Each decision that was applied has its events, and there are no others."""
    coordinator = world()
    controller = MAKERS[name](coordinator)
    before = len(events(coordinator))
    play(controller, hours=20)
    applied = [d.change for d in controller.history if d.status == "applied"]
    sets = sum(isinstance(change, SetBudget) for change in applied)
    moves = sum(bool(change.by) for change in applied if not isinstance(change, SetBudget))
    later = sum(bool(change.later_periods) for change in applied if isinstance(change, Resize))
    assert len(events(coordinator)) - before == sets + moves + later


@pytest.mark.parametrize("name", MAKERS)
def test_a_dry_run_leaves_no_trace(name):
    looked, quiet = MAKERS[name](world()), MAKERS[name](world())
    looked.on_decision(lambda _: looked.evaluate() and None)
    play(quiet)
    play(looked)
    assert looked.history == quiet.history


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_reviewed_first_can_be_executed_later(name):
    coordinator = world()
    controller = MAKERS[name](coordinator)
    if name != "scheduler":  # which does not ask again
        controller.on_decision(lambda _: False)
        play(controller, hours=4)
    proposed = controller.evaluate()
    coordinator.try_debit("ann", "1.25")  # the world moves on
    for decision in proposed:
        done = coordinator.execute(decision)
        assert (done.status, done.subject, type(done.change)) == (
            "applied",
            decision.subject,
            type(decision.change),
        )
    coordinator.verify()
    if name == "scheduler":  # granted by hand, it is not granted again
        assert controller.apply_current_profile("team") is None

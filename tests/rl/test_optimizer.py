"""`BudgetRLOptimizer` at work: intervals, bounds, the gate, trainings, failures, time."""

import threading
import time
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    AlertSeverity,
    BudgetCoordinator,
    BudgetExceededError,
    BudgetPolicy,
    BudgetRLOptimizer,
    ConfigurationError,
    ManualClock,
    RewardError,
    RewardWeights,
    UnknownAgentError,
)

from .recorded import office

HOUR = 3600
AGENTS = [f"agent_{i}" for i in range(4)]


def furnish(coordinator):
    """Four agents, and a pool that has enough for all of them."""
    if "team" not in coordinator.get_pool_ids():
        coordinator.create_budget_pool("team", 0)
    coordinator.update_pool_budget("team", 10**9)
    for agent in AGENTS:
        coordinator.register_agent(agent, "team", initial_budget=14)
    return coordinator


@pytest.fixture
def fleet(coordinator):
    coordinator.unregister_agent("bot")
    return furnish(coordinator)


@pytest.fixture
def hundred(coordinator):
    """An agent that may spend 100 in an interval."""
    coordinator.update_pool_budget("team", 10**9)
    coordinator.update_budget("bot", 100)
    return coordinator


def live(coordinator, clock, demand, begin=0):
    """Each agent spends a tenth of its demand at a time, while its budget lasts."""
    for column in demand.T[begin:]:
        for agent, wanted in zip(AGENTS, column, strict=True):
            for _ in range(10):
                coordinator.try_debit(agent, f"{wanted / 10:.6f}")
        clock.advance(HOUR)


def load(optimizer, demand):
    """As if it had been wanted up to now, an amount an hour."""
    now, hours = optimizer.budget_coordinator.clock.now(), demand.shape[1]
    times = [now - timedelta(hours=n) for n in range(hours, 0, -1)]
    for agent, row in zip(AGENTS, demand, strict=True):
        optimizer.load_history(agent, times, row)


def errors(coordinator):
    return [alert.title for alert in coordinator.notification_manager.get_alerts(AlertSeverity.ERROR)]


def told(coordinator):
    alerts = coordinator.notification_manager.get_alerts(AlertSeverity.INFO)
    return [alert.title for alert in alerts if "trained" in alert.title]


# One interval.


def test_a_budget_is_given_anew_for_each_interval(hundred):
    optimizer = BudgetRLOptimizer(hundred)
    hundred.debit("bot", 80)
    [decision] = optimizer.run_once()
    assert (decision.old, decision.new, decision.status) == (100, 120, "applied")
    assert decision.reason == "80% of 100 is used, above 70%: step rule, +20%"
    assert hundred.get_budget("bot") == 120
    hundred.debit("bot", 84)
    [decision] = optimizer.run_once()
    assert (decision.old, decision.new) == (120, 120), "exactly 70% stays, and is given again"
    assert hundred.get_budget("bot") == 120
    [decision] = optimizer.run_once()
    assert hundred.get_budget("bot") == decision.new == 108


def test_a_budget_that_stays_and_was_not_touched_is_no_decision(coordinator):
    optimizer = BudgetRLOptimizer(coordinator)
    coordinator.update_budget("bot", 0)
    assert optimizer.run_once() == []


def test_what_is_reserved_counts_as_given(hundred):
    optimizer = BudgetRLOptimizer(hundred)
    reservation = hundred.reserve("bot", 30)
    hundred.debit("bot", 20)
    [decision] = optimizer.run_once()
    assert (decision.old, decision.new) == (100, 90)
    metrics = hundred.get_agent_metrics("bot")
    assert (metrics.remaining, metrics.reserved) == (60, 30)
    reservation.settle(30)
    [decision] = optimizer.run_once()
    assert (decision.old, decision.inputs["utilization"]) == (90, pytest.approx(1 / 3))
    assert decision.inputs["completed_tasks"] == 1


def test_what_is_spent_between_looking_and_changing_stays_spent(hundred):
    optimizer = BudgetRLOptimizer(hundred)
    optimizer.on_decision(lambda _: hundred.debit("bot", 25))
    [decision] = optimizer.run_once()
    assert decision.new == 90
    assert hundred.get_budget("bot") == 65
    [decision] = optimizer.run_once()
    assert decision.old == 90, "what was spent after the look belongs to the next interval"


def test_an_overdraft_ends_with_the_interval(coordinator):
    reservation = coordinator.reserve("bot", "0.5")
    optimizer = BudgetRLOptimizer(coordinator)
    reservation.settle(3)
    assert coordinator.get_budget("bot") == -2
    [decision] = optimizer.run_once()
    assert (decision.old, decision.new) == (1, Decimal("1.2"))
    assert coordinator.get_budget("bot") == Decimal("1.2")


def test_a_refusal_means_exhausted_even_if_something_is_left(coordinator):
    optimizer = BudgetRLOptimizer(coordinator)
    coordinator.debit("bot", "0.2")
    with pytest.raises(BudgetExceededError):
        coordinator.debit("bot", "0.85")
    [decision] = optimizer.run_once()
    assert decision.inputs["exhausted"] is True
    coordinator.debit("bot", "0.2")
    [decision] = optimizer.run_once()
    assert decision.inputs["exhausted"] is False


def test_a_refusal_of_the_pool_is_not_the_agents(coordinator):
    coordinator.update_pool_budget("team", "0.5")
    optimizer = BudgetRLOptimizer(coordinator)
    assert not coordinator.try_debit("bot", "0.6")
    [decision] = optimizer.run_once()
    assert decision.inputs["exhausted"] is False


def test_agents_come_and_go(fleet, clock):
    with BudgetRLOptimizer(fleet) as optimizer:
        live(fleet, clock, office(days=2))
        fleet.unregister_agent("agent_1")
        fleet.register_agent("new", "team", initial_budget=50)
        fleet.debit("new", 40)
        clock.advance(HOUR)
        assert {d.subject for d in optimizer.history[-4:]} == {"agent_0", "agent_2", "agent_3", "new"}
        assert fleet.get_budget("new") == 60
        fleet.unregister_agent("new")
        fleet.register_agent("new", "team", initial_budget=10)
        clock.advance(HOUR)
        assert fleet.get_budget("new") == 9
    assert errors(fleet) == []


def test_a_dry_run_changes_nothing(fleet, clock):
    optimizer = BudgetRLOptimizer(fleet)
    fleet.debit("agent_0", 13)
    first, second = optimizer.evaluate(), optimizer.evaluate()
    assert first == second
    assert [d.new for d in first] == [Decimal("16.8"), *[Decimal("12.6")] * 3]
    assert fleet.get_budget("agent_0") == 1
    assert [d.new for d in optimizer.run_once()] == [d.new for d in first]


# Weeks.


@pytest.fixture(scope="module")
def two_weeks():
    """A fortnight of office hours."""
    clock = ManualClock()
    optimizer = BudgetRLOptimizer(furnish(BudgetCoordinator(clock=clock)))
    with optimizer:
        live(optimizer.budget_coordinator, clock, office(days=14))
    return optimizer


def test_it_learns_and_says_so(two_weeks):
    policy, fleet = two_weeks.get_policy(), two_weeks.budget_coordinator
    assert policy.is_in_force
    assert told(fleet)[-1] == "BudgetRLOptimizer was trained: learned policy in force"
    by_step = [d for d in two_weeks.history if d.inputs["policy"] == "step"]
    learned = [d for d in two_weeks.history if d.inputs["policy"] != "step"]
    assert len(by_step) >= 4 * 96
    assert len(learned) >= 4 * 24 * 7
    assert errors(fleet) == []
    fleet.verify()


def test_learned_budgets_are_exhausted_less(two_weeks):
    shares = {
        rule: np.mean([d.inputs["exhausted"] for d in two_weeks.history if d.inputs["policy"] == rule])
        for rule in ("step", "learned")
    }
    assert shares["learned"] < shares["step"] / 2


def test_no_decision_is_above_the_largest_change(two_weeks):
    assert len(two_weeks.history) > 1000
    for decision in two_weeks.history:
        assert abs(decision.new - decision.old) <= Decimal("0.3") * decision.old, decision
        assert decision.status == "applied"


def test_it_explores_one_step_from_the_best(two_weeks):
    learned = [d for d in two_weeks.history if d.inputs["policy"] != "step"]
    tried = [d for d in learned if d.inputs["policy"] == "tried"]
    assert 0.05 < len(tried) / len(learned) < 0.13
    assert "tried" in tried[0].reason


def test_the_same_seed_gives_the_same_weeks():
    def weeks(seed):
        clock = ManualClock()
        coordinator = furnish(BudgetCoordinator(clock=clock))
        with BudgetRLOptimizer(coordinator, seed=seed) as optimizer:
            live(coordinator, clock, office(days=7))
        return [(d.subject, d.new) for d in optimizer.history]

    assert weeks(1) == weeks(1)
    assert weeks(1) != weeks(2)


def test_small_steps_between_trainings(fleet, clock):
    """Values move with what happens, and only with a learning rate."""
    for rate, moves in ((0.0, False), (0.5, True)):
        optimizer = BudgetRLOptimizer(fleet, learning_rate=rate)
        load(optimizer, office(days=7))
        before = optimizer.train().values
        optimizer._due = float("inf")
        with optimizer:
            live(fleet, clock, office(days=1))
        assert optimizer.get_policy().is_in_force
        assert (optimizer.get_policy().values != before).any() == moves
    assert errors(fleet) == []


def test_a_policy_that_is_handed_out_stays_as_it_is(two_weeks):
    policy, fleet = two_weeks.get_policy(), two_weeks.budget_coordinator
    values = policy.values
    with two_weeks:
        live(fleet, fleet.clock, office(days=1))
    assert (two_weeks.get_policy().values != values).any()
    np.testing.assert_array_equal(policy.values, values)


# History from elsewhere.


def test_a_history_is_loaded_and_trained_on_at_the_next_run(fleet, clock):
    optimizer = BudgetRLOptimizer(fleet)
    load(optimizer, office(days=7))
    with optimizer:
        assert not optimizer.get_policy().is_trained, "nothing trains in the foreground"
        clock.advance(HOUR)
        assert not optimizer.get_policy().is_trained
        clock.advance(HOUR)
        assert optimizer.get_policy().is_in_force
    assert optimizer.history[-1].inputs["policy"] != "step"


def test_the_coordinators_own_history_is_learnt_from(coordinator, clock):
    furnish(coordinator)
    coordinator.unregister_agent("bot")
    for agent in AGENTS:
        coordinator.update_budget(agent, 10**6)
    live(coordinator, clock, office(days=7))
    optimizer = BudgetRLOptimizer(coordinator)
    live(coordinator, clock, office(days=1))  # the rest of it is seen in the first run, as a gap and a mean
    with optimizer:
        recorded = optimizer._past.history().recording()
        assert recorded.intervals == 7 * 24
        # The latest 64 events stand in their own hours; what is older is summed by the hour.
        np.testing.assert_allclose(recorded.demand.sum(), office(days=7).sum(), rtol=1e-4)
        clock.advance(2 * HOUR)
        assert optimizer.get_policy().is_trained


def test_a_history_that_makes_no_sense(fleet):
    optimizer, now = BudgetRLOptimizer(fleet), fleet.clock.now()
    for times, amounts, message in (
        ([now], [1.0, 2.0], "1 timestamps, but 2 amounts"),
        ([now], [-1.0], "not negative, not -1.0"),
        ([now], [float("nan")], "not nan"),
        ([now], [float("inf")], "must be finite"),
        ([now], ["much"], "amounts must be numbers, not 'much'"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            optimizer.load_history("agent_0", times, amounts)
    with pytest.raises(UnknownAgentError):
        optimizer.load_history("ghost", [now], [1])
    with pytest.raises(ConfigurationError, match="needs a history of 96 intervals; 0 are known"):
        optimizer.train()


def test_loaded_points_are_summed_by_interval(fleet, clock):
    optimizer, now = BudgetRLOptimizer(fleet), clock.now()
    hour = timedelta(hours=1)
    times = [now - hour, now - 3 * hour, now - 0.5 * hour, now - 600 * hour, now, now - 2.5 * hour]
    optimizer.load_history("agent_0", times, ["1", Decimal(2), 4, 8, 16, 32.0])
    optimizer.load_history(
        "agent_1", np.array([now.replace(tzinfo=None)], "datetime64[us]") - 7200 * 10**6, [5]
    )
    demand = optimizer._past.history().recording().demand
    np.testing.assert_array_equal(demand[0, -4:], [0, 34, 0, 5])
    assert demand.shape == (2, 504)
    clock.advance(HOUR)
    optimizer.run_once()
    assert optimizer._past.history().recording().intervals == 504


# Policies from elsewhere.


def test_a_saved_policy_goes_on_elsewhere(two_weeks, fleet, tmp_path):
    two_weeks.get_policy().save(tmp_path / "policy.json")
    other = BudgetRLOptimizer(fleet)
    other.use_policy(BudgetPolicy.load(tmp_path / "policy.json"))
    assert str(other.get_policy()) == str(two_weeks.get_policy())
    other.use_policy(BudgetPolicy())
    assert str(other.get_policy()) == "untrained: step rule in force"


def test_a_policy_that_does_not_fit(two_weeks, fleet):
    policy = two_weeks.get_policy()
    cautious = BudgetRLOptimizer(fleet)
    cautious.configure(max_budget_change_percentage=0.1)
    with pytest.raises(ConfigurationError, match="by up to 30%; max_budget_change_percentage is 10%"):
        cautious.use_policy(policy)
    custom = BudgetRLOptimizer(fleet, custom_features={"night": lambda *_: 0.0})
    with pytest.raises(ConfigurationError, match="with the custom features"):
        custom.use_policy(policy)


# Failures.


def test_a_reward_that_fails_leaves_the_policy(fleet, clock):
    optimizer = BudgetRLOptimizer(fleet)
    load(optimizer, office(days=7))
    values = optimizer.train().values
    for bad in (lambda s, a, n: s["mood"], lambda s, a, n: float("nan")):
        optimizer.configure(reward_function=bad)
        with pytest.raises(RewardError):
            optimizer.train()
        np.testing.assert_array_equal(optimizer.get_policy().values, values)
    with optimizer:
        clock.advance(HOUR)
        clock.advance(HOUR)
    np.testing.assert_array_equal(optimizer.get_policy().values, values)
    assert "BudgetRLOptimizer could not train, and keeps the policy it had" in errors(fleet)
    assert optimizer.history[-1].status == "applied", "it goes on"


def test_the_largest_change_binds_a_policy_of_before(fleet, clock):
    optimizer = BudgetRLOptimizer(fleet)
    load(optimizer, office(days=7))
    optimizer.train()
    optimizer.configure(max_budget_change_percentage=0.05)
    decisions = optimizer.run_once()
    assert {d.inputs["policy"] for d in decisions} <= {"learned", "tried"}
    for decision in decisions:
        assert abs(decision.new / decision.old - 1) <= Decimal("0.05")


def test_the_largest_change_binds_the_step_rule(coordinator):
    optimizer = BudgetRLOptimizer(coordinator)
    optimizer.configure(max_budget_change_percentage=0.05)
    coordinator.debit("bot", 1)
    [decision] = optimizer.run_once()
    assert (decision.new, decision.reason) == (
        Decimal("1.05"),
        "100% of 1 is used, above 70%: step rule, +5%",
    )


def test_a_feature_that_fails_falls_back_to_the_step_rule(fleet, clock):
    works = [True]

    def feature(agent, at):
        return 1.0 if works[0] else 1 / 0

    optimizer = BudgetRLOptimizer(fleet, custom_features={"mood": feature})
    load(optimizer, office(days=7))
    optimizer.train()
    works[0] = False
    optimizer._due = float("inf")
    decisions = optimizer.run_once()
    assert {d.inputs["policy"] for d in decisions} == {"step"}
    assert "BudgetRLOptimizer failed" in errors(fleet)


# Settings.


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"learning_rate": 1.5}, ConfigurationError, "learning_rate must be from 0 to 1, not 1.5"),
        ({"learning_rate": "a"}, TypeError, "learning_rate must be a number"),
        ({"discount_factor": 1}, ConfigurationError, "discount_factor must be from 0 to below 1, not 1"),
        ({"exploration_rate": -0.1}, ConfigurationError, "exploration_rate must be from 0 to 1"),
        ({"exploration_rate": float("nan")}, ConfigurationError, "not nan"),
        ({"state_features": ["mood"]}, ConfigurationError, "unknown state feature 'mood': there are time_of"),
        ({"state_features": "time_of_day"}, ConfigurationError, "a sequence of names"),
        ({"custom_features": {"exhausted": print}}, ConfigurationError, "name of a feature that there is"),
        ({"custom_features": {"mood": 3}}, ConfigurationError, "'mood' cannot be called"),
        ({"custom_features": dict.fromkeys("abcd", print)}, ConfigurationError, "at most 3 custom features"),
    ],
)
def test_wrong_arguments(coordinator, options, error, message):
    with pytest.raises(error, match=message):
        BudgetRLOptimizer(coordinator, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward_function": "good"}, "'good' cannot be called"),
        ({"training_episodes": 0}, "training_episodes must be from 1 to 1,000,000,000, not 0"),
        ({"training_episodes": 1.5}, "not 1.5"),
        ({"max_budget_change_percentage": 0}, "max_budget_change_percentage must be above 0"),
        ({"max_budget_change_percentage": 30}, "above 0 and at most 1, not 30"),
        (
            {"update_interval_minutes": 0},
            "update_interval_minutes must be from 1.66667e-05 to 52,560,000, not 0",
        ),
        ({"update_interval_minutes": float("inf")}, "not inf"),
    ],
)
def test_wrong_configurations_change_nothing(coordinator, options, message):
    optimizer = BudgetRLOptimizer(coordinator)
    before = optimizer._settings
    with pytest.raises(ConfigurationError, match=message):
        optimizer.configure(**options)
    assert optimizer._settings is before


def test_other_intervals(fleet, clock):
    optimizer = BudgetRLOptimizer(fleet)
    optimizer.configure(update_interval_minutes=15)
    assert optimizer.interval_seconds == 900
    with optimizer:
        clock.advance(900)
        assert len(optimizer.history) == 4
        optimizer.run_once()  # in the middle of an interval: budgets change, the record waits for its end
        clock.advance(900)
        assert optimizer._past.history().recording().intervals == 2


def test_the_number_of_sweeps_is_bounded(fleet):
    optimizer = BudgetRLOptimizer(fleet)
    load(optimizer, office(days=7))
    optimizer.configure(RewardWeights(), training_episodes=5)
    assert optimizer.train().sweeps == 5


# On the system's clocks.


def test_it_trains_in_a_thread_of_its_own():
    coordinator = furnish(BudgetCoordinator())
    may_go_on, threads = threading.Event(), set()

    def slow(state, action, next_state):
        threads.add(threading.current_thread().name)
        assert may_go_on.wait(30)
        return next_state["utilization"]

    optimizer = BudgetRLOptimizer(coordinator)
    optimizer.configure(slow, update_interval_minutes=60)
    load(optimizer, office(agents=4, days=4))
    begun = time.monotonic()
    optimizer.run_once()
    optimizer.run_once()  # it does not wait, and does not begin a second training
    assert not optimizer.get_policy().is_trained
    assert time.monotonic() - begun < 20
    may_go_on.set()
    optimizer._thread.join(60)
    assert threads == {"safeguards-training"}
    optimizer.run_once()
    assert optimizer.get_policy().is_trained
    coordinator.verify()


def test_a_training_for_a_reward_of_before_is_not_adopted():
    coordinator = furnish(BudgetCoordinator())
    may_go_on = threading.Event()
    optimizer = BudgetRLOptimizer(coordinator)
    optimizer.configure(lambda *_: float(may_go_on.wait(30)))
    load(optimizer, office(agents=4, days=4))
    optimizer.run_once()
    training = optimizer._thread
    optimizer.configure(RewardWeights())
    may_go_on.set()
    training.join(60)
    optimizer._due = float("inf")
    optimizer.run_once()
    assert not optimizer.get_policy().is_trained

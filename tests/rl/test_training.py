"""From history to policy: what is learnt, what is refused, and whether the gate opens."""

import numpy as np
import pytest

from safeguards import ConfigurationError, RewardError, RewardWeights
from safeguards.budget._rl.history import Outlook
from safeguards.budget._rl.policy import PolicyEvaluation
from safeguards.budget._rl.rewards import Reward
from safeguards.budget._rl.step_rule import step_changes
from safeguards.budget._rl.training import next_budgets, outcome
from safeguards.core.dynamic_budget._pool_rules import SizingRule

from .recorded import office, training


def changes(policy, budgets, share=0.9, kind=0):
    n = len(budgets)
    outlook = Outlook(np.ones(n), np.full(n, share), np.full(n, 1.2))
    best = policy.best(np.array(budgets, float), outlook, np.full(n, kind, np.int64))
    return [policy.changes[action] for action in best]


def test_the_step_rule_is_that_of_pools():
    rule, utilization = SizingRule(), np.array([0.0, 0.3, 0.69, 0.7, 0.71, 1.0, 1.4])
    expected = [rule.factor(used) - 1 for used in utilization]
    np.testing.assert_allclose(step_changes(utilization), expected)


def test_it_grows_what_is_short_and_shrinks_what_is_idle():
    policy = training(office()).run()
    assert policy.changes == (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3)
    for kind in range(len(policy.kinds)):
        assert changes(policy, [0.2, 8.0], kind=kind) == [0.3, -0.3]
    assert policy.is_in_force
    assert policy.evaluation.intervals == 48


def test_the_same_seed_gives_the_same_policy():
    one, two, other = (training(office(), seed=seed).run() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.values, two.values)
    assert (one.values != other.values).any()


def test_the_reward_decides():
    spender = training(office(), reward=Reward(RewardWeights(utilization=0, exhaustion=-100))).run()
    miser = training(office(), reward=Reward(RewardWeights(exhaustion=0, completed_task=0))).run()
    assert np.mean(changes(spender, [0.8, 1.0, 1.5])) > np.mean(changes(miser, [0.8, 1.0, 1.5]))


def test_the_python_function_teaches_what_the_weights_do():
    def guide(state, action, next_state):
        return RewardWeights()(state, action, next_state)

    # As many situations as fit, whatever the kind of function: few agents, so that both look at the same.
    demand = office(agents=2, days=5)
    plain = training(demand, reward=Reward(guide)).run()
    vectorized = training(demand, reward=Reward(RewardWeights())).run()
    np.testing.assert_allclose(plain.values, vectorized.values, atol=1e-6)


def test_features_that_a_reward_is_told():
    seen = []

    def look(state, action, next_state):
        seen.append((state, action, next_state))
        return 0.0

    training(
        office(agents=1, days=4),
        reward=Reward(look),
        state_features=("time_of_day", "day_of_week", "agent_priority", "recent_usage"),
        custom={"night": lambda agent, at: float(at.hour < 6)},
    ).run()
    state, action, after = seen[1000]
    names = {"time_of_day", "day_of_week", "agent_priority", "recent_usage", "utilization", "exhausted"}
    assert set(state) == set(after) == {*names, "completed_tasks", "night"}
    assert set(action) == {"budget_change", "budget_change_percentage"}
    assert (after["time_of_day"] - state["time_of_day"]) % 24 == 1
    assert state["agent_priority"] == 5
    assert after["night"] == float(after["time_of_day"] < 6)
    budget = after["recent_usage"] / after["utilization"]
    before = budget - action["budget_change"]
    assert action["budget_change_percentage"] == pytest.approx(action["budget_change"] / before)


def test_kinds_by_priority_and_by_custom_features():
    policy = training(office(), priorities=[2, 5, 9, 9]).run()
    assert [policy.kinds.name(n) for n in (0, 4, 8)] == [
        "steady demand, low (1-3) priority",
        "changeable demand, medium (4-7) priority",
        "erratic demand, high (8-10) priority",
    ]
    assert len(training(office(), state_features=("time_of_day",), priorities=[2, 5, 9, 9]).run().kinds) == 3
    policy = training(office(), custom={"night": lambda agent, at: float(at.hour < 6)}).run()
    assert len(policy.kinds) in {3, 6}


@pytest.mark.parametrize(
    ("feature", "message"),
    [(lambda agent, at: 1 / 0, "'odd' raised ZeroDivisionError"), (lambda *_: float("nan"), "'odd' is nan")],
)
def test_a_custom_feature_that_fails(feature, message):
    with pytest.raises(ConfigurationError, match=message):
        training(office(), custom={"odd": feature}).run()


def test_too_little_to_learn_from():
    with pytest.raises(ConfigurationError, match="needs a history of 96 intervals; 95 are known"):
        training(office()[:, :95]).run()
    with pytest.raises(ConfigurationError, match="nothing to learn from"):
        training(np.zeros((3, 200))).run()
    with pytest.raises(ConfigurationError, match="nothing to learn from"):
        training(np.empty((0, 200))).run()


def test_a_reward_that_fails_in_training():
    with pytest.raises(RewardError, match="raised KeyError: 'mood'"):
        training(office(), reward=Reward(lambda s, a, n: s["mood"])).run()


def test_the_gate_stays_shut_where_the_step_rule_is_as_good():
    def indifferent(state, action, next_state):
        return 1.0

    policy = training(office(agents=2, days=4), reward=Reward(indifferent)).run()
    assert policy.is_trained
    assert not policy.is_in_force
    assert policy.evaluation.learned == policy.evaluation.step == policy.evaluation.nothing == 1.0
    assert str(policy).startswith(
        "trained: step rule in force: mean reward 1.00, step rule 1.00, doing nothing 1"
    )


def test_the_gate_wants_a_standard_error():
    assert not PolicyEvaluation(2.0, 1.0, 0.0, 48, standard_error=1.0).is_better
    assert PolicyEvaluation(2.1, 1.0, 0.0, 48, standard_error=1.0).is_better
    assert not PolicyEvaluation(9.0, 1.0, 0.0, 48, standard_error=float("inf")).is_better


def test_a_policy_learnt_from_the_past_of_another_world_is_not_trusted():
    demand = office(days=8)
    demand[:, 144:] = np.random.default_rng(0).permuted(demand[:, 144:] ** 2 / 4, axis=1)
    turned = training(demand).run().evaluation
    steady = training(office(days=8)).run().evaluation
    assert turned.learned - turned.step < steady.learned - steady.step


def test_budgets_never_change_by_more_than_the_most():
    draws = np.random.default_rng(0)
    budgets, scale = draws.lognormal(0, 3, 500), draws.lognormal(0, 3, 500)
    for change in (-0.3, 0.0, 0.3):
        after = next_budgets(budgets, np.full(500, change), scale, 0.3)
        assert (np.abs(after / budgets - 1) <= 0.3 + 1e-12).all()


def test_an_outcome():
    came = outcome(np.array([4.0, 0.0, 2.0]), np.array([8.0, 0.0, 2.0]), np.array([2.0, 2.0, 4.0]))
    assert came["utilization"].tolist() == [1.0, 0.0, 0.5]
    assert came["exhausted"].tolist() == [1.0, 0.0, 0.0]
    assert came["completed_tasks"].tolist() == [4.0, 0.0, 2.0]
    assert came["recent_usage"].tolist() == [2.0, 0.0, 2.0]
    assert came["remaining_budget_percentage"].tolist() == [0.0, 1.0, 0.5]

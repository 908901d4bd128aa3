"""What an interval was worth: one by one, for all at once, and when the function fails."""

import pickle

import numpy as np
import pytest

from safeguards import ConfigurationError, RewardError, RewardWeights
from safeguards.budget._rl.rewards import Reward


def guide(state, action, next_state):
    utilization = next_state.get("utilization", 0)
    exhaustion_penalty = -100 if next_state.get("exhausted", False) else 0
    task_reward = next_state.get("completed_tasks", 0) * 10
    stability_penalty = -abs(action.get("budget_change", 0)) * 0.1
    return utilization * 50 + exhaustion_penalty + task_reward + stability_penalty


def transitions(n=40, k=7, seed=0):
    draws = np.random.default_rng(seed)
    state = {"time_of_day": draws.uniform(0, 24, (n, 1)), "utilization": draws.random((n, 1))}
    action = {"budget_change": draws.normal(0, 9, (n, k))}
    after = {
        "utilization": draws.random((n, k)),
        "exhausted": (draws.random((n, k)) < 0.3).astype(float),
        "completed_tasks": draws.poisson(3, (n, k)).astype(float),
        "time_of_day": draws.uniform(0, 24, (n, 1)),
    }
    return state, action, after


def test_weights_are_the_guides_function():
    told = transitions()
    np.testing.assert_allclose(Reward(RewardWeights())(*told), Reward(guide)(*told))


def test_a_vectorized_function_gives_what_the_plain_one_does():
    told = transitions()
    vectorized = Reward(
        lambda s, a, n: n["time_of_day"] - s["time_of_day"] + a["budget_change"], vectorized=True
    )
    plain = Reward(lambda s, a, n: n["time_of_day"] - s["time_of_day"] + a["budget_change"])
    np.testing.assert_allclose(vectorized(*told), plain(*told))


def test_it_is_called_once_for_each_transition_with_floats():
    calls = []

    def record(state, action, next_state):
        calls.append((state, action, next_state))
        return 0

    rewards = Reward(record)(*transitions(5, 3))
    assert rewards.shape == (5, 3)
    assert len(calls) == 15
    assert {type(value) for call in calls for part in call for value in part.values()} == {float}
    told = transitions(5, 3)
    state, action, after = calls[7]  # row 2, action 1
    assert state["time_of_day"] == told[0]["time_of_day"][2, 0]
    assert action["budget_change"] == told[1]["budget_change"][2, 1]
    assert after == {name: column[2, min(1, column.shape[1] - 1)] for name, column in told[2].items()}


def test_one_that_raises_is_told_with_its_transition():
    def fail(state, action, next_state):
        return 1 / next_state["exhausted"]

    told = transitions()
    place = np.argwhere(told[2]["exhausted"] == 0)[0]
    with pytest.raises(RewardError, match="raised ZeroDivisionError") as caught:
        Reward(fail)(*told)
    assert caught.value.next_state["utilization"] == told[2]["utilization"][tuple(place)]
    assert caught.value.action == {"budget_change": told[1]["budget_change"][tuple(place)]}
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert pickle.loads(pickle.dumps(caught.value)).state == caught.value.state  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("returned", "value", "message"),
    [(float("nan"), None, "returned nan"), (float("-inf"), float("-inf"), "returned -inf")],
)
@pytest.mark.parametrize("vectorized", [False, True])
def test_what_is_no_finite_number_is_an_error(returned, value, message, vectorized):
    with pytest.raises(RewardError, match=message) as caught:
        Reward(lambda *_: returned, vectorized=vectorized)(*transitions())
    assert caught.value.value == value


@pytest.mark.parametrize("returned", [None, "much", np.zeros(3), [1, 2]])
def test_what_is_no_number_is_an_error(returned):
    for vectorized in (False, True):
        with pytest.raises(RewardError, match="for state"):
            Reward(lambda *_: returned, vectorized=vectorized)(*transitions())


def test_a_function_that_cannot_take_arrays_says_so():
    with pytest.raises(RewardError, match="failed on arrays"):
        Reward(guide, vectorized=True)(*transitions())


def test_wrong_weights():
    with pytest.raises(TypeError, match="utilization must be a number, not '50'"):
        RewardWeights(utilization="50")
    with pytest.raises(ConfigurationError, match="change must be from -1e.100 to 1e.100, not nan"):
        RewardWeights(change=float("nan"))
    with pytest.raises(ConfigurationError, match="42 cannot be called"):
        Reward(42)

"""A policy on paper and in a file."""

import json

import numpy as np
import pytest

from safeguards import BudgetPolicy, ConfigurationError

from .recorded import office, training


@pytest.fixture(scope="module")
def policy():
    return training(office()).run()


def test_an_untrained_one_says_so():
    untrained = BudgetPolicy()
    assert str(untrained) == f"{untrained}" == "untrained: step rule in force"
    assert not untrained.is_trained
    assert not untrained.is_in_force
    assert BudgetPolicy.from_dict(json.loads(json.dumps(untrained.to_dict()))) is not None
    with pytest.raises(ConfigurationError, match="the policy is untrained"):
        _ = untrained.values


def test_a_trained_one_is_a_table(policy):
    lines = str(policy).splitlines()
    assert lines[0].startswith("learned policy in force: mean reward ")
    assert lines[1].startswith("trained 2026-01-12 00:00 on ")
    assert lines[3] == "steady demand: change of the budget, by budget / need"
    assert lines[4].split()[-10:] == ["0.25", "0.5", "0.7", "0.85", "1", "1.2", "1.5", "2", "3", "5"]
    row = lines[5].split()
    assert (row[0], row[1], row[-1]) == ("5%", "+30%", "-30%")
    assert len(lines) == 3 + 3 * 11 - 1
    assert max(map(len, lines)) < 150


def test_a_file_keeps_it_to_the_last_bit(policy, tmp_path):
    path = tmp_path / "policy.json"
    policy.save(path)
    again = BudgetPolicy.load(path)
    np.testing.assert_array_equal(again.values, policy.values)
    assert str(again) == str(policy)
    assert again.to_dict() == policy.to_dict()
    assert (again.evaluation, again.trained, again.kinds) == (policy.evaluation, policy.trained, policy.kinds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "policy.json: Expecting value"),
        ("[]", "not a policy"),
        ("{}", "not a policy"),
        ('{"format": 99}', "a policy of format 99; this version reads format 1"),
        (b"\xff\xfe", "policy.json"),
    ],
)
def test_a_file_that_is_none(text, message, tmp_path):
    path = tmp_path / "policy.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=message):
        BudgetPolicy.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": [[1.0]]}, "values must be of shape"),
        ({"changes": [0.1]}, "values must be of shape"),
        ({"kinds": {"spreads": [], "by_priority": True, "custom": {}}, "values": []}, "must be of shape"),
        ({"trained": "yesterday"}, "not a policy"),
        ({"evaluation": {"learned": 1}}, "not a policy"),
        ({"kinds": None}, "not a policy"),
    ],
)
def test_what_does_not_fit_together(policy, change, message):
    with pytest.raises(ConfigurationError, match=message):
        BudgetPolicy.from_dict(policy.to_dict() | change)


def test_values_that_are_not_finite(policy):
    plain = policy.to_dict()
    plain["values"][0][0][0][0] = float("nan")
    with pytest.raises(ConfigurationError, match="values must be finite"):
        BudgetPolicy.from_dict(plain)

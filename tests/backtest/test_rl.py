"""Learned budgets on recorded demand: how good they are, and that nobody sees what comes."""

from pathlib import Path

import numpy as np
import pytest

from safeguards import ConfigurationError, RewardWeights
from safeguards.backtest import Demand
from safeguards.backtest.rl import backtest_rl
from yardsticks import recorded

PAGE = Path(__file__).parents[2] / "docs" / "reinforcement_learning.md"


def begun(demand, hours):
    return Demand(demand.agents, demand.cost[:, :hours])


# Share of the gap between doing nothing and the clairvoyant that the learned policy closes, at least.
RECORDS = {
    "tenants of an LLM service": (recorded.m_large, 0.50),
    "tweets": (lambda: begun(recorded.nab_tweets(), 500), 0.28),
    "small pools": (recorded.small_pools, 0.32),
    "a city": (recorded.taxi, 0.40),
}


@pytest.mark.parametrize("name", RECORDS)
def test_how_much_of_the_gap_is_closed(name):
    load, least = RECORDS[name]
    results = [backtest_rl(load(), seed=seed) for seed in range(3)]
    closed = [result.row("learned").closed_share for result in results]
    assert min(closed) >= least, closed
    assert np.std(closed) <= 0.02, closed
    for result in results:
        assert result.row("gated").closed_share >= result.row("step").closed_share - 0.02


TABLE = {
    "tenants of an LLM service (ServeGen)": "tenants of an LLM service",
    "pools of about six of them": "small pools",
    "tweets about ten companies (NAB), 500 hours": "tweets",
    "taxis in New York (NAB)": "a city",
}


@pytest.mark.parametrize("name", TABLE)
def test_a_row_of_the_page(name):
    result = backtest_rl(RECORDS[TABLE[name]][0]())
    step, learned = result.row("step"), result.row("learned")
    closed = [f"{row.closed_share:.2f}" for row in (step, learned)]
    exhausted = [f"{row.exhausted_share * 100:.1f} %" for row in (step, learned)]
    row = f"| {name} | {len(result.demand.agents)} | {' | '.join([*closed, *exhausted])} |"
    assert row in PAGE.read_text(encoding="utf-8").splitlines(), row


def test_the_two_baselines_are_those_of_the_definition():
    """Plainly written down: the guide's reward and step rule, on demand with a mean of 1."""
    result = backtest_rl(recorded.m_large())
    demand = result.demand.cost[:, 168:]
    budgets, used = np.full(len(demand), 1.4), np.full(len(demand), 0.7)
    rewards = {"static": [], "step": []}
    for wanted in demand.T:
        for name, seen in rewards.items():
            before = budgets if name == "step" else np.full(len(demand), 1.4)
            change = np.where(used > 0.7, 0.2, np.where(used < 0.7, -0.1, 0.0)) * (name == "step")
            after = np.clip(before * (1 + change), 0.1, 20.0)
            met = np.minimum(wanted, after)
            seen.append(50 * met / after - 100 * (wanted > after) + 10 * met - 0.1 * abs(after - before))
            if name == "step":
                budgets, used = after, met / after
    for name, values in rewards.items():
        assert result.row(name).reward == pytest.approx(np.mean(values))
    assert len(demand) == 57
    assert result.row("static").reward == pytest.approx(4.9195, abs=1e-3)


def test_the_clairvoyant_is_best_and_keeps_to_the_largest_change():
    result = backtest_rl(begun(recorded.nab_tweets(), 336), max_change=0.2)
    rewards = [row.reward for row in result.rows]
    assert max(rewards) == result.row("clairvoyant").reward
    for budgets in result.budgets.values():
        ratios = budgets[:, 1:] / budgets[:, :-1]
        assert (abs(ratios - 1) <= 0.2 + 1e-6).all()


def test_no_policy_but_one_sees_what_comes():
    demand = recorded.small_pools()
    cost = demand.cost.copy()
    cost[:, 250:] = np.random.default_rng(0).permuted(cost[:, 250:], axis=1)
    one, two = backtest_rl(demand), backtest_rl(Demand(demand.agents, cost))
    for name in ("static", "step", "learned", "gated"):
        np.testing.assert_array_equal(
            one.budgets[name][:, : 250 - 168 + 1], two.budgets[name][:, : 250 - 168 + 1]
        )
        if name != "static":
            assert (one.budgets[name] != two.budgets[name]).any()


def test_the_unit_of_money_does_not_matter():
    demand = begun(recorded.nab_tweets(), 336)
    cents = Demand(demand.agents, demand.cost * 100)
    assert backtest_rl(demand).row("learned").reward == pytest.approx(
        backtest_rl(cents).row("learned").reward, rel=0.01
    )


def test_a_gate_that_stays_shut():
    result = backtest_rl(begun(recorded.nab_tweets(), 336), reward=RewardWeights(0.0, 0.0, 0.0, 0.0))
    assert not result.learned.is_in_force
    assert result.notes[-1].endswith("is shut: the step rule is in force")
    np.testing.assert_array_equal(result.budgets["gated"], result.budgets["step"])
    assert [row.closed_share for row in result.rows] == [0.0] * 5


def test_plain_values_and_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    result = backtest_rl(begun(recorded.nab_tweets(), 336))
    told = result.to_dict()
    assert (told["kind"], told["agents"], told["hours"], told["training_hours"]) == ("rl", 10, 336, 168)
    assert [row["policy"] for row in told["rows"]] == ["static", "step", "learned", "gated", "clairvoyant"]
    paths = result.plot(tmp_path)
    assert [path.name for path in paths] == ["rl-policies.png", "rl-agent.png", "rl-policy.png"]
    assert all(path.stat().st_size > 5000 for path in paths)


def test_what_makes_no_sense_is_refused():
    demand = begun(recorded.nab_tweets(), 336)
    for options, message in (
        ({"max_change": 2}, "max_change must be from 0 to 1"),
        ({"discount_factor": 1}, "discount_factor must be from 0 to below 1"),
        ({"training_hours": 50}, "50 of 336 hours to learn from: at least 96"),
        ({"training_hours": 336}, "336 of 336 hours"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            backtest_rl(demand, **options)
    with pytest.raises(
        ConfigurationError,
        match="min_activity is 0.3: before and after hour 168 no agent is so active; nobody wants",
    ):
        backtest_rl(Demand(("idle",), np.zeros((1, 400))))
    with pytest.raises(ConfigurationError, match="a policy is one of static, step"):
        backtest_rl(demand).row("best")

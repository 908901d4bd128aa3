"""The gymnasium environment: gymnasium's own check, and the arithmetic of the optimizer."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from safeguards import ConfigurationError, RewardError, RewardWeights
from safeguards.backtest import Demand
from safeguards.integrations.gymnasium import BudgetEnv

from .recorded import office


def demand(**options):
    rows = office(**options)
    return Demand(tuple(f"agent_{i}" for i in range(len(rows))), rows)


@pytest.mark.filterwarnings("error")
def test_gymnasium_has_nothing_to_complain_of():
    check_env(BudgetEnv(demand(days=14)), skip_render_check=True)


def test_an_episode():
    env, record = BudgetEnv(demand(), episode_hours=24), demand()
    observation, info = env.reset(seed=3, options={"agent": "agent_2", "hour": 60})
    assert info == {"agent": "agent_2", "hour": 60, "budget": 1.4}
    units = record.cost[2] / record.cost[2].mean()
    budget, total = 1.4, 0.0
    for hour in range(60, 84):
        action = hour % 7
        observation, reward, terminated, truncated, info = env.step(action)
        before, budget = budget, info["budget"]
        wanted = min(max(before * (1 + (action - 3) / 10), 0.1), 20.0)
        assert budget == pytest.approx(wanted)
        came = {
            "utilization": min(units[hour], budget) / budget,
            "exhausted": float(units[hour] > budget),
            "completed_tasks": min(units[hour], budget),
        }
        assert reward == pytest.approx(
            RewardWeights()({}, {"budget_change": budget - before}, came), rel=1e-4
        )
        assert observation[3:5] == pytest.approx([came["utilization"], came["exhausted"]])
        assert (terminated, truncated) == (False, hour == 83)
        total += reward
    assert np.isfinite(total)


def test_the_same_seed_gives_the_same_episode():
    env = BudgetEnv(demand(), episode_hours=24)
    np.testing.assert_array_equal(env.reset(seed=5)[0], env.reset(seed=5)[0])
    agents = {env.reset()[1]["agent"] for _ in range(40)}
    assert agents == {f"agent_{i}" for i in range(4)}


def test_a_reward_of_ones_own():
    env = BudgetEnv(demand(), episode_hours=24, reward_function=lambda s, a, n: n["day_of_week"])
    env.reset(seed=1)
    assert env.step(3)[1] in range(7)
    env = BudgetEnv(demand(), episode_hours=24, reward_function=lambda s, a, n: float("nan"))
    env.reset(seed=1)
    with pytest.raises(RewardError, match="returned nan"):
        env.step(3)


def test_what_makes_no_sense():
    with pytest.raises(ConfigurationError, match="192 hours are too few"):
        BudgetEnv(demand(), episode_hours=168)
    with pytest.raises(ConfigurationError, match="episode_hours must be from 1 on"):
        BudgetEnv(demand(), episode_hours=0)
    with pytest.raises(ConfigurationError, match="no agent has any demand"):
        BudgetEnv(Demand(("idle",), np.zeros((1, 400))))
    with pytest.raises(ConfigurationError, match="max_change must be from 0"):
        BudgetEnv(demand(), max_change=2)
    env = BudgetEnv(demand(), episode_hours=24)
    with pytest.raises(ConfigurationError, match="no agent 'ghost'"):
        env.reset(options={"agent": "ghost"})
    with pytest.raises(ConfigurationError, match="hour must be from 24 to 167, not 3"):
        env.reset(options={"hour": 3})

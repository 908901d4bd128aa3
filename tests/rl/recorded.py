"""Histories to learn from."""

from datetime import UTC, datetime

import numpy as np

from safeguards import RewardWeights
from safeguards.budget._rl.history import History
from safeguards.budget._rl.rewards import Reward
from safeguards.budget._rl.settings import Settings
from safeguards.budget._rl.training import Fleet, Training


def office(agents=4, days=8, noise=0.1, seed=0):
    """Ten by day, one by night, each agent at its own hours."""
    draws = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    rows = [np.where((hours + 3 * agent) % 24 < 8, 1.0, 10.0) for agent in range(agents)]
    return np.stack(rows) * draws.lognormal(0, noise, (agents, len(hours)))


def training(demand, priorities=None, **settings):
    history = History(3600)
    history.keep([f"agent_{i}" for i in range(len(demand))])
    for column in demand.T:
        history.observe(column, np.full(len(demand), np.nan), np.zeros(len(demand), bool))
    priorities = np.full(len(demand), 5.0) if priorities is None else np.array(priorities, float)
    fleet = Fleet(history.agents, priorities, datetime(2026, 1, 12, tzinfo=UTC), 3600)
    return Training(history.recording(), fleet, Settings(**{"reward": Reward(RewardWeights()), **settings}))

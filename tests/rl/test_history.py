"""What agents wanted and what was expected: order, gaps, agents that come and go."""

import numpy as np
import pytest

from safeguards.budget._rl.history import KEPT, History


def filled(demand, tasks=None, cut=None):
    history = History(3600)
    history.keep([f"agent_{i}" for i in range(len(demand))])
    tasks = np.full(demand.shape, np.nan) if tasks is None else tasks
    cut = np.zeros(demand.shape, bool) if cut is None else cut
    for hour in range(demand.shape[1]):
        history.observe(demand[:, hour], tasks[:, hour], cut[:, hour])
    return history


def noise(agents=3, hours=120, seed=0):
    return np.random.default_rng(seed).gamma(4.0, 2.5, (agents, hours))


def test_what_is_expected_is_known_before_it_comes():
    demand = noise()
    whole = filled(demand).recording()
    begun = filled(demand[:, :80])
    for part, early in zip(whole.outlook, begun.outlook(), strict=True):
        np.testing.assert_allclose(part[:, 80], early, rtol=1e-6)
    np.testing.assert_allclose(whole.demand, demand, rtol=1e-6)


def test_the_outlook_in_words():
    demand = np.tile(np.where(np.arange(24) < 8, 1.0, 10.0), (1, 8))
    outlook = filled(demand).outlook()  # at midnight
    assert outlook.share[0] == pytest.approx(0.1, abs=0.05)
    assert 1.0 < outlook.need[0] < 10.0
    assert outlook.spread[0] >= 1.05


def test_what_a_budget_cut_off_counts_as_more():
    demand, cut = noise(1), np.zeros((1, 120), bool)
    cut[0, 100] = True
    demand[0, 100] = 0.5
    recording = filled(demand, tasks=demand, cut=cut).recording()
    within = recording.outlook.spread[0, 100] * recording.outlook.share[0, 100]
    assert recording.demand[0, 100] > 5 * 0.5
    assert within > 0
    assert recording.tasks[0, 100] == pytest.approx(recording.demand[0, 100])


def test_tasks_that_were_not_counted_follow_from_those_that_were():
    demand = np.full((2, 10), 4.0)
    tasks = np.full((2, 10), np.nan)
    tasks[0, 3] = 8.0
    counted = filled(demand, tasks).recording().tasks
    np.testing.assert_allclose(counted[0], 8.0)
    np.testing.assert_allclose(counted[1], 1.0)  # nothing was counted: a mean interval is a task


def test_agents_come_and_go():
    history = filled(noise(2, 30))
    history.keep(["agent_1", "new"])
    assert history.agents == ["agent_1", "new"]
    assert np.isnan(history.outlook().need[1])
    for _ in range(5):
        history.observe(np.array([7.0, 3.0]), np.full(2, np.nan), np.zeros(2, bool))
    recording = history.recording()
    assert recording.demand.shape == (2, 35)
    np.testing.assert_allclose(recording.demand[0, :30], noise(2, 30)[1], rtol=1e-6)
    assert np.isnan(recording.demand[1, :30]).all()
    np.testing.assert_allclose(recording.demand[1, 30:], 3.0)
    np.testing.assert_allclose(history.scale(), recording.scale, rtol=1e-5)
    history.keep([])
    assert history.recording().demand.shape == (0, 35)


def test_memory_is_bounded_and_gaps_are_unknown():
    history = filled(noise(1, 20))
    history.observe(np.array([5.0]), np.array([1.0]), np.zeros(1, bool), missed=3)
    recording = history.recording()
    assert recording.intervals == 24
    assert np.isnan(recording.demand[0, 20:23]).all()
    for _ in range(KEPT):
        history.observe(np.array([5.0]), np.array([1.0]), np.zeros(1, bool))
    assert len(history) == KEPT


def test_nothing_is_known_of_nobody():
    history = History(3600)
    assert history.outlook().need.shape == (0,)
    history.keep(["idle"])
    assert np.isnan(history.outlook().need).all()
    history.observe(np.zeros(1), np.zeros(1), np.zeros(1, bool))
    assert np.isnan(history.outlook().need).all(), "an agent that never wanted anything has no need"

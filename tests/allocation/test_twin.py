"""Bit for bit: the native adaptive strategy against its numpy twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeguards.allocation import AdaptiveStrategy, experiment_setting, random_walk_setting, simulate
from yardsticks.twin import adaptive_twin


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_papers_settings_to_the_last_agent(n):
    strategy = AdaptiveStrategy.for_setting(n)
    capacities = experiment_setting(n)
    attitudes = np.random.default_rng(n).random((2, 1000, 3))
    result = simulate(capacities, strategy, trials=2, initial_attitudes=attitudes)
    for trial in range(2):
        expected = adaptive_twin(
            capacities,
            attitudes[trial],
            strategy.adjusting_rate,
            strategy.scaling_factor,
        )
        np.testing.assert_array_equal(result.loads[trial], expected)


def test_one_set_of_attitudes_serves_all_trials():
    attitudes = np.random.default_rng(0).random((1000, 3))
    result = simulate(experiment_setting(1), AdaptiveStrategy(), trials=3, initial_attitudes=attitudes)
    assert (result.loads == result.loads[0]).all()
    np.testing.assert_array_equal(
        result.loads[0],
        adaptive_twin(experiment_setting(1), attitudes, 0.01, 4.0),
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n_agents=st.integers(1, 1100),
    n_resources=st.integers(1, 40),
    rate=st.sampled_from([0.0, 0.01, 0.1, 0.3, 1.0]),
    factor=st.sampled_from([0.0, 1.0, 4.0, 10.0]),
)
def test_any_population_to_the_last_agent(seed, n_agents, n_resources, rate, factor):
    random = np.random.default_rng(seed)
    capacities = random_walk_setting(40, n_resources=n_resources, least=0.5, total=1200.0, seed=seed)
    attitudes = random.choice([0.0, 0.25, 1.0, *random.random(5)], (n_agents, n_resources))
    strategy = AdaptiveStrategy(rate, factor)
    result = simulate(capacities, strategy, n_agents=n_agents, trials=1, initial_attitudes=attitudes)
    np.testing.assert_array_equal(result.loads[0], adaptive_twin(capacities, attitudes, rate, factor))


@pytest.mark.parametrize(("task_units", "task_steps"), [(3, 1), (1, 4), (2, 7)])
def test_tasks_of_several_units_and_steps(task_units, task_steps):
    strategy = AdaptiveStrategy.for_setting(1)
    capacities = experiment_setting(1, total=1000.0 * task_units)
    attitudes = np.random.default_rng(5).random((1000, 3))
    result = simulate(
        capacities,
        strategy,
        trials=1,
        initial_attitudes=attitudes,
        task_units=task_units,
        task_steps=task_steps,
    )
    expected = adaptive_twin(capacities, attitudes, 0.01, 4.0, task_units=task_units, task_steps=task_steps)
    np.testing.assert_array_equal(result.loads[0], expected)


def test_many_resources_sum_in_the_order_of_numpy():
    random = np.random.default_rng(3)
    capacities = random.random((30, 300)) * 10
    attitudes = random.random((500, 300))
    result = simulate(capacities, AdaptiveStrategy(), n_agents=500, trials=1, initial_attitudes=attitudes)
    np.testing.assert_array_equal(result.loads[0], adaptive_twin(capacities, attitudes, 0.01, 4.0))


@pytest.mark.parametrize("n", [1, 3])
def test_ones_own_loop_is_a_trial(n):
    capacities, strategy = experiment_setting(n), AdaptiveStrategy.for_setting(n)
    agents = strategy.agents(1000, 3, seed=9)
    loads = []
    for row in capacities:
        loads.append(np.bincount(agents.choose(row), minlength=3))
        agents.update(loads[-1] > row)
    np.testing.assert_array_equal(simulate(capacities, strategy, trials=1, seed=9).loads[0], loads)

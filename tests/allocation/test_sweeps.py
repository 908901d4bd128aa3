"""`sweep`: the same table wherever it runs."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from safeguards.allocation import (
    AdaptiveStrategy,
    FlowStrategy,
    RandomStrategy,
    experiment_setting,
    simulate,
    sweep,
)
from safeguards.allocation.ray import RayExecutor
from safeguards.exceptions import ConfigurationError

SETTINGS = {"one": experiment_setting(1)[:50], "two": experiment_setting(2)[:50]}
STRATEGIES = {"flow": FlowStrategy(), "random": RandomStrategy(), "slow": AdaptiveStrategy(0.01)}


def table(executor=None):
    return sweep(SETTINGS, STRATEGIES, executor=executor, trials=4, seed=2, warm_up=5)


def test_each_cell_is_a_simulation():
    result = table()
    assert [(row.setting, row.strategy) for row in result.rows] == [
        (setting, strategy) for setting in SETTINGS for strategy in STRATEGIES
    ]
    alone = simulate(SETTINGS["two"], FlowStrategy(), trials=4, seed=2).after(5)
    row = result["two", "flow"]
    assert row.average_deviation == alone.average_deviation
    assert row.standard_deviation == pytest.approx(alone.trial_deviations.std(ddof=1))
    assert row.trials == 4
    with pytest.raises(KeyError):
        result["three", "flow"]
    lines = str(result).splitlines()
    assert lines[0].split() == ["one", "two"]
    assert [line.split()[0] for line in lines[1:]] == ["flow", "random", "slow"]


def test_any_executor_gives_the_same_table():
    here = table()
    with ThreadPoolExecutor(2) as threads:
        assert table(threads) == here
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        assert table(processes) == here


def test_a_forked_process_can_simulate_too():
    """No thread pool of ours outlives a call, so a fork inherits none that is dead."""
    table()
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as processes:
        assert table(processes) == table()


def test_a_cluster_gives_the_same_table():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        with RayExecutor() as executor:
            assert table(executor) == table()
            failed = executor.submit(simulate, [[-1.0]], FlowStrategy())
            with pytest.raises(ConfigurationError, match="negative"):
                failed.result()
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.submit(print)
    finally:
        ray.shutdown()


def test_a_single_array_and_a_list_name_themselves():
    result = sweep(SETTINGS["one"], [FlowStrategy()], trials=1)
    assert result.rows[0].setting == "capacities"
    assert result.rows[0].strategy == "FlowStrategy()"
    assert result.rows[0].standard_deviation == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((SETTINGS, []), "must not be empty"),
        (({}, STRATEGIES), "must not be empty"),
        ((SETTINGS, [FlowStrategy(), FlowStrategy()]), "strategies must differ"),
    ],
)
def test_bad_sweeps_are_refused(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        sweep(*arguments)
    with pytest.raises(ConfigurationError, match="trials must be from 1"):
        sweep(SETTINGS, STRATEGIES, trials=0)

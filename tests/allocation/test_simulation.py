"""`simulate`: determinism, invariants, tasks, noise, and every kind of bad input."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeguards.allocation import (
    STRATEGIES,
    AdaptiveStrategy,
    FlowStrategy,
    GalstyanStrategy,
    LamLeungStrategy,
    PreviousCapacityStrategy,
    RandomStrategy,
    WinStayStrategy,
    experiment_setting,
    random_walk_setting,
    simulate,
)
from safeguards.exceptions import ConfigurationError

ALL = [
    *(strategy() for strategy in STRATEGIES.values()),
    AdaptiveStrategy(choice="roulette", attitude="agent"),
]
EVEN = np.full((4, 2), 10.0)
KNOWN = {
    "adaptive": [304, 194, 158, 344],
    "lam-leung": [368, 126, 129, 377],
    "galstyan": [273, 224, 251, 252],
    "win-stay": [285, 209, 209, 297],
    "flow": [288, 219, 205, 288],
    "random": [265, 219, 228, 288],
    "previous-capacity": [282, 220, 211, 287],
}


@pytest.mark.parametrize("strategy", ALL, ids=repr)
def test_the_same_seed_gives_the_same_loads_on_any_number_of_threads(strategy):
    capacities = experiment_setting(2)[:100]
    options = {"trials": 5, "observation_noise": 0.02, "careless_fraction": 0.1, "task_steps": 2}
    one, two, eight = (
        simulate(capacities, strategy, seed=4, threads=threads, **options).loads for threads in (1, 2, 8)
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, eight)
    assert (one != simulate(capacities, strategy, seed=5, **options).loads).any()
    # Trials differ from each other, and do not depend on how many there are.
    assert (one[0] != one[1]).any()
    np.testing.assert_array_equal(
        simulate(capacities, strategy, seed=4, **options | {"trials": 2}).loads, one[:2]
    )


def test_known_answers_on_every_platform():
    """Frozen figures: a change of these numbers breaks every recorded experiment."""
    t = np.arange(30)
    capacities = np.stack([200 + 3 * t, 250 - t, 300 - t * t // 9, 250 - 2 * t + t * t // 9], axis=1)
    for name, loads in KNOWN.items():
        result = simulate(capacities, STRATEGIES[name](), trials=1, seed=2026, observation_noise=0.01)
        assert result.loads[0, -1].tolist() == loads, name


@settings(max_examples=60, deadline=None)
@given(
    strategy=st.sampled_from(ALL),
    n_agents=st.integers(1, 700),
    n_resources=st.integers(1, 12),
    seed=st.integers(0, 2**64 - 1),
    noise=st.sampled_from([0.0, 0.1, 3.0]),
    careless=st.floats(0.0, 1.0),
    task_units=st.integers(1, 5),
    task_steps=st.integers(1, 9),
)
def test_every_agent_is_somewhere_at_every_step(  # noqa: PLR0917
    strategy, n_agents, n_resources, seed, noise, careless, task_units, task_steps
):
    capacities = np.random.default_rng(seed).random((12, n_resources)) * n_agents
    result = simulate(
        capacities,
        strategy,
        n_agents=n_agents,
        trials=2,
        seed=seed,
        observation_noise=noise,
        careless_fraction=careless,
        task_units=task_units,
        task_steps=task_steps,
        allow_scarcity=True,
    )
    assert result.loads.shape == (2, 12, n_resources)
    assert result.loads.dtype == np.int64
    assert (result.loads >= 0).all()
    assert (result.loads % task_units == 0).all()
    assert (result.loads.sum(axis=2) == n_agents * task_units).all()
    # Only the agents whose task ends can move: one cohort a step.
    moved = np.abs(np.diff(result.loads, axis=1)).sum(axis=2) // 2
    assert moved.max(initial=0) <= task_units * -(-n_agents // task_steps)


def test_deviation_is_the_mean_of_squares():
    result = simulate(experiment_setting(1), FlowStrategy(), trials=3)
    squares = (result.loads - experiment_setting(1)) ** 2
    assert result.average_deviation == pytest.approx(squares.mean())
    np.testing.assert_allclose(result.trial_deviations, squares.mean(axis=(1, 2)))
    assert result.after(20).average_deviation == pytest.approx(squares[:, 20:].mean())
    assert result.after(0).average_deviation == result.average_deviation
    assert "FlowStrategy()" in repr(result)
    assert "3 trials of 1000 steps with 3 resources" in repr(result)
    with pytest.raises(ConfigurationError, match="warm_up must be from 0 to 999, not 1,000"):
        result.after(1000)


def test_careless_agents_choose_uniformly_whatever_the_strategy():
    capacities = random_walk_setting(50, n_resources=4, total=1e6)
    loads = [
        simulate(capacities, strategy, n_agents=10_000, trials=2, careless_fraction=1.0).loads
        for strategy in ALL
    ]
    for other in loads[1:]:
        np.testing.assert_array_equal(loads[0], other)
    assert np.abs(loads[0] - 2500).max() < 5 * np.sqrt(10_000 * 0.25 * 0.75)
    assert loads[0].mean(axis=(0, 1)) == pytest.approx([2500] * 4, rel=0.01)


def test_careless_agents_are_the_fraction_of_all_that_was_asked_for():
    """A centre deals out the careful ones exactly: what is left is the careless ones' own variance."""
    capacities = np.full((400, 2), 500.0)
    result = simulate(capacities, PreviousCapacityStrategy(), trials=4, careless_fraction=0.2).after(1)
    assert result.average_deviation == pytest.approx(200 * 0.25, rel=0.15)


def test_noise_is_on_what_agents_read_and_not_on_what_is():
    capacities = np.full((500, 2), 500.0)
    result = simulate(capacities, PreviousCapacityStrategy(), trials=4, observation_noise=0.02).after(1)
    np.testing.assert_array_equal(result.capacities, capacities[1:])
    # Shares x / (x + y) of two readings with errors of 2 %: off by 500 * 0.02 / sqrt(2).
    assert result.average_deviation == pytest.approx((500 * 0.02) ** 2 / 2, rel=0.1)


def test_units_scale_everything():
    one = simulate(experiment_setting(1), AdaptiveStrategy(), trials=2)
    four = simulate(experiment_setting(1) * 4, AdaptiveStrategy(), trials=2, task_units=4)
    np.testing.assert_array_equal(four.loads, one.loads * 4)


def test_an_overload_at_equality_is_none():
    """Two agents, one resource of capacity 2: never overloaded, so attitudes rise to 1 and loads stay."""
    agents = AdaptiveStrategy().agents(2, 1)
    agents.choose([2.0])
    agents.update(np.array([2]) > [2.0])
    result = simulate(np.full((5, 1), 2.0), AdaptiveStrategy(), n_agents=2, trials=1)
    assert (result.loads == 2).all()


def test_progress_counts_up_to_the_end_and_may_stop_the_run():
    seen = []
    simulate(
        experiment_setting(1),
        GalstyanStrategy(),
        trials=40,
        threads=1,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (40_000, 40_000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)

    class StopError(Exception):
        pass

    def stop(_done, _total):
        raise StopError

    started = time.monotonic()
    with pytest.raises(StopError):
        simulate(experiment_setting(1), GalstyanStrategy(), trials=2000, progress=stop)
    assert time.monotonic() - started < 5


def test_other_threads_run_meanwhile():
    ticks = []
    done = threading.Event()

    def tick():
        while not done.wait(0.001):
            ticks.append(1)

    thread = threading.Thread(target=tick)
    thread.start()
    simulate(experiment_setting(1), GalstyanStrategy(), trials=60, threads=1)
    done.set()
    thread.join()
    assert len(ticks) > 10


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
def test_ctrl_c_stops_it():
    program = (
        "import sys; from safeguards.allocation import *\n"
        "print('go', flush=True)\n"
        "simulate(experiment_setting(1, total=1e6), GalstyanStrategy(), n_agents=1_000_000, trials=50)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "go\n"
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors


# --- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capacities", "message"),
    [
        (np.full((4, 2), np.nan), "capacities must be finite.* step 1, resource 0 is NaN"),
        ([[1e3, 1e3], [1e3, np.inf]], "capacities must be finite.* step 2, resource 1 is inf"),
        ([[1e3, 1e17]], r"at most 2\*\*53"),
        ([[1e3, -1.0]], "capacities must not be negative: step 1, resource '2' is -1$"),
        ([[0.0, 0.0]], "capacities must not all be zero: step 1"),
        (np.zeros((0, 3)), "must have 1 to .* steps"),
        (np.zeros((3, 0)), "must have 1 to 65535 resources"),
        (np.full((1, 65_536), 1.0), "must have 1 to 65535 resources"),
        ([1.0, 2.0], r"capacities must have 2 dimensions, not shape \(2,\)"),
        (np.ones((2, 2, 2)), "capacities must have 2 dimensions"),
        ([[1.0], [1.0, 2.0]], "capacities must be a rectangular array"),
        ([["a", "b"]], "capacities must be an array of real numbers"),
        ([[1j, 2j]], "capacities must be an array of real numbers"),
        ([[True, True]], "capacities must be an array of real numbers"),
        (None, "capacities must be an array of real numbers"),
        (
            [[499.0, 499.0]],
            "capacities are scarce: step 1 has 998 for 1000 units of demand.* allow_scarcity=True",
        ),
    ],
)
def test_bad_capacities_are_refused_by_name(capacities, message):
    with pytest.raises(ConfigurationError, match=message):
        simulate(capacities, FlowStrategy())


@pytest.mark.parametrize("total", [1000.0, 2500.0])
def test_the_misprint_of_setting_3_is_negative_as_any_other(total):
    with pytest.raises(ConfigurationError, match=r"not be negative: step 1051, resource '3' is -\d"):
        simulate(experiment_setting(3, as_printed=True, total=total), FlowStrategy(), n_agents=10)
    other = np.full((1200, 3), 400.0)
    other[7, 1] = -3.0
    with pytest.raises(ConfigurationError, match="negative: step 8, resource '2' is -3"):
        simulate(other, FlowStrategy())


def test_scarcity_is_measured_with_a_hair_of_tolerance_and_in_units():
    def run(total, **options):
        return simulate([[total]], FlowStrategy(), n_agents=1000, trials=1, **options)

    run(1000.0 * (1 - 0.9e-9))
    with pytest.raises(ConfigurationError, match="scarce"):
        run(1000.0 * (1 - 1.1e-9))
    run(999.0, allow_scarcity=True)
    with pytest.raises(ConfigurationError, match="1000 for 2000 units"):
        run(1000.0, task_units=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "trials must be from 1"),
        ({"trials": -1}, "trials must be from 1"),
        ({"n_agents": 0}, "n_agents must be from 1"),
        ({"n_agents": 2**32}, "n_agents must be from 1"),
        ({"seed": -1}, "seed must be from 0"),
        ({"seed": 2**64}, "seed must be from 0"),
        ({"observation_noise": -0.1}, "observation_noise must be a number from 0 to 10, not -0.1"),
        ({"observation_noise": float("nan")}, "observation_noise must be .*NaN"),
        ({"careless_fraction": 1.1}, "careless_fraction must be a number from 0 to 1, not 1.1"),
        ({"careless_fraction": float("nan")}, "careless_fraction must be"),
        ({"task_units": 0}, "task_units must be from 1"),
        ({"task_steps": 0}, "task_steps must be from 1"),
        ({"threads": 0}, "threads must be from 1"),
        (
            {"trials": 2**32, "allow_scarcity": True},
            "trials=4,294,967,296 .* GB of memory and .* GB are free",
        ),
        ({"initial_attitudes": np.zeros((20, 2))}, "initial_attitudes: this strategy has no attitudes"),
    ],
)
def test_bad_options_are_refused_by_name(options, message):
    capacities = np.full((100_000, 2), 500.0) if options.get("trials", 0) > 9 else np.full((4, 2), 500.0)
    with pytest.raises(ConfigurationError, match=message):
        simulate(capacities, FlowStrategy(), **options)


def test_more_agents_than_memory_are_refused_and_do_not_end_the_process():
    n_agents = 2**32 - 1
    with pytest.raises(
        ConfigurationError, match="n_agents=4,294,967,295 on 1 threads need 51.5 TB of memory and .* are free"
    ):
        simulate(
            np.full((1, 1000), 1e10),
            AdaptiveStrategy(),
            n_agents=n_agents,
            trials=1,
        )
    with pytest.raises(ConfigurationError, match="the agents would need .* bytes"):
        AdaptiveStrategy().agents(n_agents, 1000)


@pytest.mark.parametrize(
    ("shape", "value", "message"),
    [
        ((20, 3), 0.5, r"initial_attitudes must have shape \(20, 2\) or \(5, 20, 2\), not \(20, 3\)"),
        ((19, 2), 0.5, r"not \(19, 2\)"),
        ((4, 20, 2), 0.5, r"not \(4, 20, 2\)"),
        ((20,), 0.5, r"not \(20,\)"),
        ((20, 2), 1.1, "initial_attitudes must be numbers from 0 to 1, not 1.1"),
        ((20, 2), -0.1, "initial_attitudes must be numbers from 0 to 1"),
        ((20, 2), np.nan, "initial_attitudes must be numbers from 0 to 1, not NaN"),
        ((1, 1, 20, 2), 0.5, "initial_attitudes must have 1 or 2 or 3 dimensions"),
    ],
)
def test_bad_attitudes_are_refused_by_name(shape, value, message):
    with pytest.raises(ConfigurationError, match=message):
        simulate(EVEN, AdaptiveStrategy(), n_agents=20, trials=5, initial_attitudes=np.full(shape, value))


def test_one_attitude_per_agent_has_its_own_shapes():
    strategy = AdaptiveStrategy(attitude="agent")
    for shape in ((20,), (5, 20)):
        simulate(EVEN, strategy, n_agents=20, trials=5, initial_attitudes=np.full(shape, 0.5))
    with pytest.raises(ConfigurationError, match=r"shape \(20,\) or \(5, 20\), not \(20, 2\)"):
        simulate(EVEN, strategy, n_agents=20, trials=5, initial_attitudes=np.full((20, 2), 0.5))


@pytest.mark.parametrize(
    "options", [{"trials": 1.0}, {"n_agents": "10"}, {"seed": True}, {"task_steps": None}]
)
def test_wrong_types_are_type_errors_that_name_the_argument(options):
    with pytest.raises(TypeError, match=f"{next(iter(options))} must be a whole number"):
        simulate(EVEN, FlowStrategy(), **{"n_agents": 10} | options)


def test_a_strategy_is_a_strategy():
    with pytest.raises(TypeError, match="strategy must be a Strategy such as"):
        simulate(EVEN, "flow", n_agents=10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdaptiveStrategy(-0.1), "adjusting_rate must be a number from 0 to 1, not -0.1"),
        (lambda: AdaptiveStrategy(float("nan")), "adjusting_rate must be .*NaN"),
        (lambda: AdaptiveStrategy(0.1, -1), "scaling_factor must be"),
        (lambda: AdaptiveStrategy(0.1, float("inf")), "scaling_factor must be .*inf"),
        (lambda: AdaptiveStrategy(choice="best"), "choice must be 'max' or 'roulette', not 'best'"),
        (lambda: AdaptiveStrategy(attitude="none"), "attitude must be 'resource' or 'agent', not 'none'"),
        (lambda: AdaptiveStrategy.for_setting(4), "n must be 1, 2 or 3"),
        (lambda: LamLeungStrategy(history=0), "history must be from 1"),
        (lambda: LamLeungStrategy(increase=2.0), "increase must be"),
        (lambda: LamLeungStrategy(decrease=-2.0), "decrease must be"),
        (lambda: GalstyanStrategy(neighbours=-1), "neighbours must be from 0"),
        (lambda: GalstyanStrategy(tables=0), "tables must be from 1"),
        (
            lambda: simulate(np.full((2, 50), 50.0), GalstyanStrategy(neighbours=3)),
            r"resources \*\* neighbours",
        ),
    ],
)
def test_bad_parameters_are_refused_when_the_strategy_is_made(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


# --- strategies as values, and one's own loop -------------------------------------------------------------


def test_strategies_are_values():
    assert AdaptiveStrategy(0.02, 6) == AdaptiveStrategy.for_setting(2)
    assert AdaptiveStrategy(0.02, 6) != AdaptiveStrategy(0.02, 4)
    assert len({WinStayStrategy(), WinStayStrategy(), FlowStrategy(), RandomStrategy()}) == 3
    assert repr(LamLeungStrategy()) == "LamLeungStrategy(history=5, increase=0.02, decrease=0.02)"
    for name, cls in STRATEGIES.items():
        assert cls.name == name
        assert eval(repr(cls())) == cls()  # noqa: S307


@pytest.mark.parametrize("strategy", ALL, ids=repr)
def test_ones_own_loop_does_what_a_simulation_does(strategy):
    capacities = experiment_setting(2)[:60]
    agents = strategy.agents(1000, 3, seed=11)
    loads = []
    for row in capacities:
        choices = agents.choose(row)
        assert choices.shape == (1000,)
        loads.append(np.bincount(choices, minlength=3))
        agents.update(loads[-1] > row, loads[-1])
    np.testing.assert_array_equal(loads, simulate(capacities, strategy, trials=1, seed=11).loads[0])
    assert agents.step == 60
    assert repr(agents) == f"<1000 agents of {strategy!r} after 60 steps>"


def test_a_loop_out_of_order_is_refused_and_changes_nothing():
    agents = FlowStrategy().agents(10, 2)
    with pytest.raises(ConfigurationError, match="update was called before choose"):
        agents.update([True, False])
    agents.choose([5, 5])
    with pytest.raises(ConfigurationError, match="choose was called twice"):
        agents.choose([5, 5])
    assert agents.step == 1
    with pytest.raises(ConfigurationError, match=r"overloaded must have shape \(2,\), not \(3,\)"):
        agents.update([True, False, True])
    with pytest.raises(ConfigurationError, match=r"overloaded must be a \(Q,\) array of bool, not int64"):
        agents.update([1, 0])
    with pytest.raises(ConfigurationError, match=r"loads must be a \(Q,\) array of whole numbers"):
        agents.update([True, False], [0.5, 0.5])
    with pytest.raises(ConfigurationError, match="loads must be not negative"):
        agents.update([True, False], [-1, 11])
    with pytest.raises(ConfigurationError, match=r"loads must have shape \(2,\)"):
        agents.update([True, False], [1, 1, 8])
    agents.update([True, False])
    for bad, message in [
        ([5, 5, 5], r"capacities must have shape \(2,\), not \(3,\)"),
        ([5, -5], "negative"),
        ([5, np.nan], "finite"),
        ([0, 0], "all be zero"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            agents.choose(bad)
    assert agents.step == 1
    for n_agents, n_resources, seed in [(0, 2, 0), (10, 0, 0), (10, 2, -1)]:
        with pytest.raises(ConfigurationError, match="must be from"):
            FlowStrategy().agents(n_agents, n_resources, seed=seed)
    with pytest.raises(
        ConfigurationError, match=r"initial_attitudes must have shape \(10, 2\), not \(2, 10\)"
    ):
        AdaptiveStrategy().agents(10, 2, initial_attitudes=np.zeros((2, 10)))

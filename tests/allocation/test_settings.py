"""Capacities: the paper's settings in both readings, walks and steps."""

import numpy as np
import pytest

from safeguards.allocation import (
    PUBLISHED_DEVIATIONS,
    experiment_setting,
    random_walk_setting,
    step_change_setting,
)
from safeguards.exceptions import ConfigurationError


@pytest.mark.parametrize(("n", "steps"), [(1, 1000), (2, 600), (3, 1200)])
@pytest.mark.parametrize("as_printed", [False, True])
@pytest.mark.parametrize("total", [1000.0, 250.0])
def test_the_capacities_of_each_step_add_up_to_the_total(n, steps, as_printed, total):
    capacities = experiment_setting(n, as_printed=as_printed, total=total)
    assert capacities.shape == (steps, 3)
    assert capacities.dtype == np.float64
    np.testing.assert_allclose(capacities.sum(axis=1), total)
    np.testing.assert_allclose(capacities, experiment_setting(n, as_printed=as_printed) * (total / 1000))


def test_setting_1_by_hand():
    capacities = experiment_setting(1)
    np.testing.assert_allclose(capacities[249], [500, 250, 250])  # the sine is 1 at t = 250
    np.testing.assert_allclose(capacities[749], [500 / 3, 1250 / 3, 1250 / 3])
    np.testing.assert_array_equal(capacities, experiment_setting(1, as_printed=True))


def test_corrected_settings_have_no_jump_and_nothing_negative():
    for n in (1, 2, 3):
        capacities = experiment_setting(n)
        assert capacities.min() > 0
        assert np.abs(np.diff(capacities, axis=0)).max() <= 2.5


def test_setting_2_as_printed_jumps_where_the_issue_of_the_print_is():
    printed = experiment_setting(2, as_printed=True)
    assert printed[399, 2] == 0.0
    assert printed[400, 2] == 398.5
    np.testing.assert_array_equal(printed[:200], experiment_setting(2)[:200])
    np.testing.assert_array_equal(printed[400:], experiment_setting(2)[400:])


def test_setting_3_as_printed_turns_negative_at_1051():
    printed = experiment_setting(3, as_printed=True)
    assert printed[1049, 2] == 0.0
    assert (printed[:1050] >= 0).all()
    assert printed[1050, 2] == -2.0
    np.testing.assert_allclose(experiment_setting(3)[950:, 2], 200.0)


@pytest.mark.parametrize("n", [0, 4, "1", None])
def test_there_are_three_settings(n):
    with pytest.raises(ConfigurationError, match="n must be 1, 2 or 3"):
        experiment_setting(n)


@pytest.mark.parametrize("total", [0.0, -1.0, float("nan"), float("inf")])
def test_a_total_is_positive_and_finite(total):
    with pytest.raises(ConfigurationError, match="total must be above 0 and at most 1e.15"):
        experiment_setting(1, total=total)


def test_walks_and_steps_keep_their_total_and_their_seed():
    for make in (random_walk_setting, step_change_setting):
        capacities = make(300, n_resources=5, total=500.0, least=10.0, seed=3)
        assert capacities.shape == (300, 5)
        np.testing.assert_allclose(capacities.sum(axis=1), 500.0)
        assert capacities.min() > 9.0
        np.testing.assert_array_equal(capacities, make(300, n_resources=5, total=500.0, least=10.0, seed=3))
        assert (capacities != make(300, n_resources=5, total=500.0, least=10.0, seed=4)).any()


def test_a_step_change_happens_every_so_often():
    moved = np.flatnonzero(np.diff(step_change_setting(95, every=30), axis=0).any(axis=1)) + 1
    assert moved.tolist() == [30, 60, 90]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps must be from 1"),
        ({"n_resources": 0}, "n_resources must be from 1"),
        ({"least": 400.0}, "least must be from 0"),
        ({"least": float("nan")}, "least must be from 0"),
        ({"seed": -1}, "seed must be from 0"),
        ({"total": float("nan")}, "total must be"),
    ],
)
def test_bad_walks_are_refused(arguments, message):
    for make in (random_walk_setting, step_change_setting):
        with pytest.raises(ConfigurationError, match=message):
            make(**arguments)
    with pytest.raises(ConfigurationError, match="sigma"):
        random_walk_setting(sigma=-1.0)
    with pytest.raises(ConfigurationError, match="every"):
        step_change_setting(every=0)


def test_the_published_table_is_complete():
    assert {(n, s) for n, row in PUBLISHED_DEVIATIONS.items() for s in row} == {
        (n, s) for n in (1, 2, 3) for s in ("adaptive", "lam-leung", "galstyan")
    }
    assert PUBLISHED_DEVIATIONS[2]["adaptive"] == 431.4749

"""The streaming forecaster as Python sees it: shapes, refusals, threads."""

import threading

import numpy as np
import pytest

from safeguards import ConfigurationError
from safeguards._native import NextHour


def observe(forecaster, *rows):
    for row in rows:
        forecaster.observe(np.array(row, float))


def test_a_forecast_is_what_was_decided_before_the_step_was_seen():
    demand = np.random.default_rng(1).gamma(2.0, 5.0, (4, 300))
    demand[2, 50:60] = np.nan
    replayed = NextHour(4).replay(demand)
    forecaster = NextHour(4)
    for t in range(300):
        np.testing.assert_array_equal(forecaster.forecast(), replayed[:, t])
        observe(forecaster, demand[:, t])
    changed = demand.copy()
    changed[:, 200:] = 0.0
    np.testing.assert_array_equal(NextHour(4).replay(changed)[:, :201], replayed[:, :201])


def test_replay_goes_on_from_what_was_observed():
    demand = np.random.default_rng(2).gamma(2.0, 5.0, (2, 100))
    forecaster = NextHour(2)
    parts = [forecaster.replay(demand[:, :40]), forecaster.replay(demand[:, 40:])]
    np.testing.assert_array_equal(np.hstack(parts), NextHour(2).replay(demand))


def test_the_unit_of_money_does_not_matter():
    demand = np.random.default_rng(3).gamma(2.0, 5.0, (3, 400))
    small = NextHour(3).replay(demand * 1e-6, probability=0.9)
    np.testing.assert_allclose(small * 1e6, NextHour(3).replay(demand, probability=0.9), rtol=1e-6)


def test_series_come_and_go():
    forecaster = NextHour(2)
    observe(forecaster, [1, 2], [1, 2])
    forecaster.extend(1)
    assert forecaster.n_series == 3
    assert np.isnan(forecaster.forecast()[2])
    observe(forecaster, [1, 2, 9])
    forecaster.retain(np.array([False, True, True]))
    np.testing.assert_allclose(forecaster.forecast(), [2, 9])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: f.observe(np.ones(3)), "one value for each of the 2 series, not 3"),
        (lambda f: f.observe(np.array([1.0, -1.0])), "series 1 has -1"),
        (lambda f: f.observe(np.array([np.inf, 1.0])), "series 0 has inf"),
        (lambda f: f.observe(np.ones(2), at_least=np.array([True])), "at_least must have one value"),
        (lambda f: f.replay(np.ones((3, 4))), "each of the 2 series, not 3"),
        (lambda f: f.replay(np.array([[1.0, 1.0], [1.0, -2.0]])), "series 1 has -2"),
        (lambda f: f.replay(np.ones((2, 4)), probability=1.5), "between 0 and 1, not 1.5"),
        (lambda f: f.quantile(-0.1), "between 0 and 1, not -0.1"),
        (lambda f: f.confidence(0.0), "within must be positive"),
        (lambda f: f.retain(np.array([True])), "keep must have one value"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(call, message):
    forecaster = NextHour(2)
    observe(forecaster, [1, 2], [3, 4])
    before = forecaster.forecast()
    with pytest.raises(ConfigurationError, match=message):
        call(forecaster)
    np.testing.assert_array_equal(forecaster.forecast(), before)


@pytest.mark.parametrize("seasons", [[1], [24, 24], [2, 3, 4], [10_081]])
def test_seasons_that_cannot_be_followed(seasons):
    with pytest.raises(ConfigurationError, match="seasons must be at most 2 different lengths"):
        NextHour(1, seasons=seasons)


def test_empty_histories_and_no_series():
    assert NextHour(3).replay(np.empty((3, 0))).shape == (3, 0)
    assert NextHour(0).replay(np.empty((0, 5))).shape == (0, 5)
    assert NextHour(0).forecast().shape == (0,)


def test_out_of_next_to_nothing_comes_no_infinity():
    forecaster = NextHour(2)
    forecaster.replay(np.array([[5e-324] * 9 + [1e-17], [1e30] * 10]))
    assert np.isfinite([forecaster.forecast(), forecaster.quantile(1.0)]).all()


def test_threads_may_share_one():
    forecaster = NextHour(50)
    rows = np.random.default_rng(4).gamma(2.0, 5.0, (8, 100, 50))
    threads = [threading.Thread(target=observe, args=(forecaster, *part)) for part in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.isfinite(forecaster.quantile(0.9)).all()

"""Forecasts of windows, natively: odd histories, bad arguments, the same result whatever the threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeguards._native import forecast_usage
from safeguards.exceptions import ConfigurationError


def forecast(usage, *, first=None, lead=0, length=24, level=0.8, margin=1.2, threads=1):
    usage = np.atleast_2d(np.asarray(usage, dtype=np.float64))
    first = np.zeros(len(usage), np.int64) if first is None else np.asarray(first, np.int64)
    return forecast_usage(usage, first, lead=lead, length=length, level=level, margin=margin, threads=threads)


def rhythm(days, *, agents=1, seed=0, noise=0.0, sunday=1.0):
    """Busy by day, quiet by night, and on Sundays perhaps something else."""
    hours = np.arange(days * 24)
    shape = (1 + np.sin((hours % 24 - 6) * np.pi / 12)) * np.where(hours // 24 % 7 == 6, sunday, 1.0)
    draws = np.random.default_rng(seed).lognormal(0, noise, (agents, len(hours)))
    return shape * draws


def test_what_repeats_exactly_is_foreseen_exactly():
    whole = rhythm(28, sunday=0.1)
    found = forecast(whole[:, : 21 * 24], length=7 * 24)
    assert np.allclose(found["hourly"], whole[:, 21 * 24 :], atol=0.02)
    assert found["median"] == pytest.approx(whole[:, 21 * 24 :].sum(), rel=0.02)


def test_a_constant_is_a_constant():
    found = forecast(np.full(336, 2.5))
    assert np.allclose(found["hourly"], 2.5)
    assert found["median"] == pytest.approx(60)
    assert 59 < found["lower"][0] <= 60 <= found["upper"][0] < 61
    assert found["confidence"] > 0.95


def test_nothing_stays_nothing():
    found = forecast(np.zeros(336))
    assert [found[name][0] for name in ("median", "lower", "upper", "confidence")] == [0, 0, 0, 1]
    assert not found["hourly"].any()


@pytest.mark.parametrize("hours", [1, 2, 23, 24, 25, 47, 48, 72, 73, 96, 97, 168, 200])
def test_short_histories_are_enough_for_a_wide_answer(hours):
    usage = rhythm(9, noise=0.3)[:, :hours] + 0.1
    found = forecast(usage)
    assert 0 <= found["lower"][0] < found["median"][0] < found["upper"][0]
    assert 0 < found["confidence"][0] < 1
    if hours <= 72:  # no earlier day to learn from: four tenths of error are assumed
        assert (found["upper"] - found["lower"])[0] > 0.8 * found["median"][0]


def test_an_agent_alone_learns_from_its_own_errors():
    steady, wild = rhythm(14, noise=0.05, seed=1), rhythm(14, noise=1.0, seed=1)
    width = [((f["upper"] - f["lower"]) / f["median"])[0] for f in (forecast(steady), forecast(wild))]
    assert width[0] < 0.25 < width[1]


def test_agents_that_start_later_know_only_what_came_since():
    usage = rhythm(14, agents=5, noise=0.2)
    late = usage.copy()
    late[3, :200] = 1e6  # before its start: not looked at
    found = forecast(late, first=[0, 0, 0, 200, 335])
    alone = forecast(usage[3:4, 200:])
    assert found["median"][3] == pytest.approx(alone["median"][0], rel=0.35)
    assert found["median"].max() < 100
    assert np.isfinite(found["upper"]).all()


def test_a_newcomer_borrows_the_others_errors():
    usage = rhythm(14, agents=30, noise=0.05)
    among_others = forecast(usage, first=[0] * 29 + [290])
    alone = forecast(usage[29:, 290:])
    width = [((f["upper"] - f["lower"]) / f["median"])[-1] for f in (among_others, alone)]
    assert width[0] < 0.7 * width[1]


@pytest.mark.parametrize(
    ("lead", "length"), [(0, 1), (3, 2), (30, 5), (24, 24), (0, 168), (24, 168), (0, 1000)]
)
def test_windows_near_and_far(lead, length):
    whole = rhythm(14 + 50)
    found = forecast(whole[:, :336], lead=lead, length=length)
    came = whole[:, 336 + lead : 336 + lead + length]
    assert found["hourly"].shape == (1, length)
    assert np.abs(found["hourly"] - came).mean() < 0.25 * whole.mean()
    assert found["median"][0] == pytest.approx(came.sum(), rel=0.25, abs=0.3)
    assert found["lower"][0] <= found["median"][0] <= found["upper"][0]


def test_threads_and_neighbours_in_the_sample_do_not_matter():
    usage = rhythm(14, agents=300, noise=0.4)
    one, two = forecast(usage, threads=1), forecast(usage, threads=2)
    assert all((one[name] == two[name]).all() for name in one)
    assert len(one["median"]) == 300


@given(
    usage=st.lists(st.one_of(st.just(0.0), st.floats(0, 1e12)), min_size=1, max_size=200),
    lead=st.integers(0, 60),
    length=st.integers(1, 60),
    scale=st.sampled_from([1e-9, 1.0, 1e9]),
)
@settings(max_examples=150, deadline=None)
def test_any_history_gives_finite_ordered_figures(usage, lead, length, scale):
    found = forecast(np.array(usage) * scale, lead=lead, length=length)
    figures = np.array([found[name][0] for name in ("lower", "median", "upper")])
    assert np.isfinite(figures).all() and np.isfinite(found["hourly"]).all()
    assert (figures >= 0).all() and (np.diff(figures) >= 0).all()
    assert 0 <= found["confidence"][0] <= 1
    assert (found["hourly"] >= 0).all()


@given(factor=st.floats(1e-6, 1e6))
@settings(max_examples=30, deadline=None)
def test_another_currency_gives_the_same_forecast(factor):
    usage = rhythm(12, agents=3, noise=0.5)
    one, other = forecast(usage), forecast(usage * factor)
    for name in ("median", "lower", "upper", "hourly"):
        assert np.allclose(one[name] * factor, other[name], rtol=1e-6)
    assert np.allclose(one["confidence"], other["confidence"], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"usage": [1.0, np.nan]}, "agent 0, hour 1 is NaN"),
        ({"usage": [[1.0, 1.0], [2.0, -1.0]]}, "agent 1, hour 1 is -1"),
        ({"usage": [np.inf]}, "agent 0, hour 0 is inf"),
        ({"usage": [1e300]}, "usage must be from 0 to 1e21: agent 0, hour 0 is 1"),
        ({"usage": np.zeros((1, 0))}, "at least one hour"),
        ({"usage": np.zeros((2, 5)), "first": [0]}, "one value for each"),
        ({"usage": np.zeros((1, 5)), "first": [5]}, "first must be 0 to 4.*agent 0 has 5"),
        ({"usage": np.zeros((1, 5)), "length": 0}, "horizon must be 1 to 8784 hours"),
        ({"usage": np.zeros((1, 5)), "lead": 9000}, "horizon must be 1 to 8784 hours"),
        ({"usage": np.zeros((1, 5)), "level": 1.0}, "level must be above 0 and below 1"),
        ({"usage": np.zeros((1, 5)), "margin": 0.0}, "margin must be a positive number"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        forecast(**arguments)

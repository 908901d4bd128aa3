"""How good forecasts are on recorded workloads: bars, not impressions."""

import json

import numpy as np
import pytest

from safeguards.backtest import Demand
from safeguards.backtest.forecast import LEARNER, YESTERDAY, backtest_forecast
from safeguards.exceptions import ConfigurationError
from yardsticks.recorded import m_large as tenants
from yardsticks.recorded import nab_tweets as tweets
from yardsticks.recorded import whole_taxi as taxi

BARS = [(tenants, 57, 7, 0.90), (tweets, 10, 41, 0.80), (taxi, 1, 201, 0.55)]


@pytest.mark.parametrize(("read", "agents", "days", "bar"), BARS, ids=["tenants", "tweets", "taxi"])
def test_a_day_ahead(read, agents, days, bar):
    result = backtest_forecast(read())
    assert (len(result.agents), len(result.origins)) == (agents, days)
    row = result.row("pattern learner")
    assert row.mase_ratio <= bar
    assert 0.77 <= row.covered_share <= 0.85
    assert row.calibration_error <= 0.06
    assert row.hours == agents * days * 24
    # It is the best of all rows, by a clear distance.
    assert result.rows[0] is row
    assert row.mase < 0.97 * result.rows[1].mase
    assert result.row(YESTERDAY).mase_ratio == 1


@pytest.mark.parametrize(
    ("read", "half", "bar"),
    # Thanksgiving, Christmas and a blizzard fall into the second half of the taxis: nothing foresees them.
    [(tweets, 0, 0.82), (tweets, 1, 0.82), (taxi, 0, 0.50), (taxi, 1, 0.65)],
)
def test_each_half_of_a_record_by_itself(read, half, bar):
    whole = read()
    middle = whole.hours // 2 // 24 * 24
    part = whole.cost[:, middle:] if half else whole.cost[:, :middle]
    result = backtest_forecast(Demand(whole.agents, part))
    assert result.rows[0] is result.row("pattern learner")
    assert result.row("pattern learner").mase_ratio <= bar
    assert 0.74 <= result.row("pattern learner").covered_share <= 0.88
    assert result.row("pattern learner").calibration_error <= 0.1


@pytest.mark.parametrize(("lead", "horizon"), [(0, 1), (0, 6), (5, 3), (24, 24), (0, 72), (0, 168)], ids=str)
def test_other_windows_beat_yesterday_and_hold_what_they_say(lead, horizon):
    row = backtest_forecast(tweets(), lead=lead, horizon=horizon).row("pattern learner")
    assert row.mase_ratio <= 0.80
    assert 0.74 <= row.covered_share <= 0.88
    assert row.calibration_error <= 0.11


def test_confidence_of_at_least_80_percent_comes_true_as_often():
    result = backtest_forecast(tweets())
    sure = result.confidence >= 0.8
    assert sure.sum() > 30
    assert (result.actual <= 1.2 * result.predicted)[sure].mean() >= 0.78


def test_the_result_is_plain_values_and_pictures(tmp_path):
    whole = tweets()
    result = backtest_forecast(Demand(whole.agents[:3], whole.cost[:3, :500]))
    told = json.loads(json.dumps(result.to_dict()))
    assert (told["kind"], told["agents"], told["left_out"], told["origins"]) == ("forecast", 3, 0, 10)
    assert {row["policy"] for row in told["rows"]} >= {LEARNER, YESTERDAY}
    files = result.plot(tmp_path)
    assert [file.name for file in files] == [
        "forecast-errors.png",
        "forecast-days.png",
        "forecast-reliability.png",
    ]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    assert result.verdict.startswith("best here: pattern learner (ours), ")
    assert sum(count for _, _, count in result.reliability()) == result.confidence.size


def test_too_little_demand_is_refused():
    with pytest.raises(ConfigurationError, match="40 hours are too few"):
        backtest_forecast(Demand(("bot",), np.ones((1, 40))))
    with pytest.raises(
        ConfigurationError, match="min_activity is 0.3: before and after hour 200 no agent is so active"
    ):
        backtest_forecast(Demand(("bot",), np.zeros((1, 400))))
    with pytest.raises(ConfigurationError, match="1 hours are too few"):
        backtest_forecast(Demand(("bot",), np.ones((1, 1))))


@pytest.mark.parametrize("hours", [48, 400])
def test_what_never_changes_has_no_measure(hours):
    with pytest.raises(ConfigurationError, match="nothing to measure errors by"):
        backtest_forecast(Demand(("bot",), np.tile(np.arange(24.0), hours // 24 + 1)[None, :hours]))


def test_what_repeats_itself_is_foreseen_without_error(tmp_path):
    cost = np.tile(np.arange(24.0), 20)
    cost[:24] *= 2
    result = backtest_forecast(Demand(("bot",), [cost]))
    assert (result.row("pattern learner").mase_ratio, result.row(YESTERDAY).mase) == (None, 0)
    assert result.verdict == "no difference here: yesterday and ours (pattern learner) leave the same error"
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert "-" in str(result)
    pytest.importorskip("matplotlib")
    assert len(result.plot(tmp_path)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": -1}, "horizon must be from 1 to 1,000,000, not -1"),
        ({"lead": -1}, "lead must be from 0 to 1,000,000, not -1"),
        ({"window_days": 0}, "window_days must be from 1 to 1,000,000, not 0"),
        ({"threads": -1}, "threads must be from 0 to 4,096, not -1"),
        ({"min_activity": float("nan")}, "min_activity must be from 0 to 1"),
    ],
)
def test_arguments_that_make_no_sense(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        backtest_forecast(Demand(("bot",), np.ones((1, 400))), **arguments)

"""Pool sizes on recorded demand: the quality bars, no look into the future, the same rule as live."""

import json
import math
import sys
from collections import Counter
from decimal import Decimal

import numpy as np
import pytest

from safeguards import BudgetCoordinator, ConfigurationError, ManualClock
from safeguards.backtest import Demand
from safeguards.backtest.pool_size import backtest_pool_size
from safeguards.core.dynamic_budget import AdaptivePoolSizer
from yardsticks.recorded import m_large, nab_tweets, small_pools, taxi

HOUR = 3600


@pytest.fixture(scope="module")
def on_m_large():
    return backtest_pool_size(m_large())


@pytest.fixture(scope="module")
def on_tweets():
    return backtest_pool_size(nab_tweets())


def ratio(result, policy, rival):
    return result.row(policy).unmet_share / result.row(rival).unmet_share


def test_the_step_rule_is_the_yardstick_that_the_bars_are_about(on_m_large, on_tweets):
    assert len(on_m_large.demand.agents) == 57
    assert on_m_large.row("step").unmet_share == pytest.approx(0.33, abs=0.005)
    assert on_m_large.row("vpa-like").unmet_share == pytest.approx(0.335, abs=0.005)
    assert on_tweets.row("step").unmet_share == pytest.approx(0.175, abs=0.005)


def test_bars_on_agents_of_a_real_service(on_m_large):
    assert ratio(on_m_large, "predictive", "step") <= 0.60
    assert ratio(on_m_large, "auto", "step") <= 0.60
    assert ratio(on_m_large, "predictive", "vpa-like") <= 0.60
    assert ratio(on_m_large, "predictive", "hpa-like") <= 0.90


def test_bars_on_tweets(on_tweets):
    assert ratio(on_tweets, "predictive", "step") <= 0.90
    assert ratio(on_tweets, "auto", "step") <= 0.90
    assert ratio(on_tweets, "predictive", "vpa-like") <= 0.75


def test_pools_of_several_agents_and_a_series_of_another_kind():
    pools = backtest_pool_size(small_pools())
    assert ratio(pools, "predictive", "step") <= 0.65
    assert ratio(pools, "predictive", "vpa-like") <= 0.60
    assert ratio(backtest_pool_size(taxi()), "predictive", "step") <= 0.05


def test_halves_of_the_agents_agree():
    demand = m_large()
    for half in (slice(0, None, 2), slice(1, None, 2)):
        result = backtest_pool_size(Demand(demand.agents[half], demand.cost[half]))
        assert ratio(result, "predictive", "step") <= 0.55


@pytest.mark.parametrize("demand", [m_large, nab_tweets, small_pools, taxi])
def test_exhaustion_rates_are_kept_within_two_points(demand):
    for row in backtest_pool_size(demand()).calibration:
        assert row.measured_rate == pytest.approx(row.asked_rate, abs=0.02)


def test_sizes_are_decided_before_the_hour_is_seen():
    cost = np.random.default_rng(1).gamma(2.0, 5.0, (3, 400))
    changed = cost.copy()
    changed[:, 300:] *= 7
    first, second = (backtest_pool_size(Demand(("a", "b", "c"), c)) for c in (cost, changed))
    for policy, sizes in first.sizes.items():
        np.testing.assert_array_equal(sizes[:, :301], second.sizes[policy][:, :301], err_msg=policy)


def test_at_the_same_mean_budget_means_at_the_same_mean_budget(on_tweets):
    demand = on_tweets.demand.cost[:, on_tweets.warm_up_hours :]
    for row in on_tweets.rows:
        means = on_tweets.scaled(row.policy).mean(axis=1)
        np.testing.assert_allclose(means, demand.mean(axis=1) / 0.7)
        assert row.unmet_share == pytest.approx(on_tweets.unmet_of_pools(row.policy).mean())


def live_sizes(demand, policy, hours=None):
    """What the real sizer gives on a real ledger, if agents want so much each hour, and who was cut off."""
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock, history_events=4, history_sums=4)
    sizer = AdaptivePoolSizer(coordinator)
    first = demand[:, :168].mean(axis=1) / 0.7
    for number, budget in enumerate(first):
        pool = coordinator.create_budget_pool(
            f"pool-{number}", Decimal(f"{budget:.9f}"), budget_period="hourly", timezone="UTC"
        )
        coordinator.register_agent(f"agent-{number}", pool, initial_budget=10**9)
        sizer.configure_pool(pool, min_agents_for_adjustment=1, policy=policy)
    sizes = np.zeros_like(demand[:, :hours])
    with sizer:
        for hour in range(sizes.shape[1]):
            for number, wanted in enumerate(demand[:, hour]):
                left = coordinator.get_pool_budget(f"pool-{number}")
                sizes[number, hour] = left
                if spent := min(left, Decimal(f"{wanted:.9f}")):
                    coordinator.debit(f"agent-{number}", spent)
            clock.advance(HOUR)
    coordinator.verify()
    return sizes


@pytest.mark.parametrize(("demand", "hours"), [(m_large, 30), (taxi, 2016)])
def test_the_backtest_and_the_live_sizer_follow_the_same_step_rule(demand, hours):
    """Until a pool that is not used meets a bound that only the backtest has."""
    tested = backtest_pool_size(demand())
    live = live_sizes(tested.demand.cost, "step", hours)
    np.testing.assert_allclose(live, tested.sizes["step"][:, :hours], rtol=1e-6)


def test_live_forecasts_hold_although_what_was_cut_off_is_not_seen(on_m_large):
    """The live sizer sees spending, not demand: it may lose some of its gain by that, not all of it."""
    demand = on_m_large.demand.cost
    sizes = live_sizes(demand, "predictive")[:, 168:]
    scored = demand[:, 168:]
    scaled = sizes * (scored.mean(axis=1) / 0.7 / sizes.mean(axis=1))[:, None]
    unmet = (np.maximum(scored - scaled, 0).sum(axis=1) / scored.sum(axis=1)).mean()
    assert unmet <= 0.66 * on_m_large.row("step").unmet_share


def test_everything_is_told_in_plain_values(on_tweets):
    told = json.loads(json.dumps(on_tweets.to_dict()))
    assert told["kind"] == "pool-size"
    assert told["pools"] == 10
    assert [row["policy"] for row in told["rows"]] == list(on_tweets.sizes)
    assert all(math.isfinite(value) for row in told["rows"] for value in list(row.values())[1:])
    assert told["verdict"] == (on_tweets.comparison.sentence("demand unmet"))


def test_pictures(on_tweets, tmp_path):
    from safeguards.backtest._pool_size_plots import plot_policies, plot_pool

    paths = on_tweets.plot(tmp_path)
    assert sorted(path.name for path in paths) == ["pool-size-policies.png", "pool-size-pool.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    bars = {bar.get_gid(): bar.get_width() for bar in plot_policies(on_tweets).axes[0].patches}
    assert bars["mean-step"] == on_tweets.row("step").unmet_share
    lines = {line.get_gid(): line for line in plot_pool(on_tweets, "IBM").axes[0].lines}
    index = on_tweets.demand.agents.index("IBM")
    np.testing.assert_allclose(
        lines["size-step"].get_ydata(), on_tweets.scaled("step")[index, : len(lines["size-step"].get_ydata())]
    )


def test_mistakes_are_named(on_tweets):
    demand = on_tweets.demand
    for options, message in (
        ({"warm_up_hours": 0}, "warm_up_hours must be from 1 to 1,319, not 0"),
        ({"warm_up_hours": 1320}, "warm_up_hours must be from 1 to 1,319, not 1,320"),
        ({"min_activity": 2}, "min_activity must be from 0 to 1"),
        (
            {"min_activity": 1.0},
            "min_activity is 1: before and after hour 168 no agent is so active; the most",
        ),
        ({"target": 0}, "target must be"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            backtest_pool_size(demand, **options)
    with pytest.raises(ConfigurationError, match="a policy is one of static, step"):
        on_tweets.row("magic")


def test_a_record_of_one_hour_is_too_short():
    with pytest.raises(ConfigurationError, match="two hours at least, not 1"):
        backtest_pool_size(Demand(("a",), np.ones((1, 1))))


def native_calls(call):
    """How often each function of compiled code was called: the interpreter tells."""
    calls = Counter()

    def note(_frame, event, function):
        if event == "c_call":
            calls[getattr(function, "__qualname__", "")] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return calls


def test_what_several_policies_forecast_is_forecast_once():
    demand = Demand(("a",), np.tile(np.arange(24.0), 14)[None])
    calls = native_calls(lambda: backtest_pool_size(demand))
    assert calls["NextHour.replay"] == 1 + 3, (
        "the forecast of predictive and auto, and one for each calibration"
    )


def test_the_real_sizer_beside_the_rules_gives_the_same_sizes():
    """Through the replay that runs policies of one's own: a ledger, a clock, debits in small steps."""
    demand = m_large()
    some = Demand(demand.agents[:3], demand.cost[:3, :60])

    def live(coordinator):
        sizer = AdaptivePoolSizer(coordinator, history_size=1)
        for pool in coordinator.get_pool_ids():
            sizer.configure_pool(pool, min_agents_for_adjustment=1, policy="step")
        return sizer

    result = backtest_pool_size(some, policies={"live": live}, warm_up_hours=20, min_activity=0)
    np.testing.assert_allclose(result.sizes["live"][:, :50], result.sizes["step"][:, :50], rtol=1e-6)

"""Pacing on recorded demand: the quality bars, no look into the future, the same rule as live."""

import json
import math
from datetime import UTC, datetime, time
from decimal import Decimal

import numpy as np
import pytest

from safeguards import BudgetCoordinator, BudgetTimeScheduler, ConfigurationError, ManualClock
from safeguards.backtest import Demand
from safeguards.backtest.pacing import RULES, backtest_pacing
from yardsticks.recorded import m_large, m_large_slots, nab_tweets, taxi


@pytest.fixture(scope="module")
def on_m_large():
    return backtest_pacing(m_large_slots())


def test_what_the_bars_are_about(on_m_large):
    """Spend until empty, with the agents and days that the bars were set on."""
    assert (len(set(on_m_large.agents)), len(on_m_large.days), on_m_large.left_out) == (57, 395, 105)
    none = on_m_large.row("none")
    assert none.utility_share == pytest.approx(0.846, abs=0.001)
    assert none.blacked_out_share == pytest.approx(0.242, abs=0.001)
    assert none.used_share == pytest.approx(1)


@pytest.mark.parametrize("rule", ["forecast", "even"])
def test_bars_on_ten_minutes_of_a_real_service(on_m_large, rule):
    row = on_m_large.row(rule)
    assert row.utility_share >= 0.91
    assert row.blacked_out_share <= 0.01


def test_halves_of_the_agents_differ_little():
    slots = m_large_slots()
    for half in (slots[::2], slots[1::2]):
        row = backtest_pacing(half).row("forecast")
        assert row.utility_share >= 0.91
        assert row.blacked_out_share <= 0.012


@pytest.mark.parametrize(
    ("read", "least", "even_least"),
    [(m_large, 0.92, 0.93), (nab_tweets, 0.96, 0.95), (taxi, 0.98, 0.96)],
    ids=["m-large", "tweets", "taxi"],
)
def test_series_of_other_kinds_by_the_hour(read, least, even_least):
    result = backtest_pacing(read())
    assert result.row("forecast").utility_share >= least
    assert result.row("even").utility_share >= even_least
    assert result.row("none").utility_share < 0.87
    assert result.row("forecast").blacked_out_share < 0.03
    assert result.slots_per_day == 24


def test_a_day_that_repeats_itself_gets_what_hindsight_gives():
    day = np.random.default_rng(0).gamma(1, 1, 144)
    row = backtest_pacing(np.tile(day, 14)[None]).row("forecast")
    assert row.utility_share == pytest.approx(1)
    assert row.used_share == pytest.approx(1)


def test_nobody_knows_the_future():
    slots = m_large_slots()[:40]
    other = slots.copy()
    other[:, 10 * 144 + 60 :] = other[:, 10 * 144 + 60 :][:, ::-1] * 3
    # The budget of a day is a share of what it turns out to want, so it must be the same for both.
    cut = slice(10 * 144 + 60, 11 * 144)
    other[:, cut] *= (slots[:, cut].sum(1) / np.maximum(other[:, cut].sum(1), 1e-300))[:, None]
    ours, theirs = backtest_pacing(slots, min_activity=0), backtest_pacing(other, min_activity=0)
    compared = 0
    for agent in sorted(set(ours.agents)):
        if not other[int(agent.split()[1]) - 1, cut].sum() > 0:
            continue
        mine, yours = (
            [n for n, key in enumerate(zip(r.agents, r.days, strict=True)) if key == (agent, 10)]
            for r in (ours, theirs)
        )
        for rule in RULES:
            for a, b in zip(mine, yours, strict=True):
                assert ours.admitted[rule][a][:60] == pytest.approx(theirs.admitted[rule][b][:60], rel=1e-9)
                compared += 1
    assert compared > 30


def test_the_live_scheduler_does_the_same():
    """Work of the same days through a scheduler, asked once a slot: the same shares."""
    slots = np.round(m_large_slots()[[95]] * 100, 6)
    result = backtest_pacing(slots, min_activity=0)
    midnight = datetime(2026, 1, 5, tzinfo=UTC)
    clock = ManualClock(midnight)
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("team", 10**9)
    coordinator.register_agent("bot", "team", initial_budget=10**12)
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC", pacing="forecast")
    scored = dict(zip(result.days, range(len(result.days)), strict=True))
    checked = 0
    for day in range(slots.shape[1] // 144):
        demand = slots[0, day * 144 : (day + 1) * 144]
        budget = Decimal(str(round(0.7 * demand.sum(), 9))) if day in scored else Decimal(10**9)
        whole_day = {"budget": budget, "start_time": time(0), "end_time": time(23, 59)}
        scheduler.add_time_profile("team", {"day": whole_day})
        scheduler.apply_current_profile("team")
        for slot, wanted in enumerate(demand):
            share = scheduler.throttle("team")
            if day in scored:
                expected = result.admitted["forecast"][scored[day]][slot]
                left = float(coordinator.get_pool_budget("team"))
                assert min(share, left / wanted if wanted else 1) == pytest.approx(expected, abs=1e-4)
                checked += 1
            paid = Decimal(str(round(share * wanted, 9)))
            coordinator.try_debit("bot", min(paid, coordinator.get_pool_budget("team")))
            # What is turned away is told in one piece; a share of nothing admits none of it.
            scheduler._plans["team"].live.turn_away(wanted - float(paid))
            clock.advance(600)
        scheduler.throttle("team")  # looks at the last slot
    assert checked == 7 * 144


def test_plain_values_and_pictures(on_m_large, tmp_path):
    plain = json.loads(json.dumps(on_m_large.to_dict()))
    assert plain["kind"] == "pacing" and [row["rule"] for row in plain["rows"]] == list(RULES)
    assert plain["verdict"] == on_m_large.verdict
    assert on_m_large.verdict.startswith(
        "best here: even; ours (forecast) leaves 2% more utility unreached; that may be chance"
    )
    paths = on_m_large.plot(tmp_path)
    assert [path.name for path in paths] == ["pacing-rules.png", "pacing-day.png"]
    assert all(path.stat().st_size > 10_000 for path in paths)


def test_pictures_show_the_figures(on_m_large):
    from safeguards.backtest._pacing_plots import plot_day, plot_rules

    axes = plot_rules(on_m_large).axes[0]
    by_gid = {line.get_gid(): line for line in axes.lines}
    for rule in RULES:
        drawn = by_gid[f"utility-{rule}"].get_ydata()
        assert drawn.mean() == pytest.approx(on_m_large.row(rule).utility_share)
    axes = plot_day(on_m_large, 3).axes[0]
    [line] = [line for line in axes.lines if line.get_gid() == "admitted-forecast"]
    assert line.get_ydata()[:-1] == pytest.approx(on_m_large.demand[3] * on_m_large.admitted["forecast"][3])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"budget_share": 0}, "budget_share must be above 0 and at most 1, not 0"),
        ({"budget_share": math.nan}, "budget_share"),
        ({"budget_share": 1.5}, "budget_share"),
        ({"slots_per_day": 0}, "slots_per_day must be 24 or a multiple of it, not 0"),
        ({"slots_per_day": 25}, "slots_per_day must be 24 or a multiple of it, not 25"),
        ({"warm_up_days": 0}, "warm_up_days must be from 1 to 3, not 0"),
        ({"warm_up_days": 4}, "warm_up_days must be from 1 to 3, not 4"),
        ({"min_activity": 2}, "min_activity must be from 0 to 1"),
        (
            {"min_activity": 1},
            "min_activity is 1: before and after hour 48 no agent is so active; the most active",
        ),
        ({"slots_per_day": 72}, "demand must last two days at least, not 96 slots of 72 a day"),
    ],
)
def test_arguments_that_make_no_sense(arguments, why):
    with pytest.raises(ConfigurationError, match=why):
        backtest_pacing(Demand(("a",), np.ones((1, 96))), **arguments)


def test_demand_that_all_but_ends():
    with pytest.raises(ConfigurationError, match="from day 2 on is next to nothing"):
        backtest_pacing(Demand(("a",), [[1e15] * 48 + [1e-3] * 48]))


@pytest.mark.parametrize("demand", [np.ones(300), -np.ones((2, 300)), np.full((2, 300), math.nan)])
def test_demand_that_is_none(demand):
    with pytest.raises(ConfigurationError, match="demand must be"):
        backtest_pacing(demand)


def test_there_is_no_such_rule(on_m_large):
    with pytest.raises(
        ConfigurationError, match="a policy is one of none, static, even, forecast, not 'odd'"
    ):
        on_m_large.row("odd")

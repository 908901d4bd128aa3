"""The pool sizer, live: the step rule to the letter, periods, forecasts, objections, mistakes."""

import logging
import math
import random
import threading
from datetime import timedelta
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeguards import (
    AlertSeverity,
    BudgetCoordinator,
    ConfigurationError,
    InvalidAmountError,
    ManualClock,
    UnknownPoolError,
)
from safeguards.core.dynamic_budget import AdaptivePoolSizer
from safeguards.core.dynamic_budget._pool_demand import DemandTracker

HOUR = 3600
DAY = 24 * HOUR


@pytest.fixture
def coordinator(clock):
    coordinator = BudgetCoordinator(clock=clock)
    yield coordinator
    coordinator.verify()


def pool_of(coordinator, budget, *, name="pool", agents=3, **options):
    pool = coordinator.create_budget_pool(name, budget, **options)
    for number in range(agents):
        coordinator.register_agent(f"{pool}-{number}", pool, initial_budget=10**12)
    return pool


def sizer_of(coordinator, pool, *, interval=HOUR, smallest=0, largest=None, **options):
    sizer = AdaptivePoolSizer(coordinator, interval, smallest, largest)
    sizer.configure_pool(pool, **options)
    return sizer


def spend(coordinator, pool, amount):
    """What one agent wants, as far as it is there."""
    amount = min(Decimal(amount), coordinator.get_pool_budget(pool))
    if amount > 0:
        coordinator.debit(f"{pool}-0", amount)


# The guide's rule.


@pytest.mark.parametrize(
    ("spent", "size"), [(0, 900), (699, 900), (700, 1000), ("700.000000001", 1200), (1000, 1200)]
)
def test_the_step_rule_to_the_letter(coordinator, spent, size):
    pool = pool_of(coordinator, 1000)
    sizer = sizer_of(coordinator, pool)
    spend(coordinator, pool, spent)
    decisions = sizer.run_once()
    assert coordinator.get_pool_metrics(pool).period_granted == size
    assert coordinator.get_pool_budget(pool) == size - Decimal(spent)
    assert [(d.old, d.new, d.status) for d in decisions] == (
        [] if size == 1000 else [(1000, size, "applied")]
    )


def test_what_is_reserved_is_used(coordinator):
    pool = pool_of(coordinator, 1000)
    sizer = sizer_of(coordinator, pool)
    coordinator.debit(f"{pool}-0", 300)
    with coordinator.reserve(f"{pool}-1", 401):
        [decision] = sizer.run_once()
    assert decision.new == 1200
    assert decision.reason == "70% of 1000 is used, above the target of 70%: step rule, +20%"


def test_rates_and_target_of_ones_own(coordinator):
    pool = pool_of(coordinator, 1000)
    sizer = sizer_of(coordinator, pool, utilization_target=0.5, growth_rate=0.37, shrink_rate=0.03)
    assert [d.new for d in sizer.evaluate()] == [970]
    spend(coordinator, pool, 501)
    assert [d.new for d in sizer.run_once()] == [1370]


def test_a_shrinking_pool_takes_back_what_is_left_and_no_more(coordinator):
    pool = pool_of(coordinator, 1000)
    sizer = sizer_of(coordinator, pool, utilization_target=1, shrink_rate=0.5)
    spend(coordinator, pool, 900)
    sizer.run_once()
    assert coordinator.get_pool_budget(pool) == 0
    assert coordinator.get_pool_metrics(pool).period_granted == 900


def test_the_bounds_hold(coordinator):
    pool = pool_of(coordinator, 1000)
    sizer = sizer_of(coordinator, pool, smallest="950.5", largest=1100)
    assert [d.new for d in sizer.evaluate()] == [Decimal("950.5")]
    spend(coordinator, pool, 800)
    [decision] = sizer.run_once()
    assert decision.new == 1100
    assert decision.reason.endswith("step rule, +20%, at most 1100")


def test_few_agents_are_no_reason(coordinator):
    pool = pool_of(coordinator, 1000, agents=2)
    sizer = sizer_of(coordinator, pool)
    assert sizer.run_once() == []
    below = coordinator.create_budget_pool("below", 10, parent_id=pool)
    coordinator.register_agent("joined", below)
    assert [d.new for d in sizer.run_once()] == [900], "agents of the pools below count"
    coordinator.unregister_agent("joined")
    assert sizer.run_once() == []


RULES = st.fixed_dictionaries(
    {"utilization_target": st.floats(0.01, 1), "growth_rate": st.floats(0, 1), "shrink_rate": st.floats(0, 1)}
)
BOUNDS = st.tuples(st.decimals(0, 2000, places=3), st.decimals(2000, 100000, places=3))


@settings(max_examples=60, deadline=None)
@given(st.decimals("0.01", "1000000", places=9), st.floats(0, 1), RULES, BOUNDS)
def test_the_step_rule_against_a_naive_model(budget, used, rule, bounds):
    coordinator = BudgetCoordinator(clock=ManualClock())
    pool = pool_of(coordinator, budget)
    sizer = sizer_of(coordinator, pool, smallest=bounds[0], largest=bounds[1], **rule)
    spend(coordinator, pool, (budget * Decimal(used)).quantize(Decimal("1e-9")))
    metrics = coordinator.get_pool_metrics(pool)
    sizer.run_once()
    off = metrics.utilization - rule["utilization_target"]
    factor = 1 + rule["growth_rate"] if off > 0 else 1 - rule["shrink_rate"] if off < 0 else 1
    wanted = min(max(float(budget) * factor, float(bounds[0])), float(bounds[1]))
    size = coordinator.get_pool_metrics(pool).period_granted
    assert math.isclose(float(size), max(wanted, float(metrics.spent)), rel_tol=1e-8, abs_tol=1e-8)
    coordinator.verify()


# Periods.


@pytest.mark.parametrize("offset", [0, 20 * 60])
def test_a_period_is_judged_when_it_is_over(coordinator, clock, offset):
    """Also if the run comes right when the next one begins, of which nothing is used yet."""
    pool = pool_of(coordinator, 100, budget_period="hourly", timezone="UTC")
    clock.advance(offset)
    sizer = sizer_of(coordinator, pool, policy="step")
    sizer.start()
    sizes = []
    for _ in range(6):
        spend(coordinator, pool, 80)
        clock.advance(HOUR)
        sizes.append(coordinator.get_pool_metrics(pool).period_granted)
    if offset == 0:
        assert sizes == [
            120,
            108,
            Decimal("129.6"),
            Decimal("116.64"),
            Decimal("104.976"),
            Decimal("125.9712"),
        ]
    assert sizes[0] == 120
    assert sizer.history[0].reason.startswith("80% of 100 is used")


def test_a_change_goes_to_later_periods_as_well(coordinator, clock):
    pool = pool_of(coordinator, 100, budget_period="daily", timezone="UTC")
    sizer = sizer_of(coordinator, pool)
    spend(coordinator, pool, 90)
    sizer.run_once()
    assert coordinator.get_pool_budget(pool) == 30
    clock.advance(DAY)
    assert coordinator.get_pool_budget(pool) == 120


def test_a_top_up_by_hand_is_not_made_permanent(coordinator, clock):
    pool = pool_of(coordinator, 100, budget_period="daily", timezone="UTC")
    sizer = sizer_of(coordinator, pool)
    coordinator.adjust_pool_budget(pool, 400)
    spend(coordinator, pool, 450)
    assert [d.new for d in sizer.run_once()] == [600]
    clock.advance(DAY)
    assert coordinator.get_pool_budget(pool) == 200


def test_several_short_periods_are_judged_together(coordinator, clock):
    pool = pool_of(coordinator, 100, budget_period=timedelta(minutes=15), timezone="UTC")
    sizer = sizer_of(coordinator, pool, policy="step")
    sizer.start()
    for amount in (100, 50, 50, 50):
        spend(coordinator, pool, amount)
        clock.advance(15 * 60)
    assert sizer.history[0].inputs["utilization"] == 0.625
    assert coordinator.get_pool_budget(pool) == 90


# Forecasts.


def office_hours(hour):
    return 100 if 8 <= hour % 24 < 20 else 10


def run_hours(coordinator, clock, pool, hours, demand=office_hours):
    """What is granted and wanted, hour by hour."""
    granted = []
    for hour in hours:
        granted.append(float(coordinator.get_pool_budget(pool)))
        spend(coordinator, pool, demand(hour))
        clock.advance(HOUR)
    return np.array(granted), np.array([float(demand(hour)) for hour in hours])


def test_a_forecast_gives_before_it_is_needed(coordinator, clock):
    pool = pool_of(coordinator, 150, budget_period="hourly", timezone="UTC")
    with sizer_of(coordinator, pool, policy="predictive"):
        run_hours(coordinator, clock, pool, range(10 * 24))
        granted, demand = run_hours(coordinator, clock, pool, range(24))
    assert (granted >= demand).all(), granted
    assert granted[8] > 120, "the office opens, and the last hour had 10"
    assert demand.sum() / granted.sum() > 0.55


def test_a_pool_without_a_period_has_what_the_next_hour_needs(coordinator, clock):
    pool = pool_of(coordinator, 150)
    with sizer_of(coordinator, pool, policy="predictive") as sizer:
        run_hours(coordinator, clock, pool, range(10 * 24))
        granted, demand = run_hours(coordinator, clock, pool, range(24))
    assert (granted >= demand).all(), granted
    assert granted.max() < 200, "and no more than that"
    assert sizer.history[-1].reason.endswith("will be needed in the next hour (at 70% use)")


def test_a_daily_pool_is_sized_by_days_and_raised_within_them(coordinator, clock):
    pool = pool_of(coordinator, 2000, budget_period="daily", timezone="UTC")
    with sizer_of(coordinator, pool, policy="predictive") as sizer:
        run_hours(coordinator, clock, pool, range(10 * 24))
        assert float(coordinator.get_pool_budget(pool)) == pytest.approx(1320 / 0.7, rel=0.01)
        for hour in range(24):
            spend(coordinator, pool, 300)
            clock.advance(HOUR if hour < 23 else HOUR - 1)
        raised = [d for d in sizer.history if d.inputs["later_periods"] is False]
        assert raised
        assert all(d.new > d.old for d in raised)
        assert coordinator.get_pool_metrics(pool).spent > 13_200 + 0.9 * 7200, (
            "a raise comes before it is dry"
        )
        clock.advance(1)
    assert coordinator.get_pool_budget(pool) < 12_000


def test_an_exhaustion_rate_is_kept(coordinator, clock):
    draws = random.Random(1)
    wanted = [draws.lognormvariate(3, 0.6) for _ in range(24 * 60)]
    pool = pool_of(coordinator, 50, budget_period="hourly", timezone="UTC")
    with sizer_of(coordinator, pool, policy="predictive", exhaustion_rate=0.1):
        granted, demand = run_hours(
            coordinator, clock, pool, range(len(wanted)), lambda hour: Decimal(repr(round(wanted[hour], 6)))
        )
    assert (demand > granted)[240:].mean() == pytest.approx(0.1, abs=0.02)


def test_growth_and_shrink_bind_a_forecast_if_they_are_set(coordinator, clock):
    pool = pool_of(coordinator, 150, budget_period="hourly", timezone="UTC")
    with sizer_of(coordinator, pool, policy="predictive", growth_rate=0.2, shrink_rate=0.1):
        granted, _ = run_hours(coordinator, clock, pool, range(5 * 24))
    changes = granted[1:] / granted[:-1]
    assert changes.max() == pytest.approx(1.2)
    assert changes.min() == pytest.approx(0.9)


def test_an_empty_pool_does_not_stop_the_forecasts_of_others(coordinator, clock):
    pool = pool_of(coordinator, 100)
    sizer = sizer_of(coordinator, pool, policy="predictive", growth_rate=0.2)
    for _ in range(3):
        spend(coordinator, pool, 5)
        clock.advance(HOUR)
        sizer.run_once()
    coordinator.update_pool_budget(pool, 0)
    clock.advance(HOUR)
    assert sizer.run_once() == []  # a fifth more than nothing is nothing
    alerts = coordinator.notification_manager.get_alerts(AlertSeverity.ERROR)
    assert "AdaptivePoolSizer failed" not in [alert.title for alert in alerts]


def test_auto_takes_the_forecast_where_it_would_have_been_better(coordinator, clock):
    pool = pool_of(coordinator, 150, budget_period="hourly", timezone="UTC")
    with sizer_of(coordinator, pool) as sizer:
        run_hours(coordinator, clock, pool, range(60))
        assert sizer.policy_in_force(pool) == "step"
        assert {d.inputs["policy"] for d in sizer.history} == {"step"}
        run_hours(coordinator, clock, pool, range(60, 168))
        assert sizer.policy_in_force(pool) == "predictive"
        assert sizer.history[-1].inputs["policy"] == "predictive"


def test_auto_stays_with_the_step_rule_where_nothing_can_be_forecast(coordinator, clock):
    pool = pool_of(coordinator, 100, budget_period="hourly", timezone="UTC")
    with sizer_of(coordinator, pool) as sizer:
        run_hours(coordinator, clock, pool, range(240), lambda _: 70)
        assert sizer.policy_in_force(pool) == "step", "both leave nothing unmet"


def test_a_pool_that_was_silent_comes_back(coordinator, clock):
    pool = pool_of(coordinator, 100, budget_period="hourly", timezone="UTC")
    with sizer_of(coordinator, pool, policy="predictive"):
        run_hours(coordinator, clock, pool, range(48), lambda _: 70)
        run_hours(coordinator, clock, pool, range(600), lambda _: 0)
        granted, _ = run_hours(coordinator, clock, pool, range(24), lambda _: 70)
    assert granted[0] == pytest.approx(2, rel=0.01), "a share of its first size is kept"
    assert granted[12:].min() > 70


def test_demand_that_was_cut_off_is_not_taken_for_all_there_was(coordinator, clock):
    pool = pool_of(coordinator, 20, budget_period="hourly", timezone="UTC")
    with sizer_of(coordinator, pool, policy="predictive"):
        granted, _ = run_hours(coordinator, clock, pool, range(24), lambda _: 200)
    assert granted[-1] >= 200
    assert granted.max() < 1000, "a guess that is repeated does not run away"


def test_requests_that_do_not_fit_are_demand_although_something_is_left(coordinator, clock):
    pool = pool_of(coordinator, 100, budget_period="hourly", timezone="UTC")
    with sizer_of(coordinator, pool, policy="predictive"):
        for _ in range(48):
            admitted = sum(coordinator.try_debit(f"{pool}-0", 30) for _ in range(10))
            clock.advance(HOUR)
    assert coordinator._pool_refusals(pool) > 0
    assert admitted == 10
    assert 300 <= coordinator.get_pool_budget(pool) < 600


def test_hours_that_were_missed_are_unknown_and_a_late_run_counts_by_its_time(coordinator, clock):
    pool = pool_of(coordinator, 10_000)
    sizer = sizer_of(coordinator, pool, policy="predictive")
    for _ in range(5):
        spend(coordinator, pool, 10)
        clock.advance(HOUR)
        sizer.run_once()
    assert sizer.get_forecast(pool) == pytest.approx(10)
    spend(coordinator, pool, 40)
    clock.advance(4 * HOUR)
    sizer.run_once()
    assert sizer.get_forecast(pool) == pytest.approx(10)
    spend(coordinator, pool, 5)
    clock.advance(60)
    sizer.run_once()
    assert sizer.get_forecast(pool) == pytest.approx(10), "a minute is no step"


def test_a_dry_run_says_what_the_run_does_and_leaves_no_trace(coordinator, clock):
    pool = pool_of(coordinator, 150, budget_period="hourly", timezone="UTC")
    sizer = sizer_of(coordinator, pool, policy="predictive")
    draws = random.Random(3)
    for _ in range(100):
        spend(coordinator, pool, draws.randint(0, 200))
        clock.advance(HOUR)
        dry, again = sizer.evaluate(), sizer.evaluate()
        done = sizer.run_once()
        assert dry == again
        assert [(d.old, d.new, d.reason) for d in dry] == [(d.old, d.new, d.reason) for d in done]


def test_two_pools_do_not_mix(clock):
    def alone(names):
        coordinator, sizes = BudgetCoordinator(clock=ManualClock()), {}
        sizer = AdaptivePoolSizer(coordinator)
        for name in names:
            coordinator.create_budget_pool(name, 150, budget_period="hourly", timezone="UTC")
            coordinator.register_agent(f"{name}-0", name, initial_budget=10**9)
            sizer.configure_pool(name, min_agents_for_adjustment=1, policy="step")
        sizer.start()
        for hour in range(50):
            for name in names:
                spend(coordinator, name, office_hours(hour + len(name)))
            coordinator.clock.advance(HOUR)
            if hour == 20 and "other" in names:
                sizer.remove_pool("other")
        for name in names:
            sizes[name] = coordinator.get_pool_budget(name)
        return sizes

    assert alone(["one", "other"])["one"] == alone(["one"])["one"]


# Others have a say.


def test_many_pools_are_forecast_at_once(coordinator, monkeypatch):
    sizer = AdaptivePoolSizer(coordinator)
    for number in range(20):
        pool = coordinator.create_budget_pool(f"pool {number}", 100)
        sizer.configure_pool(pool, exhaustion_rate=None if number % 2 else 0.1)
    asked = []
    expect = DemandTracker.expect
    monkeypatch.setattr(DemandTracker, "expect", lambda self, p: asked.append(p) or expect(self, p))
    sizer.run_once()
    assert sorted(asked, key=str) == [0.9, None]


def test_pins_vetoes_and_max_change(coordinator):
    pool = pool_of(coordinator, 1000)
    sizer = AdaptivePoolSizer(coordinator, max_change=0.05)
    sizer.configure_pool(pool)
    [decision] = sizer.evaluate()
    assert (decision.new, decision.inputs["wanted"]) == (950, 900)
    coordinator.pin(pool)
    assert [d.status for d in sizer.run_once()] == ["pinned"]
    coordinator.unpin(pool)
    sizer.on_decision(lambda _: False)
    assert [d.status for d in sizer.run_once()] == ["vetoed"]
    assert coordinator.get_pool_budget(pool) == 1000


def test_a_forecast_that_was_vetoed_is_made_again(coordinator, clock):
    pool = pool_of(coordinator, 150, budget_period="hourly", timezone="UTC")
    sizer = sizer_of(coordinator, pool, policy="predictive")
    allowed = []
    sizer.on_decision(lambda _: bool(allowed))
    sizer.start()
    run_hours(coordinator, clock, pool, range(10), lambda _: 30)
    assert coordinator.get_pool_budget(pool) == 150
    allowed.append(True)
    run_hours(coordinator, clock, pool, range(1), lambda _: 30)
    assert coordinator.get_pool_budget(pool) == pytest.approx(
        Decimal(30) / Decimal("0.7"), rel=Decimal("1e-6")
    )


def test_a_pool_that_vanishes_is_forgotten_and_the_others_go_on(coordinator, monkeypatch):
    """Pools may go in a later version."""
    look = BudgetCoordinator.get_pool_metrics

    def look_unless_gone(self, pool_id):
        if pool_id in gone:
            raise UnknownPoolError("gone", account=pool_id)
        return look(self, pool_id)

    gone = set()
    monkeypatch.setattr(BudgetCoordinator, "get_pool_metrics", look_unless_gone)
    pools = [pool_of(coordinator, 1000, name="gone"), pool_of(coordinator, 2000, name="there")]
    sizer = AdaptivePoolSizer(coordinator)
    for pool in pools:
        sizer.configure_pool(pool)
    gone.add(pools[0])
    assert [(d.subject, d.new) for d in sizer.run_once()] == [(pools[1], 1800)]
    assert sizer.pool_ids == [pools[1]]
    assert coordinator.notification_manager.get_alerts()[-1].severity is AlertSeverity.INFO


def test_if_forecasts_fail_the_step_rule_is_in_force(coordinator, clock, monkeypatch, caplog):
    pool = pool_of(coordinator, 1000)
    sizer = sizer_of(coordinator, pool, policy="predictive")
    monkeypatch.setattr(DemandTracker, "after", lambda *_: 1 / 0)
    with caplog.at_level(logging.CRITICAL):
        [decision] = sizer.run_once()
    assert (decision.new, decision.inputs["policy"]) == (900, "step")
    alerts = coordinator.notification_manager.get_alerts()
    assert any("the step rule" in alert.message for alert in alerts)


def test_a_callers_decimal_context_does_not_matter(coordinator, clock):
    pool = pool_of(coordinator, "1000.123456789", budget_period="hourly", timezone="UTC")
    sizer = sizer_of(coordinator, pool)
    with localcontext() as context:
        context.prec = 3
        spend(coordinator, pool, 10)
        [decision] = sizer.run_once()
    assert decision.new == Decimal("900.111111110")


def test_configuring_while_it_runs(coordinator):
    pools = [pool_of(coordinator, 1000, name=f"pool {n}") for n in range(8)]
    sizer = AdaptivePoolSizer(coordinator)
    errors = []

    def work(mine):
        try:
            for pool in mine * 10:
                sizer.configure_pool(pool)
                sizer.run_once()
                sizer.remove_pool(pool)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(pools[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sizer.pool_ids == []


# Mistakes.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"utilization_target": 0}, "utilization_target must be above 0 and at most 1, not 0"),
        ({"utilization_target": 70}, "utilization_target must be above 0 and at most 1, not 70"),
        ({"utilization_target": math.nan}, "utilization_target must be"),
        ({"growth_rate": -0.1}, "growth_rate must be from 0 to 1, not -0.1"),
        ({"shrink_rate": 1.1}, "shrink_rate must be from 0 to 1, not 1.1"),
        ({"exhaustion_rate": 0}, "exhaustion_rate must be above 0 and at most 1, not 0"),
        ({"min_agents_for_adjustment": -1}, "min_agents_for_adjustment must be from 0 on, not -1"),
        ({"min_agents_for_adjustment": 1.5}, "min_agents_for_adjustment must be a whole number, not 1.5"),
        ({"policy": "magic"}, "policy must be 'step', 'predictive' or 'auto', not 'magic'"),
    ],
)
def test_bad_rules_are_refused_when_they_are_set(coordinator, options, message):
    pool = pool_of(coordinator, 1000)
    sizer = AdaptivePoolSizer(coordinator)
    with pytest.raises(ConfigurationError, match=message):
        sizer.configure_pool(pool, **options)
    assert sizer.pool_ids == []


def test_bad_sizers_are_refused(coordinator):
    with pytest.raises(ConfigurationError, match=r"max_pool_budget \(5\) is below min_pool_budget \(10\)"):
        AdaptivePoolSizer(coordinator, min_pool_budget=10, max_pool_budget=5)
    with pytest.raises(InvalidAmountError, match="min_pool_budget must not be negative"):
        AdaptivePoolSizer(coordinator, min_pool_budget=-1)
    with pytest.raises(TypeError, match="max_pool_budget must be a Decimal"):
        AdaptivePoolSizer(coordinator, max_pool_budget=1.5)
    with pytest.raises(ConfigurationError, match="interval"):
        AdaptivePoolSizer(coordinator, adjustment_interval_seconds=0)


def test_unknown_pools_are_named(coordinator):
    sizer = AdaptivePoolSizer(coordinator)
    with pytest.raises(UnknownPoolError, match="nowhere"):
        sizer.configure_pool("nowhere")
    for call in (sizer.remove_pool, sizer.policy_in_force, sizer.get_forecast):
        with pytest.raises(UnknownPoolError, match="'nowhere' is not sized: call configure_pool first"):
            call("nowhere")

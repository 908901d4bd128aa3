"""Figures over recorded outcomes are what they should be, and so are their intervals."""

import math
import tracemalloc
from datetime import timedelta

import numpy as np
import pytest

from safeguards import ConfigurationError, Effectiveness
from yardsticks.instances import allocator_for


def recorded(outcomes, n_agents=2, volumes=(None, None), **options):
    """An allocator that knows outcomes (agent, cost, benefit), all of now."""
    allocator = allocator_for(n_agents, **options)
    for number in range(n_agents):
        allocator.register_operation(f"agent_{number}", "work", 5, 10, 0.2, max_volume=volumes[number])
    for agent, cost, benefit in outcomes:
        allocator.record_outcome(f"agent_{agent}", "work", cost, benefit)
    return allocator


def test_without_outcomes_it_says_so():
    nothing = recorded([]).evaluate_effectiveness()
    assert str(nothing) == "no outcomes recorded in the last 7 days: record them with record_outcome"
    assert (nothing.value, nothing.lower, nothing.upper, nothing.outcomes) == (None, None, None, 0)
    assert math.isnan(float(nothing))
    assert "in the last 1 day:" in str(recorded([]).evaluate_effectiveness(1, "regret"))


def test_memory_is_bounded_however_many_operations_there_are():
    n = 3_000
    allocator = recorded([(agent, 1, 1 + agent % 3) for agent in range(n)], n, [None] * n)
    tracemalloc.start()
    try:
        assert allocator.evaluate_effectiveness(7, "regret").lower is not None
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


def test_roi_benefit_and_cost_are_exact_sums():
    allocator = recorded([(0, "0.1", "0.3")] * 10 + [(1, 4, 2)] * 5)
    values = {m: allocator.evaluate_effectiveness(7, m).value for m in ("roi", "benefit", "cost")}
    assert values == pytest.approx({"roi": 13 / 21, "benefit": 13, "cost": 21}, rel=1e-12)


def test_a_figure_reads_like_a_sentence():
    allocator = recorded([(0, 5, benefit) for benefit in range(10, 20)])
    text = str(allocator.evaluate_effectiveness(lookback_days=7, metric="roi"))
    assert text == "roi 2.90 (95 %: 2.46 to 3.30, 10 outcomes in 7 days)"
    assert str(recorded([(0, 1, 1000)]).evaluate_effectiveness(1, "benefit")) == (
        "benefit 1,000.00 (no interval: 1 outcome in 1 day)"
    )
    assert str(recorded([(0, 0, 1)] * 2).evaluate_effectiveness()) == (
        "roi has no value: what was recorded cost nothing (2 outcomes in 7 days)"
    )


def test_only_the_last_days_count():
    allocator = recorded([])
    clock = allocator._coordinator.clock
    for day in range(10):
        allocator.record_outcome("agent_0", "work", 1, day)
        clock.advance(timedelta(days=1))
    for days, expected in ((1, 9), (3, 7 + 8 + 9), (0.5, None), (100, 45)):
        assert allocator.evaluate_effectiveness(days, "benefit").value == expected


def test_what_had_to_make_room_is_told():
    allocator = recorded([], history_outcomes=3)
    clock = allocator._coordinator.clock
    for _ in range(5):
        allocator.record_outcome("agent_0", "work", 1, 2)
        clock.advance(timedelta(days=1))
    told = allocator.evaluate_effectiveness(7, "cost")
    assert (told.value, told.outcomes, told.covered_days) == (3, 3, 4)
    assert str(told) == "cost 3.00 (no interval: 3 outcomes in 7 days, of which only the last 4 are kept)"
    assert allocator.evaluate_effectiveness(2, "cost").covered_days == 2
    assert allocator.get_operations()[0].outcomes == 5


def test_regret_is_what_the_best_operations_would_have_brought_more():
    # 20 spent at 1 and 10 at 3: all 30 at 3 would have brought 90 instead of 50.
    outcomes = [(0, 2, 2)] * 10 + [(1, 1, 3)] * 10
    assert recorded(outcomes).evaluate_effectiveness(7, "regret").value == pytest.approx(40)
    # With a volume of 15 the better one takes 15; the other 15 stay at 1.
    capped = recorded(outcomes, volumes=(None, 15))
    assert capped.evaluate_effectiveness(7, "regret").value == pytest.approx(45 + 15 - 50)
    # In three periods it takes three times as much.
    capped._coordinator.clock.advance(timedelta(days=2.5))
    assert capped.evaluate_effectiveness(7, "regret").value == pytest.approx(40)
    # What was really done beyond the volume was possible.
    assert recorded(outcomes, volumes=(None, 5)).evaluate_effectiveness(7, "regret").value == pytest.approx(0)
    # What was free stays, and takes no money.
    assert recorded([*outcomes, (0, 0, 7)]).evaluate_effectiveness(7, "regret").value == pytest.approx(33)


def test_an_operation_that_was_free_regrets_nothing():
    free = recorded([(0, 0, 7)] * 5 + [(1, 2, 4)] * 5)
    assert free.evaluate_effectiveness(7, "regret").value == 0
    assert free.evaluate_effectiveness(7, "roi").value == 55 / 10
    assert recorded([(0, 0, 7)] * 5).evaluate_effectiveness(7, "regret").value == 0


def test_regret_is_never_negative_but_its_interval_may_be():
    random = np.random.default_rng(1)
    for seed in range(20):
        outcomes = [(int(a), int(c), int(b)) for a, c, b in random.integers((0, 1, 0), (3, 9, 20), (30, 3))]
        allocator = recorded(outcomes, n_agents=3, volumes=(None, 20, 5), seed=seed)
        regret = allocator.evaluate_effectiveness(7, "regret")
        assert regret.value >= -1e-9
        assert regret.lower <= regret.value <= regret.upper


def test_the_same_seed_gives_the_same_interval():
    outcomes = [(0, 5, benefit) for benefit in range(50)]
    one, again, other = (recorded(outcomes, seed=s).evaluate_effectiveness() for s in (1, 1, 2))
    assert one == again
    assert one != other
    assert one.value == other.value


@pytest.mark.parametrize(("n", "least", "most"), [(10, 0.88, 0.99), (40, 0.9, 0.99)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(n, least, most):
    random, hits = np.random.default_rng(n), 0
    for _ in range(200):
        benefits = random.normal(10, 3, n).clip(0)
        found = recorded([(0, 5, f"{benefit:.6f}") for benefit in benefits]).evaluate_effectiveness()
        hits += found.lower <= 2 <= found.upper
    assert least <= hits / 200 <= most


def test_thousands_of_outcomes_in_groups_have_the_interval_of_the_normal():
    random = np.random.default_rng(3)
    benefits = random.normal(10, 3, 5000).clip(0)
    found = recorded([(0, 5, f"{b:.6f}") for b in benefits]).evaluate_effectiveness(7, "benefit")
    half = 1.96 * benefits.std() * math.sqrt(len(benefits))
    assert found.value == pytest.approx(benefits.sum())
    assert found.upper - found.lower == pytest.approx(2 * half, rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"metric": "profit"},
            ConfigurationError,
            "metric must be 'roi', 'benefit', 'cost' or 'regret', not 'profit'",
        ),
        ({"lookback_days": 0}, ConfigurationError, "lookback_days must be from"),
        ({"lookback_days": "7"}, TypeError, "lookback_days must be a number, not '7'"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message):
        recorded([]).evaluate_effectiveness(**arguments)


def test_it_is_a_frozen_value():
    with pytest.raises(AttributeError):
        recorded([]).evaluate_effectiveness().value = 3
    assert Effectiveness.__dataclass_params__.frozen

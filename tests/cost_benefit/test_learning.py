"""Registered figures give way to real ones, as fast as they should, and nothing is lost on the way."""

import threading
from decimal import Decimal
from fractions import Fraction
from statistics import fmean, pvariance

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeguards import (
    BudgetCoordinator,
    ConfigurationError,
    CostBenefitAllocator,
    InvalidAmountError,
    UnknownAgentError,
)
from yardsticks.instances import allocator_for

amounts = st.decimals(0, 1000, places=2)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(amounts, amounts), max_size=30), st.integers(1, 20), st.floats(0, 2))
def test_what_was_registered_counts_as_so_many_outcomes(outcomes, weight, variability):
    allocator = allocator_for(1, prior_outcomes=weight)
    allocator.register_operation("agent_0", "work", 4, 10, variability, max_volume=7)
    for cost, benefit in outcomes:
        allocator.record_outcome("agent_0", "work", cost, benefit)
    [known] = allocator.get_operations()
    costs = [Fraction(4)] * weight + [Fraction(cost) for cost, _ in outcomes]
    # A registered variability is that of outcomes half of which lie so much above the average, half below.
    spread = 10 * variability
    benefits = [10 - spread, 10 + spread] * weight + [float(b) for _, b in outcomes for _ in range(2)]
    assert known.outcomes == len(outcomes)
    assert abs(Fraction(known.average_cost) - sum(costs) / len(costs)) <= Fraction(1, 10**9)
    assert float(known.average_benefit) == pytest.approx(fmean(benefits), abs=1e-9)
    assert known.deviation * float(known.average_cost) == pytest.approx(pvariance(benefits) ** 0.5, abs=1e-6)
    [share] = allocator.optimize_allocation(10**6).operations
    assert share.cap == share.amount
    assert abs(Fraction(share.cap) - 7 * sum(costs) / len(costs)) <= Fraction(1, 10**9)


def test_with_many_outcomes_the_real_averages_prevail():
    allocator = allocator_for(1)
    allocator.register_operation("agent_0", "work", 5, 15, 0.2)
    for number in range(10_000):
        allocator.record_outcome("agent_0", "work", 8, 2 + 8 * (number % 2))
    [known] = allocator.get_operations()
    assert float(known.average_cost) == pytest.approx(8, rel=1e-3)
    assert known.roi == pytest.approx(6 / 8, rel=2e-3)
    assert known.benefit_variability == pytest.approx(4 / 6, rel=2e-3)


def test_money_follows_what_was_learnt():
    allocator = allocator_for(2)
    allocator.register_operation("agent_0", "work", 5, 15)
    allocator.register_operation("agent_1", "work", 5, 14)
    assert allocator.optimize_allocation(100, 0.1, 1) == {"agent_0": 90, "agent_1": 10}
    for _ in range(3):
        allocator.record_outcome("agent_0", "work", 5, 0)
    assert allocator.optimize_allocation(100, 0.1, 1) == {"agent_0": 10, "agent_1": 90}


def test_sums_stay_exact_where_floats_would_not():
    allocator = allocator_for(1, prior_outcomes=1)
    allocator.register_operation("agent_0", "work", 10**14, 10**14, 0)
    for _ in range(999):
        allocator.record_outcome("agent_0", "work", Decimal(10**14), Decimal(10**14) + Decimal("0.000001"))
    [known] = allocator.get_operations()
    assert known.average_benefit == Decimal(10**14) + Decimal("0.000000999")
    assert known.deviation * float(known.average_cost) == pytest.approx(
        1e-6 * (0.999 * 0.001) ** 0.5, rel=1e-6
    )


def test_what_costs_or_brings_nothing():
    allocator = allocator_for(2)
    allocator.register_operation("agent_0", "work", 5, 0, 3)
    for agent in ("agent_0", "agent_1"):
        with pytest.raises(ConfigurationError, match="average_cost of 'free' must be above 0"):
            allocator.register_operation(agent, "free", 0, 1)
    for _ in range(1000):
        allocator.record_outcome("agent_0", "work", 0, 0)
    [known] = allocator.get_operations()
    assert (known.roi, known.deviation, known.average_cost) == (0, 0, Decimal("0.049504950"))
    assert allocator.optimize_allocation(10) == {"agent_0": 10}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"agent_id": "nobody"}, UnknownAgentError, 'no agent "nobody" is registered'),
        ({"average_cost": -1}, InvalidAmountError, "average_cost must not be negative"),
        ({"average_cost": 0.5}, TypeError, "average_cost must be a Decimal"),
        ({"average_benefit": -3}, InvalidAmountError, "average_benefit must not be negative"),
        ({"benefit_variability": -0.1}, ConfigurationError, "benefit_variability must be from 0 to"),
        ({"benefit_variability": float("inf")}, ConfigurationError, "benefit_variability must be from 0 to"),
        ({"max_volume": -1}, ConfigurationError, "max_volume must be from 0 to"),
        ({"max_volume": 1.5}, TypeError, "max_volume must be a whole number, not 1.5"),
        ({"operation_type": None}, TypeError, "operation_type must be a str, not None"),
    ],
)
def test_a_refused_registration_names_its_argument_and_changes_nothing(arguments, error, message):
    allocator = allocator_for(1)
    good = {"agent_id": "agent_0", "operation_type": "work", "average_cost": 1, "average_benefit": 2}
    with pytest.raises(error, match=message):
        allocator.register_operation(**(good | arguments))
    assert allocator.get_operations() == []


def test_a_refused_outcome_changes_nothing():
    allocator = allocator_for(2)
    allocator.register_operation("agent_0", "work", 1, 2)
    before = allocator.get_operations()
    for agent, operation, cost, benefit, error in [
        ("agent_0", "other", 1, 1, ConfigurationError),
        ("agent_1", "work", 1, 1, ConfigurationError),
        ("nobody", "work", 1, 1, UnknownAgentError),
        ("agent_0", "work", -1, 1, InvalidAmountError),
        ("agent_0", "work", 1, -1, InvalidAmountError),
        ("agent_0", "work", 1, float("nan"), TypeError),
    ]:
        with pytest.raises(error):
            allocator.record_outcome(agent, operation, cost, benefit)
    assert allocator.get_operations() == before
    assert allocator.evaluate_effectiveness(7, "cost").outcomes == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior_outcomes": 0}, "prior_outcomes must be from 1"),
        ({"period_days": 0}, "period_days must be from"),
        ({"history_outcomes": 0}, "history_outcomes must be from 1"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        CostBenefitAllocator(BudgetCoordinator(), **options)
    with pytest.raises(TypeError, match="budget_coordinator must be a BudgetCoordinator"):
        CostBenefitAllocator(None)


def test_threads_record_and_optimize_at_once_and_lose_nothing():
    allocator = allocator_for(4)
    for number in range(4):
        allocator.register_operation(f"agent_{number}", "work", 5, 10 + number, 0.2)
    sums, start = [], threading.Barrier(5)

    def record(agent):
        start.wait()
        for _ in range(500):
            allocator.record_outcome(agent, "work", 5, 10)

    def optimize():
        start.wait()
        for _ in range(100):
            sums.append(sum(allocator.optimize_allocation(1000, 0.1, 0.5).values()))
            allocator.evaluate_effectiveness(1, "regret")

    threads = [threading.Thread(target=record, args=[f"agent_{number}"]) for number in range(4)]
    threads.append(threading.Thread(target=optimize))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert sums == [1000] * 100
    assert [known.outcomes for known in allocator.get_operations()] == [500] * 4
    assert allocator.evaluate_effectiveness(1, "cost").value == 4 * 500 * 5

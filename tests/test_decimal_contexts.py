"""Whoever computes with few digits, or traps what is inexact or a float, gets the same figures.

The controllers are tested alike in `tests/controllers/test_decimal_contexts.py`.
"""

import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from decimal import (
    ROUND_UP,
    Decimal,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Rounded,
    localcontext,
)
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from safeguards import (
    ArgumentTypeError,
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRateLimiter,
    BudgetTimeScheduler,
    ConfigurationError,
    CostBenefitAllocator,
    ManualClock,
    MultiResourceBudget,
    RateLimitExceededError,
    fair_shares,
)
from safeguards._values import decimals
from safeguards.testing import Limits, Price, Trace, replay

ROOT = Path(__file__).parents[1]
START = datetime(2026, 3, 2, tzinfo=UTC)


def few_digits(context):
    context.prec = 3


def traps(context):
    context.prec = 3
    context.rounding = ROUND_UP
    for signal in (Inexact, Rounded, FloatOperation):
        context.traps[signal] = True


def a_coordinator():
    coordinator = BudgetCoordinator(clock=ManualClock(START))
    coordinator.create_budget_pool("team", "1234.567890123")
    coordinator.register_agent("ann", "team", initial_budget="123.456789012")
    return coordinator


def books():
    coordinator = a_coordinator()
    coordinator.debit("ann", "45.678901234")
    with coordinator.reserve("ann", "1.000000007"):
        metrics = coordinator.get_agent_metrics("ann"), coordinator.get_pool_metrics("team")
    return metrics, [one.utilization for one in metrics], coordinator.get_agent_events("ann")


def rate_limits():
    coordinator = a_coordinator()
    limiter = BudgetRateLimiter(coordinator)
    limiter.set_rate_limit("ann", "12.345678901", timedelta(minutes=1))
    coordinator.debit("ann", "5.678901234")
    with pytest.raises(RateLimitExceededError) as refused:
        coordinator.debit("ann", "7.890123456")
    return limiter.get_rate_limits("ann"), refused.value.to_dict(), str(refused.value)


def cost_benefit():
    coordinator = a_coordinator()
    coordinator.register_agent("bob", "team")
    allocator = CostBenefitAllocator(coordinator)
    allocator.register_operation("ann", "write", "1.234567891", "3.456789123", 0.123)
    allocator.register_operation("bob", "test", Decimal("1.357913579"), 5, Decimal("0.234"), max_volume=1234)
    for benefit in ("9.876543219", "1.234567891"):
        allocator.record_outcome("ann", "write", "1.345678912", benefit)
    allocation = allocator.optimize_allocation("12345.678912345", Decimal("0.0123"), 0.456)
    found = allocator.evaluate_effectiveness()
    return dict(allocation), allocation.explain(), allocation.objective, allocation.operations, str(found)


def resources():
    budget = MultiResourceBudget(a_coordinator())
    budget.set_capacity("gpu", "123.456789012")
    budget.initialize_budgets("ann", {"gpu": "12.345678901", "calls": "1234.567890123"})
    budget.debit("ann", {"gpu": "1.234567891", "calls": "12.345678912"})
    metrics = [*budget.get_metrics("ann").values(), budget.get_capacity_metrics("gpu")]
    shares = fair_shares(
        {"a": {"gpu": "1.23456"}, "b": {"gpu": "4.56789"}}, {"gpu": "98.7654321"}, {"a": 2.5}
    )
    return metrics, [one.utilization for one in metrics], dict(shares), shares.allocated


def schedule():
    coordinator = a_coordinator()
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC", pacing="even")
    day = {"budget": "123.456789012", "start_time": time(6), "end_time": time(18)}
    scheduler.add_time_profile("team", {"day": day})
    coordinator.clock.advance(7 * 3600)
    decision = scheduler.apply_current_profile("team")
    coordinator.debit("ann", "99.999999999")
    told = scheduler.describe("team"), scheduler.throttle("team"), scheduler.get_time_profiles("team")
    return decision, told, [scheduler.admits("team", "1.234567891") for _ in range(9)], scheduler.state()


def predictions():
    learner = BudgetPatternLearner(a_coordinator(), timezone=UTC)
    hours = [START - timedelta(hours=n) for n in range(336, 0, -1)]
    learner.load_history("ann", hours, [Decimal(f"{1 + hour.hour}.123456789") for hour in hours])
    return learner.predict_budget_needs("ann", START, prediction_window_hours=24)


def replayed():
    report = replay(Trace.azure_conversations(price=Price(Decimal("2.512345678"), Decimal("10.987654321"))))
    plain = report.to_dict()
    del plain["seconds"], plain["decisions_per_second"]
    return report.is_exact, plain


def from_csv(folder):
    path = folder / "trace.csv"
    path.write_text(
        "t_s,agent,cost\n1234567.123456,a,0.123456789012\n1234568.765432,a,123456.789\n", encoding="utf-8"
    )
    trace = Trace.load(path)
    return list(trace), trace.cost, replay(trace, Limits(agent_budget=Decimal("200000.123"))).overspend


PUBLIC = [books, rate_limits, cost_benefit, resources, schedule, predictions, replayed]


def under(prepare, call, *arguments):
    with localcontext() as context:
        prepare(context)
        return call(*arguments)


@pytest.mark.parametrize("call", PUBLIC)
@pytest.mark.parametrize("prepare", [few_digits, traps])
def test_the_callers_context_changes_no_figure(call, prepare):
    assert under(prepare, call) == call()


@pytest.mark.parametrize("prepare", [few_digits, traps])
def test_the_callers_context_changes_no_trace(prepare, tmp_path):
    expected = [(0, "0.123456789012"), (1_641_976, "123456.789")]
    requests, cost, overspend = under(prepare, from_csv, tmp_path)
    assert [(one.micros, str(one.cost)) for one in requests] == expected
    assert (cost, overspend) == (Decimal("123456.912456789012"), 0)


@pytest.mark.parametrize("command", ["replay", "demo"])
def test_the_defaults_of_a_program_change_no_command(command):
    """Contexts of new threads are copies of `DefaultContext`, and so is all that a context leaves out."""
    code = (
        "import decimal, sys; context = decimal.DefaultContext\n"
        "context.prec, context.rounding = 3, 'ROUND_UP'\n"
        "context.traps[decimal.Inexact] = context.traps[decimal.FloatOperation] = True\n"
        "decimal.setcontext(context)\n"
        f"from safeguards.cli import main; sys.argv = ['safeguards', '{command}']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


AMOUNTS = st.decimals(min_value=-(10**15), max_value=10**15, places=9)


@given(AMOUNTS, AMOUNTS)
@example(Decimal("1e15"), Decimal("1e-9"))
def test_sums_and_products_are_those_of_fractions(one, other):
    a, b = Fraction(one), Fraction(other)
    with localcontext() as context:
        traps(context)
        assert Fraction(decimals.add(one, other)) == a + b
        assert Fraction(decimals.subtract(one, other)) == a - b
        assert Fraction(decimals.times(one, other)) == a * b
        assert Fraction(decimals.total([one, other, one])) == a + b + a
        assert Fraction(decimals.shifted(one, 6)) == a * 10**6
        assert Fraction(decimals.plain(one)) == a
        assert decimals.plain(one).as_tuple().exponent <= 0
        assert decimals.of_units(int(a * 10**9)) == one
        if other:
            assert decimals.ratio(one, other) == pytest.approx(float(a / b), rel=1e-15)


@given(st.decimals(min_value=-(10**15), max_value=10**15, places=15))
def test_rounding_is_to_nine_places_and_the_way_that_was_asked_for(number):
    exact, unit = Fraction(number), Fraction(1, 10**9)
    with localcontext() as context:
        traps(context)
        assert 0 <= exact - Fraction(decimals.rounded(number, decimals.ROUND_FLOOR)) < unit
        assert 0 <= Fraction(decimals.rounded(number, decimals.ROUND_CEILING)) - exact < unit
        assert Fraction(decimals.rounded(number)) == round(exact / unit) * unit


def test_what_is_no_amount_is_not_rounded():
    for number in ("Infinity", "1e60"):
        with pytest.raises(InvalidOperation):
            decimals.rounded(Decimal(number))


@pytest.mark.parametrize(
    ("price", "error", "text"),
    [
        (2.5, ArgumentTypeError, "input_tokens must be a Decimal, not 2.5"),
        (Decimal("NaN"), ConfigurationError, r"input_tokens must be from 0 to 10\^15, not Decimal\('NaN'\)"),
        (Decimal(-1), ConfigurationError, "input_tokens must be from 0 to"),
        (Decimal(10**15 + 1), ConfigurationError, "input_tokens must be from 0 to"),
        (Decimal("1e-19"), ConfigurationError, "input_tokens must have at most 18 decimal places"),
    ],
)
def test_a_price_that_could_not_be_exact_is_refused(price, error, text):
    with pytest.raises(error, match=text):
        Price(price, Decimal(1))


def test_the_longest_price_is_exact():
    price = Price(Decimal("999999999999999.999999999999999999"), Decimal("0.000000000000000001"))
    read, written = Fraction(price.input_tokens) * 10**15, Fraction(price.output_tokens) * 10**15
    assert Fraction(under(traps, price.cost, 10**15, 10**15)) == (read + written) / 10**6


COMPUTING = """
from decimal import Decimal
one = Decimal(1)
one + one
one - 1
2 * one
one / 3
-one
abs(one)
sum([one, one])
round(one, 2)
one.quantize(one)
one.normalize()
one < 0.5
Decimal(0.5)
"""


@pytest.mark.slow
def test_the_type_checker_refuses_what_computes_in_the_callers_context(tmp_path):
    pytest.importorskip("pyright")
    (tmp_path / "program.py").write_text(COMPUTING, encoding="utf-8")
    (tmp_path / "pyrightconfig.json").write_text(
        f'{{"stubPath": "{ROOT / "tests" / "stubs"}", "reportMissingModuleSource": false}}', encoding="utf-8"
    )
    pyright = [sys.executable, "-m", "pyright", "--project", str(tmp_path)]
    done = subprocess.run(pyright, capture_output=True, text=True, check=False, cwd=tmp_path)
    wrong = {int(line.split(":")[1]) for line in done.stdout.splitlines() if " - error: " in line}
    assert wrong == set(range(4, 16)), done.stdout + done.stderr

"""What is an amount, to the last digit: read in place as by its text, exact in and out, in any context."""

import decimal
import random
import re
import time
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeguards import BudgetCoordinator, BudgetExceededError, InvalidAmountError
from safeguards._native import amount_units, reads_decimals_in_place

UNIT = Decimal("1e-9")
MAX = 10**15


def outcome(value, *, round_up, in_place):
    try:
        return amount_units(value, round_up=round_up, in_place=in_place)
    except InvalidAmountError as error:
        return str(error)


def both_ways(value):
    """Units rounded up and down, if reading in place and reading by text agree."""
    results = []
    for round_up in (True, False):
        in_place = outcome(value, round_up=round_up, in_place=True)
        assert in_place == outcome(value, round_up=round_up, in_place=False), value
        results.append(in_place)
    return results


def random_decimals(rng, count):
    """Coefficients of 1 to 80 digits, most of them short; exponents around every edge; all signs."""
    for _ in range(count):
        digits = rng.choice((1, 2, 4, 9, 17, 18, 19, 20, 25, 28, 37, 38, 39, 57, 80))
        coefficient = rng.randrange(10**digits)
        exponent = rng.choice((0, -2, -9, -10, -28, rng.randrange(-90, 40), rng.randrange(-9999, 9999)))
        yield Decimal((int(rng.random() < 0.1), tuple(map(int, str(coefficient))), exponent))


def test_a_million_random_decimals_read_in_place_as_by_their_text():
    assert reads_decimals_in_place()
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    rng = random.Random(seed)
    errors = 0
    read, scaled = amount_units, decimal.Context(prec=200, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
    for number, value in enumerate(random_decimals(rng, 500_000)):
        round_up = number % 2 == 0
        for rounding in (round_up, not round_up):  # 10^6 readings each way
            try:
                units = read(value, round_up=rounding, in_place=True)
            except InvalidAmountError as error:
                errors += 1
                units = str(error)
            assert units == outcome(value, round_up=rounding, in_place=False), value
        if number % 100 == 0 and -90 < value.adjusted() < 16 and value >= 0:
            mode = decimal.ROUND_CEILING if rounding else decimal.ROUND_FLOOR
            exact = scaled.multiply(value, 10**9).to_integral_value(mode, scaled)
            if exact <= MAX * 10**9:
                assert units == int(exact), value
    assert 50_000 < errors < 900_000


@pytest.mark.parametrize(
    ("text", "up", "down"),
    [
        ("0", 0, 0),
        ("-0", 0, 0),
        ("-0E+999999", 0, 0),
        ("0.10", 10**8, 10**8),
        ("1E-30", 1, 0),
        ("1E-999999", 1, 0),
        ("0.0000000011", 2, 1),
        ("1E+15", MAX * 10**9, MAX * 10**9),
        ("12.5E1", 125 * 10**9, 125 * 10**9),
    ],
)
def test_edge_values(text, up, down):
    assert both_ways(Decimal(text)) == [up, down]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Decimal("NaN"), "must be a number, not NaN"),
        (Decimal("sNaN"), "must be a number, not NaN"),
        (Decimal("-sNaN123"), "must be a number, not NaN"),
        (Decimal("Infinity"), "must be finite"),
        (Decimal("-Infinity"), "must be finite"),
        (Decimal("-0.000000001"), "must not be negative"),
        (Decimal("1E+999999"), "must not be more than"),
        (Decimal("-1E+999999"), "must not be negative"),
        (Decimal("1000000000000000.000000001"), "must not be more than"),
        (10**15 + 1, "must not be more than"),
        (10**30, "must not be more than"),
        (-1, "must not be negative"),
        (-(10**30), "must not be negative"),
        ("-1", "must not be negative"),
        ("-99999999999999999999999", "must not be negative"),
        ("", "must be decimal digits"),
        ("1e", "must be decimal digits"),
        ("1e1.5", "must be decimal digits"),
        ("1e16", "must not be more than"),
        ("-1e-9", "must not be negative"),
        ("+1", "must be decimal digits"),
        (".5", "must be decimal digits"),
        ("5.", "must be decimal digits"),
        ("1_000", "must be decimal digits"),
        (" 1", "must be decimal digits"),
        ("1\n", "must be decimal digits"),
        ("1\0", "must be decimal digits"),
        ("٣", "must be decimal digits"),
        ("\ud800", "must be decimal digits"),
        ("-" * 3_000_000, "must be decimal digits"),
        ("nan", "must be a number, not NaN"),
        ("-inf", "must be finite"),
        ("1" * 100_000, "must not be more than"),
    ],
    ids=lambda value: str(value)[:20].encode("unicode_escape").decode(),
)
def test_what_is_no_amount_is_named(value, why):
    with pytest.raises(InvalidAmountError, match=why) as caught:
        amount_units(value, round_up=True, in_place=True)
    error = caught.value
    assert error.argument == "value"
    assert len(error.value) < 100
    assert isinstance(error, ValueError)


def test_a_hundred_thousand_digits():
    nines, tiny = Decimal("9" * 100_000), Decimal("0." + "0" * 100_000 + "1")
    assert both_ways(tiny) == [1, 0]
    assert "must not be more than" in both_ways(nines)[0]
    assert both_ways(Decimal("7." + "3" * 100_000)) == [7_333_333_334, 7_333_333_333]
    assert amount_units("0." + "1" * 100_000, round_up=True, in_place=True) == 111_111_112


def test_an_int_of_a_hundred_thousand_digits():
    with pytest.raises(InvalidAmountError, match="a number of thousands of digits"):
        amount_units(10**100_000, round_up=True, in_place=True)


def test_a_huge_exponent_costs_nothing():
    # int(Decimal("1E+999999")) takes seconds, and so does its text written out.
    values = [Decimal("1E+999999"), Decimal("1E-999999"), Decimal("0E+999999")]
    start = time.perf_counter()
    for value in values * 1_000:
        outcome(value, round_up=True, in_place=True)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    "value",
    [
        0.1,
        float("nan"),
        True,
        False,
        None,
        b"1",
        [1],
        (1,),
        1j,
        Fraction(1, 3),
        ...,
        Decimal,
        bytearray(b"1"),
    ],
    ids=repr,
)
def test_other_types_are_type_errors_that_say_what_to_do(value):
    for in_place in (True, False):
        with pytest.raises(
            TypeError, match="value must be a Decimal, an int or a decimal string, not"
        ) as caught:
            amount_units(value, round_up=True, in_place=in_place)
    advice = ("convert it first", "write Decimal('0.1') or '0.1'", "write Decimal(...) or decimal text")
    assert str(caught.value).endswith(advice)


@given(st.floats(0, 1e15) | st.floats())
def test_what_is_advised_is_accepted(value):
    with pytest.raises(TypeError) as caught:
        amount_units(value, round_up=True, in_place=True)
    advice = re.search(r"or '(.*)'$", str(caught.value))
    if advice is None:
        assert not 1e-9 <= value <= 1e15
    else:
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", advice[1])
        assert float(advice[1]) == value
        amount_units(advice[1], round_up=True, in_place=True)
        amount_units(Decimal(advice[1]), round_up=True, in_place=True)


@given(st.decimals(0, 10**15, places=9))
def test_what_is_printed_is_accepted(value):
    for text in (str(value), format(value, "f"), f"{value:e}", f"{value:E}"):
        assert both_ways(value) == [amount_units(text, round_up=up, in_place=True) for up in (True, False)]


@pytest.mark.parametrize("scalar", [np.float64(0.1), np.int64(1), np.float32(1), np.bool_(1)], ids=repr)
def test_numpy_scalars_are_no_amounts(scalar):
    with pytest.raises(TypeError, match="value must be a Decimal") as caught:
        amount_units(scalar, round_up=True, in_place=True)
    assert "np.float64" not in str(caught.value)


def test_subclasses_are_read_by_what_they_are():
    class Loud(Decimal):
        def __str__(self):
            return "1000000"

        __repr__ = __format__ = __str__

    class Liar(Decimal):
        @property
        def __class__(self):
            return int

    class Text(str):
        __slots__ = ()

        def __str__(self):
            return "1000000"

    class Number(int):
        def __str__(self):
            return "1000000"

        __index__ = __int__ = lambda self: 1_000_000

    for value in (Loud("0.25"), Liar("0.25"), Text("0.25")):
        assert both_ways(value) == [250_000_000] * 2
    assert both_ways(Number(3)) == [3 * 10**9] * 2


@pytest.fixture
def hostile():
    """One digit, away from zero, every trap set: what a caller's context may be."""
    with decimal.localcontext() as context:
        context.prec, context.rounding = 1, decimal.ROUND_UP
        context.Emax, context.Emin = 1, -1
        for signal in context.traps:
            context.traps[signal] = True
        yield


def test_no_arithmetic_happens_in_the_callers_context(coordinator, hostile):
    amount = Decimal("0.123456789")
    receipt = coordinator.debit("bot", amount)
    assert (receipt.amount, receipt.remaining) == (amount, Decimal("0.876543211"))
    assert str(coordinator.get_pool_budget("team")) == "9.876543211"
    with pytest.raises(InvalidAmountError):
        coordinator.debit("bot", Decimal("1E+999999"))
    metrics = coordinator.get_agent_metrics("bot")
    assert metrics.utilization == 0.123456789
    assert metrics.spent == amount
    with pytest.raises(BudgetExceededError) as caught:
        coordinator.debit("bot", 123456)
    assert caught.value.to_dict()["available"] == "0.876543211"
    assert repr(coordinator) and coordinator._repr_html_()


@pytest.mark.parametrize(
    "text", ["0.000000001", "999999999999999.999999999", "1000000000000000", "0.1", "12.50"]
)
def test_returned_decimals_are_exact(text):
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("pool", text)
    assert type(coordinator.get_pool_budget("pool")) is Decimal
    assert coordinator.get_pool_budget("pool") == Decimal(text)


def test_three_times_0_10_fit_into_0_30(coordinator):
    coordinator.update_budget("bot", "0.30")
    assert [coordinator.try_debit("bot", Decimal("0.10")) for _ in range(4)] == [True, True, True, False]
    assert coordinator.get_budget("bot") == 0


def test_a_total_can_be_dealt_out_in_thirds(coordinator):
    third = Decimal(10) / 3
    for name in "abc":
        coordinator.register_agent(name, "team", initial_budget=third)
    dealt = sum(coordinator.get_budget(name) for name in "abc")
    assert dealt == Decimal("9.999999999")
    coordinator.update_pool_budget("team", 10)
    assert [coordinator.try_debit(name, coordinator.get_budget(name)) for name in "abc"] == [True] * 3
    assert not coordinator.try_debit("a", third)


def test_charges_are_rounded_up_and_grants_down(coordinator):
    tiny = Decimal("1E-30")
    assert coordinator.debit("bot", tiny).amount == UNIT
    with coordinator.reserve("bot", tiny) as reservation:
        assert reservation.amount == UNIT
    coordinator.update_budget("bot", tiny)
    assert coordinator.get_budget("bot") == 0


@pytest.mark.parametrize("zero", [0, "0", "0.0", Decimal("-0"), Decimal("0E+20")], ids=repr)
def test_a_debit_of_nothing_is_admitted_and_leaves_no_event(coordinator, zero):
    coordinator.update_budget("bot", 0)
    before = coordinator.get_agent_events("bot")
    assert coordinator.debit("bot", zero).amount == 0
    assert coordinator.try_debit("bot", zero)
    assert coordinator.get_agent_events("bot") == before

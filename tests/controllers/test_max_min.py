"""Weighted max-min fairness against its definition, in fractions."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from safeguards import ConfigurationError, InvalidAmountError
from safeguards._native import max_min_shares

UNIT = Fraction(1, 10**9)
UNIT_AMOUNT = Decimal("1e-9")
ENDLESS = Fraction(10**16)


def water_filling(total, weights, floors, brims):
    """One level for all, as far as floors and brims allow: the next bend at a time, nothing rounded."""
    level, got = Fraction(0), list(floors)
    while True:
        rising = [i for i, w in enumerate(weights) if floors[i] <= level * w < brims[i]]
        bends = [b / w for b, w in zip((*floors, *brims), (*weights, *weights), strict=True) if b / w > level]
        width, there = sum(weights[i] for i in rising), total - sum(got)
        reach = level + there / width if width else None
        target = min([*bends, *([] if reach is None else [reach])], default=None)
        if target is None or there <= 0:
            return got
        for i in rising:
            got[i] = min(max(target * weights[i], got[i]), brims[i])
        level = target


def reference(total, needs, weights, floors, ceilings):
    """Lexicographic max-min up to the needs; the rest by need, and by weight if nobody needs anything."""
    if sum(floors) > total:
        return [total * floor / sum(floors) for floor in floors]
    brims = [max(min(n, c), f) for n, c, f in zip(needs, ceilings, floors, strict=True)]
    got = water_filling(total, weights, floors, brims)
    for widths in (needs, weights):
        left = total - sum(got)
        rows = [i for i, width in enumerate(widths) if width > 0 and got[i] < ceilings[i]]
        if left > 0 and rows:
            room = [ceilings[i] - got[i] for i in rows]
            more = water_filling(left, [widths[i] for i in rows], [Fraction(0)] * len(rows), room)
            for i, extra in zip(rows, more, strict=True):
                got[i] += extra
    return got


AMOUNTS = st.integers(0, 10**12).map(lambda units: Decimal(units).scaleb(-9))
WEIGHTS = st.integers(1, 10**4).map(lambda weight: weight / 1000)
CLAIMS = st.lists(st.tuples(AMOUNTS, WEIGHTS, AMOUNTS, AMOUNTS), min_size=1, max_size=8)


@given(total=AMOUNTS, claims=CLAIMS, is_bounded=st.booleans())
@example(total=Decimal(1), claims=[(Decimal(1), 1.0, Decimal(0), Decimal(0))] * 3, is_bounded=False)
@example(total=UNIT_AMOUNT, claims=[(Decimal(0), 0.001, UNIT_AMOUNT, Decimal(0))] * 2, is_bounded=True)
def test_shares_are_the_lexicographic_optimum_to_the_last_unit(total, claims, is_bounded):
    needs, weights, floors, room = (list(column) for column in zip(*claims, strict=True))
    floors = [floor / 4 for floor in floors]
    floors = [floor.quantize(Decimal("1e-9")) for floor in floors]
    ceilings = [floor + extra for floor, extra in zip(floors, room, strict=True)] if is_bounded else None
    shares = max_min_shares(total, needs, weights, floors=floors, ceilings=ceilings)
    bounds = [Fraction(c) for c in ceilings] if ceilings else [ENDLESS] * len(claims)
    exact = reference(
        Fraction(total),
        [Fraction(need) for need in needs],
        [Fraction(round(weight * 10**9), 10**9) for weight in weights],
        [Fraction(floor) for floor in floors],
        bounds,
    )
    most = min(Fraction(total), sum(bounds))
    assert sum(Fraction(share) for share in shares) == most
    for share, wanted in zip(shares, exact, strict=True):
        assert abs(Fraction(share) - wanted) < 2 * UNIT  # rounded once for the needs, once for the rest
    if sum(floors) <= total:
        assert all(share >= floor for share, floor in zip(shares, floors, strict=True))


@given(AMOUNTS, CLAIMS)
def test_scarcity_is_rounded_by_less_than_a_unit(total, claims):
    needs, weights = [max(claim[0], total) for claim in claims], [claim[1] for claim in claims]
    shares = max_min_shares(total, needs, weights)
    whole = sum(Fraction(round(weight * 10**9)) for weight in weights)
    for share, weight in zip(shares, weights, strict=True):
        assert abs(Fraction(share) - Fraction(total) * round(weight * 10**9) / whole) < UNIT


def test_the_largest_amounts_are_exact():
    most = Decimal(10) ** 15
    assert max_min_shares(most, [most] * 3, [1e9, 1e9, 1e-9]) == [
        Decimal("499999999999999.99975"),
        Decimal("499999999999999.99975"),
        Decimal("0.0005"),
    ]
    assert sum(max_min_shares(most, [most / 7] * 7, [1] * 7)) == most


def test_the_order_of_equals_decides_who_gets_the_last_unit():
    assert max_min_shares("0.000000005", [1, 1, 1], [1, 1, 1]) == [
        Decimal("2e-9"),
        Decimal("2e-9"),
        Decimal("1e-9"),
    ]


def test_nobody_at_the_table():
    assert max_min_shares(5, [], []) == []


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((1, [1], [1, 2]), {}, "weights has 2 items where 1 are divided among"),
        ((1, [1], [1]), {"floors": []}, "floors has 0 items"),
        ((1, [1], [1]), {"ceilings": [1, 2]}, "ceilings has 2 items"),
        ((1, [1], [0]), {}, "a weight must be from 1e-9 to 1e9, not 0"),
        ((1, [1], [float("nan")]), {}, "not NaN"),
        ((1, [1], [1]), {"floors": [2], "ceilings": [1]}, "a ceiling must not be below its floor"),
    ],
)
def test_wrong_claims_are_refused(arguments, options, message):
    with pytest.raises(ConfigurationError, match=message):
        max_min_shares(*arguments, **options)


def test_amounts_are_amounts():
    with pytest.raises(InvalidAmountError, match="needs must not be negative"):
        max_min_shares(1, [-1], [1])
    with pytest.raises(TypeError, match="total must be a Decimal"):
        max_min_shares(1.5, [1], [1])

"""Dominant resource fairness against a reference in fractions, and the properties that the paper proves."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from safeguards import (
    ConfigurationError,
    FairShare,
    InvalidAmountError,
    MultiResourceBudget,
    UnknownResourceError,
    fair_shares,
    fair_tasks,
)

RESOURCES = ("cpu", "memory", "gpu", "network")
TOLERANCE = Fraction(1, 10**9)


# ------------------------------------------------------------------------------------------ a reference


def reference(demands, capacities, weights, caps):
    """Tasks of each agent by progressive filling in fractions. At each event everything is summed anew."""
    pace = {
        agent: min(
            (Fraction(capacities[r]) * weights[agent][r] / Fraction(d) for r, d in needs.items() if d),
            default=None,
        )
        for agent, needs in demands.items()
    }
    tasks = {agent: Fraction(caps[agent]) for agent in demands if pace[agent] is None}
    active, level = set(demands) - set(tasks), Fraction(0)
    while True:
        used = {r: sum(Fraction(demands[a].get(r, 0)) * t for a, t in tasks.items()) for r in capacities}
        stopped = {
            agent
            for agent in active
            if level * pace[agent] == caps.get(agent)
            or any(
                d and used[r] + rate(r, active, demands, pace) * level >= capacities[r]
                for r, d in demands[agent].items()
            )
        }
        tasks |= {agent: level * pace[agent] for agent in stopped}
        active -= stopped
        if not active:
            return tasks
        if stopped:
            continue
        events = [caps[a] / pace[a] for a in active if a in caps]
        events += [
            (capacities[r] - used[r]) / rate(r, active, demands, pace)
            for r in capacities
            if rate(r, active, demands, pace)
        ]
        level = min(events)


def noise(value):
    """By so much a result may be above the fraction: what is whole units but for the last digits stays it.

    Weights are binary, so that 2.00001, 0.99999 and 5 are 8 for people and a little more in fractions.
    """
    return Fraction(1, 10**18) + value * Fraction(1, 10**26)


def rate(resource, active, demands, pace):
    return sum(Fraction(demands[agent].get(resource, 0)) * pace[agent] for agent in active)


# ------------------------------------------------------------------------------------------ random worlds


@dataclass
class Case:
    demands: dict
    capacities: dict
    weights: dict
    caps: dict

    @property
    def exact_weights(self):
        return {
            agent: {
                r: Fraction(w.get(r, 1) if isinstance(w, dict) else w)
                for r in self.capacities
                for w in [self.weights.get(agent, 1)]
            }
            for agent in self.demands
        }

    @property
    def exact_caps(self):
        return {agent: Fraction(cap) for agent, cap in self.caps.items()}

    def shares(self):
        return fair_shares(self.demands, self.capacities, self.weights, caps=self.caps)


def amounts(least, most):
    return st.decimals(least, most, places=3) | st.integers(least, most)


@st.composite
def cases(draw, *, weighted=True, capped=True, positive=False):
    resources = RESOURCES[: draw(st.integers(1, 4))]
    agents = [f"agent {i}" for i in range(draw(st.integers(1, 7)))]
    capacities = {r: draw(amounts(1, 10_000)) for r in resources}
    needs = amounts(1 if positive else 0, 50)
    demands = {agent: {r: draw(needs) for r in resources} for agent in agents}
    caps = {agent: draw(amounts(0, 500)) for agent in agents if capped and draw(st.booleans())}
    for agent in agents:
        if agent not in caps and not any(demands[agent].values()):
            demands[agent][resources[0]] = 1
    weight = st.floats(0.01, 100)
    one = weight | st.dictionaries(st.sampled_from(resources), weight)
    weights = {agent: draw(one) for agent in agents if weighted and draw(st.booleans())}
    return Case(demands, capacities, weights, caps)


def value(case, agent, allocation):
    """How many tasks an agent could do with an allocation."""
    needs = {r: Fraction(d) for r, d in case.demands[agent].items() if d}
    return min(Fraction(allocation[r]) / d for r, d in needs.items())


def slack(case, agent):
    """Tasks that rounding them, and resources, down by 1e-9 can cost."""
    return TOLERANCE + TOLERANCE * 2 / min(Fraction(d) for d in case.demands[agent].values() if d)


# ------------------------------------------------------------------------------------------ the tests


def test_the_example_of_the_paper():
    shares = fair_shares(
        {"A": {"cpu": 1, "memory": 4}, "B": {"cpu": 3, "memory": 1}}, {"cpu": 9, "memory": 18}
    )
    assert list(shares) == ["A", "B"] and len(shares) == 2
    two_thirds = pytest.approx(2 / 3, abs=1e-15)
    assert shares["A"] == FairShare(Decimal(3), two_thirds, "memory", "cpu", {"cpu": 3, "memory": 12})
    assert shares["B"] == FairShare(Decimal(2), two_thirds, "cpu", "cpu", {"cpu": 6, "memory": 2})
    assert shares.allocated == {"cpu": 9, "memory": 14}
    assert repr(shares) == "FairShares(2 agents, 2 resources)"
    with pytest.raises(KeyError):
        shares["C"]


def test_the_weighted_example():
    """With weight 2 an agent gets what two of it would get together."""
    needs = {"cpu": 1, "memory": 4}
    pair = fair_shares({"A": needs, "A'": needs, "B": {"cpu": 3, "memory": 1}}, {"cpu": 9, "memory": 18})
    one = fair_shares({"A": needs, "B": {"cpu": 3, "memory": 1}}, {"cpu": 9, "memory": 18}, {"A": 2})
    assert one["B"] == pair["B"]
    assert abs(one["A"].tasks - pair["A"].tasks * 2) <= Decimal("2e-9")


@given(cases())
@settings(deadline=None, max_examples=300)
@example(Case({"a": {"cpu": 1}, "b": {"cpu": 0}}, {"cpu": 0}, {}, {"b": 3}))
@example(Case({"a": {"cpu": 1}, "b": {"cpu": 1}, "c": {"cpu": 1}}, {"cpu": 100}, {}, {}))
@example(Case({agent: {"cpu": 1} for agent in "abcdefg"}, {"cpu": 1}, {"c": 2.00001, "e": 0.99999}, {}))
@example(Case({agent: {"cpu": 1} for agent in "abc"}, {"cpu": 1}, {"a": 0.1, "b": 0.2, "c": 0.7}, {}))
def test_equal_to_the_reference(case):
    shares = case.shares()
    expected = reference(
        case.demands,
        {r: Fraction(c) for r, c in case.capacities.items()},
        case.exact_weights,
        case.exact_caps,
    )
    for agent, share in shares.items():
        tasks = expected[agent]
        assert -noise(tasks) <= tasks - Fraction(share.tasks) < TOLERANCE
        for r, amount in share.allocation.items():
            # Rounded down, and at most one unit less where others were rounded up against all digits.
            wanted = tasks * Fraction(case.demands[agent].get(r, 0))
            assert -noise(wanted) <= wanted - Fraction(amount) < 2 * TOLERANCE
        dominant = share.dominant_resource
        part = tasks * Fraction(case.demands[agent][dominant]) if dominant else Fraction(0)
        capacity = Fraction(case.capacities.get(dominant, 0))
        assert abs(share.dominant_share - (float(part / capacity) if capacity else 0)) < 1e-9


@pytest.mark.parametrize(
    "case",
    [
        # The first stops at once and was a million billion times as fast as the other: what is left of the
        # sum of both is noise, which was below zero.
        Case(
            {
                "a": {"cpu": Decimal("712425000418260.063700578"), "memory": Decimal("2e-9")},
                "b": {"cpu": 9, "memory": Decimal("756219138653333.918681015")},
            },
            {"cpu": 10**15, "memory": 16},
            {"a": {"cpu": 0.3, "memory": 1.0}, "b": {"cpu": 0.3, "memory": 1e-9}},
            {"a": Decimal("7e-9")},
        ),
        # The same noise gave away more than there is.
        Case(
            {"a": {"cpu": 20}, "b": {"cpu": 20}, "c": {"cpu": 8}, "d": {"cpu": 2}},
            {"cpu": 10**15},
            {"a": 1e9, "b": 0.3, "c": 1e-9},
            {"a": 0},
        ),
    ],
)
def test_weights_that_are_far_apart(case):
    exact = {r: Fraction(c) for r, c in case.capacities.items()}
    expected = reference(case.demands, exact, case.exact_weights, case.exact_caps)
    shares = case.shares()
    for agent, share in shares.items():
        for r, amount in share.allocation.items():
            assert 0 <= expected[agent] * Fraction(case.demands[agent][r]) - Fraction(amount) < 2 * TOLERANCE
    assert all(given <= case.capacities[r] for r, given in shares.allocated.items())


@given(cases())
@settings(deadline=None)
def test_never_more_than_there_is(case):
    shares = case.shares()
    given_away = shares.allocated
    for r, capacity in case.capacities.items():
        assert (
            sum((share.allocation[r] for share in shares.values()), Decimal(0)) == given_away[r] <= capacity
        )
    assert all(share.tasks <= case.caps[agent] for agent, share in shares.items() if agent in case.caps)


@given(cases(weighted=False, capped=False))
@settings(deadline=None)
def test_sharing_incentive(case):
    """Nobody would rather have an equal part of everything."""
    equal = {r: Fraction(c) / len(case.demands) for r, c in case.capacities.items()}
    for agent, share in case.shares().items():
        assert Fraction(share.tasks) + slack(case, agent) >= value(case, agent, equal)


@given(cases(weighted=False, capped=False))
@settings(deadline=None)
def test_nobody_envies_another(case):
    shares = case.shares()
    for agent, own in shares.items():
        for other in shares.values():
            assert Fraction(own.tasks) + slack(case, agent) >= value(case, agent, other.allocation)


@given(cases())
@settings(deadline=None)
def test_pareto_efficiency(case):
    """Whoever has no more is at its cap, or needs something that is used up but for roundings."""
    shares = case.shares()
    for agent, share in shares.items():
        if share.limited_by is None:
            assert share.tasks == case.caps[agent]
        else:
            assert case.demands[agent][share.limited_by] > 0
            left = case.capacities[share.limited_by] - shares.allocated[share.limited_by]
            assert left <= Decimal("2e-9") * len(shares)


@given(cases(weighted=False, capped=False, positive=True), st.data())
@settings(deadline=None)
def test_it_does_not_pay_to_ask_for_more(case, data):
    """Strategy-proofness: who says that it needs more of something does no more real tasks for it."""
    liar = data.draw(st.sampled_from(sorted(case.demands)))
    r = data.draw(st.sampled_from(sorted(case.capacities)))
    lie = {**case.demands[liar], r: case.demands[liar][r] * data.draw(st.integers(2, 20))}
    lied = fair_shares({**case.demands, liar: lie}, case.capacities)[liar]
    assert value(case, liar, lied.allocation) <= Fraction(case.shares()[liar].tasks) + slack(case, liar)


@given(cases(weighted=False), st.floats(0.1, 10))
@settings(deadline=None)
def test_only_the_ratio_of_weights_counts(case, factor):
    weights = dict.fromkeys(case.demands, factor)
    scaled = fair_shares(case.demands, case.capacities, weights, caps=case.caps)
    for agent, share in case.shares().items():
        assert abs(scaled[agent].tasks - share.tasks) <= Decimal("1e-9")


@given(cases())
@settings(deadline=None)
def test_the_array_form_agrees(case):
    resources, agents = list(case.capacities), list(case.demands)
    needs = [[float(case.demands[agent][r]) for r in resources] for agent in agents]
    weights = [[float(case.exact_weights[agent][r]) for r in resources] for agent in agents]
    caps = [float(case.caps.get(agent, "inf")) for agent in agents]
    tasks = fair_tasks(needs, [float(case.capacities[r]) for r in resources], weights, caps=caps)
    exact = [float(share.tasks) for share in case.shares().values()]
    assert tasks.tolist() == pytest.approx(exact, rel=1e-12, abs=2e-9)


def test_the_largest_and_the_smallest_amounts():
    most = 10**15
    shares = fair_shares({"a": {"cpu": most}, "b": {"cpu": Decimal("1e-9")}}, {"cpu": most})
    assert shares["a"].allocation["cpu"] == shares["b"].allocation["cpu"] == most // 2
    assert shares["b"].tasks == Decimal(most // 2) * 10**9
    thirds = fair_shares({name: {"cpu": 7} for name in "abc"}, {"cpu": most})
    assert {share.allocation["cpu"] for share in thirds.values()} == {Decimal("333333333333333.333333333")}


def test_ten_thousand_agents_against_fractions():
    """The sums of many: the first resource to be used up, at its exact level."""
    rng = np.random.default_rng(0)
    matrix = rng.integers(1, 10**6, (10_000, 4))
    demands = {f"agent {i}": dict(zip(RESOURCES, map(int, row), strict=True)) for i, row in enumerate(matrix)}
    capacities = dict.fromkeys(RESOURCES, 10**9)
    shares = fair_shares(demands, capacities)
    pace = [Fraction(10**9, int(row.max())) for row in matrix]
    # As one fraction each sum would have a hundred thousand digits: these have a hundred.
    scale = 10**100
    rates = [
        sum(int(d) * (p.numerator * scale // p.denominator) for d, p in zip(column, pace, strict=True))
        for column in matrix.T
    ]
    level = Fraction(10**9 * scale, max(rates))
    assert all(
        abs(Fraction(share.tasks) - level * p) <= TOLERANCE
        for share, p in zip(shares.values(), pace, strict=True)
    )


def test_the_method_is_the_function(coordinator):
    demands, capacities = {"bot": {"cpu": 2}}, {"cpu": 3}
    shares = MultiResourceBudget(coordinator).fair_shares(demands, capacities, caps={"bot": 1})
    assert dict(shares) == dict(fair_shares(demands, capacities, caps={"bot": 1}))
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", shares["bot"].allocation)
    assert resources.get_budgets("bot") == {"cpu": 2}


# ------------------------------------------------------------------------------------------ bad input

NEEDS, THERE = {"a": {"cpu": 1}}, {"cpu": 3}


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            ({"a": {"tpu": 1}}, THERE),
            UnknownResourceError,
            r'demands\["a"\] names resource "tpu", of which there is no',
        ),
        ((NEEDS, THERE, {"a": {"tpu": 1}}), UnknownResourceError, r'weights\["a"\] names resource "tpu"'),
        (({"a": {"cpu": -1}}, THERE), InvalidAmountError, r'demands\["a"\]\["cpu"\] must not be negative'),
        ((NEEDS, {"cpu": "x"}), InvalidAmountError, r'capacities\["cpu"\] must be decimal digits'),
        (({"a": {"cpu": 0.5}}, THERE), TypeError, r'demands\["a"\]\["cpu"\] must be a Decimal'),
        (({"a": 5}, THERE), TypeError, r'demands\["a"\] must map resource types to amounts'),
        (([1], THERE), TypeError, "demands must map agents"),
        ((NEEDS, 5), TypeError, "capacities must map resource types"),
        (
            ({"a": {"cpu": 0}}, THERE),
            ConfigurationError,
            r'demands\["a"\] takes nothing of any resource: give it a cap',
        ),
        (({"a": {}}, {}), ConfigurationError, "takes nothing"),
        ((NEEDS, THERE, {"b": 1}), ConfigurationError, 'weights names "b", which demands nothing'),
        (
            (NEEDS, THERE, {"a": 0}),
            ConfigurationError,
            r'weights\["a"\] must be a weight from 1e-9 to 1e9, not 0',
        ),
        ((NEEDS, THERE, {"a": float("nan")}), ConfigurationError, "not NaN"),
        ((NEEDS, THERE, {"a": {"cpu": -1}}), ConfigurationError, r'weights\["a"\]\["cpu"\] must be a weight'),
        ((NEEDS, THERE, {"a": "2"}), TypeError, r'weights\["a"\] must map resource types to weights'),
        ((NEEDS, THERE, {"a": {"cpu": None}}), TypeError, r'weights\["a"\]\["cpu"\] must be a number'),
    ],
)
def test_bad_input_is_named(arguments, error, text):
    with pytest.raises(error, match=text):
        fair_shares(*arguments)


def test_bad_caps_are_named():
    with pytest.raises(ConfigurationError, match='caps names "b"'):
        fair_shares(NEEDS, THERE, caps={"b": 1})
    with pytest.raises(InvalidAmountError, match=r'caps\["a"\] must not be negative'):
        fair_shares(NEEDS, THERE, caps={"a": -1})


def test_an_unknown_resource_has_fields():
    with pytest.raises(UnknownResourceError) as caught:
        fair_shares({"a": {"tpu": 1}}, {"gpu": 1, "cpu": 1})
    assert (caught.value.resource, caught.value.known) == ("tpu", ["cpu", "gpu"])


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        (([1, 2], [1]), {}, "demands must have 2 dimensions, not 1"),
        (([[1, 2]], [1]), {}, r"capacities must have the shape \(2,\) of demands, not \(1,\)"),
        (([[1, -2]], [1, 1]), {}, "demands must be 0 or from 1e-60 to 1e60"),
        (([[1, 2]], [1, float("nan")]), {}, "capacities must be 0 or"),
        (([[1, 2]], [1, 1], [0]), {}, "weights must be from 1e-9 to 1e9"),
        (([[1, 2]], [1, 1], [[1]]), {}, r"weights must have the shape \(1, 2\)"),
        (([[1, 2]], [1, 1]), {"caps": [float("nan")]}, "caps must be 0 or"),
        (([[1, 2]], [1, 1]), {"caps": [-float("inf")]}, "caps must be 0 or"),
        (([[1, 2]], [1, 1]), {"caps": [1, 2]}, r"caps must have the shape \(1,\)"),
        (([[0, 0]], [1, 1]), {}, r"demands\[0\] takes nothing"),
    ],
)
def test_bad_arrays_are_named(arguments, options, text):
    with pytest.raises(ConfigurationError, match=text):
        fair_tasks(*arguments, **options)


def test_no_agents_and_no_resources():
    assert dict(fair_shares({}, {"cpu": 1})) == {}
    assert fair_shares({}, {}).allocated == {}
    assert fair_shares({"a": {}}, {}, caps={"a": 2})["a"] == FairShare(Decimal(2), 0.0, None, None, {})
    assert fair_tasks(np.zeros((0, 2)), [1, 1]).tolist() == []


@given(cases(capped=False))
@settings(deadline=None)
def test_the_order_of_agents_does_not_matter(case):
    assume(len(case.demands) > 1)
    turned = fair_shares(dict(reversed(case.demands.items())), case.capacities, case.weights)
    for agent, share in case.shares().items():
        assert abs(turned[agent].tasks - share.tasks) <= Decimal("1e-9")

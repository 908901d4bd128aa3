"""What holds for every allocation: exact sums, floors, caps; what it does not depend on; its ends."""

import copy
import dataclasses
import pickle
from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from safeguards import ConfigurationError, InfeasibleAllocationError, InvalidAmountError
from safeguards._native import split_budget
from yardsticks.instances import Instance, allocator_for, optimize, shares_of

UNIT = Decimal("1e-9")
TOLERANCES = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))
figures = st.tuples(
    st.integers(1, 50),
    st.integers(0, 200),
    st.one_of(st.just(0.0), st.floats(0, 3)),
    st.none() | st.integers(0, 100),
)


TOTALS = st.integers(1, 5000)


@st.composite
def instances(draw, totals=TOTALS):
    agents = draw(st.integers(1, 8))
    operations = draw(st.lists(figures, min_size=agents, max_size=agents + 10))
    extra = [draw(st.integers(0, agents - 1)) for _ in operations[agents:]]
    floor = draw(st.sampled_from([0.0, 0.02, 0.1, 1 / 3]))
    return Instance(
        [*range(agents), *extra],
        *map(list, zip(*operations, strict=True)),
        draw(totals),
        floor,
        draw(TOLERANCES),
    )


def is_feasible(instance):
    """Whether each agent can have its floor, to a unit."""
    floor = Decimal(str(instance.floor)) * instance.total
    usable = dict.fromkeys(instance.agents, Decimal(0))
    for agent, cost, volume in zip(instance.agents, instance.cost, instance.volumes, strict=True):
        usable[agent] += instance.total if volume is None else cost * volume
    down = floor.quantize(UNIT, "ROUND_DOWN")
    return down * instance.n_agents <= instance.total and down <= min(usable.values())


def exact_sum(amounts):
    with localcontext(Context(prec=60)):
        return sum(amounts, Decimal(0))


@settings(max_examples=400, deadline=None)
@given(instances())
def test_sums_floors_and_caps_are_exact(instance):
    try:
        allocation = optimize(instance)
    except InfeasibleAllocationError:
        assert not is_feasible(instance)
        return
    assert is_feasible(instance)
    shares = allocation.operations
    for share in shares:
        assert 0 <= share.amount <= (instance.total if share.cap is None else share.cap)
        assert share.amount == share.amount.quantize(UNIT)
    for agent, own in allocation.items():
        assert exact_sum(share.amount for share in shares if share.agent_id == agent) == own
        assert own >= allocation.floor >= Decimal(str(instance.floor)) * instance.total - UNIT
    assert exact_sum(allocation.values()) + allocation.unallocated == instance.total
    if allocation.unallocated:
        assert all(share.amount == share.cap for share in shares)
        assert allocation.price is None


def test_a_price_is_what_somebody_would_pay():
    everything = Instance([0, 1], [10, 10], [30, 20], [0.0, 0.0], [3, 3], 0, 0.0, 1.0)
    assert optimize(everything).price == 3
    nobody = dataclasses.replace(everything, volumes=[0, 0])
    assert optimize(nobody).price is None
    assert "One unit more" not in optimize(nobody).explain()


@pytest.mark.parametrize("figure", [-1.0, 1e300, float("inf"), float("nan")])
def test_figures_that_cannot_be_computed_with(figure):
    for columns in (([figure], [0.0]), ([1.0], [figure])):
        with pytest.raises(ConfigurationError, match="no figure below 0 or too large"):
            split_budget(["a"], [0], *columns, [None], total=10, floor=0, tolerance=0.5)


@settings(max_examples=200, deadline=None)
@given(instances(), st.randoms(use_true_random=False))
def test_the_order_of_registration_decides_at_most_the_last_digit(instance, random):
    order = list(range(len(instance.agents)))
    random.shuffle(order)
    names = {agent: number for number, agent in enumerate(dict.fromkeys(instance.agents[k] for k in order))}
    columns = ("cost", "benefit", "variability", "volumes")
    shuffled = dataclasses.replace(
        instance,
        agents=[names[instance.agents[k]] for k in order],
        **{name: [getattr(instance, name)[k] for k in order] for name in columns},
    )
    try:
        one = optimize(instance)
    except InfeasibleAllocationError:
        with pytest.raises(InfeasibleAllocationError):
            optimize(shuffled)
        return
    other = optimize(shuffled)
    for agent, number in names.items():
        assert abs(one[f"agent_{agent}"] - other[f"agent_{number}"]) <= 2 * UNIT


@settings(max_examples=200, deadline=None)
@given(instances(), st.sampled_from([2, 10, 1000, 10**6]))
def test_ten_times_the_money_and_the_volumes_are_ten_times_the_amounts(instance, factor):
    volumes = [None if volume is None else volume * factor for volume in instance.volumes]
    larger = dataclasses.replace(instance, total=instance.total * factor, volumes=volumes)
    try:
        small, large = optimize(instance), optimize(larger)
    except InfeasibleAllocationError:
        return
    for agent, own in small.items():
        assert abs(large[agent] / factor - own) <= max(2 * UNIT, own * Decimal("1e-9"))


@settings(max_examples=200, deadline=None)
@given(instances(), TOLERANCES, TOLERANCES)
def test_who_tolerates_more_risk_gets_more_return_and_more_risk(instance, one, other):
    less, more = sorted((one, other))
    assume(more - less > 1e-9)  # closer ones weigh risks that floats cannot tell apart
    try:
        safe = optimize(dataclasses.replace(instance, tolerance=less))
        bold = optimize(dataclasses.replace(instance, tolerance=more))
    except InfeasibleAllocationError:
        return
    slack = 1e-6 * max(1.0, bold.expected_benefit)
    assert bold.expected_benefit >= safe.expected_benefit - slack
    assert bold.deviation**2 >= safe.deviation**2 - 1e-6 * max(1.0, safe.deviation**2)


@settings(max_examples=100, deadline=None)
@given(instances(totals=st.just(1000)))
def test_near_an_end_of_the_tolerance_is_near_its_limit(instance):
    coarse = [0.0 if v < 0.05 else v for v in instance.variability]  # the limit is farther for the others
    instance = dataclasses.replace(instance, variability=coarse)
    try:
        for end, near in ((0.0, 1e-9), (1.0, 1 - 1e-9)):
            at = optimize(dataclasses.replace(instance, tolerance=end))
            close = optimize(dataclasses.replace(instance, tolerance=near))
            for agent, own in at.items():
                assert abs(close[agent] - own) <= Decimal("0.01"), (end, agent)
    except InfeasibleAllocationError:
        return


def test_one_agent_gets_all():
    allocator = allocator_for(1)
    allocator.register_operation("agent_0", "work", 3, 0, 5.0)
    for tolerance in (0, 0.5, 1):
        assert allocator.optimize_allocation("99.999999999", 1, tolerance) == {
            "agent_0": Decimal("99.999999999")
        }


@pytest.mark.parametrize("tolerance", [0, 0.25, 1])
@pytest.mark.parametrize("variability", [0, 0.3])
def test_equal_agents_get_equal_amounts_to_the_last_digit(tolerance, variability):
    allocator = allocator_for(3)
    for number in range(3):
        allocator.register_operation(f"agent_{number}", "work", 1, 2, variability)
    amounts = allocator.optimize_allocation(100, risk_tolerance=tolerance)
    assert sorted(amounts.values()) == [Decimal("33.333333333")] * 2 + [Decimal("33.333333334")]


def test_all_risk_tolerated_is_all_to_the_best_return_above_the_floors():
    allocator = allocator_for(3)
    for number, benefit in enumerate((15, 25, 24)):
        allocator.register_operation(f"agent_{number}", "work", 5, benefit, 3.0 - number)
    amounts = allocator.optimize_allocation(1000, 0.1, 1)
    assert amounts == {"agent_0": 100, "agent_1": 800, "agent_2": 100}
    assert amounts.price == 5


def test_no_risk_tolerated_is_least_variance():
    allocator = allocator_for(2)
    allocator.register_operation("agent_0", "work", 1, 2, 0.5)  # deviation 1
    allocator.register_operation("agent_1", "work", 1, 4, 0.5)  # deviation 2: variances 1 : 4, amounts 4 : 1
    amounts = allocator.optimize_allocation(1000, risk_tolerance=0)
    assert amounts == {"agent_0": 800, "agent_1": 200}
    allocator.register_operation("agent_1", "work", 1, 1, 0)  # sure, and so it takes everything
    assert allocator.optimize_allocation(1000, risk_tolerance=0) == {"agent_0": 0, "agent_1": 1000}


def test_volume_caps_fill_the_best_first_and_leave_the_rest_unallocated():
    allocator = allocator_for(2)
    allocator.register_operation("agent_0", "best", 5, 50, max_volume=10)
    allocator.register_operation("agent_0", "good", 5, 20, max_volume=4)
    allocator.register_operation("agent_1", "fair", "0.1", "0.3", max_volume=3)
    amounts = allocator.optimize_allocation(60, risk_tolerance=1)
    assert amounts == {"agent_0": 60, "agent_1": 0}
    assert [share.amount for share in amounts.operations] == [50, 10, 0]
    amounts = allocator.optimize_allocation(1000, risk_tolerance=0.5)
    assert amounts == {"agent_0": 70, "agent_1": Decimal("0.3")}
    assert amounts.unallocated == Decimal("929.7")


@pytest.mark.parametrize("total", [10**15, Decimal("999999999999999.999999999"), Decimal("1e-9"), 0])
def test_totals_of_every_size_are_exact(total):
    allocator = allocator_for(7)
    for number in range(7):
        allocator.register_operation(f"agent_{number}", "work", number + 1, number + 2, 0.5)
    for tolerance in (0, 0.3, 1):
        for floor in (0, 0.1, 1 / 7):
            amounts = allocator.optimize_allocation(total, floor, tolerance)
            assert exact_sum(amounts.values()) == total
            assert min(amounts.values()) >= amounts.floor
    assert amounts.unallocated == 0


def test_a_floor_is_rounded_up_where_there_is_room():
    allocator = allocator_for(3)
    for number in range(3):
        allocator.register_operation(f"agent_{number}", "work", 1, 2 + number)
    assert allocator.optimize_allocation(100, 0.3333333333333, 1).floor == Decimal("33.333333333")
    assert allocator.optimize_allocation(100, 0.0333333333333, 1).floor == Decimal("3.333333334")


def test_the_callers_decimal_context_is_nobodys_business():
    allocator = allocator_for(2)
    for number in range(2):
        allocator.register_operation(f"agent_{number}", "work", "1.123456789", 2, 0.2)
    with localcontext(Context(prec=3)):
        amounts = allocator.optimize_allocation("123456.789012345", 0.1)
        [first, second] = amounts.operations
    assert exact_sum(amounts.values()) == Decimal("123456.789012345")
    assert {first.amount, second.amount} == set(amounts.values())


def test_floors_that_cannot_be_kept_are_a_named_error():
    allocator = allocator_for(3)
    for number in range(3):
        allocator.register_operation(f"agent_{number}", "work", 5, 10, max_volume=50 if number == 1 else None)
    with pytest.raises(
        InfeasibleAllocationError, match="3 agents cannot have at least 340 of 1000 each: .* at most 1/3"
    ):
        allocator.optimize_allocation(1000, 0.34)
    with pytest.raises(
        ConfigurationError, match='"agent_1" cannot have at least 300: its operations use 250'
    ) as caught:
        allocator.optimize_allocation(1000, 0.3)
    error = caught.value
    assert (error.account, error.requested, error.available, error.limit) == ("agent_1", 300, 250, 1000)
    assert pickle.loads(pickle.dumps(error)).to_dict() == error.to_dict()  # noqa: S301 - our own bytes
    assert allocator.optimize_allocation(1000, 0.25)["agent_1"] >= 250


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"total_budget": -1}, InvalidAmountError, "total_budget must not be negative"),
        ({"total_budget": 1.5}, TypeError, "total_budget must be a Decimal"),
        ({"min_allocation_percentage": 10}, ConfigurationError, "from 0 to 1, not 10: for 10 % write 0.1"),
        ({"min_allocation_percentage": -0.1}, ConfigurationError, "min_allocation_percentage must be from 0"),
        ({"min_allocation_percentage": True}, TypeError, "must be a number, not True"),
        ({"min_allocation_percentage": "0.1"}, TypeError, "must be a number, not '0.1'"),
        ({"risk_tolerance": float("nan")}, ConfigurationError, "risk_tolerance must be from 0 to 1, not nan"),
        (
            {"risk_tolerance": Decimal("1.1")},
            ConfigurationError,
            "risk_tolerance must be from 0 to 1, not Decimal",
        ),
        ({"risk_tolerance": None}, TypeError, "risk_tolerance must be a number, not None"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    allocator = allocator_for(1)
    allocator.register_operation("agent_0", "work", 1, 2)
    with pytest.raises(error, match=message):
        allocator.optimize_allocation(**({"total_budget": 100} | arguments))


def test_without_operations_there_is_nothing_to_split():
    with pytest.raises(ConfigurationError, match="no agent has an operation: call register_operation first"):
        allocator_for(2).optimize_allocation(100)


def test_an_allocation_is_a_dictionary():
    allocator = allocator_for(2)
    for number in range(2):
        allocator.register_operation(f"agent_{number}", "work", 5, 10 + number, 0.3, max_volume=10)
    allocation = allocator.optimize_allocation(120)
    assert allocation == {"agent_0": 50, "agent_1": 50}
    assert dict(**allocation) == allocation
    assert repr(allocation) == "{'agent_0': Decimal('50'), 'agent_1': Decimal('50')}"
    assert str(allocation) == "agent_0      50  41.7 %\nagent_1      50  41.7 %\nunallocated  20"
    for twin in (pickle.loads(pickle.dumps(allocation)), copy.deepcopy(allocation)):  # noqa: S301 - our own bytes
        assert twin == allocation
        assert (twin.unallocated, twin.explain()) == (20, allocation.explain())


def test_money_moves_when_an_agent_leaves_or_an_operation_is_registered_anew():
    allocator = allocator_for(2)
    coordinator = allocator._coordinator
    for number in range(2):
        allocator.register_operation(f"agent_{number}", "work", 5, 10 + number)
    assert allocator.optimize_allocation(10, risk_tolerance=1) == {"agent_0": 0, "agent_1": 10}
    allocator.register_operation("agent_0", "work", 5, 30)
    assert allocator.optimize_allocation(10, risk_tolerance=1) == {"agent_0": 10, "agent_1": 0}
    coordinator.unregister_agent("agent_0")
    assert allocator.optimize_allocation(10, risk_tolerance=1) == {"agent_1": 10}
    assert [estimate.agent_id for estimate in allocator.get_operations()] == ["agent_1"]


def test_shares_are_what_the_optimum_is_made_of():
    instance = Instance([0, 0, 1], [5, 10, 20], [15, 25, 50], [0.2, 0.4, 0.3], [None] * 3, 1000, 0.1, 0.5)
    allocation = optimize(instance)
    assert shares_of(allocation, instance).tolist() == [0.9, 0, 0.1]
    assert allocation.objective == pytest.approx(instance.objective(shares_of(allocation, instance)))
    assert allocation.expected_benefit == pytest.approx(900 * 3 + 100 * 2.5)
    assert allocation.deviation == pytest.approx(((900 * 0.6) ** 2 + (100 * 0.75) ** 2) ** 0.5)


@pytest.mark.parametrize(
    "arguments",
    [
        (["a"], [1], [1.0], [0.0], [None], 5, 0),
        (["a"], [0], [1.0], [], [None], 5, 0),
        (["a"], [0], [1.0], [0.0], [-1], 5, 0),
        (["a"], [0], [1.0], [0.0], [None], -5, 0),
        (["a"], [0], [1.0], [0.0], [None], 5, -1),
    ],
)
def test_the_native_function_refuses_what_does_not_belong_together(arguments):
    *lists, total, floor = arguments
    with pytest.raises(ConfigurationError, match="lists of one length"):
        split_budget(*lists, total=total, floor=floor, tolerance=0.5)

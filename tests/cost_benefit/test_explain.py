"""Words say what the numbers are: who got what, at what price, and why not more."""

from decimal import Decimal

import pytest

from yardsticks.instances import allocator_for

FLOOR = "; only the floor (2.437 elsewhere)"


def test_before_the_first_allocation_it_says_so(allocator):
    assert allocator.explain() == "nothing was allocated yet: call optimize_allocation"


def test_every_reason_in_words(allocator):
    allocation = allocator.optimize_allocation(1000, 0.1, 0.8)
    assert allocator.explain() == allocation.explain()
    assert allocation.explain().splitlines() == [
        "1000 for 3 agents, at least 100 each, risk tolerance 0.8.",
        "One unit more would be worth 2.437, its return less the discount for risk.",
        "",
        "agent_0      452  █████████████▌ 45.2 %",
        "  translate  200  returns 3 ± 0.6; all that its volume cap admits",
        "  summarise  252  returns 2.5 ± 1, the next unit 2.437 after risk",
        "  rewrite      0  returns 2 ± 0.2; the agent has a better operation without a volume cap",
        "agent_1      448  █████████████▌ 44.8 %",
        "  analyse    448  returns 2.5 ± 0.75, the next unit 2.437 after risk",
        "agent_2      100  ███ 10.0 %",
        "  report     100  returns 0.5 ± 0.15, the next unit 0.4994 after risk" + FLOOR,
    ]


def test_small_amounts_are_written_out(allocator):
    lines = allocator.optimize_allocation("0.000000003", 0, 1).explain().splitlines()
    assert lines[0] == "0.000000003 for 3 agents, at least 0 each, risk tolerance 1."
    assert lines[3].startswith("agent_0      0.000000003  ██████████████████████████████ 100.0 %")


def test_reasons_as_values(allocator):
    allocation = allocator.optimize_allocation(1000, 0, 1)
    reasons = {share.operation_type: share.reason for share in allocation.operations}
    assert reasons == {
        "translate": "volume",
        "summarise": "price",
        "rewrite": "unreachable",
        "analyse": "price",
        "report": "outbid",
    }
    assert allocation.price == 2.5
    assert [share.marginal for share in allocation.operations] == [3, 2.5, 2, 2.5, 0.5]


def test_no_risk_and_all_risk_speak_of_no_discount(allocator):
    for tolerance in (0, 1):
        assert "after risk" not in allocator.optimize_allocation(1000, 0.1, tolerance).explain()


def test_what_is_left_over_is_told(allocator):
    coordinator = allocator._coordinator
    for agent in ("agent_1", "agent_2"):
        coordinator.unregister_agent(agent)
    allocator.register_operation("agent_0", "summarise", 10, 25, 0.4, max_volume=1)
    allocator.register_operation("agent_0", "rewrite", 10, 20, 0.1, max_volume=1)
    told = allocator.optimize_allocation(1000).explain().splitlines()
    assert told[:2] == [
        "1000 for 1 agent, at least 0 each, risk tolerance 0.5.",
        "780 is unallocated: all volume caps are reached.",
    ]


def test_the_price_is_what_one_unit_more_would_add():
    allocator = allocator_for(3)
    for number, (benefit, variability) in enumerate(((15, 0.2), (12, 0.3), (9, 0.1))):
        allocator.register_operation(f"agent_{number}", "work", 5, benefit, variability)

    def worth(total):
        """The objective in money: of 1000, so that discounts for risk stay as they are."""
        found = allocator.optimize_allocation(total, 0, 0.4)
        spread = sum((share.deviation * float(share.amount)) ** 2 for share in found.operations)
        return found.expected_benefit - (1 - 0.4) / (2 * 0.4) * spread / 1000

    step = Decimal("0.01")
    slope = (worth(1000 + step) - worth(1000 - step)) / 0.02
    assert allocator.optimize_allocation(1000, 0, 0.4).price == pytest.approx(slope, rel=1e-4)

"""A picture shows what was allocated: what is drawn is read back and compared."""

import sys

import pytest

from safeguards import ConfigurationError, MissingExtraError
from safeguards.budget.cost_benefit.plots import plot_allocation


def test_areas_lines_and_crosses(allocator):
    allocation = allocator.optimize_allocation(1000, 0.1, 0.8)
    axes = plot_allocation(allocation, title="Why").axes[0]
    areas = {patch.get_gid(): patch for patch in axes.patches}
    shares = {f"{share.agent_id}/{share.operation_type}": share for share in allocation.operations}
    assert set(areas) == {name for name, share in shares.items() if share.amount}
    for name, patch in areas.items():
        (left, _), (_, first), (right, last), *_ = patch.get_xy()
        assert right - left == pytest.approx(float(shares[name].amount))
        assert (first, last) == pytest.approx((shares[name].roi, shares[name].marginal))
        assert (patch.get_hatch() is not None) == (shares[name].reason == "floor")
    lines = {line.get_gid(): line for line in axes.lines}
    assert set(lines) - {"behind-the-price"} == {"price", "cap-agent_0/translate", "agent_0/rewrite"}
    assert set(lines["price"].get_ydata()) == {allocation.price}
    assert axes.get_xlim() == (0, 1000)
    assert axes.get_title(loc="left") == "Why"


def test_without_a_price_and_without_any_tolerance(allocator):
    allocator.register_operation("agent_0", "summarise", 10, 25, 0.4, max_volume=1)
    allocator.register_operation("agent_0", "rewrite", 10, 20, 0.1, max_volume=1)
    for agent, operation in (("agent_1", "analyse"), ("agent_2", "report")):
        allocator.register_operation(agent, operation, 20, 50, 0.3, max_volume=1)
    axes = plot_allocation(allocator.optimize_allocation(1000, 0, 0.5)).axes[0]
    assert "price" not in {line.get_gid() for line in axes.lines}
    careful = plot_allocation(allocator.optimize_allocation(100, 0, 0)).axes[0]
    assert careful.get_ylim()[0] < 0


def test_nothing_is_not_drawn(allocator):
    with pytest.raises(ConfigurationError, match="nothing was allocated"):
        plot_allocation(allocator.optimize_allocation(0))


def test_a_missing_extra_is_a_named_error(allocator, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"budget-safeguards\[plot\]"):
        plot_allocation(allocator.optimize_allocation(100))

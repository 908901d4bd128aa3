"""The optimum is HiGHS's on a thousand random instances, and its ends are what they should be."""

import pytest

from safeguards import InfeasibleAllocationError
from yardsticks.instances import optimize, random_instance, shares_of

pytest.importorskip("highspy")

from yardsticks.highs import solve

BATCHES = 10
PER_BATCH = 100


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_thousand_random_instances_agree_with_highs(batch):
    infeasible = 0
    for seed in range(batch * PER_BATCH, (batch + 1) * PER_BATCH):
        instance = random_instance(seed)
        best = solve(instance)
        if best is None:
            infeasible += 1
            with pytest.raises(InfeasibleAllocationError):
                optimize(instance)
            continue
        allocation = optimize(instance)
        ours, theirs = instance.objective(shares_of(allocation, instance)), instance.objective(best)
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6), (seed, instance)
        assert allocation.objective == pytest.approx(ours, rel=1e-9, abs=1e-9)
    assert infeasible < PER_BATCH / 2

"""Three agents with five operations, one of which has a limited volume."""

import pytest

from yardsticks.instances import allocator_for


@pytest.fixture
def allocator():
    allocator = allocator_for(3)
    allocator.register_operation("agent_0", "translate", 5, 15, 0.2, max_volume=40)
    allocator.register_operation("agent_0", "summarise", 10, 25, 0.4)
    allocator.register_operation("agent_0", "rewrite", 10, 20, 0.1)
    allocator.register_operation("agent_1", "analyse", 20, 50, 0.3)
    allocator.register_operation("agent_2", "report", 20, 10, 0.3)
    return allocator

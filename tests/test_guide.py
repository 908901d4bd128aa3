"""The guide's code runs as it is printed.

Its nine blocks share one namespace, as a reader types them into one session. `NotificationManager`, which
the first block uses and forgets to import, is imported beforehand.
"""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from safeguards import BudgetCoordinator, NotificationManager

GUIDE = Path(__file__).parent / "data" / "dynamic_budget.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
POOL_SIZING, REALLOCATION, RATE_LIMITING, COST_BENEFIT = 0, 1, 2, 7
LEARNING = 5

# Blocks that need a module of a later part, by position. This list may only shrink.
NOT_YET_BUILT = {
    1: "safeguards.core.dynamic_budget",
    3: "safeguards.budget.time_scheduler",
    4: "safeguards.budget.pattern_learner",
    6: "safeguards.budget.multi_resource",
    8: "safeguards.budget.federation",
}


def namespace():
    coordinator = BudgetCoordinator(NotificationManager())
    pool_id = coordinator.create_budget_pool(name="adaptive_pool", initial_budget=Decimal(1000), priority=7)
    for i in range(4):
        coordinator.register_agent(f"agent_{i}", pool_id, initial_budget=Decimal(50))
    names = {
        "NotificationManager": NotificationManager,
        "budget_coordinator": coordinator,
        "pool_id": pool_id,
    }
    return names | {"agent_ids": coordinator.get_all_agent_ids()}


def execute(position, names):
    exec(compile(BLOCKS[position], f"guide block {position}", "exec"), names)  # noqa: S102 - what this test is for


def test_the_guide_has_nine_blocks():
    assert len(BLOCKS) == 9


@pytest.mark.parametrize("position", NOT_YET_BUILT)
def test_blocks_of_later_parts_really_need_them(position):
    with pytest.raises(ImportError) as caught:
        execute(position, namespace())
    assert caught.value.name == NOT_YET_BUILT[position]


def test_all_that_is_built_runs_in_one_namespace():
    names = namespace()
    for position in range(len(BLOCKS)):
        if position not in NOT_YET_BUILT:
            execute(position, names)
        elif position == REALLOCATION:  # later blocks speak of the agents that it registers
            for i in range(4):
                names["budget_coordinator"].register_agent(f"agent_{i}", names["pool_id"], initial_budget=50)
    names["pool_sizer"].stop()
    names["rl_optimizer"].stop()
    assert set(range(len(BLOCKS))) - NOT_YET_BUILT.keys() == {
        POOL_SIZING,
        RATE_LIMITING,
        LEARNING,
        COST_BENEFIT,
    }


def test_the_rate_limiting_block_limits():
    names = namespace()
    execute(RATE_LIMITING, names)
    operate, coordinator = names["execute_agent_operation"], names["budget_coordinator"]
    assert operate("agent_3", Decimal("9.5")) == {"status": "success", "cost": Decimal("9.5")}
    refused = operate("agent_3", Decimal("0.6"))
    assert refused["message"] == "Rate limit exceeded"
    assert 3590 < refused["retry_after_seconds"] <= 3600
    limits = {agent: names["rate_limiter"].get_rate_limits(agent) for agent in names["agent_ids"]}
    assert {agent: limit.max_budget for agent, [limit] in limits.items()} == {
        "agent_0": 100,
        "agent_1": 50,
        "agent_2": 25,
        "agent_3": 10,
    }
    assert {limit.time_window for [limit] in limits.values()} == {timedelta(hours=1)}
    [event] = coordinator.get_agent_usage_history("agent_3")
    assert (event.amount, event.source) == (Decimal("9.5"), "recorded")
    coordinator.verify()


def test_the_cost_benefit_block_allocates_what_returns_most(capsys):
    names = namespace()
    execute(COST_BENEFIT, names)
    # 3 - 0.36 w is worth more than 2.5 - 0.5625 (1 - w) wherever the floor of 0.1 leaves room.
    assert names["optimized_allocation"] == {"agent_0": 900, "agent_1": 100}
    budgets = [names["budget_coordinator"].get_budget(agent) for agent in names["agent_ids"]]
    assert budgets == [900, 100, 50, 50]
    assert capsys.readouterr().out.splitlines() == [
        "Allocated 900 to agent_0 based on cost-benefit analysis",
        "Allocated 100 to agent_1 based on cost-benefit analysis",
        "Allocation effectiveness: no outcomes recorded in the last 7 days: record them with record_outcome",
    ]
    names["budget_coordinator"].verify()


def test_the_pool_sizing_block_sizes():
    names = namespace()
    execute(POOL_SIZING, names)
    coordinator, sizer, pool = names["budget_coordinator"], names["pool_sizer"], names["pool_id"]
    assert sizer.running
    assert coordinator.get_pool_budget(pool) == 1000, "it never acts at once"
    assert sizer.run_once() == [], "too few agents"
    for i in range(3):
        coordinator.register_agent(f"agent_{i}", pool, initial_budget=500)
    coordinator.debit("agent_0", 400)
    coordinator.debit("agent_1", Decimal("300.01"))
    [decision] = sizer.run_once()
    assert (decision.old, decision.new, decision.status) == (1000, 1200, "applied")
    assert coordinator.get_pool_budget(pool) == Decimal("499.99")
    assert sizer.evaluate()[0].new == 1080, "58 % of 1200 is used: it shrinks by a tenth"
    sizer.stop()
    coordinator.verify()


def test_the_learning_block_begins_with_the_step_rule(capsys):
    names = namespace()
    execute(LEARNING, names)
    coordinator, optimizer = names["budget_coordinator"], names["rl_optimizer"]
    assert capsys.readouterr().out == "Learned allocation policy: untrained: step rule in force\n"
    assert (optimizer.running, optimizer.interval_seconds) == (True, 3600)
    coordinator.debit("agent_0", 40)
    decisions = {decision.subject: decision for decision in optimizer.evaluate()}
    assert {agent: decision.new for agent, decision in decisions.items()} == {
        "agent_0": 60,
        "agent_1": 45,
        "agent_2": 45,
        "agent_3": 45,
    }
    assert decisions["agent_0"].reason == "80% of 50 is used, above 70%: step rule, +20%"
    assert coordinator.get_budget("agent_0") == 10
    optimizer.stop()
    coordinator.verify()

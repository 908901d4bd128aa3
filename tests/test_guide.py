"""The guide's code runs as it is printed.

Its nine blocks share one namespace, as a reader types them into one session. `NotificationManager`, which
the first block uses and forgets to import, is imported beforehand.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from safeguards import BudgetCoordinator, ManualClock, NotificationManager

GUIDE = Path(__file__).parent / "data" / "dynamic_budget.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
POOL_SIZING, REALLOCATION, RATE_LIMITING, SCHEDULE, LEARNING = 0, 1, 2, 3, 4
OPTIMIZER, MULTI_RESOURCE, COST_BENEFIT = 5, 6, 7

# Blocks that need a module of a later part, by position. This list may only shrink.
NOT_YET_BUILT = {
    8: "safeguards.budget.federation",
}


def namespace(clock=None):
    coordinator = BudgetCoordinator(NotificationManager(), clock=clock)
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
    names = {"NotificationManager": NotificationManager}
    for position in range(len(BLOCKS)):
        if position not in NOT_YET_BUILT:
            execute(position, names)
    for controller in ("pool_sizer", "reallocator", "scheduler", "rl_optimizer"):
        assert names[controller].running
        names[controller].stop()
    names["learner"].stop_collection()
    assert set(range(len(BLOCKS))) - NOT_YET_BUILT.keys() == {
        POOL_SIZING,
        REALLOCATION,
        RATE_LIMITING,
        SCHEDULE,
        LEARNING,
        OPTIMIZER,
        MULTI_RESOURCE,
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


def test_the_learning_block_learns_and_applies_what_it_is_sure_of(capsys):
    names = namespace() | {"Decimal": Decimal}  # which an earlier block imports
    execute(LEARNING, names)
    learner, coordinator = names["learner"], names["budget_coordinator"]
    assert learner.collecting and not learner.running
    assert (names["prediction"], bool(names["patterns"])) == (None, False)
    names["apply_optimized_budgets"]()
    assert {coordinator.get_budget(agent) for agent in names["agent_ids"]} == {50}
    # Two weeks of the same every hour for one agent, too little of another, nothing but surprises of a third.
    now = coordinator.clock.now()
    hours = [now - timedelta(hours=n) for n in range(336, 0, -1)]
    learner.load_history("agent_0", hours, [Decimal("0.5")] * 336)
    learner.load_history("agent_1", hours[-99:], [1] * 99)
    learner.load_history("agent_2", hours, np.random.default_rng(0).lognormal(0, 3, 336))
    names["apply_optimized_budgets"]()
    assert coordinator.get_budget("agent_0") == pytest.approx(Decimal("14.4"), rel=Decimal("0.02"))
    assert [coordinator.get_budget(f"agent_{i}") for i in (1, 2, 3)] == [50, 50, 50]
    assert capsys.readouterr().out.startswith("Applied optimized budget of 14.")
    patterns = learner.analyze_patterns(agent_id="agent_0", time_bucket_minutes=60)
    assert patterns.mean == pytest.approx(0.5, rel=0.01)
    learner.stop_collection()
    coordinator.verify()


def test_the_optimizer_block_begins_with_the_step_rule(capsys):
    names = namespace()
    execute(OPTIMIZER, names)
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


def test_the_reallocation_block_reallocates():
    names = namespace()
    coordinator, pool = names["budget_coordinator"], names["pool_id"]
    for agent in names["agent_ids"]:
        coordinator.unregister_agent(agent)  # the block registers them itself
    execute(REALLOCATION, names)
    reallocator = names["reallocator"]
    assert reallocator.running
    assert {coordinator.get_budget(agent) for agent in names["agent_ids"]} == {50}, "it never acts at once"
    decisions = reallocator.run_once()
    assert [decision.status for decision in decisions] == ["applied"] * 4
    budgets = [coordinator.get_budget(agent) for agent in names["agent_ids"]]
    assert sum(budgets) == 800, "a fifth of the pool is kept in reserve"
    assert [round(budget, 2) for budget in budgets] == [
        Decimal("426.67"),
        Decimal("213.33"),
        Decimal("106.67"),
        Decimal("53.33"),
    ]
    coordinator.debit("agent_0", 423)
    assert coordinator.get_budget("agent_0") == 10, "an emergency below 5"
    assert reallocator.get_reserve(pool) == Decimal("193.666666667")
    reallocator.stop()
    coordinator.verify()


@pytest.mark.parametrize(
    ("weekday", "hour", "profile"),
    [
        (0, 0, "night_hours"),
        (0, 9, "business_hours"),
        (2, 17, "evening_hours"),
        (3, 22, "night_hours"),
        (4, 23, "night_hours"),
        (5, 0, "weekend"),
        (6, 23, "weekend"),
    ],
)
def test_the_schedule_block_grants_what_is_in_force_at_any_hour_of_the_week(weekday, hour, profile):
    monday = datetime(2026, 1, 5).astimezone()  # in local time, as the guide's hours are
    clock = ManualClock((monday + timedelta(days=weekday, hours=hour)).astimezone(UTC))
    names = namespace(clock)
    execute(SCHEDULE, names)
    scheduler, coordinator, pool = names["scheduler"], names["budget_coordinator"], names["pool_id"]
    budgets = {"business_hours": 5000, "evening_hours": 2000, "night_hours": 500, "weekend": 1000}
    assert scheduler.running
    assert coordinator.get_pool_budget(pool) == budgets[profile]
    [decision] = scheduler.history
    assert (decision.inputs["profile"], decision.old, decision.status) == (profile, 1000, "applied")
    assert scheduler.validate(pool) == []
    following = scheduler.next_transition(pool)
    clock.advance(following.time - clock.now())
    assert coordinator.get_pool_budget(pool) == budgets[following.after]
    scheduler.stop()
    coordinator.verify()


def test_the_multi_resource_block_budgets_each_resource():
    names = namespace()
    execute(MULTI_RESOURCE, names)
    check, update = names["check_multi_resource_budget"], names["update_multi_resource_budget"]
    needed = {"api_calls": Decimal(10), "storage_gb": Decimal("2.5")}
    assert check("agent_0", needed) == (True, "Operation within budget")
    assert update("agent_0", needed) == {
        "api_calls": 990,
        "compute_seconds": 3600,
        "storage_gb": Decimal("7.5"),
        "bandwidth_gb": 20,
    }
    assert check("agent_0", {"storage_gb": Decimal(8)}) == (False, "Insufficient storage_gb budget")
    names["budget_coordinator"].verify()

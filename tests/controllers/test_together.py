"""All controllers at once on recorded demand: weeks pass; nothing breaks, locks up or leaves its bounds."""

import random
import threading
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from safeguards import (
    AdaptivePoolSizer,
    AlertSeverity,
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetTimeScheduler,
    ManualClock,
    PriorityBasedReallocator,
)
from safeguards.backtest import Demand

DEMAND = Path(__file__).parents[1].parent / "examples" / "data" / "servegen_m-large_hourly.csv.gz"
LEAST, MOST = Decimal(20), Decimal(2000)
WEEK = {
    "work": {"budget": 600, "start_time": time(8), "end_time": time(20), "days": [0, 1, 2, 3, 4]},
    "night": {"budget": 150, "start_time": time(20), "end_time": time(8), "days": [0, 1, 2, 3, 4]},
    "weekend": {"budget": 300, "start_time": time(0), "end_time": time(23, 59), "days": [5, 6]},
}


class World:
    """Agents that want what was recorded, hour by hour, below pools that are steered."""

    def __init__(self, seed=0):
        self.random = random.Random(seed)
        self.clock = ManualClock(datetime(2026, 3, 2, tzinfo=UTC))
        self.coordinator = BudgetCoordinator(clock=self.clock)
        self.demand = Demand.read_csv(DEMAND)
        self.agents = [
            agent for agent, row in zip(self.demand.agents, self.demand.cost, strict=True) if row.sum() > 20
        ][:24]
        self.pools = [self.coordinator.create_budget_pool(name, 300) for name in ("sized", "scheduled")]
        self.row = {agent: self.demand.agents.index(agent) for agent in self.agents}
        for n, agent in enumerate(self.agents):
            self.join(agent, n)
        common = {"budget_coordinator": self.coordinator}
        self.sizer = AdaptivePoolSizer(
            **common, adjustment_interval_seconds=3600, min_pool_budget=LEAST, max_pool_budget=MOST
        )
        self.sizer.configure_pool("sized", min_agents_for_adjustment=1)
        self.reallocator = PriorityBasedReallocator(
            **common, reallocation_interval_seconds=1800, emergency_threshold=1
        )
        self.scheduler = BudgetTimeScheduler(self.coordinator, timezone="UTC")
        self.scheduler.add_time_profile("scheduled", WEEK)
        self.learner = BudgetPatternLearner(**common, min_data_points=50)
        self.controllers = (self.sizer, self.reallocator, self.scheduler, self.learner)

    def join(self, agent, n):
        self.coordinator.register_agent(agent, self.pools[n % 2], 1 + n % 10, initial_budget=20)

    def hour(self, hour):
        """Spends an hour's demand in a few debits; now and then somebody leaves, or comes back."""
        for _ in range(4):
            for agent in self.coordinator.get_all_agent_ids():
                wanted = Decimal(f"{self.demand.cost[self.row[agent]][hour % self.demand.hours] / 4:.9f}")
                self.coordinator.try_debit(agent, wanted)
            self.clock.advance(timedelta(minutes=15))
        if self.random.random() < 0.1:
            agent = self.random.choice(self.agents)
            if agent in self.coordinator.get_all_agent_ids():
                self.coordinator.unregister_agent(agent)
            else:
                self.join(agent, self.agents.index(agent))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(2))
def test_two_weeks_of_all_controllers_at_once(seed):
    world = World(seed)
    coordinator = world.coordinator
    order = []
    for controller in world.controllers:
        controller.on_decision(lambda decision: order.append(decision.time))
        controller.start()
    for hour in range(14 * 24):
        world.hour(hour)
        if hour % 12 == 0:
            coordinator.verify()
    for controller in world.controllers:
        assert controller.running
        controller.stop()
    coordinator.verify()

    assert order == sorted(order)
    for controller in world.controllers:
        assert controller.history, controller
        assert {decision.status for decision in controller.history} <= {"applied", "failed"}, controller
    sizes = [decision.new for decision in world.sizer.history]
    assert all(LEAST <= size <= MOST for size in sizes)
    assert {decision.subject for decision in world.sizer.history} == {"sized"}
    grants = [decision for decision in world.scheduler.history if decision.status == "applied"]
    assert [d.new for d in grants[:5]] == [150, 600, 150, 600, 150]
    # A night from Monday 0:00, five days, five nights, the weekend: twice, and the third Monday begins.
    assert len(grants) == 2 * 12 + 1
    errors = coordinator.notification_manager.get_alerts(AlertSeverity.ERROR)
    assert not [alert for alert in errors if "failed" in alert.title], errors


@pytest.mark.timeout(120)
def test_the_same_seed_gives_the_same_decisions():
    def decisions():
        world = World(seed=3)
        for controller in world.controllers:
            controller.start()
        for hour in range(3 * 24):
            world.hour(hour)
        return [str(d) for controller in world.controllers for d in controller.history]

    first = decisions()
    assert len(first) > 100
    assert first == decisions()


@pytest.mark.timeout(120)
def test_threads_spend_while_all_controllers_run():
    """On the system's clocks, with intervals of milliseconds: hang means failure."""
    coordinator = BudgetCoordinator()
    pool = coordinator.create_budget_pool("team", 500)
    agents = [coordinator.register_agent(f"a{i}", pool, 1 + i % 10, initial_budget=30) for i in range(8)]
    sizer = AdaptivePoolSizer(coordinator, 0.003, min_pool_budget=100, max_pool_budget=1000)
    sizer.configure_pool(pool, min_agents_for_adjustment=1)
    reallocator = PriorityBasedReallocator(coordinator, 0.002, "0.5")
    deadline = threading.Event()
    spent = dict.fromkeys(agents, 0)

    def spend(agent):
        while not deadline.is_set():
            spent[agent] += coordinator.try_debit(agent, "0.001")

    def meddle():
        """Stops, starts, pins and asks, as people do."""
        while not deadline.is_set():
            for controller in (sizer, reallocator):
                controller.stop()
                controller.evaluate()
                controller.start()
                coordinator.pin(pool)
                controller.run_once()
                coordinator.unpin(pool)

    threads = [threading.Thread(target=spend, args=(agent,)) for agent in agents]
    threads.append(threading.Thread(target=meddle))
    with sizer, reallocator:
        for thread in threads:
            thread.start()
        threads[-1].join(timeout=2.0)
        deadline.set()
        for thread in threads:
            thread.join(timeout=60)
            assert not thread.is_alive(), "it hangs"
    coordinator.verify()
    assert coordinator.get_pool_metrics(pool).spent == sum(spent.values()) * Decimal("0.001")
    assert sizer.history
    assert reallocator.history

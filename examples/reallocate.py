"""Ten agents share one hourly pool: parts by priority that never change, and parts that follow the need.

The demand is real: tweets about ten companies, scaled so that each wants 1.00 an hour on average. Two weeks
pass on a clock that is moved by hand; each hour's demand comes as twelve equal debits an agent, all agents
side by side.
"""

import csv
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from safeguards import BudgetCoordinator, ManualClock, PriorityBasedReallocator

RECORD = Path(__file__).parent / "data" / "nab_tweets_hourly.csv"
HOURS, DEBITS, POOL = 336, 12, 13
PRIORITIES = [10, 8, 5, 3, 10, 8, 5, 3, 10, 8]
WEIGHTS = {10: 4.0, 8: 2.0, 5: 1.0, 3: 0.5}


def record() -> dict[str, list[Decimal]]:
    """The price of one debit in each hour, by agent."""
    head, *rows = csv.reader(RECORD.read_text(encoding="utf-8").splitlines())
    columns = [[int(row[i]) for row in rows[:HOURS]] for i in range(1, len(head))]
    means = [sum(column) / HOURS for column in columns]
    return {
        name: [Decimal(f"{count / mean / DEBITS:.9f}") for count in column]
        for name, column, mean in zip(head[1:], columns, means, strict=True)
    }


def two_weeks(prices: dict[str, list[Decimal]], *, follows: bool) -> tuple[int, Decimal, int]:
    """Agent-hours that ran out of budget, what was spent in all, and grants from the reserve."""
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock)
    team = coordinator.create_budget_pool("team", POOL, budget_period=timedelta(hours=1))
    whole = sum(WEIGHTS[priority] for priority in PRIORITIES)
    part = {}
    for agent, priority in zip(prices, PRIORITIES, strict=True):
        part[agent] = POOL * Decimal(WEIGHTS[priority] / whole)
        coordinator.register_agent(agent, team, priority, part[agent])
    reallocator = PriorityBasedReallocator(coordinator, 3600, emergency_threshold="0.10")
    reallocator.configure(min_budget_percentage=0.1, priority_weights=WEIGHTS)
    if follows:
        reallocator.start()
    exhausted = 0
    for hour in range(HOURS):
        clock.advance(3600)
        if not follows:
            for agent, budget in part.items():
                coordinator.update_budget(agent, budget)
        refused = set()
        for _ in range(DEBITS):
            refused |= {agent for agent in prices if not coordinator.try_debit(agent, prices[agent][hour])}
        exhausted += len(refused)
    reallocator.stop()
    coordinator.verify()
    grants = [decision for decision in reallocator.history if decision.inputs["from"] == "reserve"]
    return exhausted, coordinator.get_pool_metrics(team).spent, len(grants)


def main() -> None:
    """Prints both."""
    prices = record()
    for name, follows in (("parts by priority", False), ("reallocated", True)):
        exhausted, spent, grants = two_weeks(prices, follows=follows)
        line = f"{name:18}{exhausted:5} of 3,360 agent-hours ran out, {spent:8.2f} spent"
        print(line + (f", {grants:,} grants from the reserve" if follows else ""))


if __name__ == "__main__":
    main()

"""Four agents work for two weeks; the learner watches, says what it saw, and sets tomorrow's budgets.

The clock is a `ManualClock`, so two weeks pass in a second; with the system's clock the same program learns
from live traffic.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from safeguards import BudgetCoordinator, BudgetPatternLearner, ManualClock

DRAWS = np.random.default_rng(7)


def support(hour: int, weekday: int) -> float:
    """Answers people: by day, less at weekends."""
    return (0.4 + 2.0 * (8 <= hour < 20)) * (0.4 if weekday >= 5 else 1.0)


def nightly(hour: int, _: int) -> float:
    """Reads the day's documents from one to four in the morning."""
    return 12.0 if 1 <= hour < 4 else 0.0


def steady(*_: int) -> float:
    """Watches a queue."""
    return 0.75


def erratic(*_: int) -> float:
    """Is asked by developers: mostly nothing, sometimes a lot."""
    return float(DRAWS.pareto(0.9)) * (DRAWS.random() < 0.15)


NEEDS = {"support": support, "nightly": nightly, "steady": steady, "erratic": erratic}


def work(coordinator: BudgetCoordinator, clock: ManualClock, hours: int) -> dict[str, Decimal]:
    """Lets the agents spend for some hours; returns what each of them spent."""
    spent = dict.fromkeys(NEEDS, Decimal(0))
    for _ in range(hours):
        now = clock.now()
        for agent, need in NEEDS.items():
            cost = round(Decimal(need(now.hour, now.weekday()) * DRAWS.lognormal(0, 0.15)), 6)
            coordinator.debit(agent, cost)
            spent[agent] += cost
        clock.advance(timedelta(hours=1))
    return spent


def main() -> None:
    """Learns, predicts, applies, and compares with what comes."""
    clock = ManualClock(datetime(2026, 3, 2, tzinfo=UTC))
    coordinator = BudgetCoordinator(clock=clock)
    pool = coordinator.create_budget_pool("team", 1_000_000)
    for agent in NEEDS:
        coordinator.register_agent(agent, pool, initial_budget=10_000)

    learner = BudgetPatternLearner(coordinator, min_data_points=30, timezone=UTC)
    learner.start_collection()
    work(coordinator, clock, 16 * 24)
    print(learner.analyze_patterns("nightly"))

    print("\ntomorrow    foreseen     80% interval  confidence")
    predictions = {agent: learner.predict_budget_needs(agent, clock.now(), 24) for agent in NEEDS}
    for agent, found in predictions.items():
        if found:
            interval = f"{found.lower:.1f} to {found.upper:.1f}"
            print(f"{agent:<10} {found.predicted_budget:9.1f} {interval:>16} {found.confidence:11.0%}")

    print("\ndecisions")
    for decision in learner.run_once():
        print(f"{decision.subject:<10} {decision.old:9.1f} -> {decision.new:.1f}")
    budgets = {agent: coordinator.get_budget(agent) for agent in NEEDS}
    spent = work(coordinator, clock, 24)
    for agent in NEEDS:
        print(f"{agent:<10} spent {spent[agent]:6.1f} of {budgets[agent]:.1f}")
    learner.stop_collection()


if __name__ == "__main__":
    main()

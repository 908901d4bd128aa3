"""Two weeks of a real LLM service pass in seconds: budgets by the step rule, and by what was learnt.

What twelve tenants wanted was recorded; each hour's demand comes as ten equal requests, and those that do not
fit are refused. The optimizer begins with the step rule, trains in the night, and takes over when its policy
was better on days that it had not learnt from. The clock is moved by hand.
"""

from pathlib import Path

from safeguards import BudgetCoordinator, BudgetRLOptimizer, ManualClock, RewardWeights
from safeguards.backtest import Demand

RECORD = Path(__file__).parent / "data" / "servegen_m-large_hourly.csv.gz"
TENANTS = 12
REQUESTS = 10
WEEK = 168


def record() -> dict[str, list[str]]:
    """The price of one request in each hour, of the most active tenants; a mean hour is 10.00."""
    demand = Demand.read_csv(RECORD)
    active = (demand.cost > 0).sum(axis=1).argsort(kind="stable")[-TENANTS:]
    rows = {demand.agents[i]: demand.cost[i] / demand.cost[i].mean() for i in active}
    return {name: [f"{cost * 10 / REQUESTS:.6f}" for cost in row] for name, row in rows.items()}


def two_weeks(prices: dict[str, list[str]], reward: RewardWeights) -> BudgetRLOptimizer:
    """Lets tenants spend what they wanted, as far as their budgets reach."""
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("service", 10**9)
    for tenant in prices:
        coordinator.register_agent(tenant, "service", initial_budget=14)
    optimizer = BudgetRLOptimizer(coordinator, seed=1)
    optimizer.configure(reward)
    with optimizer:
        for hour in range(2 * WEEK):
            for tenant, price in prices.items():
                for _ in range(REQUESTS):
                    coordinator.try_debit(tenant, price[hour])
            clock.advance(3600)
    coordinator.verify()
    return optimizer


def main() -> None:
    """Prints what week two was like under each rule."""
    prices = record()
    print(f"{'week two':24}{'reward':>8}{'exhausted':>12}{'used':>8}{'by a learned policy':>22}")
    indifferent = RewardWeights(0, 0, 0, 0)  # nothing is better than anything: the step rule stays in force
    reward = RewardWeights(completed_task=1)
    for name, pursued in {"the step rule": indifferent, "the optimizer": reward}.items():
        optimizer = two_weeks(prices, pursued)
        decisions = optimizer.history[-TENANTS * WEEK :]
        hours = [{**d.inputs, "budget_change": float(d.new - d.old)} for d in decisions]
        told = [{**hour, "utilization": min(hour["utilization"], 1.0)} for hour in hours]
        means = [
            sum(reward({}, hour, hour) for hour in told) / len(told),
            sum(hour["exhausted"] for hour in told) / len(told),
            sum(hour["utilization"] for hour in told) / len(told),
            sum(hour["policy"] != "step" for hour in told) / len(told),
        ]
        print(f"{name:24}{means[0]:>8.1f}{means[1]:>12.1%}{means[2]:>8.1%}{means[3]:>22.0%}")
    print()
    print("\n".join(str(optimizer.get_policy()).splitlines()[3:13]))


if __name__ == "__main__":
    main()

"""Two weeks of a real LLM service pass in a second: hourly pools, sized by the guide's rule and by forecasts.

Each of twenty tenants has a pool that is granted anew every hour. What they wanted was recorded; each hour's
demand comes as ten equal requests, and those that do not fit are refused. The clock is moved by hand, so the
sizers run as they would in two weeks.
"""

from decimal import Decimal
from pathlib import Path

from safeguards import AdaptivePoolSizer, BudgetCoordinator, ManualClock
from safeguards.backtest import Demand

RECORD = Path(__file__).parent / "data" / "servegen_m-large_hourly.csv.gz"
TENANTS = 20
REQUESTS = 10
WEEK = 168


def record() -> dict[str, list[Decimal]]:
    """The price of one request in each hour, of the tenants that were active in most hours."""
    demand = Demand.read_csv(RECORD)
    active = (demand.cost > 0).sum(axis=1).argsort(kind="stable")[-TENANTS:]
    return {demand.agents[i]: [Decimal(f"{cost / REQUESTS:.9f}") for cost in demand.cost[i]] for i in active}


def two_weeks(prices: dict[str, list[Decimal]], policy: str, **rule: float) -> tuple[float, float]:
    """Lets a sizer run; returns what week two was refused, and was granted, for 1.00 wanted."""
    clock = ManualClock()
    coordinator = BudgetCoordinator(clock=clock)
    sizer = AdaptivePoolSizer(coordinator)
    for tenant, price in prices.items():
        first_day = sum(price[:24]) * REQUESTS / 24
        pool = coordinator.create_budget_pool(tenant, first_day, budget_period="hourly", timezone="UTC")
        coordinator.register_agent(tenant, pool, initial_budget=10**9)
        sizer.configure_pool(pool, min_agents_for_adjustment=1, policy=policy, **rule)
    refused, granted = [], []
    with sizer:
        for hour in range(2 * WEEK):
            for tenant, price in prices.items():
                wanted = float(price[hour]) * REQUESTS
                admitted = sum(coordinator.try_debit(tenant, price[hour]) for _ in range(REQUESTS))
                if hour >= WEEK:
                    mean = float(sum(price[WEEK:])) * REQUESTS / WEEK
                    refused.append(wanted * (1 - admitted / REQUESTS) / mean)
                    granted.append(float(coordinator.get_pool_metrics(tenant).period_granted) / mean)
            clock.advance(3600)
    coordinator.verify()
    return sum(refused) / len(refused), sum(granted) / len(granted)


def main() -> None:
    """Prints what each policy refused."""
    prices = record()
    print(f"{'policy':32}{'refused':>8}{'granted for 1.00 wanted':>26}")
    for name, rule in {
        "step": {"policy": "step"},
        "auto": {"policy": "auto"},
        "predictive, 70% use": {"policy": "predictive"},
        "predictive, short in 5% of hours": {"policy": "predictive", "exhaustion_rate": 0.05},
    }.items():
        refused, granted = two_weeks(prices, **rule)
        print(f"{name:32}{refused:>8.1%}{granted:>26.2f}")


if __name__ == "__main__":
    main()

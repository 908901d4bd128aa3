"""Fifty asyncio tasks share a budget of 1.00. Each reserves 0.10 and costs 0.06."""

import asyncio

from safeguards import BudgetCoordinator


async def work(coordinator: BudgetCoordinator, agent: str, number: int) -> bool:
    """One task: True if it was paid for."""
    reservation = coordinator.try_reserve(agent, "0.10")
    if reservation is None:
        return False
    async with reservation:
        await asyncio.sleep(0.001 * number)  # the model thinks
        reservation.settle("0.06")
    return True


async def main() -> None:
    """Two waves: the second is paid from what the first returned."""
    coordinator = BudgetCoordinator()
    pool = coordinator.create_budget_pool("pool", "1.00")
    agent = coordinator.register_agent("crowd", pool, initial_budget="1.00")
    for wave in (1, 2):
        paid = await asyncio.gather(*(work(coordinator, agent, number) for number in range(50)))
        print(f"wave {wave}: {sum(paid)} of {len(paid)} paid for, {coordinator.get_budget(agent)} left")


if __name__ == "__main__":
    asyncio.run(main())

"""Four agents share a cluster: fair shares become budgets, and threads spend them to the last task.

The trainer and the renderer want the few GPUs, the scraper wants processors, the cache wants memory. Each
gets the same part of what it needs most, and what the others cannot use. The capacities hold the line behind
the budgets.
"""

from concurrent.futures import ThreadPoolExecutor

from safeguards import BudgetCoordinator, MultiResourceBudget, fair_shares

CAPACITIES = {"gpu": 6, "cpu": 96, "memory_gb": 600}
DEMANDS = {
    "trainer": {"gpu": 1, "cpu": 2, "memory_gb": 8},
    "renderer": {"gpu": "0.5", "cpu": 4, "memory_gb": 8},
    "scraper": {"cpu": 1, "memory_gb": 1},
    "cache": {"memory_gb": 16},
}
"""What one task of each agent takes."""


def main() -> None:
    """Divides the cluster, lets every agent start as many tasks as it can pay for, and says what is left."""
    coordinator = BudgetCoordinator()
    team = coordinator.create_budget_pool("team", 0)
    resources = MultiResourceBudget(coordinator)
    for resource, capacity in CAPACITIES.items():
        resources.set_capacity(resource, capacity)

    for agent, share in fair_shares(DEMANDS, CAPACITIES).items():
        coordinator.register_agent(agent, team)
        resources.initialize_budgets(agent, share.allocation)
        part = f"{share.dominant_share:.1%} of {share.dominant_resource}"
        print(f"{agent:9}{share.tasks:>7} tasks, {part:19} until {share.limited_by} is used up")

    def run(agent: str) -> int:
        """Starts tasks until one is refused; a task takes all of its resources or none."""
        tasks = 0
        while resources.try_debit(agent, DEMANDS[agent], operation_type="task"):
            tasks += 1
        return tasks

    with ThreadPoolExecutor(len(DEMANDS)) as pool:
        started = dict(zip(DEMANDS, pool.map(run, DEMANDS), strict=True))
    print("started:", ", ".join(f"{agent} {tasks}" for agent, tasks in started.items()))
    print("left:", ", ".join(f"{resources.get_capacity(name)} {name}" for name in CAPACITIES))
    resources.verify()


if __name__ == "__main__":
    main()

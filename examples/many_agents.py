"""A hundred thousand agents below one pool, half a million debits in one call."""

import numpy as np

from safeguards import BudgetCoordinator

AGENTS = 100_000
DEBITS = 500_000
UNITS_PER_ONE = 1_000_000_000


def main() -> None:
    """Debits random agents by up to 0.001 each, beyond what the pool can pay."""
    coordinator = BudgetCoordinator()
    pool = coordinator.create_budget_pool("fleet", "200.00")
    for number in range(AGENTS):
        coordinator.register_agent(f"agent-{number}", pool, initial_budget="0.01")
    handles = np.array([coordinator.handle(f"agent-{number}") for number in range(AGENTS)], dtype=np.uint32)

    rng = np.random.default_rng(seed=1)
    chosen = rng.choice(handles, DEBITS)
    units = rng.integers(1, UNITS_PER_ONE // 1_000, DEBITS, dtype=np.int64)
    admitted = coordinator.debit_many(chosen, units, operation_type="tool")

    charged = int(units[admitted].sum())
    spent = coordinator.get_pool_metrics(pool).spent
    print(f"{admitted.sum():,} of {DEBITS:,} admitted, {spent} spent of 200")
    print("exact:", spent * UNITS_PER_ONE == charged)
    coordinator.verify()


if __name__ == "__main__":
    main()

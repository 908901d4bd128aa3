"""The adaptive strategy once more, in numpy, written from the paper: what the native one must equal."""

import numpy as np


def adaptive_twin(capacities, attitudes, adjusting_rate, scaling_factor):
    """Loads (T, Q) of N agents that start with attitudes (N, Q)."""
    a = np.array(attitudes, dtype=np.float64)
    n_agents, n_resources = a.shape
    everybody = np.arange(n_agents)
    hits = np.zeros((n_agents, n_resources), dtype=np.int64)
    loads = np.zeros(capacities.shape, dtype=np.int64)
    for i, c in enumerate(capacities):
        t = i + 1
        if t <= 2:
            p = c / c.sum()
        else:
            c1, c2 = capacities[i - 1], capacities[i - 2]
            p = ((c1 + (c1 - c2)) * scaling_factor) / c1.sum()
        attractiveness = (1.0 - a) * (hits / t) + a * p
        choices = attractiveness.argmax(axis=1)
        loads[i] = np.bincount(choices, minlength=n_resources)
        won = (loads[i] <= c)[choices]
        hits[everybody, choices] += won
        moved = a[everybody, choices] + np.where(won, adjusting_rate, -adjusting_rate)
        a[everybody, choices] = np.clip(moved, 0.0, 1.0)
    return loads

"""The adaptive strategy once more, in numpy, written from the paper: what the native one must equal."""

from __future__ import annotations

import itertools

import numpy as np


def adaptive_twin(
    capacities: np.ndarray,
    attitudes: np.ndarray,
    adjusting_rate: float,
    scaling_factor: float,
    *,
    task_units: int = 1,
    task_steps: int = 1,
) -> np.ndarray:
    """Loads (T, Q) in units of N agents that start with attitudes (N, Q)."""
    a = np.array(attitudes, dtype=np.float64)
    n_agents, n_resources = a.shape
    hits = np.zeros((n_agents, n_resources), dtype=np.int64)
    choices = np.zeros(n_agents, dtype=np.int64)
    bounds = [n_agents * k // task_steps for k in range(task_steps + 1)]
    cohorts = [np.arange(*pair) for pair in itertools.pairwise(bounds)]
    won = np.zeros(n_agents, dtype=bool)
    loads = np.zeros(capacities.shape, dtype=np.int64)
    visible = capacities / task_units
    for i, c in enumerate(capacities):
        t = i + 1
        if t <= 2:
            p = visible[i] / visible[i].sum()
        else:
            c1, c2 = visible[i - 1], visible[i - 2]
            p = ((c1 + (c1 - c2)) * scaling_factor) / c1.sum()
        due = np.arange(n_agents) if t == 1 else cohorts[(t - 2) % task_steps]
        if t > 1:
            chosen = choices[due]
            hits[due, chosen] += won[due]
            moved = a[due, chosen] + np.where(won[due], adjusting_rate, -adjusting_rate)
            a[due, chosen] = np.clip(moved, 0.0, 1.0)
        attractiveness = (1.0 - a[due]) * (hits[due] / t) + a[due] * p
        choices[due] = attractiveness.argmax(axis=1)
        loads[i] = np.bincount(choices, minlength=n_resources) * task_units
        won[due] = (loads[i] <= c)[choices[due]]
    return loads

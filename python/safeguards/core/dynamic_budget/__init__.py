"""Budgets that follow demand: how large a pool is."""

from safeguards.core.dynamic_budget.pool_sizer import AdaptivePoolSizer

__all__ = ["AdaptivePoolSizer"]

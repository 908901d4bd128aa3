"""Budgets that follow demand: how large a pool is, and who has how much of it."""

from safeguards._later import later
from safeguards.core.dynamic_budget.pool_sizer import AdaptivePoolSizer
from safeguards.core.dynamic_budget.reallocator import PriorityBasedReallocator

__all__ = ["AdaptivePoolSizer", "PriorityBasedReallocator"]

__getattr__, __dir__ = later(__name__)

"""Recorded demand, read by `safeguards.records`."""

from safeguards.records._demand import Demand

__all__ = ["Demand"]

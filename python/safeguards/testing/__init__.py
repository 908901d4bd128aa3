"""Helpers for tests of programs that use the library."""

from safeguards._native import ManualClock

__all__ = ["ManualClock"]

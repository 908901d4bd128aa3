"""Rate limits, and the policies that steer budgets."""

from safeguards._later import later

__getattr__, __dir__ = later(__name__)

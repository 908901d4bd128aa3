"""The coordinator of budgets, and whom it tells."""

from safeguards._later import later

__getattr__, __dir__ = later(__name__)

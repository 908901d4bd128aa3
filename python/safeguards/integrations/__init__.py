"""Other libraries' ways of working, for those who use them."""

from safeguards._later import later

__getattr__, __dir__ = later(__name__)

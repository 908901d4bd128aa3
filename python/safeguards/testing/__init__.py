"""Helpers for tests of programs that use the library: a clock that stands still, recorded traffic."""

from safeguards._later import later
from safeguards._native import ManualClock
from safeguards.testing.replay import Limits, Report, replay
from safeguards.testing.traces import NOTIONAL_PRICE, Price, Trace, TracedRequest

__all__ = ["NOTIONAL_PRICE", "Limits", "ManualClock", "Price", "Report", "Trace", "TracedRequest", "replay"]

__getattr__, __dir__ = later(__name__)

"""Recorded traffic, read by `safeguards.records`."""

from safeguards.records._trace import NOTIONAL_PRICE, Price, Trace, TracedRequest, agent_of

__all__ = ["NOTIONAL_PRICE", "Price", "Trace", "TracedRequest", "agent_of"]

"""Recorded usage as people have it: one reader of files and tables, for backtests, replays and programs.

`read` makes `Records` of logs, exports and tables: one call for each row, in the order of their times.
`Records.demand` sums them up by hour, for backtests; `Records.trace` replays them one by one.
"""

from safeguards._later import later
from safeguards.records._demand import Demand
from safeguards.records._presets import PRESETS
from safeguards.records._reader import read
from safeguards.records._records import BadRow, Call, Records, Unknown
from safeguards.records._trace import NOTIONAL_PRICE, Price, Trace, TracedRequest

__all__ = [
    "NOTIONAL_PRICE",
    "PRESETS",
    "BadRow",
    "Call",
    "Demand",
    "Price",
    "Records",
    "Trace",
    "TracedRequest",
    "Unknown",
    "read",
]

__getattr__, __dir__ = later(__name__)

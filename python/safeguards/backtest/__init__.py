"""Would it have been better? Policies on recorded demand, side by side, before they are trusted.

`Demand.read_csv` reads what agents spent, hour by hour; each kind of backtest is a module with a function
`backtest_<module>(demand, ...)` that returns a `Backtest`. From a shell:
`safeguards backtest KIND DEMAND.csv`.
"""

from safeguards._later import later
from safeguards.backtest._base import Backtest
from safeguards.backtest._compare import Comparison
from safeguards.backtest._engine import Seen
from safeguards.backtest.demand import Demand

__all__ = ["Backtest", "Comparison", "Demand", "Seen"]

__getattr__, __dir__ = later(__name__)

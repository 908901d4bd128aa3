"""What was measured, as the sections of the report page quote it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from paper.evaluation import ADJUSTING_RATES, SCALING_FACTORS, Measured
from safeguards.allocation import SimulationResult
from safeguards.cli._allocation import number

__all__ = ["Measurements", "Report", "slashes"]

Measurements = Mapping[tuple[Any, ...], Measured]


@dataclass(frozen=True)
class Report:
    """Everything that was measured, and how it is quoted."""

    measured: Measurements
    trials: int
    seed: int

    @property
    def largest(self) -> int:
        """Most agents in the section on scale."""
        return max(int(key[1]) for key in self.measured if key[0] == "agents")

    def deviation(self, *key: Any) -> str:
        """Average deviation over all steps, as text."""
        return number(self.measured[key].average_deviation)

    def settled(self, *key: Any) -> str:
        """Average deviation without the first steps, as text."""
        return number(self.measured[key].settled_deviation)

    def loads(self, *key: Any) -> SimulationResult:
        """Loads of a simulation that kept them, for a figure."""
        result = self.measured[key].result
        if result is None:
            raise KeyError(key)
        return result

    def sweep(self, setting: int) -> dict[tuple[float, float], float]:
        """Average deviations of section 4.3 in one setting, by adjusting rate and scaling factor."""
        return {
            (rate, factor): self.measured["sweep", setting, rate, factor].average_deviation
            for rate in ADJUSTING_RATES
            for factor in SCALING_FACTORS
        }


def slashes(figures: Iterable[str]) -> str:
    """Figures of several settings, side by side."""
    return " / ".join(figures)

"""What an optimisation gives: an amount for each agent, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from safeguards._values.decimals import of_units
from safeguards._values.frames import Tabular

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from safeguards.budget.cost_benefit._operation import Operation

__all__ = ["Allocation", "OperationShare"]

Reason = Literal["price", "floor", "volume", "outbid", "unreachable"]

_BAR_CELLS = 30
_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True)
class OperationShare:
    """What one operation is meant to get, and why not more.

    Attributes:
        agent_id: who does it.
        operation_type: what it is called.
        amount: how much of the agent's amount is for it.
        roi: what a unit of money returns, as far as was known.
        deviation: standard deviation of that.
        cap: the most money that it can use (volume cap times average cost); `None` without a limit.
        marginal: what its next unit of money is worth: the return less the discount for risk,
            `roi - (1 - t) / t * deviation**2 * share`; at risk tolerance t = 0 the discount alone.
        reason: why it gets no more: `"price"`, its next unit is worth as much as anybody's; `"floor"`, it
            would get less without the agent's floor; `"volume"`, it cannot use more; `"outbid"`, it gets
            nothing, since money is worth more elsewhere; `"unreachable"`, the agent has a better operation
            without a volume cap.
    """

    agent_id: str
    operation_type: str
    amount: Decimal
    roi: float
    deviation: float
    cap: Decimal | None
    marginal: float
    reason: Reason


class Allocation(dict[str, "Decimal"], Tabular):
    """An amount for each agent: a dictionary, exact to the last digit.

    Attributes:
        total_budget: what was to be split.
        floor: what each agent gets at least.
        risk_tolerance: from 0, the least variance, to 1, the greatest return.
        unallocated: what no agent can use, since volume caps admit less than the total; else 0.
        price: what one more unit of the total would be worth: its return less the discount for risk (at risk
            tolerance 0 the discount alone); `None` if something is unallocated, or nobody could use more.
    """

    total_budget: Decimal
    floor: Decimal
    risk_tolerance: float
    unallocated: Decimal
    price: float | None

    def __init__(
        self, amounts: dict[str, Decimal], terms: Terms, columns: Columns, left_over: int, price: float | None
    ) -> None:
        super().__init__(amounts)
        self.total_budget = of_units(terms.total)
        self.floor = of_units(terms.floor)
        self.risk_tolerance = terms.tolerance
        self.unallocated = of_units(left_over)
        self.price = price if price is None else price / (terms.tolerance or 1.0)
        self._columns = columns

    @cached_property
    def operations(self) -> tuple[OperationShare, ...]:
        """What each operation is meant to get, in the order of registration."""
        return tuple(self._share(number) for number in range(len(self._columns.units)))

    @property
    def objective(self) -> float:
        """What was maximised, with w as shares of the total and t as risk tolerance.

        It is `sum(roi * w) - (1 - t) / (2 * t) * sum((deviation * w)**2)`; at t = 0, where only variance
        counts, `-sum((deviation * w)**2) / 2`.
        """
        shares = [self._part(share.amount) for share in self.operations]
        pairs = list(zip(self.operations, shares, strict=True))
        variance = math.fsum((share.deviation * w) ** 2 for share, w in pairs)
        if self.risk_tolerance == 0:
            return -variance / 2
        returns = math.fsum(share.roi * w for share, w in pairs)
        return returns - (1 - self.risk_tolerance) / (2 * self.risk_tolerance) * variance

    @property
    def expected_benefit(self) -> float:
        """What all of it is expected to bring."""
        return math.fsum(share.roi * float(share.amount) for share in self.operations)

    @property
    def deviation(self) -> float:
        """Standard deviation of that, if outcomes of different operations do not hang together."""
        return math.hypot(*(share.deviation * float(share.amount) for share in self.operations))

    def explain_missing(self) -> dict[str, str]:
        """Why what is `None` is: the reason by the name of the attribute."""
        if self.price is not None:
            return {}
        why = "no agent can use what is unallocated" if self.unallocated else "nobody could use more"
        return {"price": f"one more unit would be worth nothing: {why}"}

    def _cells(self) -> Mapping[str, Sequence[Any]]:
        shares = self.operations
        return {
            "agent": [share.agent_id for share in shares],
            "operation": [share.operation_type for share in shares],
            "amount": [share.amount for share in shares],
            "roi": [share.roi for share in shares],
            "deviation": [share.deviation for share in shares],
            "cap": [share.cap for share in shares],
            "marginal": [share.marginal for share in shares],
            "reason": [share.reason for share in shares],
        }

    def explain(self) -> str:
        """Says in words, with a bar for each agent, why each got what it got."""
        rows: dict[str, list[tuple[str, str, str]]] = {}
        for agent, own in self.items():
            part = self._part(own)
            rows[agent] = [(agent, f"{own:f}", f"{_bar(part)} {_percent(part)}".lstrip())]
        for share in self.operations:
            rows[share.agent_id].append((f"  {share.operation_type}", f"{share.amount:f}", self._why(share)))
        return "\n".join([*self._head(), "", *_aligned([row for own in rows.values() for row in own])])

    def __str__(self) -> str:
        rows = [(agent, f"{own:f}", _percent(self._part(own))) for agent, own in self.items()]
        if self.unallocated:
            rows.append(("unallocated", f"{self.unallocated:f}", ""))
        return "\n".join(_aligned(rows))

    def _part(self, of: Decimal) -> float:
        return float(of) / float(self.total_budget) if self.total_budget else 0.0

    def _share(self, number: int) -> OperationShare:
        columns = self._columns
        agent_id, operation_type = columns.names[number]
        roi, deviation, cap_units = columns.roi[number], columns.deviation[number], columns.caps[number]
        own, cap = of_units(columns.units[number]), None if cap_units is None else of_units(cap_units)
        tolerance, risk = self.risk_tolerance, deviation**2 * self._part(own)
        marginal = roi - (1 - tolerance) / tolerance * risk if tolerance else -risk
        reason = self._reason(number, own, cap, marginal)
        return OperationShare(agent_id, operation_type, own, roi, deviation, cap, marginal, reason)

    def _reason(self, number: int, own: Decimal, cap: Decimal | None, marginal: float) -> Reason:
        columns, agent_id = self._columns, self._columns.names[number][0]
        if cap is not None and own >= cap:
            return "volume"
        if own == 0:
            is_dominated = columns.best_uncapped.get(agent_id, -1.0) > columns.roi[number]
            return "unreachable" if is_dominated else "outbid"
        if self.price is not None and self[agent_id] == self.floor and not _close(marginal, self.price):
            return "floor"
        return "price"

    def _head(self) -> list[str]:
        agents = f"{len(self)} agent{'s' if len(self) != 1 else ''}"
        floor = f"at least {self.floor:f} each"
        lines = [f"{self.total_budget:f} for {agents}, {floor}, risk tolerance {self.risk_tolerance:g}."]
        if self.unallocated:
            lines.append(f"{self.unallocated:f} is unallocated: all volume caps are reached.")
        elif self.price is not None and self.risk_tolerance:
            lines.append(
                f"One unit more would be worth {self.price:.4g}, its return less the discount for risk."
            )
        return lines

    def _why(self, share: OperationShare) -> str:
        returns = f"returns {share.roi:.4g} ± {share.deviation:.3g}"
        is_between = self.risk_tolerance not in {0, 1}
        worth = f"{returns}, the next unit {share.marginal:.4g} after risk" if is_between else returns
        has_price = self.price is not None and self.risk_tolerance > 0
        elsewhere = f" ({self.price:.4g} elsewhere)" if has_price else ""
        return {
            "price": worth,
            "floor": f"{worth}; only the floor{elsewhere}",
            "volume": f"{returns}; all that its volume cap admits",
            "outbid": f"{returns}; money is worth more elsewhere{elsewhere}",
            "unreachable": f"{returns}; the agent has a better operation without a volume cap",
        }[share.reason]


class Terms(NamedTuple):
    """What was to be split, in units, the units that each agent gets at least, and the risk tolerance."""

    total: int
    floor: int
    tolerance: float


class Columns:
    """What was known of the operations when they were optimised, as parallel lists."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.names = [(one.agent_id, one.operation_type) for one in operations]
        known = [one.known for one in operations]
        self.roi = [one.roi for one in known]
        self.deviation = [one.deviation for one in known]
        self.caps = [one.cap for one in known]
        self.units: Sequence[int] = ()

    @cached_property
    def best_uncapped(self) -> dict[str, float]:
        """For each agent, the best return of its operations without a volume cap."""
        best: dict[str, float] = {}
        for (agent, _), roi, cap in zip(self.names, self.roi, self.caps, strict=True):
            if cap is None:
                best[agent] = max(roi, best.get(agent, roi))
        return best


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)


def _percent(part: float) -> str:
    return f"{part:.1%}".replace("%", " %")


def _bar(part: float) -> str:
    cells, eighths = divmod(round(part * _BAR_CELLS * 8), 8)
    return "█" * cells + _EIGHTHS[eighths].strip()


def _aligned(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    """Names to the left, amounts to the right."""
    if not rows:
        return []
    name, number = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [f"{row[0]:<{name}}  {row[1]:>{number}}  {row[2]}".rstrip() for row in rows]

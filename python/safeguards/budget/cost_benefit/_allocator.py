"""`CostBenefitAllocator`: learns what operations cost and bring, and splits a total among agents by it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from safeguards._native import amount_units, split_budget
from safeguards._values.arguments import instance, shown, text
from safeguards._values.copies import OF_COORDINATOR, not_copied
from safeguards._values.numbers import MAX_SEED, fraction, number, share, whole
from safeguards.budget.cost_benefit._allocation import Allocation, Columns, Terms
from safeguards.budget.cost_benefit._effectiveness import Log, Outcome, checked_metric, evaluate
from safeguards.budget.cost_benefit._operation import Operation
from safeguards.core._cell import snapshot
from safeguards.core.budget_coordination import BudgetCoordinator
from safeguards.exceptions import ConfigurationError, InfeasibleAllocationError, UnknownAgentError

if TYPE_CHECKING:
    from safeguards._native import Amount
    from safeguards.budget.cost_benefit._effectiveness import Effectiveness
    from safeguards.budget.cost_benefit._operation import OperationEstimate

__all__ = ["CostBenefitAllocator"]

_MAX_VARIABILITY = 1e6
_MAX_VOLUME = 10**12
_MAX_WEIGHT = 10**6
_MIN_DAYS, _MAX_DAYS = 1 / 86_400, 36_500.0
_MAX_OUTCOMES = 10**9


class CostBenefitAllocator:
    """Splits a total among agents so that it returns the most, as surely as you want it.

    Each agent has operations with an average cost, an average benefit, how much the benefit varies, and
    perhaps the most of them that make sense in a period. Benefits are amounts in a unit of your own: money
    earned, tests passed, tickets closed. Nothing is spent or granted here: `optimize_allocation` answers
    with amounts, and `update_budget` of the coordinator applies them.

    Thread-safe. Memory is bounded by the operations that are registered and by `history_outcomes`.

    Args:
        budget_coordinator: the coordinator of the agents; its clock dates the outcomes.
        prior_outcomes: how many real outcomes the registered figures count as. Bühlmann's credibility (1967)
            takes the ratio of two variances: that of one outcome to that of the error of the registered
            figures. 10 suits outcomes that vary by 30 % and figures that are 10 % off.
        period_days: length of the period that `max_volume` is for; only the metric `"regret"` needs it.
        history_outcomes: outcomes that are kept for `evaluate_effectiveness`; averages forget none.
        seed: where the resampling for intervals starts from.

    Raises:
        TypeError: `budget_coordinator` is none.
        ConfigurationError: another argument is out of range.

    Example:
        >>> from safeguards import BudgetCoordinator
        >>> coordinator = BudgetCoordinator()
        >>> team = coordinator.create_budget_pool("team", 1000)
        >>> bots = [coordinator.register_agent(name, team) for name in ("writer", "tester")]
        >>> allocator = CostBenefitAllocator(coordinator)
        >>> allocator.register_operation("writer", "draft", 5, 15, benefit_variability=0.2)
        >>> allocator.register_operation("tester", "run", 20, 50, benefit_variability=0.3)
        >>> allocator.optimize_allocation(1000, min_allocation_percentage=0.1, risk_tolerance=0.5)
        {'writer': Decimal('900'), 'tester': Decimal('100')}
        >>> print(allocator.explain())
        1000 for 2 agents, at least 100 each, risk tolerance 0.5.
        One unit more would be worth 2.676, its return less the discount for risk.
        <BLANKLINE>
        writer   900  ███████████████████████████ 90.0 %
          draft  900  returns 3 ± 0.6, the next unit 2.676 after risk
        tester   100  ███ 10.0 %
          run    100  returns 2.5 ± 0.75, the next unit 2.444 after risk; only the floor (2.676 elsewhere)
        >>> for benefit in (9, 14, 16, 12, 11):
        ...     allocator.record_outcome("writer", "draft", 5, benefit)
        >>> print(allocator.evaluate_effectiveness(lookback_days=7, metric="roi"))
        roi 2.48 (95 %: 1.88 to 3.04, 5 outcomes in 7 days)
    """

    def __init__(
        self,
        budget_coordinator: BudgetCoordinator,
        *,
        prior_outcomes: int = 10,
        period_days: float = 1.0,
        history_outcomes: int = 100_000,
        seed: int = 0,
    ) -> None:
        self._coordinator = instance("budget_coordinator", budget_coordinator, BudgetCoordinator)
        self._weight = whole("prior_outcomes", prior_outcomes, 1, _MAX_WEIGHT)
        self._period = timedelta(days=number("period_days", period_days, _MIN_DAYS, _MAX_DAYS))
        self._seed = whole("seed", seed, 0, MAX_SEED)
        self._log = Log(whole("history_outcomes", history_outcomes, 1, _MAX_OUTCOMES))
        self._agents: dict[str, dict[str, Operation]] = {}
        self._latest: Allocation | None = None

    def __reduce__(self) -> NoReturn:
        not_copied(self, OF_COORDINATOR)

    def __repr__(self) -> str:
        operations = sum(map(len, snapshot(self._agents.values())))
        return f"CostBenefitAllocator({len(self._agents)} agents, {operations} operations)"

    def register_operation(
        self,
        agent_id: str,
        operation_type: str,
        average_cost: Amount,
        average_benefit: Amount,
        benefit_variability: float = 0.0,
        *,
        max_volume: int | None = None,
    ) -> None:
        """Tells what an operation of an agent costs and brings. The same one again starts anew.

        Args:
            agent_id: who does it; registered at the coordinator.
            operation_type: what it is called.
            average_cost: what one costs, above 0.
            average_benefit: what one brings.
            benefit_variability: standard deviation of the benefit of one as a share of its average: 0.2 is
                20 %.
            max_volume: the most that make sense in a period, however much money there is: the tickets that
                come in, the cases of a suite. No limit if not given.

        Raises:
            UnknownAgentError: no agent of this id is registered.
            InvalidAmountError: cost or benefit is not an amount; a benefit below zero is none.
            ConfigurationError: the cost is 0, or another argument is out of range.
        """
        self._coordinator.handle(agent_id)  # raises for an id that is unknown
        cost = amount_units(average_cost, round_up=True, argument="average_cost")
        if cost == 0:
            raise ConfigurationError(
                f"average_cost of {shown(operation_type)} must be above 0: it needs no budget",
                account=agent_id,
            )
        operation = Operation(
            agent_id,
            text("operation_type", operation_type),
            cost=cost,
            benefit=amount_units(average_benefit, round_up=False, argument="average_benefit"),
            variability=number("benefit_variability", benefit_variability, 0, _MAX_VARIABILITY),
            max_volume=None if max_volume is None else whole("max_volume", max_volume, 0, _MAX_VOLUME),
            weight=self._weight,
        )
        self._agents.setdefault(agent_id, {})[operation_type] = operation

    def record_outcome(self, agent_id: str, operation_type: str, cost: Amount, benefit: Amount) -> None:
        """Learns what one operation really cost and brought. Charges nothing: the agent's debit did.

        Args:
            agent_id: who did it.
            operation_type: what it was.
            cost: what it cost; 0 if it was free.
            benefit: what it brought; 0 if it failed.

        Raises:
            UnknownAgentError: no agent of this id is registered.
            InvalidAmountError: cost or benefit is not an amount.
            ConfigurationError: the operation was not registered.
        """
        self._coordinator.handle(agent_id)  # raises for an id that is unknown
        cost_units = amount_units(cost, round_up=True, argument="cost")
        benefit_units = amount_units(benefit, round_up=False, argument="benefit")
        operation = self._agents.get(agent_id, {}).get(text("operation_type", operation_type))
        if operation is None:
            raise ConfigurationError(
                f"operation {shown(operation_type)} of {agent_id!r} is unknown: "
                "call register_operation first",
                account=agent_id,
            )
        now = self._coordinator.clock.now()
        operation.record(cost_units, benefit_units)
        self._log.append(Outcome(now, operation, cost_units, benefit_units))

    def get_operations(self, agent_id: str | None = None) -> list[OperationEstimate]:
        """What is known of the operations of an agent, or of all, in the order of registration."""
        if agent_id is not None:
            self._coordinator.handle(agent_id)  # raises for an id that is unknown
        wanted = snapshot(self._agents.values()) if agent_id is None else [self._agents.get(agent_id, {})]
        return [operation.estimate() for own in wanted for operation in snapshot(own.values())]

    def optimize_allocation(
        self,
        total_budget: Amount,
        min_allocation_percentage: float = 0.0,
        risk_tolerance: float = 0.5,
    ) -> Allocation:
        """Splits a total among the agents that have operations and are registered at the coordinator.

        With w as the share of an operation, r as its return (average benefit / average cost), s as the
        standard deviation of that and t as `risk_tolerance`, it maximises
        `sum(r * w) - (1 - t) / (2 * t) * sum((s * w)**2)` (Markowitz 1952). An operation gets at most
        `max_volume` times its average cost. Money reaches an operation without a cap only if the agent has
        none that is better: agents do their best operations first.

        Args:
            total_budget: what there is; more than 9 decimal places are rounded down.
            min_allocation_percentage: the part of the total that each agent gets at least: 0.1 is 10 %.
                Rounded up to 9 decimal places where there is room for it.
            risk_tolerance: 1 looks at the return alone, between equals at the least variance; 0 at variance
                alone, between equals at the best return. Between them returns are discounted by variance.

        Returns:
            An amount for each agent. They add up to `total_budget` exactly, or, where volume caps admit
            less, to what these admit; the rest is `unallocated`. With equal operations, equal amounts, to a
            last digit.

        Raises:
            InvalidAmountError: `total_budget` is not an amount.
            InfeasibleAllocationError: not every agent can have so much at least, or use it within its caps.
            ConfigurationError: an argument is out of range, or no agent has an operation.
        """
        total = amount_units(total_budget, round_up=False, argument="total_budget")
        part = fraction("min_allocation_percentage", min_allocation_percentage)
        tolerance = share("risk_tolerance", risk_tolerance)
        self._drop_departed()
        agent_ids = snapshot(self._agents)
        every = [snapshot(self._agents.get(agent, {}).values()) for agent in agent_ids]
        agents = [agent for agent, own in enumerate(every) for _ in own]
        columns = Columns([operation for own in every for operation in own])
        if not agent_ids:
            raise ConfigurationError("no agent has an operation: call register_operation first")
        exact = total * part
        down, up = exact.__floor__(), exact.__ceil__()
        try:
            terms = Terms(total, up, tolerance)
            self._latest = _split(agent_ids, agents, columns, terms)
        except InfeasibleAllocationError:
            if up == down:
                raise
            self._latest = _split(agent_ids, agents, columns, Terms(total, down, tolerance))
        return self._latest

    def explain(self) -> str:
        """Says in words, with a bar for each agent, why the latest allocation is what it is.

        `plot_allocation` in `safeguards.budget.cost_benefit.plots` draws it.
        """
        if self._latest is None:
            return "nothing was allocated yet: call optimize_allocation"
        return self._latest.explain()

    def evaluate_effectiveness(self, lookback_days: float = 7, metric: str = "roi") -> Effectiveness:
        """Says how well money was spent, with a 95 % interval by the bootstrap.

        Args:
            lookback_days: how far to look back from now.
            metric: `"roi"`, benefit per unit of money; `"benefit"` and `"cost"`, totals; `"regret"`, how much
                more the same money would have brought had it gone to the operations that turned out best,
                within their volume caps. Regret takes the luck of the best for skill: it is rather too large
                while outcomes are few.

        Returns:
            The figure; without outcomes one that says so.

        Raises:
            ConfigurationError: an argument is out of range, or there is no such metric.
        """
        days = number("lookback_days", lookback_days, _MIN_DAYS, _MAX_DAYS)
        known = checked_metric(metric)
        now = self._coordinator.clock.now()
        start = now - timedelta(days=days)
        outcomes, complete = self._log.between(start, now)
        covered = days if complete == start else (now - complete) / timedelta(days=1)
        return evaluate(
            outcomes, known, now=now, days=days, covered=covered, period=self._period, seed=self._seed
        )

    def _drop_departed(self) -> None:
        """Forgets the operations of agents that have left the coordinator."""
        for agent_id in snapshot(self._agents):
            try:
                self._coordinator.handle(agent_id)
            except UnknownAgentError:
                self._agents.pop(agent_id, None)


def _split(agent_ids: list[str], agents: list[int], columns: Columns, terms: Terms) -> Allocation:
    amounts, parts, left_over, price = split_budget(
        agent_ids,
        agents,
        columns.roi,
        columns.deviation,
        columns.caps,
        total=terms.total,
        floor=terms.floor,
        tolerance=terms.tolerance,
    )
    columns.units = parts
    return Allocation(dict(zip(agent_ids, amounts, strict=True)), terms, columns, left_over, price)

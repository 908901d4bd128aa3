"""Decisions, carried out: the only way by which a decision moves money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards._native import execute_decision
from safeguards._values.arguments import instance
from safeguards._values.decimals import NOTHING, add, plain, subtract
from safeguards.core._grants import grants_of
from safeguards.exceptions import ConfigurationError
from safeguards.types.decisions import Decision, Resize, SetBudget

if TYPE_CHECKING:
    from decimal import Decimal

    from safeguards.core.budget_coordination import BudgetCoordinator
    from safeguards.types.decisions import Adjust

__all__ = ["execute"]


def execute(coordinator: BudgetCoordinator, decision: Decision) -> Decision:
    """As `BudgetCoordinator.execute`."""
    instance("decision", decision, Decision)
    if decision.status == "applied":
        raise ConfigurationError("the decision was applied before: decide anew")
    change = decision.change
    if isinstance(change, SetBudget):
        return _set(coordinator, decision, change)
    return _adjust(coordinator, decision, change)


def _adjust(coordinator: BudgetCoordinator, decision: Decision, change: Adjust) -> Decision:
    later = change.later_periods if isinstance(change, Resize) else NOTHING
    _, by, later_made = _order(coordinator, decision, None, change.by, later)
    if by == change.by and later_made == later:
        return decision.applied(decision.old, decision.new, change)
    new = plain(add(decision.new, subtract(by, change.by)))
    return decision.applied(decision.old, new, change.moved(by, later_made))


def _set(coordinator: BudgetCoordinator, decision: Decision, change: SetBudget) -> Decision:
    if change.once is None:
        before, *_ = _order(coordinator, decision, change.budget, NOTHING, NOTHING)
        return decision.applied(before, change.budget, change)
    (name, start), grants = change.once, grants_of(coordinator)
    if not grants.claim(decision.subject, name, start):
        raise ConfigurationError(f"{name!r} was granted to {decision.kind} {decision.subject!r} before")
    try:
        before, *_ = _order(coordinator, decision, change.budget, NOTHING, NOTHING)
    except BaseException:
        grants.release(decision.subject, name, start)
        raise
    return decision.applied(before, change.budget, change)


def _order(
    coordinator: BudgetCoordinator, decision: Decision, budget: Decimal | None, by: Decimal, later: Decimal
) -> tuple[Decimal, Decimal, Decimal]:
    is_pool = decision.kind == "pool"
    return execute_decision(
        coordinator, is_pool, decision.subject, budget, by, later, decision.controller, decision.reason
    )

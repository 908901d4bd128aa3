"""How a coordinator shows itself to people."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safeguards.core.budget_coordination import BudgetCoordinator
    from safeguards.types.metrics import BudgetMetrics

_MAX_POOLS = 20
_MAX_AGENTS = 10
_HEAD = ("account", "remaining", "reserved", "spent", "granted", "used")


def line(coordinator: BudgetCoordinator) -> str:
    """One line: how many accounts, and what the topmost pools have left."""
    if coordinator.closed:
        return "BudgetCoordinator(closed)"
    pools = coordinator.get_pool_ids()
    agents = len(coordinator.get_all_agent_ids())
    text = f"BudgetCoordinator({len(pools)} pools, {agents} agents"
    if len(pools) == 1:
        metrics = coordinator.get_pool_metrics(pools[0])
        text += f", {metrics.remaining} of {metrics.period_granted} left in {pools[0]!r}"
    return text + ")"


def html(coordinator: BudgetCoordinator) -> str:
    """A table: each pool, and the first agents below it."""
    if coordinator.closed:
        return f"<p>{line(coordinator)}</p>"
    pools = coordinator.get_pool_ids()
    rows = [row for pool in pools[:_MAX_POOLS] for row in _pool_rows(coordinator, pool)]
    if len(pools) > _MAX_POOLS:
        rows.append(_note(f"and {len(pools) - _MAX_POOLS} more pools"))
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    return f"<p>{escape(line(coordinator))}</p><table><tr>{head}</tr>{''.join(rows)}</table>"


def _pool_rows(coordinator: BudgetCoordinator, pool: str) -> list[str]:
    agents = coordinator.get_pool_agents(pool)
    rows = [_row(f"<b>{escape(pool)}</b>", coordinator.get_pool_metrics(pool))]
    rows += [
        _row(f"&ensp;{escape(agent)}", coordinator.get_agent_metrics(agent)) for agent in agents[:_MAX_AGENTS]
    ]
    if len(agents) > _MAX_AGENTS:
        rows.append(_note(f"&ensp;and {len(agents) - _MAX_AGENTS} more agents"))
    return rows


def _row(name: str, m: BudgetMetrics) -> str:
    cells = (m.remaining, m.reserved, m.period_spent, m.period_granted)
    bar = f"<progress value='{min(m.utilization, 1)}'></progress> {m.utilization:.0%}"
    return f"<tr><td>{name}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}<td>{bar}</td></tr>"


def _note(text: str) -> str:
    return f"<tr><td colspan='{len(_HEAD)}'>{text}</td></tr>"

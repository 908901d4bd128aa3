"""Agents as people name many of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from safeguards._values.arguments import shown, text
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

__all__ = ["AgentArguments", "agent_row"]

AgentArguments: TypeAlias = str | tuple[Any, ...] | Mapping[str, Any]
"""An agent by its id, or by arguments of `register_agent`: by position, or by name."""

_ARGUMENTS = ("agent_id", "pool_id", "priority", "initial_budget")
_RULES = (
    "budget_period",
    "timezone",
    "anchor_day",
    "anchor_hour",
    "rollover",
    "overdraft",
    "overdraft_limit",
    "max_budget",
    "enforcement",
)


AgentRow: TypeAlias = tuple[str, str, Any, Any, dict[str, Any] | None]


def agent_row(agent: AgentArguments, common: dict[str, Any]) -> AgentRow:
    """Id, pool, priority, budget and rules of an agent: its own, where it names them."""
    own = _own_arguments(agent)
    unknown = own.keys() - {*_ARGUMENTS, *_RULES}
    if unknown or "agent_id" not in own:
        what = f"{shown(min(unknown, key=str))} is none of them" if unknown else "agent_id is missing"
        names = ", ".join((*_ARGUMENTS, *_RULES))
        raise ConfigurationError(f"agents must be given by {names}: {what} in {shown(agent)}")
    row = common | own
    if row["pool_id"] is None:
        raise ConfigurationError(
            f"agent {shown(row['agent_id'])} has no pool_id: name it there, or for all agents of the call"
        )
    agent_id, pool_id, priority, initial_budget = (row[name] for name in _ARGUMENTS)
    rules = {name: own[name] for name in _RULES if name in own} or None
    return text("agent_id", agent_id), text("pool_id", pool_id), priority, initial_budget, rules


def _own_arguments(agent: AgentArguments) -> dict[Any, Any]:
    if isinstance(agent, str):
        return {"agent_id": agent}
    if isinstance(agent, Mapping):
        return dict(agent)
    if isinstance(agent, tuple) and 1 <= len(agent) <= len(_ARGUMENTS):
        return dict(zip(_ARGUMENTS, agent, strict=False))
    raise ArgumentTypeError(
        f"agents must be ids, mappings or tuples of 1 to {len(_ARGUMENTS)} arguments, not {shown(agent)}"
    )

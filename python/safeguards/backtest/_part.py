"""Who takes part in a backtest, and what is said of those who do not."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves parts of its annotations open.

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from safeguards._values.numbers import share
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["USUAL", "Part", "named", "take_part"]

USUAL = 0.3
"""Share of the hours of each half in which an agent must want something, if nothing is said."""


@dataclass(frozen=True, eq=False)
class Part:
    """Who takes part.

    Attributes:
        is_in: (agents,) bool.
        left_out: how many do not.
        notes: what is to be said of it.
    """

    is_in: NDArray[np.bool_]
    left_out: int
    notes: tuple[str, ...]


def take_part(
    cost: NDArray[np.float64], begin: int, min_activity: float | None, *, strictly: bool = True
) -> Part:
    """The agents that are active in enough of the hours before and after `begin`.

    Args:
        cost: (agents, hours).
        begin: what is before it is seen, what comes after it is scored.
        min_activity: the least share of hours. If it is not given, it is 0.3; where nobody is so active, all
            take part that want something before and after.
        strictly: whether an agent must be active in more than this share, or just as much.

    Raises:
        ConfigurationError: nobody is left.
    """
    import numpy as np

    least = USUAL if min_activity is None else share("min_activity", min_activity)
    halves = [half for half in (cost[:, :begin], cost[:, begin:]) if half.shape[1]]  # no hours say nothing
    active = np.min([(half > 0).mean(axis=1) for half in halves], axis=0)
    is_in = (active > 0) & (active > least if strictly else active >= least)
    notes: list[str] = []
    if not is_in.any() and min_activity is None:
        is_in = active > 0
        if is_in.any():
            notes.append(
                f"no agent wants something in {USUAL:.0%} of the hours: all {_agents(int(is_in.sum()))} that "
                f"want something before and after hour {begin} take part (the busiest in {active.max():.0%})"
            )
    if not is_in.any():
        raise ConfigurationError(
            f"min_activity is {least:g}: before and after hour {begin} no agent is so active; {_most(active)}"
        )
    left_out = int((~is_in).sum())
    if left_out:
        total = float(cost.sum())
        part = float(cost[~is_in].sum()) / total if total else 0.0
        who = f"left out: {left_out} of {_agents(len(cost))}, with {part:.1%} of the cost"
        if notes or not least:
            notes.append(f"{who}: they want nothing before or nothing after hour {begin}")
        else:
            notes.append(
                f"{who}: active in {least:.0%} of the hours or less (min_activity={least:g}; 0 takes all "
                f"that want something before and after hour {begin})"
            )
    return Part(is_in, left_out, tuple(notes))


def _agents(count: int) -> str:
    return "one agent" if count == 1 else f"{count:,} agents"


def _most(active: NDArray[np.float64]) -> str:
    most = float(active.max()) if len(active) else 0.0
    if not most:
        return "nobody wants anything in both: give a longer record, or another number of hours to warm up"
    return f"the most active one is in {most:.1%} of the hours: ask for less than that"


def named(agents: Sequence[str], is_in: NDArray[np.bool_]) -> tuple[str, ...]:
    """The names of those who take part."""
    return tuple(agent for agent, kept in zip(agents, is_in.tolist(), strict=True) if kept)

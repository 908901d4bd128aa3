"""Which column is what: as the caller says, as a known export has it, or by its usual name."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from safeguards.exceptions import TraceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PRESETS", "ROLES", "Columns", "find_columns", "presets"]

ROLES = ("time", "agent", "cost", "tokens_in", "tokens_out", "operation", "priority")
"""What a column can be."""

_OTHERS = re.compile(r"[\s_\-]+")
_WHATEVER = "any"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns are read.

    Attributes:
        preset: the name of the export; None for a table of one's own.
        where: places of the columns of each role. Of several for the agent the first not empty counts.
        names: their names.
        every: "day" if a row is a day, whatever its time says.
        without_cost: places and values of the columns by which rows without a cost are no calls; None if all
            rows are calls.
    """

    preset: str | None
    where: Mapping[str, tuple[int, ...]]
    names: Mapping[str, tuple[str, ...]]
    every: str | None
    without_cost: Mapping[int, frozenset[str]] | None


@cache
def presets() -> Mapping[str, Mapping[str, Any]]:
    """The exports that are known, by name, and what is usual under `any`."""
    text = (resources.files("safeguards") / "records" / "presets.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


PRESETS: tuple[str, ...] = tuple(name for name in presets() if name != _WHATEVER)
"""Names of the exports that are known."""


def find_columns(
    source: str,
    head: Sequence[str],
    preset: str | None,
    named: Mapping[str, str],
    *,
    needs_agent: bool = True,
) -> Columns:
    """Finds the columns in a head.

    Args:
        source: what messages call it.
        head: names of the columns.
        preset: which export it is; None: find out.
        named: names of columns by role, which go before all others.
        needs_agent: whether one must be the agent.

    Raises:
        TraceError: a column that was named is not there, or none tells time, agent or cost.
    """
    places = _places(head)
    chosen = preset or _recognised(places)
    known = presets()[chosen or _WHATEVER]
    where: dict[str, tuple[int, ...]] = {}
    for role in ROLES:
        if role in named:
            where[role] = (_named(source, head, places, role, named[role]),)
            continue
        found = tuple(places[key] for key in map(_plain, known.get(role, ())) if key in places)
        if found:
            where[role] = found if role == "agent" and chosen else found[:1]
    no_call = known.get("without_cost")
    columns = Columns(
        preset=chosen,
        where=where,
        names={role: tuple(head[place].strip() for place in found) for role, found in where.items()},
        every=known.get("every"),
        without_cost=None if no_call is None else _no_call(no_call, places),
    )
    _check(source, head, columns, needs_agent)
    return columns


def _no_call(values: Mapping[str, Sequence[str]], places: Mapping[str, int]) -> dict[int, frozenset[str]]:
    return {places[_plain(name)]: frozenset(each) for name, each in values.items() if _plain(name) in places}


def _plain(name: str) -> str:
    """A name without what people write in different ways."""
    return _OTHERS.sub("", name).lower()


def _places(head: Sequence[str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, name in enumerate(head):
        places.setdefault(_plain(name), place)
    return places


def _recognised(places: Mapping[str, int]) -> str | None:
    for name in PRESETS:
        if all(_plain(column) in places for column in presets()[name]["signature"]):
            return name
    return None


def _named(source: str, head: Sequence[str], places: Mapping[str, int], role: str, name: str) -> int:
    if name in head:
        return list(head).index(name)
    if _plain(name) in places:
        return places[_plain(name)]
    raise TraceError(f"{source}: no column {name!r} for the {role}; {_there_are(head)}", path=source, line=1)


def _check(source: str, head: Sequence[str], columns: Columns, needs_agent: bool) -> None:
    has_tokens = "tokens_in" in columns.where and "tokens_out" in columns.where
    for role in ("time", "agent", "cost"):
        if role in columns.where or (role == "cost" and has_tokens) or (role == "agent" and not needs_agent):
            continue
        raise TraceError(
            f"{source}, line 1: no column is the {role}: name it with --{role} ({role}=); {_there_are(head)}",
            path=source,
            line=1,
        )


def _there_are(head: Sequence[str]) -> str:
    return f"there are {', '.join(name.strip() for name in head[:40])}"

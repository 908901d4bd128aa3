"""How a schedule shows itself to people."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from safeguards.budget.time_scheduler._values import week_time

if TYPE_CHECKING:
    from datetime import tzinfo

    from safeguards.budget.time_scheduler._calendar import Week

Rows = list[tuple[str, str, str, str]]

_HEAD = ("from", "to", "profile", "budget")


def rows(week: Week) -> Rows:
    """Begin, end, profile and budget of each stretch of the week."""
    return [
        (
            week_time(stretch.start),
            week_time(stretch.start + stretch.length),
            "-" if stretch.profile is None else stretch.profile.name,
            "-" if stretch.profile is None else str(stretch.profile.budget),
        )
        for stretch in week.stretches
    ]


def text(pool_id: str, week: Week, zone: tzinfo | None) -> str:
    """A table for a terminal."""
    table = [_HEAD, *rows(week)]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    widths.append(max(len(row[3]) for row in table))
    lines = [
        "  ".join(
            [
                *(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=False)),
                row[3].rjust(widths[3]),
            ]
        )
        for row in table
    ]
    return "\n".join([f"pool {pool_id!r}, {_zone_name(zone)}", *lines])


def html(pool_id: str, week: Week, zone: tzinfo | None) -> str:
    """A table for a notebook."""
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows(week))
    return f"<p>{escape(f'pool {pool_id!r}, {_zone_name(zone)}')}</p><table><tr>{head}</tr>{body}</table>"


def _zone_name(zone: tzinfo | None) -> str:
    return "local time" if zone is None else str(zone)

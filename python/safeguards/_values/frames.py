"""Tables for people who have a library for them."""

from __future__ import annotations

from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

from safeguards._extras import require
from safeguards._values.arguments import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Tabular", "frame", "html", "shown_cell"]

_LIBRARIES = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "table"}


def frame(columns: Mapping[str, Sequence[Any]], library: str = "pandas") -> Any:
    """Columns as a table.

    Args:
        columns: cells by name.
        library: "pandas", "polars" or "pyarrow".

    Raises:
        MissingExtraError: it is not installed.
        ConfigurationError: it is none of these.
    """
    make = _maker(library)
    return make({name: list(cells) for name, cells in columns.items()})


def _maker(library: str) -> Any:
    """What makes a table of columns in a library; refuses as `frame` does."""
    one_of("library", library, tuple(_LIBRARIES))
    require(library, "tables")
    return getattr(import_module(library), _LIBRARIES[library])


class Tabular:
    """A result that is a table: for notebooks, and for those who have a library for tables."""

    __slots__ = ()

    def _cells(self) -> Mapping[str, Sequence[Any]]:
        """The table: cells by the names of the columns."""
        raise NotImplementedError

    def to_frame(self, library: str = "pandas") -> Any:
        """The result as a table, a row for each thing that it is about.

        Args:
            library: "pandas", "polars" or "pyarrow".

        Raises:
            MissingExtraError: it is not installed.
            ConfigurationError: it is none of these.
        """
        _maker(library)  # refuses before the cells are worked out
        return frame(self._cells(), library)

    def _repr_html_(self) -> str:
        cells = self._cells()
        return html(
            list(cells), [[shown_cell(cell) for cell in row] for row in zip(*cells.values(), strict=True)]
        )


def shown_cell(cell: object) -> str:
    """A cell as people read it: figures in plain digits, a dash for what is not known."""
    if cell is None or cell != cell:  # noqa: PLR0124 - NaN
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 10_000 else f"{cell:.4g}"  # noqa: PLR2004
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return format(cell, "f") if isinstance(cell, Decimal) else str(cell)


def html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as notebooks show it; numbers are set to the right."""
    from html import escape

    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td{_side(cell)}>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _side(cell: str) -> str:
    return ' style="text-align: right"' if cell[:1].isdigit() or cell[:2].strip("+-.").isdigit() else ""

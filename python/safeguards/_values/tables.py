"""Tables and columns of other libraries, by what they can do: none of these libraries is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safeguards.exceptions import ArgumentTypeError

__all__ = ["as_list", "columns", "is_missing", "is_null"]

_MISSING = frozenset({"NAType", "NaTType"})  # of pandas, whose comparisons are none


def is_null(value: object) -> bool:
    """Whether it is pandas' NA or NaT, which are no numbers and no times."""
    return type(value).__name__ in _MISSING


def is_missing(value: object) -> bool:
    """Whether a cell says that its value is not known: None, NaN, NaT, or pandas' NA."""
    if value is None or is_null(value):
        return True
    try:
        return bool(value != value)  # noqa: PLR0124 - as NaN does
    except (TypeError, ValueError, ArithmeticError):  # arrays, signalling NaN
        return type(value).__name__ == "Decimal"


def as_list(values: Any) -> list[Any] | None:
    """The cells of a column of pandas, polars, arrow or numpy as Python's values; None for other things.

    Times keep their zone: as arrays, polars and arrow would lose it without a word.
    """
    for method in ("to_pylist", "to_list", "tolist"):  # arrow; pandas and polars; numpy
        convert = getattr(values, method, None)
        if callable(convert) and not isinstance(values, type):
            found = convert()
            return found if isinstance(found, list) else None  # pyright: ignore[reportUnknownVariableType]
    return None


def columns(source: Any) -> dict[str, list[Any]]:
    """The columns of a table by their names.

    Raises:
        ArgumentTypeError: it is no table, or its columns differ in length.
    """
    names: list[Any] | None = list(source) if isinstance(source, Mapping) else _names(source)  # pyright: ignore[reportUnknownArgumentType]
    if names is None:
        source = _from_arrow(source)
        names = _names(source) or []
    found = {str(name): _cells(str(name), source[name]) for name in names}
    if len({len(cells) for cells in found.values()}) > 1:
        lengths = ", ".join(f"{name} {len(cells):,}" for name, cells in found.items())
        raise ArgumentTypeError(f"columns of a table must be of one length, not {lengths}")
    return found


def _cells(name: str, column: Any) -> list[Any]:
    cells = as_list(column)
    if cells is not None:
        return cells
    if isinstance(column, str | bytes) or not hasattr(column, "__iter__"):
        raise ArgumentTypeError(f"column {name} must be a list, an array or a column, not {column!r:.60}")
    return list(column)


def _names(source: Any) -> list[Any] | None:
    for attribute in ("column_names", "columns"):  # arrow, whose `columns` are the cells; pandas and polars
        names = getattr(source, attribute, None)
        if names is not None and hasattr(source, "__getitem__") and not callable(names):
            return list(names)
    return None


def _from_arrow(source: Any) -> Any:
    from safeguards._extras import require

    if not hasattr(source, "__arrow_c_stream__"):
        raise ArgumentTypeError(f"a table must have named columns, not {source!r:.60}")
    require("pyarrow", "tables")
    from importlib import import_module

    return import_module("pyarrow").table(source)

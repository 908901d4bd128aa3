"""Capacities from a file."""

from __future__ import annotations

import csv
from datetime import datetime
from typing import TYPE_CHECKING

from safeguards.core._lines import LongRowError, Rows
from safeguards.exceptions import ConfigurationError

__all__ = ["read_capacities"]

_TIMES = frozenset({"step", "t", "time", "hour", "date", "datetime", "timestamp"})

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def read_capacities(path: Path) -> dict[str, NDArray[np.float64]]:
    """Reads capacities over time from a CSV file.

    A line is a time step, a column a resource; empty lines do not count. The first line may name the
    resources; without names they are "1", "2" and so on. A column named `step`, `t`, `time`, `hour`, `date`,
    `datetime` or `timestamp` (in any case) is the time: it must rise from line to line, and is no resource.
    A row has at most 1,048,576 characters.

    Args:
        path: UTF-8 text, values separated by commas.

    Returns:
        (T,) float64 capacities of each resource, in units.

    Raises:
        ConfigurationError: the file cannot be read, a line is no list of numbers or of another length than
            the first, times do not rise, a name stands there twice, or the first column of a file without
            names counts the lines; names the file and the line.
    """
    import numpy as np

    names, lines = _table(path)
    width = len(lines[0][1]) if names is None else len(names)
    for number, line in lines:
        if len(line) != width:
            raise _wrong(path, number, f"{len(line)} values where {width} are expected")
    time = None if names is None else _time_column(path, names)
    columns = range(width) if time is None else [column for column in range(width) if column != time]
    if not columns:
        raise ConfigurationError(f"capacities in {path}: there is no resource beside the time")
    for number, line in lines:
        for column in columns:
            if not _is_number(line[column]):
                raise _wrong(path, number, _no_number(line[column]))
    if time is not None:
        _check_rising(path, [(number, line[time]) for number, line in lines])
    values = np.array([[float(line[column]) for column in columns] for _, line in lines])
    if names is None:
        _refuse_counter(path, values)
        names = [str(column + 1) for column in range(width)]
    return {names[column]: values[:, place] for place, column in enumerate(columns)}


def _table(path: Path) -> tuple[list[str] | None, list[tuple[int, list[str]]]]:
    """The names of the columns, if the first line has some, and the other lines with their numbers."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = Rows(file)
            lines = [
                (reader.line_num, [cell.strip() for cell in line])
                for line in reader
                if any(cell.strip() for cell in line)
            ]
    except OSError as error:
        raise ConfigurationError(f"capacities cannot be read from {path}: {error.strerror}") from None
    except LongRowError as error:
        raise ConfigurationError(f"capacities in {path}, line {error.line}: {error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"capacities cannot be read from {path}: {error}") from None
    names = None
    if lines and not any(map(_is_number, lines[0][1])):
        (number, names), *lines = lines
        if len(set(names)) < len(names) or not all(names):
            raise _wrong(path, number, "each column wants a name of its own")
    if not lines:
        raise ConfigurationError(
            f"capacities are missing in {path}: write one line per time step, as 500,300,200"
        )
    return names, lines


def _time_column(path: Path, names: list[str]) -> int | None:
    found = [column for column, name in enumerate(names) if name.lower() in _TIMES]
    if len(found) > 1:
        raise ConfigurationError(f"capacities in {path}: {', '.join(names[c] for c in found)} are all times")
    return found[0] if found else None


def _check_rising(path: Path, cells: list[tuple[int, str]]) -> None:
    """Times that stand still or go back are lines out of order, or a file of something else."""
    before: float | datetime | None = None
    for number, cell in cells:
        try:
            now = float(cell) if _is_number(cell) else datetime.fromisoformat(cell)
        except ValueError:
            raise _wrong(
                path, number, f"{cell!r} is not a time: write a number or 2026-01-31T12:00"
            ) from None
        try:
            is_wrong = before is not None and not now > before  # type: ignore[operator]
        except TypeError:
            is_wrong = True
        if is_wrong:
            raise _wrong(path, number, f"time {cell} does not come after the one before: sort the lines")
        before = now


def _refuse_counter(path: Path, values: NDArray[np.float64]) -> None:
    """A first column that counts the lines is no capacity, and nobody said what it is."""
    import numpy as np

    first = values[:, 0]
    if values.shape[1] > 1 and len(first) > 2 and first[0] in (0, 1) and (np.diff(first) == 1).all():  # noqa: PLR2004
        raise ConfigurationError(
            f"capacities in {path}: the first column counts the lines. Write names into the first line: "
            "`step` for a column of times, the name of the resource for any other"
        )


def _wrong(path: Path, line: int, text: str) -> ConfigurationError:
    return ConfigurationError(f"capacities in {path}, line {line}: {text}")


def _no_number(cell: str) -> str:
    try:
        datetime.fromisoformat(cell)
    except ValueError:
        return f"{cell!r} is not a number"
    return f"{cell!r} is not a number: name the column `time` in the first line if it is one of times"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

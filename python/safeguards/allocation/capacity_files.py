"""Capacities from a file."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from safeguards.core._lines import LongRowError, Rows
from safeguards.exceptions import ConfigurationError

__all__ = ["read_capacities"]

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def read_capacities(path: Path) -> NDArray[np.float64]:
    """Reads capacities over time from a CSV file.

    A line is a time step, a column a resource. The first line may hold names; empty lines do not count.
    A row has at most 1,048,576 characters.

    Args:
        path: UTF-8 text, values separated by commas.

    Returns:
        (T, Q) float64 capacities, in units.

    Raises:
        ConfigurationError: the file cannot be read, or a line is no list of numbers, or of another length
            than the first; names the file and the line.
    """
    import numpy as np

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = Rows(file)
            lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except OSError as error:
        raise ConfigurationError(f"capacities cannot be read from {path}: {error.strerror}") from None
    except LongRowError as error:
        raise ConfigurationError(f"capacities in {path}, line {error.line}: {error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"capacities cannot be read from {path}: {error}") from None
    if lines and not any(map(_is_number, lines[0][1])):
        lines = lines[1:]
    if not lines:
        raise ConfigurationError(
            f"capacities are missing in {path}: write one line per time step, as 500,300,200"
        )
    width = len(lines[0][1])
    for number, line in lines:
        if len(line) != width:
            raise ConfigurationError(
                f"capacities in {path}, line {number}: {len(line)} values where {width} are expected"
            )
        for cell in line:
            if not _is_number(cell):
                raise ConfigurationError(f"capacities in {path}, line {number}: {cell!r} is not a number")
    return np.array([[float(cell) for cell in line] for _, line in lines])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

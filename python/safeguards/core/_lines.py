"""Lines of text files, of bounded length: a packed megabyte may hold one of a gigabyte."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_ROW", "LongRowError", "Rows", "bounded"]

MAX_ROW = 1 << 20
"""Most characters of a row of a table, however many lines it takes."""


class LongRowError(csv.Error):
    """A row is longer than any that a table needs.

    Attributes:
        line: the line in which it became too long.
    """

    def __init__(self, line: int) -> None:
        super().__init__(f"a row is longer than {MAX_ROW:,} characters")
        self.line = line


class _Bounded:
    """The lines of a file. Whoever makes rows of them says where one ends."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._line = 0
        self._length = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        text = self._file.readline(MAX_ROW + 1)
        if not text:
            raise StopIteration
        self._line += 1
        self._length += len(text)
        if self._length > MAX_ROW:
            raise LongRowError(self._line)
        return text

    def end_row(self) -> None:
        self._length = 0


class Rows:
    """Rows of a table of comma-separated values, as `csv.reader` reads them.

    Raises:
        LongRowError: a row has more than `MAX_ROW` characters; raised by the iteration.
    """

    def __init__(self, file: TextIO) -> None:
        self._lines = _Bounded(file)
        self._reader = csv.reader(self._lines)

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        row = next(self._reader)
        self._lines.end_row()
        return row

    @property
    def line_num(self) -> int:
        """Lines read so far."""
        return self._reader.line_num


def bounded(file: TextIO) -> csv.DictReader[str]:
    """Reads rows as dicts; what is missing at the end of a row is empty.

    Raises:
        LongRowError: a row has more than `MAX_ROW` characters; raised by the iteration.
    """
    rows: csv.DictReader[str] = csv.DictReader((), restval="")
    rows.reader = Rows(file)  # type: ignore[assignment]
    return rows

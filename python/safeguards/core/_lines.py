"""Lines of text files, of bounded length: a packed megabyte may hold one of a gigabyte."""

from __future__ import annotations

import csv
from itertools import chain
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_ROW", "Lines", "LongRowError", "Rows"]

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


class Lines:
    """The lines of a file. Whoever makes rows of them says where one ends.

    Raises:
        LongRowError: a row has more than `MAX_ROW` characters; raised by the iteration.
    """

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
        """What was read so far is a row; the next line begins another."""
        self._length = 0

    @property
    def line(self) -> int:
        """Lines read so far."""
        return self._line


class Rows:
    """Rows of a table, as `csv.reader` reads them.

    Args:
        file: the text.
        delimiters: what may stand between cells: the one that the first line has most often, else the first.

    Raises:
        LongRowError: a row has more than `MAX_ROW` characters; raised by the iteration, or at once for the
            first line.
    """

    def __init__(self, file: TextIO, delimiters: str = ",") -> None:
        self._lines = Lines(file)
        first = next(self._lines, "")
        self.delimiter = max(delimiters, key=_outside_quotes(first).count)
        self._reader = csv.reader(chain([first] if first else [], self._lines), delimiter=self.delimiter)

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


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])

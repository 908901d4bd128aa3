"""What people see: tables that fold or stack where the screen is narrow, and never lose a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, Group
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

__all__ = ["Cell", "Column", "Screen"]

_GAP = 2


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a table, and how it looks."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column.

    Attributes:
        name: what stands above; may be folded between words.
        is_figure: whether it holds figures: set to the right, never folded.
        least: the least width.
        style: how it looks.
    """

    name: str
    is_figure: bool = False
    least: int = 0
    style: str = ""


class Screen:
    """Where a command prints. Lines are folded between words; a word that does not fit sticks out."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, emoji=False)

    def line(self, text: str = "", style: str = "") -> None:
        """Prints a line of plain text: folded on a terminal, whole for programs that look for it."""
        found = self.folded(text, style) if self.console.is_terminal else Text(text, style)
        self.console.print(found, soft_wrap=True)

    def folded(self, text: str, style: str = "") -> Text:
        """Text in lines that fit, as far as its words do."""
        return Text("\n".join(_fold(text, self.console.width)), style=style)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]]) -> None:
        """Prints a table, or, where that does not fit, its rows one below the other."""
        self.show(self.laid_out(columns, rows))

    def show(self, laid_out: RenderableType) -> None:
        """Prints what was laid out."""
        self.console.print(laid_out, soft_wrap=True)

    def laid_out(
        self, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], title: str = ""
    ) -> RenderableType:
        """A table; where that does not fit, its rows one below the other, each cell with its column."""
        cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
        widths = _widths(columns, cells, self.console.width)
        parts: list[RenderableType] = [self.folded(title, "bold")] if title else []
        parts.append(_stacked(columns, cells) if widths is None else _table(columns, cells, widths))
        return Group(*parts)


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> list[int] | None:
    """How wide each column is; None if they do not fit, however their heads and names are folded."""
    least: list[int] = []
    natural: list[int] = []
    for place, column in enumerate(columns):
        texts = [row[place].text for row in rows]
        whole = max((cell_len(text) for text in texts), default=0)
        words = max((cell_len(word) for text in texts for word in text.split() or [""]), default=0)
        head = max((cell_len(word) for word in column.name.split()), default=0)
        least.append(max(whole if column.is_figure else words, head, 1))
        natural.append(max(whole, cell_len(column.name), column.least, 1))
    room = width - _GAP * (len(columns) - 1)
    if sum(natural) <= room:
        return natural
    if sum(least) > room:
        return None
    found, spare = list(least), room - sum(least)
    for place, wanted in enumerate(natural):
        more = min(max(wanted - found[place], 0), spare)
        found[place] += more
        spare -= more
    return found


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], widths: Sequence[int]) -> Text:
    lines = Text()
    if any(column.name for column in columns):
        _append(lines, [Cell(column.name, "bold") for column in columns], columns, widths)
        lines.append("─" * (sum(widths) + _GAP * (len(widths) - 1)) + "\n", style="dim")
    for row in rows:
        cells = [
            Cell(cell.text, cell.style or column.style) for column, cell in zip(columns, row, strict=True)
        ]
        _append(lines, cells, columns, widths)
    return lines


def _append(lines: Text, cells: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int]) -> None:
    """A row, in as many lines as its highest cell."""
    folded = [_fold(cell.text, width) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, folded))):
        line = Text()
        for cell, column, width, texts in zip(cells, columns, widths, folded, strict=True):
            text = texts[number] if number < len(texts) else ""
            pad = " " * (width - cell_len(text))
            line.append(pad if column.is_figure else "")
            line.append(text, style=cell.style)
            line.append(" " * _GAP if column.is_figure else pad + " " * _GAP)
        line.rstrip()
        lines.append_text(line)
        lines.append("\n")


def _stacked(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Text:
    lines = Text()
    for row in rows:
        first, *others = zip(columns, row, strict=True)
        lines.append(f"{first[1].text}\n", style="bold")
        for column, cell in others:
            if cell.text:
                lines.append(f"  {column.name}: " if column.name else "  ")
                lines.append(f"{cell.text}\n", style=cell.style or column.style)
    return lines


def _fold(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            if line and cell_len(line) + 1 + cell_len(word) > width:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        lines.append(line)
    return lines

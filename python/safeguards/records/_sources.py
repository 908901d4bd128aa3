"""Where rows come from: text, JSON, parquet, archives of arrays, tables. None is made sense of here."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from safeguards._extras import require
from safeguards._values import tables
from safeguards.core._lines import Lines, LongRowError, Rows
from safeguards.exceptions import TraceError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

__all__ = ["Source", "opened"]

_LINES = {".jsonl", ".ndjson"}


@dataclass(slots=True)
class Source:
    """Rows below a head.

    Attributes:
        name: what the source is called in messages.
        head: the names of the columns.
        rows: number of each row's line (of a text file) or row, and its cells.
        unit: what is counted: "line" or "row".
        decimal: the sign between ones and tenths in text: "." or ",".
    """

    name: str
    head: list[str]
    rows: Iterator[tuple[int, Sequence[Any]]]
    unit: str
    decimal: str = "."


@contextmanager
def opened(source: Any) -> Generator[Source]:
    """Opens a file by the end of its name, or a table; the rows can be read inside of the block.

    Raises:
        TraceError: it cannot be opened or read; says in which line, and why.
        MissingExtraError: it takes a library that is not installed.
    """
    if not isinstance(source, str | Path):
        yield _table("table", tables.columns(source))
        return
    path = Path(source)
    try:
        with _by_suffix(path) as found:
            yield found
    except LongRowError as error:
        raise _wrong(path, str(error), error.line) from error
    except UnicodeDecodeError as error:
        raise _wrong(path, "not text in UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise _wrong(path, getattr(error, "strerror", None) or str(error)) from error


def _wrong(path: Path, text: str, line: int | None = None) -> TraceError:
    where = f"{path}, line {line}" if line is not None else str(path)
    return TraceError(f"{where}: {text}", path=str(path), line=line)


@contextmanager
def _by_suffix(path: Path) -> Generator[Source]:
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix == ".npz":
        yield _table(str(path), _arrays(path))
    elif suffix == ".parquet":
        yield _parquet(path)
    else:
        with _text(path) as file:
            if suffix in _LINES:
                yield _objects(path, _json_lines(path, file), "line")
            elif suffix == ".json":
                yield _objects(path, _json(path, file), "row")
            else:
                yield _csv(path, file)


def _text(path: Path) -> TextIO:
    open_text = gzip.open if path.suffix == ".gz" else open
    return cast("TextIO", open_text(path, "rt", encoding="utf-8-sig", newline=""))


def _csv(path: Path, file: TextIO) -> Source:
    rows = Rows(file, ",;\t|")

    def numbered() -> Iterator[tuple[int, list[str]]]:
        try:
            for row in rows:
                if row:  # an empty line is none
                    yield rows.line_num, row
        except csv.Error as error:
            if isinstance(error, LongRowError):
                raise
            raise _wrong(path, str(error), rows.line_num) from error

    lines = numbered()
    _, head = next(lines, (0, None))
    if head is None:
        raise _wrong(path, "the file is empty")
    # Who separates by semicolons does so because commas are taken.
    return Source(str(path), head, lines, "line", "," if rows.delimiter == ";" else ".")


def _json_lines(path: Path, file: TextIO) -> Iterator[tuple[int, Any]]:
    lines = Lines(file)
    for line in lines:
        lines.end_row()
        if line.strip():
            try:
                yield lines.line, json.loads(line, parse_float=Decimal)
            except (ValueError, RecursionError) as error:
                raise _wrong(path, f"not JSON: {error}", lines.line) from error


def _json(path: Path, file: TextIO) -> Iterator[tuple[int, Any]]:
    try:
        found: Any = json.load(file, parse_float=Decimal)
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise _wrong(path, f"not JSON: {error}") from error
    if isinstance(found, dict):  # an answer of a service: {"data": [...]}
        lists: list[Any] = [each for each in cast("dict[str, Any]", found).values() if isinstance(each, list)]
        found = lists[0] if len(lists) == 1 else None
    if not isinstance(found, list):
        raise _wrong(path, "must be a list of objects, one for each call")
    rows: list[Any] = found  # pyright: ignore[reportUnknownVariableType]
    return enumerate(rows, 1)


def _objects(path: Path, objects: Iterator[tuple[int, Any]], unit: str) -> Source:
    """Objects as rows. Their columns are the names of them all, so all are read first."""
    flat: list[tuple[int, dict[str, Any]]] = []
    head: dict[str, None] = {}
    for number, item in objects:
        if not isinstance(item, dict):
            raise _wrong(path, f"must be an object, not {item!r:.60}", number)
        row: dict[str, Any] = {}
        _flatten("", cast("dict[str, Any]", item), row)
        head.update(dict.fromkeys(row))
        flat.append((number, row))
    if not head:
        raise _wrong(path, "the file is empty")
    names = list(head)
    return Source(str(path), names, ((n, [row.get(name) for name in names]) for n, row in flat), unit)


def _flatten(prefix: str, item: dict[str, Any], row: dict[str, Any]) -> None:
    for name, value in item.items():
        if isinstance(value, dict):
            _flatten(f"{prefix}{name}.", cast("dict[str, Any]", value), row)
        else:
            row[prefix + name] = value


def _parquet(path: Path) -> Source:
    if not path.is_file():
        raise _wrong(path, "No such file or directory")
    require("pyarrow", "tables")
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    try:
        file = parquet.ParquetFile(path)
        names: list[str] = list(file.schema_arrow.names)
    except (arrow.ArrowException, OSError) as error:
        raise _wrong(path, f"not a parquet file: {error}") from error

    def rows() -> Iterator[tuple[int, Sequence[Any]]]:
        number = 0
        for batch in file.iter_batches():
            for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield number, cells

    return Source(str(path), names, rows(), "row")


def _arrays(path: Path) -> dict[str, list[Any]]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise _wrong(path, "No such file or directory") from error
    except (OSError, ValueError, EOFError, AttributeError, zlib.error) as error:
        raise _wrong(path, f"not an archive of numpy arrays: {error}") from error
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise _wrong(path, "arrays differ in shape")
    return {name: array.tolist() for name, array in arrays.items()}


def _table(name: str, columns: dict[str, list[Any]]) -> Source:
    rows: Iterable[Sequence[Any]] = zip(*columns.values(), strict=True)
    return Source(name, list(columns), enumerate(rows, 1), "row")

"""Where commands write files: looked at before the work, so that no hour of it is lost to a wrong path."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from safeguards.exceptions import SafeguardsError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["OutputError", "directory_for", "file_for", "writing"]


class OutputError(SafeguardsError):
    """Something cannot be written: a full disk, a path that is no place for it.

    Attributes:
        path: where it should have gone.
    """

    fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str | None


@contextmanager
def writing(option: str, path: Path) -> Generator[None]:
    """Names the option whose file cannot be written.

    Raises:
        OutputError: it cannot.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{option}: cannot write {path}: {reason}", path=str(path)) from None


def directory_for(option: str, path: Path) -> Path:
    """Makes a directory, and sees whether files can be written there.

    Raises:
        OutputError: they cannot.
    """
    with writing(option, path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"\0")
    return path


def file_for(option: str, path: Path) -> Path:
    """Makes the directory of a file, and sees whether the file can be written.

    Raises:
        OutputError: it cannot.
    """
    directory_for(option, path.parent)
    if path.is_dir():
        raise OutputError(f"{option}: cannot write {path}: Is a directory", path=str(path))
    return path

"""Writes pictures for the pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safeguards._figures import svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
# A mid-tone, legible on a white page and on a dark one.
TEXT = "#768390"


def write(figure: Figure, name: str) -> None:
    """Writes docs/<name>.svg."""
    text = svg(figure, prefix=name).replace("currentColor", TEXT)
    (ROOT / "docs" / f"{name}.svg").write_text(text, encoding="utf-8")

"""From one start of a controller to its stop."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safeguards.core._ticker import Job

__all__ = ["Spell", "is_alive"]


class Spell:
    """The time from one start of a controller to its stop. What an earlier one still does is not wanted.

    Attributes:
        job: its runs, once they are scheduled.
        process: the one it was started in; it does not run in a child of that.
    """

    __slots__ = ("job", "process")

    def __init__(self) -> None:
        self.job: Job | None = None
        self.process = os.getpid()


def is_alive(spell: Spell | None) -> bool:
    """Whether a controller runs: it was started in this process, not in one that this was forked from."""
    return spell is not None and spell.process == os.getpid()

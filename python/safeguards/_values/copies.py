"""Values as plain dictionaries; and objects that are no values, as what they own is not copied with them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NoReturn

from safeguards._values.plain import plain

__all__ = ["OF_COORDINATOR", "Plain", "not_copied"]

OF_COORDINATOR = "it belongs to a coordinator of this process; make one of a coordinator where it is used"
"""What to do instead of copying something that belongs to a coordinator."""


class Plain:
    """A dataclass that turns into plain values."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Its fields as plain values, ready for JSON.

        Amounts are decimal text, times ISO 8601, stretches of time seconds.
        """
        return {each.name: plain(getattr(self, each.name)) for each in fields(self)}  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def not_copied(owner: object, instead: str) -> NoReturn:
    """Refuses to pickle or copy what owns something.

    Raises:
        TypeError: always.
    """
    raise TypeError(f"cannot pickle or copy a {type(owner).__name__}: {instead}")

"""Checks of arguments that native code cannot name as well: whole numbers."""

from __future__ import annotations

import operator

from safeguards.exceptions import ConfigurationError

MAX_SEED = 2**64 - 1
MAX_AGENTS = 2**32 - 1


def whole(name: str, value: int, low: int, high: int) -> int:
    """Returns a whole number of `low..high`.

    Raises:
        TypeError: it is not a whole number.
        ConfigurationError: it is out of range.
    """
    if isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {value!r}") from None
    if not low <= number <= high:
        raise ConfigurationError(f"{name} must be from {low:,} to {high:,}, not {number:,}")
    return number

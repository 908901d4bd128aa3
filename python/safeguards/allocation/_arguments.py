"""Checks of arguments that native code cannot name as well: whole numbers and arrays."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

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


def floats(name: str, values: ArrayLike, *dimensions: int) -> NDArray[np.float64]:
    """Returns the values as a float64 array that has one of the numbers of dimensions.

    Raises:
        ConfigurationError: they are not real numbers, or have another number of dimensions.
    """
    import numpy as np

    try:
        raw: NDArray[Any] = np.asarray(values)
    except ValueError as error:
        raise ConfigurationError(f"{name} must be a rectangular array of numbers: {error}") from error
    if raw.dtype.kind not in "iuf":
        raise ConfigurationError(f"{name} must be an array of real numbers, not of {raw.dtype}")
    if raw.ndim not in dimensions:
        expected = " or ".join(map(str, dimensions))
        raise ConfigurationError(f"{name} must have {expected} dimensions, not shape {raw.shape}")
    return np.ascontiguousarray(raw, dtype=np.float64)

"""The one place where Python code reads arrays: nothing is rounded, wrapped around or unmasked in silence."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

from safeguards._values.arguments import items
from safeguards._values.tables import as_list, is_missing, is_null
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["array", "flags", "floats", "instants", "is_column", "whole_numbers"]

_FINER = frozenset({"ps", "fs", "as"})
"""Units of datetime64 that reach no further than the years of `datetime`."""


def array(name: str, values: object, *dimensions: int) -> NDArray[Any]:
    """What numpy makes of the values.

    Raises:
        TypeError: there is a mask, which would be lost.
        ConfigurationError: they are not rectangular, or have none of these numbers of dimensions.
    """
    import numpy as np

    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(
            f"{name} must have no mask, which would be lost: give numpy.ma.filled({name}, ...), or "
            f"{name}.compressed() for what is not masked"
        )
    try:
        raw = np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(f"{name} must be a rectangular array of numbers: {error}") from error
    _check_dimensions(name, raw, *dimensions)
    return raw


def floats(name: str, values: object, *dimensions: int) -> NDArray[np.float64]:
    """The values as a float64 array that has one of the numbers of dimensions, if any is named; in C order.

    Raises:
        TypeError: there is a mask, which would be lost.
        ConfigurationError: they are not real numbers, or have another number of dimensions.
    """
    import numpy as np

    raw = array(name, values)
    if raw.dtype.kind == "O":
        raw = _from_objects(name, raw)
    if raw.dtype.kind not in "iuf":
        raise ConfigurationError(f"{name} must be an array of real numbers, not of {raw.dtype}")
    _check_dimensions(name, raw, *dimensions)
    with np.errstate(over="ignore"):  # a longer float may be infinite here: callers check ranges
        return np.asarray(raw, dtype=np.float64, order="C")


def whole_numbers(name: str, values: object, length: str) -> NDArray[np.int64]:
    """The values as an int64 array of shape (length,).

    Raises:
        TypeError: there is a mask, which would be lost.
        ConfigurationError: they are not whole numbers of 64 bits, or have not one dimension.
    """
    import numpy as np

    raw = array(name, values)
    if raw.dtype.kind not in "iu" or raw.ndim != 1:
        raise ConfigurationError(
            f"{name} must be a ({length},) array of whole numbers, not {raw.dtype} of shape {raw.shape}"
        )
    if raw.size and raw.max() > np.iinfo(np.int64).max:
        raise ConfigurationError(f"{name} must be below 2**63, not {raw.max()}")
    return np.asarray(raw, dtype=np.int64, order="C")


def flags(name: str, values: object, length: str) -> NDArray[np.bool_]:
    """The values as a bool array of shape (length,).

    Raises:
        TypeError: there is a mask, which would be lost.
        ConfigurationError: they are not bools, or have not one dimension.
    """
    import numpy as np

    raw = array(name, values)
    if raw.dtype.kind == "O" and raw.size and all(isinstance(value, bool) for value in raw.flat):
        raw = raw.astype(np.bool_)  # arrow has no other way to say it
    if raw.dtype != np.bool_ or raw.ndim != 1:
        raise ConfigurationError(
            f"{name} must be a ({length},) array of bool, not {raw.dtype} of shape {raw.shape}"
        )
    return np.asarray(raw, order="C")


def instants(name: str, values: Any) -> list[Any]:
    """The items of an array, a column or a sequence, with Python's `datetime` for numpy's datetime64.

    Times of columns keep their zone.

    Raises:
        TypeError: an array holds neither datetime64 nor objects, or NaT, or has a mask.
        ConfigurationError: an array has not one dimension, or a time lies out of the years 1 to 9999.
    """
    cells = None if _is_of_numpy(values) else as_list(values)
    if cells is not None:
        return _moments(name, cells)
    if hasattr(values, "dtype"):
        return _datetimes(name, values)
    each = items(name, values, "datetimes")
    return [_datetimes(name, [item])[0] if hasattr(item, "dtype") else item for item in each]


def is_column(values: object) -> bool:
    """Whether it is an array of numpy, or a column of pandas, polars or arrow."""
    return hasattr(values, "dtype") or hasattr(values, "to_pylist")


def _is_of_numpy(values: object) -> bool:
    """Whether numpy knows its type, as of a column of pandas without a zone."""
    import numpy as np

    return isinstance(getattr(values, "dtype", None), np.dtype)


def _moments(name: str, cells: list[Any]) -> list[Any]:
    """Times of a column, with their zones. As an array they would be in UTC, and not say so."""
    for cell in cells:
        if is_missing(cell):
            raise TypeError(f"each of {name} must be a datetime, not {cell}")
    return cells


def _datetimes(name: str, values: object) -> list[Any]:
    import numpy as np

    raw = array(name, values)
    if raw.dtype.kind == "O" and raw.ndim == 1:
        return list(raw.tolist())
    if raw.dtype.kind != "M":
        raise TypeError(f"an array of {name} must be datetime64, not {raw.dtype}")
    _check_dimensions(name, raw, 1)
    if np.datetime_data(raw.dtype)[0] in _FINER:  # nothing of them is out of range
        raw = raw.astype("datetime64[us]")
    # Years: what is out of range would wrap around in microseconds.
    years = raw.astype("datetime64[Y]").astype(np.int64) + 1970
    if np.isnat(raw).any():
        raise TypeError(f"each of {name} must be a datetime, not NaT")
    if ((years < 1) | (years > 9999)).any():  # noqa: PLR2004 - of `datetime`
        raise ConfigurationError(f"{name} must be times of the years 1 to 9999")
    return list(raw.astype("datetime64[us]").tolist())


def _from_objects(name: str, raw: NDArray[Any]) -> NDArray[np.float64]:
    import numpy as np

    for value in raw.flat:
        if isinstance(value, bool) or not (isinstance(value, Real | Decimal) or is_null(value)):
            raise ConfigurationError(f"{name} must be an array of real numbers, not with {value!r:.100}")
    try:
        if any(map(is_null, raw.flat)):
            raw = np.array([np.nan if is_null(value) else value for value in raw.flat]).reshape(raw.shape)
        return raw.astype(np.float64)
    except (ValueError, OverflowError) as error:  # a signalling NaN, or an int beyond every float
        raise ConfigurationError(f"{name} must be an array of real numbers: {error}") from error


def _check_dimensions(name: str, found: NDArray[Any], *dimensions: int) -> None:
    if dimensions and found.ndim not in dimensions:
        expected = (
            " or ".join(map(str, dimensions)) + " dimensions" if dimensions != (1,) else "one dimension"
        )
        raise ConfigurationError(f"{name} must have {expected}, not shape {found.shape}")

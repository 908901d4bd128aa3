"""Capacities as `simulate` takes them, and the names of their resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from safeguards._values.arguments import shown
from safeguards._values.arrays import floats
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["named"]

_MOST = 65_535


def named(capacities: object) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The capacities of shape (T, Q), and the name of each resource.

    Args:
        capacities: an array, columns by name, or a data frame; resources of an array are "1", "2" and so on.

    Raises:
        ConfigurationError: they are not of this shape, or no capacities; names the resource.
    """
    import numpy as np

    if isinstance(capacities, Mapping):
        columns = {
            _name(name): floats(f"capacities[{name!r}]", column, 1)
            for name, column in _items(cast("Any", capacities))
        }
        if len({len(column) for column in columns.values()}) > 1:
            raise ConfigurationError("capacities must have the same number of steps for each resource")
        values = np.stack(list(columns.values()), axis=1) if columns else np.empty((0, 0))
        names = tuple(columns)
    else:
        values = floats("capacities", capacities, 2)
        found = getattr(capacities, "columns", None)
        names = tuple(map(str, range(1, values.shape[1] + 1) if found is None else found))
    if not 1 <= len(names) <= _MOST:
        raise ConfigurationError(f"capacities must have 1 to {_MOST} resources (columns), not {len(names)}")
    _refuse_negative(values, names)
    return values, names


def _items(capacities: Any) -> list[tuple[Any, Any]]:
    return list(capacities.items())


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"capacities must have names of resources that are text, not {shown(name)}")
    return name


def _refuse_negative(values: NDArray[np.float64], names: tuple[str, ...]) -> None:
    import numpy as np

    wrong = np.argwhere(values < 0)
    if len(wrong):
        step, resource = cast("list[int]", wrong[0].tolist())
        raise ConfigurationError(
            f"capacities must not be negative: step {step + 1}, resource {names[resource]!r} is "
            f"{values[step, resource]:g}"
        )

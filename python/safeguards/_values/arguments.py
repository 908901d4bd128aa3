"""Arguments that are no numbers: text, one of some words, an object of a class. How messages show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from safeguards.exceptions import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["called", "flag", "instance", "items", "listed", "mapping", "one_of", "shown", "text", "told"]

_SHOWN = 60
_T = TypeVar("_T")


def shown(value: object) -> str:
    """A value as messages show it: its repr, shortened."""
    try:
        found = repr(value)
    except Exception:  # noqa: BLE001 - such as an int of more digits than Python writes
        found = f"<{type(value).__name__}>"
    return found if len(found) <= _SHOWN else f"{found[:_SHOWN]}..."


def told(error: BaseException) -> str:
    """What an error says, in whatever way it can say it."""
    try:
        return str(error) or repr(error)
    except Exception:  # noqa: BLE001 - it is told about because something failed already
        return f"<no text: {type(error).__name__} cannot be printed>"


def called(name: str, value: _T) -> _T:
    """Something that can be called.

    Raises:
        ArgumentTypeError: it cannot.
    """
    if not callable(value):
        raise ArgumentTypeError(f"{name} must be something that can be called, not {shown(value)}")
    return value


def instance(name: str, value: object, cls: type[_T]) -> _T:
    """An object of a class.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not isinstance(value, cls):
        raise ArgumentTypeError(f"{name} must be a {cls.__name__}, not {shown(value)}")
    return value


def text(name: str, value: object) -> str:
    """Text that has a form in UTF-8.

    Raises:
        ArgumentTypeError: it is no text, or has half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name} must be a str, not {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ArgumentTypeError(f"{name} must be Unicode, not {shown(value)}: {error.reason}") from error
    return value


def one_of(name: str, value: Any, choices: Collection[str]) -> Any:
    """One of some words.

    Raises:
        ConfigurationError: it is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        *most, last = map(repr, choices)
        listed = f"{', '.join(most)} or {last}" if most else last
        raise ConfigurationError(f"{name} must be {listed}, not {shown(value)}")
    return value


def mapping(name: str, value: object) -> dict[Any, Any]:
    """A copy of a mapping.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(f"{name} must be a mapping, not {shown(value)}")
    return dict(value)  # pyright: ignore[reportUnknownArgumentType]


def items(name: str, values: Any, kind: str) -> list[Any]:
    """What can be iterated over, as a list: no text, whose letters nobody means, and no mapping.

    Raises:
        ArgumentTypeError: it cannot, or is text or a mapping.
    """
    if isinstance(values, str | bytes | bytearray | Mapping):
        raise ArgumentTypeError(
            f"{name} must be a sequence of {kind}, not {shown(values)}: write [...] around one"  # pyright: ignore[reportUnknownArgumentType]
        )
    try:
        each = iter(values)
    except TypeError:
        raise ArgumentTypeError(f"{name} must be a sequence of {kind}, not {shown(values)}") from None
    return list(each)


def listed(name: str, value: object) -> list[Any]:
    """A copy of a list or a tuple.

    Raises:
        ArgumentTypeError: it is neither.
    """
    if not isinstance(value, list | tuple):
        raise ArgumentTypeError(f"{name} must be a list, not {shown(value)}")
    return list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def flag(name: str, value: object) -> bool:
    """True or False.

    Raises:
        ArgumentTypeError: it is neither.
    """
    if isinstance(value, bool):
        return value
    if type(value).__module__ == "numpy" and type(value).__name__ in {"bool", "bool_"}:
        return bool(value)
    raise ArgumentTypeError(f"{name} must be True or False, not {shown(value)}")

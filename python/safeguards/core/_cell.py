"""A value that many threads replace as a whole, without a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from safeguards._values.copies import not_copied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Cell", "snapshot"]

T = TypeVar("T")


class Cell(Generic[T]):
    """A value that is only ever replaced as a whole.

    A lock would do for threads. But a signal handler, a finalizer or a trace function runs in the middle of
    whatever its thread is at, also of what that thread does under a lock: with a plain lock it would wait for
    itself, and with a reentrant one it would see a change half done, or lose its own. And a process that is
    forked while another thread has the lock would wait for ever.

    So values are links of a chain, and `dict.setdefault`, which no other code gets between, decides who adds
    the next one. Whoever comes second does its change again, on the newer value.
    """

    __slots__ = ("_link",)

    def __init__(self, value: T) -> None:
        self._link: dict[str, Any] = {"value": value}

    @property
    def value(self) -> T:
        """The latest value."""
        value: T = self._latest()["value"]
        return value

    def update(self, change: Callable[[T], T]) -> T:
        """Replaces the value by `change(value)`, which may be called again. Returns the new value."""
        return self._step(change)[1]

    def exchange(self, value: T) -> T:
        """Replaces the value. Returns the one before."""
        return self._step(lambda _: value)[0]

    def exchange_by(self, change: Callable[[T], T]) -> T:
        """As `update`, but returns the value before."""
        return self._step(change)[0]

    def __reduce__(self) -> NoReturn:
        not_copied(self, "threads share it")

    def _step(self, change: Callable[[T], T]) -> tuple[T, T]:
        while True:
            link = self._latest()
            old: T = link["value"]
            new = {"value": change(old)}
            if link.setdefault("next", new) is new:
                self._link = new
                return old, new["value"]

    def _latest(self) -> dict[str, Any]:
        link = self._link
        while (later := link.get("next")) is not None:
            self._link = link = later
        return link


def snapshot(items: Iterable[T]) -> list[T]:
    """The items of a dict, a view of one, or a deque, as they are at one instant, whoever changes it."""
    while True:
        try:
            return list(items)
        except RuntimeError:  # it changed on the way: in another thread, or in a finalizer of this one
            continue

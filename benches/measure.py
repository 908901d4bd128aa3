"""Time per operation, so that two figures of one run may be divided by each other.

Contenders take turns: round 1 of all, round 2 of all, ... in an order that rotates, so that a slow second of
the machine hits all of them. Times are processor times of the thread unless a contender says otherwise: other
processes of a shared machine lengthen these little. The loop's own cost (an empty loop of the same shape, the
fastest of three) is measured in every round and subtracted, for all contenders alike. `timeit` switches the
garbage collector off while it times; it runs before each round. In the end each contender proves its result.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import thread_time
from timeit import Timer
from typing import Any, Protocol

ROUNDS = 7


class Timed(Protocol):
    """What takes turns: a `Contender`, or one that a process of its own runs."""

    name: str
    how: str

    def once(self) -> None:
        """One call, untimed."""

    def round(self) -> float:
        """Seconds of one operation, over a round of many."""

    def prove(self) -> str:
        """Raises unless what was done is what was asked; says how right it is."""


@dataclass
class Contender:
    """One operation, written as its user writes it.

    Args:
        name: what the tables call it.
        statement: the operation; it is timed in a loop.
        names: what the statement refers to.
        verify: takes the number of calls done, raises if the result is wrong, and says how right it is.
        loop: the part of the statement that is not the operation, timed alone and subtracted.
        calls: calls per round.
        each: operations of one call, such as the debits of a batch.
        how: the code path, for readers of the table.
        timer: the clock, in seconds.
        before: what has to be done before each round, untimed.
    """

    name: str
    statement: str
    names: dict[str, Any]
    verify: Callable[[int], str]
    loop: str = "pass"
    calls: int = 100_000
    each: int = 1
    how: str = ""
    timer: Callable[[], float] = thread_time
    before: Callable[[], object] = lambda: None
    done: int = field(default=0, init=False)

    def once(self) -> None:
        self.before()
        self._timed(self.statement).timeit(1)
        self.done += 1

    def round(self) -> float:
        self.before()
        gc.collect()
        empty = min(self._timed(self.loop).repeat(3, self.calls))
        full = self._timed(self.statement).timeit(self.calls)
        self.done += self.calls
        return (full - empty) / (self.calls * self.each)

    def prove(self) -> str:
        return self.verify(self.done)

    def _timed(self, statement: str) -> Timer:
        return Timer(statement, timer=self.timer, globals=self.names)


def work(name: str, call: Callable[[], object], verify: Callable[[int], str], **options: Any) -> Contender:
    """A contender that is a call without arguments; `options` are those of `Contender`."""
    return Contender(name, "call()", {"call": call}, verify, **{"calls": 1, **options})


def take_turns(contenders: Sequence[Timed], rounds: int) -> list[list[float]]:
    """Seconds of one operation of each contender, by contender and round.

    One round more than asked for is run first and thrown away: it warms caches and the interpreter.

    >>> done = []
    >>> slow = work("append", lambda: done.append(1), lambda calls: f"{calls} done")
    >>> (samples,) = take_turns([slow], rounds=3)
    >>> len(samples), len(done), slow.prove()
    (3, 4, '4 done')
    """
    samples: list[list[float]] = [[] for _ in contenders]
    for number in range(rounds + 1):
        for place in range(len(contenders)):
            turn = (number + place) % len(contenders)
            seconds = contenders[turn].round()
            if number > 0:
                samples[turn].append(seconds)
    return samples

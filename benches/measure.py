"""Time per operation, so that two figures of one run may be divided by each other.

Every contender runs in the same process and the same rounds: round 1 of all, round 2 of all, ... in an order
that rotates, so that a slow second of the machine hits all of them. Times are processor times of the thread,
which other processes of a shared machine lengthen little. The loop's own cost (an empty loop of the same
shape, the fastest of three) is measured in every round and subtracted. `timeit` switches the garbage
collector off while it times, for all contenders alike; it runs between rounds. After the last round each
contender proves its result.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from time import thread_time
from timeit import Timer
from typing import Any

ROUNDS = 7
NANOSECONDS = 1e9


@dataclass(frozen=True)
class Spread:
    """One figure of a run: a sample per round."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.samples)

    @property
    def low(self) -> float:
        return min(self.samples)

    @property
    def high(self) -> float:
        return max(self.samples)

    def __truediv__(self, other: Spread) -> Spread:
        """Ratio of two contenders, round by round."""
        return Spread(tuple(a / b for a, b in zip(self.samples, other.samples, strict=True)))

    def scaled(self, factor: float) -> Spread:
        return Spread(tuple(sample * factor for sample in self.samples))

    def to_dict(self) -> dict[str, Any]:
        return {
            "median": self.median,
            "low": self.low,
            "high": self.high,
            "samples": list(self.samples),
        }


@dataclass(frozen=True)
class Contender:
    """One operation, written as its user writes it.

    Args:
        name: what the tables call it.
        statement: the operation; it is timed in a loop.
        names: what the statement refers to.
        verify: takes the number of operations done, raises if the result is wrong, and says how right it is.
        loop: the part of the statement that is not the operation, timed alone and subtracted.
        calls: operations per round.
        how: the code path, for readers of the table.
    """

    name: str
    statement: str
    names: dict[str, Any]
    verify: Callable[[int], str]
    loop: str = "pass"
    calls: int = 100_000
    how: str = ""


@dataclass
class Measurement:
    """Nanoseconds per operation of one contender, and the proof of its result."""

    contender: Contender
    samples: list[float] = field(default_factory=list)
    proof: str = ""

    @property
    def ns(self) -> Spread:
        return Spread(tuple(self.samples))

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.contender.name,
            "statement": self.contender.statement,
            "how": self.contender.how,
            "ns": self.ns.to_dict(),
            "verified": self.proof,
        }


def measure(*contenders: Contender, rounds: int = ROUNDS) -> dict[str, Measurement]:
    """Time the contenders in interleaved rounds and let each prove its result.

    One round more than asked for is run first and thrown away: it warms caches and the interpreter.

    >>> counts = []
    >>> once = Contender("append", "counts.append(1)", {"counts": counts}, lambda n: f"{len(counts) == n}")
    >>> measure(once, rounds=1)["append"].proof
    'True'
    """
    results = {contender.name: Measurement(contender) for contender in contenders}
    loops = {c.name: Timer(c.loop, timer=thread_time, globals=c.names) for c in contenders}
    statements = {c.name: Timer(c.statement, timer=thread_time, globals=c.names) for c in contenders}
    for number in range(rounds + 1):
        shift = number % len(contenders)
        for contender in contenders[shift:] + contenders[:shift]:
            gc.collect()
            empty = min(loops[contender.name].repeat(3, contender.calls))
            full = statements[contender.name].timeit(contender.calls)
            if number > 0:
                results[contender.name].samples.append((full - empty) / contender.calls * NANOSECONDS)
    for result in results.values():
        result.proof = result.contender.verify(result.contender.calls * (rounds + 1))
    return results

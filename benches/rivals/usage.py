"""The overspend experiment: 50 calls of 0.10 at once against a budget of 1.00.

`Model` stands for the thing that costs money. It takes a moment, as every model does, and its bill counts
each call it served: what a library's own books say is reported beside it, but the bill is what one pays.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

CALLS = 50
PRICE = Decimal("0.10")
BUDGET = Decimal("1.00")
SECONDS_PER_CALL = 0.05

Refusals = tuple[type[BaseException], ...]


class Model:
    """A model that answers after a moment and bills 0.10 for it.

    Args:
        together: whether the 50 calls come at once, or one after the other as a control.

    Attributes:
        lock: for a guard that keeps its own books.
    """

    def __init__(self, *, together: bool = True) -> None:
        self.together = together
        self.lock = threading.Lock()
        self.served = 0

    @property
    def bill(self) -> Decimal:
        return self.served * PRICE

    def call(self) -> None:
        self._serve()
        time.sleep(SECONDS_PER_CALL)

    async def call_async(self) -> None:
        self._serve()
        await asyncio.sleep(SECONDS_PER_CALL)

    def _serve(self) -> None:
        with self.lock:
            self.served += 1


@dataclass(frozen=True)
class Usage:
    """One documented way of guarding calls to `Model`.

    Args:
        how: the code path, in the words of the library.
        concurrency: "threads" or "asyncio".
        run: makes the 50 calls and returns what the library's own books say was spent.
    """

    how: str
    concurrency: Literal["threads", "asyncio"]
    run: Callable[[Model], Decimal | float]


def in_threads(model: Model, job: Callable[[], None], refusals: Refusals) -> None:
    """Run the job 50 times, in threads that start together; a refusal ends its thread.

    The control runs them one after the other and stops at the first refusal, as a program would.
    """
    if not model.together:
        with contextlib.suppress(*refusals):
            for _ in range(CALLS):
                job()
        return
    start = threading.Barrier(CALLS)

    def worker() -> None:
        start.wait()
        with contextlib.suppress(*refusals):
            job()

    with ThreadPoolExecutor(CALLS) as pool:
        for future in [pool.submit(worker) for _ in range(CALLS)]:
            future.result()


async def in_tasks(model: Model, job: Callable[[], Awaitable[object]], refusals: Refusals) -> None:
    """Run the job 50 times as `in_threads` does, in asyncio tasks."""
    if not model.together:
        with contextlib.suppress(*refusals):
            for _ in range(CALLS):
                await job()
        return
    for outcome in await asyncio.gather(*(job() for _ in range(CALLS)), return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, refusals):
            raise outcome

"""Calls that wait in tasks of asyncio. Threads wait in the compiled core, through `threading.Lock`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from safeguards._native import Receipt, Reservation

if TYPE_CHECKING:
    from safeguards._native import PendingDebit, PendingReservation

__all__ = ["enter", "obtain"]

_LONGEST_SECONDS = 1e8
"""The longest that a loop is asked to wait for."""


async def obtain(pending: PendingReservation | PendingDebit) -> Any:
    """What was asked for, once it is there. A task that is cancelled meanwhile leaves nothing behind."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def ring() -> None:
        if not done.done():
            done.set_result(None)

    def wake() -> None:
        # In the middle of a task of this loop its next round is sure to come. A signal handler may run while
        # the loop sleeps, and other threads have to wake it anyway.
        if asyncio._get_running_loop() is loop and asyncio.current_task(loop) is not None:  # noqa: SLF001
            loop.call_soon(ring)
        else:
            loop.call_soon_threadsafe(ring)

    waiter: Any = pending._begin(wake)  # noqa: SLF001 - one library
    if isinstance(waiter, (Reservation, Receipt)):
        return waiter
    seconds = waiter._seconds_left  # noqa: SLF001
    timer = None if seconds is None else loop.call_later(min(seconds, _LONGEST_SECONDS), ring)
    try:
        await done
        return waiter._finish()  # noqa: SLF001
    except BaseException:
        waiter._withdraw()  # noqa: SLF001
        raise
    finally:
        if timer is not None:
            timer.cancel()


async def enter(pending: PendingReservation) -> Reservation:
    """What `async with` enters."""
    reservation: Reservation = await obtain(pending)
    try:
        await reservation.__aenter__()
        pending._keep(reservation)  # noqa: SLF001
    except BaseException:
        reservation.release()
        raise
    return reservation

"""Threads of the library's own: daemons, that may fail to start."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from safeguards.exceptions import ThreadStartError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["start_thread"]


def start_thread(name: str, target: Callable[..., object], *args: object) -> threading.Thread:
    """Runs `target(*args)` in a daemon thread.

    Raises:
        ThreadStartError: the system started none.
    """
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        raise ThreadStartError(
            f"the system did not start the thread {name!r} ({error}): the process is at its limit of threads "
            "or memory (ulimit -u, ulimit -v, the pids limit of a container); end some or raise the limit, "
            "and try again. Nothing has changed",
            thread=name,
        ) from error
    return thread

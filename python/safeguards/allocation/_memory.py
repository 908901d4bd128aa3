"""How much memory there is: asked before a simulation, not found out when the system ends the process."""

from __future__ import annotations

import os
from pathlib import Path

from safeguards.exceptions import ConfigurationError

__all__ = ["available_bytes", "refuse_more_than_there_is", "sized"]

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Memory that this process can still have; None where the system does not say."""
    known = [found for found in (_of_machine(), _of_group()) if found is not None]
    return min(known, default=None)


def refuse_more_than_there_is(what: str, needed: int, advice: str) -> None:
    """Refuses what would not fit.

    Args:
        what: what would be held, as "loads of 1,000,000 trials".
        needed: its size in bytes.
        advice: what to do instead.

    Raises:
        ConfigurationError: there is less memory.
    """
    there_is = available_bytes()
    if there_is is not None and needed > there_is:
        raise ConfigurationError(
            f"{what} need {sized(needed)} of memory and {sized(there_is)} are free: {advice}"
        )


def sized(count: int) -> str:
    """A number of bytes for people.

    >>> sized(24_000_000_000), sized(3_000_000)
    ('24.0 GB', '3.0 MB')
    """
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:,} bytes"


def _of_machine() -> int | None:
    try:
        # Bytes: a codec is a module to import, which fails where a process may read no files of Python.
        lines = _MEMINFO.read_bytes().splitlines()
        (kibibytes,) = (line.split()[1] for line in lines if line.startswith(b"MemAvailable:"))
        return int(kibibytes) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _of_group() -> int | None:
    """What the container may still have, where it has a bound."""
    try:
        most = int((_CGROUP / "memory.max").read_bytes())
        return max(most - int((_CGROUP / "memory.current").read_bytes()), 0)
    except (OSError, ValueError):
        return None  # no bound says "max"

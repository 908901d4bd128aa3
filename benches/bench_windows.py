"""Sliding windows: one of 10,000 in each call, empty or full; and debits that pass windows with the money."""

from __future__ import annotations

import pytest

from contenders import empty, our_windows, ours, ours_under_windows, windows_by_hand
from harness import Versus, at_least

pytestmark = pytest.mark.benchmark(group="Windows")


@pytest.mark.parametrize("events", [0, 1_000])
def bench_try_acquire(versus: Versus, events: int, *, is_quick: bool) -> None:
    name, events = f"try_acquire, {events:,} charges in the window", min(events, 10) if is_quick else events
    versus(
        our_windows(name, events),
        (windows_by_hand(events), at_least(3.5)),
        empty("empty native method", "empty.try_acquire(agent, amount)"),
    )


def bench_debit_under_windows(versus: Versus) -> None:
    statement = "coordinator.try_debit(agent, amount)"
    versus(
        ours_under_windows("try_debit, with a window of the agent and one of its pool", statement),
        ours("try_debit, no windows", statement),
    )

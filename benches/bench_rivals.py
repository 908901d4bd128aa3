"""The libraries people install, each in an environment and a process of its own, in turn with ours.

A rival is used as its own documentation tells; `how` states the code path. Ours takes its turn beside each: a
figure of ours that differs much between them says that the machine was not itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contenders import our_windows, ours
from harness import Versus, at_least
from measure import Contender
from rivals import ADAPTERS
from rivals.processes import NotRunError, Worker, working

pytestmark = pytest.mark.benchmark(group="Rivals")

BARS = {"throttled-py amount, sliding window": at_least(25)}


@pytest.fixture(params=ADAPTERS)
def rival(request: pytest.FixtureRequest) -> Iterator[Worker]:
    try:
        with working(request.param) as worker:
            if not worker.operations:
                pytest.skip(f"{worker.name}: no operation of its own that can be timed")
            yield worker
    except NotRunError as reason:
        pytest.skip(f"{request.param}: {reason}")


def bench_rival(versus: Versus, rival: Worker) -> None:
    for operation in rival.operations:
        about = f"{rival.name} {operation.name}"
        theirs = (operation, BARS[about]) if about in BARS else operation
        mine = counterpart(operation.name)
        operation.name = f"{rival.name} {rival.version}: {operation.name}"
        versus(mine, theirs, about=about)


def counterpart(operation: str) -> Contender:
    """What of ours does the work of a rival's operation."""
    if operation.startswith("debit"):
        return ours("try_debit", "coordinator.try_debit(agent, amount)")
    if operation.startswith("reserve"):
        return ours("reserve + settle", "coordinator.reserve(agent, reserved).settle(amount)", calls=50_000)
    return our_windows("try_acquire", 0)

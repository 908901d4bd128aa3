"""One process owns a budget: a forked copy is refused, clearly; a process of its own is fine."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import warnings

import pytest

from safeguards import BudgetCoordinator, BudgetRateLimiter, ManualClock


def in_fork(function):
    """What a function does in a forked child: what it returns, or the error as text."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: other threads may live in this process
        child = os.fork()
    if child == 0:
        try:
            try:
                outcome = "returned", function()
            except BaseException as error:
                outcome = type(error).__name__, str(error)
            os.write(writer, pickle.dumps(outcome))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        outcome = pickle.loads(stream.read())  # noqa: S301 - our own
    _, status = os.waitpid(child, 0)
    assert status == 0
    return outcome


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")


@needs_fork
def test_every_use_in_a_child_is_refused(coordinator, limiter):
    account = coordinator.account("bot")
    reservation = coordinator.reserve("bot", "0.1")
    uses = [
        lambda: coordinator.debit("bot", "0.1"),
        lambda: coordinator.try_debit("bot", "0.1"),
        lambda: coordinator.get_budget("bot"),
        lambda: coordinator.register_agent("new", "team"),
        lambda: coordinator.create_budget_pool("new", 1),
        coordinator.verify,
        lambda: account.try_debit("0.1"),
        lambda: account.budget,
        lambda: reservation.settle("0.1"),
        reservation.release,
        lambda: limiter.try_acquire("bot", "0.1"),
    ]
    for use in uses:
        kind, text = in_fork(use)
        assert kind == "ConfigurationError", text
        assert "made before a fork" in text and "N processes are N budgets" in text
        assert "Let one process own the budgets" in text
    assert float(coordinator.get_budget("bot")) == 0.9
    reservation.settle("0.05")


@needs_fork
def test_a_child_makes_coordinators_of_its_own(coordinator):
    def work():
        own = BudgetCoordinator(clock=ManualClock())
        own.create_budget_pool("team", 1)
        own.register_agent("bot", "team", initial_budget=1)
        return [own.try_debit("bot", "0.5") for _ in range(3)]

    assert in_fork(work) == ("returned", [True, True, False])
    assert in_fork(lambda: in_fork(work)) == ("returned", ("returned", [True, True, False]))


@needs_fork
def test_a_reservation_dropped_in_a_child_says_nothing(coordinator):
    held = [coordinator.reserve("bot", "0.1")]

    def drop():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            held.clear()

    assert in_fork(drop) == ("returned", None)
    held.pop().release()


def spend_in_a_process(amount):
    own = BudgetCoordinator()
    own.create_budget_pool("team", 1)
    own.register_agent("bot", "team", initial_budget=1)
    limiter = BudgetRateLimiter(own)
    return own.try_debit("bot", amount), limiter.try_acquire("bot", amount)


def test_spawned_processes_are_fine():
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.map_async(spend_in_a_process, ["0.5", "1.5"]).get(timeout=60)
    assert results == [(True, True), (False, True)]


@pytest.mark.parametrize(
    "code",
    [
        "kept = c.reserve('bot', '0.1')",
        "c.reserve('bot', '0.1').__enter__()",
        "c.kept = c.reserve('bot', '0.1'); c.limiter = BudgetRateLimiter(c)",
        "import threading; threading.Thread(target=lambda: c.reserve('bot', '0.1')).start()",
        "import atexit; atexit.register(lambda r=c.reserve('bot', '0.1'): r.release())",
    ],
)
def test_the_interpreter_ends_in_peace(code):
    program = f"""
from safeguards import BudgetCoordinator, BudgetRateLimiter
c = BudgetCoordinator()
c.create_budget_pool("team", 1)
c.register_agent("bot", "team", initial_budget=1)
{code}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "panicked" not in done.stderr

"""Long calls stop neither the interpreter nor each other, and Ctrl-C ends them honestly."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

from safeguards import BudgetCoordinator, ManualClock, MultiResourceBudget

ITEMS = 1_500_000


def make(clock=None, **options):
    coordinator = BudgetCoordinator(clock=clock or ManualClock(), **options)
    coordinator.create_budget_pool("team", 10**15)
    coordinator.register_agent("bot", "team", initial_budget=10**15)
    return coordinator


def many(coordinator, items=ITEMS):
    handle = coordinator.handle("bot")
    return np.full(items, handle, dtype=np.uint32), np.ones(items, dtype=np.int64)


class Beside:
    """Runs `act` again and again beside the block, and watches for how long Python stands still."""

    def __init__(self, act):
        self.act = act
        self.ended = threading.Event()
        self.longest = 0.0
        self.acts = 0
        self.error = None

    def _watch(self):
        last = time.perf_counter()
        while not self.ended.is_set():
            now = time.perf_counter()
            self.longest, last = max(self.longest, now - last), now

    def _act(self):
        try:
            while not self.ended.is_set():
                self.act(self.acts)
                self.acts += 1
        except Exception as error:
            self.error = error

    def __enter__(self):
        self.threads = [threading.Thread(target=target) for target in (self._watch, self._act)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        if self.error:
            raise self.error


ACTS = {
    "register": lambda c, n: c.register_agent(f"new {n}", "team"),
    "leave": lambda c, n: (c.register_agent(f"new {n}", "team"), c.unregister_agent(f"new {n}")),
    "debit": lambda c, _: c.try_debit("bot", "0.000000001"),
    "reserve": lambda c, _: c.reserve("bot", "0.000000001").settle(0),
    "keyed": lambda c, n: c.try_debit("bot", 0, idempotency_key=str(n)),
    "read": lambda c, _: (c.get_budget("bot"), c.get_pool_budget("team"), c.get_pool_agents("team")),
    "grant": lambda c, _: c.adjust_budget("bot", 0),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_batch_stops_no_thread(act):
    coordinator = make()
    # Whoever wants the directory used to wait for the whole of it.
    arrays = many(coordinator, 4_000_000 if act in {"register", "leave"} else ITEMS)
    with Beside(lambda n: ACTS[act](coordinator, n)) as beside:
        start = time.perf_counter()
        admitted = coordinator.debit_many(*arrays)
        took = time.perf_counter() - start
    assert admitted.all()
    assert beside.acts > 5, "the other thread waited for the whole batch"
    # A fifth of a second for a busy machine.
    assert beside.longest < max(0.2, took / 2), f"Python stood still for {beside.longest:.3f} of {took:.3f} s"
    coordinator.verify()


def test_reservations_that_fall_due_together_stop_no_thread():
    clock = ManualClock()
    coordinator = make(clock)
    kept = [coordinator.reserve("bot", 1, ttl_seconds=60) for _ in range(200_000)]
    clock.advance(61)
    with Beside(lambda _: time.sleep(0)) as beside:
        assert coordinator.get_pool_budget("team") == 10**15
    assert beside.longest < 0.2
    assert coordinator.expire() == 0
    assert {kept[0].state, kept[-1].state} == {"expired"}
    coordinator.verify()


def test_a_debit_pays_for_no_more_expiries_than_it_needs():
    clock = ManualClock()
    coordinator = make(clock)
    coordinator.update_budget("bot", 100_000)
    kept = [coordinator.reserve("bot", 1, ttl_seconds=60) for _ in range(100_000)]
    clock.advance(61)
    assert coordinator.try_debit("bot", 1)
    assert coordinator.expire() > 90_000, "one debit gave back all of them"
    assert coordinator.get_budget("bot") == 99_999
    assert kept[-1].state == "expired"


def test_a_refused_debit_has_seen_all_that_is_due():
    clock = ManualClock()
    coordinator = make(clock)
    coordinator.update_budget("bot", 20_000)
    kept = [coordinator.reserve("bot", 1, ttl_seconds=60) for _ in range(20_000)]
    clock.advance(61)
    assert coordinator.try_debit("bot", 20_000)
    assert coordinator.get_budget("bot") == 0
    assert kept[0].state == "expired"


def test_the_next_settlement_of_an_expired_reservation_is_late():
    clock = ManualClock()
    coordinator = make(clock, history_events=20_000)
    others = [coordinator.reserve("bot", 1, ttl_seconds=50 + i / 10**6) for i in range(5_000)]
    last = coordinator.reserve("bot", 1, ttl_seconds=60)
    clock.advance(61)
    last.settle(2)
    kinds = [event.kind for event in coordinator.get_agent_events("bot")]
    assert (kinds.count("expire"), kinds.count("late_settle"), kinds.count("settle")) == (5_001, 1, 0)
    assert others[0].state == "expired"


def interrupt_soon():
    def interrupt():
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_a_batch_and_tells_what_was_charged():
    coordinator = make()
    handles, units = many(coordinator, 8_000_000)
    before = coordinator.get_budget("bot")
    interrupt_soon()
    with pytest.raises(KeyboardInterrupt) as caught:
        coordinator.debit_many(handles, units)
    admitted = caught.value.admitted
    assert 0 <= len(admitted) < len(handles) and admitted.all() and admitted.dtype == bool
    charged = before - coordinator.get_budget("bot")
    assert charged == len(admitted) * coordinator.get_budget("bot").__class__("1e-9")
    assert f"after {len(admitted)} of {len(handles)} items" in caught.value.__notes__[0]
    coordinator.verify()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_a_batch_of_reservations_and_tells_their_numbers():
    coordinator = make()
    handles, units = many(coordinator, 8_000_000)
    interrupt_soon()
    with pytest.raises(KeyboardInterrupt) as caught:
        coordinator.reserve_many(handles, units)
    numbers = caught.value.numbers
    assert numbers.tolist() == list(range(1, len(numbers) + 1))
    assert len(numbers) < len(handles)
    assert coordinator.get_agent_metrics("bot").reserved.scaleb(9) == len(numbers)
    few = numbers[:1_000]
    assert coordinator.settle_many(handles[: len(few)], few, units[: len(few)]).all()
    left = numbers[len(few) :]
    assert coordinator.release_many(handles[: len(left)], left).all()
    metrics = coordinator.get_agent_metrics("bot")
    assert (metrics.reserved, metrics.spent.scaleb(9)) == (0, len(few))
    coordinator.verify()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_signal_that_raises_nothing_ends_nothing():
    coordinator = make()
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(coordinator.try_debit("bot", 0)))
    try:
        interrupt_soon()
        assert coordinator.debit_many(*many(coordinator)).all()
        deadline = time.monotonic() + 5
        while not seen and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [True]


def test_an_agent_that_leaves_during_a_batch_is_charged_nothing_more():
    coordinator = make()
    coordinator.register_agent("guest", "team", initial_budget=10**15)
    items = ITEMS
    handles, units = many(coordinator, items)
    handles[::2] = coordinator.handle("guest")
    left = threading.Event()

    def leave():
        time.sleep(0.02)
        coordinator.unregister_agent("guest")
        left.set()

    thread = threading.Thread(target=leave)
    thread.start()
    admitted = coordinator.debit_many(handles, units)
    thread.join()
    assert admitted[1::2].all()
    guests = admitted[::2]
    # Admitted up to somewhere, and refused from there on.
    assert not (np.diff(guests.astype(np.int8)) > 0).any()
    spent = coordinator.get_pool_metrics("team").spent
    assert spent.scaleb(9) == int(admitted.sum())
    coordinator.verify()


def test_the_books_are_audited_beside_those_who_spend():
    coordinator = make()
    coordinator.create_budget_pool("other", 10**9)
    for i in range(2_000):
        coordinator.register_agent(f"agent {i}", ("team", "other")[i % 2], initial_budget=10**6)
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", {"calls": 10**9})
    resources.set_capacity("calls", 10**9)

    def spend(n):
        agent = f"agent {n % 2_000}"
        coordinator.reserve(agent, 1).settle(2)
        coordinator.transfer(agent, f"agent {(n + 1) % 2_000}", 1)
        resources.try_debit("bot", {"calls": 1})

    with Beside(spend) as beside:
        for _ in range(30):
            coordinator.verify()
    assert beside.acts > 0
    coordinator.verify()

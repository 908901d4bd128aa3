"""Sixteen threads, overlapping resources, and readers that must never see a part of a debit."""

import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from safeguards import BudgetCoordinator, BudgetExceededError, MultiResourceBudget

THREADS = 16
NAMES = ("calls", "seconds", "gigabytes", "tokens")


@pytest.fixture(autouse=True)
def restless():
    """Lets threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def world():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("team", 0)
    coordinator.register_agent("bot", "team")
    yield MultiResourceBudget(coordinator)
    coordinator.verify()


def together(functions):
    barrier = threading.Barrier(len(functions))

    def run(function):
        barrier.wait(30)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(60) for future in [pool.submit(run, function) for function in functions]]


def test_the_last_unit_of_overlapping_sets(world):
    world.initialize_budgets("bot", dict.fromkeys(NAMES, 100))
    pairs = [(NAMES[i % 4], NAMES[(i + 1 + i // 4 % 3) % 4]) for i in range(THREADS)]

    def work(pair):
        return lambda: sum(world.try_debit("bot", dict.fromkeys(pair, 1)) for _ in range(40))

    admitted = together([work(pair) for pair in pairs])
    spent = {name: metrics.spent for name, metrics in world.get_metrics("bot").items()}
    by_name = {
        name: sum(n for n, pair in zip(admitted, pairs, strict=True) if name in pair) for name in NAMES
    }
    assert spent == by_name
    assert max(spent.values()) == 100 and sum(admitted) < THREADS * 40


@pytest.mark.parametrize("capacity", [None, 10**6])
def test_no_reader_sees_a_part(world, capacity):
    world.initialize_budgets("bot", dict.fromkeys(NAMES, 10**6))
    if capacity:
        for name in NAMES:
            world.set_capacity(name, capacity)
    amounts, done, seen = dict.fromkeys(NAMES, Decimal("0.001")), threading.Event(), set()

    def write(seed):
        rng, begun = random.Random(seed), time.monotonic()
        # For a second, and longer where a busy machine gives the readers few turns.
        while (passed := time.monotonic() - begun) < 1 or (len(seen) <= 20 and passed < 30):
            how = rng.randrange(3)
            if how == 0:
                world.debit("bot", amounts)
            elif how == 1:
                world.reserve("bot", amounts).settle(amounts)
            else:
                world.reserve("bot", amounts).release()

    def read():
        while not done.is_set():
            metrics = list(world.get_metrics("bot").values())
            assert all(one == metrics[0] for one in metrics), metrics
            assert len(set(world.get_budgets("bot").values())) == 1
            seen.add(metrics[0].spent)
            world.verify()

    def write_all():
        together([lambda seed=seed: write(seed) for seed in range(THREADS)])
        done.set()

    together([read, read, write_all])
    assert len(seen) > 20, seen
    [metrics] = set(world.get_metrics("bot").values())
    assert (metrics.reserved, metrics.remaining + metrics.spent) == (0, 10**6)


def test_capacities_come_and_go_while_agents_pay(world):
    agents = [world.coordinator.register_agent(f"agent {i}", "team") for i in range(8)]
    for agent in agents:
        world.initialize_budgets(agent, dict.fromkeys(NAMES, 10**6))
    done, refused = threading.Event(), []

    def pay(agent):
        def work():
            for turn in range(400):
                amounts = dict.fromkeys(random.Random(turn).sample(NAMES, 2), 1)
                try:
                    world.reserve(agent, amounts).settle(amounts)
                except BudgetExceededError as error:
                    refused.append((error.resource in amounts, error.account))

        return work

    def meddle():
        turns = 0
        while not done.is_set():
            name = NAMES[turns % 4]
            world.set_capacity(name, turns % 50)
            world.verify()
            world.remove_capacity(name)
            turns += 1
        return turns

    def pay_all():
        together([pay(agent) for agent in agents])
        done.set()

    turns, _ = together([meddle, pay_all])
    assert turns > 10
    assert set(refused) == {(True, None)}
    spent = [metrics.spent for agent in agents for metrics in world.get_metrics(agent).values()]
    assert 0 < sum(spent) <= 8 * 400 * 2


def test_one_key_has_one_effect(world):
    world.initialize_budgets("bot", dict.fromkeys(NAMES, 100))
    amounts = dict.fromkeys(NAMES, 1)
    receipts = together([lambda: world.debit("bot", amounts, idempotency_key="k")] * THREADS)
    assert len(set(receipts)) == 1
    assert world.get_budgets("bot") == dict.fromkeys(NAMES, 99)

"""What a call is given changes while it is read: the books stay right, and a refusal says what it found.

With the interpreter's lock that takes a thread switch at the right place; without it, it happens often.
"""

import threading
import time

import numpy as np
import pytest

from safeguards import BudgetCoordinator, BudgetError, ManualClock, MultiResourceBudget

SECONDS = 1.0
BUDGET = 10**6
PLAIN = (BudgetError, TypeError, ValueError)
"""What may be said of an argument that is wrong at the moment at which it is read."""


@pytest.fixture
def team():
    team = BudgetCoordinator(clock=ManualClock())
    team.create_budget_pool("team", BUDGET)
    for agent in ("bot", "one", "two"):
        team.register_agent(agent, "team", initial_budget=BUDGET)
    yield team
    team.verify()


def while_changing(changes, call):
    """What calls returned while another thread makes the changes in turn; None for what was refused."""
    is_over, failures, results = threading.Event(), [], []

    def change():
        try:
            while not is_over.is_set():
                for each in changes:
                    each()
        except BaseException as error:
            failures.append(error)

    other = threading.Thread(target=change)
    other.start()
    deadline = time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            try:
                results.append(call())
            except PLAIN:
                results.append(None)
    finally:
        is_over.set()
        other.join()
    assert failures == []
    assert results
    return results


def test_amounts_of_resources(team):
    resources = MultiResourceBudget(team)
    resources.initialize_budgets("bot", {"calls": BUDGET, "seconds": BUDGET})
    amounts = {"calls": 1}
    names = [f"filler {n}" for n in range(64)]
    changes = [
        lambda: amounts.update(seconds=2),
        lambda: amounts.update(dict.fromkeys(names, 1)),  # no resource types; and the dict grows
        lambda: [amounts.pop(name) for name in names],
        lambda: amounts.update(calls=-1),
        lambda: amounts.update(calls=3),
        amounts.clear,
        lambda: amounts.update(calls=1),
    ]
    receipts = [r for r in while_changing(changes, lambda: resources.debit("bot", amounts)) if r]
    spent = {name: sum(receipt.amounts.get(name, 0) for receipt in receipts) for name in ("calls", "seconds")}
    assert spent == {name: BUDGET - left for name, left in resources.get_budgets("bot").items()}
    assert spent["calls"] > 0


def test_arrays_of_a_batch(team):
    bot, one, two = map(team.handle, ("bot", "one", "two"))
    handles = np.full(500, bot, dtype=np.uint32)
    units = np.full(500, 1, dtype=np.int64)

    def give(array, value):
        return lambda: array.__setitem__(slice(100, 400), value)

    changes = [
        give(units, 2),
        give(units, -1),
        give(units, 3),
        give(handles, one),
        give(handles, 2**32 - 1),
        give(handles, two),
        give(handles, bot),
        give(units, 1),
    ]
    results = while_changing(changes, lambda: team.debit_many(handles, units))
    done = sum(int(admitted.sum()) for admitted in results if admitted is not None)
    spent = sum(int((BUDGET - team.get_budget(agent)) * 10**9) for agent in ("bot", "one", "two"))
    # Each item was charged what was read for it, once.
    assert done > 0
    assert done <= spent <= 3 * done


def test_a_list_of_who_pays_as_well(team):
    also = ["one"]
    changes = [
        lambda: also.append("two"),
        lambda: also.extend(["nobody"] * 50),
        lambda: also.__delitem__(slice(1, None)),
        also.clear,
        lambda: also.append("one"),
    ]
    receipts = [r for r in while_changing(changes, lambda: team.debit("bot", 1, also=also)) if r]
    spent = {agent: BUDGET - team.get_budget(agent) for agent in ("bot", "one", "two")}
    assert spent["bot"] == len(receipts) > 0
    assert max(spent["one"], spent["two"]) <= spent["bot"]
    assert team.get_pool_budget("team") == BUDGET - spent["bot"]  # above all of them, and charged once

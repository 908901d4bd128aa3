"""Reservations by the thousand: as single calls would make and close them, item by item."""

import random
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    BudgetCoordinator,
    BudgetExceededError,
    BudgetRateLimiter,
    ConfigurationError,
    ManualClock,
    MultiResourceBudget,
    RateLimitExceededError,
    ReservationError,
    UnknownAgentError,
)

TENTH = 10**8
REFUSALS = (BudgetExceededError, RateLimitExceededError, ReservationError)


def uint32(values):
    return np.array(values, dtype=np.uint32)


def uint64(values):
    return np.array(values, dtype=np.uint64)


@pytest.fixture
def handle(coordinator):
    return coordinator.handle("bot")


def test_in_order(coordinator, handle):
    handles = uint32([handle] * 4)
    numbers = coordinator.reserve_many(handles, np.array([6, 5, 4, 0]) * TENTH)
    assert (numbers.dtype, numbers.tolist()) == (np.uint64, [1, 0, 2, 3])
    assert (coordinator.get_budget("bot"), coordinator.get_agent_metrics("bot").reserved) == (0, 1)
    settled = coordinator.settle_many(handles, numbers, np.array([3, 1, 6, 0]) * TENTH)
    assert (settled.dtype, settled.tolist()) == (np.bool_, [True, False, True, True])
    metrics = coordinator.get_agent_metrics("bot")
    assert (metrics.spent, metrics.reserved, metrics.remaining) == (Decimal("0.9"), 0, Decimal("0.1"))
    coordinator.verify()


def test_a_repetition_has_no_effect(coordinator, handle):
    one = uint32([handle])
    numbers = coordinator.reserve_many(one, np.array([TENTH]))
    for units, expected in ((TENTH // 2, True), (TENTH // 2, True), (TENTH, False)):
        assert coordinator.settle_many(one, numbers, np.array([units])).tolist() == [expected]
    assert coordinator.release_many(one, numbers).tolist() == [False]
    assert coordinator.get_agent_metrics("bot").spent == Decimal("0.05")


def test_released_by_hand_by_time_and_again(coordinator, handle, clock):
    handles = uint32([handle] * 2)
    numbers = coordinator.reserve_many(handles, np.array([TENTH] * 2), ttl_seconds=5)
    assert coordinator.release_many(handles[:1], numbers[:1]).tolist() == [True]
    clock.advance(5)
    assert coordinator.release_many(handles, numbers).tolist() == [True, True]
    assert coordinator.get_budget("bot") == 1
    # What has expired can be settled late; what was released cannot.
    assert coordinator.settle_many(handles, numbers, np.array([1, 1])).tolist() == [False, True]


def test_numbers_are_those_of_single_reservations(coordinator, handle):
    one = uint32([handle])
    with_object = coordinator.reserve("bot", "0.1")
    (number,) = coordinator.reserve_many(one, np.array([TENTH]), operation_type="batch").tolist()
    assert (with_object.number, number) == (1, 2)
    assert coordinator.settle_many(one, uint64([1]), np.array([TENTH])).tolist() == [True]
    assert with_object.state == "settled"
    assert with_object.receipt.amount == Decimal("0.1")


def test_a_number_of_resources_is_none_of_money(coordinator, handle):
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", {"calls": 3})
    reservation = resources.reserve("bot", {"calls": 1})
    one, numbers = uint32([handle]), uint64([reservation.number])
    assert coordinator.settle_many(one, numbers, np.array([0])).tolist() == [False]
    assert coordinator.release_many(one, numbers).tolist() == [False]
    assert reservation.state == "active"
    reservation.release()
    assert coordinator.release_many(one, numbers).tolist() == [False]


@pytest.mark.parametrize(
    ("overage", "settled", "spent"),
    [("allow_with_overdraft", True, "1.5"), ("allow_if_available", False, "0"), ("reject", False, "0")],
)
def test_overage(coordinator, handle, overage, settled, spent):
    one = uint32([handle])
    numbers = coordinator.reserve_many(one, np.array([5 * TENTH]), overage=overage)
    assert coordinator.settle_many(one, numbers, np.array([15 * TENTH])).tolist() == [settled]
    assert coordinator.get_agent_metrics("bot").spent == Decimal(spent)
    assert coordinator.get_agent_metrics("bot").reserved == (0 if settled else Decimal("0.5"))


class World:
    """Two levels, one pool too small for its agents, a window, a clock."""

    def __init__(self):
        self.clock = ManualClock()
        self.coordinator = BudgetCoordinator(clock=self.clock)
        self.coordinator.create_budget_pool("top", 60)
        for name, budget in (("rich", 45), ("poor", 5)):
            self.coordinator.create_budget_pool(name, budget, parent_id="top")
        self.agents = [
            self.coordinator.register_agent(f"agent {i}", ("rich", "poor")[i % 2], initial_budget=3 + i)
            for i in range(6)
        ]
        BudgetRateLimiter(self.coordinator).set_rate_limit("agent 2", 4, timedelta(seconds=20))
        self.reservations = []

    def handles(self, agents):
        return uint32([self.coordinator.handle(self.agents[agent]) for agent in agents])


def test_as_single_calls_are():
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown if it fails
    rng = random.Random(seed)
    single, many = World(), World()
    asked = []  # agent, number
    for _ in range(60):
        items = [(rng.randrange(6), rng.randrange(12) * TENTH) for _ in range(rng.choice([0, 1, 5, 70]))]
        overage = rng.choice(["allow_with_overdraft", "allow_if_available", "reject"])
        ttl = rng.randrange(1, 9)
        units = np.array([units for _, units in items], dtype=np.int64)
        numbers = many.coordinator.reserve_many(
            many.handles(agent for agent, _ in items), units, ttl_seconds=ttl, overage=overage
        ).tolist()
        made = [
            single.coordinator.try_reserve(
                single.agents[agent], Decimal(n).scaleb(-9), ttl_seconds=ttl, overage=overage
            )
            for agent, n in items
        ]
        assert numbers == [0 if one is None else one.number for one in made]
        single.reservations += made
        asked += [(agent, number) for (agent, _), number in zip(items, numbers, strict=True)]
        seconds = rng.randrange(3)
        for world in (single, many):
            world.clock.advance(seconds)
        closed = rng.sample(range(len(asked)), min(len(asked), 20))
        closing = many.handles(asked[i][0] for i in closed), uint64([asked[i][1] for i in closed])
        if rng.random() < 0.7:
            costs = [rng.randrange(15) * TENTH for _ in closed]
            answer = many.coordinator.settle_many(*closing, np.array(costs, dtype=np.int64))
            expected = [
                done(single.reservations[i], lambda r, n=n: r.settle(Decimal(n).scaleb(-9)))
                for i, n in zip(closed, costs, strict=True)
            ]
        else:
            answer = many.coordinator.release_many(*closing)
            expected = [done(single.reservations[i], lambda r: r.release()) for i in closed]
        assert answer.tolist() == expected
        for agent in single.agents:
            assert single.coordinator.get_agent_metrics(agent) == many.coordinator.get_agent_metrics(agent)
    many.coordinator.verify()
    for reservation in filter(None, single.reservations):
        done(reservation, lambda r: r.release())


def done(reservation, close):
    """Whether it was closed so. A refused one is None."""
    if reservation is None:
        return False
    try:
        close(reservation)
    except REFUSALS:
        return False
    return True


@pytest.mark.parametrize(
    ("call", "error", "why"),
    [
        (lambda c, h: c.reserve_many(h, np.array([1, -1])), ConfigurationError, r"units\[1\] is -1"),
        (
            lambda c, h: c.reserve_many(h, np.array([1])),
            ConfigurationError,
            "handles has 2 items and units 1",
        ),
        (
            lambda c, h: c.reserve_many(h + 7, np.array([1, 1])),
            UnknownAgentError,
            "names no registered agent",
        ),
        (lambda c, h: c.reserve_many(h, np.array([1, 1]), ttl_seconds=0), ConfigurationError, "ttl_seconds"),
        (lambda c, h: c.reserve_many(h, np.array([1, 1]), overage="no"), ConfigurationError, "overage"),
        (lambda c, h: c.reserve_many(h, np.array([1.0, 1.0])), TypeError, "units must be a numpy array"),
        (lambda c, h: c.settle_many(h, uint64([1, 1]), np.array([1, -1])), ConfigurationError, r"units\[1\]"),
        (lambda c, h: c.settle_many(h, uint64([1]), np.array([1, 1])), ConfigurationError, "numbers 1"),
        (lambda c, h: c.settle_many(h, uint64([1, 1]), np.array([1])), ConfigurationError, "units 1"),
        (lambda c, h: c.settle_many(h, np.array([1, 1]), np.array([1, 1])), TypeError, "numbers must be"),
        (lambda c, h: c.release_many(h, np.array([[1], [1]])), TypeError, "numbers must be a numpy array"),
        (lambda c, h: c.release_many(h[:1], uint64([1, 1])), ConfigurationError, "numbers 2"),
        (lambda c, h: c.release_many(h + 7, uint64([1, 1])), UnknownAgentError, "names no registered agent"),
    ],
)
def test_a_malformed_item_refuses_the_whole_call(coordinator, handle, call, error, why):
    held = coordinator.reserve("bot", "0.5")
    before = coordinator.get_agent_metrics("bot"), coordinator.get_agent_events("bot")
    with pytest.raises(error, match=why):
        call(coordinator, uint32([handle, handle]))
    assert (coordinator.get_agent_metrics("bot"), coordinator.get_agent_events("bot")) == before
    held.release()

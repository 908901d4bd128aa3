"""Decisions as values, and `execute`: the only way by which one moves money."""

import copy
import json
import pickle
import random
from datetime import UTC, datetime
from decimal import Decimal, localcontext

import numpy as np
import pytest

from safeguards import (
    ArgumentTypeError,
    BudgetCoordinator,
    ConfigurationError,
    Decision,
    InvalidAmountError,
    ManualClock,
    PinnedError,
    UnknownAgentError,
    UnknownPoolError,
)
from safeguards.types.decisions import Adjust, Allot, Deal, Draw, Resize, SetBudget

from .test_decimal_contexts import few_digits, no_inexact

START = datetime(2026, 3, 2, tzinfo=UTC)
OF_AGENTS = [
    Adjust(Decimal("1.5")),
    Allot(Decimal(2)),
    Deal(Decimal(-1), "team"),
    Draw(Decimal(3), "team", 0.25),
    SetBudget(Decimal(4)),
]
OF_POOLS = [Adjust(Decimal(-2)), Resize(Decimal(5), Decimal(6)), SetBudget(Decimal(7), ("day", START))]


@pytest.fixture
def daily():
    """An agent of 5 below a pool of 10 a day."""
    coordinator = BudgetCoordinator(clock=ManualClock(START))
    coordinator.create_budget_pool("team", 10, budget_period="daily", timezone="UTC")
    coordinator.register_agent("bot", "team", initial_budget=5)
    return coordinator


def of_agent(old, new, **fields):
    return Decision("agent", "bot", Decimal(old), Decimal(new), "a test", **fields)


def of_pool(old, new, **fields):
    return Decision("pool", "team", Decimal(old), Decimal(new), "a test", **fields)


def each_kind():
    return [of_agent(5, 6, change=c) for c in OF_AGENTS] + [of_pool(10, 11, change=c) for c in OF_POOLS]


# Values.


def test_a_change_is_the_difference_if_none_is_given():
    assert of_agent(5, "3.25").change == Adjust(Decimal("-1.75"))
    assert of_agent(5, 3) == of_agent(5, 3, change=Adjust(Decimal(-2)))
    assert of_agent(5, 3) != of_agent(5, 3, change=Allot(Decimal(-2)))


@pytest.mark.parametrize("decision", each_kind(), ids=lambda d: f"{d.kind}-{type(d.change).__name__}")
def test_decisions_of_every_kind_are_values(decision):
    decision = decision.signed("me", START).with_status("vetoed", "no")
    for twin in (pickle.loads(pickle.dumps(decision)), copy.copy(decision), copy.deepcopy(decision)):  # noqa: S301 - our own bytes
        assert twin == decision
        assert hash(twin) == hash(decision)
        assert repr(twin) == repr(decision)
    plain = json.loads(json.dumps(decision.to_dict(), allow_nan=False))
    assert plain["change"]["type"] == type(decision.change).__name__
    assert (plain["status"], plain["error"], plain["controller"]) == ("vetoed", "no", "me")


def test_inputs_are_read_only_and_a_copy():
    figures = {"need": 3}
    decision = of_agent(5, 6, inputs=figures)
    figures.clear()
    assert decision.inputs == {"need": 3}
    with pytest.raises(AttributeError):
        decision.inputs.clear()
    with pytest.raises(TypeError):
        decision.inputs["need"] = 4


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"kind": "team"}, ConfigurationError, "kind must be 'agent' or 'pool', not 'team'"),
        ({"kind": np.array([1, 2])}, ConfigurationError, "kind must be 'agent' or 'pool', not array"),
        ({"status": "done"}, ConfigurationError, "status must be"),
        ({"status": np.array([1, 2])}, ConfigurationError, "status must be"),
        ({"old": 5}, ArgumentTypeError, "old must be a Decimal, not 5"),
        ({"new": Decimal("nan")}, ConfigurationError, "new must be finite"),
        ({"inputs": [1]}, ArgumentTypeError, "inputs must be a mapping"),
        ({"change": 3}, ArgumentTypeError, "change must be one of those in types.decisions, not 3"),
        ({"change": Resize(Decimal(1))}, ConfigurationError, "Resize changes no agent"),
        ({"kind": "pool", "change": Allot(Decimal(1))}, ConfigurationError, "Allot changes no pool"),
    ],
)
def test_what_is_no_decision_is_refused(fields, error, message):
    values = {"kind": "agent", "subject": "bot", "old": Decimal(1), "new": Decimal(2), "reason": "x"}
    with pytest.raises(error, match=message):
        Decision(**values | fields)


@pytest.mark.parametrize("change", [Adjust, Allot, Resize, Deal, Draw, SetBudget])
def test_what_is_no_change_is_refused(change):
    with pytest.raises(ArgumentTypeError, match="must be a Decimal, not 1"):
        change(1)
    with pytest.raises(ConfigurationError, match="must be finite, not Decimal"):
        change(Decimal("inf"))


# Executed.


@pytest.mark.parametrize("decision", each_kind(), ids=lambda d: f"{d.kind}-{type(d.change).__name__}")
def test_each_kind_moves_what_it_says(daily, decision):
    look = daily.get_budget if decision.kind == "agent" else daily.get_pool_budget
    before = look(decision.subject)
    done = daily.execute(decision)
    assert done.status == "applied"
    if isinstance(decision.change, SetBudget):
        assert look(decision.subject) == decision.change.budget
        assert (done.old, done.new) == (before, decision.change.budget)
    else:
        assert look(decision.subject) == before + decision.change.by
        assert (done.old, done.new, done.change) == (decision.old, decision.new, decision.change)
    if isinstance(decision.change, Resize):
        daily.clock.advance(86_400)
        assert daily.get_pool_budget("team") == 10 + decision.change.later_periods
    daily.verify()


@pytest.mark.parametrize("prepare", [few_digits, no_inexact])
@pytest.mark.parametrize("change", OF_AGENTS + OF_POOLS, ids=lambda change: type(change).__name__)
def test_the_callers_context_changes_no_decision(change, prepare):
    def run(prepare):
        with localcontext() as context:
            prepare(context)
            coordinator = BudgetCoordinator(clock=ManualClock(START))
            coordinator.create_budget_pool("team", "9876.54321", budget_period="daily", timezone="UTC")
            coordinator.register_agent("bot", "team", initial_budget="1234.567890123")
            wanted = change.shifted(Decimal("0.123456789")).shifted(Decimal("999.000000001"))
            decision = of_agent if "agent" in change.kinds else of_pool
            asked = decision("1234.567890123", "2345.678901234", change=wanted)
            bounded = asked.bounded(Decimal("2000.000000001"), "less", wanted=asked.new)
            done = coordinator.execute(bounded)
            return (
                bounded,
                done,
                done.to_dict(),
                coordinator.get_budget("bot"),
                coordinator.get_pool_budget("team"),
            )

    assert run(prepare) == run(lambda _: None)


def test_what_was_spent_meanwhile_stays_spent(daily):
    decision = of_agent(5, 3)
    daily.debit("bot", 4)
    done = daily.execute(decision)
    assert (done.old, done.new, done.change) == (5, 4, Adjust(Decimal(-1)))
    assert daily.get_budget("bot") == 0


def test_a_resize_takes_what_is_there_and_later_periods_follow(daily):
    daily.debit("bot", 5)
    done = daily.execute(of_pool(10, 1, change=Resize(Decimal(-9), Decimal(-20))))
    assert (done.new, done.change) == (5, Resize(Decimal(-5), Decimal(-10)))
    assert daily.get_pool_budget("team") == 0
    daily.clock.advance(86_400)
    assert daily.get_pool_budget("team") == 0


def test_a_resize_that_cannot_be_made_whole_changes_nothing(daily):
    daily.create_budget_pool("once", 10)
    decision = Decision("pool", "once", Decimal(10), Decimal(11), "x", change=Resize(Decimal(1), Decimal(1)))
    with pytest.raises(ConfigurationError, match=r"\"once\" has no budget_period"):
        daily.execute(decision)
    assert daily.get_pool_budget("once") == 10


def test_who_is_pinned_is_refused(daily):
    daily.pin("bot")
    with pytest.raises(PinnedError, match='"bot" is pinned: .* until unpin') as caught:
        daily.execute(of_agent(5, 6))
    assert caught.value.account == "bot"
    assert daily.get_budget("bot") == 5
    daily.unpin("bot")
    assert daily.execute(of_agent(5, 6)).status == "applied"


def test_a_pin_leaves_what_is_granted_once_to_be_granted(daily):
    decision = of_pool(10, 7, change=OF_POOLS[-1])
    daily.pin("team")
    with pytest.raises(PinnedError):
        daily.execute(decision)
    daily.unpin("team")
    assert daily.execute(decision).status == "applied"
    with pytest.raises(ConfigurationError, match="'day' was granted to pool 'team' before"):
        daily.execute(decision)


@pytest.mark.parametrize(
    ("decision", "error"),
    [
        (Decision("agent", "eve", Decimal(1), Decimal(2), "x"), UnknownAgentError),
        (Decision("pool", "eve", Decimal(1), Decimal(2), "x"), UnknownPoolError),
        (of_agent(5, 6, change=SetBudget(Decimal(-1))), InvalidAmountError),
        (of_agent(5, "1e20"), InvalidAmountError),
        (of_agent(5, 6, status="applied"), ConfigurationError),
        ("raise it", ArgumentTypeError),
    ],
)
def test_what_cannot_be_executed_changes_nothing(daily, decision, error):
    with pytest.raises(error):
        daily.execute(decision)
    assert (daily.get_budget("bot"), daily.get_pool_budget("team")) == (5, 10)


def test_decisions_against_a_naive_model(daily):
    """What is spent and decided in any order leaves what plain integers say."""
    draws, left = random.Random(20260302), 5_000
    daily.update_pool_budget("team", 10**6)
    for _ in range(500):
        by, cost = draws.randint(-3_000, 3_000), draws.randint(0, 3_000)
        decision = of_agent(Decimal(left) / 1000, Decimal(left + by) / 1000)
        if cost <= left:
            daily.debit("bot", Decimal(cost) / 1000)
            left -= cost
        done = daily.execute(decision)
        made = max(by, -left)
        left += made
        assert done.change == Adjust(Decimal(made) / 1000)
        assert daily.get_budget("bot") == Decimal(left) / 1000
    daily.verify()

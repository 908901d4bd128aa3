"""Values are pickled, copied and turned into plain ones; what owns something says why not, and what to do."""

import copy
import json
import pickle
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    AdaptivePoolSizer,
    Alert,
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRateLimiter,
    BudgetRLOptimizer,
    BudgetTimeScheduler,
    CostBenefitAllocator,
    Decision,
    ManualClock,
    MultiResourceBudget,
    NotificationManager,
    PriorityBasedReallocator,
    SetBudget,
)
from safeguards.alerts import LogSink

COPIES = {
    **{f"pickle {n}": lambda v, n=n: pickle.loads(pickle.dumps(v, n)) for n in range(2, 6)},  # noqa: S301
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def world():
    coordinator = BudgetCoordinator(clock=ManualClock())
    coordinator.create_budget_pool("team", 10, budget_period="daily", timezone="UTC")
    coordinator.register_agent("bot", "team", initial_budget=5)
    coordinator.debit("bot", "0.1", operation_type="chat")
    coordinator.try_debit("bot", 50)
    BudgetRateLimiter(coordinator).set_rate_limit("bot", 5, timedelta(minutes=1))
    return coordinator


def values():
    c = world()
    resources = MultiResourceBudget(c)
    resources.initialize_budgets("bot", {"gpu": 5})
    yield c.get_agent_metrics("bot")
    yield c.get_pool_info("team")
    yield c.get_agent_info("bot")
    yield c.get_agent_usage_history("bot")[0]
    yield c.get_agent_events("bot")[-1]
    yield c.get_refusals("bot")[0]
    yield BudgetRateLimiter(c).get_rate_limits("bot")[0]
    yield resources.get_metrics("bot", "gpu")
    yield Alert("title", details={"spent": Decimal("0.1")})
    yield Decision("agent", "bot", Decimal(1), Decimal(2), "a test", {"share": 0.5})
    yield SetBudget(Decimal(1))


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("value", list(values()), ids=lambda value: type(value).__name__)
def test_values_are_copied(value, how):
    assert COPIES[how](value) == value


@pytest.mark.parametrize("how", COPIES)
def test_tables_are_copied(how):
    table = world().get_all_metrics()
    copied = COPIES[how](table)
    assert copied.ids == table.ids and copied.spent[0] == table.spent[0] == Decimal("0.1")
    assert np.array_equal(copied.refusals, table.refusals)


@pytest.mark.parametrize(
    "value", [v for v in values() if not isinstance(v, SetBudget)], ids=lambda value: type(value).__name__
)
def test_values_are_turned_into_plain_ones(value):
    plain = value.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert not any(isinstance(each, float) for name, each in plain.items() if name in {"spent", "amount"})


def test_amounts_are_decimal_text_and_times_iso():
    c = world()
    assert c.get_agent_usage_history("bot")[0].to_dict() == {
        "start": "2026-01-01T00:00:00+00:00",
        "amount": "0.1",
        "operation_type": "chat",
        "source": "ledger",
        "sequence": 2,
    }
    assert c.get_refusals("bot")[0].to_dict()["count"] == 1
    assert BudgetRateLimiter(c).get_rate_limits("bot")[0].to_dict()["time_window"] == 60.0


def test_a_table_as_plain_values():
    plain = world().get_all_metrics().to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["ids"] == ["bot", "team"] and plain["is_pool"] == [False, True]
    assert plain["spent"] == {"whole": [0, 0], "billionths": [10**8] * 2, "rounded": [0.1, 0.1]}


def owners():
    c = world()
    resources = MultiResourceBudget(c)
    resources.initialize_budgets("bot", {"gpu": 5})
    return [
        (c, "N processes are N budgets"),
        (c.account("bot"), r"pass its id, and ask account\(id\)"),
        (c.reserve("bot", "0.1"), r"pass its id, and ask reservation\(id\)"),
        (resources.reserve("bot", {"gpu": 1}), r"pass its id, and ask reservation\(id\)"),
        (BudgetRateLimiter(c), "make one of a coordinator where it is used"),
        (resources, "make one of a coordinator where it is used"),
        (AdaptivePoolSizer(c), "make one where those are"),
        (PriorityBasedReallocator(c), "make one where those are"),
        (BudgetTimeScheduler(c), "make one where those are"),
        (BudgetPatternLearner(c), "make one where those are"),
        (BudgetRLOptimizer(c), "make one where those are"),
        (CostBenefitAllocator(c), "make one of a coordinator where it is used"),
        (NotificationManager(), "make one where it is used"),
        (ManualClock(), "make one where it is used"),
        (LogSink(), "make one where it is used"),
    ]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("how", COPIES)
def test_what_owns_something_is_not_copied_and_says_what_to_do(how):
    for owner, advice in owners():
        with pytest.raises(TypeError, match=f"cannot pickle or copy a {type(owner).__name__}.*{advice}"):
            COPIES[how](owner)
        if hasattr(owner, "release"):
            owner.release()

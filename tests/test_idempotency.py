"""One effect for each key; what is refused may be tried again."""

import pytest

from safeguards import BudgetExceededError, IdempotencyConflictError

KEY = {"idempotency_key": "k"}


def test_a_repetition_has_the_first_receipt_and_no_effect(coordinator):
    receipt = coordinator.debit("bot", "0.25", operation_type="x", **KEY)
    coordinator.debit("bot", "0.25")
    for _ in range(3):
        assert coordinator.debit("bot", "0.250", operation_type="x", **KEY) == receipt
        assert coordinator.account("bot").debit("0.25", operation_type="x", **KEY) == receipt
        assert coordinator.try_debit("bot", "0.25", operation_type="x", **KEY)
    assert float(coordinator.get_budget("bot")) == 0.5
    assert len(coordinator.get_agent_events("bot")) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.debit("other", "0.25", operation_type="x", **KEY),
        lambda c: c.debit("bot", "0.26", operation_type="x", **KEY),
        lambda c: c.debit("bot", "0.25", operation_type="y", **KEY),
        lambda c: c.debit("bot", "0.25", **KEY),
        lambda c: c.reserve("bot", "0.25", operation_type="x", **KEY),
        lambda c: c.try_debit("bot", "0.26", operation_type="x", **KEY),
        lambda c: c.try_reserve("bot", "0.25", operation_type="x", **KEY),
    ],
)
def test_another_payload_is_a_conflict_and_changes_nothing(coordinator, change):
    coordinator.register_agent("other", "team", initial_budget=1)
    coordinator.debit("bot", "0.25", operation_type="x", **KEY)
    with pytest.raises(IdempotencyConflictError, match="use a new key for a new operation") as caught:
        change(coordinator)
    assert caught.value.idempotency_key == "k"
    assert float(coordinator.get_pool_budget("team")) == 9.75


def test_a_refusal_is_not_remembered(coordinator):
    with pytest.raises(BudgetExceededError):
        coordinator.debit("bot", 5, **KEY)
    assert not coordinator.try_debit("bot", 5, **KEY)
    coordinator.update_budget("bot", 5)
    assert coordinator.debit("bot", 5, **KEY).remaining == 0
    assert coordinator.try_debit("bot", 5, **KEY)


def test_a_remembered_debit_is_admitted_even_if_nothing_is_left(coordinator):
    coordinator.debit("bot", 1, **KEY)
    assert coordinator.get_budget("bot") == 0
    assert coordinator.try_debit("bot", 1, **KEY)


def test_a_reservation_is_the_same_one(coordinator):
    first, again = coordinator.reserve("bot", "0.5", **KEY), coordinator.reserve("bot", "0.5", **KEY)
    assert (first == again, first.number == again.number) == (True, True)
    receipt = again.settle("0.2")
    assert (first.state, first.receipt) == ("settled", receipt)
    assert first.settle("0.2") == receipt
    assert float(coordinator.get_budget("bot")) == 0.8


def test_keys_are_forgotten_after_a_day(coordinator, clock):
    coordinator.debit("bot", "0.25", **KEY)
    clock.advance(24 * 3600 - 1)
    coordinator.debit("bot", "0.25", **KEY)
    assert float(coordinator.get_budget("bot")) == 0.75
    clock.advance(1)
    coordinator.debit("bot", "0.25", **KEY)
    assert float(coordinator.get_budget("bot")) == 0.5


def test_the_newest_hundred_thousand_keys_are_remembered(coordinator):
    coordinator.update_budget("bot", 10)
    coordinator.debit("bot", "0.25", idempotency_key="first")
    coordinator.debit("bot", "0.25", idempotency_key="second")
    for number in range(99_999):
        coordinator.try_debit("bot", "0.000001", idempotency_key=str(number))
    spent = coordinator.get_agent_metrics("bot").spent
    coordinator.debit("bot", "0.25", idempotency_key="second")
    assert coordinator.get_agent_metrics("bot").spent == spent
    coordinator.debit("bot", "0.25", idempotency_key="first")
    assert float(coordinator.get_agent_metrics("bot").spent - spent) == 0.25


def test_an_agent_registered_anew_has_spent_nothing_under_the_key(coordinator):
    coordinator.debit("bot", "0.25", **KEY)
    coordinator.unregister_agent("bot")
    coordinator.register_agent("bot", "team", initial_budget=1)
    with pytest.raises(IdempotencyConflictError):
        coordinator.debit("bot", "0.25", **KEY)


def test_strange_keys(coordinator):
    for key in ("", "🤖", "a\0b", "x" * 256):
        receipt = coordinator.debit("bot", "0.1", idempotency_key=key)
        assert coordinator.debit("bot", "0.1", idempotency_key=key) == receipt
    assert float(coordinator.get_budget("bot")) == 0.6

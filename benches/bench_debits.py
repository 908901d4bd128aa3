"""Debits and reservations of one agent, again and again: everything that they need is in the cache."""

from __future__ import annotations

import pytest

from contenders import by_hand, empty, ours, same_by_hand
from harness import Versus, at_least, at_most

pytestmark = pytest.mark.benchmark(group="Debits")

BY_HAND = "ledger.try_debit(agent, amount)"
TICKET = "ledger.settle(ledger.reserve(agent, reserved), amount)"


def bench_try_debit(versus: Versus) -> None:
    versus(
        ours("try_debit", "coordinator.try_debit(agent, amount)"),
        (by_hand(BY_HAND), at_least(2.6)),
        (same_by_hand(BY_HAND), at_least(5)),
        empty("empty native method", "empty.try_debit(agent, amount)"),
    )


def bench_account_try_debit(versus: Versus) -> None:
    versus(
        ours("Account.try_debit", "account.try_debit(amount)"),
        (by_hand(BY_HAND), at_least(4)),
        (empty("empty native method", "empty.account_try_debit(amount)"), at_most(3)),
    )


def bench_debit(versus: Versus) -> None:
    versus(
        ours("debit, with its receipt", "coordinator.debit(agent, amount)"),
        (ours("try_debit", "coordinator.try_debit(agent, amount)"), at_most(1.5)),
    )


def bench_reserve_settle(versus: Versus) -> None:
    versus(
        ours("reserve + settle", "coordinator.reserve(agent, reserved).settle(amount)", calls=50_000),
        (by_hand(TICKET, calls=50_000), at_least(3)),
        same_by_hand(TICKET, calls=20_000),
        empty("empty native method", "empty.try_debit(agent, reserved)"),
    )

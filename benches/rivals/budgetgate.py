"""budgetgate: a decorator that reserves an estimate in a rolling window and commits the real cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from budgetgate import Budget, BudgetExceededError, Engine, Ledger

from measure import Contender
from rivals.usage import BUDGET, PRICE, Model, Usage, in_threads

NAME = "budgetgate"
WINDOW_SECONDS = 3600.0


def speed() -> list[Contender]:
    amount = Decimal("0.0017")
    ledger = Ledger("openai", "gpt-4", "user:123")

    def plain() -> None:
        pass

    engine = Engine()
    # A rolling window keeps its charges; one of 1 ms holds few of them at this pace.
    guarded = engine.guard(ledger, Budget(max_spend=Decimal(10**9), window=0.001), cost=amount)(plain)

    def verify(operations: int) -> str:
        assert operations > 0
        return "not checked: its window forgets"

    names: dict[str, Any] = {"guarded": guarded, "plain": plain}
    how = "@engine.guard(ledger, Budget(..., window=0.001), cost=...); the bare call is subtracted"
    return [Contender("debit", "guarded()", names, verify, loop="plain()", calls=5_000, how=how)]


def overspend() -> list[Usage]:
    return [Usage("@engine.guard(..., cost=0.10)", "threads", _guarded)]


def _guarded(model: Model) -> Decimal:
    ledger = Ledger("openai", "gpt-4", "user:123")
    limit = Budget(max_spend=BUDGET, window=WINDOW_SECONDS)
    engine = Engine()
    guarded = engine.guard(ledger, limit, cost=PRICE)(model.call)
    in_threads(model, guarded, refusals=(BudgetExceededError,))
    return BUDGET - engine.get_remaining(ledger, limit)

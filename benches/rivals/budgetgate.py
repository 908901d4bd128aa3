"""budgetgate: a decorator that reserves an estimate in a rolling window and commits the real cost."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from budgetgate import Budget, BudgetExceededError, Engine, Ledger

from measure import Contender
from rivals.usage import BUDGET, PRICE, Model, Usage, in_threads
from rivals.windows import by_limit

NAME = "budgetgate"
LEDGER = Ledger("openai", "gpt-4", "user:123")
AMOUNT = Decimal("0.0017")
WINDOW_SECONDS = 3600.0


def speed() -> list[Contender]:
    def plain() -> None:
        pass

    # A rolling window keeps its charges and adds them up at each call; one of 1 ms holds few at this pace.
    guarded = _guard(plain, Decimal(10**9), window=0.001)
    small = _guard(plain, 10 * AMOUNT, window=WINDOW_SECONDS)

    def admit() -> bool:
        try:
            small()
        except BudgetExceededError:
            return False
        return True

    names: dict[str, Any] = {"guarded": guarded, "plain": plain}
    how = "@engine.guard(ledger, Budget(..., window=0.001), cost=...); the bare call is subtracted"
    return [Contender("debit", "guarded()", names, by_limit(admit), loop="plain()", calls=5_000, how=how)]


def _guard(function: Callable[[], None], limit: Decimal, window: float) -> Callable[[], None]:
    return Engine().guard(LEDGER, Budget(max_spend=limit, window=window), cost=AMOUNT)(function)


def overspend() -> list[Usage]:
    return [Usage("@engine.guard(..., cost=0.10)", "threads", _guarded)]


def _guarded(model: Model) -> Decimal:
    limit = Budget(max_spend=BUDGET, window=WINDOW_SECONDS)
    engine = Engine()
    guarded = engine.guard(LEDGER, limit, cost=PRICE)(model.call)
    in_threads(model, guarded, refusals=(BudgetExceededError,))
    return BUDGET - engine.get_remaining(LEDGER, limit)

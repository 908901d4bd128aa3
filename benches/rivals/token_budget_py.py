"""token-budget-py: one counter of tokens and dollars (floats) under a lock, with reservations."""

from __future__ import annotations

from token_budget import BudgetExceeded, BudgetPool

from measure import Contender
from rivals.usage import PRICE, Model, Usage, in_threads

NAME = "token-budget-py"


def speed() -> list[Contender]:
    return [
        _contender("debit", "pool.record(usd=0.0017)"),
        _contender("reserve + settle", "pool.try_reserve(usd=0.003).commit(usd=0.0017)"),
        _contender(
            "reserve + settle, with-block",
            "with pool.reserve(usd=0.003) as r: r.commit(usd=0.0017)",
        ),
    ]


def _contender(name: str, statement: str) -> Contender:
    pool = BudgetPool(usd_cap=1e9)

    def verify(operations: int) -> str:
        drift = abs(pool.snapshot().usd_used - operations * 17 / 10_000)
        assert drift < 1e-4
        return f"off by {drift:.1e} (float)"

    return Contender(name, statement, {"pool": pool}, verify)


def overspend() -> list[Usage]:
    return [
        Usage("pool.record() after the call", "threads", _record_after),
        Usage("pool.reserve() around the call", "threads", _reserve_around),
    ]


def _record_after(model: Model) -> float:
    pool = BudgetPool(usd_cap=1.0)

    def job() -> None:
        model.call()
        pool.record(usd=float(PRICE))

    in_threads(model, job, refusals=(BudgetExceeded,))
    return pool.snapshot().usd_used


def _reserve_around(model: Model) -> float:
    pool = BudgetPool(usd_cap=1.0)

    def job() -> None:
        with pool.reserve(usd=float(PRICE)) as reservation:
            model.call()
            reservation.commit()

    in_threads(model, job, refusals=(BudgetExceeded,))
    return pool.snapshot().usd_used

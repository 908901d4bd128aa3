"""pyrate-limiter: buckets of timestamped items; a charge of weight 17 is 17 items."""

from __future__ import annotations

from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate

from measure import Contender
from rivals.windows import AMOUNT, LIMIT

NAME = "pyrate-limiter"


def speed() -> list[Contender]:
    return [_contender("count, sliding log", 1, 10_000), _contender("amount, sliding log", AMOUNT, 2_000)]


def _contender(name: str, weight: int, calls: int) -> Contender:
    bucket = InMemoryBucket([Rate(LIMIT, Duration.DAY)])
    limiter = Limiter(bucket)

    def verify(operations: int) -> str:
        assert bucket.count() == operations * weight
        return "exact"

    statement = f"limiter.try_acquire('agent', weight={weight}, blocking=False)"
    how = f"try_acquire('agent', weight={weight}, blocking=False) on one window, InMemoryBucket"
    return Contender(name, statement, {"limiter": limiter}, verify, calls=calls, how=how)

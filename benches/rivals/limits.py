"""limits: several strategies over one storage; `hit(item, key, cost=...)` charges an amount."""

from __future__ import annotations

from limits import RateLimitItemPerDay, storage, strategies

from measure import Contender
from rivals.windows import AMOUNT, LIMIT, by_use, contender

NAME = "limits"


def speed() -> list[Contender]:
    moving, sliding = strategies.MovingWindowRateLimiter, strategies.SlidingWindowCounterRateLimiter
    return [
        _contender("count, moving window", moving, 1, calls=20_000),
        _contender("amount, moving window", moving, AMOUNT, calls=5_000),
        _contender("amount, sliding counter", sliding, AMOUNT, calls=20_000),
    ]


def _contender(name: str, strategy: type[strategies.RateLimiter], cost: int, calls: int) -> Contender:
    limiter, item = strategy(storage.MemoryStorage()), RateLimitItemPerDay(LIMIT)

    def used(agent: str) -> int:
        return LIMIT - limiter.get_window_stats(item, agent).remaining

    how = f"{strategy.__name__}.hit(item, agent, cost={cost}), MemoryStorage"
    statement = f"limiter.hit(item, next_agent(), cost={cost})"
    names = {"limiter": limiter, "item": item}
    return contender(name, statement, names, by_use(used, cost), calls=calls, how=how)

"""rust-py-rate-limit: a native limiter that counts requests; it has no charge by amount."""

from __future__ import annotations

from rust_py_rate_limit import RateLimiter

from measure import Contender
from rivals.windows import DAY_SECONDS, LIMIT, by_use, contender

NAME = "rust-py-rate-limit"


def speed() -> list[Contender]:
    return [_contender("count, sliding counter", "sliding"), _contender("count, fixed window", "fixed")]


def _contender(name: str, algorithm: str) -> Contender:
    limiter = RateLimiter(limit=LIMIT, window_seconds=DAY_SECONDS, algorithm=algorithm)

    def used(agent: str) -> int:
        return LIMIT - limiter.remaining(agent)

    how = f"RateLimiter(algorithm={algorithm!r}).allow(agent); counts requests only"
    names = {"limiter": limiter}
    statement = "limiter.allow(next_agent())"
    return contender(name, statement, names, by_use(used, 1), calls=100_000, how=how)

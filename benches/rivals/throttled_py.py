"""throttled-py: algorithms over a store; `limit(key, cost=...)` charges an amount."""

from __future__ import annotations

from throttled import RateLimiterType, Throttled, per_day, store

from measure import Contender
from rivals.windows import AGENTS, AMOUNT, LIMIT, contender

NAME = "throttled-py"


def speed() -> list[Contender]:
    sliding, token, gcra = RateLimiterType.SLIDING_WINDOW, RateLimiterType.TOKEN_BUCKET, RateLimiterType.GCRA
    return [
        _contender("amount, sliding window", sliding, AMOUNT),
        _contender("amount, token bucket", token, AMOUNT),
        _contender("amount, GCRA", gcra, AMOUNT),
    ]


def _contender(name: str, algorithm: RateLimiterType, cost: int) -> Contender:
    # Its store keeps 1,024 keys unless told otherwise and forgets the limits of the rest in silence.
    memory = store.MemoryStore(options={"MAX_SIZE": 4 * len(AGENTS)})
    throttle = Throttled(using=algorithm.value, quota=per_day(LIMIT), store=memory)

    def used(agent: str) -> int:
        return LIMIT - throttle.peek(agent).remaining

    exact = algorithm is RateLimiterType.SLIDING_WINDOW  # the two others refill as time passes
    how = f"Throttled(using={algorithm.value!r}).limit(agent, cost={cost}), MemoryStore for 40,000 keys"
    statement = f"throttle.limit(next_agent(), cost={cost})"
    return contender(name, statement, {"throttle": throttle}, used if exact else None, cost, 20_000, how)

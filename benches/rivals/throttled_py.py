"""throttled-py: algorithms over a store; `limit(key, cost=...)` charges an amount."""

from __future__ import annotations

from throttled import RateLimiterType, Throttled, per_day, store

from measure import Contender
from rivals.windows import AGENTS, AMOUNT, LIMIT, by_limit, by_use, contender

NAME = "throttled-py"


def speed() -> list[Contender]:
    sliding, token, gcra = RateLimiterType.SLIDING_WINDOW, RateLimiterType.TOKEN_BUCKET, RateLimiterType.GCRA
    return [
        _contender("amount, sliding window", sliding, AMOUNT),
        _contender("amount, token bucket", token, AMOUNT),
        _contender("amount, GCRA", gcra, AMOUNT),
    ]


def _contender(name: str, algorithm: RateLimiterType, cost: int) -> Contender:
    throttle, small = _throttle(algorithm, LIMIT), _throttle(algorithm, 10 * cost)

    def used(agent: str) -> int:
        return LIMIT - throttle.peek(agent).remaining

    def admit() -> bool:
        return not small.limit("agent", cost=cost).limited

    refills = algorithm is not RateLimiterType.SLIDING_WINDOW  # so what is left does not tell what was used
    verify = by_limit(admit) if refills else by_use(used, cost)
    how = f"Throttled(using={algorithm.value!r}).limit(agent, cost={cost}), MemoryStore for 40,000 keys"
    statement = f"throttle.limit(next_agent(), cost={cost})"
    return contender(name, statement, {"throttle": throttle}, verify, calls=20_000, how=how)


def _throttle(algorithm: RateLimiterType, limit: int) -> Throttled:
    # Its store keeps 1,024 keys unless told otherwise and forgets the limits of the rest in silence.
    memory = store.MemoryStore(options={"MAX_SIZE": 4 * len(AGENTS)})
    return Throttled(using=algorithm.value, quota=per_day(limit), store=memory)

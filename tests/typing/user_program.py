"""A program as a user writes it. Both type checkers read it in strict mode; the tests run it too."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

from safeguards import (
    Account,
    AgentPriority,
    Alert,
    BudgetCoordinator,
    BudgetExceededError,
    BudgetMetrics,
    BudgetRateLimiter,
    ManualClock,
    NotificationManager,
    RateLimit,
    RateLimitExceededError,
    Receipt,
    Reservation,
    UsageEvent,
)

manager = NotificationManager(thresholds=[0.5])
alerts: list[Alert] = []
manager.add_handler(alerts.append)
coordinator = BudgetCoordinator(manager, clock=ManualClock())
team = assert_type(coordinator.create_budget_pool("team", Decimal(10), budget_period="daily"), str)
bot = assert_type(coordinator.register_agent("bot", team, AgentPriority.HIGH, "5.00"), str)

receipt = assert_type(coordinator.debit(bot, 1, operation_type="search"), Receipt)
assert_type(receipt.remaining, Decimal)
assert_type(coordinator.try_debit(bot, "0.5", idempotency_key="k"), bool)
assert_type(coordinator.get_agent_metrics(bot), BudgetMetrics)
assert_type(coordinator.get_agent_usage_history(bot), list[UsageEvent])
account = assert_type(coordinator.account(bot), Account)
assert_type(account.budget, Decimal)

with coordinator.reserve(bot, 1, ttl_seconds=60, overage="reject") as reservation:
    assert_type(reservation, Reservation)
    reservation.settle("0.25")

if (maybe := coordinator.try_reserve(bot, 1)) is not None:
    maybe.release()

handles = np.full(2, coordinator.handle(bot), dtype=np.uint32)
admitted = coordinator.debit_many(handles, np.array([1, 2], dtype=np.int64))
assert_type(admitted, NDArray[np.bool_])

limiter = BudgetRateLimiter(coordinator)
limiter.set_rate_limit(bot, max_budget=1, time_window=timedelta(hours=1))
assert_type(limiter.get_rate_limits(bot), list[RateLimit])
assert_type(limiter.get_retry_after(bot), float)


async def work() -> Decimal:
    """Awaits inside a reservation."""
    async with coordinator.reserve(bot, "0.10") as held:
        await asyncio.sleep(0)
        return held.settle("0.05").amount


spent = asyncio.run(work())
try:
    coordinator.debit(bot, 1_000)
except BudgetExceededError as error:
    missing = assert_type(error.requested, Decimal | None)
except RateLimitExceededError as error:
    wait = assert_type(error.retry_after, float | None)

coordinator.verify()

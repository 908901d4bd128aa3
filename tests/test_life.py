"""What people decide about accounts while these live: suspended, not enforced, bounded, closed."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    AccountSuspendedError,
    BudgetCoordinator,
    BudgetExceededError,
    BudgetRateLimiter,
    ConfigurationError,
    Decision,
    ManualClock,
    MultiResourceBudget,
    NotificationManager,
    UnknownAgentError,
    UnknownPoolError,
)


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def told():
    return []


@pytest.fixture
def coordinator(clock, told):
    manager = NotificationManager()
    manager.add_handler(lambda alert: told.append((alert.account, alert.title)))
    coordinator = BudgetCoordinator(manager, clock=clock)
    coordinator.create_budget_pool("root", 100)
    coordinator.create_budget_pool("team", 50, parent_id="root")
    coordinator.register_agent("bot", "team", initial_budget=10)
    yield coordinator
    coordinator.verify()


def kinds(coordinator, account="bot"):
    events = coordinator.get_pool_events if account in {"root", "team"} else coordinator.get_agent_events
    return [event.kind for event in events(account)]


# Suspended.


@pytest.mark.parametrize("account", ["bot", "team", "root"])
def test_nothing_begins_on_or_below_what_is_suspended(coordinator, account):
    held = coordinator.reserve("bot", 2)
    coordinator.suspend(account, actor="ann", reason="it loops")
    coordinator.suspend(account)  # is so already
    kind = "agent" if account == "bot" else "pool"
    why = f'{kind} "{account}" is suspended and begins nothing.*: call resume when work may begin again'
    before = coordinator.get_agent_metrics("bot")
    for begin in (
        lambda: coordinator.debit("bot", 1),
        lambda: coordinator.reserve("bot", 1),
        lambda: coordinator.reserve("bot", 0),
        lambda: coordinator.account("bot").debit(1),
        lambda: coordinator.debit("bot", 1, idempotency_key="k"),
    ):
        with pytest.raises(AccountSuspendedError, match=why) as caught:
            begin()
        assert isinstance(caught.value, BudgetExceededError)
        assert (caught.value.account, caught.value.available) == (account, 0)
    assert not coordinator.try_debit("bot", 1)
    assert coordinator.try_reserve("bot", 1) is None
    handles, units = np.array([coordinator.handle("bot")] * 40, np.uint32), np.ones(40, np.int64)
    assert not coordinator.debit_many(handles, units).any()
    assert not coordinator.reserve_many(handles, units).any()
    assert coordinator.get_available("bot") == 0
    assert coordinator.get_agent_metrics("bot") == before
    held.settle(5)  # what was begun is a fact
    coordinator.resume(account, actor="bob")
    assert coordinator.get_available("bot") == 5
    assert coordinator.try_debit("bot", 5)


def test_resources_do_not_begin_either(coordinator):
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", {"calls": 9})
    for account in ("bot", "root"):
        coordinator.suspend(account)
        with pytest.raises(AccountSuspendedError):
            resources.debit("bot", {"calls": 1})
        assert not resources.try_debit("bot", {"calls": 1})
        coordinator.resume(account)
        assert resources.try_debit("bot", {"calls": 1})


def test_whoever_is_charged_beside_a_suspended_account_begins_nothing(coordinator):
    coordinator.create_budget_pool("user", 9)
    coordinator.suspend("user")
    with pytest.raises(AccountSuspendedError, match='pool "user" is suspended.*agent "bot"'):
        coordinator.debit("bot", 1, also=("user",))
    assert coordinator.try_debit("bot", 1)


def test_events_say_who_decided_and_why(coordinator):
    coordinator.suspend("bot", actor="ann", reason="it loops")
    coordinator.resume("bot", actor="bob", reason="mended")
    coordinator.set_priority("bot", 8, actor="ann")
    coordinator.debit("bot", 1)
    events = [(e.kind, e.actor, e.reason) for e in coordinator.get_agent_events("bot")]
    assert events == [
        ("update", None, None),
        ("suspend", "ann", "it loops"),
        ("resume", "bob", "mended"),
        ("priority", "ann", ""),
        ("debit", None, None),
    ]
    assert coordinator.get_agent_priority("bot") == 8
    decision = Decision("agent", "bot", Decimal(9), Decimal(7), "it is idle")
    coordinator.execute(decision)
    assert coordinator.get_agent_events("bot")[-1].reason == "it is idle"


def test_a_suspension_is_counted_among_the_refusals(coordinator):
    coordinator.suspend("team")
    coordinator.try_debit("bot", 1)
    [row] = coordinator.get_refusals("team")
    assert (row.reason, row.asked_by, row.count) == ("suspended", "bot", 1)
    assert coordinator.get_pool_metrics("team").suspended
    assert not coordinator.get_agent_metrics("bot").suspended


# Not enforced.


@pytest.mark.parametrize(("mode", "alerts"), [("warn", 1), ("shadow", 0)])
def test_what_does_not_enforce_is_charged_in_full(coordinator, clock, told, mode, alerts):
    coordinator.set_enforcement("bot", mode, actor="ann")
    limiter = BudgetRateLimiter(coordinator)
    limiter.set_rate_limit("bot", 12, timedelta(minutes=1))
    told.clear()
    assert coordinator.try_debit("bot", 8)
    assert coordinator.try_debit("bot", 9)  # neither the budget nor the window has so much
    coordinator.reserve("bot", 3).settle(3)
    metrics = coordinator.get_agent_metrics("bot")
    assert (metrics.remaining, metrics.spent, metrics.would_refuse) == (-10, 20, 2)
    assert (metrics.enforcement, metrics.budget_refusals, metrics.window_refusals) == (mode, 0, 0)
    assert kinds(coordinator)[-6:] == ["debit", "would_refuse", "debit", "would_refuse", "reserve", "settle"]
    assert [title for account, title in told if "would have refused" in title] == [
        "agent 'bot' would have refused 9"
    ] * alerts
    coordinator.update_budget("bot", 5)
    clock.advance(60)
    coordinator.debit("bot", 1)  # admits again
    told.clear()
    coordinator.debit("bot", 20)
    assert len([title for _, title in told if "would have refused 20" in title]) == alerts


def test_those_that_enforce_decide_alone(coordinator):
    coordinator.set_enforcement("team", "shadow")
    coordinator.update_budget("bot", 80)
    coordinator.update_pool_budget("team", 5)
    assert coordinator.get_available("bot") == 80
    assert coordinator.try_debit("bot", 60)
    assert not coordinator.try_debit("bot", 30)
    assert (coordinator.get_pool_budget("team"), coordinator.get_pool_budget("root")) == (-55, 40)
    assert kinds(coordinator, "team")[-1] == "would_refuse"
    assert coordinator.get_pool_metrics("team").would_refuse == 1
    for account in ("bot", "root"):
        coordinator.set_enforcement(account, "warn")
    assert coordinator.get_available("bot") == 10**15  # nobody refuses
    coordinator.suspend("root")
    assert coordinator.get_available("bot") == 0
    assert not coordinator.try_debit("bot", 1)


def test_shadow_resources_are_charged_and_capacities_still_refuse(coordinator):
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", {"calls": 2})
    resources.set_capacity("calls", 5)
    coordinator.set_enforcement("bot", "shadow")
    assert resources.try_debit("bot", {"calls": 4})
    assert not resources.try_debit("bot", {"calls": 4})
    assert resources.get_budget("bot", "calls") == -2


def test_an_overdraft_limit_bounds_nothing_where_nothing_is_enforced(coordinator):
    coordinator.set_overdraft_limit("bot", 0)
    coordinator.set_enforcement("bot", "shadow")
    assert coordinator.reserve("bot", 1).settle(30).unpaid == 0


@pytest.mark.parametrize("wrong", ["off", "", None, 5, b"warn"])
def test_what_is_no_enforcement(coordinator, wrong):
    why = 'enforcement must be "enforce", "warn" or "shadow", not'
    with pytest.raises(ConfigurationError, match=why):
        coordinator.set_enforcement("bot", wrong)
    with pytest.raises(ConfigurationError, match=why):
        coordinator.create_budget_pool("new", 1, enforcement=wrong)
    with pytest.raises(ConfigurationError, match=why):
        coordinator.register_agent("new", "team", enforcement=wrong)
    assert coordinator.get_all_agent_ids() == ["bot"]


# Bounded.


def test_nobody_grants_more_than_an_agent_may_have(coordinator):
    coordinator.set_max_budget("bot", 15)
    coordinator.debit("bot", 4)
    held = coordinator.reserve("bot", 1)
    why = r'agent "bot" may have 15 in a period \(max_budget\), and so at most 5 more, not .*set_max_budget'
    coordinator.register_agent("other", "team", initial_budget=50)
    for grant in (
        lambda: coordinator.update_budget("bot", "10.01"),
        lambda: coordinator.adjust_budget("bot", 6),
        lambda: coordinator.transfer("other", "bot", 6),
    ):
        with pytest.raises(ConfigurationError, match=why):
            grant()
    assert coordinator.get_budget("bot") == 5
    done = coordinator.execute(Decision("agent", "bot", Decimal(5), Decimal(50), "more"))
    assert (done.new, coordinator.get_budget("bot")) == (10, 10)
    held.release()
    coordinator.set_max_budget("bot", None)
    coordinator.adjust_budget("bot", 100)


def test_the_bound_is_for_a_period(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("daily", 100, budget_period="daily", timezone="UTC")
    coordinator.register_agent("bot", "daily", initial_budget=10, max_budget=10)
    coordinator.debit("bot", 10)
    with pytest.raises(ConfigurationError, match="at most 0 more"):
        coordinator.adjust_budget("bot", 1)
    clock.advance(timedelta(days=1))
    assert coordinator.adjust_budget("bot", 10) == 10  # what was spent yesterday is yesterday's
    coordinator.register_agent(
        "own", "daily", initial_budget=4, max_budget=5, budget_period="daily", timezone="UTC"
    )
    coordinator.debit("own", 4)
    with pytest.raises(ConfigurationError, match="at most 1 more"):
        coordinator.adjust_budget("own", 2)
    clock.advance(timedelta(days=1))
    assert coordinator.adjust_budget("own", 1) == 1
    coordinator.verify()


# Closed.


def test_a_pool_closes_when_nothing_stands_below_it(coordinator):
    for pool in ("root", "team"):
        with pytest.raises(
            ConfigurationError, match=f'pool "{pool}" has 1 accounts below it: unregister, close'
        ):
            coordinator.close_pool(pool)
    coordinator.debit("bot", 3)
    coordinator.pin("team")
    coordinator.unregister_agent("bot")
    coordinator.close_pool("team")
    assert (coordinator.get_pool_ids(), coordinator.pinned) == (["root"], frozenset())
    assert coordinator.get_pool_metrics("root").spent == 3
    assert coordinator.get_pool_info("root").pool_ids == ()
    with pytest.raises(UnknownPoolError):
        coordinator.close_pool("team")
    coordinator.create_budget_pool("team", 5, parent_id="root")
    assert coordinator.get_pool_metrics("team").spent == 0


def test_a_pool_closes_with_its_last_reservation(coordinator):
    coordinator.create_budget_pool("user", 9)
    held = coordinator.reserve("bot", 1, also=("user",))
    with pytest.raises(ConfigurationError, match='pool "user" has active reservations'):
        coordinator.close_pool("user")
    held.settle(1)
    coordinator.close_pool("user")
    with pytest.raises(UnknownAgentError, match="neither an agent nor a pool"):
        coordinator.debit("bot", 1, also=("user",))


# Moved.


@pytest.fixture
def spare(coordinator):
    return coordinator.create_budget_pool("spare", 20, pool_id="spare")


def spent(coordinator, *pools):
    return [coordinator.get_pool_metrics(pool).spent for pool in pools]


def test_an_agent_moves_and_what_it_has_spent_stays_where_it_was_paid(coordinator, spare):
    account = coordinator.account("bot")
    before = account.debit(3)
    coordinator.move_agent("bot", spare, actor="ann", reason="another team")
    assert (coordinator.get_pool_agents("team"), coordinator.get_pool_agents(spare)) == ([], ["bot"])
    assert (coordinator.get_agent_info("bot").pool_id, account.pool_id) == (spare, spare)
    assert account.debit(2).remaining == 5
    assert spent(coordinator, "team", "root", spare) == [3, 3, 2]
    moved = coordinator.get_agent_events("bot")[-2]
    assert (moved.kind, moved.actor, moved.reason) == ("move", "ann", "another team")
    assert coordinator.refund(before).remaining == 8
    assert spent(coordinator, "team", "root", spare) == [0, 0, 2]


def test_a_refund_follows_every_move(coordinator, spare):
    receipts = [coordinator.debit("bot", 1)]
    for pool in (spare, "root", "team"):
        coordinator.move_agent("bot", pool)
        receipts.append(coordinator.debit("bot", 1))
    assert spent(coordinator, "team", "root", spare) == [2, 3, 1]
    for receipt in receipts:
        coordinator.refund(receipt)
        coordinator.verify()
    assert spent(coordinator, "team", "root", spare) == [0, 0, 0]
    assert coordinator.get_budget("bot") == 10


def test_the_pool_that_is_left_pays_no_more_and_the_new_one_decides(coordinator, spare):
    coordinator.update_pool_budget(spare, 1)
    coordinator.move_agent("bot", spare)
    with pytest.raises(BudgetExceededError) as caught:
        coordinator.debit("bot", 2)
    assert (caught.value.account, caught.value.available) == (spare, 1)
    coordinator.debit("bot", 1)
    assert spent(coordinator, "team", "root", spare) == [0, 0, 1]


def test_a_pool_moves_with_all_below_it(coordinator, spare):
    coordinator.debit("bot", 3)
    coordinator.move_pool("team", spare)
    coordinator.debit("bot", 2)
    assert spent(coordinator, "team", "root", spare) == [5, 3, 2]
    assert coordinator.get_pool_info("root").pool_ids == ()
    coordinator.move_pool("team", None)
    coordinator.debit("bot", 1)
    assert spent(coordinator, "team", "root", spare) == [6, 3, 2]
    assert coordinator.get_pool_info("team").parent_id is None


def test_what_belongs_to_an_agent_goes_along(coordinator, spare):
    BudgetRateLimiter(coordinator).set_rate_limit("bot", 4, timedelta(minutes=1))
    coordinator.pin("bot")
    charged = coordinator.debit("bot", 3, idempotency_key="once")
    coordinator.move_agent("bot", spare)
    assert "bot" in coordinator.pinned
    assert not coordinator.try_debit("bot", 2)  # the window
    again = coordinator.debit("bot", 3, idempotency_key="once")
    assert (again.is_repeat, again.remaining) == (True, charged.remaining)
    assert spent(coordinator, "team", "root", spare) == [3, 3, 0]


def test_nobody_moves_while_money_is_on_its_way(coordinator, spare):
    held = coordinator.reserve("bot", 1)
    for move in (lambda: coordinator.move_agent("bot", spare), lambda: coordinator.move_pool("team", spare)):
        with pytest.raises(ConfigurationError, match='"(bot|team)" has active reservations: settle, release'):
            move()
    assert coordinator.get_pool_agents("team") == ["bot"]
    held.settle(1)
    coordinator.move_pool("team", spare)
    assert spent(coordinator, "team", "root", spare) == [1, 1, 0]


def test_where_nothing_can_move_to(coordinator, spare):
    with pytest.raises(ConfigurationError, match='pool "root" cannot move below itself: "team" is below it'):
        coordinator.move_pool("root", "team")
    with pytest.raises(ConfigurationError, match="cannot move below itself"):
        coordinator.move_pool("team", "team")
    with pytest.raises(UnknownPoolError):
        coordinator.move_agent("bot", "nowhere")
    with pytest.raises(UnknownAgentError):
        coordinator.move_agent("nobody", spare)
    events = kinds(coordinator)
    coordinator.move_agent("bot", "team")  # where it is
    coordinator.move_pool("team", "root")
    assert kinds(coordinator) == events


def test_agents_move_while_others_spend(coordinator, spare):
    """No cent is charged to two pools, or to none."""
    coordinator.update_pool_budget(spare, 1000)
    coordinator.update_pool_budget("team", 1000)
    coordinator.update_pool_budget("root", 1000)
    coordinator.update_budget("bot", 1000)
    account, threads_done = coordinator.account("bot"), threading.Event()

    def spend():
        return sum(account.try_debit("0.25") for _ in range(2000))

    def move():
        moves = 0
        while not threads_done.is_set():
            coordinator.move_agent("bot", (spare, "team")[moves % 2])
            moves += 1
        return moves

    with ThreadPoolExecutor(4) as threads:
        moving = threads.submit(move)
        charged = sum(task.result() for task in [threads.submit(spend) for _ in range(3)])
        threads_done.set()
        assert moving.result() > 1
    assert charged * Decimal("0.25") == coordinator.get_agent_metrics("bot").spent
    assert sum(spent(coordinator, "team", spare)) == coordinator.get_agent_metrics("bot").spent


def test_whom_nobody_knows(coordinator):
    for decide in (
        lambda: coordinator.suspend("nobody"),
        lambda: coordinator.resume("nobody"),
        lambda: coordinator.set_enforcement("nobody", "warn"),
        lambda: coordinator.set_priority("nobody", 5),
        lambda: coordinator.set_max_budget("nobody", 5),
        lambda: coordinator.set_overdraft_limit("nobody", 5),
    ):
        with pytest.raises(UnknownAgentError):
            decide()


def test_unpaid_is_alerted(coordinator, told):
    coordinator.set_overdraft_limit("team", 1)
    told.clear()
    coordinator.reserve("bot", 1).settle(70)
    assert ("bot", "agent 'bot' has cost 19 more than may be charged") in told


# Moved while calls wait.


@pytest.fixture
def moving():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("poor", 10)
    coordinator.create_budget_pool("rich", 100)
    for agent in ("bot", "other"):
        coordinator.register_agent(agent, "poor", initial_budget=10)
    held = coordinator.reserve("other", 9)
    yield coordinator
    held.release()
    assert coordinator.get_pool_metrics("rich").reserved == 0
    coordinator.verify()


def test_a_thread_that_waits_follows_its_agent(moving):
    got = []
    thread = threading.Thread(target=lambda: got.append(moving.reserve("bot", 5, timeout=30)))
    thread.start()
    time.sleep(0.05)
    assert not got, "the pool has 1 left"
    moving.move_agent("bot", "rich", actor="ann")
    thread.join(10)
    assert got, "it is served where its agent is now"
    assert moving.get_pool_metrics("rich").reserved == 5
    got[0].settle(4)
    assert moving.get_pool_metrics("rich").spent == 4


def test_a_task_that_waits_follows_its_agent(moving):
    async def ask():
        return await moving.reserve_async("bot", 5, timeout=30)

    async def main():
        task = asyncio.create_task(ask())
        await asyncio.sleep(0.05)
        assert not task.done()
        moving.move_agent("bot", "rich")
        async with asyncio.timeout(10):
            return await task

    reservation = asyncio.run(main())
    assert moving.get_pool_metrics("rich").reserved == 5
    reservation.release()

"""Who gets how much of a pool: runs, the reserve, people's say, time, threads."""

import gc
import random
import threading
import time
import weakref
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    AlertSeverity,
    BudgetCoordinator,
    ConfigurationError,
    InvalidAmountError,
    ManualClock,
    PriorityBasedReallocator,
    UnknownPoolError,
)

HALF_HOUR = 1800
WEIGHTS = {10: 4.0, 8: 2.0, 5: 1.0, 3: 0.5}


@pytest.fixture
def team(coordinator):
    """Four agents with 50 each below a pool of 1000."""
    coordinator.create_budget_pool("crew", 1000)
    for name, priority in (("critical", 10), ("high", 8), ("medium", 5), ("low", 3)):
        coordinator.register_agent(name, "crew", priority, 50)
    return coordinator


@pytest.fixture
def reallocator(team):
    made = PriorityBasedReallocator(team, HALF_HOUR, 5, pool_ids=["crew"])
    made.configure(priority_weights=WEIGHTS)
    yield made
    made.stop()


def budgets(coordinator, pool="crew"):
    return {agent: coordinator.get_budget(agent) for agent in coordinator.get_pool_agents(pool)}


def total(coordinator, pool="crew"):
    return sum(budgets(coordinator, pool).values())


def titles(coordinator, severity=None):
    return [alert.title for alert in coordinator.notification_manager.get_alerts(severity)]


# The division.


def test_without_history_the_weights_decide(reallocator, team):
    decisions = reallocator.run_once()
    assert [d.subject for d in decisions] == ["critical", "high", "medium", "low"]
    assert budgets(team) == {
        "critical": Decimal("426.666666667"),
        "high": Decimal("213.333333333"),
        "medium": Decimal("106.666666667"),
        "low": Decimal("53.333333333"),
    }
    assert total(team) == 800
    assert reallocator.get_reserve("crew") == 200
    assert decisions[0].reason == "nothing is known of the needs: its part by weight 4"
    assert team.get_budget("bot") == 1  # of another pool


def test_a_dry_run_says_the_same_and_changes_nothing(reallocator, team):
    wanted = {d.subject: d.new for d in reallocator.evaluate()}
    assert total(team) == 200
    assert reallocator.get_reserve("crew") == 0
    reallocator.run_once()
    assert budgets(team) == wanted


def test_what_is_spent_becomes_the_need(reallocator, team, clock):
    with reallocator:
        clock.advance(HALF_HOUR)
        for _ in range(3):
            team.debit("low", 30)
            team.debit("critical", 10)
            clock.advance(HALF_HOUR)
    found = {d.subject: d for d in reallocator.history[-4:]}
    assert found["low"].inputs["need"] == pytest.approx(30, rel=0.1)
    assert found["critical"].inputs["need"] == pytest.approx(10, rel=0.1)
    assert found["low"].reason == f"covers its need of {found['low'].inputs['need']:.6g}"
    assert team.get_budget("low") > 2.5 * float(team.get_budget("critical"))
    assert total(team) == Decimal("0.8") * team.get_pool_budget("crew") == Decimal(704)


def test_when_money_is_short_priority_decides(reallocator, team, clock):
    with reallocator:
        for _ in range(4):
            clock.advance(HALF_HOUR)
            for agent in budgets(team):
                team.debit(agent, 20)
        team.update_pool_budget("crew", 60)
        clock.advance(HALF_HOUR)
    parts = {d.subject: d for d in reallocator.history[-7:] if d.inputs["from"] == "pie"}
    assert sum(d.new for d in parts.values()) == 48
    needs = {agent: decision.inputs["need"] for agent, decision in parts.items()}
    assert needs == pytest.approx(dict.fromkeys(needs, 20), rel=0.1)
    # `critical` needs less than its part by weight; `low` has its floor; the others share the rest by weight.
    assert float(parts["critical"].new) == pytest.approx(needs["critical"])
    assert parts["low"].new == 5
    assert parts["high"].new == pytest.approx(2 * parts["medium"].new, abs=Decimal("2e-9"))
    assert parts["high"].reason == f"its part by weight 2 of too little: it needs {needs['high']:.6g}"


def test_until_the_pool_is_granted_anew(coordinator, clock):
    coordinator.create_budget_pool("daily", 200, budget_period=timedelta(hours=6))
    coordinator.register_agent("pilot", "daily", 10, 50)
    coordinator.register_agent("intern", "daily", 1, 50)
    reallocator = PriorityBasedReallocator(coordinator, 3600, 0, pool_ids=["daily"])
    reallocator.configure(0, 0, {10: 3, 1: 1})
    with reallocator:
        for _ in range(12):
            clock.advance(3600)
            coordinator.debit("pilot", 5)
            coordinator.debit("intern", 20)
    needs = {d.subject: d.inputs["need"] for d in reallocator.history if d.time == clock.now()}
    # Six hours to go, at about 5 and 20 an hour.
    assert needs == pytest.approx({"pilot": 30, "intern": 120}, rel=0.15)
    got = {agent: float(budget) for agent, budget in budgets(coordinator, "daily").items()}
    assert got == pytest.approx({"pilot": 35, "intern": 140})  # 40 and 160, less what was spent


def test_floors_are_kept(reallocator, team, clock):
    reallocator.configure(0.5, 0, {10: 100, 3: 1})
    reallocator.run_once()
    team.update_pool_budget("crew", 120)
    reallocator.run_once()
    got = budgets(team)
    assert total(team) == 120
    assert all(budget >= 25 for budget in got.values())
    assert (got["low"], got["medium"]) == (25, 25)


def test_floors_come_before_the_reserve_and_shrink_if_they_must(reallocator, team):
    reallocator.configure(0.5, 0.2, WEIGHTS)
    team.update_pool_budget("crew", 110)
    reallocator.run_once()
    assert (total(team), reallocator.get_reserve("crew")) == (100, 10)
    assert titles(team, AlertSeverity.ERROR) == []
    team.update_pool_budget("crew", 30)
    reallocator.run_once()
    assert set(budgets(team).values()) == {Decimal("7.5")}
    reallocator.run_once()
    assert titles(team, AlertSeverity.ERROR) == ["pool 'crew' has less left than the floors of its agents"]


def test_priorities_between_those_given_count_in_proportion(coordinator):
    coordinator.create_budget_pool("crew", 90)
    for priority in (1, 4, 7, 10):
        coordinator.register_agent(f"p{priority}", "crew", priority)
    reallocator = PriorityBasedReallocator(coordinator, pool_ids=["crew"])
    reallocator.configure(0, 0, {3: 1.0, 8: 2.0})
    weights = {d.subject: d.inputs["weight"] for d in reallocator.evaluate()}
    assert weights == pytest.approx({"p1": 1.0, "p4": 1.2, "p7": 1.8, "p10": 2.0})
    reallocator.configure(0, 0)
    weights = {d.subject: d.inputs["weight"] for d in reallocator.evaluate()}
    assert weights == pytest.approx({"p1": 0.2, "p4": 0.8, "p7": 1.4, "p10": 2.0})


def test_all_pools_unless_some_are_named(coordinator):
    coordinator.create_budget_pool("crew", 100, parent_id="team")
    coordinator.register_agent("member", "crew")
    reallocator = PriorityBasedReallocator(coordinator)
    reallocator.run_once()
    # Each pool is dealt to the agents right below it; what is spent in one below is held by the path.
    assert (coordinator.get_budget("bot"), coordinator.get_budget("member")) == (8, 80)
    assert coordinator.get_available("member") == 10


def test_an_overdraft_is_made_good(reallocator, team):
    team.reserve("low", 50).settle(70)
    assert team.get_budget("low") == -20
    reallocator.run_once()
    assert team.get_budget("low") > 0
    assert total(team) == Decimal("0.8") * 930


# People have the last word.


def test_the_budgets_never_add_up_to_more_than_they_should(reallocator, team):
    reallocator.run_once()
    team.debit("critical", 400)
    sums = []
    reallocator.on_decision(lambda _: sums.append(total(team)))
    decisions = reallocator.run_once()
    signs = [d.new > d.old for d in decisions]
    assert signs == sorted(signs)
    assert True in signs
    assert False in signs
    assert max([*sums, total(team)]) <= max(480, 400)
    assert total(team) == 480


def test_who_may_not_give_leaves_less_for_the_others(reallocator, team):
    reallocator.run_once()
    team.debit("critical", 400)
    reallocator.on_decision(lambda d: d.new > d.old)
    decisions = reallocator.run_once()
    assert {d.status for d in decisions if d.new < d.old} == {"vetoed"}
    # The others hold more than their parts: what is missing to the 480 is all that there is to get.
    [got] = [d for d in decisions if d.new > d.old]
    assert (got.subject, got.new - got.old) == ("critical", 80)
    assert got.reason.endswith("; others gave less than planned")
    assert total(team) == 480


def test_what_was_given_is_shared_by_weight_if_one_giver_is_vetoed(reallocator, team):
    reallocator.run_once()
    team.debit("critical", 400)
    team.debit("high", 200)
    reallocator.on_decision(lambda d: d.subject != "medium")
    decisions = reallocator.run_once()
    got = [d for d in decisions if d.new > d.old]
    assert got[-1].reason.endswith("; others gave less than planned")
    assert total(team) <= Decimal("0.8") * 400


def test_what_is_spent_while_it_runs_stays_spent(reallocator, team):
    reallocator.run_once()
    team.debit("critical", 400)
    spent = []

    def spend(decision):
        if not spent:
            team.debit("low", 53)  # a giver that has nothing left to give
            spent.append(decision.subject)

    reallocator.on_decision(spend)
    reallocator.run_once()
    assert spent
    assert total(team) == Decimal("0.8") * 600 - 53


def test_a_pinned_agent_keeps_what_it_has_and_the_others_share_the_rest(reallocator, team):
    team.pin("medium")
    decisions = reallocator.run_once()
    assert "medium" not in [d.subject for d in decisions]
    assert team.get_budget("medium") == 50
    assert total(team) == 800
    assert team.get_budget("critical") == Decimal("461.538461539")


def test_changes_are_bounded_and_still_add_up(team):
    reallocator = PriorityBasedReallocator(team, pool_ids=["crew"], max_change=0.2)
    team.update_pool_budget("crew", 250)
    reallocator.configure(priority_weights=WEIGHTS)
    decisions = reallocator.run_once()
    assert all(abs(d.new - d.old) <= 10 for d in decisions)
    assert total(team) == 200
    team.update_pool_budget("crew", 1000)
    reallocator.run_once()
    assert budgets(team) == {"critical": 70, "high": 70, "medium": 50, "low": 50}


def test_budgets_that_may_not_fall_fast_enough_leave_a_smaller_reserve(team):
    reallocator = PriorityBasedReallocator(team, pool_ids=["crew"], max_change=0.02)
    for pool, sums, reserve in ((230, 196, 34), (200, 192, 8), (150, 188, 0)):
        team.update_pool_budget("crew", pool)
        decisions = reallocator.run_once()
        assert {d.old - d.new for d in decisions} == {1}
        assert all(d.reason.count("at most") == 0 for d in decisions)  # the division knows the bound
        assert (total(team), reallocator.get_reserve("crew")) == (sums, reserve)


def test_a_run_that_fails_altogether_keeps_nothing_back(reallocator, team, monkeypatch):
    team.create_budget_pool("other", 100)
    team.register_agent("x", "other", initial_budget=1)
    both = PriorityBasedReallocator(team, pool_ids=["crew", "other"])
    divide = both._divide_pool
    monkeypatch.setattr(both, "_divide_pool", lambda table, *rest: table.ids == ["x"] or divide(table, *rest))
    assert both.run_once() == []
    assert both.get_reserve("crew") == 0


def test_a_failure_falls_back_to_shares_by_weight(reallocator, team, clock, monkeypatch):
    with reallocator:
        clock.advance(HALF_HOUR)
        team.debit("low", 50)
        monkeypatch.setattr(reallocator, "_needs", lambda *_: 1 / 0)
        clock.advance(HALF_HOUR)
    assert total(team) == 760
    assert team.get_budget("critical") == Decimal("405.333333333")
    [alert] = team.notification_manager.get_alerts(AlertSeverity.ERROR)
    assert alert.message.endswith("Its rule for such a case: shares by weight, above the floors.")


# The reserve.


@pytest.fixture
def running(reallocator, clock):
    reallocator.start()
    clock.advance(HALF_HOUR)
    return reallocator


def test_the_debit_that_makes_an_agent_low_brings_a_grant(running, team):
    left = team.get_budget("critical")
    team.debit("critical", left - 5)
    assert team.get_budget("critical") == 5  # not below the threshold
    team.debit("critical", 1)
    assert team.get_budget("critical") == 10
    assert running.get_reserve("crew") == 194
    grant = running.history[-1]
    assert (grant.subject, grant.old, grant.new, grant.status) == ("critical", 4, 10, "applied")
    assert grant.reason == "emergency: less than 5 was left; granted from the reserve"
    assert grant.inputs["from"] == "reserve"
    [alert] = team.notification_manager.get_alerts(AlertSeverity.WARNING, account="critical")[-1:]
    assert "was granted budget from the reserve of 'crew'" in alert.title


def test_it_is_granted_again_and_again_and_told_once(running, team):
    team.update_budget("critical", 6)
    for _ in range(10):
        team.debit("critical", 6)
    assert running.get_reserve("crew") == 200 - 10 * 6 + 0 - 4
    assert team.get_budget("critical") == 10
    grants = [title for title in titles(team) if "ran low and was granted" in title]
    assert grants == ["agent 'critical' ran low and was granted budget from the reserve of 'crew'"]
    assert len([d for d in running.history if d.inputs["from"] == "reserve"]) == 10


def test_a_light_agent_leaves_something_to_heavy_ones(running, team):
    granted = 0
    team.update_budget("low", 6)
    while team.try_debit("low", 3):
        granted += 3
    assert granted - 6 == pytest.approx(200 / 8, abs=5)
    assert running.get_reserve("crew") == 175
    [alert] = team.notification_manager.get_alerts(AlertSeverity.ERROR)
    assert alert.title == "agent 'low' ran low and the reserve of 'crew' has nothing for it"
    assert alert.message.startswith("175 of 200 is left, and the agent has drawn what it may.")


def test_a_reserve_that_is_used_up_fails_no_debit(running, team, clock):
    team.update_budget("critical", 6)
    spent = 0
    while team.try_debit("critical", 4):
        spent += 4
    assert spent == 204
    assert running.get_reserve("crew") == 0
    clock.advance(HALF_HOUR)
    assert running.get_reserve("crew") == Decimal("0.2") * team.get_pool_budget("crew")


def test_reservations_and_batches_count_as_well(running, team):
    reservation = team.reserve("high", team.get_budget("high") - 3)
    assert team.get_budget("high") == 10
    reservation.release()
    units = int((team.get_budget("medium") - 1) * 10**9)
    admitted = team.debit_many(np.array([team.handle("medium")], np.uint32), np.array([units]))
    assert admitted.tolist() == [True]
    assert team.get_budget("medium") == 10
    account = team.account("low")
    with account.reserve(account.budget - 1):
        assert account.budget == 10
    kept = account.try_reserve(9)
    assert account.budget == 10
    kept.release()


def test_agents_that_stay_short_are_granted_at_the_run_heavy_ones_first(team, clock):
    reallocator = PriorityBasedReallocator(team, HALF_HOUR, 10, pool_ids=["crew"])
    reallocator.configure(0, 0.2, WEIGHTS)
    with reallocator:
        clock.advance(HALF_HOUR)
        for agent in budgets(team):
            team.debit(agent, 40)
        team.update_pool_budget("crew", 30)
        clock.advance(HALF_HOUR)
    grants = [d for d in reallocator.history if d.inputs["from"] == "reserve" and d.time == clock.now()]
    assert [d.subject for d in grants][:2] == ["high", "medium"]
    assert sum(d.new - d.old for d in grants) == 6 - reallocator.get_reserve("crew")
    assert total(team) <= 30


def test_a_veto_puts_it_back(running, team):
    running.on_decision(lambda d: d.inputs["from"] != "reserve")
    team.update_budget("critical", 6)
    team.debit("critical", 4)
    assert (team.get_budget("critical"), running.get_reserve("crew")) == (2, 200)
    assert running.history[-1].status == "vetoed"


def test_a_pinned_agent_is_not_helped(running, team):
    team.pin("critical")
    team.update_budget("critical", 6)
    team.debit("critical", 4)
    assert (team.get_budget("critical"), running.get_reserve("crew")) == (2, 200)


def test_grants_are_bounded_like_every_change(team, clock):
    reallocator = PriorityBasedReallocator(team, HALF_HOUR, 5, pool_ids=["crew"], max_change=0.05)
    reallocator.configure(priority_weights=WEIGHTS)
    with reallocator:
        clock.advance(HALF_HOUR)
        team.debit("critical", team.get_budget("critical") - 4)
        assert team.get_budget("critical") == Decimal("6.5")


def test_nothing_is_granted_before_the_first_run_or_after_the_stop(reallocator, team, clock):
    reallocator.start()
    team.debit("low", 47)
    assert team.get_budget("low") == 3
    clock.advance(HALF_HOUR)
    reallocator.stop()
    team.update_budget("high", 6)
    team.debit("high", 4)
    assert team.get_budget("high") == 2
    assert team._low_listeners == ()


def test_a_grant_that_fails_fails_no_debit(running, team, monkeypatch):
    monkeypatch.setattr(running, "_prepared", lambda *_: 1 / 0)
    team.update_budget("critical", 6)
    team.debit("critical", 4)
    assert team.get_budget("critical") == 2
    [alert] = team.notification_manager.get_alerts(AlertSeverity.ERROR)
    assert alert.title == "PriorityBasedReallocator could not grant from a reserve"


def test_a_callback_that_debits_does_not_go_round_in_circles(running, team):
    running.on_decision(lambda d: team.try_debit("high", 1) if d.inputs["from"] == "reserve" else None)
    team.update_budget("high", 5)
    team.update_budget("critical", 6)
    team.debit("critical", 4)
    assert (team.get_budget("critical"), team.get_budget("high")) == (10, 9)


def test_a_callback_that_debits_whom_it_judges_is_asked_once(running, team):
    asked = []
    running.on_decision(lambda d: asked.append(team.try_debit("critical", 1)))
    team.update_budget("critical", 6)
    team.debit("critical", 4)
    assert (asked, team.get_budget("critical")) == ([True], 9)


def test_who_runs_low_elsewhere_while_a_callback_debits_is_granted_as_well(running, team):
    """The alarm of one thread may be delivered by another one, in the middle of a grant."""

    def debit(decision):
        if decision.subject == "critical":
            team.debit("low", 3)

    running.on_decision(debit)
    team.update_budget("low", 6)
    team.update_budget("critical", 6)
    team.debit("critical", 4)
    assert (team.get_budget("critical"), team.get_budget("low")) == (10, 10)


def test_who_has_enough_again_is_not_granted(running, team):
    granted = len(running.history)
    team.update_budget("critical", 7)
    running._on_low("critical")  # late: it was raised before anybody came to it
    assert team.get_budget("critical") == 7
    assert len(running.history) == granted


def test_a_stop_in_the_middle_of_a_grant_is_no_empty_reserve(running, team):
    running.on_decision(lambda _: running.stop())
    team.update_budget("critical", 6)
    team.debit("critical", 4)
    assert (team.get_budget("critical"), running.get_reserve("crew")) == (2, 200)
    assert titles(team, AlertSeverity.ERROR) == []


def test_an_agent_that_leaves_while_emergencies_are_looked_for(team, clock, monkeypatch):
    team.register_agent("new", "crew")
    look = team.get_budget

    def leave(agent):
        if agent == "new" and agent in team.get_pool_agents("crew"):
            team.unregister_agent("new")
        return look(agent)

    # Its budget may not change, so nobody but the reserve looks at it.
    with PriorityBasedReallocator(team, HALF_HOUR, pool_ids=["crew"], max_change=0.1) as reallocator:
        clock.advance(HALF_HOUR)
        team.debit("critical", 5)
        monkeypatch.setattr(team, "get_budget", leave)
        clock.advance(HALF_HOUR)
    assert "new" not in team.get_pool_agents("crew")
    assert titles(team, AlertSeverity.ERROR) == []
    assert reallocator.history[-1].time == clock.now()


def test_two_that_start_it_at_once_make_it_listen_once(reallocator, team):
    reallocator.start()
    team._listen_low(reallocator._on_low)
    assert len(team._low_listeners) == 1


def test_what_is_granted_while_a_run_divides_comes_off_the_next_reserve(running, team, clock):
    inside = []

    def spend(decision):
        if decision.inputs["from"] == "pie" and not inside:
            inside.append(decision)
            team.update_budget("critical", 6)
            team.debit("critical", 4)

    running.on_decision(spend)
    clock.advance(HALF_HOUR)
    assert total(team) + running.get_reserve("crew") <= team.get_pool_budget("crew")


def test_an_agent_of_another_pool_is_left_alone(running, team):
    team.debit("bot", "0.9")
    assert team.get_budget("bot") == Decimal("0.1")


# Agents come and go; time passes.


def test_agents_come_and_go(running, team, clock):
    team.register_agent("new", "crew", 10, 6)
    team.debit("new", 2)
    assert team.get_budget("new") == 10  # watched from the beginning
    clock.advance(HALF_HOUR)
    assert team.get_budget("new") > 10
    team.debit("new", 20)
    clock.advance(HALF_HOUR)
    team.unregister_agent("critical")
    team.unregister_agent("new")
    team.register_agent("new", "crew", 3, 1)
    clock.advance(HALF_HOUR)
    assert sorted(budgets(team)) == ["high", "low", "medium", "new"]
    assert total(team) == Decimal("0.8") * team.get_pool_budget("crew")
    assert titles(team, AlertSeverity.ERROR) == []


def test_an_agent_without_anything_gets_a_start(coordinator, clock):
    coordinator.create_budget_pool("crew", 100)
    coordinator.register_agent("busy", "crew")
    coordinator.register_agent("idle", "crew")
    with PriorityBasedReallocator(coordinator, pool_ids=["crew"]):
        clock.advance(HALF_HOUR)
        for _ in range(6):
            coordinator.try_debit("busy", 5)
            clock.advance(HALF_HOUR)
        assert coordinator.get_budget("idle") > 0  # however long it has wanted nothing


def test_a_stop_in_the_middle_applies_nothing_more(reallocator, team, clock):
    reallocator.on_decision(lambda d: reallocator.stop() if d.subject == "medium" else None)
    reallocator.start()
    clock.advance(HALF_HOUR)
    assert [d.subject for d in reallocator.history] == ["critical", "high"]
    assert (team.get_budget("medium"), team.get_budget("low")) == (50, 50)


def test_two_weeks_of_day_and_night(clock):
    coordinator = BudgetCoordinator(clock=clock)
    coordinator.create_budget_pool("crew", 120, budget_period=timedelta(hours=1))
    for name, priority in (("day", 5), ("night", 5), ("pilot", 10)):
        coordinator.register_agent(name, "crew", priority, 40)
    reallocator = PriorityBasedReallocator(coordinator, 3600, 2)
    reallocator.configure(priority_weights=WEIGHTS)
    refused = []
    with reallocator:
        for hour in range(14 * 24):
            clock.advance(3600)
            assert total(coordinator) == Decimal("0.8") * 120
            is_day = hour % 24 >= 12
            for name, wanted in (("day", 60 if is_day else 6), ("night", 6 if is_day else 60), ("pilot", 12)):
                refused += [hour for _ in range(wanted) if not coordinator.try_debit(name, 1)]
    # Static parts of 40 would have refused 20 in every hour.
    assert len(refused) < 0.1 * 20 * 14 * 24
    assert len([hour for hour in refused if hour >= 168]) < 0.02 * 20 * 7 * 24
    coordinator.verify()
    assert len(reallocator.history) > 14 * 24


def test_the_same_twice_is_the_same():
    def history():
        clock = ManualClock()
        coordinator = BudgetCoordinator(clock=clock)
        coordinator.create_budget_pool("crew", 500)
        draw = random.Random(7)
        for i in range(9):
            coordinator.register_agent(f"a{i}", "crew", 1 + i, 20)
        with PriorityBasedReallocator(coordinator, 600, 3) as reallocator:
            for _ in range(60):
                clock.advance(150)
                coordinator.try_debit(f"a{draw.randrange(9)}", draw.randrange(1, 9))
        return [d.to_dict() for d in reallocator.history]

    assert history() == history()


def test_threads_that_spend_while_it_runs_overspend_nothing():
    coordinator = BudgetCoordinator()
    coordinator.create_budget_pool("crew", 200)
    agents = [coordinator.register_agent(f"a{i}", "crew", 1 + i % 10, 10) for i in range(16)]
    admitted = dict.fromkeys(agents, 0)
    reallocator = PriorityBasedReallocator(coordinator, 0.002, "0.5")
    sums = []
    end = time.monotonic() + 1.0

    def spend(agent):
        while time.monotonic() < end:
            admitted[agent] += coordinator.try_debit(agent, "0.01")
            time.sleep(0)  # the reallocator has its turn

    def look(decision):
        # Nobody else moves budgets now, and what is spent meanwhile only makes the sum less.
        sums.append(sum(coordinator.get_budget(agent) for agent in agents))

    reallocator.on_decision(look)
    with reallocator:
        threads = [threading.Thread(target=spend, args=(agent,)) for agent in agents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    coordinator.verify()
    metrics = coordinator.get_pool_metrics("crew")
    assert metrics.spent == sum(admitted.values()) * Decimal("0.01")
    assert metrics.remaining == 200 - metrics.spent >= 0
    assert len(sums) > 20, "they met"
    assert max(sums) <= 200
    assert {d.status for d in reallocator.history} == {"applied"}


def test_it_is_collected_with_its_coordinator():
    coordinator = BudgetCoordinator(clock=ManualClock())
    coordinator.create_budget_pool("crew", 1)
    reallocator = PriorityBasedReallocator(coordinator)
    reallocator.start()
    gone = weakref.ref(reallocator)
    del coordinator, reallocator
    gc.collect()
    assert gone() is None


# Settings.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_budget_percentage": 1.1}, "min_budget_percentage must be from 0 to 1, not 1.1"),
        ({"reserve_percentage": -0.1}, "reserve_percentage must be from 0 to 1, not -0.1"),
        ({"reserve_percentage": float("nan")}, "not nan"),
        ({"priority_weights": {}}, "must not be empty"),
        ({"priority_weights": {11: 1}}, "from 1 to 10, not 11"),
        ({"priority_weights": {"HIGH": 1}}, "must be a whole number, not 'HIGH': from 1 to 10"),
        ({"priority_weights": {8: 0}}, "must be from 1e-09 to 1,000,000,000, not 0"),
        ({"priority_weights": {8: float("inf")}}, "not inf"),
    ],
)
def test_wrong_settings_are_refused_and_change_nothing(reallocator, settings, message):
    before = [d.new for d in reallocator.evaluate()]
    with pytest.raises(ConfigurationError, match=message):
        reallocator.configure(**settings)
    assert [d.new for d in reallocator.evaluate()] == before


def test_wrong_arguments_are_refused(coordinator):
    with pytest.raises(InvalidAmountError, match="emergency_threshold must not be negative"):
        PriorityBasedReallocator(coordinator, emergency_threshold=-1)
    with pytest.raises(TypeError, match="emergency_threshold must be a Decimal"):
        PriorityBasedReallocator(coordinator, emergency_threshold=0.5)
    with pytest.raises(UnknownPoolError, match="nowhere"):
        PriorityBasedReallocator(coordinator, pool_ids=["nowhere"])
    with pytest.raises(ConfigurationError, match="pool_ids must be a sequence of ids"):
        PriorityBasedReallocator(coordinator, pool_ids="team")
    with pytest.raises(UnknownPoolError, match='no pool "nowhere" exists'):
        PriorityBasedReallocator(coordinator).get_reserve("nowhere")

"""Pacing: the rule, what it learns, and a live pool whose budget is to last the day."""

import json
import math
import threading
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeguards import BudgetCoordinator, BudgetTimeScheduler, InvalidAmountError, ManualClock
from safeguards.budget.time_scheduler._pacing import DAYS, DemandHistory, Pace
from time_scheduler.schedules import window

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
DAY = {"day": window(time(0), time(23, 59), budget=100)}


def test_even_pacing_starts_open_and_follows_the_rate():
    pace = Pace(slots=10)
    assert pace.throttle(100, 0) == 1
    pace.see(40)
    # 60 for nine slots, at 40 a slot; the one slot of allowance that comes before counts as a second one.
    allowed = 60 / 9
    assert pace.throttle(60, 1) == pytest.approx(60 / (9 * (40 + allowed) / 2))
    assert pace.throttle(1e9, 1) == 1
    assert pace.throttle(0, 1) == pace.throttle(-1, 1) == 0
    assert pace.throttle(5, 10) == 1  # nothing more is to come


def test_a_forecast_of_the_same_day_again_admits_the_same_share_all_day():
    day = [1.0] * 50 + [9.0] * 50 + [3.0] * 44
    pace, remaining = Pace(144, [day] * DAYS), 0.6 * sum(day)
    for slot, demand in enumerate(day):
        share = pace.throttle(remaining, slot)
        assert share == pytest.approx(0.6)
        remaining -= share * demand
        pace.see(demand)
    assert remaining == pytest.approx(0, abs=1e-9)


def test_twice_the_demand_halves_the_share():
    day = [2.0] * 144
    pace = Pace(144, [day] * DAYS)
    pace.see(4.0 * 72)
    assert pace.throttle(72.0, 72) == pytest.approx(72 / (72 * 4), rel=0.02)


def test_days_that_differ_are_weighed_by_the_roots_of_their_needs():
    pace = Pace(2, [[1.0, 1.0], [1.0, 9.0]])
    pace.see(1.0)
    # The days are (0.5, 0.5) and (0.1, 0.9) in shape and have 0.1 + 0.5 in common: 0.4 is spread evenly.
    first = (1.0, 0.6 * 1 + 0.4 * 5)
    prior = 0.02 * 6
    needs = [
        (2 - first[0]) * (1 + prior) / (first[0] + prior),
        (10 - first[1]) * (1 + prior) / (first[1] + prior),
    ]
    need = (sum(map(math.sqrt, needs)) / 2) ** 2
    assert pace.throttle(0.5, 1) == pytest.approx(0.5 / need)


def test_within_a_slot_the_share_moves_steadily():
    pace = Pace(4, [[1.0, 2.0, 3.0, 4.0]] * 7)
    pace.see(1.0)
    shares = [pace.throttle(0.5, 1 + n / 100) for n in range(200)]
    assert all(0 < later - earlier < 0.05 for earlier, later in pairwise(shares))


@given(
    st.lists(st.lists(st.floats(0, 1e9), min_size=6, max_size=6), max_size=7),
    st.lists(st.floats(-1e6, 1e9), max_size=6),
    st.floats(-1, 1e12),
    st.floats(0, 7),
    st.floats(0, 6),
)
def test_a_share_is_a_share(days, seen, remaining, position, begin):
    pace = Pace(6, days, begin)
    for amount in seen:
        pace.see(amount)
    share = pace.throttle(remaining, max(position, begin))
    assert 0 <= share <= 1
    assert (share == 0) <= (remaining <= 1e-9 * (1 + sum(map(abs, seen)) + sum(map(sum, days))))


def test_history_keeps_seven_days_and_knows_what_it_does_not_know():
    history = DemandHistory(slots_per_day=4)
    assert history.earlier(0, 4) == []
    for slot in range(40):
        if slot // 4 != 8:
            history.add(slot, slot)
    assert history.earlier(40, 4) == [
        [4.0 * d, 4.0 * d + 1, 4.0 * d + 2, 4.0 * d + 3] for d in (9, 7, 6, 5, 4, 3)
    ]
    assert history.earlier(40, 2) == [[4.0 * d, 4.0 * d + 1] for d in (9, 7, 6, 5, 4, 3)]
    assert history.earlier(40, 8) == [[*map(float, range(12, 20))]]  # a week before
    history.add(40, 1)
    history.add(40, 2.5)
    history.add(39, -100)  # a reservation that was given back
    assert history.earlier(41, 3) == [
        [37.0, 38.0, 0.0],
        [29.0, 30.0, 31.0],
        *[[4.0 * d + 1, 4.0 * d + 2, 4.0 * d + 3] for d in (6, 5, 4, 3)],
    ]
    history.add(5, 99)  # too long ago
    history.add(1000, 1)
    assert history.earlier(1001, 3) == []


def test_slots_that_are_unknown_are_as_the_mean_of_the_day():
    history = DemandHistory(slots_per_day=4)
    for slot in (0, 1, 3):
        history.add(slot, slot)
    assert history.earlier(4, 4) == [[0.0, 1.0, pytest.approx(4 / 3), 3.0]]
    assert history.earlier(5, 2) == [[1.0, 1.0]]


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0, 1e6)), max_size=40))
def test_history_survives_json(entries):
    history = DemandHistory()
    for slot, demand in entries:
        history.add(slot, demand)
    again = DemandHistory.from_dict(json.loads(json.dumps(history.to_dict())))
    assert again.to_dict() == history.to_dict()
    assert again.earlier(300, 144) == history.earlier(300, 144)


def demand_known(platform):
    """The slots of a platform's pool that are known, in order."""
    days = platform.scheduler.state()["demand"]["team"].values()
    return [value for day in days for value in day if value is not None]


def demand_at(hour):
    """Two and a half times as much in the working hours."""
    return 0.25 if 9 <= hour < 17 else 0.1


class Platform:
    """A pool that gets a piece of work each minute, on a clock that is advanced."""

    def __init__(self, pacing, *, ask=True, start=MONDAY, zone="UTC", schedule=None):
        self.clock = ManualClock(start)
        self.coordinator = BudgetCoordinator(clock=self.clock)
        self.coordinator.create_budget_pool("team", 100)
        self.coordinator.register_agent("bot", "team", initial_budget=10**9)
        self.scheduler = BudgetTimeScheduler(self.coordinator, timezone=zone, pacing=pacing)
        self.scheduler.add_time_profile("team", schedule or DAY)
        self.scheduler.apply_current_profile("team")
        self.scheduler.start()
        self.ask, self.zone = ask, ZoneInfo(zone)

    def run_day(self, factor=1.0):
        """By hour, the demand and the share of it that was paid for."""
        wanted, paid = [0.0] * 24, [0.0] * 24
        for _ in range(1440):
            hour = self.clock.now().astimezone(self.zone).hour
            amount = round(factor * demand_at(hour), 6)
            wanted[hour] += amount
            if (not self.ask or self.scheduler.admits("team", str(amount))) and self.coordinator.try_debit(
                "bot", str(amount)
            ):
                paid[hour] += amount
            self.clock.advance(60)
        return wanted, [p / w if w else None for p, w in zip(paid, wanted, strict=True)]


def test_without_pacing_the_budget_is_gone_by_the_afternoon():
    platform = Platform("none")
    assert platform.scheduler.throttle("team") == 1
    _, shares = platform.run_day()
    assert shares[8] == 1
    assert sum(share == 0 for share in shares) >= 9


@pytest.mark.parametrize("pacing", ["even", "forecast"])
def test_with_pacing_it_lasts_the_day(pacing):
    platform = Platform(pacing)
    for _ in range(7):
        platform.run_day()
    wanted, shares = platform.run_day()
    # 216 are wanted, 100 are there: 46 % of it.
    assert sum(w * s for w, s in zip(wanted, shares, strict=True)) == pytest.approx(100, abs=5)
    assert min(shares) > 0.05
    if pacing == "forecast":
        assert all(0.2 < share < 0.8 for share in shares), shares
        assert max(abs(sum(shares[h : h + 4]) / 4 - 0.46) for h in range(20)) < 0.17
    platform.scheduler.stop()


def test_a_day_of_twice_the_demand_is_noticed():
    platform = Platform("forecast")
    for _ in range(7):
        platform.run_day(0.4)
    assert platform.scheduler.throttle("team") == 1  # 86 of 100 are wanted
    _, shares = platform.run_day(0.8)
    assert shares[0] > 0.8
    assert 0.2 < sum(shares[12:]) / 12 < 0.75
    assert min(shares) > 0.05


def test_demand_is_what_was_paid_for_and_what_was_turned_away():
    platform = Platform("forecast")
    wanted, shares = platform.run_day()
    assert 0.3 < sum(shares) / 24 < 0.9
    known = demand_known(platform)
    assert sum(known[:144]) == pytest.approx(sum(wanted))
    assert [sum(known[6 * hour : 6 * hour + 6]) for hour in range(24)] == pytest.approx(wanted)


def test_work_that_does_not_ask_is_demand_as_well():
    platform = Platform("forecast", ask=False)
    wanted, _ = platform.run_day(0.3)
    demand = demand_known(platform)
    assert sum(demand[:144]) == pytest.approx(sum(wanted))


def test_what_is_set_aside_counts_as_used():
    platform = Platform("even", schedule={"day": window(time(0), time(23, 59), budget=100)})
    platform.clock.advance(3600)
    with platform.coordinator.reserve("bot", 50):
        platform.clock.advance(3600)
        inside = platform.scheduler.throttle("team")
        assert inside == pytest.approx(50 / (22 * 6 * (50 + 50 / 132) / 13), rel=0.01)
    assert platform.scheduler.throttle("team") == inside  # it was charged


def test_what_was_learnt_survives_a_restart():
    platform = Platform("forecast")
    for _ in range(3):
        platform.run_day()
    state = json.loads(json.dumps(platform.scheduler.state()))
    platform.scheduler.stop()
    later = BudgetTimeScheduler(platform.coordinator, timezone="UTC", pacing="forecast")
    later.add_time_profile("team", DAY)
    assert later.throttle("team") == 1  # nothing is known
    later.restore(state)
    assert later.throttle("team") == pytest.approx(platform.scheduler.throttle("team"))
    assert later.throttle("team") < 0.6


def test_days_of_23_and_25_hours():
    platform = Platform("forecast", start=datetime(2026, 3, 22, 23, tzinfo=UTC), zone="Europe/Berlin")
    for _ in range(6):
        platform.run_day()
    wanted, shares = platform.run_day()  # the Sunday on which the hour from two to three is skipped
    assert wanted[2] == 0 and shares[2] is None
    assert all(0.2 < share < 0.8 for hour, share in enumerate(shares) if hour != 2)


def test_the_share_is_one_in_a_gap_and_without_a_schedule_of_pacing():
    platform = Platform("even", schedule={"day": window(time(9), time(17), budget=1)})
    assert platform.scheduler.throttle("team") == 1
    assert platform.scheduler.admits("team", 5)
    platform.clock.advance(10 * 3600)
    assert platform.coordinator.try_debit("bot", "0.9")
    platform.clock.advance(60)
    assert platform.scheduler.throttle("team") < 0.1


def test_an_empty_budget_admits_nothing():
    platform = Platform("even")
    platform.coordinator.debit("bot", 100)
    assert platform.scheduler.throttle("team") == 0
    assert not platform.scheduler.admits("team", 1)


def half_open():
    platform = Platform("even")
    platform.clock.advance(12 * 3600)
    platform.coordinator.debit("bot", 60)
    platform.clock.advance(600)
    return platform


def test_keys_get_the_same_answer_and_lots_are_drawn_from_the_seed():
    platform = half_open()
    share = platform.scheduler.throttle("team")
    assert 0.5 < share < 0.9
    keys = [f"user {n}" for n in range(2000)]
    first = [platform.scheduler.admits("team", 0, key=key) for key in keys]
    assert first == [platform.scheduler.admits("team", 0, key=key) for key in keys]
    assert sum(first) / 2000 == pytest.approx(share, abs=0.05)
    platform.coordinator.debit("bot", 20)
    later = [platform.scheduler.admits("team", 0, key=key) for key in keys]
    assert sum(later) < sum(first)
    assert all(before or not after for before, after in zip(first, later, strict=True))

    def lots():
        platform = half_open()
        return [platform.scheduler.admits("team", 0) for _ in range(2000)]

    assert lots() == lots()
    assert sum(lots()) / 2000 == pytest.approx(share, abs=0.05)


def test_amounts_are_checked_and_nothing_is_charged():
    platform = half_open()
    before = platform.coordinator.get_pool_metrics("team")
    for amount, error in ((-1, InvalidAmountError), ("x", InvalidAmountError), (0.5, TypeError)):
        with pytest.raises(error, match="amount"):
            platform.scheduler.admits("team", amount)
    platform.scheduler.admits("team", 5)
    assert platform.coordinator.get_pool_metrics("team") == before


def test_threads_lose_no_demand():
    platform = Platform("forecast")
    platform.coordinator.debit("bot", 99)
    platform.clock.advance(60)

    def work():
        for _ in range(500):
            if platform.scheduler.admits("team", "0.001"):
                platform.coordinator.debit("bot", "0.001")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    platform.clock.advance(3600)
    demand = demand_known(platform)
    assert sum(demand) == pytest.approx(99 + 4 * 500 * 0.001)


def test_a_clock_that_is_set_back_breaks_nothing():
    platform = Platform("forecast")
    platform.run_day()
    platform.clock.set_wall(MONDAY + timedelta(hours=3))
    assert 0 <= platform.scheduler.throttle("team") <= 1
    platform.clock.set_wall(MONDAY + timedelta(days=40))
    assert platform.scheduler.throttle("team") == 1 or platform.scheduler.run_once()
    platform.clock.advance(60)
    assert platform.scheduler.throttle("team") == 1

"""Pacing on recorded demand: utility of each rule, and what schedules and `admits` cost.

`python benches/pacing.py` measures this section alone. Quality is a figure of the record and has no spread. A
year of transitions is compared with that of schedulers which are asked for each one anew, and a paced day
must spend its budget and no more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from time import process_time

from measure import Spread
from report import Row, machine, show
from safeguards import BudgetCoordinator, BudgetTimeScheduler, ManualClock
from safeguards.backtest.pacing import PacingBacktest, backtest_pacing

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from backtest.recorded import m_large, m_large_slots, nab_tweets, taxi
from time_scheduler.schedules import GUIDE

ROUNDS = 5
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
YEAR = (MONDAY, MONDAY + timedelta(days=364))
POOLS = 1000
CALLS = 20_000


def rows() -> list[Row]:
    records = {
        "LLM service, 10 minutes": m_large_slots,
        "LLM service, hours": m_large,
        "tweets, hours": nab_tweets,
        "taxis, hours": taxi,
    }
    bars = {"LLM service, 10 minutes"}
    results = [quality(name, backtest_pacing(read()), name in bars) for name, read in records.items()]
    return [*(row for rows in results for row in rows), transitions(), tick(), *asking()]


def quality(name: str, result: PacingBacktest, is_judged: bool) -> list[Row]:
    none = result.row("none")
    found = []
    for rule in ("even", "forecast"):
        row = result.row(rule)
        utility = Spread((100 * row.utility_share,))
        dark = Spread((100 * row.blacked_out_share,))
        note = f"without pacing {none.utility_share:.1%} and {none.blacked_out_share:.1%}"
        found += [
            Row(f"{name}: utility of hindsight, {rule}", utility, "%", 91 if is_judged else None, note=note),
            Row(f"{name}: slots blacked out, {rule}", dark, "%", 1 if is_judged else None, "most"),
        ]
    return found


def scheduler(pacing: str = "none", *, zone: str = "Europe/Berlin", pools: int = 1) -> BudgetTimeScheduler:
    coordinator = BudgetCoordinator(clock=ManualClock(MONDAY))
    made = BudgetTimeScheduler(coordinator, timezone=zone, pacing=pacing)
    for number in range(pools):
        pool = coordinator.create_budget_pool(f"pool-{number}", 1)
        coordinator.register_agent(f"agent-{number}", pool, initial_budget=10**9)
        made.add_time_profile(pool, GUIDE)
    return made


def transitions() -> Row:
    """Microseconds for each transition of a year."""
    samples = []
    for _ in range(ROUNDS):
        fresh, found = scheduler(), []
        elapsed = seconds(lambda fresh=fresh, found=found: found.extend(fresh.transitions("pool-0", *YEAR)))
        samples.append(elapsed / len(found) * 1e6)
    at, asked = YEAR[0] - timedelta.resolution, []
    while (following := scheduler().next_transition("pool-0", at)).time < YEAR[1]:
        asked.append(following)
        at = following.time
    if asked != found or len(found) != 52 * 17:
        raise AssertionError(f"{len(found)} transitions, {len(asked)} when asked one by one")
    return Row("a transition of a year", Spread(tuple(samples)), "us", note="the same when asked one by one")


def tick() -> Row:
    """Microseconds of a run in which nothing changes, for each pool."""
    made = scheduler("forecast", pools=POOLS)
    made.run_once()
    samples = []
    for _ in range(ROUNDS):
        made.budget_coordinator.clock.advance(60)
        samples.append(seconds(made.run_once) / POOLS * 1e6)
    if len(made.history) != POOLS:
        raise AssertionError(f"{len(made.history)} grants of {POOLS} pools")
    return Row(f"a run with {POOLS:,} paced pools, a pool", Spread(tuple(samples)), "us", note="none changes")


def asking() -> list[Row]:
    """Microseconds of `admits` on a pool that has learnt for a week."""
    made = scheduler("forecast", zone="UTC")
    whole_day = {"budget": 100, "start_time": time(0), "end_time": time(23, 59)}
    made.remove_time_profile("pool-0")
    made.add_time_profile("pool-0", {"day": whole_day})
    coordinator = made.budget_coordinator
    with made:
        for minute in range(8 * 1440):
            if minute == 7 * 1440 + 1:
                spent_before = coordinator.get_pool_metrics("pool-0").spent
            if made.admits("pool-0", "0.1"):
                coordinator.try_debit("agent-0", "0.1")
            coordinator.clock.advance(60)
    spent = float(coordinator.get_pool_metrics("pool-0").spent - spent_before)
    if not 95 < spent <= 100.1:
        raise AssertionError(f"{spent} of 100 was spent on the last day")
    calls = {
        "admits": lambda: made.admits("pool-0", "0.1"),
        "throttle": lambda: made.throttle("pool-0"),
    }
    note = f"{spent:.1f} of 100 spent on the last day, of 144 wanted"
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            samples[name].append(seconds(lambda call=call: [call() for _ in range(CALLS)]) / CALLS * 1e6)
    return [Row(f"{name}, forecast", Spread(tuple(s)), "us", note=note) for name, s in samples.items()]


def seconds(work: Callable[[], object]) -> float:
    started = process_time()
    work()
    return process_time() - started


def main() -> None:
    facts = machine()
    sections = {"Schedules and pacing": rows()}
    show(f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}", sections)


if __name__ == "__main__":
    main()

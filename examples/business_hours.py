"""A day of a team's budget in a minute: business hours, evening and night, and a budget that lasts.

The clock is moved by hand. Each minute brings a piece of work for 1.00 in working hours, more of it than the
budget can pay for. Background work asks `admits` first; without pacing it does not, and the afternoon goes
without.
"""

from datetime import UTC, datetime, time

from safeguards import BudgetCoordinator, BudgetTimeScheduler, ManualClock

MONDAY = datetime(2026, 3, 23, tzinfo=UTC)
WEEKDAYS = range(5)
SCHEDULE = {
    "business hours": {"budget": 300, "start_time": time(9), "end_time": time(17), "days": WEEKDAYS},
    "evening": {"budget": 60, "start_time": time(17), "end_time": time(22), "days": WEEKDAYS},
    "night": {"budget": 20, "start_time": time(22), "end_time": time(9), "days": WEEKDAYS},
    "weekend": {"budget": 50, "start_time": time(0), "end_time": time(23, 59), "days": (5, 6)},
}


def cost(now: datetime) -> str:
    """What the minute's piece of work costs."""
    return "1.00" if 9 <= now.hour < 17 and now.weekday() in WEEKDAYS else "0.05"


def week(pacing: str) -> tuple[BudgetTimeScheduler, dict[int, list[bool]]]:
    """Runs Monday to Friday; returns what was paid for on Friday, by the hour."""
    clock = ManualClock(MONDAY)
    coordinator = BudgetCoordinator(clock=clock)
    team = coordinator.create_budget_pool("team", 0)
    coordinator.register_agent("bot", team, initial_budget=1_000_000)
    scheduler = BudgetTimeScheduler(coordinator, timezone="UTC", pacing=pacing)
    scheduler.add_time_profile(team, SCHEDULE)
    scheduler.apply_current_profile(team)
    paid: dict[int, list[bool]] = {hour: [] for hour in range(24)}
    with scheduler:
        for _ in range(5 * 24 * 60):
            price = cost(clock.now())
            admitted = scheduler.admits(team, price) and coordinator.try_debit("bot", price)
            if clock.now().weekday() == 4:
                paid[clock.now().hour].append(admitted)
            clock.advance(60)
    coordinator.verify()
    return scheduler, paid


def main() -> None:
    """Prints when the budget was set, and what each hour of Friday got."""
    columns = {}
    for pacing in ("none", "even", "forecast"):
        scheduler, paid = week(pacing)
        columns[pacing] = {hour: sum(done) / len(done) for hour, done in paid.items()}
    for decision in scheduler.history[:4]:
        print(f"{decision.time:%a %H:%M}  {decision.old:>6} -> {decision.new:<4} {decision.reason}")
    print(f"\npaid for on Friday{'none':>8}{'even':>8}{'forecast':>10}")
    for hour in range(9, 17):
        none, even, forecast = (columns[pacing][hour] for pacing in columns)
        print(f"{hour:>15}:00{none:>8.0%}{even:>8.0%}{forecast:>10.0%}")


if __name__ == "__main__":
    main()

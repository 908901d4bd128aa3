"""The calendar against minute-by-minute brute force, around every clock change of every zone of the world."""

import os
import subprocess
import sys
import time as clocks
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeguards.budget.time_scheduler._arguments import profiles
from safeguards.budget.time_scheduler._calendar import Calendar, Week
from safeguards.exceptions import ConfigurationError
from time_scheduler.brute import (
    label_runs,
    label_week,
    offset_changes,
    walls,
)
from time_scheduler.schedules import ALWAYS, AWKWARD, GUIDE, NESTED, SCHEDULES, window

MINUTE = timedelta(minutes=1)
YEARS = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
AROUND = timedelta(days=2)
ZONES = sorted(available_timezones())


def calendar(schedule, zone, days_mean="current"):
    return Calendar(Week(profiles(schedule), days_mean), zone)


def to64(instant):
    return np.datetime64(instant.replace(tzinfo=None), "m")


def minutes_between(start, end):
    return np.arange(to64(start), to64(end))


@lru_cache(maxsize=64)
def expected(key, days_mean, wall_bytes):
    """Labels and runs at these times on the wall, from a line of local time that reaches far around them."""
    at = np.frombuffer(wall_bytes, "int64").astype("datetime64[m]")
    first, last = at.min() - np.timedelta64(9, "D"), at.max() + np.timedelta64(9, "D")
    schedule = SCHEDULES[key]
    labels, runs = label_runs(schedule, label_week(schedule, days_mean), first, last)
    places = (at - first).astype(int)
    return labels[places], runs[places]


def found(calendar, schedule, start, end):
    """For each minute the label and the occurrence that the calendar says, from its changes alone."""
    count = (end - start) // MINUTE
    labels, occurrences = np.zeros(count, int), [None] * count
    position = {name: n for n, name in enumerate(schedule, 1)}
    begins = [
        (start, calendar.at(start)),
        *((at, after) for at, _, after in calendar.changes(start + MINUTE, end)),
    ]
    ends = [at for at, _ in begins[1:]] + [end]
    for (at, occurrence), until in zip(begins, ends, strict=True):
        # Changes may lie within a minute; a minute is what its first moment is.
        first, last = -((start - at) // MINUTE), -((start - until) // MINUTE)
        labels[first:last] = position[occurrence.profile] if occurrence else 0
        occurrences[first:last] = [occurrence] * (last - first)
    return labels, occurrences


def check(key, zone, start, end, days_mean="current"):
    schedule = SCHEDULES[key]
    minutes = minutes_between(start, end)
    at = walls(zone, minutes)
    labels, runs = expected(key, days_mean, at.astype("int64").tobytes())
    mine, occurrences = found(calendar(schedule, zone, days_mean), schedule, start, end)
    wrong = np.flatnonzero(mine != labels)
    assert not wrong.size, f"{zone} {key} {minutes[wrong[0]]} UTC: {mine[wrong[0]]} is not {labels[wrong[0]]}"
    check_occurrences(zone, minutes, labels, runs, occurrences)


def check_occurrences(zone, minutes, labels, runs, occurrences):
    """One occurrence for each run of local time, whose begin and end are its first and last minute."""
    of_run = {}
    for minute, label, run, occurrence in zip(minutes, labels, runs, occurrences, strict=True):
        if label:
            seen = of_run.setdefault(run, [occurrence, minute, minute])
            assert seen[0] == occurrence, f"{zone} {minute}: {occurrence} is not {seen[0]}"
            seen[2] = minute
        else:
            assert occurrence is None
    distinct = {(occurrence.profile, occurrence.start) for occurrence, _, _ in of_run.values()}
    assert len(distinct) == len(of_run)
    for occurrence, first, last in of_run.values():
        if first > minutes[0]:
            assert to64(occurrence.start) == first
        if last < minutes[-1]:
            assert to64(occurrence.end) == last + 1


@lru_cache(maxsize=1)
def all_changes():
    """(instant, zone) of each change of offset in two years, once for zones that change alike."""
    distinct = {}
    for name in ZONES:
        zone = ZoneInfo(name)
        for at in offset_changes(zone, *YEARS):
            before, after = (t.astimezone(zone).utcoffset() for t in (at - MINUTE, at))
            distinct.setdefault((at, before, after), []).append(name)
    return distinct


def test_there_is_something_to_check():
    changes = all_changes()
    names = {name for zones in changes.values() for name in zones}
    assert len(ZONES) > 400
    assert len(names) > 150
    assert {"Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Asia/Beirut", "Africa/Cairo"} <= names
    assert "Africa/Casablanca" in names


@pytest.mark.parametrize("key", SCHEDULES)
@pytest.mark.parametrize("days_mean", ["current", "start"])
def test_two_days_around_every_change_of_every_zone(key, days_mean):
    for (at, _, _), names in all_changes().items():
        start = at.replace(minute=0) - AROUND
        check(key, ZoneInfo(names[0]), start, start + 2 * AROUND, days_mean)


def test_zones_that_change_alike_have_the_same_transitions():
    """So that one of each kind stands for all."""
    calendars = {name: calendar(AWKWARD, ZoneInfo(name)) for name in ZONES}
    for (at, _, _), names in all_changes().items():
        changes = [list(calendars[name].changes(at - AROUND, at + AROUND)) for name in names]
        assert all(c == changes[0] for c in changes), names


@pytest.mark.parametrize("key", SCHEDULES)
def test_a_week_of_each_zone_without_changes(key):
    changing = {name for names in all_changes().values() for name in names}
    start = datetime(2026, 5, 6, tzinfo=UTC)
    seen = set()
    for name in sorted(set(ZONES) - changing):
        zone = ZoneInfo(name)
        if (offset := zone.utcoffset(start)) not in seen:
            seen.add(offset)
            check(key, zone, start, start + timedelta(days=8))
    assert len(seen) > 20


@pytest.mark.parametrize("key", SCHEDULES)
@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Pacific/Apia", datetime(2011, 12, 26, tzinfo=UTC)),  # had no 30 December
        ("Pacific/Kwajalein", datetime(1993, 8, 17, tzinfo=UTC)),  # had no 21 August
        ("America/Sao_Paulo", datetime(2018, 11, 1, tzinfo=UTC)),  # no midnight
        ("America/St_Johns", datetime(2010, 11, 4, tzinfo=UTC)),  # back from 00:01
        ("Asia/Gaza", datetime(2015, 10, 20, tzinfo=UTC)),
        ("Antarctica/Troll", datetime(2016, 3, 24, tzinfo=UTC)),  # two hours
    ],
)
def test_clock_changes_of_the_past(key, zone, start):
    check(key, ZoneInfo(zone), start, start + timedelta(days=8))


def test_offsets_in_seconds():
    """Monrovia was 44 minutes and 30 seconds behind until 7 January 1972."""
    zone = ZoneInfo("Africa/Monrovia")
    schedule = {"a": window(time(0), time(0, 30)), "b": window(time(0, 45, 15), time(12))}
    week = calendar(schedule, zone)
    at = datetime(1972, 1, 6, tzinfo=UTC)
    for _ in range(2 * 24 * 60 * 4):
        wall = at.astimezone(zone).time()
        name = "a" if wall < time(0, 30) else "b" if time(0, 45, 15) <= wall < time(12) else None
        occurrence = week.at(at)
        assert (occurrence and occurrence.profile) == name, at
        at += timedelta(seconds=15)


@pytest.mark.parametrize("key", SCHEDULES)
def test_the_next_change_does_not_depend_on_where_one_looks_from(key):
    week = calendar(SCHEDULES[key], ZoneInfo("Europe/Berlin"))
    start, end = datetime(2026, 10, 23, tzinfo=UTC), datetime(2026, 10, 28, tzinfo=UTC)
    changes = [at for at, _, _ in week.changes(start, end)]
    at = start
    while at < end - timedelta(days=2):
        fresh = calendar(SCHEDULES[key], ZoneInfo("Europe/Berlin"))
        assert fresh.next_change(at) == min(change for change in changes if change > at)
        at += timedelta(minutes=7, seconds=13)


def on_the_wall(day, hour, minute=0, fold=0, zone="Europe/Berlin"):
    return datetime(2026, *day, hour, minute, fold=fold, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def test_a_start_that_is_skipped_counts_when_clocks_jump():
    week = calendar({"x": window(time(2, 30), time(5))}, ZoneInfo("Europe/Berlin"))
    jump = on_the_wall((3, 29), 3)
    assert week.at(jump - timedelta.resolution) is None
    occurrence = week.at(jump)
    assert (occurrence.start, occurrence.end) == (jump, on_the_wall((3, 29), 5))


def test_a_window_that_is_skipped_as_a_whole_does_not_occur():
    week = calendar({"x": window(time(2, 15), time(2, 45))}, ZoneInfo("Europe/Berlin"))
    changes = list(week.changes(on_the_wall((3, 28), 12), on_the_wall((3, 30), 0)))
    assert changes == []


def test_a_start_that_comes_twice_begins_once():
    week = calendar({"x": window(time(2, 30), time(5))}, ZoneInfo("Europe/Berlin"))
    first, second = on_the_wall((10, 25), 2, 30), on_the_wall((10, 25), 2, 30, fold=1)
    assert second - first == timedelta(hours=1)
    occurrence = week.at(first)
    assert (occurrence.start, occurrence.end) == (first, on_the_wall((10, 25), 5))
    assert week.at(on_the_wall((10, 25), 2, 10, fold=1)) is None  # the clock shows 2:10 again
    assert week.at(second) == occurrence
    assert [at for at, _, _ in week.changes(first - timedelta(hours=1), second + MINUTE)] == [
        first,
        on_the_wall((10, 25), 2, fold=1),
        second,
    ]


def test_the_night_is_one_and_so_is_the_weekend():
    week = calendar(GUIDE, UTC)
    monday = datetime(2026, 1, 5, tzinfo=UTC)
    night = week.at(monday + timedelta(hours=23))
    assert night == week.at(monday + timedelta(days=1, hours=8))
    assert (night.start, night.end) == (monday + timedelta(hours=22), monday + timedelta(hours=33))
    weekend = week.at(monday + timedelta(days=5))
    assert (weekend.start, weekend.end) == (monday + timedelta(days=5), monday + timedelta(days=7))


def test_what_is_always_in_force_begins_each_day():
    week = calendar(ALWAYS, ZoneInfo("Europe/Berlin"))
    starts = [
        at for at, _, _ in week.changes(datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    ]
    assert starts == [
        on_the_wall((3, 29), 0),
        *(on_the_wall((3, day), 0) for day in (30, 31)),
        on_the_wall((4, 1), 0),
    ]


def test_what_comes_back_after_a_narrower_one_is_another_occurrence():
    week = calendar(NESTED, UTC)
    monday = datetime(2026, 1, 5, tzinfo=UTC)
    before, after = week.at(monday + timedelta(hours=1, minutes=30)), week.at(monday + timedelta(hours=3))
    assert before.profile == after.profile == "morning"
    assert after.start == monday + timedelta(hours=2, minutes=45)


times = st.integers(0, 1438).map(lambda minute: time(minute // 60, minute % 60))


@st.composite
def schedules(draw):
    entries = {}
    for n in range(draw(st.integers(1, 5))):
        start, end = draw(st.tuples(times, times).filter(lambda pair: pair[0] != pair[1]))
        days = draw(st.sets(st.integers(0, 6), min_size=1))
        entries[f"p{n}"] = window(start, end, days, each_day=draw(st.booleans()))
    return entries


@settings(max_examples=60, deadline=None)
@given(
    schedules(),
    st.sampled_from(["current", "start"]),
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Africa/Cairo", "UTC"]),
    st.integers(0, 700),
)
def test_any_schedule_against_brute_force(schedule, days_mean, zone, day):
    try:
        week = Week(profiles(schedule), days_mean)
    except ConfigurationError:
        return  # a tie
    start = YEARS[0] + timedelta(days=day)
    end = start + timedelta(days=3)
    minutes = minutes_between(start, end)
    at = walls(ZoneInfo(zone), minutes)
    first, last = at.min() - np.timedelta64(9, "D"), at.max() + np.timedelta64(9, "D")
    labels, runs = label_runs(schedule, label_week(schedule, days_mean), first, last)
    places = (at - first).astype(int)
    mine, occurrences = found(Calendar(week, ZoneInfo(zone)), schedule, start, end)
    assert (mine == labels[places]).all()
    check_occurrences(zone, minutes, labels[places], runs[places], occurrences)


IN_LOCAL_TIME = """
import sys
from datetime import datetime, timedelta, UTC
from zoneinfo import ZoneInfo
sys.path[:0] = {path!r}
from time_scheduler.schedules import SCHEDULES
from time_scheduler.test_calendar import calendar
for month, day in ((3, 26), (10, 22), (4, 1)):
    for schedule in SCHEDULES.values():
        start = datetime(2026, month, day, tzinfo=UTC)
        end = start + timedelta(days=6)
        local = list(calendar(schedule, None).changes(start, end))
        named = list(calendar(schedule, ZoneInfo({zone!r})).changes(start, end))
        assert local == named and len(local) > 4, (start, local, named)
print("same")
"""


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "America/Havana"])
@pytest.mark.skipif(not hasattr(clocks, "tzset"), reason="the local zone can only be set on POSIX")
def test_local_time_changes_its_clocks_as_well(zone):
    tests = Path(__file__).parents[1]
    code = IN_LOCAL_TIME.format(path=[str(tests), str(tests.parent / "benches")], zone=zone)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("same", "")

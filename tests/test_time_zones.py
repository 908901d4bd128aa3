"""Time zones: the same forms at every door, whatever database a machine has and whatever `TZ` says."""

import json
import os
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeguards import (
    BudgetCoordinator,
    BudgetExceededError,
    BudgetPatternLearner,
    BudgetRLOptimizer,
    BudgetTimeScheduler,
    ConfigurationError,
    ManualClock,
    MultiResourceBudget,
    _native,
)
from safeguards._values import time_zones
from time_scheduler.schedules import window

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
WALL = datetime(2026, 7, 1, 12)  # noqa: DTZ001 - what a clock on a wall shows


def make(**team):
    coordinator = BudgetCoordinator(clock=ManualClock(NOON))
    coordinator.create_budget_pool("team", 10, **team)
    coordinator.register_agent("bot", "team", initial_budget=5)
    return coordinator


# Each door tells how many hours the clock on its wall is ahead of Greenwich.


def pool(zone):
    coordinator = make(budget_period="daily", timezone=zone)
    coordinator.update_budget("bot", 100)
    coordinator.debit("bot", 10)
    with pytest.raises(BudgetExceededError) as refusal:
        coordinator.debit("bot", 1)
    hours = refusal.value.retry_after / 3600  # until midnight
    return (12 - hours + 12) % 24 - 12


def habits_of_a_learner(zone):
    learner = BudgetPatternLearner(make(), timezone=zone)
    learner.load_history("bot", [NOON - timedelta(days=2)], [1])
    return learner.analyze_patterns("bot", 15).times[0].utcoffset() / timedelta(hours=1)


def naive_times_of_a_learner(zone):
    learner = BudgetPatternLearner(make(), timezone=zone)
    learner.load_history("bot", [WALL - timedelta(days=2)], [1])
    begin = learner.analyze_patterns("bot", 15).times[0]
    return (NOON - timedelta(days=2) - begin) / timedelta(hours=1)


def scheduler(zone):
    scheduler = BudgetTimeScheduler(make(), timezone=zone)
    return begin_of_lunch(scheduler)


def schedule_of_one_pool(zone):
    return begin_of_lunch(BudgetTimeScheduler(make(), timezone="Asia/Tokyo"), timezone=zone)


def begin_of_lunch(scheduler, **options):
    scheduler.add_time_profile("team", {"lunch": window(time(12), time(13))}, **options)
    moment = scheduler.next_transition("team", WALL - timedelta(minutes=1)).time
    return (NOON - moment) / timedelta(hours=1)


DOORS = [pool, habits_of_a_learner, naive_times_of_a_learner, scheduler, schedule_of_one_pool]
EVERY_DOOR = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)


def repr_of(value):
    return getattr(value, "__name__", None) or (
        repr(value) if not isinstance(value, tzinfo) or "at 0x" not in repr(value) else type(value).__name__
    )


class Nameless(tzinfo):
    """Changes its clock, and has no name."""

    def utcoffset(self, at):
        return at and timedelta(hours=at.month)


class Pytz(tzinfo):
    """As pytz has them: the name is called `zone`."""

    zone = "Europe/Berlin"


FORMS = {
    "Europe/Berlin": 2,
    "europe/berlin": 2,
    ZoneInfo("Europe/Berlin"): 2,
    Pytz(): 2,
    "America/St_Johns": -2.5,
    ZoneInfo("Asia/Kolkata"): 5.5,
    "UTC": 0,
    "utc": 0,
    "Z": 0,
    "Etc/UTC": 0,
    UTC: 0,
    timezone.utc: 0,  # noqa: UP017 - as older programs write it
    ZoneInfo("UTC"): 0,
    "+02:00": 2,
    "-0330": -3.5,
    "+05": 5,
    "UTC+02:00": 2,
    "utc-01:00": -1,
    "+00:00": 0,
    timezone(timedelta(hours=2)): 2,
    timezone(timedelta(hours=-9, minutes=-30), "Marquesas"): -9.5,
    "Etc/GMT-3": 3,
}


@EVERY_DOOR
@pytest.mark.parametrize("zone", FORMS, ids=repr_of)
def test_every_door_takes_every_form(door, zone):
    assert door(zone) == FORMS[zone]


@EVERY_DOOR
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("Mars/Olympus", "timezone 'Mars/Olympus' is not known: use a name such as 'Europe/Berlin'"),
        ("", "timezone '' is not known"),
        ("../etc/passwd", "is not known"),
        ("/etc/localtime", "is not known"),
        ("Europe/Berlin\0", "is not known"),
        ("\ud800", "is not known"),
        ("x" * 100_000, "is not known"),
        ("+2", "is not known"),
        ("UTC+2", "is not known"),
        ("+24:00", "timezone must be whole seconds off UTC, less than a day, not '[+]24:00'"),
        ("+02:60", "is not known"),
        ("+\u0660\u0662:\u0660\u0660", "is not known"),
        (timezone(timedelta(microseconds=1)), "timezone must be whole seconds off UTC"),
        (Nameless(), "timezone has neither a name nor one offset"),
        (5, "timezone must be a name such as 'Europe/Berlin' or 'UTC', an offset such as '[+]02:00'"),
        (2.0, "timezone must be a name"),
        (True, "timezone must be a name"),
        (b"UTC", "timezone must be a name"),
        (timedelta(hours=2), "timezone must be a name"),
        (ZoneInfo, "timezone must be a name"),
    ],
    ids=lambda value: repr_of(value)[:20],
)
def test_every_door_refuses_the_rest_by_name(door, wrong, message):
    with pytest.raises(ConfigurationError, match=message):
        door(wrong)


def test_a_refused_zone_makes_no_pool():
    coordinator = make()
    with pytest.raises(ConfigurationError):
        coordinator.create_budget_pool(
            "other", 1, timezone="Mars/Olympus"
        )  # even where no period asks for it
    assert coordinator.get_pool_ids() == ["team"]


def test_every_name_that_python_knows_is_the_same_zone_here():
    moments = [datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 13)]
    for name in sorted(available_timezones() - {"localtime"}):
        zone = time_zones.read(name)
        assert [m.astimezone(zone.tzinfo).utcoffset() for m in moments] == [
            m.astimezone(ZoneInfo(name)).utcoffset() for m in moments
        ], name


@given(st.integers(-86_399, 86_399))
def test_every_offset_is_read_back(seconds):
    zone = timezone(timedelta(seconds=seconds))
    text = datetime(2026, 1, 1, tzinfo=zone).isoformat()[19:]
    for form in (zone, text, text.replace(":", ""), f"UTC{text}"):
        found = time_zones.read(form)
        assert found.tzinfo.utcoffset(None) == timedelta(seconds=seconds)
        assert found.native == (seconds or "UTC")


# On other machines.


def elsewhere(code, **environment):
    """What a new process prints whose machine is another one."""
    start = f"import sys; sys.path[:0] = {sys.path!r}; from test_time_zones import *\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", start + textwrap.dedent(code)],
        env={**{k: v for k, v in os.environ.items() if k != "TZ"}, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.stdout.strip()


FEW = ("UTC", "utc", "Europe/Berlin", "america/st_johns", "+02:00")
WITHOUT_TZDATA = """
import zoneinfo
zoneinfo.reset_tzpath(())
zoneinfo.ZoneInfo.clear_cache()
sys.modules["tzdata"] = None
try:
    ZoneInfo("Europe/Berlin")
except zoneinfo.ZoneInfoNotFoundError:
    print([door(zone) for zone in FEW for door in DOORS])
"""


def test_a_machine_without_a_database_of_zones():
    assert json.loads(elsewhere(WITHOUT_TZDATA)) == [0] * 10 + [2] * 5 + [-2.5] * 5 + [2] * 5


def test_a_machine_whose_database_has_few_zones(tmp_path):
    (tmp_path / "Asia").mkdir()
    (tmp_path / "Asia" / "Tokyo").write_bytes(_native.time_zone_rules("Asia/Tokyo"))
    code = WITHOUT_TZDATA.replace("FEW", "('Asia/Tokyo', 'Europe/Berlin', 'africa/asmera')")
    hours = json.loads(elsewhere(code, TZDIR=str(tmp_path)))
    assert hours == [9] * len(DOORS) + [2] * len(DOORS) + [3] * len(DOORS)


LOCAL = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "EST5EDT,M3.2.0,M11.1.0", ""]


@pytest.mark.parametrize("local", LOCAL)
def test_without_a_zone_it_is_the_local_one(local):
    hours = {"Europe/Berlin": 2, "America/St_Johns": -2.5, "Asia/Kolkata": 5.5, LOCAL[4]: -4}.get(local, 0)
    assert json.loads(elsewhere("print([door(None) for door in DOORS[:-1]])", TZ=local)) == [hours] * 4


# What asks for local time, as code.
ASKS = {
    "a calendar's period": "make(budget_period='daily')",
    "the hours of a period": "make(budget_period='hourly')",
    "a learner": "BudgetPatternLearner(make())",
    "a schedule": "scheduler(None)",
    "a policy": "policy()",
    "a clock": "ManualClock(WALL)",
    "a range": "make().get_agent_usage_history('bot', WALL)",
    "an end": "make().get_agent_usage_history('bot', None, datetime.max)",
    "a range of resources": "resources().get_usage_history('bot', 'calls', WALL)",
}
REFUSED = """
try:
    {code}
except ConfigurationError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ASKS)
def test_a_wrong_variable_is_said_by_name_when_local_time_is_asked_for(name):
    printed = elsewhere(REFUSED.format(code=ASKS[name]), TZ="Mars/Olympus")
    assert printed.startswith('the environment variable TZ="Mars/Olympus" names no time zone')
    assert "set TZ to a name such as 'Europe/Berlin'" in printed


def test_a_wrong_variable_disturbs_nobody_who_names_zones():
    code = """
    print([door(zone) for zone in ("UTC", "Europe/Berlin", "+02:00") for door in DOORS])
    coordinator = make(budget_period=timedelta(hours=1))
    coordinator.debit("bot", 1)
    assert len(coordinator.get_agent_usage_history("bot", NOON, NOON + timedelta(hours=1))) == 1
    assert len(coordinator.get_agent_usage_history("bot")) == 1
    """
    assert json.loads(elsewhere(code, TZ="Mars/Olympus")) == [0] * 5 + [2] * 10


def test_a_variable_that_changes_is_noticed():
    code = """
    import time as clocks
    for name in ("Asia/Kolkata", "Mars/Olympus", "Europe/Berlin"):
        os.environ["TZ"] = name
        clocks.tzset()
        try:
            print(pool(None), scheduler(None))
        except ConfigurationError as error:
            print("refused")
    """
    assert elsewhere(code, TZ="UTC").splitlines() == ["5.5 5.5", "refused", "2.0 2.0"]


# Open ends.

ZONES = (None, UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/St_Johns"), timezone(timedelta(hours=14)))


@pytest.mark.parametrize("name", ["europe/berlin", "ASIA/TOKYO", ":america/new_york"])
def test_local_time_is_one_for_the_whole_process(name):
    """The C library, and with it Python, takes a name in other capitals for UTC."""
    for code in ASKS.values():
        printed = elsewhere(REFUSED.format(code=code), TZ=name)
        assert printed.startswith(f'the environment variable TZ="{name}" names no time zone')
    assert json.loads(elsewhere("print([door(None) for door in DOORS[:-1]])", TZ="utc")) == [0] * 4


FIRST, LAST = datetime.min, datetime.max  # noqa: DTZ901 - as people write them
EARLY = [time.replace(tzinfo=zone) for zone in ZONES for time in (FIRST, FIRST + timedelta(hours=1))]
LATE = [time.replace(tzinfo=zone) for zone in ZONES for time in (LAST, LAST - timedelta(hours=1))]


def policy():
    return BudgetRLOptimizer(make())


def resources():
    found = MultiResourceBudget(make())
    found.initialize_budgets("bot", {"calls": 100})
    found.debit("bot", {"calls": 1})
    return found


def ranges():
    """All that was spent, as each door with a range tells it."""
    coordinator = make()
    coordinator.debit("bot", 1)
    history = coordinator.get_agent_usage_history
    yield lambda first, end: len(history("bot", first, end))
    calls = resources().get_usage_history
    yield lambda first, end: len(calls("bot", "calls", first, end))


def found_between_ends():
    for count in ranges():
        yield from {count(first, end) for first in (*EARLY, None) for end in (*LATE, None)}
        yield from {count(end, first) for first in EARLY for end in LATE}


@pytest.mark.parametrize("local", ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati"])
def test_the_ends_of_the_calendar_are_open_ends_in_every_zone(local):
    assert elsewhere("print(*found_between_ends())", TZ=local) == "1 0 1 0"


def test_a_forecast_of_the_end_of_time_is_none():
    learner = BudgetPatternLearner(make())
    assert [learner.predict_budget_needs("bot", end) for end in LATE] == [None] * len(LATE)


def test_a_history_may_begin_and_end_with_time():
    for load in (BudgetPatternLearner(make()).load_history, policy().load_history):
        load("bot", EARLY, [1] * len(EARLY))
        with pytest.raises(TypeError, match="must be a datetime"):
            load("bot", [NOON.date()], [1])


def test_no_clock_shows_the_ends():
    for end in EARLY + LATE:
        with pytest.raises(ConfigurationError, match="is out of range"):
            ManualClock(end)


@pytest.mark.parametrize("kind", [LookupError, ValueError, OverflowError])
def test_an_error_of_a_zone_is_not_swallowed(kind):
    class Broken(tzinfo):
        def utcoffset(self, _):
            raise kind("no rules")

        dst = tzname = utcoffset

    with pytest.raises(kind, match="no rules"):
        make().get_agent_usage_history("bot", datetime(2026, 1, 1, tzinfo=Broken()))


@pytest.mark.parametrize("offset", [timedelta(days=5), 7200])
def test_an_offset_that_there_is_not_is_not_the_end_of_the_calendar(offset):
    class Far(tzinfo):
        def utcoffset(self, _):
            return offset

        dst = tzname = utcoffset

    with pytest.raises((ValueError, TypeError), match="offset|utcoffset"):
        make().get_agent_usage_history("bot", datetime(2026, 1, 1, tzinfo=Far()))
    with pytest.raises(ConfigurationError, match="timezone"):
        make(budget_period="daily", timezone=Far())

"""What is in force, found the long way round: the time on the wall decides, minute by minute.

Nothing here is shared with the implementation. A week is a list of 10,080 minutes, each labelled on its own
from the hours and days of the profiles; a zone is its offset at each minute of UTC.
"""

from datetime import UTC, datetime, timedelta

import numpy as np

MINUTES = 7 * 1440
MONDAY = np.datetime64("1900-01-01T00:00")


def minute_of_day(time):
    return time.hour * 60 + time.minute


def hours(entry):
    start, end = minute_of_day(entry["start_time"]), minute_of_day(entry["end_time"])
    return start, 1440 if end == 1439 else end


def width(entry):
    start, end = hours(entry)
    return (end - start) % 1440 or 1440


def is_on(entry, day, minute, days_mean):
    start, end = hours(entry)
    if start < end:
        return day in entry["days"] and start <= minute < end
    if minute >= start:
        return day in entry["days"]
    return minute < end and (day if days_mean == "current" else (day - 1) % 7) in entry["days"]


def label_week(schedule, days_mean="current"):
    """For each minute of the week: 0 in a gap, else 1 + position of the narrowest profile that is on."""
    labels = np.zeros(MINUTES, dtype=int)
    entries = list(schedule.values())
    for at in range(MINUTES):
        on = [n for n, entry in enumerate(entries) if is_on(entry, *divmod(at, 1440), days_mean)]
        if on:
            labels[at] = 1 + min(on, key=lambda n: width(entries[n]))
    return labels


def label_runs(schedule, labels, first, last):
    """Labels and run numbers of the minutes of local time in `first <= t < last` (datetime64[m]).

    A run is a contiguous stretch of one label; days of a profile with `each_day` are runs of their own.
    """
    at = np.arange(first, last) - MONDAY
    names = labels[at.astype(int) % MINUTES]
    begins = np.concatenate([[True], names[1:] != names[:-1]])
    daily = [
        n
        for n, entry in enumerate(schedule.values(), 1)
        if entry.get("each_day") or (labels == labels[0]).all()
    ]
    for n in daily:
        start, _ = hours(list(schedule.values())[n - 1])
        begins |= (names == n) & (at.astype(int) % 1440 == start)
    return names, np.cumsum(begins)


def offset_minutes(zone, instant):
    return instant.astimezone(zone).utcoffset().total_seconds() / 60


def offset_changes(zone, start, end):
    """Instants at which the offset changes, looked for hour by hour and then minute by minute."""
    found = []
    hour = timedelta(hours=1)
    previous = zone.utcoffset(start.replace(tzinfo=zone))
    at = start
    while at < end:
        offset = (at + hour).astimezone(zone).utcoffset()
        if offset != previous:
            minute = at
            while minute.astimezone(zone).utcoffset() == previous:
                minute += timedelta(minutes=1)
            found.append(minute)
            previous = offset
        at += hour
    return found


def walls(zone, minutes):
    """The time on the wall at each of these minutes of UTC (datetime64[m], all offsets in whole minutes)."""
    offsets = [
        offset_minutes(zone, datetime.fromtimestamp(int(m) * 60, UTC)) for m in minutes.astype("int64")
    ]
    whole = np.array(offsets)
    assert (whole == whole.round()).all()
    return minutes + whole.astype("timedelta64[m]")

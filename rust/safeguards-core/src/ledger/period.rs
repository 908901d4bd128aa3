//! When the budget of a pool is granted anew.

use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, Zoned};

use crate::clock::Wall;

/// How often a pool is granted its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// At each full local hour. An hour that a clock change repeats is two real hours, and two periods.
    Hourly,
    /// At the start of each local day: midnight, or the first instant after a midnight that is skipped.
    Daily,
    /// At the start of each Monday.
    Weekly,
    /// At the start of the first day of each month.
    Monthly,
    /// Every so many nanoseconds from the pool's creation, whatever calendars say.
    Every(i64),
}

/// A period, in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    period: Period,
    zone: TimeZone,
    origin: Wall,
}

impl Schedule {
    /// The schedule of a pool created at `origin`.
    #[must_use]
    pub const fn new(period: Period, zone: TimeZone, origin: Wall) -> Self {
        Self { period, zone, origin }
    }

    /// False for a fixed length of nothing, or less: it has no next period.
    pub(super) const fn is_valid(&self) -> bool {
        !matches!(self.period, Period::Every(nanos) if nanos < 1)
    }

    /// Whether two pools with these schedules have the same periods, whenever they were made.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        let is_fixed = matches!(self.period, Period::Every(_));
        self.period == other.period && (is_fixed || self.zone == other.zone)
    }

    /// How often.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    /// The zone whose days and months count; `None` where the length is fixed.
    #[must_use]
    pub fn zone(&self) -> Option<String> {
        if matches!(self.period, Period::Every(_)) {
            return None;
        }
        let offset = || self.zone.to_fixed_offset().map(|offset| clock_offset(offset.seconds()));
        self.zone.iana_name().map(Into::into).or_else(|| offset().ok())
    }

    /// The first instant after `now` at which a period begins; [`Wall::NEVER`] past the end of the calendar.
    #[must_use]
    pub fn next_after(&self, now: Wall) -> Wall {
        if let Period::Every(nanos) = self.period {
            let into = now.0.saturating_sub(self.origin.0).rem_euclid(nanos);
            return Wall(now.0.saturating_add(nanos - into));
        }
        self.next_local(now).unwrap_or(Wall::NEVER)
    }

    fn next_local(&self, now: Wall) -> Option<Wall> {
        let local = Timestamp::from_nanosecond(now.0.into()).ok()?.to_zoned(self.zone.clone());
        if self.period == Period::Hourly {
            return to_wall(&next_full_hour(&local)?);
        }
        let mut day = self.next_date(local.date())?;
        loop {
            let start = to_wall(&day.to_zoned(self.zone.clone()).ok()?.start_of_day().ok()?)?;
            // A clock set back across midnight shows a date again whose start has been granted.
            if start > now {
                return Some(start);
            }
            day = self.next_date(day)?;
        }
    }

    /// The first date after `date` on which a period begins.
    fn next_date(&self, date: Date) -> Option<Date> {
        match self.period {
            Period::Weekly => date.nth_weekday(1, Weekday::Monday).ok(),
            Period::Monthly => date.first_of_month().checked_add(Span::new().months(1)).ok(),
            _ => date.tomorrow().ok(),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.period {
            Period::Hourly => "hourly",
            Period::Daily => "daily",
            Period::Weekly => "weekly",
            Period::Monthly => "monthly",
            Period::Every(nanos) => {
                return write!(f, "every {:?}", Duration::from_nanos(nanos.unsigned_abs()));
            }
        };
        write!(f, "{name} in {}", self.zone().as_deref().unwrap_or("a zone of its own"))
    }
}

/// As people write it: `+02:00`, and with seconds where it has any.
fn clock_offset(seconds: i32) -> String {
    let (sign, east) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    let (hours, minutes, seconds) = (east / 3_600, east / 60 % 60, east % 60);
    let below_minute = if seconds == 0 { String::new() } else { format!(":{seconds:02}") };
    format!("{sign}{hours:02}:{minutes:02}{below_minute}")
}

fn next_full_hour(local: &Zoned) -> Option<Zoned> {
    let minutes = |zoned: &Zoned| SignedDuration::from_mins(zoned.minute().into());
    let below_minute = |zoned: &Zoned| {
        SignedDuration::from_secs(zoned.second().into())
            + SignedDuration::from_nanos(zoned.subsec_nanosecond().into())
    };
    let hour = SignedDuration::from_hours(1);
    let next = local.checked_add(hour - minutes(local) - below_minute(local)).ok()?;
    // A zone that moves by half an hour lands between two full hours: the next one is the answer.
    let past = minutes(&next);
    if past.is_zero() { Some(next) } else { next.checked_add(hour - past).ok() }
}

fn to_wall(zoned: &Zoned) -> Option<Wall> {
    i64::try_from(zoned.timestamp().as_nanosecond()).ok().map(Wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Wall {
        to_wall(&text.parse::<Zoned>().unwrap()).unwrap()
    }

    fn next(period: Period, now: &str) -> String {
        let zone = now.parse::<Zoned>().unwrap().time_zone().clone();
        let next = Schedule::new(period, zone.clone(), Wall(0)).next_after(at(now));
        Timestamp::from_nanosecond(next.0.into()).unwrap().to_zoned(zone).to_string()
    }

    #[test]
    fn calendar_months_are_months() {
        assert_eq!(next(Period::Monthly, "2026-01-31T12:00[UTC]"), "2026-02-01T00:00:00+00:00[UTC]");
        assert_eq!(next(Period::Monthly, "2026-12-01T00:00[UTC]"), "2027-01-01T00:00:00+00:00[UTC]");
    }

    #[test]
    fn weeks_begin_on_monday() {
        assert_eq!(next(Period::Weekly, "2026-11-21T00:00[UTC]"), "2026-11-23T00:00:00+00:00[UTC]");
        assert_eq!(next(Period::Weekly, "2026-11-23T00:00[UTC]"), "2026-11-30T00:00:00+00:00[UTC]");
    }

    #[test]
    fn days_of_23_and_25_hours_are_one_day() {
        let spring = next(Period::Daily, "2026-03-29T00:00[Europe/Berlin]");
        assert_eq!(spring, "2026-03-30T00:00:00+02:00[Europe/Berlin]");
        let autumn = next(Period::Daily, "2026-10-25T00:00[Europe/Berlin]");
        assert_eq!(autumn, "2026-10-26T00:00:00+01:00[Europe/Berlin]");
    }

    #[test]
    fn a_midnight_that_is_skipped_begins_the_day_at_one() {
        let next = next(Period::Daily, "2018-11-03T12:00[America/Sao_Paulo]");
        assert_eq!(next, "2018-11-04T01:00:00-02:00[America/Sao_Paulo]");
    }

    #[test]
    fn a_midnight_that_comes_twice_is_granted_once() {
        // Havana set its clocks back from 01:00 to 00:00 on 2026-11-01.
        let zone = TimeZone::get("America/Havana").unwrap();
        let schedule = Schedule::new(Period::Daily, zone, Wall(0));
        let first = at("2026-11-01T00:00:00-04:00[America/Havana]");
        assert_eq!(schedule.next_after(Wall(first.0 - 1)), first);
        let second = at("2026-11-01T00:00:00-05:00[America/Havana]");
        assert_eq!(second.0 - first.0, 3_600_000_000_000);
        assert_eq!(schedule.next_after(first), at("2026-11-02T00:00[America/Havana]"));
        assert_eq!(schedule.next_after(second), at("2026-11-02T00:00[America/Havana]"));
    }

    #[test]
    fn full_hours_where_the_zone_moves_by_half_an_hour() {
        assert_eq!(
            next(Period::Hourly, "2026-10-04T01:30[Australia/Lord_Howe]"),
            "2026-10-04T03:00:00+11:00[Australia/Lord_Howe]"
        );
        assert_eq!(
            next(Period::Hourly, "2026-01-01T10:00[Asia/Kolkata]"),
            "2026-01-01T11:00:00+05:30[Asia/Kolkata]"
        );
    }

    #[test]
    fn fixed_lengths_count_from_the_creation() {
        let schedule = Schedule::new(Period::Every(10), TimeZone::UTC, Wall(3));
        assert_eq!([3, 4, 12, 13, -8].map(|now| schedule.next_after(Wall(now)).0), [13, 13, 13, 23, -7]);
    }

    #[test]
    fn the_calendar_ends() {
        let schedule = Schedule::new(Period::Daily, TimeZone::UTC, Wall(0));
        assert_eq!(schedule.next_after(Wall(i64::MAX)), Wall::NEVER);
    }
}

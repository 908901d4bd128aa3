//! When the budget of an account is granted anew.

use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span as Length, Timestamp, Zoned};

use crate::clock::Wall;

/// How often an account is granted its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// At each full local hour. An hour that a clock change repeats is two real hours, and two periods.
    Hourly,
    /// Each local day.
    Daily,
    /// Each week, on the anchor's day: 1 is Monday.
    Weekly,
    /// Each month, on the anchor's day; on its last day where it has fewer.
    Monthly,
    /// As monthly, in January, April, July and October.
    Quarterly,
    /// As monthly, in January.
    Yearly,
    /// Every so many nanoseconds from the account's creation, whatever calendars say.
    Every(i64),
}

/// The day and the local hour at which periods of days begin. At hour 0 that is the first instant of the day, whatever
/// its clock shows; another hour that a clock change skips begins at the change, and one that it repeats the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Of the month, 1 to 31; of the week, 1 to 7.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
}

impl Anchor {
    /// The first day, from its begin on.
    pub const FIRST: Self = Self { day: 1, hour: 0 };
}

/// Periods in a time zone: when each begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    period: Period,
    anchor: Anchor,
    zone: TimeZone,
    origin: Wall,
}

/// One period: `begins <= t < ends`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
    pub begins: Wall,
    /// The first instant after it.
    pub ends: Wall,
}

impl Span {
    /// Of an account without periods, or past the end of the calendar.
    pub const ALWAYS: Self = Self { begins: Wall(i64::MIN), ends: Wall::NEVER };

    /// Whether an instant lies in it.
    #[must_use]
    #[inline]
    pub const fn contains(self, at: Wall) -> bool {
        self.begins.0 <= at.0 && at.0 < self.ends.0
    }
}

impl Schedule {
    /// The schedule of an account created at `origin`.
    #[must_use]
    pub const fn new(period: Period, zone: TimeZone, origin: Wall) -> Self {
        Self { period, anchor: Anchor::FIRST, zone, origin }
    }

    /// The same, begun on another day or at another hour.
    #[must_use]
    pub const fn anchored(mut self, anchor: Anchor) -> Self {
        self.anchor = anchor;
        self
    }

    /// Why it has no periods, if it has none.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let Anchor { day, hour } = self.anchor;
        match self.period {
            Period::Every(nanos) if nanos < 1 => Some("budget_period must be longer than nothing"),
            Period::Every(_) | Period::Hourly if self.anchor != Anchor::FIRST => {
                Some("anchor_day and anchor_hour are for periods of days: this one has none")
            }
            _ if hour > 23 => Some("anchor_hour must be from 0 to 23"),
            Period::Daily if day != 1 => Some("anchor_day is for weeks and longer periods: a day has none"),
            Period::Weekly if !(1..=7).contains(&day) => {
                Some("anchor_day of a week must be from 1 (Monday) to 7 (Sunday)")
            }
            _ if !(1..=31).contains(&day) => Some("anchor_day must be from 1 to 31"),
            _ => None,
        }
    }

    /// Whether two accounts with these schedules have the same periods, whenever they were made.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        let is_fixed = matches!(self.period, Period::Every(_));
        (self.period, self.anchor) == (other.period, other.anchor) && (is_fixed || self.zone == other.zone)
    }

    /// How often.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    /// On which day and at which hour.
    #[must_use]
    pub const fn anchor(&self) -> Anchor {
        self.anchor
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

    /// The period that an instant lies in; [`Span::ALWAYS`] past the end of the calendar.
    #[must_use]
    pub fn span_at(&self, now: Wall) -> Span {
        if let Period::Every(nanos) = self.period {
            let into = now.0.saturating_sub(self.origin.0).rem_euclid(nanos);
            let begins = Wall(now.0.saturating_sub(into));
            return Span { begins, ends: Wall(begins.0.saturating_add(nanos)) };
        }
        self.local_span_at(now).unwrap_or(Span::ALWAYS)
    }

    fn local_span_at(&self, now: Wall) -> Option<Span> {
        let local = Timestamp::from_nanosecond(now.0.into()).ok()?.to_zoned(self.zone.clone());
        if self.period == Period::Hourly {
            let (begins, ends) = (to_wall(&full_hour(&local, -1)?)?, to_wall(&full_hour(&local, 1)?)?);
            return Some(Span { begins, ends });
        }
        // A clock set back across midnight shows a date again whose successor has begun.
        let mut date = self.date_until(local.date().tomorrow().ok()?)?;
        let mut ends = self.start_of(date)?;
        if ends <= now {
            ends = self.start_of(self.date_after(date)?)?;
        } else {
            date = self.date_until(date.yesterday().ok()?)?;
        }
        let mut begins = self.start_of(date)?;
        while begins > now {
            ends = begins;
            date = self.date_until(date.yesterday().ok()?)?;
            begins = self.start_of(date)?;
        }
        Some(Span { begins, ends })
    }

    /// When the period of a date begins.
    fn start_of(&self, date: Date) -> Option<Wall> {
        let hour = i8::try_from(self.anchor.hour).ok()?;
        let start = if hour == 0 {
            date.to_zoned(self.zone.clone()).ok()?.start_of_day().ok()?
        } else {
            date.at(hour, 0, 0, 0).to_zoned(self.zone.clone()).ok()?
        };
        to_wall(&start)
    }

    /// The last date up to `date` on which a period begins.
    fn date_until(&self, date: Date) -> Option<Date> {
        let months = match self.period {
            Period::Weekly => {
                let weekday = Weekday::from_monday_one_offset(i8::try_from(self.anchor.day).ok()?).ok()?;
                let is_today = date.weekday() == weekday;
                return if is_today { Some(date) } else { date.nth_weekday(-1, weekday).ok() };
            }
            Period::Monthly => 1,
            Period::Quarterly => 3,
            Period::Yearly => 12,
            _ => return Some(date),
        };
        let into = i64::from((date.month() - 1) % months);
        let first = date.first_of_month().checked_sub(Length::new().months(into)).ok()?;
        let anchored = self.day_in(first)?;
        if anchored <= date {
            return Some(anchored);
        }
        self.day_in(first.checked_sub(Length::new().months(i64::from(months))).ok()?)
    }

    /// The first date after `date` on which a period begins, where one begins on `date`.
    fn date_after(&self, date: Date) -> Option<Date> {
        let months = match self.period {
            Period::Weekly => return date.checked_add(Length::new().weeks(1)).ok(),
            Period::Monthly => 1,
            Period::Quarterly => 3,
            Period::Yearly => 12,
            _ => return date.tomorrow().ok(),
        };
        self.day_in(date.first_of_month().checked_add(Length::new().months(months)).ok()?)
    }

    /// The anchor's day in the month that begins with `first`, or its last day.
    fn day_in(&self, first: Date) -> Option<Date> {
        let day = i8::try_from(self.anchor.day).ok()?.min(first.days_in_month());
        first.with().day(day).build().ok()
    }

    /// The first instant after `now` at which a period begins; [`Wall::NEVER`] past the end of the calendar.
    #[must_use]
    pub fn next_after(&self, now: Wall) -> Wall {
        self.span_at(now).ends
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.period {
            Period::Hourly => "hourly",
            Period::Daily => "daily",
            Period::Weekly => "weekly",
            Period::Monthly => "monthly",
            Period::Quarterly => "quarterly",
            Period::Yearly => "yearly",
            Period::Every(nanos) => {
                return write!(f, "every {:?}", Duration::from_nanos(nanos.unsigned_abs()));
            }
        };
        f.write_str(name)?;
        let Anchor { day, hour } = self.anchor;
        if day != 1 {
            write!(f, " from day {day}")?;
        }
        if hour != 0 {
            write!(f, " from {hour:02}:00")?;
        }
        write!(f, " in {}", self.zone().as_deref().unwrap_or("a zone of its own"))
    }
}

/// As people write it: `+02:00`, and with seconds where it has any.
fn clock_offset(seconds: i32) -> String {
    let (sign, east) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    let (hours, minutes, seconds) = (east / 3_600, east / 60 % 60, east % 60);
    let below_minute = if seconds == 0 { String::new() } else { format!(":{seconds:02}") };
    format!("{sign}{hours:02}:{minutes:02}{below_minute}")
}

/// The full local hour up to `local` (-1), or the next one (1). Where a zone moves by half an hour, one between two full
/// hours is passed over.
fn full_hour(local: &Zoned, direction: i32) -> Option<Zoned> {
    let minutes = |zoned: &Zoned| SignedDuration::from_mins(zoned.minute().into());
    let below_minute = SignedDuration::from_secs(local.second().into())
        + SignedDuration::from_nanos(local.subsec_nanosecond().into());
    let below_hour = minutes(local) + below_minute;
    if direction < 0 {
        let last = local.checked_sub(below_hour).ok()?;
        return last.checked_sub(minutes(&last)).ok();
    }
    let hour = SignedDuration::from_hours(1);
    let next = local.checked_add(hour - below_hour).ok()?;
    let past = minutes(&next);
    if past.is_zero() { Some(next) } else { next.checked_add(hour - past).ok() }
}

fn to_wall(zoned: &Zoned) -> Option<Wall> {
    i64::try_from(zoned.timestamp().as_nanosecond()).ok().map(Wall)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    fn anchored(period: Period, day: u8, hour: u8, now: &str) -> [String; 2] {
        let zone = now.parse::<Zoned>().unwrap().time_zone().clone();
        let Span { begins, ends } =
            Schedule::new(period, zone.clone(), Wall(0)).anchored(Anchor { day, hour }).span_at(at(now));
        [begins, ends].map(|wall| {
            let local = Timestamp::from_nanosecond(wall.0.into()).unwrap().to_zoned(zone.clone());
            local.strftime("%F %H:%M").to_string()
        })
    }

    #[test]
    fn anchors_begin_periods_on_their_day_and_hour() {
        let monthly = |day, now| anchored(Period::Monthly, day, 0, now);
        assert_eq!(monthly(15, "2026-03-14T23:59[UTC]"), ["2026-02-15 00:00", "2026-03-15 00:00"]);
        assert_eq!(monthly(15, "2026-03-15T00:00[UTC]"), ["2026-03-15 00:00", "2026-04-15 00:00"]);
        // The 31st of a shorter month is its last day.
        assert_eq!(monthly(31, "2026-02-28T12:00[UTC]"), ["2026-02-28 00:00", "2026-03-31 00:00"]);
        assert_eq!(monthly(31, "2026-04-29T12:00[UTC]"), ["2026-03-31 00:00", "2026-04-30 00:00"]);
        assert_eq!(monthly(29, "2028-02-29T00:00[UTC]"), ["2028-02-29 00:00", "2028-03-29 00:00"]);
        let quarterly = anchored(Period::Quarterly, 31, 6, "2026-04-30T05:59[UTC]");
        assert_eq!(quarterly, ["2026-01-31 06:00", "2026-04-30 06:00"]);
        let yearly = anchored(Period::Yearly, 1, 0, "2026-12-31T23:59[UTC]");
        assert_eq!(yearly, ["2026-01-01 00:00", "2027-01-01 00:00"]);
        let weekly = anchored(Period::Weekly, 7, 22, "2026-11-22T21:00[UTC]");
        assert_eq!(weekly, ["2026-11-15 22:00", "2026-11-22 22:00"]);
        let daily = anchored(Period::Daily, 1, 9, "2026-11-22T08:59[Europe/Berlin]");
        assert_eq!(daily, ["2026-11-21 09:00", "2026-11-22 09:00"]);
        // Two o'clock does not come on this day: it begins at three.
        let skipped = anchored(Period::Daily, 1, 2, "2026-03-29T03:00[Europe/Berlin]");
        assert_eq!(skipped, ["2026-03-29 03:00", "2026-03-30 02:00"]);
    }

    proptest! {
        /// Every instant lies in its period, and its period is that of its first and last instant.
        #[test]
        fn periods_leave_no_gap(
            seconds in 0..4_000_000_000_i64,
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu",
            ]),
            period in prop::sample::select(vec![
                Period::Hourly, Period::Daily, Period::Weekly, Period::Monthly, Period::Quarterly, Period::Yearly,
                Period::Every(7_777_777_777_777),
            ]),
            (day, hour) in (1..=31_u8, 0..24_u8),
        ) {
            let mut schedule = Schedule::new(period, TimeZone::get(zone).unwrap(), Wall(17));
            let anchor = match period {
                Period::Hourly | Period::Every(_) => Anchor::FIRST,
                Period::Daily => Anchor { day: 1, hour },
                Period::Weekly => Anchor { day: day % 7 + 1, hour },
                _ => Anchor { day, hour },
            };
            schedule = schedule.anchored(anchor);
            prop_assert_eq!(schedule.fault(), None);
            let now = Wall(seconds * 1_000_000_000);
            let span = schedule.span_at(now);
            prop_assert!(span.contains(now));
            prop_assert_eq!(schedule.span_at(span.begins), span);
            prop_assert_eq!(schedule.span_at(Wall(span.ends.0 - 1)), span);
            prop_assert_eq!(schedule.span_at(span.ends).begins, span.ends);
        }
    }

    #[test]
    fn the_calendar_ends() {
        let schedule = Schedule::new(Period::Daily, TimeZone::UTC, Wall(0));
        assert_eq!(schedule.next_after(Wall(i64::MAX)), Wall::NEVER);
    }
}

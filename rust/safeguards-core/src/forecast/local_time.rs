//! Hours by the local clock: people's habits follow it through its changes.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::MAX_HORIZON;
use super::quarters::{PER_HOUR, Quarter, Quarters};

const QUARTER_SECONDS: i64 = 900;
const HOUR_SECONDS: i64 = 3_600;

/// A history in local hours that ends where it is known, and where the window lies from there.
pub(super) struct LocalHours {
    /// Usage by hour, oldest first.
    pub(super) hours: Vec<f64>,
    /// Local hours from the end of the history to the window.
    pub(super) lead: usize,
    /// Local hours of the window.
    pub(super) length: usize,
}

/// The window in quarter-hours, and the hours of a history before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Of the first hour.
    pub(super) start: Quarter,
    pub(super) hours: usize,
    /// Days of the history that count.
    pub(super) learning_days: i64,
}

impl Window {
    /// The end of what is known before the window, at a full hour as seen from the window.
    pub(super) fn origin(&self, usage: &Quarters) -> Quarter {
        let known = usage.until().min(self.start);
        known - (known - self.start).rem_euclid(PER_HOUR)
    }

    /// The history before the window. `None` if there is no hour of it, or only older ones than are learned from.
    pub(super) fn history(&self, usage: &Quarters, zone: &TimeZone) -> Option<LocalHours> {
        let origin = self.origin(usage);
        let most = self.learning_days * 24;
        let count = ((origin - usage.first(origin, most * PER_HOUR)?) / PER_HOUR).min(most);
        let gap = (self.start - origin) / PER_HOUR;
        if count < 1 || gap > most {
            return None;
        }
        let clock = LocalClock::new(zone, self.start, origin - count * PER_HOUR, self.end());
        let local = |quarter: Quarter| quarter.div_euclid(PER_HOUR) + clock.shift(quarter);
        let first = local(origin - count * PER_HOUR);
        let mut hours: Vec<(f64, u32)> = Vec::new();
        for hour in 0..count {
            let quarter = origin - (count - hour) * PER_HOUR;
            let place = usize::try_from(local(quarter) - first).unwrap_or_default();
            if place >= hours.len() {
                hours.resize(place + 1, (0.0, 0));
            }
            hours[place].0 += usage.hour(quarter);
            hours[place].1 += 1;
        }
        let (start, end) = (local(self.start), local(self.end() - PER_HOUR) + 1);
        let known = first + i64::try_from(hours.len()).ok()?;
        Some(LocalHours {
            hours: even(&hours),
            lead: usize::try_from((start - known).max(0)).ok()?.min(MAX_HORIZON),
            length: usize::try_from((end - start).max(1)).ok()?,
        })
    }

    fn end(&self) -> Quarter {
        self.start + i64::try_from(self.hours).unwrap_or_default() * PER_HOUR
    }
}

/// An hour that the clock showed twice is the mean of both; one that it skipped is like the one before.
fn even(hours: &[(f64, u32)]) -> Vec<f64> {
    let mut even: Vec<f64> = Vec::with_capacity(hours.len());
    for (sum, times) in hours {
        let before = even.last().copied().unwrap_or(0.0);
        even.push(if *times == 0 { before } else { sum / f64::from(*times) });
    }
    even
}

/// How far the local clock was from what it shows at the start of the window.
struct LocalClock<'a> {
    zone: &'a TimeZone,
    /// Seconds east of Greenwich at the start of the window; `None` where the clock never changes.
    base: Option<i64>,
}

impl<'a> LocalClock<'a> {
    fn new(zone: &'a TimeZone, start: Quarter, from: Quarter, to: Quarter) -> Self {
        let changes = timestamp(from)
            .and_then(|from| zone.following(from).next())
            .is_some_and(|change| Some(change.timestamp()) < timestamp(to));
        Self { zone, base: changes.then(|| offset(zone, start)) }
    }

    /// Hours by which the clock was ahead, rounded.
    fn shift(&self, at: Quarter) -> i64 {
        let Some(base) = self.base else { return 0 };
        (offset(self.zone, at) - base + HOUR_SECONDS / 2).div_euclid(HOUR_SECONDS)
    }
}

/// The first quarter-hour of the local hour. Some zones are half an hour off.
pub(super) fn hour_of(at: Quarter, zone: &TimeZone) -> Quarter {
    at - (at + offset(zone, at).div_euclid(QUARTER_SECONDS)).rem_euclid(PER_HOUR)
}

fn timestamp(at: Quarter) -> Option<Timestamp> {
    Timestamp::from_second(at.checked_mul(QUARTER_SECONDS)?).ok()
}

fn offset(zone: &TimeZone, at: Quarter) -> i64 {
    timestamp(at).map_or(0, |at| zone.to_offset(at).seconds().into())
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "hours of the day are exact")]
mod tests {
    use super::*;

    /// Usage that is the local hour of the day, in Berlin, for some days.
    fn by_local_hour(zone: &TimeZone, first: Quarter, days: i64) -> Quarters {
        let mut usage = Quarters::default();
        for hour in 0..days * 24 {
            let at = first + hour * PER_HOUR;
            let local = timestamp(at).unwrap().to_zoned(zone.clone()).hour();
            usage.add(at, f64::from(local), 1, days, at);
        }
        let end = first + days * 24 * PER_HOUR;
        usage.know_until(end, end);
        usage
    }

    #[test]
    fn days_line_up_across_both_changes_of_the_clock() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // Five days before the last Sundays of March and of October 2026, local midnight.
        for (day, lost) in [("2026-03-24T00:00[Europe/Berlin]", 1), ("2026-10-20T00:00[Europe/Berlin]", -1)] {
            let midnight: jiff::Zoned = day.parse().unwrap();
            let first = midnight.timestamp().as_second() / QUARTER_SECONDS;
            let usage = by_local_hour(&zone, first, 8);
            let start: Quarter = first + (8 * 24 + 3) * PER_HOUR;
            let window = Window { start, hours: 24, learning_days: 8 };
            let history = window.history(&usage, &zone).unwrap();
            assert_eq!(i64::try_from(history.hours.len()).unwrap(), 8 * 24 + lost);
            for (place, hour) in history.hours.iter().enumerate() {
                // The skipped hour of spring shows the one before.
                let skipped = lost == 1 && place == 5 * 24 + 2;
                assert_eq!(
                    *hour,
                    if skipped { 1.0 } else { f64::from(u32::try_from(place % 24).unwrap()) },
                    "{day} {place}"
                );
            }
            assert_eq!((history.lead, history.length), (3, 24));
        }
    }

    #[test]
    fn a_window_across_a_change_has_an_hour_less_or_more() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (day, length) in
            [("2026-03-28T12:00[Europe/Berlin]", 25), ("2026-10-24T12:00[Europe/Berlin]", 23)]
        {
            let noon: jiff::Zoned = day.parse().unwrap();
            let start = noon.timestamp().as_second() / QUARTER_SECONDS;
            let usage = by_local_hour(&zone, start - 96 * 4, 4);
            let history = Window { start, hours: 24, learning_days: 14 }.history(&usage, &zone).unwrap();
            assert_eq!((history.hours.len(), history.lead, history.length), (96, 0, length));
        }
    }

    #[test]
    fn too_long_ago_is_nothing_known() {
        let usage = by_local_hour(&TimeZone::UTC, 0, 2);
        let at = |start| Window { start, hours: 1, learning_days: 2 }.history(&usage, &TimeZone::UTC);
        assert_eq!(at(4 * 24 * PER_HOUR).map(|history| (history.hours.len(), history.lead)), Some((48, 48)));
        assert!(at(4 * 24 * PER_HOUR + PER_HOUR).is_none());
        assert_eq!(at(PER_HOUR).map(|history| history.hours), Some(vec![0.0]));
        assert!(at(3).is_none());
    }
}

//! One agent's usage by quarter-hour, as far back as is learned from. Every time zone's hours begin on one.
//!
//! Kept by days, so that a wall clock that was wrong for a while only takes room: what it dated lies apart, and what was
//! known before is there when it is right again. Nothing here remembers the latest time that was seen.

/// Quarter-hours of an hour.
pub(super) const PER_HOUR: i64 = 4;
const PER_DAY: i64 = 24 * PER_HOUR;
/// Amounts of an hour and of a day.
const HOUR: usize = 4;
const DAY: usize = 24 * HOUR;
/// Kept beyond the learning period: the hour under way, and the one that its minutes leave incomplete.
const SPARE: i64 = 2 * PER_HOUR;
/// Days of a clock that was wrong for which there is room. For longer, each takes the place of the oldest.
const WRONG_DAYS: usize = 2;

/// The number of a quarter-hour, counted from 1970.
pub(super) type Quarter = i64;

/// Usage by quarter-hour: nothing noted is nothing spent.
#[derive(Clone, Debug, Default)]
pub(super) struct Quarters {
    /// Those with usage, by number.
    days: Vec<Day>,
    /// The first quarter-hour that is not over.
    until: Quarter,
}

/// One day since 1970.
#[derive(Clone, Debug)]
struct Day {
    number: i64,
    /// The first quarter-hour that was noted.
    first: Quarter,
    /// Data points.
    points: u64,
    amounts: Box<[f64; DAY]>,
}

impl Quarters {
    /// Adds usage. Where there is no room for its day, the oldest day goes that is not among the `days` before `now`.
    pub(super) fn add(&mut self, at: Quarter, amount: f64, points: u64, days: i64, now: Quarter) {
        let number = at.div_euclid(PER_DAY);
        let place = self.days.binary_search_by_key(&number, |day| day.number).unwrap_or_else(|place| {
            self.days.reserve_exact(1);
            self.days.insert(place, Day { number, first: at, points: 0, amounts: Box::new([0.0; DAY]) });
            place
        });
        let day = &mut self.days[place];
        day.first = day.first.min(at);
        day.points += points;
        day.amounts[place_in_day(at)] += amount;
        // What is learned from lies in so many days at most, whatever the hour is.
        let most = usize::try_from(days).unwrap_or_default().saturating_add(2 + WRONG_DAYS);
        if self.days.len() > most {
            let counts = (now - days * PER_DAY - SPARE).div_euclid(PER_DAY)..=now.div_euclid(PER_DAY);
            let oldest = self.days.iter().position(|day| !counts.contains(&day.number));
            self.days.remove(oldest.unwrap_or_default());
        }
    }

    /// Everything before `until` is known from now on, and nothing after `now`.
    pub(super) fn know_until(&mut self, until: Quarter, now: Quarter) {
        self.until = self.until.max(until).min(now);
    }

    /// The first quarter-hour of which something is known, as seen from `now`: what is twice as old as is learned from
    /// (`most` quarter-hours) says nothing of what was in between.
    pub(super) fn first(&self, now: Quarter, most: i64) -> Option<Quarter> {
        let oldest = (now - 2 * most).div_euclid(PER_DAY);
        self.days.iter().find(|day| day.number >= oldest).map(|day| day.first).filter(|first| *first < now)
    }

    pub(super) const fn until(&self) -> Quarter {
        self.until
    }

    fn day(&self, at: Quarter) -> Option<&Day> {
        let number = at.div_euclid(PER_DAY);
        self.days.binary_search_by_key(&number, |day| day.number).ok().map(|place| &self.days[place])
    }

    /// Usage of a quarter-hour.
    pub(super) fn amount(&self, at: Quarter) -> f64 {
        self.day(at).map_or(0.0, |day| day.amounts[place_in_day(at)])
    }

    /// Usage of the hour that begins with a quarter-hour.
    pub(super) fn hour(&self, at: Quarter) -> f64 {
        let place = place_in_day(at);
        match self.day(at) {
            Some(day) if place + HOUR <= day.amounts.len() => day.amounts[place..place + HOUR].iter().sum(),
            None if place + HOUR <= DAY => 0.0,
            _ => (at..at + PER_HOUR).map(|quarter| self.amount(quarter)).sum(),
        }
    }

    /// Data points in `from..to`, by whole days.
    pub(super) fn points(&self, from: Quarter, to: Quarter) -> u64 {
        let days = from.div_euclid(PER_DAY)..=(to - 1).max(from).div_euclid(PER_DAY);
        self.days.iter().filter(|day| days.contains(&day.number)).map(|day| day.points).sum()
    }

    /// Heap memory.
    pub(super) fn bytes(&self) -> usize {
        self.days.capacity() * size_of::<Day>() + self.days.len() * size_of::<[f64; DAY]>()
    }
}

/// Which of its day's it is.
fn place_in_day(at: Quarter) -> usize {
    usize::try_from(at.rem_euclid(PER_DAY)).unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of small whole numbers are exact")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: i64 = 14 * PER_DAY;

    #[test]
    fn gaps_are_zeros_and_days_count_points() {
        let mut quarters = Quarters::default();
        for (at, amount) in [(1000, 2.0), (1005, 1.0), (998, 4.0), (1000, 0.5)] {
            quarters.add(at, amount, 1, 14, 1006);
        }
        assert_eq!(quarters.first(1006, MOST), Some(998));
        assert_eq!(
            (998..1006).map(|q| quarters.amount(q)).collect::<Vec<_>>(),
            [4., 0., 2.5, 0., 0., 0., 0., 1.]
        );
        assert_eq!(quarters.hour(998), 6.5);
        assert_eq!(quarters.hour(PER_DAY * 10 - 2), 0.0);
        assert_eq!(quarters.points(998, 1006), 4);
    }

    #[test]
    fn hours_go_across_midnight() {
        let mut quarters = Quarters::default();
        for at in 190..196 {
            quarters.add(at, 1.0, 1, 14, 196);
        }
        assert_eq!(
            (188..196).map(|at| quarters.hour(at)).collect::<Vec<_>>(),
            [2., 3., 4., 4., 4., 3., 2., 1.]
        );
    }

    #[test]
    fn a_leap_of_years_costs_nothing() {
        let mut quarters = Quarters::default();
        let later = i64::from(u32::MAX);
        quarters.add(0, 1.0, 1, 14, 0);
        quarters.add(later, 2.0, 1, 14, later);
        assert_eq!((quarters.first(later + 1, MOST), quarters.days.len()), (Some(later), 2));
        assert_eq!((quarters.first(1, MOST), quarters.first(0, MOST)), (Some(0), None));
    }

    #[test]
    fn nothing_is_known_after_now_whatever_was_known_before() {
        let mut quarters = Quarters::default();
        for (until, now, known) in [(50, 50, 50), (40, 50, 50), (3_000, 3_000, 3_000), (51, 51, 51)] {
            quarters.know_until(until, now);
            assert_eq!(quarters.until(), known);
        }
    }

    /// A day on which a clock was wrong, either way and at any time.
    fn wrong_day() -> impl Strategy<Value = (i64, i64)> {
        (0..60_i64, prop_oneof![-100_000..-40_000_i64, 40_000..100_000_i64])
    }

    proptest! {
        #[test]
        fn the_days_that_are_learned_from_are_kept_to_the_last_digit(
            usage in prop::collection::vec((0..30_i64, 1..100_u32), 1..300),
            days in 1..5_i64,
            wrong in prop::option::of(wrong_day()),
        ) {
            let (mut quarters, mut now, mut noted) = (Quarters::default(), 100_000, Vec::new());
            for (step, (pause, amount)) in usage.iter().enumerate() {
                now += pause;
                quarters.add(now, f64::from(*amount), 1, days, now);
                noted.push((now, *amount));
                if let Some((when, by)) = wrong && step.abs_diff(usize::try_from(when).unwrap()) < 3 {
                    quarters.add(now + by, 1e6, 1, days, now + by); // as long as it is wrong
                }
                prop_assert!(quarters.days.len() <= usize::try_from(days).unwrap() + 2 + WRONG_DAYS);
                prop_assert!(quarters.days.is_sorted_by_key(|day| day.number));
            }
            for at in now - days * PER_DAY - SPARE..=now {
                let expected: u32 = noted.iter().filter(|(q, _)| *q == at).map(|(_, amount)| *amount).sum();
                prop_assert_eq!(quarters.amount(at), f64::from(expected));
            }
            let known = quarters.first(now + 1, days * PER_DAY).unwrap();
            prop_assert!(noted[0].0 >= known || known <= now - days * PER_DAY);
        }
    }
}

//! One agent's usage by quarter-hour, as far back as is learned from. Every time zone's hours begin on one.

use std::collections::{BTreeMap, VecDeque};

/// Quarter-hours of an hour.
pub(super) const PER_HOUR: i64 = 4;
const PER_DAY: i64 = 24 * PER_HOUR;
/// Kept beyond the learning period: the hour under way, and the one that its minutes leave incomplete.
const SPARE: i64 = 2 * PER_HOUR;

/// The number of a quarter-hour, counted from 1970.
pub(super) type Quarter = i64;

/// Usage by quarter-hour, without gaps: nothing noted is nothing spent.
#[derive(Clone, Debug, Default)]
pub(super) struct Quarters {
    /// Of the first amount.
    first: Quarter,
    amounts: VecDeque<f64>,
    /// Data points by day since 1970.
    points: BTreeMap<i64, u64>,
    /// The first quarter-hour that is not over.
    until: Quarter,
}

impl Quarters {
    /// Adds usage, unless it is older than `days` before the newest.
    pub(super) fn add(&mut self, at: Quarter, amount: f64, points: u64, days: i64) {
        let most = days * PER_DAY + SPARE;
        if self.amounts.is_empty() || at - self.first >= 2 * most {
            self.amounts.clear();
            self.first = at;
        }
        if at < self.end() - most {
            return;
        }
        while at < self.first {
            self.make_room(self.first - at);
            self.amounts.push_front(0.0);
            self.first -= 1;
        }
        self.reach(at + 1, most);
        if let Ok(place) = usize::try_from(at - self.first) {
            self.amounts[place] += amount;
        }
        *self.points.entry(at.div_euclid(PER_DAY)).or_default() += points;
        self.points = self.points.split_off(&self.first.div_euclid(PER_DAY));
    }

    /// Everything before `until` is known from now on.
    pub(super) fn know_until(&mut self, until: Quarter) {
        self.until = self.until.max(until);
    }

    /// Zeros up to `end`; the oldest go where there are more than `most`.
    fn reach(&mut self, end: Quarter, most: i64) {
        while self.end() < end {
            if self.end() - self.first >= most {
                self.amounts.pop_front();
                self.first += 1;
            }
            self.make_room(end - self.end());
            self.amounts.push_back(0.0);
        }
    }

    /// A day's room at a time: doubling would waste half.
    fn make_room(&mut self, wanted: i64) {
        if self.amounts.len() == self.amounts.capacity() {
            let room = wanted.clamp(PER_DAY, 2 * PER_DAY);
            self.amounts.reserve_exact(usize::try_from(room).unwrap_or_default());
        }
    }

    /// After the last amount.
    fn end(&self) -> Quarter {
        self.first + i64::try_from(self.amounts.len()).unwrap_or(i64::MAX)
    }

    pub(super) const fn first(&self) -> Quarter {
        self.first
    }

    pub(super) const fn until(&self) -> Quarter {
        self.until
    }

    /// Usage of a quarter-hour.
    pub(super) fn amount(&self, at: Quarter) -> f64 {
        let place = usize::try_from(at - self.first).ok();
        place.and_then(|place| self.amounts.get(place)).copied().unwrap_or(0.0)
    }

    /// Usage of the hour that begins with a quarter-hour.
    pub(super) fn hour(&self, at: Quarter) -> f64 {
        (at..at + PER_HOUR).map(|quarter| self.amount(quarter)).sum()
    }

    /// Data points in `from..to`, by whole days.
    pub(super) fn points(&self, from: Quarter, to: Quarter) -> u64 {
        let days = from.div_euclid(PER_DAY)..=(to - 1).max(from).div_euclid(PER_DAY);
        self.points.range(days).map(|(_, points)| points).sum()
    }

    /// Heap memory.
    pub(super) fn bytes(&self) -> usize {
        // A node of a B-tree has room for eleven entries; a leaf is at least half full.
        self.amounts.capacity() * size_of::<f64>() + self.points.len() * 2 * size_of::<(i64, u64)>()
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of small whole numbers are exact")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gaps_are_zeros_and_days_count_points() {
        let mut quarters = Quarters::default();
        for (at, amount) in [(1000, 2.0), (1005, 1.0), (998, 4.0), (1000, 0.5)] {
            quarters.add(at, amount, 1, 14);
        }
        assert_eq!(quarters.first(), 998);
        assert_eq!(
            (998..1006).map(|q| quarters.amount(q)).collect::<Vec<_>>(),
            [4., 0., 2.5, 0., 0., 0., 0., 1.]
        );
        assert_eq!(quarters.hour(998), 6.5);
        assert_eq!(quarters.points(998, 1006), 4);
    }

    #[test]
    fn a_leap_of_years_costs_nothing() {
        let mut quarters = Quarters::default();
        quarters.add(0, 1.0, 1, 14);
        quarters.add(i64::from(u32::MAX), 2.0, 1, 14);
        assert_eq!((quarters.first(), quarters.amounts.len()), (i64::from(u32::MAX), 1));
        quarters.add(5, 1.0, 1, 14); // far too old
        assert_eq!(quarters.amounts.len(), 1);
    }

    proptest! {
        #[test]
        fn the_newest_days_are_kept_to_the_last_digit(
            usage in prop::collection::vec((0..600_i64, 1..100_u32), 1..200),
        ) {
            let mut quarters = Quarters::default();
            for (at, amount) in &usage {
                quarters.add(*at, f64::from(*amount), 1, 2);
            }
            let (most, newest) = (2 * PER_DAY + SPARE, usage.iter().map(|(at, _)| *at).max().unwrap());
            prop_assert!(quarters.amounts.len() <= usize::try_from(most).unwrap());
            prop_assert!(quarters.amounts.capacity() <= usize::try_from(most + 2 * PER_DAY).unwrap());
            // Older usage may have come before it was too old, and went then.
            for at in newest - most + 1..=newest {
                let expected: u32 = usage.iter().filter(|(q, _)| *q == at).map(|(_, amount)| *amount).sum();
                prop_assert_eq!(quarters.amount(at), f64::from(expected));
            }
        }
    }
}

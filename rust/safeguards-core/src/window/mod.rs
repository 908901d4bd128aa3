//! Sliding windows by amount: at most `limit` within any `length` of time.
//!
//! An amount leaves never before `length` after it was charged, and at most `length / 128` later; in exact mode
//! each leaves exactly on time, at the price of one bucket for each time of charge.

mod buckets;

use buckets::Buckets;

use crate::amount::Amount;
use crate::clock::Monotonic;

/// The shortest window: 1 µs.
pub const MIN_LENGTH_NANOS: i64 = 1_000;
/// The longest window: 366 days.
pub const MAX_LENGTH_NANOS: i64 = 366 * 86_400 * 1_000_000_000;
/// The largest limit of a window, in units: 10^10 wholes.
pub const MAX_LIMIT_UNITS: i128 = 10_i128.pow(19);

/// Parts of a window within which charges may share a date.
const RESOLUTION: i64 = 128;

/// How charges are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// At most 1/128 of the window late, in constant memory (below 2 KiB).
    Bucketed,
    /// Exactly on time, fourteen to thirty bytes for each time of charge within the window.
    Exact,
}

/// Amount charged in the last `length`, and what is reserved, with a limit on both together.
#[derive(Debug)]
pub struct Window {
    length: i64,
    span: i64,
    /// In units: no limit reaches 2^64 of them.
    limit: u64,
    /// Units set aside: they are charged, or given back, one day.
    reserved: i128,
    /// When something was charged to it for the first time.
    since: Monotonic,
    buckets: Buckets,
}

impl Window {
    /// A window that nothing was charged to yet. `length` is in nanoseconds.
    #[must_use]
    pub fn new(length: i64, limit: Amount, precision: Precision) -> Self {
        let (span, since, limit) = (span(length, precision), Monotonic::NEVER, narrow(limit));
        Self { length, span, limit, reserved: 0, since, buckets: Buckets::new() }
    }

    /// Nanoseconds that a charge stays.
    #[must_use]
    pub const fn length(&self) -> i64 {
        self.length
    }

    /// The most that the window admits.
    #[must_use]
    pub fn limit(&self) -> Amount {
        Amount::from_units(self.limit.into()).unwrap_or(Amount::MAX)
    }

    /// Sets another limit or precision from now on; what was charged stays charged.
    pub fn set_limit(&mut self, limit: Amount, precision: Precision) {
        self.limit = narrow(limit);
        self.span = span(self.length, precision);
    }

    /// Units charged that have not left at `now`.
    #[inline]
    pub fn spent(&mut self, now: Monotonic) -> i128 {
        self.buckets.drop_until(now.plus(-self.length));
        // At most 2^64 units in each bucket, and far fewer than 2^63 buckets.
        self.buckets.total().cast_signed()
    }

    /// Units set aside.
    #[must_use]
    pub const fn reserved(&self) -> i128 {
        self.reserved
    }

    /// Sets so many units more aside; below zero, so many fewer.
    #[inline]
    pub const fn reserve(&mut self, units: i128) {
        self.reserved += units;
    }

    /// True if so many units fit beside what was charged and what is reserved.
    #[inline]
    pub fn fits(&mut self, now: Monotonic, units: i128) -> bool {
        units <= self.room(now)
    }

    /// Units that fit beside what was charged and what is reserved; below zero where it is fuller than it may be.
    #[inline]
    pub fn room(&mut self, now: Monotonic) -> i128 {
        i128::from(self.limit) - self.spent(now) - self.reserved
    }

    /// Charges `amount`, whether it fits or not: the caller has checked, or states a fact.
    #[inline]
    pub fn charge(&mut self, now: Monotonic, amount: Amount) {
        self.since = self.since.min(now);
        self.buckets.drop_until(now.plus(-self.length));
        self.buckets.add(now, amount.units().unsigned_abs(), self.span);
    }

    /// Gives `amount` back that was charged at a time, if that is still in the window.
    pub fn refund(&mut self, now: Monotonic, charged: Monotonic, amount: Amount) {
        if charged >= self.since && now.since(charged) < self.length {
            self.buckets.take(charged, amount.units().unsigned_abs());
        }
    }

    /// When enough of what was charged has left for so many `units`, beside which nothing is reserved: `now` if it has
    /// by now, `None` if it never will. Looks no further than it must.
    pub fn has_left_at(&mut self, now: Monotonic, units: i128) -> Option<Monotonic> {
        let room = i128::from(self.limit) - units;
        if room < 0 {
            return None;
        }
        let mut excess = self.spent(now) - room;
        let mut at = now;
        for (date, units) in self.buckets.iter() {
            if excess <= 0 {
                break;
            }
            (excess, at) = (excess - i128::from(units), date.plus(self.length));
        }
        Some(at.max(now))
    }

    /// What was charged and when, oldest first, as far as it is still told apart.
    #[must_use]
    pub fn charges(&self) -> Vec<(Monotonic, u64)> {
        self.buckets.iter().collect()
    }

    /// Bytes of memory that the window takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.buckets.heap_bytes()
    }

    /// True if the books of the window agree with themselves.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.reserved >= 0 && self.buckets.is_consistent()
    }
}

fn narrow(limit: Amount) -> u64 {
    u64::try_from(limit.units()).unwrap_or(u64::MAX)
}

const fn span(length: i64, precision: Precision) -> i64 {
    match precision {
        Precision::Bucketed => length / RESOLUTION,
        Precision::Exact => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;
    const MINUTE: i64 = 60 * SECOND;

    fn amount(units: i128) -> Amount {
        Amount::from_units(units).unwrap()
    }

    fn acquire(window: &mut Window, now: i64, units: i128) -> bool {
        let (now, amount) = (Monotonic(now), amount(units));
        let fits = window.fits(now, units);
        if fits {
            window.charge(now, amount);
        }
        fits
    }

    #[test]
    fn a_single_charge_leaves_exactly_on_time() {
        for precision in [Precision::Bucketed, Precision::Exact] {
            let mut window = Window::new(MINUTE, amount(10), precision);
            assert!(acquire(&mut window, 7, 10));
            assert!(!acquire(&mut window, 7 + MINUTE - 1, 1));
            assert!(acquire(&mut window, 7 + MINUTE, 10));
        }
    }

    /// A counter for this minute and the minute before admits 100 at second 59 and 99 more at second 61.
    #[test]
    fn no_burst_at_the_edge_of_a_calendar_minute() {
        let mut window = Window::new(MINUTE, amount(100), Precision::Bucketed);
        let admitted = (0..200).filter(|_| acquire(&mut window, 59 * SECOND, 1)).count();
        let after = (0..200).filter(|_| acquire(&mut window, 61 * SECOND, 1)).count();
        assert_eq!((admitted, after), (100, 0));
    }

    #[test]
    fn memory_is_constant_and_below_two_kib() {
        for length in [MIN_LENGTH_NANOS, MINUTE, MAX_LENGTH_NANOS] {
            let mut window =
                Window::new(length, Amount::from_units(MAX_LIMIT_UNITS).unwrap(), Precision::Bucketed);
            let step = (length / 1_000).max(1);
            for i in 0..10_000 {
                assert!(acquire(&mut window, i * step, 1));
            }
            assert!(window.memory_bytes() <= 2_048, "{} bytes", window.memory_bytes());
            assert!(window.is_consistent());
        }
    }

    #[test]
    fn a_long_silence_inside_a_long_window() {
        let mut window = Window::new(MAX_LENGTH_NANOS, amount(3), Precision::Exact);
        assert!(acquire(&mut window, 0, 2));
        let later = MAX_LENGTH_NANOS - SECOND;
        assert!(acquire(&mut window, later, 1));
        assert!(window.is_consistent());
        assert!(!acquire(&mut window, MAX_LENGTH_NANOS - 1, 1));
        assert!(acquire(&mut window, MAX_LENGTH_NANOS, 2));
        assert!(!acquire(&mut window, later + MAX_LENGTH_NANOS - 1, 1));
        assert!(acquire(&mut window, later + MAX_LENGTH_NANOS, 1));
    }

    #[test]
    fn what_is_given_back_leaves_as_if_it_had_not_been_charged() {
        for precision in [Precision::Bucketed, Precision::Exact] {
            let mut window = Window::new(MINUTE, amount(10), precision);
            assert!(
                acquire(&mut window, 7, 4) && acquire(&mut window, 8, 3) && acquire(&mut window, SECOND, 3)
            );
            window.refund(Monotonic(2 * SECOND), Monotonic(7), amount(4));
            assert_eq!(window.spent(Monotonic(2 * SECOND)), 6);
            // Not what was charged before anything passed the window, nor what has left it.
            window.refund(Monotonic(2 * SECOND), Monotonic(6), amount(4));
            window.refund(Monotonic(8 + MINUTE), Monotonic(8), amount(3));
            assert_eq!(window.spent(Monotonic(2 * SECOND)), 6);
            assert!(window.is_consistent());
        }
    }

    #[test]
    fn a_stated_fact_beyond_every_limit_blocks_until_it_leaves() {
        let mut window = Window::new(MINUTE, amount(MAX_LIMIT_UNITS), Precision::Bucketed);
        window.charge(Monotonic(0), Amount::MAX);
        window.charge(Monotonic(1), Amount::MAX);
        assert!(!acquire(&mut window, MINUTE, 1));
        assert!(acquire(&mut window, MINUTE + 1, MAX_LIMIT_UNITS));
    }

    proptest! {
        /// Against a list of all charges: never above the limit in any window, never later than 1/128.
        #[test]
        fn like_a_list_of_charges(
            length in MIN_LENGTH_NANOS..10 * MINUTE,
            steps in prop::collection::vec((0.0..0.3_f64, 1..60_i128), 1..400),
            exact in any::<bool>(),
        ) {
            let precision = if exact { Precision::Exact } else { Precision::Bucketed };
            let slack = if exact { 0 } else { length / 128 };
            let mut window = Window::new(length, amount(100), precision);
            let (mut now, mut charges) = (0_i64, Vec::<(i64, i128)>::new());
            let within = |charges: &[(i64, i128)], now: i64, age: i64| -> i128 {
                charges.iter().filter(|(at, _)| at + age > now).map(|(_, units)| units).sum()
            };
            for (step, units) in steps {
                // Most steps are short, so that charges share buckets; some jump.
                #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a random step")]
                { now += (step.powi(4) * 100.0 * length as f64) as i64; }
                let retry = window.has_left_at(Monotonic(now), units);
                let admitted = acquire(&mut window, now, units);
                prop_assert_eq!(admitted, retry == Some(Monotonic(now)));
                if admitted {
                    charges.push((now, units));
                    prop_assert!(within(&charges, now, length) <= 100);
                } else {
                    prop_assert!(within(&charges, now, length + slack) + units > 100, "refused too late");
                    let Some(at) = retry else { return Err(TestCaseError::fail("fits one day")) };
                    prop_assert!(!window.fits(Monotonic(at.0 - 1), units));
                    now = at.0;
                    prop_assert!(acquire(&mut window, now, units), "retry time is exact");
                    charges.push((now, units));
                }
                prop_assert!(window.is_consistent());
            }
        }
    }
}

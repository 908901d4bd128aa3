//! A balance and its period: what was granted and spent since the budget was set, and the alarms to come.

use super::alarm::Threshold;
use super::balance::{Balance, Movement};
use super::credits::GivenBack;

/// The books of one budget. In the order in which a debit needs them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Books {
    /// What remains when the next alarm may be due: one comparison tells whether to look for one.
    look_at: i128,
    pub(super) balance: Balance,
    /// `balance.spent` when the current period began: at creation, or when the budget was last set.
    pub(super) spent_before: i128,
    /// What the current period began with: what had been granted then, less what was spent.
    pub(super) initial: i128,
    /// An agent is told when less than this remains; `i128::MIN` if nobody asks.
    low: i128,
    /// That less remains was told, and it has not been more since.
    is_low: bool,
    /// Thresholds that the share spent has crossed and not fallen below again.
    alarms: u32,
    /// Of the periods of all accounts, which one the current one was.
    begun: u64,
}

/// The alarms that a movement has set off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rung {
    /// The highest threshold that was crossed.
    pub(super) crossed: Option<Threshold>,
    /// Less remains than was asked for.
    pub(super) is_low: bool,
}

impl Default for Books {
    fn default() -> Self {
        Self::new(Balance::default())
    }
}

impl Books {
    pub(super) const fn new(balance: Balance) -> Self {
        let (spent_before, initial) = (0, 0);
        Self {
            balance,
            spent_before,
            initial,
            look_at: i128::MIN,
            low: i128::MIN,
            is_low: false,
            alarms: 0,
            begun: 0,
        }
    }

    /// What was granted in the current period.
    pub(super) const fn period_granted(&self) -> i128 {
        self.balance.granted - self.spent_before
    }

    /// What was spent in the current period.
    pub(super) const fn period_spent(&self) -> i128 {
        self.balance.spent - self.spent_before
    }

    /// Makes `units` remain and begins a period.
    pub(super) fn begin_period(&mut self, units: i128, era: u64, thresholds: &[Threshold]) {
        self.balance.set_remaining(units);
        self.spent_before = self.balance.spent;
        self.initial = self.period_granted();
        self.alarms = 0;
        self.begun = era;
        self.arm(thresholds);
    }

    /// Gives part of a charge back that was made in an era: in the current period it remains; in an earlier one, which
    /// is over, it was never spent, and what the base had paid has lapsed with the rest. A credit that has ended gives
    /// nothing back, one that runs does whenever that was.
    pub(super) fn refund(&mut self, given: GivenBack, era: u64, thresholds: &[Threshold]) {
        let GivenBack { base, running, ended } = given;
        let is_current = self.begun <= era;
        let remains = running + if is_current { base } else { 0 };
        let units = base + running + ended;
        self.balance.spent -= units;
        self.balance.remaining += remains;
        self.balance.granted -= units - remains;
        if !is_current {
            self.spent_before -= units;
        }
        self.arm(thresholds);
    }

    /// Moves what was granted, and so what remains, within the current period.
    pub(super) fn move_grant(&mut self, units: i128, thresholds: &[Threshold]) {
        self.balance.set_remaining(self.balance.remaining + units);
        self.arm(thresholds);
    }

    /// Moves money. Returns the alarms that it has set off, if there may be any.
    #[inline]
    pub(super) fn apply(&mut self, movement: &Movement, thresholds: &[Threshold]) -> Option<Rung> {
        movement.apply(&mut self.balance);
        (self.balance.remaining <= self.look_at).then(|| self.ring(thresholds))
    }

    /// Asks to be told when less than `low` remains.
    pub(super) fn watch_low(&mut self, low: i128, thresholds: &[Threshold]) {
        self.low = low;
        self.is_low = false;
        self.arm(thresholds);
    }

    /// To be called when something was given back: who has enough again is told the next time.
    #[inline]
    pub(super) fn calm(&mut self, thresholds: &[Threshold]) {
        if self.is_low {
            self.arm(thresholds);
        }
    }

    /// Sets the mark for the alarms to come, those of thresholds that the share spent has fallen below again included.
    /// To be called whenever what was granted has changed, or what was spent has become less.
    fn arm(&mut self, thresholds: &[Threshold]) {
        while self
            .crossing(thresholds, self.alarms.wrapping_sub(1))
            .is_some_and(|spent| self.balance.spent < spent)
        {
            self.alarms -= 1;
        }
        self.is_low &= self.balance.remaining < self.low;
        let next = self.crossing(thresholds, self.alarms);
        let crossed = next.map_or(i128::MIN, |spent| self.balance.granted - spent);
        let low = if self.is_low { i128::MIN } else { self.low.saturating_sub(1) };
        self.look_at = crossed.max(low);
    }

    /// Units spent at which a threshold is crossed, by its place. Nothing is a share of nothing.
    fn crossing(&self, thresholds: &[Threshold], place: u32) -> Option<i128> {
        let granted = self.period_granted();
        let threshold = thresholds.get(place as usize).filter(|_| granted > 0)?;
        Some(self.spent_before + threshold.of(granted))
    }

    #[cold]
    fn ring(&mut self, thresholds: &[Threshold]) -> Rung {
        let mut crossed = None;
        while self.crossing(thresholds, self.alarms).is_some_and(|spent| self.balance.spent >= spent) {
            crossed = thresholds.get(self.alarms as usize).copied();
            self.alarms += 1;
        }
        let is_low = self.balance.remaining < self.low && !self.is_low;
        self.is_low |= is_low;
        self.arm(thresholds);
        Rung { crossed, is_low }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use proptest::prelude::*;

    /// What is told, one threshold after the other and without any mark: each when the share spent reaches it, and again
    /// when it has been below it since.
    #[derive(Default)]
    struct Naive {
        told: Vec<Threshold>,
    }

    impl Naive {
        fn look(&mut self, books: &Books, thresholds: &[Threshold], was_moved: bool) -> Option<Threshold> {
            let (granted, spent) = (books.period_granted(), books.period_spent());
            let is_reached = |t: &Threshold| spent * 1_000_000 >= granted * i128::from(t.0);
            if granted > 0 {
                self.told.retain(is_reached);
            }
            if !was_moved || granted <= 0 {
                return None;
            }
            let new = |t: &&Threshold| is_reached(t) && !self.told.contains(t);
            let crossed: Vec<_> = thresholds.iter().filter(new).copied().collect();
            self.told.extend(&crossed);
            crossed.last().copied()
        }
    }

    fn amount(units: i128) -> Amount {
        Amount::from_units(units).unwrap()
    }

    proptest! {
        #[test]
        fn a_threshold_is_told_again_after_the_share_was_below_it(
            steps in prop::collection::vec((0..6_u8, 0..60_i128), 1..80),
            shares in prop::collection::btree_set(1..=1_000_000_u32, 0..5),
        ) {
            let thresholds: Vec<_> = shares.into_iter().map(Threshold).collect();
            let (mut books, mut naive) = (Books::default(), Naive::default());
            books.begin_period(100, 1, &thresholds);
            for (kind, units) in steps {
                let reserved = units.min(books.balance.reserved);
                let movement = match kind {
                    0 => {
                        books.begin_period(units, 1, &thresholds);
                        naive.told.clear();
                        continue;
                    }
                    1 | 2 => {
                        let taken = units.min(books.balance.remaining.max(0));
                        books.move_grant(if kind == 1 { units } else { -taken }, &thresholds);
                        prop_assert_eq!(naive.look(&books, &thresholds, false), None);
                        continue;
                    }
                    3 => Movement::debit(amount(units), true),
                    4 => Movement::reserve(amount(units), true),
                    _ => Movement::settle(amount(reserved), amount(units), true),
                };
                let told = books.apply(&movement, &thresholds).and_then(|rung| rung.crossed);
                prop_assert_eq!(told, naive.look(&books, &thresholds, true));
            }
        }
    }
}

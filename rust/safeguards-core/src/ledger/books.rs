//! A balance and its period: what was granted and spent since the budget was set, and the alarms to come.

use super::alarm::Threshold;
use super::balance::{Balance, Movement};

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
    /// Thresholds crossed in this period.
    alarms: u32,
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
        Self { balance, spent_before, initial, look_at: i128::MIN, low: i128::MIN, is_low: false, alarms: 0 }
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
    pub(super) fn begin_period(&mut self, units: i128, thresholds: &[Threshold]) {
        self.balance.set_remaining(units);
        self.spent_before = self.balance.spent;
        self.initial = self.period_granted();
        self.alarms = 0;
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

    /// Sets the mark for the alarms to come. To be called when what was granted has changed.
    fn arm(&mut self, thresholds: &[Threshold]) {
        self.is_low &= self.balance.remaining < self.low;
        let crossed = self.next_crossing(thresholds).map_or(i128::MIN, |spent| self.balance.granted - spent);
        let low = if self.is_low { i128::MIN } else { self.low.saturating_sub(1) };
        self.look_at = crossed.max(low);
    }

    /// Units spent at which the next threshold is crossed.
    fn next_crossing(&self, thresholds: &[Threshold]) -> Option<i128> {
        let granted = self.period_granted();
        let next = thresholds.get(self.alarms as usize).filter(|_| granted > 0)?;
        Some(self.spent_before + next.of(granted))
    }

    #[cold]
    fn ring(&mut self, thresholds: &[Threshold]) -> Rung {
        let mut crossed = None;
        while self.next_crossing(thresholds).is_some_and(|spent| self.balance.spent >= spent) {
            crossed = thresholds.get(self.alarms as usize).copied();
            self.alarms += 1;
        }
        let is_low = self.balance.remaining < self.low && !self.is_low;
        self.is_low |= is_low;
        self.arm(thresholds);
        Rung { crossed, is_low }
    }
}

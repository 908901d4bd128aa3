//! A balance and its period: what was granted and spent since the budget was set, and the next threshold.

use super::alarm::Threshold;
use super::balance::{Balance, Movement};

/// The books of one budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct Books {
    pub(super) balance: Balance,
    /// `balance.spent` when the current period began: at creation, or when the budget was last set.
    pub(super) spent_before: i128,
    /// What the current period began with: what had been granted then, less what was spent.
    pub(super) initial: i128,
    /// `balance.spent` at which the next threshold is crossed.
    alarm_at: i128,
    /// Thresholds crossed in this period.
    alarms: u32,
}

impl Default for Books {
    fn default() -> Self {
        Self::new(Balance::default())
    }
}

impl Books {
    pub(super) const fn new(balance: Balance) -> Self {
        Self { balance, spent_before: 0, initial: 0, alarm_at: i128::MAX, alarms: 0 }
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

    /// Moves money. Returns the highest threshold that was crossed, if any was.
    #[inline]
    pub(super) fn apply(&mut self, movement: &Movement, thresholds: &[Threshold]) -> Option<Threshold> {
        movement.apply(&mut self.balance);
        if self.balance.spent >= self.alarm_at { self.cross(thresholds) } else { None }
    }

    /// Sets the alarm to the next threshold of what the period was granted.
    fn arm(&mut self, thresholds: &[Threshold]) {
        let granted = self.period_granted();
        let next = thresholds.get(self.alarms as usize).filter(|_| granted > 0);
        self.alarm_at = next.map_or(i128::MAX, |share| self.spent_before + share.of(granted));
    }

    #[cold]
    fn cross(&mut self, thresholds: &[Threshold]) -> Option<Threshold> {
        let mut crossed = None;
        while self.balance.spent >= self.alarm_at {
            crossed = thresholds.get(self.alarms as usize).copied();
            self.alarms += 1;
            self.arm(thresholds);
        }
        crossed
    }
}

//! Thresholds of what is spent, told once each in a period.

use std::sync::Arc;

use super::Ledger;
use super::account::Kind;
use super::balance::Balance;
use super::books::Books;
use crate::sync::Ordering;

/// A share of a budget, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(pub u32);

impl Threshold {
    /// The least number of units that is at least this share of `units`.
    pub(super) const fn of(self, units: i128) -> i128 {
        let scaled = units * self.0 as i128;
        scaled.div_euclid(1_000_000) + (scaled.rem_euclid(1_000_000) != 0) as i128
    }
}

/// A budget was spent by more than a share of what its period was granted.
#[derive(Clone, Debug)]
pub struct Crossing {
    /// The account's id.
    pub account: Arc<str>,
    /// Agent or pool.
    pub kind: Kind,
    /// Which of its resources; `None` for its money.
    pub resource: Option<Arc<str>>,
    /// The highest threshold crossed by the charge.
    pub threshold: Threshold,
    /// The books after the charge.
    pub balance: Balance,
    /// What the period was granted, in units.
    pub period_granted: i128,
    /// What the period has spent, in units.
    pub period_spent: i128,
}

/// Crossings kept until they are taken. Nobody who listens lets them pile up; without a listener the newest
/// ones are dropped.
const MAX_PENDING: usize = 4_096;

impl Ledger {
    #[cold]
    pub(super) fn report_crossing(
        &self,
        account: &Arc<str>,
        kind: Kind,
        resource: Option<&Arc<str>>,
        threshold: Threshold,
        books: &Books,
    ) {
        let mut pending = self.crossings.lock();
        if pending.len() < MAX_PENDING {
            pending.push(Crossing {
                account: Arc::clone(account),
                kind,
                resource: resource.map(Arc::clone),
                threshold,
                balance: books.balance,
                period_granted: books.period_granted(),
                period_spent: books.period_spent(),
            });
        }
        self.has_crossings.store(true, Ordering::Release);
    }

    /// True if thresholds were crossed since [`take_crossings`](Self::take_crossings). One load.
    #[inline]
    pub fn has_crossings(&self) -> bool {
        self.has_crossings.load(Ordering::Acquire)
    }

    /// Thresholds crossed since the last call, oldest first.
    pub fn take_crossings(&self) -> Vec<Crossing> {
        let mut pending = self.crossings.lock();
        self.has_crossings.store(false, Ordering::Release);
        std::mem::take(&mut *pending)
    }
}

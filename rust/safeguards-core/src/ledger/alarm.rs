//! Alarms: shares of a budget that are spent, each told once in a period, and agents that run low.
//!
//! Both are looked for when what remains falls to a mark, see [`Books`]: a threshold of what is spent is one of
//! what remains, as long as nothing is reserved. Where something is, the look comes early and finds nothing yet.

use std::sync::Arc;

use super::Ledger;
use super::account::Kind;
use super::balance::Balance;
use super::books::{Books, Rung};
use super::change::AccountChange;
use super::error::LedgerError;
use super::operation::OperationId;
use super::refusals::Refusing;
use crate::amount::Amount;
use crate::sync::Ordering;

/// A share of a budget, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(pub u32);

impl Threshold {
    /// The least number of units that is at least this share of `units`.
    pub(super) const fn of(self, units: i128) -> i128 {
        // In two parts, neither of which leaves the range that `units` is in.
        let (wholes, rest) = (units.div_euclid(1_000_000), units.rem_euclid(1_000_000) * self.0 as i128);
        wholes.saturating_mul(self.0 as i128).saturating_add((rest + 999_999) / 1_000_000)
    }
}

/// Something that somebody wants to know.
#[derive(Clone, Debug)]
pub enum Alarm {
    /// An account spent more than a share of what its period was granted.
    Crossing(Crossing),
    /// An account refuses more often than it should be quiet about.
    Refusing(Refusing),
    /// An account that warns would have refused: told once, until it admits again.
    WouldRefuse(Warning),
    /// A settlement cost more than the overdraft limits of its path let it charge.
    Unpaid(Unpaid),
    /// An agent has less left than it was [watched](Ledger::watch_low) for.
    Low {
        /// The agent's id.
        agent: Arc<str>,
        /// What remains, in units.
        remaining: i128,
    },
}

/// An account that does not enforce would have refused.
#[derive(Clone, Debug)]
pub struct Warning {
    /// The account's id.
    pub account: Arc<str>,
    /// Agent or pool.
    pub kind: Kind,
    /// The books before the charge.
    pub balance: Balance,
    /// What it would have refused.
    pub requested: Amount,
}

/// What a settlement cost beyond the overdraft limits of its path.
#[derive(Clone, Debug)]
pub struct Unpaid {
    /// Whose settlement it was.
    pub agent: Arc<str>,
    /// What was charged.
    pub charged: Amount,
    /// What was not.
    pub unpaid: Amount,
    /// What for.
    pub operation: OperationId,
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

/// Alarms kept until they are taken. Who listens takes them after each call, so that only a batch lets more than
/// a few pile up; without a listener the newest ones are dropped.
const MAX_PENDING: usize = 1 << 20;

impl Ledger {
    /// Tells of each agent right below a pool, now or later, of which less than `low` remains after a charge or a
    /// reservation: once, until its budget is raised or more than that is given back, or until it is watched anew.
    /// `None` ends it.
    pub fn watch_low(&self, pool: &str, low: Option<Amount>) -> Result<(), LedgerError> {
        let (pool, at) = (self.pool(pool)?, self.instant());
        // Nobody is registered or leaves meanwhile.
        let slots = self.directory.slots();
        let below: Vec<_> = pool.lock().agents_below().collect();
        let mut agents: Vec<_> =
            below.iter().filter_map(|slot| slots.agent(*slot)).map(|agent| agent.lock()).collect();
        self.change(&pool, &mut pool.lock(), &AccountChange::LowWatched(low), at)?;
        for agent in &mut agents {
            agent.watch_low(low, self);
        }
        Ok(())
    }

    /// Tells what a movement has set off.
    #[cold]
    pub(super) fn report(
        &self,
        account: &Arc<str>,
        kind: Kind,
        resource: Option<&Arc<str>>,
        books: &Books,
        rung: Rung,
    ) {
        if let Some(threshold) = rung.crossed {
            self.keep(Alarm::Crossing(Crossing {
                account: Arc::clone(account),
                kind,
                resource: resource.map(Arc::clone),
                threshold,
                balance: books.balance,
                period_granted: books.period_granted(),
                period_spent: books.period_spent(),
            }));
        }
        if rung.is_low {
            self.keep(Alarm::Low { agent: Arc::clone(account), remaining: books.balance.remaining });
        }
    }

    pub(super) fn keep(&self, alarm: Alarm) {
        let mut pending = self.alarms.lock();
        if pending.len() < MAX_PENDING {
            pending.push(alarm);
        }
        self.has_alarms.store(true, Ordering::Release);
    }

    /// True if there were alarms since [`take_alarms`](Self::take_alarms). One load.
    #[inline]
    pub fn has_alarms(&self) -> bool {
        self.has_alarms.load(Ordering::Acquire)
    }

    /// Alarms since the last call, oldest first.
    pub fn take_alarms(&self) -> Vec<Alarm> {
        let mut pending = self.alarms.lock();
        self.has_alarms.store(false, Ordering::Release);
        std::mem::take(&mut *pending)
    }
}

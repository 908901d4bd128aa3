//! The books of all accounts at once, as columns: what is scraped every few seconds.

use std::sync::Arc;

use super::Ledger;
use super::account::{Account, Kind};
use super::read::{Refusals, Snapshot};

/// Amounts, exact in whole and billionths of the unit, and rounded for display.
#[derive(Clone, Debug, Default)]
pub struct Money {
    /// Whole units, rounded down.
    pub whole: Vec<i64>,
    /// Billionths on top, 0 to 999,999,999.
    pub billionths: Vec<i64>,
    /// The same, rounded to the nearest float.
    pub rounded: Vec<f64>,
}

/// The books of accounts, one row for each: agents by slot, then pools by id.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Ids.
    pub ids: Vec<Arc<str>>,
    /// Whether it is a pool.
    pub is_pool: Vec<bool>,
    /// 1 to 10.
    pub priority: Vec<u8>,
    /// All that was granted, less what was taken back.
    pub granted: Money,
    /// What may still be spent.
    pub remaining: Money,
    /// How much of that is kept for calls that wait.
    pub kept: Money,
    /// Set aside.
    pub reserved: Money,
    /// Charged so far.
    pub spent: Money,
    /// Granted in the current period.
    pub period_granted: Money,
    /// Charged in the current period.
    pub period_spent: Money,
    /// What remains of credits.
    pub credits: Money,
    /// Active reservations.
    pub reservations: Vec<i64>,
    /// How often its budget has refused.
    pub budget_refusals: Vec<i64>,
    /// How often one of its windows has refused.
    pub window_refusals: Vec<i64>,
    /// How often it has refused for whatever reason.
    pub refusals: Vec<i64>,
}

const BILLION: i128 = 1_000_000_000;

impl Money {
    fn push(&mut self, units: i128) {
        #[expect(clippy::cast_possible_truncation, reason = "books add up to less than 2^63 whole units")]
        let (whole, billionths) = (units.div_euclid(BILLION) as i64, units.rem_euclid(BILLION) as i64);
        self.whole.push(whole);
        self.billionths.push(billionths);
        #[expect(clippy::cast_precision_loss, reason = "for display")]
        self.rounded.push(units as f64 / 1e9);
    }
}

impl Columns {
    fn push(&mut self, account: &Account, (snapshot, refusals): (Snapshot, Refusals)) {
        let Snapshot { balance, kept, period_granted, period_spent, priority, reservations, credits, .. } =
            snapshot;
        self.ids.push(Arc::clone(&account.id));
        self.is_pool.push(account.kind() == Kind::Pool);
        self.priority.push(priority);
        self.granted.push(balance.granted);
        self.remaining.push(balance.remaining);
        self.kept.push(kept);
        self.reserved.push(balance.reserved);
        self.spent.push(balance.spent);
        self.period_granted.push(period_granted);
        self.period_spent.push(period_spent);
        self.credits.push(credits);
        self.reservations.push(reservations.try_into().unwrap_or(i64::MAX));
        self.budget_refusals.push(refusals.budget.try_into().unwrap_or(i64::MAX));
        self.window_refusals.push(refusals.window.try_into().unwrap_or(i64::MAX));
        self.refusals.push(refusals.all.try_into().unwrap_or(i64::MAX));
    }
}

impl Ledger {
    /// The books of every account. Each row is of one instant; rows may be of different ones, as nothing stands still
    /// meanwhile. An agent that leaves meanwhile has no row.
    #[must_use]
    pub fn columns(&self) -> Columns {
        self.expire_due();
        let (mut columns, now) = (Columns::default(), self.clock.wall());
        for agent in self.agents() {
            let state = agent.lock_renewed(self, now);
            if !state.closed {
                columns.push(&agent, (state.snapshot(), state.refusals()));
            }
        }
        let mut pools = self.directory.pools();
        pools.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        for pool in pools {
            let state = pool.lock_renewed(self, now);
            columns.push(&pool, (state.snapshot(), state.refusals()));
        }
        columns
    }
}

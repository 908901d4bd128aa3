//! Budgets given and taken: updates, adjustments, transfers, renewals.

use std::sync::Arc;

use super::Ledger;
use super::account::{Account, Kind};
use super::change::{AccountChange, Change, Instant};
use super::error::LedgerError;
use super::event::EventKind;
use super::state::State;
use crate::amount::{Amount, Units};
use crate::sync::MutexGuard;

impl Ledger {
    /// Makes `budget` remain for an agent, whatever its pools say: what it has beside its credits. They are cut only where
    /// they are more than that, the one that ends last first.
    pub fn update_budget(&self, agent: &str, budget: Amount) -> Result<(), LedgerError> {
        // What expires later would add to what was just set.
        self.expire_due();
        let at = self.instant();
        self.directory.with_agent(agent, |agent| {
            let mut state = agent.lock_renewed(self, at.wall);
            state.check_open(agent)?;
            agent.check_max(&state, budget.units() - state.books.balance.remaining, self, at.wall)?;
            self.change(agent, &mut state, &AccountChange::Granted { budget, era: self.eras.begin() }, at)
        })?;
        self.serve_waiting();
        Ok(())
    }

    /// Makes `budget` remain for a pool. Later periods begin with what they did before.
    pub fn update_pool_budget(&self, pool: &str, budget: Amount) -> Result<(), LedgerError> {
        self.expire_due();
        let (pool, at) = (self.directory.pool(pool)?, self.instant());
        let mut state = pool.lock_renewed(self, at.wall);
        self.change(&pool, &mut state, &AccountChange::Granted { budget, era: self.eras.begin() }, at)?;
        drop(state);
        self.serve_waiting();
        Ok(())
    }

    /// Adds `change` units to what remains for an agent, or takes them away, within the current period.
    /// Takes at most what remains, and nothing of credits.
    ///
    /// Returns the change that was made.
    pub fn adjust_budget(&self, agent: &str, change: i128) -> Result<i128, LedgerError> {
        self.expire_due();
        let at = self.instant();
        let made = self.directory.with_agent(agent, |agent| {
            let mut state = agent.lock_renewed(self, at.wall);
            state.check_open(agent)?;
            self.adjust(agent, &mut state, change, at)
        })?;
        self.serve_waiting();
        Ok(made)
    }

    /// As [`adjust_budget`](Self::adjust_budget), of a pool. Later periods begin with what they did before.
    pub fn adjust_pool_budget(&self, pool: &str, change: i128) -> Result<i128, LedgerError> {
        self.expire_due();
        let (pool, at) = (self.directory.pool(pool)?, self.instant());
        let made = self.adjust(&pool, &mut pool.lock_renewed(self, at.wall), change, at)?;
        self.serve_waiting();
        Ok(made)
    }

    fn adjust(
        &self,
        account: &Account,
        state: &mut State,
        change: i128,
        at: Instant,
    ) -> Result<i128, LedgerError> {
        let change = account.adjustable(state, change)?;
        account.check_max(state, change, self, at.wall)?;
        if change != 0 {
            self.change(account, state, &AccountChange::Adjusted(change), at)?;
        }
        Ok(change)
    }

    /// What later periods of an agent or a pool begin with. The current one stays as it is.
    pub fn set_period_budget(&self, id: &str, budget: Amount) -> Result<(), LedgerError> {
        let (account, at) = (self.account_by_id(id)?, self.instant());
        let mut state = account.lock_renewed(self, at.wall);
        state.check_open(&account)?;
        if state.renewals().is_none() {
            return Err(LedgerError::Configuration(no_periods(&account)));
        }
        self.change(&account, &mut state, &AccountChange::PeriodBudgetSet(budget), at)
    }

    /// Makes a change in one account, whose lock is held.
    pub(super) fn change(
        &self,
        account: &Account,
        state: &mut State,
        change: &AccountChange,
        at: Instant,
    ) -> Result<(), LedgerError> {
        self.write_account(account.number, change, at)?;
        state.apply(change, at, self);
        self.waiting.signal(account, true);
        Ok(())
    }

    /// Moves budget between two agents, of one pool or of two: the pools are not touched. Credits are not moved.
    pub fn transfer(&self, from: &str, to: &str, amount: Amount) -> Result<(), LedgerError> {
        let (from, to) = (self.agent(from)?, self.agent(to)?);
        if Arc::ptr_eq(&from, &to) {
            return Err(LedgerError::Configuration(format!(
                "a transfer from {:?} to itself: name two agents",
                from.id
            )));
        }
        let at = self.instant();
        self.retry_after_expiry(|| self.transfer_once(&from, &to, amount, at))?;
        self.serve_waiting();
        Ok(())
    }

    fn transfer_once(
        &self,
        from: &Arc<Account>,
        to: &Arc<Account>,
        amount: Amount,
        at: Instant,
    ) -> Result<(), LedgerError> {
        let (mut giver, mut taker) = lock_two(from, to);
        from.renew_if_due(&mut giver, self, at.wall);
        to.renew_if_due(&mut taker, self, at.wall);
        giver.check_open(from)?;
        taker.check_open(to)?;
        let units = amount.units();
        let remaining = giver.books.balance.remaining;
        if remaining - giver.kept() < units {
            return Err(from.refusal(&giver, units).into());
        }
        if giver.base() < units {
            return Err(from.transfer_refusal(&giver, units).into());
        }
        to.check_max(&taker, units, self, at.wall)?;
        to.check_room(&taker, units)?;
        if units > 0 {
            let (giving, taking) = (from.number, to.number);
            self.write(|| (at, Change::Transferred { from: giving, to: taking, amount }))?;
            self.move_budget(&mut giver, &mut taker, amount, at);
            self.waiting.signal(to, true);
        }
        Ok(())
    }

    /// Moves budget from one agent to another.
    pub(super) fn move_budget(&self, giver: &mut State, taker: &mut State, amount: Amount, at: Instant) {
        giver.adjust(-amount.units(), EventKind::TransferOut, at.wall, self);
        taker.adjust(amount.units(), EventKind::TransferIn, at.wall, self);
    }
}

/// Locks two agents, by slot, so that two transfers in opposite directions cannot wait for each other.
pub(super) fn lock_two<'a>(
    from: &'a Account,
    to: &'a Account,
) -> (MutexGuard<'a, State>, MutexGuard<'a, State>) {
    if from.slot() < to.slot() {
        let giver = from.lock();
        return (giver, to.lock());
    }
    let taker = to.lock();
    (from.lock(), taker)
}

impl Account {
    /// As much of an adjustment as can be made: at most what remains is taken, and nothing of credits.
    pub(super) fn adjustable(&self, state: &State, change: i128) -> Result<i128, LedgerError> {
        // An event holds no more than an amount, and so no more is taken at once.
        let change = change.max(-state.base().clamp(0, Amount::MAX.units()));
        if Amount::from_units(change.abs()).is_none() {
            return Err(self.overfull(state, change));
        }
        self.check_room(state, change)?;
        Ok(change)
    }

    /// Refuses more than an account can have.
    pub(super) fn check_room(&self, state: &State, change: i128) -> Result<(), LedgerError> {
        if state.has_room(change) { Ok(()) } else { Err(self.overfull(state, change)) }
    }

    #[cold]
    fn overfull(&self, state: &State, change: i128) -> LedgerError {
        LedgerError::Configuration(format!(
            "{:?} has {} left and cannot get {} more: a budget must not be raised above {}",
            self.id,
            Units(state.books.balance.remaining),
            Units(change),
            Amount::MAX,
        ))
    }
}

/// What an account answers that is granted its budget once.
pub(super) fn no_periods(account: &Account) -> String {
    let (kind, update) = match account.kind() {
        Kind::Agent => ("agent", "update_budget"),
        Kind::Pool => ("pool", "update_pool_budget"),
    };
    format!("{kind} {:?} has no budget_period, and so no later periods to change: use {update}", account.id)
}

impl State {
    /// Whether so much more may remain. What is given back always may: it was granted before.
    fn has_room(&self, change: i128) -> bool {
        change <= 0 || self.books.balance.remaining.saturating_add(change) <= Amount::MAX.units()
    }
}

//! Decisions of controllers, carried out: one account, all of a decision in one step, with who made it and why.

use super::Ledger;
use super::account::{Account, Kind};
use super::change::{AccountChange, Change, Executed, Instant};
use super::error::LedgerError;
use super::grant::no_periods;
use super::state::State;
use crate::amount::Amount;

/// What a decision wants of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// More remains in the current period, or less, and later periods of a pool begin with more, or less.
    Adjust {
        /// Units for what remains.
        by: i128,
        /// Units for what later periods begin with.
        later_periods: i128,
    },
    /// So much remains beside credits, and a period begins with it.
    Set(Amount),
}

/// A decision as the ledger sees it.
#[derive(Clone, Copy, Debug)]
pub struct Execution<'a> {
    /// Whether the account is an agent or a pool.
    pub kind: Kind,
    /// Its id.
    pub account: &'a str,
    /// What is to change.
    pub order: Order,
    /// Who decided it.
    pub actor: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// What an execution has changed, in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What remained before.
    pub before: i128,
    /// By how much that changed.
    pub by: i128,
    /// By how much changed what later periods begin with.
    pub later_periods: i128,
}

impl Ledger {
    /// Carries a decision out, all of it or nothing. Less is taken only where less remains: never more than that.
    ///
    /// # Errors
    /// [`LedgerError::Pinned`] if controllers are to leave the budget alone. A pin that was set before this call is
    /// kept, and once [`pin`](Self::pin) has returned, nothing is carried out any more.
    pub fn execute(&self, execution: &Execution<'_>) -> Result<Moved, LedgerError> {
        self.expire_due();
        let account = match execution.kind {
            Kind::Agent => self.agent(execution.account)?,
            Kind::Pool => self.directory.pool(execution.account)?,
        };
        let pins = self.pins.lock();
        if pins.contains(execution.account) {
            return Err(LedgerError::Pinned(execution.account.into()));
        }
        let at = self.instant();
        let mut state = account.lock_renewed(self, at.wall);
        state.check_open(&account)?;
        let (changes, moved) = follow(self, &account, &state, execution.order, at)?;
        if !changes.is_empty() {
            let executed = executed(&account, changes, execution);
            self.write(|| (at, Change::Executed(executed.clone())))?;
            self.carry_out(&account, &mut state, &executed, at);
            self.waiting.signal(&account, true);
        }
        drop((state, pins));
        self.serve_waiting();
        Ok(moved)
    }
}

/// What follows from an order: the changes, and what they change.
fn follow(
    ledger: &Ledger,
    account: &Account,
    state: &State,
    order: Order,
    at: Instant,
) -> Result<(Vec<AccountChange>, Moved), LedgerError> {
    let before = state.books.balance.remaining;
    // What a person bounds, no controller exceeds.
    let most = account.grantable(state, ledger, at.wall);
    match order {
        Order::Set(budget) => {
            let wanted = budget.units() + state.credits_left();
            let by = (wanted - before).min(most);
            let budget = Amount::from_units((before + by).max(0)).unwrap_or(Amount::MAX);
            let by = budget.units() - before;
            Ok((
                vec![AccountChange::Granted { budget, era: ledger.eras.begin() }],
                Moved { before, by, later_periods: 0 },
            ))
        }
        Order::Adjust { by, later_periods } => {
            let by = account.adjustable(state, by.min(most))?;
            let later = (later_periods != 0).then(|| later(account, state, later_periods)).transpose()?;
            let mut changes = Vec::with_capacity(2);
            if by != 0 {
                changes.push(AccountChange::Adjusted(by));
            }
            let mut moved = Moved { before, by, later_periods: 0 };
            if let Some((old, new)) = later.filter(|(old, new)| old != new) {
                moved.later_periods = new.units() - old.units();
                changes.push(AccountChange::PeriodBudgetSet(new));
            }
            Ok((changes, moved))
        }
    }
}

/// What later periods of a pool begin with, before and after: nothing at least, and the most that there is.
fn later(account: &Account, state: &State, units: i128) -> Result<(Amount, Amount), LedgerError> {
    let Some(old) = state.renewals().map(|renewals| renewals.budget) else {
        return Err(LedgerError::Configuration(no_periods(account)));
    };
    let most = state.max_budget().unwrap_or(Amount::MAX);
    let new = old.units().saturating_add(units).clamp(0, most.units());
    Ok((old, Amount::from_units(new).unwrap_or(old)))
}

fn executed(account: &Account, changes: Vec<AccountChange>, execution: &Execution<'_>) -> Executed {
    Executed {
        account: account.number,
        changes: changes.into(),
        actor: execution.actor.into(),
        reason: execution.reason.into(),
    }
}

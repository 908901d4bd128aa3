//! Credits: money of an account that ends by itself.
//!
//! A credit begins and ends by a [`Change`]. Who looks at an account when one is over ends it first, as periods are
//! renewed: the span of time that every operation compares with now ends with the period or with the first credit,
//! whichever is sooner. What is still reserved of it can be charged, and is gone when it comes back.

mod purse;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use purse::{Credit, CreditId, MAX_CREDITS};
pub(super) use purse::{GivenBack, Purse};

use super::Ledger;
use super::account::Account;
use super::balance::Movement;
use super::change::{AccountChange, Change, Credited, Instant};
use super::error::{BudgetRefusal, LedgerError};
use super::event::EventKind;
use super::operation::OperationId;
use super::path::line;
use super::state::State;
use crate::amount::Amount;
use crate::clock::Wall;
use crate::sync::MutexGuard;

/// Credits of all accounts that have begun: the last one's number.
#[derive(Debug, Default)]
pub(super) struct CreditIds(AtomicU64);

impl CreditIds {
    fn next(&self) -> CreditId {
        CreditId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A change says that this one has begun.
    pub(super) fn skip_to(&self, id: CreditId) {
        self.0.fetch_max(id.0, Ordering::Relaxed);
    }
}

impl Ledger {
    /// Gives an agent or a pool `amount` until `expires_at`; the pool where both have this id. Returns how the credit begins:
    /// where the account was below zero, some of it is spent.
    ///
    /// # Errors
    /// It is over already, or nothing, or more than an account can have or may. Nothing was changed.
    pub fn credit(&self, id: &str, amount: Amount, expires_at: Wall) -> Result<Credit, LedgerError> {
        self.find_and_credit(id, |account| vec![account], amount, expires_at)
    }

    /// As [`credit`](Self::credit), of an account and every pool above it in one step, under one id: what the account
    /// is credited can be spent whatever its pools have.
    ///
    /// # Errors
    /// As [`credit`](Self::credit): then none of them was credited.
    pub fn credit_line(&self, id: &str, amount: Amount, expires_at: Wall) -> Result<Credit, LedgerError> {
        self.find_and_credit(id, |account| line(account).collect(), amount, expires_at)
    }

    fn find_and_credit(
        &self,
        id: &str,
        which: impl Fn(&Arc<Account>) -> Vec<&Arc<Account>>,
        amount: Amount,
        expires_at: Wall,
    ) -> Result<Credit, LedgerError> {
        loop {
            let account = self.account_by_id(id)?;
            match self.credit_all(&which(&account), amount, expires_at) {
                // It has moved below another pool since it was found.
                Err(LedgerError::UnknownAgent(_)) if account.lock().mode.has_moved() => {}
                outcome => {
                    self.serve_waiting();
                    return outcome;
                }
            }
        }
    }

    /// Every credit of an account that runs, in the order in which they end; after those that have ended, as far as they
    /// are remembered: the newest 64, and all of which something is reserved.
    pub fn credits(&self, account: &Account) -> Result<Vec<Credit>, LedgerError> {
        Ok(self.read(account)?.credits())
    }

    /// Where one credit of an account stands; `None` if it never had it, or if that has ended and is forgotten.
    pub fn credit_of(&self, account: &Account, id: CreditId) -> Result<Option<Credit>, LedgerError> {
        Ok(self.read(account)?.credit_of(id))
    }

    /// Credits accounts, given in the order of their locks.
    fn credit_all(
        &self,
        accounts: &[&Arc<Account>],
        amount: Amount,
        expires_at: Wall,
    ) -> Result<Credit, LedgerError> {
        self.expire_due();
        let at = self.instant();
        check(amount, expires_at, at.wall)?;
        let mut states = Vec::with_capacity(accounts.len());
        for account in accounts {
            let state = account.lock_renewed(self, at.wall);
            state.check_open(account)?;
            account.check_credit(&state, amount)?;
            // It looks at the pools above, which are not locked yet.
            account.check_max(&state, amount.units(), self, at.wall)?;
            states.push(state);
        }
        let (id, era) = (self.credit_ids.next(), self.eras.begin());
        let numbers = accounts.iter().map(|account| account.number).collect();
        let credited = Credited { id, accounts: numbers, amount, expires_at, era };
        self.write(|| (at, Change::Credited(credited.clone())))?;
        self.begin_credits(&credited, &mut states, at);
        self.waiting.signal_all(accounts.iter().copied(), true);
        let first = states.first().and_then(|state| state.credit_of(id));
        Ok(first.unwrap_or_else(|| Credit::new(id, amount, expires_at)))
    }

    /// A credit begins on every one of these accounts.
    pub(super) fn begin_credits(
        &self,
        credited: &Credited,
        states: &mut [MutexGuard<'_, State>],
        at: Instant,
    ) {
        self.credit_ids.skip_to(credited.id);
        self.eras.skip_to(credited.era);
        for state in states {
            state.begin_credit(credited, at.wall, self);
        }
    }
}

/// Refuses what cannot be meant.
fn check(amount: Amount, expires_at: Wall, now: Wall) -> Result<(), LedgerError> {
    let fault = if amount.is_zero() {
        "amount must be above 0: a credit of nothing gives nothing"
    } else if expires_at <= now {
        "expires_at must lie in the future: this credit would have ended before it began"
    } else {
        return Ok(());
    };
    Err(LedgerError::Configuration(fault.into()))
}

impl Account {
    /// Refuses a credit that it has no room for.
    fn check_credit(&self, state: &State, amount: Amount) -> Result<(), LedgerError> {
        if state.purse().is_some_and(Purse::is_full) {
            return Err(LedgerError::Configuration(format!(
                "{:?} has {MAX_CREDITS} credits that have not ended: give it one larger credit instead of many",
                self.id
            )));
        }
        self.check_room(state, amount.units())
    }

    /// Ends the credits of an account that are over by now. What cannot be written down does not happen.
    pub(super) fn end_credits(&self, state: &mut State, ledger: &Ledger, now: Wall) {
        let at = ledger.instant_at(now, None);
        while let Some(id) = state.purse().and_then(|purse| purse.first_due(now)) {
            let change = AccountChange::CreditEnded { id, era: ledger.eras.begin() };
            if ledger.change(self, state, &change, at).is_err() {
                return;
            }
        }
    }

    /// What refuses a transfer of what only credits have.
    #[cold]
    pub(super) fn transfer_refusal(&self, state: &State, units: i128) -> Box<BudgetRefusal> {
        let refusal = self.refusal(state, units);
        Box::new(BudgetRefusal { credits: state.credits_left(), ..*refusal })
    }
}

impl State {
    /// Units that remain beside what is left of credits: below zero only if nothing is left of them.
    pub(super) fn base(&self) -> i128 {
        self.books.balance.remaining - self.credits_left()
    }

    /// Units that reservations hold of credits that have ended: charged, or gone.
    pub(super) fn lapsing(&self) -> i128 {
        self.purse().map_or(0, Purse::lapsing)
    }

    fn credits(&self) -> Vec<Credit> {
        self.purse().map(|purse| purse.list(&self.books.balance)).unwrap_or_default()
    }

    fn credit_of(&self, id: CreditId) -> Option<Credit> {
        self.credits().into_iter().find(|credit| credit.id == id)
    }

    fn begin_credit(&mut self, credited: &Credited, wall: Wall, ledger: &Ledger) {
        let Credited { id, amount, expires_at, era, .. } = *credited;
        let (balance, period) = (self.books.balance, self.period());
        let purse = self.purse_or(|balance| Purse::new(balance, period, era));
        purse.close_stretch(&balance);
        purse.begin(Credit::new(id, amount, expires_at), era);
        self.show_period(period);
        self.adjust(amount.units(), EventKind::Credit, wall, ledger);
    }

    /// Moves what is set aside, in the books of an account with credits. Returns what is gone as it comes back.
    #[cold]
    pub(super) fn shift_claims(
        &mut self,
        movement: &Movement,
        account: &Account,
        wall: Wall,
        ledger: &Ledger,
    ) -> i128 {
        let (before, reserved) = (self.books.balance, movement.reserved());
        self.shift_books(movement, account, ledger);
        let after = self.books.balance;
        let Some(purse) = self.purse_mut() else { return 0 };
        purse.sync(&before);
        if reserved > 0 {
            purse.reserve(movement.hold(), reserved);
            return 0;
        }
        let gone = purse.settle(movement.hold(), -reserved, movement.spent());
        purse.told(after.spent);
        if gone > 0 {
            self.lapse(gone, wall, ledger);
        }
        gone
    }

    /// Gives back what credits had paid of a charge that was made in an era, before the books do.
    pub(super) fn give_back_credits(&mut self, units: i128, era: u64) -> GivenBack {
        let before = self.books.balance;
        let Some(purse) = self.purse_mut() else { return GivenBack::of_base(units) };
        purse.sync(&before);
        let given = purse.refund(units, era);
        purse.told(before.spent - units);
        given
    }

    /// Before so much is made to remain: a period leaves credits, and who sets a budget cuts those that are more.
    pub(super) fn set_credits(&mut self, units: i128, kind: EventKind, era: u64) {
        let before = self.books.balance;
        let Some(purse) = self.purse_mut() else { return };
        purse.close_stretch(&before);
        if kind == EventKind::Update {
            purse.cut(units);
        }
        purse.begin_stretch(era);
    }

    /// What is left of a credit is gone.
    pub(super) fn end_credit(&mut self, id: CreditId, era: u64, wall: Wall, ledger: &Ledger) {
        ledger.eras.skip_to(era);
        let (balance, period) = (self.books.balance, self.period());
        let Some(purse) = self.purse_mut() else { return };
        purse.close_stretch(&balance);
        let left = purse.end(id, era);
        self.show_period(period);
        self.lapse(left, wall, ledger);
    }

    /// Takes what has ended out of the books.
    pub(super) fn lapse(&mut self, units: i128, wall: Wall, ledger: &Ledger) {
        self.move_grant(-units, ledger);
        let gone = Amount::from_units(units).unwrap_or_default();
        self.record(wall, EventKind::CreditEnd, gone, OperationId::NONE, ledger);
    }
}

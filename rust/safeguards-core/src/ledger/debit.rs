//! Check and charge in one step.

use std::sync::Arc;

use super::Ledger;
use super::account::{Account, State};
use super::balance::Movement;
use super::error::LedgerError;
use super::event::EventKind;
use super::idempotency::{Admitted, Payload, Phase};
use super::operation::OperationId;
use crate::amount::Amount;
use crate::clock::{Monotonic, Wall};

/// What a debit has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What was charged.
    pub amount: Amount,
    /// Units that the agent has left.
    pub remaining: i128,
    /// The event in the agent's history.
    pub sequence: u64,
}

impl Ledger {
    /// Charges `amount` to an agent and to every pool above it, all of them or none.
    #[inline]
    pub fn debit(&self, agent: &str, amount: Amount, operation: OperationId) -> Result<Receipt, LedgerError> {
        self.directory.with_agent(agent, |agent| self.debit_account(agent, amount, operation))
    }

    /// As [`debit`](Self::debit), for an account at hand.
    #[inline]
    pub fn debit_account(
        &self,
        agent: &Account,
        amount: Amount,
        operation: OperationId,
    ) -> Result<Receipt, LedgerError> {
        self.debit_at(agent, amount, operation, self.clock.wall())
    }

    #[inline]
    pub(super) fn debit_at(
        &self,
        agent: &Account,
        amount: Amount,
        operation: OperationId,
        now: Wall,
    ) -> Result<Receipt, LedgerError> {
        match self.debit_plainly(agent, amount, operation, now) {
            Some(receipt) => Ok(receipt),
            None => self.retry_after_expiry(|| self.debit_once(agent, amount, operation, now)),
        }
    }

    /// As [`debit`](Self::debit), but a repetition with the same key has no effect and the same receipt.
    pub fn debit_keyed(
        &self,
        agent: &Arc<Account>,
        amount: Amount,
        operation: OperationId,
        key: &str,
    ) -> Result<Receipt, LedgerError> {
        let payload = Payload { agent: Arc::clone(agent), amount, operation, phase: Phase::Debit };
        match self.once(key, payload, || self.debit_account(agent, amount, operation).map(Admitted::Debit))? {
            Admitted::Debit(receipt) => Ok(receipt),
            Admitted::Reserve(_) => unreachable!("a key's payload tells debits from reservations"),
        }
    }

    /// A debit that everybody admits: nearly all of them, and so without a word about why not. `None`, with
    /// nothing changed, for any other.
    #[inline]
    fn debit_plainly(
        &self,
        agent: &Account,
        amount: Amount,
        operation: OperationId,
        now: Wall,
    ) -> Option<Receipt> {
        let movement = Movement::debit(amount);
        let mut state = agent.lock();
        let windows_at = state.windows_at(self);
        let is_admitted = state.admits(&movement, amount, windows_at);
        let is_paid = is_admitted && agent.parent.as_ref().is_none_or(|pool| pool.pay(&movement, self, now));
        is_paid.then(|| {
            state.apply(&movement, agent, self);
            state.charge_windows(windows_at, amount);
            state.history.record(now, EventKind::Debit, amount, operation, self.history_limits);
            state.receipt(amount)
        })
    }

    fn debit_once(
        &self,
        agent: &Account,
        amount: Amount,
        operation: OperationId,
        now: Wall,
    ) -> Result<Receipt, LedgerError> {
        let mut state = agent.lock();
        state.check_open(agent)?;
        if amount.is_zero() {
            return Ok(state.receipt(amount));
        }
        let windows_at = state.windows_at(self);
        self.pass_path(agent, &mut state, &Movement::debit(amount), windows_at.map(|at| (at, amount)), now)?;
        state.charge_windows(windows_at, amount);
        state.history.record(now, EventKind::Debit, amount, operation, self.history_limits);
        Ok(state.receipt(amount))
    }

    /// Moves money on the whole path of an agent whose lock is held, if its budget, every pool and, for an
    /// amount that `must_fit`, its windows admit it. A window is told only if no budget refuses: time does not
    /// help against those.
    #[inline]
    pub(super) fn pass_path(
        &self,
        agent: &Account,
        state: &mut State,
        movement: &Movement,
        must_fit: Option<(Monotonic, Amount)>,
        now: Wall,
    ) -> Result<(), LedgerError> {
        if !movement.is_admitted_by(&state.balance) {
            return Err(agent.refusal(state, movement.needs()).into());
        }
        if let Some((at, amount)) = must_fit
            && let Err(refusal) = state.check_windows(agent, at, amount)
        {
            agent.parent.as_ref().map_or(Ok(()), |parent| parent.would_pass(movement, self, now))?;
            return Err(refusal.into());
        }
        if let Some(parent) = &agent.parent {
            parent.pass(movement, self, now)?;
        }
        state.apply(movement, agent, self);
        Ok(())
    }

    /// Tries again if `attempt` was refused while reservations were due to expire, or just before another thread
    /// gave them back: they may free what it needs.
    #[inline]
    pub(super) fn retry_after_expiry<R>(
        &self,
        attempt: impl Fn() -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        let rounds = self.timers.rounds();
        match attempt() {
            Err(LedgerError::BudgetExceeded(_) | LedgerError::RateLimitExceeded(_))
                if self.expire_due() || self.timers.rounds() != rounds =>
            {
                attempt()
            }
            outcome => outcome,
        }
    }
}

impl State {
    /// Whether this agent and its windows admit a debit of more than nothing.
    #[inline]
    pub(super) fn admits(
        &mut self,
        movement: &Movement,
        amount: Amount,
        windows_at: Option<Monotonic>,
    ) -> bool {
        let is_open = !self.closed && !amount.is_zero();
        is_open && movement.is_admitted_by(&self.balance) && windows_at.is_none_or(|at| self.fits(at, amount))
    }

    #[inline]
    pub(super) fn check_open(&self, account: &Account) -> Result<(), LedgerError> {
        if self.closed { Err(LedgerError::UnknownAgent(Arc::clone(&account.id))) } else { Ok(()) }
    }

    pub(super) const fn receipt(&self, amount: Amount) -> Receipt {
        Receipt { amount, remaining: self.balance.remaining, sequence: self.history.sequence() }
    }
}

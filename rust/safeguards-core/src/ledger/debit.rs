//! Check and charge in one step.

use std::sync::Arc;

use super::Ledger;
use super::account::{Account, State};
use super::balance::Movement;
use super::error::LedgerError;
use super::event::EventKind;
use super::idempotency::{Admitted, Payload, Phase, once};
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
        self.retry_after_expiry(|| self.debit_once(agent, amount, operation, now))
    }

    /// As [`debit`](Self::debit), but a repetition with the same key has no effect and the same receipt.
    pub fn debit_keyed(
        &self,
        agent: &Arc<Account>,
        amount: Amount,
        operation: OperationId,
        key: &str,
    ) -> Result<Receipt, LedgerError> {
        let payload = Payload { agent: Arc::downgrade(agent), what: amount, operation, phase: Phase::Debit };
        let debit = || self.debit_account(agent, amount, operation).map(Admitted::Debit);
        match once(&self.keys, &self.clock, agent, key, payload, debit)? {
            Admitted::Debit(receipt) => Ok(receipt),
            Admitted::Reserve(_) => unreachable!("a key's payload tells debits from reservations"),
        }
    }

    #[inline]
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
        state.write_usage(self, windows_at, EventKind::Debit, amount, operation, now);
        Ok(state.receipt(amount))
    }

    /// Moves money on the whole path of an agent whose lock is held, if its budget, every pool and, for an
    /// amount that `must_fit`, its windows admit it.
    #[inline]
    pub(super) fn pass_path(
        &self,
        agent: &Account,
        state: &mut State,
        movement: &Movement,
        must_fit: Option<(Monotonic, Amount)>,
        now: Wall,
    ) -> Result<(), LedgerError> {
        loop {
            let is_passed = state.admits(movement, must_fit)
                && agent.parent.as_ref().is_none_or(|pool| pool.pass(movement, self, now));
            if is_passed {
                state.apply(movement, agent, self);
                return Ok(());
            }
            // Who refuses is looked for only now. If nobody does any more, a pool has got money since.
            self.find_refusal(agent, state, movement, must_fit, now)?;
        }
    }

    /// Who refuses a movement. A window is told only if no budget refuses: time does not help against those.
    #[cold]
    fn find_refusal(
        &self,
        agent: &Account,
        state: &mut State,
        movement: &Movement,
        must_fit: Option<(Monotonic, Amount)>,
        now: Wall,
    ) -> Result<(), LedgerError> {
        if !movement.is_admitted_by(&state.books.balance) {
            state.refusals = state.refusals.saturating_add(1);
            return Err(agent.refusal(state, movement.needs()).into());
        }
        agent.parent.as_ref().map_or(Ok(()), |pool| pool.find_refusal(movement, self, now))?;
        Ok(must_fit.map_or(Ok(()), |(at, amount)| state.check_windows(agent, at, amount))?)
    }

    /// Tries again if `attempt` was refused while reservations were due to expire, or just before another thread
    /// gave them back: they may free what it needs. It pays for no more of them than it needs.
    #[inline]
    pub(super) fn retry_after_expiry<R>(
        &self,
        attempt: impl Fn() -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        let rounds = self.timers.rounds();
        match attempt() {
            Err(refused) if refused.may_pass() => self.retry(attempt, refused, rounds),
            outcome => outcome,
        }
    }

    #[cold]
    fn retry<R>(
        &self,
        attempt: impl Fn() -> Result<R, LedgerError>,
        refused: LedgerError,
        rounds: i64,
    ) -> Result<R, LedgerError> {
        let now = self.clock.monotonic_coarse();
        if !self.timers.is_due(now) {
            return if self.timers.rounds() == rounds { Err(refused) } else { attempt() };
        }
        // After one slice, then two, four and so on: of a million that are due, ten refusals in vain.
        let mut slices = 1_usize;
        loop {
            let is_done = self.serve_slices(now, slices);
            match attempt() {
                Err(refused) if refused.may_pass() && !is_done => slices = slices.saturating_mul(2),
                outcome => return outcome,
            }
        }
    }
}

impl State {
    /// Whether this agent's budget and, for an amount that `must_fit`, its windows admit a movement.
    #[inline]
    pub(super) fn admits(&mut self, movement: &Movement, must_fit: Option<(Monotonic, Amount)>) -> bool {
        movement.is_admitted_by(&self.books.balance)
            && must_fit.is_none_or(|(at, amount)| self.fits(at, amount))
    }

    #[inline]
    pub(super) fn check_open(&self, account: &Account) -> Result<(), LedgerError> {
        if self.closed { Err(LedgerError::UnknownAgent(Arc::clone(&account.id))) } else { Ok(()) }
    }

    /// Writes down what was spent: in the agent's windows and in its history, always in both.
    #[inline]
    pub(super) fn write_usage(
        &mut self,
        ledger: &Ledger,
        windows_at: Option<Monotonic>,
        kind: EventKind,
        amount: Amount,
        operation: OperationId,
        now: Wall,
    ) {
        self.charge_windows(windows_at, amount);
        self.history.record(now, kind, amount, operation, ledger.history_limits);
    }

    pub(super) const fn receipt(&self, amount: Amount) -> Receipt {
        Receipt { amount, remaining: self.books.balance.remaining, sequence: self.history.sequence() }
    }
}

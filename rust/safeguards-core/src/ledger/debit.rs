//! Check and charge in one step.

use std::sync::Arc;

use super::Ledger;
use super::account::{Account, State};
use super::balance::Movement;
use super::directory::Slots;
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

/// Accounts of a batch that are fetched at once.
const BATCH_STRIDE: usize = 32;

/// Why a batch was not begun.
#[derive(Clone, Debug)]
pub struct BatchError {
    /// Position of the item that is malformed.
    pub index: usize,
    /// What is wrong with it.
    pub error: LedgerError,
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
        let now = self.clock.wall();
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
        let payload = Payload { agent: Arc::clone(agent), amount, operation, phase: Phase::Debit };
        match self.once(key, payload, || self.debit_account(agent, amount, operation).map(Admitted::Debit))? {
            Admitted::Debit(receipt) => Ok(receipt),
            Admitted::Reserve(_) => unreachable!("a key's payload tells debits from reservations"),
        }
    }

    /// Debits each agent by its amount in turn: true where admitted. A malformed item refuses the whole batch
    /// before anything is charged. `units` are of 1e-9.
    pub fn debit_many(
        &self,
        handles: &[u32],
        units: &[i64],
        operation: OperationId,
    ) -> Result<Vec<bool>, BatchError> {
        let slots = self.directory.slots();
        check_batch(&slots, handles, units)?;
        let now = self.clock.wall();
        let debit = |(handle, units): (&u32, &i64)| {
            let amount = Amount::from_units((*units).into()).unwrap_or(Amount::MAX);
            let agent = slots.get(*handle)?;
            self.retry_after_expiry(|| self.debit_once(agent, amount, operation, now))
        };
        let mut admitted = Vec::with_capacity(handles.len());
        for (handles, units) in handles.chunks(BATCH_STRIDE).zip(units.chunks(BATCH_STRIDE)) {
            fetch(&slots, handles);
            admitted.extend(handles.iter().zip(units).map(|item| debit(item).is_ok()));
        }
        Ok(admitted)
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

fn check_batch(slots: &Slots, handles: &[u32], units: &[i64]) -> Result<(), BatchError> {
    let malformed = |index, error| BatchError { index, error };
    if handles.len() != units.len() {
        let text = format!("{} handles but {} units: one for each", handles.len(), units.len());
        return Err(malformed(handles.len().min(units.len()), LedgerError::Configuration(text)));
    }
    for (index, (handle, units)) in handles.iter().zip(units).enumerate() {
        slots.get(*handle).map_err(|error| malformed(index, error))?;
        if *units < 0 {
            let text = format!("units[{index}] is {units}: an amount must not be negative");
            return Err(malformed(index, LedgerError::Configuration(text)));
        }
    }
    Ok(())
}

/// Brings accounts into the cache. A million of them lie outside it, and each lock would wait for the memory of
/// the one before; reads without a lock are under way all at once.
fn fetch(slots: &Slots, handles: &[u32]) {
    let is_locked = |handle: &&u32| slots.get(**handle).is_ok_and(|agent| agent.is_locked());
    std::hint::black_box(handles.iter().filter(is_locked).count());
}

impl State {
    #[inline]
    pub(super) fn check_open(&self, account: &Account) -> Result<(), LedgerError> {
        if self.closed { Err(LedgerError::UnknownAgent(Arc::clone(&account.id))) } else { Ok(()) }
    }

    pub(super) const fn receipt(&self, amount: Amount) -> Receipt {
        Receipt { amount, remaining: self.balance.remaining, sequence: self.history.sequence() }
    }
}

//! Check and charge in one step.

#![expect(clippy::inline_always, reason = "the hot path, where the compiler counts instructions otherwise")]

use std::fmt;
use std::sync::Arc;

use super::Ledger;
use super::account::Account;
use super::change::Number;
use super::error::LedgerError;
use super::idempotency::{Effect, Once, Payload};
use super::operation::OperationId;
use super::path::{Agents, Path};
use super::quantity::{Quantity, Transaction, UNTIMED};
use super::reservation::unless_passing;
use super::state::State;
use super::waiting::Asks;
use crate::amount::Amount;
use crate::clock::Monotonic;

/// What a debit has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What was charged.
    pub amount: Amount,
    /// What it cost beyond that, where an overdraft limit kept the rest out of the books.
    pub unpaid: Amount,
    /// Units that the agent has left.
    pub remaining: i128,
    /// Which charge it was.
    pub charge: Charge,
}

/// What tells a charge from all others of a ledger, and what a refund asks about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// The agent, as batches name it.
    pub handle: u32,
    /// The event in the agent's history.
    pub sequence: u64,
    /// The accounts that were charged.
    pub path: Number,
    /// What for.
    pub operation: OperationId,
    /// When, for windows and for its age.
    pub at: Monotonic,
    /// Periods of all accounts that had begun by then.
    pub era: u64,
}

impl fmt::Debug for Charge {
    /// Without the era, whose number means nothing beside another: a begin that could not be written leaves a gap.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handle, sequence, path, operation, at, .. } = self;
        write!(f, "Charge {handle} {sequence} on {} for {} at {}", path.0, operation.0, at.0)
    }
}

impl Ledger {
    /// Charges an agent and every account of its path, all of them or none.
    #[inline]
    pub fn debit<'a, Q: Quantity>(
        &self,
        path: impl Into<Path<'a>>,
        what: &Q,
        operation: OperationId,
    ) -> Result<Q::Receipt, LedgerError> {
        let wall = self.clock.wall();
        self.charge(&Transaction::debit(path.into(), what, operation, wall, None).told(), Q::receipt)
    }

    /// As [`debit`](Self::debit), without a receipt: the form for hot loops.
    #[inline]
    pub fn try_debit<'a, Q: Quantity>(
        &self,
        path: impl Into<Path<'a>>,
        what: &Q,
        operation: OperationId,
    ) -> Result<(), LedgerError> {
        let wall = self.clock.wall();
        self.charge(&Transaction::debit(path.into(), what, operation, wall, None), |_, _, _, _| ())
    }

    /// As [`debit`](Self::debit), once for each key: a repetition has no effect and the same receipt.
    pub fn debit_keyed<'a, Q: Quantity>(
        &self,
        path: impl Into<Path<'a>>,
        what: &Q,
        operation: OperationId,
        key: &str,
    ) -> Result<Once<Q::Receipt>, LedgerError> {
        self.debit_keyed_asking(path.into(), what, operation, key, Asks::Once)
    }

    /// As [`debit`](Self::debit), with a key or without, for a call that can wait: `None` if it has to, as it does not
    /// fit or others are to go first.
    pub fn debit_at_once(
        &self,
        path: Path<'_>,
        what: Amount,
        operation: OperationId,
        key: Option<&str>,
    ) -> Result<Option<Once<Receipt>>, LedgerError> {
        if self.has_waiters(path) {
            return Ok(None);
        }
        let wall = self.clock.wall();
        unless_passing(key.map_or_else(
            || {
                let debit = Transaction::debit(path, &what, operation, wall, None).told();
                self.charge_asking(&debit, Asks::Again, Amount::receipt).map(Once::first)
            },
            |key| self.debit_keyed_asking(path, &what, operation, key, Asks::Again),
        ))
    }

    fn debit_keyed_asking<Q: Quantity>(
        &self,
        path: Path<'_>,
        what: &Q,
        operation: OperationId,
        key: &str,
        asks: Asks,
    ) -> Result<Once<Q::Receipt>, LedgerError> {
        let payload = Payload::of_debit(path, what, operation);
        let debit = || {
            let wall = self.clock.wall();
            let debit = Transaction::debit(path, what, operation, wall, Some(key));
            let receipt = self.charge_asking(&debit.told(), asks, Q::receipt)?;
            Ok(Effect::Charged(Q::settlement(receipt)))
        };
        let stands = |effect: &Effect| self.stands::<Q>(key, effect);
        let Once { value: effect, is_repeat } = Q::keys(self).once(key, payload, self, stands, debit)?;
        let receipt = match &effect {
            Effect::Charged(settlement) => Q::receipt_in(settlement).cloned(),
            Effect::Reserved { .. } => None,
        };
        let conflict = || LedgerError::IdempotencyConflict(key.into());
        Ok(Once { value: receipt.ok_or_else(conflict)?, is_repeat })
    }

    /// Makes a debit, and tells of it while its agents are locked.
    #[inline(always)]
    pub(super) fn charge<Q: Quantity, R>(
        &self,
        debit: &Transaction<'_, Q>,
        tell: impl Fn(&Transaction<'_, Q>, &Agents<'_>, Monotonic, &Self) -> R,
    ) -> Result<R, LedgerError> {
        self.charge_asking(debit, Asks::Once, tell)
    }

    #[inline(always)]
    fn charge_asking<Q: Quantity, R>(
        &self,
        debit: &Transaction<'_, Q>,
        asks: Asks,
        tell: impl Fn(&Transaction<'_, Q>, &Agents<'_>, Monotonic, &Self) -> R,
    ) -> Result<R, LedgerError> {
        let Transaction { path, what, key, wall, .. } = *debit;
        self.retry_unless_held(key.is_none(), asks, || {
            let mut agents = path.lock().asking(asks);
            agents.check_open()?;
            agents.renew(self, wall);
            let at = if !what.is_nothing() {
                Q::pass(debit, &mut agents, self)?
            } else if key.is_some() {
                let at = self.clock.monotonic_coarse();
                debit.write(Some(at), self)?; // The key is remembered, and so it has to come back.
                at
            } else {
                UNTIMED
            };
            Ok(tell(debit, &agents, at, self))
        })
    }

    /// As [`retry_unless_held`](Self::retry_unless_held), of an attempt that holds no lock.
    #[inline]
    pub(super) fn retry_after_expiry<R>(
        &self,
        attempt: impl Fn() -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        self.retry_unless_held(true, Asks::Once, attempt)
    }

    /// Tries again if `attempt` was refused while reservations were due to expire, or just before another thread
    /// gave them back: they may free what it needs. It pays for no more of them than it needs.
    #[inline]
    pub(super) fn retry_unless_held<R>(
        &self,
        may_let_go: bool,
        asks: Asks,
        attempt: impl Fn() -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        let mut patience = Patience { rounds: self.timers.rounds(), slices: 1, is_last: false, may_let_go };
        loop {
            // In one place, so that the compiler puts the attempt here.
            match attempt() {
                Err(refused) if refused.may_pass() && patience.may_retry(self) => {}
                Err(refused) => {
                    if asks.is_counted() {
                        self.observe(&refused);
                    }
                    return Err(refused);
                }
                done => return done,
            }
        }
    }
}

/// What a refused attempt has waited for.
struct Patience {
    rounds: i64,
    /// How much of what is due is given back before the next attempt: one slice, then two, four and so on. Of a
    /// million reservations that are due, ten refusals are in vain.
    slices: usize,
    /// Nothing more is due: the next attempt is the last.
    is_last: bool,
    /// False for who holds a lock, as that of a key, which others wait for.
    may_let_go: bool,
}

impl Patience {
    /// Gives back some of what is due; false if there is nothing that was not seen by the last attempt.
    #[cold]
    fn may_retry(&mut self, ledger: &Ledger) -> bool {
        if self.is_last {
            return false;
        }
        let now = ledger.clock.monotonic_coarse();
        if !ledger.timers.is_due(now) {
            self.is_last = true;
            return ledger.timers.rounds() != self.rounds;
        }
        self.is_last = ledger.serve_slices(now, self.slices, self.may_let_go);
        self.slices = self.slices.saturating_mul(2);
        true
    }
}

impl State {
    #[inline]
    pub(super) fn check_open(&self, account: &Account) -> Result<(), LedgerError> {
        if self.closed { Err(LedgerError::UnknownAgent(Arc::clone(&account.id))) } else { Ok(()) }
    }
}

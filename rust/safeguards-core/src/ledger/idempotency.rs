//! One effect for each key.
//!
//! What was admitted under a key is remembered: the newest 100,000 keys, for 24 hours. A refusal is not: the
//! caller may try again under the same key.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::Ledger;
use super::account::Account;
use super::debit::Receipt;
use super::error::LedgerError;
use super::operation::OperationId;
use super::reservation::Reservation;
use crate::amount::Amount;
use crate::clock::Monotonic;

/// Keys remembered at most; the oldest go first.
pub const MAX_KEYS: usize = 100_000;
/// How long a key is remembered: 24 hours.
pub const MAX_KEY_AGE_NANOS: i64 = 24 * 3_600 * 1_000_000_000;

/// Which kind of operation a key was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Debit,
    Reserve,
}

/// What must be the same when a key comes again.
#[derive(Clone, Debug)]
pub(super) struct Payload {
    pub(super) agent: Arc<Account>,
    pub(super) amount: Amount,
    pub(super) operation: OperationId,
    pub(super) phase: Phase,
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        // The account itself: an agent that was registered anew under its id has spent nothing yet.
        Arc::ptr_eq(&self.agent, &other.agent)
            && (self.amount, self.operation, self.phase) == (other.amount, other.operation, other.phase)
    }
}

/// What was admitted.
#[derive(Clone, Debug)]
pub(super) enum Admitted {
    Debit(Receipt),
    Reserve(Arc<Reservation>),
}

#[derive(Debug, Default)]
pub(super) struct Keys {
    outcomes: HashMap<Arc<str>, (Payload, Admitted), RandomState>,
    by_age: VecDeque<(Monotonic, Arc<str>)>,
}

impl Keys {
    fn forget_old(&mut self, now: Monotonic) {
        while let Some((at, _)) = self.by_age.front()
            && (now.since(*at) >= MAX_KEY_AGE_NANOS || self.by_age.len() > MAX_KEYS)
        {
            if let Some((_, key)) = self.by_age.pop_front() {
                self.outcomes.remove(&key);
            }
        }
    }
}

impl Ledger {
    /// Does `act` unless it was done under `key` before. Its lock is held meanwhile, so that of two threads with
    /// one key the second finds what the first has done.
    pub(super) fn once(
        &self,
        key: &str,
        payload: Payload,
        act: impl FnOnce() -> Result<Admitted, LedgerError>,
    ) -> Result<Admitted, LedgerError> {
        let mut keys = self.keys.lock();
        let now = self.clock.monotonic_coarse();
        keys.forget_old(now);
        if let Some((before, outcome)) = keys.outcomes.get(key) {
            let is_same = *before == payload;
            return if is_same {
                Ok(outcome.clone())
            } else {
                Err(LedgerError::IdempotencyConflict(key.into()))
            };
        }
        let outcome = act()?;
        let key: Arc<str> = key.into();
        keys.by_age.push_back((now, Arc::clone(&key)));
        keys.outcomes.insert(key, (payload, outcome.clone()));
        keys.forget_old(now);
        Ok(outcome)
    }
}

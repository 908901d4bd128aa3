//! One effect for each key.
//!
//! What was admitted under a key is remembered: the newest 100,000 keys, for 24 hours. A refusal is not: the
//! caller may try again under the same key.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::account::Account;
use super::error::LedgerError;
use super::operation::OperationId;
use crate::clock::{Clock, Monotonic};
use crate::sync::Mutex;

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
pub(super) struct Payload<What> {
    pub(super) agent: Arc<Account>,
    pub(super) what: What,
    pub(super) operation: OperationId,
    pub(super) phase: Phase,
}

impl<What: PartialEq> PartialEq for Payload<What> {
    fn eq(&self, other: &Self) -> bool {
        // The account itself: an agent that was registered anew under its id has spent nothing yet.
        Arc::ptr_eq(&self.agent, &other.agent)
            && self.what == other.what
            && (self.operation, self.phase) == (other.operation, other.phase)
    }
}

/// What was admitted.
#[derive(Clone, Debug)]
pub(super) enum Admitted<Debit, Reserve> {
    Debit(Debit),
    Reserve(Reserve),
}

type Outcomes<What, Debit, Reserve> =
    HashMap<Arc<str>, (Payload<What>, Admitted<Debit, Reserve>), RandomState>;

#[derive(Debug)]
pub(super) struct Keys<What, Debit, Reserve> {
    outcomes: Outcomes<What, Debit, Reserve>,
    by_age: VecDeque<(Monotonic, Arc<str>)>,
}

impl<What, Debit, Reserve> Default for Keys<What, Debit, Reserve> {
    fn default() -> Self {
        Self { outcomes: HashMap::default(), by_age: VecDeque::new() }
    }
}

impl<What, Debit, Reserve> Keys<What, Debit, Reserve> {
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

/// Does `act` unless it was done under `key` before. The lock is held meanwhile, so that of two threads with one
/// key the second finds what the first has done.
pub(super) fn once<What: PartialEq, Debit: Clone, Reserve: Clone>(
    keys: &Mutex<Keys<What, Debit, Reserve>>,
    clock: &Clock,
    key: &str,
    payload: Payload<What>,
    act: impl FnOnce() -> Result<Admitted<Debit, Reserve>, LedgerError>,
) -> Result<Admitted<Debit, Reserve>, LedgerError> {
    let mut keys = keys.lock();
    let now = clock.monotonic_coarse();
    keys.forget_old(now);
    if let Some((before, outcome)) = keys.outcomes.get(key) {
        let is_same = *before == payload;
        return if is_same { Ok(outcome.clone()) } else { Err(LedgerError::IdempotencyConflict(key.into())) };
    }
    let outcome = act()?;
    let key: Arc<str> = key.into();
    keys.by_age.push_back((now, Arc::clone(&key)));
    keys.outcomes.insert(key, (payload, outcome.clone()));
    keys.forget_old(now);
    Ok(outcome)
}

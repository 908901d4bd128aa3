//! One effect for each key.
//!
//! What was admitted under a key is remembered: the newest 100,000 keys, for 24 hours. A refusal is not: the
//! caller may try again under the same key.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

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

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// Which kind of operation a key was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Debit,
    Reserve,
}

/// What must be the same when a key comes again.
#[derive(Clone, Debug)]
pub(super) struct Payload<What> {
    /// Who it was. Weak: a key must not keep the history of an agent that has left.
    pub(super) agent: Weak<Account>,
    pub(super) what: What,
    pub(super) operation: OperationId,
    pub(super) phase: Phase,
}

impl<What: PartialEq> PartialEq for Payload<What> {
    fn eq(&self, other: &Self) -> bool {
        // The account itself: an agent that was registered anew under its id has spent nothing yet.
        Weak::ptr_eq(&self.agent, &other.agent)
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

/// What a key was used for, and what was admitted; `None` for a reservation of an agent that has left.
type Outcomes<What, Debit, Reserve> =
    HashMap<Arc<str>, (Payload<What>, Option<Admitted<Debit, Reserve>>), RandomState>;

#[derive(Debug)]
pub(super) struct Keys<What, Debit, Reserve> {
    outcomes: Outcomes<What, Debit, Reserve>,
    by_age: VecDeque<(Monotonic, Arc<str>)>,
    /// Keys of reservations, which hold on to their agent, by its place in memory; oldest first.
    reserved: HashMap<usize, VecDeque<Arc<str>>, RandomState>,
}

impl<What, Debit, Reserve> Default for Keys<What, Debit, Reserve> {
    fn default() -> Self {
        Self { outcomes: HashMap::default(), by_age: VecDeque::new(), reserved: HashMap::default() }
    }
}

impl<What, Debit, Reserve> Keys<What, Debit, Reserve> {
    fn forget_old(&mut self, now: Monotonic) {
        while let Some((at, _)) = self.by_age.front()
            && (now.since(*at) >= MAX_KEY_AGE_NANOS || self.by_age.len() > MAX_KEYS)
        {
            if let Some((_, key)) = self.by_age.pop_front()
                && let Some((payload, Some(Admitted::Reserve(_)))) = self.outcomes.remove(&key)
            {
                self.forget_reserved(payload.agent.as_ptr().addr());
            }
        }
    }

    /// Forgets the oldest key of a reservation of an agent.
    fn forget_reserved(&mut self, agent: usize) {
        if let Some(keys) = self.reserved.get_mut(&agent) {
            keys.pop_front();
            if keys.is_empty() {
                self.reserved.remove(&agent);
            }
        }
    }

    /// Lets go of an agent that has left. Its keys stay used.
    pub(super) fn forget_agent(&mut self, agent: &Account) {
        for key in self.reserved.remove(&std::ptr::from_ref(agent).addr()).unwrap_or_default() {
            if let Some((_, outcome)) = self.outcomes.get_mut(&key) {
                *outcome = None;
            }
        }
    }

    fn insert(
        &mut self,
        now: Monotonic,
        key: &str,
        payload: Payload<What>,
        outcome: Admitted<Debit, Reserve>,
    ) {
        let key: Arc<str> = key.into();
        if matches!(outcome, Admitted::Reserve(_)) {
            let keys = self.reserved.entry(payload.agent.as_ptr().addr()).or_default();
            keys.push_back(Arc::clone(&key));
        }
        self.by_age.push_back((now, Arc::clone(&key)));
        self.outcomes.insert(key, (payload, Some(outcome)));
        self.forget_old(now);
    }
}

/// Does `act` unless it was done under `key` before. The lock is held meanwhile, so that of two threads with one
/// key the second finds what the first has done.
pub(super) fn once<What: PartialEq, Debit: Clone, Reserve: Clone>(
    keys: &Mutex<Keys<What, Debit, Reserve>>,
    clock: &Clock,
    agent: &Account,
    key: &str,
    payload: Payload<What>,
    act: impl FnOnce() -> Result<Admitted<Debit, Reserve>, LedgerError>,
) -> Result<Admitted<Debit, Reserve>, LedgerError> {
    check_key(key)?;
    let mut keys = keys.lock();
    let now = clock.monotonic_coarse();
    keys.forget_old(now);
    if let Some((before, outcome)) = keys.outcomes.get(key) {
        if *before != payload {
            return Err(LedgerError::IdempotencyConflict(key.into()));
        }
        return outcome.clone().ok_or_else(|| LedgerError::UnknownAgent(Arc::clone(&agent.id)));
    }
    let outcome = act()?;
    keys.insert(now, key, payload, outcome.clone());
    Ok(outcome)
}

fn check_key(key: &str) -> Result<(), LedgerError> {
    if key.len() <= MAX_KEY_BYTES {
        return Ok(());
    }
    let text = format!("idempotency_key must have at most {MAX_KEY_BYTES} bytes, not {}", key.len());
    Err(LedgerError::Configuration(text))
}

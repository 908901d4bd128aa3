//! One effect for each key.
//!
//! What was admitted under a key is remembered: at least the newest 100,000 keys, for 24 hours. A refusal is not: the
//! caller may try again under the same key.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::{FixedState, RandomState};

use super::Ledger;
use super::change::{Number, Quantities};
use super::error::{LedgerError, Settlement};
use super::operation::OperationId;
use super::path::Path;
use super::quantity::Quantity;
use super::reservation::Overage;
use crate::clock::Monotonic;
use crate::sync::Mutex;

/// Keys that are remembered at least: of these, the newest.
pub const MAX_KEYS: usize = 100_000;
/// How long a key is remembered: 24 hours.
pub const MAX_KEY_AGE_NANOS: i64 = 24 * 3_600 * 1_000_000_000;
/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// Keys that have nothing to do with each other seldom wait for each other.
pub(super) const SHARDS: usize = if cfg!(loom) { 1 } else { 16 };

/// Keys of a shard; the oldest go first. A few more than its part: keys are spread by chance, and of the newest
/// 100,000 none may go.
const MAX_SHARD: usize = MAX_KEYS / SHARDS + MAX_KEYS / SHARDS / 10;

/// Which kind of operation a key was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Debit,
    Reserve,
}

/// What must be the same when a key comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    /// This registration of the agent: one that was registered anew under its id has spent nothing yet.
    pub(super) agent: Number,
    /// Every account, where they are more than the agent's own line.
    pub(super) accounts: Option<Arc<[Number]>>,
    pub(super) what: Quantities,
    pub(super) operation: OperationId,
    pub(super) phase: Phase,
}

/// What was done under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Something was charged.
    Charged(Settlement),
    /// The agent's reservation of this number was made, on terms that a repetition need not ask for.
    Reserved(u64, Overage),
}

/// The keys that are remembered.
#[derive(Debug)]
pub(super) struct Keys([Mutex<Shard>; SHARDS]);

#[derive(Debug, Default)]
struct Shard {
    effects: HashMap<Arc<str>, (Payload, Effect), RandomState>,
    by_age: VecDeque<(Monotonic, Arc<str>)>,
}

impl Payload {
    pub(super) fn new<Q: Quantity>(path: Path<'_>, what: &Q, operation: OperationId, phase: Phase) -> Self {
        let accounts = path.joint.map(|joint| Arc::clone(&joint.numbers));
        Self { agent: path.agent.number, accounts, what: what.to_quantities(), operation, phase }
    }
}

impl Keys {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(Shard::default())))
    }

    fn shard(&self, key: &str) -> &Mutex<Shard> {
        // The same shard in every process: which keys are forgotten first must not differ after a replay.
        let hash = FixedState::default().hash_one(key);
        &self.0[usize::try_from(hash % SHARDS as u64).unwrap_or_default()]
    }

    /// Does `act` unless it was done under `key` before. The shard is locked meanwhile, so that of two threads with
    /// one key the second finds what the first has done.
    pub(super) fn once(
        &self,
        key: &str,
        payload: Payload,
        ledger: &Ledger,
        act: impl FnOnce() -> Result<Effect, LedgerError>,
    ) -> Result<Effect, LedgerError> {
        check_length(key)?;
        let mut shard = self.shard(key).lock();
        let now = ledger.clock.monotonic_coarse();
        shard.forget_old(now);
        if let Some((before, effect)) = shard.effects.get(key) {
            let is_same = *before == payload;
            return if is_same {
                Ok(effect.clone())
            } else {
                Err(LedgerError::IdempotencyConflict(key.into()))
            };
        }
        let effect = act()?;
        shard.keep(key, payload, effect.clone(), now);
        Ok(effect)
    }

    /// What was done under a key, if anything was.
    pub(super) fn find(
        &self,
        key: &str,
        payload: &Payload,
        ledger: &Ledger,
    ) -> Result<Option<Effect>, LedgerError> {
        check_length(key)?;
        let mut shard = self.shard(key).lock();
        shard.forget_old(ledger.clock.monotonic_coarse());
        match shard.effects.get(key) {
            Some((before, _)) if before != payload => Err(LedgerError::IdempotencyConflict(key.into())),
            found => Ok(found.map(|(_, effect)| effect.clone())),
        }
    }

    /// Remembers what was done under a key, as [`once`](Self::once) did when it was.
    pub(super) fn keep(&self, key: &str, payload: Payload, effect: Effect, at: Monotonic) {
        let mut shard = self.shard(key).lock();
        shard.forget_old(at);
        shard.keep(key, payload, effect, at);
    }

    /// Every key that is remembered at a time, with its payload and effect, in no order.
    pub(super) fn all(&self, now: Monotonic) -> Vec<(Arc<str>, Payload, Effect)> {
        let mut all = Vec::new();
        for shard in &self.0 {
            let mut shard = shard.lock();
            shard.forget_old(now);
            let effects = shard.effects.iter();
            all.extend(
                effects.map(|(key, (payload, effect))| (Arc::clone(key), payload.clone(), effect.clone())),
            );
        }
        all
    }
}

impl Shard {
    fn forget_old(&mut self, now: Monotonic) {
        while let Some((at, _)) = self.by_age.front()
            && (now.since(*at) >= MAX_KEY_AGE_NANOS || self.by_age.len() > MAX_SHARD)
        {
            if let Some((_, key)) = self.by_age.pop_front() {
                self.effects.remove(&key);
            }
        }
    }

    fn keep(&mut self, key: &str, payload: Payload, effect: Effect, at: Monotonic) {
        let key: Arc<str> = key.into();
        self.by_age.push_back((at, Arc::clone(&key)));
        self.effects.insert(key, (payload, effect));
        self.forget_old(at);
    }
}

fn check_length(key: &str) -> Result<(), LedgerError> {
    if key.len() <= MAX_KEY_BYTES {
        return Ok(());
    }
    let text = format!("idempotency_key must have at most {MAX_KEY_BYTES} bytes, not {}", key.len());
    Err(LedgerError::Configuration(text))
}

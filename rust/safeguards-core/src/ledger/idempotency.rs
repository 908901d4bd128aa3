//! One effect for each key.
//!
//! What was admitted under a key is remembered: at least the newest 100,000 keys, for 24 hours. A key means its effect,
//! not a handle: a refusal leaves none, and neither does a reservation that was given back. Whoever comes back with such
//! a key is decided anew, whatever he asks for.

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
use super::reservation::{Overage, Request};
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

/// What was done under a key, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once<T> {
    /// What was done.
    pub value: T,
    /// Whether it was before.
    pub is_repeat: bool,
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
    /// Of a reservation: how long it was to live, and what a settlement beyond it may do.
    pub(super) terms: Option<(i64, Overage)>,
}

/// What was done under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Something was charged.
    Charged(Settlement),
    /// A reservation was made.
    Reserved {
        /// The agent, as batches name it.
        handle: u32,
        /// The reservation's number among the agent's.
        number: u64,
    },
}

impl<T> Once<T> {
    /// Something that was done now.
    #[inline]
    pub const fn first(value: T) -> Self {
        Self { value, is_repeat: false }
    }

    /// The same of another value.
    #[inline]
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Once<U> {
        Once { value: to(self.value), is_repeat: self.is_repeat }
    }
}

/// The keys that are remembered.
#[derive(Debug)]
pub(super) struct Keys([Mutex<Shard>; SHARDS]);

#[derive(Debug, Default)]
struct Shard {
    effects: HashMap<Arc<str>, Entry, RandomState>,
    /// When each was kept, and as which. One that was decided anew leaves its first place behind, which counts for
    /// nothing and is cleared away in time.
    by_age: VecDeque<(Monotonic, u64, Arc<str>)>,
    /// Effects that were ever kept.
    kept: u64,
}

#[derive(Debug)]
struct Entry {
    payload: Payload,
    effect: Effect,
    /// As which it was kept: 1, 2, 3 and so on.
    number: u64,
}

impl Entry {
    /// What was done, for whoever asks for the same.
    fn effect_of(&self, payload: &Payload, key: &str) -> Result<Effect, LedgerError> {
        if self.payload == *payload {
            Ok(self.effect.clone())
        } else {
            Err(LedgerError::IdempotencyConflict(key.into()))
        }
    }
}

impl Payload {
    pub(super) fn of_debit<Q: Quantity>(path: Path<'_>, what: &Q, operation: OperationId) -> Self {
        let accounts = path.joint.map(|joint| Arc::clone(&joint.numbers));
        Self { agent: path.agent.number, accounts, what: what.to_quantities(), operation, terms: None }
    }

    pub(super) fn of_reservation<Q: Quantity>(path: Path<'_>, request: &Request<Q>) -> Self {
        let terms = Some((request.ttl_nanos, request.overage));
        Self { terms, ..Self::of_debit(path, &request.what, request.operation) }
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

    /// Does `act` unless it was done under `key` before and `stands`. The shard is locked meanwhile, so that of two
    /// threads with one key the second finds what the first has done.
    pub(super) fn once(
        &self,
        key: &str,
        payload: Payload,
        ledger: &Ledger,
        stands: impl FnOnce(&Effect) -> Result<bool, LedgerError>,
        act: impl FnOnce() -> Result<Effect, LedgerError>,
    ) -> Result<Once<Effect>, LedgerError> {
        check_length(key)?;
        let mut shard = self.shard(key).lock();
        let now = ledger.clock.monotonic_coarse();
        shard.forget_old(now);
        if let Some(before) = shard.effects.get(key)
            && stands(&before.effect)?
        {
            return Ok(Once { value: before.effect_of(&payload, key)?, is_repeat: true });
        }
        let effect = act()?;
        shard.keep(key, payload, effect.clone(), now);
        Ok(Once::first(effect))
    }

    /// What was done under a key, if anything was that `stands`.
    pub(super) fn find(
        &self,
        key: &str,
        payload: &Payload,
        ledger: &Ledger,
        stands: impl FnOnce(&Effect) -> Result<bool, LedgerError>,
    ) -> Result<Option<Effect>, LedgerError> {
        check_length(key)?;
        let mut shard = self.shard(key).lock();
        shard.forget_old(ledger.clock.monotonic_coarse());
        match shard.effects.get(key) {
            Some(before) if stands(&before.effect)? => before.effect_of(payload, key).map(Some),
            _ => Ok(None),
        }
    }

    /// Remembers what was done under a key, as [`once`](Self::once) did when it was.
    pub(super) fn keep(&self, key: &str, payload: Payload, effect: Effect, at: Monotonic) {
        let mut shard = self.shard(key).lock();
        shard.forget_old(at);
        shard.keep(key, payload, effect, at);
    }

    /// What was done under a key, if that is remembered.
    pub(super) fn known(&self, key: &str, now: Monotonic) -> Option<Effect> {
        let mut shard = self.shard(key).lock();
        shard.forget_old(now);
        shard.effects.get(key).map(|entry| entry.effect.clone())
    }

    /// Every key that is remembered at a time, with its payload and effect, in no order.
    pub(super) fn all(&self, now: Monotonic) -> Vec<(Arc<str>, Payload, Effect)> {
        let mut all = Vec::new();
        for shard in &self.0 {
            let mut shard = shard.lock();
            shard.forget_old(now);
            let effects = shard.effects.iter();
            all.extend(
                effects.map(|(key, entry)| (Arc::clone(key), entry.payload.clone(), entry.effect.clone())),
            );
        }
        all
    }
}

impl Shard {
    fn forget_old(&mut self, now: Monotonic) {
        while let Some((at, ..)) = self.by_age.front()
            && (now.since(*at) >= MAX_KEY_AGE_NANOS || self.effects.len() > MAX_SHARD)
        {
            if let Some((_, number, key)) = self.by_age.pop_front()
                && self.effects.get(&key).is_some_and(|entry| entry.number == number)
            {
                self.effects.remove(&key);
            }
        }
    }

    fn keep(&mut self, key: &str, payload: Payload, effect: Effect, at: Monotonic) {
        let key: Arc<str> = key.into();
        self.kept += 1;
        self.by_age.push_back((at, self.kept, Arc::clone(&key)));
        self.effects.insert(key, Entry { payload, effect, number: self.kept });
        self.forget_old(at);
        if self.by_age.len() > 2 * MAX_SHARD {
            let effects = &self.effects;
            self.by_age.retain(|(_, number, key)| effects.get(key).is_some_and(|it| it.number == *number));
        }
    }
}

fn check_length(key: &str) -> Result<(), LedgerError> {
    if (1..=MAX_KEY_BYTES).contains(&key.len()) {
        return Ok(());
    }
    let text = format!("idempotency_key must have 1 to {MAX_KEY_BYTES} bytes, not {}", key.len());
    Err(LedgerError::Configuration(text))
}

//! How reservations ended: remembered for those who ask again, or hold another handle of the same one.
//!
//! The newest are kept, in shards: what is older is forgotten, and who asks is told so. A reservation that was
//! forgotten is never charged anew.

use std::collections::VecDeque;

use super::Number;
use super::account::Account;
use super::error::Closed;
use super::idempotency::SHARDS;
use crate::sync::Mutex;

/// Ended reservations that are remembered at least: of these, the newest.
pub const MAX_CLOSURES: usize = 100_000;

/// Those of a shard; the oldest go first. A few more than its part, as of keys.
const MAX_SHARD: usize = MAX_CLOSURES / SHARDS + MAX_CLOSURES / SHARDS / 10;

#[derive(Debug)]
pub(super) struct Closures([Mutex<VecDeque<Closure>>; SHARDS]);

#[derive(Clone, Debug)]
pub(super) struct Closure {
    pub(super) agent: Number,
    pub(super) number: u64,
    pub(super) closed: Closed,
}

impl Closures {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(VecDeque::new())))
    }

    /// One after the other for the reservations of an agent, so that a busy one has room for as many as all.
    fn shard(&self, agent: Number, number: u64) -> &Mutex<VecDeque<Closure>> {
        let place = number.wrapping_add(agent.0.into()) % SHARDS as u64;
        &self.0[usize::try_from(place).unwrap_or_default()]
    }

    /// Remembers how a reservation ended. One that expired and was settled late ends twice: the last end counts.
    #[inline]
    pub(super) fn remember(&self, agent: &Account, number: u64, closed: Closed) {
        let mut closures = self.shard(agent.number, number).lock();
        if closures.len() >= MAX_SHARD {
            closures.pop_front();
        }
        closures.push_back(Closure { agent: agent.number, number, closed });
    }

    /// How a reservation ended, if that is remembered.
    pub(super) fn find(&self, agent: &Account, number: u64) -> Option<Closed> {
        let closures = self.shard(agent.number, number).lock();
        let mut newest_first = closures.iter().rev();
        newest_first
            .find(|closure| closure.agent == agent.number && closure.number == number)
            .map(|found| found.closed.clone())
    }

    /// All that are remembered, shard by shard, oldest first.
    pub(super) fn all(&self) -> Vec<Closure> {
        self.0.iter().flat_map(|shard| shard.lock().iter().cloned().collect::<Vec<_>>()).collect()
    }
}

//! How reservations ended: remembered for those who ask again, or hold another handle of the same one.
//!
//! The newest are kept, in shards: what is older is forgotten, and who asks is told so. A reservation that was
//! forgotten is never charged anew.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::account::Account;
use super::change::{Number, Quantities};
use super::debit::Receipt;
use super::error::{Closed, Settlement};
use super::holds::Held;
use super::idempotency::SHARDS;
use super::operation::OperationId;
use super::path::Joint;
use super::reservation::Overage;
use crate::amount::Amount;
use crate::sync::Mutex;

/// Ended reservations that are remembered at least: of these, the newest.
pub const MAX_CLOSURES: usize = 100_000;

/// Those of a shard; the oldest go first. A few more than its part, as of keys.
const MAX_SHARD: usize = MAX_CLOSURES / SHARDS + MAX_CLOSURES / SHARDS / 10;

#[derive(Debug)]
pub(super) struct Closures([Mutex<VecDeque<Closure>>; SHARDS]);

/// How one reservation ended, in 32 bytes: every settlement writes one down.
#[derive(Clone, Debug)]
struct Closure {
    agent: Number,
    number: u32,
    end: End,
}

#[derive(Clone, Debug)]
enum End {
    /// A settlement of money, as nearly all are.
    Settled {
        amount: i64,
        remaining: i64,
        sequence: u32,
    },
    Released {
        is_money: bool,
    },
    /// Boxed, because few do.
    Expired(Box<Lapsed>),
    /// A settlement of more than 64 bits hold, or of resources.
    Other(Box<Closed>),
}

/// What is left of a reservation that has expired: enough to settle it late.
#[derive(Clone)]
pub(super) struct Lapsed {
    pub(super) what: Quantities,
    pub(super) operation: OperationId,
    pub(super) overage: Overage,
    pub(super) joint: Option<Arc<Joint>>,
}

impl Lapsed {
    #[cold]
    fn of(held: Held) -> Self {
        let Held { what, operation, overage, joint, .. } = held;
        Self { what, operation, overage, joint }
    }
}

impl std::fmt::Debug for Lapsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let accounts = self.joint.as_ref().map(|joint| &joint.numbers);
        write!(f, "{:?} {:?} {:?} {accounts:?}", self.what, self.operation, self.overage)
    }
}

impl Closures {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(VecDeque::new())))
    }

    /// Spread by chance, so that a busy agent has room for as many as all; but many of an agent in a row in one, which
    /// lie side by side. The same in every process, as of keys.
    fn shard(&self, agent: Number, number: u32) -> &Mutex<VecDeque<Closure>> {
        let hash = FixedState::default().hash_one((agent.0, number / 64));
        &self.0[usize::try_from(hash % SHARDS as u64).unwrap_or_default()]
    }

    /// Remembers how a reservation ended, which has held this.
    #[inline]
    pub(super) fn remember(&self, agent: &Account, number: u64, closed: Closed, held: Held) {
        // After four thousand million reservations an agent's next ones are forgotten at once.
        let Ok(number) = u32::try_from(number) else { return };
        let mut closures = self.shard(agent.number, number).lock();
        if closures.len() >= MAX_SHARD {
            closures.pop_front();
        }
        closures.push_back(Closure { agent: agent.number, number, end: End::new(closed, held) });
    }

    /// Remembers that one which had expired was settled late: the last end counts.
    #[cold]
    pub(super) fn replace(&self, agent: &Account, number: u64, closed: Closed) {
        let Ok(number) = u32::try_from(number) else { return };
        let mut closures = self.shard(agent.number, number).lock();
        let mut newest_first = closures.iter_mut().rev();
        let found = newest_first.find(|closure| closure.agent == agent.number && closure.number == number);
        if let Some(found) = found {
            found.end = End::settled(closed);
        }
    }

    /// How a reservation ended, if that is remembered.
    pub(super) fn find(&self, agent: &Account, number: u64) -> Option<Closed> {
        self.look(agent, number, |end| Some(end.closed()))
    }

    /// What is left of a reservation that has expired and was not settled since, if that is remembered.
    pub(super) fn lapsed(&self, agent: &Account, number: u64) -> Option<Lapsed> {
        self.look(agent, number, |end| match end {
            End::Expired(lapsed) => Some((**lapsed).clone()),
            _ => None,
        })
    }

    /// Whether a reservation of money was given back by its holder, as far as that is remembered.
    pub(super) fn is_released_money(&self, agent: &Account, number: u64) -> bool {
        let released = |end: &End| matches!(end, End::Released { is_money: true }).then_some(());
        self.look(agent, number, released).is_some()
    }

    fn look<R>(&self, agent: &Account, number: u64, look: impl FnOnce(&End) -> Option<R>) -> Option<R> {
        let number = u32::try_from(number).ok()?;
        let closures = self.shard(agent.number, number).lock();
        let mut newest_first = closures.iter().rev();
        let found = newest_first.find(|closure| closure.agent == agent.number && closure.number == number)?;
        look(&found.end)
    }

    /// All that are remembered, in words, for comparing two ledgers: by agent and number, the first end first.
    pub(super) fn lines(&self) -> Vec<String> {
        let shards = self.0.iter();
        let mut all: Vec<_> =
            shards.flat_map(|shard| shard.lock().iter().cloned().collect::<Vec<_>>()).collect();
        all.sort_by_key(|closure| (closure.agent, closure.number));
        all.iter().map(|closure| format!("{closure:?}")).collect()
    }
}

impl End {
    #[inline]
    fn new(closed: Closed, held: Held) -> Self {
        match closed {
            Closed::Released => Self::Released { is_money: matches!(held.what, Quantities::Money(_)) },
            Closed::Expired => Self::Expired(Box::new(Lapsed::of(held))),
            Closed::Settled(_) => Self::settled(closed),
        }
    }

    #[inline]
    fn settled(closed: Closed) -> Self {
        let small = match &closed {
            Closed::Settled(Settlement::Money(receipt)) => Self::small(receipt),
            _ => None,
        };
        small.unwrap_or_else(|| Self::Other(Box::new(closed)))
    }

    #[inline]
    fn small(receipt: &Receipt) -> Option<Self> {
        Some(Self::Settled {
            amount: receipt.amount.units().try_into().ok()?,
            remaining: receipt.remaining.try_into().ok()?,
            sequence: receipt.sequence.try_into().ok()?,
        })
    }

    fn closed(&self) -> Closed {
        match self {
            Self::Settled { amount, remaining, sequence } => {
                let amount = Amount::from_units((*amount).into()).unwrap_or_default();
                let (remaining, sequence) = ((*remaining).into(), (*sequence).into());
                Closed::Settled(Settlement::Money(Receipt { amount, remaining, sequence }))
            }
            Self::Released { .. } => Closed::Released,
            Self::Expired(_) => Closed::Expired,
            Self::Other(closed) => (**closed).clone(),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::clock::Monotonic;

    #[test]
    fn ends_come_back_as_they_were_and_most_are_small() {
        assert_eq!(size_of::<Closure>(), 32);
        let receipt = |amount, remaining, sequence| {
            Closed::Settled(Settlement::Money(Receipt { amount, remaining, sequence }))
        };
        let ends = [
            receipt(Amount::ZERO, -1, 1),
            receipt(Amount::MAX, i128::MIN, u64::MAX),
            Closed::Released,
            Closed::Expired,
        ];
        for end in ends {
            let held = Held {
                what: Quantities::Money(Amount::ZERO),
                operation: OperationId::NONE,
                overage: Overage::Reject,
                time_over: Monotonic::NEVER,
                deadline: Monotonic::NEVER,
                joint: None,
            };
            assert_eq!(End::new(end.clone(), held).closed(), end);
        }
    }
}

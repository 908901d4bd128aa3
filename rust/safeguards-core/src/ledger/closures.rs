//! How reservations ended: remembered for those who ask again, or hold another handle of the same one.
//!
//! The newest are kept, in shards: what is older is forgotten, and who asks is told so. A reservation that was
//! forgotten is never charged anew.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::Number;
use super::account::Account;
use super::change::Quantities;
use super::debit::{Charge, Receipt};
use super::error::{Closed, Settlement};
use super::holds::Held;
use super::idempotency::SHARDS;
use super::operation::OperationId;
use super::path::Joint;
use super::reservation::Overage;
use crate::amount::Amount;
use crate::clock::Monotonic;
use crate::sync::Mutex;

/// Ended reservations that are remembered at least: of these, the newest.
pub const MAX_CLOSURES: usize = 100_000;

/// Those of a shard; the oldest go first. A few more than its part, as of keys.
const MAX_SHARD: usize = MAX_CLOSURES / SHARDS + MAX_CLOSURES / SHARDS / 10;

pub(super) struct Closures([Mutex<VecDeque<Closure>>; SHARDS]);

/// How one reservation ended, in 64 bytes: every settlement writes one down.
#[derive(Clone)]
struct Closure {
    agent: Number,
    number: u32,
    end: End,
}

#[derive(Clone)]
enum End {
    /// A settlement of money, as nearly all are.
    Settled {
        reserved: i64,
        amount: i64,
        remaining: i64,
        at: Monotonic,
        handle: u32,
        path: Number,
        sequence: u32,
        era: u32,
        operation: OperationId,
    },
    Released {
        reserved: i64,
    },
    /// Of more than 64 bits hold, of resources, or one that can still be settled late.
    Other(Box<Ended>),
}

/// A reservation that has ended, and how.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) what: Quantities,
    pub(super) operation: OperationId,
    pub(super) overage: Overage,
    pub(super) joint: Option<Arc<Joint>>,
    pub(super) closed: Closed,
}

impl std::fmt::Debug for Closures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Closures").finish_non_exhaustive()
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

    /// Remembers how a reservation ended.
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
        self.with(agent, number, |end| *end = End::Other(Box::new(Ended { closed, ..end.ended() })));
    }

    /// How a reservation ended, if that is remembered.
    pub(super) fn find(&self, agent: &Account, number: u64) -> Option<Closed> {
        self.with(agent, number, |end| end.closed())
    }

    /// A reservation that has ended, if it is remembered.
    pub(super) fn ended(&self, agent: &Account, number: u64) -> Option<Ended> {
        self.with(agent, number, |end| end.ended())
    }

    /// A reservation that has expired and was not settled since, if it is remembered.
    pub(super) fn lapsed(&self, agent: &Account, number: u64) -> Option<Ended> {
        self.ended(agent, number).filter(|ended| ended.closed == Closed::Expired)
    }

    /// Whether a reservation of money was given back by its holder, as far as that is remembered.
    pub(super) fn is_released_money(&self, agent: &Account, number: u64) -> bool {
        let ended = self.ended(agent, number);
        ended.is_some_and(|ended| {
            ended.closed == Closed::Released && matches!(ended.what, Quantities::Money(_))
        })
    }

    fn with<R>(&self, agent: &Account, number: u64, act: impl FnOnce(&mut End) -> R) -> Option<R> {
        let number = u32::try_from(number).ok()?;
        let mut closures = self.shard(agent.number, number).lock();
        let mut newest_first = closures.iter_mut().rev();
        let found = newest_first.find(|closure| closure.agent == agent.number && closure.number == number);
        found.map(|found| act(&mut found.end))
    }

    /// All that are remembered, in words, for comparing two ledgers: by agent and number, the first end first.
    pub(super) fn lines(&self) -> Vec<String> {
        let shards = self.0.iter();
        let mut all: Vec<_> =
            shards.flat_map(|shard| shard.lock().iter().cloned().collect::<Vec<_>>()).collect();
        all.sort_by_key(|closure| (closure.agent, closure.number));
        all.iter().map(Closure::line).collect()
    }
}

impl Closure {
    fn line(&self) -> String {
        let Ended { what, operation, overage, joint, closed } = self.end.ended();
        // How an end is kept tells what of it is remembered.
        let terms = matches!(self.end, End::Other(_)).then_some((operation, overage));
        let accounts = joint.as_ref().map(|joint| &joint.numbers);
        format!("ended {} {} {what:?} {terms:?} {accounts:?} {closed:?}", self.agent.0, self.number)
    }
}

impl End {
    #[inline]
    fn new(closed: Closed, held: Held) -> Self {
        if let Some(small) = Self::small(&held.what, &closed) {
            return small;
        }
        let Held { what, operation, overage, joint, .. } = held;
        Self::Other(Box::new(Ended { what, operation, overage, joint, closed }))
    }

    /// What fits into a few bytes.
    #[inline]
    fn small(what: &Quantities, closed: &Closed) -> Option<Self> {
        let Quantities::Money(reserved) = what else { return None };
        let reserved = reserved.units().try_into().ok()?;
        match closed {
            Closed::Settled(Settlement::Money(receipt)) if receipt.unpaid.is_zero() => {
                let Charge { handle, sequence, path, operation, at, era } = receipt.charge;
                Some(Self::Settled {
                    reserved,
                    amount: receipt.amount.units().try_into().ok()?,
                    remaining: receipt.remaining.try_into().ok()?,
                    at,
                    handle,
                    path,
                    sequence: sequence.try_into().ok()?,
                    era: era.try_into().ok()?,
                    operation,
                })
            }
            Closed::Released => Some(Self::Released { reserved }),
            Closed::Settled(_) | Closed::Expired => None,
        }
    }

    fn closed(&self) -> Closed {
        match self {
            Self::Settled { amount, remaining, at, handle, path, sequence, era, operation, .. } => {
                let (handle, path, operation, at) = (*handle, *path, *operation, *at);
                let (sequence, era) = ((*sequence).into(), (*era).into());
                let charge = Charge { handle, sequence, path, operation, at, era };
                let (amount, remaining) = (money(*amount), (*remaining).into());
                let receipt = Receipt { amount, unpaid: Amount::ZERO, remaining, charge };
                Closed::Settled(Settlement::Money(receipt))
            }
            Self::Released { .. } => Closed::Released,
            Self::Other(ended) => ended.closed.clone(),
        }
    }

    /// One that has ended for good needs neither its terms nor its accounts.
    fn ended(&self) -> Ended {
        match self {
            Self::Settled { reserved, .. } | Self::Released { reserved } => Ended {
                what: Quantities::Money(money(*reserved)),
                operation: OperationId::NONE,
                overage: Overage::AllowWithOverdraft,
                joint: None,
                closed: self.closed(),
            },
            Self::Other(ended) => (**ended).clone(),
        }
    }
}

fn money(units: i64) -> Amount {
    Amount::from_units(units.into()).unwrap_or_default()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn ends_come_back_as_they_were_and_most_are_small() {
        assert_eq!(size_of::<Closure>(), 64);
        let receipt = |amount, remaining, sequence, unpaid| {
            let (handle, path, operation, at) = (7, Number(9), OperationId(3), Monotonic(5));
            let charge = Charge { handle, sequence, path, operation, at, era: 11 };
            Closed::Settled(Settlement::Money(Receipt { amount, unpaid, remaining, charge }))
        };
        let ends = [
            receipt(Amount::ZERO, -1, 1, Amount::ZERO),
            receipt(Amount::ZERO, -1, 1, Amount::MAX),
            receipt(Amount::MAX, i128::MIN, u64::MAX, Amount::ZERO),
            Closed::Released,
            Closed::Expired,
        ];
        for (closed, reserved) in ends.iter().flat_map(|end| [(end, Amount::ZERO), (end, Amount::MAX)]) {
            let held = Held {
                what: Quantities::Money(reserved),
                operation: OperationId::NONE,
                overage: Overage::Reject,
                time_over: Monotonic(1),
                deadline: Monotonic(1),
                joint: None,
            };
            let ended = End::new(closed.clone(), held).ended();
            assert_eq!((ended.closed, ended.what), (closed.clone(), Quantities::Money(reserved)));
        }
    }
}

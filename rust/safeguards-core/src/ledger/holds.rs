//! What an agent has set aside: its active reservations, by number and by deadline.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::change::Quantities;
use super::operation::OperationId;
use super::path::Joint;
use super::quantity::Quantity;
use super::reservation::Overage;
use crate::amount::Amount;
use crate::clock::Monotonic;

/// The active reservations of an agent.
#[derive(Debug, Default)]
pub(super) struct Holds {
    active: HashMap<u64, Held, FixedState>,
    /// When each may expire, earliest first. One that was settled, or prolonged, leaves its entry behind.
    deadlines: BinaryHeap<Reverse<(Monotonic, u64)>>,
    /// Reservations that were ever made.
    made: u64,
    /// Units set aside by reservations of others, which are charged to this agent as well.
    for_others: i128,
    /// When the ledger's timers look at them. No part of the state.
    timer: Option<Monotonic>,
}

/// What one reservation has set aside.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) what: Quantities,
    pub(super) operation: OperationId,
    pub(super) overage: Overage,
    /// When its time is over.
    pub(super) time_over: Monotonic,
    /// The same, or never while it is kept alive.
    pub(super) deadline: Monotonic,
    /// The accounts that it holds on, where they are more than the agent's own path.
    pub(super) joint: Option<Arc<Joint>>,
}

/// Entries of deadlines that may be left behind before they are cleared away.
const MAX_STALE: usize = 64;

impl Holds {
    /// Reservations that were ever made.
    pub(super) const fn made(&self) -> u64 {
        self.made
    }

    /// Units set aside by reservations of others, which are charged to this agent as well.
    pub(super) const fn for_others(&self) -> i128 {
        self.for_others
    }

    pub(super) const fn hold_for_another(&mut self, units: i128) {
        self.for_others += units;
    }

    pub(super) fn get(&self, number: u64) -> Option<&Held> {
        self.active.get(&number)
    }

    /// Every active reservation, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Held)> {
        self.active.iter().map(|(number, held)| (*number, held))
    }

    /// When which money is given back at last, earliest first. Work that keeps its reservation alive has no deadline, and
    /// others' reservations have theirs elsewhere: both are taken to end at `latest`.
    pub(super) fn money_by_deadline(&self, latest: Monotonic) -> Vec<(Monotonic, Amount)> {
        let own = self.active.values().filter_map(|held| match (&held.what, held.deadline) {
            (Quantities::Money(amount), Monotonic::NEVER) => Some((latest, *amount)),
            (Quantities::Money(amount), deadline) => Some((deadline, *amount)),
            (Quantities::Resources(_), _) => None,
        });
        let mut all: Vec<_> =
            own.chain([(latest, Amount::from_units(self.for_others).unwrap_or_default())]).collect();
        all.sort_unstable_by_key(|(deadline, _)| *deadline);
        all
    }

    /// Units of money that are set aside, by the agent's reservations and by others'.
    pub(super) fn money(&self) -> i128 {
        let own = self.active.values().filter_map(|held| Amount::of(&held.what));
        own.map(|amount| amount.units()).sum::<i128>() + self.for_others
    }

    pub(super) fn len(&self) -> usize {
        self.active.len()
    }

    pub(super) fn open(&mut self, number: u64, held: Held) {
        self.made = self.made.max(number);
        self.deadlines.push(Reverse((held.deadline, number)));
        self.active.insert(number, held);
    }

    pub(super) fn close(&mut self, number: u64) -> Option<Held> {
        let held = self.active.remove(&number);
        self.clear_if_stale();
        held
    }

    /// Moves an active reservation to another deadline.
    pub(super) fn prolong(&mut self, number: u64, deadline: Monotonic, time_over: Monotonic) {
        let Some(held) = self.active.get_mut(&number) else { return };
        held.time_over = time_over;
        if held.deadline != deadline {
            held.deadline = deadline;
            self.deadlines.push(Reverse((deadline, number)));
            self.clear_if_stale();
        }
    }

    /// When the next reservation expires, and which one it is.
    pub(super) fn next_deadline(&mut self) -> Option<(Monotonic, u64)> {
        while let Some(Reverse((deadline, number))) = self.deadlines.peek().copied() {
            if self.active.get(&number).is_some_and(|held| held.deadline == deadline) {
                return (deadline != Monotonic::NEVER).then_some((deadline, number));
            }
            self.deadlines.pop();
        }
        None
    }

    /// When the ledger's timers look at them; `None` if never.
    pub(super) const fn timer(&self) -> Option<Monotonic> {
        self.timer
    }

    /// Returns the timer that was set before.
    pub(super) const fn set_timer(&mut self, at: Option<Monotonic>) -> Option<Monotonic> {
        std::mem::replace(&mut self.timer, at)
    }

    /// Every active reservation in words, by number, for comparing two ledgers.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut active: Vec<_> = self.iter().collect();
        active.sort_unstable_by_key(|(number, _)| *number);
        let line = |(number, held): (u64, &Held)| {
            let Held { what, operation, overage, time_over, deadline, joint } = held;
            let accounts = joint.as_ref().map(|joint| &joint.numbers);
            let times = (time_over.0, deadline.0);
            format!("  reservation {number} {what:?} {operation:?} {overage:?} {times:?} {accounts:?}")
        };
        let made = format!("  reservations made {} for others {}", self.made, self.for_others);
        std::iter::once(made).chain(active.into_iter().map(line)).collect()
    }

    #[inline]
    fn clear_if_stale(&mut self) {
        if self.deadlines.len() > 2 * self.active.len() + MAX_STALE {
            self.clear_stale();
        }
    }

    fn clear_stale(&mut self) {
        let active = self.active.iter();
        self.deadlines = active.map(|(number, held)| Reverse((held.deadline, *number))).collect();
    }
}

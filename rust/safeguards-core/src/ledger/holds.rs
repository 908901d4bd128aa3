//! What an agent has set aside: its active reservations, by number and by deadline.
//!
//! Numbers only grow, and most reservations of an agent live equally long. So they stand in one queue, the oldest first,
//! which is in the order of the numbers and, but for those that are *out of turn*, of the deadlines as well: a
//! reservation is made, found and closed in one place of memory. The deadlines of those out of turn stand in a heap.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use super::change::Quantities;
use super::operation::OperationId;
use super::path::Joint;
use super::quantity::Quantity;
use super::reservation::Overage;
use crate::amount::Amount;
use crate::clock::Monotonic;

/// The active reservations of an agent.
#[derive(Debug)]
pub(super) struct Holds {
    /// By number. One that was closed leaves its place behind, unless it is the first or the last.
    queue: VecDeque<Place>,
    /// Places of closed ones in the queue.
    closed: usize,
    /// The latest deadline in turn.
    latest: Monotonic,
    /// All before this number are closed or out of turn.
    turn: u64,
    /// The deadlines out of turn, earliest first. One that was settled, or prolonged, leaves its entry behind.
    out_of_turn: BinaryHeap<Reverse<(Monotonic, u64)>>,
    /// Reservations that were ever made.
    made: u64,
    /// Units set aside by reservations of others, which are charged to this agent as well.
    for_others: i128,
    /// When the ledger's timers look at them. No part of the state.
    timer: Option<Monotonic>,
}

/// A place in the queue.
#[derive(Debug)]
struct Place {
    number: u64,
    /// Its deadline is no earlier than that of any before it that is in turn.
    is_in_turn: bool,
    held: Option<Held>,
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

/// Entries of deadlines, and places of closed ones, that may be left behind before they are cleared away.
const MAX_STALE: usize = 64;

impl Default for Holds {
    fn default() -> Self {
        let (queue, out_of_turn) = (VecDeque::new(), BinaryHeap::new());
        let (closed, latest, turn, made, for_others) = (0, Monotonic(i64::MIN), 0, 0, 0);
        Self { queue, closed, latest, turn, out_of_turn, made, for_others, timer: None }
    }
}

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

    #[inline]
    pub(super) fn get(&self, number: u64) -> Option<&Held> {
        self.queue[self.locate(number)?].held.as_ref()
    }

    /// Every active reservation, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Held)> {
        self.queue.iter().filter_map(|place| Some((place.number, place.held.as_ref()?)))
    }

    /// Where a number stands in the queue, if it does.
    #[inline]
    fn locate(&self, number: u64) -> Option<usize> {
        // None is further from the first than its number is: most often just as far.
        let ahead = number.checked_sub(self.queue.front()?.number)?;
        let last = usize::try_from(ahead).unwrap_or(usize::MAX).min(self.queue.len() - 1);
        if self.queue[last].number == number {
            return Some(last);
        }
        self.queue.binary_search_by_key(&number, |place| place.number).ok()
    }

    /// When which money is given back at last, earliest first. Work that keeps its reservation alive has no deadline, and
    /// others' reservations have theirs elsewhere: both are taken to end at `latest`.
    pub(super) fn money_by_deadline(&self, latest: Monotonic) -> Vec<(Monotonic, Amount)> {
        let own = self.iter().filter_map(|(_, held)| match (&held.what, held.deadline) {
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
        let own = self.iter().filter_map(|(_, held)| Amount::of(&held.what));
        own.map(|amount| amount.units()).sum::<i128>() + self.for_others
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len() - self.closed
    }

    /// Makes the reservation of the next number active.
    #[inline]
    pub(super) fn open(&mut self, number: u64, held: Held) {
        self.made = self.made.max(number);
        if self.queue.is_empty() {
            self.latest = Monotonic(i64::MIN);
        }
        let is_in_turn = held.deadline >= self.latest && held.deadline != Monotonic::NEVER;
        if is_in_turn {
            self.latest = held.deadline;
        } else {
            self.out_of_turn.push(Reverse((held.deadline, number)));
        }
        self.queue.push_back(Place { number, is_in_turn, held: Some(held) });
    }

    #[inline]
    pub(super) fn close(&mut self, number: u64) -> Option<Held> {
        let at = self.locate(number)?;
        let held = self.queue[at].held.take()?;
        self.closed += 1;
        if at == 0 || at + 1 == self.queue.len() {
            self.trim();
        } else if self.closed > self.len() + MAX_STALE {
            self.queue.retain(|place| place.held.is_some());
            self.closed = 0;
        }
        self.clear_if_stale();
        Some(held)
    }

    /// Removes closed ones from both ends of the queue.
    #[inline]
    fn trim(&mut self) {
        while self.queue.front().is_some_and(|place| place.held.is_none()) {
            self.queue.pop_front();
            self.closed -= 1;
        }
        while self.queue.back().is_some_and(|place| place.held.is_none()) {
            self.queue.pop_back();
            self.closed -= 1;
        }
    }

    /// Moves an active reservation to another deadline.
    pub(super) fn prolong(&mut self, number: u64, deadline: Monotonic, time_over: Monotonic) {
        let Some(at) = self.locate(number) else { return };
        let place = &mut self.queue[at];
        let Some(held) = &mut place.held else { return };
        held.time_over = time_over;
        if held.deadline != deadline {
            held.deadline = deadline;
            place.is_in_turn = false;
            self.out_of_turn.push(Reverse((deadline, number)));
            self.clear_if_stale();
        }
    }

    /// When the next reservation expires, and which one it is.
    pub(super) fn next_deadline(&mut self) -> Option<(Monotonic, u64)> {
        let next = [self.next_in_turn(), self.next_out_of_turn()].into_iter().flatten().min()?;
        (next.0 != Monotonic::NEVER).then_some(next)
    }

    /// The first one in turn: nobody looks twice at those that stand before it.
    fn next_in_turn(&mut self) -> Option<(Monotonic, u64)> {
        let from = self.queue.partition_point(|place| place.number < self.turn);
        let mut rest = self.queue.range(from..);
        let first = rest.find_map(|place| {
            Some((place.held.as_ref().filter(|_| place.is_in_turn)?.deadline, place.number))
        });
        self.turn = first.map_or(self.made + 1, |(_, number)| number);
        first
    }

    fn next_out_of_turn(&mut self) -> Option<(Monotonic, u64)> {
        while let Some(Reverse((deadline, number))) = self.out_of_turn.peek().copied() {
            if self.get(number).is_some_and(|held| held.deadline == deadline) {
                return Some((deadline, number));
            }
            self.out_of_turn.pop();
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
        let line = |(number, held): (u64, &Held)| {
            let Held { what, operation, overage, time_over, deadline, joint } = held;
            let accounts = joint.as_ref().map(|joint| &joint.numbers);
            let times = (time_over.0, deadline.0);
            format!("  reservation {number} {what:?} {operation:?} {overage:?} {times:?} {accounts:?}")
        };
        let made = format!("  reservations made {} for others {}", self.made, self.for_others);
        std::iter::once(made).chain(self.iter().map(line)).collect()
    }

    #[inline]
    fn clear_if_stale(&mut self) {
        if self.out_of_turn.len() > 2 * self.len() + MAX_STALE {
            self.clear_stale();
        }
    }

    fn clear_stale(&mut self) {
        let open = self.queue.iter().filter(|place| !place.is_in_turn);
        let entry = |place: &Place| Some(Reverse((place.held.as_ref()?.deadline, place.number)));
        self.out_of_turn = open.filter_map(entry).collect();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn held(deadline: Monotonic) -> Held {
        let (operation, overage, joint) = (OperationId::NONE, Overage::Reject, None);
        Held {
            what: Quantities::Money(Amount::ZERO),
            operation,
            overage,
            time_over: deadline,
            deadline,
            joint,
        }
    }

    proptest! {
        /// As a map from numbers to deadlines would: whatever is closed or prolonged in whatever order.
        #[test]
        fn the_queue_does_what_a_map_does(
            steps in prop::collection::vec((0..7_u8, 0..40_usize, prop_oneof![4 => 0..30_i64, 1 => Just(i64::MAX)]), 1..600),
        ) {
            let (mut holds, mut naive) = (Holds::default(), BTreeMap::new());
            for (what, place, deadline) in steps {
                let number = naive.keys().copied().nth(place % naive.len().max(1)).unwrap_or(place as u64);
                match what {
                    0..3 => {
                        let number = holds.made() + 1 + u64::from(place % 2 == 0); // A journal may have lost none, but who knows.
                        holds.open(number, held(Monotonic(deadline)));
                        naive.insert(number, Monotonic(deadline));
                    }
                    3..6 => {
                        let closed = holds.close(number).map(|held| held.deadline);
                        prop_assert_eq!(closed, naive.remove(&number));
                    }
                    _ => {
                        holds.prolong(number, Monotonic(deadline), Monotonic(deadline));
                        naive.entry(number).and_modify(|before| *before = Monotonic(deadline));
                    }
                }
                let active: Vec<_> = holds.iter().map(|(number, held)| (number, held.deadline)).collect();
                let expected: Vec<_> = naive.iter().map(|(number, deadline)| (*number, *deadline)).collect();
                prop_assert_eq!((holds.len(), active), (expected.len(), expected));
                if what % 2 == 0 {
                    let first = naive.iter().map(|(number, deadline)| (*deadline, *number)).min();
                    prop_assert_eq!(holds.next_deadline(), first.filter(|(at, _)| *at != Monotonic::NEVER));
                }
                prop_assert!(holds.queue.len() <= 2 * holds.len() + MAX_STALE + 1);
                prop_assert!(holds.out_of_turn.len() <= 2 * holds.len() + MAX_STALE + 1);
            }
        }
    }

    #[test]
    fn those_of_one_time_to_live_need_no_heap() {
        let mut holds = Holds::default();
        for number in 1..=1_000 {
            holds.open(number, held(Monotonic(1_000)));
            holds.close(number.saturating_sub(3));
        }
        assert_eq!((holds.out_of_turn.capacity(), holds.queue.len()), (0, 3));
        assert_eq!(holds.next_deadline(), Some((Monotonic(1_000), 998)));
    }
}

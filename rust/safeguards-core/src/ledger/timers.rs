//! When to look for expired reservations.
//!
//! Each agent with active reservations waits here once, for the earliest of their deadlines; a settlement does
//! not come here at all. An entry whose reservation is gone by then costs one look.

use std::cmp::{Ordering as Order, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::account::Account;
use crate::clock::Monotonic;
use crate::sync::{AtomicI64, Mutex, MutexGuard, Ordering};

#[derive(Debug)]
pub(super) struct Timers {
    queue: Mutex<BinaryHeap<Reverse<Timer>>>,
    /// Time of the first timer in the queue, or of the one that is being served.
    next: AtomicI64,
    /// How often all that were due had been served.
    rounds: AtomicI64,
    /// Held while timers are served, so that who finds them being served waits for the outcome.
    turn: Mutex<()>,
}

#[derive(Debug)]
pub(super) struct Timer {
    pub(super) at: Monotonic,
    pub(super) account: Arc<Account>,
}

impl Timers {
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::new(BinaryHeap::new()),
            next: AtomicI64::new(Monotonic::NEVER.0),
            rounds: AtomicI64::new(0),
            turn: Mutex::new(()),
        }
    }

    /// True if a timer is due, or being served.
    #[inline]
    pub(super) fn is_due(&self, now: Monotonic) -> bool {
        now.0 >= self.next.load(Ordering::Acquire)
    }

    /// Another number after each round that gave something back.
    #[inline]
    pub(super) fn rounds(&self) -> i64 {
        self.rounds.load(Ordering::Acquire)
    }

    /// Waits for the turn to serve timers, if one is due.
    pub(super) fn turn_if_due(&self, now: Monotonic) -> Option<MutexGuard<'_, ()>> {
        self.is_due(now).then(|| self.turn.lock())
    }

    /// The next timer that is due. With the last one the queue knows again when to look.
    pub(super) fn pop_due(&self, now: Monotonic) -> Option<Timer> {
        let mut queue = self.queue.lock();
        let first = queue.peek().map_or(Monotonic::NEVER, |Reverse(timer)| timer.at);
        if first <= now {
            return queue.pop().map(|Reverse(timer)| timer);
        }
        self.rounds.fetch_add(1, Ordering::AcqRel);
        self.next.store(first.0, Ordering::Release);
        None
    }

    pub(super) fn push(&self, timer: Timer) {
        let mut queue = self.queue.lock();
        self.next.fetch_min(timer.at.0, Ordering::AcqRel);
        queue.push(Reverse(timer));
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Order {
        self.at.cmp(&other.at)
    }
}

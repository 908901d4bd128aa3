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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::amount::Amount;
    use crate::clock::{Clock, ManualClock, Wall};
    use crate::ledger::{HistoryLimits, Ledger, NewPool, OperationId, Overage, Request};

    #[test]
    fn short_reservations_beside_a_long_one_pile_up_no_timers() {
        let clock = Arc::new(ManualClock::new(Wall(0)));
        let ledger = Ledger::new(Clock::Manual(Arc::clone(&clock)), HistoryLimits::default(), Vec::new());
        let (overage, operation) = (Overage::Reject, OperationId::NONE);
        let new = NewPool { id: "team", parent: None, budget: Amount::MAX, priority: 5, schedule: None };
        ledger.create_pool(new).unwrap();
        let agent = ledger.register_agent("ann", "team", 5, Amount::MAX).unwrap();
        let one = Amount::from_units(1).unwrap();
        let reserve = |ttl_nanos| {
            ledger.reserve(&agent, Request { amount: one, ttl_nanos, overage, operation }).unwrap()
        };
        let _long = reserve(1_000_000);
        for _ in 0..100 {
            let short = reserve(10);
            ledger.settle(&short, one).unwrap();
            clock.advance(Duration::from_nanos(10));
            ledger.expire();
        }
        assert_eq!(ledger.timers.queue.lock().len(), 1);
        clock.advance(Duration::from_millis(1));
        assert_eq!((ledger.expire(), ledger.timers.queue.lock().len()), (1, 0));
    }
}

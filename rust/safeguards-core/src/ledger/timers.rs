//! When to look for expired reservations.
//!
//! Each agent with active reservations waits here once, for a time no later than the earliest of their deadlines; a
//! settlement does not come here at all. An entry whose reservation is gone by then costs one look.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::account::Account;
use crate::clock::Monotonic;
use crate::sync::{AtomicI64, Mutex, MutexGuard, Ordering};

#[derive(Debug)]
pub(super) struct Timers {
    /// By time; agents that wait for the same one, by their place in memory.
    queue: Mutex<BTreeMap<(Monotonic, usize), Arc<Account>>>,
    /// Time of the first timer in the queue, or of the one that is being served.
    next: AtomicI64,
    /// How often all that were due had been served.
    rounds: AtomicI64,
    /// Held while timers are served, so that who finds them being served waits for the outcome.
    turn: Mutex<()>,
}

impl Timers {
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::new(BTreeMap::new()),
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

    /// When it is to be looked at next.
    pub(super) fn next(&self) -> Monotonic {
        Monotonic(self.next.load(Ordering::Acquire))
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

    /// The agent of the next timer that is due. With the last one the queue knows again when to look.
    pub(super) fn pop_due(&self, now: Monotonic) -> Option<Arc<Account>> {
        let mut queue = self.queue.lock();
        let first = queue.first_key_value().map_or(Monotonic::NEVER, |((at, _), _)| *at);
        if first <= now {
            return queue.pop_first().map(|(_, account)| account);
        }
        self.rounds.fetch_add(1, Ordering::AcqRel);
        self.next.store(first.0, Ordering::Release);
        None
    }

    /// Lets an agent, whose lock is held, wait for `at` and no longer for `before`.
    pub(super) fn set(&self, account: &Arc<Account>, before: Option<Monotonic>, at: Option<Monotonic>) {
        let place = Arc::as_ptr(account).addr();
        let mut queue = self.queue.lock();
        if let Some(before) = before {
            // It is not there while it is being served.
            queue.remove(&(before, place));
        }
        if let Some(at) = at {
            self.next.fetch_min(at.0, Ordering::AcqRel);
            queue.insert((at, place), Arc::clone(account));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::amount::Amount;
    use crate::clock::{Clock, ManualClock, Wall};
    use crate::ledger::{
        Account, HistoryLimits, Ledger, NewPool, OperationId, Overage, Request, Reservation, Rules,
    };

    fn world() -> (Ledger, Arc<ManualClock>, [Arc<Account>; 2]) {
        let clock = Arc::new(ManualClock::new(Wall(0)));
        let ledger = Ledger::new(Clock::Manual(Arc::clone(&clock)), HistoryLimits::default(), Vec::new());
        let new = NewPool {
            name: None,
            id: "team",
            parent: None,
            budget: Amount::MAX,
            priority: 5,
            rules: Rules::default(),
        };
        ledger.create_pool(new).expect("a pool");
        let agents =
            ["ann", "bob"].map(|id| ledger.register_agent(id, "team", 5, Amount::MAX).expect("an agent"));
        (ledger, clock, agents)
    }

    fn reserve(ledger: &Ledger, agent: &Arc<Account>, ttl_nanos: i64) -> Reservation {
        let (amount, overage) = (Amount::from_units(1).expect("an amount"), Overage::Reject);
        ledger
            .reserve(agent, &Request { what: amount, ttl_nanos, overage, operation: OperationId::NONE })
            .expect("money")
    }

    #[test]
    fn short_reservations_beside_a_long_one_pile_up_no_timers() {
        let (ledger, clock, [agent, _]) = world();
        let _long = reserve(&ledger, &agent, 1_000_000);
        for _ in 0..100 {
            let short = reserve(&ledger, &agent, 10);
            ledger.settle(&short, short.what()).unwrap();
            clock.advance(Duration::from_nanos(10));
            ledger.expire();
        }
        assert_eq!(ledger.timers.queue.lock().len(), 1);
        clock.advance(Duration::from_millis(1));
        assert_eq!((ledger.expire(), ledger.timers.queue.lock().len()), (1, 0));
    }

    #[test]
    fn deadlines_that_fall_leave_one_timer_for_each_agent() {
        let (ledger, clock, agents) = world();
        for i in 0..100 {
            for agent in &agents {
                reserve(&ledger, agent, 10_000 - i);
            }
        }
        assert_eq!(ledger.timers.queue.lock().len(), agents.len());
        clock.advance(Duration::from_nanos(9_950));
        assert_eq!((ledger.expire(), ledger.timers.queue.lock().len()), (100, agents.len()));
        clock.advance(Duration::from_nanos(50));
        assert_eq!((ledger.expire(), ledger.timers.queue.lock().len()), (100, 0));
    }
}

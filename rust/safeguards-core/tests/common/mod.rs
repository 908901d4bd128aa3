//! A small world for tests: an agent, the pool above it, the pool above that, and a clock that stands still.
#![allow(dead_code, reason = "each test crate uses its own part")]

use std::sync::Arc;
use std::time::Duration;

use safeguards_core::amount::{Amount, Rounding, UNITS_PER_ONE};
use safeguards_core::clock::{Clock, ManualClock, Wall};
use safeguards_core::ledger::{
    Account, EventKind, HistoryLimits, Ledger, LedgerError, NewPool, OperationId, Overage, Request, Threshold,
};

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const HOUR: i64 = 3_600 * SECOND;

/// What a reservation lives for if a test does not say.
pub(crate) const TTL: i64 = 900 * SECOND;

/// `granted, remaining, reserved, spent`, in wholes.
pub(crate) type Books = (i128, i128, i128, i128);

/// An amount of wholes.
pub(crate) fn whole(wholes: i128) -> Amount {
    Amount::from_units(wholes * UNITS_PER_ONE).expect("an amount")
}

/// An amount as people write it.
pub(crate) fn amount(text: &str) -> Amount {
    Amount::parse_plain(text, Rounding::Up).expect("an amount")
}

pub(crate) fn request(wholes: i128) -> Request {
    let overage = Overage::AllowWithOverdraft;
    Request { amount: whole(wholes), ttl_nanos: TTL, overage, operation: OperationId::NONE }
}

/// A ledger on a manual clock, without accounts.
pub(crate) fn ledger(thresholds: &[u32]) -> (Arc<Ledger>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Wall(0)));
    let thresholds = thresholds.iter().copied().map(Threshold).collect();
    let ledger = Ledger::new(Clock::Manual(Arc::clone(&clock)), HistoryLimits::default(), thresholds);
    (Arc::new(ledger), clock)
}

pub(crate) fn pool<'a>(id: &'a str, parent: Option<&'a str>, wholes: i128) -> NewPool<'a> {
    NewPool { id, parent, budget: whole(wholes), priority: 5, schedule: None }
}

/// `root` (100) above `team` (50) above the agent `ann` (10).
pub(crate) struct World {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ann: Arc<Account>,
    pub(crate) team: Arc<Account>,
    pub(crate) root: Arc<Account>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_thresholds(&[])
    }

    pub(crate) fn with_thresholds(thresholds: &[u32]) -> Self {
        let (ledger, clock) = ledger(thresholds);
        let root = ledger.create_pool(pool("root", None, 100)).expect("a pool");
        let team = ledger.create_pool(pool("team", Some("root"), 50)).expect("a pool");
        let ann = ledger.register_agent("ann", "team", 5, whole(10)).expect("an agent");
        Self { ledger, clock, ann, team, root }
    }

    pub(crate) fn advance(&self, nanos: i64) {
        self.clock.advance(Duration::from_nanos(nanos.unsigned_abs()));
    }

    pub(crate) fn debit(&self, wholes: i128) -> Result<i128, LedgerError> {
        let receipt = self.ledger.debit_account(&self.ann, whole(wholes), OperationId::NONE)?;
        Ok(receipt.remaining / UNITS_PER_ONE)
    }

    /// The books of an account.
    pub(crate) fn books_of(&self, account: &Account) -> Books {
        let books = self.ledger.snapshot(account).expect("an open account").balance;
        let wholes = |units: i128| {
            assert_eq!(units % UNITS_PER_ONE, 0, "a balance of wholes");
            units / UNITS_PER_ONE
        };
        (wholes(books.granted), wholes(books.remaining), wholes(books.reserved), wholes(books.spent))
    }

    /// The books of the whole path: agent, team, root.
    pub(crate) fn books(&self) -> [Books; 3] {
        [&self.ann, &self.team, &self.root].map(|account| self.books_of(account))
    }

    /// Does something, and returns what it answered together with the events that it added, to whichever account
    /// of the path. The books must balance afterwards.
    pub(crate) fn act<R>(&self, act: impl FnOnce(&Self) -> R) -> (R, Vec<(EventKind, i128)>) {
        let accounts = [&self.ann, &self.team, &self.root];
        let events = |account: &Account| self.ledger.events(account).expect("an open account");
        let before = accounts.map(|account| events(account).last().map_or(0, |event| event.sequence));
        let answer = act(self);
        let mut added = Vec::new();
        for (account, before) in accounts.iter().zip(before) {
            let new = events(account).into_iter().filter(|event| event.sequence > before);
            added.extend(new.map(|event| (event.kind, event.amount.units() / UNITS_PER_ONE)));
        }
        self.assert_sound();
        (answer, added)
    }

    pub(crate) fn assert_sound(&self) {
        assert_eq!(self.ledger.verify(), []);
    }
}

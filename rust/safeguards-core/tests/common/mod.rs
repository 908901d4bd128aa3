//! A small world for tests: an agent, the pool above it, the pool above that, and a clock that stands still.
#![allow(dead_code, reason = "each test crate uses its own part")]

pub(crate) mod origins;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use safeguards_core::amount::{Amount, Rounding, UNITS_PER_ONE};
use safeguards_core::clock::{Clock, ManualClock, Wall};
use safeguards_core::ledger::{
    Account, Change, EventKind, HistoryLimits, Instant, Journal, Ledger, LedgerError, NewPool, OperationId,
    Overage, Receipt, Request, Rules, Threshold, Unwritten,
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
    Request { what: whole(wholes), ttl_nanos: TTL, overage, operation: OperationId::NONE }
}

/// Debits an agent by its id.
pub(crate) fn debit(ledger: &Ledger, agent: &str, amount: Amount) -> Result<Receipt, LedgerError> {
    ledger.with_agent(agent, |agent| ledger.debit(agent, &amount, OperationId::NONE))
}

/// A ledger on a manual clock, without accounts.
pub(crate) fn ledger(thresholds: &[u32]) -> (Arc<Ledger>, Arc<ManualClock>) {
    let (ledger, clock) = plain_ledger(thresholds);
    (Arc::new(ledger), clock)
}

fn plain_ledger(thresholds: &[u32]) -> (Ledger, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Wall(0)));
    let thresholds = thresholds.iter().copied().map(Threshold).collect();
    (Ledger::new(Clock::Manual(Arc::clone(&clock)), HistoryLimits::default(), thresholds), clock)
}

/// A ledger whose every change is recorded.
pub(crate) fn recorded_ledger(thresholds: &[u32]) -> (Arc<Ledger>, Arc<ManualClock>, Recorder) {
    let (ledger, clock) = plain_ledger(thresholds);
    let recorder = Recorder { thresholds: thresholds.to_vec(), ..Recorder::default() };
    let ledger = ledger.with_journal(Box::new(recorder.clone()));
    (Arc::new(ledger), clock, recorder)
}

/// Every change of a ledger, in order. Refuses to write while it is told to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    thresholds: Vec<u32>,
    changes: Arc<Mutex<Vec<(Instant, Change)>>>,
    is_full: Arc<AtomicBool>,
    /// How many changes have room, if that is limited.
    room: Arc<Mutex<Option<usize>>>,
}

impl Journal for Recorder {
    fn append(&self, at: Instant, change: &Change) -> Result<(), Unwritten> {
        let mut changes = self.changes.lock().expect("no panic under it");
        let has_room = self.room.lock().expect("no panic under it").is_none_or(|room| changes.len() < room);
        if self.is_full.load(Ordering::SeqCst) || !has_room {
            return Err(Unwritten { reason: "the disk is full".into() });
        }
        changes.push((at, change.clone()));
        Ok(())
    }
}

impl Recorder {
    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
        *self.room.lock().expect("no panic under it") = None;
    }

    /// Has room for so many changes.
    pub(crate) fn fill_after(&self, changes: usize) {
        *self.room.lock().expect("no panic under it") = Some(changes);
    }

    pub(crate) fn changes(&self) -> Vec<(Instant, Change)> {
        self.changes.lock().expect("no panic under it").clone()
    }

    /// An empty ledger, on a clock that nobody moves, in which every change was made again.
    pub(crate) fn replayed(&self) -> Ledger {
        let (ledger, _) = plain_ledger(&self.thresholds);
        let mut replay = ledger.replay();
        for (at, change) in self.changes() {
            replay.apply(at, &change).unwrap_or_else(|error| panic!("{error}: {change:?}"));
        }
        replay.finish()
    }

    /// The ledger that was made again is as the one that wrote: its state, and every usage history.
    pub(crate) fn assert_replays(&self, ledger: &Ledger) {
        let at = Instant { monotonic: ledger.clock().monotonic(), wall: ledger.clock().wall() };
        let again = self.replayed();
        let (lines, expected) = (again.state_lines(at), ledger.state_lines(at));
        for (line, expected) in lines.iter().zip(&expected) {
            assert_eq!(line, expected);
        }
        assert_eq!(lines.len(), expected.len());
        assert_eq!(again.state_hash(at), ledger.state_hash(at));
        for agent in ledger.agents() {
            let twin = again.agent(agent.id()).expect("it was registered again");
            let (log, expected) = (again.usage_since(&twin, 0), ledger.usage_since(&agent, 0));
            assert_eq!(format!("{log:?}"), format!("{expected:?}"), "{}", agent.id());
        }
        assert_eq!(again.verify(), []);
    }
}

pub(crate) fn pool<'a>(id: &'a str, parent: Option<&'a str>, wholes: i128) -> NewPool<'a> {
    NewPool { name: None, id, parent, budget: whole(wholes), priority: 5, rules: Rules::default() }
}

/// `root` (100) above `team` (50) above the agent `ann` (10).
pub(crate) struct World {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ann: Arc<Account>,
    pub(crate) team: Arc<Account>,
    pub(crate) root: Arc<Account>,
    pub(crate) recorder: Recorder,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_thresholds(&[])
    }

    pub(crate) fn with_thresholds(thresholds: &[u32]) -> Self {
        let (ledger, clock, recorder) = recorded_ledger(thresholds);
        let root = ledger.create_pool(pool("root", None, 100)).expect("a pool");
        let team = ledger.create_pool(pool("team", Some("root"), 50)).expect("a pool");
        let ann = ledger.register_agent("ann", "team", 5, whole(10)).expect("an agent");
        Self { ledger, clock, ann, team, root, recorder }
    }

    pub(crate) fn advance(&self, nanos: i64) {
        self.clock.advance(Duration::from_nanos(nanos.unsigned_abs()));
    }

    pub(crate) fn debit(&self, wholes: i128) -> Result<i128, LedgerError> {
        let receipt = self.ledger.debit(&self.ann, &whole(wholes), OperationId::NONE)?;
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
        self.recorder.assert_replays(&self.ledger);
    }
}

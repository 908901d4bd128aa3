//! The accounts of a ledger, as a queue sees them.

use std::sync::Arc;

use super::kept::Asks;
use super::lane::Rank;
use super::queue::{Attempt, Lack, Lacking, Room, World};
use super::waiter::{Fate, Served, Waiter, lacking};
use crate::clock::{Monotonic, Wall};
use crate::ledger::account::Account;
use crate::ledger::state::State;
use crate::ledger::{Ledger, LedgerError, Number};
use crate::sync::MutexGuard;

/// The accounts, for as long as a queue is locked.
pub(super) struct Accounts<'a> {
    pub(super) ledger: &'a Ledger,
    /// Those that wait no more and are to be woken, once no lock is held.
    pub(super) woken: Vec<Arc<Waiter>>,
    /// Those that are to wait elsewhere, where their accounts are now.
    pub(super) moved: Vec<Arc<Waiter>>,
    /// How many wait no more.
    pub(super) ended: i64,
    /// The keys of those that left.
    pub(super) keys: Vec<(Box<str>, Rank)>,
}

impl<'a> Accounts<'a> {
    pub(super) const fn new(ledger: &'a Ledger) -> Self {
        Self { ledger, woken: Vec::new(), moved: Vec::new(), ended: 0, keys: Vec::new() }
    }

    pub(super) fn end(&mut self, waiter: &Arc<Waiter>, outcome: Result<Served, LedgerError>) {
        self.count_out(waiter);
        if waiter.end(outcome) {
            self.woken.push(Arc::clone(waiter));
        }
    }

    /// Lets a waiter go without an outcome.
    pub(super) fn withdraw(&mut self, waiter: &Waiter) {
        self.count_out(waiter);
        *waiter.fate.lock() = Fate::Gone;
    }

    /// Lets a waiter go without an outcome, and tells it.
    pub(super) fn dismiss(&mut self, waiter: &Arc<Waiter>) {
        self.ended += 1;
        let before = std::mem::replace(&mut *waiter.fate.lock(), Fate::Gone);
        if matches!(before, Fate::Sleeps) {
            self.woken.push(Arc::clone(waiter));
        }
    }

    fn count_out(&mut self, waiter: &Waiter) {
        self.ended += 1;
        self.forget_key(waiter);
    }

    fn forget_key(&mut self, waiter: &Waiter) {
        self.keys.extend(waiter.key.clone().map(|key| (key, waiter.rank)));
    }

    /// Lets a waiter that was refused go on elsewhere, if an account of its path has moved. What is kept for it is still
    /// found at its old place, which it has as long as the queue is locked.
    fn send_on(&mut self, waiter: &Arc<Waiter>) -> bool {
        let has_moved = self.ledger.has_moved(&waiter.place());
        if has_moved {
            self.forget_key(waiter);
            self.moved.push(Arc::clone(waiter));
        }
        has_moved
    }

    fn lock<'b>(&self, account: &'b Account) -> MutexGuard<'b, State> {
        account.lock_renewed(self.ledger, self.ledger.clock.wall())
    }

    /// A time on the wall, on the line of the deadlines.
    fn to_monotonic(&self, wall: Wall) -> Monotonic {
        if wall == Wall::NEVER {
            return Monotonic::NEVER;
        }
        let (monotonic, now) = (self.ledger.clock.monotonic(), self.ledger.clock.wall());
        monotonic.plus(wall.0.saturating_sub(now.0))
    }
}

impl World for Accounts<'_> {
    type Waiter = Arc<Waiter>;
    type Account = Arc<Account>;

    fn room(&mut self, account: &Arc<Account>, lack: Lack) -> Room {
        let mut state = self.lock(account);
        match lack {
            Lack::Budget => {
                let remaining = state.books.balance.remaining;
                Room { free: remaining - state.kept(), with_kept: remaining }
            }
            Lack::Window => {
                let room = state.window_room(self.ledger.clock.monotonic());
                Room { free: room.saturating_sub(state.kept_in_windows().units()), with_kept: room }
            }
        }
    }

    fn due(&mut self, account: &Arc<Account>, lack: Lack, needs: i128) -> Monotonic {
        let mut state = self.lock(account);
        match lack {
            Lack::Budget => self.to_monotonic(state.period().ends),
            Lack::Window => state.next_room(self.ledger.clock.monotonic(), needs),
        }
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>, is_favored: bool) -> Attempt<Arc<Account>> {
        let asks = if is_favored { Asks::Favored } else { Asks::Again };
        let outcome = self.ledger.serve_waiter(waiter, asks);
        if outcome.is_err() && self.send_on(waiter) {
            return Attempt::Over;
        }
        if let Err(error) = &outcome
            && let Some(lacking) = waiter.lacking(error)
            && !self.lock(&lacking.account).never_holds(lacking.place.1, lacking.needs)
        {
            return Attempt::Lacks(lacking);
        }
        if let Err(refused) = &outcome {
            self.ledger.observe(refused);
        }
        self.end(waiter, outcome);
        Attempt::Over
    }

    fn time_over(&mut self, waiter: &Arc<Waiter>, is_favored: bool) {
        let favored = if is_favored { self.ledger.serve_waiter(waiter, Asks::Favored).ok() } else { None };
        let outcome = favored.map_or_else(|| self.ledger.serve_waiter(waiter, Asks::Once), Ok);
        if outcome.is_ok() || !self.send_on(waiter) {
            self.end(waiter, outcome);
        }
    }

    fn hopeless_place(&mut self, waiter: &Arc<Waiter>) -> Option<Lacking<Arc<Account>>> {
        let needs = waiter.needs();
        let is_hopeless = |account: &&Arc<Account>| {
            let state = self.lock(account);
            let balance = &state.books.balance;
            balance.remaining + balance.reserved - state.lapsing() < needs
        };
        let place = waiter.place();
        let account = place.path().accounts().find(is_hopeless)?;
        Some(lacking(Arc::clone(account), Lack::Budget, needs))
    }

    fn keep(&mut self, waiter: &Arc<Waiter>) {
        let now = self.ledger.clock.monotonic();
        for account in waiter.place().path().accounts() {
            self.lock(account).keep_for(now, waiter.request.what);
        }
    }

    fn stop_keeping(&mut self, waiter: &Arc<Waiter>) -> Vec<Number> {
        let place = waiter.place();
        let kept = place.path().accounts().filter(|account| account.lock().stop_keeping());
        kept.map(|account| account.number).collect()
    }
}

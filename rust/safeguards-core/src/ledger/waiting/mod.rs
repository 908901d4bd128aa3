//! Waiting for what comes back.
//!
//! **Locks.** That of a queue comes before all others of the ledger but the table of queues, and is held while those who
//! wait are tried. So nobody who holds a lock of the ledger serves a queue: what gives something back notes it as a
//! signal, and serves once it holds no lock. Whoever waits is counted before it looks at any account. So what is given
//! back after it looked, under the lock of the account that refused it, finds the count; one load tells whether there
//! is anybody. Who waits is woken with no lock held, and enters another queue so, if an account of it has moved.

mod following;
mod kept;
mod lane;
mod queue;
mod registry;
mod returns;
mod waiter;
mod world;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use super::account::Account;
use super::path::{Path, line};
use super::{Ledger, LedgerError, Number, Once, Receipt, Request, Reservation};
use crate::clock::Monotonic;
use crate::sync::{Mutex, Ordering};

use following::Place;
pub(super) use kept::{Asks, Kept};
use lane::Rank;
pub(super) use queue::Lack;
pub(super) use registry::Waiting;
use registry::{Cell, Shared, root};
use waiter::Fate;
pub use waiter::{Served, Wait, Waiter, Wake};
use world::Accounts;

/// Who calls [`Ledger::tend_waiting`] when time alone gives something back.
pub trait Tender: Send + Sync + Debug {
    /// Asks for a call in so many nanoseconds, or earlier. Called with no lock held.
    fn tend_in(&self, nanos: i64);
}

/// Waiters that are tried before the others of the process get their turn at the queue.
const TRIES: usize = 64;

/// When the tender comes, while it is there.
const TENDED_NOW: Monotonic = Monotonic(i64::MIN);

/// How soon the tender comes at the earliest: a tick of a coarse clock.
const TICK_NANOS: i64 = 1_000_000;

impl Ledger {
    /// The same ledger, which asks somebody to [tend](Self::tend_waiting) those who wait.
    #[must_use]
    pub fn with_tender(mut self, tender: Box<dyn Tender>) -> Self {
        self.waiting.tender = Some(tender);
        self
    }

    /// How many calls wait.
    #[must_use]
    pub fn waiting_count(&self) -> i64 {
        self.waiting.count.load(Ordering::Acquire)
    }

    /// Whether a call on a path would have to let others go first: somebody waits in one of its trees.
    #[must_use]
    pub fn has_waiters(&self, path: Path<'_>) -> bool {
        self.waiting.is_any() && roots(path).iter().any(|root| self.waiting.find(*root).is_some())
    }

    /// Lets a call wait until so much is set aside for it on every account of a path: the outcome, if it need not wait,
    /// or who waits. It is tried at once, when those before it have been.
    ///
    /// # Errors
    /// What can never fit is refused at once.
    pub fn wait(
        &self,
        path: Path<'_>,
        request: &Request,
        wait: &Wait<'_>,
        wake: Box<dyn Wake>,
    ) -> Result<Arc<Waiter>, LedgerError> {
        let priority = self.check_possible(path, request)?;
        let begun = self.clock.monotonic();
        let end = |nanos: Option<i64>| nanos.map_or(Monotonic::NEVER, |nanos| begun.plus(nanos));
        let ticket = self.waiting.tickets.fetch_add(1, Ordering::Relaxed);
        let waiter = Arc::new(Waiter {
            place: Mutex::new(Place::of(path)),
            request: *request,
            key: wait.key.map(Into::into),
            is_debit: wait.is_debit,
            rank: Rank::new(priority, ticket.unsigned_abs()),
            begun,
            patient_until: begun.plus(wait.patience_nanos),
            deadline: end(wait.timeout_nanos),
            wake,
            fate: Mutex::new(Fate::Comes),
        });
        self.waiting.count.fetch_add(1, Ordering::SeqCst);
        self.enter(&waiter);
        self.serve_waiting();
        let mut fate = waiter.fate.lock();
        if matches!(*fate, Fate::Comes) {
            *fate = Fate::Sleeps;
        }
        drop(fate);
        Ok(waiter)
    }

    /// Refuses what no account of the path can ever hold. Returns the agent's priority.
    fn check_possible(&self, path: Path<'_>, request: &Request) -> Result<u8, LedgerError> {
        let needs = request.what.units();
        let wall = self.clock.wall();
        for account in path.accounts() {
            let mut state = account.lock_renewed(self, wall);
            state.check_open(account)?;
            let refused = if state.never_holds(Lack::Budget, needs) {
                Err(account.refusal(&state, needs).into())
            } else if state.never_holds(Lack::Window, needs) {
                let at = self.clock.monotonic();
                state.check_windows(account, None, at, request.what, Asks::Once).map_err(Into::into)
            } else {
                Ok(())
            };
            drop(state);
            refused.map_err(|refused: LedgerError| {
                let refused = refused.asked(path, request.operation);
                self.observe(&refused);
                refused
            })?;
        }
        Ok(path.agent.lock().priority)
    }

    fn enter(&self, waiter: &Arc<Waiter>) {
        let roots = roots(waiter.place().path());
        loop {
            let shared = self.waiting.join(&roots, self);
            let is_in = self.attend(&shared, |cell, world| {
                if self.waiting.is_closed.load(Ordering::SeqCst) {
                    world.dismiss(waiter);
                    return;
                }
                let Waiter { rank, patient_until, deadline, .. } = **waiter;
                cell.keyed.extend(waiter.key.clone().map(|key| (key, rank)));
                cell.queue.add(rank, Arc::clone(waiter), patient_until, deadline);
            });
            if is_in {
                return;
            }
        }
    }

    /// Does something with a queue and serves it, slice by slice. False, with nothing done, if another one has taken its
    /// place.
    fn attend(&self, shared: &Arc<Shared>, act: impl FnOnce(&mut Cell, &mut Accounts<'_>)) -> bool {
        let mut act = Some(act);
        let mut is_more = true;
        while is_more {
            let mut world = Accounts::new(self);
            let Some(mut cell) = shared.lock() else { return act.is_none() };
            if let Some(act) = act.take() {
                act(&mut cell, &mut world);
            }
            is_more = cell.queue.serve(self.clock.monotonic(), &mut world, TRIES);
            is_more |= cell.forget_keys(&world.keys);
            let (next, is_empty) = (cell.queue.next(), cell.queue.is_empty());
            shared.next.store(next.0, Ordering::Release);
            drop(cell);
            if is_empty {
                self.waiting.retire(shared);
            }
            self.tell(world);
            self.tend_at(next);
        }
        true
    }

    /// Wakes those who wait no more. What nobody is there for is given back.
    fn tell(&self, world: Accounts<'_>) {
        self.waiting.count.fetch_sub(world.ended, Ordering::AcqRel);
        self.waiting.send_on(world.moved);
        for waiter in world.woken {
            if !waiter.wake.wake() {
                self.give_up(&waiter);
            }
        }
    }

    /// Gives back what a waiter got, unless it was another's before.
    fn give_up(&self, waiter: &Waiter) {
        if let Some(Ok(Served::Reserved(Once { value: reservation, is_repeat: false }))) = waiter.outcome() {
            // One that was closed meanwhile holds nothing.
            drop(self.release_quietly(&reservation));
        }
    }

    /// Tries a waiter.
    pub(super) fn serve_waiter(&self, waiter: &Waiter, asks: Asks) -> Result<Served, LedgerError> {
        let (place, request) = (waiter.place(), &waiter.request);
        let path = place.path();
        match waiter.key.as_deref() {
            Some(key) if waiter.is_debit => match self.charged_before(path, request, key)? {
                Some(receipt) => Ok(Served::Charged(receipt)),
                None => self.reserve_asking(path, request, None, asks).map(Served::Reserved),
            },
            key => self.reserve_asking(path, request, key, asks).map(Served::Reserved),
        }
    }

    /// Serves those to whom something has come back. To be called by whoever may have given something back, once it
    /// holds no lock: while nobody waits it costs a load.
    #[inline]
    pub(super) fn serve_waiting(&self) {
        if self.waiting.has_signals.load(Ordering::Relaxed) {
            self.serve_signals();
        }
    }

    #[cold]
    fn serve_signals(&self) {
        loop {
            let mut by_root = BTreeMap::<_, Vec<_>>::new();
            for signal in self.waiting.take_signals() {
                by_root.entry(signal.root).or_default().push(signal);
            }
            // After the signals were taken: whoever adds one signals again.
            let has_followed = self.follow_moved();
            if by_root.is_empty() && !has_followed {
                break;
            }
            for (root, signals) in by_root {
                self.with_queue(root, |cell, _| {
                    for signal in &signals {
                        cell.queue.signal(signal.account, signal.is_raise);
                    }
                });
            }
        }
        self.tend_at(Monotonic::NEVER);
    }

    /// Does something with the queue of a tree, if there is one, and serves it.
    fn with_queue(&self, root: Number, act: impl Fn(&mut Cell, &mut Accounts<'_>)) {
        while let Some(shared) = self.waiting.find(root) {
            if self.attend(&shared, &act) {
                return;
            }
        }
    }

    /// Asks to be tended at a time, or when the next reservation expires, unless that happens earlier anyway.
    fn tend_at(&self, at: Monotonic) {
        let Some(tender) = self.waiting.tender.as_deref().filter(|_| self.waiting.is_any()) else { return };
        let (at, now) = (at.min(self.timers.next()), self.clock.monotonic());
        let mut tended_at = self.waiting.tended_at.lock();
        // One that should have come by now is asked again: it may have had no thread to come in.
        if *tended_at == TENDED_NOW || at >= *tended_at && *tended_at >= now {
            return;
        }
        *tended_at = at;
        drop(tended_at);
        tender.tend_in(at.since(now).max(0));
    }

    /// Does for those who wait what time alone does: reservations expire, periods begin, windows have room again, and
    /// the time of some is over. Returns in how many nanoseconds it is to be called again; `None` if nobody waits.
    pub fn tend_waiting(&self) -> Option<i64> {
        *self.waiting.tended_at.lock() = TENDED_NOW;
        self.expire_due();
        for shared in self.waiting.all() {
            let now = self.clock.monotonic();
            if shared.next.load(Ordering::Acquire) <= now.0 {
                self.attend(&shared, |cell, world| cell.queue.tend(now, world));
            }
        }
        self.serve_waiting();
        // From here on whoever wants it earlier says so.
        *self.waiting.tended_at.lock() = Monotonic::NEVER;
        let nexts =
            self.waiting.all().into_iter().map(|shared| Monotonic(shared.next.load(Ordering::Acquire)));
        let next = nexts.min().filter(|_| self.waiting.is_any())?.min(self.timers.next());
        let mut tended_at = self.waiting.tended_at.lock();
        *tended_at = next.min(*tended_at);
        Some(tended_at.since(self.clock.monotonic()).max(TICK_NANOS))
    }

    /// Ends the waiting of a call whose time is over: it is tried once more, and then it has an outcome.
    pub fn end_wait(&self, waiter: &Waiter) {
        let now = self.clock.monotonic();
        self.with_queue_of(waiter, |cell, world| {
            cell.queue.end(waiter.rank, now, world);
        });
        self.serve_waiting();
    }

    /// Ends the waiting of a call that nobody wants any more. What it got in that very moment is given back.
    pub fn withdraw(&self, waiter: &Waiter) {
        let now = self.clock.monotonic();
        self.with_queue_of(waiter, |cell, world| {
            if cell.queue.withdraw(waiter.rank, now, world) {
                world.withdraw(waiter);
            }
        });
        self.give_up(waiter);
        self.serve_waiting();
    }

    /// Ends all waiting, now and later: nobody gets an outcome.
    pub fn close_waiting(&self) {
        self.waiting.is_closed.store(true, Ordering::SeqCst);
        for shared in self.waiting.all() {
            self.attend(&shared, |cell, world| {
                for waiter in cell.queue.drain(world) {
                    world.dismiss(&waiter);
                }
            });
        }
    }

    /// Tries everybody of a tree again: an account of it has left, or has moved. Called with no lock held.
    pub(super) fn retry_waiting(&self, account: &Account) {
        if self.waiting.is_any() {
            self.with_queue(root(account), |cell, _| cell.queue.retry_all());
            self.serve_waiting();
        }
    }

    /// Charges a debit out of what was set aside for it when its turn came, exactly once.
    pub fn debit_reserved(
        &self,
        reservation: &Reservation,
        key: Option<&str>,
    ) -> Result<Once<Receipt>, LedgerError> {
        let Some(key) = key else { return self.settle(reservation, reservation.what()).map(Once::first) };
        let charged = self.charge_keyed(reservation, key);
        self.with_queue(root(reservation.path().agent), |cell, _| {
            cell.retry_key(key);
        });
        // Another call with this key was faster, or nothing can be written down: what is set aside goes back.
        drop(self.release_quietly(reservation));
        self.serve_waiting();
        charged
    }
}

/// The topmost pools of a path.
fn roots(path: Path<'_>) -> Vec<Number> {
    let tops = path.accounts().filter(|account| account.parent.is_none());
    let roots: Vec<_> = tops.map(|account| account.number).collect();
    debug_assert!(!roots.is_empty(), "every line ends");
    roots
}

/// Every account of a path, in no order that means anything.
impl<'a> Path<'a> {
    pub(super) fn accounts(self) -> impl Iterator<Item = &'a Arc<Account>> {
        let own = self.joint.is_none().then(|| line(self.agent));
        let joint = self.joint.map(|joint| joint.agents.iter().chain(&joint.pools));
        own.into_iter().flatten().chain(joint.into_iter().flatten())
    }
}

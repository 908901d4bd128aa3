//! Calls that wait for accounts that move: they follow these.
//!
//! The queue of a waiter lets it go as soon as it is refused because an account of its path has moved. For a moment no
//! queue has it; it has no outcome, and still counts. Whoever served that queue lets it enter the one of the tree where
//! the account is now, with its rank, patience, deadline and key. Who wants to end its waiting meanwhile helps with that.

use std::sync::Arc;

use super::registry::{Cell, Waiting, root};
use super::waiter::Waiter;
use super::world::Accounts;
use crate::ledger::account::Account;
use crate::ledger::path::{Joint, Path, line};
use crate::ledger::{Ledger, LedgerError};
use crate::sync::Ordering;

/// The accounts that a call waits for.
#[derive(Clone, Debug)]
pub(super) struct Place {
    agent: Arc<Account>,
    joint: Option<Arc<Joint>>,
}

impl Place {
    pub(super) fn of(path: Path<'_>) -> Self {
        Self { agent: Arc::clone(path.agent), joint: path.joint.cloned() }
    }

    pub(super) const fn path(&self) -> Path<'_> {
        Path::with(&self.agent, self.joint.as_ref())
    }

    /// Those that are charged beside the agent, without the pools that are charged because of them.
    fn beside(&self) -> impl Iterator<Item = &Arc<Account>> {
        let all = || self.joint.iter().flat_map(|joint| joint.agents.iter().chain(&joint.pools));
        let is_above_another = move |account: &Arc<Account>| {
            all().any(|other| other.parent.as_ref().is_some_and(|pool| pool.number == account.number))
        };
        all().filter(move |account| {
            !is_above_another(account) && line(&self.agent).all(|own| own.number != account.number)
        })
    }
}

impl Waiting {
    /// Notes those whom a queue let go because an account of theirs has moved.
    pub(super) fn send_on(&self, moved: Vec<Arc<Waiter>>) {
        if !moved.is_empty() {
            self.moved.lock().extend(moved);
            self.has_signals.store(true, Ordering::Release);
        }
    }
}

impl Ledger {
    /// Whether an account of a place has moved.
    pub(super) fn has_moved(&self, place: &Place) -> bool {
        place.path().accounts().any(|account| {
            self.directory.current(account).is_some_and(|current| !Arc::ptr_eq(&current, account))
        })
    }

    /// Lets those wait where their accounts are now whom a queue has let go; false if there are none. One by one: no other
    /// is held up while somebody is woken.
    pub(super) fn follow_moved(&self) -> bool {
        let next = || self.waiting.moved.lock().pop_front();
        std::iter::from_fn(next).map(|waiter| self.enter_anew(&waiter)).count() > 0
    }

    fn enter_anew(&self, waiter: &Arc<Waiter>) {
        match self.place_now(&waiter.place()) {
            Ok(place) => {
                *waiter.place.lock() = place;
                self.enter(waiter);
            }
            Err(error) => {
                let mut world = Accounts::new(self);
                world.end(waiter, Err(error));
                self.tell(world);
            }
        }
    }

    /// Where the accounts of a place are now.
    fn place_now(&self, place: &Place) -> Result<Place, LedgerError> {
        let unknown = |account: &Account| LedgerError::UnknownAgent(Arc::clone(&account.id));
        let current =
            |account: &Arc<Account>| self.directory.current(account).ok_or_else(|| unknown(account));
        let agent = current(&place.agent)?;
        let beside = place.beside().map(current).collect::<Result<Vec<_>, _>>()?;
        let joint = self.joint_beside(&agent, &beside)?;
        Ok(Place { agent, joint })
    }

    /// Does something with the queue of a waiter and serves it, until the waiter is over: it may be on its way from one
    /// queue to another.
    pub(super) fn with_queue_of(&self, waiter: &Waiter, act: impl Fn(&mut Cell, &mut Accounts<'_>)) {
        while !waiter.is_over() {
            self.with_queue(root(&waiter.place().agent), &act);
            if !waiter.is_over() {
                self.serve_waiting();
                std::thread::yield_now();
            }
        }
    }
}

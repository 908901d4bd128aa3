//! One call that waits.

use std::fmt::Debug;
use std::sync::Arc;

use super::following::Place;
use super::lane::Rank;
use super::queue::{Lack, Lacking};
use crate::clock::Monotonic;
use crate::ledger::account::{Account, Kind};
use crate::ledger::{LedgerError, Once, Receipt, Request, Reservation};
use crate::sync::Mutex;

/// Who is told that a call waits no more.
pub trait Wake: Send + Sync + Debug {
    /// Tells it; called with no lock held, once. False if there is nobody any more: what the call got is given back.
    fn wake(&self) -> bool;
}

/// How a call waits.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    /// Its key, and what it was used for.
    pub key: Option<&'a str>,
    /// Whether the key is one of a debit.
    pub is_debit: bool,
    /// Nanoseconds that it waits at most; without an end if not given.
    pub timeout_nanos: Option<i64>,
    /// Nanoseconds for which younger ones pass it, if it does not fit.
    pub patience_nanos: i64,
}

/// What a call has waited for.
#[derive(Clone, Debug)]
pub enum Served {
    /// So much is set aside for it. A debit is to be charged out of that.
    Reserved(Once<Reservation>),
    /// A debit with the same key was charged before.
    Charged(Receipt),
}

/// A call that waits, or has waited.
#[derive(Debug)]
pub struct Waiter {
    /// Where it waits; another place once an account of it has moved.
    pub(super) place: Mutex<Place>,
    pub(super) request: Request,
    pub(super) key: Option<Box<str>>,
    pub(super) is_debit: bool,
    pub(super) rank: Rank,
    pub(super) begun: Monotonic,
    pub(super) patient_until: Monotonic,
    pub(super) deadline: Monotonic,
    pub(super) wake: Box<dyn Wake>,
    pub(super) fate: Mutex<Fate>,
}

/// What came of a call.
#[derive(Debug)]
pub(super) enum Fate {
    /// Its thread is still at it, and will look.
    Comes,
    /// It is to be woken.
    Sleeps,
    /// Its outcome, until somebody takes it.
    Over(Result<Served, LedgerError>),
    /// It was taken, or the call was withdrawn.
    Gone,
}

impl Waiter {
    /// When it began to wait.
    #[must_use]
    pub const fn begun(&self) -> Monotonic {
        self.begun
    }

    /// When its time is over; [`Monotonic::NEVER`] if it has no end.
    #[must_use]
    pub const fn deadline(&self) -> Monotonic {
        self.deadline
    }

    /// What it waits for.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// What came of it, for who asks first; `None` while it waits, and once that was told.
    pub fn outcome(&self) -> Option<Result<Served, LedgerError>> {
        let mut fate = self.fate.lock();
        match std::mem::replace(&mut *fate, Fate::Gone) {
            Fate::Over(outcome) => Some(outcome),
            before => {
                *fate = before;
                None
            }
        }
    }

    /// Whether it waits no more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(*self.fate.lock(), Fate::Over(_) | Fate::Gone)
    }

    /// Whether its outcome was taken, or it has none.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(*self.fate.lock(), Fate::Gone)
    }

    pub(super) fn place(&self) -> Place {
        self.place.lock().clone()
    }

    pub(super) fn needs(&self) -> i128 {
        self.request.what.units()
    }

    /// What it lacks, if it was refused for a lack of something that can come back.
    pub(super) fn lacking(&self, error: &LedgerError) -> Option<Lacking<Arc<Account>>> {
        let place = self.place();
        let find = |id: &Arc<str>, kind: Kind| {
            place.path().accounts().find(|account| account.kind() == kind && account.id == *id).cloned()
        };
        match error {
            // Of an account that is suspended or has moved nothing is missing: whoever waits is told.
            LedgerError::BudgetExceeded(refusal) if refusal.is_suspended || refusal.has_moved => None,
            LedgerError::BudgetExceeded(refusal) if refusal.resource.is_none() => {
                Some(lacking(find(&refusal.account, refusal.kind)?, Lack::Budget, refusal.requested))
            }
            LedgerError::RateLimitExceeded(refusal) if refusal.requested <= refusal.limit => {
                let account = find(&refusal.account, refusal.kind)?;
                Some(lacking(account, Lack::Window, refusal.requested.units()))
            }
            _ => None,
        }
    }

    /// Says what came of it: whether it is to be woken.
    pub(super) fn end(&self, outcome: Result<Served, LedgerError>) -> bool {
        let mut fate = self.fate.lock();
        match *fate {
            Fate::Comes | Fate::Sleeps => {
                matches!(std::mem::replace(&mut *fate, Fate::Over(outcome)), Fate::Sleeps)
            }
            Fate::Over(_) | Fate::Gone => false,
        }
    }
}

pub(super) fn lacking(account: Arc<Account>, lack: Lack, needs: i128) -> Lacking<Arc<Account>> {
    let place = (account.number, lack);
    Lacking { account, place, needs }
}

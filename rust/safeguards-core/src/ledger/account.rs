//! Accounts: a budget, what happened to it, and the account above.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Ledger;
use super::balance::Movement;
use super::books::Books;
use super::error::BudgetRefusal;
use super::event::History;
use super::period::Schedule;
use super::resources::{Bundle, Resources};
use crate::amount::Amount;
use crate::clock::{Monotonic, Wall};
use crate::sync::{Mutex, MutexGuard};
use crate::window::Window;

/// Agents are the leaves, pools all the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A leaf: what is debited.
    Agent,
    /// An inner account: what is debited through.
    Pool,
}

/// Pools above an agent, at most.
pub const MAX_DEPTH: usize = 32;

/// One account. Shared by the accounts below it and by everybody who holds on to it.
///
/// It fills more than four cache lines, so that neighbours share one at most, and never the one with the books.
#[derive(Debug)]
pub struct Account {
    pub(super) id: Arc<str>,
    pub(super) kind: Kind,
    /// Number of the slot of an agent; pools have none.
    pub(super) slot: u32,
    pub(super) parent: Option<Arc<Account>>,
    state: Mutex<State>,
}

/// What the lock of an account protects.
#[derive(Debug)]
pub(super) struct State {
    pub(super) books: Books,
    pub(super) priority: u8,
    /// How often this account has refused; no further than it counts. Narrow, so that idle agents stay small.
    pub(super) refusals: u32,
    /// No longer registered: nothing new is admitted.
    pub(super) closed: bool,
    /// When a pool's budget is granted anew.
    pub(super) renews_at: Wall,
    pub(super) history: History,
    // Boxed, because few accounts need any of them.
    pub(super) limits: Option<Box<Limits>>,
    pub(super) holds: Option<Box<Holds>>,
    pub(super) resources: Option<Box<Resources>>,
    pub(super) pool: Option<Box<Pool>>,
}

/// The sliding windows of an agent.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// By length, shortest first.
    pub(super) windows: Vec<Window>,
    /// What a window refused last.
    pub(super) last_refused: Amount,
}

/// The active reservations of an agent.
#[derive(Debug, Default)]
pub(super) struct Holds {
    pub(super) reservations: BTreeMap<ReservationKey, Amount>,
    pub(super) resources: BTreeMap<ReservationKey, Arc<Bundle>>,
    /// Reservations of resources that were ever made.
    pub(super) resource_reservations: u64,
    /// When the ledger's timers look at them; `None` if never.
    pub(super) timer: Option<Monotonic>,
}

/// Deadline, then number: unique within an agent, and in the order in which reservations expire.
pub(super) type ReservationKey = (Monotonic, u64);

/// What only pools have.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// The period, and the budget that each period begins with.
    pub(super) renewal: Option<(Schedule, Amount)>,
    /// Below what its agents are told to be low.
    pub(super) low: Option<Amount>,
    /// Slots of the agents right below.
    pub(super) agents: BTreeSet<u32>,
    /// Ids of the pools right below.
    pub(super) pools: Vec<Arc<str>>,
}

impl Holds {
    /// When the reservations are looked at next.
    #[inline]
    pub(super) fn timer_at(&self) -> Monotonic {
        self.timer.unwrap_or(Monotonic::NEVER)
    }

    /// When the next reservation expires.
    pub(super) fn next_deadline(&self) -> Monotonic {
        let money = self.reservations.first_key_value().map(|(key, _)| key.0);
        let resources = self.resources.first_key_value().map(|(key, _)| key.0);
        money.into_iter().chain(resources).min().unwrap_or(Monotonic::NEVER)
    }
}

impl Account {
    pub(super) fn new(id: Arc<str>, kind: Kind, slot: u32, parent: Option<Arc<Self>>, priority: u8) -> Self {
        let state = State {
            books: Books::default(),
            priority,
            refusals: 0,
            closed: false,
            renews_at: Wall::NEVER,
            history: History::default(),
            limits: None,
            holds: None,
            resources: None,
            pool: None,
        };
        Self { id, kind, slot, parent, state: Mutex::new(state) }
    }

    /// The id that it is registered under.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The pool above, if any.
    #[must_use]
    pub const fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// Pools above.
    pub(super) fn depth(&self) -> usize {
        std::iter::successors(self.parent.as_ref(), |pool| pool.parent.as_ref()).count()
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The lock, unless somebody holds it.
    #[inline]
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock()
    }

    /// Whether somebody holds the lock right now. Means nothing a moment later.
    #[inline]
    pub(super) fn is_locked(&self) -> bool {
        self.parent.is_some() & self.state.is_locked()
    }

    /// Locks a pool and grants what is due.
    pub(super) fn lock_renewed(&self, ledger: &Ledger, now: Wall) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if now >= state.renews_at {
            state.renew(ledger, now);
        }
        state
    }

    /// Moves money through this pool and all above it: checked on the way up, while every lock below is
    /// held, and done on the way back, so that all of them move or none. False if one of them refuses.
    pub(super) fn pass(&self, movement: &Movement, ledger: &Ledger, now: Wall) -> bool {
        let mut state = self.lock_renewed(ledger, now);
        let is_passed = movement.is_admitted_by(&state.books.balance)
            && self.parent.as_ref().is_none_or(|pool| pool.pass(movement, ledger, now));
        if is_passed {
            state.apply(movement, self, ledger);
        }
        is_passed
    }

    /// Which account from this pool upwards refuses the movement now, if any.
    pub(super) fn find_refusal(
        &self,
        movement: &Movement,
        ledger: &Ledger,
        now: Wall,
    ) -> Result<(), Box<BudgetRefusal>> {
        let mut state = self.lock_renewed(ledger, now);
        if !movement.is_admitted_by(&state.books.balance) {
            state.refusals = state.refusals.saturating_add(1);
            return Err(self.refusal(&state, movement.needs()));
        }
        self.parent.as_ref().map_or(Ok(()), |parent| parent.find_refusal(movement, ledger, now))
    }

    #[cold]
    pub(super) fn refusal(&self, state: &State, requested: i128) -> Box<BudgetRefusal> {
        Box::new(BudgetRefusal {
            account: Arc::clone(&self.id),
            kind: self.kind,
            resource: None,
            balance: state.books.balance,
            spent_before: state.books.spent_before,
            renews_at: state.renews_at,
            requested,
        })
    }
}

impl State {
    #[inline]
    pub(super) fn apply(&mut self, movement: &Movement, account: &Account, ledger: &Ledger) {
        if let Some(rung) = self.books.apply(movement, &ledger.thresholds) {
            ledger.report(&account.id, account.kind, None, &self.books, rung);
        }
    }

    pub(super) fn active_reservations(&self) -> usize {
        self.holds.as_ref().map_or(0, |holds| holds.reservations.len())
    }

    pub(super) fn pool(&mut self) -> &mut Pool {
        self.pool.get_or_insert_default()
    }

    pub(super) fn holds(&mut self) -> &mut Holds {
        self.holds.get_or_insert_default()
    }
}

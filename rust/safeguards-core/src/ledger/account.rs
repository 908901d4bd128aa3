//! Accounts: a budget, what happened to it, and the account above.

use std::cmp::Reverse;
use std::sync::Arc;

use super::Ledger;
use super::balance::Movement;
use super::change::Number;
use super::directory::slot_of;
use super::error::BudgetRefusal;
use super::money::Passage;
use super::state::State;
use crate::clock::Wall;
use crate::sync::{Mutex, MutexGuard};

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
/// It fills more than four cache lines, so that neighbours share one at most, and never the one with the books. What a
/// debit needs stands together, here and in the [`State`]: of agents that are debited once in a while, every line has to
/// come from memory.
#[derive(Debug)]
#[repr(C)]
pub struct Account {
    pub(super) id: Arc<str>,
    /// By what batches name an agent: its slot, and how often that was used before; or [`NO_HANDLE`].
    pub(super) handle: u32,
    /// What changes name it by, and the path from it upwards.
    pub(super) number: Number,
    pub(super) parent: Option<Arc<Account>>,
    state: Mutex<State>,
}

/// Pools have none.
pub(super) const NO_HANDLE: u32 = u32::MAX;

impl Account {
    pub(super) fn new(
        id: Arc<str>,
        handle: u32,
        number: Number,
        parent: Option<Arc<Self>>,
        priority: u8,
    ) -> Self {
        Self { id, handle, number, parent, state: Mutex::new(State::new(priority)) }
    }

    /// The same account below another pool, with its state.
    pub(super) fn below(&self, parent: Option<Arc<Self>>, state: State) -> Self {
        let (id, state) = (Arc::clone(&self.id), Mutex::new(state));
        Self { id, handle: self.handle, number: self.number, parent, state }
    }

    /// What it is: agents have handles.
    #[inline]
    pub(super) const fn kind(&self) -> Kind {
        if self.handle == NO_HANDLE { Kind::Pool } else { Kind::Agent }
    }

    /// The id that it is registered under.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// What changes name it by.
    #[must_use]
    pub const fn number(&self) -> Number {
        self.number
    }

    /// The slot of an agent.
    #[inline]
    pub(super) const fn slot(&self) -> u32 {
        slot_of(self.handle)
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

    /// Where its lock stands among those of others: agents by slot, then pools, the deepest first.
    pub(super) fn lock_order(&self) -> (Kind, Reverse<usize>, u32) {
        match self.kind() {
            Kind::Agent => (Kind::Agent, Reverse(0), self.slot()),
            Kind::Pool => (Kind::Pool, Reverse(self.depth()), self.number.0),
        }
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

    /// Locks an account and grants what is due.
    #[inline]
    pub(super) fn lock_renewed(&self, ledger: &Ledger, now: Wall) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        self.renew_if_due(&mut state, ledger, now);
        state
    }

    /// Grants what is due to an account whose lock is held.
    #[inline]
    pub(super) fn renew_if_due(&self, state: &mut State, ledger: &Ledger, now: Wall) {
        if !state.span.contains(now) {
            self.renew(state, ledger, now);
        }
    }

    /// Moves money through this pool and all above it: checked on the way up, while every lock below is held, and
    /// done on the way back, so that all of them move or none. False if one of them refuses, or at last `write`.
    pub(super) fn pass(&self, passage: &Passage<'_>, write: &impl Fn() -> bool) -> bool {
        let Passage { movement, wall, ledger, .. } = *passage;
        let mut state = self.lock_renewed(ledger, wall);
        let is_passed = passage.is_admitted_by(&mut state)
            && match &self.parent {
                Some(pool) => pool.pass(passage, write),
                None => write(),
            };
        if is_passed {
            state.shift(movement, self, passage.windows(), wall, ledger);
        }
        is_passed
    }

    /// Refuses a movement that its budget does not admit.
    pub(super) fn check_movement(
        &self,
        state: &mut State,
        movement: &Movement,
    ) -> Result<(), Box<BudgetRefusal>> {
        if state.admits_movement(movement) {
            return Ok(());
        }
        Err(self.refusal(state, movement.needs()))
    }

    #[cold]
    pub(super) fn refusal(&self, state: &State, requested: i128) -> Box<BudgetRefusal> {
        Box::new(BudgetRefusal {
            account: Arc::clone(&self.id),
            kind: self.kind(),
            resource: None,
            balance: state.books.balance,
            spent_before: state.books.spent_before,
            renews_at: state.period().ends,
            kept: state.kept(),
            requested,
            asked: None,
            is_suspended: state.mode.is_suspended() && !state.closed,
            has_moved: state.mode.has_moved(),
            credits: 0,
            lapsing: state.lapsing(),
        })
    }
}

//! Accounts that move below another pool, with all that stands below them.
//!
//! An account knows the pool above it without a lock, so one that moves becomes another object: of the same id, number,
//! handle and state. Whoever holds on to the old one finds it closed, and asks again. What it has spent stays in the pools
//! that paid for it; a refund of an earlier charge goes there.

use std::sync::Arc;

use super::account::{Account, Kind, MAX_DEPTH};
use super::change::{Change, Instant, Moved};
use super::error::LedgerError;
use super::event::EventKind;
use super::life::Why;
use super::path::line;
use super::state::State;
use super::{Ledger, Number};
use crate::sync::MutexGuard;

/// An account that moves, locked.
type Locked<'a> = (&'a Arc<Account>, MutexGuard<'a, State>);

impl Ledger {
    /// Puts an agent, or a pool with all below it, below another pool, or a pool at the top. Refused while anything of it
    /// is reserved: that money is on its way.
    pub fn move_account(
        &self,
        kind: Kind,
        id: &str,
        to: Option<&str>,
        why: Why<'_>,
    ) -> Result<(), LedgerError> {
        self.expire_due();
        let mut registry = self.directory.registry();
        let top = match kind {
            Kind::Agent => self.agent(id)?,
            Kind::Pool => self.directory.pool(id)?,
        };
        let to = to.map(|to| self.directory.pool(to)).transpose()?;
        if top.parent.as_ref().map(|pool| pool.number) == to.as_ref().map(|pool| pool.number) {
            return Ok(());
        }
        let accounts = registry.subtree(&top, &self.directory);
        check_place(&top, &accounts, to.as_ref())?;
        let accounts = with_ends(accounts, &top, to.as_ref());
        let mut locked: Vec<Locked<'_>> = accounts.iter().map(|account| (account, account.lock())).collect();
        let is_below = |account: &Arc<Account>| line(account).any(|above| Arc::ptr_eq(above, &top));
        let at_work = |(account, state): &&Locked<'_>| is_below(account) && is_at_work(state);
        if let Some((account, _)) = locked.iter().find(at_work) {
            return Err(LedgerError::Configuration(format!(
                "{:?} has active reservations: settle, release or let them expire before {id:?} moves",
                account.id
            )));
        }
        let at = self.instant();
        let moved = Moved {
            account: top.number,
            to: to.as_ref().map(|pool| pool.number),
            actor: why.actor.into(),
            reason: why.reason.into(),
        };
        self.write(|| (at, Change::Moved(moved.clone())))?;
        let new = self.put_below(&top, &mut locked, to.as_ref(), &moved, at);
        drop(locked);
        registry.replace(&new, &self.directory);
        self.joints.follow(&new);
        drop(registry);
        self.retry_waiting(&top);
        Ok(())
    }

    /// Makes accounts anew whose topmost one has another parent. The pools above it, before and after, are locked as well.
    pub(super) fn put_below(
        &self,
        top: &Arc<Account>,
        locked: &mut [Locked<'_>],
        to: Option<&Arc<Account>>,
        moved: &Moved,
        at: Instant,
    ) -> Vec<Arc<Account>> {
        // Pools from above, then agents: each finds its parent among those that were made.
        locked.sort_by_key(|(account, _)| (account.kind() == Kind::Agent, account.depth()));
        let mut new: Vec<Arc<Account>> = Vec::with_capacity(locked.len());
        let is_below = |account: &Arc<Account>| line(account).any(|above| Arc::ptr_eq(above, top));
        for (account, state) in locked.iter_mut().filter(|(account, _)| is_below(account)) {
            let is_top = Arc::ptr_eq(account, top);
            let above = |number: Number| new.iter().find(|made| made.number == number).cloned();
            let parent =
                if is_top { to.cloned() } else { account.parent.as_ref().and_then(|it| above(it.number)) };
            let before = state.set_timer(None);
            self.timers.set(account, before, None);
            let mut taken = state.hand_over();
            if is_top {
                taken.tell(EventKind::Move, crate::amount::Amount::ZERO, at.wall, self);
                taken.note_reason(&moved.actor, &moved.reason);
            }
            taken.remember_line(account);
            new.push(Arc::new(account.below(parent, taken)));
        }
        if let Some(made) = new.first() {
            self.change_parents(top, made, locked);
        }
        new
    }

    /// The pools above know who has left and who has come, and what they have not paid for.
    fn change_parents(&self, old: &Account, new: &Account, locked: &mut [Locked<'_>]) {
        let spent = new.lock().books.balance.spent;
        let mut low = None;
        for (pool, state) in locked {
            if old.parent.as_ref().is_some_and(|parent| Arc::ptr_eq(parent, pool)) {
                match old.kind() {
                    Kind::Agent => state.leave(old.slot()),
                    Kind::Pool => state.leave_pool(&old.id),
                }
                state.spent_below(-spent);
            }
            if new.parent.as_ref().is_some_and(|parent| Arc::ptr_eq(parent, pool)) {
                state.enter(new);
                state.spent_below(spent);
                low = state.pool().and_then(|pool| pool.low);
            }
        }
        if new.kind() == Kind::Agent {
            new.lock().watch_low(low, self);
        }
    }
}

/// Accounts that move, and the pools above them before and after, in the order of their locks.
pub(super) fn with_ends(
    mut accounts: Vec<Arc<Account>>,
    top: &Account,
    to: Option<&Arc<Account>>,
) -> Vec<Arc<Account>> {
    accounts.extend(top.parent.iter().chain(to).cloned());
    accounts.sort_unstable_by_key(|account| account.lock_order());
    accounts
}

fn is_at_work(state: &State) -> bool {
    state.books.balance.reserved != 0 || state.active_reservations() > 0 || state.holds_for_others()
}

fn check_place(
    top: &Arc<Account>,
    accounts: &[Arc<Account>],
    to: Option<&Arc<Account>>,
) -> Result<(), LedgerError> {
    let fault = |text: String| Err(LedgerError::Configuration(text));
    let Some(to) = to else {
        return if top.kind() == Kind::Pool { Ok(()) } else { fault("an agent stands below a pool".into()) };
    };
    if line(to).any(|above| Arc::ptr_eq(above, top)) {
        return fault(format!("pool {:?} cannot move below itself: {:?} is below it", top.id, to.id));
    }
    let pools = accounts.iter().filter(|account| account.kind() == Kind::Pool);
    let height = pools.map(|pool| pool.depth() - top.depth() + 1).max().unwrap_or(0);
    if to.depth() + 1 + height > MAX_DEPTH {
        return fault(format!("pools are at most {MAX_DEPTH} deep: move {:?} further up", top.id));
    }
    Ok(())
}

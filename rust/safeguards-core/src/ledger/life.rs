//! What people decide about accounts while these live: whether work may begin, what is done where money is missing, how
//! much there may be, what comes first, and when a pool closes. Each is one change, with who made it and why.

use std::sync::Arc;

use super::Ledger;
use super::account::{Account, Kind};
use super::alarm::{Alarm, Unpaid, Warning};
use super::books::Books;
use super::change::{AccountChange, Change, Executed, Instant};
use super::error::LedgerError;
use super::event::Source;
use super::state::{Posting, State};
use crate::amount::{Amount, Units};
use crate::clock::Wall;
use crate::sync::Ordering;

/// What an account does where it cannot pay, or a window of its is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// It refuses.
    #[default]
    Enforce,
    /// It is charged in full, below zero if need be; that is told, and alerted.
    Warn,
    /// The same, without alerts.
    Shadow,
}

/// Whether an account may refuse, or must: a byte that every operation looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mode(u8);

impl Mode {
    const SUSPENDED: u8 = 1;
    const WARN: u8 = 2;
    const SHADOW: u8 = 4;
    const MOVED: u8 = 8;

    /// It refuses what it cannot pay, and nothing else.
    #[inline]
    pub(super) const fn is_plain(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn is_suspended(self) -> bool {
        self.0 & Self::SUSPENDED != 0
    }

    /// Another object has its books: nothing passes this one any more.
    pub(super) const fn has_moved(self) -> bool {
        self.0 & Self::MOVED != 0
    }

    pub(super) const fn moved(self) -> Self {
        Self(self.0 | Self::MOVED)
    }

    /// It does not enforce.
    #[inline]
    pub(super) const fn is_lenient(self) -> bool {
        self.0 & (Self::WARN | Self::SHADOW) != 0
    }

    pub(super) const fn enforcement(self) -> Enforcement {
        match self.0 & (Self::WARN | Self::SHADOW) {
            Self::WARN => Enforcement::Warn,
            Self::SHADOW => Enforcement::Shadow,
            _ => Enforcement::Enforce,
        }
    }

    pub(super) const fn suspended(self, is_suspended: bool) -> Self {
        Self(self.0 & !Self::SUSPENDED | is_suspended as u8)
    }

    pub(super) const fn enforcing(self, enforcement: Enforcement) -> Self {
        let bits = match enforcement {
            Enforcement::Enforce => 0,
            Enforcement::Warn => Self::WARN,
            Enforcement::Shadow => Self::SHADOW,
        };
        Self(self.0 & Self::SUSPENDED | bits)
    }
}

/// Who decides something about an account, and why.
#[derive(Clone, Copy, Debug)]
pub struct Why<'a> {
    /// Who.
    pub actor: &'a str,
    /// Why.
    pub reason: &'a str,
}

impl Ledger {
    /// Lets no work begin on an account and on all below it, or lets it begin again. What is set aside can be settled.
    pub fn suspend(&self, id: &str, is_suspended: bool, why: Why<'_>) -> Result<(), LedgerError> {
        self.decide(id, why, |_, state| {
            Ok((state.mode.is_suspended() != is_suspended).then_some(AccountChange::Suspended(is_suspended)))
        })
    }

    /// What an account does from now on where it cannot pay.
    pub fn set_enforcement(&self, id: &str, to: Enforcement, why: Why<'_>) -> Result<(), LedgerError> {
        self.decide(id, why, |_, state| {
            Ok((state.mode.enforcement() != to).then_some(AccountChange::EnforcementSet(to)))
        })
    }

    /// Whose need comes first.
    pub fn set_priority(&self, id: &str, priority: u8, why: Why<'_>) -> Result<(), LedgerError> {
        self.decide(id, why, |_, state| {
            Ok((state.priority != priority).then_some(AccountChange::PrioritySet(priority)))
        })
    }

    /// The most that an agent may have in a period, spent or not; `None` without a bound. What it has stays.
    pub fn set_max_budget(&self, agent: &str, max: Option<Amount>, why: Why<'_>) -> Result<(), LedgerError> {
        let agent = self.agent(agent)?;
        self.decide_on(&agent, why, |_, state| {
            Ok((state.max_budget() != max).then_some(AccountChange::MaxBudgetSet(max)))
        })
    }

    /// How far below zero facts may take an agent or a pool from now on; `None` without a bound. One that is further below
    /// stays there, and settlements are charged what was set aside for them.
    pub fn set_overdraft_limit(
        &self,
        id: &str,
        limit: Option<Amount>,
        why: Why<'_>,
    ) -> Result<(), LedgerError> {
        self.decide(id, why, |_, state| {
            Ok((state.overdraft_limit() != limit).then_some(AccountChange::OverdraftLimitSet(limit)))
        })
    }

    fn decide(
        &self,
        id: &str,
        why: Why<'_>,
        follow: impl FnOnce(&Account, &State) -> Result<Option<AccountChange>, LedgerError>,
    ) -> Result<(), LedgerError> {
        let account = self.account_by_id(id)?;
        self.decide_on(&account, why, follow)
    }

    /// Carries out what somebody decided about an account. What is so already is no change.
    fn decide_on(
        &self,
        account: &Account,
        why: Why<'_>,
        follow: impl FnOnce(&Account, &State) -> Result<Option<AccountChange>, LedgerError>,
    ) -> Result<(), LedgerError> {
        let at = self.instant();
        let mut state = account.lock_renewed(self, at.wall);
        state.check_open(account)?;
        let Some(change) = follow(account, &state)? else { return Ok(()) };
        let executed = Executed {
            account: account.number,
            changes: Box::new([change]),
            actor: why.actor.into(),
            reason: why.reason.into(),
        };
        self.write(|| (at, Change::Executed(executed.clone())))?;
        self.carry_out(account, &mut state, &executed, at);
        drop(state);
        // Whoever waits may find that more is admitted now, or nothing any more.
        self.retry_waiting(account);
        Ok(())
    }

    /// Makes what was decided about an account.
    pub(super) fn carry_out(&self, account: &Account, state: &mut State, executed: &Executed, at: Instant) {
        for change in &executed.changes {
            state.apply(change, at, self);
            if let (AccountChange::Suspended(is_suspended), Kind::Pool) = (change, account.kind()) {
                self.suspended_pools.fetch_add(if *is_suspended { 1 } else { -1 }, Ordering::Relaxed);
            }
            state.note_reason(&executed.actor, &executed.reason);
        }
    }

    /// Closes a pool below which nothing stands any more. What it has left lapses; what was spent in it stays in the pools
    /// above.
    pub fn close_pool(&self, id: &str) -> Result<(), LedgerError> {
        self.expire_due();
        let at = self.instant();
        self.directory.remove_pool(id, |pool| {
            let mut pins = self.pins.lock();
            let mut state = pool.lock();
            let below = state.pool().map_or(0, |pool| pool.agents.len() + pool.pools.len());
            if below > 0 || state.books.balance.reserved != 0 {
                let what = if below > 0 {
                    format!("{below} accounts below it")
                } else {
                    "active reservations".into()
                };
                return Err(LedgerError::Configuration(format!(
                    "pool {id:?} has {what}: unregister, close or settle them first"
                )));
            }
            self.write(|| (at, Change::PoolClosed(pool.number)))?;
            self.shut_pool(pool, &mut state, &mut pins);
            Ok(())
        })
    }

    /// Closes the books of a pool, and its pin goes.
    pub(super) fn shut_pool(&self, pool: &Account, state: &mut State, pins: &mut super::registry::Pins) {
        if self.directory.agent(&pool.id).is_none() {
            pins.remove(&pool.id);
        }
        state.close();
        if let Some(parent) = &pool.parent {
            parent.lock().leave_pool(&pool.id);
        }
    }

    /// Sets off an alarm of what a settlement cost, and is charged nowhere.
    #[cold]
    pub(super) fn tell_unpaid(&self, agent: &Account, posting: &Posting) {
        let Posting { amount: charged, unpaid, operation, .. } = *posting;
        self.keep(Alarm::Unpaid(Unpaid { agent: Arc::clone(&agent.id), charged, unpaid, operation }));
    }

    /// Sets off an alarm of an account that would refuse, and warns.
    pub(super) fn warn(&self, account: &Account, books: &Books, requested: Amount) {
        self.keep(Alarm::WouldRefuse(Warning {
            account: Arc::clone(&account.id),
            kind: account.kind(),
            balance: books.balance,
            requested,
        }));
    }
}

impl Account {
    /// Refuses work of an agent that begins while it is suspended, or a pool above it.
    pub(super) fn check_suspended(&self, state: &State, ledger: &Ledger) -> Result<(), LedgerError> {
        if state.mode.is_suspended() {
            return Err(self.refusal(state, 0).into());
        }
        if ledger.suspended_pools.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        for pool in std::iter::successors(self.parent.as_ref(), |pool| pool.parent.as_ref()) {
            let state = pool.lock();
            if state.mode.is_suspended() {
                return Err(pool.refusal(&state, 0).into());
            }
        }
        Ok(())
    }

    /// How many units more the account may be granted in its period; without a bound none is missing.
    pub(super) fn grantable(&self, state: &State, ledger: &Ledger, now: Wall) -> i128 {
        let Some(max) = state.max_budget() else { return i128::MAX };
        let balance = &state.books.balance;
        let has = balance.remaining + balance.reserved + self.spent_in_period(state, ledger, now);
        (max.units() - has).max(0)
    }

    /// Units spent in the period that bounds the account: its own, else that of the nearest pool that has periods, else
    /// since its budget was set.
    fn spent_in_period(&self, state: &State, ledger: &Ledger, now: Wall) -> i128 {
        if state.renewals().is_some() {
            return state.books.period_spent();
        }
        let begins =
            std::iter::successors(self.parent.as_ref(), |pool| pool.parent.as_ref()).find_map(|pool| {
                let pool = pool.lock_renewed(ledger, now);
                pool.renewals().map(|_| pool.span.begins)
            });
        let Some(begins) = begins else { return state.books.period_spent() };
        // Sums stand for their hours: the one in which the period begins counts whole, on the safe side.
        let hour = 3_600_000_000_000;
        let from = Wall(begins.0.saturating_sub(begins.0.rem_euclid(hour)));
        let usage =
            state.history.usage().filter(|usage| usage.source == Source::Ledger && usage.start >= from);
        usage.map(|usage| usage.units).sum()
    }

    /// Refuses a budget above the most that the account may have.
    pub(super) fn check_max(
        &self,
        state: &State,
        by: i128,
        ledger: &Ledger,
        now: Wall,
    ) -> Result<(), LedgerError> {
        let most = self.grantable(state, ledger, now);
        if by <= most {
            return Ok(());
        }
        let (kind, max) = (self.kind(), state.max_budget().unwrap_or(Amount::MAX));
        debug_assert_eq!(kind, Kind::Agent, "pools have no such bound");
        Err(LedgerError::Configuration(format!(
            "agent {:?} may have {max} in a period (max_budget), and so at most {} more, not {}: raise it with \
             set_max_budget first",
            self.id,
            Units(most),
            Units(by)
        )))
    }
}

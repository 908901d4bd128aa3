//! Budgets given and taken: registration, updates, transfers, renewals.

use std::sync::Arc;

use super::Ledger;
use super::account::{Account, Kind, MAX_DEPTH, State};
use super::error::LedgerError;
use super::event::EventKind;
use super::operation::OperationId;
use super::period::Schedule;
use crate::amount::{Amount, Units};
use crate::clock::{Monotonic, Wall};

/// What a pool is made of.
#[derive(Debug)]
pub struct NewPool<'a> {
    /// Its id; unique among pools.
    pub id: &'a str,
    /// The pool above.
    pub parent: Option<&'a str>,
    /// Its budget, and what each period begins with.
    pub budget: Amount,
    /// 1 to 10.
    pub priority: u8,
    /// When its budget is granted anew.
    pub schedule: Option<Schedule>,
}

impl Ledger {
    /// Makes a pool.
    pub fn create_pool(&self, new: NewPool<'_>) -> Result<Arc<Account>, LedgerError> {
        let parent = new.parent.map(|id| self.directory.pool(id)).transpose()?;
        if parent.as_ref().is_some_and(|parent| parent.depth() + 1 >= MAX_DEPTH) {
            let text = format!("pools are at most {MAX_DEPTH} deep: create {:?} further up", new.id);
            return Err(LedgerError::Configuration(text));
        }
        if new.schedule.as_ref().is_some_and(|schedule| !schedule.is_valid()) {
            return Err(LedgerError::Configuration("budget_period must be longer than nothing".into()));
        }
        let pool = Arc::new(Account::new(new.id.into(), Kind::Pool, 0, parent, new.priority));
        let now = self.clock.wall();
        {
            let mut state = pool.lock();
            if let Some(schedule) = new.schedule {
                state.renews_at = schedule.next_after(now);
                state.pool().renewal = Some((schedule, new.budget));
            }
            self.grant(&mut state, new.budget, EventKind::Update, now);
        }
        self.directory.add_pool(&pool)?;
        enter_parent(&pool);
        Ok(pool)
    }

    /// Registers an agent below a pool. Takes nothing from the pool.
    pub fn register_agent(
        &self,
        id: &str,
        pool: &str,
        priority: u8,
        budget: Amount,
    ) -> Result<Arc<Account>, LedgerError> {
        let parent = self.directory.pool(pool)?;
        let now = self.clock.wall();
        self.directory.add_agent(id, |id, slot| {
            let agent = Account::new(id, Kind::Agent, slot, Some(parent), priority);
            self.grant(&mut agent.lock(), budget, EventKind::Update, now);
            let low = enter_parent(&agent);
            agent.lock().watch_low(low, self);
            agent
        })
    }

    /// Forgets an agent and its history. What it has spent stays in the books of its pools. Refused while it has
    /// active reservations: their money is on its way.
    pub fn unregister_agent(&self, id: &str) -> Result<(), LedgerError> {
        self.expire_due();
        let agent = self.directory.remove_agent(id, |agent| {
            let mut state = agent.lock();
            let active = state.active_reservations() + state.active_resource_reservations();
            if active > 0 {
                return Err(LedgerError::Configuration(format!(
                    "agent {id:?} has {active} active reservations: settle, release or let them expire first"
                )));
            }
            state.closed = true;
            // Neither its timer nor a key that it has used holds on to it.
            if state.holds.is_some() {
                self.set_timer(agent, &mut state, Monotonic::NEVER);
            }
            if let Some(parent) = &agent.parent {
                parent.lock().pool().agents.remove(&agent.slot);
            }
            Ok(())
        })?;
        self.keys.lock().forget_agent(&agent);
        self.resource_keys.lock().forget_agent(&agent);
        Ok(())
    }

    /// Makes `budget` remain for an agent, whatever its pools say.
    pub fn update_budget(&self, agent: &str, budget: Amount) -> Result<(), LedgerError> {
        // What expires later would add to what was just set.
        self.expire_due();
        let now = self.clock.wall();
        self.directory.with_agent(agent, |agent| {
            let mut state = agent.lock();
            state.check_open(agent)?;
            self.grant(&mut state, budget, EventKind::Update, now);
            Ok(())
        })
    }

    /// Makes `budget` remain for a pool. Later periods begin with what they did before.
    pub fn update_pool_budget(&self, pool: &str, budget: Amount) -> Result<(), LedgerError> {
        self.expire_due();
        let (pool, now) = (self.directory.pool(pool)?, self.clock.wall());
        self.grant(&mut pool.lock_renewed(self, now), budget, EventKind::Update, now);
        Ok(())
    }

    /// Adds `change` units to what remains for an agent, or takes them away, within the current period.
    /// Takes at most what remains.
    ///
    /// Returns the change that was made.
    pub fn adjust_budget(&self, agent: &str, change: i128) -> Result<i128, LedgerError> {
        self.expire_due();
        let now = self.clock.wall();
        self.directory.with_agent(agent, |agent| {
            let mut state = agent.lock();
            state.check_open(agent)?;
            self.adjust(agent, &mut state, change, now)
        })
    }

    /// As [`adjust_budget`](Self::adjust_budget), of a pool. Later periods begin with what they did before.
    pub fn adjust_pool_budget(&self, pool: &str, change: i128) -> Result<i128, LedgerError> {
        self.expire_due();
        let (pool, now) = (self.directory.pool(pool)?, self.clock.wall());
        self.adjust(&pool, &mut pool.lock_renewed(self, now), change, now)
    }

    fn adjust(
        &self,
        account: &Account,
        state: &mut State,
        change: i128,
        now: Wall,
    ) -> Result<i128, LedgerError> {
        // An event holds no more than an amount, and so no more is taken at once.
        let change = change.max(-state.books.balance.remaining.clamp(0, Amount::MAX.units()));
        let moved = Amount::from_units(change.abs()).filter(|_| state.has_room(change));
        let moved = moved.ok_or_else(|| account.overfull(state, change))?;
        if !moved.is_zero() {
            state.books.move_grant(change, &self.thresholds);
            let kind = if change > 0 { EventKind::Raise } else { EventKind::Lower };
            state.history.record(now, kind, moved, OperationId::NONE, self.history_limits);
        }
        Ok(change)
    }

    /// What later periods of a pool begin with. The current one stays as it is.
    pub fn set_period_budget(&self, pool: &str, budget: Amount) -> Result<(), LedgerError> {
        let (pool, now) = (self.directory.pool(pool)?, self.clock.wall());
        match &mut pool.lock_renewed(self, now).pool().renewal {
            Some((_, granted)) => {
                *granted = budget;
                Ok(())
            }
            None => Err(LedgerError::Configuration(format!(
                "pool {:?} has no budget_period: use update_pool_budget",
                pool.id
            ))),
        }
    }

    fn grant(&self, state: &mut State, budget: Amount, kind: EventKind, now: Wall) {
        state.books.begin_period(budget.units(), &self.thresholds);
        state.history.record(now, kind, budget, OperationId::NONE, self.history_limits);
    }

    /// Moves budget between two agents, of one pool or of two: the pools are not touched.
    pub fn transfer(&self, from: &str, to: &str, amount: Amount) -> Result<(), LedgerError> {
        let (from, to) = (self.agent(from)?, self.agent(to)?);
        if Arc::ptr_eq(&from, &to) {
            return Err(LedgerError::Configuration(format!(
                "a transfer from {:?} to itself: name two agents",
                from.id
            )));
        }
        let now = self.clock.wall();
        self.retry_after_expiry(|| self.transfer_once(&from, &to, amount, now))
    }

    fn transfer_once(
        &self,
        from: &Arc<Account>,
        to: &Arc<Account>,
        amount: Amount,
        now: Wall,
    ) -> Result<(), LedgerError> {
        // Agents are locked by slot, so that two transfers in opposite directions cannot wait for each other.
        let (mut giver, mut taker);
        if from.slot < to.slot {
            giver = from.lock();
            taker = to.lock();
        } else {
            taker = to.lock();
            giver = from.lock();
        }
        giver.check_open(from)?;
        taker.check_open(to)?;
        let units = amount.units();
        if giver.books.balance.remaining < units {
            return Err(from.refusal(&giver, units).into());
        }
        if !taker.has_room(units) {
            return Err(to.overfull(&taker, units));
        }
        if units > 0 {
            giver.books.move_grant(-units, &self.thresholds);
            giver.history.record(now, EventKind::TransferOut, amount, OperationId::NONE, self.history_limits);
            taker.books.move_grant(units, &self.thresholds);
            taker.history.record(now, EventKind::TransferIn, amount, OperationId::NONE, self.history_limits);
        }
        Ok(())
    }
}

impl Account {
    #[cold]
    fn overfull(&self, state: &State, change: i128) -> LedgerError {
        LedgerError::Configuration(format!(
            "{:?} has {} left and cannot get {} more: a budget must not be raised above {}",
            self.id,
            Units(state.books.balance.remaining),
            Units(change),
            Amount::MAX,
        ))
    }
}

/// Makes an account known to the one above. Returns below what agents there are told to be low.
fn enter_parent(account: &Account) -> Option<Amount> {
    let mut state = account.parent.as_ref()?.lock();
    let pool = state.pool();
    match account.kind {
        Kind::Agent => drop(pool.agents.insert(account.slot)),
        Kind::Pool => pool.pools.push(Arc::clone(&account.id)),
    }
    pool.low
}

impl State {
    /// Whether so much more may remain. What is given back always may: it was granted before.
    const fn has_room(&self, change: i128) -> bool {
        change <= 0 || self.books.balance.remaining.saturating_add(change) <= Amount::MAX.units()
    }

    /// Grants a pool the budget of the period that `now` is in. What is still reserved counts against it, so that
    /// no period spends more than its budget, or than was reserved when it began; what was left before is gone,
    /// an overdraft as well.
    #[cold]
    pub(super) fn renew(&mut self, ledger: &Ledger, now: Wall) {
        let reserved = self.books.balance.reserved;
        let Some((schedule, budget)) = self.pool.as_ref().and_then(|pool| pool.renewal.as_ref()) else {
            self.renews_at = Wall::NEVER;
            return;
        };
        self.renews_at = schedule.next_after(now);
        let remaining = Amount::from_units((budget.units() - reserved).max(0)).unwrap_or_default();
        ledger.grant(self, remaining, EventKind::Renew, now);
    }
}

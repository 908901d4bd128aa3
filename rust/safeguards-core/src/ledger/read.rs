//! Looking without touching.

use std::sync::Arc;

use super::Ledger;
use super::account::{Account, Kind};
use super::balance::Balance;
use super::error::LedgerError;
use super::event::{Event, Usage, UsageLog};
use super::life::Enforcement;
use super::refusals::Reason;
use super::renewal::Rules;
use super::state::{Inner, Note, State};
use crate::amount::Amount;
use crate::clock::Wall;
use crate::sync::MutexGuard;

/// An account at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its books.
    pub balance: Balance,
    /// What the current period was granted, in units.
    pub period_granted: i128,
    /// What the current period began with, in units.
    pub initial: i128,
    /// What the current period has spent, in units.
    pub period_spent: i128,
    /// Units of what remains that are kept for a call that waits. It is no part of the state.
    pub kept: i128,
    /// 1 to 10.
    pub priority: u8,
    /// Active reservations of an agent.
    pub reservations: usize,
    /// Units that settlements cost beyond the overdraft limits of their paths: charged nowhere.
    pub unpaid: i128,
    /// Units of charges that were given back.
    pub refunded: i128,
    /// Whether no work may begin.
    pub is_suspended: bool,
    /// What it does where it cannot pay.
    pub enforcement: Enforcement,
    /// How often it would have refused, and did not enforce.
    pub would_refuse: u32,
    /// Units that remain of credits.
    pub credits: i128,
}

/// What an account has refused, ever. It decides nothing, and is no part of the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// How often its budget has.
    pub budget: u64,
    /// How often one of its windows has.
    pub window: u64,
    /// How often it has for whatever reason.
    pub all: u64,
}

/// Where a pool stands, and when it is granted its budget.
#[derive(Clone, Debug)]
pub struct PoolInfo {
    /// What people call it.
    pub name: Arc<str>,
    /// Ids of the pools right below, in the order in which they were made.
    pub pools: Vec<Arc<str>>,
    /// Agents right below.
    pub agents: usize,
    /// What every account has.
    pub account: AccountInfo,
}

/// Where an account stands, what it is bound by, and when it is granted its budget.
#[derive(Clone, Debug)]
pub struct AccountInfo {
    /// The pool above.
    pub parent: Option<Arc<str>>,
    /// 1 to 10.
    pub priority: u8,
    /// What it is bound by.
    pub rules: Rules,
    /// When its periods begin, and with what.
    pub renewal: Option<Renewal>,
}

/// What a pool's period is, and what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// When the current period ends; [`Wall::NEVER`] past the end of the calendar.
    pub ends: Wall,
    /// When the next one ends.
    pub next_ends: Wall,
    /// What later periods begin with.
    pub budget: Amount,
}

/// How busy an agent was so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Its books.
    pub balance: Balance,
    /// Charges: debits, settlements, and usage that was stated.
    pub usages: u64,
    /// How often its own budget refused.
    pub refusals: u64,
}

impl Ledger {
    /// An agent by its id.
    pub fn agent(&self, id: &str) -> Result<Arc<Account>, LedgerError> {
        self.with_agent(id, |agent| Ok(Arc::clone(agent)))
    }

    /// Calls `use_it` with an agent, without counting a reference: the hot path's way to an account.
    #[inline]
    pub fn with_agent<R>(
        &self,
        id: &str,
        use_it: impl FnMut(&Arc<Account>) -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        self.directory.with_agent(id, use_it)
    }

    /// What has taken the place of an agent, if it has moved below another pool since it was found.
    #[must_use]
    pub fn moved(&self, agent: &Arc<Account>) -> Option<Arc<Account>> {
        self.directory.moved(agent)
    }

    /// Calls `use_it` with an agent that was found before, or with what has taken its place, if it has moved below another
    /// pool since.
    #[inline]
    pub fn follow<R>(
        &self,
        agent: &Arc<Account>,
        mut use_it: impl FnMut(&Arc<Account>) -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        match use_it(agent) {
            Err(LedgerError::UnknownAgent(id)) => match self.directory.moved(agent) {
                Some(moved) => use_it(&moved),
                None => Err(LedgerError::UnknownAgent(id)),
            },
            outcome => outcome,
        }
    }

    /// A pool by its id.
    pub fn pool(&self, id: &str) -> Result<Arc<Account>, LedgerError> {
        self.directory.pool(id)
    }

    /// Whether a pool of this id exists.
    #[must_use]
    pub fn has_pool(&self, id: &str) -> bool {
        self.directory.has_pool(id)
    }

    /// The number by which batches name an agent, valid until it is unregistered.
    pub fn handle(&self, agent: &str) -> Result<u32, LedgerError> {
        self.directory.with_agent(agent, |agent| self.directory.handle(agent))
    }

    /// An agent's or a pool's books.
    pub fn snapshot(&self, account: &Account) -> Result<Snapshot, LedgerError> {
        Ok(self.read(account)?.snapshot())
    }

    /// The books of an account, and what it has refused, at one instant.
    pub fn metrics(&self, account: &Account) -> Result<(Snapshot, Refusals), LedgerError> {
        let state = self.read(account)?;
        Ok((state.snapshot(), state.refusals()))
    }

    /// Where a pool stands, and when it is granted its budget.
    pub fn pool_info(&self, id: &str) -> Result<PoolInfo, LedgerError> {
        let pool = self.pool(id)?;
        let state = self.read(&pool)?;
        let of_pool = state.pool();
        Ok(PoolInfo {
            name: Arc::clone(of_pool.and_then(|pool| pool.name.as_ref()).unwrap_or(&pool.id)),
            pools: of_pool.map(|pool| pool.pools.clone()).unwrap_or_default(),
            agents: of_pool.map_or(0, |pool| pool.agents.len()),
            account: state.info(&pool),
        })
    }

    /// Where an agent stands, and when it is granted its budget.
    pub fn agent_info(&self, id: &str) -> Result<AccountInfo, LedgerError> {
        self.directory.with_agent(id, |agent| Ok(self.read(agent)?.info(agent)))
    }

    /// How busy an agent was so far.
    pub fn activity(&self, agent: &Account) -> Result<Activity, LedgerError> {
        let state = self.read(agent)?;
        let (usages, refusals) = (state.history.usage_count(), state.refusals().budget);
        Ok(Activity { balance: state.books.balance, usages, refusals })
    }

    /// What an account may still spend, in units: its own remaining budget.
    pub fn remaining(&self, account: &Account) -> Result<i128, LedgerError> {
        Ok(self.read(account)?.books.balance.remaining)
    }

    /// The least that remains on the path from an agent to its topmost pool, in units, beside what is kept for calls that
    /// wait: what would be admitted now. Accounts that do not enforce are passed over; where none does, that is the most
    /// that can be asked for. Where one is suspended it is nothing.
    pub fn available(&self, agent: &Account) -> Result<i128, LedgerError> {
        let mut least = Amount::MAX.units();
        for account in std::iter::once(agent).chain(above(agent)) {
            let state = self.read(account)?;
            if state.mode.is_suspended() {
                least = least.min(0);
            }
            if !state.mode.is_lenient() {
                least = least.min(state.books.balance.remaining - state.kept());
            }
        }
        Ok(least)
    }

    /// Usage of an agent in `start..end`, by time.
    pub fn usage(&self, agent: &Account, start: Wall, end: Wall) -> Result<Vec<Usage>, LedgerError> {
        let state = self.read(agent)?;
        Ok(state.history.usage().filter(|usage| (start..end).contains(&usage.start)).collect())
    }

    /// All usage of an agent, or `None` if no event is newer than the one of sequence `seen`. An agent that has
    /// left still answers.
    #[must_use]
    pub fn usage_since(&self, agent: &Account, seen: u64) -> Option<UsageLog> {
        agent.lock().history.log_since(seen)
    }

    /// All agents, in the order of [`members`](Self::members).
    #[must_use]
    pub fn agents(&self) -> Vec<Arc<Account>> {
        self.directory.slots().agents().cloned().collect()
    }

    /// The newest events of an account, oldest first.
    pub fn events(&self, account: &Account) -> Result<Vec<Event>, LedgerError> {
        Ok(self.read(account)?.history.events().collect())
    }

    /// The same; of the newest that people and controllers have caused, with who it was and why.
    pub fn events_with_notes(&self, account: &Account) -> Result<Vec<(Event, Option<Note>)>, LedgerError> {
        let state = self.read(account)?;
        let note = |event: &Event| state.notes().find(|note| note.sequence == event.sequence).cloned();
        Ok(state.history.events().map(|event| (event, note(&event))).collect())
    }

    /// Ids of the agents or pools right below a pool, in the order in which they came (an agent that takes the
    /// slot of one that left takes its place here, too).
    pub fn members(&self, pool: &str, kind: Kind) -> Result<Vec<Arc<str>>, LedgerError> {
        let pool = self.pool(pool)?;
        let slots = self.directory.slots();
        let state = pool.lock();
        let Some(pool) = state.pool() else { return Ok(Vec::new()) };
        Ok(match kind {
            Kind::Agent => {
                pool.agents.iter().filter_map(|slot| Some(Arc::clone(&slots.agent(*slot)?.id))).collect()
            }
            Kind::Pool => pool.pools.clone(),
        })
    }

    /// Agents below a pool, at any depth.
    pub fn agents_below(&self, pool: &str) -> Result<usize, LedgerError> {
        let (agents, pools) = {
            let pool = self.pool(pool)?;
            let state = pool.lock();
            state.pool().map_or((0, Vec::new()), |pool| (pool.agents.len(), pool.pools.clone()))
        };
        pools.iter().try_fold(agents, |sum, pool| Ok(sum + self.agents_below(pool)?))
    }

    /// How often a pool refused a debit or a reservation, ever.
    pub fn refusals(&self, pool: &str) -> Result<u64, LedgerError> {
        let pool = self.pool(pool)?;
        Ok(pool.lock().refusals().budget)
    }

    /// When a pool's budget is granted anew, and with what; None if it never is.
    pub fn renewal(&self, pool: &str) -> Result<Option<Renewal>, LedgerError> {
        let pool = self.pool(pool)?;
        Ok(self.read(&pool)?.renewal())
    }

    /// Ids of all agents, in the order of [`members`](Self::members).
    #[must_use]
    pub fn agent_ids(&self) -> Vec<Arc<str>> {
        self.directory.slots().agents().map(|agent| Arc::clone(&agent.id)).collect()
    }

    /// Ids of all pools, sorted.
    #[must_use]
    pub fn pool_ids(&self) -> Vec<Arc<str>> {
        let mut ids: Vec<_> = self.directory.pools().iter().map(|pool| Arc::clone(&pool.id)).collect();
        ids.sort_unstable();
        ids
    }

    /// Locks an account with everything done that time has done: reservations expired, budgets renewed.
    pub(super) fn read<'a>(&self, account: &'a Account) -> Result<MutexGuard<'a, State>, LedgerError> {
        self.expire_due();
        let state = account.lock_renewed(self, self.clock.wall());
        state.check_open(account)?;
        Ok(state)
    }
}

/// All accounts above one.
fn above(account: &Account) -> impl Iterator<Item = &Account> {
    std::iter::successors(account.parent.as_deref(), |pool| pool.parent.as_deref())
}

impl Inner {
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            balance: self.books.balance,
            period_granted: self.books.period_granted(),
            initial: self.books.initial,
            period_spent: self.books.period_spent(),
            kept: self.kept(),
            priority: self.priority,
            reservations: self.holds.as_ref().map_or(0, |holds| holds.len()),
            unpaid: self.unpaid(),
            refunded: self.refunded(),
            is_suspended: self.mode.is_suspended(),
            enforcement: self.mode.enforcement(),
            would_refuse: self.would_refuse(),
            credits: self.credits_left(),
        }
    }

    pub(super) fn refusals(&self) -> Refusals {
        let Some(refused) = self.refused() else { return Refusals::default() };
        let (budget, window) = (refused.total(Reason::Budget), refused.total(Reason::Window));
        Refusals { budget, window, all: refused.all() }
    }

    fn info(&self, account: &Account) -> AccountInfo {
        let parent = account.parent.as_ref().map(|parent| Arc::clone(&parent.id));
        AccountInfo { parent, priority: self.priority, rules: self.rules(), renewal: self.renewal() }
    }

    fn renewal(&self) -> Option<Renewal> {
        let renewals = self.renewals()?;
        let ends = self.period().ends;
        let next_ends = renewals.periods.schedule.next_after(ends);
        Some(Renewal { ends, next_ends, budget: renewals.budget })
    }
}

//! Accounts that come and go.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Ledger;
use super::account::{Account, Kind, MAX_DEPTH, NO_HANDLE};
use super::change::{AgentRegistered, Change, Instant, Number, PoolCreated};
use super::directory::Place;
use super::error::LedgerError;
use super::event::EventKind;
use super::path::line;
use super::renewal::Rules;
use super::state::State;
use crate::amount::Amount;

/// What a pool is made of.
#[derive(Debug)]
pub struct NewPool<'a> {
    /// Its id; unique among pools.
    pub id: &'a str,
    /// What people call it; its id if not given.
    pub name: Option<&'a str>,
    /// The pool above.
    pub parent: Option<&'a str>,
    /// Its budget, and what each period begins with.
    pub budget: Amount,
    /// 1 to 10.
    pub priority: u8,
    /// What it is bound by.
    pub rules: Rules,
}

/// What an agent is made of.
#[derive(Clone, Debug)]
pub struct NewAgent<'a> {
    /// Its id; unique among agents.
    pub id: &'a str,
    /// The pool right above.
    pub pool: &'a str,
    /// 1 to 10.
    pub priority: u8,
    /// What it may spend, and what each period begins with.
    pub budget: Amount,
    /// What it is bound by.
    pub rules: Rules,
}

impl Ledger {
    /// Makes a pool.
    pub fn create_pool(&self, new: NewPool<'_>) -> Result<Arc<Account>, LedgerError> {
        self.make_pool(new, false)
    }

    /// Makes a pool, unless there is one of this id: that stays as it is, its money included. Refused if that one
    /// stands below another pool, or has another period.
    pub fn ensure_pool(&self, new: NewPool<'_>) -> Result<Arc<Account>, LedgerError> {
        self.make_pool(new, true)
    }

    fn make_pool(&self, new: NewPool<'_>, exist_ok: bool) -> Result<Arc<Account>, LedgerError> {
        let parent = new.parent.map(|id| self.directory.pool(id)).transpose()?;
        new.rules.check()?;
        let at = self.instant();
        let (rules, above) = (new.rules.clone(), parent.clone());
        let existing = |pool: Arc<Account>| {
            if !exist_ok {
                return Err(taken_pool(&pool.id));
            }
            check_parent(&pool, above.as_deref())?;
            check_rules(&pool, &rules)?;
            Ok(pool)
        };
        self.directory.add_pool(new.id, existing, |number| {
            if parent.as_ref().is_some_and(|parent| parent.depth() + 1 >= MAX_DEPTH) {
                let text = format!("pools are at most {MAX_DEPTH} deep: create {:?} further up", new.id);
                return Err(LedgerError::Configuration(text));
            }
            let created = PoolCreated {
                number,
                path: path(number, parent.as_ref()),
                id: new.id.into(),
                name: new.name.map(Into::into),
                budget: new.budget,
                priority: new.priority,
                span: new.rules.span_at(at.wall),
                era: self.eras.begin(),
                rules: new.rules,
            };
            self.write(|| (at, Change::PoolCreated(created.clone())))?;
            Ok(self.open_pool(&created, parent, at))
        })
    }

    /// A pool as it was created.
    pub(super) fn open_pool(
        &self,
        created: &PoolCreated,
        parent: Option<Arc<Account>>,
        at: Instant,
    ) -> Arc<Account> {
        let PoolCreated { number, id, name, budget, priority, rules, span, era, .. } = created;
        let pool = Arc::new(Account::new(Arc::clone(id), NO_HANDLE, *number, parent, *priority));
        let mut state = pool.lock();
        state.set_rules(rules, *budget, *span);
        if let Some(name) = name {
            state.set_name(name);
        }
        state.grant(budget.units(), EventKind::Update, *era, at.wall, self);
        drop(state);
        enter_parent(&pool);
        pool
    }

    /// Registers an agent below a pool. Takes nothing from the pool.
    pub fn register_agent(
        &self,
        id: &str,
        pool: &str,
        priority: u8,
        budget: Amount,
    ) -> Result<Arc<Account>, LedgerError> {
        let mut agents =
            self.register_agents(&[NewAgent { id, pool, priority, budget, rules: Rules::default() }])?;
        agents.pop().ok_or_else(|| LedgerError::UnknownAgent(id.into()))
    }

    /// Registers many agents, in one step: all of them or none.
    pub fn register_agents(&self, new: &[NewAgent<'_>]) -> Result<Vec<Arc<Account>>, LedgerError> {
        self.make_agents(new, |agent, _, _| Err(taken_agent(&agent.id)))
    }

    /// Registers those agents that are not there yet, in one step. Those that are stay as they are, their money
    /// included. Refused if one of them stands below another pool, or is bound by other rules.
    pub fn ensure_agents(&self, new: &[NewAgent<'_>]) -> Result<Vec<Arc<Account>>, LedgerError> {
        self.make_agents(new, |agent, pool, rules| {
            check_parent(agent, Some(pool))?;
            check_rules(agent, rules)
        })
    }

    fn make_agents(
        &self,
        new: &[NewAgent<'_>],
        existing: impl Fn(&Account, &Account, &Rules) -> Result<(), LedgerError>,
    ) -> Result<Vec<Arc<Account>>, LedgerError> {
        let parents: Vec<_> =
            new.iter().map(|new| self.directory.pool(new.pool)).collect::<Result<_, _>>()?;
        new.iter().try_for_each(|new| new.rules.check())?;
        let at = self.instant();
        let ids: Vec<_> = new.iter().map(|new| new.id).collect();
        let existing = |index: usize, agent: &Account| existing(agent, &parents[index], &new[index].rules);
        self.directory.add_agents(&ids, existing, |places| {
            let era = self.eras.begin();
            let registered: Box<[_]> = places
                .iter()
                .map(|Place { index, number, handle }| {
                    let NewAgent { id, priority, budget, rules, .. } = new[*index].clone();
                    let path = path(*number, Some(&parents[*index]));
                    AgentRegistered {
                        number: *number,
                        path,
                        id: id.into(),
                        handle: *handle,
                        priority,
                        budget,
                        span: rules.span_at(at.wall),
                        era,
                        rules,
                    }
                })
                .collect();
            self.write(|| (at, Change::AgentsRegistered(registered.clone())))?;
            let agents = registered.iter().zip(places);
            let open =
                |(agent, place): (_, &Place)| self.open_agent(agent, Arc::clone(&parents[place.index]), at);
            Ok(agents.map(open).collect())
        })
    }

    /// An agent as it was registered.
    pub(super) fn open_agent(
        &self,
        registered: &AgentRegistered,
        parent: Arc<Account>,
        at: Instant,
    ) -> Arc<Account> {
        let AgentRegistered { number, id, handle, priority, budget, rules, span, era, .. } = registered;
        let agent = Arc::new(Account::new(Arc::clone(id), *handle, *number, Some(parent), *priority));
        let low = enter_parent(&agent);
        let mut state = agent.lock();
        state.set_rules(rules, *budget, *span);
        state.grant(budget.units(), EventKind::Update, *era, at.wall, self);
        state.watch_low(low, self);
        drop(state);
        agent
    }

    /// Forgets an agent and its history. What it has spent stays in the books of its pools. Refused while it has
    /// active reservations: their money is on its way.
    pub fn unregister_agent(&self, id: &str) -> Result<(), LedgerError> {
        self.expire_due();
        let at = self.instant();
        let mut left = None;
        self.directory.remove_agent(id, |agent| {
            let mut pins = self.pins.lock();
            let mut state = agent.lock();
            let active = state.active_reservations();
            if active > 0 || state.holds_for_others() {
                let whose = if active > 0 { format!("{active}") } else { "other agents'".into() };
                return Err(LedgerError::Configuration(format!(
                    "agent {id:?} has {whose} active reservations: settle, release or let them expire first"
                )));
            }
            self.write(|| (at, Change::AgentClosed(agent.number)))?;
            self.close_agent(agent, &mut state, &mut pins);
            left = Some(Arc::clone(agent));
            Ok(())
        })?;
        if let Some(agent) = left {
            self.retry_waiting(&agent);
        }
        Ok(())
    }

    /// Keeps controllers from changing the budget of an agent or a pool, or no longer does.
    pub fn pin(&self, id: &str, is_pinned: bool) -> Result<(), LedgerError> {
        let mut pins = self.pins.lock();
        let is_open = || self.directory.agent(id).is_some_and(|agent| !agent.lock().closed);
        if is_pinned && !self.has_pool(id) && !is_open() {
            return Err(LedgerError::UnknownAgent(id.into()));
        }
        if pins.contains(id) != is_pinned {
            let id: Arc<str> = id.into();
            self.write(|| (self.instant(), Change::Pinned { id: Arc::clone(&id), is_pinned }))?;
            set_pin(&mut pins, id, is_pinned);
        }
        Ok(())
    }

    /// As [`pin`](Self::pin), as a change says.
    pub(super) fn replay_pin(&self, id: &Arc<str>, is_pinned: bool) {
        set_pin(&mut self.pins.lock(), Arc::clone(id), is_pinned);
    }

    /// Whether controllers leave a budget alone.
    #[must_use]
    pub fn is_pinned(&self, id: &str) -> bool {
        self.pins.lock().contains(id)
    }

    /// Ids of the budgets that controllers leave alone, sorted.
    #[must_use]
    pub fn pinned(&self) -> Vec<Arc<str>> {
        self.pins.lock().iter().cloned().collect()
    }

    /// Closes the books of an agent. Neither its timer nor a pool holds on to it, and its pin goes.
    pub(super) fn close_agent(&self, agent: &Arc<Account>, state: &mut State, pins: &mut Pins) {
        if !self.has_pool(&agent.id) {
            pins.remove(&agent.id);
        }
        state.close();
        let before = state.set_timer(None);
        self.timers.set(agent, before, None);
        if let Some(parent) = &agent.parent {
            parent.lock().leave(agent.slot());
        }
    }
}

/// Ids of budgets that controllers leave alone.
pub(super) type Pins = BTreeSet<Arc<str>>;

fn set_pin(pins: &mut Pins, id: Arc<str>, is_pinned: bool) {
    if is_pinned {
        pins.insert(id);
    } else {
        pins.remove(&id);
    }
}

/// What changes name the line of a new account by: its own number, and those of all above it.
fn path(number: Number, parent: Option<&Arc<Account>>) -> Arc<[Number]> {
    let above = parent.into_iter().flat_map(line).map(|account| account.number);
    std::iter::once(number).chain(above).collect()
}

fn taken_pool(id: &str) -> LedgerError {
    let advice = "choose another pool_id, or pass exist_ok=True to leave it as it is";
    LedgerError::Configuration(format!("pool {id:?} exists already: {advice}"))
}

pub(super) fn taken_agent(id: &str) -> LedgerError {
    let advice = "choose another id, unregister it first, or pass exist_ok=True to leave it as it is";
    LedgerError::Configuration(format!("agent {id:?} is registered already: {advice}"))
}

/// Refuses an account that stands below another pool than the one that was asked for.
fn check_parent(account: &Account, wanted: Option<&Account>) -> Result<(), LedgerError> {
    let before = account.parent.as_deref();
    if before.map(|pool| pool.number) == wanted.map(|pool| pool.number) {
        return Ok(());
    }
    let words =
        |pool: Option<&Account>| pool.map_or_else(|| "no pool".into(), |pool| format!("pool {:?}", pool.id));
    Err(another(account, &format!("below {}, not {}", words(before), words(wanted))))
}

/// Refuses an account that is bound by other rules than was asked for.
fn check_rules(account: &Account, wanted: &Rules) -> Result<(), LedgerError> {
    let before = account.lock().rules();
    before.difference(wanted).map_or(Ok(()), |text| Err(another(account, &text)))
}

fn another(account: &Account, difference: &str) -> LedgerError {
    let kind = if account.kind() == Kind::Agent { "agent" } else { "pool" };
    LedgerError::Configuration(format!(
        "{kind} {:?} exists {difference}; ask for the one that it has, or choose another id",
        account.id
    ))
}

/// Makes an account known to the one above. Returns below what agents there are told to be low.
fn enter_parent(account: &Account) -> Option<Amount> {
    let mut state = account.parent.as_ref()?.lock();
    state.enter(account);
    state.pool().and_then(|pool| pool.low)
}

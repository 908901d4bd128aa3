//! Making changes again that were written down.
//!
//! Nothing is checked and nothing is decided: each change was, when it was written. So a replay needs no clock and no
//! admission, and what it does is done by the functions that the operations use.

use std::collections::HashMap;
use std::sync::Arc;

use super::Ledger;
use super::account::Account;
use super::change::{
    AccountChange, AgentRegistered, Change, Credited, Instant, Moved, Number, PoolCreated, Posted,
    Quantities, Refunded, Reserved,
};
use super::directory::Place;
use super::error::LedgerError;
use super::event::EventKind;
use super::grant::lock_two;
use super::holds::Held;
use super::idempotency::{Effect, Payload};
use super::moving::with_ends;
use super::path::{Joint, Path, line};
use super::quantity::{Quantity, Transaction};
use super::refund::former_line;
use super::registry::taken_agent;

/// Why a change cannot be made again: it does not follow from those before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a change does not follow from those before it: {0}")]
pub struct ReplayError(pub String);

/// A ledger that is made again out of its changes.
#[derive(Debug)]
pub struct Replay {
    ledger: Ledger,
    accounts: HashMap<Number, Arc<Account>>,
    joints: HashMap<Number, Arc<Joint>>,
}

impl Ledger {
    /// Begins to make a ledger again; this one is as it was when its first change was written: without accounts.
    #[must_use]
    pub fn replay(self) -> Replay {
        Replay { ledger: self, accounts: HashMap::new(), joints: HashMap::new() }
    }
}

impl Replay {
    /// The ledger, as after the last change that was made again.
    #[must_use]
    pub fn finish(self) -> Ledger {
        self.ledger
    }

    /// Makes a change again.
    ///
    /// # Errors
    /// The change names what those before it have not made.
    pub fn apply(&mut self, at: Instant, change: &Change) -> Result<(), ReplayError> {
        match change {
            Change::OperationNamed { operation, name } => {
                expect(self.ledger.operations.add(name, &self.ledger) == *operation, name)
            }
            Change::ResourceNamed { resource, name } => {
                let added = self.ledger.resource_types.add(name, &self.ledger).map_err(refused)?;
                expect(added == *resource, name)
            }
            Change::PoolCreated(created) => self.create_pool(created, at),
            Change::AgentsRegistered(registered) => self.register_agents(registered, at),
            Change::AgentClosed(agent) => self.close_agent(*agent),
            Change::PoolClosed(pool) => self.close_pool(*pool),
            Change::Moved(moved) => self.move_account(moved, at),
            Change::PathNamed { path, accounts } => self.name_path(*path, accounts),
            Change::Posted(posted) => match &posted.what {
                Quantities::Money(amount) => self.post(posted, amount, at),
                Quantities::Resources(bundle) => self.post(posted, &**bundle, at),
            },
            Change::Refunded(refunded) => self.refund(refunded, at),
            Change::Transferred { from, to, amount } => {
                let (from, to) = (self.account(*from)?, self.account(*to)?);
                let (mut giver, mut taker) = lock_two(from, to);
                self.ledger.move_budget(&mut giver, &mut taker, *amount, at);
                Ok(())
            }
            Change::Credited(credited) => self.credit(credited, at),
            Change::Account { account, change } => self.change_account(*account, change, at),
            Change::Executed(executed) => {
                let account = self.account(executed.account)?;
                self.ledger.carry_out(account, &mut account.lock(), executed, at);
                Ok(())
            }
            Change::Pinned { id, is_pinned } => {
                self.ledger.replay_pin(id, *is_pinned);
                Ok(())
            }
            Change::CapacitySet { resource, remaining } => {
                self.ledger.replay_capacity(*resource, Some(*remaining));
                Ok(())
            }
            Change::CapacityRemoved(resource) => {
                self.ledger.replay_capacity(*resource, None);
                Ok(())
            }
        }
    }

    fn account(&self, number: Number) -> Result<&Arc<Account>, ReplayError> {
        self.accounts.get(&number).ok_or_else(|| ReplayError(format!("there is no account {}", number.0)))
    }

    fn parent(&self, path: &[Number]) -> Result<Option<Arc<Account>>, ReplayError> {
        path.get(1).map(|parent| self.account(*parent).cloned()).transpose()
    }

    fn create_pool(&mut self, created: &PoolCreated, at: Instant) -> Result<(), ReplayError> {
        let parent = self.parent(&created.path)?;
        self.ledger.directory.skip_to(Number(created.number.0 - 1));
        let make = |_| Ok(self.ledger.open_pool(created, parent, at));
        let existing = |_| Err(LedgerError::Configuration(format!("pool {:?} is there", created.id)));
        let pool = self.ledger.directory.add_pool(&created.id, existing, make).map_err(refused)?;
        self.accounts.insert(created.number, pool);
        Ok(())
    }

    fn register_agents(&mut self, registered: &[AgentRegistered], at: Instant) -> Result<(), ReplayError> {
        let parents =
            registered.iter().map(|agent| self.parent(&agent.path)).collect::<Result<Vec<_>, _>>()?;
        let parents: Option<Vec<_>> = parents.into_iter().collect();
        let parents = parents.ok_or_else(|| ReplayError("an agent stands below no pool".into()))?;
        let ids: Vec<_> = registered.iter().map(|agent| &*agent.id).collect();
        let last = registered.iter().map(|agent| agent.number).max().unwrap_or(Number(0));
        let make = |places: &[Place]| {
            let same = places.iter().zip(registered).all(|(place, agent)| place.handle == agent.handle);
            if !same {
                return Err(LedgerError::UnknownHandle(registered[0].handle));
            }
            let agents = registered.iter().zip(parents);
            Ok(agents.map(|(agent, parent)| self.ledger.open_agent(agent, parent, at)).collect())
        };
        let existing = |_, agent: &Account| Err(taken_agent(&agent.id));
        let agents = self.ledger.directory.add_agents(&ids, existing, make).map_err(refused)?;
        self.ledger.directory.skip_to(last);
        self.accounts.extend(agents.into_iter().map(|agent| (agent.number, agent)));
        Ok(())
    }

    fn close_agent(&mut self, number: Number) -> Result<(), ReplayError> {
        let agent = Arc::clone(self.account(number)?);
        let close = |agent: &Arc<Account>| {
            let mut pins = self.ledger.pins.lock();
            self.ledger.close_agent(agent, &mut agent.lock(), &mut pins);
            Ok(())
        };
        self.ledger.directory.remove_agent(&agent.id, close).map_err(refused)
    }

    fn move_account(&mut self, moved: &Moved, at: Instant) -> Result<(), ReplayError> {
        let top = Arc::clone(self.account(moved.account)?);
        let to = moved.to.map(|pool| self.account(pool).cloned()).transpose()?;
        let mut registry = self.ledger.directory.registry();
        let accounts = with_ends(registry.subtree(&top, &self.ledger.directory), &top, to.as_ref());
        let mut locked: Vec<_> = accounts.iter().map(|account| (account, account.lock())).collect();
        let new = self.ledger.put_below(&top, &mut locked, to.as_ref(), moved, at);
        drop(locked);
        registry.replace(&new, &self.ledger.directory);
        drop(registry);
        self.ledger.joints.follow(&new);
        for joint in self.joints.values_mut() {
            if new.iter().any(|account| joint.numbers.contains(&account.number)) {
                *joint = Arc::new(joint.with(&new));
            }
        }
        self.accounts.extend(new.into_iter().map(|account| (account.number, account)));
        Ok(())
    }

    fn close_pool(&mut self, number: Number) -> Result<(), ReplayError> {
        let pool = Arc::clone(self.account(number)?);
        let close = |pool: &Arc<Account>| {
            let mut pins = self.ledger.pins.lock();
            self.ledger.shut_pool(pool, &mut pool.lock(), &mut pins);
            Ok(())
        };
        self.ledger.directory.remove_pool(&pool.id, close).map_err(refused)
    }

    fn name_path(&mut self, path: Number, accounts: &Arc<[Number]>) -> Result<(), ReplayError> {
        let members = accounts.iter().map(|number| self.account(*number).cloned());
        let members = members.collect::<Result<Vec<_>, _>>()?;
        let joint = Arc::new(Joint::new(path, Arc::clone(accounts), members));
        self.ledger.joints.keep(&joint);
        self.ledger.directory.skip_to(path);
        self.joints.insert(path, joint);
        Ok(())
    }

    fn credit(&self, credited: &Credited, at: Instant) -> Result<(), ReplayError> {
        let accounts = credited.accounts.iter().map(|number| self.account(*number));
        let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
        let mut states: Vec<_> = accounts.iter().map(|account| account.lock()).collect();
        self.ledger.begin_credits(credited, &mut states, at);
        Ok(())
    }

    fn refund(&self, refunded: &Refunded, at: Instant) -> Result<(), ReplayError> {
        let agent = self.account(refunded.agent)?;
        let former = (refunded.path == agent.number)
            .then(|| former_line(agent, &refunded.charge, &self.ledger))
            .flatten();
        let path = match &former {
            Some(line) => Path::with(agent, Some(line)),
            None => self.path(agent, refunded.path)?,
        };
        self.ledger.give_back_charge(path, &mut path.lock(), refunded, at);
        Ok(())
    }

    /// The accounts of a path, of which the agent is one.
    fn path<'a>(&'a self, agent: &'a Arc<Account>, path: Number) -> Result<Path<'a>, ReplayError> {
        if path == agent.number {
            return Ok(Path::of(agent));
        }
        let joint = self.joints.get(&path);
        let joint = joint.ok_or_else(|| ReplayError(format!("there is no path {}", path.0)))?;
        Ok(Path::with(agent, Some(joint)))
    }

    fn post<Q: Quantity>(&self, posted: &Posted, what: &Q, at: Instant) -> Result<(), ReplayError> {
        let agent = self.account(posted.agent)?;
        let path = self.path(agent, posted.path)?;
        let mut agents = path.lock();
        let held = Self::held(posted, agents.state.hold(posted.reservation.map_or(0, |r| r.number)))?;
        let transaction = Transaction {
            path,
            kind: posted.kind,
            what,
            unpaid: posted.unpaid,
            is_told: true,
            held: held.as_ref().and_then(Q::of),
            is_fact: posted.is_fact,
            operation: posted.operation,
            reserved: posted.reservation,
            key: posted.key.as_deref(),
            wall: at.wall,
        };
        if posted.kind != EventKind::Debit || !what.is_nothing() {
            Q::replay(&transaction, &mut agents, at.monotonic, &self.ledger).map_err(refused)?;
        }
        transaction.hold(&mut agents, at.monotonic, &self.ledger);
        if let Some(Reserved { terms: Some(terms), .. }) = posted.reservation {
            self.ledger.wake(&mut agents, terms.time_over);
        }
        if let Some(key) = &posted.key {
            let payload = Payload::of_debit(path, what, posted.operation);
            let (payload, effect) = if let Some(Reserved { number, terms: Some(terms) }) = posted.reservation
            {
                let terms = Some((terms.ttl_nanos, terms.overage));
                (Payload { terms, ..payload }, Effect::Reserved { handle: agent.handle, number })
            } else {
                let receipt = Q::receipt(&transaction, &agents, at.monotonic, &self.ledger);
                (payload, Effect::Charged(Q::settlement(receipt)))
            };
            Q::keys(&self.ledger).keep(key, payload, effect, at.monotonic);
        }
        Ok(())
    }

    /// What a change gives back or is charged out of.
    fn held(posted: &Posted, held: Option<&Held>) -> Result<Option<Quantities>, ReplayError> {
        let is_needed =
            posted.kind.settles() || matches!(posted.kind, EventKind::Release | EventKind::Expire);
        match held {
            Some(held) if is_needed => Ok(Some(held.what.clone())),
            None if is_needed => Err(ReplayError(format!("nothing is reserved: {posted:?}"))),
            _ => Ok(None),
        }
    }

    fn change_account(&self, number: Number, change: &AccountChange, at: Instant) -> Result<(), ReplayError> {
        let account = self.account(number)?;
        let ledger = &self.ledger;
        match change {
            AccountChange::ResourcesSet(_) | AccountChange::ResourcesAdded(_) => {
                let capacities = ledger.resource_types.capacities();
                let mut state = account.lock();
                state.apply(change, at, ledger);
                state.put_below_capacities(&capacities);
            }
            AccountChange::LowWatched(low) => {
                let slots = ledger.directory.slots();
                let mut state = account.lock();
                state.apply(change, at, ledger);
                let below: Vec<_> = state.agents_below().collect();
                drop(state);
                for agent in below.iter().filter_map(|slot| slots.agent(*slot)) {
                    agent.lock().watch_low(*low, ledger);
                }
            }
            AccountChange::Prolonged { to, .. } => {
                let mut agents = Path::of(account).lock();
                agents.state.apply(change, at, ledger);
                ledger.wake(&mut agents, *to);
            }
            AccountChange::Acquired { resource: None, .. }
            | AccountChange::Recorded { resource: None, .. } => {
                account.lock().apply(change, at, ledger);
                line(account).skip(1).for_each(|pool| pool.lock().share(change, at));
            }
            _ => account.lock().apply(change, at, ledger),
        }
        Ok(())
    }
}

fn expect(is_same: bool, name: &str) -> Result<(), ReplayError> {
    if is_same { Ok(()) } else { Err(ReplayError(format!("{name:?} got another number"))) }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(error: LedgerError) -> ReplayError {
    ReplayError(error.to_string())
}

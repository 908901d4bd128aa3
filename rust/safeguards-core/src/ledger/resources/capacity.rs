//! What all agents together may spend of a resource: a pool of one resource, above every agent that has it.

use std::sync::Arc;

use super::ResourceId;
use super::budget::ResourceBudget;
use super::read::ResourceSnapshot;
use super::types::Capacities;
use crate::amount::Amount;
use crate::clock::Wall;
use crate::ledger::Ledger;
use crate::ledger::account::Kind;
use crate::ledger::balance::{Balance, Movement};
use crate::ledger::books::Books;
use crate::ledger::change::Change;
use crate::ledger::directory::Slots;
use crate::ledger::error::{BudgetRefusal, LedgerError};
use crate::ledger::refund::NO_ERA;
use crate::ledger::state::State;
use crate::sync::{Mutex, MutexGuard};

#[derive(Debug)]
pub(in crate::ledger) struct Capacity {
    pub(super) name: Arc<str>,
    books: Mutex<Books>,
}

impl Capacity {
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock()
    }

    /// Moves what all agents together may spend.
    #[inline]
    pub(super) fn shift(&self, books: &mut Books, movement: &Movement, ledger: &Ledger) {
        if let Some(crossing) = books.apply(movement, &ledger.thresholds) {
            ledger.report(&self.name, Kind::Pool, Some(&self.name), books, crossing);
        }
    }

    #[cold]
    pub(super) fn refusal(&self, books: &Books, requested: i128) -> Box<BudgetRefusal> {
        Box::new(BudgetRefusal {
            account: Arc::clone(&self.name),
            kind: Kind::Pool,
            resource: Some(Arc::clone(&self.name)),
            balance: books.balance,
            spent_before: books.spent_before,
            renews_at: Wall::NEVER,
            kept: 0,
            requested,
            asked: None,
            is_suspended: false,
            has_moved: false,
            credits: 0,
            lapsing: 0,
        })
    }
}

impl Ledger {
    /// Makes `capacity` remain of a resource for all agents together. What they have reserved and spent before
    /// counts from the first time on, so that this one locks every agent.
    pub fn set_capacity(&self, resource: &str, capacity: Amount) -> Result<(), LedgerError> {
        // What expires later would add to what was just set.
        self.expire_due();
        let slots = self.directory.slots();
        let mut capacities = self.resource_types.capacities();
        let id = self.resource_types.intern(resource, self)?;
        let change = || (self.instant(), Change::CapacitySet { resource: id, remaining: capacity });
        if let Some(set) = capacities.get(id) {
            let mut books = set.lock();
            self.write(change)?;
            books.begin_period(capacity.units(), NO_ERA, &self.thresholds);
            return Ok(());
        }
        let mut agents = lock_all(&slots);
        self.write(change)?;
        self.put_capacity(&mut capacities, &mut agents, id, capacity);
        Ok(())
    }

    /// Makes so much remain; the first time above all agents, which are locked.
    fn put_capacity(
        &self,
        capacities: &mut Capacities,
        agents: &mut [MutexGuard<'_, State>],
        id: ResourceId,
        capacity: Amount,
    ) {
        if let Some(set) = capacities.get(id) {
            set.lock().begin_period(capacity.units(), NO_ERA, &self.thresholds);
            return;
        }
        let mut budgets: Vec<_> = agents.iter_mut().filter_map(|state| state.resource_mut(id)).collect();
        let mut books = Books::new(sum(&budgets));
        books.begin_period(capacity.units(), NO_ERA, &self.thresholds);
        let set = Arc::new(Capacity { name: self.resource_types.name(id), books: Mutex::new(books) });
        for budget in &mut budgets {
            budget.capacity = Some(Arc::clone(&set));
        }
        capacities.set(id, Some(set));
    }

    /// Sets or removes a capacity as a change says.
    pub(in crate::ledger) fn replay_capacity(&self, id: ResourceId, capacity: Option<Amount>) {
        let slots = self.directory.slots();
        let mut capacities = self.resource_types.capacities();
        let mut agents = lock_all(&slots);
        match capacity {
            Some(remaining) => self.put_capacity(&mut capacities, &mut agents, id, remaining),
            None => drop_capacity(&mut capacities, &mut agents, id),
        }
    }

    /// Lets agents spend a resource within their own budgets only. False if there was no capacity.
    pub fn remove_capacity(&self, resource: &str) -> Result<bool, LedgerError> {
        let slots = self.directory.slots();
        let mut capacities = self.resource_types.capacities();
        let Some(id) = self.resource_types.id(resource).filter(|id| capacities.get(*id).is_some()) else {
            return Ok(false);
        };
        // All of them at once, so that nobody debits or gives back what another one no longer does.
        let mut agents = lock_all(&slots);
        self.write(|| (self.instant(), Change::CapacityRemoved(id)))?;
        drop_capacity(&mut capacities, &mut agents, id);
        Ok(true)
    }

    /// The books of a capacity, if one is set.
    pub fn capacity(&self, resource: &str) -> Option<ResourceSnapshot> {
        self.expire_due();
        let capacities = self.resource_types.capacities();
        let capacity = capacities.get(self.resource_types.id(resource)?)?;
        let books = *capacity.lock();
        Some(ResourceSnapshot::new(&capacity.name, &books))
    }
}

/// What agents have reserved and spent, as if it had been granted.
fn sum(budgets: &[&mut ResourceBudget]) -> Balance {
    let reserved = budgets.iter().map(|budget| budget.books.balance.reserved).sum();
    let spent = budgets.iter().map(|budget| budget.books.balance.spent).sum();
    Balance { granted: reserved + spent, remaining: 0, reserved, spent }
}

/// Every agent, locked.
fn lock_all(slots: &Slots) -> Vec<MutexGuard<'_, State>> {
    slots.agents().map(|agent| agent.lock()).collect()
}

fn drop_capacity(capacities: &mut Capacities, agents: &mut [MutexGuard<'_, State>], id: ResourceId) {
    for budget in agents.iter_mut().filter_map(|state| state.resource_mut(id)) {
        budget.capacity = None;
    }
    capacities.set(id, None);
}

impl State {
    /// Puts an agent's resources below the capacities that are set.
    pub(in crate::ledger) fn put_below_capacities(&mut self, capacities: &Capacities) {
        for (id, capacity) in capacities.iter() {
            if let Some(budget) = self.resource_mut(id) {
                budget.capacity = Some(Arc::clone(capacity));
            }
        }
    }
}

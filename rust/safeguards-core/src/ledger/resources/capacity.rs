//! What all agents together may spend of a resource: a pool of one resource, above every agent that has it.

use std::sync::Arc;

use super::ResourceId;
use super::budget::ResourceBudget;
use super::read::ResourceSnapshot;
use crate::amount::Amount;
use crate::clock::Wall;
use crate::ledger::Ledger;
use crate::ledger::account::{Kind, State};
use crate::ledger::balance::Balance;
use crate::ledger::books::Books;
use crate::ledger::error::{BudgetRefusal, LedgerError};
use crate::sync::{Mutex, MutexGuard};

#[derive(Debug)]
pub(super) struct Capacity {
    pub(super) name: Arc<str>,
    books: Mutex<Books>,
}

impl Capacity {
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock()
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
            requested,
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
        let id = self.resource_types.intern(resource)?;
        if let Some(set) = capacities.get(id) {
            set.lock().begin_period(capacity.units(), &self.thresholds);
            return Ok(());
        }
        let mut agents: Vec<_> = slots.agents().map(|agent| agent.lock()).collect();
        let mut budgets: Vec<_> = agents.iter_mut().filter_map(|state| state.resource(id)).collect();
        let mut books = Books::new(sum(&budgets));
        books.begin_period(capacity.units(), &self.thresholds);
        let set = Arc::new(Capacity { name: self.resource_types.name(id), books: Mutex::new(books) });
        for budget in &mut budgets {
            budget.capacity = Some(Arc::clone(&set));
        }
        capacities.set(id, Some(set));
        Ok(())
    }

    /// Lets agents spend a resource within their own budgets only. False if there was no capacity.
    pub fn remove_capacity(&self, resource: &str) -> bool {
        let slots = self.directory.slots();
        let mut capacities = self.resource_types.capacities();
        let Some(id) = self.resource_types.id(resource) else { return false };
        if capacities.get(id).is_none() {
            return false;
        }
        // All of them at once, so that nobody debits or gives back what another one no longer does.
        let mut agents: Vec<_> = slots.agents().map(|agent| agent.lock()).collect();
        for budget in agents.iter_mut().filter_map(|state| state.resource(id)) {
            budget.capacity = None;
        }
        capacities.set(id, None);
        true
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

impl State {
    fn resource(&mut self, id: ResourceId) -> Option<&mut ResourceBudget> {
        let resources = self.resources.as_deref_mut()?;
        let at = resources.locate(id, 0)?;
        Some(&mut resources.budgets[at])
    }
}

//! Looking at resources without touching them.

use std::sync::Arc;

use super::Bundle;
use super::budget::{Moves, ResourceBudget};
use crate::amount::Amount;
use crate::clock::Wall;
use crate::ledger::Ledger;
use crate::ledger::account::Account;
use crate::ledger::balance::{Balance, Movement};
use crate::ledger::books::Books;
use crate::ledger::error::LedgerError;
use crate::ledger::event::{Event, Usage};
use crate::ledger::state::State;

/// The budget of a resource at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceSnapshot {
    /// Name of the resource type.
    pub resource: Arc<str>,
    /// Its books.
    pub balance: Balance,
    /// What was granted since the budget was last set, in units.
    pub period_granted: i128,
    /// What was spent since then, in units.
    pub period_spent: i128,
}

impl ResourceSnapshot {
    pub(super) fn new(resource: &Arc<str>, books: &Books) -> Self {
        Self {
            resource: Arc::clone(resource),
            balance: books.balance,
            period_granted: books.period_granted(),
            period_spent: books.period_spent(),
        }
    }
}

impl Ledger {
    /// Every resource of an agent, all at one instant.
    pub fn resources(&self, agent: &Account) -> Result<Vec<ResourceSnapshot>, LedgerError> {
        let state = self.read(agent)?;
        let budgets = state.resources().into_iter().flat_map(|resources| &resources.budgets);
        Ok(budgets.map(|budget| ResourceSnapshot::new(&budget.name, &budget.books)).collect())
    }

    /// One resource of an agent.
    pub fn resource(&self, agent: &Account, resource: &str) -> Result<ResourceSnapshot, LedgerError> {
        self.read_resource(agent, resource, |budget| ResourceSnapshot::new(&budget.name, &budget.books))
    }

    /// What an agent may still spend of a resource, in units: its own remaining budget.
    pub fn resource_remaining(&self, agent: &Account, resource: &str) -> Result<i128, LedgerError> {
        self.read_resource(agent, resource, |budget| budget.books.balance.remaining)
    }

    /// Usage of a resource by an agent in `start..end`, by time.
    pub fn resource_usage(
        &self,
        agent: &Account,
        resource: &str,
        start: Wall,
        end: Wall,
    ) -> Result<Vec<Usage>, LedgerError> {
        self.read_resource(agent, resource, |budget| {
            budget.history.usage().filter(|usage| (start..end).contains(&usage.start)).collect()
        })
    }

    /// The newest events of a resource of an agent, oldest first.
    pub fn resource_events(&self, agent: &Account, resource: &str) -> Result<Vec<Event>, LedgerError> {
        self.read_resource(agent, resource, |budget| budget.history.events().collect())
    }

    /// Refuses a bundle with a resource that the agent has no budget for.
    pub fn check_known(&self, agent: &Account, bundle: &Bundle) -> Result<(), LedgerError> {
        let state = agent.lock();
        state.check_open(agent)?;
        let any = |amount: Amount| (Movement::debit(amount, true), amount, Amount::ZERO);
        state.locate(agent, bundle.iter(), self, any, &mut Moves::new())
    }

    fn read_resource<R>(
        &self,
        agent: &Account,
        resource: &str,
        look: impl FnOnce(&ResourceBudget) -> R,
    ) -> Result<R, LedgerError> {
        let state = self.read(agent)?;
        let at = state.place(agent, resource, self)?;
        Ok(look(&state.budgets()[at]))
    }
}

impl State {
    /// Where a resource stands among those of an agent.
    pub(in crate::ledger) fn place(
        &self,
        agent: &Account,
        resource: &str,
        ledger: &Ledger,
    ) -> Result<usize, LedgerError> {
        let id = ledger.resource_types.id(resource);
        let place = id.and_then(|id| self.resources()?.locate(id, 0));
        place.ok_or_else(|| self.unknown_resource(agent, resource))
    }
}

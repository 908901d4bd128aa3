//! Where the budgets of resources come from.

use super::ResourceId;
use super::budget::ResourceBudget;
use crate::amount::Amount;
use crate::clock::Wall;
use crate::ledger::Ledger;
use crate::ledger::books::Books;
use crate::ledger::change::{AccountChange, Quantities};
use crate::ledger::error::LedgerError;
use crate::ledger::event::History;
use crate::ledger::state::State;

impl Ledger {
    /// Gives an agent these resources and no others, with books that begin anew. Refused while reservations of
    /// resources are active: what they hold is on its way.
    pub fn initialize_resources(&self, agent: &str, budgets: &[(&str, Amount)]) -> Result<(), LedgerError> {
        self.expire_due();
        self.directory.with_agent(agent, |agent| {
            let capacities = self.resource_types.capacities();
            let mut state = agent.lock();
            state.check_open(agent)?;
            let active = state.active_resource_reservations();
            if active > 0 {
                return Err(LedgerError::Configuration(format!(
                    "agent {:?} has {active} active reservations of resources: settle, release or let them expire first",
                    agent.id
                )));
            }
            let new = self.intern_budgets(budgets)?;
            self.change(agent, &mut state, &AccountChange::ResourcesSet(new.into()), self.instant())?;
            state.put_below_capacities(&capacities);
            Ok(())
        })
    }

    /// Gives an agent those of these resources that it does not have. What it has stays as it is.
    pub fn ensure_resources(&self, agent: &str, budgets: &[(&str, Amount)]) -> Result<(), LedgerError> {
        self.directory.with_agent(agent, |agent| {
            let capacities = self.resource_types.capacities();
            let mut state = agent.lock();
            state.check_open(agent)?;
            let mut new = self.intern_budgets(budgets)?;
            new.retain(|(id, _)| state.budgets().iter().all(|budget| budget.id != *id));
            if new.is_empty() {
                return Ok(());
            }
            self.change(agent, &mut state, &AccountChange::ResourcesAdded(new.into()), self.instant())?;
            state.put_below_capacities(&capacities);
            Ok(())
        })
    }

    /// Budgets by the numbers of their resources, each named once.
    fn intern_budgets(&self, budgets: &[(&str, Amount)]) -> Result<Vec<(ResourceId, Amount)>, LedgerError> {
        self.resource_types.check_room(budgets.iter().map(|(name, _)| *name))?;
        let mut new = Vec::with_capacity(budgets.len());
        for (name, amount) in budgets {
            new.push((self.resource_types.intern(name, self)?, *amount));
        }
        new.sort_unstable_by_key(|(id, _)| *id);
        if let Some(pair) = new.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let name = self.resource_types.name(pair[0].0);
            return Err(LedgerError::Configuration(format!("resource {name:?} is named twice")));
        }
        Ok(new)
    }

    /// The budget of an agent for one resource, as it begins.
    pub(in crate::ledger) fn open_resource(
        &self,
        id: ResourceId,
        amount: Amount,
        wall: Wall,
    ) -> ResourceBudget {
        let name = self.resource_types.name(id);
        let (books, history) = (Books::default(), History::default());
        let mut budget = ResourceBudget { id, name, books, history, limits: None, capacity: None };
        budget.grant(amount, wall, self);
        budget
    }

    /// Makes `budget` of a resource remain for an agent, whatever its capacity says.
    pub fn update_resource(&self, agent: &str, resource: &str, budget: Amount) -> Result<(), LedgerError> {
        // What expires later would add to what was just set.
        self.expire_due();
        self.directory.with_agent(agent, |agent| {
            let mut state = agent.lock();
            state.check_open(agent)?;
            let resource = state.budgets()[state.place(agent, resource, self)?].id;
            let change = AccountChange::ResourceGranted { resource, remaining: budget };
            self.change(agent, &mut state, &change, self.instant())
        })
    }
}

impl State {
    /// Reservations of resources that are active.
    pub(in crate::ledger) fn active_resource_reservations(&self) -> usize {
        let held = self.holds.iter().flat_map(|holds| holds.iter());
        held.filter(|(_, held)| matches!(held.what, Quantities::Resources(_))).count()
    }
}

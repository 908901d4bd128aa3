//! Where the budgets of resources come from.

use std::sync::Arc;

use super::budget::ResourceBudget;
use super::{Capacity, ResourceId, Resources};
use crate::amount::Amount;
use crate::ledger::Ledger;
use crate::ledger::account::State;
use crate::ledger::books::Books;
use crate::ledger::error::LedgerError;
use crate::ledger::event::{EventKind, History};
use crate::ledger::operation::OperationId;

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
            self.resource_types.check_room(budgets.iter().map(|(name, _)| *name))?;
            let mut new = Vec::with_capacity(budgets.len());
            for (name, amount) in budgets {
                let id = self.resource_types.intern(name)?;
                new.push(self.open(id, capacities.get(id), *amount));
            }
            new.sort_unstable_by_key(|budget| budget.id);
            if let Some(pair) = new.windows(2).find(|pair| pair[0].id == pair[1].id) {
                return Err(LedgerError::Configuration(format!("resource {:?} is named twice", pair[0].name)));
            }
            state.resources = Some(Box::new(Resources { budgets: new }));
            Ok(())
        })
    }

    fn open(&self, id: ResourceId, capacity: Option<&Arc<Capacity>>, amount: Amount) -> ResourceBudget {
        let mut budget = ResourceBudget {
            id,
            name: self.resource_types.name(id),
            books: Books::default(),
            history: History::default(),
            capacity: capacity.map(Arc::clone),
        };
        self.grant_resource(&mut budget, amount);
        budget
    }

    /// Makes `budget` of a resource remain for an agent, whatever its capacity says.
    pub fn update_resource(&self, agent: &str, resource: &str, budget: Amount) -> Result<(), LedgerError> {
        // What expires later would add to what was just set.
        self.expire_due();
        self.directory.with_agent(agent, |agent| {
            let mut state = agent.lock();
            state.check_open(agent)?;
            let at = state.place(agent, resource, self)?;
            if let Some(resources) = state.resources.as_deref_mut() {
                self.grant_resource(&mut resources.budgets[at], budget);
            }
            Ok(())
        })
    }

    fn grant_resource(&self, budget: &mut ResourceBudget, amount: Amount) {
        budget.books.begin_period(amount.units(), &self.thresholds);
        let (now, none) = (self.clock.wall(), OperationId::NONE);
        budget.history.record(now, EventKind::Update, amount, none, self.history_limits);
    }
}

impl State {
    /// Reservations of resources that are active.
    pub(in crate::ledger) fn active_resource_reservations(&self) -> usize {
        self.holds.as_deref().map_or(0, |holds| holds.resources.len())
    }
}

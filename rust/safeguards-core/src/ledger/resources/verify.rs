//! Auditing the books of resources.

use std::collections::HashMap;
use std::sync::Arc;

use super::types::Capacities;
use super::{Bundle, ResourceId};
use crate::ledger::account::Account;
use crate::ledger::event::Source;
use crate::ledger::quantity::Quantity;
use crate::ledger::state::State;
use crate::ledger::verify::{Fault, Violation, differs, report, unbalanced};

/// What agents have reserved and spent, by resource.
#[derive(Default)]
pub(in crate::ledger) struct Totals(HashMap<ResourceId, (i128, i128)>);

/// Checks the resources of one agent.
pub(in crate::ledger) fn check_resources(
    agent: &Arc<Account>,
    state: &State,
    violations: &mut Vec<Violation>,
) {
    for budget in state.resources().into_iter().flat_map(|resources| &resources.budgets) {
        let balance = &budget.books.balance;
        let held = state.holds.iter().flat_map(|holds| holds.iter());
        let bundles = held.filter_map(|(_, held)| <Bundle as Quantity>::of(&held.what));
        let held = bundles.map(|bundle| bundle.get(budget.id).units()).sum::<i128>();
        let windows = budget.limits.as_ref().and_then(|limits| limits.fault(balance.reserved));
        let faults: [Fault; 4] = [
            unbalanced(&budget.books),
            differs("reserved", balance.reserved, "active reservations", held),
            differs("spent", balance.spent, "usage history", budget.history.total(Source::Ledger)),
            windows,
        ];
        let faults = faults.map(|fault| fault.map(|text| format!("resource {:?}: {text}", budget.name)));
        report(&agent.id, faults, violations);
    }
}

impl Totals {
    /// Counts the resources of one agent.
    pub(in crate::ledger) fn count(&mut self, state: &State) {
        for budget in state.resources().into_iter().flat_map(|resources| &resources.budgets) {
            let balance = &budget.books.balance;
            let (reserved, spent) = self.0.entry(budget.id).or_default();
            *reserved += balance.reserved;
            *spent += balance.spent;
        }
    }

    /// Checks every capacity against what was counted.
    pub(in crate::ledger) fn check_capacities(
        &self,
        capacities: &Capacities,
        violations: &mut Vec<Violation>,
    ) {
        for (id, capacity) in capacities.iter() {
            let books = capacity.lock();
            let (reserved, spent) = self.0.get(&id).copied().unwrap_or_default();
            // More than what is counted: agents that left, or began anew, leave their spending behind.
            let uncovered = books.balance.spent < spent;
            let faults: [Fault; 3] = [
                unbalanced(&books),
                differs("reserved", books.balance.reserved, "reserved by agents", reserved),
                uncovered
                    .then(|| format!("spent {} does not cover {spent} spent by agents", books.balance.spent)),
            ];
            let faults = faults.map(|fault| fault.map(|text| format!("capacity: {text}")));
            report(&capacity.name, faults, violations);
        }
    }
}

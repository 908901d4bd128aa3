//! Auditing the books.

use std::collections::HashMap;
use std::sync::Arc;

use super::Ledger;
use super::account::Account;
use super::books::Books;
use super::event::Source;
use super::holds::Holds;
use super::resources::{Totals, check_resources};
use super::state::State;
use crate::sync::MutexGuard;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The account's id.
    pub account: Arc<str>,
    /// What is wrong.
    pub text: String,
}

impl Ledger {
    /// Checks every invariant, each at one instant, with all accounts locked that it is about. Empty if all hold:
    ///
    /// - granted = remaining + reserved + spent;
    /// - an agent's reserved is the sum of its active reservations, its usage history the sum of its spending;
    /// - a pool's reserved is the sum of what is reserved right below it, and its spent covers theirs;
    /// - windows agree with their buckets, and have reserved what their account has;
    /// - what credits have left remains, and what is reserved of them is what reservations hold;
    /// - the same of each resource of an agent, and of a capacity as of a pool.
    ///
    /// What is about one agent is checked agent by agent; a topmost pool and all below it are locked only for as
    /// long as it takes to add them up, one such tree after another; and all agents only if there are capacities.
    #[must_use]
    pub fn verify(&self) -> Vec<Violation> {
        self.verify_while(|| true)
    }

    /// As [`verify`](Self::verify), as long as it may `go_on`: asked between agents and between trees, while no
    /// lock is held.
    #[must_use]
    pub fn verify_while(&self, go_on: impl Fn() -> bool) -> Vec<Violation> {
        let mut violations = Vec::new();
        for agents in self.agents().chunks(SLICE) {
            for agent in agents {
                let state = agent.lock();
                report(&agent.id, agent_faults(&state), &mut violations);
                check_resources(agent, &state, &mut violations);
            }
            if !go_on() {
                return violations;
            }
        }
        for top in self.directory.pools().iter().filter(|pool| pool.parent.is_none()) {
            self.verify_tree(top, &mut violations);
            if !go_on() {
                return violations;
            }
        }
        self.verify_capacities(&mut violations);
        violations
    }

    /// Checks pools against what is below them. Nobody is registered or leaves meanwhile.
    fn verify_tree(&self, top: &Arc<Account>, violations: &mut Vec<Violation>) {
        let slots = self.directory.slots();
        let (mut pools, mut members) = (vec![Arc::clone(top)], Vec::new());
        let mut next = 0;
        while let Some(pool) = pools.get(next) {
            let state = pool.lock();
            let below = state.pool().into_iter().flat_map(|pool| &pool.pools);
            let below: Vec<_> = below.filter_map(|id| self.directory.pool(id).ok()).collect();
            members.extend(state.pool().into_iter().flat_map(|pool| &pool.agents));
            drop(state);
            pools.extend(below);
            next += 1;
        }
        members.sort_unstable();
        let agents = members.iter().filter_map(|slot| slots.agent(*slot));
        let agents: Vec<_> = agents.map(|agent| (agent, agent.lock())).collect();
        pools.sort_unstable_by_key(|pool| pool.lock_order());
        let pools: Vec<_> = pools.iter().map(|pool| (pool, pool.lock())).collect();

        let mut below: HashMap<*const Account, (i128, i128)> = HashMap::new();
        for (agent, state) in &agents {
            add_below(agent, state, &mut below);
        }
        for (pool, state) in &pools {
            let (reserved, spent) = below.get(&Arc::as_ptr(pool)).copied().unwrap_or_default();
            report(&pool.id, pool_faults(state, reserved, spent), violations);
            add_below(pool, state, &mut below);
        }
    }

    fn verify_capacities(&self, violations: &mut Vec<Violation>) {
        let slots = self.directory.slots();
        let capacities = self.resource_types.capacities();
        if capacities.is_empty() {
            return;
        }
        let agents: Vec<_> = slots.agents().map(|agent| agent.lock()).collect();
        let mut totals = Totals::default();
        for state in &agents {
            totals.count(state);
        }
        totals.check_capacities(&capacities, violations);
    }
}

/// Agents that are checked between two questions whether to go on.
const SLICE: usize = 1_024;

pub(super) type Fault = Option<String>;

pub(super) fn report(
    account: &Arc<str>,
    faults: impl IntoIterator<Item = Fault>,
    violations: &mut Vec<Violation>,
) {
    let found = faults.into_iter().flatten();
    violations.extend(found.map(|text| Violation { account: Arc::clone(account), text }));
}

fn add_below(account: &Account, state: &State, below: &mut HashMap<*const Account, (i128, i128)>) {
    if let Some(parent) = &account.parent {
        let (reserved, spent) = below.entry(Arc::as_ptr(parent)).or_default();
        *reserved += state.books.balance.reserved;
        *spent += state.books.balance.spent;
    }
}

fn credit_fault(state: &State) -> Fault {
    state.purse()?.fault(&state.books.balance)
}

fn agent_faults(state: &MutexGuard<'_, State>) -> [Fault; 5] {
    let reserved = state.holds.as_deref().map_or(0, Holds::money);
    let spent = state.history.total(Source::Ledger) - state.refunded();
    let windows = state.limits.as_ref().and_then(|limits| limits.fault(state.books.balance.reserved));
    [
        unbalanced(&state.books),
        differs("reserved", state.books.balance.reserved, "active reservations", reserved),
        differs("spent", state.books.balance.spent, "usage history", spent),
        windows,
        credit_fault(state),
    ]
}

fn pool_faults(state: &MutexGuard<'_, State>, reserved: i128, spent: i128) -> [Fault; 5] {
    let windows = state.limits.as_ref().and_then(|limits| limits.fault(state.books.balance.reserved));
    let beyond = state.pool().map(|pool| pool.beyond).unwrap_or_default();
    let (reserved, spent) = (reserved + beyond.reserved, spent + beyond.spent);
    // More than what is below: agents that were unregistered leave their spending behind.
    let uncovered = state.books.balance.spent < spent;
    [
        unbalanced(&state.books),
        differs("reserved", state.books.balance.reserved, "reserved below", reserved),
        uncovered.then(|| format!("spent {} does not cover {spent} spent below", state.books.balance.spent)),
        windows,
        credit_fault(state),
    ]
}

pub(super) fn unbalanced(books: &Books) -> Fault {
    (!books.balance.is_balanced()).then(|| format!("books do not balance: {:?}", books.balance))
}

pub(super) fn differs(name: &str, value: i128, other_name: &str, other: i128) -> Fault {
    (value != other).then(|| format!("{name} {value} is not {other_name} {other}"))
}

//! When what is reserved comes back at last.

use std::sync::Arc;

use crate::clock::Monotonic;
use crate::ledger::account::{Account, Kind};
use crate::ledger::{BudgetRefusal, Ledger};

/// Agents and reservations that are looked at for one answer, at most: refusals stay cheap.
const MAX_LOOKS: usize = 256;

impl Ledger {
    /// When enough of what is reserved expires for what was refused, if nothing else happens; `None` if that never is
    /// so, or if there are too many reservations to tell. Work that keeps its reservation alive gives nothing back.
    /// Only who asks pays for the answer.
    #[must_use]
    pub fn comes_back_at(&self, refusal: &BudgetRefusal) -> Option<Monotonic> {
        let balance = &refusal.balance;
        // What is gone as it comes back may be what comes first.
        let mut lacks = refusal.requested - refusal.available() + refusal.kept + refusal.lapsing;
        if refusal.resource.is_some() || lacks > balance.reserved {
            return None;
        }
        let mut all = Vec::new();
        match refusal.kind {
            Kind::Agent => add_agent(&mut all, &*self.agent(&refusal.account).ok()?),
            Kind::Pool => self.add_pool(&mut all, &self.pool(&refusal.account).ok()?),
        }?;
        all.sort_unstable();
        for (at, units) in all {
            lacks -= units;
            if lacks <= 0 {
                return (at != Monotonic::NEVER).then_some(at);
            }
        }
        None
    }

    /// Of the agents below a pool, unless there are too many.
    fn add_pool(&self, all: &mut Vec<(Monotonic, i128)>, pool: &Arc<Account>) -> Option<()> {
        let (agents, pools) = {
            let state = pool.lock();
            if state.agents_below().take(MAX_LOOKS + 1).count() > MAX_LOOKS {
                return None;
            }
            let agents: Vec<_> = state.agents_below().collect();
            (agents, state.pool().map(|pool| pool.pools.clone()).unwrap_or_default())
        };
        let agents: Vec<_> = {
            let slots = self.directory.slots();
            agents.into_iter().filter_map(|slot| slots.agent(slot).cloned()).collect()
        };
        for agent in agents {
            add_agent(all, &agent)?;
        }
        pools.iter().try_for_each(|id| self.add_pool(all, &self.pool(id).ok()?))
    }
}

/// Of one agent, unless there are too many.
fn add_agent(all: &mut Vec<(Monotonic, i128)>, agent: &Account) -> Option<()> {
    let state = agent.lock();
    if state.active_reservations() + all.len() > MAX_LOOKS {
        return None;
    }
    let holds = state.holds.iter().flat_map(|holds| holds.money_by_deadline(Monotonic::NEVER));
    all.extend(holds.map(|(at, amount)| (at, amount.units())));
    Some(())
}

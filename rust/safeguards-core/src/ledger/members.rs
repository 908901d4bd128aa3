//! The agents right below a pool, for those who divide it among them.

use std::sync::Arc;

use super::Ledger;
use super::account::Account;
use super::error::LedgerError;
use super::read::Snapshot;
use crate::clock::Wall;

/// A pool, and the agents right below it.
#[derive(Clone, Debug)]
pub struct Members {
    /// The pool.
    pub pool: Snapshot,
    /// Nanoseconds until it is granted its budget anew, if it ever is.
    pub renews_in: Option<i64>,
    /// The agents.
    pub agents: Vec<(Arc<Account>, Snapshot)>,
}

impl Ledger {
    /// Looks at each agent right below a pool in turn, and at the pool last: what is spent meanwhile is missing from
    /// the pool already, so that whoever divides the pool gives nobody money that is gone.
    pub fn pool_members(&self, id: &str) -> Result<Members, LedgerError> {
        let pool = self.pool(id)?;
        let accounts: Vec<_> = {
            let slots = self.directory.slots();
            let state = pool.lock();
            state.agents_below().filter_map(|slot| slots.agent(slot).cloned()).collect()
        };
        // One that has left since is not looked at.
        let look = |agent: Arc<Account>| self.snapshot(&agent).ok().map(|snapshot| (agent, snapshot));
        let agents = accounts.into_iter().filter_map(look).collect();
        let snapshot = self.snapshot(&pool)?;
        let renews_at = pool.lock().period().ends;
        let renews_in = (renews_at != Wall::NEVER).then(|| renews_at.0.saturating_sub(self.clock.wall().0));
        Ok(Members { pool: snapshot, renews_in, agents })
    }
}

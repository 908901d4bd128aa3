//! What a debit of several resources tells, and what it would be told.

use std::sync::Arc;

use smallvec::SmallVec;

use super::budget::Moves;
use super::{Bundle, ResourceId, ResourceNames};
use crate::amount::Amount;
use crate::ledger::Ledger;
use crate::ledger::account::Account;
use crate::ledger::balance::Movement;
use crate::ledger::error::LedgerError;

/// What a debit of several resources has done, by number of the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceReceipt {
    /// One for each resource.
    pub lines: SmallVec<[ResourceLine; 4]>,
}

/// What happened to one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLine {
    /// Which one.
    pub resource: ResourceId,
    /// What was charged.
    pub amount: Amount,
    /// Units that the agent has left.
    pub remaining: i128,
    /// The newest event in the history of this resource.
    pub sequence: u64,
}

impl Ledger {
    /// Where resource types are found by name.
    #[inline]
    pub fn resource_names(&self) -> ResourceNames<'_> {
        self.resource_types.names()
    }

    /// Why a name that is no resource type is nothing that an agent can pay with.
    #[cold]
    pub fn unknown_resource(&self, agent: &Account, name: &str) -> LedgerError {
        let state = agent.lock();
        let closed = state.check_open(agent).err();
        closed.unwrap_or_else(|| state.unknown_resource(agent, name))
    }

    /// The name of a resource type.
    #[must_use]
    pub fn resource_name(&self, id: ResourceId) -> Arc<str> {
        self.resource_types.name(id)
    }

    /// Refuses if an agent could not be charged every resource of a bundle now. Changes nothing.
    pub fn check_resources(&self, agent: &Account, bundle: &Bundle) -> Result<(), LedgerError> {
        self.retry_after_expiry(|| {
            let mut state = agent.lock();
            state.check_open(agent)?;
            let mut moves = Moves::new();
            let debit = |amount: Amount| (Movement::debit(amount, amount.is_zero()), amount, amount);
            state.locate(agent, bundle.iter(), self, debit, &mut moves)?;
            let windows_at = state.resource_windows_at(&moves, self);
            state.check_resources(agent, &moves, windows_at)
        })
    }
}

//! Check and charge several resources in one step.

use std::sync::Arc;

use smallvec::SmallVec;

use super::budget::{Move, Moves, Resources};
use super::{Bundle, ResourceId, ResourceNames};
use crate::amount::Amount;
use crate::ledger::Ledger;
use crate::ledger::account::{Account, State};
use crate::ledger::balance::Movement;
use crate::ledger::error::LedgerError;
use crate::ledger::event::EventKind;
use crate::ledger::idempotency::{Admitted, Payload, Phase, once};
use crate::ledger::operation::OperationId;

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

    /// Charges an agent every resource of a bundle, or none.
    #[inline]
    pub fn debit_resources(
        &self,
        agent: &Account,
        bundle: &Bundle,
        operation: OperationId,
    ) -> Result<ResourceReceipt, LedgerError> {
        self.charge_resources(agent, bundle, operation, State::resource_receipt)
    }

    /// As [`debit_resources`](Self::debit_resources), without a receipt: the form for hot loops.
    #[inline]
    pub fn try_debit_resources(
        &self,
        agent: &Account,
        bundle: &Bundle,
        operation: OperationId,
    ) -> Result<(), LedgerError> {
        self.charge_resources(agent, bundle, operation, |_, _| ())
    }

    /// As [`debit_resources`](Self::debit_resources), but a repetition with the same key has no effect and the
    /// same receipt.
    pub fn debit_resources_keyed(
        &self,
        agent: &Arc<Account>,
        bundle: &Bundle,
        operation: OperationId,
        key: &str,
    ) -> Result<ResourceReceipt, LedgerError> {
        let payload =
            Payload { agent: Arc::downgrade(agent), what: bundle.clone(), operation, phase: Phase::Debit };
        let debit = || self.debit_resources(agent, bundle, operation).map(Admitted::Debit);
        match once(&self.resource_keys, &self.clock, agent, key, payload, debit)? {
            Admitted::Debit(receipt) => Ok(receipt),
            Admitted::Reserve(_) => unreachable!("a key's payload tells debits from reservations"),
        }
    }

    #[inline]
    fn charge_resources<R>(
        &self,
        agent: &Account,
        bundle: &Bundle,
        operation: OperationId,
        tell: impl Fn(&State, &[Move]) -> R,
    ) -> Result<R, LedgerError> {
        let now = self.clock.wall();
        self.retry_after_expiry(|| {
            let mut state = agent.lock();
            state.check_open(agent)?;
            let mut moves = Moves::new();
            state.locate(agent, bundle, self, Movement::debit_some, &mut moves)?;
            state.pass_resources(agent, &moves, self)?;
            state.write_moves(&moves, EventKind::Debit, operation, now, self);
            Ok(tell(&state, &moves))
        })
    }

    /// Refuses if an agent could not be charged every resource of a bundle now. Changes nothing.
    pub fn check_resources(&self, agent: &Account, bundle: &Bundle) -> Result<(), LedgerError> {
        self.retry_after_expiry(|| {
            let state = agent.lock();
            state.check_open(agent)?;
            let mut moves = Moves::new();
            state.locate(agent, bundle, self, Movement::debit_some, &mut moves)?;
            state.check_resources(agent, &moves)
        })
    }
}

impl Movement {
    /// As [`debit`](Self::debit), but nothing is admitted even below zero.
    #[inline]
    pub(super) const fn debit_some(amount: Amount) -> Self {
        if amount.is_zero() { Self::charge(amount) } else { Self::debit(amount) }
    }
}

impl State {
    pub(super) fn resource_receipt(&self, moves: &[Move]) -> ResourceReceipt {
        let budgets = self.resources.as_deref().map_or(&[][..], |resources: &Resources| &resources.budgets);
        let line = |m: &Move| {
            let budget = &budgets[m.at];
            let (remaining, sequence) = (budget.books.balance.remaining, budget.history.sequence());
            ResourceLine { resource: budget.id, amount: m.amount, remaining, sequence }
        };
        ResourceReceipt { lines: moves.iter().map(line).collect() }
    }
}

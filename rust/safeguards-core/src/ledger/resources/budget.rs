//! The resources of one agent, and movements of several of them in one step.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Bundle, Capacity, ResourceId};
use crate::amount::Amount;
use crate::clock::Wall;
use crate::ledger::Ledger;
use crate::ledger::account::{Account, Kind, State};
use crate::ledger::balance::Movement;
use crate::ledger::books::Books;
use crate::ledger::error::{BudgetRefusal, LedgerError};
use crate::ledger::event::{EventKind, History};
use crate::ledger::operation::OperationId;

/// What an agent has beside its money.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Resources {
    /// By number.
    pub(super) budgets: Vec<ResourceBudget>,
}

/// The budget of one agent for one resource.
#[derive(Debug)]
pub(super) struct ResourceBudget {
    pub(super) id: ResourceId,
    pub(super) name: Arc<str>,
    pub(super) books: Books,
    pub(super) history: History,
    /// What all agents together may spend, if that is limited.
    pub(super) capacity: Option<Arc<Capacity>>,
}

/// What happens to one resource of an agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    /// Place among the agent's budgets.
    pub(super) at: usize,
    pub(super) movement: Movement,
    /// What its event says; one of nothing leaves none.
    pub(super) amount: Amount,
}

pub(super) type Moves = SmallVec<[Move; 4]>;

impl Resources {
    /// The place of a resource, which may be the one that is guessed.
    #[inline]
    pub(super) fn locate(&self, id: ResourceId, guess: usize) -> Option<usize> {
        if self.budgets.get(guess).is_some_and(|budget| budget.id == id) {
            return Some(guess);
        }
        self.budgets.binary_search_by_key(&id, |budget| budget.id).ok()
    }

    /// Moves all of them or none. False if an agent's budget or a capacity refuses.
    #[inline]
    fn pass(&mut self, moves: &[Move], agent: &Account, ledger: &Ledger) -> bool {
        let admits = |m: &Move| m.movement.is_admitted_by(&self.budgets[m.at].books.balance);
        if !moves.iter().all(admits) || !pass_capacities(&self.budgets, moves, ledger) {
            return false;
        }
        for m in moves {
            let ResourceBudget { name, books, .. } = &mut self.budgets[m.at];
            if let Some(rung) = books.apply(&m.movement, &ledger.thresholds) {
                ledger.report(&agent.id, Kind::Agent, Some(name), books, rung);
            }
        }
        true
    }

    /// Who refuses now, if anybody does: the agent's budgets come first.
    #[cold]
    fn find_refusal(&self, moves: &[Move], agent: &Account) -> Result<(), LedgerError> {
        let each = || moves.iter().map(|m| (m.movement, &self.budgets[m.at]));
        for (movement, budget) in each() {
            if !movement.is_admitted_by(&budget.books.balance) {
                return Err(budget.refusal(agent, movement.needs()).into());
            }
        }
        for (movement, capacity) in each().filter_map(|(m, budget)| Some((m, budget.capacity.as_ref()?))) {
            let books = capacity.lock();
            if !movement.is_admitted_by(&books.balance) {
                return Err(capacity.refusal(&books, movement.needs()).into());
            }
        }
        Ok(())
    }
}

/// Moves through every capacity: checked on the way to the last, while all before it are locked, and done on the
/// way back.
#[inline]
fn pass_capacities(budgets: &[ResourceBudget], moves: &[Move], ledger: &Ledger) -> bool {
    let limited = moves.iter().position(|m| budgets[m.at].capacity.is_some());
    limited.is_none_or(|first| pass_locked(budgets, &moves[first..], ledger))
}

fn pass_locked(budgets: &[ResourceBudget], moves: &[Move], ledger: &Ledger) -> bool {
    let Some((first, rest)) = moves.split_first() else { return true };
    let Some(capacity) = &budgets[first.at].capacity else { return pass_locked(budgets, rest, ledger) };
    let mut books = capacity.lock();
    let is_passed = first.movement.is_admitted_by(&books.balance) && pass_locked(budgets, rest, ledger);
    if is_passed && let Some(rung) = books.apply(&first.movement, &ledger.thresholds) {
        ledger.report(&capacity.name, Kind::Pool, Some(&capacity.name), &books, rung);
    }
    is_passed
}

impl ResourceBudget {
    #[cold]
    pub(super) fn refusal(&self, agent: &Account, requested: i128) -> Box<BudgetRefusal> {
        Box::new(BudgetRefusal {
            account: Arc::clone(&agent.id),
            kind: Kind::Agent,
            resource: Some(Arc::clone(&self.name)),
            balance: self.books.balance,
            spent_before: self.books.spent_before,
            renews_at: Wall::NEVER,
            requested,
        })
    }
}

impl State {
    /// Where the resources of a bundle stand in the books, and how each of them moves.
    #[inline]
    pub(super) fn locate(
        &self,
        agent: &Account,
        bundle: &Bundle,
        ledger: &Ledger,
        movement: impl Fn(Amount) -> Movement,
        moves: &mut Moves,
    ) -> Result<(), LedgerError> {
        for (guess, (id, amount)) in bundle.iter().enumerate() {
            let at = self.resources.as_deref().and_then(|resources| resources.locate(id, guess));
            let at = at.ok_or_else(|| self.unknown_resource(agent, &ledger.resource_types.name(id)))?;
            moves.push(Move { at, movement: movement(amount), amount });
        }
        Ok(())
    }

    #[cold]
    pub(super) fn unknown_resource(&self, agent: &Account, resource: &str) -> LedgerError {
        let known = self.resources.iter().flat_map(|resources| &resources.budgets);
        LedgerError::UnknownResource {
            account: Arc::clone(&agent.id),
            resource: resource.into(),
            known: known.map(|budget| Arc::clone(&budget.name)).collect(),
        }
    }

    /// Moves resources of an agent whose lock is held, all of them or none.
    #[inline]
    pub(super) fn pass_resources(
        &mut self,
        agent: &Account,
        moves: &[Move],
        ledger: &Ledger,
    ) -> Result<(), LedgerError> {
        let Some(resources) = self.resources.as_deref_mut() else { return Ok(()) };
        loop {
            if resources.pass(moves, agent, ledger) {
                return Ok(());
            }
            // Who refuses is looked for only now. If nobody does any more, a capacity has grown since.
            resources.find_refusal(moves, agent)?;
        }
    }

    /// Refuses what does not fit now; changes nothing.
    pub(super) fn check_resources(&self, agent: &Account, moves: &[Move]) -> Result<(), LedgerError> {
        self.resources.as_deref().map_or(Ok(()), |resources| resources.find_refusal(moves, agent))
    }

    /// Writes moves down in the history of each resource.
    #[inline]
    pub(super) fn write_moves(
        &mut self,
        moves: &[Move],
        kind: EventKind,
        operation: OperationId,
        now: Wall,
        ledger: &Ledger,
    ) {
        let Some(resources) = self.resources.as_deref_mut() else { return };
        for m in moves.iter().filter(|m| !m.amount.is_zero()) {
            let history = &mut resources.budgets[m.at].history;
            history.record(now, kind, m.amount, operation, ledger.history_limits);
        }
    }
}

//! The resources of one agent, and how several of them move in one step.

use std::cell::Cell;
use std::sync::Arc;

use smallvec::SmallVec;

use super::debit::{ResourceLine, ResourceReceipt};
use super::{Bundle, Capacity, ResourceId};
use crate::amount::Amount;
use crate::clock::{Monotonic, Wall};
use crate::ledger::Ledger;
use crate::ledger::account::{Account, Kind};
use crate::ledger::balance::Movement;
use crate::ledger::books::Books;
use crate::ledger::change::Quantities;
use crate::ledger::error::{BudgetRefusal, LedgerError, Settlement};
use crate::ledger::event::{EventKind, History};
use crate::ledger::idempotency::Keys;
use crate::ledger::limits::Limits;
use crate::ledger::operation::OperationId;
use crate::ledger::path::Agents;
use crate::ledger::quantity::{Quantity, Transaction, UNTIMED};
use crate::ledger::refund::NO_ERA;
use crate::ledger::state::{ResourcePosting, State};
use crate::ledger::waiting::Asks;

/// What an agent has beside its money.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Resources {
    /// By number.
    pub(in crate::ledger) budgets: Vec<ResourceBudget>,
}

/// The budget of one agent for one resource.
#[derive(Debug)]
pub(in crate::ledger) struct ResourceBudget {
    pub(in crate::ledger) id: ResourceId,
    pub(in crate::ledger) name: Arc<str>,
    pub(in crate::ledger) books: Books,
    pub(in crate::ledger) history: History,
    /// Its windows. Boxed, as all that few have.
    pub(in crate::ledger) limits: Option<Box<Limits>>,
    /// What all agents together may spend, if that is limited.
    pub(in crate::ledger) capacity: Option<Arc<Capacity>>,
}

/// What happens to one resource of an agent.
#[derive(Clone, Copy, Debug)]
pub(in crate::ledger) struct Move {
    /// Place among the agent's budgets.
    pub(in crate::ledger) at: usize,
    pub(in crate::ledger) movement: Movement,
    /// What must fit into its windows.
    pub(in crate::ledger) must_fit: Amount,
    /// What its event says; one of nothing leaves none.
    pub(in crate::ledger) amount: Amount,
}

pub(in crate::ledger) type Moves = SmallVec<[Move; 4]>;

#[allow(private_interfaces, reason = "as the trait")]
impl Quantity for Bundle {
    type Receipt = ResourceReceipt;

    fn to_quantities(&self) -> Quantities {
        Quantities::Resources(Box::new(self.clone()))
    }

    fn of(what: &Quantities) -> Option<&Self> {
        match what {
            Quantities::Money(_) => None,
            Quantities::Resources(bundle) => Some(bundle),
        }
    }

    fn keys(ledger: &Ledger) -> &Keys {
        &ledger.resource_keys
    }

    /// Even of nothing it is asked whether the agent has a budget for it.
    fn is_nothing(&self) -> bool {
        false
    }

    #[inline]
    fn pass(
        t: &Transaction<'_, Self>,
        agents: &mut Agents<'_>,
        ledger: &Ledger,
    ) -> Result<Monotonic, LedgerError> {
        if t.begins() {
            agents.agent.check_suspended(&agents.state, ledger)?;
        }
        let moves = t.moves(agents, ledger)?;
        let windows_at = agents.state.resource_windows_at(&moves, ledger);
        let at = windows_at.or_else(|| t.needs_time(ledger).then(|| ledger.clock.monotonic_coarse()));
        let unwritten = Cell::new(None);
        let is_change = t.reserved.is_some() || t.key.is_some() || moves.iter().any(|m| !m.amount.is_zero());
        let write = || {
            let written = if is_change { t.write(at, ledger) } else { Ok(()) };
            written.map_err(|error| unwritten.set(Some(error))).is_ok()
        };
        while !(agents.state.resources_fit(&moves, windows_at)
            && agents.state.pass_resources(&moves, ledger, &write))
        {
            if let Some(error) = unwritten.take() {
                return Err(LedgerError::Unwritten(error));
            }
            // Who refuses is looked for only now. If nobody does any more, a capacity has grown since.
            let admitted = agents.state.check_resources(agents.agent, &moves, windows_at);
            admitted.map_err(|refused| refused.asked(t.path, t.operation))?;
        }
        agents.state.shift_resources(&moves, &t.resource_posting(windows_at), agents.agent, ledger);
        Ok(at.unwrap_or(UNTIMED))
    }

    fn replay(
        t: &Transaction<'_, Self>,
        agents: &mut Agents<'_>,
        at: Monotonic,
        ledger: &Ledger,
    ) -> Result<(), LedgerError> {
        let moves = t.moves(agents, ledger)?;
        for m in &moves {
            let budgets = agents.state.budgets();
            if let Some(capacity) = &budgets[m.at].capacity {
                capacity.shift(&mut capacity.lock(), &m.movement, ledger);
            }
        }
        agents.state.shift_resources(&moves, &t.resource_posting(Some(at)), agents.agent, ledger);
        Ok(())
    }

    fn beyond(&self, _: Option<&Self>, _: i128) -> Option<(Self, Amount)> {
        None // No overdraft of resources is bounded.
    }

    fn receipt(
        t: &Transaction<'_, Self>,
        agents: &Agents<'_>,
        _: Monotonic,
        ledger: &Ledger,
    ) -> ResourceReceipt {
        let budgets = agents.state.budgets();
        let moves = t.moves(agents, ledger).unwrap_or_default();
        let line = |m: &Move| {
            let budget = &budgets[m.at];
            let (remaining, sequence) = (budget.books.balance.remaining, budget.history.sequence());
            ResourceLine { resource: budget.id, amount: m.amount, remaining, sequence }
        };
        ResourceReceipt { lines: moves.iter().map(line).collect() }
    }

    fn check_within(&self, reserved: &Self, agents: &Agents<'_>, ledger: &Ledger) -> Result<(), LedgerError> {
        for (id, reserved, charged) in reserved.beside(self) {
            let Some(at) = agents.state.resources().and_then(|all| all.locate(id, 0)) else {
                return Err(agents.state.unknown_resource(agents.agent, &ledger.resource_types.name(id)));
            };
            if charged > reserved {
                let refusal = agents.state.budgets()[at].refusal(agents.agent, charged.units());
                return Err(LedgerError::OverReserved { refusal, reserved });
            }
        }
        Ok(())
    }

    /// A resource that is not named was charged nothing.
    fn is_charged_by(&self, receipt: &ResourceReceipt) -> bool {
        let lines = receipt.lines.iter().filter(|line| !line.amount.is_zero());
        lines.map(|line| (line.resource, line.amount)).eq(self.iter().filter(|(_, amount)| !amount.is_zero()))
    }

    fn settlement(receipt: ResourceReceipt) -> Settlement {
        Settlement::Resources(Box::new(receipt))
    }

    fn receipt_in(settlement: &Settlement) -> Option<&ResourceReceipt> {
        match settlement {
            Settlement::Money(_) => None,
            Settlement::Resources(receipt) => Some(receipt),
        }
    }
}

impl Transaction<'_, Bundle> {
    #[inline]
    const fn resource_posting(&self, windows_at: Option<Monotonic>) -> ResourcePosting {
        let Self { kind, operation, wall, .. } = *self;
        ResourcePosting { kind, operation, windows_at, wall }
    }

    /// Where its resources stand in the books of the agent, and how each of them moves. A settlement names what was
    /// reserved or charged.
    #[inline]
    fn moves(&self, agents: &Agents<'_>, ledger: &Ledger) -> Result<Moves, LedgerError> {
        let nothing = Bundle::default();
        let mut moves = Moves::new();
        match self.held {
            None => agents.state.locate(
                agents.agent,
                self.what.iter(),
                ledger,
                |amount| (self.movement(amount, Amount::ZERO), amount, self.must_fit(amount, Amount::ZERO)),
                &mut moves,
            )?,
            Some(held) => {
                let what = if self.kind.settles() { self.what } else { &nothing };
                for (id, held, charged) in held.beside(what) {
                    let amount = if self.kind.settles() { charged } else { held };
                    let told = |_| (self.movement(charged, held), amount, self.must_fit(charged, held));
                    agents.state.locate(
                        agents.agent,
                        [(id, charged)].into_iter(),
                        ledger,
                        told,
                        &mut moves,
                    )?;
                }
            }
        }
        Ok(moves)
    }
}

impl Resources {
    /// The place of a resource, which may be the one that is guessed.
    #[inline]
    pub(in crate::ledger) fn locate(&self, id: ResourceId, guess: usize) -> Option<usize> {
        if self.budgets.get(guess).is_some_and(|budget| budget.id == id) {
            return Some(guess);
        }
        self.budgets.binary_search_by_key(&id, |budget| budget.id).ok()
    }

    /// Who refuses now, if anybody does: the agent's budgets come first.
    #[cold]
    fn find_refusal(&self, moves: &[Move], agent: &Account, is_lenient: bool) -> Result<(), LedgerError> {
        let each = || moves.iter().map(|m| (m.movement, &self.budgets[m.at]));
        for (movement, budget) in each() {
            if !is_lenient && !movement.is_admitted_by(&budget.books.balance) {
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
/// way back, once `write` has agreed.
#[inline]
fn pass_capacities(
    budgets: &[ResourceBudget],
    moves: &[Move],
    ledger: &Ledger,
    write: &impl Fn() -> bool,
) -> bool {
    match moves.iter().position(|m| budgets[m.at].capacity.is_some()) {
        Some(first) => pass_locked(budgets, &moves[first..], ledger, write),
        None => write(),
    }
}

fn pass_locked(
    budgets: &[ResourceBudget],
    moves: &[Move],
    ledger: &Ledger,
    write: &impl Fn() -> bool,
) -> bool {
    let Some((first, rest)) = moves.split_first() else { return write() };
    let Some(capacity) = &budgets[first.at].capacity else {
        return pass_locked(budgets, rest, ledger, write);
    };
    let mut books = capacity.lock();
    let is_passed =
        first.movement.is_admitted_by(&books.balance) && pass_locked(budgets, rest, ledger, write);
    if is_passed {
        capacity.shift(&mut books, &first.movement, ledger);
    }
    is_passed
}

impl ResourceBudget {
    /// Makes so much remain.
    pub(in crate::ledger) fn grant(&mut self, amount: Amount, wall: Wall, ledger: &Ledger) {
        self.books.begin_period(amount.units(), NO_ERA, &ledger.thresholds);
        self.history.record(wall, EventKind::Update, amount, OperationId::NONE, ledger.history_limits);
    }

    #[cold]
    pub(super) fn refusal(&self, agent: &Account, requested: i128) -> Box<BudgetRefusal> {
        Box::new(BudgetRefusal {
            account: Arc::clone(&agent.id),
            kind: Kind::Agent,
            resource: Some(Arc::clone(&self.name)),
            balance: self.books.balance,
            spent_before: self.books.spent_before,
            renews_at: Wall::NEVER,
            kept: 0,
            requested,
            asked: None,
            is_suspended: false,
            has_moved: false,
            credits: 0,
            lapsing: 0,
        })
    }
}

impl State {
    pub(in crate::ledger) fn budgets(&self) -> &[ResourceBudget] {
        self.resources().map_or(&[], |resources| &resources.budgets)
    }

    /// Where resources stand in the books, and how each of them moves.
    #[inline]
    pub(super) fn locate(
        &self,
        agent: &Account,
        amounts: impl Iterator<Item = (ResourceId, Amount)>,
        ledger: &Ledger,
        movement: impl Fn(Amount) -> (Movement, Amount, Amount),
        moves: &mut Moves,
    ) -> Result<(), LedgerError> {
        for (id, amount) in amounts {
            let at = self.resources().and_then(|resources| resources.locate(id, moves.len()));
            let at = at.ok_or_else(|| self.unknown_resource(agent, &ledger.resource_types.name(id)))?;
            let (movement, amount, must_fit) = movement(amount);
            moves.push(Move { at, movement, must_fit, amount });
        }
        Ok(())
    }

    #[cold]
    pub(super) fn unknown_resource(&self, agent: &Account, resource: &str) -> LedgerError {
        LedgerError::UnknownResource {
            account: Arc::clone(&agent.id),
            resource: resource.into(),
            known: self.budgets().iter().map(|budget| Arc::clone(&budget.name)).collect(),
        }
    }

    /// Whether the agent's budgets and all capacities admit moves, and `write` agrees: then those have moved.
    #[inline]
    fn pass_resources(&self, moves: &[Move], ledger: &Ledger, write: &impl Fn() -> bool) -> bool {
        let budgets = self.budgets();
        let admits = |m: &Move| m.movement.is_admitted_by(&budgets[m.at].books.balance);
        (self.mode.is_lenient() || moves.iter().all(admits)) && pass_capacities(budgets, moves, ledger, write)
    }

    /// The time for the windows of what moves, if there are any.
    #[inline]
    pub(super) fn resource_windows_at(&self, moves: &[Move], ledger: &Ledger) -> Option<Monotonic> {
        let budgets = self.budgets();
        let has_windows = moves.iter().any(|m| budgets[m.at].limits.is_some());
        has_windows.then(|| ledger.clock.monotonic())
    }

    /// Whether moves fit into the windows of what they move.
    #[inline]
    fn resources_fit(&mut self, moves: &[Move], windows_at: Option<Monotonic>) -> bool {
        let Some(now) = windows_at.filter(|_| !self.mode.is_lenient()) else { return true };
        moves.iter().all(|m| {
            let id = self.budgets()[m.at].id;
            self.limits_of(Some(id)).is_none_or(|limits| limits.fits(now, m.must_fit, Amount::ZERO))
        })
    }

    /// Refuses what does not fit now; changes nothing. A window is told only if no budget refuses.
    pub(super) fn check_resources(
        &mut self,
        agent: &Account,
        moves: &[Move],
        windows_at: Option<Monotonic>,
    ) -> Result<(), LedgerError> {
        let is_lenient = self.mode.is_lenient();
        self.resources().map_or(Ok(()), |resources| resources.find_refusal(moves, agent, is_lenient))?;
        let Some(now) = windows_at else { return Ok(()) };
        for m in moves {
            let id = self.budgets()[m.at].id;
            self.check_windows(agent, Some(id), now, m.must_fit, Asks::Once)?;
        }
        Ok(())
    }
}

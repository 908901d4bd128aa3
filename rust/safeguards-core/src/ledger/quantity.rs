//! What is charged and set aside: an amount of money, or a bundle of resources, through the same operations.
//!
//! | | money | resources |
//! |---|---|---|
//! | moves | on the agent, every pool above it, and all that is charged beside it | on the agent, and in the capacity of each |
//! | windows | of every account of the path limit what is charged and set aside | the agent's, of each resource |
//! | thresholds, events, usage, reservations, keys, numbers | alike | alike |
//! | nothing | is always admitted, even below zero, and a debit of it leaves no event | the same, of each resource |

#![expect(clippy::inline_always, reason = "the hot path, where the compiler counts instructions otherwise")]

use super::Ledger;
use super::balance::{HoldKey, Movement};
use super::change::{Change, Posted, Quantities, Reserved, Terms};
use super::error::{Closed, LedgerError, Settlement};
use super::event::EventKind;
use super::holds::Held;
use super::idempotency::Keys;
use super::journal::Unwritten;
use super::operation::OperationId;
use super::path::{Agents, Path};
use super::reservation::{Overage, SettledBy};
use crate::amount::Amount;
use crate::clock::{Monotonic, Wall};

/// What is charged or set aside: an [`Amount`], or a [`Bundle`](super::Bundle). Nothing else can be.
#[allow(private_interfaces, reason = "sealed: nobody else can name what the hidden methods take")]
pub trait Quantity: Clone + PartialEq + std::fmt::Debug + Send + Sync + Sized {
    /// What a debit or a settlement tells.
    type Receipt: Clone + PartialEq + std::fmt::Debug + Send;

    #[doc(hidden)]
    fn to_quantities(&self) -> Quantities;
    #[doc(hidden)]
    fn of(what: &Quantities) -> Option<&Self>;
    /// The table of the keys that operations on it are remembered by. One request may be charged money and resources
    /// under the same key.
    #[doc(hidden)]
    fn keys(ledger: &Ledger) -> &Keys;
    /// Whether a debit of it has nothing to do.
    #[doc(hidden)]
    fn is_nothing(&self) -> bool;
    /// Checks every account, writes the change down and makes it; or refuses, and nothing has happened. Returns when
    /// that was, where anybody has to know: see [`needs_time`](Transaction::needs_time).
    #[doc(hidden)]
    fn pass(
        t: &Transaction<'_, Self>,
        agents: &mut Agents<'_>,
        ledger: &Ledger,
    ) -> Result<Monotonic, LedgerError>;
    /// Makes a change that was checked when it was written down.
    #[doc(hidden)]
    fn replay(
        t: &Transaction<'_, Self>,
        agents: &mut Agents<'_>,
        at: Monotonic,
        ledger: &Ledger,
    ) -> Result<(), LedgerError>;
    /// What the agent has left after it.
    #[doc(hidden)]
    fn receipt(
        t: &Transaction<'_, Self>,
        agents: &Agents<'_>,
        at: Monotonic,
        ledger: &Ledger,
    ) -> Self::Receipt;
    /// What can be charged of it where `headroom` is all that overdraft limits leave beyond what was set aside, and the
    /// rest; `None` if all can.
    #[doc(hidden)]
    fn beyond(&self, held: Option<&Self>, headroom: i128) -> Option<(Self, Amount)>;
    /// Refuses a settlement of more than was set aside.
    #[doc(hidden)]
    fn check_within(&self, reserved: &Self, agents: &Agents<'_>, ledger: &Ledger) -> Result<(), LedgerError>;
    #[doc(hidden)]
    fn is_charged_by(&self, receipt: &Self::Receipt) -> bool;
    #[doc(hidden)]
    fn settlement(receipt: Self::Receipt) -> Settlement;
    #[doc(hidden)]
    fn receipt_in(settlement: &Settlement) -> Option<&Self::Receipt>;

    /// What a reservation was settled for, if it was.
    #[doc(hidden)]
    #[must_use]
    fn receipt_of(closed: &Closed) -> Option<Self::Receipt> {
        match closed {
            Closed::Settled(settlement) => Self::receipt_in(settlement).cloned(),
            Closed::Released | Closed::Expired => None,
        }
    }
}

/// When something was done of which nobody has to know when it was.
pub(super) const UNTIMED: Monotonic = Monotonic(0);

/// One operation on the accounts of a path: what moves, and what is said of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction<'a, Q> {
    pub(super) path: Path<'a>,
    pub(super) kind: EventKind,
    /// What is charged, set aside or given back.
    pub(super) what: &'a Q,
    /// What it cost beyond that, and is charged nowhere.
    pub(super) unpaid: Amount,
    /// Whether somebody is told of the charge, and when it was.
    pub(super) is_told: bool,
    /// What a settlement is charged out of, or what is given back.
    pub(super) held: Option<&'a Q>,
    /// A fact, which no account and no window can refuse.
    pub(super) is_fact: bool,
    pub(super) operation: OperationId,
    pub(super) reserved: Option<Reserved>,
    pub(super) key: Option<&'a str>,
    pub(super) wall: Wall,
}

impl<'a, Q: Quantity> Transaction<'a, Q> {
    /// A debit by an agent.
    #[inline(always)]
    pub(super) const fn debit(
        path: Path<'a>,
        what: &'a Q,
        operation: OperationId,
        wall: Wall,
        key: Option<&'a str>,
    ) -> Self {
        let (kind, held, reserved, is_fact) = (EventKind::Debit, None, None, false);
        let (unpaid, is_told) = (Amount::ZERO, false);
        Self { path, kind, what, unpaid, is_told, held, is_fact, operation, reserved, key, wall }
    }

    /// The same, of which somebody is told.
    #[inline(always)]
    pub(super) const fn told(mut self) -> Self {
        self.is_told = true;
        self
    }

    /// What is set aside under this number.
    #[inline(always)]
    pub(super) const fn reserve(
        path: Path<'a>,
        what: &'a Q,
        operation: OperationId,
        wall: Wall,
        key: Option<&'a str>,
        (number, terms): (u64, Terms),
    ) -> Self {
        let reserved = Some(Reserved { number, terms: Some(terms) });
        Self { kind: EventKind::Reserve, reserved, ..Self::debit(path, what, operation, wall, key) }
    }

    /// What is charged out of the `held` of a reservation; beside it, if that was given back when it expired.
    #[inline(always)]
    pub(super) const fn settle(
        path: Path<'a>,
        charged: &'a Q,
        operation: OperationId,
        wall: Wall,
        number: u64,
        held: Option<&'a Q>,
        overage: Overage,
    ) -> Self {
        let kind = if held.is_some() { EventKind::Settle } else { EventKind::LateSettle };
        let is_fact = matches!(overage, Overage::AllowWithOverdraft);
        let reserved = Some(Reserved { number, terms: None });
        let debit = Self::debit(path, charged, operation, wall, None);
        Self { kind, held, is_fact, reserved, ..debit.told() }
    }

    /// The same, and who told what it has cost.
    #[inline(always)]
    pub(super) const fn by(mut self, by: SettledBy) -> Self {
        if let (EventKind::Settle, SettledBy::Default) = (self.kind, by) {
            self.kind = EventKind::DefaultSettle;
        }
        self
    }

    /// What a reservation gives back, because it is released or expires.
    #[inline(always)]
    pub(super) const fn give_back(
        path: Path<'a>,
        kind: EventKind,
        held: &'a Q,
        operation: OperationId,
        wall: Wall,
        number: u64,
    ) -> Self {
        let reserved = Some(Reserved { number, terms: None });
        let debit = Self::debit(path, held, operation, wall, None);
        Self { kind, held: Some(held), is_fact: true, reserved, ..debit }
    }

    /// Whether it is of work that begins.
    pub(super) const fn begins(&self) -> bool {
        matches!(self.kind, EventKind::Debit | EventKind::Reserve)
    }

    /// Whether it has to be known when it was done. Otherwise nobody reads the clock.
    #[inline(always)]
    pub(super) const fn needs_time(&self, ledger: &Ledger) -> bool {
        self.is_told || ledger.journal.is_some()
    }

    /// How an amount moves, of which so much was set aside. Nothing is admitted even below zero.
    #[inline(always)]
    pub(super) fn movement(&self, amount: Amount, held: Amount) -> Movement {
        let movement = match self.kind {
            EventKind::Reserve => Movement::reserve(amount, amount.is_zero()).beginning(),
            EventKind::Debit => Movement::debit(amount, self.is_fact || amount.is_zero()).beginning(),
            EventKind::Release | EventKind::Expire => Movement::release(held),
            EventKind::Settle | EventKind::DefaultSettle => Movement::settle(held, amount, self.is_fact),
            _ => Movement::debit(amount, self.is_fact || amount.is_zero()),
        };
        let number = match self.reserved {
            Some(Reserved { number, .. }) => number,
            None => 0,
        };
        movement.with_unpaid(self.unpaid).of_hold(HoldKey { agent: self.path.agent.number, number })
    }

    /// What of an amount must fit into the windows: not what was set aside, which has its place there, nor a fact.
    #[inline(always)]
    pub(super) fn must_fit(&self, amount: Amount, held: Amount) -> Amount {
        match self.kind {
            _ if self.is_fact => Amount::ZERO,
            EventKind::Release | EventKind::Expire => Amount::ZERO,
            _ => amount.saturating_sub(held),
        }
    }

    /// Writes the change down, where there is a journal.
    #[inline(always)]
    pub(super) fn write(&self, at: Option<Monotonic>, ledger: &Ledger) -> Result<(), Unwritten> {
        ledger.write(|| (ledger.instant_at(self.wall, at), Change::Posted(self.posted())))
    }

    #[cold]
    fn posted(&self) -> Posted {
        Posted {
            path: self.path.number(),
            agent: self.path.agent.number,
            kind: self.kind,
            what: self.what.to_quantities(),
            unpaid: self.unpaid,
            is_fact: self.is_fact,
            operation: self.operation,
            reservation: self.reserved,
            key: self.key.map(Into::into),
        }
    }

    /// Opens or closes the reservation that the operation is about.
    #[inline]
    pub(super) fn hold(&self, agents: &mut Agents<'_>, at: Monotonic, ledger: &Ledger) {
        let Some(Reserved { number, terms }) = self.reserved else { return };
        let state = &mut agents.state;
        if let Some(Terms { time_over, overage, .. }) = terms {
            let (what, operation) = (self.what.to_quantities(), self.operation);
            let joint = self.path.joint.cloned();
            let held = Held { what, operation, overage, time_over, deadline: time_over, joint };
            state.open_hold(number, held);
        } else {
            let held = state.close_hold(number);
            ledger.waiting.signal_all(self.path.accounts(), false);
            self.close(number, held, agents, at, ledger);
        }
    }

    /// Remembers how a reservation ended.
    #[inline]
    fn close(&self, number: u64, held: Option<Held>, agents: &Agents<'_>, at: Monotonic, ledger: &Ledger) {
        let (agent, closures) = (self.path.agent, &ledger.closures);
        match (self.outcome(agents, at, ledger), held) {
            (Some(closed), Some(held)) => closures.remember(agent, number, closed, held),
            (Some(closed), None) => closures.replace(agent, number, closed),
            (None, _) => {}
        }
    }

    fn outcome(&self, agents: &Agents<'_>, at: Monotonic, ledger: &Ledger) -> Option<Closed> {
        match self.kind {
            EventKind::Settle | EventKind::DefaultSettle | EventKind::LateSettle => {
                Some(Closed::Settled(Q::settlement(Q::receipt(self, agents, at, ledger))))
            }
            EventKind::Release => Some(Closed::Released),
            EventKind::Expire => Some(Closed::Expired),
            _ => None,
        }
    }
}

//! What a batch can do: debit, reserve, settle, release.

use std::sync::Arc;

use super::super::Ledger;
use super::super::account::Account;
use super::super::change::{Instant, Quantities, Terms};
use super::super::error::LedgerError;
use super::super::event::EventKind;
use super::super::holds::Held;
use super::super::operation::OperationId;
use super::super::path::{Agents, Path};
use super::super::quantity::Transaction;
use super::super::reservation::{Overage, Request, deadline};
use super::{Operation, Pools};
use crate::amount::Amount;

pub(super) struct Debits<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) units: &'a [i64],
    pub(super) operation: OperationId,
}

pub(super) struct Reserves<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) units: &'a [i64],
    pub(super) terms: Request<()>,
}

pub(super) struct Settlements<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) numbers: &'a [u64],
    pub(super) units: &'a [i64],
}

pub(super) struct Releases<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) numbers: &'a [u64],
}

impl Operation for Debits<'_> {
    type Outcome = bool;
    const UNKNOWN: bool = false;

    fn begin(&self) -> Instant {
        now(self.ledger)
    }

    fn check(&self, index: usize) -> Result<(), LedgerError> {
        check_units(self.units, index)
    }

    #[inline]
    fn below(
        &self,
        agents: &mut Agents<'_>,
        pools: &mut Pools<'_>,
        index: usize,
        at: Instant,
    ) -> Result<Option<bool>, LedgerError> {
        let amount = amount(self.units, index);
        if amount.is_zero() {
            return Ok(None);
        }
        let t = Transaction::debit(Path::of(agents.agent), &amount, self.operation, at.wall, None);
        Ok(t.pass_below(agents, pools, at.monotonic, self.ledger)?.map(|_| true))
    }

    fn alone(&self, agent: &Arc<Account>, index: usize, at: Instant) -> Result<bool, LedgerError> {
        let (path, amount) = (Path::of(agent), amount(self.units, index));
        let debit = Transaction::debit(path, &amount, self.operation, at.wall, None);
        let debited = self.ledger.charge(&debit, |_, _, _, _| true);
        unless_refused(debited, false)
    }
}

impl Operation for Reserves<'_> {
    type Outcome = u64;
    const UNKNOWN: u64 = 0;

    fn begin(&self) -> Instant {
        now(self.ledger)
    }

    fn check(&self, index: usize) -> Result<(), LedgerError> {
        check_units(self.units, index)
    }

    #[inline]
    fn below(
        &self,
        agents: &mut Agents<'_>,
        pools: &mut Pools<'_>,
        index: usize,
        at: Instant,
    ) -> Result<Option<u64>, LedgerError> {
        let amount = amount(self.units, index);
        if amount.is_zero() {
            return Ok(None);
        }
        let Request { ttl_nanos, overage, operation, .. } = self.terms;
        let (number, time_over) = (agents.state.next_reservation(), deadline(at.monotonic, ttl_nanos));
        let (path, terms) = (Path::of(agents.agent), Terms { time_over, ttl_nanos, overage });
        let t = Transaction::reserve(path, &amount, operation, at.wall, None, (number, terms));
        let Some(at) = t.pass_below(agents, pools, at.monotonic, self.ledger)? else { return Ok(None) };
        t.hold(agents, at, self.ledger);
        self.ledger.wake(agents, time_over);
        Ok(Some(number))
    }

    fn alone(&self, agent: &Arc<Account>, index: usize, _: Instant) -> Result<u64, LedgerError> {
        let Request { ttl_nanos, overage, operation, .. } = self.terms;
        let request = Request { what: amount(self.units, index), ttl_nanos, overage, operation };
        unless_refused(self.ledger.reserve(agent, &request).map(|made| made.number()), 0)
    }
}

impl Operation for Settlements<'_> {
    type Outcome = bool;
    const UNKNOWN: bool = false;

    /// What is over by now is given back first.
    fn begin(&self) -> Instant {
        self.ledger.expire_some();
        now(self.ledger)
    }

    fn check(&self, index: usize) -> Result<(), LedgerError> {
        check_units(self.units, index)
    }

    #[inline]
    fn below(
        &self,
        agents: &mut Agents<'_>,
        pools: &mut Pools<'_>,
        index: usize,
        at: Instant,
    ) -> Result<Option<bool>, LedgerError> {
        let (number, charged) = (self.numbers[index], amount(self.units, index));
        let Some((reserved, operation, overage)) = plain(agents, number, at) else { return Ok(None) };
        // What goes beyond what was set aside may be refused, or bounded.
        if overage != Overage::AllowIfAvailable && charged > reserved {
            return Ok(None);
        }
        let path = Path::of(agents.agent);
        let t = Transaction::settle(path, &charged, operation, at.wall, number, Some(&reserved), overage);
        let Some(at) = t.pass_below(agents, pools, at.monotonic, self.ledger)? else { return Ok(None) };
        t.hold(agents, at, self.ledger);
        Ok(Some(true))
    }

    fn alone(&self, agent: &Arc<Account>, index: usize, _: Instant) -> Result<bool, LedgerError> {
        let (number, charged) = (self.numbers[index], amount(self.units, index));
        unless_refused(self.ledger.settle_number(agent, number, charged), false)
    }
}

impl Operation for Releases<'_> {
    type Outcome = bool;
    const UNKNOWN: bool = false;

    /// What is over by now is given back first.
    fn begin(&self) -> Instant {
        self.ledger.expire_some();
        now(self.ledger)
    }

    fn check(&self, _: usize) -> Result<(), LedgerError> {
        Ok(())
    }

    #[inline]
    fn below(
        &self,
        agents: &mut Agents<'_>,
        pools: &mut Pools<'_>,
        index: usize,
        at: Instant,
    ) -> Result<Option<bool>, LedgerError> {
        let number = self.numbers[index];
        let Some((reserved, operation, _)) = plain(agents, number, at) else { return Ok(None) };
        let path = Path::of(agents.agent);
        let t = Transaction::give_back(path, EventKind::Release, &reserved, operation, at.wall, number);
        let Some(at) = t.pass_below(agents, pools, at.monotonic, self.ledger)? else { return Ok(None) };
        t.hold(agents, at, self.ledger);
        Ok(Some(true))
    }

    fn alone(&self, agent: &Arc<Account>, index: usize, _: Instant) -> Result<bool, LedgerError> {
        unless_refused(self.ledger.release_number(agent, self.numbers[index]), false)
    }
}

fn now(ledger: &Ledger) -> Instant {
    Instant { monotonic: ledger.clock.monotonic_coarse(), wall: ledger.clock.wall() }
}

/// Money that is set aside on the agent's own line, and whose time is not over: how much, what for, and what may be
/// settled beyond it.
#[inline]
fn plain(agents: &Agents<'_>, number: u64, at: Instant) -> Option<(Amount, OperationId, Overage)> {
    match agents.state.hold(number)? {
        Held { what: Quantities::Money(amount), operation, overage, deadline, joint: None, .. }
            if *deadline > at.monotonic =>
        {
            Some((*amount, *operation, *overage))
        }
        _ => None,
    }
}

/// An amount that was checked when the batch was begun.
#[inline]
fn amount(units: &[i64], index: usize) -> Amount {
    Amount::from_units(units[index].into()).unwrap_or_default()
}

fn check_units(units: &[i64], index: usize) -> Result<(), LedgerError> {
    let units = units[index];
    if units >= 0 {
        return Ok(());
    }
    Err(LedgerError::Configuration(format!("units[{index}] is {units}: an amount must not be negative")))
}

/// What a refusal makes of an item. What cannot be written down is none.
fn unless_refused<R>(done: Result<R, LedgerError>, refused: R) -> Result<R, LedgerError> {
    match done {
        Ok(done) => Ok(done),
        Err(error @ LedgerError::Unwritten(_)) => Err(error),
        Err(_) => Ok(refused),
    }
}

//! How money moves: on an agent and every account above it, and in the windows of all of them.

#![expect(clippy::inline_always, reason = "the hot path, where the compiler counts instructions otherwise")]

use std::cell::Cell;

use smallvec::SmallVec;

use super::Ledger;
use super::account::Account;
use super::balance::Movement;
use super::change::Quantities;
use super::debit::{Charge, Receipt};
use super::error::{LedgerError, Settlement};
use super::idempotency::Keys;
use super::journal::Unwritten;
use super::path::{Agents, Joint, Path};
use super::quantity::{Quantity, Transaction, UNTIMED};
use super::state::{Posting, State, Windows};
use crate::amount::Amount;
use crate::clock::{Monotonic, Wall};
use crate::sync::MutexGuard;

#[allow(private_interfaces, reason = "as the trait")]
impl Quantity for Amount {
    type Receipt = Receipt;

    fn to_quantities(&self) -> Quantities {
        Quantities::Money(*self)
    }

    fn of(what: &Quantities) -> Option<&Self> {
        match what {
            Quantities::Money(amount) => Some(amount),
            Quantities::Resources(_) => None,
        }
    }

    #[inline(always)]
    fn pass(
        t: &Transaction<'_, Self>,
        agents: &mut Agents<'_>,
        ledger: &Ledger,
    ) -> Result<Monotonic, LedgerError> {
        let held = t.held.copied().unwrap_or_default();
        let movement = t.movement(*t.what, held).asking(agents.asks);
        let passage = Passage::new(&movement, t.must_fit(*t.what, held), t.wall, ledger);
        let coarse = t.needs_time(ledger).then(|| ledger.clock.monotonic_coarse());
        let unwritten = Cell::new(None);
        let write = || {
            let at = passage.windows_at().or(coarse);
            t.write(at, ledger).map_err(|error| unwritten.set(Some(error))).is_ok()
        };
        loop {
            if agents.admit(&passage) && t.path.pass_pools(&passage, &write) {
                agents.post(&movement, &t.posting(passage.windows()), ledger);
                return Ok(passage.windows_at().or(coarse).unwrap_or(UNTIMED));
            }
            if let Some(error) = unwritten.take() {
                return Err(Unwritten::into(error));
            }
            if movement.overdraws() {
                return Err(LedgerError::BeyondOverdraftLimit(agents.headroom(t.path, ledger, t.wall)));
            }
            // Who refuses is looked for only now. If nobody does any more, a pool has got money since.
            let refusal = agents.find_refusal(t.path, &passage);
            refusal.map_err(|refused| refused.asked(t.path, t.operation))?;
        }
    }

    fn replay(
        t: &Transaction<'_, Self>,
        agents: &mut Agents<'_>,
        at: Monotonic,
        ledger: &Ledger,
    ) -> Result<(), LedgerError> {
        let movement = t.movement(*t.what, t.held.copied().unwrap_or_default());
        let windows = Some((at, t.must_fit(*t.what, t.held.copied().unwrap_or_default())));
        t.path.shift_pools(&movement, windows, t.wall, ledger);
        agents.post(&movement, &t.posting(windows), ledger);
        Ok(())
    }

    #[inline]
    fn receipt(t: &Transaction<'_, Self>, agents: &Agents<'_>, at: Monotonic, ledger: &Ledger) -> Receipt {
        let charge = Charge {
            handle: agents.agent.handle,
            sequence: agents.state.history.sequence(),
            path: t.path.number(),
            operation: t.operation,
            at,
            era: ledger.eras.now(),
        };
        Receipt { amount: *t.what, unpaid: t.unpaid, remaining: agents.state.books.balance.remaining, charge }
    }

    fn check_within(&self, reserved: &Self, agents: &Agents<'_>, _: &Ledger) -> Result<(), LedgerError> {
        if self <= reserved {
            return Ok(());
        }
        let refusal = agents.agent.refusal(&agents.state, self.units());
        Err(LedgerError::OverReserved { refusal, reserved: *reserved })
    }

    fn is_charged_by(&self, receipt: &Receipt) -> bool {
        receipt.amount.units() + receipt.unpaid.units() == self.units()
    }

    fn beyond(&self, held: Option<&Self>, headroom: i128) -> Option<(Self, Amount)> {
        let reserved = held.copied().unwrap_or_default();
        let most = Self::from_units(reserved.units().saturating_add(headroom.max(0)))?;
        (*self > most).then(|| (most, self.saturating_sub(most)))
    }

    fn settlement(receipt: Receipt) -> Settlement {
        Settlement::Money(receipt)
    }

    fn receipt_in(settlement: &Settlement) -> Option<&Receipt> {
        match settlement {
            Settlement::Money(receipt) => Some(receipt),
            Settlement::Resources(_) => None,
        }
    }

    fn keys(ledger: &Ledger) -> &Keys {
        &ledger.keys
    }

    #[inline]
    fn is_nothing(&self) -> bool {
        self.is_zero()
    }
}

impl Transaction<'_, Amount> {
    #[inline(always)]
    const fn posting(&self, windows: Windows) -> Posting {
        let Self { kind, operation, wall, unpaid, .. } = *self;
        Posting { kind, amount: *self.what, unpaid, windows, operation, wall }
    }
}

impl Transaction<'_, Amount> {
    /// As [`pass`](Quantity::pass), below pools that are locked already: `None`, with nothing changed, if anything
    /// refuses. `at` is when it is, unless windows ask for the exact time.
    #[inline(always)]
    pub(super) fn pass_below(
        &self,
        agents: &mut Agents<'_>,
        pools: &mut [(&Account, MutexGuard<'_, State>)],
        at: Monotonic,
        ledger: &Ledger,
    ) -> Result<Option<Monotonic>, LedgerError> {
        let held = self.held.copied().unwrap_or_default();
        let movement = self.movement(*self.what, held);
        let passage = Passage::new(&movement, self.must_fit(*self.what, held), self.wall, ledger);
        if !agents.admit(&passage) || !pools.iter_mut().all(|(_, pool)| passage.is_admitted_by(pool)) {
            return Ok(None);
        }
        let at = passage.windows_at().unwrap_or(at);
        self.write(Some(at), ledger)?;
        for (pool, state) in pools {
            state.shift(&movement, pool, passage.windows(), self.wall, ledger);
        }
        agents.post(&movement, &self.posting(passage.windows()), ledger);
        Ok(Some(at))
    }
}

impl Agents<'_> {
    #[inline(always)]
    fn admit(&mut self, passage: &Passage<'_>) -> bool {
        passage.is_admitted_by(&mut self.state)
            && self.others.iter_mut().all(|(_, state)| passage.is_admitted_by(state))
    }

    #[inline(always)]
    fn post(&mut self, movement: &Movement, posting: &Posting, ledger: &Ledger) {
        if !posting.unpaid.is_zero() {
            ledger.tell_unpaid(self.agent, posting);
        }
        post(self.agent, &mut self.state, movement, posting, ledger);
        for (agent, state) in &mut self.others {
            state.hold_for_another(movement);
            post(agent, state, movement, posting, ledger);
        }
    }

    /// How many units more than what is set aside can be charged on the whole path, before an account is further below
    /// zero than it may be.
    #[cold]
    fn headroom(&self, path: Path<'_>, ledger: &Ledger, now: Wall) -> i128 {
        let agents = std::iter::once(&self.state).chain(self.others.iter().map(|(_, state)| state));
        let mut least = agents.map(|state| state.headroom()).min().unwrap_or(i128::MAX);
        let mut rest = path.pools();
        while let Some((pool, above)) = rest.split() {
            least = least.min(pool.lock_renewed(ledger, now).headroom());
            rest = above;
        }
        least
    }

    /// Who refuses a movement. A window is told only if no budget refuses: time does not help against those.
    #[cold]
    fn find_refusal(&mut self, path: Path<'_>, passage: &Passage<'_>) -> Result<(), LedgerError> {
        let Passage { movement, wall, ledger, must_fit, .. } = *passage;
        self.agent.check_movement(&mut self.state, movement)?;
        for (agent, state) in &mut self.others {
            agent.check_movement(state, movement)?;
        }
        path.find_refusal(movement, ledger, wall)?;
        let Some(at) = passage.windows_at() else { return Ok(()) };
        let checked = self.check_windows(path, at, must_fit);
        if checked.is_err() && self.asks.is_counted() {
            self.state.remember_refused(None, must_fit);
        }
        checked
    }

    /// Refuses what does not fit into a window of the path.
    fn check_windows(&mut self, path: Path<'_>, at: Monotonic, amount: Amount) -> Result<(), LedgerError> {
        let asks = self.asks;
        self.state.check_windows(self.agent, None, at, amount, asks)?;
        for (agent, state) in &mut self.others {
            state.check_windows(agent, None, at, amount, asks)?;
        }
        let mut rest = path.pools();
        while let Some((pool, above)) = rest.split() {
            pool.lock().check_windows(pool, None, at, amount, asks)?;
            rest = above;
        }
        Ok(())
    }
}

#[inline(always)]
fn post(agent: &Account, state: &mut State, movement: &Movement, posting: &Posting, ledger: &Ledger) {
    if state.mode.is_lenient() {
        let Posting { windows, operation, wall, .. } = *posting;
        state.look_at_leniency(agent, movement, windows, operation, wall, ledger);
    }
    state.shift(movement, agent, posting.windows, posting.wall, ledger);
    if movement.gives_back() {
        state.rearm(ledger);
    }
    state.note(posting, ledger);
}

/// A movement on its way up a path.
pub(super) struct Passage<'a> {
    pub(super) movement: &'a Movement,
    /// What must fit into every window on the way.
    must_fit: Amount,
    pub(super) wall: Wall,
    pub(super) ledger: &'a Ledger,
    /// The time for windows, which the first account on the way reads that has any.
    windows_at: Cell<Option<Monotonic>>,
}

impl<'a> Passage<'a> {
    #[inline(always)]
    const fn new(movement: &'a Movement, must_fit: Amount, wall: Wall, ledger: &'a Ledger) -> Self {
        Self { movement, must_fit, wall, ledger, windows_at: Cell::new(None) }
    }

    /// When it passes windows, if it does: reading the clock costs as much as a lock.
    #[inline(always)]
    pub(super) const fn windows_at(&self) -> Option<Monotonic> {
        self.windows_at.get()
    }

    /// The same, and what must fit into them.
    #[inline(always)]
    pub(super) fn windows(&self) -> Windows {
        self.windows_at.get().map(|at| (at, self.must_fit))
    }

    /// Whether an account's budget and windows admit it.
    #[inline(always)]
    pub(super) fn is_admitted_by(&self, state: &mut State) -> bool {
        state.admits_movement(self.movement) && (state.limits.is_none() || self.fits(state))
    }

    fn fits(&self, state: &mut State) -> bool {
        let kept = state.kept_from(self.movement.asks());
        let Some(limits) = state.limits().filter(|limits| limits.has_windows()) else { return true };
        let at = self.windows_at.get().unwrap_or_else(|| self.ledger.clock.monotonic());
        self.windows_at.set(Some(at));
        limits.fits(at, self.must_fit, kept) || state.mode.is_lenient()
    }
}

impl Path<'_> {
    /// Moves money through the pools of the path: all of them, once `write` has agreed, or none.
    #[inline(always)]
    fn pass_pools(self, passage: &Passage<'_>, write: &impl Fn() -> bool) -> bool {
        match (self.joint, &self.agent.parent) {
            (None, Some(pool)) => pool.pass(passage, write),
            (None, None) => write(),
            (Some(joint), _) => joint.pass(passage, write),
        }
    }

    /// Moves money in the pools of the path, whatever they say.
    fn shift_pools(self, movement: &Movement, windows: Windows, wall: Wall, ledger: &Ledger) {
        if let Some(joint) = self.joint {
            let mut pools: Vec<_> = joint.pools.iter().map(|pool| pool.lock()).collect();
            joint.shift(&mut pools, movement, windows, wall, ledger);
            return;
        }
        for pool in std::iter::successors(self.agent.parent.as_ref(), |pool| pool.parent.as_ref()) {
            pool.lock().shift(movement, pool, windows, wall, ledger);
        }
    }

    fn find_refusal(self, movement: &Movement, ledger: &Ledger, now: Wall) -> Result<(), LedgerError> {
        let mut rest = self.pools();
        while let Some((pool, above)) = rest.split() {
            pool.check_movement(&mut pool.lock_renewed(ledger, now), movement)?;
            rest = above;
        }
        Ok(())
    }
}

impl Joint {
    #[cold]
    fn pass(&self, passage: &Passage<'_>, write: &impl Fn() -> bool) -> bool {
        let Passage { movement, wall, ledger, .. } = *passage;
        let mut pools: SmallVec<[_; 8]> =
            self.pools.iter().map(|pool| pool.lock_renewed(ledger, wall)).collect();
        let is_passed = pools.iter_mut().all(|pool| passage.is_admitted_by(pool)) && write();
        if is_passed {
            self.shift(&mut pools, movement, passage.windows(), wall, ledger);
        }
        is_passed
    }

    fn shift(
        &self,
        pools: &mut [MutexGuard<'_, State>],
        movement: &Movement,
        windows: Windows,
        wall: Wall,
        ledger: &Ledger,
    ) {
        for ((pool, state), children) in self.pools.iter().zip(pools).zip(&self.children) {
            state.shift(movement, pool, windows, wall, ledger);
            if *children != 1 {
                state.move_beyond(movement, 1 - i128::from(*children));
            }
        }
    }
}

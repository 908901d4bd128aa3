//! How money moves: on an agent and every account above it, and in the windows of the agent.

#![expect(clippy::inline_always, reason = "the hot path, where the compiler counts instructions otherwise")]

use std::cell::Cell;

use smallvec::SmallVec;

use super::Ledger;
use super::account::Account;
use super::balance::Movement;
use super::change::Quantities;
use super::debit::{Charge, Receipt};
use super::error::{LedgerError, Settlement};
use super::event::EventKind;
use super::idempotency::Keys;
use super::journal::Unwritten;
use super::path::{Agents, Joint, Path};
use super::quantity::{Quantity, Transaction, UNTIMED};
use super::state::{Posting, State};
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
        let movement = t.movement(*t.what, t.held.copied().unwrap_or_default()).asking(agents.asks);
        let windows_at = agents.windows_at(ledger);
        let needed = || t.needs_time(ledger).then(|| ledger.clock.monotonic_coarse());
        let at = windows_at.or_else(needed);
        let must_fit = windows_at.map(|at| (at, t.beyond()));
        let unwritten = Cell::new(None);
        let write = || t.write(at, ledger).map_err(|error| unwritten.set(Some(error))).is_ok();
        loop {
            if agents.admit(&movement, must_fit) && t.path.pass_pools(&movement, ledger, t.wall, &write) {
                agents.post(&movement, &t.posting(must_fit), ledger);
                return Ok(at.unwrap_or(UNTIMED));
            }
            if let Some(error) = unwritten.take() {
                return Err(Unwritten::into(error));
            }
            if movement.overdraws() {
                return Err(LedgerError::BeyondOverdraftLimit(agents.headroom(t.path, ledger, t.wall)));
            }
            // Who refuses is looked for only now. If nobody does any more, a pool has got money since.
            let refusal = agents.find_refusal(t.path, &movement, must_fit, t.wall, ledger);
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
        t.path.shift_pools(&movement, t.wall, ledger);
        agents.post(&movement, &t.posting(Some((at, t.beyond()))), ledger);
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
    /// What must fit into the windows: not what was set aside, which has its place there, nor a fact.
    #[inline(always)]
    fn beyond(&self) -> Amount {
        match self.kind {
            _ if self.is_fact => Amount::ZERO,
            EventKind::Release | EventKind::Expire => Amount::ZERO,
            _ => self.what.saturating_sub(self.held.copied().unwrap_or_default()),
        }
    }

    #[inline(always)]
    pub(super) const fn posting(&self, windows: Option<(Monotonic, Amount)>) -> Posting {
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
        let movement = self.movement(*self.what, self.held.copied().unwrap_or_default());
        let windows_at = agents.windows_at(ledger);
        let at = windows_at.unwrap_or(at);
        let must_fit = windows_at.map(|at| (at, self.beyond()));
        if !agents.admit(&movement, must_fit)
            || !pools.iter().all(|(_, pool)| pool.admits_movement(&movement))
        {
            return Ok(None);
        }
        self.write(Some(at), ledger)?;
        for (pool, state) in pools {
            state.shift(&movement, pool, self.wall, ledger);
        }
        agents.post(&movement, &self.posting(must_fit), ledger);
        Ok(Some(at))
    }
}

impl Agents<'_> {
    /// The time for the agents' windows, if there are any: reading the clock costs as much as a lock.
    #[inline(always)]
    pub(super) fn windows_at(&self, ledger: &Ledger) -> Option<Monotonic> {
        let has_windows =
            self.state.has_windows() || self.others.iter().any(|(_, state)| state.has_windows());
        has_windows.then(|| ledger.clock.monotonic())
    }

    #[inline(always)]
    fn admit(&mut self, movement: &Movement, must_fit: Option<(Monotonic, Amount)>) -> bool {
        self.state.admits(movement, must_fit)
            && self.others.iter_mut().all(|(_, state)| state.admits(movement, must_fit))
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
    fn find_refusal(
        &mut self,
        path: Path<'_>,
        movement: &Movement,
        must_fit: Option<(Monotonic, Amount)>,
        wall: Wall,
        ledger: &Ledger,
    ) -> Result<(), LedgerError> {
        self.agent.check_movement(&mut self.state, movement)?;
        for (agent, state) in &mut self.others {
            agent.check_movement(state, movement)?;
        }
        path.find_refusal(movement, ledger, wall)?;
        let Some((at, amount)) = must_fit else { return Ok(()) };
        self.state.check_windows(self.agent, at, amount, self.asks)?;
        for (agent, state) in &mut self.others {
            state.check_windows(agent, at, amount, self.asks)?;
        }
        Ok(())
    }
}

#[inline(always)]
fn post(agent: &Account, state: &mut State, movement: &Movement, posting: &Posting, ledger: &Ledger) {
    if state.mode.is_lenient() {
        state.look_at_leniency(agent, movement, posting, ledger);
    }
    state.shift(movement, agent, posting.wall, ledger);
    if movement.gives_back() {
        state.rearm(ledger);
    }
    state.note(posting, ledger);
}

impl Path<'_> {
    /// Moves money through the pools of the path: all of them, once `write` has agreed, or none.
    #[inline(always)]
    fn pass_pools(self, movement: &Movement, ledger: &Ledger, now: Wall, write: &impl Fn() -> bool) -> bool {
        match (self.joint, &self.agent.parent) {
            (None, Some(pool)) => pool.pass(movement, ledger, now, write),
            (None, None) => write(),
            (Some(joint), _) => joint.pass(movement, ledger, now, write),
        }
    }

    /// Moves money in the pools of the path, whatever they say.
    fn shift_pools(self, movement: &Movement, wall: Wall, ledger: &Ledger) {
        if let Some(joint) = self.joint {
            let mut pools: Vec<_> = joint.pools.iter().map(|pool| pool.lock()).collect();
            joint.shift(&mut pools, movement, wall, ledger);
            return;
        }
        for pool in std::iter::successors(self.agent.parent.as_ref(), |pool| pool.parent.as_ref()) {
            pool.lock().shift(movement, pool, wall, ledger);
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
    fn pass(&self, movement: &Movement, ledger: &Ledger, now: Wall, write: &impl Fn() -> bool) -> bool {
        let mut pools: SmallVec<[_; 8]> =
            self.pools.iter().map(|pool| pool.lock_renewed(ledger, now)).collect();
        let is_passed = pools.iter().all(|pool| pool.admits_movement(movement)) && write();
        if is_passed {
            self.shift(&mut pools, movement, now, ledger);
        }
        is_passed
    }

    fn shift(&self, pools: &mut [MutexGuard<'_, State>], movement: &Movement, wall: Wall, ledger: &Ledger) {
        for ((pool, state), children) in self.pools.iter().zip(pools).zip(&self.children) {
            state.shift(movement, pool, wall, ledger);
            if *children != 1 {
                state.move_beyond(movement, 1 - i128::from(*children));
            }
        }
    }
}

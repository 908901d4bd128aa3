//! Two-phase debits of several resources, with the states and outcomes that those of money have.

use std::sync::{Arc, OnceLock};

use super::budget::{Move, Moves};
use super::{Bundle, ResourceReceipt};
use crate::amount::Amount;
use crate::clock::{Monotonic, Wall};
use crate::ledger::account::{Account, ReservationKey, State};
use crate::ledger::balance::Movement;
use crate::ledger::error::LedgerError;
use crate::ledger::event::EventKind;
use crate::ledger::idempotency::{Admitted, Payload, Phase, once};
use crate::ledger::operation::OperationId;
use crate::ledger::{Ledger, Overage, ReservationState};
use crate::sync::{AtomicI64, MutexGuard, Ordering};

/// Resources set aside for one piece of work.
///
/// As a [`Reservation`](crate::ledger::Reservation) it changes only while the agent is locked.
#[derive(Debug)]
pub struct ResourceReservation {
    agent: Arc<Account>,
    bundle: Arc<Bundle>,
    number: u64,
    operation: OperationId,
    overage: Overage,
    /// When its time to live is over.
    time_over: Monotonic,
    /// The same, or never while it is kept alive: its place in the books.
    deadline: AtomicI64,
    outcome: OnceLock<ClosedResources>,
}

/// How a reservation of resources was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClosedResources {
    /// Charged, in time or late.
    Settled(Box<ResourceReceipt>),
    /// Given back.
    Released,
    /// Given back because its time was over, and not settled since.
    Expired,
}

/// What is wanted of a reservation of resources.
#[derive(Clone, Copy, Debug)]
pub struct ResourceRequest<'a> {
    /// The most that the work can take.
    pub bundle: &'a Bundle,
    /// Nanoseconds until it is given back by itself.
    pub ttl_nanos: i64,
    /// What a settlement beyond `bundle` may do.
    pub overage: Overage,
    /// What for.
    pub operation: OperationId,
}

impl ResourceReservation {
    /// The agent that it was made for.
    #[must_use]
    pub const fn agent(&self) -> &Arc<Account> {
        &self.agent
    }

    /// What was set aside.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Its number among the agent's reservations of resources: 1, 2, 3 and so on.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// What it was settled for, if it was.
    #[must_use]
    pub fn settlement(&self) -> Option<&ResourceReceipt> {
        match self.outcome.get() {
            Some(ClosedResources::Settled(receipt)) => Some(receipt),
            _ => None,
        }
    }

    fn key(&self) -> ReservationKey {
        (Monotonic(self.deadline.load(Ordering::Relaxed)), self.number)
    }

    fn closed(&self, closed: ClosedResources) -> LedgerError {
        let (account, number) = (Arc::clone(&self.agent.id), self.number);
        LedgerError::ResourceReservationClosed { account, number, closed }
    }

    /// Remembers the outcome. The agent's lock must be held, so that it is the first.
    fn close(&self, outcome: ClosedResources) {
        let is_first = self.outcome.set(outcome).is_ok();
        debug_assert!(is_first, "a reservation is closed once");
    }
}

impl Ledger {
    /// Sets several resources of an agent aside, all of them or none.
    pub fn reserve_resources(
        &self,
        agent: &Arc<Account>,
        request: ResourceRequest<'_>,
    ) -> Result<ResourceReservation, LedgerError> {
        let now = self.clock.wall_coarse();
        self.retry_after_expiry(|| self.reserve_resources_once(agent, request, now))
    }

    /// As [`reserve_resources`](Self::reserve_resources), but a repetition with the same key returns the same
    /// reservation.
    pub fn reserve_resources_keyed(
        &self,
        agent: &Arc<Account>,
        request: ResourceRequest<'_>,
        key: &str,
    ) -> Result<Arc<ResourceReservation>, LedgerError> {
        let (what, operation) = (request.bundle.clone(), request.operation);
        let payload = Payload { agent: Arc::downgrade(agent), what, operation, phase: Phase::Reserve };
        let reserve = || self.reserve_resources(agent, request).map(|made| Admitted::Reserve(Arc::new(made)));
        match once(&self.resource_keys, &self.clock, agent, key, payload, reserve)? {
            Admitted::Reserve(reservation) => Ok(reservation),
            Admitted::Debit(_) => unreachable!("a key's payload tells debits from reservations"),
        }
    }

    fn reserve_resources_once(
        &self,
        agent: &Arc<Account>,
        request: ResourceRequest<'_>,
        now: Wall,
    ) -> Result<ResourceReservation, LedgerError> {
        let ResourceRequest { bundle, ttl_nanos, overage, operation } = request;
        let mut state = agent.lock();
        state.check_open(agent)?;
        let mut moves = Moves::new();
        state.locate(agent, bundle, self, Movement::reserve_some, &mut moves)?;
        state.pass_resources(agent, &moves, self)?;
        state.write_moves(&moves, EventKind::Reserve, operation, now, self);
        let deadline = self.clock.monotonic_coarse().plus(ttl_nanos);
        let holds = state.holds();
        holds.resource_reservations += 1;
        let (number, bundle) = (holds.resource_reservations, Arc::new(bundle.clone()));
        self.hold_resources(agent, &mut state, (deadline, number), &bundle);
        Ok(ResourceReservation {
            agent: Arc::clone(agent),
            bundle,
            number,
            operation,
            overage,
            time_over: deadline,
            deadline: AtomicI64::new(deadline.0),
            outcome: OnceLock::new(),
        })
    }

    fn hold_resources(
        &self,
        agent: &Arc<Account>,
        state: &mut State,
        key: ReservationKey,
        bundle: &Arc<Bundle>,
    ) {
        state.holds().resources.insert(key, Arc::clone(bundle));
        self.wake(agent, state, key.0);
    }

    /// Charges what the work has taken and gives the rest back. A repetition with the same amounts has no effect.
    pub fn settle_resources(
        &self,
        reservation: &ResourceReservation,
        charged: &Bundle,
    ) -> Result<ResourceReceipt, LedgerError> {
        let now = self.clock.wall();
        self.retry_after_expiry(|| self.settle_resources_once(reservation, charged, now))
    }

    fn settle_resources_once(
        &self,
        reservation: &ResourceReservation,
        charged: &Bundle,
        now: Wall,
    ) -> Result<ResourceReceipt, LedgerError> {
        let mut state = self.lock_resource_holder(reservation);
        match reservation.outcome.get() {
            None => {}
            Some(ClosedResources::Settled(receipt)) if receipt.is_for(charged) => {
                return Ok((**receipt).clone());
            }
            Some(closed) => return Err(reservation.closed(closed.clone())),
        }
        let receipt = self.settle_open_resources(reservation, &mut state, charged, now)?;
        reservation.close(ClosedResources::Settled(Box::new(receipt.clone())));
        Ok(receipt)
    }

    fn settle_open_resources(
        &self,
        reservation: &ResourceReservation,
        state: &mut State,
        charged: &Bundle,
        now: Wall,
    ) -> Result<ResourceReceipt, LedgerError> {
        let ResourceReservation { agent, bundle, overage, .. } = reservation;
        let is_active = state.holds().resources.contains_key(&reservation.key());
        let both = Bundle::new(bundle.beside(charged).map(|(resource, ..)| (resource, Amount::ZERO)));
        let mut moves = Moves::new();
        state.locate(agent, &both.unwrap_or_default(), self, Movement::charge, &mut moves)?;
        let overdraft = *overage == Overage::AllowWithOverdraft;
        for (m, (_, reserved, charged)) in moves.iter_mut().zip(bundle.beside(charged)) {
            if *overage == Overage::Reject && charged > reserved {
                return Err(state.over_reserved(agent, m, reserved, charged));
            }
            m.amount = charged;
            m.movement = match (is_active, overdraft) {
                (true, _) => Movement::settle(reserved, charged, overdraft),
                (false, true) => Movement::charge(charged),
                (false, false) => Movement::debit_some(charged),
            };
        }
        state.pass_resources(agent, &moves, self)?;
        if is_active {
            state.holds().resources.remove(&reservation.key());
        }
        let kind = if is_active { EventKind::Settle } else { EventKind::LateSettle };
        state.write_moves(&moves, kind, reservation.operation, now, self);
        Ok(state.resource_receipt(&moves))
    }

    /// Gives back all that was set aside. A repetition, or a reservation that has expired, changes nothing.
    pub fn release_resources(&self, reservation: &ResourceReservation) -> Result<(), LedgerError> {
        let mut state = self.lock_resource_holder(reservation);
        if let Some(closed @ ClosedResources::Settled(_)) = reservation.outcome.get() {
            return Err(reservation.closed(closed.clone()));
        }
        let now = self.clock.wall_coarse();
        if self.give_back_resources(
            &reservation.agent,
            &mut state,
            reservation.key(),
            EventKind::Release,
            now,
        ) {
            reservation.close(ClosedResources::Released);
        }
        Ok(())
    }

    /// Keeps an active reservation from expiring until it is settled or released.
    pub fn keep_resources_alive(&self, reservation: &ResourceReservation) -> Result<(), LedgerError> {
        let mut state = self.lock_resource_holder(reservation);
        if let Some(closed) = reservation.outcome.get() {
            return Err(reservation.closed(closed.clone()));
        }
        let Some(bundle) = state.holds().resources.remove(&reservation.key()) else {
            return Err(reservation.closed(ClosedResources::Expired));
        };
        reservation.deadline.store(Monotonic::NEVER.0, Ordering::Relaxed);
        state.holds().resources.insert(reservation.key(), bundle);
        Ok(())
    }

    /// Ends [`keep_resources_alive`](Self::keep_resources_alive), for a holder that is gone.
    pub fn let_resources_expire(&self, reservation: &ResourceReservation) {
        let mut state = reservation.agent.lock();
        let (key, expiring) = (reservation.key(), (reservation.time_over, reservation.number));
        if key != expiring
            && let Some(bundle) = state.holds().resources.remove(&key)
        {
            reservation.deadline.store(expiring.0.0, Ordering::Relaxed);
            self.hold_resources(&reservation.agent, &mut state, expiring, &bundle);
        }
    }

    /// Where a reservation stands now.
    pub fn resource_reservation_state(&self, reservation: &ResourceReservation) -> ReservationState {
        let mut state = self.lock_resource_holder(reservation);
        match reservation.outcome.get() {
            Some(ClosedResources::Settled(_)) => ReservationState::Settled,
            Some(ClosedResources::Released) => ReservationState::Released,
            _ if state.holds().resources.contains_key(&reservation.key()) => ReservationState::Active,
            _ => ReservationState::Expired,
        }
    }

    /// Locks the agent of a reservation, which has expired by then if its time is over. Serves some of what else
    /// is due.
    fn lock_resource_holder<'a>(&self, reservation: &'a ResourceReservation) -> MutexGuard<'a, State> {
        let now = self.expire_some();
        let (agent, key) = (&reservation.agent, reservation.key());
        let mut state = agent.lock();
        if key.0 <= now {
            self.give_back_resources(agent, &mut state, key, EventKind::Expire, self.clock.wall());
        }
        state
    }

    /// Gives back an active reservation of an agent whose lock is held; false if there is none.
    pub(in crate::ledger) fn give_back_resources(
        &self,
        agent: &Account,
        state: &mut State,
        key: ReservationKey,
        kind: EventKind,
        now: Wall,
    ) -> bool {
        let Some(bundle) = state.holds().resources.remove(&key) else { return false };
        let mut moves = Moves::new();
        let is_passed = state
            .locate(agent, &bundle, self, Movement::release, &mut moves)
            .and_then(|()| state.pass_resources(agent, &moves, self));
        debug_assert!(is_passed.is_ok(), "nothing refuses what is given back");
        state.write_moves(&moves, kind, OperationId::NONE, now, self);
        true
    }
}

impl Movement {
    /// As [`reserve`](Self::reserve), but nothing is admitted even below zero.
    const fn reserve_some(amount: Amount) -> Self {
        if amount.is_zero() { Self::charge(amount) } else { Self::reserve(amount) }
    }
}

impl ResourceReceipt {
    /// Whether this is what was charged. A resource that is not named was charged nothing.
    fn is_for(&self, charged: &Bundle) -> bool {
        let lines = self.lines.iter().filter(|line| !line.amount.is_zero());
        lines
            .map(|line| (line.resource, line.amount))
            .eq(charged.iter().filter(|(_, amount)| !amount.is_zero()))
    }
}

impl State {
    #[cold]
    fn over_reserved(&self, agent: &Account, m: &Move, reserved: Amount, charged: Amount) -> LedgerError {
        let refusal = self.resources.as_deref().map(|r| r.budgets[m.at].refusal(agent, charged.units()));
        refusal.map_or_else(
            || LedgerError::UnknownAgent(Arc::clone(&agent.id)),
            |refusal| LedgerError::OverReserved { refusal, reserved },
        )
    }
}

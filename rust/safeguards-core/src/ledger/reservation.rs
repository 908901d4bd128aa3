//! Two-phase debits: set aside the most it can cost, charge what it did cost.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Ledger;
use super::account::{Account, Holds, ReservationKey, State};
use super::balance::Movement;
use super::debit::Receipt;
use super::error::{Closed, LedgerError};
use super::event::EventKind;
use super::idempotency::{Admitted, Payload, Phase, once};
use super::operation::OperationId;
use super::outcome::Outcome;
use super::timers::Timer;
use crate::amount::Amount;
use crate::clock::{Monotonic, Wall};
use crate::sync::{AtomicI64, Ordering};

/// What a settlement beyond the reserved amount may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overage {
    /// Charge it: what was spent is a fact. Accounts on the path may go below zero.
    AllowWithOverdraft,
    /// Charge it if every account and window has room for what was not reserved.
    AllowIfAvailable,
    /// Refuse it.
    Reject,
}

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationState {
    /// Set aside.
    Active,
    /// Charged, in time or late.
    Settled,
    /// Given back by its holder.
    Released,
    /// Given back because its time was over.
    Expired,
}

/// Money set aside for one piece of work.
///
/// The ledger's side of it stands in the books of the agent, until it is settled, released or expired; this
/// side remembers the outcome, so that a repeated call has no effect. It changes only while the agent is locked.
#[derive(Debug)]
pub struct Reservation {
    agent: Arc<Account>,
    amount: Amount,
    number: u64,
    operation: OperationId,
    overage: Overage,
    /// When its time to live is over.
    time_over: Monotonic,
    /// The same, or never while it is kept alive: its place in the books.
    deadline: AtomicI64,
    outcome: Outcome,
}

/// What is wanted of a reservation.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The most that the work can cost.
    pub amount: Amount,
    /// Nanoseconds until it is given back by itself.
    pub ttl_nanos: i64,
    /// What a settlement beyond `amount` may do.
    pub overage: Overage,
    /// What for.
    pub operation: OperationId,
}

impl Reservation {
    /// The agent that it was made for.
    #[must_use]
    pub const fn agent(&self) -> &Arc<Account> {
        &self.agent
    }

    /// What was set aside.
    #[must_use]
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// Its number: the sequence of the agent's event that made it.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Its place in the agent's books.
    fn key(&self) -> ReservationKey {
        (Monotonic(self.deadline.load(Ordering::Relaxed)), self.number)
    }

    fn closed(&self, closed: Closed) -> LedgerError {
        LedgerError::ReservationClosed { account: Arc::clone(&self.agent.id), number: self.number, closed }
    }
}

impl Ledger {
    /// Sets money aside on the whole path of an agent and in its windows, everywhere or nowhere.
    pub fn reserve(&self, agent: &Arc<Account>, request: Request) -> Result<Reservation, LedgerError> {
        let now = self.clock.wall_coarse();
        self.retry_after_expiry(|| self.reserve_once(agent, request, now))
    }

    /// As [`reserve`](Self::reserve), but a repetition with the same key returns the same reservation.
    pub fn reserve_keyed(
        &self,
        agent: &Arc<Account>,
        request: Request,
        key: &str,
    ) -> Result<Arc<Reservation>, LedgerError> {
        let Request { amount, operation, .. } = request;
        let payload = Payload { agent: Arc::clone(agent), what: amount, operation, phase: Phase::Reserve };
        let reserve = || self.reserve(agent, request).map(|made| Admitted::Reserve(Arc::new(made)));
        match once(&self.keys, &self.clock, key, payload, reserve)? {
            Admitted::Reserve(reservation) => Ok(reservation),
            Admitted::Debit(_) => unreachable!("a key's payload tells debits from reservations"),
        }
    }

    fn reserve_once(
        &self,
        agent: &Arc<Account>,
        request: Request,
        now: Wall,
    ) -> Result<Reservation, LedgerError> {
        let Request { amount, ttl_nanos, overage, operation } = request;
        let mut state = agent.lock();
        state.check_open(agent)?;
        let windows_at = state.windows_at(self);
        self.pass_path(
            agent,
            &mut state,
            &Movement::reserve(amount),
            windows_at.map(|at| (at, amount)),
            now,
        )?;
        let number = state.history.record(now, EventKind::Reserve, amount, operation, self.history_limits);
        let deadline = self.clock.monotonic_coarse().plus(ttl_nanos);
        self.hold(agent, &mut state, (deadline, number), amount);
        Ok(Reservation {
            agent: Arc::clone(agent),
            amount,
            number,
            operation,
            overage,
            time_over: deadline,
            deadline: AtomicI64::new(deadline.0),
            outcome: Outcome::open(),
        })
    }

    /// Writes an active reservation into the books of an agent.
    fn hold(&self, agent: &Arc<Account>, state: &mut State, key: ReservationKey, amount: Amount) {
        state.holds().reservations.insert(key, amount);
        self.wake(agent, state, key.0);
    }

    /// Sets a timer for an agent, unless one waits that is due no later.
    pub(super) fn wake(&self, agent: &Arc<Account>, state: &mut State, at: Monotonic) {
        let holds = state.holds();
        if at < holds.timer_at() {
            holds.timers.push(at);
            self.timers.push(Timer { at, account: Arc::clone(agent) });
        }
    }

    /// Charges what the work has cost and gives the rest back. A repetition with the same amount has no effect.
    pub fn settle(&self, reservation: &Reservation, charged: Amount) -> Result<Receipt, LedgerError> {
        self.expire_due();
        let now = self.clock.wall();
        let mut state = reservation.agent.lock();
        match reservation.outcome.get() {
            None => {}
            Some(Closed::Settled(receipt)) if receipt.amount == charged => return Ok(receipt),
            Some(closed) => return Err(reservation.closed(closed)),
        }
        let receipt = self.settle_open(reservation, &mut state, charged, now)?;
        reservation.outcome.settle(&receipt);
        Ok(receipt)
    }

    fn settle_open(
        &self,
        reservation: &Reservation,
        state: &mut State,
        charged: Amount,
        now: Wall,
    ) -> Result<Receipt, LedgerError> {
        let (agent, key) = (&reservation.agent, reservation.key());
        let is_active = state.has_active(key);
        let (amount, overage) = (reservation.amount, reservation.overage);
        if overage == Overage::Reject && charged > amount {
            let refusal = agent.refusal(state, charged.units());
            return Err(LedgerError::OverReserved { refusal, reserved: amount });
        }
        let windows_at = state.windows_at(self);
        let overdraft = overage == Overage::AllowWithOverdraft;
        let (movement, beyond, kind) = match (is_active, overdraft) {
            (true, _) => {
                let movement = Movement::settle(amount, charged, overdraft);
                (movement, charged.saturating_sub(amount), EventKind::Settle)
            }
            (false, true) => (Movement::charge(charged), Amount::ZERO, EventKind::LateSettle),
            (false, false) => (Movement::debit(charged), charged, EventKind::LateSettle),
        };
        // What was set aside has its place in the windows; a fact needs none.
        let must_fit = windows_at.filter(|_| !overdraft).map(|at| (at, beyond));
        self.pass_path(agent, state, &movement, must_fit, now)?;
        state.calm(self);
        if is_active {
            state.holds().reservations.remove(&key);
        }
        state.write_usage(self, windows_at, kind, charged, reservation.operation, now);
        Ok(state.receipt(charged))
    }

    /// Gives back all that was set aside. A repetition, or a reservation that has expired, changes nothing.
    pub fn release(&self, reservation: &Reservation) -> Result<(), LedgerError> {
        self.expire_due();
        let mut state = reservation.agent.lock();
        if let Some(closed @ Closed::Settled(_)) = reservation.outcome.get() {
            return Err(reservation.closed(closed));
        }
        let key = reservation.key();
        if state.has_active(key) {
            let now = self.clock.wall_coarse();
            self.give_back(&reservation.agent, &mut state, key, EventKind::Release, now);
            reservation.outcome.release();
        }
        Ok(())
    }

    /// Keeps an active reservation from expiring until it is settled or released. One that is closed pays for
    /// nothing any more, and is refused.
    pub fn keep_alive(&self, reservation: &Reservation) -> Result<(), LedgerError> {
        self.expire_due();
        let mut state = reservation.agent.lock();
        if let Some(closed) = reservation.outcome.get() {
            return Err(reservation.closed(closed));
        }
        let reservations = &mut state.holds().reservations;
        let Some(amount) = reservations.remove(&reservation.key()) else {
            return Err(reservation.closed(Closed::Expired));
        };
        reservation.deadline.store(Monotonic::NEVER.0, Ordering::Relaxed);
        reservations.insert(reservation.key(), amount);
        Ok(())
    }

    /// Ends [`keep_alive`](Self::keep_alive), for a holder that is gone: it expires when it would have.
    pub fn let_expire(&self, reservation: &Reservation) {
        let mut state = reservation.agent.lock();
        let (key, expiring) = (reservation.key(), (reservation.time_over, reservation.number));
        if key != expiring
            && let Some(amount) = state.holds().reservations.remove(&key)
        {
            reservation.deadline.store(expiring.0.0, Ordering::Relaxed);
            self.hold(&reservation.agent, &mut state, expiring, amount);
        }
    }

    /// Where a reservation stands now.
    pub fn reservation_state(&self, reservation: &Reservation) -> ReservationState {
        self.expire_due();
        let state = reservation.agent.lock();
        match reservation.outcome.get() {
            Some(Closed::Settled(_)) => ReservationState::Settled,
            Some(Closed::Released) => ReservationState::Released,
            _ if state.has_active(reservation.key()) => ReservationState::Active,
            _ => ReservationState::Expired,
        }
    }

    /// What a reservation was settled for, if it was.
    pub fn settlement(&self, reservation: &Reservation) -> Option<Receipt> {
        match reservation.outcome.get() {
            Some(Closed::Settled(receipt)) => Some(receipt),
            _ => None,
        }
    }

    /// Gives back every reservation whose time is over. Returns how many there were.
    pub fn expire(&self) -> usize {
        let now = self.clock.monotonic_coarse();
        let Some(_turn) = self.timers.turn_if_due(now) else { return 0 };
        let mut expired = 0;
        while let Some(timer) = self.timers.pop_due(now) {
            expired += self.expire_account(&timer, now);
        }
        expired
    }

    /// As [`expire`](Self::expire): true if anything was due, here or in another thread that was at it.
    #[inline]
    pub(super) fn expire_due(&self) -> bool {
        let is_due = self.timers.is_due(self.clock.monotonic_coarse());
        if is_due {
            self.expire();
        }
        is_due
    }

    fn expire_account(&self, timer: &Timer, now: Monotonic) -> usize {
        let agent = &timer.account;
        let mut state = agent.lock();
        state.holds().timers.retain(|at| *at != timer.at);
        let wall = self.clock.wall();
        let mut expired = 0;
        while let Some(key) = first_due(&state.holds().reservations, now) {
            self.give_back(agent, &mut state, key, EventKind::Expire, wall);
            expired += 1;
        }
        while let Some(key) = first_due(&state.holds().resources, now) {
            self.give_back_resources(agent, &mut state, key, EventKind::Expire, wall);
            expired += 1;
        }
        let next = state.holds().next_deadline();
        self.wake(agent, &mut state, next);
        expired
    }

    /// Gives back an active reservation of an agent whose lock is held.
    fn give_back(
        &self,
        agent: &Arc<Account>,
        state: &mut State,
        key: ReservationKey,
        kind: EventKind,
        now: Wall,
    ) {
        let Some(amount) = state.holds().reservations.remove(&key) else { return };
        let movement = Movement::release(amount);
        let is_passed = agent.parent.as_ref().is_none_or(|pool| pool.pass(&movement, self, now));
        debug_assert!(is_passed, "nothing refuses what is given back");
        state.apply(&movement, agent, self);
        state.calm(self);
        state.history.record(now, kind, amount, OperationId::NONE, self.history_limits);
    }
}

/// The first of the reservations, if its time is over.
fn first_due<Held>(reservations: &BTreeMap<ReservationKey, Held>, now: Monotonic) -> Option<ReservationKey> {
    reservations.first_key_value().map(|(key, _)| *key).filter(|key| key.0 <= now)
}

impl State {
    fn has_active(&self, key: ReservationKey) -> bool {
        self.holds.as_deref().is_some_and(|holds: &Holds| holds.reservations.contains_key(&key))
    }
}

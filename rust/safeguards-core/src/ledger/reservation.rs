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
use crate::amount::Amount;
use crate::clock::{Monotonic, Wall};
use crate::sync::{AtomicI64, MutexGuard, Ordering};

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

/// Reservations that expire in one go: about a millisecond, with locks held for no longer.
const SLICE: usize = 1_024;

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
        let payload =
            Payload { agent: Arc::downgrade(agent), what: amount, operation, phase: Phase::Reserve };
        let reserve = || self.reserve(agent, request).map(|made| Admitted::Reserve(Arc::new(made)));
        match once(&self.keys, &self.clock, agent, key, payload, reserve)? {
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
        if at < state.holds().timer_at() {
            self.set_timer(agent, state, at);
        }
    }

    /// Sets the one timer of an agent; none if `at` is never.
    pub(super) fn set_timer(&self, agent: &Arc<Account>, state: &mut State, at: Monotonic) {
        let timer = (at < Monotonic::NEVER).then_some(at);
        let before = std::mem::replace(&mut state.holds().timer, timer);
        self.timers.set(agent, before, timer);
    }

    /// Charges what the work has cost and gives the rest back. A repetition with the same amount has no effect.
    pub fn settle(&self, reservation: &Reservation, charged: Amount) -> Result<Receipt, LedgerError> {
        let now = self.clock.wall();
        self.retry_after_expiry(|| self.settle_once(reservation, charged, now))
    }

    fn settle_once(
        &self,
        reservation: &Reservation,
        charged: Amount,
        now: Wall,
    ) -> Result<Receipt, LedgerError> {
        let mut state = self.lock_holder(reservation);
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
        let mut state = self.lock_holder(reservation);
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
        let mut state = self.lock_holder(reservation);
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
        let state = self.lock_holder(reservation);
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

    /// Locks the agent of a reservation, which has expired by then if its time is over. Serves some of what else
    /// is due, so that it does not pile up.
    #[inline]
    fn lock_holder<'a>(&self, reservation: &'a Reservation) -> MutexGuard<'a, State> {
        let now = self.expire_some();
        let mut state = reservation.agent.lock();
        if reservation.key().0 <= now {
            self.give_back_due(reservation, &mut state);
        }
        state
    }

    #[cold]
    fn give_back_due(&self, reservation: &Reservation, state: &mut State) {
        let now = self.clock.wall();
        self.give_back(&reservation.agent, state, reservation.key(), EventKind::Expire, now);
    }

    /// Gives back every reservation whose time is over. Returns how many there were.
    pub fn expire(&self) -> usize {
        self.expire_while(|| true)
    }

    /// As [`expire`](Self::expire), as long as it may `go_on`: asked after each slice of about a millisecond,
    /// between which no lock is held.
    pub fn expire_while(&self, go_on: impl Fn() -> bool) -> usize {
        let now = self.clock.monotonic_coarse();
        let mut expired = 0;
        while !self.serve(now, &mut expired) && go_on() {}
        expired
    }

    /// Serves one slice of what is due. Returns the time up to which it looked.
    #[inline]
    pub(super) fn expire_some(&self) -> Monotonic {
        let now = self.clock.monotonic_coarse();
        if self.timers.is_due(now) {
            self.serve(now, &mut 0);
        }
        now
    }

    /// Serves so many slices of what is due at `now`; true if nothing is due any more.
    pub(super) fn serve_slices(&self, now: Monotonic, slices: usize) -> bool {
        let mut is_done = self.serve(now, &mut 0);
        if !is_done && slices > 1 {
            self.at_length(&mut || is_done = (1..slices).any(|_| self.serve(now, &mut 0)));
        }
        is_done
    }

    /// Gives back reservations, about [`SLICE`] of them. True if nothing is due any more.
    fn serve(&self, now: Monotonic, expired: &mut usize) -> bool {
        let Some(_turn) = self.timers.turn_if_due(now) else { return true };
        let mut room = SLICE;
        while room > 0 {
            let Some(agent) = self.timers.pop_due(now) else { return true };
            let given_back = self.expire_account(&agent, now, room);
            *expired += given_back;
            room = room.saturating_sub(given_back + 1);
        }
        false
    }

    /// As [`expire`](Self::expire): true if anything was due, here or in another thread that was at it.
    #[inline]
    pub(super) fn expire_due(&self) -> bool {
        let now = self.clock.monotonic_coarse();
        let is_due = self.timers.is_due(now);
        if is_due {
            self.serve_slices(now, usize::MAX);
        }
        is_due
    }

    /// Gives back at most `limit` reservations of an agent whose timer has rung, and sets the next timer.
    fn expire_account(&self, agent: &Arc<Account>, now: Monotonic, limit: usize) -> usize {
        let mut state = agent.lock();
        let wall = self.clock.wall();
        let mut expired = 0;
        while expired < limit
            && let Some(key) = first_due(&state.holds().reservations, now)
        {
            self.give_back(agent, &mut state, key, EventKind::Expire, wall);
            expired += 1;
        }
        while expired < limit
            && let Some(key) = first_due(&state.holds().resources, now)
        {
            self.give_back_resources(agent, &mut state, key, EventKind::Expire, wall);
            expired += 1;
        }
        let next = state.holds().next_deadline();
        self.set_timer(agent, &mut state, next);
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

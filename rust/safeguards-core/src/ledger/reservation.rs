//! Two-phase debits: set aside the most it can cost, charge what it did cost.

use std::borrow::Borrow;
use std::sync::Arc;

use super::Ledger;
use super::account::Account;
use super::change::{AccountChange, Quantities, Terms};
use super::closures::Ended;
use super::debit::Receipt;
use super::error::{Closed, LedgerError};
use super::event::EventKind;
use super::holds::Held;
use super::idempotency::{Effect, Once, Payload};
use super::operation::OperationId;
use super::path::{Agents, Joint, Path};
use super::quantity::{Quantity, Transaction};
use super::resources::Bundle;
use super::waiting::Asks;
use crate::amount::Amount;
use crate::clock::{Monotonic, Wall};

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

/// Money or resources set aside for one piece of work: a handle, of which there may be several.
///
/// What is true of the reservation stands in the books of the agent while it is active, and among the
/// [closures](super::closures) afterwards.
#[derive(Clone, Debug)]
pub struct Reservation<Q = Amount> {
    agent: Arc<Account>,
    joint: Option<Arc<Joint>>,
    what: Q,
    number: u64,
    operation: OperationId,
    overage: Overage,
    incarnation: u64,
}

/// What is wanted of a reservation.
#[derive(Clone, Copy, Debug)]
pub struct Request<Q = Amount> {
    /// The most that the work can cost.
    pub what: Q,
    /// Nanoseconds until it is given back by itself.
    pub ttl_nanos: i64,
    /// What a settlement beyond `what` may do.
    pub overage: Overage,
    /// What for.
    pub operation: OperationId,
}

/// Who told what a reservation is settled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettledBy {
    /// The caller, who knows what it has cost.
    Caller,
    /// Nobody: it is what was agreed for that case.
    Default,
}

/// Reservations that expire in one go: about a millisecond, with locks held for no longer.
const SLICE: usize = 1_024;

/// After how long it is tried again to write down what is over: a second.
const RETRY_NANOS: i64 = 1_000_000_000;

impl<Q> Reservation<Q> {
    /// The agent that it was made for.
    #[must_use]
    pub const fn agent(&self) -> &Arc<Account> {
        &self.agent
    }

    /// What was set aside.
    #[must_use]
    pub const fn what(&self) -> &Q {
        &self.what
    }

    /// Its number among the agent's reservations: 1, 2, 3 and so on.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Of the books that it was made in.
    pub(super) const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The accounts that it holds on.
    #[must_use]
    pub const fn path(&self) -> Path<'_> {
        Path { agent: &self.agent, joint: self.joint.as_ref() }
    }

    fn closed(&self, closed: Closed) -> LedgerError {
        let closed = Box::new(closed);
        LedgerError::ReservationClosed { account: Arc::clone(&self.agent.id), number: self.number, closed }
    }

    fn forgotten(&self) -> LedgerError {
        LedgerError::ReservationForgotten { account: Arc::clone(&self.agent.id), number: self.number }
    }
}

impl<Q> PartialEq for Reservation<Q> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.agent, &other.agent) && self.number == other.number
    }
}

impl Ledger {
    /// Sets something aside on every account of a path and, of money, in its windows: everywhere or nowhere.
    pub fn reserve<'a, Q: Quantity>(
        &self,
        path: impl Into<Path<'a>>,
        request: &Request<Q>,
    ) -> Result<Reservation<Q>, LedgerError> {
        let made = self.reserve_at(path.into(), request, None, Asks::Once);
        self.serve_waiting();
        made
    }

    /// As [`reserve`](Self::reserve), with a key or without, for a call that can wait: `None` if it has to, as nothing
    /// fits or others are to go first.
    pub fn reserve_at_once(
        &self,
        path: Path<'_>,
        request: &Request,
        key: Option<&str>,
    ) -> Result<Option<Once<Reservation>>, LedgerError> {
        if self.has_waiters(path) {
            return Ok(None);
        }
        let made = unless_passing(self.reserve_asking(path, request, key, Asks::Again));
        self.serve_waiting();
        made
    }

    /// As [`reserve`](Self::reserve), once for each key: while the reservation is active, or settled, a repetition
    /// returns it. One that was given back has no effect any more, and the next request under its key is decided anew.
    pub fn reserve_keyed<'a, Q: Quantity>(
        &self,
        path: impl Into<Path<'a>>,
        request: &Request<Q>,
        key: &str,
    ) -> Result<Once<Reservation<Q>>, LedgerError> {
        let made = self.reserve_asking(path.into(), request, Some(key), Asks::Once);
        self.serve_waiting();
        made
    }

    /// As [`reserve`](Self::reserve), with a key or without. Serves nobody: a queue may be locked.
    pub(super) fn reserve_asking<Q: Quantity>(
        &self,
        path: Path<'_>,
        request: &Request<Q>,
        key: Option<&str>,
        asks: Asks,
    ) -> Result<Once<Reservation<Q>>, LedgerError> {
        let Some(key) = key else { return self.reserve_at(path, request, None, asks).map(Once::first) };
        let payload = Payload::of_reservation(path, request);
        let reserve = || {
            let made = self.reserve_at(path, request, Some(key), asks)?;
            Ok(Effect::Reserved { handle: made.agent.handle, number: made.number })
        };
        let stands = |effect: &Effect| self.stands::<Q>(key, effect);
        let Once { value: effect, is_repeat } = Q::keys(self).once(key, payload, self, stands, reserve)?;
        path.agent.lock().check_open(path.agent)?;
        match effect {
            Effect::Reserved { number, .. } => {
                Ok(Once { value: self.handle_of(path, request, number), is_repeat })
            }
            // A key's payload tells debits from reservations.
            Effect::Charged(_) => Err(LedgerError::IdempotencyConflict(key.into())),
        }
    }

    /// Whether what was done under a key has an effect. One that is at work in a `with` block is in progress.
    pub(super) fn stands<Q: Quantity>(&self, key: &str, effect: &Effect) -> Result<bool, LedgerError> {
        let (handle, number) = match effect {
            Effect::Charged(settlement) => return Ok(!self.is_undone(settlement)),
            Effect::Reserved { handle, number } => (*handle, *number),
        };
        // What an agent did that has left cannot be told any more: it may have been charged.
        let Ok(agent) = self.directory.slots().get(handle).cloned() else { return Ok(true) };
        if let Some(reservation) = self.find_open::<Q>(&agent, number) {
            let agents = self.lock_holder(&reservation)?;
            match agents.state.hold(number) {
                Some(held) if held.deadline == Monotonic::NEVER => {
                    return Err(LedgerError::IdempotencyInProgress(key.into()));
                }
                Some(_) => return Ok(true),
                None => {}
            }
        }
        match self.closures.find(&agent, number) {
            Some(Closed::Settled(settlement)) => Ok(!self.is_undone(&settlement)),
            Some(Closed::Released | Closed::Expired) => Ok(false),
            None => Err(LedgerError::ReservationForgotten { account: Arc::clone(&agent.id), number }),
        }
    }

    fn handle_of<Q: Quantity>(&self, path: Path<'_>, request: &Request<Q>, number: u64) -> Reservation<Q> {
        let (agent, joint) = (Arc::clone(path.agent), path.joint.cloned());
        self.handle_with(agent, joint, request.what.clone(), number, request.operation, request.overage)
    }

    pub(super) fn handle_with<Q: Quantity>(
        &self,
        agent: Arc<Account>,
        joint: Option<Arc<Joint>>,
        what: Q,
        number: u64,
        operation: OperationId,
        overage: Overage,
    ) -> Reservation<Q> {
        Reservation { agent, joint, what, number, operation, overage, incarnation: self.incarnation }
    }

    fn reserve_at<Q: Quantity>(
        &self,
        path: Path<'_>,
        request: &Request<Q>,
        key: Option<&str>,
        asks: Asks,
    ) -> Result<Reservation<Q>, LedgerError> {
        // Who asks again holds the lock of a queue.
        self.retry_unless_held(key.is_none() && asks.is_counted(), asks, || {
            let mut agents = path.lock().asking(asks);
            let (now, wall) = self.clock.coarse();
            agents.check_open()?;
            agents.renew(self, wall);
            let time_over = deadline(now, request.ttl_nanos);
            let number = agents.state.next_reservation();
            let Request { ref what, ttl_nanos, overage, operation } = *request;
            let terms = Terms { time_over, ttl_nanos, overage };
            let transaction = Transaction::reserve(path, what, operation, wall, key, (number, terms));
            let at = Q::pass(&transaction, &mut agents, self)?;
            transaction.hold(&mut agents, at, self);
            self.wake(&mut agents, time_over);
            Ok(self.handle_of(path, request, number))
        })
    }

    /// Sets the timer of an agent, unless it is due no later.
    #[inline]
    pub(super) fn wake(&self, agents: &mut Agents<'_>, at: Monotonic) {
        if at < agents.state.timer().unwrap_or(Monotonic::NEVER) {
            self.set_timer(agents, Some(at));
        }
    }

    /// Sets the one timer of an agent, or none.
    fn set_timer(&self, agents: &mut Agents<'_>, at: Option<Monotonic>) {
        let before = agents.state.set_timer(at);
        self.timers.set(agents.agent, before, at);
        self.waiting.expire_at(at.unwrap_or(Monotonic::NEVER));
    }

    /// Charges what the work has cost and gives the rest back. A repetition with the same amount has no effect.
    pub fn settle<Q: Quantity>(
        &self,
        reservation: &Reservation<Q>,
        charged: impl Borrow<Q>,
    ) -> Result<Q::Receipt, LedgerError> {
        self.settle_as(reservation, charged, SettledBy::Caller)
    }

    /// As [`settle`](Self::settle), and whether it was the caller who told the amount.
    pub fn settle_as<Q: Quantity>(
        &self,
        reservation: &Reservation<Q>,
        charged: impl Borrow<Q>,
        by: SettledBy,
    ) -> Result<Q::Receipt, LedgerError> {
        let receipt = self.settle_quietly(reservation, charged.borrow(), by);
        self.serve_waiting();
        receipt
    }

    /// The same, but who waits is served later.
    fn settle_quietly<Q: Quantity>(
        &self,
        reservation: &Reservation<Q>,
        charged: &Q,
        by: SettledBy,
    ) -> Result<Q::Receipt, LedgerError> {
        self.check_own(reservation)?;
        let wall = self.clock.wall();
        self.retry_after_expiry(|| self.settle_once(reservation, charged, by, wall, None))
    }

    /// Charges all that is set aside as a debit with a key, which was not used before: else the receipt of that debit,
    /// and nothing is charged.
    pub(super) fn charge_keyed(
        &self,
        reservation: &Reservation,
        key: &str,
    ) -> Result<Once<Receipt>, LedgerError> {
        self.check_own(reservation)?;
        let (path, what, wall) = (reservation.path(), &reservation.what, self.clock.wall());
        let payload = Payload::of_debit(path, what, reservation.operation);
        let charge = || {
            let receipt = self.settle_once(reservation, what, SettledBy::Caller, wall, Some(key))?;
            Ok(Effect::Charged(Amount::settlement(receipt)))
        };
        let stands = |effect: &Effect| self.stands::<Amount>(key, effect);
        let Once { value: effect, is_repeat } = self.keys.once(key, payload, self, stands, charge)?;
        Ok(Once { value: receipt_of(&effect, key)?, is_repeat })
    }

    /// The receipt of a debit that was charged under a key, if one was.
    pub(super) fn charged_before(
        &self,
        path: Path<'_>,
        request: &Request,
        key: &str,
    ) -> Result<Option<Receipt>, LedgerError> {
        let payload = Payload::of_debit(path, &request.what, request.operation);
        let stands = |effect: &Effect| self.stands::<Amount>(key, effect);
        let effect = self.keys.find(key, &payload, self, stands)?;
        effect.map(|effect| receipt_of(&effect, key)).transpose()
    }

    fn settle_once<Q: Quantity>(
        &self,
        reservation: &Reservation<Q>,
        charged: &Q,
        by: SettledBy,
        wall: Wall,
        key: Option<&str>,
    ) -> Result<Q::Receipt, LedgerError> {
        let mut agents = self.lock_holder(reservation)?;
        agents.renew(self, wall);
        let is_active = agents.state.hold(reservation.number).is_some();
        if !is_active && let Some(receipt) = self.settled_before(reservation, charged)? {
            return Ok(receipt);
        }
        if reservation.overage == Overage::Reject {
            let within = charged.check_within(&reservation.what, &agents, self);
            within.map_err(|refused| refused.asked(reservation.path(), reservation.operation))?;
        }
        let (path, held) = (reservation.path(), is_active.then_some(&reservation.what));
        let Reservation { operation, number, overage, .. } = *reservation;
        let mut bounded: Option<(Q, Amount)> = None;
        loop {
            let last = bounded.take();
            let (what, unpaid) = last.as_ref().map_or((charged, Amount::ZERO), |(what, rest)| (what, *rest));
            let settle = Transaction::settle(path, what, operation, wall, number, held, overage);
            let transaction = Transaction { unpaid, key, ..settle.by(by) };
            match Q::pass(&transaction, &mut agents, self) {
                Ok(at) => {
                    transaction.hold(&mut agents, at, self);
                    return Ok(Q::receipt(&transaction, &agents, at, self));
                }
                // The least headroom on the path bounds the charge on the whole path.
                Err(LedgerError::BeyondOverdraftLimit(headroom)) => bounded = charged.beyond(held, headroom),
                Err(error) => return Err(error),
            }
        }
    }

    /// The receipt of a settlement that is repeated; `None` if a reservation has expired and can be settled late.
    #[cold]
    fn settled_before<Q: Quantity>(
        &self,
        reservation: &Reservation<Q>,
        charged: &Q,
    ) -> Result<Option<Q::Receipt>, LedgerError> {
        match self.closures.find(&reservation.agent, reservation.number) {
            None => Err(reservation.forgotten()),
            Some(Closed::Expired) => Ok(None),
            Some(closed) => match Q::receipt_of(&closed) {
                Some(receipt) if charged.is_charged_by(&receipt) => Ok(Some(receipt)),
                _ => Err(reservation.closed(closed)),
            },
        }
    }

    /// Gives back all that was set aside. A repetition, or a reservation that has expired, changes nothing.
    pub fn release<Q: Quantity>(&self, reservation: &Reservation<Q>) -> Result<(), LedgerError> {
        let released = self.release_quietly(reservation);
        self.serve_waiting();
        released
    }

    /// The same, but who waits is served later.
    pub(super) fn release_quietly<Q: Quantity>(
        &self,
        reservation: &Reservation<Q>,
    ) -> Result<(), LedgerError> {
        self.check_own(reservation)?;
        let mut agents = self.lock_holder(reservation)?;
        if agents.state.hold(reservation.number).is_some() {
            return self.give_back(&mut agents, reservation, EventKind::Release, self.clock.wall_coarse());
        }
        match self.closures.find(&reservation.agent, reservation.number) {
            Some(closed @ Closed::Settled(_)) => Err(reservation.closed(closed)),
            _ => Ok(()),
        }
    }

    /// Keeps an active reservation from expiring until it is settled or released. One that is closed pays for
    /// nothing any more, and is refused.
    pub fn keep_alive<Q: Quantity>(&self, reservation: &Reservation<Q>) -> Result<(), LedgerError> {
        self.prolong(reservation, |_, held| Ok((Monotonic::NEVER, held.time_over)))
    }

    /// As [`keep_alive`](Self::keep_alive), for one of several who have the reservation under a key: it does the work of
    /// one alone, and whoever comes second is told that it is in progress.
    pub fn keep_alive_keyed<Q: Quantity>(
        &self,
        reservation: &Reservation<Q>,
        key: &str,
    ) -> Result<(), LedgerError> {
        self.prolong(reservation, |_, held| {
            if held.deadline == Monotonic::NEVER {
                return Err(LedgerError::IdempotencyInProgress(key.into()));
            }
            Ok((Monotonic::NEVER, held.time_over))
        })
    }

    /// Lets an active reservation live for `ttl_nanos` from now on, whether it is kept alive or not.
    pub fn extend<Q: Quantity>(
        &self,
        reservation: &Reservation<Q>,
        ttl_nanos: i64,
    ) -> Result<(), LedgerError> {
        self.prolong(reservation, |now, held| {
            let time_over = deadline(now, ttl_nanos);
            Ok((if held.deadline == Monotonic::NEVER { Monotonic::NEVER } else { time_over }, time_over))
        })
    }

    /// Ends [`keep_alive`](Self::keep_alive), for a holder that is gone: it expires when it would have.
    pub fn let_expire<Q: Quantity>(&self, reservation: &Reservation<Q>) -> Result<(), LedgerError> {
        self.prolong(reservation, |_, held| Ok((held.time_over, held.time_over)))
    }

    /// Moves an active reservation to another deadline.
    fn prolong<Q: Quantity>(
        &self,
        reservation: &Reservation<Q>,
        to: impl Fn(Monotonic, &Held) -> Result<(Monotonic, Monotonic), LedgerError>,
    ) -> Result<(), LedgerError> {
        self.check_own(reservation)?;
        let mut agents = self.lock_holder(reservation)?;
        let Some(held) = agents.state.hold(reservation.number) else {
            let closed = self.closures.find(&reservation.agent, reservation.number);
            return Err(closed.map_or_else(|| reservation.forgotten(), |closed| reservation.closed(closed)));
        };
        let at = self.instant();
        let (number, from) = (reservation.number, held.deadline);
        let (to, time_over) = to(at.monotonic, held)?;
        let change = AccountChange::Prolonged { number, from, to, time_over };
        self.write_account(reservation.agent.number, &change, at)?;
        agents.state.apply(&change, at, self);
        self.wake(&mut agents, to);
        Ok(())
    }

    /// Where a reservation stands now.
    pub fn reservation_state<Q: Quantity>(
        &self,
        reservation: &Reservation<Q>,
    ) -> Result<ReservationState, LedgerError> {
        self.check_own(reservation)?;
        let agents = self.lock_holder(reservation)?;
        if agents.state.hold(reservation.number).is_some() {
            return Ok(ReservationState::Active);
        }
        Ok(match self.closures.find(&reservation.agent, reservation.number) {
            Some(Closed::Settled(_)) => ReservationState::Settled,
            Some(Closed::Released) => ReservationState::Released,
            Some(Closed::Expired) | None => ReservationState::Expired,
        })
    }

    /// What a reservation was settled for, if it was and that is remembered.
    pub fn settlement<Q: Quantity>(&self, reservation: &Reservation<Q>) -> Option<Q::Receipt> {
        self.check_own(reservation).ok()?;
        let _state = reservation.agent.lock();
        Q::receipt_of(&self.closures.find(&reservation.agent, reservation.number)?)
    }

    fn check_own<Q>(&self, reservation: &Reservation<Q>) -> Result<(), LedgerError> {
        if reservation.incarnation == self.incarnation { Ok(()) } else { Err(reservation.forgotten()) }
    }

    /// Locks the agents of a reservation, which has expired by then if its time is over. Serves some of what else
    /// is due, so that it does not pile up.
    #[inline]
    fn lock_holder<'a, Q: Quantity>(
        &self,
        reservation: &'a Reservation<Q>,
    ) -> Result<Agents<'a>, LedgerError> {
        let now = self.expire_some();
        let mut agents = reservation.path().lock();
        if agents.state.hold(reservation.number).is_some_and(|held| held.deadline <= now) {
            self.give_back(&mut agents, reservation, EventKind::Expire, self.clock.wall())?;
        }
        Ok(agents)
    }

    /// Gives back what an active reservation has set aside.
    fn give_back<Q: Quantity>(
        &self,
        agents: &mut Agents<'_>,
        reservation: &Reservation<Q>,
        kind: EventKind,
        wall: Wall,
    ) -> Result<(), LedgerError> {
        agents.renew(self, wall);
        let Reservation { what, operation, number, .. } = reservation;
        let path = reservation.path();
        let transaction = Transaction::give_back(path, kind, what, *operation, wall, *number);
        let at = Q::pass(&transaction, agents, self)?;
        transaction.hold(agents, at, self);
        Ok(())
    }

    /// A handle of an active reservation, if it is of this kind.
    fn handle_of_hold<Q: Quantity>(
        &self,
        agent: &Arc<Account>,
        number: u64,
        held: &Held,
    ) -> Option<Reservation<Q>> {
        let Held { what, operation, overage, joint, .. } = held;
        let (agent, joint, what) = (Arc::clone(agent), joint.clone(), Q::of(what)?.clone());
        Some(self.handle_with(agent, joint, what, number, *operation, *overage))
    }

    /// As [`settle`](Self::settle), of an agent's reservation of this number: whether it is charged for so much, now
    /// or by an earlier settlement.
    pub(super) fn settle_number(
        &self,
        agent: &Arc<Account>,
        number: u64,
        charged: Amount,
    ) -> Result<bool, LedgerError> {
        if let Some(reservation) = self.find_open::<Amount>(agent, number) {
            return self.settle_quietly(&reservation, &charged, SettledBy::Caller).map(|_| true);
        }
        let closed = self.closures.find(agent, number);
        Ok(closed.and_then(|closed| Amount::receipt_of(&closed)).is_some_and(|it| charged.is_charged_by(&it)))
    }

    /// As [`release`](Self::release), of an agent's reservation of this number: whether it is known to be given back.
    pub(super) fn release_number(&self, agent: &Arc<Account>, number: u64) -> Result<bool, LedgerError> {
        match self.find_open::<Amount>(agent, number) {
            Some(reservation) => self.release_quietly(&reservation).map(|()| true),
            None => Ok(self.closures.is_released_money(agent, number)),
        }
    }

    /// A handle of a reservation that can still be settled: it is active, or has expired and is remembered.
    fn find_open<Q: Quantity>(&self, agent: &Arc<Account>, number: u64) -> Option<Reservation<Q>> {
        let state = agent.lock();
        if let Some(held) = state.hold(number) {
            return self.handle_of_hold(agent, number, held);
        }
        let Ended { what, operation, overage, joint, .. } = self.closures.lapsed(agent, number)?;
        let (agent, what) = (Arc::clone(agent), Q::of(&what)?.clone());
        Some(self.handle_with(agent, joint, what, number, operation, overage))
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
        self.serve_waiting();
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

    /// Serves so many slices of what is due at `now`; true if nothing is due any more. Who holds a lock must not let go
    /// of what others need to get to it.
    pub(super) fn serve_slices(&self, now: Monotonic, slices: usize, may_let_go: bool) -> bool {
        let mut is_done = self.serve(now, &mut 0);
        let mut others = || is_done = (1..slices).any(|_| self.serve(now, &mut 0));
        if !self.timers.is_due(now) || slices < 2 {
            return is_done;
        }
        if may_let_go {
            self.at_length(&mut others);
        } else {
            others();
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
            self.serve_slices(now, usize::MAX, true);
        }
        is_due
    }

    /// Gives back at most `limit` reservations of an agent whose timer has rung, and sets the next timer.
    fn expire_account(&self, agent: &Arc<Account>, now: Monotonic, limit: usize) -> usize {
        let wall = self.clock.wall();
        let mut expired = 0;
        let mut earliest = now;
        while expired < limit
            && let Some((number, held)) = first_due(agent, now)
        {
            let Ok(is_expired) = self.expire_one(agent, number, &held, now, wall) else {
                // What cannot be written down does not happen; it is tried again in a while.
                earliest = now.plus(RETRY_NANOS);
                break;
            };
            expired += usize::from(is_expired);
        }
        let mut agents = Path::of(agent).lock();
        let next = agents.state.next_deadline().map(|(deadline, _)| deadline.max(earliest));
        self.set_timer(&mut agents, next);
        expired
    }

    /// Gives back one reservation: false if somebody has closed or prolonged it meanwhile.
    fn expire_one(
        &self,
        agent: &Arc<Account>,
        number: u64,
        held: &Held,
        now: Monotonic,
        wall: Wall,
    ) -> Result<bool, LedgerError> {
        let path = Path { agent, joint: held.joint.as_ref() };
        let mut agents = path.lock();
        if agents.state.hold(number).is_none_or(|held| held.deadline > now) {
            return Ok(false);
        }
        match &held.what {
            Quantities::Money(_) => self.expire_held::<Amount>(&mut agents, agent, number, held, wall),
            Quantities::Resources(_) => self.expire_held::<Bundle>(&mut agents, agent, number, held, wall),
        }?;
        Ok(true)
    }

    fn expire_held<Q: Quantity>(
        &self,
        agents: &mut Agents<'_>,
        agent: &Arc<Account>,
        number: u64,
        held: &Held,
        wall: Wall,
    ) -> Result<(), LedgerError> {
        let reservation = self.handle_of_hold::<Q>(agent, number, held);
        reservation
            .map_or(Ok(()), |reservation| self.give_back(agents, &reservation, EventKind::Expire, wall))
    }
}

/// None for a refusal that time may undo.
pub(super) fn unless_passing<R>(outcome: Result<R, LedgerError>) -> Result<Option<R>, LedgerError> {
    match outcome {
        Err(refused) if refused.may_pass() => Ok(None),
        outcome => outcome.map(Some),
    }
}

fn receipt_of(effect: &Effect, key: &str) -> Result<Receipt, LedgerError> {
    match effect {
        Effect::Charged(settlement) => Amount::receipt_in(settlement).copied(),
        // A key's payload tells debits from reservations.
        Effect::Reserved { .. } => None,
    }
    .ok_or_else(|| LedgerError::IdempotencyConflict(key.into()))
}

/// When a time to live is over: one for ever ends with the line of time, for never is what is kept alive.
pub(super) fn deadline(now: Monotonic, ttl_nanos: i64) -> Monotonic {
    Monotonic(now.plus(ttl_nanos).0.min(Monotonic::NEVER.0 - 1))
}

/// The first of an agent's reservations, if its time is over.
fn first_due(agent: &Account, now: Monotonic) -> Option<(u64, Held)> {
    let mut state = agent.lock();
    let (deadline, number) = state.next_deadline()?;
    if deadline > now {
        return None;
    }
    state.hold(number).map(|held| (number, held.clone()))
}

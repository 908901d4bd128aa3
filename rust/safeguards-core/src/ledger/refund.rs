//! Charges given back: what would still be there if they had not been made.
//!
//! A charge is told by its agent and its event, and by the era in which it was made: the number of periods of all
//! accounts that had begun by then. An account whose period has begun since gets nothing back, for what that period left
//! has lapsed; its `spent` falls all the same, in the period of the charge. A window gets it back while the charge is in
//! it. What was given back of a charge is remembered as long as keys are, and older charges are not given back.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

use super::Ledger;
use super::account::Account;
use super::balance::Movement;
use super::change::{Change, Refunded};
use super::debit::{Charge, Receipt};
use super::error::{Closed, LedgerError, Settlement};
use super::idempotency::{Effect, MAX_KEY_AGE_NANOS, MAX_KEYS};
use super::path::{Agents, Joint, Path};
use super::reservation_id::ReservationId;
use crate::amount::Amount;
use crate::clock::Monotonic;
use crate::sync::Mutex;

/// The era of accounts whose charges are never given back.
pub(super) const NO_ERA: u64 = 0;

/// Periods of all accounts that have begun: the last one's number.
#[derive(Debug, Default)]
pub(super) struct Eras(AtomicU64);

impl Eras {
    /// The number of a period that begins.
    pub(super) fn begin(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whoever holds the lock of an account sees at least the begin of its own period.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A change says that this one has begun.
    pub(super) fn skip_to(&self, era: u64) {
        self.0.fetch_max(era, Ordering::Relaxed);
    }
}

/// How people name a charge.
#[derive(Clone, Copy, Debug)]
pub enum ChargeId<'a> {
    /// By its receipt.
    Receipt(&'a Receipt),
    /// By the key that it was made under.
    Key(&'a str),
    /// By the reservation that it settled.
    Reservation(ReservationId),
}

/// What a refund has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refund {
    /// What was given back.
    pub amount: Amount,
    /// All that was given back of the charge.
    pub refunded: Amount,
    /// Units that the agent has left.
    pub remaining: i128,
    /// The event in the agent's history.
    pub sequence: u64,
}

/// Why a charge is not given back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefundFault {
    /// Nothing was charged that is called so, or it is forgotten.
    #[error("no charge is known by that")]
    Unknown,
    /// It is of resources.
    #[error("the charge is of resources")]
    Resources,
    /// The reservation was not charged.
    #[error("nothing was charged for the reservation")]
    NotCharged,
    /// It is too long ago, or too many refunds ago.
    #[error("the charge is too old")]
    TooOld,
    /// Less is left of it than was asked for.
    #[error("{refunded} of {charged} were given back before")]
    TooMuch {
        /// What was charged.
        charged: Amount,
        /// What was given back before.
        refunded: Amount,
        /// What was asked for.
        requested: Amount,
    },
}

impl From<RefundFault> for LedgerError {
    fn from(fault: RefundFault) -> Self {
        Self::Refund(Box::new(fault))
    }
}

/// What was given back of each charge, the newest charges that anything was given back of.
#[derive(Debug, Default)]
pub(super) struct Refunds(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    amounts: HashMap<(u32, u64), Amount, RandomState>,
    /// When something was first given back of each, and when it was charged.
    by_age: VecDeque<(Monotonic, Monotonic, (u32, u64))>,
    /// What was charged up to then may have been given back without being remembered.
    forgotten: Option<Monotonic>,
}

impl Table {
    fn forget_old(&mut self, now: Monotonic) {
        while let Some((at, charged, id)) = self.by_age.front().copied()
            && (now.since(at) >= MAX_KEY_AGE_NANOS || self.by_age.len() > MAX_KEYS)
        {
            self.by_age.pop_front();
            self.amounts.remove(&id);
            self.forgotten = self.forgotten.max(Some(charged));
        }
    }
}

impl Refunds {
    /// What was given back of a charge.
    fn of(&self, charge: &Charge, now: Monotonic) -> Amount {
        let mut table = self.0.lock();
        table.forget_old(now);
        table.amounts.get(&(charge.handle, charge.sequence)).copied().unwrap_or_default()
    }

    /// What was given back of a charge; `None` if that may be forgotten.
    fn known(&self, charge: &Charge, now: Monotonic) -> Option<Amount> {
        let refunded = self.of(charge, now);
        let table = self.0.lock();
        let is_known = !refunded.is_zero() || table.forgotten.is_none_or(|until| charge.at > until);
        (is_known && now.since(charge.at) < MAX_KEY_AGE_NANOS).then_some(refunded)
    }

    /// Remembers that so much more was given back. Returns all of it.
    fn add(&self, charge: &Charge, amount: Amount, now: Monotonic) -> Amount {
        let (mut table, id) = (self.0.lock(), (charge.handle, charge.sequence));
        let before = table.amounts.get(&id).copied();
        if before.is_none() {
            table.by_age.push_back((now, charge.at, id));
        }
        let refunded = sum(before.unwrap_or_default(), amount);
        table.amounts.insert(id, refunded);
        table.forget_old(now);
        refunded
    }

    /// In words, for comparing two ledgers.
    pub(super) fn lines(&self, now: Monotonic) -> Vec<String> {
        let mut table = self.0.lock();
        table.forget_old(now);
        let mut lines: Vec<_> =
            table.amounts.iter().map(|(id, amount)| format!("refunded {id:?} {amount}")).collect();
        lines.sort_unstable();
        lines
    }
}

impl Ledger {
    /// Gives back `amount` of a charge, or all that is left of it.
    ///
    /// # Errors
    /// [`LedgerError::Refund`], which says why not; or the change cannot be written down. Nothing was changed.
    pub fn refund(&self, of: ChargeId<'_>, amount: Option<Amount>) -> Result<Refund, LedgerError> {
        let receipt = self.charged(of)?;
        let charge = receipt.charge;
        let unknown = || LedgerError::from(RefundFault::Unknown);
        let agent = self.directory.slots().get(charge.handle).cloned().map_err(|_| unknown())?;
        let joint = self.joint_of(&agent, &charge)?;
        let (path, at) = (Path::with(&agent, joint.as_ref()), self.instant());
        let mut agents = path.lock();
        agents.renew(self, at.wall);
        let refunded =
            self.refunds.known(&charge, at.monotonic).ok_or(LedgerError::from(RefundFault::TooOld))?;
        let left = receipt.amount.saturating_sub(refunded);
        let amount = amount.unwrap_or(left);
        if amount > left {
            let (charged, requested) = (receipt.amount, amount);
            return Err(RefundFault::TooMuch { charged, refunded, requested }.into());
        }
        let part = Refunded { path: charge.path, agent: agent.number, charge, amount };
        if amount.is_zero() {
            return Ok(agents.refund_told(amount, refunded));
        }
        self.write(|| (at, Change::Refunded(part)))?;
        let refund = self.give_back_charge(path, &mut agents, &part, at);
        self.waiting.signal_all(path.accounts(), true);
        drop(agents);
        self.serve_waiting();
        Ok(refund)
    }

    /// Whether something was done under a key, as far as that is remembered.
    #[must_use]
    pub fn knows_key(&self, key: &str) -> bool {
        self.keys.known(key, self.clock.monotonic_coarse()).is_some()
    }

    /// What was given back of a charge, as far as that is remembered.
    #[must_use]
    pub fn refunded(&self, receipt: &Receipt) -> Amount {
        self.refunds.of(&receipt.charge, self.clock.monotonic_coarse())
    }

    /// Whether all of a charge was given back: it has no effect any more.
    pub(super) fn is_undone(&self, settlement: &Settlement) -> bool {
        let Settlement::Money(receipt) = settlement else { return false };
        !receipt.amount.is_zero() && self.refunded(receipt) == receipt.amount
    }

    /// The receipt of a charge.
    fn charged(&self, of: ChargeId<'_>) -> Result<Receipt, LedgerError> {
        let fault = |fault: RefundFault| Err(fault.into());
        let (handle, number) = match of {
            ChargeId::Receipt(receipt) => return Ok(*receipt),
            ChargeId::Reservation(id) if id.incarnation != self.incarnation => {
                return fault(RefundFault::Unknown);
            }
            ChargeId::Reservation(id) => (id.handle, id.number),
            ChargeId::Key(key) => match self.keys.known(key, self.clock.monotonic_coarse()) {
                Some(Effect::Charged(settlement)) => return money(&settlement),
                Some(Effect::Reserved { handle, number }) => (handle, number),
                None => return fault(RefundFault::Unknown),
            },
        };
        let Ok(agent) = self.directory.slots().get(handle).cloned() else {
            return fault(RefundFault::Unknown);
        };
        self.expire_due();
        let is_active = agent.lock().hold(number).is_some();
        match self.closures.find(&agent, number) {
            Some(Closed::Settled(settlement)) => money(&settlement),
            Some(Closed::Released | Closed::Expired) => fault(RefundFault::NotCharged),
            None if is_active => fault(RefundFault::NotCharged),
            None => fault(RefundFault::Unknown),
        }
    }

    /// What was charged beside an agent's own line, by the number of the path.
    fn joint_of(&self, agent: &Arc<Account>, charge: &Charge) -> Result<Option<Arc<Joint>>, LedgerError> {
        if charge.path == agent.number {
            return Ok(former_line(agent, charge, self));
        }
        let forgotten = || LedgerError::from(RefundFault::TooOld);
        self.joints.find(charge.path).map(Some).ok_or_else(forgotten)
    }

    /// Gives part of a charge back on its whole path.
    pub(super) fn give_back_charge(
        &self,
        path: Path<'_>,
        agents: &mut Agents<'_>,
        refunded: &Refunded,
        at: super::Instant,
    ) -> Refund {
        agents.state.refund(refunded, at, self);
        for (_, state) in &mut agents.others {
            state.refund(refunded, at, self);
        }
        let movement = Movement::refund(refunded.amount);
        let mut rest = path.pools();
        let mut children = path.joint.map(|joint| joint.children.iter());
        while let Some((pool, above)) = rest.split() {
            let mut state = pool.lock();
            state.refund(refunded, at, self);
            let children = children.as_mut().and_then(Iterator::next).copied().unwrap_or(1);
            if children != 1 {
                state.move_beyond(&movement, 1 - i128::from(children));
            }
            rest = above;
        }
        let all = self.refunds.add(&refunded.charge, refunded.amount, at.monotonic);
        agents.refund_told(refunded.amount, all)
    }
}

impl Agents<'_> {
    fn refund_told(&self, amount: Amount, refunded: Amount) -> Refund {
        let (remaining, sequence) = (self.state.books.balance.remaining, self.state.history.sequence());
        Refund { amount, refunded, remaining, sequence }
    }
}

/// The accounts that a charge passed, where its agent has moved since.
pub(super) fn former_line(agent: &Arc<Account>, charge: &Charge, ledger: &Ledger) -> Option<Arc<Joint>> {
    let mut above = agent.lock().former_line(charge.sequence)?.to_vec();
    for pool in &mut above {
        // It may have moved since as well.
        if let Ok(now) = ledger.directory.pool(&pool.id)
            && now.number == pool.number
        {
            *pool = now;
        }
    }
    let accounts: Vec<_> = std::iter::once(Arc::clone(agent)).chain(above).collect();
    let numbers = accounts.iter().map(|account| account.number).collect();
    Some(Arc::new(Joint::new(agent.number, numbers, accounts)))
}

/// Of parts of one charge: no more than that.
fn sum(one: Amount, other: Amount) -> Amount {
    Amount::from_units(one.units() + other.units()).unwrap_or(Amount::MAX)
}

fn money(settlement: &Settlement) -> Result<Receipt, LedgerError> {
    match settlement {
        Settlement::Money(receipt) => Ok(*receipt),
        Settlement::Resources(_) => Err(RefundFault::Resources.into()),
    }
}

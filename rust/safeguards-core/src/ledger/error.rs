//! What a ledger answers when it does not do what it was asked. Nothing was changed by then.

use std::sync::Arc;

use super::account::Kind;
use super::balance::Balance;
use super::debit::Receipt;
use super::journal::Unwritten;
use super::refund::RefundFault;
use super::refusals::Asked;
use super::reservation_id::ReservationId;
use super::resources::ResourceReceipt;
use crate::amount::{Amount, Units};
use crate::clock::{Monotonic, Wall};

/// An account on the path cannot pay.
#[derive(Clone, Debug)]
pub struct BudgetRefusal {
    /// The account that refused: the first one from the agent upwards.
    pub account: Arc<str>,
    /// Agent or pool.
    pub kind: Kind,
    /// Which of its resources; `None` for its money. A pool of a resource is what all agents share.
    pub resource: Option<Arc<str>>,
    /// Its books.
    pub balance: Balance,
    /// What it had spent when its current period began, in units.
    pub spent_before: i128,
    /// When its budget is granted anew; [`Wall::NEVER`] if it has no period.
    pub renews_at: Wall,
    /// Units of what remains that are kept for a call that waits.
    pub kept: i128,
    /// Units that would have had to remain.
    pub requested: i128,
    /// Whose operation it was; `None` where nothing was to be charged or set aside.
    pub asked: Option<Asked>,
    /// It is suspended: no work may begin, whatever remains.
    pub is_suspended: bool,
    /// It has moved below another pool since it was found.
    pub has_moved: bool,
    /// Units that remain of credits, where those cannot pay: what they have is not transferred.
    pub credits: i128,
    /// Units of what is reserved that never come back: of credits that have ended.
    pub lapsing: i128,
}

/// A window on the path is full.
#[derive(Clone, Debug)]
pub struct WindowRefusal {
    /// Whose window it is: the first one from the agent upwards.
    pub account: Arc<str>,
    /// Agent or pool.
    pub kind: Kind,
    /// Which of its resources; `None` for its money.
    pub resource: Option<Arc<str>>,
    /// The most that the window admits.
    pub limit: Amount,
    /// Units charged within the window.
    pub spent: i128,
    /// Units set aside by active reservations.
    pub reserved: i128,
    /// What was asked for.
    pub requested: Amount,
    /// Kept for a call that waits.
    pub kept: Amount,
    /// Length of the window in nanoseconds.
    pub length: i64,
    /// When it was refused. [`Ledger::fits_at`](super::Ledger::fits_at) tells when it fits.
    pub now: Monotonic,
    /// Whose operation it was; `None` where nothing was to be charged or set aside.
    pub asked: Option<Asked>,
}

/// What a debit or a settlement has done, of money or of resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Of money.
    Money(Receipt),
    /// Of resources.
    Resources(Box<ResourceReceipt>),
}

/// How a reservation was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Charged, in time or late.
    Settled(Settlement),
    /// Given back.
    Released,
    /// Given back because its time was over, and not settled since.
    Expired,
}

/// Everything that can go wrong. Where several do at once, the first in this order is told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// No agent of this id.
    #[error("no agent {0:?} is registered")]
    UnknownAgent(Arc<str>),
    /// No pool of this id.
    #[error("no pool {0:?} exists")]
    UnknownPool(Arc<str>),
    /// Neither an agent nor a pool of this id.
    #[error("there is neither an agent nor a pool {0:?}")]
    UnknownAccount(Arc<str>),
    /// Neither an agent nor a pool of this id, which was to be charged beside an agent.
    #[error("there is neither an agent nor a pool {0:?} to be charged")]
    UnknownAlso(Arc<str>),
    /// No agent of this handle.
    #[error("handle {0} names no registered agent")]
    UnknownHandle(u32),
    /// The agent has no budget for a resource.
    #[error("agent {account:?} has no budget for resource {resource:?}")]
    UnknownResource {
        /// The agent.
        account: Arc<str>,
        /// The resource that was named.
        resource: Arc<str>,
        /// Those that it has.
        known: Vec<Arc<str>>,
    },
    /// Controllers are to leave this budget alone.
    #[error("{0:?} is pinned")]
    Pinned(Arc<str>),
    /// An argument is out of its range, or does not go with others.
    #[error("{0}")]
    Configuration(String),
    /// An idempotency key was used for another operation.
    #[error("idempotency key {0:?} was used for another operation")]
    IdempotencyConflict(Arc<str>),
    /// What was asked for under an idempotency key is being done: its reservation is kept alive by somebody at work.
    #[error("what was asked for under idempotency key {0:?} is being done")]
    IdempotencyInProgress(Arc<str>),
    /// A reservation was closed before, with another outcome.
    #[error("reservation {number} of {account:?} is closed")]
    ReservationClosed {
        /// The agent.
        account: Arc<str>,
        /// Number of the reservation.
        number: u64,
        /// How it was closed.
        closed: Box<Closed>,
    },
    /// A reservation that this ledger does not know, or no more: how it ended was forgotten.
    #[error("reservation {number} of {account:?} is unknown or forgotten")]
    ReservationForgotten {
        /// The agent.
        account: Arc<str>,
        /// Number of the reservation.
        number: u64,
    },
    /// No reservation of this id is active or remembered.
    #[error("reservation {0} is unknown or forgotten")]
    UnknownReservation(ReservationId),
    /// An account on the path cannot pay.
    #[error("{:?} cannot pay {}: {} remain", .0.account, Units(.0.requested), Units(.0.available()))]
    BudgetExceeded(Box<BudgetRefusal>),
    /// A settlement beyond the reserved amount, under [`Overage::Reject`](super::Overage::Reject).
    #[error("{:?} reserved {reserved} and may not settle more", refusal.account)]
    OverReserved {
        /// The agent's books, and what it wanted to settle.
        refusal: Box<BudgetRefusal>,
        /// What was set aside.
        reserved: Amount,
    },
    /// A window on the path is full.
    #[error("a window of {:?} is full", .0.account)]
    RateLimitExceeded(Box<WindowRefusal>),
    /// A settlement beyond the overdraft limits of its path, which leave so many units more than what was set aside. Told
    /// to settlements alone, which charge no more than that.
    #[error("overdraft limits leave {0} units")]
    BeyondOverdraftLimit(i128),
    /// A charge that cannot be given back, or not so much of it.
    #[error("{0}")]
    Refund(Box<RefundFault>),
    /// The change cannot be written down, and so it was not made.
    #[error("nothing was changed, because it cannot be written down: {0}")]
    Unwritten(Unwritten),
}

impl LedgerError {
    /// Whether it is money or room that is missing, which time may give back.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(self, Self::BudgetExceeded(_) | Self::RateLimitExceeded(_))
    }
}

impl BudgetRefusal {
    /// Units that remain and could have paid.
    #[must_use]
    pub const fn available(&self) -> i128 {
        self.balance.remaining - self.credits
    }
}

impl From<Box<BudgetRefusal>> for LedgerError {
    fn from(refusal: Box<BudgetRefusal>) -> Self {
        Self::BudgetExceeded(refusal)
    }
}

impl From<Box<WindowRefusal>> for LedgerError {
    fn from(refusal: Box<WindowRefusal>) -> Self {
        Self::RateLimitExceeded(refusal)
    }
}

//! What changes: one kind of value for everything that can happen to the state of a ledger.
//!
//! An operation checks, says the [`Change`] that follows, and applies it. [`Ledger::replay`](super::Ledger::replay)
//! applies the same changes with the same functions and nothing else: no clock, no admission, no look at who stands
//! above whom. So a change states the outcome, and names the accounts that it moves by the number of a *path*: the
//! set that was said when the account was made, or when several accounts were first charged at once.
//!
//! What was refused is no change. Ageing is none either: what a window, or the table of keys, has let go of
//! follows from the instants of the changes.

use std::sync::Arc;

use super::credits::CreditId;
use super::debit::Charge;
use super::event::EventKind;
use super::life::Enforcement;
use super::operation::OperationId;
use super::period::Span;
use super::renewal::Rules;
use super::reservation::Overage;
use super::resources::{Bundle, ResourceId};
use crate::amount::Amount;
use crate::clock::{Monotonic, Wall};
use crate::window::Precision;

/// Number of an account, or of a set of accounts: 1, 2, 3 and so on, never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u32);

/// When a change was made, on both lines of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// For windows, deadlines and the age of keys.
    pub monotonic: Monotonic,
    /// For the usage history.
    pub wall: Wall,
}

/// One change of the state of a ledger.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// An operation type got a number.
    OperationNamed {
        /// The number.
        operation: OperationId,
        /// What people call it.
        name: Arc<str>,
    },
    /// A resource type got a number.
    ResourceNamed {
        /// The number.
        resource: ResourceId,
        /// What people call it.
        name: Arc<str>,
    },
    /// A pool was made.
    PoolCreated(PoolCreated),
    /// Agents were registered, in one step.
    AgentsRegistered(Box<[AgentRegistered]>),
    /// An agent has left.
    AgentClosed(Number),
    /// A pool was closed: nothing stands below it.
    PoolClosed(Number),
    /// An account was put below another pool, with all that stands below it.
    Moved(Moved),
    /// These accounts were charged at once for the first time, and are from now on called by the number.
    PathNamed {
        /// The number.
        path: Number,
        /// The accounts: agents first, then pools, each in the order of the locks.
        accounts: Arc<[Number]>,
    },
    /// Money or resources moved on every account of a path.
    Posted(Posted),
    /// Part of a charge was given back.
    Refunded(Refunded),
    /// Budget moved from one agent to another.
    Transferred {
        /// Who has less.
        from: Number,
        /// Who has more.
        to: Number,
        /// How much.
        amount: Amount,
    },
    /// Accounts were given money that ends by itself.
    Credited(Credited),
    /// Something changed in one account alone.
    Account {
        /// Which one.
        account: Number,
        /// What.
        change: AccountChange,
    },
    /// A decision was carried out.
    Executed(Executed),
    /// Controllers leave the budget of this id alone, or no longer do.
    Pinned {
        /// Of an agent, a pool, or one of each.
        id: Arc<str>,
        /// Whether they do.
        is_pinned: bool,
    },
    /// So much of a resource remains for all agents together.
    CapacitySet {
        /// Which resource.
        resource: ResourceId,
        /// How much remains.
        remaining: Amount,
    },
    /// A resource is limited by the agents' own budgets only.
    CapacityRemoved(ResourceId),
}

/// An account that was put below another pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Which one. The line from it upwards, and that of all below it, is another one from now on.
    pub account: Number,
    /// The pool right above it; `None` at the top.
    pub to: Option<Number>,
    /// Who decided it.
    pub actor: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

/// What somebody decided about one account, and was carried out: all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
    /// Which one.
    pub account: Number,
    /// What changed in it, in this order.
    pub changes: Box<[AccountChange]>,
    /// Who decided it.
    pub actor: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

/// A pool that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolCreated {
    /// Its number, and that of the path from it upwards.
    pub number: Number,
    /// The accounts of that path: the pool, the pool above it, and so on.
    pub path: Arc<[Number]>,
    /// Its id.
    pub id: Arc<str>,
    /// What people call it, if that is not its id.
    pub name: Option<Arc<str>>,
    /// Its budget, and what each period begins with.
    pub budget: Amount,
    /// 1 to 10.
    pub priority: u8,
    /// What it is bound by.
    pub rules: Rules,
    /// The period that it begins in.
    pub span: Span,
    /// Of the periods of all accounts, which one that is.
    pub era: u64,
}

/// An agent that was registered.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentRegistered {
    /// Its number, and that of the path from it upwards.
    pub number: Number,
    /// The accounts of that path: the agent, the pool above it, and so on.
    pub path: Arc<[Number]>,
    /// Its id.
    pub id: Arc<str>,
    /// By what batches name it.
    pub handle: u32,
    /// 1 to 10.
    pub priority: u8,
    /// Its budget, and what each period begins with.
    pub budget: Amount,
    /// What it is bound by.
    pub rules: Rules,
    /// The period that it begins in.
    pub span: Span,
    /// Of the periods of all accounts, which one that is.
    pub era: u64,
}

/// Money or resources that moved on every account of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
    /// The accounts.
    pub path: Number,
    /// Whose operation it is: the agent that was debited, or that reserved.
    pub agent: Number,
    /// What was done.
    pub kind: EventKind,
    /// What was charged, set aside or given back.
    pub what: Quantities,
    /// What it cost beyond that, and is charged nowhere.
    pub unpaid: Amount,
    /// A fact, which nothing could have refused.
    pub is_fact: bool,
    /// What for.
    pub operation: OperationId,
    /// The reservation that it makes or ends.
    pub reservation: Option<Reserved>,
    /// The key that it was done under.
    pub key: Option<Arc<str>>,
}

/// Part of a charge that was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refunded {
    /// The accounts that were charged.
    pub path: Number,
    /// Whose charge it was.
    pub agent: Number,
    /// Which one.
    pub charge: Charge,
    /// How much of it.
    pub amount: Amount,
}

/// Accounts that were given money that ends by itself, in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credited {
    /// The id of the credit on each of them.
    pub id: CreditId,
    /// The accounts.
    pub accounts: Box<[Number]>,
    /// How much each got.
    pub amount: Amount,
    /// When it ends.
    pub expires_at: Wall,
    /// Of the periods of all accounts and of their credits, which one begins.
    pub era: u64,
}

/// An amount of money, or of several resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quantities {
    /// Money.
    Money(Amount),
    /// Resources. Boxed, because most are money, and a bundle is five times as large.
    Resources(Box<Bundle>),
}

/// A reservation as a change names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// Its number among the agent's.
    pub number: u64,
    /// Where it is made: on which terms.
    pub terms: Option<Terms>,
}

/// On which terms something is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When its time is over.
    pub time_over: Monotonic,
    /// For how many nanoseconds it was asked for.
    pub ttl_nanos: i64,
    /// What a settlement beyond it may do.
    pub overage: Overage,
}

/// What a window admits from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSet {
    /// Of one resource; of money if `None`.
    pub resource: Option<ResourceId>,
    /// Nanoseconds.
    pub length: i64,
    /// The most that it admits.
    pub limit: Amount,
    /// How charges are kept.
    pub precision: Precision,
}

/// Something that changes in one account alone.
#[derive(Clone, Debug, PartialEq)]
pub enum AccountChange {
    /// So much remains, and a period begins with it.
    Granted {
        /// How much.
        budget: Amount,
        /// Of the periods of all accounts, which one.
        era: u64,
    },
    /// A period begins.
    Renewed {
        /// What remains, in units.
        remaining: i128,
        /// From when to when it lasts.
        span: Span,
        /// Of the periods of all accounts, which one.
        era: u64,
    },
    /// A credit has ended.
    CreditEnded {
        /// Which one.
        id: CreditId,
        /// Of the periods of all accounts and of their credits, which one begins.
        era: u64,
    },
    /// What was granted moved within the period, by so many units.
    Adjusted(i128),
    /// Later periods begin with so much.
    PeriodBudgetSet(Amount),
    /// Facts may take the account so far below zero; `None` without a bound.
    OverdraftLimitSet(Option<Amount>),
    /// Whether work may begin.
    Suspended(bool),
    /// What the account does where it cannot pay.
    EnforcementSet(Enforcement),
    /// 1 to 10.
    PrioritySet(u8),
    /// What the account may be granted in a period; `None` without a bound.
    MaxBudgetSet(Option<Amount>),
    /// The agents right below a pool are told when less than this remains.
    LowWatched(Option<Amount>),
    /// A window admits at most so much.
    WindowSet(WindowSet),
    /// The window of this length, or all of them, were removed.
    WindowsRemoved {
        /// Of one resource; of money if `None`.
        resource: Option<ResourceId>,
        /// Which one; all if `None`.
        length: Option<i64>,
    },
    /// So much was charged to the windows alone: of money, to those of all accounts above as well.
    Acquired {
        /// Of one resource; of money if `None`.
        resource: Option<ResourceId>,
        /// How much.
        amount: Amount,
    },
    /// So much was spent elsewhere. It is charged to the same windows.
    Recorded {
        /// Of one resource; of money if `None`.
        resource: Option<ResourceId>,
        /// How much.
        amount: Amount,
        /// What for.
        operation: OperationId,
    },
    /// A reservation lives until then.
    Prolonged {
        /// Its number among the agent's.
        number: u64,
        /// Where it stands in the books: when its time was over, or never while it was kept alive.
        from: Monotonic,
        /// Where it stands from now on.
        to: Monotonic,
        /// When its time is over if nobody keeps it alive.
        time_over: Monotonic,
    },
    /// The agent has these resources as well.
    ResourcesAdded(Box<[(ResourceId, Amount)]>),
    /// The agent has these resources and no others.
    ResourcesSet(Box<[(ResourceId, Amount)]>),
    /// So much of a resource remains.
    ResourceGranted {
        /// Which one.
        resource: ResourceId,
        /// How much.
        remaining: Amount,
    },
}

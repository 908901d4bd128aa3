//! Accounts and the money in them.
//!
//! **Locks.** One mutex per account, taken child to root. The whole order, in which every operation takes what
//! it needs: the idempotency tables, the slots of the directory, the table of capacities, the turn of the expiry,
//! the pins, agents (by slot), pools (deepest first) or capacities (by resource), the timers, the ends of reservations,
//! the alarms, the journal. Only a batch takes
//! agents below a pool that it has locked, and does not wait for them. No lock is held while anything outside this
//! crate runs.
//!
//! **Refusals.** Every check of an operation is made before its first change, while the locks of the whole path
//! are held: a refusal changes nothing.
//!
//! **Changes.** What an operation does is a [`Change`], written to the [`Journal`] if there is one, after the last
//! check and before the first effect. Nothing else changes the state of an account: see `state`.

mod account;
mod alarm;
mod balance;
mod batch;
mod books;
mod change;
mod closures;
mod columns;
mod credits;
mod debit;
mod digest;
mod directory;
mod error;
mod event;
mod execute;
mod grant;
mod holds;
mod idempotency;
mod journal;
mod life;
mod limits;
mod members;
mod money;
mod moving;
mod nearest;
mod operation;
mod path;
mod period;
mod quantity;
mod rate_limit;
mod read;
mod refund;
mod refusals;
mod registry;
mod renewal;
mod replay;
mod reservation;
mod reservation_id;
mod resources;
mod state;
mod sums;
mod timers;
mod verify;
mod waiting;

use std::sync::Arc;

use crate::clock::{Clock, Monotonic, Wall};
use crate::sync::{AtomicBool, AtomicI64, Mutex, Ordering};

pub use account::{Account, Kind, MAX_DEPTH};
pub use alarm::{Alarm, Crossing, Threshold, Unpaid, Warning};
pub use balance::Balance;
pub use batch::BatchError;
pub use change::{
    AccountChange, AgentRegistered, Change, Credited, Executed, Instant, Number, PoolCreated, Posted,
    Quantities, Refunded, Reserved, Terms,
};
pub use closures::MAX_CLOSURES;
pub use columns::{Columns, Money};
pub use credits::{Credit, CreditId, MAX_CREDITS};
pub use debit::{Charge, Receipt};
pub use error::{BudgetRefusal, Closed, LedgerError, Settlement, WindowRefusal};
pub use event::{Event, EventKind, HistoryLimits, Source, Usage, UsageLog};
pub use execute::{Execution, Moved, Order};
pub use idempotency::{MAX_KEY_AGE_NANOS, MAX_KEY_BYTES, MAX_KEYS, Once};
pub use journal::{Journal, Unwritten};
pub use life::{Enforcement, Why};
pub use limits::{MAX_WINDOWS, WindowSnapshot};
pub use members::Members;
pub use operation::{MAX_OPERATIONS, OperationId};
pub use path::{Joint, MAX_PATH, Path};
pub use period::{Anchor, Period, Schedule, Span};
pub use quantity::Quantity;
pub use rate_limit::WindowsOf;
pub use read::{AccountInfo, Activity, PoolInfo, Refusals, Renewal, Snapshot};
pub use refund::{ChargeId, Refund, RefundFault};
pub use refusals::{Asked, MAX_REFUSED, Reason, RefusalCount, Refusing};
pub use registry::{NewAgent, NewPool};
pub use renewal::{Overdraft, Periods, Rollover, Rules};
pub use replay::{Replay, ReplayError};
pub use reservation::{Overage, Request, Reservation, ReservationState, SettledBy};
pub use reservation_id::{AnyReservation, NoReservationId, ReservationId};
pub use resources::{
    Bundle, MAX_RESOURCES, ResourceId, ResourceLine, ResourceNames, ResourceReceipt, ResourceSnapshot,
};
pub use state::Note;
pub use verify::Violation;
pub use waiting::{Served, Tender, Wait, Waiter, Wake};

/// All accounts of one process. Every method can be called from any thread.
#[derive(Debug)]
pub struct Ledger {
    clock: Clock,
    history_limits: HistoryLimits,
    /// Ascending, without repeats.
    thresholds: Box<[Threshold]>,
    directory: directory::Directory,
    operations: operation::Operations,
    timers: timers::Timers,
    joints: path::Joints,
    /// Ids of budgets that controllers leave alone.
    pins: Mutex<registry::Pins>,
    keys: idempotency::Keys,
    resource_types: resources::ResourceTypes,
    resource_keys: idempotency::Keys,
    closures: closures::Closures,
    refunds: refund::Refunds,
    eras: refund::Eras,
    credit_ids: credits::CreditIds,
    journal: Option<Box<dyn Journal>>,
    /// Tells ledgers apart, so that none settles what another one has reserved.
    incarnation: u64,
    /// Refusals of an account in a minute from which on they are told.
    refusal_rate: Option<u32>,
    /// Pools that are suspended: whoever charges resources passes none of them.
    suspended_pools: AtomicI64,
    alarms: Mutex<Vec<Alarm>>,
    has_alarms: AtomicBool,
    long_calls: AtomicI64,
    let_go: LetGo,
    waiting: waiting::Waiting,
}

/// How to do a piece of work that may take long.
pub type LetGo = fn(&mut (dyn FnMut() + Send));

/// A call under way that may hold a lock for longer than others care to wait.
#[derive(Debug)]
#[must_use]
pub struct LongCall<'a>(&'a Ledger);

impl Drop for LongCall<'_> {
    fn drop(&mut self) {
        self.0.long_calls.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Ledgers that were made in this process.
static LEDGERS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

impl Ledger {
    /// A ledger without accounts. `thresholds` are told once each whenever a charge crosses them.
    #[must_use]
    pub fn new(clock: Clock, mut history_limits: HistoryLimits, mut thresholds: Vec<Threshold>) -> Self {
        history_limits.events = history_limits.events.max(1);
        thresholds.sort_unstable();
        thresholds.dedup();
        Self {
            clock,
            history_limits,
            thresholds: thresholds.into(),
            directory: directory::Directory::new(),
            operations: operation::Operations::new(),
            timers: timers::Timers::new(),
            joints: path::Joints::default(),
            pins: Mutex::default(),
            keys: idempotency::Keys::new(),
            resource_types: resources::ResourceTypes::new(),
            resource_keys: idempotency::Keys::new(),
            closures: closures::Closures::new(),
            refunds: refund::Refunds::default(),
            eras: refund::Eras::default(),
            credit_ids: credits::CreditIds::default(),
            journal: None,
            incarnation: LEDGERS.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            refusal_rate: None,
            suspended_pools: AtomicI64::new(0),
            alarms: Mutex::new(Vec::new()),
            has_alarms: AtomicBool::new(false),
            long_calls: AtomicI64::new(0),
            let_go: |work| work(),
            waiting: waiting::Waiting::new(),
        }
    }

    /// The same ledger, which does what may take long by `let_go`: whoever holds something that others need, as
    /// the lock of an interpreter, can let go of it meanwhile.
    #[must_use]
    pub fn letting_go(mut self, let_go: LetGo) -> Self {
        self.let_go = let_go;
        self
    }

    /// Whether a call is under way that others may have to wait for. One load.
    #[must_use]
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.long_calls.load(Ordering::Acquire) != 0
    }

    /// To be held by whoever makes a call that may take long.
    pub fn long_call(&self) -> LongCall<'_> {
        self.long_calls.fetch_add(1, Ordering::AcqRel);
        LongCall(self)
    }

    fn at_length(&self, work: &mut (dyn FnMut() + Send)) {
        let _call = self.long_call();
        (self.let_go)(work);
    }

    /// The same ledger, which writes every change to a journal from now on.
    #[must_use]
    pub fn with_journal(mut self, journal: Box<dyn Journal>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// The same ledger, by another name: by default ledgers are told apart within one process only.
    #[must_use]
    pub const fn with_incarnation(mut self, incarnation: u64) -> Self {
        self.incarnation = incarnation;
        self
    }

    /// What tells its reservations and charges from those of other ledgers.
    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Now, on both lines of time.
    fn instant(&self) -> Instant {
        Instant { monotonic: self.clock.monotonic(), wall: self.clock.wall() }
    }

    /// An instant of which a part was read before.
    fn instant_at(&self, wall: Wall, monotonic: Option<Monotonic>) -> Instant {
        Instant { monotonic: monotonic.unwrap_or_else(|| self.clock.monotonic_coarse()), wall }
    }

    /// Where the ledger reads the time.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The number of an operation type; the same name has the same number.
    #[must_use]
    #[inline]
    pub fn operation(&self, name: &str) -> OperationId {
        self.operations.intern(name, self)
    }

    /// The name of an operation type, or `None` for [`OperationId::NONE`].
    #[must_use]
    pub fn operation_name(&self, id: OperationId) -> Option<Arc<str>> {
        self.operations.name(id)
    }
}

impl Drop for Ledger {
    /// A reservation on several lines of accounts holds on to them, and its agent holds on to it.
    fn drop(&mut self) {
        for agent in self.agents() {
            agent.lock().drop_holds();
        }
    }
}

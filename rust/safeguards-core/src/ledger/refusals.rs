//! Refusals, counted where they happen: by which account, of whose operation, what for, and why.
//!
//! They are observations: they decide nothing, and are no part of the state. A call is counted once, when it is refused
//! for good and all locks are free; one that was refused at first, and admitted once reservations had expired, is none.

use std::fmt;
use std::sync::Arc;

use super::account::{Account, Kind};
use super::error::{BudgetRefusal, LedgerError};
use super::operation::OperationId;
use super::path::{Joint, Path, line};
use super::{Alarm, Ledger, Number};
use crate::clock::Monotonic;

/// Pairs of an asking agent and an operation type that an account tells apart, at most. The rest is one sum.
pub const MAX_REFUSED: usize = 32;

/// Why an account has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// Its budget.
    Budget,
    /// One of its windows.
    Window,
    /// Its budget of a resource.
    Resource,
    /// Somebody has suspended it.
    Suspended,
    /// What all agents together may spend of a resource. It belongs to no account, and is counted with the asking agent.
    Capacity,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Budget, Self::Window, Self::Resource, Self::Suspended, Self::Capacity];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Window => "window",
            Self::Resource => "resource",
            Self::Suspended => "suspended",
            Self::Capacity => "capacity",
        }
    }
}

type Counts = [u64; Reason::ALL.len()];

/// Who asked for what was refused.
#[derive(Clone)]
pub struct Asked {
    agent: Arc<Account>,
    joint: Option<Arc<Joint>>,
    /// What for.
    pub operation: OperationId,
}

/// Refusals of one account to one agent, of one operation type, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalCount {
    /// The account that refused.
    pub account: Arc<str>,
    /// Agent or pool.
    pub kind: Kind,
    /// Who asked; `None` for the sum of those that are not told apart.
    pub asked_by: Option<Arc<str>>,
    /// What for.
    pub operation: OperationId,
    /// Why.
    pub reason: Reason,
    /// How often.
    pub count: u64,
}

/// An account refuses more often than it should be quiet about.
#[derive(Clone, Debug)]
pub struct Refusing {
    /// The account that refuses.
    pub account: Arc<str>,
    /// Agent or pool.
    pub kind: Kind,
    /// Refusals within the last minute.
    pub count: u64,
    /// Who was refused last.
    pub asked_by: Arc<str>,
    /// What for.
    pub operation: OperationId,
}

/// What one account has refused.
#[derive(Debug, Default)]
pub(super) struct Refused {
    totals: Counts,
    rows: Vec<Row>,
    /// Of pairs that have no row, or had one once.
    rest: Counts,
    meter: Meter,
}

#[derive(Debug)]
struct Row {
    agent: Number,
    id: Arc<str>,
    operation: OperationId,
    /// How hard it is to take its place: no less than how often it was refused, and as much as that of whoever was here
    /// before. So a pair with more than one in [`MAX_REFUSED`] of all refusals is never without a row.
    weight: u64,
    counts: Counts,
}

/// How many there were in the last minute, to within five seconds: never more than there really were.
#[derive(Debug, Default)]
struct Meter {
    /// Number of the newest five seconds, and where they are counted.
    newest: u64,
    place: usize,
    buckets: [u32; BUCKETS],
    is_told: bool,
}

const BUCKETS: usize = 12;
const BUCKET_NANOS: u64 = 5_000_000_000;

impl Asked {
    pub(super) fn new(path: Path<'_>, operation: OperationId) -> Self {
        Self { agent: Arc::clone(path.agent), joint: path.joint.cloned(), operation }
    }

    /// The agent that asked.
    #[must_use]
    pub fn by(&self) -> &Arc<str> {
        &self.agent.id
    }

    /// Agent or pool: who asks for windows alone may be either.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.agent.kind()
    }

    /// Ids of all accounts that were to be moved: the agent's line from itself up, then what was to be charged beside it,
    /// agents before pools.
    #[must_use]
    pub fn path(&self) -> Vec<Arc<str>> {
        self.accounts().map(|account| Arc::clone(&account.id)).collect()
    }

    /// The same accounts.
    pub(super) fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        let joint = self.joint.iter().flat_map(|joint| joint.agents.iter().chain(&joint.pools));
        let is_beside = |account: &&Arc<Account>| line(&self.agent).all(|own| !Arc::ptr_eq(own, account));
        line(&self.agent).chain(joint.filter(is_beside))
    }

    /// The account that refused. A capacity is none.
    fn refuser(&self, id: &Arc<str>) -> &Arc<Account> {
        self.accounts().find(|account| Arc::ptr_eq(&account.id, id)).unwrap_or(&self.agent)
    }
}

/// An account would show all that is above it.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("path", &self.path())
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

impl BudgetRefusal {
    const fn reason(&self) -> Reason {
        match (&self.resource, self.kind) {
            _ if self.is_suspended => Reason::Suspended,
            (None, _) => Reason::Budget,
            (Some(_), Kind::Agent) => Reason::Resource,
            (Some(_), Kind::Pool) => Reason::Capacity,
        }
    }
}

impl LedgerError {
    /// The same refusal, of an operation that is to be counted.
    #[cold]
    pub(super) fn asked(mut self, path: Path<'_>, operation: OperationId) -> Self {
        match &mut self {
            Self::BudgetExceeded(refusal) | Self::OverReserved { refusal, .. } => {
                refusal.asked = Some(Asked::new(path, operation));
            }
            Self::RateLimitExceeded(refusal) => refusal.asked = Some(Asked::new(path, operation)),
            _ => {}
        }
        self
    }
}

impl Ledger {
    /// The same ledger, which tells when an account refuses more often than so many times in a minute.
    #[must_use]
    pub const fn with_refusal_rate(mut self, per_minute: Option<u32>) -> Self {
        self.refusal_rate = per_minute;
        self
    }

    /// Counts what was refused for good. No lock of an account is held.
    #[cold]
    pub(super) fn observe(&self, refused: &LedgerError) {
        let (account, reason, asked) = match refused {
            LedgerError::BudgetExceeded(refusal) => (&refusal.account, refusal.reason(), &refusal.asked),
            LedgerError::RateLimitExceeded(refusal) => (&refusal.account, Reason::Window, &refusal.asked),
            _ => return,
        };
        let Some(asked) = asked else { return };
        let account = asked.refuser(account);
        let now = self.clock.monotonic_coarse();
        let mut state = account.lock();
        let refused = state.refused_mut();
        refused.count(asked, reason);
        if let Some(per_minute) = self.refusal_rate
            && let Some(count) = refused.meter.count(now, per_minute.into())
        {
            let (kind, account) = (account.kind(), Arc::clone(&account.id));
            let (asked_by, operation) = (Arc::clone(asked.by()), asked.operation);
            self.keep(Alarm::Refusing(Refusing { account, kind, count, asked_by, operation }));
        }
    }

    /// What accounts have refused, ever: of all of them, or of the agent and the pool of an id. Of each account its
    /// busiest [`MAX_REFUSED`] pairs of agent and operation type, and the sum of the rest.
    pub fn refusal_counts(&self, id: Option<&str>) -> Result<Vec<RefusalCount>, LedgerError> {
        let accounts = if let Some(id) = id {
            let found = self.directory.agent(id).into_iter().chain(self.directory.pool(id).ok());
            let found: Vec<_> = found.collect();
            if found.is_empty() {
                return Err(LedgerError::UnknownAccount(id.into()));
            }
            found
        } else {
            let mut pools = self.directory.pools();
            pools.sort_unstable_by(|one, other| one.id.cmp(&other.id));
            self.agents().into_iter().chain(pools).collect()
        };
        let mut counts = Vec::new();
        for account in accounts {
            if let Some(refused) = account.lock().refused() {
                refused.tell(&account, &mut counts);
            }
        }
        Ok(counts)
    }
}

impl Refused {
    /// How often, for a reason.
    pub(super) const fn total(&self, reason: Reason) -> u64 {
        self.totals[reason as usize]
    }

    /// How often, for whatever reason.
    pub(super) fn all(&self) -> u64 {
        self.totals.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn count(&mut self, asked: &Asked, reason: Reason) {
        let reason = reason as usize;
        self.totals[reason] = self.totals[reason].saturating_add(1);
        let place = self.place(asked);
        let row = &mut self.rows[place];
        row.weight = row.weight.saturating_add(1);
        row.counts[reason] = row.counts[reason].saturating_add(1);
    }

    /// Where a pair is counted: its row, a new one, or that of the pair that is refused least.
    fn place(&mut self, asked: &Asked) -> usize {
        let (agent, operation) = (asked.agent.number, asked.operation);
        let found = self.rows.iter().position(|row| row.agent == agent && row.operation == operation);
        if let Some(place) = found {
            return place;
        }
        let new =
            |weight| Row { agent, id: Arc::clone(asked.by()), operation, weight, counts: Counts::default() };
        if self.rows.len() < MAX_REFUSED {
            if self.rows.is_empty() {
                self.rows.reserve_exact(1); // Most agents are refused by themselves, one thing.
            }
            self.rows.push(new(0));
            return self.rows.len() - 1;
        }
        let weights = self.rows.iter().enumerate().map(|(place, row)| (row.weight, place));
        let (weight, least) = weights.min().unwrap_or_default();
        let gone = std::mem::replace(&mut self.rows[least], new(weight));
        add(&mut self.rest, &gone.counts);
        least
    }

    /// The rows, the busiest first. An agent that was registered anew has several.
    fn by_id(&self) -> Vec<(&Arc<str>, OperationId, Counts)> {
        let mut rows: Vec<(_, _, Counts)> = Vec::with_capacity(self.rows.len());
        for Row { id, operation, counts, .. } in &self.rows {
            match rows.iter_mut().find(|(other, of, _)| *other == id && of == operation) {
                Some((_, _, sum)) => add(sum, counts),
                None => rows.push((id, *operation, *counts)),
            }
        }
        rows.sort_by_key(|(_, _, counts)| std::cmp::Reverse(counts.iter().sum::<u64>()));
        rows
    }

    fn tell(&self, account: &Account, counts: &mut Vec<RefusalCount>) {
        let mut tell = |asked_by: Option<&Arc<str>>, operation, row: &Counts| {
            for (reason, count) in Reason::ALL.into_iter().zip(row).filter(|(_, count)| **count > 0) {
                let (id, kind, asked_by) = (Arc::clone(&account.id), account.kind(), asked_by.cloned());
                counts.push(RefusalCount { account: id, kind, asked_by, operation, reason, count: *count });
            }
        };
        for (id, operation, row) in self.by_id() {
            tell(Some(id), operation, &row);
        }
        tell(None, OperationId::NONE, &self.rest);
    }
}

fn add(sum: &mut Counts, counts: &Counts) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum = sum.saturating_add(*count);
    }
}

impl Meter {
    /// Counts one. Some, with how many there were in the last minute, if those are more than `limit`, for the first time
    /// since they were half as many.
    fn count(&mut self, now: Monotonic, limit: u64) -> Option<u64> {
        let newest = (now.0.max(0).unsigned_abs() / BUCKET_NANOS).max(self.newest);
        let over = usize::try_from(newest - self.newest).unwrap_or(BUCKETS).min(BUCKETS);
        self.newest = newest;
        for _ in 0..over {
            self.place = (self.place + 1) % BUCKETS;
            self.buckets[self.place] = 0;
        }
        let before: u64 = self.buckets.iter().copied().map(u64::from).sum();
        let bucket = &mut self.buckets[self.place];
        *bucket = bucket.saturating_add(1);
        self.is_told &= before > limit / 2;
        let is_crossed = before >= limit && !self.is_told;
        self.is_told |= is_crossed;
        is_crossed.then_some(before + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;

    proptest! {
        /// Beside a list of all of them, with their times.
        #[test]
        fn a_meter_tells_once_per_crossing(
            steps in prop::collection::vec((0..30_i64, 1..20_usize), 1..60),
            limit in 0..40_u64,
        ) {
            let (mut meter, mut all, mut is_told) = (Meter::default(), VecDeque::new(), false);
            let mut now = 0;
            for (seconds, refusals) in steps {
                now += seconds * SECOND;
                for _ in 0..refusals {
                    let bucket = now / (5 * SECOND);
                    while all.front().is_some_and(|at| at + 12 <= bucket) {
                        all.pop_front();
                    }
                    let before = all.len() as u64;
                    all.push_back(bucket);
                    is_told = is_told && before > limit / 2;
                    let told = (before + 1 > limit && !is_told).then_some(before + 1);
                    is_told |= told.is_some();
                    prop_assert_eq!(meter.count(Monotonic(now), limit), told);
                }
            }
        }

        /// The sums are those of all refusals, and who is refused often has a row.
        #[test]
        fn what_is_not_told_apart_is_in_the_rest(
            asks in prop::collection::vec((0..80_u32, 0..3_u16, 0..4_usize), 0..600),
            busy in 0..80_u32,
        ) {
            let agents: Vec<_> = (0..80).map(agent).collect();
            let mut refused = Refused::default();
            let mut all = Counts::default();
            let mut of_busy = 0;
            for (count, (who, operation, reason)) in asks.iter().enumerate() {
                // Every eighth is of one pair.
                let (who, operation) = if count % 8 == 0 { (busy, 7) } else { (*who, *operation) };
                of_busy += u64::from(count % 8 == 0);
                let agent = Arc::clone(&agents[who as usize]);
                let asked = Asked { agent, joint: None, operation: OperationId(operation) };
                refused.count(&asked, Reason::ALL[*reason]);
                all[*reason] += 1;
                prop_assert!(refused.rows.len() <= MAX_REFUSED);
            }
            let mut told = Vec::new();
            refused.tell(&agents[0], &mut told);
            for reason in Reason::ALL {
                let sum: u64 = told.iter().filter(|told| told.reason == reason).map(|told| told.count).sum();
                prop_assert_eq!(sum, all[reason as usize]);
                prop_assert_eq!(refused.total(reason), sum);
            }
            let rows = told.iter().filter(|told| told.operation == OperationId(7));
            prop_assert_eq!(rows.map(|told| told.count).sum::<u64>(), of_busy);
        }
    }

    fn agent(number: u32) -> Arc<Account> {
        Arc::new(Account::new(number.to_string().into(), number, Number(number), None, 5))
    }
}

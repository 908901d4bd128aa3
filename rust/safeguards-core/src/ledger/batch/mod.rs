//! Many operations in one call, one agent after the other.
//!
//! What a single operation cannot do: accounts are fetched from memory before they are needed, and where neighbours in
//! the batch have the same pool, it is locked once for all of them.

mod operations;

use std::sync::Arc;

use smallvec::SmallVec;

use super::Ledger;
use super::account::Account;
use super::change::Instant;
use super::directory::Slots;
use super::error::LedgerError;
use super::operation::OperationId;
use super::path::Agents;
use super::reservation::Request;
use super::state::State;
use crate::sync::MutexGuard;
use operations::{Debits, Releases, Reserves, Settlements};

/// Accounts that are fetched at once, and operations for which a pool stays locked at most: a few microseconds.
const STRIDE: usize = 32;

/// Operations for which the directory stays locked at most: about a millisecond.
const SLICE: usize = 128 * STRIDE;

/// Agents that a cache of a few megabytes holds: of these it costs more to look ahead than to wait.
const CACHED: usize = 8_192;

/// Neighbours of one pool from which on it is worth keeping it locked.
const MIN_RUN: usize = 4;

/// Why a batch was not begun; or why it ended, if the changes cannot be written down: what came before was done.
#[derive(Clone, Debug)]
pub struct BatchError<R = bool> {
    /// Position of the item that is malformed, or was not done.
    pub index: usize,
    /// What is wrong with it.
    pub error: Box<LedgerError>,
    /// What came of the items before it, if the batch was begun.
    pub done: Vec<R>,
}

/// A pool and all above it, locked.
pub(super) type Pools<'a> = SmallVec<[(&'a Account, MutexGuard<'a, State>); 4]>;

/// What a batch does for each of its items.
trait Operation {
    type Outcome: Copy;

    /// Of an agent that has left since the batch was checked.
    const UNKNOWN: Self::Outcome;

    /// Before each slice: the time at which its items are done.
    fn begin(&self) -> Instant;

    /// Refuses an item that is no such operation at all.
    fn check(&self, index: usize) -> Result<(), LedgerError>;

    /// Does it for an agent whose pools are locked; `None`, with nothing changed, if it is out of the ordinary.
    fn below(
        &self,
        agents: &mut Agents<'_>,
        pools: &mut Pools<'_>,
        index: usize,
        at: Instant,
    ) -> Result<Option<Self::Outcome>, LedgerError>;

    /// Does it as a single call would. What cannot be written down is no refusal.
    fn alone(&self, agent: &Arc<Account>, index: usize, at: Instant) -> Result<Self::Outcome, LedgerError>;
}

impl Ledger {
    /// Debits each agent by its amount in turn: true where admitted. A malformed item refuses the whole batch
    /// before anything is charged. `units` are of 1e-9. An agent that leaves while the batch is under way is
    /// charged nothing from then on.
    pub fn debit_many(
        &self,
        handles: &[u32],
        units: &[i64],
        operation: OperationId,
    ) -> Result<Vec<bool>, BatchError> {
        self.debit_many_while(handles, units, operation, || true)
    }

    /// As [`debit_many`](Self::debit_many), as long as it may `go_on`: asked after each slice of about a
    /// millisecond, between which no lock is held. The answer is as long as what was done.
    pub fn debit_many_while(
        &self,
        handles: &[u32],
        units: &[i64],
        operation: OperationId,
        go_on: impl Fn() -> bool,
    ) -> Result<Vec<bool>, BatchError> {
        same_length(handles, "units", units.len())?;
        self.run(&Debits { ledger: self, units, operation }, handles, go_on)
    }

    /// Reserves `units` of each agent in turn, as [`reserve`](Self::reserve) does, on the terms of `terms`: the numbers
    /// of the reservations among those of their agents, 0 where refused. Otherwise as
    /// [`debit_many_while`](Self::debit_many_while).
    pub fn reserve_many_while(
        &self,
        handles: &[u32],
        units: &[i64],
        terms: Request<()>,
        go_on: impl Fn() -> bool,
    ) -> Result<Vec<u64>, BatchError<u64>> {
        same_length(handles, "units", units.len())?;
        self.run(&Reserves { ledger: self, units, terms }, handles, go_on)
    }

    /// Settles each agent's reservation of this number for so many `units` in turn: true where it is charged for so
    /// much, by this call or by an earlier one. False where the overage policy refuses, where it ended otherwise, and
    /// where the number names no reservation of money that is active or remembered. Otherwise as
    /// [`debit_many_while`](Self::debit_many_while).
    pub fn settle_many_while(
        &self,
        handles: &[u32],
        numbers: &[u64],
        units: &[i64],
        go_on: impl Fn() -> bool,
    ) -> Result<Vec<bool>, BatchError> {
        same_length(handles, "numbers", numbers.len())?;
        same_length(handles, "units", units.len())?;
        self.run(&Settlements { ledger: self, numbers, units }, handles, go_on)
    }

    /// Gives back each agent's reservation of this number in turn: true where nothing of it is set aside or charged any
    /// more. False where it was settled, and where the number names no reservation of money that is active or
    /// remembered. Otherwise as [`debit_many_while`](Self::debit_many_while).
    pub fn release_many_while(
        &self,
        handles: &[u32],
        numbers: &[u64],
        go_on: impl Fn() -> bool,
    ) -> Result<Vec<bool>, BatchError> {
        same_length(handles, "numbers", numbers.len())?;
        self.run(&Releases { ledger: self, numbers }, handles, go_on)
    }

    fn run<O: Operation>(
        &self,
        operation: &O,
        handles: &[u32],
        go_on: impl Fn() -> bool,
    ) -> Result<Vec<O::Outcome>, BatchError<O::Outcome>> {
        let slices = || handles.chunks(SLICE).zip((0..).step_by(SLICE));
        for (handles, first) in slices() {
            check(operation, &self.directory.slots(), handles, first)?;
            if !go_on() {
                return Ok(Vec::new());
            }
        }
        let mut done = Vec::with_capacity(handles.len());
        for (handles, first) in slices() {
            let at = operation.begin();
            let outcome = (Batch { ledger: self, operation, at }).slice(handles, first, &mut done);
            self.serve_waiting();
            if let Err(error) = outcome {
                return Err(BatchError { index: done.len(), error: error.into(), done });
            }
            if !go_on() {
                break;
            }
        }
        Ok(done)
    }
}

fn same_length<R>(handles: &[u32], argument: &str, length: usize) -> Result<(), BatchError<R>> {
    if handles.len() == length {
        return Ok(());
    }
    let text = format!("handles has {} items and {argument} {length}: they must match", handles.len());
    let error = LedgerError::Configuration(text).into();
    Err(BatchError { index: handles.len().min(length), error, done: Vec::new() })
}

/// Refuses a batch with an item that is no operation at all. The first item is the one of number `first`.
fn check<O: Operation>(
    operation: &O,
    slots: &Slots,
    handles: &[u32],
    first: usize,
) -> Result<(), BatchError<O::Outcome>> {
    for (index, handle) in (first..).zip(handles) {
        let checked = slots.get(*handle).and_then(|_| operation.check(index));
        checked.map_err(|error| BatchError { index, error: error.into(), done: Vec::new() })?;
    }
    Ok(())
}

/// Brings accounts into the cache. A million of them lie outside it, and each lock would wait for the memory of
/// the one before; reads without a lock are under way all at once.
fn fetch(agents: &[&Arc<Account>]) {
    std::hint::black_box(agents.iter().filter(|agent| agent.is_locked()).count());
}

/// Brings in what the locks protect as well: all are taken, without waiting for any, before the first look, as a lock
/// waits for every read before it.
fn fetch_states(agents: &[&Arc<Account>]) {
    let states: SmallVec<[_; STRIDE]> = agents.iter().filter_map(|agent| agent.try_lock()).collect();
    let is_pool_locked = |agent: &&&Arc<Account>| agent.parent.as_ref().is_some_and(|pool| pool.is_locked());
    std::hint::black_box(agents.iter().filter(is_pool_locked).count());
    std::hint::black_box(states.iter().map(|state| state.glance()).sum::<u64>());
}

fn have_same_pool(one: &Account, other: &Account) -> bool {
    match (&one.parent, &other.parent) {
        (Some(pool), Some(other)) => Arc::ptr_eq(pool, other),
        _ => false,
    }
}

/// A slice of a batch.
struct Batch<'a, O> {
    ledger: &'a Ledger,
    operation: &'a O,
    at: Instant,
}

impl<O: Operation> Batch<'_, O> {
    /// Does the items of these handles, of which the first is the one of number `first`.
    fn slice(&self, handles: &[u32], first: usize, done: &mut Vec<O::Outcome>) -> Result<(), LedgerError> {
        let slots = self.ledger.directory.slots();
        let mut agents = Vec::with_capacity(STRIDE);
        for (handles, mut index) in handles.chunks(STRIDE).zip((first..).step_by(STRIDE)) {
            agents.clear();
            agents.extend(handles.iter().map_while(|handle| slots.get(*handle).ok()));
            if agents.len() < handles.len() {
                // Somebody has left since the batch was checked.
                for (index, handle) in (index..).zip(handles) {
                    let agent = slots.get(*handle);
                    let alone = agent.map(|agent| self.operation.alone(agent, index, self.at));
                    done.push(alone.unwrap_or(Ok(O::UNKNOWN))?);
                }
                continue;
            }
            fetch(&agents);
            if slots.len() > CACHED {
                fetch_states(&agents);
            }
            for run in agents.chunk_by(|one, other| have_same_pool(one, other)) {
                self.run(run, index, done)?;
                index += run.len();
            }
        }
        Ok(())
    }

    /// Does the items of neighbours of one pool.
    fn run(
        &self,
        run: &[&Arc<Account>],
        first: usize,
        done: &mut Vec<O::Outcome>,
    ) -> Result<(), LedgerError> {
        let pool = run.first().and_then(|agent| agent.parent.as_deref());
        let mut pools = pool.filter(|_| run.len() >= MIN_RUN).map(|pool| self.lock(pool));
        for (index, agent) in (first..).zip(run) {
            let outcome = match &mut pools {
                Some(pools) => self.below(pools, agent, index)?,
                None => None,
            };
            if outcome.is_none() {
                // Whatever is out of the ordinary takes the ordinary way, which may want the pools' locks.
                pools = None;
            }
            done.push(outcome.map_or_else(|| self.operation.alone(agent, index, self.at), Ok)?);
        }
        Ok(())
    }

    /// Locks a pool and all above it.
    fn lock<'a>(&self, pool: &'a Account) -> Pools<'a> {
        let Instant { wall, .. } = self.at;
        let path = std::iter::successors(Some(pool), |pool| pool.parent.as_deref());
        path.map(|pool| (pool, pool.lock_renewed(self.ledger, wall))).collect()
    }

    /// The agent's own lock is out of order here, and so it is not waited for.
    #[inline]
    fn below(
        &self,
        pools: &mut Pools<'_>,
        agent: &Arc<Account>,
        index: usize,
    ) -> Result<Option<O::Outcome>, LedgerError> {
        let Some(state) = agent.try_lock() else { return Ok(None) };
        if state.closed {
            return Ok(None);
        }
        let mut agents = Agents::new(agent, state);
        agents.renew(self.ledger, self.at.wall);
        self.operation.below(&mut agents, pools, index, self.at)
    }
}

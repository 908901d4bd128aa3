//! Many debits in one call.
//!
//! What a single debit cannot do: accounts are fetched from memory before they are needed, and where neighbours in
//! the batch have the same pool, it is locked once for all of them.

use std::sync::Arc;

use super::Ledger;
use super::account::Account;
use super::balance::Movement;
use super::directory::Slots;
use super::error::LedgerError;
use super::operation::OperationId;
use super::path::Path;
use super::quantity::Transaction;
use super::state::State;
use crate::amount::Amount;
use crate::clock::Wall;
use crate::sync::MutexGuard;

/// Accounts that are fetched at once, and debits for which a pool stays locked at most: a few microseconds.
const STRIDE: usize = 32;

/// Debits for which the directory stays locked at most: about a millisecond.
const SLICE: usize = 128 * STRIDE;

/// Neighbours of one pool from which on it is worth keeping it locked.
const MIN_RUN: usize = 4;

/// Why a batch was not begun; or why it ended, if the changes cannot be written down: what came before was done.
#[derive(Clone, Debug)]
pub struct BatchError {
    /// Position of the item that is malformed, or was not done.
    pub index: usize,
    /// What is wrong with it.
    pub error: LedgerError,
}

/// One debit of a batch.
struct Item<'a> {
    agent: &'a Arc<Account>,
    amount: Amount,
}

/// What all debits of a batch share.
#[derive(Clone, Copy)]
struct Batch<'a> {
    ledger: &'a Ledger,
    operation: OperationId,
    now: Wall,
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
        if handles.len() != units.len() {
            let text =
                format!("handles has {} items and units {}: they must match", handles.len(), units.len());
            let error = LedgerError::Configuration(text);
            return Err(BatchError { index: handles.len().min(units.len()), error });
        }
        let slices = || handles.chunks(SLICE).zip(units.chunks(SLICE)).zip((0..).step_by(SLICE));
        for ((handles, units), first) in slices() {
            check(&self.directory.slots(), handles, units, first)?;
            if !go_on() {
                return Ok(Vec::new());
            }
        }
        let batch = Batch { ledger: self, operation, now: self.clock.wall() };
        let mut admitted = Vec::with_capacity(handles.len());
        for ((handles, units), _) in slices() {
            let done = batch.debit_slice(handles, units, &mut admitted);
            done.map_err(|error| BatchError { index: admitted.len(), error })?;
            if !go_on() {
                break;
            }
        }
        Ok(admitted)
    }
}

/// Refuses a batch with an item that is no debit at all. The first item is the one of number `first`.
fn check(slots: &Slots, handles: &[u32], units: &[i64], first: usize) -> Result<(), BatchError> {
    let malformed = |index, error| BatchError { index, error };
    for (index, (handle, units)) in (first..).zip(handles.iter().zip(units)) {
        slots.get(*handle).map_err(|error| malformed(index, error))?;
        if *units < 0 {
            let text = format!("units[{index}] is {units}: an amount must not be negative");
            return Err(malformed(index, LedgerError::Configuration(text)));
        }
    }
    Ok(())
}

/// Brings accounts into the cache. A million of them lie outside it, and each lock would wait for the memory of
/// the one before; reads without a lock are under way all at once.
fn fetch(items: &[Item<'_>]) {
    std::hint::black_box(items.iter().filter(|item| item.agent.is_locked()).count());
}

impl Item<'_> {
    fn has_pool_of(&self, other: &Self) -> bool {
        match (&self.agent.parent, &other.agent.parent) {
            (Some(pool), Some(other)) => Arc::ptr_eq(pool, other),
            _ => false,
        }
    }
}

impl Batch<'_> {
    fn debit_slice(
        self,
        handles: &[u32],
        units: &[i64],
        admitted: &mut Vec<bool>,
    ) -> Result<(), LedgerError> {
        let slots = self.ledger.directory.slots();
        let item = |(handle, units): (&u32, &i64)| {
            let amount = Amount::from_units((*units).into())?;
            Some(Item { agent: slots.get(*handle).ok()?, amount })
        };
        let mut items = Vec::with_capacity(STRIDE);
        for (handles, units) in handles.chunks(STRIDE).zip(units.chunks(STRIDE)) {
            items.clear();
            items.extend(handles.iter().zip(units).map_while(item));
            if items.len() < handles.len() {
                // Somebody has left since the batch was checked.
                for item in handles.iter().zip(units).map(item) {
                    admitted.push(item.map_or(Ok(false), |item| self.debit(&item))?);
                }
                continue;
            }
            fetch(&items);
            for run in items.chunk_by(Item::has_pool_of) {
                self.debit_run(run, admitted)?;
            }
        }
        Ok(())
    }

    /// Debits neighbours of one pool.
    fn debit_run(self, run: &[Item<'_>], admitted: &mut Vec<bool>) -> Result<(), LedgerError> {
        let pool = run.first().and_then(|item| item.agent.parent.as_deref());
        let mut pools = pool.filter(|_| run.len() >= MIN_RUN).map(|pool| self.lock_path(pool));
        for item in run {
            let is_done = match &mut pools {
                Some(pools) => self.debit_below(pools, item)?,
                None => false,
            };
            if !is_done {
                // Whatever is out of the ordinary takes the ordinary way, which may want the pools' locks.
                pools = None;
            }
            admitted.push(is_done || self.debit(item)?);
        }
        Ok(())
    }

    /// What cannot be written down is no refusal.
    fn debit(self, item: &Item<'_>) -> Result<bool, LedgerError> {
        let Self { ledger, operation, now } = self;
        match ledger.debit_at(Path::of(item.agent), &item.amount, operation, now, None, |_, _, _| ()) {
            Ok(()) => Ok(true),
            Err(error @ LedgerError::Unwritten(_)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Locks a pool and all above it.
    fn lock_path(self, pool: &Account) -> Vec<(&Account, MutexGuard<'_, State>)> {
        let path = std::iter::successors(Some(pool), |pool| pool.parent.as_deref());
        path.map(|pool| (pool, pool.lock_renewed(self.ledger, self.now))).collect()
    }

    /// Debits an agent whose pools are locked; false, with nothing changed, if not all admit it. Its own
    /// lock is out of order here, and so it is not waited for.
    #[inline]
    fn debit_below(
        self,
        pools: &mut [(&Account, MutexGuard<'_, State>)],
        item: &Item<'_>,
    ) -> Result<bool, LedgerError> {
        let Self { ledger, operation, now } = self;
        let t = Transaction::debit(Path::of(item.agent), &item.amount, operation, now, None);
        let movement = Movement::debit(item.amount, false);
        let Some(mut state) = item.agent.try_lock() else { return Ok(false) };
        let windows_at = state.windows_at(ledger);
        let must_fit = windows_at.map(|at| (at, item.amount));
        let is_plain = !state.closed && !item.amount.is_zero();
        if !is_plain
            || !state.admits(&movement, must_fit)
            || !pools.iter().all(|(_, pool)| movement.is_admitted_by(&pool.books.balance))
        {
            return Ok(false);
        }
        t.write(windows_at, ledger)?;
        for (pool, pool_state) in pools {
            pool_state.shift(&movement, pool, ledger);
        }
        state.shift(&movement, item.agent, ledger);
        state.note(&t.posting(windows_at), ledger);
        Ok(true)
    }
}

//! Many debits in one call.
//!
//! What a single debit cannot do: accounts are fetched from memory before they are needed, and where neighbours in
//! the batch have the same pool, it is locked once for all of them.

use std::sync::Arc;

use super::Ledger;
use super::account::{Account, State};
use super::balance::Movement;
use super::directory::Slots;
use super::error::LedgerError;
use super::event::EventKind;
use super::operation::OperationId;
use crate::amount::Amount;
use crate::clock::Wall;
use crate::sync::MutexGuard;

/// Accounts that are fetched at once, and debits for which a pool stays locked at most: a few microseconds.
const STRIDE: usize = 32;

/// Neighbours of one pool from which on it is worth keeping it locked.
const MIN_RUN: usize = 4;

/// Why a batch was not begun.
#[derive(Clone, Debug)]
pub struct BatchError {
    /// Position of the item that is malformed.
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
    /// before anything is charged. `units` are of 1e-9.
    pub fn debit_many(
        &self,
        handles: &[u32],
        units: &[i64],
        operation: OperationId,
    ) -> Result<Vec<bool>, BatchError> {
        let slots = self.directory.slots();
        check(&slots, handles, units)?;
        let batch = Batch { ledger: self, operation, now: self.clock.wall() };
        let mut admitted = Vec::with_capacity(handles.len());
        let mut items = Vec::with_capacity(STRIDE);
        for (handles, units) in handles.chunks(STRIDE).zip(units.chunks(STRIDE)) {
            items.clear();
            items.extend(handles.iter().zip(units).filter_map(|(handle, units)| {
                let amount = Amount::from_units((*units).into())?;
                Some(Item { agent: slots.get(*handle).ok()?, amount })
            }));
            fetch(&items);
            for run in items.chunk_by(Item::has_pool_of) {
                batch.debit_run(run, &mut admitted);
            }
        }
        Ok(admitted)
    }
}

/// Refuses a batch with an item that is no debit at all.
fn check(slots: &Slots, handles: &[u32], units: &[i64]) -> Result<(), BatchError> {
    let malformed = |index, error| BatchError { index, error };
    if handles.len() != units.len() {
        let text = format!("handles has {} items and units {}: they must match", handles.len(), units.len());
        return Err(malformed(handles.len().min(units.len()), LedgerError::Configuration(text)));
    }
    for (index, (handle, units)) in handles.iter().zip(units).enumerate() {
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
    /// Debits neighbours of one pool.
    fn debit_run(self, run: &[Item<'_>], admitted: &mut Vec<bool>) {
        let pool = run.first().and_then(|item| item.agent.parent.as_deref());
        let mut pools = pool.filter(|_| run.len() >= MIN_RUN).map(|pool| self.lock_path(pool));
        for item in run {
            let is_done = pools.as_mut().is_some_and(|pools| self.debit_below(pools, item));
            if !is_done {
                // Whatever is out of the ordinary takes the ordinary way, which may want the pools' locks.
                pools = None;
            }
            admitted.push(is_done || self.debit(item));
        }
    }

    fn debit(self, item: &Item<'_>) -> bool {
        let Self { ledger, operation, now } = self;
        ledger.debit_at(item.agent, item.amount, operation, now).is_ok()
    }

    /// Locks a pool and all above it.
    fn lock_path(self, pool: &Account) -> Vec<(&Account, MutexGuard<'_, State>)> {
        let path = std::iter::successors(Some(pool), |pool| pool.parent.as_deref());
        path.map(|pool| (pool, pool.lock_renewed(self.ledger, self.now))).collect()
    }

    /// Debits an agent whose pools are locked; false, with nothing changed, if not all admit it. Its own
    /// lock is out of order here, and so it is not waited for.
    fn debit_below(self, pools: &mut [(&Account, MutexGuard<'_, State>)], item: &Item<'_>) -> bool {
        let Self { ledger, operation, now } = self;
        let movement = Movement::debit(item.amount);
        let Some(mut state) = item.agent.try_lock() else { return false };
        let windows_at = state.windows_at(ledger);
        let must_fit = windows_at.map(|at| (at, item.amount));
        let is_plain = !state.closed && !item.amount.is_zero();
        if !is_plain
            || !state.admits(&movement, must_fit)
            || !pools.iter().all(|(_, pool)| movement.is_admitted_by(&pool.books.balance))
        {
            return false;
        }
        for (pool, pool_state) in pools {
            pool_state.apply(&movement, pool, ledger);
        }
        state.apply(&movement, item.agent, ledger);
        state.write_usage(ledger, windows_at, EventKind::Debit, item.amount, operation, now);
        true
    }
}

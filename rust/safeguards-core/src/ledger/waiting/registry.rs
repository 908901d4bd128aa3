//! Every queue, and what is to be told to them.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::Tender;
use super::lane::Rank;
use super::queue::Queue;
use super::waiter::Waiter;
use super::world::Accounts;
use crate::clock::Monotonic;
use crate::ledger::account::Account;
use crate::ledger::{Ledger, Number};
use crate::sync::{AtomicBool, AtomicI64, Mutex, MutexGuard, Ordering};

/// Everybody who waits.
#[derive(Debug)]
pub(in crate::ledger) struct Waiting {
    /// How many wait.
    pub(super) count: AtomicI64,
    /// How many ever came to wait.
    pub(super) tickets: AtomicI64,
    pub(super) has_signals: AtomicBool,
    /// By account.
    pub(super) signals: Mutex<HashMap<Number, Signal, RandomState>>,
    /// Those that no queue has, until they enter that of the tree that their accounts have moved to.
    pub(super) moved: Mutex<VecDeque<Arc<Waiter>>>,
    /// By the topmost pools of their trees.
    pub(super) queues: Mutex<HashMap<Number, Arc<Shared>, RandomState>>,
    pub(super) is_closed: AtomicBool,
    pub(super) tender: Option<Box<dyn Tender>>,
    /// When the tender comes at the latest.
    pub(super) tended_at: Mutex<Monotonic>,
}

/// Something may have come back to an account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal {
    pub(super) root: Number,
    pub(super) account: Number,
    pub(super) is_raise: bool,
}

/// The queue of a tree, or of several.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cell: Mutex<Cell>,
    /// When it is to be tended.
    pub(super) next: AtomicI64,
}

#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) queue: Queue<Arc<Waiter>, Arc<Account>>,
    pub(super) roots: Vec<Number>,
    /// Those that wait under a key.
    pub(super) keyed: BTreeSet<(Box<str>, Rank)>,
    /// Another one has taken its place, or nobody waits.
    pub(super) is_retired: bool,
}

impl Cell {
    /// Forgets keys of those that wait no more. Others that wait under one of them are tried: its outcome is theirs.
    pub(super) fn forget_keys(&mut self, ended: &[(Box<str>, Rank)]) -> bool {
        ended.iter().fold(false, |is_any, key| {
            self.keyed.remove(key);
            self.retry_key(&key.0) || is_any
        })
    }

    /// Lets those be tried that wait under a key.
    pub(super) fn retry_key(&mut self, key: &str) -> bool {
        let from = (Box::from(key), Rank::FIRST);
        let ranks = self.keyed.range(from..).take_while(|(other, _)| **other == *key);
        ranks.fold(false, |is_any, (_, rank)| self.queue.retry(*rank) || is_any)
    }
}

impl Waiting {
    pub(in crate::ledger) fn new() -> Self {
        Self {
            count: AtomicI64::new(0),
            tickets: AtomicI64::new(0),
            has_signals: AtomicBool::new(false),
            signals: Mutex::default(),
            moved: Mutex::default(),
            queues: Mutex::default(),
            is_closed: AtomicBool::new(false),
            tender: None,
            tended_at: Mutex::new(Monotonic::NEVER),
        }
    }

    /// Whether anybody waits. One load: who gives something back holds, or has held, the lock of an account that it
    /// came back to, and a waiter was counted before it looked under that lock.
    #[inline]
    pub(in crate::ledger) fn is_any(&self) -> bool {
        self.count.load(Ordering::Relaxed) != 0
    }

    /// To be called when something has come back to an account, whose lock may be held.
    #[inline]
    pub(in crate::ledger) fn signal(&self, account: &Account, is_raise: bool) {
        if self.is_any() {
            self.note(account, is_raise);
        }
    }

    /// The same, of several accounts.
    #[inline]
    pub(in crate::ledger) fn signal_all<'a>(
        &self,
        accounts: impl IntoIterator<Item = &'a Arc<Account>>,
        is_raise: bool,
    ) {
        if self.is_any() {
            accounts.into_iter().for_each(|account| self.note(account, is_raise));
        }
    }

    #[cold]
    pub(super) fn note(&self, account: &Account, is_raise: bool) {
        let signal = Signal { root: root(account), account: account.number, is_raise };
        let mut signals = self.signals.lock();
        signals.entry(account.number).or_insert(signal).is_raise |= is_raise;
        self.has_signals.store(true, Ordering::Release);
    }

    /// To be called when the next reservation expires at a time, so that who waits for it is served in time.
    #[inline]
    pub(in crate::ledger) fn expire_at(&self, at: Monotonic) {
        if self.is_any() && at < *self.tended_at.lock() {
            self.has_signals.store(true, Ordering::Release);
        }
    }

    pub(super) fn take_signals(&self) -> Vec<Signal> {
        let mut signals = self.signals.lock();
        self.has_signals.store(false, Ordering::Release);
        signals.drain().map(|(_, signal)| signal).collect()
    }

    pub(super) fn find(&self, root: Number) -> Option<Arc<Shared>> {
        self.queues.lock().get(&root).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Shared>> {
        let mut all: Vec<_> = self.queues.lock().values().cloned().collect();
        all.sort_unstable_by_key(|shared| Arc::as_ptr(shared).addr());
        all.dedup_by(|one, other| Arc::ptr_eq(one, other));
        all
    }

    /// The queue of trees that somebody wants at once: those that they had become one.
    pub(super) fn join(&self, roots: &[Number], ledger: &Ledger) -> Arc<Shared> {
        let mut queues = self.queues.lock();
        let mut found: Vec<_> = roots.iter().filter_map(|root| queues.get(root).cloned()).collect();
        found.sort_unstable_by_key(|shared| Arc::as_ptr(shared).addr());
        found.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let joined = found.pop().unwrap_or_else(|| {
            Arc::new(Shared { cell: Mutex::default(), next: AtomicI64::new(Monotonic::NEVER.0) })
        });
        let mut cell = joined.cell.lock();
        for other in found {
            let mut other = other.cell.lock();
            other.is_retired = true;
            cell.queue.absorb(std::mem::take(&mut other.queue), &mut Accounts::new(ledger));
            cell.roots.append(&mut other.roots);
            cell.keyed.append(&mut other.keyed);
        }
        cell.roots.extend(roots);
        cell.roots.sort_unstable();
        cell.roots.dedup();
        for root in &cell.roots {
            queues.insert(*root, Arc::clone(&joined));
        }
        drop(cell);
        joined
    }

    /// Forgets a queue that nobody waits in.
    pub(super) fn retire(&self, shared: &Arc<Shared>) {
        let mut queues = self.queues.lock();
        let mut cell = shared.cell.lock();
        if cell.queue.is_empty() && !cell.is_retired {
            cell.is_retired = true;
            for root in std::mem::take(&mut cell.roots) {
                queues.remove(&root);
            }
        }
    }
}

/// The topmost pool above an account.
pub(super) fn root(account: &Account) -> Number {
    let above = std::iter::successors(account.parent.as_deref(), |pool| pool.parent.as_deref());
    above.last().unwrap_or(account).number
}

impl Shared {
    /// Locks it, unless another one has taken its place.
    pub(super) fn lock(&self) -> Option<MutexGuard<'_, Cell>> {
        let cell = self.cell.lock();
        (!cell.is_retired).then_some(cell)
    }
}

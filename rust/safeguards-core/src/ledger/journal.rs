//! The seam for those who write changes down.

use std::sync::Arc;

use super::change::{Change, Instant};
use super::error::LedgerError;
use super::{AccountChange, Ledger, Number};

/// Writes changes down, in the order in which they are made.
///
/// It is told of each change after the last check and before the first effect, while the locks of every account that
/// the change moves are held; its own lock is the last in the order of locks, and it must not call the ledger. Where it
/// refuses, nothing has happened.
pub trait Journal: Send + Sync + std::fmt::Debug {
    /// Takes a change, or says why it cannot be written.
    ///
    /// # Errors
    /// The change cannot be written, and must not be made.
    fn append(&self, at: Instant, change: &Change) -> Result<(), Unwritten>;
}

/// Why a change could not be written down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unwritten {
    /// What went wrong.
    pub reason: Arc<str>,
}

impl From<Unwritten> for LedgerError {
    fn from(unwritten: Unwritten) -> Self {
        Self::Unwritten(unwritten)
    }
}

impl Ledger {
    /// Writes a change down, where there is a journal: without one it costs a branch.
    #[inline]
    pub(super) fn write(&self, change: impl FnOnce() -> (Instant, Change)) -> Result<(), Unwritten> {
        self.journal.as_deref().map_or(Ok(()), |journal| append(journal, change))
    }

    /// As [`write`](Self::write), of a change in one account, at a time.
    pub(super) fn write_account(
        &self,
        account: Number,
        change: &AccountChange,
        at: Instant,
    ) -> Result<(), Unwritten> {
        self.write(|| (at, Change::Account { account, change: change.clone() }))
    }
}

#[cold]
fn append(journal: &dyn Journal, change: impl FnOnce() -> (Instant, Change)) -> Result<(), Unwritten> {
    let (at, change) = change();
    journal.append(at, &change)
}

//! What an account keeps for the waiter that is favored.
//!
//! It is no state: it follows from who waits, is in no change and in no digest, and is gone when the ledger is.

use crate::amount::Amount;

/// Who asks, and so whether what is kept is for them, and whether their refusal counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) enum Asks {
    /// A call that does not wait, or for the last time.
    #[default]
    Once,
    /// A waiter, which will be tried again.
    Again,
    /// The waiter that money is kept for.
    Favored,
}

impl Asks {
    pub(in crate::ledger) const fn is_counted(self) -> bool {
        matches!(self, Self::Once)
    }

    pub(in crate::ledger) const fn is_favored(self) -> bool {
        matches!(self, Self::Favored)
    }
}

/// What is kept in one account.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::ledger) struct Kept {
    /// What the waiter lacks here, in units; nothing more is kept.
    wanted: i128,
    /// What has come back since.
    came: i128,
    /// What is to fit into the windows.
    in_windows: Amount,
}

impl Kept {
    /// Keeps what comes back from now on, up to so much.
    pub(in crate::ledger) const fn want(&mut self, units: i128) {
        self.wanted = units;
    }

    /// Keeps room in the windows.
    pub(in crate::ledger) const fn want_in_windows(&mut self, amount: Amount) {
        self.in_windows = amount;
    }

    /// More remains than before.
    pub(in crate::ledger) fn came_back(&mut self, before: i128, after: i128) {
        if after > before {
            self.came = self.wanted.min(self.came.min(before.max(0)) + (after - before));
        }
    }

    /// How much of what remains is kept.
    pub(in crate::ledger) fn of(&self, remaining: i128) -> i128 {
        self.came.min(remaining.max(0))
    }

    /// How much room is kept in the windows.
    pub(in crate::ledger) const fn in_windows(&self) -> Amount {
        self.in_windows
    }
}

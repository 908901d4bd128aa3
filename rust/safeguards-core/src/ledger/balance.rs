//! The books of one account.

use crate::amount::Amount;

/// `granted = remaining + reserved + spent`, in units of 1e-9, at every instant.
///
/// `granted` moves only with grants and `remaining`, `reserved`, `spent` only with movements, so that
/// [`is_balanced`](Self::is_balanced) can find a mistake in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// All that was ever granted, less what was taken back.
    pub granted: i128,
    /// What may still be spent. Negative only after an overdraft.
    pub remaining: i128,
    /// Set aside by active reservations.
    pub reserved: i128,
    /// Charged so far.
    pub spent: i128,
}

impl Balance {
    /// True if the books agree with themselves.
    #[must_use]
    pub const fn is_balanced(&self) -> bool {
        self.granted == self.remaining + self.reserved + self.spent && self.reserved >= 0 && self.spent >= 0
    }

    /// Makes `units` remain: a grant, or the opposite of one.
    pub(super) const fn set_remaining(&mut self, units: i128) {
        self.granted += units - self.remaining;
        self.remaining = units;
    }
}

/// One movement of money, the same on every account of a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Movement {
    /// What must remain for it to be admitted; `i128::MIN` for a fact that nothing can refuse.
    needs: i128,
    remaining: i128,
    reserved: i128,
    spent: i128,
}

impl Movement {
    /// Charges `amount` if it remains.
    pub(super) const fn debit(amount: Amount) -> Self {
        let x = amount.units();
        Self { needs: x, remaining: -x, reserved: 0, spent: x }
    }

    /// Charges `amount` whatever remains.
    pub(super) const fn charge(amount: Amount) -> Self {
        Self { needs: i128::MIN, ..Self::debit(amount) }
    }

    /// Sets `amount` aside if it remains.
    pub(super) const fn reserve(amount: Amount) -> Self {
        let x = amount.units();
        Self { needs: x, remaining: -x, reserved: x, spent: 0 }
    }

    /// Charges `charged` out of `reserved` and gives the rest back. What is charged beyond `reserved` must
    /// remain, unless `overdraft` lets the account go below zero.
    pub(super) const fn settle(reserved: Amount, charged: Amount, overdraft: bool) -> Self {
        let (r, c) = (reserved.units(), charged.units());
        let needs = if overdraft || c <= r { i128::MIN } else { c - r };
        Self { needs, remaining: r - c, reserved: -r, spent: c }
    }

    /// Gives back all that was reserved.
    pub(super) const fn release(reserved: Amount) -> Self {
        Self::settle(reserved, Amount::ZERO, false)
    }

    pub(super) const fn is_admitted_by(&self, balance: &Balance) -> bool {
        balance.remaining >= self.needs
    }

    /// What must remain, for the text of a refusal.
    pub(super) const fn needs(&self) -> i128 {
        self.needs
    }

    pub(super) const fn apply(&self, balance: &mut Balance) {
        balance.remaining += self.remaining;
        balance.reserved += self.reserved;
        balance.spent += self.spent;
    }
}

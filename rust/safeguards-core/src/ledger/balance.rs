//! The books of one account.

use super::change::Number;
use super::waiting::Asks;
use crate::amount::Amount;

/// `granted = remaining + reserved + spent`, in units of 1e-9, at every instant.
///
/// `granted` moves only with grants and `remaining`, `reserved`, `spent` only with movements, so that
/// [`is_balanced`](Self::is_balanced) can find a mistake in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Balance {
    /// What may still be spent. Negative only after an overdraft.
    pub remaining: i128,
    /// Charged so far.
    pub spent: i128,
    /// Set aside by active reservations.
    pub reserved: i128,
    /// All that was ever granted, less what was taken back.
    pub granted: i128,
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

/// What tells the reservation of a movement from all others of a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct HoldKey {
    pub(super) agent: Number,
    /// Among those of the agent.
    pub(super) number: u64,
}

/// One movement of money, the same on every account of a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Movement {
    /// What must remain for it to be admitted; `i128::MIN` for a fact that nothing can refuse.
    needs: i128,
    remaining: i128,
    reserved: i128,
    spent: i128,
    /// Work that begins, which an account may refuse whatever it has left: a debit or a reservation.
    begins: bool,
    /// A fact of more than was set aside: accounts may bound how far below zero it takes them.
    overdraws: bool,
    /// Units that it cost beyond what is charged.
    unpaid: i128,
    asks: Asks,
    /// Whose reservation it makes or ends, if it does.
    hold: HoldKey,
}

/// What all movements begin with.
const NOTHING: Movement = Movement {
    needs: i128::MIN,
    remaining: 0,
    reserved: 0,
    spent: 0,
    begins: false,
    overdraws: false,
    unpaid: 0,
    asks: Asks::Once,
    hold: HoldKey { agent: Number(0), number: 0 },
};

impl Movement {
    /// Charges `amount` if it remains, or whatever remains if it is a fact.
    #[inline]
    pub(super) const fn debit(amount: Amount, is_fact: bool) -> Self {
        let x = amount.units();
        Self { needs: needs(x, is_fact), remaining: -x, spent: x, overdraws: is_fact && x > 0, ..NOTHING }
    }

    /// Sets `amount` aside if it remains, or whatever remains if it is a fact.
    #[inline]
    pub(super) const fn reserve(amount: Amount, is_fact: bool) -> Self {
        let x = amount.units();
        Self { needs: needs(x, is_fact), remaining: -x, reserved: x, ..NOTHING }
    }

    /// Charges `charged` out of `reserved` and gives the rest back. What is charged beyond `reserved` must
    /// remain, unless it is a fact: then the account may go below zero.
    #[inline]
    pub(super) const fn settle(reserved: Amount, charged: Amount, is_fact: bool) -> Self {
        let (r, c) = (reserved.units(), charged.units());
        let overdraws = is_fact && c > r;
        Self {
            needs: needs(c - r, is_fact || c <= r),
            remaining: r - c,
            reserved: -r,
            spent: c,
            overdraws,
            ..NOTHING
        }
    }

    /// Gives back all that was reserved.
    #[inline]
    pub(super) const fn release(reserved: Amount) -> Self {
        Self::settle(reserved, Amount::ZERO, true)
    }

    /// Gives `amount` back that was charged before.
    pub(super) const fn refund(amount: Amount) -> Self {
        let x = amount.units();
        Self { remaining: x, spent: -x, ..NOTHING }
    }

    /// The same of work that begins.
    #[inline]
    pub(super) const fn beginning(mut self) -> Self {
        self.begins = true;
        self
    }

    /// Whether it is of work that begins.
    pub(super) const fn begins(&self) -> bool {
        self.begins
    }

    /// The same, which has cost so much more.
    #[inline]
    pub(super) const fn with_unpaid(mut self, unpaid: Amount) -> Self {
        self.unpaid = unpaid.units();
        self
    }

    /// The same, which makes or ends this reservation.
    #[inline]
    pub(super) const fn of_hold(mut self, hold: HoldKey) -> Self {
        self.hold = hold;
        self
    }

    /// Which reservation it makes or ends.
    pub(super) const fn hold(&self) -> HoldKey {
        self.hold
    }

    /// Units that it cost beyond what is charged.
    #[inline]
    pub(super) const fn unpaid(&self) -> i128 {
        self.unpaid
    }

    /// Whether it is a fact of more than was set aside.
    #[inline]
    pub(super) const fn overdraws(&self) -> bool {
        self.overdraws
    }

    #[inline]
    pub(super) const fn is_admitted_by(&self, balance: &Balance) -> bool {
        balance.remaining >= self.needs
    }

    /// The same, of somebody who asks in another way.
    #[inline]
    pub(super) const fn asking(self, asks: Asks) -> Self {
        Self { asks, ..self }
    }

    pub(super) const fn asks(&self) -> Asks {
        self.asks
    }

    /// What must remain, for the text of a refusal.
    pub(super) const fn needs(&self) -> i128 {
        self.needs
    }

    /// What is charged.
    pub(super) const fn spent(&self) -> i128 {
        self.spent
    }

    /// What is set aside; negative where it is given back.
    pub(super) const fn reserved(&self) -> i128 {
        self.reserved
    }

    /// By how much what remains changes.
    pub(super) const fn remaining(&self) -> i128 {
        self.remaining
    }

    /// Whether it ends what was set aside.
    #[inline]
    pub(super) const fn gives_back(&self) -> bool {
        self.reserved < 0
    }

    #[inline]
    pub(super) const fn apply(&self, balance: &mut Balance) {
        balance.remaining += self.remaining;
        balance.reserved += self.reserved;
        balance.spent += self.spent;
    }
}

const fn needs(units: i128, is_fact: bool) -> i128 {
    if is_fact { i128::MIN } else { units }
}

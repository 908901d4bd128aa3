//! How a reservation was closed, by its holder: written once, under the agent's lock, read without one.

use super::debit::Receipt;
use super::error::Closed;
use crate::amount::Amount;
use crate::sync::{AtomicU8, AtomicU64, Ordering};

const OPEN: u8 = 0;
const SETTLED: u8 = 1;
const RELEASED: u8 = 2;

/// A lock of its own would cost a settlement as much as an account's does. The words are written before the phase
/// (release) and read after it (acquire), so whoever sees the phase sees them.
#[derive(Debug)]
pub(super) struct Outcome {
    phase: AtomicU8,
    /// Amount and remaining, low and high half each, and sequence.
    words: [AtomicU64; 5],
}

impl Outcome {
    pub(super) fn open() -> Self {
        Self { phase: AtomicU8::new(OPEN), words: [0; 5].map(AtomicU64::new) }
    }

    /// The agent's lock must be held.
    pub(super) fn settle(&self, receipt: &Receipt) {
        let (amount, remaining) = (halves(receipt.amount.units()), halves(receipt.remaining));
        let words = [amount.0, amount.1, remaining.0, remaining.1, receipt.sequence];
        for (word, value) in self.words.iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        self.phase.store(SETTLED, Ordering::Release);
    }

    /// The agent's lock must be held.
    pub(super) fn release(&self) {
        self.phase.store(RELEASED, Ordering::Release);
    }

    /// How it was closed, if it was.
    #[inline]
    pub(super) fn get(&self) -> Option<Closed> {
        match self.phase.load(Ordering::Acquire) {
            OPEN => None,
            SETTLED => Some(Closed::Settled(self.receipt())),
            _ => Some(Closed::Released),
        }
    }

    fn receipt(&self) -> Receipt {
        let word = |index: usize| self.words[index].load(Ordering::Relaxed);
        let amount = Amount::from_units(whole(word(0), word(1))).unwrap_or_default();
        Receipt { amount, remaining: whole(word(2), word(3)), sequence: word(4) }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the two halves of 128 bits")]
const fn halves(value: i128) -> (u64, u64) {
    (value as u64, (value >> 64) as u64)
}

fn whole(low: u64, high: u64) -> i128 {
    (u128::from(high) << 64 | u128::from(low)).cast_signed()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn receipts_come_back_as_they_were() {
        for remaining in [0, -1, i128::from(u64::MAX) + 7, -(1 << 100)] {
            let outcome = Outcome::open();
            assert!(outcome.get().is_none());
            let receipt = Receipt { amount: Amount::MAX, remaining, sequence: u64::MAX };
            outcome.settle(&receipt);
            assert_eq!(outcome.get(), Some(Closed::Settled(receipt)));
        }
    }
}

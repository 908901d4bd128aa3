//! Dated amounts in constant memory.
//!
//! Charges made within one *span* share a bucket, dated by its newest charge: nothing leaves early, nothing
//! leaves more than a span late, and a charge alone in its bucket leaves exactly on time. A bucket keeps the gap
//! to the bucket before it instead of its date, in 48 bits, and its amount in 64: fourteen bytes, so that a
//! full window stays below 2 KiB.

use std::collections::VecDeque;

use crate::clock::Monotonic;

/// Buckets alive at once when a span is 1/128 of the window: two neighbours start more than a span apart, and
/// all but the oldest start within the window.
pub(super) const MAX_BUCKETS: usize = 129;

/// The longest gap that 48 bits of nanoseconds hold: 78 hours. A longer one takes a bucket of nothing.
const MAX_GAP: i64 = (1 << 48) - 1;

#[derive(Clone, Copy, Debug)]
struct Bucket([u8; 14]);

impl Bucket {
    fn new(gap: i64, amount: u64) -> Self {
        let mut bytes = [0; 14];
        bytes[..8].copy_from_slice(&amount.to_le_bytes());
        bytes[8..].copy_from_slice(&gap.to_le_bytes()[..6]);
        Self(bytes)
    }

    fn amount(self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(bytes)
    }

    /// Nanoseconds since the newest charge of the bucket before.
    fn gap(self) -> i64 {
        let mut bytes = [0; 8];
        bytes[..6].copy_from_slice(&self.0[8..]);
        i64::from_le_bytes(bytes)
    }
}

/// Amounts by date, oldest first.
#[derive(Debug)]
pub(super) struct Buckets {
    ring: VecDeque<Bucket>,
    total: u128,
    /// Date of the front bucket.
    oldest: Monotonic,
    /// Date of the back bucket: its newest charge.
    newest: Monotonic,
    /// First charge of the back bucket.
    opened: Monotonic,
}

impl Buckets {
    pub(super) const fn new() -> Self {
        let zero = Monotonic(0);
        Self { ring: VecDeque::new(), total: 0, oldest: zero, newest: zero, opened: zero }
    }

    /// Sum of all buckets, in units.
    pub(super) const fn total(&self) -> u128 {
        self.total
    }

    /// Dates and amounts, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Monotonic, u64)> {
        let dates = self.ring.iter().skip(1).scan(self.oldest, |date, bucket| {
            *date = date.plus(bucket.gap());
            Some(*date)
        });
        std::iter::once(self.oldest).chain(dates).zip(self.ring.iter().map(|bucket| bucket.amount()))
    }

    /// Drops every bucket dated at or before `until`.
    #[inline]
    pub(super) fn drop_until(&mut self, until: Monotonic) {
        while self.oldest <= until
            && let Some(bucket) = self.ring.pop_front()
        {
            self.total -= u128::from(bucket.amount());
            self.oldest = self.oldest.plus(self.ring.front().map_or(0, |next| next.gap()));
        }
    }

    /// Adds `units` at `now`: to the newest bucket if it was opened within `span`, else to a new one.
    #[inline]
    pub(super) fn add(&mut self, now: Monotonic, units: u128, span: i64) {
        // No limit reaches 2^64 units: a bucket that is full to the brim blocks as well as a fuller one would.
        let units = u64::try_from(units).unwrap_or(u64::MAX);
        let now = now.max(self.newest);
        let gap = now.since(self.newest);
        match self.ring.back_mut() {
            Some(back) if now.since(self.opened) <= span && back.gap() + gap <= MAX_GAP => {
                let amount = back.amount().saturating_add(units);
                self.total += u128::from(amount - back.amount());
                *back = Bucket::new(back.gap() + gap, amount);
                if self.ring.len() == 1 {
                    self.oldest = now;
                }
            }
            _ => self.open(now, gap, units),
        }
        self.newest = now;
    }

    /// Takes `units` out of the bucket that holds what was added at a time, as far as they are there. The bucket keeps its
    /// date.
    pub(super) fn take(&mut self, added: Monotonic, units: u128) {
        let Some(place) = self.iter().position(|(date, _)| date >= added) else { return };
        let bucket = &mut self.ring[place];
        let taken = u64::try_from(units).unwrap_or(u64::MAX).min(bucket.amount());
        *bucket = Bucket::new(bucket.gap(), bucket.amount() - taken);
        self.total -= u128::from(taken);
    }

    fn open(&mut self, now: Monotonic, mut gap: i64, units: u64) {
        if self.ring.is_empty() {
            (self.oldest, gap) = (now, 0);
        }
        while gap > MAX_GAP {
            self.push(Bucket::new(MAX_GAP, 0));
            gap -= MAX_GAP;
        }
        self.push(Bucket::new(gap, units));
        self.total += u128::from(units);
        self.opened = now;
    }

    fn push(&mut self, bucket: Bucket) {
        // The last doubling would reach past what a window can fill.
        if self.ring.len() == self.ring.capacity() && (64..MAX_BUCKETS).contains(&self.ring.len()) {
            self.ring.reserve_exact(MAX_BUCKETS - self.ring.len());
        }
        self.ring.push_back(bucket);
    }

    /// Bytes of memory behind the ring.
    pub(super) fn heap_bytes(&self) -> usize {
        self.ring.capacity() * size_of::<Bucket>()
    }

    /// True if the total is the sum of the buckets and the dates are in order.
    pub(super) fn is_consistent(&self) -> bool {
        let sum = self.ring.iter().map(|bucket| u128::from(bucket.amount())).sum::<u128>();
        let last = self.iter().last().map_or(self.newest, |(date, _)| date);
        sum == self.total && last == self.newest && self.opened <= self.newest
    }
}

//! Older usage, summed by hour, operation type and source. Nothing is lost: the oldest sums merge.

use super::event::Usage;
use super::operation::OperationId;
use crate::clock::Wall;

const HOUR_NANOS: i64 = 3_600 * 1_000_000_000;

/// Sums by the start of their hour.
///
/// A pointer, because most accounts have none.
#[derive(Debug, Default)]
pub(super) struct Sums(Option<Box<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    sums: Vec<Usage>,
    /// Usages that are in them.
    count: u64,
}

impl Sums {
    pub(super) fn iter(&self) -> impl Iterator<Item = Usage> {
        self.0.iter().flat_map(|inner| inner.sums.iter().copied())
    }

    /// Usages that are in the sums.
    pub(super) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |inner| inner.count)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    /// Adds usage to the sum of its hour. Beyond `limit` sums the oldest merge.
    #[inline]
    pub(super) fn add(&mut self, usage: Usage, limit: usize) {
        self.0.get_or_insert_default().add(usage, limit);
    }
}

impl Inner {
    #[inline]
    fn add(&mut self, usage: Usage, limit: usize) {
        self.count += 1;
        // Nearly always it belongs to the newest sum.
        if let Some(newest) = self.sums.last_mut()
            && (0..HOUR_NANOS).contains(&usage.start.0.saturating_sub(newest.start.0))
            && newest.is_like(&usage)
        {
            newest.absorb(usage);
        } else {
            self.add_elsewhere(usage, limit);
        }
    }

    fn add_elsewhere(&mut self, mut usage: Usage, limit: usize) {
        // The first hour of the line is cut off where the line begins.
        usage.start = Wall(usage.start.0.saturating_sub(usage.start.0.rem_euclid(HOUR_NANOS)));
        // Time goes forward, so the place is at the end or very near to it.
        let mut place = self.sums.len();
        while let Some(before) = place.checked_sub(1).map(|i| &mut self.sums[i])
            && before.start >= usage.start
        {
            if before.start == usage.start && before.is_like(&usage) {
                before.absorb(usage);
                return;
            }
            place -= 1;
        }
        self.sums.insert(place, usage);
        if self.sums.len() > limit.max(2) {
            self.merge_oldest();
        }
    }

    /// Merges the oldest sum that has a partner with it: the next one of its kind, or else the next one of its
    /// source, as "other". Of any three sums two have the same source.
    fn merge_oldest(&mut self) {
        let pair = (0..self.sums.len()).find_map(|oldest| Some((oldest, self.partner(oldest)?)));
        let Some((oldest, partner)) = pair else { return };
        let newer = self.sums.remove(partner);
        let sum = &mut self.sums[oldest];
        if !sum.is_like(&newer) {
            sum.operation = OperationId::OTHER;
        }
        sum.absorb(newer);
    }

    fn partner(&self, oldest: usize) -> Option<usize> {
        let sum = &self.sums[oldest];
        let find = |is_partner: &dyn Fn(&Usage) -> bool| {
            self.sums.iter().skip(oldest + 1).position(is_partner).map(|place| oldest + 1 + place)
        };
        find(&|other| other.is_like(sum)).or_else(|| find(&|other| other.source == sum.source))
    }
}

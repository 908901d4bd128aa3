//! Older usage, summed by hour, operation type and source. Nothing is lost: the oldest sums merge.

use super::event::Usage;
use super::operation::OperationId;
use crate::clock::Wall;

const HOUR_NANOS: i64 = 3_600 * 1_000_000_000;

/// Sums by the start of their hour.
#[derive(Debug, Default)]
pub(super) struct Sums(Vec<Usage>);

impl Sums {
    pub(super) fn iter(&self) -> impl Iterator<Item = Usage> {
        self.0.iter().copied()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds usage to the sum of its hour. Beyond `limit` sums the oldest merge.
    #[inline]
    pub(super) fn add(&mut self, usage: Usage, limit: usize) {
        // Nearly always it belongs to the newest sum.
        if let Some(newest) = self.0.last_mut()
            && (0..HOUR_NANOS).contains(&usage.start.0.saturating_sub(newest.start.0))
            && newest.is_like(&usage)
        {
            newest.absorb(usage);
        } else {
            self.add_elsewhere(usage, limit);
        }
    }

    fn add_elsewhere(&mut self, mut usage: Usage, limit: usize) {
        usage.start = Wall(usage.start.0 - usage.start.0.rem_euclid(HOUR_NANOS));
        // Time goes forward, so the place is at the end or very near to it.
        let mut place = self.0.len();
        while let Some(before) = place.checked_sub(1).map(|i| &mut self.0[i])
            && before.start >= usage.start
        {
            if before.start == usage.start && before.is_like(&usage) {
                before.absorb(usage);
                return;
            }
            place -= 1;
        }
        self.0.insert(place, usage);
        if self.0.len() > limit.max(2) {
            self.merge_oldest();
        }
    }

    /// Merges the oldest sum that has a partner with it: the next one of its kind, or else the next one of its
    /// source, as "other". Of any three sums two have the same source.
    fn merge_oldest(&mut self) {
        let pair = (0..self.0.len()).find_map(|oldest| Some((oldest, self.partner(oldest)?)));
        let Some((oldest, partner)) = pair else { return };
        let newer = self.0.remove(partner);
        let sum = &mut self.0[oldest];
        if !sum.is_like(&newer) {
            sum.operation = OperationId::OTHER;
        }
        sum.absorb(newer);
    }

    fn partner(&self, oldest: usize) -> Option<usize> {
        let sum = &self.0[oldest];
        let find = |is_partner: &dyn Fn(&Usage) -> bool| {
            self.0.iter().skip(oldest + 1).position(is_partner).map(|place| oldest + 1 + place)
        };
        find(&|other| other.is_like(sum)).or_else(|| find(&|other| other.source == sum.source))
    }
}

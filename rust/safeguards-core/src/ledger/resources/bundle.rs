//! Amounts of several resources at once.

use smallvec::SmallVec;

use super::ResourceId;
use crate::amount::Amount;

/// How much of which resources: each once, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle(SmallVec<[(ResourceId, Amount); 4]>);

impl Bundle {
    /// `None` if a resource comes twice.
    #[must_use]
    pub fn new(amounts: impl IntoIterator<Item = (ResourceId, Amount)>) -> Option<Self> {
        let mut amounts: SmallVec<_> = amounts.into_iter().collect();
        amounts.sort_unstable_by_key(|(resource, _)| *resource);
        let is_strict = amounts.windows(2).all(|pair| pair[0].0 < pair[1].0);
        is_strict.then_some(Self(amounts))
    }

    /// So much of one resource.
    #[must_use]
    pub fn of(resource: ResourceId, amount: Amount) -> Self {
        Self(SmallVec::from_iter([(resource, amount)]))
    }

    /// Says how much of a resource. Mostly people name them in the order of their numbers.
    #[inline]
    pub fn set(&mut self, resource: ResourceId, amount: Amount) {
        if self.0.last().is_none_or(|(last, _)| *last < resource) {
            self.0.push((resource, amount));
            return;
        }
        match self.place(resource) {
            Ok(place) => self.0[place].1 = amount,
            Err(place) => self.0.insert(place, (resource, amount)),
        }
    }

    fn place(&self, resource: ResourceId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&resource, |(id, _)| *id)
    }

    /// Every resource and its amount, by number.
    pub fn iter(&self) -> impl Iterator<Item = (ResourceId, Amount)> {
        self.0.iter().copied()
    }

    /// How much of a resource: nothing if it is not named.
    #[must_use]
    pub fn get(&self, resource: ResourceId) -> Amount {
        self.place(resource).map_or(Amount::ZERO, |place| self.0[place].1)
    }

    /// True if there is nothing of anything.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|(_, amount)| amount.is_zero())
    }

    /// Every resource that either of two names, with what both say, by number.
    pub(super) fn beside<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (ResourceId, Amount, Amount)> {
        let mut resources: SmallVec<[ResourceId; 8]> =
            self.0.iter().chain(&other.0).map(|(resource, _)| *resource).collect();
        resources.sort_unstable();
        resources.dedup();
        resources.into_iter().map(|resource| (resource, self.get(resource), other.get(resource)))
    }
}

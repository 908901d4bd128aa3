//! Capacities over time, checked once so that nothing after has to.

use super::AllocationError;

/// Largest capacity: above it, not every whole load can be told from the next in a float.
pub const MAX_CAPACITY: f64 = 9_007_199_254_740_992.0;

/// Most resources; a choice is held in 16 bits.
pub const MAX_RESOURCES: usize = 65_535;

/// Most steps; a hit counter is held in 31 bits.
pub(super) const MAX_STEPS: usize = 1 << 30;

/// Capacities of Q resources over T steps, row after row. Finite, not negative, no step without any.
#[derive(Clone, Debug)]
pub struct Capacities {
    values: Vec<f64>,
    resources: usize,
}

impl Capacities {
    /// Checks the rows of a (T, Q) array.
    pub fn new(values: Vec<f64>, resources: usize) -> Result<Self, AllocationError> {
        if resources == 0 || resources > MAX_RESOURCES {
            return Err(AllocationError::Resources(resources));
        }
        let steps = values.len() / resources;
        if steps == 0 || steps > MAX_STEPS || !values.len().is_multiple_of(resources) {
            return Err(AllocationError::Steps(steps));
        }
        let capacities = Self { values, resources };
        for (step, row) in capacities.rows().enumerate() {
            check_row(row, step + 1)?;
        }
        Ok(capacities)
    }

    /// Number of resources, Q.
    #[must_use]
    pub const fn resources(&self) -> usize {
        self.resources
    }

    /// Number of steps, T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.values.len() / self.resources
    }

    /// The capacities of each step in turn.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.resources)
    }

    /// Refuses a step whose capacities do not hold `demand` units, but for rounding.
    pub(crate) fn check_sufficient(&self, demand: f64) -> Result<(), AllocationError> {
        for (step, row) in self.rows().enumerate() {
            let total = pairwise_sum(row);
            if total < demand * (1.0 - 1e-9) {
                return Err(AllocationError::Scarce { step: step + 1, total, demand });
            }
        }
        Ok(())
    }
}

/// Refuses what cannot be a capacity; `step` is for the message.
pub(crate) fn check_row(row: &[f64], step: usize) -> Result<(), AllocationError> {
    for (resource, &value) in row.iter().enumerate() {
        if value.is_nan() || value.is_infinite() || value > MAX_CAPACITY {
            return Err(AllocationError::NotACapacity { step, resource, value });
        }
        if value < 0.0 {
            return Err(AllocationError::NegativeCapacity { step, resource, value });
        }
    }
    if row.iter().all(|&c| c == 0.0) {
        return Err(AllocationError::NoCapacity(step));
    }
    Ok(())
}

/// The sum in the order in which numpy adds a contiguous row: one after the other below eight values, else
/// eight partial sums, in halves above 128. Another program's `row.sum()` is then equal to the last bit.
pub(crate) fn pairwise_sum(row: &[f64]) -> f64 {
    if row.len() < 8 {
        return row.iter().sum();
    }
    if row.len() > 128 {
        let half = row.len() / 2;
        let (left, right) = row.split_at(half - half % 8);
        return pairwise_sum(left) + pairwise_sum(right);
    }
    let (eights, rest) = row.split_at(row.len() - row.len() % 8);
    let mut r = [0.0; 8];
    for eight in eights.chunks_exact(8) {
        for (sum, value) in r.iter_mut().zip(eight) {
            *sum += value;
        }
    }
    let total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    rest.iter().fold(total, |sum, value| sum + value)
}

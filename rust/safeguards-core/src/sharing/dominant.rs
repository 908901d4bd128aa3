//! Fair shares as exact amounts, which never add up to more than there is.

use twofloat::TwoFloat;

use super::filling::{Claims, Limit, SharingError, fill};
use crate::amount::Amount;

/// What each agent gets, rounded down.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// Tasks of each agent, in units of 1e-9.
    pub tasks: Vec<i128>,
    /// Amounts, a row for each agent and a column for each resource.
    pub amounts: Vec<Amount>,
    /// The resource of which an agent has the largest weighted share, and that share without its weight.
    pub dominant: Vec<Option<(usize, f64)>>,
    /// Why it has no more.
    pub limits: Vec<Limit>,
}

/// Divides `capacities` among agents that take `demands` (row by row) for each task, with `weights` (row by row,
/// or none) and at most `caps` tasks each, if any.
pub fn allocate(
    capacities: &[Amount],
    demands: &[Amount],
    weights: Vec<f64>,
    caps: &[Option<Amount>],
) -> Result<Allocation, SharingError> {
    let claims = Claims {
        capacities: capacities.iter().copied().map(exactly).collect(),
        demands: demands.iter().copied().map(exactly).collect(),
        weights,
        caps: caps.iter().map(|cap| cap.map_or(TwoFloat::from(f64::INFINITY), tasks)).collect(),
    };
    let filling = fill(&claims)?;
    let row = |agent: usize| &claims.demands[agent * capacities.len()..][..capacities.len()];
    let each = || filling.tasks.iter().copied().enumerate();
    let mut amounts = Vec::with_capacity(demands.len());
    each().for_each(|(agent, tasks)| amounts.extend(row(agent).iter().map(|demand| amount(*demand * tasks))));
    let dominant = each().zip(&filling.dominant).map(|((agent, tasks), resource)| {
        let resource = (*resource)?;
        let (used, capacity) = ((row(agent)[resource] * tasks).hi(), claims.capacities[resource].hi());
        Some((resource, if capacity > 0.0 { used / capacity } else { 0.0 }))
    });
    let mut allocation = Allocation {
        tasks: each().map(|(_, tasks)| floor(tasks * 1e9)).collect(),
        amounts,
        dominant: dominant.collect(),
        limits: filling.limits,
    };
    for (resource, capacity) in capacities.iter().enumerate() {
        allocation.trim(resource, *capacity, capacities.len());
    }
    Ok(allocation)
}

impl Allocation {
    /// Takes back what rounding gave of a resource beyond what there is: units of 1e-9, if anything, one of each
    /// agent after the other.
    fn trim(&mut self, resource: usize, capacity: Amount, resources: usize) {
        let column = (resource..self.amounts.len()).step_by(resources);
        let given = column.clone().map(|place| self.amounts[place].units()).sum::<i128>();
        let mut excess = given - capacity.units();
        while excess > 0 {
            for place in column.clone() {
                let less = Amount::from_units(self.amounts[place].units() - 1).filter(|_| excess > 0);
                excess -= i128::from(less.is_some());
                self.amounts[place] = less.unwrap_or(self.amounts[place]);
            }
        }
    }
}

/// Whole numbers up to it are floats.
const EXACT: i64 = 1 << 53;

/// An amount in units. It has at most 25 digits, and a pair of floats 31; most have no more than one float.
#[expect(clippy::cast_precision_loss, reason = "up to 2^53 there is none")]
fn exactly(amount: Amount) -> TwoFloat {
    let units = amount.units();
    i64::try_from(units)
        .ok()
        .filter(|units| *units <= EXACT)
        .map_or_else(|| TwoFloat::from(units), |units| TwoFloat::from(units as f64))
}

/// An amount of tasks.
fn tasks(amount: Amount) -> TwoFloat {
    exactly(amount) / 1e9
}

fn amount(units: TwoFloat) -> Amount {
    Amount::from_units(floor(units)).unwrap_or(Amount::MAX)
}

/// Rounds down a number that is not negative; what is a whole one but for the noise of the computation stays it.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "up to 2^53 there is none")]
fn floor(value: TwoFloat) -> i128 {
    let noise = (1e-9 + value.hi() * 1e-26).min(0.5);
    if value.hi() >= EXACT as f64 {
        return i128::try_from((value + noise).floor()).unwrap_or(i128::MAX);
    }
    let whole = value.hi() as i64;
    let rest = (value.hi() - whole as f64) + value.lo();
    let carry = i64::from(rest + noise >= 1.0) - i64::from(rest + noise < 0.0);
    i128::from(whole + carry)
}

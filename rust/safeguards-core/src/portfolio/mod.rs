//! How to split an amount among agents by what it returns, and how surely.
//!
//! An agent's money goes to its operations, the *segments* of the problem. A share `w` of the total returns
//! `r w` there, give or take `s w`, and no more than a cap can be used. The best split maximises
//!
//! > t Σ r w - (1 - t)/2 Σ (s w)²
//!
//! where the shares add up to one (or to the caps, if these are less) and no agent gets less than a floor. The
//! risk tolerance t is 1 for the greatest return and 0 for the least variance: the mean-variance rule of
//! Markowitz (1952) for outcomes that do not hang together.
//!
//! This is a separable concave problem with one constraint on the sum, a *continuous quadratic knapsack*.
//! [`fill`] solves it exactly by bisecting its one dual variable, the price of money, over the finitely many
//! prices at which a segment starts or ends (Helgason, Kennington & Lall 1980). [`apportion`] turns shares into
//! units whose sum is exact.

mod apportion;
mod fill;

use fill::{Criterion, Slot};

/// One operation of an agent.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// The agent, from 0.
    pub agent: usize,
    /// What one unit of money returns, r.
    pub expected: f64,
    /// Standard deviation of that, s.
    pub deviation: f64,
    /// The most units of money that it can use; `None` without a limit.
    pub cap: Option<i128>,
}

/// What is to be split, and how.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Units of money.
    pub total: i128,
    /// Units that each agent gets at least.
    pub floor: i128,
    /// From 0, the least variance, to 1, the greatest return.
    pub tolerance: f64,
}

/// The best split.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Units for each segment, in the order given.
    pub segments: Vec<i128>,
    /// Units for each agent.
    pub agents: Vec<i128>,
    /// What a little more of the total would add to `t r - (1 - t) s² w`, wherever it went; `None` if the caps
    /// leave a part of the total over, or no room for more.
    pub price: Option<f64>,
}

/// Why there is no split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortfolioError {
    /// All floors together are more than the total.
    #[error("the floors of {agents} agents are more than the total")]
    FloorsAboveTotal {
        /// How many agents there are.
        agents: usize,
    },
    /// What an agent's operations can use is less than its floor.
    #[error("agent {agent} cannot use its floor")]
    FloorAboveCaps {
        /// The agent.
        agent: usize,
        /// Units that it can use.
        usable: i128,
    },
}

/// Splits the total among agents `0..agents`, each of which has a segment.
pub fn split(agents: usize, segments: &[Segment], terms: &Terms) -> Result<Split, PortfolioError> {
    let mut problem = Problem::new(agents, segments, terms);
    problem.check_floors()?;
    problem.fill_floors();
    let price = problem.fill_the_rest();
    let agents = problem.agent_units();
    Ok(Split { segments: problem.segment_units(&agents), agents, price })
}

/// A split in the making.
struct Problem<'a> {
    terms: &'a Terms,
    segments: &'a [Segment],
    /// For each agent, its segments that money can reach: what returns as much as the best one without a cap,
    /// or more. The others are below the upper hull of what the agent's money can return.
    reachable: Vec<Vec<usize>>,
    /// For each agent, units that it can use.
    usable: Vec<i128>,
    /// For each segment, its share of the total below the agent's floor and above it.
    below: Vec<f64>,
    above: Vec<f64>,
}

impl<'a> Problem<'a> {
    fn new(agents: usize, segments: &'a [Segment], terms: &'a Terms) -> Self {
        let mut reachable = vec![Vec::new(); agents];
        for (k, segment) in segments.iter().enumerate() {
            reachable[segment.agent].push(k);
        }
        for own in &mut reachable {
            let uncapped = own.iter().filter(|&&k| segments[k].cap.is_none());
            let best = uncapped.map(|&k| segments[k].expected).fold(f64::NEG_INFINITY, f64::max);
            own.retain(|&k| segments[k].expected >= best);
        }
        let usable = reachable.iter().map(|own| sum_of_caps(segments, own, terms.total)).collect();
        let zeros = vec![0.0; segments.len()];
        Self { terms, segments, reachable, usable, below: zeros.clone(), above: zeros }
    }

    fn check_floors(&self) -> Result<(), PortfolioError> {
        let agents = self.reachable.len();
        let needed = i128::try_from(agents).ok().and_then(|n| n.checked_mul(self.terms.floor));
        if needed.is_none_or(|needed| needed > self.terms.total) {
            return Err(PortfolioError::FloorsAboveTotal { agents });
        }
        match self.usable.iter().position(|&usable| usable < self.terms.floor) {
            Some(agent) => Err(PortfolioError::FloorAboveCaps { agent, usable: self.usable[agent] }),
            None => Ok(()),
        }
    }

    /// A number of units as a share of the total.
    #[expect(clippy::cast_precision_loss, reason = "shares are floats; units are made exact afterwards")]
    fn share(&self, units: i128) -> f64 {
        units as f64 / self.terms.total.max(1) as f64
    }

    /// What is left of a segment, and what more of it is worth there. The criteria decide one after the other:
    /// the objective; among what is equally good, what the objective tends to at either end of the
    /// tolerance; and if that is equal too, an even split.
    fn slot(&self, k: usize) -> Slot {
        let Segment { expected, deviation, cap, .. } = self.segments[k];
        let (tolerance, variance) = (self.terms.tolerance, deviation * deviation);
        let second = if tolerance > 0.0 { (0.0, variance) } else { (expected, 0.0) };
        let used = self.below[k];
        let after = |(slope, bend): (f64, f64)| Criterion { slope: slope - bend * used, bend };
        let criteria = [(tolerance * expected, (1.0 - tolerance) * variance), second, (0.0, 1.0)];
        let cap = cap.map_or(f64::INFINITY, |cap| (self.share(cap) - used).max(0.0));
        Slot { cap, criteria: criteria.map(after) }
    }

    fn fill_floors(&mut self) {
        let floor = self.share(self.terms.floor);
        if floor == 0.0 {
            return;
        }
        for agent in 0..self.reachable.len() {
            let own = &self.reachable[agent];
            if let [only] = own[..] {
                self.below[only] = floor;
                continue;
            }
            let slots: Vec<Slot> = own.iter().map(|&k| self.slot(k)).collect();
            for (&k, share) in own.iter().zip(fill::fill(&slots, floor).shares) {
                self.below[k] = share;
            }
        }
    }

    /// Fills what the floors leave, and returns the price of the last of it, if money is scarce.
    fn fill_the_rest(&mut self) -> Option<f64> {
        let all: Vec<usize> = self.reachable.iter().flatten().copied().collect();
        let slots: Vec<Slot> = all.iter().map(|&k| self.slot(k)).collect();
        let filled = fill::fill(&slots, self.share(self.units_above_floors()));
        for (k, share) in all.into_iter().zip(filled.shares) {
            self.above[k] = share;
        }
        filled.price.filter(|_| self.usable() >= self.terms.total)
    }

    fn usable(&self) -> i128 {
        self.usable.iter().fold(0, |sum, &usable| sum.saturating_add(usable))
    }

    fn units_above_floors(&self) -> i128 {
        let floors: i128 = self.reachable.iter().map(|_| self.terms.floor).sum();
        self.usable().min(self.terms.total) - floors
    }

    fn agent_units(&self) -> Vec<i128> {
        let shares: Vec<f64> =
            self.reachable.iter().map(|own| own.iter().map(|&k| self.above[k]).sum()).collect();
        let rooms: Vec<i128> = self.usable.iter().map(|usable| usable - self.terms.floor).collect();
        let above = apportion::apportion(&shares, &rooms, self.terms.total, self.units_above_floors());
        above.into_iter().map(|units| units + self.terms.floor).collect()
    }

    fn segment_units(&self, agents: &[i128]) -> Vec<i128> {
        let mut units = vec![0; self.segments.len()];
        for (own, &total) in self.reachable.iter().zip(agents) {
            if let [only] = own[..] {
                units[only] = total;
                continue;
            }
            let shares: Vec<f64> = own.iter().map(|&k| self.below[k] + self.above[k]).collect();
            let rooms: Vec<i128> = own.iter().map(|&k| self.segments[k].cap.unwrap_or(i128::MAX)).collect();
            let parts = apportion::apportion(&shares, &rooms, self.terms.total, total);
            own.iter().zip(parts).for_each(|(&k, part)| units[k] = part);
        }
        units
    }
}

/// What segments can use together, but not more than `most`.
fn sum_of_caps(segments: &[Segment], own: &[usize], most: i128) -> i128 {
    own.iter().fold(0, |sum: i128, &k| sum.saturating_add(segments[k].cap.unwrap_or(most))).min(most)
}

#[cfg(test)]
mod tests;

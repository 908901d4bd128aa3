//! The strategies, each a population of agents held as flat arrays.

mod adaptive;
mod custom;
mod flow;
mod galstyan;
mod lam_leung;
mod mixed;
mod previous_capacity;
mod random;
mod win_stay;

pub use adaptive::{Adaptive, Attitude, Choice};
pub use custom::{Choosers, Custom, Public, Start};
pub use galstyan::Galstyan;
pub use lam_leung::LamLeung;
pub use mixed::Mixed;

use std::ops::Range;

use super::AllocationError;
use super::board::Board;
use super::draws::{Draws, StepDraws};

/// The choice of an agent that has not chosen yet.
pub(crate) const NONE: u16 = u16::MAX;

/// Agents handled at once: their state stays in the first-level cache between the parts of a step.
pub(crate) const TILE: usize = 512;

/// How agents choose. Plain values: a population of agents is made from one with `populate`.
#[derive(Clone, Debug, PartialEq)]
pub enum Strategy {
    /// She & Leung 2009.
    Adaptive(Adaptive),
    /// Lam & Leung 2007.
    LamLeung(LamLeung),
    /// Galstyan, Kolar & Lerman 2003.
    Galstyan(Galstyan),
    /// Own wins and losses and past capacities; no parameters.
    WinStay,
    /// Public past loads and capacities; no parameters.
    Flow,
    /// Each on its own, in proportion to the forecast capacities.
    Random,
    /// A centre that sets loads to the previous capacities.
    PreviousCapacity,
    /// A rule from outside.
    Custom(Custom),
    /// Several strategies side by side.
    Mixed(Mixed),
}

/// The agents of one trial. `plan` sees what is public, once a step; `choose` then moves a range of agents.
pub(crate) trait Population: Send {
    /// Adds the agent at the end, or makes that slot a new agent.
    fn admit(&mut self, agent: usize);

    /// Prepares the step that `board` shows; `choices` are those of the step before.
    fn plan(&mut self, board: &Board, choices: &[u16]);

    /// Ends the last task of `agents` (`overloaded` says which resources were, `None` that nothing is known)
    /// and lets each choose anew. `choices` holds all agents' last choices and takes the new ones; `counts` is
    /// increased by the number of new choices of each resource.
    fn choose(
        &mut self,
        agents: Range<usize>,
        overloaded: Option<&[bool]>,
        choices: &mut [u16],
        counts: &mut [i64],
    );
}

impl Strategy {
    /// Checks the parameters.
    pub fn check(&self, resources: usize) -> Result<(), AllocationError> {
        match self {
            Self::Adaptive(adaptive) => adaptive.check(),
            Self::LamLeung(lam_leung) => lam_leung.check(),
            Self::Galstyan(galstyan) => galstyan.check(resources),
            Self::Mixed(mixed) => mixed.check(resources),
            Self::WinStay | Self::Flow | Self::Random | Self::PreviousCapacity | Self::Custom(_) => Ok(()),
        }
    }

    /// Number of attitudes of each agent; 0 for a strategy without.
    #[must_use]
    pub const fn attitudes(&self, resources: usize) -> usize {
        match self {
            Self::Adaptive(Adaptive { attitude: Attitude::Agent, .. }) => 1,
            Self::Adaptive(_) | Self::LamLeung(_) => resources,
            _ => 0,
        }
    }

    /// Bytes of state of each agent, its choice included.
    #[must_use]
    pub fn bytes_per_agent(&self, resources: usize) -> usize {
        2 + match self {
            Self::Adaptive(_) => 8 * self.attitudes(resources) + 4 * resources,
            Self::LamLeung(_) => 16 * resources,
            Self::Galstyan(galstyan) => galstyan.bytes_per_agent(resources),
            Self::WinStay => 5,
            Self::Mixed(mixed) => mixed.bytes_per_agent(resources),
            Self::Flow | Self::Random | Self::PreviousCapacity | Self::Custom(_) => 0,
        }
    }

    /// Makes the agents of one trial. `initial` holds their attitudes row by row, else they are drawn.
    pub(crate) fn populate(&self, setup: &Setup<'_>) -> Box<dyn Population> {
        match self {
            Self::Adaptive(adaptive) => Box::new(adaptive::Agents::new(adaptive, setup)),
            Self::LamLeung(lam_leung) => Box::new(lam_leung::Agents::new(lam_leung, setup)),
            Self::Galstyan(galstyan) => Box::new(galstyan::Agents::new(galstyan, setup)),
            Self::WinStay => Box::new(win_stay::Agents::new(setup)),
            Self::Flow => Box::new(flow::Agents::new(setup)),
            Self::Random => Box::new(random::Agents::new(setup)),
            Self::PreviousCapacity => Box::new(previous_capacity::Agents::new(setup)),
            Self::Custom(custom) => Box::new(custom::Agents::new(custom, setup)),
            Self::Mixed(mixed) => Box::new(mixed::Agents::new(mixed, setup)),
        }
    }
}

/// What a population is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) agents: usize,
    pub(crate) resources: usize,
    /// Steps from one choice of an agent to its next.
    pub(crate) task_steps: usize,
    pub(crate) draws: Draws,
    pub(crate) initial_attitudes: Option<&'a [f64]>,
    /// Those who follow the strategy, by the step in which they choose.
    pub(crate) cohorts: &'a [Range<usize>],
}

/// Columns of agent state drawn or given at the start: column r of agent i is `columns[r][i]`.
pub(crate) fn columns(setup: &Setup<'_>, width: usize, start: StepDraws) -> Vec<Vec<f64>> {
    let value = |agent: usize, column: usize| match setup.initial_attitudes {
        Some(given) => given[agent * width + column],
        None => start.uniform(agent * width + column),
    };
    (0..width).map(|column| (0..setup.agents).map(|agent| value(agent, column)).collect()).collect()
}

/// Writes `value` to a slot, or adds it at the end.
pub(crate) fn put<T>(column: &mut Vec<T>, agent: usize, value: T) {
    match column.get_mut(agent) {
        Some(slot) => *slot = value,
        None => column.push(value),
    }
}

/// Cuts a range of agents into tiles.
pub(crate) fn tiles(agents: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = agents.end;
    agents.step_by(TILE).map(move |start| start..end.min(start + TILE))
}

/// Adds to `counts` how often each resource occurs.
#[inline(always)]
pub(crate) fn tally(choices: &[u16], counts: &mut [i64]) {
    if counts.len() <= 8 {
        for (resource, count) in counts.iter_mut().enumerate() {
            let n: u16 = choices
                .iter()
                .fold(0, |n, &choice| n.wrapping_add(u16::from(usize::from(choice) == resource)));
            *count += i64::from(n);
        }
    } else {
        for &choice in choices {
            counts[usize::from(choice)] += 1;
        }
    }
}

/// Weights to pick a resource by.
#[derive(Clone, Debug)]
pub(crate) struct Lottery {
    weights: Vec<f64>,
    /// Sum of the weights before each resource, and of all at the end.
    cumulative: Vec<f64>,
}

impl Lottery {
    pub(crate) fn new(resources: usize) -> Self {
        let mut lottery = Self { weights: vec![0.0; resources], cumulative: vec![0.0; resources + 1] };
        lottery.set(std::iter::repeat_n(1.0, resources));
        lottery
    }

    pub(crate) fn set(&mut self, weights: impl Iterator<Item = f64>) {
        let mut sum = 0.0;
        for (r, weight) in weights.enumerate() {
            self.weights[r] = weight;
            sum += weight;
            self.cumulative[r + 1] = sum;
        }
    }

    pub(crate) fn total(&self) -> f64 {
        self.cumulative[self.weights.len()]
    }

    /// The resource at `u` in [0, 1), among those of positive weight if there is one.
    #[inline]
    pub(crate) fn pick(&self, u: f64) -> u16 {
        self.at(u * self.total())
    }

    /// The same without `resource`; `resource` itself if no other has weight.
    #[inline]
    pub(crate) fn pick_other(&self, u: f64, resource: u16) -> u16 {
        let own = usize::from(resource);
        let others = self.total() - self.weights[own];
        if others <= 0.0 {
            return resource;
        }
        let x = u * others;
        self.at(if x < self.cumulative[own] { x } else { x + self.weights[own] })
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "resources are at most 65,535")]
    fn at(&self, x: f64) -> u16 {
        let last = self.weights.len() - 1;
        let ends = &self.cumulative[1..];
        let found = if last < 8 {
            ends.iter().fold(0, |n: usize, &end| n.wrapping_add(usize::from(end <= x)))
        } else {
            ends.partition_point(|&end| end <= x)
        };
        found.min(last) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lottery_picks_in_proportion_and_never_a_zero_weight() {
        for q in [4, 12] {
            let weights: Vec<f64> = (0..q).map(|r| f64::from(r % 4)).collect();
            let mut lottery = Lottery::new(weights.len());
            lottery.set(weights.iter().copied());
            let mut counts = vec![0i64; weights.len()];
            let picks: Vec<u16> = (0..60_000).map(|i| lottery.pick(f64::from(i) / 60_000.0)).collect();
            picks.chunks(TILE).for_each(|tile| tally(tile, &mut counts));
            for (&count, weight) in counts.iter().zip(&weights) {
                let expected = weight / lottery.total() * 60_000.0;
                let found = f64::from(i32::try_from(count).unwrap());
                assert!((found - expected).abs() <= 2.0, "{counts:?}");
            }
        }
    }

    #[test]
    fn picking_another_leaves_the_own_out() {
        let mut lottery = Lottery::new(3);
        lottery.set([1.0, 2.0, 1.0].into_iter());
        for own in 0..3 {
            assert!((0..100).all(|i| lottery.pick_other(f64::from(i) / 100.0, own) != own));
        }
        lottery.set([0.0, 2.0, 0.0].into_iter());
        assert_eq!(lottery.pick_other(0.5, 1), 1);
    }

    #[test]
    fn tiles_cover_a_range_once() {
        for n in [0, 1, TILE - 1, TILE, TILE + 1, 5 * TILE + 3] {
            let all: Vec<usize> = tiles(7..7 + n).flatten().collect();
            assert!(all.iter().copied().eq(7..7 + n));
        }
    }
}

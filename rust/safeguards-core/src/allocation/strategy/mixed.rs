//! Agents of several strategies side by side, at the same resources.

use std::ops::Range;

use super::{NONE, Population, Setup, Strategy};
use crate::allocation::AllocationError;
use crate::allocation::board::Board;

/// Strategies, each with its part of the agents.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed(Vec<(Strategy, f64)>);

impl Mixed {
    /// Parts are in proportion to their numbers.
    #[must_use]
    pub const fn new(parts: Vec<(Strategy, f64)>) -> Self {
        Self(parts)
    }

    pub(super) fn check(&self, resources: usize) -> Result<(), AllocationError> {
        let is_part = |part: f64| part.is_finite() && part > 0.0;
        if self.0.is_empty() || !self.0.iter().all(|&(_, part)| is_part(part)) {
            return Err(AllocationError::Unsupported("strategies: each wants a part above 0"));
        }
        self.0.iter().try_for_each(|(strategy, _)| strategy.check(resources))
    }

    pub(super) fn bytes_per_agent(&self, resources: usize) -> usize {
        2 + self.0.iter().map(|(strategy, _)| strategy.bytes_per_agent(resources)).max().unwrap_or(0)
    }

    /// Cuts a range of agents: the k-th strategy has those up to the k-th end.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "numbers of agents, which fit 32 bits"
    )]
    fn cut(&self, agents: &Range<usize>) -> Vec<Range<usize>> {
        let (n, total) = (agents.len(), self.0.iter().map(|(_, part)| part).sum::<f64>());
        let (mut start, mut sum) = (agents.start, 0.0);
        self.0
            .iter()
            .map(|(_, part)| {
                sum += part;
                let end = agents.start + ((sum / total * n as f64).round() as usize).min(n);
                let own = start..end.max(start);
                start = own.end;
                own
            })
            .collect()
    }
}

/// The agents of one strategy: they count from 0 among themselves.
struct Part {
    population: Box<dyn Population>,
    choices: Vec<u16>,
    /// Where they are among all agents, and among themselves.
    places: Vec<(Range<usize>, Range<usize>)>,
}

/// The agents of all strategies.
pub(super) struct Agents(Vec<Part>);

impl Agents {
    pub(super) fn new(mixed: &Mixed, setup: &Setup<'_>) -> Self {
        let cuts: Vec<_> = setup.cohorts.iter().map(|cohort| mixed.cut(cohort)).collect();
        let part = |(k, (strategy, _)): (usize, &(Strategy, f64))| {
            let mut agents = 0;
            let places: Vec<_> = cuts
                .iter()
                .map(|cut| {
                    let own = agents..agents + cut[k].len();
                    agents = own.end;
                    (cut[k].clone(), own)
                })
                .collect();
            let cohorts: Vec<_> = places.iter().map(|(_, own)| own.clone()).collect();
            let draws = setup.draws.part(k as u64);
            let setup = Setup { agents, draws, initial_attitudes: None, cohorts: &cohorts, ..*setup };
            Part { population: strategy.populate(&setup), choices: vec![NONE; agents], places }
        };
        Self(mixed.0.iter().enumerate().map(part).collect())
    }
}

impl Population for Agents {
    fn admit(&mut self, _: usize) {} // selectors refuse it

    fn plan(&mut self, board: &Board, _: &[u16]) {
        for part in &mut self.0 {
            part.population.plan(board, &part.choices);
        }
    }

    fn choose(
        &mut self,
        agents: Range<usize>,
        overloaded: Option<&[bool]>,
        choices: &mut [u16],
        counts: &mut [i64],
    ) {
        for part in &mut self.0 {
            for (place, own) in &part.places {
                if !own.is_empty() && agents.start <= place.start && place.end <= agents.end {
                    part.population.choose(own.clone(), overloaded, &mut part.choices, counts);
                    choices[place.clone()].copy_from_slice(&part.choices[own.clone()]);
                }
            }
        }
    }
}

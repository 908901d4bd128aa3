//! The strategy of Galstyan, Kolar & Lerman 2003, as She & Leung 2009 describe it in sections 2 and 4.2.

use std::ops::Range;

use super::{Population, Setup, tally, tiles};
use crate::allocation::AllocationError;
use crate::allocation::board::Board;
use crate::allocation::draws::{Draws, Purpose};

/// Parameters of Galstyan's strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Galstyan {
    /// Neighbours that each agent watches, K.
    pub neighbours: usize,
    /// Lookup tables that each agent has, S.
    pub tables: usize,
}

/// Most entries of one lookup table.
const MAX_ENTRIES: usize = 1 << 16;

impl Galstyan {
    pub(super) fn check(&self, resources: usize) -> Result<(), AllocationError> {
        let fits = 1 <= self.tables && self.tables <= 256 && self.entries(resources).is_some();
        if fits {
            return Ok(());
        }
        Err(AllocationError::Unsupported(
            "tables must be from 1 to 256 and resources ** neighbours at most 65,536: fewer neighbours, \
             tables or resources",
        ))
    }

    /// Entries of one table: one for each combination of the neighbours' last choices.
    fn entries(&self, resources: usize) -> Option<usize> {
        let neighbours = u32::try_from(self.neighbours).ok()?;
        resources.checked_pow(neighbours).filter(|&n| n <= MAX_ENTRIES)
    }

    pub(super) fn bytes_per_agent(&self, resources: usize) -> usize {
        // Neighbours; tables; a score and a suggestion of each; the copy of the last choice.
        let entries = self.entries(resources).unwrap_or(MAX_ENTRIES);
        4 * self.neighbours + self.tables * (2 * entries + 4 + 2) + 2
    }
}

/// The agents, each array row by row: agent, then table, then entry.
pub(super) struct Agents {
    strategy: Galstyan,
    draws: Draws,
    resources: usize,
    entries: usize,
    neighbours: Vec<u32>,
    tables: Vec<u16>,
    scores: Vec<i32>,
    suggestions: Vec<u16>,
    /// What everybody did in the step before.
    previous: Vec<u16>,
    step: u32,
}

impl Agents {
    #[expect(clippy::cast_possible_truncation, reason = "agents fit 32 bits and resources 16, both checked")]
    pub(super) fn new(strategy: &Galstyan, setup: &Setup<'_>) -> Self {
        let (agents, resources) = (setup.agents, setup.resources);
        let entries = strategy.entries(resources).unwrap_or(MAX_ENTRIES);
        let draw = |k, n: usize, below: usize| {
            let draws = setup.draws.at(k, Purpose::Start);
            (0..n).map(move |i| draws.below(i, below))
        };
        Self {
            strategy: *strategy,
            draws: setup.draws,
            resources,
            entries,
            neighbours: draw(0, agents * strategy.neighbours, agents).map(|n| n as u32).collect(),
            tables: draw(1, agents * strategy.tables * entries, resources).map(|r| r as u16).collect(),
            scores: vec![0; agents * strategy.tables],
            suggestions: vec![0; agents * strategy.tables],
            previous: draw(2, agents, resources).map(|r| r as u16).collect(),
            step: 0,
        }
    }

    /// Adds or takes a point from every table of an agent by what it had suggested.
    fn score(&mut self, agent: usize, overloaded: &[bool]) {
        let own = agent * self.strategy.tables..(agent + 1) * self.strategy.tables;
        for (score, &suggestion) in self.scores[own.clone()].iter_mut().zip(&self.suggestions[own]) {
            *score += if overloaded[usize::from(suggestion)] { -1 } else { 1 };
        }
    }

    /// Looks up what each table suggests and follows the one with the highest score, ties drawn.
    #[inline(always)]
    fn follow_best_table(&mut self, agent: usize, luck: u64) -> u16 {
        let Galstyan { neighbours, tables } = self.strategy;
        let watched = &self.neighbours[agent * neighbours..(agent + 1) * neighbours];
        let entry = watched
            .iter()
            .rev()
            .fold(0, |entry, &n| entry * self.resources + usize::from(self.previous[n as usize]));
        let (mut best, mut equals, mut next) = (i32::MIN, 0u32, 0);
        for table in agent * tables..(agent + 1) * tables {
            let (score, suggestion) = (self.scores[table], self.tables[table * self.entries + entry]);
            self.suggestions[table] = suggestion;
            equals = if score == best { equals.wrapping_add(1) } else { 1 };
            // The k-th of equal scores takes over with chance 1/k: each is as likely in the end.
            let luck =
                (luck.rotate_left(equals.wrapping_mul(7)) & 0xFFFF_FFFF).wrapping_mul(equals.into()) >> 32;
            let takes_over = score > best || (score == best && luck == 0);
            next = if takes_over { suggestion } else { next };
            best = best.max(score);
        }
        next
    }
}

impl Population for Agents {
    fn admit(&mut self, _: usize) {
        unreachable!("a selector refuses this strategy: neighbours must be known from the start");
    }

    fn plan(&mut self, board: &Board, choices: &[u16]) {
        self.step = board.step();
        if self.step > 1 {
            self.previous.copy_from_slice(choices);
        }
    }

    fn choose(
        &mut self,
        agents: Range<usize>,
        overloaded: Option<&[bool]>,
        choices: &mut [u16],
        counts: &mut [i64],
    ) {
        let draws = self.draws.at(self.step, Purpose::Choice);
        for tile in tiles(agents) {
            for agent in tile.clone() {
                if let Some(overloaded) = overloaded {
                    self.score(agent, overloaded);
                }
                choices[agent] = self.follow_best_table(agent, draws.bits(agent));
            }
            tally(&choices[tile], counts);
        }
    }
}

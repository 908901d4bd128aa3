//! The strategy of Lam & Leung 2007, as She & Leung 2009 describe it in sections 2 and 4.2.

use std::ops::Range;

use pulp::Arch;

use super::{Population, Setup, TILE, columns, put, tally, tiles};
use crate::allocation::board::Board;
use crate::allocation::draws::{Draws, Purpose};
use crate::allocation::{AllocationError, check_range};

/// Parameters of Lam and Leung's strategy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LamLeung {
    /// Steps that the public history looks back.
    pub history: usize,
    /// By how much an attitude rises after a hit.
    pub increase: f64,
    /// By how much it falls after a miss.
    pub decrease: f64,
}

impl LamLeung {
    pub(super) fn check(&self) -> Result<(), AllocationError> {
        #[expect(clippy::cast_precision_loss, reason = "checked against a small range")]
        check_range("history", "a whole number from 1 to 10,000", self.history as f64, 1.0, 1e4)?;
        check_range("increase", "a number from 0 to 1", self.increase, 0.0, 1.0)?;
        check_range("decrease", "a number from 0 to 1", self.decrease, 0.0, 1.0)
    }
}

/// The agents: attitudes and fixed preferences, one column for each resource; the history is everybody's.
pub(super) struct Agents {
    strategy: LamLeung,
    draws: Draws,
    attitudes: Vec<Vec<f64>>,
    preferences: Vec<Vec<f64>>,
    /// Whether each resource was free of overload in each of the last `history` steps, a ring of rows.
    record: Vec<Vec<bool>>,
    step: u32,
    shares: Vec<f64>,
    arch: Arch,
}

impl Agents {
    pub(super) fn new(strategy: &LamLeung, setup: &Setup<'_>) -> Self {
        let resources = setup.resources;
        let before = setup.draws.at(1, Purpose::Start);
        let unset = Setup { initial_attitudes: None, ..*setup };
        Self {
            strategy: *strategy,
            draws: setup.draws,
            attitudes: columns(setup, resources, setup.draws.at(0, Purpose::Start)),
            preferences: columns(&unset, resources, setup.draws.at(2, Purpose::Start)),
            record: (0..strategy.history)
                .map(|k| (0..resources).map(|r| before.bits(k * resources + r) & 1 == 1).collect())
                .collect(),
            step: 0,
            shares: vec![0.0; resources],
            arch: Arch::new(),
        }
    }
}

impl Population for Agents {
    fn admit(&mut self, agent: usize) {
        let width = self.attitudes.len();
        let (attitude, preference) = (self.draws.at(0, Purpose::Start), self.draws.at(2, Purpose::Start));
        for r in 0..width {
            put(&mut self.attitudes[r], agent, attitude.uniform(agent * width + r));
            put(&mut self.preferences[r], agent, preference.uniform(agent * width + r));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a history is at most 10,000 steps")]
    fn plan(&mut self, board: &Board, _: &[u16]) {
        if board.step() > 1 && board.step() > self.step {
            let oldest = board.step() as usize % self.strategy.history;
            for (free, &overloaded) in self.record[oldest].iter_mut().zip(board.overloaded()) {
                *free = !overloaded;
            }
        }
        self.step = board.step();
        for (r, share) in self.shares.iter_mut().enumerate() {
            let free = self.record.iter().filter(|row| row[r]).count();
            *share = free as f64 / self.strategy.history as f64;
        }
    }

    fn choose(
        &mut self,
        agents: Range<usize>,
        overloaded: Option<&[bool]>,
        choices: &mut [u16],
        counts: &mut [i64],
    ) {
        self.arch.dispatch(
            #[inline(always)]
            || {
                for tile in tiles(agents) {
                    let choices = &mut choices[tile.clone()];
                    self.choose_tile(tile, overloaded, choices);
                    tally(choices, counts);
                }
            },
        );
    }
}

impl Agents {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "resources are at most 65,535")]
    fn choose_tile(&mut self, tile: Range<usize>, overloaded: Option<&[bool]>, choices: &mut [u16]) {
        let n = choices.len();
        let (mut best, mut next) = ([f64::NEG_INFINITY; TILE], [0u16; TILE]);
        for (r, &share) in self.shares.iter().enumerate() {
            let resource = Resource {
                index: r as u16,
                move_by: match overloaded.map(|overloaded| overloaded[r]) {
                    None => 0.0,
                    Some(false) => self.strategy.increase,
                    Some(true) => -self.strategy.decrease,
                },
                share,
            };
            let attitudes = &mut self.attitudes[r][tile.clone()];
            let preferences = &self.preferences[r][tile.clone()];
            learn_and_weigh(resource, attitudes, preferences, choices, &mut best[..n], &mut next[..n]);
        }
        choices.copy_from_slice(&next[..n]);
    }
}

/// One step of one resource as all agents see it.
#[derive(Clone, Copy)]
struct Resource {
    index: u16,
    move_by: f64,
    share: f64,
}

/// One column of one tile, free of branches, as in the adaptive strategy.
#[inline(always)]
fn learn_and_weigh(
    resource: Resource,
    attitudes: &mut [f64],
    preferences: &[f64],
    chosen: &[u16],
    best: &mut [f64],
    next: &mut [u16],
) {
    let n = chosen.len();
    let (attitudes, preferences) = (&mut attitudes[..n], &preferences[..n]);
    let (best, next) = (&mut best[..n], &mut next[..n]);
    for i in 0..n {
        let move_by = if chosen[i] == resource.index { resource.move_by } else { 0.0 };
        let attitude = (attitudes[i] + move_by).clamp(0.0, 1.0);
        let attractiveness = (1.0 - attitude) * resource.share + attitude * preferences[i];
        let better = attractiveness > best[i];
        attitudes[i] = attitude;
        best[i] = if better { attractiveness } else { best[i] };
        next[i] = if better { resource.index } else { next[i] };
    }
}

//! The yardstick: independent random choice in proportion to the forecast capacities.

use std::ops::Range;

use super::{Lottery, Population, Setup, tally, tiles};
use crate::allocation::board::Board;
use crate::allocation::draws::{Draws, Purpose};

/// Agents without memory.
pub(super) struct Agents {
    draws: Draws,
    step: u32,
    shares: Lottery,
}

impl Agents {
    pub(super) fn new(setup: &Setup<'_>) -> Self {
        Self { draws: setup.draws, step: 0, shares: Lottery::new(setup.resources) }
    }
}

impl Population for Agents {
    fn admit(&mut self, _: usize) {}

    fn plan(&mut self, board: &Board, _: &[u16]) {
        self.step = board.step();
        self.shares.set(board.forecast().iter().copied());
    }

    fn choose(&mut self, agents: Range<usize>, _: Option<&[bool]>, choices: &mut [u16], counts: &mut [i64]) {
        let draws = self.draws.at(self.step, Purpose::Choice);
        for tile in tiles(agents) {
            for agent in tile.clone() {
                choices[agent] = self.shares.pick(draws.uniform(agent));
            }
            tally(&choices[tile], counts);
        }
    }
}

//! The other yardstick: a centre that deals the agents out by the previous capacities.

use std::ops::Range;

use super::{Population, Setup};
use crate::allocation::board::Board;

/// Agents that do as they are told.
pub(super) struct Agents {
    shares: Vec<f64>,
}

impl Agents {
    pub(super) fn new(setup: &Setup<'_>) -> Self {
        Self { shares: vec![1.0; setup.resources] }
    }
}

impl Population for Agents {
    fn admit(&mut self, _: usize) {
        unreachable!("a selector refuses this strategy: it needs all agents at once");
    }

    fn plan(&mut self, board: &Board, _: &[u16]) {
        if board.step() > 1 {
            self.shares.copy_from_slice(board.capacities(1));
        }
    }

    /// Agent after agent, to the boundaries of the cumulative shares, each rounded to the nearest agent.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        reason = "numbers of agents, which fit 32 bits"
    )]
    fn choose(&mut self, agents: Range<usize>, _: Option<&[bool]>, choices: &mut [u16], counts: &mut [i64]) {
        let (n, total) = (agents.len(), self.shares.iter().sum::<f64>());
        let (mut start, mut sum) = (0, 0.0);
        for (r, share) in self.shares.iter().enumerate() {
            sum += share;
            let last = r + 1 == self.shares.len();
            let end = if last { n } else { ((sum / total * n as f64).round() as usize).clamp(start, n) };
            choices[agents.start + start..agents.start + end].fill(r as u16);
            counts[r] += (end - start) as i64;
            start = end;
        }
    }
}

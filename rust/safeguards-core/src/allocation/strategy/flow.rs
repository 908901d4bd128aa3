//! Public loads, no parameters: the excess leaves, and goes where there is room.

use std::ops::Range;

use super::{Lottery, NONE, Population, Setup, tally, tiles};
use crate::allocation::board::Board;
use crate::allocation::draws::{Draws, Purpose};

/// The agents have no state but their choices.
pub(super) struct Agents {
    draws: Draws,
    task_steps: f64,
    step: u32,
    leave: Vec<f64>,
    room: Lottery,
    shares: Lottery,
}

impl Agents {
    #[expect(clippy::cast_precision_loss, reason = "a number of steps")]
    pub(super) fn new(setup: &Setup<'_>) -> Self {
        Self {
            draws: setup.draws,
            task_steps: setup.task_steps as f64,
            step: 0,
            leave: vec![0.0; setup.resources],
            room: Lottery::new(setup.resources),
            shares: Lottery::new(setup.resources),
        }
    }
}

impl Population for Agents {
    fn admit(&mut self, _: usize) {}

    /// With last load A and forecast capacity C of each resource: leave with probability (A - C)+ / A, go in
    /// proportion to (C - A)+. The movers out are then as many as the room, on average, and nobody moves in vain.
    #[expect(clippy::cast_precision_loss, reason = "loads are far below 2**53")]
    fn plan(&mut self, board: &Board, _: &[u16]) {
        self.step = board.step();
        self.shares.set(board.forecast().iter().copied());
        let (loads, forecast) = (board.loads(), board.forecast());
        let (load, capacity) = (loads.iter().sum::<i64>() as f64, forecast.iter().sum::<f64>());
        // Where there is too little for all, each resource should carry its share of what there is.
        let scale = if capacity < load { load / capacity } else { 1.0 };
        for (r, leave) in self.leave.iter_mut().enumerate() {
            let excess = (loads[r] as f64 - forecast[r] * scale).max(0.0);
            // Only the agents whose task ends can go: one in `task_steps`.
            *leave = if excess > 0.0 { (self.task_steps * excess / loads[r] as f64).min(1.0) } else { 0.0 };
        }
        self.room.set(forecast.iter().zip(loads).map(|(c, &load)| (c * scale - load as f64).max(0.0)));
        if self.room.total() <= 0.0 {
            self.leave.fill(0.0);
        }
    }

    fn choose(&mut self, agents: Range<usize>, _: Option<&[bool]>, choices: &mut [u16], counts: &mut [i64]) {
        let draws = self.draws.at(self.step, Purpose::Choice);
        for tile in tiles(agents) {
            for agent in tile.clone() {
                let (stay, go) = draws.pair(agent);
                let last = choices[agent];
                if last == NONE {
                    choices[agent] = self.shares.pick(go);
                } else if stay < self.leave[usize::from(last)] {
                    choices[agent] = self.room.pick(go);
                }
            }
            tally(&choices[tile], counts);
        }
    }
}

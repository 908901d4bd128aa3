//! Public loads, no parameters: the excess leaves, and goes where there is room.

use std::ops::Range;

use super::{Lottery, NONE, Population, Setup, tally, tiles};
use crate::allocation::board::Board;
use crate::allocation::draws::{Draws, Purpose};

/// Weight that the record of misses keeps from one step to the next: it looks back about ten steps.
const MEMORY: f64 = 0.9;
/// How fast the gain follows the record, and the least that it may be.
const PACE: f64 = 0.2;
const LEAST_GAIN: f64 = 0.05;

/// The agents have no state but their choices; what they do follows from what all of them read.
pub(super) struct Agents {
    draws: Draws,
    task_steps: f64,
    step: u32,
    gain: Gain,
    /// The forecast that the last step aimed at.
    aim: Vec<f64>,
    target: Vec<f64>,
    leave: Vec<f64>,
    room: Lottery,
    shares: Lottery,
}

/// How much of a miss is corrected at once. A miss that goes on in the next step says too little was, one that
/// turns round says too much: chance, such as others' carelessness, was chased. The best gain leaves misses that
/// do not depend on each other, as in a Kalman filter.
struct Gain {
    value: f64,
    last: Vec<f64>,
    products: f64,
    squares: f64,
}

impl Gain {
    fn learn(&mut self, misses: impl Iterator<Item = f64>) {
        let (mut product, mut square) = (0.0, 0.0);
        for (last, miss) in self.last.iter_mut().zip(misses) {
            product += *last * miss;
            square += miss * miss;
            *last = miss;
        }
        self.products = MEMORY * self.products + product;
        self.squares = MEMORY * self.squares + square;
        if self.squares > 0.0 {
            let correlation = self.products / self.squares;
            self.value = (self.value * (1.0 + PACE * correlation)).clamp(LEAST_GAIN, 1.0);
        }
    }
}

impl Agents {
    #[expect(clippy::cast_precision_loss, reason = "a number of steps")]
    pub(super) fn new(setup: &Setup<'_>) -> Self {
        let (q, zeros) = (setup.resources, vec![0.0; setup.resources]);
        Self {
            draws: setup.draws,
            task_steps: setup.task_steps as f64,
            step: 0,
            gain: Gain { value: 1.0, last: zeros.clone(), products: 0.0, squares: 0.0 },
            aim: zeros.clone(),
            target: zeros.clone(),
            leave: zeros,
            room: Lottery::new(q),
            shares: Lottery::new(q),
        }
    }

    /// Where loads should be next: where they are, moved as the forecast moves, less the part of the miss that is
    /// to be corrected. With a gain of 1 that is the forecast.
    #[expect(clippy::cast_precision_loss, reason = "loads are far below 2**53")]
    fn set_target(&mut self, loads: &[i64], forecast: &[f64]) {
        let (load, capacity) = (loads.iter().sum::<i64>() as f64, forecast.iter().sum::<f64>());
        // Where there is too little for all, each resource should carry its share of what there is.
        let scale = if capacity < load { load / capacity } else { 1.0 };
        let misses = loads.iter().zip(&self.aim).map(|(&load, aim)| load as f64 - aim);
        if self.step > 2 {
            self.gain.learn(misses);
        }
        for (r, &load) in loads.iter().enumerate() {
            let (load, next) = (load as f64, forecast[r] * scale);
            let aim = if self.step > 2 { self.aim[r] } else { next };
            self.target[r] = (load + (next - aim) - self.gain.value * (load - aim)).max(0.0);
            self.aim[r] = next;
        }
    }
}

impl Population for Agents {
    fn admit(&mut self, _: usize) {}

    /// With last load A and target C of each resource: leave with probability (A - C)+ / A, go in proportion to
    /// (C - A)+. The movers out are then as many as the room, on average, and nobody moves in vain.
    #[expect(clippy::cast_precision_loss, reason = "loads are far below 2**53")]
    fn plan(&mut self, board: &Board, _: &[u16]) {
        self.shares.set(board.forecast().iter().copied());
        if board.step() == self.step {
            return;
        }
        self.step = board.step();
        let loads = board.loads();
        self.set_target(loads, board.forecast());
        for (r, leave) in self.leave.iter_mut().enumerate() {
            let excess = (loads[r] as f64 - self.target[r]).max(0.0);
            // Only the agents whose task ends can go: one in `task_steps`.
            *leave = if excess > 0.0 { (self.task_steps * excess / loads[r] as f64).min(1.0) } else { 0.0 };
        }
        self.room.set(self.target.iter().zip(loads).map(|(c, &load)| (c - load as f64).max(0.0)));
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

//! Own wins and losses and past capacities, no parameters: stay, unless the capacity goes or the step was lost.

use std::collections::VecDeque;
use std::ops::Range;

use super::{Lottery, NONE, Population, Setup, put, tally, tiles};
use crate::allocation::board::Board;
use crate::allocation::draws::{Draws, Purpose, StepDraws};

/// What a change of the outcome does to the leaving probability, by the last outcome and this one. Lost twice:
/// too few of us left. A loss after a win or a win after a loss: the balance is near.
const TUNING: [[f32; 2]; 2] = [[1.0, 0.6], [0.6, 1.2]];
/// The largest leaving probability.
const MOST: f32 = 0.5;

/// What an agent remembers of its stay at its resource.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Won,
    Lost,
    /// It has just arrived.
    Arrived,
}

/// The agents: a leaving probability and the last outcome.
pub(super) struct Agents {
    draws: Draws,
    task_steps: u32,
    leave: Vec<f32>,
    memory: Vec<Memory>,
    step: u32,
    /// Forecasts of this step and of the `task_steps` before it, newest first.
    forecasts: VecDeque<Vec<f64>>,
    outlook: Outlook,
}

/// What the step looks like to everybody.
struct Outlook {
    /// Probability to follow the capacity out of each resource, and where to.
    fall: Vec<f64>,
    rise: Lottery,
    /// Leaving probability of a newcomer who loses, and the least of anybody who does, and where to.
    newcomer: Vec<f32>,
    floor: Vec<f32>,
    shares: Lottery,
}

impl Agents {
    pub(super) fn new(setup: &Setup<'_>) -> Self {
        let q = setup.resources;
        Self {
            draws: setup.draws,
            task_steps: u32::try_from(setup.task_steps).unwrap_or(u32::MAX),
            leave: vec![0.0; setup.agents],
            memory: vec![Memory::Arrived; setup.agents],
            step: 0,
            forecasts: VecDeque::from(vec![vec![1.0; q]; setup.task_steps + 1]),
            outlook: Outlook {
                fall: vec![0.0; q],
                rise: Lottery::new(q),
                newcomer: vec![0.0; q],
                floor: vec![0.0; q],
                shares: Lottery::new(q),
            },
        }
    }

    /// Nobody knew a capacity when this cohort last chose: it deals itself out anew.
    const fn scatters(&self) -> bool {
        self.step <= self.task_steps.saturating_add(1)
    }

    #[inline(always)]
    fn decide(
        &mut self,
        agent: usize,
        chosen: u16,
        overloaded: Option<&[bool]>,
        draws: [StepDraws; 2],
    ) -> u16 {
        let r = usize::from(chosen);
        let lost = overloaded.is_some_and(|overloaded| overloaded[r]);
        if overloaded.is_some() {
            self.adapt(agent, r, lost);
        }
        let (follow, quit) = draws[0].pair(agent);
        let follows = follow < self.outlook.fall[r];
        let quits = lost & (quit < f64::from(self.leave[agent]));
        if !(follows | quits) {
            return chosen;
        }
        self.memory[agent] = Memory::Arrived;
        let where_to = draws[1].uniform(agent);
        if follows {
            self.outlook.rise.pick(where_to)
        } else {
            self.outlook.shares.pick_other(where_to, chosen)
        }
    }

    /// Sign feedback: the same loss again says that the step was too small, an alternation that it was too large.
    #[inline(always)]
    fn adapt(&mut self, agent: usize, r: usize, lost: bool) {
        let memory = self.memory[agent];
        let tuned = self.leave[agent] * TUNING[usize::from(memory == Memory::Lost)][usize::from(lost)];
        let tuned = tuned.clamp(self.outlook.floor[r], MOST);
        self.leave[agent] = if memory == Memory::Arrived { self.outlook.newcomer[r] } else { tuned };
        self.memory[agent] = if lost { Memory::Lost } else { Memory::Won };
    }
}

impl Population for Agents {
    fn admit(&mut self, agent: usize) {
        put(&mut self.leave, agent, 0.0);
        put(&mut self.memory, agent, Memory::Arrived);
    }

    #[expect(clippy::cast_possible_truncation, reason = "probabilities need no more than 24 bits")]
    fn plan(&mut self, board: &Board, _: &[u16]) {
        if board.step() > self.step {
            self.forecasts.rotate_right(1);
            self.forecasts[0].copy_from_slice(board.forecast());
        }
        self.step = board.step();
        let (now, then) = (&self.forecasts[0], &self.forecasts[self.forecasts.len() - 1]);
        let total: f64 = now.iter().sum();
        let outlook = &mut self.outlook;
        for r in 0..now.len() {
            outlook.fall[r] = if then[r] > 0.0 { (1.0 - now[r] / then[r]).max(0.0) } else { 0.0 };
            let expected = now[r].max(1.0);
            // By how much the load of independent choosers is off, relative to itself.
            let spread = ((1.0 - now[r] / total).max(0.0) / expected).sqrt();
            outlook.newcomer[r] = spread.min(MOST.into()) as f32;
            outlook.floor[r] = (0.5 / expected) as f32;
        }
        outlook.rise.set(now.iter().zip(then).map(|(a, b)| (a - b).max(0.0)));
        outlook.shares.set(now.iter().copied());
        if outlook.rise.total() <= 0.0 {
            outlook.fall.fill(0.0); // the whole shrinks: there is nowhere better
        }
    }

    fn choose(
        &mut self,
        agents: Range<usize>,
        overloaded: Option<&[bool]>,
        choices: &mut [u16],
        counts: &mut [i64],
    ) {
        let at = |purpose| self.draws.at(self.step, purpose);
        let draws = [at(Purpose::Choice), at(Purpose::Destination)];
        for tile in tiles(agents) {
            for agent in tile.clone() {
                choices[agent] = if choices[agent] == NONE || self.scatters() {
                    self.outlook.shares.pick(draws[1].uniform(agent))
                } else {
                    self.decide(agent, choices[agent], overloaded, draws)
                };
            }
            tally(&choices[tile], counts);
        }
    }
}

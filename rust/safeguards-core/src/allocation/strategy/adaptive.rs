//! The adaptive strategy of She & Leung 2009, section 3.2.

use std::ops::Range;

use pulp::Arch;

use super::{NONE, Population, Setup, TILE, columns, put, tally, tiles};
use crate::allocation::board::Board;
use crate::allocation::capacity::pairwise_sum;
use crate::allocation::draws::{Draws, Purpose, StepDraws};
use crate::allocation::{AllocationError, check_range};

/// How a resource is chosen from the attractivenesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The largest, ties to the lowest index: what the paper says.
    Max,
    /// At random in proportion to the attractivenesses; negative ones count as none.
    Roulette,
}

/// What an attitude belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attitude {
    /// Each agent has one for each resource: what the paper says.
    Resource,
    /// Each agent has a single one.
    Agent,
}

/// Parameters of the adaptive strategy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptive {
    /// By how much an attitude moves after each step.
    pub adjusting_rate: f64,
    /// The factor f of the prediction.
    pub scaling_factor: f64,
    /// How a resource is chosen.
    pub choice: Choice,
    /// What an attitude belongs to.
    pub attitude: Attitude,
}

impl Adaptive {
    pub(super) fn check(&self) -> Result<(), AllocationError> {
        check_range("adjusting_rate", "a number from 0 to 1", self.adjusting_rate, 0.0, 1.0)?;
        check_range("scaling_factor", "a number from 0 to 1e9", self.scaling_factor, 0.0, 1e9)
    }
}

/// Weight of a resource without attractiveness on the wheel, so that the wheel is never empty.
const LEAST_WEIGHT: f64 = 1e-12;

/// The agents: attitudes and hits, one column for each resource.
pub(super) struct Agents {
    strategy: Adaptive,
    draws: Draws,
    attitudes: Vec<Vec<f64>>,
    hits: Vec<Vec<i32>>,
    step: u32,
    predictions: Vec<f64>,
    /// Scratch: the attractivenesses of one agent.
    weights: Vec<f64>,
    arch: Arch,
}

/// What the last step's outcome means at one resource: the hit to count and the move of the attitude.
#[derive(Clone, Copy)]
struct Lesson {
    hit: i32,
    move_by: f64,
}

/// One step of one resource as all agents see it.
#[derive(Clone, Copy)]
struct Resource {
    index: u16,
    lesson: Lesson,
    step: f64,
    prediction: f64,
}

impl Agents {
    pub(super) fn new(strategy: &Adaptive, setup: &Setup<'_>) -> Self {
        let width = if strategy.attitude == Attitude::Agent { 1 } else { setup.resources };
        Self {
            strategy: *strategy,
            draws: setup.draws,
            attitudes: columns(setup, width, setup.draws.at(0, Purpose::Start)),
            hits: vec![vec![0; setup.agents]; setup.resources],
            step: 0,
            predictions: vec![0.0; setup.resources],
            weights: vec![0.0; setup.resources],
            arch: Arch::new(),
        }
    }

    fn lesson(&self, overloaded: Option<&[bool]>, resource: usize) -> Lesson {
        let rate = self.strategy.adjusting_rate;
        match overloaded.map(|o| o[resource]) {
            None => Lesson { hit: 0, move_by: 0.0 },
            Some(false) => Lesson { hit: 1, move_by: rate },
            Some(true) => Lesson { hit: 0, move_by: -rate },
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "resources are at most 65,535")]
    fn resource(&self, overloaded: Option<&[bool]>, index: usize) -> Resource {
        Resource {
            index: index as u16,
            lesson: self.lesson(overloaded, index),
            step: f64::from(self.step),
            prediction: self.predictions[index],
        }
    }

    /// The paper's own form: one pass over the columns that learns, weighs and takes the largest.
    #[inline(always)]
    fn choose_max(&mut self, tile: Range<usize>, overloaded: Option<&[bool]>, choices: &mut [u16]) {
        let n = choices.len();
        let (mut best, mut next) = ([f64::NEG_INFINITY; TILE], [0u16; TILE]);
        for r in 0..self.hits.len() {
            let resource = self.resource(overloaded, r);
            let attitudes = &mut self.attitudes[r][tile.clone()];
            let hits = &mut self.hits[r][tile.clone()];
            learn_and_weigh(resource, attitudes, hits, choices, &mut best[..n], &mut next[..n]);
        }
        choices.copy_from_slice(&next[..n]);
    }

    /// All other variants, agent by agent.
    fn choose_one_by_one(
        &mut self,
        tile: Range<usize>,
        overloaded: Option<&[bool]>,
        choices: &mut [u16],
        draws: StepDraws,
    ) {
        let mut weights = std::mem::take(&mut self.weights);
        for (agent, choice) in tile.zip(choices) {
            if *choice != NONE {
                self.learn(agent, usize::from(*choice), overloaded);
            }
            for (r, weight) in weights.iter_mut().enumerate() {
                *weight = self.attractiveness(agent, r);
            }
            *choice = match self.strategy.choice {
                Choice::Max => largest(&weights),
                Choice::Roulette => spin(&mut weights, draws.uniform(agent)),
            };
        }
        self.weights = weights;
    }

    fn learn(&mut self, agent: usize, chosen: usize, overloaded: Option<&[bool]>) {
        let lesson = self.lesson(overloaded, chosen);
        let hits = &mut self.hits[chosen][agent];
        *hits = hits.wrapping_add(lesson.hit);
        let attitude = match self.strategy.attitude {
            Attitude::Agent => &mut self.attitudes[0][agent],
            Attitude::Resource => &mut self.attitudes[chosen][agent],
        };
        *attitude = (*attitude + lesson.move_by).clamp(0.0, 1.0);
    }

    fn attractiveness(&self, agent: usize, resource: usize) -> f64 {
        let attitude = match self.strategy.attitude {
            Attitude::Agent => self.attitudes[0][agent],
            Attitude::Resource => self.attitudes[resource][agent],
        };
        let experience = f64::from(self.hits[resource][agent]) / f64::from(self.step);
        weigh(attitude, experience, self.predictions[resource])
    }
}

impl Population for Agents {
    fn admit(&mut self, agent: usize) {
        let start = self.draws.at(0, Purpose::Start);
        let width = self.attitudes.len();
        for (column, attitudes) in self.attitudes.iter_mut().enumerate() {
            put(attitudes, agent, start.uniform(agent * width + column));
        }
        self.hits.iter_mut().for_each(|hits| put(hits, agent, 0));
    }

    /// Equation (2): the capacities of the step itself at steps 1 and 2, a straight line through the last two after.
    fn plan(&mut self, board: &Board, _: &[u16]) {
        self.step = board.step();
        let factor = self.strategy.scaling_factor;
        let (now, last, before) = (board.capacities(0), board.capacities(1), board.capacities(2));
        let total = pairwise_sum(if self.step <= 2 { now } else { last });
        for (r, prediction) in self.predictions.iter_mut().enumerate() {
            *prediction = match self.step {
                1 | 2 => now[r] / total,
                _ => ((last[r] + (last[r] - before[r])) * factor) / total,
            };
        }
    }

    fn choose(
        &mut self,
        agents: Range<usize>,
        overloaded: Option<&[bool]>,
        choices: &mut [u16],
        counts: &mut [i64],
    ) {
        let by_the_paper =
            (self.strategy.choice, self.strategy.attitude) == (Choice::Max, Attitude::Resource);
        let draws = self.draws.at(self.step, Purpose::Choice);
        // One body, compiled for each instruction set; the machine's best is picked when it runs.
        self.arch.dispatch(
            #[inline(always)]
            || {
                for tile in tiles(agents) {
                    let choices = &mut choices[tile.clone()];
                    if by_the_paper {
                        self.choose_max(tile, overloaded, choices);
                    } else {
                        self.choose_one_by_one(tile, overloaded, choices, draws);
                    }
                    tally(choices, counts);
                }
            },
        );
    }
}

/// Equation (3), in the order that is part of the contract; nothing is fused.
#[inline(always)]
fn weigh(attitude: f64, experience: f64, prediction: f64) -> f64 {
    (1.0 - attitude) * experience + attitude * prediction
}

/// One column of one tile: learn from the last step, weigh, keep the best so far. Every line is free of
/// branches and every slice of one length, so that the compiler turns it into vector code.
#[inline(always)]
fn learn_and_weigh(
    resource: Resource,
    attitudes: &mut [f64],
    hits: &mut [i32],
    chosen: &[u16],
    best: &mut [f64],
    next: &mut [u16],
) {
    let Resource { index, lesson, step, prediction } = resource;
    let n = chosen.len();
    let (attitudes, hits) = (&mut attitudes[..n], &mut hits[..n]);
    let (best, next) = (&mut best[..n], &mut next[..n]);
    for i in 0..n {
        let mine = chosen[i] == index;
        let hit = hits[i].wrapping_add(if mine { lesson.hit } else { 0 });
        let attitude = (attitudes[i] + if mine { lesson.move_by } else { 0.0 }).clamp(0.0, 1.0);
        let attractiveness = weigh(attitude, f64::from(hit) / step, prediction);
        let better = attractiveness > best[i];
        hits[i] = hit;
        attitudes[i] = attitude;
        best[i] = if better { attractiveness } else { best[i] };
        next[i] = if better { index } else { next[i] };
    }
}

/// Index of the largest value, the first of equal ones.
#[expect(clippy::cast_possible_truncation, reason = "resources are at most 65,535")]
fn largest(values: &[f64]) -> u16 {
    let mut best = 0;
    for (r, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = r;
        }
    }
    best as u16
}

/// Picks an index in proportion to the positive part of its weight.
#[expect(clippy::cast_possible_truncation, reason = "resources are at most 65,535")]
fn spin(weights: &mut [f64], u: f64) -> u16 {
    let mut total = 0.0;
    for weight in weights.iter_mut() {
        total += weight.max(0.0) + LEAST_WEIGHT;
        *weight = total;
    }
    let passed = weights.iter().filter(|&&end| end <= u * total).count();
    passed.min(weights.len() - 1) as u16
}

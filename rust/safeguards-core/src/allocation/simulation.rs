//! Trials of an experiment, spread over threads. A trial is a pure function of the experiment and its number.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::board::Board;
use super::capacity::Capacities;
use super::draws::{Draws, Purpose};
use super::strategy::{NONE, Population, Setup, Strategy, tally, tiles};
use super::{AllocationError, check_memory, check_range};
use crate::workers::{Stop, on_threads};

/// Attitudes at the start, row by row: of each agent, or of each trial's agents.
#[derive(Clone, Debug)]
pub struct Attitudes {
    /// The values, in [0, 1].
    pub values: Vec<f64>,
    /// Their shape.
    pub shape: Vec<usize>,
}

/// What is run besides strategy and capacities.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Agents, N.
    pub agents: usize,
    /// Independent repetitions.
    pub trials: usize,
    /// The number of the first one: a part of an experiment gives what the whole gives there.
    pub first_trial: u64,
    /// Where all random numbers come from.
    pub seed: u64,
    /// Standard deviation of the published capacities, relative to the true ones.
    pub observation_noise: f64,
    /// Part of the agents that choose uniformly at random at every step.
    pub careless_fraction: f64,
    /// Units of its resource that a task holds.
    pub task_units: u32,
    /// Steps for which it holds them.
    pub task_steps: u32,
    /// Given attitudes, else uniform random ones.
    pub initial_attitudes: Option<Attitudes>,
    /// Whether the capacities may be less than all tasks need.
    pub allow_scarcity: bool,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            agents: 1000,
            trials: 100,
            first_trial: 0,
            seed: 0,
            observation_noise: 0.0,
            careless_fraction: 0.0,
            task_units: 1,
            task_steps: 1,
            initial_attitudes: None,
            allow_scarcity: false,
        }
    }
}

/// How far a running simulation is, and the flag that stops it.
#[derive(Debug, Default)]
pub struct Progress {
    steps: AtomicU64,
    stop: Stop,
}

impl Progress {
    /// Steps done, over all trials.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Asks all trials to end before their next step.
    pub fn stop(&self) {
        self.stop.ask();
    }

    fn advance(&self) -> Result<(), AllocationError> {
        self.steps.fetch_add(1, Ordering::Relaxed);
        if self.stop.is_asked() { Err(AllocationError::Interrupted) } else { Ok(()) }
    }
}

/// Runs all trials on `threads` threads (0: one per core) and returns the loads in units, a (trials, T, Q)
/// array in row-major order. Same experiment, same loads, whatever the threads.
pub fn simulate(
    strategy: &Strategy,
    capacities: &Capacities,
    experiment: &Experiment,
    threads: usize,
    progress: &Progress,
) -> Result<Vec<i64>, AllocationError> {
    experiment.check(strategy, capacities)?;
    let size = capacities.steps() * capacities.resources();
    let mut loads = zeroed(experiment.trials, size)?;
    let run = || {
        loads.par_chunks_mut(size).enumerate().try_for_each(|(trial, loads)| {
            run_trial(strategy, capacities, experiment, trial, loads, progress)
        })
    };
    on_threads(threads.min(experiment.trials), run).map_err(|_| AllocationError::Threads)??;
    Ok(loads)
}

fn zeroed(trials: usize, size: usize) -> Result<Vec<i64>, AllocationError> {
    let bytes = trials as u128 * size as u128 * 8;
    let refuse = AllocationError::TooLarge { what: "loads (trials, T, Q)", bytes };
    let mut loads = Vec::new();
    let Some(n) = trials.checked_mul(size) else {
        return Err(refuse);
    };
    loads.try_reserve_exact(n).map_err(|_| refuse)?;
    loads.resize(n, 0);
    Ok(loads)
}

/// Most agents: their numbers fit 32 bits.
const MAX_AGENTS: f64 = 4_294_967_295.0;

impl Experiment {
    #[expect(clippy::cast_precision_loss, reason = "compared with ranges far wider than the loss")]
    fn check(&self, strategy: &Strategy, capacities: &Capacities) -> Result<(), AllocationError> {
        strategy.check(capacities.resources())?;
        check_range("n_agents", "from 1 to 4,294,967,295", self.agents as f64, 1.0, MAX_AGENTS)?;
        check_range("trials", "from 1 to 2**32", self.trials as f64, 1.0, 4_294_967_296.0)?;
        check_range("observation_noise", "a number from 0 to 10", self.observation_noise, 0.0, 10.0)?;
        check_range("careless_fraction", "a number from 0 to 1", self.careless_fraction, 0.0, 1.0)?;
        check_range("task_units", "from 1 to 1,000,000", self.task_units.into(), 1.0, 1e6)?;
        check_range("task_steps", "from 1 to 1,000,000", self.task_steps.into(), 1.0, 1e6)?;
        if !self.allow_scarcity {
            capacities.check_sufficient(self.agents as f64 * f64::from(self.task_units))?;
        }
        self.check_attitudes(strategy, capacities.resources())?;
        let state = strategy.bytes_per_agent(capacities.resources());
        check_memory("the agents of a trial", self.agents as u128 * state as u128)
    }

    fn check_attitudes(&self, strategy: &Strategy, resources: usize) -> Result<(), AllocationError> {
        let Some(attitudes) = &self.initial_attitudes else {
            return Ok(());
        };
        let (n, trials) = (self.agents, self.trials);
        let each = match strategy {
            Strategy::Adaptive(adaptive) if adaptive.attitude == super::Attitude::Agent => vec![n],
            _ => vec![n, resources],
        };
        attitudes.check(strategy.attitudes(resources), &[each.clone(), [vec![trials], each].concat()])
    }
}

impl Attitudes {
    pub(crate) fn check(&self, per_agent: usize, shapes: &[Vec<usize>]) -> Result<(), AllocationError> {
        if per_agent == 0 {
            return Err(AllocationError::Unsupported("initial_attitudes: this strategy has no attitudes"));
        }
        if !shapes.contains(&self.shape) {
            return Err(AllocationError::Shape {
                name: "initial_attitudes",
                expected: shapes.iter().map(|s| as_tuple(s)).collect::<Vec<_>>().join(" or "),
                given: as_tuple(&self.shape),
            });
        }
        for &value in &self.values {
            check_range("initial_attitudes", "numbers from 0 to 1", value, 0.0, 1.0)?;
        }
        Ok(())
    }
}

/// A shape as Python writes it.
fn as_tuple(shape: &[usize]) -> String {
    match shape {
        [n] => format!("({n},)"),
        _ => format!("({})", shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Agents whose tasks begin at the same steps.
struct Cohort {
    /// Those who follow the strategy, and the careless after them.
    careful: Range<usize>,
    careless: Range<usize>,
    /// Agents at each resource.
    counts: Vec<i64>,
    /// Which resources were overloaded in the step in which the cohort last chose.
    overloaded: Option<Vec<bool>>,
}

/// Cuts the agents into `task_steps` cohorts. At the first step all choose, as if cohort k had been at work:
/// its first task ends after k + 1 steps, so that from then on one cohort is due at each step.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "numbers of agents, which fit 32 bits"
)]
fn cohorts(experiment: &Experiment, resources: usize) -> Vec<Cohort> {
    let (agents, parts) = (experiment.agents, experiment.task_steps as usize);
    let bound = |k: usize| (agents as u128 * k as u128 / parts as u128) as usize;
    (0..parts)
        .map(|k| {
            let (start, end) = (bound(k), bound(k + 1));
            let careless = ((end - start) as f64 * experiment.careless_fraction).round() as usize;
            let border = end - careless.min(end - start);
            let counts = vec![0; resources];
            Cohort { careful: start..border, careless: border..end, counts, overloaded: None }
        })
        .collect()
}

/// The cohorts that choose at a step, from 1.
fn due(step: usize, parts: usize) -> Range<usize> {
    if step == 1 { 0..parts } else { (step - 2) % parts..(step - 2) % parts + 1 }
}

fn run_trial(
    strategy: &Strategy,
    capacities: &Capacities,
    experiment: &Experiment,
    trial: usize,
    loads: &mut [i64],
    progress: &Progress,
) -> Result<(), AllocationError> {
    let resources = capacities.resources();
    let mut run = Trial::new(strategy, experiment, trial, resources);
    for (capacities, loads) in capacities.rows().zip(loads.chunks_exact_mut(resources)) {
        progress.advance()?;
        run.step(capacities, loads);
    }
    Ok(())
}

/// One trial while it runs.
struct Trial {
    draws: Draws,
    noise: f64,
    units: u32,
    board: Board,
    population: Box<dyn Population>,
    choices: Vec<u16>,
    cohorts: Vec<Cohort>,
    counts: Vec<i64>,
    overloaded: Vec<bool>,
}

impl Trial {
    fn new(strategy: &Strategy, experiment: &Experiment, trial: usize, resources: usize) -> Self {
        let draws = Draws::new(experiment.seed, experiment.first_trial.wrapping_add(trial as u64));
        let cohorts = cohorts(experiment, resources);
        let careful: Vec<_> = cohorts.iter().map(|cohort| cohort.careful.clone()).collect();
        let initial_attitudes = experiment.initial_attitudes.as_ref().map(|given| {
            let size = experiment.agents * strategy.attitudes(resources);
            if given.values.len() == size { &given.values[..] } else { &given.values[trial * size..][..size] }
        });
        let setup = Setup {
            agents: experiment.agents,
            resources,
            task_steps: experiment.task_steps as usize,
            draws,
            initial_attitudes,
            cohorts: &careful,
        };
        Self {
            draws,
            noise: experiment.observation_noise,
            units: experiment.task_units,
            board: Board::new(resources),
            population: strategy.populate(&setup),
            choices: vec![NONE; experiment.agents],
            cohorts,
            counts: vec![0; resources],
            overloaded: vec![false; resources],
        }
    }

    fn step(&mut self, capacities: &[f64], loads: &mut [i64]) {
        self.board.begin();
        self.publish(capacities);
        self.population.plan(&self.board, &self.choices);
        let step = self.board.step() as usize;
        let due = due(step, self.cohorts.len());
        due.clone().for_each(|k| self.choose(k));
        self.close(capacities, loads);
        for cohort in &mut self.cohorts[due] {
            cohort.overloaded.get_or_insert_default().clone_from(&self.overloaded);
        }
    }

    /// Shows the agents the capacities, in tasks rather than units, and as well as they can see them.
    fn publish(&mut self, capacities: &[f64]) {
        let (noise, units) = (self.noise, f64::from(self.units));
        if noise == 0.0 {
            return self.board.publish(capacities.iter().map(|c| c / units));
        }
        let draws = self.draws.at(self.board.step(), Purpose::Noise);
        let seen = |(r, c): (usize, &f64)| (c * (1.0 + noise * draws.normal(r))).max(0.0) / units;
        self.board.publish(capacities.iter().enumerate().map(seen));
    }

    #[expect(clippy::cast_possible_truncation, reason = "resources are at most 65,535")]
    fn choose(&mut self, cohort: usize) {
        let cohort = &mut self.cohorts[cohort];
        cohort.counts.fill(0);
        self.population.choose(
            cohort.careful.clone(),
            cohort.overloaded.as_deref(),
            &mut self.choices,
            &mut cohort.counts,
        );
        let draws = self.draws.at(self.board.step(), Purpose::Careless);
        for tile in tiles(cohort.careless.clone()) {
            for agent in tile.clone() {
                self.choices[agent] = draws.below(agent, self.counts.len()) as u16;
            }
            tally(&self.choices[tile], &mut cohort.counts);
        }
    }

    /// Adds up the loads and says which were too much.
    #[expect(
        clippy::cast_precision_loss,
        reason = "at most 2**32 agents with 1,000,000 units are below 2**53"
    )]
    fn close(&mut self, capacities: &[f64], loads: &mut [i64]) {
        for (r, count) in self.counts.iter_mut().enumerate() {
            *count = self.cohorts.iter().map(|cohort| cohort.counts[r]).sum();
            loads[r] = *count * i64::from(self.units);
            self.overloaded[r] = loads[r] as f64 > capacities[r];
        }
        self.board.close(&self.counts, &self.overloaded);
    }
}

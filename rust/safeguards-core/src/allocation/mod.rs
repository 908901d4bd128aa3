//! Agents that share resources of changing capacity without a centre.
//!
//! She & Leung, "An adaptive strategy for resource allocation with changing capacities" (2009): N agents each
//! choose one of Q resources at every step; a resource is overloaded if its load exceeds its capacity; each
//! agent learns only whether its own choice was. [`simulate`] runs a [`Strategy`] against [`Capacities`];
//! [`Selector`] lets the agents of a running program choose; [`Agents`] is one population for one's own loop.

// A step must be inlined as a whole into the code for each instruction set, or its inner loops are not compiled
// for it; the order is asked of the compiler where that matters.
#![allow(clippy::inline_always)]

mod agents;
mod board;
mod capacity;
mod draws;
mod forecast;
mod selector;
mod simulation;
mod strategy;

pub use agents::Agents;
pub use capacity::{Capacities, MAX_CAPACITY, MAX_RESOURCES};
pub use selector::Selector;
pub use simulation::{Attitudes, Experiment, Progress, simulate};
pub use strategy::{
    Adaptive, Attitude, Choice, Choosers, Custom, Galstyan, LamLeung, Mixed, Public, Start, Strategy,
};

use thiserror::Error;

/// Why an experiment or a selector was refused. Nothing ran; every message names the argument.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum AllocationError {
    /// A number of resources that cannot be held.
    #[error("capacities must have 1 to {MAX_RESOURCES} resources (columns), not {0}")]
    Resources(usize),
    /// No rows, or too many.
    #[error("capacities must have 1 to {max} steps (rows), not {0}", max = capacity::MAX_STEPS)]
    Steps(usize),
    /// NaN, infinite or too large.
    #[error("capacities must be finite and at most 2**53: step {step}, resource {resource} is {value}")]
    NotACapacity {
        /// The step, from 1.
        step: usize,
        /// The resource, from 0.
        resource: usize,
        /// What was given.
        value: f64,
    },
    /// Below zero.
    #[error("capacities must not be negative: step {step}, resource {resource} is {value}")]
    NegativeCapacity {
        /// The step, from 1.
        step: usize,
        /// The resource, from 0.
        resource: usize,
        /// What was given.
        value: f64,
    },
    /// All resources at zero.
    #[error("capacities must not all be zero: step {0} has none")]
    NoCapacity(usize),
    /// Less capacity than the agents' tasks need.
    #[error(
        "capacities are scarce: step {step} has {total} for {demand} units of demand; give more, fewer agents, \
         or allow_scarcity=True"
    )]
    Scarce {
        /// The step, from 1.
        step: usize,
        /// Sum of the capacities of that step.
        total: f64,
        /// Units that all agents together need.
        demand: f64,
    },
    /// A number out of its range.
    #[error("{name} must be {range}, not {value}")]
    OutOfRange {
        /// The argument.
        name: &'static str,
        /// What it may be.
        range: &'static str,
        /// What was given.
        value: f64,
    },
    /// An array of another shape than the experiment's.
    #[error("{name} must have shape {expected}, not {given}")]
    Shape {
        /// The argument.
        name: &'static str,
        /// What it should be.
        expected: String,
        /// What was given.
        given: String,
    },
    /// An option that this strategy has no use for.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The experiment would not fit in memory.
    #[error("{what} would need {bytes} bytes, more than there are; use fewer agents, trials or resources")]
    TooLarge {
        /// What would be held.
        what: &'static str,
        /// Its size.
        bytes: u128,
    },
    /// No such resource.
    #[error("resource {0} does not exist")]
    UnknownResource(usize),
    /// More agents than the selector was made for.
    #[error("the selector is full: it holds max_agents={0} agents; forget some, or make it larger")]
    Full(usize),
    /// `update` before `choose`, or `choose` twice.
    #[error("{0}")]
    OutOfTurn(&'static str),
    /// Not one thread could be started.
    #[error("{}", crate::workers::NO_THREAD)]
    Threads,
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Refuses what the system would not give. A vector that cannot grow would end the whole process.
pub(crate) fn check_memory(what: &'static str, bytes: u128) -> Result<(), AllocationError> {
    let fits = |bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
    if usize::try_from(bytes).is_ok_and(fits) {
        Ok(())
    } else {
        Err(AllocationError::TooLarge { what, bytes })
    }
}

/// Refuses a number outside of `low..=high`; NaN is outside of everything.
pub(crate) fn check_range(
    name: &'static str,
    range: &'static str,
    value: f64,
    low: f64,
    high: f64,
) -> Result<(), AllocationError> {
    if value >= low && value <= high {
        Ok(())
    } else {
        Err(AllocationError::OutOfRange { name, range, value })
    }
}

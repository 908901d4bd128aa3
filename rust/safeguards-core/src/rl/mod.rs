//! Budgets learnt from what happened: fitted Q-iteration on hindsight transitions.
//!
//! Demand does not depend on the budget, so every hour that was recorded tells what would have happened under any
//! budget and any change of it (Sinclair et al., "Hindsight Learning for MDPs with Exogenous Inputs", ICML 2023).
//! [`QTable::fit`] turns such transitions into the value of each change in each situation; [`Clairvoyant`] says
//! what somebody would have reached who knew all demand beforehand.

mod axis;
mod clairvoyant;
mod fit;
mod table;

pub use axis::Axis;
pub use clairvoyant::{Clairvoyant, Rewards};
pub use fit::Transitions;
pub use table::{MAX_ACTIONS, MAX_CELLS, QTable, Situation, Step};

use thiserror::Error;

/// Why something was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum RlError {
    /// Not an axis.
    #[error("{axis} must be at least 2 finite numbers, each above the one before")]
    Axis {
        /// Which.
        axis: &'static str,
    },
    /// A table of no size, or of too large a one.
    #[error("a table has 1 to {MAX_CELLS} cells and 1 to {MAX_ACTIONS} actions, not {cells} and {actions}")]
    Size {
        /// Cells that were wanted.
        cells: usize,
        /// Actions that were wanted.
        actions: usize,
    },
    /// Arrays that do not belong together.
    #[error("{name} must have {expected} values, not {given}")]
    Length {
        /// The argument.
        name: &'static str,
        /// Values that it should have.
        expected: usize,
        /// Values that it has.
        given: usize,
    },
    /// Not finite, or out of range.
    #[error("{name} must be {allowed}: value {index} is {value}")]
    Value {
        /// The argument.
        name: &'static str,
        /// What is admitted.
        allowed: &'static str,
        /// Place of the value.
        index: usize,
        /// The value.
        value: f64,
    },
    /// Not one thread could be started.
    #[error("{}", crate::workers::NO_THREAD)]
    Threads,
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

fn check_length(name: &'static str, expected: usize, given: usize) -> Result<(), RlError> {
    if given == expected { Ok(()) } else { Err(RlError::Length { name, expected, given }) }
}

fn check_values(
    name: &'static str,
    allowed: &'static str,
    values: &[f64],
    is_allowed: impl Fn(f64) -> bool,
) -> Result<(), RlError> {
    match values.iter().position(|&value| !is_allowed(value)) {
        Some(index) => Err(RlError::Value { name, allowed, index, value: values[index] }),
        None => Ok(()),
    }
}

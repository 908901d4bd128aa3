//! Agents that choose by a rule from outside the crate.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{NONE, Population, Setup, tally};
use crate::allocation::board::Board;
use crate::allocation::draws::Purpose;

/// What is public when agents choose.
#[derive(Clone, Copy, Debug)]
pub struct Public<'a> {
    /// The step, from 1.
    pub step: u32,
    /// Capacities of the last step; at the first one those of the step itself.
    pub capacities: &'a [f64],
    /// Loads of the last step, in tasks.
    pub loads: &'a [i64],
    /// Which resources were overloaded in the last step.
    pub overloaded: &'a [bool],
}

/// The agents of one trial, all at once.
pub trait Choosers: Send {
    /// Ends the last task of some agents and lets each choose anew.
    ///
    /// `choices` holds what they chose last and takes what they choose now. `outcome` says which resources were
    /// overloaded when they last chose; `None` before that. Returns whether `choices` was written.
    fn turn(
        &mut self,
        agents: Range<usize>,
        public: Public<'_>,
        outcome: Option<&[bool]>,
        choices: &mut [u16],
    ) -> bool;
}

/// Makes the agents of a trial: their number, that of the resources, and a seed of their own.
pub type Start = dyn Fn(usize, usize, u64) -> Box<dyn Choosers> + Send + Sync;

/// A rule from outside.
#[derive(Clone)]
pub struct Custom(Arc<Start>);

impl Custom {
    /// A rule that makes its agents with `start`.
    #[must_use]
    pub fn new(start: Arc<Start>) -> Self {
        Self(start)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom(..)")
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The agents, and what was public when the step began.
pub(super) struct Agents {
    choosers: Box<dyn Choosers>,
    step: u32,
    capacities: Vec<f64>,
    loads: Vec<i64>,
    overloaded: Vec<bool>,
}

impl Agents {
    pub(super) fn new(custom: &Custom, setup: &Setup<'_>) -> Self {
        let seed = setup.draws.at(0, Purpose::Start).bits(0);
        Self {
            choosers: (custom.0)(setup.agents, setup.resources, seed),
            step: 0,
            capacities: vec![],
            loads: vec![],
            overloaded: vec![],
        }
    }
}

impl Population for Agents {
    fn admit(&mut self, _: usize) {} // selectors refuse it

    fn plan(&mut self, board: &Board, _: &[u16]) {
        self.step = board.step();
        self.capacities.clear();
        self.capacities.extend_from_slice(board.capacities(usize::from(self.step > 1)));
        self.loads.clear();
        self.loads.extend_from_slice(board.loads());
        self.overloaded.clear();
        self.overloaded.extend_from_slice(board.overloaded());
    }

    fn choose(
        &mut self,
        agents: Range<usize>,
        overloaded: Option<&[bool]>,
        choices: &mut [u16],
        counts: &mut [i64],
    ) {
        let public = Public {
            step: self.step,
            capacities: &self.capacities,
            loads: &self.loads,
            overloaded: &self.overloaded,
        };
        let chosen = &mut choices[agents.clone()];
        let is_done = self.choosers.turn(agents, public, overloaded, chosen);
        if !is_done || chosen.iter().any(|&resource| usize::from(resource) >= counts.len()) {
            chosen.fill(0); // whoever made the rule knows that it failed, and stops the run
        }
        debug_assert!(chosen.iter().all(|&resource| resource != NONE));
        tally(chosen, counts);
    }
}

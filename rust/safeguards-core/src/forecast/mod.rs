//! What will be needed. [`NextHour`] follows one stream of demand by the hour, in constant memory; the rest of
//! this module forecasts windows of hours for many agents at once.
//!
//! **Windows.** Forecasts of hourly usage and of its total over a window, from their own history and
//! from how well each way of forecasting has done for all of them.
//!
//! A few simple [`experts`] forecast each agent, once for today and once for each earlier day of the history
//! (rolling origins). Their errors on those days give each a weight, shrunk to its standing among all agents
//! ([`combination`]). The errors of the combination itself, scaled by the agent's own, give the interval and
//! the confidence ([`interval`]). [`Pool`] is what the agents have in common; [`forecast_all`] does it all for
//! a panel of agents.
//!
//! Sources: combination by discounted loss, Cesa-Bianchi & Lugosi, "Prediction, Learning, and Games" (2006),
//! chapter 2, with experts that may sleep (Freund et al. 1997); intervals, conformal prediction as in
//! Barber et al., "Conformal prediction beyond exchangeability" (2023), weighted by age.

mod combination;
mod experts;
mod interval;
mod learner;
mod local_time;
mod next_hour;
mod panel;
mod quarters;
mod regression;
mod track;

pub use experts::{EXPERTS, NAMES as EXPERT_NAMES};
pub use learner::{KnownUsage, Learner, Learning, Prediction, Question};
pub use next_hour::{MAX_DEMAND, MAX_SEASON, MAX_SEASONS, NextHour, NextHourError, Outlook};
pub use panel::{Panel, forecast_all};
pub use track::{Pool, Track};

use thiserror::Error;

/// Hours of a day, the season of everything here.
pub const DAY: usize = 24;
/// Hours of a week.
pub const WEEK: usize = 7 * DAY;
/// Longest way from the end of the history to the end of the window: a year.
pub const MAX_HORIZON: usize = 366 * DAY;
/// Most usage of an hour: a million times the largest amount.
const MAX_USAGE: f64 = 1e21;
/// What the record of earlier errors keeps from one day to the next: it looks back about a week.
const DAILY_MEMORY: f64 = 0.85;

/// The hours to forecast, and what to say about their total.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Hours between the end of the history and the window.
    pub lead: usize,
    /// Hours of the window.
    pub length: usize,
    /// Share of windows whose need the interval is to hold.
    pub level: f64,
    /// The confidence is that the need is at most `margin` times the median.
    pub margin: f64,
}

/// One agent's need over the window.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Each hour of the window.
    pub hourly: Vec<f64>,
    /// The total: as likely more as less.
    pub median: f64,
    /// Lower end of the interval of the total.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Probability that the total is at most `margin * median`.
    pub confidence: f64,
    /// Weight of each expert; they add up to one.
    pub weights: [f64; EXPERTS],
}

/// Why nothing was forecast. Every message names the argument.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ForecastError {
    /// A window that is no window.
    #[error("horizon must be 1 to {MAX_HORIZON} hours, window and the way there, not {0}")]
    Horizon(usize),
    /// Not a probability between the ends.
    #[error("level must be above 0 and below 1, not {0}")]
    Level(f64),
    /// A margin that is no factor.
    #[error("margin must be a positive number, not {0}")]
    Margin(f64),
    /// An amount that cannot be.
    #[error("usage must be from 0 to {MAX_USAGE:e}: agent {agent}, hour {hour} is {value}")]
    NotUsage {
        /// The row, from 0.
        agent: usize,
        /// The hour, from 0.
        hour: usize,
        /// What was given.
        value: f64,
    },
    /// An agent of which nothing is known, or a start outside the history.
    #[error("first must be 0 to {last}, one for each agent: agent {agent} has {first}")]
    First {
        /// The row, from 0.
        agent: usize,
        /// What was given.
        first: usize,
        /// The largest that leaves an hour.
        last: usize,
    },
    /// Lengths that do not fit together.
    #[error("usage must have one row for each agent and at least one hour, and first one value for each")]
    Shape,
    /// Not one thread could be started.
    #[error("{}", crate::workers::NO_THREAD)]
    Threads,
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Request {
    /// Refuses what is out of its range.
    pub fn check(&self) -> Result<(), ForecastError> {
        let horizon = self.lead.saturating_add(self.length);
        if self.length == 0 || horizon > MAX_HORIZON {
            return Err(ForecastError::Horizon(horizon));
        }
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(ForecastError::Level(self.level));
        }
        if !(self.margin > 0.0 && self.margin.is_finite()) {
            return Err(ForecastError::Margin(self.margin));
        }
        Ok(())
    }

    /// Hours from the end of the history to the end of the window.
    const fn horizon(&self) -> usize {
        self.lead + self.length
    }
}

/// Whether there can be such usage; NaN cannot.
fn is_usage(value: f64) -> bool {
    (0.0..=MAX_USAGE).contains(&value)
}

/// A count as a number. Exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "hours and agents are far below 2^53")]
const fn number(count: usize) -> f64 {
    count as f64
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / number(values.len()) }
}

/// The middle value, or the mean of the two in the middle. Reorders them.
fn median(values: &mut [f64]) -> f64 {
    let (middle, is_odd) = (values.len() / 2, values.len() % 2 == 1);
    if values.is_empty() {
        return 0.0;
    }
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if is_odd {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    f64::midpoint(lower, upper)
}

//! Many agents at once.

use rayon::prelude::*;

use super::track::{Pool, Track};
use super::{Forecast, ForecastError, Request, is_usage};
use crate::workers::{Stop, on_threads};

/// Agents that the pool is made of, at most: more would sharpen nothing and cost time.
pub(super) const POOL_AGENTS: usize = 256;

/// Hourly usage of agents up to the same hour.
#[derive(Clone, Copy, Debug)]
pub struct Panel<'a> {
    /// Row by row, one for each agent.
    pub usage: &'a [f64],
    /// Hours of a row.
    pub hours: usize,
    /// Hours of each agent before anything is known of it.
    pub first: &'a [usize],
}

impl<'a> Panel<'a> {
    fn check(&self) -> Result<(), ForecastError> {
        let agents = self.first.len();
        if self.hours == 0 || agents.checked_mul(self.hours) != Some(self.usage.len()) {
            return Err(ForecastError::Shape);
        }
        let last = self.hours - 1;
        if let Some((agent, first)) = self.first.iter().enumerate().find(|(_, first)| **first > last) {
            return Err(ForecastError::First { agent, first: *first, last });
        }
        match self.usage.iter().position(|value| !is_usage(*value)) {
            None => Ok(()),
            Some(at) => {
                let (agent, hour) = (at / self.hours, at % self.hours);
                Err(ForecastError::NotUsage { agent, hour, value: self.usage[at] })
            }
        }
    }

    fn agent(&self, agent: usize) -> &'a [f64] {
        &self.usage[agent * self.hours + self.first[agent]..(agent + 1) * self.hours]
    }
}

/// Forecasts every agent of the panel on `threads` threads (0: one per core). Same panel, same forecasts,
/// whatever the threads.
pub fn forecast_all(
    panel: &Panel<'_>,
    request: &Request,
    threads: usize,
    stop: &Stop,
) -> Result<Vec<Forecast>, ForecastError> {
    request.check()?;
    panel.check()?;
    let agents = panel.first.len();
    let run = || {
        let track = |agent: usize| {
            if stop.is_asked() {
                Err(ForecastError::Interrupted)
            } else {
                Ok(Track::of(panel.agent(agent), request))
            }
        };
        let sample: Vec<Track> = sample(agents).into_par_iter().map(track).collect::<Result<_, _>>()?;
        let pool = Pool::of(&sample);
        if sample.len() == agents {
            return Ok(sample.par_iter().map(|track| track.forecast(&pool)).collect());
        }
        (0..agents).into_par_iter().map(|agent| Ok(track(agent)?.forecast(&pool))).collect()
    };
    on_threads(threads.min(agents), run).map_err(|_| ForecastError::Threads)?
}

/// Agents that stand for all, evenly spread.
pub(super) fn sample(agents: usize) -> Vec<usize> {
    let count = agents.min(POOL_AGENTS);
    (0..count).map(|i| i * agents / count).collect()
}

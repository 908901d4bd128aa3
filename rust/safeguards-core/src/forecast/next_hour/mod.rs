//! The next step of many series at once, forecast as the demand streams in.
//!
//! A step is one period of any length; the name says what it is mostly used for. Each series keeps a handful of
//! simple forecasters ([`series`]) and a small regression on its own past ([`regression`]); they are combined by
//! how well they did of late, and the ratios of actual to forecast demand ([`ratios`]) say how much more may come.
//! Young series borrow from the others. Memory is constant: 4 KiB a series with seasons of a day and a week of hours.

mod ratios;
mod regression;
mod series;

use ratios::Ratios;
use series::{Pool, Series};
use thiserror::Error;

use crate::workers::Stop;

/// Seasons that a series may have.
pub const MAX_SEASONS: usize = 2;

/// Longest season, in steps: a week of minutes.
pub const MAX_SEASON: usize = 10_080;

/// Largest demand: more than any amount of money, and far from what would overflow.
pub const MAX_DEMAND: f64 = 1e30;

/// Own ratios that the pooled ones are worth, however many series there are.
const POOLED_RATIOS: f64 = 5.0;

/// Why a forecaster, or what it was given, was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum NextHourError {
    /// Seasons that cannot be followed.
    #[error("seasons must be at most {MAX_SEASONS} different lengths of 2 to {MAX_SEASON} steps, not {0:?}")]
    Seasons(Vec<usize>),
    /// One value for each series, no more and no fewer.
    #[error("{name} must have one value for each of the {expected} series, not {given}")]
    Length {
        /// The argument.
        name: &'static str,
        /// Series there are.
        expected: usize,
        /// Values given.
        given: usize,
    },
    /// Below zero, or too large.
    #[error(
        "demand must be from 0 to {MAX_DEMAND:e}, or NaN where it is unknown: series {series} has {value}"
    )]
    Demand {
        /// The series, from 0.
        series: usize,
        /// What was given.
        value: f64,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// Not a probability.
    #[error("probability must be between 0 and 1, not {0}")]
    Probability(f64),
    /// Not a bound.
    #[error("within must be positive, not {0}")]
    Within(f64),
}

/// What a replay gives for each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outlook {
    /// The expected demand.
    Forecast,
    /// What demand stays within with this probability.
    Quantile(f64),
}

/// The next step's demand of n series.
#[derive(Clone, Debug)]
pub struct NextHour {
    seasons: Vec<usize>,
    series: Vec<Series>,
}

impl NextHour {
    /// Series of which nothing is known yet. Seasons are lengths in steps, as 24 and 168 for hours.
    pub fn new(series: usize, seasons: &[usize]) -> Result<Self, NextHourError> {
        let mut sorted = seasons.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let fit = sorted.iter().all(|length| (2..=MAX_SEASON).contains(length));
        if sorted.len() != seasons.len() || sorted.len() > MAX_SEASONS || !fit {
            return Err(NextHourError::Seasons(seasons.to_vec()));
        }
        let mut forecaster = Self { seasons: sorted, series: Vec::new() };
        forecaster.extend(series);
        Ok(forecaster)
    }

    /// Series there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Bytes that a series takes.
    #[must_use]
    pub fn bytes_per_series(&self) -> usize {
        Series::bytes(&self.seasons)
    }

    /// Adds series at the end.
    pub fn extend(&mut self, more: usize) {
        let seasons = &self.seasons;
        self.series.extend((0..more).map(|_| Series::new(seasons)));
    }

    /// Drops the series that are not to be kept; the others move up.
    pub fn retain(&mut self, keep: &[bool]) -> Result<(), NextHourError> {
        self.check_length("keep", keep.len())?;
        let mut kept = keep.iter();
        self.series.retain(|_| kept.next().is_some_and(|&keep| keep));
        Ok(())
    }

    /// Takes the demand of one step: one value for each series, NaN where it is unknown.
    ///
    /// Where `at_least` is true the demand was cut off: at least this much was wanted. It is read as what demand
    /// above it has been, on average, according to the ratios so far.
    pub fn observe(&mut self, demand: &[f64], at_least: Option<&[bool]>) -> Result<(), NextHourError> {
        self.check_length("demand", demand.len())?;
        if let Some(at_least) = at_least {
            self.check_length("at_least", at_least.len())?;
        }
        if let Some((series, &value)) = demand.iter().enumerate().find(|(_, d)| is_no_demand(**d)) {
            return Err(NextHourError::Demand { series, value });
        }
        let pooled = at_least.filter(|cut| cut.contains(&true)).map(|_| self.pooled_ratios());
        for (i, (series, &demand)) in self.series.iter_mut().zip(demand).enumerate() {
            match &pooled {
                Some(pooled) if at_least.is_some_and(|cut| cut[i]) => series.observe_at_least(demand, pooled),
                _ => series.observe(demand),
            }
        }
        let pool = Pool::of(&self.series);
        self.series.iter_mut().for_each(|series| series.look_ahead(&pool));
        Ok(())
    }

    /// The expected demand of the next step; NaN for a series of which nothing is known.
    #[must_use]
    pub fn forecast(&self) -> Vec<f64> {
        self.series.iter().map(Series::forecast).collect()
    }

    /// The demand of the last known step as it was taken: where it was cut off, what it was read as.
    #[must_use]
    pub fn latest(&self) -> Vec<f64> {
        self.series.iter().map(Series::last).collect()
    }

    /// What the demand of the next step stays within, with this probability: the forecast times a quantile of the
    /// ratios of late, its own and the other series'.
    pub fn quantile(&self, probability: f64) -> Result<Vec<f64>, NextHourError> {
        check_probability(probability)?;
        let pooled = self.pooled_ratios();
        Ok(self.series.iter().map(|series| series.quantile(probability, &pooled)).collect())
    }

    /// The probability that the demand of the next step is at most `within` times the forecast.
    pub fn confidence(&self, within: f64) -> Result<Vec<f64>, NextHourError> {
        if within.is_nan() || within <= 0.0 {
            return Err(NextHourError::Within(within));
        }
        let pooled = self.pooled_ratios();
        Ok(self.series.iter().map(|series| series.confidence(within, &pooled)).collect())
    }

    /// Takes a whole history, step after step, and says what was expected of each step before it was seen.
    /// Demand is one row of `steps` values for each series, one after the other, and so is the result.
    pub fn replay(
        &mut self,
        rows: usize,
        steps: usize,
        demand: &[f64],
        outlook: Outlook,
        stop: &Stop,
    ) -> Result<Vec<f64>, NextHourError> {
        self.check_length("demand", rows)?;
        if let Outlook::Quantile(probability) = outlook {
            check_probability(probability)?;
        }
        if let Some(at) = demand.iter().position(|d| is_no_demand(*d)) {
            return Err(NextHourError::Demand { series: at / steps, value: demand[at] });
        }
        let mut expected = vec![0.0; demand.len()];
        let mut column = vec![0.0; rows];
        for t in 0..steps {
            if stop.is_asked() {
                return Err(NextHourError::Interrupted);
            }
            let before = match outlook {
                Outlook::Forecast => self.forecast(),
                Outlook::Quantile(probability) => self.quantile(probability)?,
            };
            for (s, value) in before.into_iter().enumerate() {
                expected[s * steps + t] = value;
                column[s] = demand[s * steps + t];
            }
            self.observe(&column, None)?;
        }
        Ok(expected)
    }

    /// The ratios of all series together, worth a few of one's own.
    fn pooled_ratios(&self) -> Ratios {
        let mut pooled = Ratios::default();
        self.series.iter().for_each(|series| pooled.add(series.ratios()));
        pooled.scale_to(POOLED_RATIOS);
        pooled
    }

    fn check_length(&self, name: &'static str, given: usize) -> Result<(), NextHourError> {
        let expected = self.series.len();
        if given == expected { Ok(()) } else { Err(NextHourError::Length { name, expected, given }) }
    }
}

/// NaN passes: it stands for an unknown demand.
fn is_no_demand(value: f64) -> bool {
    !value.is_nan() && !(0.0..=MAX_DEMAND).contains(&value)
}

fn check_probability(probability: f64) -> Result<(), NextHourError> {
    if (0.0..=1.0).contains(&probability) { Ok(()) } else { Err(NextHourError::Probability(probability)) }
}

#[cfg(test)]
mod tests;

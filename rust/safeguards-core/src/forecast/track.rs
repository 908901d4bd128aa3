//! The record of one agent, and what all agents have in common.

use super::combination::{Losses, Standing, losses, weighted_median};
use super::experts::{EXPERTS, Past, Paths};
use super::interval::{Errors, IGNORANCE_ERROR, spread, yardstick};
use super::{DAILY_MEMORY, DAY, Forecast, Request, mean, median, number};

/// Hours that must be known before an origin counts: the experts' first guesses would teach the wrong thing.
const WARM_UP: usize = 3 * DAY;

/// What the experts said on each earlier day, how it came out, and what they say now.
pub struct Track {
    request: Request,
    /// Days from an origin to the first one after it whose outcome was known.
    delay: usize,
    /// Oldest first; the newest is `delay` days old, each older one a day more.
    days: Vec<Day>,
    /// The same days' losses.
    losses: Vec<Losses>,
    now: Paths,
    /// Mean usage of an hour.
    level: f64,
    /// Hours of the windows of earlier days.
    trial_length: usize,
}

/// The window of one earlier day.
struct Day {
    /// Need that each expert forecast.
    totals: [f64; EXPERTS],
    awake: [bool; EXPERTS],
    /// Need that there was.
    need: f64,
}

/// An earlier day's error of the combination.
struct Miss {
    /// In yardsticks.
    error: f64,
    weight: f64,
}

impl Track {
    /// Follows the experts through a history of at least one hour, oldest first.
    #[must_use]
    pub fn of(hours: &[f64], request: &Request) -> Self {
        let roots: Vec<f64> = hours.iter().map(|hour| hour.sqrt()).collect();
        let past = |end: usize| Past { hours: &hours[..end], roots: &roots[..end] };
        let (lead, length) = trial_window(hours.len(), request);
        let delay = (lead + length).div_ceil(DAY);
        let count = hours.len().saturating_sub(WARM_UP) / DAY;
        let origins = (delay..=count).rev().map(|age| hours.len() - age * DAY);
        let mut track = Self {
            request: *request,
            delay,
            days: Vec::new(),
            losses: Vec::new(),
            now: Paths::of(past(hours.len()), request.horizon()),
            level: mean(hours),
            trial_length: length,
        };
        for origin in origins {
            let paths = Paths::of(past(origin), lead + length);
            let seen = &hours[origin + lead..origin + lead + length];
            track.losses.push(losses(&errors(&paths, lead, seen), usual_change(&hours[..origin])));
            track.days.push(Day {
                totals: std::array::from_fn(|k| paths.path(k)[lead..].iter().sum()),
                awake: paths.awake,
                need: seen.iter().sum(),
            });
        }
        track
    }

    /// Age in days of a day.
    const fn age(&self, day: usize) -> usize {
        self.delay + self.days.len() - 1 - day
    }

    /// How the experts stood at an origin of this age: the days whose outcome was known by then.
    fn standing(&self, age: usize) -> Standing {
        Standing::of(&self.losses[..self.losses.len().saturating_sub(age)])
    }

    /// How the combination would have done on each earlier day.
    fn record(&self, usual: &Standings) -> Record {
        let combine = |(i, day): (usize, &Day)| {
            let age = self.age(i);
            dot(&self.standing(age).weights(&usual.at(age), day.awake), &day.totals)
        };
        let forecasts: Vec<f64> = self.days.iter().enumerate().map(combine).collect();
        let needs: Vec<f64> = self.days.iter().map(|day| day.need).collect();
        let of_hours = self.level * number(self.trial_length);
        let usual_need = match self.days.len() {
            0 => of_hours,
            // Days that saw nothing, of an agent that sees something, leave a little.
            _ => f64::midpoint(mean(&needs), mean(&forecasts)).max(1e-3 * of_hours),
        };
        if self.level <= 0.0 {
            return Record { misses: Vec::new(), usual_need }; // Silence says nothing of those who speak.
        }
        let weights = std::iter::successors(Some(1.0), |weight| Some(weight * DAILY_MEMORY));
        let misses = needs.iter().zip(&forecasts).rev().zip(weights).map(|((need, forecast), weight)| Miss {
            error: (need - forecast) / yardstick(*forecast, usual_need),
            weight,
        });
        Record { misses: misses.collect(), usual_need }
    }

    /// The forecast, given what all agents have in common.
    #[must_use]
    pub fn forecast(&self, pool: &Pool) -> Forecast {
        let Request { lead, length, level, margin } = self.request;
        let weights = self.standing(0).weights(&pool.usual.at(0), self.now.awake);
        let hourly = (lead..lead + length).map(|hour| weighted_median(&self.now, &weights, hour)).collect();
        let totals: [f64; EXPERTS] = std::array::from_fn(|k| self.now.path(k)[lead..].iter().sum());
        let total = dot(&weights, &totals);
        let record = self.record(&pool.usual);
        let usual_need = record.usual_need * number(length) / number(self.trial_length);
        let (sum, weight) = record.weighed();
        let unit = spread(sum, weight, pool.mean_error) * yardstick(total, usual_need);
        let at = |share: f64| unit.mul_add(pool.errors.quantile(share), total).max(0.0);
        let median = at(0.5);
        let certain = unit <= 0.0; // Nothing was ever needed.
        let confidence =
            if certain { 1.0 } else { pool.errors.share_up_to((margin * median - total) / unit) };
        let (lower, upper) = (at((1.0 - level) / 2.0), at(f64::midpoint(1.0, level)));
        Forecast { hourly, median, lower, upper, confidence, weights }
    }
}

/// The combination's errors on earlier days, newest first, and the need of a usual window of the trial.
struct Record {
    misses: Vec<Miss>,
    usual_need: f64,
}

impl Record {
    /// Sum of the absolute errors and of the weights.
    fn weighed(&self) -> (f64, f64) {
        let add = |(sum, weight): (f64, f64), miss: &Miss| {
            (sum + miss.weight * miss.error.abs(), weight + miss.weight)
        };
        self.misses.iter().fold((0.0, 0.0), add)
    }
}

/// What agents have in common: how each expert usually does, and how far off the combination is.
#[derive(Clone, Debug)]
pub struct Pool {
    usual: Standings,
    /// Mean absolute error, in yardsticks.
    mean_error: f64,
    errors: Errors,
}

impl Pool {
    /// From the tracks of some agents, all of the same request; none are needed.
    #[must_use]
    pub fn of(tracks: &[Track]) -> Self {
        let usual = Standings::of(tracks);
        let records: Vec<Record> = tracks.iter().map(|track| track.record(&usual)).collect();
        let weighed: Vec<(f64, f64)> = records.iter().map(Record::weighed).collect();
        let (sum, weight) = weighed.iter().fold((0.0, 0.0), |(s, w), (sum, weight)| (s + sum, w + weight));
        let mean_error = if weight > 0.0 { sum / weight } else { IGNORANCE_ERROR };
        let mut errors = Vec::new();
        for (record, (sum, weight)) in records.iter().zip(weighed) {
            for miss in &record.misses {
                // Without the miss itself: the spread of a forecast does not know its own error either.
                let others =
                    spread((sum - miss.weight * miss.error.abs()).max(0.0), weight - miss.weight, mean_error);
                if others > 0.0 {
                    errors.push((miss.error / others, miss.weight));
                }
            }
        }
        Self { usual, mean_error, errors: Errors::of(errors) }
    }
}

/// The usual loss of each expert, by the age of the origin in days.
#[derive(Clone, Debug)]
struct Standings(Vec<[f64; EXPERTS]>);

impl Standings {
    fn of(tracks: &[Track]) -> Self {
        let ages = tracks.iter().map(|track| track.days.len()).max().unwrap_or(0);
        Self((0..ages).map(|age| Self::at_age(tracks, age)).collect())
    }

    fn at_age(tracks: &[Track], age: usize) -> [f64; EXPERTS] {
        let standings: Vec<Standing> = tracks.iter().map(|track| track.standing(age)).collect();
        std::array::from_fn(|k| {
            let known = standings.iter().filter(|standing| standing.days[k] > 0.0);
            median(&mut known.map(|standing| standing.loss[k]).collect::<Vec<f64>>())
        })
    }

    /// Zero for all where nobody knows.
    fn at(&self, age: usize) -> [f64; EXPERTS] {
        self.0.get(age).copied().unwrap_or_default()
    }
}

/// The window that earlier forecasts are tried on: the one asked for, or the longest like it that half of the
/// history holds, at the same hour of the day.
fn trial_window(hours: usize, request: &Request) -> (usize, usize) {
    let most = (hours / 2).max(DAY);
    if request.horizon() <= most {
        return (request.lead, request.length);
    }
    let first = request.lead % DAY;
    let length = request.length.min(most - first.min(most - 1));
    let room = most.saturating_sub(first + length);
    (first + (room / DAY * DAY).min(request.lead - first), length)
}

/// Mean absolute errors of the experts over the hours after `lead`; NaN for one that slept.
fn errors(paths: &Paths, lead: usize, seen: &[f64]) -> Losses {
    std::array::from_fn(|k| {
        if !paths.awake[k] {
            return f64::NAN;
        }
        let gaps = paths.path(k)[lead..].iter().zip(seen).map(|(said, seen)| (said - seen).abs());
        gaps.sum::<f64>() / number(seen.len())
    })
}

/// Mean change of an hour from one day to the next: the scale of MASE (Hyndman & Koehler 2006).
fn usual_change(hours: &[f64]) -> f64 {
    let Some(changes) = hours.len().checked_sub(DAY).filter(|n| *n > 0) else { return mean(hours) };
    hours[DAY..].iter().zip(hours).map(|(now, before)| (now - before).abs()).sum::<f64>() / number(changes)
}

fn dot(weights: &[f64; EXPERTS], values: &[f64; EXPERTS]) -> f64 {
    weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
}

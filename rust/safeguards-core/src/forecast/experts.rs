//! Simple ways to forecast, each good for some agents. None of them has a parameter to fit but the regressions.

use super::regression::{Scale, autoregression};
use super::{DAY, WEEK, mean, median, number};

/// How many there are.
pub const EXPERTS: usize = 11;

/// What they are called, in their order.
pub const NAMES: [&str; EXPERTS] = [
    "yesterday",
    "last week",
    "last week at today's level",
    "median of the hour over 7 days",
    "median of the hour and its neighbours over 7 days",
    "mean of the hour, recent days first",
    "mean of the last day",
    "level and profile",
    "regression",
    "regression of square roots",
    "seasonal regression of square roots",
];

/// Days that a median looks back.
const MEDIAN_DAYS: usize = 7;
/// Lags of the regressions, in hours: the last hours, and the same hours of yesterday and last week.
const LAGS: [usize; 6] = [1, 2, DAY, DAY + 1, WEEK, WEEK + 1];
const SEASONAL_LAGS: [usize; 3] = [1, DAY, WEEK];

/// The history up to an origin.
#[derive(Clone, Copy)]
pub(super) struct Past<'a> {
    /// Usage of each hour.
    pub(super) hours: &'a [f64],
    /// Its square roots: costs are skewed, their roots hardly.
    pub(super) roots: &'a [f64],
}

/// Writes its forecast of the hours to come; false if it knows too little.
type Expert<'a> = dyn Fn(&mut [f64]) -> bool + 'a;

/// The experts' forecasts of the hours after an origin. One that knows too little sleeps.
pub(super) struct Paths {
    horizon: usize,
    hours: Vec<f64>,
    pub(super) awake: [bool; EXPERTS],
}

impl Paths {
    pub(super) fn of(past: Past<'_>, horizon: usize) -> Self {
        let mut paths = Self { horizon, hours: vec![0.0; EXPERTS * horizon], awake: [false; EXPERTS] };
        let days = past.hours.len() / DAY;
        let experts: [&Expert<'_>; EXPERTS] = [
            &|out| repeat_last(past.hours, DAY, out),
            &|out| repeat_last(past.hours, WEEK, out),
            &|out| last_week_levelled(past.hours, out),
            &|out| median_of_hour(past.hours, days, 0, out),
            &|out| median_of_hour(past.hours, days, 1, out),
            &|out| recent_mean_of_hour(past.roots, days, out),
            &|out| mean_of_day(past.hours, out),
            &|out| level_and_profile(past.hours, days, out),
            &|out| autoregression(past.hours, &LAGS, Scale::Plain, out),
            &|out| autoregression(past.roots, &LAGS, Scale::Root, out),
            &|out| autoregression(past.roots, &SEASONAL_LAGS, Scale::Root, out),
        ];
        for ((expert, out), awake) in
            experts.iter().zip(paths.hours.chunks_exact_mut(horizon)).zip(&mut paths.awake)
        {
            *awake = expert(out);
        }
        paths
    }

    /// The hours of one expert.
    pub(super) fn path(&self, expert: usize) -> &[f64] {
        &self.hours[expert * self.horizon..(expert + 1) * self.horizon]
    }
}

/// The last `period` hours again and again.
fn repeat_last(hours: &[f64], period: usize, out: &mut [f64]) -> bool {
    let Some(start) = hours.len().checked_sub(period) else { return false };
    repeat(&hours[start..], out);
    true
}

fn scale(hours: &mut [f64], factor: f64) {
    for hour in hours {
        *hour *= factor;
    }
}

fn repeat(profile: &[f64], out: &mut [f64]) {
    for (out, value) in out.iter_mut().zip(profile.iter().cycle()) {
        *out = *value;
    }
}

/// The last week, moved half of the way (on a logarithmic scale) from the level of its first day's eve to that
/// of the last day. A tenth of the mean keeps the ratio of two quiet days within bounds.
fn last_week_levelled(hours: &[f64], out: &mut [f64]) -> bool {
    if hours.len() < WEEK + DAY || !repeat_last(hours, WEEK, out) {
        return false;
    }
    let n = hours.len();
    let floor = 0.1 * mean(hours);
    let before = mean(&hours[n - WEEK - DAY..n - WEEK]) + floor;
    if before > 0.0 {
        let ratio = (mean(&hours[n - DAY..]) + floor) / before;
        let factor = ratio.clamp(1.0 / 3.0, 3.0).sqrt();
        scale(out, factor);
    }
    true
}

/// For each hour of the day the median over the last days, of the hour and of `neighbours` on both sides.
fn median_of_hour(hours: &[f64], days: usize, neighbours: usize, out: &mut [f64]) -> bool {
    let days = days.min(MEDIAN_DAYS);
    let Some(start) = hours.len().checked_sub(days * DAY).filter(|_| days > 0) else { return false };
    let mut values = Vec::with_capacity(days * (2 * neighbours + 1));
    let mut profile = [0.0; DAY];
    for (hour, middle) in profile.iter_mut().enumerate() {
        values.clear();
        for day in 0..days {
            let at = start + day * DAY + hour;
            let last = (at + neighbours).min(hours.len() - 1);
            values.extend_from_slice(&hours[at.saturating_sub(neighbours)..=last]);
        }
        *middle = median(&mut values);
    }
    repeat(&profile, out);
    true
}

/// For each hour of the day the mean over all days, weighted by age with a half-life of two days: of the square
/// roots, so that no burst dominates.
fn recent_mean_of_hour(roots: &[f64], days: usize, out: &mut [f64]) -> bool {
    if days == 0 {
        return false;
    }
    let profile = by_hour_of_day(roots, days, 2.0);
    repeat(&profile.map(|root| root * root), out);
    true
}

/// Means of each hour of the day over the last `days`, weighted by age.
fn by_hour_of_day(hours: &[f64], days: usize, half_life_days: f64) -> [f64; DAY] {
    let keep = (-1.0 / half_life_days).exp2();
    let (mut profile, mut weight, mut total) = ([0.0; DAY], 1.0, 0.0);
    for day in hours.rchunks_exact(DAY).take(days) {
        for (mean, hour) in profile.iter_mut().zip(day) {
            *mean += weight * hour;
        }
        total += weight;
        weight *= keep;
    }
    profile.map(|sum| sum / total)
}

fn mean_of_day(hours: &[f64], out: &mut [f64]) -> bool {
    out.fill(mean(&hours[hours.len().saturating_sub(DAY)..]));
    !hours.is_empty()
}

/// The present level (half-life: 12 hours) times the profile of the day (half-life: 4 days), which is shrunk to
/// a flat one while few days are known.
fn level_and_profile(hours: &[f64], days: usize, out: &mut [f64]) -> bool {
    if days == 0 {
        return false;
    }
    let profile = by_hour_of_day(hours, days, 4.0);
    let level = mean(&profile);
    let trust = if level > 0.0 { number(days) / number(days + 4) } else { 0.0 };
    let profile = profile.map(|hour| if trust > 0.0 { trust * hour / level + (1.0 - trust) } else { 1.0 });
    // The level of the hours just past, given that the profile was what it is.
    let keep = (-1.0_f64 / 12.0).exp2();
    let (mut weight, mut seen, mut expected) = (1.0, 0.0, 0.0);
    for (hour, share) in hours.iter().rev().zip(profile.iter().rev().cycle()) {
        seen += weight * hour;
        expected += weight * share;
        weight *= keep;
    }
    repeat(&profile, out);
    scale(out, seen / expected);
    true
}

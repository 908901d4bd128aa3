//! One series: its past, its forecasters, and how they are combined.

use super::MAX_SEASONS;
use super::ratios::Ratios;
use super::regression::{FEATURES, Moments};

/// The last value, the level, the regression, and two for each season.
const EXPERTS: usize = 3 + 2 * MAX_SEASONS;

/// Weights that a new value has in the level and in the seasons' profiles.
const LEVEL: f64 = 0.4;
const PROFILE: f64 = 0.4;

/// Weights that a new value has in the level above the profile, as a factor and as a difference.
const FACTOR: f64 = 0.8;
const DIFFERENCE: f64 = 0.5;

/// What is left of a value's weight in the mean one step later: half after 168 steps.
const MEAN_MEMORY: f64 = 0.995_882_6;

/// What is left of an error one step later: forecasters are compared over about 33 steps.
const LOSS_MEMORY: f64 = 0.97;

/// Weight of an expert whose loss is larger by one step's average: `exp(-SHARPNESS)`.
const SHARPNESS: f64 = 0.4;

/// Part of the comparison that all series share.
const SHARED: f64 = 0.3;

/// Largest error that counts, in means of the demand: one burst must not decide.
const LARGEST_LOSS: f64 = 5.0;

/// Largest demand that the regression sees, in means.
const LARGEST_ROOT: f64 = 10.0;

/// Part of the mean that is added to both sides of a ratio, so that a demand near zero has one.
const FLOOR: f64 = 1e-3;

/// Weight of the mean of all series' moments in each series' regression.
const POOLED_MOMENTS: f64 = 0.3;

/// A season's profile, and where the series lies above it.
#[derive(Clone, Debug)]
struct Season {
    /// Smoothed demand of each phase; NaN before the first.
    profile: Box<[f64]>,
    factor: f64,
    difference: f64,
}

impl Season {
    fn new(length: usize) -> Self {
        Self { profile: vec![f64::NAN; length].into(), factor: 1.0, difference: 0.0 }
    }

    fn observe(&mut self, step: usize, demand: f64, floor: f64) {
        let phase = step % self.profile.len();
        let expected = &mut self.profile[phase];
        if expected.is_nan() {
            *expected = demand;
            return;
        }
        let factor = (demand + floor) / (*expected + floor);
        if factor.is_finite() {
            self.factor += FACTOR * (factor.clamp(0.1, 10.0) - self.factor);
        }
        self.difference += DIFFERENCE * (demand - *expected - self.difference);
        *expected += PROFILE * (demand - *expected);
    }

    /// The profile times the factor, the profile plus the difference; what else is known if this phase is new.
    fn forecasts(&self, step: usize, otherwise: [f64; 2], floor: f64) -> [f64; 2] {
        let expected = self.profile[step % self.profile.len()];
        if expected.is_nan() {
            return otherwise;
        }
        [self.factor * (expected + floor), (expected + self.difference).max(0.0)]
    }
}

/// What all series have in common.
#[derive(Default)]
pub(super) struct Pool {
    moments: Moments,
    losses: [f64; EXPERTS],
}

impl Pool {
    pub(super) fn of(series: &[Series]) -> Self {
        let mut pool = Self::default();
        let known = series.iter().filter(|series| series.mean > 0.0);
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let share = 1.0 / known.clone().count().max(1) as f64;
        for series in known {
            pool.moments.add(&series.moments, share * POOLED_MOMENTS);
            let losses = series.relative_losses();
            pool.losses.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += share * loss);
        }
        pool
    }
}

#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Steps so far, known or not.
    step: usize,
    /// Weight behind the mean.
    known: f64,
    mean: f64,
    last: f64,
    level: f64,
    /// Demand of the last steps, as a ring; NaN where unknown.
    past: Box<[f32]>,
    seasons: Box<[Season]>,
    moments: Moments,
    features: [f64; FEATURES],
    experts: [f64; EXPERTS],
    losses: [f64; EXPERTS],
    /// Weight behind the losses.
    scored: f64,
    ratios: Ratios,
    forecast: f64,
}

impl Series {
    pub(super) fn new(seasons: &[usize]) -> Self {
        let unknown = f64::NAN;
        Self {
            step: 0,
            known: 0.0,
            mean: 0.0,
            last: unknown,
            level: unknown,
            past: vec![f32::NAN; past_steps(seasons)].into(),
            seasons: seasons.iter().map(|&length| Season::new(length)).collect(),
            moments: Moments::default(),
            features: [0.0; FEATURES],
            experts: [unknown; EXPERTS],
            losses: [0.0; EXPERTS],
            scored: 0.0,
            ratios: Ratios::default(),
            forecast: unknown,
        }
    }

    pub(super) fn bytes(seasons: &[usize]) -> usize {
        let profiles = seasons.len() * size_of::<Season>() + seasons.iter().sum::<usize>() * size_of::<f64>();
        size_of::<Self>() + profiles + past_steps(seasons) * size_of::<f32>()
    }

    pub(super) const fn forecast(&self) -> f64 {
        self.forecast
    }

    /// The demand of the last known step, as it was taken.
    pub(super) const fn last(&self) -> f64 {
        self.last
    }

    pub(super) const fn ratios(&self) -> &Ratios {
        &self.ratios
    }

    pub(super) fn quantile(&self, probability: f64, pooled: &Ratios) -> f64 {
        if self.forecast.is_nan() {
            return f64::NAN;
        }
        self.demand_at(self.ratios.quantile(probability, pooled))
    }

    pub(super) fn confidence(&self, within: f64, pooled: &Ratios) -> f64 {
        self.ratios.share_within(within, pooled)
    }

    /// Takes one step's demand, NaN if unknown.
    pub(super) fn observe(&mut self, demand: f64) {
        if self.forecast >= 0.0 && demand >= 0.0 {
            self.score(demand);
            if let Some(ratio) = self.ratio(demand) {
                self.ratios.note(ratio);
            }
        }
        self.learn(demand);
    }

    /// Takes a step's demand of which only the lower bound is known. A bound of zero says nothing.
    pub(super) fn observe_at_least(&mut self, least: f64, pooled: &Ratios) {
        let demand = match self.ratio(least) {
            _ if least == 0.0 => f64::NAN,
            Some(ratio) => {
                let likely = self.ratios.note_at_least(ratio, pooled);
                self.demand_at(likely).max(least)
            }
            None => least,
        };
        self.learn(demand);
    }

    /// Looks one step ahead.
    pub(super) fn look_ahead(&mut self, pool: &Pool) {
        if self.known == 0.0 {
            return;
        }
        self.read_features();
        let floor = self.floor();
        let mut moments = self.moments.clone();
        moments.add(&pool.moments, 1.0);
        let root: f64 = moments.weights().iter().zip(&self.features).map(|(w, x)| w * x).sum();
        let root = root.clamp(0.0, LARGEST_ROOT);
        self.experts = [self.level; EXPERTS];
        self.experts[0] = self.last;
        self.experts[2] = root * root * self.mean;
        let mut shorter = [self.level; 2];
        for (season, experts) in self.seasons.iter().zip(self.experts[3..].chunks_exact_mut(2)) {
            shorter = season.forecasts(self.step, shorter, floor);
            experts.copy_from_slice(&shorter);
        }
        self.combine(pool);
    }

    /// Weights by the losses of late, in units of an average step's loss.
    fn combine(&mut self, pool: &Pool) {
        let count = EXPERTS - 2 * (MAX_SEASONS - self.seasons.len());
        let own = self.relative_losses();
        let losses: [f64; EXPERTS] =
            std::array::from_fn(|k| (1.0 - SHARED) * own[k] + SHARED * pool.losses[k]);
        let least = losses[..count].iter().copied().fold(f64::INFINITY, f64::min);
        let (mut sum, mut total) = (0.0, 0.0);
        for (loss, expert) in losses[..count].iter().zip(&self.experts) {
            let weight = (SHARPNESS * (least - loss)).exp();
            sum += weight * expert;
            total += weight;
        }
        self.forecast = sum / total;
    }

    fn relative_losses(&self) -> [f64; EXPERTS] {
        let count = EXPERTS - 2 * (MAX_SEASONS - self.seasons.len());
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let average = self.losses[..count].iter().sum::<f64>() / count as f64 / self.scored;
        if average > 0.0 { self.losses.map(|loss| loss / average) } else { [0.0; EXPERTS] }
    }

    fn score(&mut self, demand: f64) {
        if self.mean <= 0.0 {
            return;
        }
        self.scored = LOSS_MEMORY * self.scored + 1.0;
        for (loss, expert) in self.losses.iter_mut().zip(&self.experts) {
            let error = (expert - demand).abs() / self.mean;
            *loss = LOSS_MEMORY * *loss + error.min(LARGEST_LOSS);
        }
    }

    /// Actual to forecast; None while there is neither.
    fn ratio(&self, demand: f64) -> Option<f64> {
        let floor = self.floor();
        let ratio = (demand + floor) / (self.forecast + floor);
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    }

    /// The demand that has this ratio to the forecast.
    fn demand_at(&self, ratio: f64) -> f64 {
        let floor = self.floor();
        ((self.forecast + floor) * ratio - floor).max(0.0)
    }

    fn learn(&mut self, demand: f64) {
        let step = self.step;
        self.past[step % self.past.len()] = single(demand);
        self.step += 1;
        if demand.is_nan() {
            return;
        }
        if self.mean > 0.0 {
            let root = self.root(demand);
            self.moments.note(&self.features, root);
        }
        let floor = self.floor();
        self.seasons.iter_mut().for_each(|season| season.observe(step, demand, floor));
        self.level = if self.known == 0.0 { demand } else { self.level + LEVEL * (demand - self.level) };
        self.last = demand;
        self.known = MEAN_MEMORY * self.known + 1.0;
        self.mean += (demand - self.mean) / self.known;
    }

    /// Lags of one and two steps, of each season and the step before it; an unknown one is taken as the mean.
    fn read_features(&mut self) {
        self.features = [0.0; FEATURES];
        self.features[FEATURES - 1] = 1.0;
        for s in 0..=self.seasons.len() {
            let lag = if s == 0 { 1 } else { self.seasons[s - 1].profile.len() };
            self.features[2 * s] = self.root(self.lag(lag));
            self.features[2 * s + 1] = self.root(self.lag(lag + 1));
        }
    }

    fn lag(&self, steps: usize) -> f64 {
        if steps > self.step { f64::NAN } else { f64::from(self.past[(self.step - steps) % self.past.len()]) }
    }

    /// Square root in units of the mean: bursts weigh less, the variance is steadier.
    fn root(&self, demand: f64) -> f64 {
        if demand.is_nan() || self.mean <= 0.0 { 1.0 } else { (demand / self.mean).sqrt().min(LARGEST_ROOT) }
    }

    fn floor(&self) -> f64 {
        FLOOR * self.mean
    }
}

/// The longest lag of the regression.
fn past_steps(seasons: &[usize]) -> usize {
    seasons.last().copied().unwrap_or(1) + 1
}

/// Single precision is enough for a past value, and takes half the room.
#[expect(clippy::cast_possible_truncation, reason = "meant")]
fn single(demand: f64) -> f32 {
    demand as f32
}

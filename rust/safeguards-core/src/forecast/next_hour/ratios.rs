//! How actual demand compared with what was forecast: a histogram of ratios that forgets.

/// Bins, in the logarithm of the ratio: narrow around a ratio of 1, wider with the square of the distance.
const BINS: usize = 80;

/// The logarithms that the bins span: ratios of 1/55 to 55, those beyond lie in the outermost bins.
const SPAN: f32 = 4.0;

/// What is left of a ratio's weight one step later: half after 72 steps.
const MEMORY: f32 = 0.990_419;

/// What a demand that was cut off is taken for if none like it was ever seen, and at most: twice of what was seen
/// of it. A guess that is bounded by what was really spent cannot run away, however often it is repeated.
const NEVER_SEEN: f64 = 1.5;
const MOST_GUESSED: f64 = 2.0;

/// Each bin holds the weight of its ratios and the weighted sum of their logarithms: its centre is exact, so that a
/// demand that is always forecast exactly has quantiles exactly at the forecast.
#[derive(Clone, Debug)]
pub(super) struct Ratios {
    weights: [f32; BINS],
    sums: [f32; BINS],
}

impl Default for Ratios {
    fn default() -> Self {
        Self { weights: [0.0; BINS], sums: [0.0; BINS] }
    }
}

impl Ratios {
    /// Notes a ratio; older ones fade.
    pub(super) fn note(&mut self, ratio: f64) {
        self.fade();
        self.put(log(ratio), 1.0);
    }

    /// Notes that the ratio was at least this: its weight goes to what lay above it so far, in proportion
    /// (Efron's redistribution to the right). Returns the mean of what lay above.
    pub(super) fn note_at_least(&mut self, least: f64, pooled: &Self) -> f64 {
        let from = bin(log(least));
        let above = self.merged(pooled).skip(from + 1).filter(|(weight, _)| *weight > 0.0);
        let above: Vec<(f64, f64)> = above.collect();
        let total: f64 = above.iter().map(|(weight, _)| weight).sum();
        self.fade();
        if total <= 0.0 {
            self.put(log(least * NEVER_SEEN), 1.0);
            return least * NEVER_SEEN;
        }
        let mut mean = 0.0;
        for (weight, log) in above {
            #[expect(clippy::cast_possible_truncation, reason = "weights and logarithms are small")]
            self.put(log as f32, (weight / total) as f32);
            mean += weight / total * log.exp();
        }
        mean.clamp(least, MOST_GUESSED * least)
    }

    /// Adds the weights of another histogram.
    pub(super) fn add(&mut self, other: &Self) {
        self.weights.iter_mut().zip(&other.weights).for_each(|(to, from)| *to += from);
        self.sums.iter_mut().zip(&other.sums).for_each(|(to, from)| *to += from);
    }

    /// Makes the weights add up to at most this.
    pub(super) fn scale_to(&mut self, total: f64) {
        let sum: f64 = self.weights.iter().map(|&weight| f64::from(weight)).sum();
        if sum > total {
            #[expect(clippy::cast_possible_truncation, reason = "a factor below one")]
            self.scale((total / sum) as f32);
        }
    }

    /// The ratio that this share of all ratios, own and pooled, stays within. One more ratio that could come is
    /// counted as above all others (Vovk's conformal prediction). 1 if there is none.
    pub(super) fn quantile(&self, probability: f64, pooled: &Self) -> f64 {
        let total: f64 = self.merged(pooled).map(|(weight, _)| weight).sum();
        // Each ratio stands in the middle of its weight.
        let wanted = probability * (total + 1.0) - 0.5;
        let (mut below, mut last) = (0.0, None);
        for (weight, log) in self.merged(pooled).filter(|(weight, _)| *weight > 0.0) {
            let middle = below + weight / 2.0;
            if wanted <= middle {
                return between(last, (middle, log), wanted).exp();
            }
            last = Some((middle, log));
            below += weight;
        }
        last.map_or(1.0, |(_, log)| log.exp())
    }

    /// The share of all ratios, own and pooled, that are at most this; NaN if there is none.
    pub(super) fn share_within(&self, ratio: f64, pooled: &Self) -> f64 {
        let wanted = ratio.ln();
        let total: f64 = self.merged(pooled).map(|(weight, _)| weight).sum();
        let (mut below, mut last) = (0.0, None);
        for (weight, log) in self.merged(pooled).filter(|(weight, _)| *weight > 0.0) {
            let middle = below + weight / 2.0;
            if wanted < log {
                let share = last.map_or(0.0, |(before, from)| {
                    before + (middle - before) * (wanted - from) / (log - from)
                });
                return share / total;
            }
            last = Some((middle, log));
            below += weight;
        }
        below / total
    }

    /// Weight and mean logarithm of each bin, own and pooled together.
    fn merged<'a>(&'a self, pooled: &'a Self) -> impl Iterator<Item = (f64, f64)> + 'a {
        (0..BINS).map(|b| {
            let weight = f64::from(self.weights[b] + pooled.weights[b]);
            (weight, f64::from(self.sums[b] + pooled.sums[b]) / weight)
        })
    }

    fn put(&mut self, log: f32, weight: f32) {
        self.weights[bin(log)] += weight;
        self.sums[bin(log)] += weight * log;
    }

    fn fade(&mut self) {
        self.scale(MEMORY);
    }

    fn scale(&mut self, factor: f32) {
        self.weights.iter_mut().chain(&mut self.sums).for_each(|value| *value *= factor);
    }
}

/// The logarithm at `wanted`, on the line between two middles.
fn between(last: Option<(f64, f64)>, (middle, log): (f64, f64), wanted: f64) -> f64 {
    last.map_or(log, |(before, from)| from + (log - from) * (wanted - before) / (middle - before))
}

/// Beyond e^50 the forecast was next to nothing, and the ratio says no more than that.
#[expect(clippy::cast_possible_truncation, reason = "the logarithm of a ratio is small")]
fn log(ratio: f64) -> f32 {
    ratio.ln().clamp(-50.0, 50.0) as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped to a bin"
)]
fn bin(log: f32) -> usize {
    let half = BINS as f32 / 2.0;
    let distance = (log.abs() / SPAN).sqrt().min(1.0);
    (half + half * distance.copysign(log)).min(BINS as f32 - 1.0) as usize
}

//! How far off a forecast may be: the errors of earlier ones, of all agents, each in units of its agent's own.

/// Errors that stand for ignorance: together they count as one day's error of one agent.
const IGNORANCE_WEIGHT: f64 = 1.0;
/// Mean error, relative to the forecast, where no error is known.
pub(super) const IGNORANCE_ERROR: f64 = 0.4;
/// A forecast below this share of the usual need is as uncertain as one of this share.
const LEAST_SHARE: f64 = 0.05;
/// Days of own errors that weigh as much as the mean error of all agents.
const SHRINKAGE_DAYS: f64 = 1.0;

/// What an error is measured by: between proportional to the forecast and independent of it, since a quiet day
/// of a busy agent is less certain than its forecast is small.
pub(super) fn yardstick(forecast: f64, usual: f64) -> f64 {
    (forecast.max(LEAST_SHARE * usual) * usual).sqrt()
}

/// An agent's spread: the weighted sum and weight of its absolute errors, shrunk to those of all.
pub(super) fn spread(sum: f64, weight: f64, of_all: f64) -> f64 {
    (sum + SHRINKAGE_DAYS * of_all) / (weight + SHRINKAGE_DAYS)
}

/// Errors in units of the spread, ready to be asked for quantiles.
#[derive(Clone, Debug)]
pub(super) struct Errors {
    /// Ascending, each with the share of errors up to its middle.
    points: Vec<(f64, f64)>,
}

impl Errors {
    /// From errors and their weights.
    pub(super) fn of(mut weighted: Vec<(f64, f64)>) -> Self {
        weighted.extend(ignorance());
        weighted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = weighted.iter().map(|(_, weight)| weight).sum();
        let mut below = 0.0;
        for (_, weight) in &mut weighted {
            let middle = below + *weight / 2.0;
            below += *weight;
            *weight = middle / total;
        }
        Self { points: weighted }
    }

    /// The error that a share of all errors is below, between two errors by proportion.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let after = self.points.partition_point(|(_, below)| *below <= share);
        self.between(after, |(error, below)| (below, error), share)
    }

    /// The share of errors up to `error`.
    pub(super) fn share_up_to(&self, error: f64) -> f64 {
        let after = self.points.partition_point(|(other, _)| *other <= error);
        self.between(after, |(error, below)| (error, below), error)
    }

    /// The line through the points on both sides of `x`; flat beyond the first and the last.
    fn between(&self, after: usize, axes: impl Fn((f64, f64)) -> (f64, f64), x: f64) -> f64 {
        let point = |i: usize| axes(self.points[i]);
        if after == 0 || after == self.points.len() {
            return point(after.saturating_sub(1)).1;
        }
        let ((x0, y0), (x1, y1)) = (point(after - 1), point(after));
        y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    }
}

/// Quantiles of Laplace's distribution of mean absolute value 1.
fn ignorance() -> impl Iterator<Item = (f64, f64)> {
    const COUNT: u32 = 16;
    (0..COUNT).map(|i| {
        let share = (f64::from(i) + 0.5) / f64::from(COUNT);
        let error = if share < 0.5 { (2.0 * share).ln() } else { -(2.0 * (1.0 - share)).ln() };
        (error, IGNORANCE_WEIGHT / f64::from(COUNT))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_shares_undo_each_other() {
        let errors = Errors::of((0..50).map(|i| (f64::from(i * i) / 100.0 - 3.0, 1.0)).collect());
        for percent in 5..95 {
            let share = f64::from(percent) / 100.0;
            assert!((errors.share_up_to(errors.quantile(share)) - share).abs() < 1e-9);
        }
    }

    #[test]
    fn ignorance_alone_is_centred_and_wide() {
        let errors = Errors::of(Vec::new());
        assert!(errors.quantile(0.5).abs() < 1e-12);
        assert!((errors.quantile(0.9) - 1.61).abs() < 0.05);
        assert!((errors.quantile(0.1) + errors.quantile(0.9)).abs() < 1e-9);
    }
}

//! Linear regression on a series' own past, as running sums that forget; shrunk to what all series have in common.

/// Lags and the constant.
pub(super) const FEATURES: usize = 7;

/// What is left of a step's weight one step later: half after 138 steps.
const MEMORY: f64 = 0.995;

/// Steps that the prior is worth, in each direction.
const RIDGE: f64 = 1.0;

/// What is expected before anything is learned: mostly the last value, partly the mean.
const PRIOR: [f64; FEATURES] = [0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3];

/// The sums of one series, or the mean of many.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments {
    /// Sums of products of features; only the lower triangle is kept up.
    gram: [[f64; FEATURES]; FEATURES],
    /// Sums of products of features and outcome.
    cross: [f64; FEATURES],
}

impl Moments {
    /// Notes an outcome and the features that came before it; older ones fade.
    pub(super) fn note(&mut self, features: &[f64; FEATURES], outcome: f64) {
        for i in 0..FEATURES {
            for j in 0..=i {
                self.gram[i][j] = MEMORY * self.gram[i][j] + features[i] * features[j];
            }
            self.cross[i] = MEMORY * self.cross[i] + features[i] * outcome;
        }
    }

    /// Adds a share of another's sums.
    pub(super) fn add(&mut self, other: &Self, share: f64) {
        for i in 0..FEATURES {
            for j in 0..=i {
                self.gram[i][j] += share * other.gram[i][j];
            }
            self.cross[i] += share * other.cross[i];
        }
    }

    /// The weights of least squares under the prior, by Cholesky's decomposition.
    pub(super) fn weights(&self) -> [f64; FEATURES] {
        let mut lower = self.gram;
        let mut weights = self.cross;
        for i in 0..FEATURES {
            lower[i][i] += RIDGE;
            weights[i] += RIDGE * PRIOR[i];
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
                let rest = lower[i][j] - dot;
                lower[i][j] = if i == j { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / lower[j][j] };
            }
            let dot: f64 = (0..i).map(|k| lower[i][k] * weights[k]).sum();
            weights[i] = (weights[i] - dot) / lower[i][i];
        }
        for i in (0..FEATURES).rev() {
            let dot: f64 = (i + 1..FEATURES).map(|k| lower[k][i] * weights[k]).sum();
            weights[i] = (weights[i] - dot) / lower[i][i];
        }
        weights
    }
}

//! One forecast out of many: exponential weights on discounted losses.

use super::experts::{EXPERTS, Paths};
use super::{DAILY_MEMORY, median, number};

/// How sharply weights follow losses.
const LEARNING_RATE: f64 = 0.6;
/// Days of own errors that weigh as much as the usual loss of an expert among all agents.
const SHRINKAGE_DAYS: f64 = 2.0;
/// A loss beyond this, in units of the usual change from day to day, counts as this.
const MAX_LOSS: f64 = 10.0;

/// What one day's experts lost: against the middle of those awake, so that easy and hard days count alike.
/// NaN where one slept.
pub(super) type Losses = [f64; EXPERTS];

/// How each expert has done for one agent, up to some day.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// Mean relative loss, newer days first; zero where nothing is known.
    pub(super) loss: [f64; EXPERTS],
    /// Days that the mean is worth.
    pub(super) days: [f64; EXPERTS],
}

/// Mean absolute errors as losses. `scale` is the agent's usual change from one day to the next.
pub(super) fn losses(errors: &Losses, scale: f64) -> Losses {
    let loss = |error: f64| match error {
        error if error.is_nan() || error <= 0.0 => error,
        error if scale > 0.0 => (error / scale).min(MAX_LOSS),
        _ => MAX_LOSS, // It never changed, and somebody did not say so.
    };
    let losses = errors.map(loss);
    let mut awake: Vec<f64> = losses.iter().copied().filter(|loss| !loss.is_nan()).collect();
    let middle = median(&mut awake);
    losses.map(|loss| loss - middle)
}

impl Standing {
    /// From the losses of earlier days, oldest first.
    pub(super) fn of(days: &[Losses]) -> Self {
        let mut standing = Self::default();
        let mut sums = [0.0; EXPERTS];
        let mut weight = 1.0;
        for losses in days.iter().rev() {
            for (expert, loss) in losses.iter().enumerate().filter(|(_, loss)| !loss.is_nan()) {
                sums[expert] += weight * loss;
                standing.days[expert] += weight;
            }
            weight *= DAILY_MEMORY;
        }
        for (expert, sum) in sums.iter().enumerate().filter(|(expert, _)| standing.days[*expert] > 0.0) {
            standing.loss[expert] = sum / standing.days[expert];
        }
        standing
    }

    /// Weights of the experts awake, given the usual loss of each among all agents.
    pub(super) fn weights(&self, usual: &[f64; EXPERTS], awake: [bool; EXPERTS]) -> [f64; EXPERTS] {
        let loss: [f64; EXPERTS] = std::array::from_fn(|k| {
            let own = self.days[k];
            own * self.loss[k] + SHRINKAGE_DAYS * usual[k]
        });
        let least = (0..EXPERTS).filter(|k| awake[*k]).map(|k| loss[k]).fold(f64::INFINITY, f64::min);
        let raw: [f64; EXPERTS] =
            std::array::from_fn(|k| if awake[k] { (-LEARNING_RATE * (loss[k] - least)).exp() } else { 0.0 });
        let total: f64 = raw.iter().sum();
        if total > 0.0 { raw.map(|weight| weight / total) } else { [1.0 / number(EXPERTS); EXPERTS] }
    }
}

/// Each hour's weighted median of the experts. It follows the majority through a burst that a few expect.
pub(super) fn weighted_median(paths: &Paths, weights: &[f64; EXPERTS], hour: usize) -> f64 {
    let mut votes: [(f64, f64); EXPERTS] = std::array::from_fn(|k| (paths.path(k)[hour], weights[k]));
    votes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = 0.0;
    for (value, weight) in votes {
        below += weight;
        if weight > 0.0 && below >= 0.5 - 1e-12 {
            return value;
        }
    }
    votes[EXPERTS - 1].0
}

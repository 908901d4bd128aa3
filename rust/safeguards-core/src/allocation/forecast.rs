//! A forecast of the next capacities from those of earlier steps: several simple ones, the best of late wins.

use super::capacity::pairwise_sum;

/// Weight that the record of errors keeps from one step to the next: it looks back about thirty steps.
const MEMORY: f64 = 0.97;

/// Shares that a new observation has in the smoothed candidates.
const SMOOTHING: [f64; 3] = [0.5, 0.2, 0.08];

/// Two unsmoothed candidates, and two for each smoothing.
const CANDIDATES: usize = 2 + 2 * SMOOTHING.len();

/// Persistence (the last capacity) and linear extrapolation, of the capacities themselves and of smoothed ones:
/// Brown's simple and double exponential smoothing. Whichever had the smallest discounted squared error is used.
/// The unsmoothed ones win where capacities are exact, the smoothed ones where they are read with noise.
#[derive(Clone, Debug)]
pub(crate) struct Forecast {
    observed: usize,
    last: Vec<f64>,
    /// Once and twice smoothed observations, for each smoothing.
    smoothed: [[Vec<f64>; 2]; SMOOTHING.len()],
    candidates: [Vec<f64>; CANDIDATES],
    errors: [f64; CANDIDATES],
    best: Vec<f64>,
}

impl Forecast {
    /// Nothing is known: all resources look alike.
    pub(crate) fn new(resources: usize) -> Self {
        let zeros = vec![0.0; resources];
        Self {
            observed: 0,
            last: zeros.clone(),
            smoothed: std::array::from_fn(|_| [zeros.clone(), zeros.clone()]),
            candidates: std::array::from_fn(|_| zeros.clone()),
            errors: [0.0; CANDIDATES],
            best: vec![1.0; resources],
        }
    }

    /// What the next capacities are expected to be. Never negative; of the same total as the last ones.
    pub(crate) fn next(&self) -> &[f64] {
        &self.best
    }

    /// Takes the capacities of one step.
    pub(crate) fn observe(&mut self, capacities: &[f64]) {
        if self.observed > 0 {
            self.score(capacities);
        }
        self.observed += 1;
        self.extrapolate(capacities);
        self.smooth(capacities);
        self.last.copy_from_slice(capacities);
        self.choose(pairwise_sum(capacities));
    }

    fn score(&mut self, capacities: &[f64]) {
        for (error, candidate) in self.errors.iter_mut().zip(&self.candidates) {
            let squares: f64 = candidate.iter().zip(capacities).map(|(f, c)| (f - c) * (f - c)).sum();
            *error = MEMORY * *error + squares;
        }
    }

    fn extrapolate(&mut self, capacities: &[f64]) {
        let [flat, line, ..] = &mut self.candidates;
        for (r, &c) in capacities.iter().enumerate() {
            let before = if self.observed > 1 { self.last[r] } else { c };
            flat[r] = c;
            line[r] = (c + (c - before)).max(0.0);
        }
    }

    fn smooth(&mut self, capacities: &[f64]) {
        for (k, share) in SMOOTHING.into_iter().enumerate() {
            let [once, twice] = &mut self.smoothed[k];
            let [flat, line] = &mut self.candidates[2 + 2 * k..][..2] else { unreachable!("two for each") };
            for (r, &c) in capacities.iter().enumerate() {
                if self.observed == 1 {
                    (once[r], twice[r]) = (c, c);
                }
                once[r] += share * (c - once[r]);
                twice[r] += share * (once[r] - twice[r]);
                let trend = share / (1.0 - share) * (once[r] - twice[r]);
                flat[r] = once[r];
                line[r] = (once[r] + (once[r] - twice[r]) + trend).max(0.0);
            }
        }
    }

    /// The candidate with the least error, the first of equal ones; linear extrapolation while nothing is known.
    fn choose(&mut self, total: f64) {
        let mut best = 1;
        if self.observed > 3 {
            best = 0;
            for (k, error) in self.errors.iter().enumerate() {
                if *error < self.errors[best] {
                    best = k;
                }
            }
        }
        let predicted = pairwise_sum(&self.candidates[best]);
        if predicted <= 0.0 {
            return self.best.copy_from_slice(&self.last);
        }
        for (f, candidate) in self.best.iter_mut().zip(&self.candidates[best]) {
            *f = candidate * (total / predicted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::draws::{Draws, Purpose};
    use super::*;

    fn after(rows: impl Iterator<Item = [f64; 2]>) -> Vec<f64> {
        let mut forecast = Forecast::new(2);
        rows.for_each(|row| forecast.observe(&row));
        forecast.next().to_vec()
    }

    #[test]
    fn a_straight_line_is_extrapolated() {
        let forecast = after((0..20).map(|t| [100.0 + f64::from(t), 100.0 - f64::from(t)]));
        assert_eq!(forecast, [120.0, 80.0]);
    }

    #[test]
    fn a_level_that_jumps_rarely_is_taken_to_persist() {
        let forecast = after((0..60).map(|t| if t < 50 { [60.0, 40.0] } else { [40.0, 60.0] }));
        assert_eq!(forecast, [40.0, 60.0]);
    }

    #[test]
    fn noise_is_smoothed_away() {
        let draws = Draws::new(1, 0).at(0, Purpose::Noise);
        let rows =
            (0..200).map(|t| [100.0 + 10.0 * draws.normal(2 * t), 100.0 + 10.0 * draws.normal(2 * t + 1)]);
        let forecast = after(rows);
        assert!((forecast[0] / forecast[1] - 1.0).abs() < 0.1, "{forecast:?}");
    }

    #[test]
    fn it_is_never_negative_and_keeps_the_total() {
        assert_eq!(after([[90.0, 10.0], [98.0, 2.0]].into_iter()), [100.0, 0.0]);
    }

    #[test]
    fn before_anything_is_known_all_resources_look_alike() {
        assert_eq!(after([].into_iter()), [1.0, 1.0]);
        assert_eq!(after([[7.0, 3.0]].into_iter()), [7.0, 3.0]);
    }
}

//! Ridge autoregression: next hour from some earlier ones, then the hour after from that, and so on.

use super::{mean, number};

/// Most lags that are used at once, and the constant.
const MAX_TERMS: usize = 7;
/// Penalty of the coefficients, as a share of the variance of what they multiply.
const RIDGE: f64 = 0.01;
/// A forecast stays within the history's range, widened by so many standard deviations on both sides.
const SLACK: f64 = 0.5;

/// What the history was transformed by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Plain,
    Root,
}

/// Fits the lags that the history is at least twice as long as, and forecasts `out`.
pub(super) fn autoregression(history: &[f64], lags: &[usize], scale: Scale, out: &mut [f64]) -> bool {
    let n = history.len();
    let used = lags.iter().take_while(|lag| 2 * **lag <= n).count();
    let lags = &lags[..used];
    let Some(longest) = lags.last().copied() else { return false };
    let centre = mean(history);
    let spread = (history.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / number(n)).sqrt();
    let mut path = Vec::with_capacity(n + out.len());
    // A constant history has no spread, and its forecast is the constant.
    let unit = if spread > 1e-12 * centre { spread } else { 1.0 };
    path.extend(history.iter().map(|v| (v - centre) / unit));
    let Some(fit) = Fit::of(&path, lags, longest) else { return false };
    let (low, high) =
        path.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    for out in out {
        let next = fit.next(&path, lags).clamp(low - SLACK, high + SLACK);
        path.push(next);
        let value = (next * unit + centre).max(0.0);
        *out = if scale == Scale::Root { value * value } else { value };
    }
    true
}

/// Coefficients of the lags, then the constant.
struct Fit {
    coefficients: [f64; MAX_TERMS],
}

impl Fit {
    fn of(history: &[f64], lags: &[usize], longest: usize) -> Option<Self> {
        let target = &history[longest..];
        let rows = number(target.len());
        let lagged = |lag: usize| &history[longest - lag..history.len() - lag];
        let constant = lags.len();
        let mut gram = [[0.0; MAX_TERMS]; MAX_TERMS];
        let mut coefficients = [0.0; MAX_TERMS];
        for (i, lag) in lags.iter().enumerate() {
            for (j, other) in lags[..=i].iter().enumerate() {
                gram[i][j] = dot(lagged(*lag), lagged(*other));
            }
            gram[i][i] += RIDGE * rows;
            gram[constant][i] = lagged(*lag).iter().sum();
            coefficients[i] = dot(lagged(*lag), target);
        }
        // Hardly any penalty: enough to keep the matrix positive.
        gram[constant][constant] = rows * (1.0 + 1e-6 * RIDGE);
        coefficients[constant] = target.iter().sum();
        solve(&mut gram, &mut coefficients, constant + 1).then_some(Self { coefficients })
    }

    fn next(&self, path: &[f64], lags: &[usize]) -> f64 {
        let constant = self.coefficients[lags.len()];
        lags.iter().zip(self.coefficients).fold(constant, |sum, (lag, c)| sum + c * path[path.len() - lag])
    }
}

/// In eight lanes, so that it compiles to vector instructions.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a8, a_rest), (b8, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (x, y) in a8.iter().zip(b8) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f64>() + rest
}

/// Solves `gram x = b` in place by Cholesky's decomposition; only the lower triangle is read. False if the
/// matrix is not positive.
fn solve(gram: &mut [[f64; MAX_TERMS]; MAX_TERMS], b: &mut [f64; MAX_TERMS], terms: usize) -> bool {
    for i in 0..terms {
        for j in 0..=i {
            let sum = (0..j).fold(gram[i][j], |sum, k| sum - gram[i][k] * gram[j][k]);
            gram[i][j] = if i > j { sum / gram[j][j] } else { sum.sqrt() };
        }
        let positive = gram[i][i] > 0.0;
        if !positive {
            return false;
        }
        b[i] = (0..i).fold(b[i], |sum, k| sum - gram[i][k] * b[k]) / gram[i][i];
    }
    for i in (0..terms).rev() {
        b[i] = (i + 1..terms).fold(b[i], |sum, k| sum - gram[k][i] * b[k]) / gram[i][i];
    }
    true
}

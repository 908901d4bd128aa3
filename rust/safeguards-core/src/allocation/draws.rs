//! Random numbers as a function of *who and when*: no state, no order, the same on every platform.
//!
//! The n-th output of `SplitMix64` (Steele, Lea & Flood, "Fast splittable pseudorandom number generators",
//! 2014) is a hash of `key + n * GOLDEN`, so any draw can be computed on its own. The key mixes seed, trial
//! and step; n is the agent. Threads may therefore visit agents in any order and draw the same numbers.

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of `SplitMix64`: a bijection that flips half of the output bits for any input bit.
#[inline(always)]
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What a draw is for. Draws of different purposes never meet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Start = 1,
    Choice,
    Destination,
    Careless,
    Noise,
}

/// The random numbers of one trial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draws {
    key: u64,
}

impl Draws {
    pub(crate) const fn new(seed: u64, trial: u64) -> Self {
        Self { key: mix(mix(seed.wrapping_add(GOLDEN)).wrapping_add(trial.wrapping_mul(GOLDEN))) }
    }

    /// The numbers of the k-th of several strategies; those of the first are the trial's own.
    pub(crate) const fn part(self, k: u64) -> Self {
        if k == 0 { self } else { Self { key: mix(self.key.wrapping_add(k.wrapping_mul(GOLDEN))) } }
    }

    /// The numbers that all agents draw for one purpose at one step.
    pub(crate) const fn at(self, step: u32, purpose: Purpose) -> StepDraws {
        let when = ((step as u64) << 8) | purpose as u64;
        StepDraws { key: mix(self.key ^ mix(when.wrapping_mul(GOLDEN))) }
    }
}

/// The random numbers of one purpose and step: one per index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepDraws {
    key: u64,
}

impl StepDraws {
    #[inline(always)]
    pub(crate) const fn bits(self, index: usize) -> u64 {
        mix(self.key.wrapping_add((index as u64).wrapping_mul(GOLDEN)))
    }

    /// Uniform in [0, 1), 53 bits.
    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
    pub(crate) const fn uniform(self, index: usize) -> f64 {
        (self.bits(index) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Two independent uniforms in [0, 1), 32 bits each, for the price of one draw.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the upper and the lower half")]
    pub(crate) fn pair(self, index: usize) -> (f64, f64) {
        const UNIT: f64 = 1.0 / 4_294_967_296.0;
        let bits = self.bits(index);
        (f64::from((bits >> 32) as u32) * UNIT, f64::from(bits as u32) * UNIT)
    }

    /// One of `0..n` (n > 0), by multiply and shift.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "less than n")]
    pub(crate) const fn below(self, index: usize, n: usize) -> usize {
        ((self.bits(index) as u128 * n as u128) >> 64) as usize
    }

    /// Mean 0, variance 1: twelve uniforms less six (Irwin-Hall). Sums only, since logarithms and cosines
    /// differ between platforms in their last bit.
    pub(crate) fn normal(self, index: usize) -> f64 {
        (0..12).map(|k| self.uniform(index * 12 + k)).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: u32 = 100_000;

    #[test]
    fn known_answers_hold_on_every_platform() {
        let draws = Draws::new(7, 3).at(11, Purpose::Choice);
        let again = Draws::new(7, 3).at(11, Purpose::Choice);
        assert_eq!(draws.bits(5), again.bits(5));
        // SplitMix64's published first output for seed 0.
        assert_eq!(mix(GOLDEN), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn uniforms_fill_the_unit_interval_evenly() {
        let draws = Draws::new(1, 0).at(1, Purpose::Start);
        let sample: Vec<f64> = (0..N as usize).map(|i| draws.uniform(i)).collect();
        assert!(sample.iter().all(|u| (0.0..1.0).contains(u)));
        for tenth in 0..10 {
            let (low, high) = (f64::from(tenth) / 10.0, f64::from(tenth + 1) / 10.0);
            let count = sample.iter().filter(|&&u| low <= u && u < high).count();
            assert!(count.abs_diff(10_000) < 500, "{count} of {N} in the tenth {tenth}");
        }
    }

    #[test]
    fn seeds_trials_steps_and_purposes_do_not_repeat_each_other() {
        let of = |seed, trial, step, purpose| Draws::new(seed, trial).at(step, purpose).bits(0);
        let mut seen: Vec<u64> = vec![];
        for a in 0..20 {
            for b in 0..20 {
                for c in 0..20 {
                    seen.push(of(a, b, c, Purpose::Choice));
                    seen.push(of(a, b, c, Purpose::Destination));
                }
            }
        }
        let n = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), n);
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let draws = Draws::new(2, 0).at(1, Purpose::Noise);
        let (mut sum, mut squares) = (0.0, 0.0);
        for i in 0..N as usize {
            let z = draws.normal(i);
            sum += z;
            squares += z * z;
        }
        assert!((sum / f64::from(N)).abs() < 0.02);
        assert!((squares / f64::from(N) - 1.0).abs() < 0.03);
    }
}

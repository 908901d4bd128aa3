//! What somebody would have done who knew all demand beforehand: backward induction on a grid of budgets.

use rayon::prelude::*;

use super::{RlError, check_length, check_values};
use crate::workers::{Stop, on_threads};

/// A reward that is linear in what happened in an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rewards {
    /// For the share of the budget that was used.
    pub utilization: f64,
    /// If demand exceeded the budget.
    pub exhaustion: f64,
    /// For each task that was completed.
    pub task: f64,
    /// For each unit by which the budget changed.
    pub change: f64,
}

impl Rewards {
    /// Of one interval. `tasks` would be completed if all demand were met.
    #[inline]
    #[must_use]
    pub fn of(&self, demand: f64, tasks: f64, before: f64, budget: f64) -> f64 {
        let is_exhausted = demand > budget;
        let used = if is_exhausted { 1.0 } else { demand / budget };
        let met = if is_exhausted { budget / demand } else { 1.0 };
        self.utilization * used
            + if is_exhausted { self.exhaustion } else { 0.0 }
            + self.task * tasks * met
            + self.change * (budget - before).abs()
    }
}

/// The problem of one fleet: which budgets there are and how fast they may change.
#[derive(Clone, Debug)]
pub struct Clairvoyant {
    levels: Vec<f64>,
    /// For each level the first one, and the one after the last, that it may change to.
    reach: Vec<(usize, usize)>,
    rewards: Rewards,
}

impl Clairvoyant {
    /// `levels` are budgets above 0, rising; a budget changes by at most the share `max_change` at a time.
    pub fn new(levels: Vec<f64>, max_change: f64, rewards: Rewards) -> Result<Self, RlError> {
        let is_rising = levels.windows(2).all(|pair| pair[0] < pair[1]);
        if levels.is_empty() || !is_rising {
            return Err(RlError::Axis { axis: "levels" });
        }
        check_values("levels", "above 0 and finite", &levels, |level| level > 0.0 && level.is_finite())?;
        check_values("max_change", "from 0 to 1", &[max_change], |share| (0.0..=1.0).contains(&share))?;
        let slack = 1e-9;
        let reach = levels
            .iter()
            .map(|level| {
                let least = level * (1.0 - max_change - slack);
                let most = level * (1.0 + max_change + slack);
                (levels.partition_point(|&l| l < least), levels.partition_point(|&l| l <= most))
            })
            .collect();
        Ok(Self { levels, reach, rewards })
    }

    /// The best budgets for each agent, by agent and step.
    ///
    /// `demand` and `tasks` are by agent and step, agents in rows; `start` is each agent's budget before the first
    /// step, of which the nearest level is taken.
    pub fn solve(
        &self,
        demand: &[f64],
        tasks: &[f64],
        start: &[f64],
        stop: &Stop,
    ) -> Result<Vec<f64>, RlError> {
        if start.is_empty() {
            return check_length("demand", 0, demand.len()).map(|()| Vec::new());
        }
        let steps = demand.len() / start.len();
        check_length("demand", steps * start.len(), demand.len())?;
        check_length("tasks", demand.len(), tasks.len())?;
        let is_amount = |value: f64| value >= 0.0 && value.is_finite();
        check_values("demand", "at least 0 and finite", demand, is_amount)?;
        check_values("tasks", "at least 0 and finite", tasks, is_amount)?;
        check_values("start", "above 0 and finite", start, |value| value > 0.0 && value.is_finite())?;
        if steps == 0 {
            return Ok(Vec::new());
        }
        let agents = demand.par_chunks(steps).zip(tasks.par_chunks(steps)).zip(start);
        let path =
            |((demand, tasks), &start): ((&[f64], &[f64]), &f64)| self.path(demand, tasks, start, stop);
        let run = || agents.map(path).collect::<Result<Vec<Vec<f64>>, _>>();
        on_threads(start.len(), run).map_err(|_| RlError::Threads)?.map(|paths| paths.concat())
    }

    fn path(&self, demand: &[f64], tasks: &[f64], start: f64, stop: &Stop) -> Result<Vec<f64>, RlError> {
        let n = self.levels.len();
        let mut value = vec![0.0; n];
        let mut choices = vec![0_u32; demand.len() * n];
        for (step, choice) in choices.chunks_mut(n).enumerate().rev() {
            if stop.is_asked() {
                return Err(RlError::Interrupted);
            }
            let gain: Vec<f64> = self
                .levels
                .iter()
                .zip(&value)
                .map(|(&level, follows)| self.rewards.of(demand[step], tasks[step], level, level) + follows)
                .collect();
            for from in 0..n {
                let (best, worth) = self.best_change(from, &gain);
                choice[from] = u32::try_from(best).expect("levels are few");
                value[from] = worth;
            }
        }
        let mut at = self.nearest(start);
        let follow = |choice: &[u32]| {
            at = choice[at] as usize;
            self.levels[at]
        };
        Ok(choices.chunks(n).map(follow).collect())
    }

    fn best_change(&self, from: usize, gain: &[f64]) -> (usize, f64) {
        let (first, end) = self.reach[from];
        let mut best = (from, gain[from]);
        for (to, gain) in gain.iter().enumerate().take(end).skip(first) {
            let worth = gain + self.rewards.change * (self.levels[to] - self.levels[from]).abs();
            if worth > best.1 {
                best = (to, worth);
            }
        }
        best
    }

    fn nearest(&self, budget: f64) -> usize {
        let ratio = |level: f64| (level / budget).ln().abs();
        (0..self.levels.len())
            .min_by(|&a, &b| ratio(self.levels[a]).total_cmp(&ratio(self.levels[b])))
            .expect("there is a level")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GUIDE: Rewards = Rewards { utilization: 50.0, exhaustion: -100.0, task: 10.0, change: -0.1 };

    fn total(rewards: Rewards, demand: &[f64], tasks: &[f64], start: f64, path: &[f64]) -> f64 {
        let before = std::iter::once(&start).chain(path);
        let steps = demand.iter().zip(tasks).zip(before.zip(path));
        steps.map(|((&d, &t), (&before, &budget))| rewards.of(d, t, before, budget)).sum()
    }

    /// The best total of all paths, one by one.
    fn exhaustive(
        rewards: Rewards,
        levels: &[f64],
        max_change: f64,
        demand: &[f64],
        tasks: &[f64],
        from: f64,
    ) -> f64 {
        let Some((&first, later)) = demand.split_first() else { return 0.0 };
        levels
            .iter()
            .filter(|&&to| (to / from - 1.0).abs() <= max_change + 1e-9)
            .map(|&to| {
                rewards.of(first, tasks[0], from, to)
                    + exhaustive(rewards, levels, max_change, later, &tasks[1..], to)
            })
            .fold(f64::NEG_INFINITY, f64::max)
    }

    proptest! {
        #[test]
        fn no_path_is_better(
            demand in prop::collection::vec(prop_oneof![Just(0.0), 0.1..8.0_f64], 1..6),
            start in 0..5_usize,
            max_change in 0.0..1.0_f64,
            change in -2.0..0.0_f64,
        ) {
            let levels = vec![0.5, 0.8, 1.3, 2.0, 4.0];
            let rewards = Rewards { change, ..GUIDE };
            let from = levels[start];
            let tasks: Vec<f64> = demand.iter().map(|d| d * 2.0).collect();
            let solver = Clairvoyant::new(levels.clone(), max_change, rewards).unwrap();
            let path = solver.solve(&demand, &tasks, &[from], &Stop::default()).unwrap();
            let reached = total(rewards, &demand, &tasks, from, &path);
            let best = exhaustive(rewards, &levels, max_change, &demand, &tasks, from);
            prop_assert!((reached - best).abs() < 1e-9, "{reached} of {best}");
            for (before, after) in std::iter::once(&from).chain(&path).zip(&path) {
                prop_assert!((after / before - 1.0).abs() <= max_change + 1e-6);
            }
        }
    }

    #[test]
    fn the_guides_reward() {
        for (demand, tasks, budget, expected) in [
            (3.0, 3.0, 6.0, 25.0 + 30.0 - 0.2),
            (8.0, 8.0, 4.0, -10.0),
            (4.0, 1.0, 4.0, 60.0),
            (0.0, 0.0, 4.0, 0.0),
        ] {
            assert!((GUIDE.of(demand, tasks, 4.0, budget) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn agents_are_solved_each_on_their_own() {
        let solver = Clairvoyant::new(vec![1.0, 1.25, 1.6, 2.0], 0.3, GUIDE).unwrap();
        let (one, two) = ([1.0, 2.0, 1.5], [0.0, 1.9, 1.2]);
        let both =
            solver.solve(&[one, two].concat(), &[one, two].concat(), &[1.0, 2.0], &Stop::default()).unwrap();
        let first = solver.solve(&one, &one, &[1.0], &Stop::default()).unwrap();
        let second = solver.solve(&two, &two, &[2.0], &Stop::default()).unwrap();
        assert_eq!(both, [first, second].concat());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (levels, change) in [
            (vec![], 0.3),
            (vec![1.0, 1.0], 0.3),
            (vec![0.0, 1.0], 0.3),
            (vec![1.0, f64::INFINITY], 0.3),
            (vec![1.0], 1.5),
            (vec![1.0], f64::NAN),
        ] {
            assert!(Clairvoyant::new(levels, change, GUIDE).is_err());
        }
        let solver = Clairvoyant::new(vec![1.0, 2.0], 0.5, GUIDE).unwrap();
        assert!(solver.solve(&[1.0, 2.0, 3.0], &[1.0; 3], &[1.0, 1.0], &Stop::default()).is_err());
        assert!(solver.solve(&[-1.0], &[1.0], &[1.0], &Stop::default()).is_err());
        assert!(solver.solve(&[1.0], &[f64::NAN], &[1.0], &Stop::default()).is_err());
        assert!(solver.solve(&[1.0], &[1.0], &[0.0], &Stop::default()).is_err());
        assert_eq!(solver.solve(&[], &[], &[1.0], &Stop::default()), Ok(vec![]));
        assert_eq!(solver.solve(&[], &[], &[], &Stop::default()), Ok(vec![]));
    }
}

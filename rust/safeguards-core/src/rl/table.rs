//! The value of each action in each situation.

use super::axis::Axis;
use super::{RlError, check_length, check_values};

/// Cells of a table, at most.
pub const MAX_CELLS: usize = 100_000;

/// Actions of a table, at most.
pub const MAX_ACTIONS: usize = 101;

/// Where an agent is: a class, and a place on each of two axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Situation {
    /// Which table of the stack.
    pub class: usize,
    /// Place on the first axis.
    pub share: f64,
    /// Place on the second axis.
    pub budget: f64,
}

/// What happened to one agent in one interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Where it was.
    pub from: Situation,
    /// What was done, by its number.
    pub action: usize,
    /// What that was worth.
    pub reward: f64,
    /// Where it was next.
    pub to: Situation,
}

/// Values by class, share, budget and action. Between the nodes they are interpolated, so that iteration cannot
/// diverge (Gordon, "Stable Function Approximation in Dynamic Programming", ICML 1995).
#[derive(Clone, Debug, PartialEq)]
pub struct QTable {
    pub(super) grid: Grid,
    pub(super) actions: usize,
    /// By cell, then action.
    pub(super) values: Vec<f64>,
}

/// The cells of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) classes: usize,
    pub(super) shares: Axis,
    pub(super) budgets: Axis,
}

impl Grid {
    pub(super) fn cells(&self) -> usize {
        self.classes.saturating_mul(self.shares.nodes().len()).saturating_mul(self.budgets.nodes().len())
    }

    /// The four cells around a situation, with weights that add up to 1.
    #[inline]
    pub(super) fn corners(&self, situation: Situation) -> [(usize, f64); 4] {
        self.corners_at(
            situation.class,
            self.shares.place(situation.share),
            self.budgets.place(situation.budget),
        )
    }

    /// As [`corners`](Self::corners), of a class and places on both axes.
    #[inline]
    pub(super) fn corners_at(
        &self,
        class: usize,
        (row, up): (usize, f64),
        (column, right): (usize, f64),
    ) -> [(usize, f64); 4] {
        let width = self.budgets.nodes().len();
        let first = (class * self.shares.nodes().len() + row) * width + column;
        [
            (first, (1.0 - up) * (1.0 - right)),
            (first + 1, (1.0 - up) * right),
            (first + width, up * (1.0 - right)),
            (first + width + 1, up * right),
        ]
    }

    pub(super) fn check(&self, name: &'static str, situations: &[Situation]) -> Result<(), RlError> {
        for (index, at) in situations.iter().enumerate() {
            let (value, allowed) = if at.class >= self.classes {
                #[expect(clippy::cast_precision_loss, reason = "for people to read")]
                (at.class as f64, "of a class of the table")
            } else if at.share.is_finite() {
                (at.budget, "finite")
            } else {
                (at.share, "finite")
            };
            if at.class >= self.classes || !value.is_finite() {
                return Err(RlError::Value { name, allowed, index, value });
            }
        }
        Ok(())
    }
}

impl QTable {
    /// A table of zeros.
    pub fn new(classes: usize, shares: Axis, budgets: Axis, actions: usize) -> Result<Self, RlError> {
        let grid = Grid { classes, shares, budgets };
        let cells = grid.cells();
        if cells == 0 || cells > MAX_CELLS || actions == 0 || actions > MAX_ACTIONS {
            return Err(RlError::Size { cells, actions });
        }
        Ok(Self { grid, actions, values: vec![0.0; cells * actions] })
    }

    /// The same table with these values, by class, share, budget and action.
    pub fn with_values(mut self, values: Vec<f64>) -> Result<Self, RlError> {
        check_length("values", self.values.len(), values.len())?;
        check_values("values", "finite", &values, f64::is_finite)?;
        self.values = values;
        Ok(self)
    }

    /// Values by class, share, budget and action.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Length of each axis: classes, shares, budgets, actions.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        [self.grid.classes, self.grid.shares.nodes().len(), self.grid.budgets.nodes().len(), self.actions]
    }

    /// What an action is worth in a situation.
    #[inline]
    #[must_use]
    pub fn value(&self, at: Situation, action: usize) -> f64 {
        self.grid
            .corners(at)
            .iter()
            .map(|(cell, weight)| weight * self.values[cell * self.actions + action])
            .sum()
    }

    /// The best action in each situation. Of equal ones the one nearest to the middle: the smallest change.
    pub fn best(&self, situations: &[Situation]) -> Result<Vec<usize>, RlError> {
        self.grid.check("situations", situations)?;
        Ok(situations.iter().map(|&at| self.best_at(at).0).collect())
    }

    /// Learns from single steps, one after the other (Watkins & Dayan, "Q-learning", 1992).
    ///
    /// Each step moves the cells around its situation towards its reward and what follows, by `learning_rate`
    /// times their weight.
    pub fn update(&mut self, steps: &[Step], learning_rate: f64, discount: f64) -> Result<(), RlError> {
        let check = |at: &dyn Fn(&Step) -> Situation, name| {
            self.grid.check(name, &steps.iter().map(at).collect::<Vec<_>>())
        };
        check(&|step| step.from, "from")?;
        check(&|step| step.to, "to")?;
        let rewards: Vec<f64> = steps.iter().map(|step| step.reward).collect();
        check_values("rewards", "finite", &rewards, f64::is_finite)?;
        #[expect(clippy::cast_precision_loss, reason = "for people to read")]
        let numbers: Vec<f64> = steps.iter().map(|step| step.action as f64).collect();
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_ACTIONS")]
        let end = self.actions as f64;
        check_values("actions", "an action of the table", &numbers, |number| number < end)?;
        for step in steps {
            let wanted = step.reward + discount * self.best_at(step.to).1;
            let error = wanted - self.value(step.from, step.action);
            for (cell, weight) in self.grid.corners(step.from) {
                self.values[cell * self.actions + step.action] += learning_rate * weight * error;
            }
        }
        Ok(())
    }

    fn best_at(&self, at: Situation) -> (usize, f64) {
        let middle = self.actions / 2;
        let from_the_middle = (0..self.actions).map(|step| {
            let away = step.div_ceil(2);
            if step % 2 == 1 { middle.wrapping_sub(away) } else { middle + away }
        });
        let mut best = (middle, self.value(at, middle));
        for action in from_the_middle.skip(1).filter(|&action| action < self.actions) {
            let value = self.value(at, action);
            if value > best.1 {
                best = (action, value);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(classes: usize, actions: usize) -> QTable {
        let shares = Axis::new("shares", vec![0.0, 1.0, 3.0]).unwrap();
        let budgets = Axis::new("budgets", vec![-2.0, 0.0, 1.0, 2.0]).unwrap();
        QTable::new(classes, shares, budgets, actions).unwrap()
    }

    fn at(class: usize, share: f64, budget: f64) -> Situation {
        Situation { class, share, budget }
    }

    proptest! {
        #[test]
        fn corners_weigh_one_and_reproduce_a_plane(class in 0..2_usize, share in 0.0..3.0, budget in -2.0..2.0) {
            let table = table(2, 1);
            let mut values = Vec::new();
            for class in [0.0, 1.0] {
                for share in table.grid.shares.nodes() {
                    values.extend(table.grid.budgets.nodes().iter().map(|b| 10.0 * class + 2.0 * share - b));
                }
            }
            let table = table.with_values(values).unwrap();
            let total: f64 = table.grid.corners(at(class, share, budget)).iter().map(|c| c.1).sum();
            prop_assert!((total - 1.0).abs() < 1e-12);
            #[expect(clippy::cast_precision_loss)]
            let plane = 10.0 * class as f64 + 2.0 * share - budget;
            prop_assert!((table.value(at(class, share, budget), 0) - plane).abs() < 1e-9);
        }

        #[test]
        fn the_best_is_no_worse_than_any(values in prop::collection::vec(-5..5_i32, 60), share in -1.0..4.0, budget in -3.0..3.0) {
            let table = table(1, 5).with_values(values.into_iter().map(f64::from).collect()).unwrap();
            let here = at(0, share, budget);
            let best = table.best(&[here]).unwrap()[0];
            for action in 0..5 {
                prop_assert!(table.value(here, best) >= table.value(here, action));
            }
        }
    }

    #[test]
    fn of_equal_actions_the_smallest_change_is_best() {
        assert_eq!(table(1, 5).best(&[at(0, 0.5, 0.5)]).unwrap(), [2]);
        assert_eq!(table(1, 1).best(&[at(0, 0.5, 0.5)]).unwrap(), [0]);
        let mut tied = table(1, 5);
        for cell in tied.values.chunks_mut(5) {
            cell.copy_from_slice(&[1.0, 1.0, 0.0, 0.0, 1.0]);
        }
        assert_eq!(tied.best(&[at(0, 0.5, 0.5)]).unwrap(), [1]);
    }

    #[test]
    fn a_step_moves_its_corners_towards_what_came_of_it() {
        let mut table = table(2, 3);
        table.values[(12 + 4) * 3 + 2] = 10.0; // class 1, share 1, budget -2
        let step = Step { from: at(0, 0.0, 0.5), action: 1, reward: 4.0, to: at(1, 1.0, -2.0) };
        table.update(&[step], 0.1, 0.5).unwrap();
        // wanted 4 + 0.5 * 10 = 9, known 0; both corners weigh a half
        let moved: Vec<(usize, f64)> =
            table.values.iter().copied().enumerate().filter(|v| v.1 != 0.0).collect();
        assert_eq!(moved, [(3 + 1, 0.45), (6 + 1, 0.45), (50, 10.0)]);
    }

    #[test]
    fn steps_repeated_converge_to_the_value_of_staying() {
        let mut table = table(1, 1);
        let here = at(0, 1.0, 0.0);
        let step = Step { from: here, action: 0, reward: 3.0, to: here };
        table.update(&vec![step; 4000], 0.05, 0.5).unwrap();
        assert!((table.value(here, 0) - 6.0).abs() < 1e-9);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_changes_nothing() {
        let mut table = table(1, 3);
        let good = Step { from: at(0, 0.0, 0.0), action: 1, reward: 1.0, to: at(0, 0.0, 0.0) };
        let bad = [
            Step { from: at(1, 0.0, 0.0), ..good },
            Step { to: at(0, f64::NAN, 0.0), ..good },
            Step { to: at(0, 0.0, f64::INFINITY), ..good },
            Step { reward: f64::NAN, ..good },
            Step { action: 3, ..good },
        ];
        for step in bad {
            assert!(matches!(table.update(&[good, step], 0.5, 0.5), Err(RlError::Value { index: 1, .. })));
        }
        assert!(table.values.iter().all(|&value| value == 0.0));
        assert!(table.clone().with_values(vec![0.0; 35]).is_err());
        assert!(table.clone().with_values(vec![f64::NAN; 36]).is_err());
        let axis = || Axis::new("axis", vec![0.0, 1.0]).unwrap();
        for (classes, actions) in [(0, 3), (1, 0), (usize::MAX, 1), (1, 102)] {
            assert!(matches!(QTable::new(classes, axis(), axis(), actions), Err(RlError::Size { .. })));
        }
    }
}

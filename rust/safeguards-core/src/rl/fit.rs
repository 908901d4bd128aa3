//! Fitted Q-iteration (Ernst, Geurts & Wehenkel, "Tree-Based Batch Mode Reinforcement Learning", 2005).
//!
//! Interpolation makes the fit of every sweep the same weighted mean of the same transitions. So the transitions
//! are summed once into a small model, how much each action in each cell is worth and where it leads, and the
//! sweeps run on the model: their price does not depend on how much history there is.

use rayon::prelude::*;

use super::table::{Grid, QTable, Situation};
use super::{RlError, check_length, check_values};
use crate::workers::{Stop, on_threads};

/// Iteration ends when no value moves by more than this share of the largest reward.
const TOLERANCE: f64 = 1e-4;

/// What every action does in n situations.
#[derive(Clone, Copy, Debug)]
pub struct Transitions<'a> {
    /// The situations.
    pub from: &'a [Situation],
    /// Rewards, by situation, then action.
    pub rewards: &'a [f64],
    /// Class and share of the situation that follows: these do not depend on the action.
    pub to: &'a [(usize, f64)],
    /// Place on the budget axis that follows, by situation, then action.
    pub to_budgets: &'a [f64],
}

/// Where points lead: places on the axes, of shares by point, of budgets by point, then action.
struct Ends {
    shares: Vec<(usize, f64)>,
    budgets: Vec<(usize, f64)>,
}

/// The transitions that begin around one cell, summed.
#[derive(Clone, Debug, Default)]
struct Row {
    /// Mean reward of each action.
    rewards: Vec<f64>,
    /// Where each action leads: cells and their probabilities.
    next: Vec<Vec<(u32, f64)>>,
}

impl Row {
    /// The values of one cell after a sweep. Returns the largest change.
    fn renew(&self, values: &mut [f64], best: &[f64], discount: f64) -> f64 {
        let mut change = 0.0_f64;
        for ((reward, next), value) in self.rewards.iter().zip(&self.next).zip(values) {
            let follows: f64 = next.iter().map(|&(cell, share)| share * best[cell as usize]).sum();
            let new = reward + discount * follows;
            change = change.max((new - *value).abs());
            *value = new;
        }
        change
    }
}

impl QTable {
    /// Learns from transitions, by `sweeps` of iteration or fewer if nothing changes any more. What it knew before
    /// is forgotten; of a call that fails or is stopped nothing stays. Returns the number of sweeps.
    ///
    /// A cell without transitions has the values of the next cell on the budget axis that has some, or else on the
    /// share axis, or else of any class.
    pub fn fit(
        &mut self,
        transitions: &Transitions<'_>,
        discount: f64,
        sweeps: usize,
        stop: &Stop,
    ) -> Result<usize, RlError> {
        self.check_transitions(transitions, discount)?;
        let mut fitted = self.clone();
        fitted.values.fill(0.0);
        let learn = || fitted.iterate(transitions, discount, sweeps, stop);
        let done = on_threads(0, learn).map_err(|_| RlError::Threads)??;
        *self = fitted;
        Ok(done)
    }

    fn iterate(
        &mut self,
        transitions: &Transitions<'_>,
        discount: f64,
        sweeps: usize,
        stop: &Stop,
    ) -> Result<usize, RlError> {
        let rows = self.rows(transitions, stop);
        let known: Vec<bool> = rows.iter().map(|row| !row.rewards.is_empty()).collect();
        if stop.is_asked() {
            return Err(RlError::Interrupted);
        }
        let Some(stand_ins) = stand_ins(&self.grid, &known) else { return Ok(0) };
        let largest = transitions.rewards.iter().fold(0.0_f64, |most, reward| most.max(reward.abs()));
        let mut done = 0;
        let mut is_moving = true;
        while done < sweeps && is_moving && !stop.is_asked() {
            is_moving = self.sweep(&rows, &stand_ins, discount) > TOLERANCE * largest;
            done += 1;
        }
        if stop.is_asked() { Err(RlError::Interrupted) } else { Ok(done) }
    }

    fn check_transitions(&self, transitions: &Transitions<'_>, discount: f64) -> Result<(), RlError> {
        let points = transitions.from.len();
        check_length("rewards", points * self.actions, transitions.rewards.len())?;
        check_length("to", points, transitions.to.len())?;
        check_length("to_budgets", points * self.actions, transitions.to_budgets.len())?;
        self.grid.check("from", transitions.from)?;
        let to: Vec<Situation> =
            transitions.to.iter().map(|&(class, share)| Situation { class, share, budget: 0.0 }).collect();
        self.grid.check("to", &to)?;
        check_values("rewards", "finite", transitions.rewards, f64::is_finite)?;
        check_values("to_budgets", "finite", transitions.to_budgets, f64::is_finite)?;
        check_values("discount", "from 0 to below 1", &[discount], |discount| (0.0..1.0).contains(&discount))
    }

    fn rows(&self, transitions: &Transitions<'_>, stop: &Stop) -> Vec<Row> {
        let mut touching: Vec<Vec<(u32, f64)>> = vec![Vec::new(); self.grid.cells()];
        for (point, &from) in transitions.from.iter().enumerate() {
            for (cell, weight) in self.grid.corners(from) {
                if weight > 0.0 {
                    touching[cell].push((index(point), weight));
                }
            }
        }
        // Each point lies in four cells: where it leads is looked up once.
        let shares = transitions.to.iter().map(|&(_, share)| self.grid.shares.place(share)).collect();
        let budgets =
            transitions.to_budgets.par_iter().map(|&budget| self.grid.budgets.place(budget)).collect();
        let ends = Ends { shares, budgets };
        let scratch = || vec![0.0; self.grid.cells()];
        let row = |sums: &mut Vec<f64>, points: Vec<_>| {
            if stop.is_asked() { Row::default() } else { self.row(transitions, &ends, &points, sums) }
        };
        touching.into_par_iter().map_init(scratch, row).collect()
    }

    /// Sums what begins around one cell. `sums` is zero for every cell, before and after.
    fn row(
        &self,
        transitions: &Transitions<'_>,
        ends: &Ends,
        points: &[(u32, f64)],
        sums: &mut [f64],
    ) -> Row {
        let total: f64 = points.iter().map(|(_, weight)| weight).sum();
        if total <= 0.0 {
            return Row::default();
        }
        let mut row = Row::default();
        for action in 0..self.actions {
            let mut reward = 0.0;
            let mut touched = Vec::new();
            for &(point, weight) in points {
                let point = point as usize;
                let place = point * self.actions + action;
                reward += weight * transitions.rewards[place];
                let class = transitions.to[point].0;
                let corners = self.grid.corners_at(class, ends.shares[point], ends.budgets[place]);
                for (cell, part) in corners.into_iter().filter(|corner| corner.1 > 0.0) {
                    if sums[cell] == 0.0 {
                        touched.push(index(cell));
                    }
                    sums[cell] += weight * part;
                }
            }
            row.rewards.push(reward / total);
            let next = touched.iter().map(|&cell| (cell, std::mem::take(&mut sums[cell as usize]) / total));
            row.next.push(next.collect());
        }
        row
    }

    /// One sweep over all cells. Returns the largest change of a value.
    fn sweep(&mut self, rows: &[Row], stand_ins: &[usize], discount: f64) -> f64 {
        let best_of = |cell: &[f64]| cell.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let best: Vec<f64> = self.values.chunks(self.actions).map(best_of).collect();
        let pairs = rows.par_iter().zip(self.values.par_chunks_mut(self.actions));
        let change = pairs.map(|(row, values)| row.renew(values, &best, discount)).reduce(|| 0.0, f64::max);
        for (cell, &stand_in) in stand_ins.iter().enumerate().filter(|(cell, stand_in)| cell != *stand_in) {
            let from = stand_in * self.actions;
            self.values.copy_within(from..from + self.actions, cell * self.actions);
        }
        change
    }
}

/// For each cell the one whose values it has: itself if it is known. `None` if none is known.
fn stand_ins(grid: &Grid, known: &[bool]) -> Option<Vec<usize>> {
    let (height, width) = (grid.shares.nodes().len(), grid.budgets.nodes().len());
    let anywhere = known.iter().position(|&is_known| is_known)?;
    let find = |cell: usize| {
        let (class, row, column) = (cell / width / height, cell / width % height, cell % width);
        let at = |class: usize, row: usize, column: usize| (class * height + row) * width + column;
        let in_row = |class, row| {
            nearest(width, column, |column| known[at(class, row, column)]).map(|c| at(class, row, c))
        };
        let in_class = |class| {
            in_row(class, row).or_else(|| {
                nearest(height, row, |row| in_row(class, row).is_some()).and_then(|row| in_row(class, row))
            })
        };
        in_class(class).or_else(|| (0..grid.classes).find_map(in_class)).unwrap_or(anywhere)
    };
    Some((0..known.len()).map(find).collect())
}

/// The place nearest to `from` that is wanted; of two, the lower.
fn nearest(length: usize, from: usize, is_wanted: impl Fn(usize) -> bool) -> Option<usize> {
    (0..length).filter(|&place| is_wanted(place)).min_by_key(|place| place.abs_diff(from))
}

fn index(place: usize) -> u32 {
    u32::try_from(place).expect("histories of more than 2^32 transitions do not fit into memory")
}

#[cfg(test)]
mod tests {
    use super::super::axis::Axis;
    use super::*;
    use proptest::prelude::*;

    const PLACES: [f64; 4] = [0.0, 1.0, 2.0, 3.0];

    type Point = (usize, f64, f64, f64, f64, usize, f64);

    fn table(classes: usize, actions: usize) -> QTable {
        let shares = Axis::new("shares", vec![0.0, 1.0]).unwrap();
        QTable::new(classes, shares, Axis::new("budgets", PLACES.to_vec()).unwrap(), actions).unwrap()
    }

    /// Where left, stay and right lead on a chain of four places.
    fn neighbours(place: usize) -> [usize; 3] {
        [place.saturating_sub(1), place, (place + 1).min(3)]
    }

    /// What [`Transitions`] borrows.
    #[derive(Default)]
    struct Chain {
        from: Vec<Situation>,
        rewards: Vec<f64>,
        to: Vec<(usize, f64)>,
        to_budgets: Vec<f64>,
    }

    impl Chain {
        fn new(rewards: [f64; 4]) -> Self {
            let mut chain = Self::default();
            for share in [0.0, 1.0] {
                for (place, budget) in PLACES.into_iter().enumerate() {
                    chain.from.push(Situation { class: 0, share, budget });
                    chain.to.push((0, share));
                    chain.rewards.extend(neighbours(place).map(|next| rewards[next]));
                    chain.to_budgets.extend(neighbours(place).map(|next| PLACES[next]));
                }
            }
            chain
        }

        fn transitions(&self) -> Transitions<'_> {
            let Self { from, rewards, to, to_budgets } = self;
            Transitions { from, rewards, to, to_budgets }
        }
    }

    /// Value iteration on the same chain, written down as in a textbook.
    fn textbook(rewards: [f64; 4], discount: f64) -> [[f64; 3]; 4] {
        let mut values = [[0.0; 3]; 4];
        for _ in 0..2000 {
            let best = values.map(|values| values.into_iter().fold(f64::NEG_INFINITY, f64::max));
            values =
                [0, 1, 2, 3].map(|place| neighbours(place).map(|next| rewards[next] + discount * best[next]));
        }
        values
    }

    proptest! {
        #[test]
        fn on_the_nodes_it_is_value_iteration(rewards in prop::array::uniform4(-10.0..10.0), discount in 0.0..0.95) {
            let mut table = table(1, 3);
            table.fit(&Chain::new(rewards).transitions(), discount, 10_000, &Stop::default()).unwrap();
            for (budget, expected) in PLACES.into_iter().zip(textbook(rewards, discount)) {
                for (action, value) in expected.iter().enumerate() {
                    let at = Situation { class: 0, share: 0.5, budget };
                    prop_assert!((table.value(at, action) - value).abs() < 0.03);
                }
            }
        }

        #[test]
        fn sweeps_are_those_of_the_plain_definition(
            points in prop::collection::vec((0..2_usize, -0.5..1.5, -1.0..4.0, -5.0..5.0, -1.0..4.0, 0..2_usize, 0.0..1.0), 1..30),
            sweeps in 1..6_usize,
        ) {
            let from: Vec<_> = points.iter().map(|p: &Point| Situation { class: p.0, share: p.1, budget: p.2 }).collect();
            let rewards: Vec<_> = points.iter().flat_map(|p| [p.3, -p.3]).collect();
            let to: Vec<_> = points.iter().map(|p| (p.5, p.6)).collect();
            let budgets: Vec<_> = points.iter().flat_map(|p| [p.4, p.4 + 1.0]).collect();
            let mut fitted = table(2, 2);
            let transitions = Transitions { from: &from, rewards: &rewards, to: &to, to_budgets: &budgets };
            let done = fitted.fit(&transitions, 0.8, sweeps, &Stop::default()).unwrap();
            let mut plain = table(2, 2);
            for _ in 0..done {
                plain = plain_sweep(&plain, &transitions, 0.8);
            }
            let weights = weights(&plain, &from);
            for (cell, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
                for action in 0..2 {
                    let (a, b) = (fitted.values[cell * 2 + action], plain.values[cell * 2 + action]);
                    prop_assert!((a - b).abs() < 1e-6, "cell {cell} of weight {weight}: {a} and {b}");
                }
            }
        }
    }

    fn weights(table: &QTable, from: &[Situation]) -> Vec<f64> {
        let mut weights = vec![0.0; table.grid.cells()];
        for &at in from {
            for (cell, weight) in table.grid.corners(at) {
                weights[cell] += weight;
            }
        }
        weights
    }

    /// Each cell's value becomes the weighted mean of the targets of the points around it.
    fn plain_sweep(table: &QTable, transitions: &Transitions<'_>, discount: f64) -> QTable {
        let mut next = table.clone();
        let totals = weights(table, transitions.from);
        next.values.fill(0.0);
        for (point, &from) in transitions.from.iter().enumerate() {
            for action in 0..table.actions {
                let (class, share) = transitions.to[point];
                let budget = transitions.to_budgets[point * table.actions + action];
                let follows: f64 = table
                    .grid
                    .corners(Situation { class, share, budget })
                    .iter()
                    .map(|(cell, weight)| {
                        let values = &table.values[cell * table.actions..(cell + 1) * table.actions];
                        weight * values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
                    })
                    .sum();
                let target = transitions.rewards[point * table.actions + action] + discount * follows;
                for (cell, weight) in table.grid.corners(from) {
                    if totals[cell] > 0.0 {
                        next.values[cell * table.actions + action] += weight * target / totals[cell];
                    }
                }
            }
        }
        let known: Vec<bool> = totals.iter().map(|&total| total > 0.0).collect();
        for (cell, stand_in) in stand_ins(&table.grid, &known).unwrap().into_iter().enumerate() {
            for action in 0..table.actions {
                next.values[cell * table.actions + action] = next.values[stand_in * table.actions + action];
            }
        }
        next
    }

    #[test]
    fn it_walks_to_the_reward() {
        let chain = Chain::new([0.0, -1.0, 0.0, 10.0]);
        let transitions = chain.transitions();
        let mut table = table(1, 3);
        assert!(
            table.fit(&transitions, 0.9, 1000, &Stop::default()).unwrap() < 300,
            "it stops when nothing moves"
        );
        let places: Vec<_> =
            PLACES.into_iter().map(|budget| Situation { class: 0, share: 0.0, budget }).collect();
        assert_eq!(table.best(&places).unwrap(), [2, 2, 2, 1]);
        table.fit(&transitions, 0.0, 1000, &Stop::default()).unwrap();
        assert_eq!(table.best(&places[..2]).unwrap(), [1, 0], "nobody looks ahead: away from the -1");
    }

    #[test]
    fn cells_that_were_never_seen_do_as_their_neighbours() {
        let from = [Situation { class: 1, share: 0.0, budget: 1.0 }];
        let transitions =
            Transitions { from: &from, rewards: &[1.0, 2.0, 3.0], to: &[(1, 0.0)], to_budgets: &[1.0; 3] };
        let mut table = table(2, 3);
        table.fit(&transitions, 0.5, 1000, &Stop::default()).unwrap();
        for class in 0..2 {
            for share in [0.0, 1.0] {
                for budget in PLACES {
                    assert!((table.value(Situation { class, share, budget }, 2) - 6.0).abs() < 1e-3);
                }
            }
        }
    }

    #[test]
    fn nothing_to_learn_from_leaves_zeros() {
        let mut table = table(1, 2).with_values(vec![1.0; 16]).unwrap();
        let none = Transitions { from: &[], rewards: &[], to: &[], to_budgets: &[] };
        assert_eq!(table.fit(&none, 0.9, 10, &Stop::default()), Ok(0));
        assert!(table.values.iter().all(|&value| value == 0.0));
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_forgets_nothing() {
        let mut table = table(1, 1).with_values(vec![1.0; 8]).unwrap();
        let from = [Situation { class: 0, share: 0.0, budget: 0.0 }];
        let good = Transitions { from: &from, rewards: &[1.0], to: &[(0, 0.0)], to_budgets: &[0.0] };
        let wrong = [Situation { class: 7, share: 0.0, budget: 0.0 }];
        let bad = [
            (Transitions { from: &wrong, ..good }, 0.9),
            (Transitions { rewards: &[f64::NAN], ..good }, 0.9),
            (Transitions { rewards: &[], ..good }, 0.9),
            (Transitions { to: &[(9, 0.0)], ..good }, 0.9),
            (Transitions { to: &[(0, f64::NAN)], ..good }, 0.9),
            (Transitions { to_budgets: &[f64::INFINITY], ..good }, 0.9),
            (good, 1.0),
            (good, f64::NAN),
        ];
        for (transitions, discount) in bad {
            assert!(table.fit(&transitions, discount, 10, &Stop::default()).is_err());
        }
        assert_eq!(table.values, [1.0; 8]);
    }
}

//! What every agent may read: the capacities published so far, the last loads, and a forecast of the next.

use super::capacity::pairwise_sum;

/// Weight that the forecaster's record keeps from one step to the next: it looks back about ten steps.
const MEMORY: f64 = 0.9;

/// The public information at one step. A step is opened with `begin` and `publish` and closed with `close`.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    step: u32,
    /// Capacities of this step and of the three before it, newest first.
    capacities: [Vec<f64>; 4],
    forecast: Vec<f64>,
    /// Discounted squared errors of persistence and of linear extrapolation.
    errors: [f64; 2],
    loads: Vec<i64>,
    overloaded: Vec<bool>,
}

impl Board {
    pub(crate) fn new(resources: usize) -> Self {
        Self {
            step: 0,
            capacities: std::array::from_fn(|_| vec![1.0; resources]),
            forecast: vec![1.0; resources],
            errors: [0.0; 2],
            loads: vec![0; resources],
            overloaded: vec![false; resources],
        }
    }

    /// Opens the next step: what was this step's capacity is now the last one.
    pub(crate) fn begin(&mut self) {
        self.step += 1;
        self.capacities.rotate_right(1);
        let [this, last, ..] = &mut self.capacities;
        this.copy_from_slice(last);
        self.update_forecast();
    }

    /// Sets the capacities of this step. Strategies read them while the paper does: at steps 1 and 2.
    pub(crate) fn publish(&mut self, capacities: impl Iterator<Item = f64>) {
        for (cell, value) in self.capacities[0].iter_mut().zip(capacities) {
            *cell = value;
        }
    }

    /// Closes the step with the number of agents at each resource and whether that was too many.
    pub(crate) fn close(&mut self, loads: &[i64], overloaded: &[bool]) {
        self.loads.copy_from_slice(loads);
        self.overloaded.copy_from_slice(overloaded);
    }

    pub(crate) const fn step(&self) -> u32 {
        self.step
    }

    pub(crate) const fn resources(&self) -> usize {
        self.forecast.len()
    }

    /// Capacities `age` steps ago, 0 being this step.
    pub(crate) fn capacities(&self, age: usize) -> &[f64] {
        &self.capacities[age]
    }

    /// What the capacities of this step are expected to be, from those of earlier steps alone.
    pub(crate) fn forecast(&self) -> &[f64] {
        &self.forecast
    }

    /// Agents at each resource in the last step.
    pub(crate) fn loads(&self) -> &[i64] {
        &self.loads
    }

    /// Which resources were overloaded in the last step.
    pub(crate) fn overloaded(&self) -> &[bool] {
        &self.overloaded
    }

    /// Persistence or linear extrapolation, whichever has the smaller discounted squared error; extrapolation
    /// while there is no record yet. Never negative, and of the same total as the last capacities.
    fn update_forecast(&mut self) {
        let Self { capacities: [_, c1, c2, c3], forecast, .. } = self;
        match self.step {
            1 => return, // nothing is known: all resources look alike
            2 => return forecast.copy_from_slice(c1),
            3 => {}
            _ => {
                let mut errors = [0.0; 2];
                for ((a, b), c) in c1.iter().zip(&*c2).zip(&*c3) {
                    errors[0] += (a - b) * (a - b);
                    errors[1] += (a - (b + (b - c))) * (a - (b + (b - c)));
                }
                self.errors = [0, 1].map(|k| MEMORY * self.errors[k] + errors[k]);
            }
        }
        if self.step > 4 && self.errors[0] <= self.errors[1] {
            return forecast.copy_from_slice(c1);
        }
        for (f, (a, b)) in forecast.iter_mut().zip(c1.iter().zip(&*c2)) {
            *f = (a + (a - b)).max(0.0);
        }
        let (last, predicted) = (pairwise_sum(c1), pairwise_sum(forecast));
        if predicted > 0.0 {
            forecast.iter_mut().for_each(|f| *f *= last / predicted);
        } else {
            forecast.copy_from_slice(c1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board_after(rows: &[[f64; 2]]) -> Board {
        let mut board = Board::new(2);
        for row in rows {
            board.begin();
            board.publish(row.iter().copied());
        }
        board.begin();
        board
    }

    #[test]
    fn a_straight_line_is_extrapolated_exactly() {
        let rows: Vec<_> = (0..20).map(|t| [100.0 + f64::from(t), 100.0 - f64::from(t)]).collect();
        assert_eq!(board_after(&rows).forecast(), [120.0, 80.0]);
    }

    #[test]
    fn a_jumping_capacity_is_taken_to_persist() {
        let rows: Vec<_> = (0..20).map(|t| if t % 2 == 0 { [60.0, 40.0] } else { [40.0, 60.0] }).collect();
        assert_eq!(board_after(&rows).forecast(), [40.0, 60.0]);
    }

    #[test]
    fn a_forecast_is_never_negative_and_keeps_the_total() {
        let board = board_after(&[[90.0, 10.0], [98.0, 2.0]]);
        assert_eq!(board.forecast(), [100.0, 0.0]);
    }

    #[test]
    fn before_anything_is_known_all_resources_look_alike() {
        assert_eq!(board_after(&[]).forecast(), [1.0, 1.0]);
        assert_eq!(board_after(&[[7.0, 3.0]]).forecast(), [7.0, 3.0]);
    }
}

//! What every agent may read: the capacities published so far, the last loads, and a forecast of the next.

use super::forecast::Forecast;

/// The public information at one step. A step is opened with `begin` and `publish` and closed with `close`.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    step: u32,
    /// Capacities of this step and of the two before it, newest first.
    capacities: [Vec<f64>; 3],
    forecast: Forecast,
    loads: Vec<i64>,
    overloaded: Vec<bool>,
}

impl Board {
    pub(crate) fn new(resources: usize) -> Self {
        Self {
            step: 0,
            capacities: std::array::from_fn(|_| vec![1.0; resources]),
            forecast: Forecast::new(resources),
            loads: vec![0; resources],
            overloaded: vec![false; resources],
        }
    }

    /// Opens the next step: what was this step's capacity is now the last one.
    pub(crate) fn begin(&mut self) {
        if self.step > 0 {
            self.forecast.observe(&self.capacities[0]);
        }
        self.step += 1;
        self.capacities.rotate_right(1);
        let [this, last, ..] = &mut self.capacities;
        this.copy_from_slice(last);
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
        self.loads.len()
    }

    /// Capacities `age` steps ago, 0 being this step, 2 the oldest.
    pub(crate) fn capacities(&self, age: usize) -> &[f64] {
        &self.capacities[age]
    }

    /// What the capacities of this step are expected to be, from those of earlier steps alone.
    pub(crate) fn forecast(&self) -> &[f64] {
        self.forecast.next()
    }

    /// Agents at each resource in the last step.
    pub(crate) fn loads(&self) -> &[i64] {
        &self.loads
    }

    /// Which resources were overloaded in the last step.
    pub(crate) fn overloaded(&self) -> &[bool] {
        &self.overloaded
    }
}

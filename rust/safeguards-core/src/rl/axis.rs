//! A line of nodes between which values are interpolated.

use super::RlError;

/// Nodes, each above the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis(Vec<f64>);

impl Axis {
    /// An axis of these nodes; `axis` is its name in errors.
    pub fn new(axis: &'static str, nodes: Vec<f64>) -> Result<Self, RlError> {
        let is_rising = nodes.windows(2).all(|pair| pair[0] < pair[1]);
        let are_finite = nodes.iter().all(|node| node.is_finite());
        if nodes.len() < 2 || !is_rising || !are_finite {
            return Err(RlError::Axis { axis });
        }
        Ok(Self(nodes))
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[f64] {
        &self.0
    }

    /// The node below a value and how far the value is on the way to the next one, 0 to 1. Beyond the ends: the end.
    #[inline]
    pub(super) fn place(&self, value: f64) -> (usize, f64) {
        let last = self.0.len() - 2;
        let below = self.0.partition_point(|&node| node <= value).saturating_sub(1).min(last);
        let share = (value - self.0[below]) / (self.0[below + 1] - self.0[below]);
        (below, share.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_between_two_nodes_or_at_an_end() {
        let axis = Axis::new("test", vec![-1.0, 0.0, 4.0]).unwrap();
        for (value, place) in
            [(-9.0, (0, 0.0)), (-1.0, (0, 0.0)), (-0.5, (0, 0.5)), (0.0, (1, 0.0)), (3.0, (1, 0.75))]
        {
            assert_eq!(axis.place(value), place, "{value}");
        }
        assert_eq!(axis.place(4.0), (1, 1.0));
        assert_eq!(axis.place(99.0), (1, 1.0));
    }

    #[test]
    fn what_is_no_axis_is_refused() {
        for nodes in
            [vec![], vec![1.0], vec![1.0, 1.0], vec![2.0, 1.0], vec![0.0, f64::NAN], vec![0.0, f64::INFINITY]]
        {
            assert_eq!(Axis::new("budgets", nodes), Err(RlError::Axis { axis: "budgets" }));
        }
    }
}

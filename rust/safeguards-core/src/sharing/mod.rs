//! Dividing what there is among those who want it, to the last unit.

pub mod dominant;
pub mod filling;
pub mod max_min;
pub mod pie;

mod wide;

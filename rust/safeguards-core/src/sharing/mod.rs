//! Who gets how much of what all want: fair divisions of capacities.

mod dominant;
mod filling;

pub use dominant::{Allocation, allocate};
pub use filling::{Claims, Filling, Limit, SharingError, fill};

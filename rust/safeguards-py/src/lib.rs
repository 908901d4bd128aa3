//! `safeguards._native`: the compiled core as Python sees it.

mod allocation;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::allocation::{AllocationAgents, AllocationSelector, AllocationStrategy, simulate_allocation};
}

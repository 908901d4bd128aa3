//! One process owns a budget.
//!
//! After a fork both processes would hold a copy of every balance, and spend it twice. So a ledger works only in
//! the process that it was made in; in a child every call is refused.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::error::configuration_error;

/// Forks that lie behind this process.
static GENERATION: AtomicU32 = AtomicU32::new(0);
static HOOK: PyOnceLock<()> = PyOnceLock::new();

/// The process that a ledger was made in.
pub(crate) struct Process {
    generation: u32,
}

#[pyfunction]
fn count_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

impl Process {
    /// This process. Asks Python once to be told of forks.
    pub(crate) fn current(py: Python<'_>) -> PyResult<Self> {
        HOOK.get_or_try_init(py, || install(py))?;
        Ok(Self { generation: GENERATION.load(Ordering::Relaxed) })
    }

    /// Refuses in every other process.
    #[inline]
    pub(crate) fn check(&self, py: Python<'_>) -> PyResult<()> {
        if self.generation == GENERATION.load(Ordering::Relaxed) { Ok(()) } else { Err(refusal(py)) }
    }
}

fn install(py: Python<'_>) -> PyResult<()> {
    let os = py.import("os")?;
    if let Ok(register) = os.getattr("register_at_fork") {
        let arguments = pyo3::types::PyDict::new(py);
        arguments.set_item("after_in_child", wrap_pyfunction!(count_fork, py)?)?;
        register.call((), Some(&arguments))?;
    }
    Ok(())
}

#[cold]
fn refusal(py: Python<'_>) -> PyErr {
    configuration_error(
        py,
        "this coordinator was made before a fork and works only in the process that made it: a copied budget would \
         be spent twice. Make it after the fork, or start workers with the 'spawn' method",
    )
}

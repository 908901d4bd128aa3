//! One process owns a budget.
//!
//! After a fork both processes would hold a copy of every balance, and spend it twice. So a ledger works only in
//! the process that it was made in; in a child every call is refused.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::error::configuration_error;
use crate::turn;

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
    turn::forget_others();
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

/// How often, and for how long at a time, a child asks for what another thread may have had at the fork.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// What threads share, and a child of a fork may use as well, unless a thread that is gone was at it.
pub(crate) struct Shared<T> {
    value: Mutex<T>,
    generation: u32,
}

impl<T: Send> Shared<T> {
    pub(crate) fn new(py: Python<'_>, value: T) -> PyResult<Self> {
        let generation = Process::current(py)?.generation;
        Ok(Self { value: Mutex::new(value), generation })
    }

    /// Does something with it, without the interpreter's lock.
    pub(crate) fn with<R: Send>(&self, py: Python<'_>, act: impl FnOnce(&mut T) -> R + Send) -> PyResult<R> {
        py.detach(|| self.aside(act))
    }

    /// The same, in a thread that does not have the interpreter's lock.
    pub(crate) fn aside<R>(&self, act: impl FnOnce(&mut T) -> R) -> PyResult<R> {
        let mut value = self.lock().ok_or_else(|| Python::attach(abandoned))?;
        Ok(act(&mut value))
    }

    fn lock(&self) -> Option<MutexGuard<'_, T>> {
        if self.generation == GENERATION.load(Ordering::Relaxed) {
            return Some(self.value.lock());
        }
        (0..TRIES).find_map(|_| {
            let value = self.value.try_lock();
            if value.is_none() {
                std::thread::sleep(PAUSE);
            }
            value
        })
    }
}

#[cold]
fn abandoned(py: Python<'_>) -> PyErr {
    configuration_error(
        py,
        "this object was in use by another thread when the process was forked, and stays so in the child: make \
         a new one after the fork",
    )
}

//! One process owns a budget.
//!
//! After a fork both processes would hold a copy of every balance, and spend it twice. So a ledger works only in
//! the process that it was made in; in a child every call is refused.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::error::{configuration_error, exception};
use crate::turn;

/// Forks that lie behind this process.
static GENERATION: AtomicU32 = AtomicU32::new(0);
static HOOK: PyOnceLock<()> = PyOnceLock::new();

/// The process that a ledger was made in, until the ledger is closed.
pub(crate) struct Process {
    generation: AtomicU32,
}

/// What no process has behind it.
const CLOSED: u32 = u32::MAX;

#[pyfunction]
fn count_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    turn::forget_others();
}

impl Process {
    /// This process. Asks Python once to be told of forks.
    pub(crate) fn current(py: Python<'_>) -> PyResult<Self> {
        HOOK.get_or_try_init(py, || install(py))?;
        Ok(Self { generation: AtomicU32::new(GENERATION.load(Ordering::Relaxed)) })
    }

    /// Refuses in every other process, and in this one once it is closed.
    #[inline]
    pub(crate) fn check(&self, py: Python<'_>) -> PyResult<()> {
        let made_in = self.generation.load(Ordering::Relaxed);
        if made_in == GENERATION.load(Ordering::Relaxed) { Ok(()) } else { Err(refusal(py, made_in)) }
    }

    /// Refuses from now on.
    pub(crate) fn close(&self) {
        self.generation.store(CLOSED, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.generation.load(Ordering::Relaxed) == CLOSED
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
fn refusal(py: Python<'_>, made_in: u32) -> PyErr {
    if made_in == CLOSED {
        let text = "this coordinator is closed: make another one, or close it later";
        return exception(py, "ClosedError", text.into(), &PyDict::new(py));
    }
    configuration_error(
        py,
        "this coordinator was made before a fork and works only in the process that made it: a copied budget would \
         be spent twice. One that is made in each worker, after the fork or by the 'spawn' method, is a budget for \
         each: N processes are N budgets. Let one process own the budgets and the others ask it, or give each \
         worker its part of the money",
    )
}

/// Counts the threads that are at something without the interpreter's lock, so that a child of a fork knows
/// whether one of them, which is not in the child, has left it locked.
pub(crate) struct Gate {
    generation: AtomicU32,
    inside: AtomicU32,
    is_abandoned: AtomicBool,
}

/// Somebody who is inside.
pub(crate) struct Inside<'a>(&'a AtomicU32);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Gate {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let generation = Process::current(py)?.generation;
        Ok(Self { generation, inside: AtomicU32::new(0), is_abandoned: AtomicBool::new(false) })
    }

    /// Lets the caller in, unless it would wait for a thread that is not there.
    pub(crate) fn enter(&self) -> PyResult<Inside<'_>> {
        let now = GENERATION.load(Ordering::Relaxed);
        if self.generation.swap(now, Ordering::AcqRel) != now && self.inside.swap(0, Ordering::AcqRel) > 0 {
            self.is_abandoned.store(true, Ordering::Release);
        }
        if self.is_abandoned.load(Ordering::Acquire) {
            return Err(Python::attach(abandoned));
        }
        self.inside.fetch_add(1, Ordering::AcqRel);
        Ok(Inside(&self.inside))
    }
}

/// What threads share, and a child of a fork may use as well, unless a thread was at it.
pub(crate) struct Shared<T> {
    value: Mutex<T>,
    gate: Gate,
}

impl<T: Send> Shared<T> {
    pub(crate) fn new(py: Python<'_>, value: T) -> PyResult<Self> {
        Ok(Self { value: Mutex::new(value), gate: Gate::new(py)? })
    }

    /// Does something with it, without the interpreter's lock.
    pub(crate) fn with<R: Send>(&self, py: Python<'_>, act: impl FnOnce(&mut T) -> R + Send) -> PyResult<R> {
        py.detach(|| self.aside(act))
    }

    /// The same, in a thread that does not have the interpreter's lock.
    pub(crate) fn aside<R>(&self, act: impl FnOnce(&mut T) -> R) -> PyResult<R> {
        let _inside = self.gate.enter()?;
        Ok(act(&mut self.value.lock()))
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

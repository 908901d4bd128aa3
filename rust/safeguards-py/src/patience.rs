//! Waiting without the interpreter.
//!
//! A long call runs detached from the interpreter and may hold locks of the core meanwhile. It says so before it
//! detaches, and so whoever is attached later knows: it detaches as well, instead of waiting for a lock with the
//! interpreter held, which would stop every other thread of the program. While there is none, a call pays for one
//! load.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use safeguards_core::ledger::Ledger;

/// How long a call goes on before it looks for signals.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

thread_local! {
    /// Whether this thread has let go of the interpreter.
    static IS_DETACHED: Cell<bool> = const { Cell::new(false) };
}

/// Does something without the interpreter.
#[cold]
fn detached<R: Send>(py: Python<'_>, act: impl FnOnce() -> R + Send) -> R {
    py.detach(|| {
        let before = IS_DETACHED.replace(true);
        let answer = act();
        IS_DETACHED.set(before);
        answer
    })
}

/// Does something that may wait for a long call: without the interpreter if there is one.
#[inline]
pub(crate) fn patiently<R: Send>(py: Python<'_>, core: &Ledger, act: impl FnOnce() -> R + Send) -> R {
    if core.is_busy() { detached(py, act) } else { act() }
}

/// Does something that may take long.
pub(crate) fn at_length<R: Send>(py: Python<'_>, core: &Ledger, act: impl FnOnce() -> R + Send) -> R {
    // Before the interpreter is let go, so that nobody who gets it overlooks this call.
    let _call = core.long_call();
    detached(py, act)
}

/// What the core does with work that has turned out to be long.
pub(crate) fn let_go(work: &mut (dyn FnMut() + Send)) {
    if IS_DETACHED.get() {
        work();
    } else {
        Python::attach(|py| detached(py, work));
    }
}

/// Does something long, slice by slice, until it is done or a handler of a signal raises: what was done by then, and
/// what was raised.
pub(crate) fn until_interrupted<R: Send>(
    py: Python<'_>,
    core: &Ledger,
    act: impl FnOnce(&dyn GoOn) -> R + Send,
) -> (R, Option<PyErr>) {
    at_length(py, core, || {
        let signals = Signals { looked: Cell::new(Instant::now()), raised: RefCell::new(None) };
        (act(&signals), signals.raised.into_inner())
    })
}

/// Whether to go on: asked between two slices.
pub(crate) trait GoOn {
    fn may(&self) -> bool;
}

struct Signals {
    looked: Cell<Instant>,
    raised: RefCell<Option<PyErr>>,
}

impl GoOn for Signals {
    fn may(&self) -> bool {
        if self.looked.get().elapsed() >= SIGNALS_EVERY {
            let before = IS_DETACHED.replace(false);
            let raised = Python::attach(look_for_signals).err();
            IS_DETACHED.set(before);
            self.looked.set(Instant::now());
            *self.raised.borrow_mut() = raised;
        }
        self.raised.borrow().is_none()
    }
}

fn look_for_signals(py: Python<'_>) -> PyResult<()> {
    py.check_signals()
}

/// Does something with the interpreter, for who has it or has let go of it; `None` once it is gone.
pub(crate) fn attached<R>(act: impl FnOnce(Python<'_>) -> R) -> Option<R> {
    let before = IS_DETACHED.replace(false);
    let answer = Python::try_attach(act);
    IS_DETACHED.set(before);
    answer
}

//! Turns: locks of the Python face that are never waited for in vain.
//!
//! A callback of one controller may run another, whose callback runs the first: with plain locks two threads
//! wait for each other for ever. All turns of the process stand on one board, with who has each and who waits
//! for which, so that the wait that would close a circle is refused.
//!
//! The board's lock is held for a few instructions, which call nothing, and only with the interpreter's lock.
//! So a signal handler or a finalizer never finds it taken by its own thread, and no fork finds it taken at all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::exception;
use crate::fork::Process;

/// How often somebody who waits looks for Ctrl-C.
const LOOK_EVERY: Duration = Duration::from_millis(20);

static NEXT: AtomicU64 = AtomicU64::new(0);
static BOARD: LazyLock<Mutex<Board>> = LazyLock::new(Mutex::default);

/// Who has which turn, and who waits for which.
#[derive(Default)]
struct Board {
    taken: HashMap<u64, (ThreadId, usize)>,
    waiting: HashMap<ThreadId, (u64, Thread)>,
}

enum Answer {
    Taken,
    Busy,
    Circle,
}

impl Board {
    fn take(&mut self, turn: u64, me: ThreadId) -> Answer {
        let (owner, depth) = self.taken.entry(turn).or_insert((me, 0));
        if *owner == me {
            *depth += 1;
            return Answer::Taken;
        }
        if self.leads_to(turn, me) { Answer::Circle } else { Answer::Busy }
    }

    /// Whether who has a turn waits, directly or through others, for one that `me` has.
    fn leads_to(&self, turn: u64, me: ThreadId) -> bool {
        let mut at = turn;
        // A circle that does not pass through `me` is refused by its own threads.
        for _ in 0..=self.waiting.len() {
            let Some((owner, _)) = self.taken.get(&at) else { return false };
            if *owner == me {
                return true;
            }
            let Some((next, _)) = self.waiting.get(owner) else { return false };
            at = *next;
        }
        false
    }

    fn give_back(&mut self, turn: u64, me: ThreadId) {
        let Some((owner, depth)) = self.taken.get_mut(&turn) else { return };
        if *owner != me {
            return;
        }
        *depth -= 1;
        if *depth == 0 {
            self.taken.remove(&turn);
            self.waiting
                .values()
                .filter(|(wanted, _)| *wanted == turn)
                .for_each(|(_, thread)| thread.unpark());
        }
    }
}

fn board() -> MutexGuard<'static, Board> {
    BOARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In a forked child only this thread lives on.
pub(crate) fn forget_others() {
    let me = thread::current().id();
    let mut board = board();
    board.taken.retain(|_, (owner, _)| *owner == me);
    board.waiting.clear();
}

/// A lock that its thread may take again, and that refuses to be waited for in vain.
///
/// Args:
///     what: is busy while it is taken, in the message of the error.
///     patience_seconds: how long somebody waits at most; for ever if not given.
#[pyclass(frozen, name = "Turn", module = "safeguards._native")]
pub(crate) struct PyTurn {
    number: u64,
    what: String,
    patience: Option<Duration>,
}

#[pymethods]
impl PyTurn {
    #[new]
    #[pyo3(signature = (what, patience_seconds = None))]
    fn new(py: Python<'_>, what: String, patience_seconds: Option<f64>) -> PyResult<Self> {
        Process::current(py)?; // so that a fork is told of
        let patience =
            patience_seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        Ok(Self { number: NEXT.fetch_add(1, Ordering::Relaxed), what, patience })
    }

    /// Takes it, and waits for it if need be; whether it is taken.
    ///
    /// Args:
    ///     blocking: waits; else the answer is False if another thread has it.
    ///
    /// Raises:
    ///     ControllerBusyError: the thread that has it waits for this one, or has not given it back in time.
    ///
    /// Example:
    ///     >>> from safeguards._native import Turn
    ///     >>> turn = Turn("the pump", patience_seconds=1)
    ///     >>> turn.acquire(), turn.acquire(blocking=False)
    ///     (True, True)
    ///     >>> turn.release(), turn.release()
    ///     (None, None)
    #[pyo3(signature = (blocking = true))]
    fn acquire(&self, py: Python<'_>, blocking: bool) -> PyResult<bool> {
        let me = thread::current();
        let begun = Instant::now();
        loop {
            match self.ask(&me, blocking) {
                Answer::Taken => return Ok(true),
                Answer::Busy | Answer::Circle if !blocking => return Ok(false),
                Answer::Busy => (),
                Answer::Circle => return Err(self.refusal(py, "and this thread is waited for by that one")),
            }
            py.detach(|| thread::park_timeout(LOOK_EVERY));
            board().waiting.remove(&me.id()); // a signal handler may wait for another
            py.check_signals()?;
            if self.patience.is_some_and(|patience| begun.elapsed() > patience) {
                return Err(self.refusal(py, "and has been for too long: a callback of it may be waiting"));
            }
        }
    }

    /// Gives it back, as often as it was taken. One that this thread does not have stays where it is.
    ///
    /// Example:
    ///     >>> from safeguards._native import Turn
    ///     >>> turn = Turn("the pump")
    ///     >>> with turn:
    ///     ...     print("it is mine")
    ///     it is mine
    ///     >>> turn.release()
    fn release(&self) {
        board().give_back(self.number, thread::current().id());
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        self.acquire(py, true).map(drop)
    }

    fn __exit__(
        &self,
        _class: &Bound<'_, PyAny>,
        _exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        self.release();
    }
}

impl PyTurn {
    fn ask(&self, me: &Thread, will_wait: bool) -> Answer {
        let mut board = board();
        let answer = board.take(self.number, me.id());
        if will_wait && matches!(answer, Answer::Busy) {
            board.waiting.insert(me.id(), (self.number, me.clone()));
        }
        answer
    }

    #[cold]
    fn refusal(&self, py: Python<'_>, why: &str) -> PyErr {
        let text = format!(
            "{} is busy in another thread, {why}. Try again later, or from another thread",
            self.what
        );
        exception(py, "ControllerBusyError", text, &PyDict::new(py))
    }
}

//! Long calls: they run aside, so that Ctrl-C ends them.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::prelude::*;
use safeguards_core::workers::NO_THREAD;

use crate::error::no_thread;

/// How often a call that runs looks for Ctrl-C and tells its progress.
const WATCH_EVERY: Duration = Duration::from_millis(50);

/// Runs `work` on a thread of its own, while this one looks for signals and calls `tell`. An exception of either
/// asks the work to end, with `stop`, and is raised when it has.
pub(crate) fn watched<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> PyResult<T> + Send,
    stop: impl Fn() + Send + Sync,
    tell: impl Fn(Python<'_>) -> PyResult<()> + Send + Sync,
) -> PyResult<T> {
    let look = |py: Python<'_>| py.check_signals().and_then(|()| tell(py));
    py.detach(|| {
        std::thread::scope(|scope| {
            let (done, finished) = channel();
            let aside = move || {
                let outcome = work();
                drop(done);
                outcome
            };
            let worker = std::thread::Builder::new()
                .spawn_scoped(scope, aside)
                .map_err(|_| Python::attach(|py| no_thread(py, NO_THREAD)))?;
            let mut interrupt = Ok(());
            while finished.recv_timeout(WATCH_EVERY) == Err::<(), _>(RecvTimeoutError::Timeout) {
                interrupt = interrupt.and_then(|()| Python::attach(look));
                if interrupt.is_err() {
                    stop();
                }
            }
            let outcome = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            interrupt?;
            let outcome = outcome?;
            Python::attach(look)?;
            Ok(outcome)
        })
    })
}

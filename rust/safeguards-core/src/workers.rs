//! Threads of a call's own.
//!
//! A long call makes its threads and ends them. A pool for the whole process would not survive a fork, since the
//! child has its queues and none of its threads, and one that failed to start once would have failed for good.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// What to do where no thread can be had.
pub const NO_THREAD: &str = "the system started no thread: the process is at its limit of threads or memory \
                             (ulimit -u, ulimit -v, the pids limit of a container); end some or raise the limit, \
                             and call again. Nothing has changed";

/// Asks work that takes long to end.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Ends it before its next step.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is to end.
    #[inline]
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Not one thread could be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoThread;

/// Runs `work`, with all in it that is parallel, on `threads` threads (0: one per core), or on fewer if the system
/// gives no more.
pub(crate) fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> Result<R, NoThread> {
    pool(threads).ok_or(NoThread).map(|pool| pool.install(work))
}

fn pool(threads: usize) -> Option<ThreadPool> {
    let of = |threads| ThreadPoolBuilder::new().num_threads(threads).build().ok();
    let fewer = || {
        let wanted =
            if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let halves = std::iter::successors(Some(wanted / 2), |n| Some(n / 2)).take_while(|n| *n > 1);
        halves.into_iter().find_map(of)
    };
    // The threads of an attempt that failed need a moment to end and make room.
    let one = || {
        [0, 1, 5, 20].into_iter().find_map(|wait| {
            thread::sleep(Duration::from_millis(wait));
            of(1)
        })
    };
    of(threads).or_else(fewer).or_else(one)
}

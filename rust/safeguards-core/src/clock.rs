//! Time, injected: one monotonic line for windows and deadlines, one wall line for schedules and display.
//!
//! The monotonic line counts the time for which a machine was asleep: work that was forgotten in the evening is over in
//! the morning.
//!
//! Nothing in this crate asks the operating system for the time but [`Clock::System`].

#[cfg(target_os = "linux")]
mod asleep;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Nanoseconds on a line that only goes forward. Its zero means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub i64);

/// Nanoseconds since 1970-01-01T00:00:00Z. People and time servers can move it either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

impl Monotonic {
    /// Later than every time that a clock shows.
    pub const NEVER: Self = Self(i64::MAX);
    /// The end of the line: the last time that a clock shows.
    const LAST: i64 = i64::MAX - 1;

    /// This time moved by `nanos`, stopping at the ends of the line.
    #[must_use]
    pub const fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to this time.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Wall {
    /// Later than every time that a clock shows.
    pub const NEVER: Self = Self(i64::MAX);
}

/// Where a ledger reads the time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The operating system's clocks.
    System,
    /// A clock that moves when it is told to.
    Manual(Arc<ManualClock>),
}

impl Clock {
    /// The monotonic time, to the nanosecond.
    #[must_use]
    pub fn monotonic(&self) -> Monotonic {
        match self {
            Self::System => system::monotonic(),
            Self::Manual(clock) => clock.monotonic(),
        }
    }

    /// The monotonic time to the tick of a coarse clock (1-10 ms): cheaper to read, and good enough for deadlines
    /// counted in seconds. Never ahead of [`monotonic`](Self::monotonic).
    #[must_use]
    pub fn monotonic_coarse(&self) -> Monotonic {
        self.coarse().0
    }

    /// Both times to the tick of a coarse clock, for the price of one of them.
    #[must_use]
    pub fn coarse(&self) -> (Monotonic, Wall) {
        match self {
            Self::System => system::coarse(),
            Self::Manual(clock) => (clock.monotonic(), clock.wall()),
        }
    }

    /// The wall time.
    #[must_use]
    pub fn wall(&self) -> Wall {
        match self {
            Self::System => system::wall(),
            Self::Manual(clock) => clock.wall(),
        }
    }

    /// The wall time to the tick of a coarse clock: for events that no range of usage is cut at.
    #[must_use]
    pub fn wall_coarse(&self) -> Wall {
        match self {
            Self::System => system::wall_coarse(),
            Self::Manual(clock) => clock.wall(),
        }
    }
}

/// A clock that stands still until [`advance`](Self::advance) moves it.
#[derive(Debug)]
pub struct ManualClock {
    monotonic: AtomicI64,
    wall: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `wall`; its monotonic line starts at zero.
    #[must_use]
    pub const fn new(wall: Wall) -> Self {
        Self { monotonic: AtomicI64::new(0), wall: AtomicI64::new(shown(wall.0)) }
    }

    /// Moves both lines forward. Stops at the end of the lines, 292 years on.
    pub fn advance(&self, by: Duration) {
        let nanos = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        for line in [&self.monotonic, &self.wall] {
            line.update(Ordering::SeqCst, Ordering::SeqCst, |now| shown(now.saturating_add(nanos)));
        }
    }

    /// Moves the wall line alone, either way: what an administrator or a time server does.
    pub fn set_wall(&self, to: Wall) {
        self.wall.store(shown(to.0), Ordering::SeqCst);
    }

    /// What the monotonic line shows.
    pub fn monotonic(&self) -> Monotonic {
        Monotonic(self.monotonic.load(Ordering::SeqCst))
    }

    /// What the wall line shows.
    pub fn wall(&self) -> Wall {
        Wall(self.wall.load(Ordering::SeqCst))
    }
}

/// A time that a clock can show: anything but never.
const fn shown(nanos: i64) -> i64 {
    if nanos > Monotonic::LAST { Monotonic::LAST } else { nanos }
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::time::{ClockId, clock_gettime};

    use super::asleep::{Line, Machine};
    use super::{Monotonic, Wall};

    static LINE: Line = Line::new();

    struct Linux;

    impl Machine for Linux {
        fn awake(&self) -> i64 {
            read(ClockId::Monotonic)
        }

        fn awake_coarse(&self) -> i64 {
            read(ClockId::MonotonicCoarse)
        }

        fn since_boot(&self) -> i64 {
            read(ClockId::Boottime)
        }

        fn wall_coarse(&self) -> i64 {
            read(ClockId::RealtimeCoarse)
        }
    }

    pub(super) fn monotonic() -> Monotonic {
        Monotonic(Linux.since_boot())
    }

    pub(super) fn coarse() -> (Monotonic, Wall) {
        LINE.now(&Linux)
    }

    pub(super) fn wall() -> Wall {
        Wall(read(ClockId::Realtime))
    }

    pub(super) fn wall_coarse() -> Wall {
        Wall(Linux.wall_coarse())
    }

    fn read(id: ClockId) -> i64 {
        let time = clock_gettime(id);
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    }
}

/// Elsewhere the standard library decides whether the monotonic line counts time asleep.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::sync::OnceLock;
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    use super::{Monotonic, Wall};

    static START: OnceLock<Instant> = OnceLock::new();

    pub(super) fn monotonic() -> Monotonic {
        let elapsed = START.get_or_init(Instant::now).elapsed();
        Monotonic(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX))
    }

    pub(super) fn coarse() -> (Monotonic, Wall) {
        (monotonic(), wall())
    }

    pub(super) fn wall() -> Wall {
        let nanos = |d: std::time::Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
        Wall(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => nanos(after),
            Err(before) => -nanos(before.duration()),
        })
    }

    pub(super) fn wall_coarse() -> Wall {
        wall()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_time_moves_only_when_told() {
        let manual = Arc::new(ManualClock::new(Wall(1_000)));
        let clock = Clock::Manual(manual.clone());
        assert_eq!((clock.monotonic(), clock.wall()), (Monotonic(0), Wall(1_000)));
        manual.advance(Duration::from_nanos(7));
        assert_eq!((clock.monotonic(), clock.wall()), (Monotonic(7), Wall(1_007)));
        manual.set_wall(Wall(-5));
        assert_eq!((clock.monotonic_coarse(), clock.wall()), (Monotonic(7), Wall(-5)));
        manual.advance(Duration::MAX);
        assert!(clock.monotonic() < Monotonic::NEVER && clock.wall() < Wall::NEVER);
        manual.set_wall(Wall::NEVER);
        assert!(clock.wall() < Wall::NEVER);
    }

    #[test]
    fn the_coarse_line_is_the_same_line() {
        let (coarse, fine) = (Clock::System.monotonic_coarse(), Clock::System.monotonic());
        assert!(coarse <= fine && fine.since(coarse) < 1_000_000_000);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_line_is_that_of_the_time_since_boot() {
        use rustix::time::{ClockId, clock_gettime};
        let seconds = || clock_gettime(ClockId::Boottime).tv_sec;
        let (before, now, after) = (seconds(), Clock::System.monotonic().0 / 1_000_000_000, seconds());
        assert!((before..=after).contains(&now));
    }
}

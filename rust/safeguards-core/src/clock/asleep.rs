//! A coarse clock that counts the time for which the machine was asleep.
//!
//! The system's own coarse clock stands still meanwhile, and the one that does not is several times dearer to read. How
//! long the machine slept is therefore kept, and read again once a second, and as soon as the wall clock has come away
//! from the coarse one: that is what a sleep does to it, and so nothing is dated by what was right before.

use std::sync::atomic::{AtomicI64, Ordering};

use super::{Monotonic, Wall};

const SECOND: i64 = 1_000_000_000;
/// How far the two coarse clocks may come apart within a second for other reasons: ticks between their readings, and
/// a time server that lets the wall clock run faster or slower.
const TOLERANCE: u64 = 100_000_000;

/// The clocks of a machine, in nanoseconds.
pub(super) trait Machine {
    /// Stands still while the machine sleeps.
    fn awake(&self) -> i64;
    /// The same to the tick: never ahead of it.
    fn awake_coarse(&self) -> i64;
    /// Goes on while the machine sleeps.
    fn since_boot(&self) -> i64;
    /// The wall time, to the tick.
    fn wall_coarse(&self) -> i64;
}

/// A line that is never ahead of [`Machine::since_boot`], and never goes back.
#[derive(Debug)]
pub(super) struct Line {
    /// How long the machine has slept, as far as is known. Only grows, and whoever has seen a value sees none below it
    /// later: that, and a clock of the system that does not go back, are why the line does not.
    asleep: AtomicI64,
    /// How far the wall clock was ahead of the coarse one when that was last looked at.
    lead: AtomicI64,
    /// When that was, by the coarse clock.
    looked_at: AtomicI64,
}

impl Line {
    pub(super) const fn new() -> Self {
        Self { asleep: AtomicI64::new(0), lead: AtomicI64::new(0), looked_at: AtomicI64::new(i64::MIN) }
    }

    /// Both lines of time, to the tick.
    #[inline]
    pub(super) fn now(&self, machine: &impl Machine) -> (Monotonic, Wall) {
        let (awake, wall) = (machine.awake_coarse(), machine.wall_coarse());
        let lead = wall.saturating_sub(awake);
        // Who sees the new lead sees what was found with it.
        let is_apart = lead.abs_diff(self.lead.load(Ordering::Acquire)) > TOLERANCE;
        if is_apart || awake.saturating_sub(self.looked_at.load(Ordering::Relaxed)) >= SECOND {
            self.look(machine, lead, awake);
        }
        (Monotonic(awake.saturating_add(self.asleep.load(Ordering::Relaxed))), Wall(wall))
    }

    /// Reads again how long the machine has slept.
    #[cold]
    #[inline(never)]
    fn look(&self, machine: &impl Machine, lead: i64, awake: i64) {
        // In this order: what passes between the two makes it less than it is, and never more.
        let since_boot = machine.since_boot();
        let asleep = since_boot.saturating_sub(machine.awake());
        self.asleep.fetch_max(asleep, Ordering::Relaxed);
        self.looked_at.store(awake, Ordering::Relaxed);
        self.lead.store(lead, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    const TICK: i64 = 4_000_000;
    const HOUR: i64 = 3_600 * SECOND;

    /// A machine that runs and sleeps when it is told to, and whose wall clock can be set.
    #[derive(Debug, Default)]
    struct Told {
        awake: AtomicI64,
        asleep: AtomicI64,
        wall_set_by: AtomicI64,
    }

    impl Told {
        fn run(&self, nanos: i64) {
            self.awake.fetch_add(nanos, Ordering::SeqCst);
        }

        fn sleep(&self, nanos: i64) {
            self.asleep.fetch_add(nanos, Ordering::SeqCst);
        }
    }

    impl Machine for Told {
        fn awake(&self) -> i64 {
            self.awake.load(Ordering::SeqCst)
        }

        fn awake_coarse(&self) -> i64 {
            let awake = self.awake();
            awake - awake.rem_euclid(TICK)
        }

        fn since_boot(&self) -> i64 {
            self.awake() + self.asleep.load(Ordering::SeqCst)
        }

        fn wall_coarse(&self) -> i64 {
            let slept = self.asleep.load(Ordering::SeqCst);
            1_000 * HOUR + self.awake_coarse() + slept + self.wall_set_by.load(Ordering::SeqCst)
        }
    }

    fn at(line: &Line, machine: &Told) -> i64 {
        line.now(machine).0.0
    }

    #[test]
    fn time_asleep_counts_at_the_first_reading_after_it() {
        let (line, machine) = (Line::new(), Told::default());
        machine.sleep(7 * HOUR); // before this process began
        machine.run(5 * TICK + 1);
        assert_eq!(at(&line, &machine), 7 * HOUR + 5 * TICK);
        for _ in 0..3 {
            machine.sleep(HOUR);
            let (now, wall) = line.now(&machine);
            assert_eq!((now.0, wall.0), (machine.since_boot() - 1, machine.wall_coarse()));
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_nothing() {
        let (line, machine) = (Line::new(), Told::default());
        machine.sleep(HOUR);
        for set_by in [0, 600 * SECOND, -10_000 * HOUR, i64::MAX / 2, 0] {
            machine.wall_set_by.store(set_by, Ordering::SeqCst);
            machine.run(TICK);
            assert_eq!(at(&line, &machine), machine.since_boot());
        }
    }

    #[test]
    fn a_sleep_that_the_wall_clock_hides_counts_within_a_second() {
        let (line, machine) = (Line::new(), Told::default());
        assert_eq!(at(&line, &machine), 0);
        machine.sleep(HOUR);
        machine.wall_set_by.store(-HOUR, Ordering::SeqCst);
        machine.run(SECOND - TICK);
        assert_eq!(at(&line, &machine), SECOND - TICK);
        machine.run(TICK);
        assert_eq!(at(&line, &machine), HOUR + SECOND);
    }

    #[test]
    fn short_sleeps_add_up() {
        let (line, machine) = (Line::new(), Told::default());
        for _ in 0..200 {
            machine.sleep(SECOND / 20);
            let late = machine.since_boot() - at(&line, &machine);
            assert!((0..=SECOND / 10).contains(&late), "{late} ns are not counted");
        }
    }

    #[test]
    fn the_clocks_stop_at_the_ends_of_the_line() {
        struct Old;
        impl Machine for Old {
            fn awake(&self) -> i64 {
                i64::MIN
            }
            fn awake_coarse(&self) -> i64 {
                i64::MAX - 1
            }
            fn since_boot(&self) -> i64 {
                i64::MAX
            }
            fn wall_coarse(&self) -> i64 {
                i64::MIN
            }
        }
        assert_eq!(Line::new().now(&Old), (Monotonic(i64::MAX), Wall(i64::MIN)));
    }

    /// Threads read while the machine sleeps and its wall clock is set: the line goes back for nobody, not even from one
    /// thread to the next, and is ahead of the real time for nobody.
    #[test]
    fn the_line_goes_back_for_no_thread() {
        let (line, machine, latest) = (Line::new(), Told::default(), AtomicI64::new(i64::MIN));
        let (readings, sleeps) = (20_000, 2_000);
        thread::scope(|scope| {
            scope.spawn(|| {
                for sleep in 0..sleeps {
                    machine.sleep(SECOND * (sleep % 3));
                    machine.wall_set_by.store((sleep % 5) * HOUR, Ordering::SeqCst);
                    machine.run(TICK / 3);
                    if sleep % 100 == 0 {
                        thread::sleep(Duration::from_micros(50));
                    }
                }
            });
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..readings {
                        let before = latest.load(Ordering::Acquire);
                        let now = at(&line, &machine);
                        assert!(now >= before, "{} ns back", before - now);
                        assert!(now <= machine.since_boot());
                        latest.fetch_max(now, Ordering::AcqRel);
                        machine.run(1_000);
                    }
                });
            }
        });
        machine.run(SECOND);
        assert_eq!(at(&line, &machine), machine.awake_coarse() + machine.asleep.load(Ordering::SeqCst));
    }
}

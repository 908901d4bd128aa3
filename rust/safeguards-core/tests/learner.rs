//! A learner beside a ledger: no usage is lost or counted twice, whoever joins and leaves.

#![allow(clippy::unwrap_used, reason = "tests may, and so may their helpers")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use common::{pool, whole};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use safeguards_core::clock::{Clock, ManualClock, Wall};
use safeguards_core::forecast::{Learner, Learning, Question};
use safeguards_core::ledger::{HistoryLimits, Ledger};
use safeguards_core::workers::Stop;

const START: Wall = Wall(1_767_225_600_000_000_000); // 2026-01-01
const QUARTER: i64 = 900 * common::SECOND;

fn learner(days: u32) -> Learner {
    Learner::new(Learning { days, min_points: 1, zone: TimeZone::UTC })
}

/// A ledger, its learner, and what was really spent.
struct World {
    clock: Arc<ManualClock>,
    ledger: Ledger,
    learner: Learner,
    /// By agent and hour, in wholes, with the number of usages.
    spent: BTreeMap<(String, i64), (u32, u64)>,
    /// Agents that are registered.
    present: BTreeSet<String>,
    /// Agents that are registered and were there at the last reading.
    met: BTreeSet<String>,
}

impl World {
    fn new(events: usize, sums: usize) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let limits = HistoryLimits { events, sums };
        let ledger = Ledger::new(Clock::Manual(Arc::clone(&clock)), limits, Vec::new());
        ledger.create_pool(pool("pool", None, 1_000_000_000)).unwrap();
        let (present, met) = (BTreeSet::new(), BTreeSet::new());
        Self { clock, ledger, learner: learner(14), spent: BTreeMap::new(), present, met }
    }

    fn hour(&self) -> i64 {
        (self.clock.wall().0 - START.0) / common::HOUR
    }

    fn read(&mut self) {
        self.learner.read(&self.ledger, self.clock.wall());
        self.met = self.present.clone();
    }

    fn join(&mut self, agent: &str) {
        if self.present.insert(agent.into()) {
            self.ledger.register_agent(agent, "pool", 5, whole(1_000_000)).unwrap();
        }
    }

    /// Leaves, but not before a reading: who comes and goes in between is never seen.
    fn leave(&mut self, agent: &str) {
        if self.present.contains(agent) && !self.met.contains(agent) {
            self.read();
        }
        if self.present.remove(agent) {
            self.ledger.unregister_agent(agent).unwrap();
            self.met.remove(agent);
        }
    }

    fn spend(&mut self, agent: &str, wholes: u32, recorded: bool, operation: u16) {
        self.join(agent);
        let operation = self.ledger.operation(&format!("operation {operation}"));
        if recorded {
            self.ledger.record_usage(agent, whole(wholes.into()), operation).unwrap();
        } else {
            let amount = whole(wholes.into());
            self.ledger.with_agent(agent, |agent| self.ledger.debit(agent, &amount, operation)).unwrap();
        }
        let spent = self.spent.entry((agent.into(), self.hour())).or_default();
        *spent = (spent.0 + wholes, spent.1 + 1);
    }

    /// What the learner knows, by agent and hour, and its points by agent.
    fn known(&self) -> (BTreeMap<(String, i64), f64>, BTreeMap<String, u64>) {
        let (mut hours, mut points) = (BTreeMap::new(), BTreeMap::new());
        for agent in self.learner.agents() {
            let Some(known) = self.learner.usage(&agent) else { continue };
            points.insert(agent.to_string(), known.points);
            let first = (known.start.0 - START.0) / QUARTER;
            for (amount, quarter) in known.quarters.iter().zip(first..).filter(|(amount, _)| **amount > 0.0) {
                *hours.entry((agent.to_string(), quarter.div_euclid(4))).or_insert(0.0) += amount;
            }
        }
        (hours, points)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Spend { agent: u8, wholes: u32, recorded: bool, operation: u16 },
    Pass { minutes: u64 },
    Read,
    Leave { agent: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_u8, 1..50_u32, any::<bool>(), 0..3_u16)
            .prop_map(|(agent, wholes, recorded, operation)| Step::Spend { agent, wholes, recorded, operation }),
        3 => (1..150_u64).prop_map(|minutes| Step::Pass { minutes }),
        2 => Just(Step::Read),
        1 => (0..3_u8).prop_map(|agent| Step::Leave { agent }),
    ]
}

proptest! {
    #[test]
    fn every_usage_is_known_once_and_in_its_hour(
        steps in prop::collection::vec(step(), 1..150),
        events in 1..8_usize,
    ) {
        let mut world = World::new(events, 512);
        for step in steps {
            match step {
                Step::Spend { agent, wholes, recorded, operation } => {
                    world.spend(&format!("agent {agent}"), wholes, recorded, operation);
                }
                Step::Pass { minutes } => world.clock.advance(Duration::from_mins(minutes)),
                Step::Read => world.read(),
                Step::Leave { agent } => world.leave(&format!("agent {agent}")),
            }
        }
        world.clock.advance(Duration::from_mins(15));
        world.read();
        let (hours, points) = world.known();
        prop_assert_eq!(hours.keys().collect::<Vec<_>>(), world.spent.keys().collect::<Vec<_>>());
        for (place, (wholes, _)) in &world.spent {
            prop_assert!((hours[place] - f64::from(*wholes)).abs() < 1e-9, "{:?}", place);
        }
        for (agent, count) in points {
            let usages = world.spent.iter().filter(|((other, _), _)| *other == agent).map(|(_, (_, n))| n);
            prop_assert_eq!(count, usages.sum::<u64>());
        }
    }

    /// Sums that merged say only that their hours are old; the total is still right.
    #[test]
    fn nothing_is_lost_when_sums_merge(
        spendings in prop::collection::vec((1..50_u32, 0..3_u16, 0..90_u64), 1..150),
        read_every in 1..60_usize,
    ) {
        let mut world = World::new(2, 4);
        let mut total = 0;
        for (i, (wholes, operation, minutes)) in spendings.into_iter().enumerate() {
            world.clock.advance(Duration::from_mins(minutes));
            world.spend("bot", wholes, false, operation);
            total += wholes;
            if i % read_every == 0 {
                world.read();
            }
        }
        world.clock.advance(Duration::from_mins(15));
        world.read();
        prop_assert!((world.known().0.values().sum::<f64>() - f64::from(total)).abs() < 1e-6);
    }
}

#[test]
fn usage_read_by_the_quarter_hour_is_dated_to_it() {
    let mut world = World::new(1, 512); // one event: nearly all is summed before it is read
    for quarter in 0..8_u32 {
        for _ in 0..3 {
            world.spend("bot", quarter + 1, false, 0);
        }
        world.clock.advance(Duration::from_mins(15));
        world.read();
    }
    let known = world.learner.usage("bot").unwrap();
    assert_eq!(known.quarters, (1..=8).map(|quarter| f64::from(3 * quarter)).collect::<Vec<_>>());
    assert_eq!((known.start, known.points), (START, 24));
}

#[test]
fn who_never_spends_takes_no_memory_and_who_left_is_forgotten_in_time() {
    let mut world = World::new(64, 512);
    world.join("idle");
    world.spend("bot", 1, false, 0);
    world.read();
    assert_eq!(world.learner.agents(), ["bot".into()]);
    world.leave("bot");
    world.clock.advance(Duration::from_hours(13 * 24));
    world.read();
    assert_eq!(world.learner.agents().len(), 1);
    world.clock.advance(Duration::from_hours(15 * 24));
    world.read();
    assert!(world.learner.agents().is_empty());
}

#[test]
fn learning_takes_at_most_16_kib_of_an_agent() {
    let mut world = World::new(64, 512);
    for hour in 0..30 * 24 {
        world.spend("bot", hour + 1, false, 0);
        world.clock.advance(Duration::from_hours(1));
        world.read();
    }
    let bytes = world.learner.bytes("bot").unwrap();
    assert!((10_000..=16 * 1024).contains(&bytes), "{bytes}");
}

#[test]
fn all_agents_at_once_are_predicted_as_one_by_one() {
    let mut learner = learner(14);
    let now = Wall(START.0 + 10 * 24 * common::HOUR);
    for agent in 0..20_i64 {
        let hours = (0..240).map(|hour| {
            let amount = f64::from(u32::try_from((hour * (agent + 3)) % 24 + 1).unwrap());
            (Wall(START.0 + hour * common::HOUR), amount)
        });
        learner.load(&format!("agent {agent:02}"), &hours.collect::<Vec<_>>(), now).unwrap();
    }
    let question = Question { start: now, hours: 24, level: 0.8, margin: 1.2 };
    let all = learner.predict_all(&question, &Stop::default()).unwrap();
    assert_eq!(all.len(), 20);
    for (agent, prediction) in all {
        let alone = learner.predict(&agent, &question).unwrap().unwrap();
        assert_eq!(alone, prediction);
        let forecast = prediction.forecast;
        assert!(forecast.lower <= forecast.median && forecast.median <= forecast.upper);
        assert_eq!((prediction.hours, prediction.points, prediction.known_until), (240, 240, now));
    }
    assert_eq!(learner.predict("nobody", &question).unwrap(), None);
}

/// Spends and reads by the hour, for some days; the clock is wrong by so much for two quarter-hours of one of them, with
/// a reading in each.
fn days_of_habits(wrong_by: Option<i64>) -> World {
    const DAYS: u64 = 20;
    let mut world = World::new(16, 512);
    for hour in 0..DAYS * 24 {
        world.spend("bot", u32::try_from(hour % 24 + 1).unwrap(), false, 0);
        world.clock.advance(Duration::from_mins(30));
        if hour == (DAYS - 3) * 24
            && let Some(by) = wrong_by
        {
            world.clock.set_wall(Wall(world.clock.wall().0 + by));
            for _ in 0..2 {
                world.spend("bot", 1_000, false, 0);
                world.read();
                world.clock.advance(Duration::from_mins(15));
            }
            world.clock.set_wall(Wall(world.clock.wall().0 - by));
        } else {
            world.clock.advance(Duration::from_mins(30));
        }
        world.read();
    }
    world
}

#[test]
fn a_clock_that_was_wrong_for_a_while_changes_nothing_that_is_learned() {
    let right = days_of_habits(None);
    let usage = right.learner.usage("bot").unwrap();
    assert_eq!(usage.quarters.len(), 14 * 96);
    for days in [-10_000, -400, -30, 30, 400, 10_000] {
        let mut world = days_of_habits(Some(days * 24 * common::HOUR));
        assert_eq!(world.learner.usage("bot").unwrap().quarters, usage.quarters, "{days} days");
        let question = Question { start: right.clock.wall(), hours: 24, level: 0.8, margin: 1.2 };
        let prediction = world.learner.predict("bot", &question).unwrap().unwrap();
        assert_eq!((prediction.hours, prediction.known_until), (14 * 24, question.start));
        assert!((prediction.forecast.median - 300.0).abs() < 1.0, "{days} days: {prediction:?}");
    }
}

#[test]
fn a_clock_that_was_wrong_forgets_nobody_who_has_left_or_was_loaded() {
    let mut world = World::new(64, 512);
    let now = world.clock.wall();
    world.learner.load("loaded", &[(Wall(now.0 - common::HOUR), 1.0)], now).unwrap();
    world.spend("left", 1, false, 0);
    world.leave("left");
    for by in [400, -400] {
        world.clock.set_wall(Wall(now.0 + by * 24 * common::HOUR));
        world.read();
    }
    world.clock.set_wall(now);
    world.clock.advance(Duration::from_hours(13 * 24));
    world.read();
    assert_eq!(world.learner.agents(), ["left".into(), "loaded".into()]);
    world.clock.advance(Duration::from_hours(24));
    world.read();
    assert!(world.learner.agents().is_empty());
}

#[test]
fn what_is_dated_after_now_counts_when_its_time_comes() {
    let mut world = World::new(64, 512);
    world.spend("bot", 1, false, 0);
    world.clock.set_wall(Wall(START.0 + 24 * common::HOUR));
    world.spend("bot", 5, false, 0);
    world.clock.set_wall(START);
    world.clock.advance(Duration::from_hours(1));
    world.read();
    let known = |world: &World| world.learner.usage("bot").unwrap().quarters.iter().sum::<f64>();
    assert!((known(&world) - 1.0).abs() < f64::EPSILON);
    world.clock.advance(Duration::from_hours(24));
    world.read();
    assert!((known(&world) - 6.0).abs() < f64::EPSILON);
}

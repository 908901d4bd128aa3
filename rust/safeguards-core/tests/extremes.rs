//! Extreme amounts, extreme clocks: never a panic, sound books, and a refusal changes nothing.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "tests may, and so may their helpers")]

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use safeguards_core::amount::{Amount, MAX_UNITS};
use safeguards_core::clock::{Clock, ManualClock, Wall};
use safeguards_core::ledger::{
    Account, Bundle, Event, HistoryLimits, Ledger, LedgerError, NewPool, OperationId, Overage, Period,
    Periods, Request, Reservation, ResourceSnapshot, Schedule, Snapshot, Threshold,
};
use safeguards_core::window::{MAX_LENGTH_NANOS, MAX_LIMIT_UNITS, MIN_LENGTH_NANOS, Precision};

const NONE: OperationId = OperationId::NONE;
const AGENTS: [&str; 2] = ["ann", "bob"];
const POOLS: [&str; 3] = ["root", "daily", "often"];
const OVERAGES: [Overage; 3] = [Overage::AllowWithOverdraft, Overage::AllowIfAvailable, Overage::Reject];

#[derive(Clone, Copy, Debug)]
enum Step {
    Debit(usize, Amount),
    DebitMany(usize, i64),
    Reserve(usize, Amount, i64, Overage),
    Settle(usize, Amount),
    Release(usize),
    KeepAlive(usize),
    Update(usize, Amount),
    UpdatePool(usize, Amount),
    SetPeriod(Amount),
    Adjust(usize, i128),
    AdjustPool(usize, i128),
    Transfer(Amount),
    Window(usize, Amount, i64, Precision),
    Record(usize, Amount),
    RetryAfter(usize, Amount),
    WatchLow(usize, Amount),
    DebitResource(usize, Amount),
    ReserveResource(usize, Amount, i64, Overage),
    SettleResource(usize, Amount),
    UpdateResource(usize, Amount),
    SetCapacity(Amount),
    RemoveCapacity,
    Wall(i64),
    Advance(u64),
}

fn amount() -> impl Strategy<Value = Amount> {
    let units =
        prop_oneof![Just(0), Just(1), Just(MAX_UNITS), Just(MAX_UNITS - 1), 0..=MAX_UNITS, 0..100_i128];
    units.prop_map(|units| Amount::from_units(units).unwrap())
}

fn change() -> impl Strategy<Value = i128> {
    prop_oneof![
        Just(i128::MIN),
        Just(i128::MAX),
        Just(MAX_UNITS),
        Just(-MAX_UNITS),
        -MAX_UNITS..=MAX_UNITS,
        -9..9_i128
    ]
}

/// Nanoseconds at the ends of the line, and between.
fn nanos() -> impl Strategy<Value = i64> {
    let near = |end: i64| (0..5_i64).prop_map(move |by| if end < 0 { end + by } else { end - by });
    prop_oneof![near(i64::MIN), near(i64::MAX), any::<i64>(), -9_000_000_000_000_i64..9_000_000_000_000]
}

fn step() -> impl Strategy<Value = Step> {
    let agent = || 0..AGENTS.len();
    let pool = || 0..POOLS.len();
    let overage = || prop::sample::select(OVERAGES.to_vec());
    let ttl = || prop_oneof![Just(1), Just(i64::MAX), 1..1_000_000_000_000_i64];
    let length = prop_oneof![Just(MIN_LENGTH_NANOS), Just(MAX_LENGTH_NANOS), Just(1_000_000_000)];
    let precision = prop_oneof![Just(Precision::Exact), Just(Precision::Bucketed)];
    prop_oneof![
        4 => (agent(), amount()).prop_map(|(a, x)| Step::Debit(a, x)),
        1 => (agent(), 0..=i64::MAX).prop_map(|(a, x)| Step::DebitMany(a, x)),
        4 => (agent(), amount(), ttl(), overage()).prop_map(|(a, x, t, o)| Step::Reserve(a, x, t, o)),
        4 => (0..9_usize, amount()).prop_map(|(r, x)| Step::Settle(r, x)),
        1 => (0..9_usize).prop_map(Step::Release),
        1 => (0..9_usize).prop_map(Step::KeepAlive),
        2 => (agent(), amount()).prop_map(|(a, x)| Step::Update(a, x)),
        2 => (pool(), amount()).prop_map(|(p, x)| Step::UpdatePool(p, x)),
        1 => amount().prop_map(Step::SetPeriod),
        3 => (agent(), change()).prop_map(|(a, x)| Step::Adjust(a, x)),
        3 => (pool(), change()).prop_map(|(p, x)| Step::AdjustPool(p, x)),
        2 => amount().prop_map(Step::Transfer),
        2 => (agent(), amount(), length, precision).prop_map(|(a, x, l, p)| Step::Window(a, x, l, p)),
        2 => (agent(), amount()).prop_map(|(a, x)| Step::Record(a, x)),
        1 => (agent(), amount()).prop_map(|(a, x)| Step::RetryAfter(a, x)),
        1 => (pool(), amount()).prop_map(|(p, x)| Step::WatchLow(p, x)),
        2 => (agent(), amount()).prop_map(|(a, x)| Step::DebitResource(a, x)),
        2 => (agent(), amount(), ttl(), overage()).prop_map(|(a, x, t, o)| Step::ReserveResource(a, x, t, o)),
        2 => (0..9_usize, amount()).prop_map(|(r, x)| Step::SettleResource(r, x)),
        1 => (agent(), amount()).prop_map(|(a, x)| Step::UpdateResource(a, x)),
        1 => amount().prop_map(Step::SetCapacity),
        1 => Just(Step::RemoveCapacity),
        3 => nanos().prop_map(Step::Wall),
        2 => prop_oneof![Just(u64::MAX), 0..=u64::MAX, 0..2_000_000_000_000_u64].prop_map(Step::Advance),
    ]
}

struct World {
    ledger: Ledger,
    clock: Arc<ManualClock>,
    agents: [Arc<Account>; 2],
    pools: [Arc<Account>; 3],
    reservations: Vec<Reservation>,
    resources: Vec<Reservation<Bundle>>,
}

/// All that a refusal must leave as it was.
type Picture = (Vec<(Snapshot, Vec<Event>)>, Vec<Vec<ResourceSnapshot>>, Option<ResourceSnapshot>);

impl World {
    fn new(wall: i64) -> Self {
        let clock = Arc::new(ManualClock::new(Wall(wall)));
        let limits = HistoryLimits { events: 3, sums: 3 };
        let thresholds = vec![Threshold(1), Threshold(800_000), Threshold(u32::MAX)];
        let ledger = Ledger::new(Clock::Manual(Arc::clone(&clock)), limits, thresholds);
        let periods = [None, Some(Period::Daily), Some(Period::Every(1_000))];
        let parents = [None, Some("root"), Some("root")];
        let make = |i: usize| {
            let schedule = |period| Schedule::new(period, TimeZone::UTC, clock.wall());
            let rules = periods[i].map(|period| Periods::from(schedule(period)).into());
            let new = NewPool {
                name: None,
                id: POOLS[i],
                parent: parents[i],
                budget: Amount::MAX,
                priority: 5,
                rules: rules.unwrap_or_default(),
            };
            ledger.create_pool(new).unwrap()
        };
        let pools = [make(0), make(1), make(2)];
        let agents = [("ann", "daily"), ("bob", "often")].map(|(id, pool)| {
            let agent = ledger.register_agent(id, pool, 5, Amount::MAX).unwrap();
            ledger.initialize_resources(id, &[("gpu", Amount::MAX)]).unwrap();
            agent
        });
        Self { ledger, clock, agents, pools, reservations: Vec::new(), resources: Vec::new() }
    }

    fn picture(&self) -> Picture {
        let accounts = self.agents.iter().chain(&self.pools);
        let books = accounts
            .map(|account| (self.ledger.snapshot(account).unwrap(), self.ledger.events(account).unwrap()));
        let resources = self.agents.iter().map(|agent| self.ledger.resources(agent).unwrap());
        (books.collect(), resources.collect(), self.ledger.capacity("gpu"))
    }

    fn bundle(&self, x: Amount) -> Bundle {
        Bundle::of(self.ledger.resource_names().find("gpu").unwrap(), x)
    }

    fn take(&mut self, step: Step) -> Result<(), LedgerError> {
        let ledger = &self.ledger;
        match step {
            Step::Debit(a, x) => ledger.debit(&self.agents[a], &x, NONE).map(drop),
            Step::DebitMany(a, x) => {
                let handle = ledger.handle(AGENTS[a])?;
                ledger.debit_many(&[handle; 6], &[x; 6], NONE).map(drop).map_err(|refused| *refused.error)
            }
            Step::Reserve(a, amount, ttl_nanos, overage) => {
                let request = Request { what: amount, ttl_nanos, overage, operation: NONE };
                ledger.reserve(&self.agents[a], &request).map(|made| self.reservations.push(made))
            }
            Step::Settle(r, x) => {
                self.reservations.get(r).map_or(Ok(()), |held| ledger.settle(held, x).map(drop))
            }
            Step::Release(r) => self.reservations.get(r).map_or(Ok(()), |held| ledger.release(held)),
            Step::KeepAlive(r) => self.reservations.get(r).map_or(Ok(()), |held| ledger.keep_alive(held)),
            Step::Update(a, x) => ledger.update_budget(AGENTS[a], x),
            Step::UpdatePool(p, x) => ledger.update_pool_budget(POOLS[p], x),
            Step::SetPeriod(x) => ledger.set_period_budget("daily", x),
            Step::Adjust(a, x) => ledger.adjust_budget(AGENTS[a], x).map(drop),
            Step::AdjustPool(p, x) => ledger.adjust_pool_budget(POOLS[p], x).map(drop),
            Step::Transfer(x) => ledger.transfer("ann", "bob", x),
            Step::Window(a, x, length, precision) => {
                let limit = Amount::from_units(x.units().min(MAX_LIMIT_UNITS)).unwrap();
                ledger.set_rate_limit(AGENTS[a], limit, length, precision)
            }
            Step::Record(a, x) => ledger.record_usage(AGENTS[a], x, NONE),
            Step::RetryAfter(a, x) => ledger.retry_after(AGENTS[a], Some(x)).map(drop),
            Step::WatchLow(p, x) => ledger.watch_low(POOLS[p], Some(x)),
            Step::DebitResource(a, x) => ledger.debit(&self.agents[a], &self.bundle(x), NONE).map(drop),
            Step::ReserveResource(a, x, ttl_nanos, overage) => {
                let bundle = self.bundle(x);
                let request = Request { what: bundle.clone(), ttl_nanos, overage, operation: NONE };
                ledger.reserve(&self.agents[a], &request).map(|made| self.resources.push(made))
            }
            Step::SettleResource(r, x) => {
                let charged = self.bundle(x);
                self.resources.get(r).map_or(Ok(()), |held| ledger.settle(held, &charged).map(drop))
            }
            Step::UpdateResource(a, x) => ledger.update_resource(AGENTS[a], "gpu", x),
            Step::SetCapacity(x) => ledger.set_capacity("gpu", x),
            Step::RemoveCapacity => {
                ledger.remove_capacity("gpu").unwrap();
                Ok(())
            }
            Step::Wall(to) => {
                self.clock.set_wall(Wall(to));
                Ok(())
            }
            Step::Advance(by) => {
                self.clock.advance(Duration::from_nanos(by));
                Ok(())
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_panics_and_refusals_change_nothing(
        wall in nanos(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(wall);
        for step in steps {
            let before = world.picture();
            let outcome = world.take(step);
            if let Err(refusal) = outcome {
                prop_assert_eq!(&world.picture(), &before, "{:?} was refused: {}", step, refusal);
            }
            prop_assert_eq!(world.ledger.verify(), []);
        }
    }
}

/// The first hour of the line is cut off, and sums are kept by hour.
#[test]
fn older_usage_is_summed_at_the_very_begin_of_time() {
    for wall in [i64::MIN, i64::MIN + 1, i64::MIN + 3_600_000_000_000] {
        let world = World::new(wall);
        let one = Amount::from_units(1).unwrap();
        for _ in 0..100 {
            world.ledger.debit(&world.agents[0], &one, NONE).unwrap();
        }
        let usage = world.ledger.usage(&world.agents[0], Wall(i64::MIN), Wall::NEVER).unwrap();
        assert_eq!(usage.iter().map(|usage| usage.units).sum::<i128>(), 100);
        assert!(usage.is_sorted_by_key(|usage| usage.start));
        assert_eq!(world.ledger.verify(), []);
    }
}

/// At the end of the calendar no period begins any more, however often one looks.
#[test]
fn no_budget_is_granted_again_and_again_at_the_end_of_time() {
    let world = World::new(0);
    world.clock.set_wall(Wall(i64::MAX));
    let debit = || world.ledger.debit(&world.agents[0], &Amount::MAX, NONE);
    world.ledger.update_budget("ann", Amount::MAX).unwrap();
    debit().unwrap();
    world.ledger.update_budget("ann", Amount::MAX).unwrap();
    let Err(LedgerError::BudgetExceeded(refusal)) = debit() else { panic!("the period was granted twice") };
    assert_eq!(&*refusal.account, "daily");
}

#[test]
fn no_budget_is_raised_above_the_largest_amount() {
    let world = World::new(0);
    let before = world.picture();
    for refused in [
        world.ledger.adjust_budget("ann", 1).map(drop),
        world.ledger.adjust_budget("ann", i128::MAX).map(drop),
        world.ledger.adjust_pool_budget("root", 1).map(drop),
        world.ledger.transfer("ann", "bob", Amount::from_units(1).unwrap()),
    ] {
        let Err(LedgerError::Configuration(text)) = refused else { panic!("admitted: {refused:?}") };
        assert!(text.contains("must not be raised above 1000000000000000"), "{text}");
    }
    assert_eq!(world.picture(), before);
    assert_eq!(world.ledger.adjust_budget("ann", i128::MIN).unwrap(), -MAX_UNITS);
}

/// Shares of a huge budget are exact, and so are those of one that was granted more than any single amount.
#[test]
fn thresholds_of_huge_budgets_are_told() {
    let world = World::new(0);
    for _ in 0..3 {
        world.ledger.debit(&world.agents[0], &Amount::MAX, NONE).unwrap();
        world.ledger.adjust_budget("ann", MAX_UNITS).unwrap();
        world.ledger.update_pool_budget("daily", Amount::MAX).unwrap();
        world.ledger.update_pool_budget("root", Amount::MAX).unwrap();
    }
    assert!(world.ledger.has_alarms());
    assert_eq!(world.ledger.verify(), []);
}

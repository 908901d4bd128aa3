//! Budgets by resource type: each row of the state machine, random programs against a naive model, threads in each
//! other's way.

#![allow(clippy::unwrap_used, reason = "tests may, and so may their helpers")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use common::{SECOND, World, ledger, pool, whole};
use proptest::prelude::*;
use safeguards_core::amount::{Amount, UNITS_PER_ONE};
use safeguards_core::clock::ManualClock;
use safeguards_core::ledger::{
    Account, Alarm, Bundle, EventKind, Kind, Ledger, LedgerError, OperationId, Overage, Request, Reservation,
    ReservationState, WindowsOf,
};
use safeguards_core::window::Precision;

const NONE: OperationId = OperationId::NONE;
const NAMES: [&str; 3] = ["cpu", "gpu", "net"];
const KINDS: [Overage; 3] = [Overage::AllowWithOverdraft, Overage::AllowIfAvailable, Overage::Reject];

/// A world whose agent has 10 of each resource.
fn world() -> World {
    let world = World::new();
    world.ledger.initialize_resources("ann", &NAMES.map(|name| (name, whole(10)))).unwrap();
    world
}

fn bundle_of<'a>(ledger: &Ledger, amounts: impl IntoIterator<Item = (&'a str, Amount)>) -> Bundle {
    let names = ledger.resource_names();
    let mut bundle = Bundle::default();
    amounts.into_iter().for_each(|(name, amount)| bundle.set(names.find(name).unwrap(), amount));
    bundle
}

fn bundle(world: &World, amounts: &[(&str, i128)]) -> Bundle {
    bundle_of(&world.ledger, amounts.iter().map(|(name, wholes)| (*name, whole(*wholes))))
}

fn debit(world: &World, amounts: &[(&str, i128)]) -> Result<(), LedgerError> {
    world.ledger.try_debit(&world.ann, &bundle(world, amounts), NONE)
}

fn reserve(world: &World, amounts: &[(&str, i128)], overage: Overage) -> Reservation<Bundle> {
    let bundle = bundle(world, amounts);
    let request = Request { what: bundle.clone(), ttl_nanos: SECOND, overage, operation: NONE };
    world.ledger.reserve(&world.ann, &request).unwrap()
}

/// `remaining, reserved, spent` of each resource of an agent, in wholes.
fn books_of(ledger: &Ledger, agent: &Account) -> Vec<[i128; 3]> {
    let resources = ledger.resources(agent).unwrap();
    let balances = resources.iter().map(|found| found.balance);
    balances.map(|b| [b.remaining, b.reserved, b.spent].map(|units| units / UNITS_PER_ONE)).collect()
}

fn books(world: &World) -> Vec<[i128; 3]> {
    world.assert_sound();
    books_of(&world.ledger, &world.ann)
}

fn events(world: &World, resource: &str) -> Vec<(EventKind, i128)> {
    let events = world.ledger.resource_events(&world.ann, resource).unwrap();
    events.iter().map(|event| (event.kind, event.amount.units() / UNITS_PER_ONE)).collect()
}

#[test]
fn a_debit_charges_all_resources_or_none() {
    let world = world();
    debit(&world, &[("net", 1), ("cpu", 4)]).unwrap();
    assert_eq!(books(&world), [[6, 0, 4], [10, 0, 0], [9, 0, 1]]);
    let error = debit(&world, &[("cpu", 6), ("gpu", 10), ("net", 10)]).unwrap_err();
    let LedgerError::BudgetExceeded(refusal) = error else { panic!("{error}") };
    assert_eq!((refusal.resource.as_deref(), refusal.kind), (Some("net"), Kind::Agent));
    assert_eq!((&*refusal.account, refusal.requested), ("ann", whole(10).units()));
    assert_eq!(books(&world), [[6, 0, 4], [10, 0, 0], [9, 0, 1]]);
    assert_eq!(events(&world, "cpu"), [(EventKind::Update, 10), (EventKind::Debit, 4)]);
    assert_eq!(events(&world, "gpu"), [(EventKind::Update, 10)]);
}

#[test]
fn a_receipt_tells_what_remains_of_each() {
    let world = world();
    let bundle = bundle(&world, &[("net", 1), ("cpu", 4)]);
    let receipt = world.ledger.debit(&world.ann, &bundle, NONE).unwrap();
    let names = receipt.lines.iter().map(|line| world.ledger.resource_name(line.resource).to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["cpu", "net"]);
    let lines = receipt.lines.iter().map(|line| (line.amount, line.remaining, line.sequence));
    let expected = [(whole(4), whole(6).units(), 2), (whole(1), whole(9).units(), 2)];
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

#[test]
fn money_and_resources_do_not_touch_each_other() {
    let world = world();
    debit(&world, &[("cpu", 4)]).unwrap();
    world.debit(3).unwrap();
    assert_eq!(world.books(), [(10, 7, 0, 3), (50, 47, 0, 3), (100, 97, 0, 3)]);
    assert_eq!(books(&world), [[6, 0, 4], [10, 0, 0], [10, 0, 0]]);
}

#[test]
fn an_unknown_resource_is_told_with_those_that_are_known() {
    let world = world();
    world.ledger.set_capacity("tpu", whole(1)).unwrap();
    let tpu = debit(&world, &[("cpu", 1), ("tpu", 0)]).unwrap_err();
    assert_eq!(world.ledger.resource_names().find("disk"), None);
    for (unknown, error) in [("tpu", tpu), ("disk", world.ledger.unknown_resource(&world.ann, "disk"))] {
        let LedgerError::UnknownResource { account, resource, known } = error else { panic!("{error}") };
        assert_eq!((&*account, &*resource), ("ann", unknown));
        assert_eq!(known.iter().map(|name| &**name).collect::<Vec<_>>(), NAMES);
    }
    assert_eq!(books(&world), [[10, 0, 0]; 3]);
}

#[test]
fn a_bundle_names_a_resource_once() {
    let world = world();
    let (cpu, gpu) = (bundle(&world, &[("cpu", 1)]), bundle(&world, &[("gpu", 1)]));
    let items = || cpu.iter().chain(gpu.iter());
    assert_eq!(Bundle::new(items()).unwrap(), bundle(&world, &[("gpu", 1), ("cpu", 1)]));
    assert_eq!(Bundle::new(items().chain(cpu.iter())), None);
    let mut set = gpu.clone();
    items().chain(cpu.iter()).for_each(|(resource, amount)| set.set(resource, amount));
    assert_eq!(set, bundle(&world, &[("cpu", 1), ("gpu", 1)]));
}

#[test]
fn settling_charges_what_it_took_and_returns_the_rest() {
    let world = world();
    let held = reserve(&world, &[("cpu", 4), ("gpu", 2)], Overage::Reject);
    assert_eq!(books(&world), [[6, 4, 0], [8, 2, 0], [10, 0, 0]]);
    let took = bundle(&world, &[("cpu", 3)]);
    let receipt = world.ledger.settle(&held, &took).unwrap();
    assert_eq!(books(&world), [[7, 0, 3], [10, 0, 0], [10, 0, 0]]);
    assert_eq!(world.ledger.settle(&held, &took).unwrap(), receipt);
    assert_eq!(world.ledger.reservation_state(&held).unwrap(), ReservationState::Settled);
    let other = world.ledger.settle(&held, bundle(&world, &[("cpu", 2)]));
    assert!(matches!(other, Err(LedgerError::ReservationClosed { number: 1, .. })));
    assert!(world.ledger.release(&held).is_err());
    assert_eq!(books(&world), [[7, 0, 3], [10, 0, 0], [10, 0, 0]]);
    assert_eq!(events(&world, "cpu")[1..], [(EventKind::Reserve, 4), (EventKind::Settle, 3)]);
}

#[test]
fn settling_for_more_is_a_matter_of_policy() {
    for (overage, is_admitted) in KINDS.into_iter().zip([true, false, false]) {
        let world = world();
        let held = reserve(&world, &[("cpu", 4)], overage);
        debit(&world, &[("cpu", 5)]).unwrap();
        // Two more of what was reserved, and one of what was not.
        let outcome = world.ledger.settle(&held, bundle(&world, &[("cpu", 6), ("net", 1)]));
        assert_eq!(outcome.is_ok(), is_admitted, "{overage:?}");
        if is_admitted {
            assert_eq!(books(&world), [[-1, 0, 11], [10, 0, 0], [9, 0, 1]]);
            assert!(debit(&world, &[("cpu", 0)]).is_ok() && debit(&world, &[("cpu", 1)]).is_err());
        } else {
            assert_eq!(books(&world), [[1, 4, 5], [10, 0, 0], [10, 0, 0]]);
            assert_eq!(world.ledger.reservation_state(&held).unwrap(), ReservationState::Active);
        }
    }
}

#[test]
fn time_gives_back_and_a_late_settlement_still_charges() {
    let world = world();
    let held = reserve(&world, &[("cpu", 10), ("gpu", 1)], Overage::AllowWithOverdraft);
    let kept = reserve(&world, &[("net", 10)], Overage::AllowWithOverdraft);
    world.ledger.keep_alive(&kept).unwrap();
    world.advance(SECOND);
    // Nobody has looked: the debit itself finds out that its resources are free.
    debit(&world, &[("cpu", 10)]).unwrap();
    assert_eq!(world.ledger.reservation_state(&held).unwrap(), ReservationState::Expired);
    world.ledger.settle(&held, bundle(&world, &[("cpu", 1), ("gpu", 1)])).unwrap();
    assert_eq!(books(&world), [[-1, 0, 11], [9, 0, 1], [0, 10, 0]]);
    assert_eq!(events(&world, "gpu")[2..], [(EventKind::Expire, 1), (EventKind::LateSettle, 1)]);
    world.ledger.let_expire(&kept).unwrap();
    assert_eq!(world.ledger.expire(), 1);
    assert_eq!(books(&world)[2], [10, 0, 0]);
}

#[test]
fn one_timer_serves_money_and_resources() {
    let world = world();
    let money = world.ledger.reserve(&world.ann, &common::request(3)).unwrap();
    let held = reserve(&world, &[("cpu", 4)], Overage::Reject);
    world.advance(SECOND);
    assert_eq!((world.ledger.expire(), books(&world)[0]), (1, [10, 0, 0]));
    assert_eq!(world.ledger.reservation_state(&money).unwrap(), ReservationState::Active);
    world.advance(common::TTL);
    assert_eq!(world.ledger.expire(), 1);
    assert_eq!(world.ledger.reservation_state(&money).unwrap(), ReservationState::Expired);
    assert_eq!(world.ledger.reservation_state(&held).unwrap(), ReservationState::Expired);
}

#[test]
fn a_capacity_binds_all_agents_together() {
    let world = world();
    let bob = world.ledger.register_agent("bob", "team", 5, whole(0)).unwrap();
    world.ledger.initialize_resources("bob", &[("gpu", whole(10))]).unwrap();
    let held = reserve(&world, &[("gpu", 2)], Overage::Reject);
    debit(&world, &[("gpu", 3)]).unwrap();
    world.ledger.set_capacity("gpu", whole(4)).unwrap();
    let books_of_capacity = || {
        world.assert_sound();
        let found = world.ledger.capacity("gpu").unwrap();
        assert!(found.balance.is_balanced());
        [found.balance.remaining, found.balance.reserved, found.balance.spent].map(|u| u / UNITS_PER_ONE)
    };
    assert_eq!(books_of_capacity(), [4, 2, 3]);
    let of_bob = bundle(&world, &[("gpu", 4)]);
    world.ledger.try_debit(&bob, &of_bob, NONE).unwrap();
    assert_eq!(books_of_capacity(), [0, 2, 7]);
    let error = debit(&world, &[("cpu", 1), ("gpu", 1)]).unwrap_err();
    let LedgerError::BudgetExceeded(refusal) = error else { panic!("{error}") };
    assert_eq!((refusal.resource.as_deref(), refusal.kind), (Some("gpu"), Kind::Pool));
    assert_eq!(books(&world)[0], [10, 0, 0]);
    world.ledger.release(&held).unwrap();
    assert_eq!(books_of_capacity(), [2, 0, 7]);
    // Agents that leave, or begin anew, leave their spending behind.
    world.ledger.unregister_agent("bob").unwrap();
    world.ledger.initialize_resources("ann", &[("gpu", whole(10))]).unwrap();
    assert_eq!(books_of_capacity(), [2, 0, 7]);
    assert!(debit(&world, &[("gpu", 3)]).is_err());
    assert!(world.ledger.remove_capacity("gpu").unwrap() && !world.ledger.remove_capacity("gpu").unwrap());
    debit(&world, &[("gpu", 3)]).unwrap();
    assert_eq!(world.ledger.capacity("gpu"), None);
}

#[test]
fn resources_begin_anew_unless_some_are_reserved() {
    let world = world();
    let held = reserve(&world, &[("cpu", 4)], Overage::Reject);
    let refused = world.ledger.initialize_resources("ann", &[("disk", whole(1))]);
    assert!(matches!(refused, Err(LedgerError::Configuration(_))));
    assert!(matches!(world.ledger.unregister_agent("ann"), Err(LedgerError::Configuration(_))));
    world.ledger.settle(&held, bundle(&world, &[("cpu", 4)])).unwrap();
    world.ledger.initialize_resources("ann", &[("disk", whole(1)), ("cpu", whole(2))]).unwrap();
    assert_eq!(books(&world), [[2, 0, 0], [1, 0, 0]]);
    assert_eq!(events(&world, "cpu"), [(EventKind::Update, 2)]);
    world.ledger.update_resource("ann", "cpu", whole(7)).unwrap();
    assert_eq!(books(&world), [[7, 0, 0], [1, 0, 0]]);
}

#[test]
fn thresholds_are_told_of_budgets_and_capacities() {
    let world = World::with_thresholds(&[800_000, 1_000_000]);
    world.ledger.initialize_resources("ann", &NAMES.map(|name| (name, whole(10)))).unwrap();
    world.ledger.set_capacity("gpu", whole(5)).unwrap();
    debit(&world, &[("cpu", 8), ("gpu", 5)]).unwrap();
    let alarms = world.ledger.take_alarms();
    let told = alarms.iter().map(|alarm| match alarm {
        Alarm::Crossing(c) => (&*c.account, c.kind, c.resource.as_deref(), c.threshold.0),
        other => panic!("nobody asked for {other:?}"),
    });
    let expected = [("gpu", Kind::Pool, Some("gpu"), 1_000_000), ("ann", Kind::Agent, Some("cpu"), 800_000)];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn a_key_has_one_effect_and_shares_no_table_with_money() {
    let world = world();
    let four = bundle(&world, &[("cpu", 4)]);
    let receipt = world.ledger.debit_keyed(&world.ann, &four, NONE, "k").unwrap();
    let again = world.ledger.debit_keyed(&world.ann, &four, NONE, "k").unwrap();
    assert_eq!((again.value, again.is_repeat, receipt.is_repeat), (receipt.value, true, false));
    let other = bundle(&world, &[("cpu", 4), ("gpu", 1)]);
    let conflict = world.ledger.debit_keyed(&world.ann, &other, NONE, "k");
    assert!(matches!(conflict, Err(LedgerError::IdempotencyConflict(_))));
    world.ledger.debit_keyed(&world.ann, &whole(1), NONE, "k").unwrap();
    assert_eq!(books(&world)[0], [6, 0, 4]);
}

// ---------------------------------------------------------------------------------------------- a naive model

const AGENTS: [&str; 2] = ["ann", "bob"];
const TICK: i64 = 1_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Books {
    remaining: i128,
    reserved: i128,
    spent: i128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Active,
    Expired,
    Released,
    Settled([i128; 3]),
}

#[derive(Clone, Debug)]
struct Held {
    agent: usize,
    amounts: [i128; 3],
    overage: Overage,
    deadline: i64,
    stage: Stage,
}

#[derive(Debug, Default)]
struct Model {
    now: i64,
    books: [[Books; 3]; 2],
    capacities: [Option<Books>; 3],
    held: Vec<Held>,
    /// The limit of the one window of each, and what was charged to it: when, and how much.
    windows: [[Option<ModelWindow>; 3]; 2],
}

type ModelWindow = (i128, Vec<(i64, i128)>);

/// Ticks that a charge stays in a window.
const LENGTH: i64 = 4;

impl Model {
    /// Moves each resource by what must remain of it and the changes of its three balances, all or none.
    fn pass(&mut self, agent: usize, moves: [(Option<i128>, [i128; 3]); 3]) -> bool {
        let lacks = |books: &Books, needs: Option<i128>| needs.is_some_and(|needs| books.remaining < needs);
        let refused = (0..3).any(|r| {
            let needs = moves[r].0;
            lacks(&self.books[agent][r], needs)
                || self.capacities[r].as_ref().is_some_and(|books| lacks(books, needs))
                || needs.is_some_and(|needs| !self.has_room(agent, r, needs))
        });
        if !refused {
            for (r, (_, [remaining, reserved, spent])) in moves.into_iter().enumerate() {
                for books in std::iter::once(&mut self.books[agent][r]).chain(&mut self.capacities[r]) {
                    books.remaining += remaining;
                    books.reserved += reserved;
                    books.spent += spent;
                }
                if let Some((_, charges)) = &mut self.windows[agent][r] {
                    charges.push((self.now, spent));
                }
            }
        }
        !refused
    }

    fn spent_in_window(&self, agent: usize, resource: usize) -> i128 {
        let charges = self.windows[agent][resource].iter().flat_map(|(_, charges)| charges);
        charges.filter(|(at, _)| at + LENGTH > self.now).map(|(_, x)| x).sum()
    }

    /// Whether so much fits beside what was charged and what is reserved.
    fn has_room(&self, agent: usize, resource: usize, x: i128) -> bool {
        let used = self.spent_in_window(agent, resource) + self.books[agent][resource].reserved;
        self.windows[agent][resource].as_ref().is_none_or(|(limit, _)| used + x <= *limit)
    }

    fn debit(&mut self, agent: usize, amounts: [i128; 3]) -> bool {
        self.pass(agent, amounts.map(|x| ((x > 0).then_some(x), [-x, 0, x])))
    }

    fn reserve(&mut self, agent: usize, amounts: [i128; 3], overage: Overage, ttl: i64) -> bool {
        let is_passed = self.pass(agent, amounts.map(|x| ((x > 0).then_some(x), [-x, x, 0])));
        if is_passed {
            let deadline = self.now + ttl;
            self.held.push(Held { agent, amounts, overage, deadline, stage: Stage::Active });
        }
        is_passed
    }

    fn settle(&mut self, which: usize, charged: [i128; 3]) -> bool {
        let Held { agent, amounts, overage, stage, .. } = self.held[which].clone();
        match stage {
            Stage::Settled(before) => return before == charged,
            Stage::Released => return false,
            Stage::Active | Stage::Expired => {}
        }
        let is_over = (0..3).any(|r| charged[r] > amounts[r]);
        if overage == Overage::Reject && is_over {
            return false;
        }
        let fact = overage == Overage::AllowWithOverdraft;
        let reserved = if stage == Stage::Active { amounts } else { [0; 3] };
        let moves = [0, 1, 2].map(|r| {
            let (held, x) = (reserved[r], charged[r]);
            ((!fact && x > held).then_some(x - held), [held - x, -held, x])
        });
        let is_passed = self.pass(agent, moves);
        if is_passed {
            self.held[which].stage = Stage::Settled(charged);
        }
        is_passed
    }

    /// Gives back an active reservation.
    fn give_back(&mut self, which: usize, stage: Stage) {
        let Held { agent, amounts, .. } = self.held[which];
        self.pass(agent, amounts.map(|x| (None, [x, -x, 0])));
        self.held[which].stage = stage;
    }

    fn release(&mut self, which: usize) -> bool {
        if self.held[which].stage == Stage::Active {
            self.give_back(which, Stage::Released);
        }
        !matches!(self.held[which].stage, Stage::Settled(_))
    }

    fn advance(&mut self, ticks: i64) {
        self.now += ticks;
        for which in 0..self.held.len() {
            if self.held[which].stage == Stage::Active && self.held[which].deadline <= self.now {
                self.give_back(which, Stage::Expired);
            }
        }
    }

    fn set_capacity(&mut self, resource: usize, units: i128) {
        let books = self.capacities[resource].get_or_insert_with(|| {
            let all = || self.books.iter().map(|books| books[resource]);
            let (reserved, spent) = (all().map(|b| b.reserved).sum(), all().map(|b| b.spent).sum());
            Books { remaining: 0, reserved, spent }
        });
        books.remaining = units;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Debit(usize, [i128; 3]),
    Reserve(usize, [i128; 3], usize, i64),
    Settle(usize, [i128; 3]),
    Release(usize),
    Advance(i64),
    Update(usize, usize, i128),
    SetCapacity(usize, i128),
    RemoveCapacity(usize),
    Window(usize, usize, i128),
    Acquire(usize, usize, i128),
}

fn step() -> impl Strategy<Value = Step> {
    let amounts = || [0..5_i128, 0..5_i128, 0..5_i128];
    prop_oneof![
        4 => (0..2_usize, amounts()).prop_map(|(agent, x)| Step::Debit(agent, x)),
        4 => (0..2_usize, amounts(), 0..3_usize, 1..6_i64).prop_map(|(a, x, o, t)| Step::Reserve(a, x, o, t)),
        4 => (0..8_usize, amounts()).prop_map(|(which, x)| Step::Settle(which, x)),
        2 => (0..8_usize).prop_map(Step::Release),
        2 => (1..4_i64).prop_map(Step::Advance),
        1 => (0..2_usize, 0..3_usize, 0..12_i128).prop_map(|(a, r, x)| Step::Update(a, r, x)),
        1 => (0..3_usize, 0..15_i128).prop_map(|(r, x)| Step::SetCapacity(r, x)),
        1 => (0..3_usize).prop_map(Step::RemoveCapacity),
        1 => (0..2_usize, 0..3_usize, 0..12_i128).prop_map(|(a, r, x)| Step::Window(a, r, x)),
        1 => (0..2_usize, 0..3_usize, 1..5_i128).prop_map(|(a, r, x)| Step::Acquire(a, r, x)),
    ]
}

/// Windows of a resource.
fn of(agent: usize, resource: usize) -> WindowsOf<'static> {
    WindowsOf { account: AGENTS[agent], kind: None, resource: Some(NAMES[resource]) }
}

/// The ledger, driven by the same steps.
struct Driven {
    ledger: Arc<Ledger>,
    clock: Arc<ManualClock>,
    recorder: common::Recorder,
    agents: [Arc<Account>; 2],
    held: Vec<Reservation<Bundle>>,
}

impl Driven {
    fn new() -> Self {
        let (ledger, clock, recorder) = common::recorded_ledger(&[]);
        ledger.create_pool(pool("team", None, 100)).unwrap();
        let agents = AGENTS.map(|id| ledger.register_agent(id, "team", 5, whole(0)).unwrap());
        let nothing = NAMES.map(|name| (name, Amount::ZERO));
        for id in AGENTS {
            ledger.initialize_resources(id, &nothing).unwrap();
        }
        Self { ledger, clock, recorder, agents, held: Vec::new() }
    }

    fn bundle(&self, amounts: [i128; 3]) -> Bundle {
        let amounts = amounts.map(|x| Amount::from_units(x).unwrap());
        bundle_of(&self.ledger, NAMES.into_iter().zip(amounts))
    }

    /// Does a step here and in the model: both must say the same.
    fn compare(&mut self, step: &Step, model: &mut Model) {
        let here = match *step {
            Step::Debit(agent, amounts) => {
                let agent = &self.agents[agent];
                self.ledger.try_debit(agent, &self.bundle(amounts), NONE).is_ok()
            }
            Step::Reserve(agent, amounts, overage, ttl) => {
                let agent = &self.agents[agent];
                let (bundle, overage) = (self.bundle(amounts), KINDS[overage]);
                let ttl_nanos = ttl * TICK;
                let request = Request { what: bundle.clone(), ttl_nanos, overage, operation: NONE };
                let made = self.ledger.reserve(agent, &request);
                made.map(|made| self.held.push(made)).is_ok()
            }
            Step::Settle(which, charged) => self
                .held
                .get(which)
                .is_some_and(|held| self.ledger.settle(held, self.bundle(charged)).is_ok()),
            Step::Release(which) => {
                self.held.get(which).is_some_and(|held| self.ledger.release(held).is_ok())
            }
            Step::Advance(ticks) => {
                self.clock.advance(Duration::from_nanos((ticks * TICK).unsigned_abs()));
                true
            }
            Step::Update(agent, resource, x) => {
                let budget = Amount::from_units(x).unwrap();
                self.ledger.update_resource(AGENTS[agent], NAMES[resource], budget).is_ok()
            }
            Step::SetCapacity(resource, x) => {
                self.ledger.set_capacity(NAMES[resource], Amount::from_units(x).unwrap()).is_ok()
            }
            Step::RemoveCapacity(resource) => self.ledger.remove_capacity(NAMES[resource]).unwrap(),
            Step::Window(agent, resource, x) => {
                let limit = Amount::from_units(x).unwrap();
                let set =
                    self.ledger.set_rate_limit(of(agent, resource), limit, LENGTH * TICK, Precision::Exact);
                set.is_ok()
            }
            Step::Acquire(agent, resource, x) => {
                self.ledger.acquire(of(agent, resource), Amount::from_units(x).unwrap()).is_ok()
            }
        };
        let there = match *step {
            Step::Debit(agent, amounts) => model.debit(agent, amounts),
            Step::Reserve(agent, amounts, overage, ttl) => model.reserve(agent, amounts, KINDS[overage], ttl),
            Step::Settle(which, charged) => which < model.held.len() && model.settle(which, charged),
            Step::Release(which) => which < model.held.len() && model.release(which),
            Step::Advance(ticks) => {
                model.advance(ticks);
                true
            }
            Step::Update(agent, resource, x) => {
                model.books[agent][resource].remaining = x;
                true
            }
            Step::SetCapacity(resource, x) => {
                model.set_capacity(resource, x);
                true
            }
            Step::RemoveCapacity(resource) => model.capacities[resource].take().is_some(),
            Step::Window(agent, resource, x) => {
                model.windows[agent][resource].get_or_insert_default().0 = x;
                true
            }
            Step::Acquire(agent, resource, x) => {
                let fits = model.has_room(agent, resource, x);
                let now = model.now;
                if let Some((_, charges)) = model.windows[agent][resource].as_mut().filter(|_| fits) {
                    charges.push((now, x));
                }
                fits
            }
        };
        assert_eq!(here, there, "{step:?}");
    }

    fn assert_equal(&self, model: &Model) {
        let of = |b: &safeguards_core::ledger::Balance| Books {
            remaining: b.remaining,
            reserved: b.reserved,
            spent: b.spent,
        };
        for (agent, books) in self.agents.iter().zip(&model.books) {
            let found = self.ledger.resources(agent).unwrap();
            assert_eq!(found.iter().map(|found| of(&found.balance)).collect::<Vec<_>>(), books);
        }
        for (agent, resource) in (0..2).flat_map(|agent| (0..3).map(move |resource| (agent, resource))) {
            let found = self.ledger.windows(self::of(agent, resource)).unwrap();
            let found = found.first().map(|found| (found.limit.units(), found.spent, found.reserved));
            let expected = model.windows[agent][resource].as_ref().map(|(limit, _)| {
                let reserved = model.books[agent][resource].reserved;
                (*limit, model.spent_in_window(agent, resource), reserved)
            });
            assert_eq!(found, expected);
        }
        let capacities = NAMES.map(|name| self.ledger.capacity(name).map(|found| of(&found.balance)));
        assert_eq!(capacities, model.capacities);
        assert_eq!(self.ledger.verify(), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_ledger_does_what_a_naive_model_does(
        steps in prop::collection::vec((step(), any::<bool>()), 1..60),
    ) {
        let (mut driven, mut model) = (Driven::new(), Model::default());
        for (step, look) in steps {
            driven.compare(&step, &mut model);
            // Nobody need look for it to be right.
            if look {
                driven.assert_equal(&model);
            }
        }
        driven.assert_equal(&model);
        driven.recorder.assert_replays(&driven.ledger);
    }
}

// ---------------------------------------------------------------------------------------------- threads

#[test]
fn no_reader_ever_sees_a_part_of_a_debit() {
    let world = world();
    let all = NAMES.map(|name| (name, whole(1_000_000)));
    world.ledger.initialize_resources("ann", &all).unwrap();
    let (ledger, ann) = (Arc::clone(&world.ledger), Arc::clone(&world.ann));
    let bundle = Arc::new(bundle(&world, &[("cpu", 1), ("gpu", 1), ("net", 1)]));
    let (start, done) = (Arc::new(Barrier::new(20)), Arc::new(AtomicBool::new(false)));
    let writer = |i: usize| {
        let (ledger, ann, bundle, start) =
            (Arc::clone(&ledger), Arc::clone(&ann), Arc::clone(&bundle), Arc::clone(&start));
        thread::spawn(move || {
            start.wait();
            for turn in 0..2_000 {
                let overage = Overage::Reject;
                let request =
                    Request { what: Bundle::clone(&bundle), ttl_nanos: SECOND, overage, operation: NONE };
                match (turn + i) % 3 {
                    0 => drop(ledger.settle(&ledger.reserve(&ann, &request).unwrap(), &*bundle)),
                    1 => ledger.release(&ledger.reserve(&ann, &request).unwrap()).unwrap(),
                    _ => ledger.try_debit(&ann, &*bundle, NONE).unwrap(),
                }
            }
        })
    };
    let reader = || {
        let (ledger, ann, start, done) =
            (Arc::clone(&ledger), Arc::clone(&ann), Arc::clone(&start), Arc::clone(&done));
        thread::spawn(move || {
            start.wait();
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                let found = ledger.resources(&ann).unwrap();
                assert!(found.iter().all(|one| one.balance == found[0].balance), "{found:?}");
                seen += 1;
            }
            seen
        })
    };
    let readers: Vec<_> = (0..4).map(|_| reader()).collect();
    let writers: Vec<_> = (0..16).map(writer).collect();
    for thread in writers {
        thread.join().unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let seen: usize = readers.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(seen > 100, "readers saw {seen} moments only");
    let [remaining, reserved, spent] = books(&world)[0];
    assert_eq!((reserved, remaining + spent), (0, 1_000_000));
}

#[test]
fn sixteen_threads_share_a_capacity_to_the_last_unit() {
    let (ledger, _) = ledger(&[]);
    ledger.create_pool(pool("team", None, 0)).unwrap();
    let names = ["a", "b", "c", "d", "e"];
    for i in 0..16 {
        let id = i.to_string();
        ledger.register_agent(&id, "team", 5, whole(0)).unwrap();
        ledger.initialize_resources(&id, &names.map(|name| (name, whole(1_000)))).unwrap();
    }
    for name in names {
        ledger.set_capacity(name, whole(700)).unwrap();
    }
    let start = Arc::new(Barrier::new(16));
    let threads: Vec<_> = (0..16_usize)
        .map(|i| {
            let (ledger, start) = (Arc::clone(&ledger), Arc::clone(&start));
            thread::spawn(move || {
                let agent = ledger.agent(&i.to_string()).unwrap();
                // Sets that overlap, each thread's in another order.
                let pair = [names[i % 5], names[(i + 1 + i / 5) % 5]].map(|name| (name, whole(1)));
                let bundle = bundle_of(&ledger, pair);
                start.wait();
                (0..500).filter(|_| ledger.try_debit(&agent, &bundle, NONE).is_ok()).count()
            })
        })
        .collect();
    let admitted: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(ledger.verify(), []);
    let spent = names.map(|name| ledger.capacity(name).unwrap().balance.spent / UNITS_PER_ONE);
    assert!(spent.iter().all(|spent| *spent <= 700), "{spent:?}");
    assert_eq!(spent.iter().sum::<i128>(), 2 * i128::try_from(admitted).unwrap());
    // Somebody was refused, and whoever was could not have been paid.
    assert!(admitted < 8_000);
}

//! What a journal is told, what it may refuse, and several lines of accounts that are charged at once: every world here
//! is made again out of its changes, and must be the same.

#![allow(clippy::unwrap_used, reason = "tests may, and so may their helpers")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::origins::Origins;
use common::{Recorder, TTL, World, pool, recorded_ledger, request, whole};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use safeguards_core::amount::{Amount, UNITS_PER_ONE};
use safeguards_core::clock::{ManualClock, Wall};
use safeguards_core::ledger::{
    Account, AccountChange, AnyReservation, Bundle, Change, ChargeId, Credit, EventKind, Execution, Instant,
    Kind, Ledger, LedgerError, Moved, NewPool, OperationId, Order, Overage, Path, Period, Periods, Posted,
    Receipt, Request, Reservation, ReservationState, Rules, Schedule, Why, WindowsOf,
};
use safeguards_core::window::Precision;

const NONE: OperationId = OperationId::NONE;

fn now(ledger: &Ledger) -> Instant {
    Instant { monotonic: ledger.clock().monotonic(), wall: ledger.clock().wall() }
}

// ---------------------------------------------------------------------------------------------- one record for each

#[test]
fn a_debit_is_one_change_that_names_its_path() {
    let world = World::new();
    let before = world.recorder.changes().len();
    world.debit(3).unwrap();
    let changes = world.recorder.changes();
    let [(_, Change::Posted(Posted { path, agent, key: None, reservation: None, .. }))] = &changes[before..]
    else {
        panic!("{:?}", &changes[before..]);
    };
    assert_eq!((*path, *agent), (world.ann.number(), world.ann.number()));
}

#[test]
fn a_refusal_writes_nothing() {
    let world = World::new();
    let before = world.recorder.changes().len();
    assert!(world.debit(11).is_err());
    assert!(world.ledger.reserve(&world.ann, &request(11)).is_err());
    assert!(world.ledger.transfer("ann", "ann", whole(1)).is_err());
    assert_eq!(world.recorder.changes().len(), before);
}

#[test]
fn a_budget_of_later_periods_leaves_an_event_and_a_change() {
    let (ledger, clock, recorder) = recorded_ledger(&[]);
    let daily = daily_pool(&ledger, &clock);
    ledger.set_period_budget("daily", whole(7)).unwrap();
    let events = ledger.events(&daily).unwrap();
    assert_eq!(events.last().map(|event| event.kind), Some(EventKind::PeriodBudget));
    let (_, last) = recorder.changes().pop().unwrap();
    let expected = AccountChange::PeriodBudgetSet(whole(7));
    assert_eq!(last, Change::Account { account: daily.number(), change: expected });
    clock.advance(Duration::from_hours(24));
    assert_eq!(ledger.remaining(&daily).unwrap(), whole(7).units());
    assert!(matches!(
        recorder.changes().pop(),
        Some((_, Change::Account { change: AccountChange::Renewed { .. }, .. }))
    ));
    recorder.assert_replays(&ledger);
}

/// Carries out an order on an account: one that is called `team` or `daily` is a pool.
fn execute(ledger: &Ledger, account: &str, order: Order) -> Result<Moved, LedgerError> {
    let kind = if ["team", "daily"].contains(&account) { Kind::Pool } else { Kind::Agent };
    ledger.execute(&Execution { kind, account, order, actor: "a test", reason: "to see" })
}

fn daily_pool(ledger: &Ledger, clock: &ManualClock) -> Arc<Account> {
    let rules = Periods::from(Schedule::new(Period::Daily, TimeZone::UTC, clock.wall())).into();
    let new = NewPool { name: None, id: "daily", parent: None, budget: whole(5), priority: 5, rules };
    ledger.create_pool(new).unwrap()
}

#[test]
fn a_decision_is_one_change_with_who_and_why() {
    let (ledger, clock, recorder) = recorded_ledger(&[]);
    let daily = daily_pool(&ledger, &clock);
    let before = recorder.changes().len();
    let order = Order::Adjust { by: whole(2).units(), later_periods: whole(3).units() };
    let moved = execute(&ledger, "daily", order).unwrap();
    assert_eq!((moved.before, moved.by), (whole(5).units(), whole(2).units()));
    assert_eq!(moved.later_periods, whole(3).units());
    let changes = recorder.changes();
    let [(_, Change::Executed(executed))] = &changes[before..] else { panic!("{:?}", &changes[before..]) };
    let expected = [AccountChange::Adjusted(whole(2).units()), AccountChange::PeriodBudgetSet(whole(8))];
    assert_eq!((executed.account, &*executed.changes), (daily.number(), &expected[..]));
    assert_eq!((&*executed.actor, &*executed.reason), ("a test", "to see"));
    recorder.assert_replays(&ledger);
    clock.advance(Duration::from_hours(24));
    assert_eq!(ledger.remaining(&daily).unwrap(), whole(8).units());
    recorder.assert_replays(&ledger);
}

#[test]
fn a_decision_takes_at_most_what_remains() {
    let world = World::new();
    world.debit(7).unwrap();
    let order = |by: i128| Order::Adjust { by: UNITS_PER_ONE * by, later_periods: 0 };
    let moved = execute(&world.ledger, "ann", order(-5)).unwrap();
    assert_eq!(moved, Moved { before: whole(3).units(), by: -3 * UNITS_PER_ONE, later_periods: 0 });
    assert_eq!(world.books_of(&world.ann), (7, 0, 0, 7));
    let changes = world.recorder.changes().len();
    assert_eq!(execute(&world.ledger, "ann", order(-5)).unwrap().by, 0);
    assert_eq!(world.recorder.changes().len(), changes, "nothing changes, and nothing is written");
    assert_eq!(execute(&world.ledger, "ann", Order::Set(whole(4))).unwrap().by, whole(4).units());
    assert_eq!(world.books_of(&world.ann), (11, 4, 0, 7));
    world.assert_sound();
}

#[test]
fn a_decision_that_cannot_be_made_whole_is_not_made() {
    let (ledger, clock, recorder) = recorded_ledger(&[]);
    daily_pool(&ledger, &clock);
    ledger.register_agent("ann", "daily", 5, whole(1)).unwrap();
    let before = (recorder.changes().len(), ledger.state_lines(now(&ledger)));
    // An agent has no later periods, and nothing can be raised beyond what an amount holds.
    let later = Order::Adjust { by: 1, later_periods: 1 };
    assert!(matches!(execute(&ledger, "ann", later), Err(LedgerError::Configuration(_))));
    let beyond = Order::Adjust { by: Amount::MAX.units(), later_periods: 1 };
    assert!(matches!(execute(&ledger, "daily", beyond), Err(LedgerError::Configuration(_))));
    assert!(matches!(execute(&ledger, "eve", later), Err(LedgerError::UnknownAgent(_))));
    ledger.pin("daily", true).unwrap();
    let pinned = execute(&ledger, "daily", Order::Set(whole(9)));
    assert!(matches!(pinned, Err(LedgerError::Pinned(id)) if &*id == "daily"));
    ledger.pin("daily", false).unwrap();
    assert_eq!(ledger.state_lines(now(&ledger)), before.1);
    assert_eq!(recorder.changes().len(), before.0 + 2, "the pin and its end");
    recorder.assert_replays(&ledger);
}

// ---------------------------------------------------------------------------------------------- what it refuses

const GPUS: WindowsOf<'_> = WindowsOf { account: "ann", kind: None, resource: Some("gpu") };

/// Everything that can be asked of a ledger, each of which a full journal refuses.
fn attempts(world: &World) -> Vec<(&'static str, Result<(), LedgerError>)> {
    let ledger = &world.ledger;
    let one = whole(1);
    let bundle = Bundle::of(ledger.resource_names().find("gpu").unwrap(), one);
    let ask = Request { what: bundle.clone(), ttl_nanos: TTL, overage: Overage::Reject, operation: NONE };
    vec![
        ("debit", ledger.debit(&world.ann, &one, NONE).map(drop)),
        ("keyed debit", ledger.debit_keyed(&world.ann, &one, NONE, "k").map(drop)),
        ("keyed debit of nothing", ledger.debit_keyed(&world.ann, &Amount::ZERO, NONE, "n").map(drop)),
        ("reserve", ledger.reserve(&world.ann, &request(1)).map(drop)),
        ("keyed reserve", ledger.reserve_keyed(&world.ann, &request(1), "r").map(drop)),
        ("joint", ledger.joint(&world.ann, &["bob"]).map(drop)),
        ("debit of resources", ledger.debit(&world.ann, &bundle, NONE).map(drop)),
        ("reserve of resources", ledger.reserve(&world.ann, &ask).map(drop)),
        ("update", ledger.update_budget("ann", one)),
        ("update of a pool", ledger.update_pool_budget("team", one)),
        ("adjust", ledger.adjust_budget("ann", 1).map(drop)),
        ("adjust of a pool", ledger.adjust_pool_budget("team", -1).map(drop)),
        ("transfer", ledger.transfer("ann", "bob", one)),
        ("move", ledger.move_account(Kind::Agent, "bob", Some("root"), Why { actor: "ann", reason: "" })),
        ("suspend", ledger.suspend("team", true, Why { actor: "ann", reason: "" })),
        ("refund", ledger.refund(ChargeId::Key("charged"), None).map(drop)),
        ("credit", ledger.credit("ann", one, Wall(i64::MAX - 1)).map(drop)),
        ("credit of a line", ledger.credit_line("bob", one, Wall(i64::MAX - 1)).map(drop)),
        ("execute", execute(ledger, "ann", Order::Adjust { by: 1, later_periods: 0 }).map(drop)),
        ("execute on a pool", execute(ledger, "team", Order::Set(one)).map(drop)),
        ("set window", ledger.set_rate_limit("ann", one, 1_000, Precision::Exact)),
        ("remove window", ledger.remove_rate_limit("ann", None).map(drop)),
        ("set window of a pool", ledger.set_rate_limit("team", whole(90), 1_000, Precision::Exact)),
        ("set window of a resource", ledger.set_rate_limit(GPUS, whole(90), 1_000, Precision::Exact)),
        ("acquire", ledger.acquire("ann", one)),
        ("acquire of a resource", ledger.acquire(GPUS, one)),
        ("record of a pool", ledger.record_usage("team", one, NONE)),
        ("record", ledger.record_usage("ann", one, NONE)),
        ("register", ledger.register_agent("eve", "team", 5, one).map(drop)),
        ("create", ledger.create_pool(pool("new", None, 1)).map(drop)),
        ("pin", ledger.pin("ann", true)),
        ("watch", ledger.watch_low("team", Some(one))),
        ("resources", ledger.initialize_resources("bob", &[("gpu", one)])),
        ("unregister", ledger.unregister_agent("bob")),
        ("update of a resource", ledger.update_resource("ann", "gpu", one)),
        ("capacity", ledger.set_capacity("gpu", one)),
        ("a new resource", ledger.set_capacity("disk", one)),
        (
            "batch of reservations",
            ledger
                .reserve_many_while(&[ledger.handle("ann").unwrap()], &[1], terms(), || true)
                .map(drop)
                .map_err(|e| *e.error),
        ),
        (
            "batch",
            ledger.debit_many(&[ledger.handle("ann").unwrap()], &[1], NONE).map(drop).map_err(|e| *e.error),
        ),
    ]
}

#[test]
fn what_cannot_be_written_does_not_happen() {
    let world = World::new();
    world.ledger.register_agent("bob", "team", 5, whole(10)).unwrap();
    world.ledger.initialize_resources("ann", &[("gpu", whole(10))]).unwrap();
    world.ledger.set_capacity("gpu", whole(20)).unwrap();
    world.ledger.debit_keyed(&world.ann, &whole(1), NONE, "charged").unwrap();
    world.ledger.set_rate_limit("ann", whole(9), TTL, Precision::Exact).unwrap();
    world.ledger.set_rate_limit("root", whole(9), TTL, Precision::Exact).unwrap();
    world.ledger.set_rate_limit(GPUS, whole(9), TTL, Precision::Exact).unwrap();
    let held = world.ledger.reserve(&world.ann, &request(2)).unwrap();
    let before = world.ledger.state_lines(now(&world.ledger));
    let ann = [world.ledger.handle("ann").unwrap()];
    world.recorder.set_full(true);
    let holding: Vec<(&str, Result<(), LedgerError>)> = vec![
        ("settle", world.ledger.settle(&held, whole(1)).map(drop)),
        ("release", world.ledger.release(&held)),
        ("keep alive", world.ledger.keep_alive(&held)),
        ("extend", world.ledger.extend(&held, TTL)),
        (
            "batch of settlements",
            world.ledger.settle_many_while(&ann, &[1], &[1], || true).map(drop).map_err(|e| *e.error),
        ),
        (
            "batch of releases",
            world.ledger.release_many_while(&ann, &[1], || true).map(drop).map_err(|e| *e.error),
        ),
    ];
    for (what, answer) in attempts(&world).into_iter().chain(holding) {
        let Err(LedgerError::Unwritten(unwritten)) = answer else { panic!("{what}: {answer:?}") };
        assert_eq!(&*unwritten.reason, "the disk is full", "{what}");
    }
    assert_eq!(world.ledger.state_lines(now(&world.ledger)), before);
    world.recorder.set_full(false);
    for (what, answer) in attempts(&world) {
        answer.unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    world.ledger.settle(&held, whole(1)).unwrap();
    world.assert_sound();
}

#[test]
fn what_is_over_expires_when_it_can_be_written() {
    let world = World::new();
    let held = world.ledger.reserve(&world.ann, &Request { ttl_nanos: 5, ..request(4) }).unwrap();
    world.recorder.set_full(true);
    world.advance(5);
    assert_eq!(world.ledger.expire(), 0);
    assert_eq!(world.books_of(&world.ann), (10, 6, 4, 0), "reads show the books as of the fault");
    assert!(matches!(world.debit(8), Err(LedgerError::BudgetExceeded(_))));
    world.recorder.set_full(false);
    world.advance(2 * common::SECOND);
    assert_eq!(world.ledger.reservation_state(&held).unwrap(), ReservationState::Expired);
    world.debit(8).unwrap();
    world.assert_sound();
}

// ---------------------------------------------------------------------------------------------- a reservation's ends

#[test]
fn a_second_handle_settles_nothing_twice() {
    let world = World::new();
    let first = world.ledger.reserve(&world.ann, &request(4)).unwrap();
    let handles = world.ledger.reservations(&world.ann).unwrap();
    let [AnyReservation::Money(second)] = &handles[..] else { panic!("{handles:?}") };
    assert_eq!((second, second.what()), (&first, &whole(4)));
    let receipt = world.ledger.settle(second, whole(3)).unwrap();
    assert_eq!(world.ledger.settle(&first, whole(3)).unwrap(), receipt);
    assert!(matches!(world.ledger.settle(&first, whole(2)), Err(LedgerError::ReservationClosed { .. })));
    assert_eq!(world.books_of(&world.ann), (10, 7, 0, 3));
    world.assert_sound();
}

#[test]
fn a_reservation_of_another_ledger_is_unknown() {
    let (here, there) = (World::new(), World::new());
    let held = there.ledger.reserve(&there.ann, &request(4)).unwrap();
    let answer = here.ledger.settle(&held, whole(4));
    assert!(matches!(answer, Err(LedgerError::ReservationForgotten { number: 1, .. })), "{answer:?}");
    assert!(here.ledger.release(&held).is_err());
    assert_eq!(there.books_of(&there.ann), (10, 6, 4, 0));
}

#[test]
fn a_reservation_lives_longer_if_it_is_extended() {
    let world = World::new();
    let held = world.ledger.reserve(&world.ann, &Request { ttl_nanos: 10, ..request(4) }).unwrap();
    world.advance(9);
    world.ledger.extend(&held, 10).unwrap();
    world.advance(9);
    assert_eq!(world.ledger.reservation_state(&held).unwrap(), ReservationState::Active);
    world.assert_sound();
    world.advance(1);
    assert_eq!(world.ledger.reservation_state(&held).unwrap(), ReservationState::Expired);
    assert!(matches!(world.ledger.extend(&held, 10), Err(LedgerError::ReservationClosed { .. })));
    world.assert_sound();
}

// ---------------------------------------------------------------------------------------------- several lines at once

/// Two trees: `org` above `red` and `blue`, and `models` above the pool `opus`; agents `ann` in red, `bob` in blue.
struct Trees {
    ledger: Arc<Ledger>,
    clock: Arc<ManualClock>,
    recorder: Recorder,
    accounts: Vec<Arc<Account>>,
}

const IDS: [&str; 7] = ["org", "red", "blue", "models", "opus", "ann", "bob"];
const PARENTS: [Option<usize>; 7] = [None, Some(0), Some(0), None, Some(3), Some(1), Some(2)];

impl Trees {
    fn new(budgets: [i128; 7]) -> Self {
        let (ledger, clock, recorder) = recorded_ledger(&[800_000]);
        let mut accounts = Vec::new();
        for (i, id) in IDS.into_iter().enumerate() {
            let parent = PARENTS[i].map(|parent| IDS[parent]);
            accounts.push(match (i, parent) {
                (5.., Some(parent)) => ledger.register_agent(id, parent, 5, whole(budgets[i])).unwrap(),
                _ => ledger.create_pool(pool(id, parent, budgets[i])).unwrap(),
            });
        }
        Self { ledger, clock, recorder, accounts }
    }

    fn spent(&self) -> [i128; 7] {
        let books = |i: usize| self.ledger.snapshot(&self.accounts[i]).unwrap().balance;
        std::array::from_fn(|i| books(i).spent / UNITS_PER_ONE)
    }

    fn debit(&self, agent: usize, also: &[&str], wholes: i128) -> Result<(), LedgerError> {
        let joint = self.ledger.joint(&self.accounts[agent], also)?;
        let path = Path::with(&self.accounts[agent], joint.as_ref());
        self.ledger.debit(path, &whole(wholes), NONE).map(drop)
    }

    fn assert_sound(&self) {
        assert_eq!(self.ledger.verify(), []);
        self.recorder.assert_replays(&self.ledger);
    }
}

#[test]
fn one_debit_is_charged_to_several_trees_all_or_nothing() {
    let trees = Trees::new([100, 50, 50, 10, 6, 20, 20]);
    trees.debit(5, &["opus"], 4).unwrap();
    assert_eq!(trees.spent(), [4, 4, 0, 4, 4, 4, 0]);
    let refused = trees.debit(5, &["opus"], 3).unwrap_err();
    assert!(matches!(refused, LedgerError::BudgetExceeded(refusal) if &*refusal.account == "opus"));
    assert_eq!(trees.spent(), [4, 4, 0, 4, 4, 4, 0]);
    trees.assert_sound();
}

#[test]
fn an_account_that_is_met_twice_is_charged_once() {
    let trees = Trees::new([100, 50, 50, 10, 6, 20, 20]);
    trees.debit(5, &["bob", "org", "blue"], 2).unwrap();
    assert_eq!(trees.spent(), [2, 2, 2, 0, 0, 2, 2]);
    trees.assert_sound();
    // What adds nothing is the agent's own path, and names none.
    assert!(trees.ledger.joint(&trees.accounts[5], &["ann", "red", "org"]).unwrap().is_none());
}

#[test]
fn a_set_of_accounts_is_named_once() {
    let trees = Trees::new([100; 7]);
    for also in [["opus", "bob"], ["bob", "opus"]] {
        trees.debit(5, &also, 1).unwrap();
    }
    let named = trees
        .recorder
        .changes()
        .iter()
        .filter(|(_, change)| matches!(change, Change::PathNamed { .. }))
        .count();
    assert_eq!(named, 1);
    trees.assert_sound();
}

#[test]
fn windows_of_all_agents_on_the_path_bind() {
    let trees = Trees::new([100; 7]);
    trees.ledger.set_rate_limit("bob", whole(3), TTL, Precision::Exact).unwrap();
    trees.debit(5, &["bob"], 2).unwrap();
    let refused = trees.debit(5, &["bob"], 2).unwrap_err();
    assert!(matches!(refused, LedgerError::RateLimitExceeded(refusal) if &*refusal.account == "bob"));
    assert_eq!(trees.spent()[6], 2);
    assert_eq!(trees.ledger.windows("bob").unwrap()[0].spent, whole(2).units());
    trees.assert_sound();
}

#[test]
fn windows_of_all_pools_on_the_path_bind_and_each_is_charged_once() {
    let trees = Trees::new([100; 7]);
    for pool in &IDS[..5] {
        trees.ledger.set_rate_limit(*pool, whole(5), TTL, Precision::Exact).unwrap();
    }
    let spent = |trees: &Trees| {
        let window = |id: &&str| trees.ledger.windows(*id).unwrap()[0];
        IDS[..5]
            .iter()
            .map(window)
            .map(|w| (w.spent / UNITS_PER_ONE, w.reserved / UNITS_PER_ONE))
            .collect::<Vec<_>>()
    };
    let path = closure(&PARENTS, 5, &[6]);
    let charged =
        |x, held| (0..5).map(|i| if path.contains(&i) { (x, held) } else { (0, 0) }).collect::<Vec<_>>();
    trees.debit(5, &["bob"], 3).unwrap();
    assert_eq!(spent(&trees), charged(3, 0));
    let refused = trees.debit(5, &["bob"], 3).unwrap_err();
    let LedgerError::RateLimitExceeded(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(
        (refused.kind, trees.ledger.fits_at(&refused).map(|at| at.since(refused.now))),
        (Kind::Pool, Some(TTL))
    );
    let joint = trees.ledger.joint(&trees.accounts[5], &["bob"]).unwrap();
    let held = trees.ledger.reserve(Path::with(&trees.accounts[5], joint.as_ref()), &request(2)).unwrap();
    assert_eq!(spent(&trees), charged(3, 2));
    trees.ledger.settle(&held, whole(1)).unwrap();
    assert_eq!(spent(&trees), charged(4, 0));
    trees.ledger.acquire("ann", whole(1)).unwrap();
    assert!(trees.ledger.acquire("bob", whole(2)).is_err());
    trees.recorder.assert_replays(&trees.ledger);
    trees.assert_sound();
}

#[test]
fn an_agent_that_holds_for_another_cannot_leave() {
    let trees = Trees::new([100; 7]);
    let joint = trees.ledger.joint(&trees.accounts[5], &["bob"]).unwrap();
    let held = trees.ledger.reserve(Path::with(&trees.accounts[5], joint.as_ref()), &request(3)).unwrap();
    assert!(matches!(trees.ledger.unregister_agent("bob"), Err(LedgerError::Configuration(_))));
    trees.ledger.release(&held).unwrap();
    trees.ledger.unregister_agent("bob").unwrap();
    assert!(matches!(trees.debit(5, &["bob"], 1), Err(LedgerError::UnknownAlso(_))));
    let gone = trees.ledger.debit(Path::with(&trees.accounts[5], joint.as_ref()), &whole(1), NONE);
    assert!(matches!(gone, Err(LedgerError::UnknownAgent(id)) if &*id == "bob"));
    trees.assert_sound();
}

#[derive(Clone, Debug)]
enum Step {
    Debit(usize, Vec<usize>, i128),
    Reserve(usize, Vec<usize>, i128, i64),
    Settle(usize, i128),
    Release(usize),
    Expire(u64),
    Update(usize, i128),
    Window(usize, i128),
    Refund(usize, i128),
    Move(usize, usize),
    /// To an account, or to it and all above it, for so many nanoseconds.
    Credit(usize, bool, usize, u64),
}

/// The accounts of a path as a set, each with all above it.
fn closure(parents: &[Option<usize>; 7], agent: usize, also: &[usize]) -> BTreeSet<usize> {
    let up = |i: usize| std::iter::successors(Some(i), |i| parents[*i]);
    std::iter::once(agent).chain(also.iter().copied()).flat_map(up).collect()
}

/// Of each account, how often its budget was set, and its stretch.
type Marks = [(usize, usize); 7];

/// Where what remains comes from, and plain integers for what is reserved and spent.
struct Naive {
    origins: [Origins; 7],
    books: [[i128; 2]; 7],
    held: Vec<Option<(BTreeSet<usize>, i128, u64)>>,
    parents: [Option<usize>; 7],
    /// How often each budget was set.
    set: [usize; 7],
    /// What was debited and is not given back, of which accounts, and when.
    debits: Vec<(BTreeSet<usize>, i128, Marks)>,
}

impl Naive {
    fn shift(&mut self, path: &BTreeSet<usize>, by: [i128; 2], act: impl Fn(&mut Origins)) {
        for i in path {
            for (book, by) in self.books[*i].iter_mut().zip(by) {
                *book += by;
            }
            act(&mut self.origins[*i]);
        }
    }

    fn admits(&self, path: &BTreeSet<usize>, x: i128) -> bool {
        x == 0 || path.iter().all(|i| self.origins[*i].remaining() >= x)
    }

    fn marks(&self) -> Marks {
        std::array::from_fn(|i| (self.set[i], self.origins[i].stretch()))
    }

    /// Whether an account may move below another one, with all below it.
    fn moves(&mut self, i: usize, to: usize) -> bool {
        let is_below = |account: usize, top: usize| closure(&self.parents, account, &[]).contains(&top);
        let below: Vec<_> = (0..7).filter(|account| is_below(*account, i)).collect();
        let holds = |(path, ..): &(BTreeSet<usize>, i128, u64)| below.iter().any(|it| path.contains(it));
        if self.parents[i] == Some(to) {
            return true;
        }
        if is_below(to, i) || self.held.iter().flatten().any(holds) {
            return false;
        }
        self.parents[i] = Some(to);
        true
    }

    /// Gives back at most what is left of a debit: to those accounts whose budgets are still the ones it was paid from.
    fn refund(&mut self, d: usize, x: i128) -> bool {
        let (path, left, marks) = &mut self.debits[d];
        if *left < x {
            return false;
        }
        *left -= x;
        for i in path.iter() {
            self.books[*i][1] -= x;
            let (set, stretch) = marks[*i];
            self.origins[*i].refund(stretch, x, set == self.set[*i]);
        }
        true
    }

    fn close(&mut self, r: usize, charged: i128) -> bool {
        let Some((path, x, _)) = self.held.get_mut(r).and_then(Option::take) else { return false };
        self.shift(&path, [-x, charged], |origins| origins.settle(r, x, charged));
        true
    }

    fn expire(&mut self, now: u64) {
        for origins in &mut self.origins {
            origins.end(now.cast_signed());
        }
        for r in 0..self.held.len() {
            if self.held[r].as_ref().is_some_and(|(_, _, deadline)| *deadline <= now) {
                self.close(r, 0);
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let agent = || 5..7_usize;
    let also = || prop::collection::vec(0..7_usize, 0..4);
    prop_oneof![
        4 => (agent(), also(), 0..9_i128).prop_map(|(a, also, x)| Step::Debit(a, also, x)),
        4 => (agent(), also(), 0..9_i128, 1..9_i64).prop_map(|(a, also, x, ttl)| {
            // What holds nothing keeps nobody from moving, and cannot be settled on who has moved.
            let x = if also.is_empty() { x } else { x.max(1) };
            Step::Reserve(a, also, x, ttl)
        }),
        3 => (0..20_usize, 0..12_i128).prop_map(|(r, x)| Step::Settle(r, x)),
        1 => (0..20_usize).prop_map(Step::Release),
        2 => (1..5_u64).prop_map(Step::Expire),
        1 => (0..7_usize, 0..40_i128).prop_map(|(i, x)| Step::Update(i, x)),
        1 => (0..7_usize, 0..9_i128).prop_map(|(i, x)| Step::Window(i, x)),
        2 => (0..20_usize, 0..6_i128).prop_map(|(d, x)| Step::Refund(d, x)),
        1 => (prop::sample::select(vec![1, 2, 4, 5, 6]), 0..5_usize).prop_map(|(i, to)| Step::Move(i, to)),
        2 => (0..7_usize, any::<bool>(), 1..20_usize, 1..9_u64)
            .prop_map(|(i, above, x, nanos)| Step::Credit(i, above, x, nanos)),
    ]
}

/// Both, driven by the same steps.
struct Both {
    trees: Trees,
    naive: Naive,
    handles: Vec<Reservation>,
    receipts: Vec<Receipt>,
    now: u64,
}

impl Both {
    fn new(budgets: [i128; 7]) -> Self {
        let (trees, origins) = (Trees::new(budgets), budgets.map(Origins::new));
        let (parents, set) = (PARENTS, [0; 7]);
        let naive = Naive { origins, books: [[0; 2]; 7], held: Vec::new(), parents, set, debits: Vec::new() };
        Self { trees, naive, handles: Vec::new(), receipts: Vec::new(), now: 0 }
    }

    fn joint(&self, agent: usize, also: &[usize]) -> Option<Arc<safeguards_core::ledger::Joint>> {
        let also: Vec<_> = also.iter().map(|i| IDS[*i]).collect();
        self.trees.ledger.joint(&self.trees.accounts[agent], &also).unwrap()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Debit(agent, also, x) => {
                let joint = self.joint(*agent, also);
                let path = Path::with(&self.trees.accounts[*agent], joint.as_ref());
                let done = self.trees.ledger.debit(path, &whole(*x), NONE);
                let accounts = closure(&self.naive.parents, *agent, also);
                assert_eq!(done.is_ok(), self.naive.admits(&accounts, *x));
                if let Ok(receipt) = done {
                    let marks = self.naive.marks();
                    self.naive.shift(&accounts, [0, *x], |origins| origins.debit(*x));
                    self.naive.debits.push((accounts, *x, marks));
                    self.receipts.push(receipt);
                }
            }
            Step::Reserve(agent, also, x, ttl) => {
                let joint = self.joint(*agent, also);
                let path = Path::with(&self.trees.accounts[*agent], joint.as_ref());
                let made = self.trees.ledger.reserve(path, &Request { ttl_nanos: *ttl, ..request(*x) });
                let accounts = closure(&self.naive.parents, *agent, also);
                assert_eq!(made.is_ok(), self.naive.admits(&accounts, *x));
                if let Ok(made) = made {
                    let number = self.naive.held.len();
                    self.naive.shift(&accounts, [*x, 0], |origins| origins.reserve(number, *x));
                    self.naive.held.push(Some((accounts, *x, self.now + ttl.unsigned_abs())));
                    self.handles.push(made);
                }
            }
            Step::Settle(r, x) if self.naive.held.get(*r).is_some_and(Option::is_some) => {
                self.trees.ledger.settle(&self.handles[*r], whole(*x)).unwrap();
                self.naive.close(*r, *x);
            }
            Step::Release(r) if self.naive.held.get(*r).is_some_and(Option::is_some) => {
                self.trees.ledger.release(&self.handles[*r]).unwrap();
                self.naive.close(*r, 0);
            }
            Step::Expire(nanos) => {
                self.trees.clock.advance(Duration::from_nanos(*nanos));
                self.now += nanos;
                self.trees.ledger.expire();
                self.naive.expire(self.now);
            }
            Step::Update(i, x) => {
                let update = if *i < 5 { Ledger::update_pool_budget } else { Ledger::update_budget };
                update(&self.trees.ledger, IDS[*i], whole(*x)).unwrap();
                self.naive.origins[*i].set(*x);
                self.naive.set[*i] += 1;
            }
            Step::Move(i, to) => {
                let kind = if *i < 5 { Kind::Pool } else { Kind::Agent };
                let why = Why { actor: "model", reason: "to see" };
                let done = self.trees.ledger.move_account(kind, IDS[*i], Some(IDS[*to]), why);
                assert_eq!(done.is_ok(), self.naive.moves(*i, *to), "{done:?}");
                for (account, id) in self.trees.accounts.iter_mut().zip(IDS) {
                    *account = self.trees.ledger.account_by_id(id).unwrap();
                }
            }
            Step::Credit(i, above, x, nanos) => {
                let ends = (self.now + nanos).cast_signed();
                let credit = if *above { Ledger::credit_line } else { Ledger::credit };
                let id = credit(&self.trees.ledger, IDS[*i], whole(*x as i128), Wall(ends)).unwrap().id;
                let line = std::iter::successors(Some(*i), |i| self.naive.parents[*i]);
                for i in line.take(if *above { 7 } else { 1 }) {
                    self.naive.origins[i].credit(id.0, *x, ends);
                }
            }
            Step::Refund(d, x) if *d < self.receipts.len() => {
                let refund = self.trees.ledger.refund(ChargeId::Receipt(&self.receipts[*d]), Some(whole(*x)));
                assert_eq!(refund.is_ok(), self.naive.refund(*d, *x), "{refund:?}");
            }
            Step::Window(agent, x) => {
                let limit = whole(x + 1_000);
                self.trees.ledger.set_rate_limit(IDS[*agent], limit, TTL, Precision::Bucketed).unwrap();
            }
            Step::Settle(..) | Step::Release(_) | Step::Refund(..) => {}
        }
    }

    fn compare(&self) {
        let books = self.naive.origins.iter().zip(&self.naive.books);
        for (account, (origins, [reserved, spent])) in self.trees.accounts.iter().zip(books) {
            let books = self.trees.ledger.snapshot(account).unwrap().balance;
            let books = [books.remaining, books.reserved, books.spent].map(|units| units / UNITS_PER_ONE);
            assert_eq!(books, [origins.remaining(), *reserved, *spent], "{}", account.id());
            let line = |it: &Credit| (it.id.0, [it.left, it.reserved, it.spent, it.gone]);
            let mut credits: Vec<_> = self.trees.ledger.credits(account).unwrap().iter().map(line).collect();
            credits.sort_unstable();
            let expected = origins.lines().into_iter();
            let expected = expected.map(|(id, a, b, c, d)| (id, [a, b, c, d].map(|it| it * UNITS_PER_ONE)));
            assert_eq!(credits, expected.collect::<Vec<_>>(), "{}", account.id());
        }
        assert_eq!(self.trees.ledger.verify(), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn several_lines_at_once_do_what_a_naive_model_does(
        budgets in prop::array::uniform7(0..40_i128),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut both = Both::new(budgets);
        for step in &steps {
            both.step(step);
            both.compare();
        }
        both.trees.recorder.assert_replays(&both.trees.ledger);
    }
}

#[test]
fn threads_that_charge_several_lines_never_wait_for_each_other() {
    let trees = Arc::new(Trees::new([1_000_000; 7]));
    let also: [&[&str]; 4] = [&["bob"], &["ann"], &["opus", "blue"], &["red", "opus", "bob"]];
    let threads: Vec<_> = (0..4)
        .map(|i| {
            let trees = Arc::clone(&trees);
            std::thread::spawn(move || {
                for turn in 0..500 {
                    let agent = 5 + (turn + i) % 2;
                    trees.debit(agent, also[i], 1).unwrap();
                    let joint = trees.ledger.joint(&trees.accounts[agent], also[i]).unwrap();
                    let path = Path::with(&trees.accounts[agent], joint.as_ref());
                    let held = trees.ledger.reserve(path, &request(2)).unwrap();
                    trees.ledger.settle(&held, whole(1)).unwrap();
                    if turn % 50 == 0 {
                        assert_eq!(trees.ledger.verify(), []);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    trees.assert_sound();
}

// ---------------------------------------------------------------------------------------------- batches

fn terms() -> Request<()> {
    Request { what: (), ttl_nanos: TTL, overage: Overage::AllowWithOverdraft, operation: NONE }
}

/// A step of a batch: agent, units, and for what is closed the place of a reservation among all that were asked for.
type Item = (usize, i64, usize);

#[derive(Clone, Debug)]
enum Batch {
    Debit(Vec<Item>),
    Reserve(Vec<Item>, i64, Overage),
    Settle(Vec<Item>),
    Release(Vec<Item>),
    PassTime(u64),
    Bundle(usize),
}

fn batch() -> impl Strategy<Value = Batch> {
    let items = || prop::collection::vec((0..3_usize, 0..30_i64, 0..60_usize), 0..14);
    let overage = prop_oneof![
        Just(Overage::AllowWithOverdraft),
        Just(Overage::AllowIfAvailable),
        Just(Overage::Reject)
    ];
    prop_oneof![
        1 => items().prop_map(Batch::Debit),
        3 => (items(), (1..9_i64).prop_map(|micros| micros * 1_000), overage).prop_map(|(items, ttl, overage)| Batch::Reserve(items, ttl, overage)),
        3 => items().prop_map(Batch::Settle),
        1 => items().prop_map(Batch::Release),
        2 => (1..5_u64).prop_map(Batch::PassTime),
        1 => (0..3_usize).prop_map(Batch::Bundle),
    ]
}

/// Three agents in two pools, one of which is in overdraft; one agent has a window.
struct Crowd {
    ledger: Arc<Ledger>,
    clock: Arc<ManualClock>,
    recorder: Recorder,
    agents: Vec<Arc<Account>>,
    /// Agent and number of all that were asked for.
    asked: Vec<(usize, u64)>,
    handles: Vec<Option<Reservation>>,
}

impl Crowd {
    fn new() -> Self {
        let (ledger, clock, recorder) = recorded_ledger(&[500_000]);
        let units = |units| Amount::from_units(units).unwrap();
        let pool = |id, parent, budget| safeguards_core::ledger::NewPool {
            id,
            name: None,
            parent,
            budget: units(budget),
            priority: 5,
            rules: Rules::default(),
        };
        ledger.create_pool(pool("top", None, 400)).unwrap();
        ledger.create_pool(pool("rich", Some("top"), 300)).unwrap();
        ledger.create_pool(pool("poor", Some("top"), 20)).unwrap();
        let agents = [("ann", "rich", 90), ("bob", "rich", 200), ("eve", "poor", 100)];
        let agents: Vec<_> = agents
            .map(|(id, pool, budget)| ledger.register_agent(id, pool, 5, units(budget)).unwrap())
            .into();
        ledger.set_rate_limit("bob", units(60), 4_000, Precision::Exact).unwrap();
        for agent in ["ann", "bob", "eve"] {
            ledger.initialize_resources(agent, &[("gpu", whole(100))]).unwrap();
        }
        let held = ledger.reserve(&agents[2], &Request { what: units(5), ..request(1) }).unwrap();
        ledger.settle(&held, units(25)).unwrap();
        Self { ledger, clock, recorder, agents, asked: Vec::new(), handles: Vec::new() }
    }

    fn handle(&self, agent: usize) -> u32 {
        self.ledger.handle(self.agents[agent].id()).unwrap()
    }

    /// What is closed: agent, number and units of each item.
    fn closed(&self, items: &[Item]) -> Vec<(usize, u64, i64)> {
        let closed = |(_, units, place): &Item| {
            let (agent, number) = *self.asked.get(place % self.asked.len().max(1))?;
            Some((agent, number, *units))
        };
        items.iter().filter_map(closed).collect()
    }

    /// Something that batches do not know, which shares the numbers.
    fn apart(&mut self, batch: &Batch) {
        match batch {
            Batch::PassTime(micros) => self.clock.advance(Duration::from_micros(*micros)),
            Batch::Bundle(agent) => {
                let bundle = Bundle::of(self.ledger.resource_names().find("gpu").unwrap(), whole(1));
                let request =
                    Request { what: bundle, ttl_nanos: 3_000, overage: Overage::Reject, operation: NONE };
                let made = self.ledger.reserve(&self.agents[*agent], &request).unwrap();
                self.asked.push((*agent, made.number()));
                self.handles.push(None);
            }
            _ => {}
        }
    }

    fn at_once(&mut self, batch: &Batch) -> Vec<u64> {
        let ledger = &self.ledger;
        let bools = |bools: Vec<bool>| bools.into_iter().map(u64::from).collect();
        match batch {
            Batch::Debit(items) => {
                let (handles, units): (Vec<_>, Vec<_>) =
                    items.iter().map(|(agent, units, _)| (self.handle(*agent), *units)).unzip();
                bools(ledger.debit_many(&handles, &units, NONE).unwrap())
            }
            Batch::Reserve(items, ttl_nanos, overage) => {
                let (handles, units): (Vec<_>, Vec<_>) =
                    items.iter().map(|(agent, units, _)| (self.handle(*agent), *units)).unzip();
                let terms = Request { ttl_nanos: *ttl_nanos, overage: *overage, ..terms() };
                let numbers = ledger.reserve_many_while(&handles, &units, terms, || true).unwrap();
                let asked = items.iter().zip(&numbers).map(|((agent, ..), number)| (*agent, *number));
                self.asked.extend(asked);
                numbers
            }
            Batch::Settle(items) => {
                let closed = self.closed(items);
                let handles: Vec<_> = closed.iter().map(|(agent, ..)| self.handle(*agent)).collect();
                let (numbers, units): (Vec<_>, Vec<_>) =
                    closed.iter().map(|(_, number, units)| (*number, *units)).unzip();
                bools(ledger.settle_many_while(&handles, &numbers, &units, || true).unwrap())
            }
            Batch::Release(items) => {
                let closed = self.closed(items);
                let handles: Vec<_> = closed.iter().map(|(agent, ..)| self.handle(*agent)).collect();
                let numbers: Vec<_> = closed.iter().map(|(_, number, _)| *number).collect();
                bools(ledger.release_many_while(&handles, &numbers, || true).unwrap())
            }
            Batch::PassTime(_) | Batch::Bundle(_) => Vec::new(),
        }
    }

    /// The same, one call after the other.
    fn one_by_one(&mut self, batch: &Batch) -> Vec<u64> {
        let ledger = Arc::clone(&self.ledger);
        let units = |units: i64| Amount::from_units(units.into()).unwrap();
        let find = |crowd: &Self, place: usize| {
            let place = place % crowd.asked.len().max(1);
            crowd.asked.get(place).map(|_| crowd.handles[place].clone())
        };
        if matches!(batch, Batch::Settle(items) | Batch::Release(items) if !self.closed(items).is_empty()) {
            ledger.expire(); // What is due is given back first, even if no item names a reservation.
        }
        match batch {
            Batch::Debit(items) => items
                .iter()
                .map(|(agent, x, _)| ledger.debit(&self.agents[*agent], &units(*x), NONE).is_ok().into())
                .collect(),
            Batch::Reserve(items, ttl_nanos, overage) => {
                let reserve = |(agent, x, _): &Item| {
                    let (ttl_nanos, overage) = (*ttl_nanos, *overage);
                    let request = Request { what: units(*x), ttl_nanos, overage, operation: NONE };
                    let made = ledger.reserve(&self.agents[*agent], &request).ok();
                    let number = made.as_ref().map_or(0, Reservation::number);
                    self.asked.push((*agent, number));
                    self.handles.push(made);
                    number
                };
                items.iter().map(reserve).collect()
            }
            Batch::Settle(items) => items
                .iter()
                .filter_map(|(_, x, place)| Some((find(self, *place)?, *x)))
                .map(|(made, x)| made.is_some_and(|made| ledger.settle(&made, units(x)).is_ok()).into())
                .collect(),
            Batch::Release(items) => items
                .iter()
                .filter_map(|(_, _, place)| find(self, *place))
                .map(|made| made.is_some_and(|made| ledger.release(&made).is_ok()).into())
                .collect(),
            Batch::PassTime(_) | Batch::Bundle(_) => Vec::new(),
        }
    }
}

/// The changes since then: those that were asked for in their order, and what has expired at one instant in any.
fn written(crowd: &Crowd, from: usize) -> (Vec<String>, BTreeSet<String>) {
    let changes = crowd.recorder.changes().split_off(from);
    let is_expiry = |change: &Change| {
        matches!(change, Change::Posted(Posted { kind: safeguards_core::ledger::EventKind::Expire, .. }))
    };
    let (expired, asked): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, change)| is_expiry(change));
    let words = |change| format!("{change:?}");
    (asked.into_iter().map(words).collect(), expired.into_iter().map(words).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// In the same order, with the same numbers; and so the same state.
    #[test]
    fn a_batch_writes_what_single_calls_write(batches in prop::collection::vec(batch(), 1..30)) {
        let (mut single, mut many) = (Crowd::new(), Crowd::new());
        for batch in &batches {
            let from = many.recorder.changes().len();
            single.apart(batch);
            many.apart(batch);
            prop_assert_eq!(many.at_once(batch), single.one_by_one(batch), "{:?}", batch);
            prop_assert_eq!(written(&many, from), written(&single, from), "{:?}", batch);
        }
        prop_assert_eq!(many.ledger.verify(), []);
        many.recorder.assert_replays(&many.ledger);
    }
}

#[test]
fn a_batch_that_can_no_longer_be_written_tells_what_was_done() {
    let world = World::new();
    let ann = world.ledger.handle("ann").unwrap();
    let before = world.recorder.changes().len();
    world.recorder.fill_after(before + 3);
    let broken = world.ledger.reserve_many_while(&[ann; 8], &[1; 8], terms(), || true).unwrap_err();
    assert_eq!((broken.index, &broken.done[..]), (3, &[1, 2, 3][..]));
    assert!(matches!(*broken.error, LedgerError::Unwritten(_)));
    world.assert_sound();
    world.recorder.fill_after(before + 5);
    let broken = world.ledger.settle_many_while(&[ann; 3], &broken.done, &[1, 0, 1], || true).unwrap_err();
    assert_eq!((broken.index, &broken.done[..]), (2, &[true, true][..]));
    world.recorder.set_full(false);
    let closed = world.ledger.release_many_while(&[ann; 4], &[1, 2, 3, 4], || true).unwrap();
    assert_eq!(closed, [false, false, true, false], "settled, settled, active, never made");
    world.assert_sound();
}

/// So many that a batch looks ahead, with the same agent twice in one stride, from two threads.
#[test]
fn batches_over_more_agents_than_a_cache_holds_lose_nothing() {
    const AGENTS: usize = 9_000;
    let (ledger, _) = common::ledger(&[]);
    for i in 0..9 {
        ledger.create_pool(pool(&format!("pool {i}"), None, 1_000_000)).unwrap();
    }
    let ids: Vec<_> = (0..AGENTS).map(|i| (format!("agent {i}"), format!("pool {}", i / 1_000))).collect();
    let new = |(id, pool): &'static (String, String)| safeguards_core::ledger::NewAgent {
        id,
        pool,
        priority: 5,
        budget: whole(1_000),
        rules: Rules::default(),
    };
    let new: Vec<_> = ids.leak().iter().map(new).collect();
    let agents = ledger.register_agents(&new).unwrap();
    let handles: Vec<_> = agents.iter().map(|agent| ledger.handle(agent.id()).unwrap()).collect();
    let thread = |seed: usize| {
        let (ledger, handles) = (Arc::clone(&ledger), handles.clone());
        std::thread::spawn(move || {
            let place = |i: usize| if i.is_multiple_of(7) { 1 } else { (i * 7_919 + seed) % AGENTS };
            let chosen: Vec<_> = (0..20_000).map(|i| handles[place(i)]).collect();
            let units = vec![2; chosen.len()];
            assert!(ledger.debit_many(&chosen, &units, NONE).unwrap().iter().all(|done| *done));
            let numbers = ledger.reserve_many_while(&chosen, &units, terms(), || true).unwrap();
            let settled =
                ledger.settle_many_while(&chosen, &numbers, &vec![1; chosen.len()], || true).unwrap();
            assert!(settled.iter().all(|done| *done));
        })
    };
    for thread in [thread(0), thread(5)] {
        thread.join().unwrap();
    }
    let spent: i128 = agents.iter().map(|agent| ledger.snapshot(agent).unwrap().balance.spent).sum();
    assert_eq!(spent, 2 * 20_000 * 3);
    assert_eq!(ledger.verify(), []);
}

#[test]
fn an_overdue_reservation_is_settled_late_by_its_number() {
    let world = World::new();
    let ann = world.ledger.handle("ann").unwrap();
    let joint = {
        world.ledger.create_pool(pool("models", None, 30)).unwrap();
        world.ledger.joint(&world.ann, &["models"]).unwrap()
    };
    let path = Path::with(&world.ann, joint.as_ref());
    world.ledger.reserve(path, &Request { ttl_nanos: 5, ..request(4) }).unwrap();
    let reject = Request { ttl_nanos: 5, overage: Overage::Reject, ..request(2) };
    world.ledger.reserve(&world.ann, &reject).unwrap();
    world.advance(5);
    world.ledger.expire();
    let units = [UNITS_PER_ONE, 3 * UNITS_PER_ONE, 2 * UNITS_PER_ONE].map(|x| i64::try_from(x).unwrap());
    let settled = world.ledger.settle_many_while(&[ann; 3], &[1, 2, 2], &units, || true).unwrap();
    assert_eq!(settled, [true, false, true], "more than was reserved is rejected, however late");
    assert_eq!(world.books_of(&world.ann), (10, 7, 0, 3));
    let models = world.ledger.pool("models").unwrap();
    assert_eq!(world.books_of(&models), (30, 29, 0, 1), "on every account that it was reserved on");
    world.assert_sound();
}

// ---------------------------------------------------------------------------------------------- one place of change

/// The state of an account is given out for reading only: no file but `state.rs` may write to its fields.
#[test]
fn only_one_file_changes_the_state_of_an_account() {
    let ledger = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ledger");
    let state = std::fs::read_to_string(ledger.join("state.rs")).unwrap();
    assert!(state.contains("pub(super) struct State(Inner);"), "the field is private to its file");
    assert!(!state.contains("DerefMut") && !state.contains("-> &mut Inner"), "and is lent to nobody");
}

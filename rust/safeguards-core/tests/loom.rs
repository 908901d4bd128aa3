//! The orders in which two threads can meet on the locks of a ledger.
//!
//! `make loom` runs these. Accounts are registered before the threads start: the maps and the read-write lock of
//! the directory are not modelled, and nothing may wait on them inside a model.
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "tests may, and so may their helpers")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{TTL, ledger, pool, request, whole};
use loom::thread;
use safeguards_core::amount::Amount;
use safeguards_core::clock::ManualClock;
use safeguards_core::ledger::{
    Account, Balance, Bundle, ChargeId, EventKind, Execution, Kind, Ledger, LedgerError, OperationId, Order,
    Overage, Path, Request, Reservation, ReservationState, Served, Wait, Waiter, Wake,
};
use safeguards_core::window::Precision;

const NONE: OperationId = OperationId::NONE;

/// Explores every meeting of `one` and `other` in a world, and holds `verify` against each outcome.
///
/// Twice, with the roles of the two threads exchanged: `loom` leaves out orders that it takes to be equal to one
/// it has seen, knows of an atomic only who touched it last, and so leaves out too many from a single start.
fn explore<A: 'static, B: 'static, S: 'static>(
    setup: fn() -> (Arc<World>, S),
    one: fn(&World, &S) -> A,
    other: fn(&World, &S) -> B,
    verify: fn(&World, &S, A, B),
) {
    explore_within(None, setup, one, other, verify);
}

/// The same, with at most so many switches between threads that could go on: where there are too many locks to explore
/// every order.
fn explore_within<A: 'static, B: 'static, S: 'static>(
    switches: Option<usize>,
    setup: fn() -> (Arc<World>, S),
    one: fn(&World, &S) -> A,
    other: fn(&World, &S) -> B,
    verify: fn(&World, &S, A, B),
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(switches);
    model.check(move || {
        let (world, scene) = shared(setup());
        let (theirs, shown) = (Arc::clone(&world), Arc::clone(&scene));
        let thread = thread::spawn(move || one(&theirs, &shown));
        let answer = other(&world, &scene);
        verify(&world, &scene, thread.join().unwrap(), answer);
        world.assert_sound();
    });
    model.check(move || {
        let (world, scene) = shared(setup());
        let (theirs, shown) = (Arc::clone(&world), Arc::clone(&scene));
        let thread = thread::spawn(move || other(&theirs, &shown));
        let answer = one(&world, &scene);
        verify(&world, &scene, answer, thread.join().unwrap());
        world.assert_sound();
    });
}

fn shared<S>((world, scene): (Arc<World>, S)) -> (Arc<World>, Arc<S>) {
    (world, Arc::new(scene))
}

/// `ann` and `bob`, of 10 each, below `team`.
struct World {
    ledger: Arc<Ledger>,
    clock: Arc<ManualClock>,
    ann: Arc<Account>,
    bob: Arc<Account>,
    team: Arc<Account>,
}

impl World {
    fn new(team: i128) -> Arc<Self> {
        let (ledger, clock) = ledger(&[]);
        let team = ledger.create_pool(pool("team", None, team)).unwrap();
        let [ann, bob] = ["ann", "bob"].map(|id| ledger.register_agent(id, "team", 5, whole(10)).unwrap());
        Arc::new(Self { ledger, clock, ann, bob, team })
    }

    fn debit(&self, agent: &Arc<Account>, wholes: i128) -> bool {
        match self.ledger.debit(agent, &whole(wholes), NONE) {
            Ok(_) => true,
            Err(LedgerError::BudgetExceeded(_) | LedgerError::RateLimitExceeded(_)) => false,
            Err(other) => panic!("{other}"),
        }
    }

    fn reserve(&self, wholes: i128) -> Reservation {
        self.ledger.reserve(&self.ann, &request(wholes)).unwrap()
    }

    fn over(&self) {
        self.clock.advance(Duration::from_nanos(TTL.unsigned_abs()));
    }

    /// `remaining, reserved, spent` of an account, in wholes.
    fn books(&self, account: &Account) -> (i128, i128, i128) {
        let Balance { remaining, reserved, spent, .. } = self.ledger.snapshot(account).unwrap().balance;
        let one = whole(1).units();
        (remaining / one, reserved / one, spent / one)
    }

    fn count(&self, agent: &Arc<Account>, kind: EventKind) -> usize {
        self.ledger.events(agent).unwrap().iter().filter(|event| event.kind == kind).count()
    }

    fn assert_sound(&self) {
        assert_eq!(self.ledger.verify(), []);
    }
}

/// Two reads that must agree: of the agent and of its pool.
fn on_path(world: &World) -> [(i128, i128, i128); 2] {
    [&world.ann, &world.team].map(|account| world.books(account))
}

fn without_scene(team: i128) -> (Arc<World>, ()) {
    (World::new(team), ())
}

fn with_reservation() -> (Arc<World>, Reservation) {
    let world = World::new(10);
    let reservation = world.reserve(4);
    (world, reservation)
}

/// Its time is over, and nobody has seen it yet.
fn with_due_reservation() -> (Arc<World>, Reservation) {
    let (world, reservation) = with_reservation();
    world.over();
    (world, reservation)
}

#[test]
fn of_two_debits_one_gets_the_last_cent() {
    explore(
        || without_scene(1),
        |w, ()| w.debit(&w.ann, 1),
        |w, ()| w.debit(&w.bob, 1),
        |w, (), one, other| {
            assert!(one ^ other, "{one} {other}");
            assert_eq!(w.books(&w.team), (0, 0, 1));
        },
    );
}

#[test]
fn of_two_debits_one_gets_the_last_room_of_the_window() {
    explore(
        || {
            let world = World::new(10);
            world.ledger.set_rate_limit("ann", whole(1), 1_000_000, Precision::Bucketed).unwrap();
            (world, ())
        },
        |w, ()| w.debit(&w.ann, 1),
        |w, ()| w.debit(&w.ann, 1),
        |w, (), one, other| {
            assert!(one ^ other, "{one} {other}");
            assert_eq!(on_path(w), [(9, 0, 1); 2]);
        },
    );
}

#[test]
fn of_two_agents_one_gets_the_last_room_of_the_window_of_their_pool() {
    explore(
        || {
            let world = World::new(10);
            world.ledger.set_rate_limit("team", whole(1), 1_000_000, Precision::Bucketed).unwrap();
            (world, ())
        },
        |w, ()| w.debit(&w.ann, 1),
        |w, ()| w.ledger.acquire("bob", whole(1)).is_ok(),
        |w, (), one, other| {
            assert!(one ^ other, "{one} {other}");
            assert_eq!(w.ledger.windows("team").unwrap()[0].spent, whole(1).units());
        },
    );
}

#[test]
fn a_window_of_a_pool_is_set_while_something_is_reserved() {
    explore(
        || without_scene(10),
        |w, ()| w.ledger.reserve(&w.ann, &request(4)).is_ok(),
        |w, ()| w.ledger.set_rate_limit("team", whole(5), 1_000_000, Precision::Bucketed).unwrap(),
        |w, (), is_reserved, ()| {
            assert!(is_reserved);
            assert_eq!(w.ledger.windows("team").unwrap()[0].reserved, whole(4).units());
            assert!(!w.debit(&w.bob, 2));
        },
    );
}

#[test]
fn a_late_settlement_meets_expiry() {
    explore(
        with_due_reservation,
        |w, _| w.ledger.expire(),
        |w, held| w.ledger.settle(held, whole(3)).unwrap(),
        |w, _, expired, _| {
            // Whoever saw it first gave it back, and the cost is a late one.
            assert!(expired <= 1);
            assert_eq!([EventKind::Expire, EventKind::LateSettle].map(|kind| w.count(&w.ann, kind)), [1, 1]);
            assert_eq!(on_path(w), [(7, 0, 3); 2]);
        },
    );
}

#[test]
fn a_settlement_meets_the_end_of_its_time() {
    explore(
        with_reservation,
        |w, _| {
            w.over();
            w.ledger.expire()
        },
        |w, held| w.ledger.settle(held, whole(3)).unwrap(),
        |w, _, expired, _| {
            let [expiries, late] =
                [EventKind::Expire, EventKind::LateSettle].map(|kind| w.count(&w.ann, kind));
            assert!(expired <= expiries && expiries == late, "{expired} {expiries} {late}");
            assert_eq!(on_path(w), [(7, 0, 3); 2]);
        },
    );
}

#[test]
fn a_new_reservation_meets_the_expiry_of_another() {
    explore(
        with_due_reservation,
        |w, _| w.ledger.expire(),
        // Its deadline comes before the one that is being served.
        |w, _| w.ledger.reserve(&w.ann, &Request { ttl_nanos: 5, ..request(3) }).unwrap(),
        |w, first, expired, second| {
            assert_eq!(expired, 1);
            assert_eq!(w.ledger.reservation_state(first).unwrap(), ReservationState::Expired);
            assert_eq!(on_path(w), [(7, 3, 0); 2]);
            w.clock.advance(Duration::from_nanos(5));
            assert_eq!(w.ledger.reservation_state(&second).unwrap(), ReservationState::Expired);
            assert_eq!(on_path(w), [(10, 0, 0); 2]);
        },
    );
}

#[test]
fn a_settlement_meets_a_release() {
    explore(
        with_reservation,
        |w, held| w.ledger.settle(held, whole(3)).is_ok(),
        |w, held| w.ledger.release(held).is_ok(),
        |w, _, settled, released| {
            assert!(settled ^ released);
            assert_eq!(on_path(w), [if settled { (7, 0, 3) } else { (10, 0, 0) }; 2]);
        },
    );
}

#[test]
fn of_two_settlements_one_counts() {
    explore(
        with_reservation,
        |w, held| w.ledger.settle(held, whole(3)).is_ok(),
        |w, held| w.ledger.settle(held, whole(2)).is_ok(),
        |w, _, three, two| {
            assert!(three ^ two);
            let spent = if three { 3 } else { 2 };
            assert_eq!(on_path(w), [(10 - spent, 0, spent); 2]);
        },
    );
}

#[test]
fn a_release_meets_the_end_of_its_time() {
    explore(
        with_reservation,
        |w, _| {
            w.over();
            w.ledger.expire()
        },
        |w, held| w.ledger.release(held).unwrap(),
        |w, _, _, ()| {
            let returned = [EventKind::Expire, EventKind::Release].map(|kind| w.count(&w.ann, kind));
            assert_eq!(returned.iter().sum::<usize>(), 1, "{returned:?}");
            assert_eq!(on_path(w), [(10, 0, 0); 2]);
        },
    );
}

#[test]
fn keeping_alive_meets_the_end_of_its_time() {
    explore(
        with_reservation,
        |w, _| {
            w.over();
            w.ledger.expire()
        },
        |w, held| w.ledger.keep_alive(held).is_ok(),
        |w, held, _, kept| {
            let state = if kept { ReservationState::Active } else { ReservationState::Expired };
            assert_eq!(w.ledger.reservation_state(held).unwrap(), state);
            assert_eq!(on_path(w), [if kept { (6, 4, 0) } else { (10, 0, 0) }; 2]);
        },
    );
}

#[test]
fn opposite_transfers_do_not_wait_for_each_other() {
    explore(
        || without_scene(10),
        |w, ()| w.ledger.transfer("ann", "bob", whole(7)).unwrap(),
        |w, ()| w.ledger.transfer("bob", "ann", whole(9)).unwrap(),
        |w, (), (), ()| assert_eq!([&w.ann, &w.bob].map(|a| w.books(a)), [(12, 0, 0), (8, 0, 0)]),
    );
}

#[test]
fn a_transfer_meets_a_debit() {
    explore(
        || without_scene(100),
        |w, ()| w.ledger.transfer("ann", "bob", whole(6)).is_ok(),
        |w, ()| w.debit(&w.ann, 6),
        |w, (), given, paid| {
            assert!(given ^ paid);
            assert_eq!(w.books(&w.ann), if paid { (4, 0, 6) } else { (4, 0, 0) });
            assert_eq!(w.books(&w.bob), if paid { (10, 0, 0) } else { (16, 0, 0) });
        },
    );
}

#[test]
fn a_refused_debit_sees_what_another_thread_is_giving_back() {
    explore(
        with_due_reservation,
        |w, _| w.ledger.expire(),
        |w, _| w.debit(&w.bob, 10),
        |w, _, _, admitted| {
            assert!(admitted, "refused for money whose time was over");
            assert_eq!(w.books(&w.team), (0, 0, 10));
        },
    );
}

#[test]
fn of_two_refused_debits_one_gets_what_expires() {
    explore(
        with_due_reservation,
        |w, _| w.debit(&w.ann, 10),
        |w, _| w.debit(&w.bob, 10),
        |w, _, one, other| {
            assert!(one ^ other, "{one} {other}");
            assert_eq!(w.books(&w.team), (0, 0, 10));
        },
    );
}

#[test]
fn an_overage_meets_a_debit() {
    explore(
        || {
            let world = World::new(10);
            let strict = Request { overage: Overage::AllowIfAvailable, ..request(4) };
            let reservation = world.ledger.reserve(&world.ann, &strict).unwrap();
            (world, reservation)
        },
        |w, _| w.debit(&w.bob, 6),
        |w, held| w.ledger.settle(held, whole(5)).is_ok(),
        |w, _, paid, settled| {
            assert!(paid ^ settled);
            assert_eq!(w.books(&w.team), if paid { (0, 4, 6) } else { (5, 0, 5) });
        },
    );
}

/// Carries out a decision on ann's budget.
fn execute(w: &World, by: i128) -> Result<i128, LedgerError> {
    let order = Order::Adjust { by: whole(1).units() * by, later_periods: 0 };
    let execution = Execution { kind: Kind::Agent, account: "ann", order, actor: "a test", reason: "to see" };
    w.ledger.execute(&execution).map(|moved| moved.by / whole(1).units())
}

/// A refund knows on which side of a new budget its charge was: either way the pool has the whole of it in the end.
#[test]
fn a_debit_meets_a_new_period_of_its_pool() {
    explore(
        || without_scene(10),
        |w, ()| w.ledger.debit(&w.ann, &whole(1), NONE).unwrap(),
        |w, ()| w.ledger.update_pool_budget("team", whole(10)).unwrap(),
        |w, (), receipt, ()| {
            w.ledger.refund(ChargeId::Receipt(&receipt), None).unwrap();
            assert_eq!((w.books(&w.ann), w.books(&w.team)), ((10, 0, 0), (10, 0, 0)));
        },
    );
}

#[test]
fn a_decision_meets_a_pin() {
    explore(
        || without_scene(10),
        |w, ()| execute(w, 1),
        |w, ()| {
            w.ledger.pin("ann", true).unwrap();
            w.books(&w.ann)
        },
        |w, (), moved, pinned| {
            // Nothing happens to it once it is pinned.
            assert_eq!(w.books(&w.ann), pinned);
            assert_eq!(pinned.0, if moved.is_ok() { 11 } else { 10 });
            assert!(matches!(moved, Ok(1) | Err(LedgerError::Pinned(_))), "{moved:?}");
        },
    );
}

#[test]
fn a_decision_meets_a_debit() {
    explore(
        || without_scene(10),
        |w, ()| execute(w, -7).unwrap(),
        |w, ()| w.debit(&w.ann, 6),
        |w, (), taken, paid| {
            assert_eq!(taken, if paid { -4 } else { -7 });
            let left = if paid { (0, 0, 6) } else { (3, 0, 0) };
            assert_eq!(w.books(&w.ann), left);
        },
    );
}

#[test]
fn a_decision_meets_the_end_of_its_agent() {
    explore(
        || without_scene(10),
        |w, ()| execute(w, 1),
        |w, ()| w.ledger.unregister_agent("ann").unwrap(),
        |_, (), moved, ()| {
            assert!(matches!(moved, Ok(1) | Err(LedgerError::UnknownAgent(_))), "{moved:?}");
        },
    );
}

#[test]
fn an_audit_meets_a_debit() {
    explore(
        || without_scene(10),
        |w, ()| w.ledger.verify(),
        |w, ()| w.debit(&w.bob, 3),
        |w, (), violations, admitted| {
            assert_eq!(violations, []);
            assert!(admitted);
            assert_eq!(w.books(&w.team), (7, 0, 3));
        },
    );
}

#[test]
fn the_same_key_from_two_threads_charges_once() {
    explore(
        || without_scene(10),
        |w, ()| w.ledger.debit_keyed(&w.ann, &whole(3), NONE, "k").unwrap().value,
        |w, ()| w.ledger.debit_keyed(&w.ann, &whole(3), NONE, "k").unwrap().value,
        |w, (), one, other| {
            assert_eq!(one, other);
            assert_eq!(on_path(w), [(7, 0, 3); 2]);
        },
    );
}

/// Two units of cpu and one of gpu for `ann`.
fn with_resources() -> (Arc<World>, [Bundle; 2]) {
    let world = World::new(10);
    world.ledger.initialize_resources("ann", &[("cpu", whole(2)), ("gpu", whole(1))]).unwrap();
    let names = world.ledger.resource_names();
    let [cpu, gpu] = ["cpu", "gpu"].map(|name| Bundle::of(names.find(name).unwrap(), whole(1)));
    drop(names);
    let both = Bundle::new(cpu.iter().chain(gpu.iter())).unwrap();
    (world, [gpu, both])
}

/// `remaining, reserved, spent` of each of ann's resources, in wholes.
fn resources(world: &World) -> Vec<[i128; 3]> {
    let found = world.ledger.resources(&world.ann).unwrap();
    let books = found.iter().map(|one| [one.balance.remaining, one.balance.reserved, one.balance.spent]);
    books.map(|books| books.map(|units| units / whole(1).units())).collect()
}

#[test]
fn of_two_debits_of_resources_one_gets_the_last_unit() {
    explore(
        with_resources,
        |w, [gpu, _]| w.ledger.try_debit(&w.ann, gpu, NONE).is_ok(),
        |w, [_, both]| w.ledger.try_debit(&w.ann, both, NONE).is_ok(),
        |w, _, one, two| {
            assert!(one ^ two);
            assert_eq!(resources(w), [if two { [1, 0, 1] } else { [2, 0, 0] }, [0, 0, 1]]);
        },
    );
}

#[test]
fn a_reader_sees_all_of_a_debit_or_nothing() {
    explore(
        with_resources,
        |w, [_, both]| w.ledger.try_debit(&w.ann, both, NONE).unwrap(),
        |w, _| resources(w),
        |_, _, (), seen| {
            assert!(seen == [[2, 0, 0], [1, 0, 0]] || seen == [[1, 0, 1], [0, 0, 1]], "{seen:?}");
        },
    );
}

#[test]
fn a_first_capacity_meets_a_debit() {
    explore(
        with_resources,
        |w, [_, both]| w.ledger.try_debit(&w.ann, both, NONE).is_ok(),
        |w, _| w.ledger.set_capacity("gpu", Amount::ZERO).unwrap(),
        |w, _, is_paid, ()| {
            // Whichever came first: it counts what was spent before, and nothing can be after.
            let capacity = w.ledger.capacity("gpu").unwrap().balance;
            assert_eq!((capacity.remaining, capacity.spent), (0, whole(i128::from(is_paid)).units()));
        },
    );
}

#[test]
fn a_settlement_of_resources_meets_the_end_of_its_time() {
    explore(
        || {
            let (world, [_, both]) = with_resources();
            let overage = Overage::AllowWithOverdraft;
            let request = Request { what: both.clone(), ttl_nanos: TTL, overage, operation: NONE };
            let reservation = world.ledger.reserve(&world.ann, &request).unwrap();
            (world, (reservation, both))
        },
        |w, _| {
            w.over();
            w.ledger.expire()
        },
        |w, (held, both)| drop(w.ledger.settle(held, both).unwrap()),
        |w, _, expired, ()| {
            assert!(expired <= 1);
            assert_eq!(resources(w), [[1, 0, 1], [0, 0, 1]]);
        },
    );
}

/// Counts how often it rings.
#[derive(Debug, Clone, Default)]
struct Bell(Arc<std::sync::atomic::AtomicUsize>);

impl Wake for Bell {
    fn wake(&self) -> bool {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        true
    }
}

const FOR_EVER: Wait<'_> = Wait { key: None, is_debit: false, timeout_nanos: None, patience_nanos: 1_000 };

fn wait(world: &World, wholes: i128) -> (Arc<Waiter>, Bell) {
    let bell = Bell::default();
    let path = Path::of(&world.ann);
    (world.ledger.wait(path, &request(wholes), &FOR_EVER, Box::new(bell.clone())).unwrap(), bell)
}

fn rings(bell: &Bell) -> usize {
    bell.0.load(std::sync::atomic::Ordering::SeqCst)
}

/// What a waiter got, and whether it was woken: once if it slept, and never otherwise.
fn reserved(waiter: &Waiter) -> Option<Reservation> {
    match waiter.outcome()?.unwrap() {
        Served::Reserved(reservation) => Some(reservation.value),
        Served::Charged(receipt) => panic!("{receipt:?}"),
    }
}

#[test]
fn whoever_begins_to_wait_meets_what_comes_back() {
    explore_within(
        Some(3),
        || {
            let world = World::new(10);
            let held = world.reserve(9);
            (world, held)
        },
        |w, held| w.ledger.release(held).unwrap(),
        |w, _| wait(w, 8),
        |w, _, (), (waiter, bell)| {
            let reservation = reserved(&waiter).expect("no wake-up is lost");
            assert!(rings(&bell) <= 1);
            assert_eq!((w.ledger.waiting_count(), on_path(w)), (0, [(2, 8, 0); 2]));
            assert_eq!(reservation.what(), &whole(8));
        },
    );
}

#[test]
fn whoever_waits_no_more_meets_what_comes_back() {
    explore_within(
        Some(3),
        || {
            let world = World::new(10);
            let held = world.reserve(9);
            let waiting = wait(&world, 8);
            (world, (held, waiting))
        },
        |w, (held, _)| w.ledger.release(held).unwrap(),
        |w, (_, (waiter, _))| w.ledger.withdraw(waiter),
        |w, (_, (waiter, bell)), (), ()| {
            assert!(reserved(waiter).is_none() && rings(bell) <= 1);
            assert_eq!(
                (w.ledger.waiting_count(), on_path(w)),
                (0, [(10, 0, 0); 2]),
                "nothing is left behind"
            );
        },
    );
}

#[test]
fn two_give_back_what_one_waits_for() {
    explore_within(
        Some(3),
        || {
            let world = World::new(10);
            let holds = [world.reserve(5), world.reserve(5)];
            let waiting = wait(&world, 8);
            (world, (holds, waiting))
        },
        |w, (holds, _)| w.ledger.release(&holds[0]).unwrap(),
        |w, (holds, _)| w.ledger.release(&holds[1]).unwrap(),
        |w, (_, (waiter, bell)), (), ()| {
            assert_eq!(rings(bell), 1);
            assert_eq!((w.ledger.waiting_count(), on_path(w)), (0, [(2, 8, 0); 2]));
            assert!(reserved(waiter).is_some());
        },
    );
}

#[test]
fn time_is_over_for_one_that_is_served() {
    explore_within(
        Some(3),
        || {
            let world = World::new(10);
            let held = world.reserve(9);
            let waiting = wait(&world, 8);
            (world, (held, waiting))
        },
        |w, (held, _)| w.ledger.release(held).unwrap(),
        |w, (_, (waiter, _))| w.ledger.end_wait(waiter),
        |w, (_, (waiter, bell)), (), ()| {
            assert_eq!(rings(bell), 1);
            let reserved = match waiter.outcome().expect("it has an outcome").ok() {
                Some(Served::Reserved(_)) => 8,
                _ => 0,
            };
            assert_eq!((w.ledger.waiting_count(), on_path(w)), (0, [(10 - reserved, reserved, 0); 2]));
        },
    );
}

#[test]
fn a_debit_takes_nothing_that_is_kept() {
    explore(
        || {
            let world = World::new(10);
            let holds = [world.reserve(4), world.reserve(5)];
            let waiting = wait(&world, 10);
            world.clock.advance(Duration::from_micros(1));
            world.ledger.tend_waiting();
            (world, (holds, waiting))
        },
        |w, (holds, _)| holds.iter().for_each(|held| w.ledger.release(held).unwrap()),
        |w, _| w.debit(&w.ann, 2),
        |w, (_, (waiter, _)), (), debited| {
            assert!(!debited, "one was free, all else is kept");
            assert!(reserved(waiter).is_some());
            assert_eq!(on_path(w), [(0, 10, 0); 2]);
        },
    );
}

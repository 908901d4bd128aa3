//! The money state machine, row by row: the outcome, the books of every account of the path, and the one event
//! that tells of it.

#![allow(clippy::unwrap_used, reason = "tests may, and so may their helpers")]

mod common;

use EventKind::{
    Debit, Expire, LateSettle, Lower, Raise, Recorded, Release, Reserve, Settle, TransferIn, TransferOut,
    Update,
};
use common::{Books, HOUR, SECOND, TTL, World, amount, pool, request, whole};
use safeguards_core::amount::{Amount, UNITS_PER_ONE};
use safeguards_core::clock::Wall;
use safeguards_core::ledger::{
    Alarm, Closed, Crossing, EventKind, Execution, Kind, LedgerError, MAX_DEPTH, MAX_KEY_AGE_NANOS, MAX_KEYS,
    NewPool, Once, OperationId, Order, Overage, Period, Periods, Request, Reservation, ReservationState,
    Rules, Schedule, Settlement, Source, Threshold,
};
use safeguards_core::window::Precision;

const NONE: OperationId = OperationId::NONE;
const UNTOUCHED: [Books; 3] = [(10, 10, 0, 0), (50, 50, 0, 0), (100, 100, 0, 0)];

/// The account that refused and what it was asked for, or a panic if no budget refused.
fn refused_by<T: std::fmt::Debug>(answer: Result<T, LedgerError>) -> (String, i128, i128) {
    match answer {
        Err(LedgerError::BudgetExceeded(refusal)) => {
            let remaining = refusal.balance.remaining / UNITS_PER_ONE;
            (refusal.account.to_string(), refusal.requested / UNITS_PER_ONE, remaining)
        }
        other => panic!("expected a budget to refuse, got {other:?}"),
    }
}

fn closed_as<T: std::fmt::Debug>(answer: Result<T, LedgerError>) -> Closed {
    match answer {
        Err(LedgerError::ReservationClosed { closed, .. }) => *closed,
        other => panic!("expected a closed reservation, got {other:?}"),
    }
}

fn is_rate_limited<T>(answer: &Result<T, LedgerError>) -> bool {
    matches!(answer, Err(LedgerError::RateLimitExceeded(_)))
}

fn reserve(world: &World, wholes: i128) -> Reservation {
    world.ledger.reserve(&world.ann, &request(wholes)).unwrap()
}

fn reserve_with(world: &World, wholes: i128, overage: Overage) -> Reservation {
    world.ledger.reserve(&world.ann, &Request { overage, ..request(wholes) }).unwrap()
}

fn limit(world: &World, wholes: i128, seconds: i64) {
    world.ledger.set_rate_limit("ann", whole(wholes), seconds * SECOND, Precision::Bucketed).unwrap();
}

/// Units that the one window of the agent counts, found by what still fits.
fn window_room(world: &World) -> i128 {
    (0..=1_000).rev().find(|x| world.ledger.check_rate_limit("ann", whole(*x)).is_ok()).unwrap()
}

// ---------------------------------------------------------------------------------------------- debit, reserve

#[test]
fn a_debit_that_fits_is_charged_on_the_whole_path() {
    let world = World::new();
    let (left, events) = world.act(|w| w.debit(3));
    assert_eq!(left.unwrap(), 7);
    assert_eq!(events, [(Debit, 3)]);
    assert_eq!(world.books(), [(10, 7, 0, 3), (50, 47, 0, 3), (100, 97, 0, 3)]);
}

#[test]
fn a_debit_of_all_that_remains_fits() {
    let world = World::new();
    assert_eq!(world.debit(10).unwrap(), 0);
    assert_eq!(world.books()[0], (10, 0, 0, 10));
}

#[test]
fn a_debit_of_nothing_is_admitted_and_leaves_no_event() {
    let world = World::new();
    world.debit(10).unwrap();
    let (left, events) = world.act(|w| w.debit(0));
    assert_eq!((left.unwrap(), events), (0, vec![]));
}

#[test]
fn each_account_of_the_path_can_refuse_and_a_refusal_changes_nothing() {
    for (account, books) in [
        ("ann", UNTOUCHED),
        ("team", [(10, 10, 0, 0), (4, 4, 0, 0), (100, 100, 0, 0)]),
        ("root", [(10, 10, 0, 0), (50, 50, 0, 0), (4, 4, 0, 0)]),
    ] {
        let world = World::new();
        let (asked, left) = if account == "ann" { (11, 10) } else { (5, 4) };
        if account != "ann" {
            world.ledger.update_pool_budget(account, whole(4)).unwrap();
        }
        let (answer, events) = world.act(|w| w.debit(asked));
        assert_eq!(refused_by(answer), (account.to_owned(), asked, left));
        assert_eq!((events, world.books()), (vec![], books));
        let (answer, events) = world.act(|w| w.ledger.reserve(&w.ann, &request(asked)));
        assert_eq!(refused_by(answer), (account.to_owned(), asked, left));
        assert_eq!((events, world.books()), (vec![], books));
    }
}

#[test]
fn of_two_budgets_that_refuse_the_one_nearest_to_the_agent_is_told() {
    let world = World::new();
    world.ledger.update_pool_budget("root", whole(1)).unwrap();
    world.ledger.update_pool_budget("team", whole(2)).unwrap();
    assert_eq!(refused_by(world.debit(20)).0, "ann");
    assert_eq!(refused_by(world.debit(3)).0, "team");
    assert_eq!(refused_by(world.debit(2)).0, "root");
}

#[test]
fn a_reservation_that_fits_is_set_aside_on_the_whole_path() {
    let world = World::new();
    let (reservation, events) = world.act(|w| reserve(w, 4));
    assert_eq!(events, [(Reserve, 4)]);
    assert_eq!(world.books(), [(10, 6, 4, 0), (50, 46, 4, 0), (100, 96, 4, 0)]);
    assert_eq!(world.ledger.reservation_state(&reservation).unwrap(), ReservationState::Active);
    assert_eq!(refused_by(world.debit(7)).0, "ann");
}

#[test]
fn three_times_ten_cents_fit_into_thirty() {
    let world = World::new();
    world.ledger.update_budget("ann", amount("0.30")).unwrap();
    for _ in 0..3 {
        common::debit(&world.ledger, "ann", amount("0.10")).unwrap();
    }
    let refused = common::debit(&world.ledger, "ann", Amount::from_units(1).unwrap());
    assert!(matches!(refused, Err(LedgerError::BudgetExceeded(_))));
    assert_eq!(world.ledger.snapshot(&world.ann).unwrap().balance.spent, 300_000_000);
}

#[test]
fn unknown_agents_pools_and_handles_are_named() {
    let world = World::new();
    let debit = common::debit(&world.ledger, "bob", whole(1));
    assert!(matches!(debit, Err(LedgerError::UnknownAgent(id)) if &*id == "bob"));
    // A pool is not an agent, and the other way round.
    assert!(matches!(common::debit(&world.ledger, "team", whole(1)), Err(LedgerError::UnknownAgent(_))));
    let update = world.ledger.update_pool_budget("ann", whole(1));
    assert!(matches!(update, Err(LedgerError::UnknownPool(id)) if &*id == "ann"));
    let batch = world.ledger.debit_many(&[7], &[1], NONE).unwrap_err();
    assert!(matches!(*batch.error, LedgerError::UnknownHandle(7)));
    assert_eq!(world.books(), UNTOUCHED);
}

#[test]
fn debits_pass_through_paths_as_deep_as_allowed_and_no_deeper() {
    let world = World::new();
    let ids: Vec<_> = (2..=MAX_DEPTH).map(|depth| format!("deep {depth}")).collect();
    let mut parent = "team";
    for id in &ids[..ids.len() - 1] {
        world.ledger.create_pool(pool(id, Some(parent), 100)).unwrap();
        parent = id;
    }
    let too_deep = world.ledger.create_pool(pool("one too deep", Some(parent), 100));
    assert!(matches!(too_deep, Err(LedgerError::Configuration(text)) if text.contains("one too deep")));
    assert!(!world.ledger.has_pool("one too deep"));
    let deep = world.ledger.register_agent("deep", parent, 5, whole(60)).unwrap();
    world.ledger.debit(&deep, &whole(50), NONE).unwrap();
    assert_eq!(refused_by(common::debit(&world.ledger, "deep", whole(1))).0, "team");
    assert_eq!(world.books()[2], (100, 50, 0, 50));
    world.assert_sound();
}

// ---------------------------------------------------------------------------------------------- settle, release

#[test]
fn settling_less_charges_it_and_returns_the_rest() {
    let world = World::new();
    let reservation = reserve(&world, 4);
    let (receipt, events) = world.act(|w| w.ledger.settle(&reservation, whole(3)).unwrap());
    assert_eq!((receipt.amount, receipt.remaining), (whole(3), whole(7).units()));
    assert_eq!(events, [(Settle, 3)]);
    assert_eq!(world.books(), [(10, 7, 0, 3), (50, 47, 0, 3), (100, 97, 0, 3)]);
    assert_eq!(world.ledger.reservation_state(&reservation).unwrap(), ReservationState::Settled);
    assert_eq!(world.ledger.settlement(&reservation), Some(receipt));
}

#[test]
fn settling_for_nothing_is_an_outcome_too() {
    let world = World::new();
    let reservation = reserve(&world, 4);
    let (_, events) = world.act(|w| w.ledger.settle(&reservation, Amount::ZERO).unwrap());
    assert_eq!((events, world.books()), (vec![(Settle, 0)], UNTOUCHED));
    assert_eq!(world.ledger.reservation_state(&reservation).unwrap(), ReservationState::Settled);
}

#[test]
fn settling_beyond_the_reserved_with_overdraft_states_the_fact() {
    let world = World::new();
    world.ledger.update_pool_budget("team", whole(8)).unwrap();
    let reservation = reserve(&world, 4);
    let (_, events) = world.act(|w| w.ledger.settle(&reservation, whole(12)).unwrap());
    assert_eq!(events, [(Settle, 12)]);
    assert_eq!(world.books(), [(10, -2, 0, 12), (8, -4, 0, 12), (100, 88, 0, 12)]);
    // While it is negative, new debits are refused.
    assert_eq!(refused_by(world.debit(1)), ("ann".into(), 1, -2));
    // A grant ends it for the agent; the pool still holds.
    world.ledger.update_budget("ann", whole(5)).unwrap();
    assert_eq!(refused_by(world.debit(1)), ("team".into(), 1, -4));
}

#[test]
fn settling_beyond_the_reserved_if_available() {
    let world = World::new();
    let reservation = reserve_with(&world, 4, Overage::AllowIfAvailable);
    let (answer, events) = world.act(|w| w.ledger.settle(&reservation, whole(11)));
    assert_eq!((refused_by(answer), events), (("ann".into(), 7, 6), vec![]));
    assert_eq!(world.books(), [(10, 6, 4, 0), (50, 46, 4, 0), (100, 96, 4, 0)]);
    assert_eq!(world.ledger.reservation_state(&reservation).unwrap(), ReservationState::Active);

    world.ledger.update_pool_budget("root", whole(5)).unwrap();
    let (answer, _) = world.act(|w| w.ledger.settle(&reservation, whole(10)));
    assert_eq!(refused_by(answer), ("root".into(), 6, 5));
    assert_eq!(world.ledger.reservation_state(&reservation).unwrap(), ReservationState::Active);

    let (_, events) = world.act(|w| w.ledger.settle(&reservation, whole(9)).unwrap());
    assert_eq!(events, [(Settle, 9)]);
    assert_eq!(world.books(), [(10, 1, 0, 9), (50, 41, 0, 9), (9, 0, 0, 9)]);
}

#[test]
fn settling_beyond_the_reserved_may_be_refused_as_such() {
    let world = World::new();
    let reservation = reserve_with(&world, 4, Overage::Reject);
    let (answer, events) = world.act(|w| w.ledger.settle(&reservation, whole(5)));
    let Err(LedgerError::OverReserved { refusal, reserved }) = answer else { panic!("got {answer:?}") };
    assert_eq!((reserved, refusal.requested, &*refusal.account), (whole(4), whole(5).units(), "ann"));
    assert_eq!(events, []);
    assert_eq!(world.ledger.reservation_state(&reservation).unwrap(), ReservationState::Active);
    world.ledger.settle(&reservation, whole(4)).unwrap();
    assert_eq!(world.books()[0], (10, 6, 0, 4));
}

#[test]
fn a_release_returns_all() {
    let world = World::new();
    let reservation = reserve(&world, 4);
    let ((), events) = world.act(|w| w.ledger.release(&reservation).unwrap());
    assert_eq!((events, world.books()), (vec![(Release, 4)], UNTOUCHED));
    assert_eq!(world.ledger.reservation_state(&reservation).unwrap(), ReservationState::Released);
}

#[test]
fn a_closed_reservation_stays_as_it_was_closed() {
    let world = World::new();
    let settled = reserve(&world, 4);
    let first = world.ledger.settle(&settled, whole(3)).unwrap();
    let released = reserve(&world, 2);
    world.ledger.release(&released).unwrap();
    let books = world.books();

    let (again, events) = world.act(|w| w.ledger.settle(&settled, whole(3)));
    assert_eq!((again.unwrap(), events), (first, vec![]));
    let (other, events) = world.act(|w| w.ledger.settle(&settled, whole(2)));
    assert_eq!((closed_as(other), events), (Closed::Settled(Settlement::Money(first)), vec![]));
    let (release, events) = world.act(|w| w.ledger.release(&settled));
    assert_eq!((closed_as(release), events), (Closed::Settled(Settlement::Money(first)), vec![]));
    assert_eq!(
        closed_as(world.ledger.keep_alive(&settled).and(world.ledger.release(&settled))),
        Closed::Settled(Settlement::Money(first))
    );

    let (again, events) = world.act(|w| w.ledger.release(&released));
    assert!(again.is_ok() && events.is_empty());
    let (settle, events) = world.act(|w| w.ledger.settle(&released, whole(2)));
    assert_eq!((closed_as(settle), events), (Closed::Released, vec![]));
    assert_eq!(world.books(), books);
}

// ---------------------------------------------------------------------------------------------- expiry

#[test]
fn a_reservation_expires_at_its_deadline_and_not_before() {
    let world = World::new();
    let reservation = reserve(&world, 4);
    world.advance(TTL - 1);
    assert_eq!(world.ledger.expire(), 0);
    assert_eq!(world.ledger.reservation_state(&reservation).unwrap(), ReservationState::Active);
    let (count, events) = world.act(|w| {
        w.advance(1);
        w.ledger.expire()
    });
    assert_eq!((count, events, world.books()), (1, vec![(Expire, 4)], UNTOUCHED));
    assert_eq!(world.ledger.reservation_state(&reservation).unwrap(), ReservationState::Expired);
    assert_eq!(world.ledger.expire(), 0);
}

#[test]
fn expiry_is_seen_by_the_first_read_of_any_account() {
    for read in [
        (|w: &World| w.ledger.remaining(&w.ann).unwrap()) as fn(&World) -> i128,
        |w| w.ledger.snapshot(&w.ann).unwrap().balance.remaining,
        |w| w.ledger.snapshot(&w.root).unwrap().balance.remaining - whole(90).units(),
        |w| w.ledger.available(&w.ann).unwrap(),
    ] {
        let world = World::new();
        let _held = reserve(&world, 4);
        world.advance(TTL);
        assert_eq!(read(&world), whole(10).units());
        world.assert_sound();
    }
}

#[test]
fn expiry_is_seen_by_the_first_refusal_on_the_path() {
    let world = World::new();
    let bob = world.ledger.register_agent("bob", "team", 5, whole(50)).unwrap();
    let _held = reserve(&world, 4);
    world.advance(TTL);
    // The pool refuses another agent at first: what it lacks is what expires.
    world.ledger.debit(&bob, &whole(50), NONE).unwrap();
    assert_eq!(world.books(), [(10, 10, 0, 0), (50, 0, 0, 50), (100, 50, 0, 50)]);
    for act in [
        (|w: &World| w.debit(10).map(drop)) as fn(&World) -> Result<(), LedgerError>,
        |w| w.ledger.reserve(&w.ann, &request(10)).map(drop),
        |w| w.ledger.transfer("ann", "bob", whole(10)),
        |w| {
            w.ledger
                .debit_many(&[w.ledger.handle("ann")?], &[10_000_000_000], NONE)
                .map_err(|e| *e.error)
                .map(|a| assert_eq!(a, [true]))
        },
    ] {
        let world = World::new();
        world.ledger.register_agent("bob", "team", 5, whole(0)).unwrap();
        let _held = reserve(&world, 4);
        world.advance(TTL);
        act(&world).unwrap();
        world.assert_sound();
    }
}

#[test]
fn a_budget_that_is_set_is_what_remains_even_if_something_was_due_to_expire() {
    let world = World::new();
    let _held = reserve(&world, 4);
    world.advance(TTL);
    world.ledger.update_budget("ann", whole(5)).unwrap();
    world.ledger.update_pool_budget("team", whole(6)).unwrap();
    assert_eq!(world.books(), [(5, 5, 0, 0), (6, 6, 0, 0), (100, 100, 0, 0)]);
}

#[test]
fn settling_what_has_expired_still_charges() {
    let world = World::new();
    let reservation = reserve(&world, 4);
    let (receipt, events) = world.act(|w| {
        w.advance(TTL);
        w.ledger.settle(&reservation, whole(12)).unwrap()
    });
    assert_eq!(events, [(Expire, 4), (LateSettle, 12)]);
    assert_eq!(world.books(), [(10, -2, 0, 12), (50, 38, 0, 12), (100, 88, 0, 12)]);
    assert_eq!(world.ledger.reservation_state(&reservation).unwrap(), ReservationState::Settled);
    let (again, events) = world.act(|w| w.ledger.settle(&reservation, whole(12)).unwrap());
    assert_eq!((again, events), (receipt, vec![]));
}

#[test]
fn a_late_settlement_keeps_to_its_overage_policy() {
    for overage in [Overage::AllowIfAvailable, Overage::Reject] {
        let world = World::new();
        let reservation = reserve_with(&world, 4, overage);
        let (answer, events) = world.act(|w| {
            w.advance(TTL);
            w.debit(8).unwrap();
            w.ledger.settle(&reservation, whole(3))
        });
        assert_eq!((refused_by(answer), events), (("ann".into(), 3, 2), vec![(Expire, 4), (Debit, 8)]));
        assert_eq!(world.ledger.reservation_state(&reservation).unwrap(), ReservationState::Expired);
        let (_, events) = world.act(|w| w.ledger.settle(&reservation, whole(2)).unwrap());
        assert_eq!((events, world.books()[0]), (vec![(LateSettle, 2)], (10, 0, 0, 10)));
    }
    let world = World::new();
    let reservation = reserve_with(&world, 4, Overage::Reject);
    world.advance(TTL);
    let answer = world.ledger.settle(&reservation, whole(5));
    assert!(matches!(answer, Err(LedgerError::OverReserved { .. })));
}

#[test]
fn releasing_what_has_expired_changes_nothing() {
    let world = World::new();
    let reservation = reserve(&world, 4);
    let ((), events) = world.act(|w| {
        w.advance(TTL);
        w.ledger.release(&reservation).unwrap();
    });
    assert_eq!((events, world.books()), (vec![(Expire, 4)], UNTOUCHED));
    assert_eq!(world.ledger.reservation_state(&reservation).unwrap(), ReservationState::Expired);
}

#[test]
fn a_reservation_kept_alive_outlives_its_deadline() {
    let world = World::new();
    let (kept, other) = (reserve(&world, 4), reserve(&world, 1));
    let ((), events) = world.act(|w| {
        w.ledger.keep_alive(&kept).unwrap();
        w.advance(100 * TTL);
    });
    assert_eq!((events, world.books()[0]), (vec![(Expire, 1)], (10, 6, 4, 0)));
    assert_eq!(closed_as(world.ledger.keep_alive(&other)), Closed::Expired);
    world.ledger.settle(&kept, whole(4)).unwrap();
    assert_eq!(world.books()[0], (10, 6, 0, 4));
}

#[test]
fn what_is_dropped_stays_reserved_until_its_time_is_over() {
    let world = World::new();
    drop(reserve(&world, 4));
    assert_eq!(world.books()[2], (100, 96, 4, 0));
    world.advance(TTL);
    assert_eq!(world.books(), UNTOUCHED);
}

#[test]
fn reservations_of_many_deadlines_expire_each_at_its_own() {
    let world = World::new();
    let ttls = [5, 3, 9, 1, 7, 2, 8, 4, 6, 10];
    let held: Vec<_> = ttls
        .iter()
        .map(|ttl| world.ledger.reserve(&world.ann, &Request { ttl_nanos: *ttl, ..request(1) }).unwrap())
        .collect();
    world.ledger.settle(&held[3], whole(1)).unwrap();
    for now in 1..=10 {
        world.advance(1);
        let reserved = 10 - now;
        assert_eq!(world.books()[0], (10, 9 - reserved.min(9), reserved.min(9), 1), "at {now}");
        world.assert_sound();
    }
}

// ---------------------------------------------------------------------------------------------- windows

#[test]
fn a_debit_is_charged_to_windows_and_budgets_in_one_step() {
    let world = World::new();
    limit(&world, 5, 60);
    limit(&world, 6, 3_600);
    world.debit(5).unwrap();
    let books = world.books();
    let (answer, events) = world.act(|w| w.debit(1));
    let Err(LedgerError::RateLimitExceeded(refusal)) = answer else { panic!("got {answer:?}") };
    assert_eq!((refusal.length, refusal.limit, refusal.spent), (60 * SECOND, whole(5), whole(5).units()));
    let fits_at = world.ledger.fits_at(&refusal);
    assert_eq!(fits_at.map(|at| at.since(refusal.now)), Some(60 * SECOND));
    assert_eq!((events, world.books()), (vec![], books));
    world.advance(60 * SECOND);
    assert!(is_rate_limited(&world.debit(2)), "the hour holds");
    world.debit(1).unwrap();
    assert!(is_rate_limited(&world.debit(1)));
}

#[test]
fn budget_refusals_are_told_before_window_refusals() {
    let world = World::new();
    limit(&world, 1, 60);
    assert_eq!(refused_by(world.debit(11)).0, "ann");
    world.ledger.update_pool_budget("root", whole(1)).unwrap();
    assert_eq!(refused_by(world.debit(2)).0, "root");
    world.ledger.update_pool_budget("root", whole(2)).unwrap();
    assert!(is_rate_limited(&world.debit(2)));
    assert_eq!(world.books(), [(10, 10, 0, 0), (50, 50, 0, 0), (2, 2, 0, 0)]);
    assert_eq!(window_room(&world), 1);
}

#[test]
fn a_budget_that_refuses_charges_no_window() {
    let world = World::new();
    limit(&world, 20, 60);
    world.ledger.update_pool_budget("root", whole(4)).unwrap();
    assert_eq!(refused_by(world.debit(5)).0, "root");
    assert_eq!(window_room(&world), 20);
}

#[test]
fn reservations_are_held_in_windows_until_settled() {
    let world = World::new();
    limit(&world, 5, 60);
    let reservation = reserve(&world, 4);
    assert!(is_rate_limited(&world.debit(2)));
    assert!(is_rate_limited(&world.ledger.acquire("ann", whole(2))));
    // Held for as long as it is active, however long that is.
    world.advance(120 * SECOND);
    assert_eq!(window_room(&world), 1);
    world.ledger.settle(&reservation, whole(3)).unwrap();
    assert_eq!(window_room(&world), 2);
    // Dated by the settlement, not by the reservation.
    world.advance(60 * SECOND - 1);
    assert_eq!(window_room(&world), 2);
    world.advance(1);
    assert_eq!(window_room(&world), 5);
}

#[test]
fn what_is_released_or_expired_leaves_the_window_at_once() {
    let world = World::new();
    limit(&world, 5, 3_600);
    let reservation = reserve(&world, 5);
    world.ledger.release(&reservation).unwrap();
    assert_eq!(window_room(&world), 5);
    let _held = reserve(&world, 5);
    world.advance(TTL);
    // The refusal of the window sees what expires.
    world.ledger.acquire("ann", whole(5)).unwrap();
}

#[test]
fn an_overage_passes_the_window_under_its_policy() {
    let world = World::new();
    limit(&world, 5, 60);
    let strict = reserve_with(&world, 4, Overage::AllowIfAvailable);
    assert!(is_rate_limited(&world.ledger.settle(&strict, whole(6))));
    assert_eq!(world.ledger.reservation_state(&strict).unwrap(), ReservationState::Active);
    world.ledger.settle(&strict, whole(5)).unwrap();
    world.advance(60 * SECOND);
    let fact = reserve(&world, 4);
    world.ledger.settle(&fact, whole(6)).unwrap();
    assert_eq!(window_room(&world), 0);
}

#[test]
fn acquire_and_record_touch_windows_and_never_budgets() {
    let world = World::new();
    limit(&world, 5, 60);
    let (answer, events) = world.act(|w| w.ledger.acquire("ann", whole(4)));
    assert!(answer.is_ok() && events.is_empty());
    let (answer, events) = world.act(|w| w.ledger.acquire("ann", whole(2)));
    assert!(is_rate_limited(&answer) && events.is_empty());
    assert_eq!(window_room(&world), 1);
    let ((), events) = world.act(|w| w.ledger.record_usage("ann", whole(9), NONE).unwrap());
    assert_eq!((events, world.books()), (vec![(Recorded, 9)], UNTOUCHED));
    assert_eq!(window_room(&world), 0);
    let usage = world.ledger.usage(&world.ann, Wall(0), Wall(1)).unwrap();
    assert_eq!(
        usage.iter().map(|u| (u.units, u.source)).collect::<Vec<_>>(),
        [(whole(9).units(), Source::Recorded)]
    );
}

#[test]
fn retry_after_is_exact_and_zero_if_nothing_was_refused() {
    let world = World::new();
    assert_eq!(world.ledger.retry_after("ann", None).unwrap(), Some(0), "no limit");
    limit(&world, 5, 60);
    world.ledger.record_usage("ann", whole(9), NONE).unwrap();
    assert_eq!(world.ledger.retry_after("ann", None).unwrap(), Some(0), "nothing was refused");
    assert_eq!(world.ledger.retry_after("ann", Some(Amount::ZERO)).unwrap(), Some(0), "nothing fits always");
    world.advance(SECOND);
    assert!(is_rate_limited(&world.ledger.acquire("ann", whole(1))));
    assert_eq!(world.ledger.retry_after("ann", None).unwrap(), Some(59 * SECOND));
    assert_eq!(world.ledger.retry_after("ann", Some(whole(6))).unwrap(), None, "never");
    world.advance(59 * SECOND - 1);
    assert!(is_rate_limited(&world.ledger.acquire("ann", whole(1))));
    world.advance(1);
    world.ledger.acquire("ann", whole(1)).unwrap();
}

#[test]
fn a_limit_beyond_what_a_window_can_count_is_refused() {
    let world = World::new();
    let most = Amount::from_units(safeguards_core::window::MAX_LIMIT_UNITS).unwrap();
    let set = |limit| world.ledger.set_rate_limit("ann", limit, SECOND, Precision::Bucketed);
    set(most).unwrap();
    let beyond = set(Amount::from_units(most.units() + 1).unwrap());
    assert!(matches!(beyond, Err(LedgerError::Configuration(_))), "got {beyond:?}");
}

#[test]
fn windows_are_replaced_and_removed_by_length() {
    let world = World::new();
    limit(&world, 5, 60);
    world.debit(3).unwrap();
    limit(&world, 4, 60);
    assert_eq!(window_room(&world), 1, "what was charged stays charged");
    limit(&world, 3, 3_600);
    assert_eq!(window_room(&world), 1);
    assert_eq!(world.ledger.remove_rate_limit("ann", Some(SECOND)).unwrap(), 0);
    assert_eq!(world.ledger.remove_rate_limit("ann", Some(60 * SECOND)).unwrap(), 1);
    assert_eq!(window_room(&world), 3);
    assert_eq!(world.ledger.remove_rate_limit("ann", None).unwrap(), 1);
    assert_eq!(window_room(&world), 1_000);
}

// ---------------------------------------------------------------------------------------------- idempotency

#[test]
fn the_same_key_charges_once() {
    let world = World::new();
    let debit =
        |wholes, operation, key: &str| world.ledger.debit_keyed(&world.ann, &whole(wholes), operation, key);
    let first = debit(3, NONE, "k").unwrap();
    world.debit(1).unwrap();
    let (again, events) = world.act(|_| debit(3, NONE, "k").unwrap());
    assert_eq!((again.value, events), (first.value, vec![]));
    assert_eq!((first.is_repeat, again.is_repeat), (false, true));
    assert_eq!(world.books()[0], (10, 6, 0, 4));

    let other = world.ledger.operation("search");
    for conflict in [debit(4, NONE, "k"), debit(3, other, "k")] {
        assert!(matches!(conflict, Err(LedgerError::IdempotencyConflict(key)) if &*key == "k"));
    }
    let bob = world.ledger.register_agent("bob", "team", 5, whole(10)).unwrap();
    let conflict = world.ledger.debit_keyed(&bob, &whole(3), NONE, "k");
    assert!(matches!(conflict, Err(LedgerError::IdempotencyConflict(_))));
    let conflict = world.ledger.reserve_keyed(&world.ann, &request(3), "k");
    assert!(matches!(conflict, Err(LedgerError::IdempotencyConflict(_))));
    assert_eq!(world.books()[1], (50, 46, 0, 4));
}

#[test]
fn refusals_are_not_remembered() {
    let world = World::new();
    let debit = |wholes| world.ledger.debit_keyed(&world.ann, &whole(wholes), NONE, "k");
    assert_eq!(refused_by(debit(11)).0, "ann");
    // The same key may even come with another payload: nothing was done under it.
    debit(2).unwrap();
    assert_eq!(world.books()[0], (10, 8, 0, 2));
}

fn reserve_under_key(world: &World, wholes: i128) -> Result<Once<Reservation>, LedgerError> {
    world.ledger.reserve_keyed(&world.ann, &request(wholes), "k")
}

#[test]
fn the_same_key_returns_the_same_reservation_while_it_has_an_effect() {
    let world = World::new();
    let first = reserve_under_key(&world, 4).unwrap();
    let (again, events) = world.act(|w| reserve_under_key(w, 4).unwrap());
    assert_eq!((again.value.number(), events), (first.value.number(), vec![]));
    assert_eq!((first.is_repeat, again.is_repeat), (false, true));
    assert_eq!(world.books()[0], (10, 6, 4, 0));
    world.ledger.settle(&first.value, whole(3)).unwrap();
    let settled = reserve_under_key(&world, 4).unwrap();
    assert!(settled.is_repeat && settled.value == first.value);
    assert_eq!(world.ledger.reservation_state(&settled.value).unwrap(), ReservationState::Settled);
    assert!(matches!(reserve_under_key(&world, 5), Err(LedgerError::IdempotencyConflict(_))));
    assert_eq!(world.books()[0], (10, 7, 0, 3));
}

#[test]
fn a_key_whose_reservation_was_given_back_is_decided_anew() {
    let world = World::new();
    let first = reserve_under_key(&world, 4).unwrap().value;
    world.ledger.release(&first).unwrap();
    // Whatever it asks for now: nothing stands that it could conflict with.
    let second = reserve_under_key(&world, 9).unwrap();
    assert_eq!((second.is_repeat, second.value.number()), (false, 2));
    assert_eq!(world.books()[0], (10, 1, 9, 0));
    world.advance(TTL);
    assert_eq!(world.ledger.reservation_state(&second.value).unwrap(), ReservationState::Expired);
    assert_eq!(refused_by(reserve_under_key(&world, 11)).0, "ann");
    let third = reserve_under_key(&world, 2).unwrap();
    assert_eq!((third.is_repeat, third.value.number()), (false, 3));
    // One that has expired and was settled late was charged.
    world.advance(TTL);
    world.ledger.settle(&third.value, whole(2)).unwrap();
    assert!(reserve_under_key(&world, 2).unwrap().is_repeat);
    assert_eq!(world.books()[0], (10, 8, 0, 2));
    world.ledger.debit_keyed(&world.ann, &whole(1), NONE, "k").unwrap_err();
    world.assert_sound();
}

#[test]
fn a_key_whose_reservation_is_at_work_is_in_progress() {
    let world = World::new();
    let first = reserve_under_key(&world, 4).unwrap().value;
    world.ledger.keep_alive(&first).unwrap();
    world.advance(2 * TTL);
    for wholes in [4, 5] {
        let refused = reserve_under_key(&world, wholes);
        assert!(matches!(refused, Err(LedgerError::IdempotencyInProgress(key)) if &*key == "k"));
    }
    world.ledger.let_expire(&first).unwrap();
    assert!(!reserve_under_key(&world, 5).unwrap().is_repeat);
    assert_eq!(world.books()[0], (10, 5, 5, 0));
    world.assert_sound();
}

#[test]
fn of_two_who_have_a_reservation_under_a_key_one_does_its_work() {
    let world = World::new();
    let [first, second] = [(); 2].map(|()| reserve_under_key(&world, 4).unwrap().value);
    world.ledger.keep_alive_keyed(&first, "k").unwrap();
    let refused = world.ledger.keep_alive_keyed(&second, "k");
    assert!(matches!(refused, Err(LedgerError::IdempotencyInProgress(key)) if &*key == "k"));
    world.ledger.let_expire(&first).unwrap();
    world.ledger.keep_alive_keyed(&second, "k").unwrap();
    world.advance(2 * TTL);
    let settled = Closed::Settled(Settlement::Money(world.ledger.settle(&second, whole(1)).unwrap()));
    assert_eq!(closed_as(world.ledger.keep_alive_keyed(&first, "k")), settled);
    world.assert_sound();
}

#[test]
fn keys_that_are_decided_anew_push_no_other_out() {
    let world = World::new();
    let debit = || world.ledger.debit_keyed(&world.ann, &whole(1), NONE, "first").unwrap();
    assert!(!debit().is_repeat);
    // More decisions than there are keys remembered, of very few keys.
    for round in 0..2 * MAX_KEYS {
        let key = (round % 100).to_string();
        let retry = world.ledger.reserve_keyed(&world.ann, &request(1), &key).unwrap();
        assert!(!retry.is_repeat);
        world.ledger.release(&retry.value).unwrap();
    }
    assert!(debit().is_repeat);
    assert_eq!(world.books()[0], (10, 9, 0, 1));
    world.assert_sound();
}

#[test]
fn the_terms_of_a_reservation_are_part_of_what_a_key_stands_for() {
    let world = World::new();
    let reserve = |ttl_nanos, overage| {
        let asked = Request { ttl_nanos, overage, ..request(4) };
        world.ledger.reserve_keyed(&world.ann, &asked, "k")
    };
    let first = reserve(TTL, Overage::Reject).unwrap().value;
    assert!(matches!(reserve(TTL + 1, Overage::Reject), Err(LedgerError::IdempotencyConflict(_))));
    let other = reserve(TTL, Overage::AllowIfAvailable);
    assert!(matches!(other, Err(LedgerError::IdempotencyConflict(_))));
    assert_eq!(reserve(TTL, Overage::Reject).unwrap().value, first);
    world.assert_sound();
}

#[test]
fn a_key_that_was_decided_anew_lives_as_long_as_any_other() {
    let world = World::new();
    let first = reserve_under_key(&world, 4).unwrap().value;
    world.ledger.release(&first).unwrap();
    world.advance(MAX_KEY_AGE_NANOS - 1);
    world.ledger.debit_keyed(&world.ann, &whole(3), NONE, "k").unwrap();
    // The first use is forgotten now, and must not take the second along.
    world.advance(1);
    assert!(world.ledger.debit_keyed(&world.ann, &whole(3), NONE, "k").unwrap().is_repeat);
    assert_eq!(world.books()[0], (10, 7, 0, 3));
    world.assert_sound();
}

#[test]
fn keys_are_remembered_for_a_day() {
    let world = World::new();
    let debit = || world.ledger.debit_keyed(&world.ann, &whole(3), NONE, "k").unwrap();
    debit();
    world.advance(MAX_KEY_AGE_NANOS - 1);
    debit();
    assert_eq!(world.books()[0], (10, 7, 0, 3));
    world.advance(1);
    debit();
    assert_eq!(world.books()[0], (10, 4, 0, 6));
}

#[test]
fn the_newest_keys_are_remembered() {
    let world = World::new();
    let cent = amount("0.000000001");
    let debit = |i: usize| world.ledger.debit_keyed(&world.ann, &cent, NONE, &i.to_string()).unwrap();
    for i in 0..MAX_KEYS {
        debit(i);
    }
    let spent = || world.ledger.snapshot(&world.ann).unwrap().balance.spent;
    for i in 0..MAX_KEYS {
        debit(i);
    }
    assert_eq!(spent(), 100_000, "the newest 100,000 have no second effect");
    for i in MAX_KEYS..MAX_KEYS * 5 / 4 {
        debit(i);
    }
    debit(0);
    assert_eq!(spent(), 125_001, "the oldest was forgotten");
}

// ---------------------------------------------------------------------------------------------- batches

#[test]
fn a_batch_debits_in_order() {
    let world = World::new();
    world.ledger.register_agent("bob", "team", 5, whole(3)).unwrap();
    let (ann, bob) = (world.ledger.handle("ann").unwrap(), world.ledger.handle("bob").unwrap());
    let one = 1_000_000_000;
    let units = [6 * one, 5 * one, 3 * one, 4 * one, one, 0, i64::MAX];
    let (admitted, events) =
        world.act(|w| w.ledger.debit_many(&[ann, ann, bob, ann, ann, ann, bob], &units, NONE).unwrap());
    assert_eq!(admitted, [true, false, true, true, false, true, false]);
    assert_eq!(events, [(Debit, 6), (Debit, 4)]);
    assert_eq!(world.books(), [(10, 0, 0, 10), (50, 37, 0, 13), (100, 87, 0, 13)]);
    assert_eq!(world.ledger.debit_many(&[], &[], NONE).unwrap(), [false; 0]);
}

#[test]
fn a_malformed_item_refuses_the_batch_before_any_debit() {
    let world = World::new();
    let ann = world.ledger.handle("ann").unwrap();
    let negative = world.ledger.debit_many(&[ann, ann], &[1, -1], NONE).unwrap_err();
    assert_eq!(negative.index, 1);
    assert!(matches!(*negative.error, LedgerError::Configuration(text) if text.contains("-1")));
    let unknown = world.ledger.debit_many(&[ann, ann + 1], &[1, 1], NONE).unwrap_err();
    assert_eq!(unknown.index, 1);
    let short = world.ledger.debit_many(&[ann, ann], &[1], NONE).unwrap_err();
    assert!(
        matches!(*short.error, LedgerError::Configuration(text) if text.contains('2') && text.contains('1'))
    );
    assert_eq!(world.books(), UNTOUCHED);
}

// ---------------------------------------------------------------------------------------------- grants

#[test]
fn update_makes_it_remain_and_leaves_reservations_alone() {
    let world = World::new();
    world.debit(2).unwrap();
    let reservation = reserve(&world, 3);
    let ((), events) = world.act(|w| w.ledger.update_budget("ann", whole(90)).unwrap());
    assert_eq!(events, [(Update, 90)]);
    // More than its pools have: no pool vetoes, and the path check still holds.
    assert_eq!(world.books(), [(95, 90, 3, 2), (50, 45, 3, 2), (100, 95, 3, 2)]);
    assert_eq!(world.ledger.available(&world.ann).unwrap(), whole(45).units());
    assert_eq!(refused_by(world.debit(46)).0, "team");
    let ((), events) = world.act(|w| w.ledger.update_pool_budget("team", whole(0)).unwrap());
    assert_eq!((events, world.books()[1]), (vec![(Update, 0)], (5, 0, 3, 2)));
    world.ledger.settle(&reservation, whole(3)).unwrap();
    assert_eq!(world.books()[1], (5, 0, 0, 5));
}

#[test]
fn an_adjustment_moves_what_remains_within_the_period() {
    let world = World::new();
    let before = world.books()[0];
    world.debit(2).unwrap();
    let reservation = reserve(&world, 3);
    let remains = before.1 - 5;
    let one = whole(1).units();

    let (made, events) = world.act(|w| w.ledger.adjust_budget("ann", 4 * one).unwrap());
    assert_eq!((made, events), (4 * one, vec![(Raise, 4)]));
    assert_eq!(world.books()[0], (before.0 + 4, remains + 4, 3, 2));
    // Never more than remains is taken: what is reserved stays.
    let (made, events) = world.act(|w| w.ledger.adjust_budget("ann", -1_000 * one).unwrap());
    assert_eq!((made, events), (-(remains + 4) * one, vec![(Lower, remains + 4)]));
    assert_eq!(world.books()[0], (5, 0, 3, 2));
    let (made, events) = world.act(|w| w.ledger.adjust_budget("ann", -one).unwrap());
    assert_eq!((made, events), (0, vec![]));

    // It is the same period: what it began with stays, what it was granted moves.
    let agent = world.ledger.snapshot(&world.ann).unwrap();
    assert_eq!((agent.initial, agent.period_granted, agent.period_spent), (before.0 * one, 5 * one, 2 * one));
    // An overdraft is not deepened, and a raise pays it back first.
    world.ledger.settle(&reservation, whole(6)).unwrap();
    assert_eq!(world.ledger.adjust_budget("ann", -one).unwrap(), 0);
    assert_eq!(world.ledger.adjust_budget("ann", 5 * one).unwrap(), 5 * one);
    assert_eq!(world.books()[0], (10, 2, 0, 8));
    assert_eq!(world.ledger.adjust_pool_budget("team", -one).unwrap(), -one);
    assert!(matches!(world.ledger.adjust_budget("nobody", 1), Err(LedgerError::UnknownAgent(_))));
    assert!(matches!(world.ledger.adjust_pool_budget("ann", 1), Err(LedgerError::UnknownPool(_))));
}

#[test]
fn a_transfer_moves_budget_and_leaves_pools_alone() {
    let world = World::new();
    world.ledger.create_pool(pool("elsewhere", None, 1)).unwrap();
    let bob = world.ledger.register_agent("bob", "elsewhere", 5, whole(0)).unwrap();
    let reservation = reserve(&world, 4);
    let ((), events) = world.act(|w| w.ledger.transfer("ann", "bob", whole(5)).unwrap());
    assert_eq!(events, [(TransferOut, 5)]);
    let last = world.ledger.events(&bob).unwrap().pop().unwrap();
    assert_eq!((last.kind, last.amount), (TransferIn, whole(5)));
    assert_eq!(world.books(), [(5, 1, 4, 0), (50, 46, 4, 0), (100, 96, 4, 0)]);
    assert_eq!(world.books_of(&bob), (5, 5, 0, 0));
    // What is reserved is not to be given away.
    let (answer, events) = world.act(|w| w.ledger.transfer("ann", "bob", whole(2)));
    assert_eq!((refused_by(answer), events), (("ann".into(), 2, 1), vec![]));
    assert!(matches!(world.ledger.transfer("ann", "ann", whole(1)), Err(LedgerError::Configuration(_))));
    assert!(matches!(world.ledger.transfer("ann", "cat", whole(1)), Err(LedgerError::UnknownAgent(_))));
    world.ledger.release(&reservation).unwrap();
    assert_eq!((world.books()[0], world.books_of(&bob)), ((5, 5, 0, 0), (5, 5, 0, 0)));
}

// ---------------------------------------------------------------------------------------------- registration

#[test]
fn registering_takes_nothing_from_the_pool_and_happens_once() {
    let world = World::new();
    let twice = world.ledger.register_agent("ann", "root", 5, whole(1));
    assert!(matches!(twice, Err(LedgerError::Configuration(text)) if text.contains("ann")));
    let twice = world.ledger.create_pool(pool("team", None, 1));
    assert!(matches!(twice, Err(LedgerError::Configuration(text)) if text.contains("team")));
    let nowhere = world.ledger.register_agent("bob", "nowhere", 5, whole(1));
    assert!(matches!(nowhere, Err(LedgerError::UnknownPool(id)) if &*id == "nowhere"));
    assert_eq!((world.ledger.agent_ids().len(), world.ledger.pool_ids().len()), (1, 2));
    assert_eq!(world.books(), UNTOUCHED);
}

#[test]
fn an_agent_and_a_pool_of_one_name_are_both_members() {
    let world = World::new();
    world.ledger.create_pool(pool("ann", Some("team"), 1)).unwrap();
    let members = |kind| world.ledger.members("team", kind).unwrap().len();
    assert_eq!((members(Kind::Agent), members(Kind::Pool)), (1, 1));
    world.ledger.unregister_agent("ann").unwrap();
    assert_eq!((members(Kind::Agent), members(Kind::Pool)), (0, 1));
}

#[test]
fn what_an_agent_has_spent_outlives_it_in_its_pools() {
    let world = World::new();
    world.debit(3).unwrap();
    let reservation = reserve(&world, 2);
    let busy = world.ledger.unregister_agent("ann");
    assert!(matches!(busy, Err(LedgerError::Configuration(text)) if text.contains("1 active")));
    world.advance(TTL);
    world.ledger.unregister_agent("ann").unwrap();
    assert_eq!((world.books_of(&world.team), world.books_of(&world.root)), ((50, 47, 0, 3), (100, 97, 0, 3)));
    assert!(matches!(world.ledger.unregister_agent("ann"), Err(LedgerError::UnknownAgent(_))));
    assert!(world.ledger.members("team", Kind::Agent).unwrap().is_empty());

    // Whoever still holds the account can do nothing new with it, but a cost is a fact.
    for answer in [world.debit(1).map(drop), world.ledger.reserve(&world.ann, &request(1)).map(drop)] {
        assert!(matches!(answer, Err(LedgerError::UnknownAgent(_))));
    }
    world.ledger.settle(&reservation, whole(2)).unwrap();
    assert_eq!((world.books_of(&world.team), world.books_of(&world.root)), ((50, 45, 0, 5), (100, 95, 0, 5)));
    world.assert_sound();

    // Its name is free again, for an account that has spent nothing.
    let anew = world.ledger.register_agent("ann", "team", 5, whole(10)).unwrap();
    assert_eq!(world.books_of(&anew), (10, 10, 0, 0));
    assert!(matches!(world.debit(1), Err(LedgerError::UnknownAgent(_))), "the old account stays closed");
    world.assert_sound();
}

#[test]
fn a_handle_never_names_another_agent() {
    let world = World::new();
    let mut handles = std::collections::HashSet::new();
    // More often than a slot is used again before it is retired.
    for i in 0..600 {
        let id = format!("agent {i}");
        world.ledger.register_agent(&id, "team", 5, whole(1)).unwrap();
        let handle = world.ledger.handle(&id).unwrap();
        assert!(handles.insert(handle), "handle {handle} came again");
        assert_eq!(world.ledger.debit_many(&[handle], &[1], NONE).unwrap(), [true]);
        world.ledger.unregister_agent(&id).unwrap();
        assert!(matches!(world.ledger.handle(&id), Err(LedgerError::UnknownAgent(_))));
    }
    for handle in handles {
        let batch = world.ledger.debit_many(&[handle], &[1], NONE).unwrap_err();
        assert!(matches!(*batch.error, LedgerError::UnknownHandle(unknown) if unknown == handle));
    }
    world.assert_sound();
}

// ---------------------------------------------------------------------------------------------- renewals

/// A world with a pool `hourly` of 10, and the agent `cat` of 100 in it.
fn with_renewal(period: Period) -> World {
    let mut world = World::new();
    let rules = Periods::from(Schedule::new(period, jiff::tz::TimeZone::UTC, Wall(0))).into();
    world.team =
        world.ledger.create_pool(NewPool { name: None, rules, ..pool("hourly", Some("root"), 10) }).unwrap();
    world.ann = world.ledger.register_agent("cat", "hourly", 5, whole(100)).unwrap();
    world
}

fn renewals(world: &World) -> usize {
    let events = world.ledger.events(&world.team).unwrap();
    events.iter().filter(|event| event.kind == EventKind::Renew).count()
}

#[test]
fn a_period_begins_with_its_budget() {
    let world = with_renewal(Period::Hourly);
    world.debit(7).unwrap();
    world.advance(HOUR - 1);
    assert_eq!(refused_by(world.debit(4)).0, "hourly");
    world.advance(1);
    world.debit(9).unwrap();
    assert_eq!(world.books_of(&world.team), (17, 1, 0, 16));
    let snapshot = world.ledger.snapshot(&world.team).unwrap();
    assert_eq!((snapshot.period_granted, snapshot.period_spent), (whole(10).units(), whole(9).units()));
    assert_eq!(renewals(&world), 1);
}

#[test]
fn periods_that_nobody_saw_are_granted_once() {
    let world = with_renewal(Period::Every(HOUR));
    world.debit(7).unwrap();
    world.advance(5 * HOUR + 17);
    assert_eq!(world.books_of(&world.team), (17, 10, 0, 7));
    assert_eq!(renewals(&world), 1);
    world.debit(10).unwrap();
    world.advance(HOUR - 18);
    assert_eq!(refused_by(world.debit(1)).0, "hourly");
    world.advance(1);
    world.debit(1).unwrap();
}

#[test]
fn a_wall_clock_that_jumps_back_and_forth_grants_no_period_twice() {
    let world = with_renewal(Period::Hourly);
    for _ in 0..5 {
        for wall in [HOUR - 1, HOUR, 0, HOUR + 1, -7 * HOUR, HOUR / 2, HOUR] {
            world.clock.set_wall(Wall(wall));
            while world.debit(1).is_ok() {}
        }
    }
    assert_eq!(world.books_of(&world.team), (30, 0, 0, 30), "two hours, and one of before");
    world.clock.set_wall(Wall(2 * HOUR));
    assert_eq!(world.books_of(&world.team), (40, 10, 0, 30));
}

#[test]
fn what_is_reserved_across_a_renewal_counts_against_the_new_period() {
    let world = with_renewal(Period::Hourly);
    let held = [reserve(&world, 4), reserve(&world, 3)];
    for reservation in &held {
        world.ledger.keep_alive(reservation).unwrap();
    }
    world.debit(2).unwrap();
    world.advance(HOUR);
    assert_eq!(world.books_of(&world.team), (12, 3, 7, 2));
    world.ledger.settle(&held[0], whole(1)).unwrap();
    assert_eq!(world.books_of(&world.team), (12, 6, 3, 3));
    world.ledger.release(&held[1]).unwrap();
    assert_eq!(world.books_of(&world.team), (12, 9, 0, 3));
    assert_eq!(refused_by(world.debit(10)).0, "hourly");
    world.debit(9).unwrap();
    world.assert_sound();
}

#[test]
fn later_periods_can_be_given_another_budget() {
    let world = with_renewal(Period::Daily);
    world.ledger.set_period_budget("hourly", whole(4)).unwrap();
    assert_eq!(world.books_of(&world.team), (10, 10, 0, 0));
    world.advance(24 * HOUR);
    assert_eq!(world.books_of(&world.team), (4, 4, 0, 0));
    // What is set for this period does not outlive it.
    world.ledger.update_pool_budget("hourly", whole(50)).unwrap();
    world.advance(24 * HOUR);
    assert_eq!(world.books_of(&world.team), (4, 4, 0, 0));
    assert!(matches!(world.ledger.set_period_budget("root", whole(1)), Err(LedgerError::Configuration(_))));
}

#[test]
fn a_pool_tells_when_it_is_renewed_and_with_what() {
    let world = with_renewal(Period::Daily);
    world.ledger.set_period_budget("hourly", whole(4)).unwrap();
    world.advance(30 * HOUR);
    let renewal = world.ledger.renewal("hourly").unwrap().unwrap();
    assert_eq!((renewal.ends, renewal.next_ends), (Wall(48 * HOUR), Wall(72 * HOUR)));
    assert_eq!(renewal.budget, whole(4));
    assert_eq!(world.ledger.renewal("root").unwrap(), None);
    assert!(matches!(world.ledger.renewal("nowhere"), Err(LedgerError::UnknownPool(_))));
}

#[test]
fn the_pool_that_refuses_counts_it_and_nobody_else_does() {
    let world = with_renewal(Period::Hourly);
    let refusals = |id| world.ledger.refusals(id).unwrap();
    world.debit(8).unwrap();
    for refused in 1..=3 {
        assert_eq!(refused_by(world.debit(3)).0, "hourly");
        assert_eq!((refusals("hourly"), refusals("root")), (refused, 0));
    }
    assert_eq!(refused_by(world.debit(101)).0, "cat");
    assert_eq!(refusals("hourly"), 3, "its own budget refused the agent");
    world.ledger.update_pool_budget("root", whole(1)).unwrap();
    assert_eq!(refused_by(world.debit(2)).0, "root");
    assert_eq!((refusals("hourly"), refusals("root")), (3, 1));
}

#[test]
fn agents_below_a_pool_are_counted_at_any_depth() {
    let world = World::new();
    world.ledger.register_agent("bob", "root", 5, whole(1)).unwrap();
    let counts = ["root", "team"].map(|id| world.ledger.agents_below(id).unwrap());
    assert_eq!(counts, [2, 1]);
    world.ledger.unregister_agent("ann").unwrap();
    assert_eq!(world.ledger.agents_below("root").unwrap(), 1);
}

fn every(nanos: i64) -> Rules {
    Periods::from(Schedule::new(Period::Every(nanos), jiff::tz::TimeZone::UTC, Wall(0))).into()
}

#[test]
fn a_period_has_a_length() {
    let world = World::new();
    for nanos in [0, -1, i64::MIN] {
        let rules = every(nanos);
        let refused = world.ledger.create_pool(NewPool { name: None, rules, ..pool("never", None, 1) });
        assert!(matches!(refused, Err(LedgerError::Configuration(_))), "{nanos}: {refused:?}");
        assert!(!world.ledger.has_pool("never"));
    }
}

// ---------------------------------------------------------------------------------------------- thresholds

fn taken(world: &World) -> Vec<Alarm> {
    let expects_some = world.ledger.has_alarms();
    let alarms = world.ledger.take_alarms();
    assert_eq!(expects_some, !alarms.is_empty());
    assert!(!world.ledger.has_alarms());
    alarms
}

/// Account and threshold of each crossing that was not told yet, and what the period had spent by then.
fn told(world: &World) -> Vec<(String, u32, i128)> {
    let tell = |alarm| match alarm {
        Alarm::Crossing(Crossing { account, threshold: Threshold(share), period_spent, .. }) => {
            (account.to_string(), share, period_spent / UNITS_PER_ONE)
        }
        other => panic!("nobody asked for {other:?}"),
    };
    taken(world).into_iter().map(tell).collect()
}

#[test]
fn a_threshold_is_told_once_per_crossing() {
    let world = World::with_thresholds(&[800_000, 500_000, 1_000_000, 500_000]);
    world.debit(4).unwrap();
    assert_eq!(told(&world), []);
    world.debit(1).unwrap();
    assert_eq!(told(&world), [("ann".into(), 500_000, 5)]);
    world.debit(2).unwrap();
    assert_eq!(told(&world), []);
    // A charge that crosses several tells the highest.
    world.debit(3).unwrap();
    assert_eq!(told(&world), [("ann".into(), 1_000_000, 10)]);
    // A new budget is a new period.
    world.ledger.update_budget("ann", whole(10)).unwrap();
    assert_eq!(told(&world), []);
    world.debit(8).unwrap();
    assert_eq!(told(&world), [("ann".into(), 800_000, 8)]);
}

/// Everything that adds to a budget within its period, of an agent or a pool.
#[test]
fn a_threshold_is_told_again_when_a_smaller_share_was_spent_in_between() {
    let world = World::with_thresholds(&[500_000, 800_000]);
    world.ledger.register_agent("rich", "team", 5, whole(1_000)).unwrap();
    let again = |by: &str, add: &dyn Fn()| {
        world.ledger.update_budget("ann", whole(10)).unwrap();
        world.debit(8).unwrap();
        assert_eq!(told(&world), [("ann".into(), 800_000, 8)], "{by}");
        add();
        assert_eq!(told(&world), [], "{by}");
        // 8 of 15: only the higher one is armed again.
        world.debit(2).unwrap();
        assert_eq!(told(&world), [], "{by}");
        world.debit(2).unwrap();
        assert_eq!(told(&world), [("ann".into(), 800_000, 12)], "{by}");
        world.ledger.update_pool_budget("team", whole(60)).unwrap();
        world.ledger.update_pool_budget("root", whole(100)).unwrap();
    };
    again("adjust", &|| assert!(world.ledger.adjust_budget("ann", 5 * UNITS_PER_ONE).is_ok()));
    again("transfer", &|| world.ledger.transfer("rich", "ann", whole(5)).unwrap());
    again("execute", &|| {
        let order = Order::Adjust { by: 5 * UNITS_PER_ONE, later_periods: 0 };
        let (kind, account, actor, reason) = (Kind::Agent, "ann", "sizer", "a test");
        world.ledger.execute(&Execution { kind, account, order, actor, reason }).unwrap();
    });
    world.assert_sound();
}

#[test]
fn thresholds_of_pools_are_told_and_begin_anew_with_a_budget() {
    let world = World::with_thresholds(&[500_000]);
    let bob = world.ledger.register_agent("bob", "team", 5, whole(100)).unwrap();
    world.ledger.debit(&bob, &whole(30), NONE).unwrap();
    assert_eq!(told(&world), [("team".into(), 500_000, 30)]);
    world.ledger.debit(&bob, &whole(20), NONE).unwrap();
    assert_eq!(told(&world), [("root".into(), 500_000, 50), ("bob".into(), 500_000, 50)]);
    world.ledger.update_pool_budget("team", whole(20)).unwrap();
    world.debit(10).unwrap();
    assert_eq!(told(&world), [("team".into(), 500_000, 10), ("ann".into(), 500_000, 10)]);
}

#[test]
fn neither_reservations_nor_refusals_cross_a_threshold() {
    let world = World::with_thresholds(&[500_000]);
    let reservation = reserve(&world, 9);
    assert!(world.debit(2).is_err());
    assert_eq!(told(&world), []);
    world.ledger.settle(&reservation, whole(9)).unwrap();
    assert_eq!(told(&world), [("ann".into(), 500_000, 9)]);
}

#[test]
fn more_thresholds_than_a_byte_counts() {
    let shares: Vec<u32> = (1..=1_000).map(|i| i * 1_000).collect();
    let world = World::with_thresholds(&shares);
    world.debit(10).unwrap();
    assert_eq!(told(&world).last(), Some(&("ann".into(), 1_000_000, 10)));
    world.assert_sound();
}

/// Agent, and what remains, of each alarm that was not told yet.
fn lows(world: &World) -> Vec<(String, i128)> {
    let tell = |alarm| match alarm {
        Alarm::Low { agent, remaining } => (agent.to_string(), remaining / UNITS_PER_ONE),
        other => panic!("nobody asked for {other:?}"),
    };
    taken(world).into_iter().map(tell).collect()
}

fn low(agent: &str, remaining: i128) -> Vec<(String, i128)> {
    vec![(agent.into(), remaining)]
}

#[test]
fn an_agent_that_runs_low_is_told_once_until_it_has_enough_again() {
    let world = World::new();
    world.ledger.watch_low("team", Some(whole(5))).unwrap();
    world.debit(5).unwrap();
    assert_eq!(lows(&world), []);
    world.debit(1).unwrap();
    assert_eq!(lows(&world), low("ann", 4));
    world.debit(1).unwrap();
    assert_eq!(lows(&world), []);
    world.ledger.adjust_budget("ann", UNITS_PER_ONE).unwrap(); // not enough yet
    world.debit(1).unwrap();
    assert_eq!(lows(&world), []);
    world.ledger.adjust_budget("ann", 2 * UNITS_PER_ONE).unwrap();
    world.debit(1).unwrap();
    assert_eq!(lows(&world), low("ann", 4));
    world.ledger.update_budget("ann", whole(4)).unwrap();
    world.debit(1).unwrap();
    assert_eq!(lows(&world), []);
    world.ledger.watch_low("team", None).unwrap();
    world.ledger.update_budget("ann", whole(9)).unwrap();
    world.debit(8).unwrap();
    assert_eq!(lows(&world), []);
    assert!(matches!(world.ledger.watch_low("nobody", None), Err(LedgerError::UnknownPool(_))));
}

#[test]
fn what_is_low_when_the_watch_begins_is_told_at_the_next_charge() {
    let world = World::new();
    world.debit(7).unwrap();
    world.ledger.watch_low("team", Some(whole(5))).unwrap();
    assert_eq!(lows(&world), []);
    world.debit(1).unwrap();
    assert_eq!(lows(&world), low("ann", 2));
    world.debit(1).unwrap();
    assert_eq!(lows(&world), []);
    world.ledger.watch_low("team", Some(whole(5))).unwrap(); // anew
    world.debit(1).unwrap();
    assert_eq!(lows(&world), low("ann", 0));
}

#[test]
fn agents_that_join_later_are_watched_as_well() {
    let world = World::new();
    world.ledger.watch_low("team", Some(whole(5))).unwrap();
    let bob = world.ledger.register_agent("bob", "team", 5, whole(6)).unwrap();
    let other = world.ledger.register_agent("other", "root", 5, whole(6)).unwrap();
    world.ledger.debit(&other, &whole(2), NONE).unwrap();
    world.ledger.debit(&bob, &whole(2), NONE).unwrap();
    assert_eq!(lows(&world), low("bob", 4));
}

#[test]
fn a_reservation_makes_low_and_its_release_ends_it() {
    let world = World::new();
    world.ledger.watch_low("team", Some(whole(5))).unwrap();
    let reservation = reserve(&world, 6);
    assert_eq!(lows(&world), low("ann", 4));
    world.ledger.release(&reservation).unwrap();
    let reservation = reserve(&world, 7);
    assert_eq!(lows(&world), low("ann", 3));
    world.ledger.settle(&reservation, whole(1)).unwrap();
    assert_eq!(lows(&world), []);
    world.debit(5).unwrap();
    assert_eq!(lows(&world), low("ann", 4));
}

#[test]
fn a_threshold_waits_until_what_is_reserved_is_spent() {
    let world = World::with_thresholds(&[500_000]);
    let reservation = reserve(&world, 8);
    for _ in 0..2 {
        world.debit(1).unwrap();
    }
    assert_eq!(told(&world), []);
    world.ledger.settle(&reservation, whole(3)).unwrap();
    assert_eq!(told(&world), [("ann".into(), 500_000, 5)]);
}

#[test]
fn one_charge_can_cross_a_threshold_and_make_low() {
    let world = World::with_thresholds(&[500_000]);
    world.ledger.watch_low("team", Some(whole(5))).unwrap();
    world.debit(6).unwrap();
    let alarms = taken(&world);
    assert!(matches!(&alarms[..], [Alarm::Crossing(_), Alarm::Low { .. }]), "{alarms:?}");
}

// ------------------------------------------------------------------------------------------------- members

#[test]
fn members_of_a_pool_are_the_agents_right_below() {
    let world = World::new();
    world.ledger.register_agent("bob", "team", 8, whole(3)).unwrap();
    world.ledger.register_agent("other", "root", 5, whole(6)).unwrap();
    world.debit(4).unwrap();
    let members = world.ledger.pool_members("team").unwrap();
    let seen: Vec<_> =
        members.agents.iter().map(|(a, s)| (&**a.id(), s.balance.remaining, s.priority)).collect();
    assert_eq!(seen, [("ann", 6 * UNITS_PER_ONE, 5), ("bob", 3 * UNITS_PER_ONE, 8)]);
    assert_eq!(members.pool.balance.spent, 4 * UNITS_PER_ONE);
    assert_eq!(members.renews_in, None);
    world.ledger.unregister_agent("ann").unwrap();
    assert_eq!(world.ledger.pool_members("team").unwrap().agents.len(), 1);
}

#[test]
fn members_know_when_their_pool_is_granted_anew() {
    let world = World::new();
    let rules = every(10 * HOUR);
    world.ledger.create_pool(NewPool { name: None, rules, ..pool("often", None, 1) }).unwrap();
    world.advance(4 * HOUR);
    assert_eq!(world.ledger.pool_members("often").unwrap().renews_in, Some(6 * HOUR));
    assert!(matches!(world.ledger.pool_members("nobody"), Err(LedgerError::UnknownPool(_))));
}

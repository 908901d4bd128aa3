//! What grows is bounded, and work comes in slices between which others have their turn.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "tests may, and so may their helpers")]

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use common::{World, ledger, pool, request, whole};
use safeguards_core::amount::{Amount, UNITS_PER_ONE};
use safeguards_core::clock::{Clock, ManualClock, Wall};
use safeguards_core::ledger::{
    Account, Bundle, HistoryLimits, Ledger, LedgerError, MAX_KEY_BYTES, MAX_WINDOWS, OperationId, Overage,
    Request, Reservation, ReservationState,
};
use safeguards_core::window::Precision;

const NONE: OperationId = OperationId::NONE;
const MANY: i64 = 5_000;
/// The same, as a count.
const COUNT: usize = 5_000;

fn short(ttl_nanos: i64) -> Request {
    Request { ttl_nanos, ..request(1) }
}

/// `ann`, with so much, of which all is reserved and due.
fn with_all_due() -> (Arc<Ledger>, Arc<ManualClock>, Arc<Account>, Vec<Reservation>) {
    let (ledger, clock) = ledger(&[]);
    ledger.create_pool(pool("team", None, MANY.into())).unwrap();
    let ann = ledger.register_agent("ann", "team", 5, whole(MANY.into())).unwrap();
    let held = (0..MANY).map(|i| ledger.reserve(&ann, &short(100 + i)).unwrap()).collect();
    clock.advance(Duration::from_secs(1));
    (ledger, clock, ann, held)
}

#[test]
fn a_debit_gives_back_no_more_than_it_needs() {
    let (ledger, _, ann, _held) = with_all_due();
    ledger.debit(&ann, &whole(1), NONE).unwrap();
    assert!(ledger.expire() > COUNT / 2);
    assert_eq!(ledger.verify(), []);
}

#[test]
fn a_debit_sees_all_that_is_due_if_it_must() {
    for beyond in [0, 1] {
        let (ledger, _, ann, _held) = with_all_due();
        let answer = ledger.debit(&ann, &whole(i128::from(MANY) + beyond), NONE);
        assert_eq!(answer.is_ok(), beyond == 0, "{answer:?}");
        if let Err(LedgerError::BudgetExceeded(refusal)) = answer {
            assert_eq!(refusal.balance.remaining, i128::from(MANY) * UNITS_PER_ONE);
            assert!(ledger.activity(&ann).unwrap().refusals < 10);
        }
        assert_eq!(ledger.expire(), 0);
        assert_eq!(ledger.verify(), []);
    }
}

#[test]
fn whose_time_is_over_is_settled_late_whatever_else_is_due() {
    let (ledger, _, ann, held) = with_all_due();
    let (last, others) = held.split_last().unwrap();
    ledger.settle(last, whole(2)).unwrap();
    assert_eq!(ledger.reservation_state(last).unwrap(), ReservationState::Settled);
    assert!(others.iter().all(|held| ledger.reservation_state(held).unwrap() == ReservationState::Expired));
    assert_eq!(ledger.remaining(&ann).unwrap(), i128::from(MANY - 2) * UNITS_PER_ONE);
    assert_eq!(ledger.verify(), []);
}

#[test]
fn long_work_is_done_as_the_ledger_was_told() {
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    let clock = Arc::new(ManualClock::new(Wall(0)));
    let ledger = Ledger::new(Clock::Manual(Arc::clone(&clock)), HistoryLimits::default(), Vec::new());
    let ledger = ledger.letting_go(|work| {
        TIMES.fetch_add(1, Ordering::Relaxed);
        work();
    });
    ledger.create_pool(pool("team", None, 10_000)).unwrap();
    let ann = ledger.register_agent("ann", "team", 5, whole(10_000)).unwrap();
    for (many, times) in [(10, 0), (MANY, 1)] {
        let _held: Vec<_> = (0..many).map(|_| ledger.reserve(&ann, &short(1)).unwrap()).collect();
        clock.advance(Duration::from_secs(1));
        assert_eq!(ledger.remaining(&ann).unwrap(), whole(10_000).units());
        assert_eq!(TIMES.load(Ordering::Relaxed), times);
        assert!(!ledger.is_busy());
    }
    let call = ledger.long_call();
    assert!(ledger.is_busy());
    drop(call);
    assert!(!ledger.is_busy());
}

/// Goes on so often, and does something each time.
fn so_often(times: usize, act: impl Fn()) -> impl Fn() -> bool {
    let left = Cell::new(times);
    move || {
        act();
        left.set(left.get().saturating_sub(1));
        left.get() > 0
    }
}

#[test]
fn a_batch_can_be_ended_between_two_slices() {
    let world = World::new();
    world.ledger.update_budget("ann", whole(1_000_000)).unwrap();
    world.ledger.update_pool_budget("team", whole(1_000_000)).unwrap();
    world.ledger.update_pool_budget("root", whole(1_000_000)).unwrap();
    let handle = world.ledger.handle("ann").unwrap();
    let (handles, units) = (vec![handle; 20_000], vec![1; 20_000]);
    let before = world.ledger.remaining(&world.ann).unwrap();
    // The first questions are asked while the batch is checked: nothing is charged yet.
    for times in 1..12 {
        let go_on = so_often(times, || ());
        let admitted = world.ledger.debit_many_while(&handles, &units, NONE, go_on).unwrap();
        assert!(admitted.len() <= 20_000 && admitted.iter().all(|admitted| *admitted));
        assert_eq!(admitted.is_empty(), times <= 5, "{times}: {}", admitted.len());
    }
    assert!(world.ledger.remaining(&world.ann).unwrap() < before);
    world.assert_sound();
}

#[test]
fn a_malformed_item_far_behind_refuses_the_whole_batch() {
    let world = World::new();
    let handle = world.ledger.handle("ann").unwrap();
    let (handles, mut units) = (vec![handle; 20_000], vec![1; 20_000]);
    units[19_999] = -1;
    let refused = world.ledger.debit_many(&handles, &units, NONE).unwrap_err();
    assert_eq!(refused.index, 19_999);
    assert_eq!(refused.error.to_string(), "units[19999] is -1: an amount must not be negative");
    assert_eq!(world.books()[0], (10, 10, 0, 0));
}

#[test]
fn who_leaves_during_a_batch_is_charged_nothing_more() {
    let world = World::new();
    world.ledger.register_agent("bob", "team", 5, whole(10)).unwrap();
    let [ann, bob] = ["ann", "bob"].map(|id| world.ledger.handle(id).unwrap());
    let handles: Vec<_> = [ann, bob].into_iter().cycle().take(20_000).collect();
    // Locks that the batch still held would keep the agent from leaving here.
    let asked = Cell::new(0);
    let go_on = || {
        asked.set(asked.get() + 1);
        // Five slices are checked before the first one is debited.
        if asked.get() == 7 {
            world.ledger.unregister_agent("bob").unwrap();
        }
        true
    };
    let admitted = world.ledger.debit_many_while(&handles, &vec![1; 20_000], NONE, go_on).unwrap();
    assert!(admitted.iter().step_by(2).all(|admitted| *admitted));
    let bobs: Vec<_> = admitted.iter().skip(1).step_by(2).copied().collect();
    let charged = bobs.iter().filter(|admitted| **admitted).count();
    assert_eq!((charged, bobs.is_sorted_by(|one, next| one >= next)), (4_096, true));
    world.assert_sound();
}

#[test]
fn audits_and_expiries_can_be_ended_too() {
    let (ledger, _, ann, _held) = with_all_due();
    let expired = ledger.expire_while(so_often(1, || drop(ledger.adjust_budget("ann", 0))));
    assert!(expired > 0 && expired < COUNT);
    let asked = Cell::new(0);
    let found = ledger.verify_while(|| {
        asked.set(asked.get() + 1);
        ledger.debit(&ann, &whole(1), NONE).unwrap();
        true
    });
    assert_eq!((found, asked.get()), (vec![], 2));
}

#[test]
fn keys_and_timers_keep_no_agent_that_has_left() {
    let (ledger, clock) = ledger(&[]);
    ledger.create_pool(pool("team", None, 1_000_000)).unwrap();
    let leave = |i: usize| -> Weak<Account> {
        let (id, key) = (format!("agent {i}"), format!("key {i}"));
        let agent = ledger.register_agent(&id, "team", 5, whole(10)).unwrap();
        ledger.initialize_resources(&id, &[("gpu", whole(10))]).unwrap();
        let bundle = Bundle::of(ledger.resource_names().find("gpu").unwrap(), whole(1));
        ledger.debit_keyed(&agent, &whole(1), NONE, &format!("debit {i}")).unwrap();
        let held = ledger.reserve_keyed(&agent, &request(1), &key).unwrap().value;
        ledger.settle(&held, whole(1)).unwrap();
        let asked = Request { what: bundle.clone(), ttl_nanos: 9, overage: Overage::Reject, operation: NONE };
        let held = ledger.reserve_keyed(&agent, &asked, &key).unwrap().value;
        ledger.release(&held).unwrap();
        ledger.unregister_agent(&id).unwrap();
        // Its keys stay used, and for the agent that has left they have no outcome any more.
        assert!(matches!(ledger.reserve_keyed(&agent, &request(1), &key), Err(LedgerError::UnknownAgent(_))));
        Arc::downgrade(&agent)
    };
    let left: Vec<_> = (0..2_000).map(leave).collect();
    let alive = left.iter().filter(|agent| agent.strong_count() > 0).count();
    // The map of ids lets go of its entries in batches.
    assert!(alive < 500, "{alive} of 2000 agents that have left are alive");
    let again = ledger.register_agent("agent 0", "team", 5, whole(10)).unwrap();
    for outcome in [
        ledger.reserve_keyed(&again, &request(1), "key 0").map(drop),
        ledger.debit_keyed(&again, &whole(1), NONE, "debit 0").map(drop),
    ] {
        assert!(matches!(outcome, Err(LedgerError::IdempotencyConflict(_))), "{outcome:?}");
    }
    clock.advance(Duration::from_hours(25));
    ledger.reserve_keyed(&again, &request(1), "key 0").unwrap();
    ledger.reserve_keyed(&again, &request(1), "key 0").unwrap();
    assert_eq!(ledger.verify(), []);
}

#[test]
fn a_key_has_a_longest() {
    let world = World::new();
    let debit = |bytes: usize| world.ledger.debit_keyed(&world.ann, &whole(1), NONE, &"k".repeat(bytes));
    debit(MAX_KEY_BYTES).unwrap();
    let refused = debit(MAX_KEY_BYTES + 1).unwrap_err();
    assert_eq!(refused.to_string(), "idempotency_key must have 1 to 256 bytes, not 257");
    assert_eq!(debit(0).unwrap_err().to_string(), "idempotency_key must have 1 to 256 bytes, not 0");
    assert_eq!(world.books()[0], (10, 9, 0, 1));
}

#[test]
fn an_agent_has_so_many_windows() {
    let world = World::new();
    let most = i64::try_from(MAX_WINDOWS).unwrap();
    let set = |i: i64| world.ledger.set_rate_limit("ann", whole(1), 1_000_000 * i, Precision::Bucketed);
    (1..=most).for_each(|i| set(i).unwrap());
    assert!(matches!(set(most + 1), Err(LedgerError::Configuration(_))));
    set(most).unwrap();
    assert_eq!(world.ledger.windows("ann").unwrap().len(), MAX_WINDOWS);
    assert_eq!(world.ledger.remove_rate_limit("ann", None).unwrap(), MAX_WINDOWS);
    set(most + 1).unwrap();
    assert_eq!(Amount::ZERO.units(), world.ledger.windows("ann").unwrap()[0].spent);
}

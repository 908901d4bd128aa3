//! Money that ends by itself. Where each unit comes from is compared in `model.rs` and `journal.rs`; here stand the cases
//! that one can name.

#![allow(clippy::unwrap_used, reason = "tests may, and so may their helpers")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{SECOND, World, pool, recorded_ledger, request, whole};
use jiff::tz::TimeZone;
use safeguards_core::amount::{Amount, UNITS_PER_ONE};
use safeguards_core::clock::Wall;
use safeguards_core::ledger::{
    AccountChange, Change, ChargeId, CreditId, EventKind, Execution, Kind, LedgerError, MAX_CREDITS,
    OperationId, Order, Overage, Period, Periods, Request, Rollover, Schedule,
};

/// Left, reserved, spent and gone, in wholes.
type Line = [i128; 4];

fn credit(world: &World, wholes: i128, seconds: i64) -> CreditId {
    world
        .ledger
        .credit("ann", whole(wholes), Wall(world.ledger.clock().wall().0 + seconds * SECOND))
        .unwrap()
        .id
}

fn line(world: &World, id: CreditId) -> Line {
    let it = world.ledger.credit_of(&world.ann, id).unwrap().unwrap();
    [it.left, it.reserved, it.spent, it.gone].map(|units| units / UNITS_PER_ONE)
}

#[test]
fn what_ends_soonest_is_spent_first_and_the_base_last() {
    let world = World::new();
    let (later, sooner) = (credit(&world, 3, 60), credit(&world, 2, 30));
    assert_eq!(world.books_of(&world.ann), (15, 15, 0, 0));
    for (spent, expected) in [
        (1, [[1, 0, 1, 0], [3, 0, 0, 0]]),
        (2, [[0, 0, 2, 0], [2, 0, 1, 0]]),
        (4, [[0, 0, 2, 0], [0, 0, 3, 0]]),
    ] {
        world.debit(spent).unwrap();
        assert_eq!([line(&world, sooner), line(&world, later)], expected);
    }
    let ((), events) = world.act(|world| world.advance(60 * SECOND));
    assert_eq!(world.books_of(&world.ann), (15, 8, 0, 7));
    assert_eq!(events, [(EventKind::CreditEnd, 0), (EventKind::CreditEnd, 0)]);
}

#[test]
fn what_is_left_is_gone_when_it_ends_and_not_before() {
    let world = World::new();
    let id = credit(&world, 5, 60);
    world.debit(2).unwrap();
    world.advance(60 * SECOND - 1);
    assert_eq!(world.ledger.remaining(&world.ann).unwrap(), whole(13).units());
    let before = world.recorder.changes().len();
    let ((), events) = world.act(|world| world.advance(1));
    assert_eq!(world.books_of(&world.ann), (12, 10, 0, 2));
    assert_eq!(events, [(EventKind::CreditEnd, 3)]);
    let changes = world.recorder.changes();
    let [(_, Change::Account { account, change: AccountChange::CreditEnded { id: ended, .. } })] =
        &changes[before..]
    else {
        panic!("{:?}", &changes[before..]);
    };
    assert_eq!((*account, *ended), (world.ann.number(), id));
    assert_eq!(line(&world, id), [0, 0, 2, 3]);
}

#[test]
fn a_debit_sees_the_end_of_a_credit() {
    let world = World::new();
    credit(&world, 5, 60);
    world.advance(60 * SECOND);
    assert!(matches!(world.debit(11), Err(LedgerError::BudgetExceeded(_))));
    assert_eq!(world.debit(10).unwrap(), 0);
    world.assert_sound();
}

#[test]
fn a_batch_sees_the_end_of_a_credit() {
    let world = World::new();
    let ends = Wall(60 * SECOND);
    world.ledger.credit_line("ann", whole(100), ends).unwrap();
    world.advance(60 * SECOND);
    let ann = world.ledger.handle("ann").unwrap();
    let units: Vec<i64> = [4, 4, 4, 4].map(|wholes| wholes * 1_000_000_000).to_vec();
    let admitted = world.ledger.debit_many(&[ann; 4], &units, OperationId::NONE).unwrap();
    assert_eq!(admitted, [true, true, false, false]);
    assert_eq!(world.books(), [(10, 2, 0, 8), (50, 42, 0, 8), (100, 92, 0, 8)]);
    world.assert_sound();
}

#[test]
fn a_release_gives_back_to_where_it_came_from() {
    let world = World::new();
    let id = credit(&world, 5, 60);
    let held = world.ledger.reserve(&world.ann, &request(5)).unwrap();
    world.debit(3).unwrap(); // Of the base.
    assert_eq!(line(&world, id), [0, 5, 0, 0]);
    world.ledger.release(&held).unwrap();
    assert_eq!(line(&world, id), [5, 0, 0, 0]);
    world.advance(60 * SECOND);
    assert_eq!(world.books_of(&world.ann), (10, 7, 0, 3));
    world.assert_sound();
}

#[test]
fn what_was_reserved_before_a_credit_came_is_the_bases() {
    let world = World::new();
    let held = world.ledger.reserve(&world.ann, &request(6)).unwrap();
    let id = credit(&world, 5, 60);
    world.debit(4).unwrap();
    world.ledger.release(&held).unwrap();
    assert_eq!((line(&world, id), world.books_of(&world.ann)), ([1, 0, 4, 0], (15, 11, 0, 4)));
    world.assert_sound();
}

#[test]
fn what_comes_back_to_an_ended_credit_is_gone() {
    let world = World::new();
    let id = credit(&world, 5, 60);
    let held = world.ledger.reserve(&world.ann, &request(7)).unwrap();
    world.advance(60 * SECOND);
    assert_eq!(world.books_of(&world.ann), (15, 8, 7, 0), "what is reserved can still be charged");
    let ((), events) = world.act(|world| world.ledger.release(&held).unwrap());
    assert_eq!((line(&world, id), world.books_of(&world.ann)), ([0, 0, 0, 5], (10, 10, 0, 0)));
    assert_eq!(events[..2], [(EventKind::CreditEnd, 5), (EventKind::Release, 7)]);
}

#[test]
fn a_settlement_is_charged_to_the_ended_credit_first() {
    for (charged, left, books) in [
        (3, [0, 0, 3, 2], (13, 10, 0, 3)),
        (6, [0, 0, 5, 0], (15, 9, 0, 6)),
        (9, [0, 0, 5, 0], (15, 6, 0, 9)),
    ] {
        let world = World::new();
        let id = credit(&world, 5, 60);
        let held = world.ledger.reserve(&world.ann, &request(7)).unwrap();
        world.advance(60 * SECOND);
        world.ledger.settle(&held, whole(charged)).unwrap();
        assert_eq!((line(&world, id), world.books_of(&world.ann)), (left, books), "settled for {charged}");
        world.assert_sound();
    }
}

#[test]
fn a_late_settlement_is_a_debit_of_its_time() {
    let world = World::new();
    let id = credit(&world, 5, 60);
    let held = world.ledger.reserve(&world.ann, &Request { ttl_nanos: SECOND, ..request(5) }).unwrap();
    world.advance(2 * SECOND);
    world.ledger.expire();
    assert_eq!(line(&world, id), [5, 0, 0, 0]);
    world.advance(60 * SECOND);
    world.ledger.settle(&held, whole(4)).unwrap();
    assert_eq!((line(&world, id), world.books_of(&world.ann)), ([0, 0, 0, 5], (10, 6, 0, 4)));
    world.assert_sound();
}

#[test]
fn credits_of_several_accounts_are_one_step() {
    let world = World::new();
    let before = world.recorder.changes().len();
    let id = world.ledger.credit_line("ann", whole(90), Wall(60 * SECOND)).unwrap().id;
    assert_eq!(world.books(), [(100, 100, 0, 0), (140, 140, 0, 0), (190, 190, 0, 0)]);
    let changes = world.recorder.changes();
    let [(_, Change::Credited(credited))] = &changes[before..] else { panic!("{:?}", &changes[before..]) };
    let numbers = [&world.ann, &world.team, &world.root].map(|account| account.number());
    assert_eq!((credited.id, &*credited.accounts), (id, &numbers[..]));
    // The team's agents may spend its part of it in different ways: each account says what it has lost.
    world.ledger.register_agent("bob", "team", 5, whole(10)).unwrap();
    common::debit(&world.ledger, "bob", whole(6)).unwrap();
    world.debit(2).unwrap();
    let spent = [&world.ann, &world.team, &world.root]
        .map(|account| world.ledger.credit_of(account, id).unwrap().unwrap().spent / UNITS_PER_ONE);
    assert_eq!(spent, [2, 8, 8]);
    world.advance(60 * SECOND);
    assert_eq!(world.books(), [(12, 10, 0, 2), (58, 50, 0, 8), (108, 100, 0, 8)]);
    world.assert_sound();
}

#[test]
fn a_credit_that_cannot_be_meant_is_refused_whole() {
    let world = World::new();
    let (ledger, before) = (&world.ledger, world.recorder.changes().len());
    world.advance(5);
    for ends in [Wall(4), Wall(5)] {
        let refused = ledger.credit_line("ann", whole(1), ends).unwrap_err().to_string();
        assert_eq!(
            refused,
            "expires_at must lie in the future: this credit would have ended before it began"
        );
    }
    assert!(
        ledger.credit("ann", Amount::ZERO, Wall(6)).unwrap_err().to_string().starts_with("amount must be")
    );
    assert!(matches!(ledger.credit("eve", whole(1), Wall(6)), Err(LedgerError::UnknownAccount(_))));
    // Root has no room, and so nobody gets anything.
    let beyond = Amount::from_units(Amount::MAX.units() - whole(99).units()).unwrap();
    assert!(ledger.credit("ann", beyond, Wall(6)).is_ok());
    let before = (before + 1, world.books());
    assert!(matches!(ledger.credit_line("team", beyond, Wall(6)), Err(LedgerError::Configuration(_))));
    assert_eq!((world.recorder.changes().len(), world.books()), before);
    world.assert_sound();
}

#[test]
fn credits_of_an_account_are_bounded() {
    let world = World::new();
    for _ in 0..MAX_CREDITS {
        world.ledger.credit("ann", whole(1), Wall(60 * SECOND)).unwrap();
    }
    let refused = world.ledger.credit("ann", whole(1), Wall(60 * SECOND)).unwrap_err().to_string();
    assert!(refused.contains("1024 credits"), "{refused}");
    world.advance(60 * SECOND);
    credit(&world, 1, 1);
    // All have ended; the newest are remembered.
    assert_eq!(world.ledger.credits(&world.ann).unwrap().len(), 64 + 1);
    world.assert_sound();
}

#[test]
fn an_update_sets_the_base_beside_credits_and_cuts_the_last_ones() {
    let world = World::new();
    let (soon, late) = (credit(&world, 4, 30), credit(&world, 6, 60));
    world.debit(1).unwrap();
    let lines = |world: &World| [line(world, soon), line(world, late)];
    world.ledger.update_budget("ann", whole(19)).unwrap();
    assert_eq!((world.books_of(&world.ann), lines(&world)), ((20, 19, 0, 1), [[3, 0, 1, 0], [6, 0, 0, 0]]));
    world.ledger.update_budget("ann", whole(7)).unwrap();
    assert_eq!((world.books_of(&world.ann), lines(&world)), ((8, 7, 0, 1), [[3, 0, 1, 0], [4, 0, 0, 2]]));
    world.ledger.update_budget("ann", whole(2)).unwrap();
    assert_eq!((world.books_of(&world.ann), lines(&world)), ((3, 2, 0, 1), [[2, 0, 1, 1], [0, 0, 0, 6]]));
    world.advance(60 * SECOND);
    assert_eq!(world.books_of(&world.ann), (1, 0, 0, 1));
    world.assert_sound();
}

#[test]
fn an_update_to_what_remains_changes_nothing() {
    let world = World::new();
    let id = credit(&world, 4, 30);
    world.debit(1).unwrap();
    let held = world.ledger.reserve(&world.ann, &request(2)).unwrap();
    let remains = Amount::from_units(world.ledger.remaining(&world.ann).unwrap()).unwrap();
    let before = (line(&world, id), world.books_of(&world.ann));
    world.ledger.update_budget("ann", remains).unwrap();
    assert_eq!((line(&world, id), world.books_of(&world.ann)), before);
    world.ledger.release(&held).unwrap();
    assert_eq!(line(&world, id), [3, 0, 1, 0]);
    world.assert_sound();
}

#[test]
fn controllers_move_the_base_alone() {
    let world = World::new();
    let id = credit(&world, 4, 30);
    assert_eq!(world.ledger.adjust_budget("ann", -whole(50).units()).unwrap(), -whole(10).units());
    assert_eq!(world.books_of(&world.ann), (4, 4, 0, 0));
    assert_eq!(world.ledger.adjust_budget("ann", -1).unwrap(), 0);
    let order = |order| Execution { kind: Kind::Agent, account: "ann", order, actor: "a", reason: "b" };
    let by = world.ledger.execute(&order(Order::Adjust { by: -1, later_periods: 0 })).unwrap().by;
    assert_eq!(by, 0);
    // What a schedule grants is the base.
    let moved = world.ledger.execute(&order(Order::Set(whole(3)))).unwrap();
    assert_eq!((moved.before, moved.by), (whole(4).units(), whole(3).units()));
    assert_eq!((line(&world, id), world.books_of(&world.ann)), ([4, 0, 0, 0], (7, 7, 0, 0)));
    world.assert_sound();
}

#[test]
fn a_transfer_moves_the_base_alone() {
    let world = World::new();
    world.ledger.register_agent("bob", "team", 5, whole(0)).unwrap();
    credit(&world, 4, 30);
    let refused = world.ledger.transfer("ann", "bob", whole(11)).unwrap_err();
    let LedgerError::BudgetExceeded(refusal) = &refused else { panic!("{refused}") };
    assert_eq!((refusal.available(), refusal.credits), (whole(10).units(), whole(4).units()));
    assert_eq!(refused.to_string(), "\"ann\" cannot pay 11: 10 remain");
    world.ledger.transfer("ann", "bob", whole(10)).unwrap();
    assert_eq!(world.books_of(&world.ann), (4, 4, 0, 0));
    world.assert_sound();
}

#[test]
fn a_credit_fills_what_is_below_zero() {
    let world = World::new();
    let held = world.ledger.reserve(&world.ann, &request(10)).unwrap();
    world.ledger.settle(&held, whole(13)).unwrap();
    let id = credit(&world, 5, 30);
    assert_eq!((line(&world, id), world.books_of(&world.ann)), ([2, 0, 3, 0], (15, 2, 0, 13)));
    world.ledger.update_budget("ann", whole(2)).unwrap();
    assert_eq!((line(&world, id), world.books_of(&world.ann)), ([2, 0, 3, 0], (15, 2, 0, 13)));
    world.advance(30 * SECOND);
    assert_eq!(world.books_of(&world.ann), (13, 0, 0, 13));
    world.assert_sound();
}

#[test]
fn an_overdraft_takes_the_credits_first() {
    let world = World::new();
    let id = credit(&world, 5, 30);
    let held = world.ledger.reserve(&world.ann, &request(1)).unwrap();
    world.ledger.settle(&held, whole(17)).unwrap();
    assert_eq!((line(&world, id), world.books_of(&world.ann)), ([0, 0, 5, 0], (15, -2, 0, 17)));
    world.advance(30 * SECOND);
    assert_eq!(world.books_of(&world.ann), (15, -2, 0, 17));
    world.assert_sound();
}

#[test]
fn a_refund_goes_to_a_credit_that_runs_and_never_to_one_that_has_ended() {
    let world = World::new();
    let id = credit(&world, 5, 30);
    let debit = |wholes| world.ledger.debit(&world.ann, &whole(wholes), OperationId::NONE).unwrap();
    let (of_credit, of_both) = (debit(3), debit(4));
    let refund = |receipt, wholes| {
        world.ledger.refund(ChargeId::Receipt(receipt), Some(whole(wholes))).unwrap();
    };
    // What was spent last is the base's: without the 4, two of them would be there.
    refund(&of_both, 3);
    assert_eq!((line(&world, id), world.books_of(&world.ann)), ([1, 0, 4, 0], (15, 11, 0, 4)));
    world.advance(30 * SECOND);
    let of_base = debit(2);
    // Without the 3, as much of the credit would have ended unspent.
    refund(&of_credit, 3);
    assert_eq!((line(&world, id), world.books_of(&world.ann)), ([0, 0, 1, 4], (11, 8, 0, 3)));
    refund(&of_base, 2);
    assert_eq!(world.books_of(&world.ann), (11, 10, 0, 1));
    world.assert_sound();
}

#[test]
fn a_refund_of_an_earlier_period_goes_to_the_credit_that_still_runs() {
    let world = World::new();
    let id = credit(&world, 5, 30);
    let receipt = world.ledger.debit(&world.ann, &whole(7), OperationId::NONE).unwrap();
    world.ledger.update_budget("ann", whole(6)).unwrap();
    world.ledger.refund(ChargeId::Receipt(&receipt), None).unwrap();
    // The two of the base have lapsed with its period.
    assert_eq!((line(&world, id), world.books_of(&world.ann)), ([5, 0, 0, 0], (11, 11, 0, 0)));
    let snapshot = world.ledger.snapshot(&world.ann).unwrap();
    assert_eq!((snapshot.period_spent, snapshot.period_granted), (0, whole(11).units()));
    world.assert_sound();
}

#[test]
fn a_renewal_sets_the_base_and_leaves_credits() {
    for (rollover, remains) in [(Rollover::Nothing, 5), (Rollover::All, 9), (Rollover::AtMost(whole(1)), 6)] {
        let (ledger, clock, recorder) = recorded_ledger(&[]);
        let schedule = Schedule::new(Period::Daily, TimeZone::UTC, Wall(0));
        let rules = Periods { rollover, ..Periods::from(schedule) }.into();
        let daily =
            ledger.create_pool(safeguards_core::ledger::NewPool { rules, ..pool("daily", None, 5) }).unwrap();
        ledger.register_agent("bob", "daily", 5, whole(100)).unwrap();
        ledger.credit("daily", whole(5), Wall(36 * common::HOUR)).unwrap();
        let renewal = ledger.renewal("daily").unwrap().unwrap();
        assert_eq!(renewal.ends, Wall(24 * common::HOUR), "the period, not the credit");
        let held = ledger.reserve(&ledger.agent("bob").unwrap(), &request(2)).unwrap();
        common::debit(&ledger, "bob", whole(1)).unwrap();
        ledger.keep_alive(&held).unwrap();
        common::debit(&ledger, "bob", whole(3)).unwrap();
        clock.advance(Duration::from_hours(24));
        // The base has 4 left. Of the credit nothing is left and 2 are reserved, which no period pays.
        assert_eq!(ledger.remaining(&daily).unwrap(), whole(remains).units(), "{rollover:?}");
        ledger.release(&held).unwrap();
        assert_eq!(ledger.remaining(&daily).unwrap(), whole(remains + 2).units());
        clock.advance(Duration::from_hours(12));
        assert_eq!(ledger.remaining(&daily).unwrap(), whole(remains).units());
        assert_eq!(ledger.renewal("daily").unwrap().unwrap().ends, Wall(48 * common::HOUR));
        assert_eq!(ledger.verify(), []);
        recorder.assert_replays(&ledger);
    }
}

#[test]
fn a_clock_that_was_ahead_ends_a_credit_early_and_never_twice() {
    let world = World::new();
    let id = credit(&world, 5, 60);
    world.clock.set_wall(Wall(61 * SECOND));
    assert_eq!(world.books_of(&world.ann), (10, 10, 0, 0));
    world.clock.set_wall(Wall(0));
    assert_eq!(world.books_of(&world.ann), (10, 10, 0, 0));
    world.clock.set_wall(Wall(61 * SECOND));
    assert_eq!((line(&world, id), world.books_of(&world.ann)), ([0, 0, 0, 5], (10, 10, 0, 0)));
    world.assert_sound();
}

#[test]
fn the_end_of_a_credit_that_cannot_be_written_does_not_happen() {
    let world = World::new();
    credit(&world, 5, 60);
    world.advance(60 * SECOND);
    world.recorder.set_full(true);
    assert_eq!(world.ledger.remaining(&world.ann).unwrap(), whole(15).units());
    assert!(matches!(world.debit(1), Err(LedgerError::Unwritten(_))));
    world.recorder.set_full(false);
    assert_eq!(world.books_of(&world.ann), (10, 10, 0, 0));
    world.assert_sound();
}

#[test]
fn a_threshold_is_told_again_after_a_credit_made_the_share_smaller() {
    let world = World::with_thresholds(&[500_000]);
    let alarms = |world: &World| world.ledger.take_alarms().len();
    world.debit(5).unwrap();
    assert_eq!(alarms(&world), 1);
    credit(&world, 10, 60);
    world.debit(4).unwrap();
    assert_eq!(alarms(&world), 0);
    world.debit(1).unwrap();
    assert_eq!(alarms(&world), 1);
}

#[test]
fn overage_that_must_be_there_may_be_a_credit() {
    let world = World::new();
    let id = credit(&world, 5, 60);
    let ask = Request { overage: Overage::AllowIfAvailable, ..request(10) };
    let held = world.ledger.reserve(&world.ann, &ask).unwrap();
    assert!(matches!(world.ledger.settle(&held, whole(16)), Err(LedgerError::BudgetExceeded(_))));
    assert_eq!(line(&world, id), [0, 5, 0, 0]);
    world.ledger.settle(&held, whole(15)).unwrap();
    assert_eq!((line(&world, id), world.books_of(&world.ann)), ([0, 0, 5, 0], (15, 0, 0, 15)));
    world.assert_sound();
}

#[test]
fn credits_that_end_while_threads_spend_are_counted_once() {
    let world = Arc::new(World::new());
    let threads: Vec<_> = (0..4_i64)
        .map(|thread| {
            let world = Arc::clone(&world);
            std::thread::spawn(move || {
                for turn in 0..200 {
                    let ends = Wall(world.clock.wall().0 + (turn % 7 + 1) * SECOND);
                    match (turn + thread) % 4 {
                        0 => drop(world.ledger.credit_line("ann", whole(3), ends)),
                        1 => drop(world.debit(1)),
                        2 => world.advance(SECOND / 2),
                        _ => {
                            let Ok(held) = world.ledger.reserve(&world.ann, &request(4)) else { continue };
                            world.advance(SECOND / 3);
                            drop(world.ledger.settle(&held, whole(i128::from(turn % 6))));
                        }
                    }
                    if turn % 20 == 0 {
                        assert_eq!(world.ledger.verify(), []);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    world.advance(3_600 * SECOND);
    for account in [&world.ann, &world.team, &world.root] {
        let credits = world.ledger.credits(account).unwrap();
        assert!(credits.iter().all(|credit| credit.has_ended && credit.left == 0 && credit.reserved == 0));
        assert_eq!(world.ledger.snapshot(account).unwrap().credits, 0);
    }
    world.assert_sound();
}

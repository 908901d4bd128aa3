//! Accounts that are there already, what names a reservation, and the books of all accounts at once.

#![cfg(not(loom))]

mod common;

use common::{World, pool, request, whole};
use jiff::tz::TimeZone;
use safeguards_core::amount::Amount;
use safeguards_core::clock::Wall;
use safeguards_core::ledger::{
    AnyReservation, Bundle, Change, Ledger, LedgerError, NewAgent, NewPool, OperationId, Overage, Period,
    Periods, Request, Reservation, ReservationId, ReservationState, Rules, Schedule,
};

const NONE: OperationId = OperationId::NONE;

fn agent<'a>(id: &'a str, pool: &'a str) -> NewAgent<'a> {
    NewAgent { id, pool, priority: 5, budget: whole(7), rules: Rules::default() }
}

fn bundle(ledger: &Ledger, resource: &str, wholes: i128) -> Bundle {
    Bundle::of(ledger.resource_names().find(resource).expect("a resource"), whole(wholes))
}

fn text<R: std::fmt::Debug>(refused: Result<R, LedgerError>) -> String {
    refused.expect_err("refused").to_string()
}

// ------------------------------------------------------------------------------------------------- what is there stays

#[test]
fn an_agent_that_is_there_stays_as_it_is() {
    let world = World::new();
    world.debit(4).unwrap();
    let records = world.recorder.changes().len();
    let agents = world.ledger.ensure_agents(&[agent("bob", "root"), agent("ann", "team")]).unwrap();
    assert_eq!(agents.iter().map(|agent| &**agent.id()).collect::<Vec<_>>(), ["bob", "ann"]);
    assert_eq!(world.books_of(&world.ann), (10, 6, 0, 4));
    assert_eq!(world.books_of(&agents[0]), (7, 7, 0, 0));
    let changes = world.recorder.changes();
    let [(_, Change::AgentsRegistered(new))] = &changes[records..] else { panic!("{changes:?}") };
    assert_eq!(new.len(), 1);
    world.ledger.ensure_agents(&[agent("bob", "root"), agent("ann", "team")]).unwrap();
    assert_eq!(world.recorder.changes().len(), records + 1, "nothing is new, and nothing is written");
    world.assert_sound();
}

#[test]
fn of_several_agents_all_are_registered_or_none() {
    let world = World::new();
    let elsewhere = world.ledger.ensure_agents(&[agent("bob", "root"), agent("ann", "root")]);
    assert_eq!(
        text(elsewhere),
        "agent \"ann\" exists below pool \"team\", not pool \"root\"; ask for the one that it has, or choose another id"
    );
    for register in
        [[agent("bob", "root"), agent("bob", "root")], [agent("bob", "root"), agent("ann", "team")]]
    {
        assert!(world.ledger.register_agents(&register).is_err());
    }
    assert!(world.ledger.register_agents(&[agent("bob", "root"), agent("eve", "nowhere")]).is_err());
    assert_eq!(world.ledger.agent_ids().len(), 1);
    world.assert_sound();
}

#[test]
fn a_pool_that_is_there_stays_as_it_is() {
    let world = World::new();
    world.debit(4).unwrap();
    let records = world.recorder.changes().len();
    let again = world.ledger.ensure_pool(pool("team", Some("root"), 1_000)).unwrap();
    assert_eq!(world.books_of(&again), (50, 46, 0, 4));
    assert_eq!(world.recorder.changes().len(), records);
    assert_eq!(
        text(world.ledger.ensure_pool(pool("team", None, 50))),
        "pool \"team\" exists below pool \"root\", not no pool; ask for the one that it has, or choose another id"
    );
    world.assert_sound();
}

#[test]
fn a_pool_with_another_period_or_zone_is_another_one() {
    let world = World::new();
    let daily = |zone: &str, origin: i64| {
        Some(Schedule::new(Period::Daily, TimeZone::get(zone).unwrap(), Wall(origin)))
    };
    let of = |schedule: Option<Schedule>| {
        let rules = schedule.map(|schedule| Periods::from(schedule).into()).unwrap_or_default();
        NewPool { rules, ..pool("daily", None, 5) }
    };
    world.ledger.create_pool(of(daily("Europe/Berlin", 0))).unwrap();
    world.ledger.ensure_pool(of(daily("Europe/Berlin", 77))).unwrap();
    for (other, words) in [
        (None, "daily in Europe/Berlin, not none"),
        (daily("America/Havana", 0), "daily in Europe/Berlin, not daily in America/Havana"),
        (Some(Schedule::new(Period::Every(90_000_000_000), TimeZone::UTC, Wall(0))), "not every 90s"),
    ] {
        let text = text(world.ledger.ensure_pool(of(other)));
        assert!(text.contains("exists with another budget_period") && text.contains(words), "{text}");
    }
    world.assert_sound();
}

#[test]
fn resources_that_are_there_keep_what_remains_and_new_ones_are_added() {
    let world = World::new();
    let gpu = |wholes| [("gpu", whole(wholes))];
    world.ledger.set_capacity("disk", whole(5)).unwrap();
    world.ledger.ensure_resources("ann", &gpu(10)).unwrap();
    let asked = bundle(&world.ledger, "gpu", 4);
    let held = world.ledger.reserve(
        &world.ann,
        &Request { what: asked, ttl_nanos: common::TTL, overage: Overage::Reject, operation: NONE },
    );
    let held = held.unwrap();
    world.ledger.ensure_resources("ann", &[("disk", whole(9)), ("gpu", whole(99))]).unwrap();
    let remaining = |name| world.ledger.resource(&world.ann, name).unwrap().balance.remaining;
    assert_eq!([remaining("gpu"), remaining("disk")], [whole(6).units(), whole(9).units()]);
    world.ledger.release(&held).unwrap();
    assert_eq!(remaining("gpu"), whole(10).units());
    let beyond = bundle(&world.ledger, "disk", 6);
    assert!(world.ledger.debit(&world.ann, &beyond, NONE).is_err(), "its capacity binds what was added");
    world.assert_sound();
}

#[test]
fn a_pool_tells_where_it_stands() {
    let world = World::new();
    let new = NewPool { name: Some("The team of Ann"), ..pool("named", Some("team"), 5) };
    world.ledger.create_pool(new).unwrap();
    let info = world.ledger.pool_info("team").unwrap();
    assert_eq!((&*info.name, info.account.parent.as_deref(), info.agents), ("team", Some("root"), 1));
    assert_eq!(info.pools.iter().map(|id| &**id).collect::<Vec<_>>(), ["named"]);
    assert_eq!(&*world.ledger.pool_info("named").unwrap().name, "The team of Ann");
    assert_eq!(&*world.recorder.replayed().pool_info("named").unwrap().name, "The team of Ann");
}

// ------------------------------------------------------------------------------------------------ ids of reservations

fn money(found: AnyReservation) -> Reservation<Amount> {
    found.money().expect("a reservation of money")
}

#[test]
fn an_id_finds_its_reservation_however_it_ended() {
    let world = World::new();
    let ledger = &world.ledger;
    let find = |id| ledger.reservation(id).map(money);
    let make = |overage| ledger.reserve(&world.ann, &Request { overage, ..request(2) }).unwrap();
    let [active, settled, released, expired] = [
        make(Overage::Reject),
        make(Overage::Reject),
        make(Overage::Reject),
        make(Overage::AllowIfAvailable),
    ];
    ledger.keep_alive(&active).unwrap();
    let receipt = ledger.settle(&settled, whole(1)).unwrap();
    ledger.release(&released).unwrap();
    world.advance(common::TTL);
    for made in [&active, &settled, &released, &expired] {
        let found = find(made.id()).unwrap();
        assert_eq!((&found, found.what(), found.id()), (made, &whole(2), made.id()));
        assert_eq!(ledger.reservation_state(&found).unwrap(), ledger.reservation_state(made).unwrap());
    }
    assert_eq!(ledger.settlement(&find(settled.id()).unwrap()), Some(receipt));
    assert_eq!(ledger.settle(&find(settled.id()).unwrap(), whole(1)).unwrap(), receipt);
    assert!(
        ledger.settle(&find(active.id()).unwrap(), whole(3)).is_err(),
        "its terms are those of the first"
    );
    ledger.settle(&find(active.id()).unwrap(), whole(2)).unwrap();
    // Late, on the terms that it was made on: 3 + 2 + 1 of 10 are spent then, and 1 of what is left.
    assert!(ledger.settle(&find(expired.id()).unwrap(), whole(8)).is_err());
    ledger.settle(&find(expired.id()).unwrap(), whole(7)).unwrap();
    assert_eq!(ledger.reservation_state(&find(expired.id()).unwrap()).unwrap(), ReservationState::Settled);
    assert_eq!(world.books_of(&world.ann), (10, 0, 0, 10));
    world.assert_sound();
}

#[test]
fn an_id_of_resources_and_of_several_lines_finds_them_as_well() {
    let world = World::new();
    let ledger = &world.ledger;
    ledger.register_agent("bob", "root", 5, whole(10)).unwrap();
    let bob = ledger.agent("bob").unwrap();
    ledger.initialize_resources("ann", &[("gpu", whole(10))]).unwrap();
    let gpu = bundle(ledger, "gpu", 4);
    let asked = Request { what: gpu, ttl_nanos: 5, overage: Overage::AllowWithOverdraft, operation: NONE };
    let resources = ledger.reserve(&world.ann, &asked).unwrap();
    let joint = ledger.joint(&world.ann, &["bob"]).unwrap().unwrap();
    let path = safeguards_core::ledger::Path::with(&world.ann, Some(&joint));
    let both = ledger.reserve(path, &Request { ttl_nanos: 5, ..request(3) }).unwrap();
    let all = ledger.reservations(&world.ann).unwrap();
    assert!(matches!(&all[..], [AnyReservation::Resources(one), AnyReservation::Money(other)]
        if *one == resources && *other == both));
    world.advance(5);
    assert_eq!(world.books_of(&bob), (10, 10, 0, 0));
    let late = money(ledger.reservation(both.id()).unwrap());
    ledger.settle(&late, whole(3)).unwrap();
    assert_eq!((world.books_of(&bob), world.books_of(&world.ann)), ((10, 7, 0, 3), (10, 7, 0, 3)));
    assert!(matches!(ledger.reservation(resources.id()), Ok(AnyReservation::Resources(found))
        if found.what() == resources.what()));
    world.assert_sound();
}

#[test]
fn an_id_of_other_books_of_an_agent_that_left_or_never_given_is_unknown() {
    let (world, other) = (World::new(), World::new());
    let made = world.ledger.reserve(&world.ann, &request(2)).unwrap();
    let unknown = |id: ReservationId| {
        let answer = world.ledger.reservation(id);
        assert!(
            matches!(answer, Err(LedgerError::UnknownReservation(unknown)) if unknown == id),
            "{answer:?}"
        );
    };
    assert!(other.ledger.reservation(made.id()).is_err(), "the same agent and number, of other books");
    unknown(ReservationId { number: 2, ..made.id() });
    unknown(ReservationId { number: 0, ..made.id() });
    unknown(ReservationId { handle: 9, ..made.id() });
    world.ledger.release(&made).unwrap();
    world.ledger.unregister_agent("ann").unwrap();
    unknown(made.id());
    world.ledger.register_agent("ann", "team", 5, whole(10)).unwrap();
    unknown(made.id());
}

#[test]
fn an_id_has_one_form_as_text() {
    let id = ReservationId { incarnation: 0xf00d, handle: 10, number: 255 };
    assert_eq!(id.to_string(), "000000000000f00d-a-ff");
    assert_eq!("000000000000f00d-a-ff".parse(), Ok(id));
    for other in [
        "",
        "f00d-a-ff",
        "000000000000F00D-a-ff",
        "000000000000f00d-0a-ff",
        "000000000000f00d-a",
        "000000000000f00d-a-ff-0",
        "000000000000f00d-1ffffffff-1",
        "000000000000f00d-a-+f",
    ] {
        assert!(other.parse::<ReservationId>().is_err(), "{other:?}");
    }
}

// ------------------------------------------------------------------------------------------------------- all at once

#[test]
fn columns_are_the_books_of_every_account_to_the_last_digit() {
    let world = World::new();
    world.ledger.register_agent("bob", "team", 8, common::amount("0.000000001")).unwrap();
    world.debit(4).unwrap();
    let held = world.ledger.reserve(&world.ann, &request(2)).unwrap();
    world.ledger.settle(&held, common::amount("9.5")).unwrap();
    assert!(world.debit(1).is_err());
    let columns = world.ledger.columns();
    let ids: Vec<_> = columns.ids.iter().map(|id| &**id).collect();
    assert_eq!(ids, ["ann", "bob", "root", "team"]);
    assert_eq!(columns.is_pool, [false, false, true, true]);
    assert_eq!(columns.priority, [5, 8, 5, 5]);
    let remaining = &columns.remaining;
    assert_eq!(remaining.whole, [-4, 0, 86, 36]);
    assert_eq!(remaining.billionths, [500_000_000, 1, 500_000_000, 500_000_000]);
    assert_eq!(remaining.rounded, [-3.5, 1e-9, 86.5, 36.5]);
    assert_eq!(columns.spent.rounded, [13.5, 0.0, 13.5, 13.5]);
    assert_eq!(columns.budget_refusals, [1, 0, 0, 0]);
    for (row, id) in ids.iter().enumerate().skip(2) {
        let pool = world.ledger.pool(id).unwrap();
        let snapshot = world.ledger.snapshot(&pool).unwrap();
        let exact = |money: &safeguards_core::ledger::Money| {
            i128::from(money.whole[row]) * 1_000_000_000 + i128::from(money.billionths[row])
        };
        let books = snapshot.balance;
        let all = [&columns.granted, &columns.remaining, &columns.reserved, &columns.spent].map(exact);
        assert_eq!(all, [books.granted, books.remaining, books.reserved, books.spent]);
    }
}

#[test]
fn refusals_are_counted_by_what_refused() {
    let world = World::new();
    let precision = safeguards_core::window::Precision::Exact;
    world.ledger.set_rate_limit("ann", whole(3), common::TTL, precision).unwrap();
    assert!(world.debit(4).is_err(), "the window");
    assert!(world.debit(11).is_err(), "the budget");
    assert!(world.debit(12).is_err(), "the budget");
    let counts = |account| {
        let (_, refusals) = world.ledger.metrics(account).unwrap();
        (refusals.budget, refusals.window)
    };
    assert_eq!((counts(&world.ann), counts(&world.team)), ((2, 1), (0, 0)));
}

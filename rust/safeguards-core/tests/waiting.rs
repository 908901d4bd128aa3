//! Calls that wait, on a ledger: what serves them, what is kept for them, and that nothing of it is state.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "tests may, and so may their helpers")]

mod common;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use common::{SECOND, amount, ledger, pool, recorded_ledger, request, whole};
use safeguards_core::amount::Amount;
use safeguards_core::clock::{Clock, ManualClock, Wall};
use safeguards_core::ledger::{
    Account, HistoryLimits, Kind, Ledger, LedgerError, OperationId, Path, Request, Reservation, Served,
    Tender, Wait, Waiter, Wake, Why,
};
use safeguards_core::window::Precision;

const NONE: OperationId = OperationId::NONE;
const FOR_EVER: Wait<'_> = Wait { key: None, is_debit: false, timeout_nanos: None, patience_nanos: SECOND };

/// Rings once.
#[derive(Debug, Default, Clone)]
struct Bell(Arc<(Mutex<bool>, Condvar)>);

impl Bell {
    fn is_rung(&self) -> bool {
        *self.0.0.lock().unwrap()
    }

    fn sleep(&self) {
        let (lock, condition) = &*self.0;
        let (_guard, time) = condition
            .wait_timeout_while(lock.lock().unwrap(), Duration::from_mins(1), |rung| !*rung)
            .unwrap();
        assert!(!time.timed_out(), "a wake-up was lost");
    }
}

impl Wake for Bell {
    fn wake(&self) -> bool {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
        true
    }
}

/// Nobody is there any more.
#[derive(Debug)]
struct Gone;

impl Wake for Gone {
    fn wake(&self) -> bool {
        false
    }
}

fn wait(ledger: &Ledger, agent: &Arc<Account>, wholes: i128) -> (Arc<Waiter>, Bell) {
    wait_on(ledger, Path::of(agent), wholes, &FOR_EVER)
}

fn wait_on(ledger: &Ledger, path: Path<'_>, wholes: i128, terms: &Wait<'_>) -> (Arc<Waiter>, Bell) {
    let bell = Bell::default();
    (ledger.wait(path, &request(wholes), terms, Box::new(bell.clone())).unwrap(), bell)
}

fn reserved(waiter: &Waiter) -> Reservation {
    match waiter.outcome().expect("it is over").expect("it was served") {
        Served::Reserved(reservation) => reservation.value,
        Served::Charged(receipt) => panic!("{receipt:?}"),
    }
}

fn kept(ledger: &Ledger, account: &Account) -> i128 {
    ledger.snapshot(account).unwrap().kept / whole(1).units()
}

/// `ann` and `bob`, of 10 each, below `team`, of 15.
fn world() -> (Arc<Ledger>, Arc<ManualClock>, [Arc<Account>; 3]) {
    let (ledger, clock) = ledger(&[]);
    let team = ledger.create_pool(pool("team", None, 15)).unwrap();
    let [ann, bob] = ["ann", "bob"].map(|id| ledger.register_agent(id, "team", 5, whole(10)).unwrap());
    (ledger, clock, [ann, bob, team])
}

#[test]
fn what_comes_back_serves_who_waits() {
    let (ledger, _, [ann, bob, _]) = world();
    let held = ledger.reserve(&ann, &request(10)).unwrap();
    let (first, bell) = wait(&ledger, &bob, 8);
    let (second, _) = wait(&ledger, &bob, 5);
    assert!(!first.is_over(), "the pool has 5 left");
    assert_eq!(reserved(&second).what(), &whole(5), "a younger one passes");
    ledger.settle(&held, whole(2)).unwrap();
    assert!(!bell.is_rung(), "bob has 5 left");
    ledger.adjust_budget("bob", whole(3).units()).unwrap();
    assert!(bell.is_rung());
    ledger.release(&reserved(&first)).unwrap();
    assert_eq!((ledger.waiting_count(), ledger.verify()), (0, vec![]));
}

#[test]
fn time_alone_serves_when_it_is_tended() {
    let (ledger, clock, [ann, bob, _]) = world();
    ledger.reserve(&ann, &Request { ttl_nanos: 5 * SECOND, ..request(10) }).unwrap();
    let (waiter, bell) = wait(&ledger, &bob, 8);
    assert_eq!(ledger.tend_waiting(), Some(SECOND), "its patience ends then");
    clock.advance(Duration::from_secs(1));
    assert_eq!(ledger.tend_waiting(), Some(4 * SECOND), "the reservation expires then");
    clock.advance(Duration::from_secs(4));
    assert_eq!((ledger.tend_waiting(), bell.is_rung()), (None, true));
    ledger.release(&reserved(&waiter)).unwrap();
}

#[test]
fn a_window_serves_when_it_has_room() {
    let (ledger, clock, [ann, ..]) = world();
    ledger.set_rate_limit("ann", whole(4), 60 * SECOND, Precision::Exact).unwrap();
    ledger.debit(&ann, &whole(3), NONE).unwrap();
    let (waiter, bell) = wait(&ledger, &ann, 2);
    clock.advance(Duration::from_secs(1));
    ledger.tend_waiting();
    assert!(ledger.acquire("ann", whole(1)).is_err(), "the room is kept");
    assert_eq!(ledger.tend_waiting(), Some(59 * SECOND));
    clock.advance(Duration::from_secs(59));
    assert_eq!((ledger.tend_waiting(), bell.is_rung()), (None, true));
    ledger.release(&reserved(&waiter)).unwrap();
    ledger.acquire("ann", whole(4)).unwrap();
}

#[test]
fn it_is_kept_until_the_waiter_goes() {
    let (ledger, clock, [ann, bob, team]) = world();
    let holds: Vec<_> = (0..3).map(|_| ledger.reserve(&ann, &request(3)).unwrap()).collect();
    ledger.reserve(&bob, &request(5)).unwrap();
    let (waiter, _) = wait(&ledger, &ann, 10);
    clock.advance(Duration::from_secs(1));
    ledger.tend_waiting();
    ledger.release(&holds[0]).unwrap();
    assert_eq!((kept(&ledger, &ann), kept(&ledger, &team)), (3, 3));
    assert_eq!(ledger.available(&bob).unwrap(), whole(1).units());
    let Err(LedgerError::BudgetExceeded(refusal)) = ledger.debit(&bob, &whole(2), NONE) else { panic!() };
    assert_eq!((refusal.kept, &*refusal.account), (whole(3).units(), "team"));
    assert!(ledger.debit_many(&[ledger.handle("bob").unwrap()], &[2_000_000_000], NONE).unwrap() == [false]);
    ledger.withdraw(&waiter);
    assert_eq!((kept(&ledger, &ann), kept(&ledger, &team), ledger.waiting_count()), (0, 0, 0));
    ledger.debit(&bob, &whole(2), NONE).unwrap();
    assert!(waiter.is_gone());
}

#[test]
fn what_a_withdrawn_waiter_got_is_given_back() {
    let (ledger, _, [ann, bob, team]) = world();
    let held = ledger.reserve(&ann, &request(10)).unwrap();
    let (first, bell) = wait(&ledger, &bob, 10);
    let (second, next) = wait(&ledger, &ann, 10);
    ledger.release(&held).unwrap();
    assert!(bell.is_rung() && !next.is_rung());
    ledger.withdraw(&first);
    assert!(next.is_rung(), "it goes to the next one");
    ledger.release(&reserved(&second)).unwrap();
    assert_eq!(ledger.snapshot(&team).unwrap().balance.reserved, 0);
}

#[test]
fn what_nobody_is_there_for_goes_to_the_next() {
    let (ledger, _, [ann, ..]) = world();
    let held = ledger.reserve(&ann, &request(10)).unwrap();
    for _ in 0..2_000 {
        ledger.wait(Path::of(&ann), &request(10), &FOR_EVER, Box::new(Gone)).unwrap();
    }
    let (last, bell) = wait(&ledger, &ann, 10);
    ledger.release(&held).unwrap();
    assert!(bell.is_rung());
    ledger.release(&reserved(&last)).unwrap();
    assert_eq!(ledger.snapshot(&ann).unwrap().reservations, 0);
}

#[test]
fn one_key_has_one_effect_for_all_who_wait_under_it() {
    let (ledger, _, [ann, ..]) = world();
    let held = ledger.reserve(&ann, &request(10)).unwrap();
    let keyed = Wait { key: Some("k"), ..FOR_EVER };
    let waiters = [(); 2].map(|()| wait_on(&ledger, Path::of(&ann), 8, &keyed));
    ledger.release(&held).unwrap();
    assert!(waiters.iter().all(|(_, bell)| bell.is_rung()), "the second needs no money of its own");
    let [one, other] = waiters.map(|(waiter, _)| reserved(&waiter));
    assert_eq!(one, other);
    ledger.release(&one).unwrap();

    let held = ledger.reserve(&ann, &request(10)).unwrap();
    let keyed = Wait { key: Some("debit"), is_debit: true, ..FOR_EVER };
    let [(first, _), (second, bell)] = [(); 2].map(|()| wait_on(&ledger, Path::of(&ann), 8, &keyed));
    ledger.release(&held).unwrap();
    assert!(!bell.is_rung(), "it is not charged yet");
    let receipt = ledger.debit_reserved(&reserved(&first), Some("debit")).unwrap();
    assert!(bell.is_rung());
    let Some(Ok(Served::Charged(again))) = second.outcome() else { panic!("it has its own") };
    assert_eq!((receipt.value, receipt.value.remaining), (again, whole(2).units()));
    assert!(!receipt.is_repeat);
    let later = ledger.debit_keyed(&ann, &whole(8), NONE, "debit").unwrap();
    assert_eq!((later.value, later.is_repeat), (again, true));
    assert_eq!(ledger.verify(), []);
}

#[test]
fn waiting_is_no_state() {
    let (ledger, clock, recorder) = recorded_ledger(&[]);
    ledger.create_pool(pool("team", None, 15)).unwrap();
    let ann = ledger.register_agent("ann", "team", 5, whole(10)).unwrap();
    let holds: Vec<_> = (0..3).map(|_| ledger.reserve(&ann, &request(3)).unwrap()).collect();
    let changes = recorder.changes().len();
    let keyed = Wait { key: Some("k"), is_debit: true, ..FOR_EVER };
    let (waiter, _) = wait_on(&ledger, Path::of(&ann), 10, &keyed);
    clock.advance(Duration::from_secs(1));
    ledger.tend_waiting();
    assert_eq!(recorder.changes().len(), changes, "waiting writes nothing down");
    ledger.release(&holds[0]).unwrap();
    assert_eq!(kept(&ledger, &ann), 3);
    recorder.assert_replays(&ledger);
    holds[1..].iter().for_each(|held| ledger.release(held).unwrap());
    ledger.debit_reserved(&reserved(&waiter), Some("k")).unwrap();
    recorder.assert_replays(&ledger);
    let again = recorder.replayed();
    let ann = again.agent("ann").unwrap();
    assert_eq!(
        again.debit_keyed(&ann, &whole(10), NONE, "k").unwrap().value.amount,
        whole(10),
        "the key as well"
    );
}

#[test]
fn what_cannot_be_written_down_is_not_waited_for() {
    let (ledger, _, recorder) = recorded_ledger(&[]);
    ledger.create_pool(pool("team", None, 15)).unwrap();
    let ann = ledger.register_agent("ann", "team", 5, whole(10)).unwrap();
    recorder.set_full(true);
    let (waiter, _) = wait(&ledger, &ann, 5);
    assert!(matches!(waiter.outcome(), Some(Err(LedgerError::Unwritten(_)))));
    assert_eq!(ledger.waiting_count(), 0);
}

/// Notes when it was asked to come.
#[derive(Debug, Clone, Default)]
struct Asked(Arc<AtomicI64>);

impl Tender for Asked {
    fn tend_in(&self, nanos: i64) {
        self.0.store(nanos, Ordering::SeqCst);
    }
}

#[test]
fn the_tender_is_asked_for_what_comes_first() {
    let (clock, asked) = (Arc::new(ManualClock::new(Wall(0))), Asked::default());
    let ledger = Ledger::new(Clock::Manual(Arc::clone(&clock)), HistoryLimits::default(), vec![]);
    let ledger = ledger.with_tender(Box::new(asked.clone()));
    ledger.create_pool(pool("team", None, 15)).unwrap();
    let ann = ledger.register_agent("ann", "team", 5, whole(10)).unwrap();
    let short = Request { ttl_nanos: SECOND / 2, ..request(1) };
    ledger.reserve(&ann, &short).unwrap();
    assert_eq!(asked.0.load(Ordering::SeqCst), 0, "nobody waits");
    ledger.reserve(&ann, &request(8)).unwrap();
    let (_waiter, _) =
        wait_on(&ledger, Path::of(&ann), 5, &Wait { timeout_nanos: Some(SECOND / 4), ..FOR_EVER });
    assert_eq!(asked.0.load(Ordering::SeqCst), SECOND / 4);
    ledger.reserve(&ann, &Request { ttl_nanos: SECOND / 8, ..request(1) }).unwrap();
    assert_eq!(asked.0.load(Ordering::SeqCst), SECOND / 8, "it may serve who waits");
}

/// Threads take small and large amounts of several trees, waiting and not, and give them back: all of them come to an
/// end, and nothing is left.
#[test]
fn no_wake_up_is_lost_between_threads() {
    const THREADS: usize = 6;
    let ledger = Arc::new(Ledger::new(Clock::System, HistoryLimits::default(), vec![]));
    let agents: Vec<_> = ["a", "b"]
        .into_iter()
        .flat_map(|tree| {
            ledger.create_pool(pool(tree, None, 10)).unwrap();
            (0..3)
                .map(|i| ledger.register_agent(&format!("{tree}{i}"), tree, 5, whole(8)).unwrap())
                .collect::<Vec<_>>()
        })
        .collect();
    let served = AtomicUsize::new(0);
    let (ledger, agents, served) = (&*ledger, &agents, &served);
    thread::scope(|scope| {
        scope.spawn(move || {
            while served.load(Ordering::SeqCst) < THREADS * 300 {
                ledger.tend_waiting();
                thread::sleep(Duration::from_millis(1));
            }
        });
        for number in 0..THREADS {
            scope.spawn(move || {
                for turn in 0..300 {
                    let agent = &agents[(number + turn) % agents.len()];
                    let beside =
                        (turn % 5 == 0).then(|| &agents[(number + turn * 7 + 1) % agents.len()].id()[..]);
                    let also: Vec<_> = beside.into_iter().collect();
                    let joint = ledger.joint(agent, &also).unwrap();
                    let wholes = if turn % 6 == 0 { 8 } else { 2 };
                    let terms = Wait { patience_nanos: 1_000_000, ..FOR_EVER };
                    let (waiter, bell) = wait_on(ledger, Path::with(agent, joint.as_ref()), wholes, &terms);
                    if !waiter.is_over() {
                        bell.sleep();
                    }
                    ledger.release(&reserved(&waiter)).unwrap();
                    if let Ok(held) = ledger.reserve(agent, &request(1)) {
                        ledger.release(&held).unwrap();
                    }
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!((ledger.waiting_count(), ledger.verify()), (0, vec![]));
    for agent in agents {
        let state = ledger.snapshot(agent).unwrap();
        assert_eq!((state.balance.remaining, state.kept), (whole(8).units(), 0));
    }
}

#[test]
fn what_can_never_be_is_refused_and_an_amount_of_nothing_is_not() {
    let (ledger, _, [ann, bob, _]) = world();
    let refused =
        |wholes| ledger.wait(Path::of(&ann), &request(wholes), &FOR_EVER, Box::new(Gone)).unwrap_err();
    assert!(matches!(refused(11), LedgerError::BudgetExceeded(it) if &*it.account == "ann"));
    ledger.update_budget("ann", whole(100)).unwrap();
    assert!(matches!(refused(16), LedgerError::BudgetExceeded(it) if &*it.account == "team"));
    ledger.reserve(&bob, &request(10)).unwrap();
    ledger.reserve(&ann, &request(5)).unwrap();
    let (nothing, _) = wait(&ledger, &ann, 0);
    assert_eq!(reserved(&nothing).what(), &Amount::ZERO);
    ledger.update_budget("bob", amount("0.5")).unwrap();
    ledger.close_waiting();
    let (waiter, _) = wait(&ledger, &bob, 1);
    assert!(waiter.is_gone(), "nobody waits any more");
}

const MOVE: Why<'_> = Why { actor: "ops", reason: "it has more" };

/// `ann` and `bob` below `poor`, of 10 of which `bob` has reserved 9, and `rich`, of 100, with `dave` in it.
fn poor_and_rich() -> (Arc<Ledger>, Arc<ManualClock>, [Arc<Account>; 3]) {
    let (ledger, clock) = ledger(&[]);
    ledger.create_pool(pool("poor", None, 10)).unwrap();
    ledger.create_pool(pool("rich", None, 100)).unwrap();
    let agents = [("ann", "poor"), ("bob", "poor"), ("dave", "rich")]
        .map(|(id, above)| ledger.register_agent(id, above, 5, whole(10)).unwrap());
    ledger.reserve(&agents[1], &request(9)).unwrap();
    (ledger, clock, agents)
}

fn move_agent(ledger: &Ledger, id: &str, to: &str) {
    ledger.move_account(Kind::Agent, id, Some(to), MOVE).unwrap();
}

fn nobody_is_left(ledger: &Ledger) {
    assert_eq!((ledger.waiting_count(), ledger.verify()), (0, vec![]));
}

#[test]
fn who_waits_is_served_where_its_agent_moves_to() {
    let (ledger, _, [ann, ..]) = poor_and_rich();
    let (waiter, bell) = wait(&ledger, &ann, 5);
    assert!(!waiter.is_over(), "the pool has 1 left");
    move_agent(&ledger, "ann", "rich");
    assert!(bell.is_rung());
    let held = reserved(&waiter);
    assert_eq!(ledger.snapshot(&ledger.pool("rich").unwrap()).unwrap().balance.reserved, whole(5).units());
    ledger.settle(&held, whole(4)).unwrap();
    assert_eq!(ledger.snapshot(&ledger.pool("rich").unwrap()).unwrap().balance.spent, whole(4).units());
    nobody_is_left(&ledger);
}

#[test]
fn who_waits_follows_the_pool_that_moves_with_its_agent() {
    let (ledger, _) = ledger(&[]);
    for (id, above, has) in [("small", None, 10), ("large", None, 10), ("team", Some("small"), 10)] {
        ledger.create_pool(pool(id, above, has)).unwrap();
    }
    let [ann, bob] = [("ann", "team"), ("bob", "small")]
        .map(|(id, above)| ledger.register_agent(id, above, 5, whole(10)).unwrap());
    let held = ledger.reserve(&bob, &request(8)).unwrap();
    let (first, bell) = wait(&ledger, &ann, 5);
    let (second, next) = wait(&ledger, &ann, 6);
    let (other, _) = wait(&ledger, &bob, 2);
    ledger.move_account(Kind::Pool, "team", Some("large"), MOVE).unwrap();
    assert_eq!((bell.is_rung(), next.is_rung(), ledger.waiting_count()), (true, false, 1));
    ledger.release(&reserved(&first)).unwrap();
    assert!(next.is_rung());
    ledger.release(&reserved(&second)).unwrap();
    ledger.release(&reserved(&other)).unwrap();
    ledger.release(&held).unwrap();
    nobody_is_left(&ledger);
}

#[test]
fn who_moves_to_a_pool_without_money_waits_on_until_that_is_raised() {
    let (ledger, clock, [ann, ..]) = poor_and_rich();
    ledger.create_pool(pool("empty", None, 10)).unwrap();
    let carl = ledger.register_agent("carl", "empty", 5, whole(10)).unwrap();
    let held = ledger.reserve(&carl, &request(10)).unwrap();
    let (first, bell) = wait(&ledger, &ann, 5);
    let (younger, _) = wait(&ledger, &carl, 5);
    clock.advance(Duration::from_secs(1));
    ledger.tend_waiting();
    ledger.adjust_pool_budget("poor", whole(2).units()).unwrap();
    assert_eq!(kept(&ledger, &ledger.pool("poor").unwrap()), 2, "it is out of patience");
    move_agent(&ledger, "ann", "empty");
    assert_eq!((first.is_over(), ledger.waiting_count()), (false, 2));
    ledger.tend_waiting();
    ledger.adjust_pool_budget("poor", whole(50).units()).unwrap();
    assert!(!bell.is_rung(), "it is there no more");
    assert_eq!(kept(&ledger, &ledger.pool("poor").unwrap()), 0);
    ledger.adjust_pool_budget("empty", whole(5).units()).unwrap();
    assert!(bell.is_rung());
    ledger.release(&reserved(&first)).unwrap();
    ledger.release(&held).unwrap();
    ledger.release(&reserved(&younger)).unwrap();
    nobody_is_left(&ledger);
}

#[test]
fn rank_deadline_and_key_move_along() {
    let (ledger, clock, [ann, _, dave]) = poor_and_rich();
    let holds: Vec<_> = (0..2).map(|_| ledger.reserve(&dave, &request(5)).unwrap()).collect();
    ledger.adjust_pool_budget("rich", -whole(90).units()).unwrap();
    let keyed = Wait { key: Some("k"), is_debit: true, timeout_nanos: Some(9 * SECOND), ..FOR_EVER };
    let (first, bell) = wait_on(&ledger, Path::of(&ann), 5, &keyed);
    let (same, also) = wait_on(&ledger, Path::of(&ann), 5, &keyed);
    let (younger, later) = wait(&ledger, &dave, 5);
    let timed = Wait { timeout_nanos: Some(3 * SECOND), ..FOR_EVER };
    let (short, over) = wait_on(&ledger, Path::of(&ann), 6, &timed);
    move_agent(&ledger, "ann", "rich");
    assert_eq!(ledger.waiting_count(), 4);
    clock.advance(Duration::from_secs(3));
    ledger.tend_waiting();
    assert!(over.is_rung() && !bell.is_rung());
    let Some(Err(LedgerError::BudgetExceeded(refusal))) = short.outcome() else { panic!("its time is over") };
    assert_eq!((&*refusal.account, refusal.has_moved), ("rich", false));
    ledger.release(&holds[0]).unwrap();
    assert!(bell.is_rung() && !also.is_rung() && !later.is_rung(), "the eldest is the first");
    ledger.debit_reserved(&reserved(&first), Some("k")).unwrap();
    let Some(Ok(Served::Charged(receipt))) = same.outcome() else { panic!("its key was charged") };
    assert_eq!(receipt.amount, whole(5));
    ledger.release(&holds[1]).unwrap();
    ledger.release(&reserved(&younger)).unwrap();
    nobody_is_left(&ledger);
}

#[test]
fn waiting_ends_after_a_move_as_before() {
    let (ledger, clock, [ann, _, dave]) = poor_and_rich();
    let held = ledger.reserve(&dave, &request(10)).unwrap();
    ledger.adjust_pool_budget("rich", -whole(90).units()).unwrap();
    let [(gone, _), (ended, bell)] = [5, 6].map(|wholes| wait(&ledger, &ann, wholes));
    move_agent(&ledger, "ann", "rich");
    assert_eq!(ledger.waiting_count(), 2);
    clock.advance(Duration::from_secs(1));
    ledger.tend_waiting();
    ledger.withdraw(&gone);
    assert!(gone.is_gone() && !ended.is_over());
    ledger.end_wait(&ended);
    assert!(bell.is_rung());
    let Some(Err(LedgerError::BudgetExceeded(refusal))) = ended.outcome() else { panic!() };
    assert_eq!(&*refusal.account, "rich");
    assert_eq!(kept(&ledger, &ledger.pool("rich").unwrap()), 0);
    ledger.release(&held).unwrap();
    nobody_is_left(&ledger);
}

#[test]
fn who_is_charged_beside_the_agent_may_move_as_well() {
    let (ledger, _, [ann, _, dave]) = poor_and_rich();
    ledger.create_pool(pool("other", None, 100)).unwrap();
    // Of `poor`, which has too little, only because of `ann`.
    let joint = ledger.joint(&dave, &["ann"]).unwrap();
    let (waiter, bell) = wait_on(&ledger, Path::with(&dave, joint.as_ref()), 5, &FOR_EVER);
    assert!(!waiter.is_over());
    move_agent(&ledger, "ann", "other");
    assert!(bell.is_rung());
    let held = reserved(&waiter);
    let reserved_in = |id| ledger.snapshot(&ledger.account_by_id(id).unwrap()).unwrap().balance.reserved;
    assert_eq!(["ann", "dave", "rich", "other"].map(reserved_in), [whole(5).units(); 4]);
    assert_eq!(reserved_in("poor"), whole(9).units());
    ledger.release(&held).unwrap();
    drop(ann);
    nobody_is_left(&ledger);
}

/// Two agents move to and fro between pools while others wait for them, are withdrawn, and end: nobody is lost.
#[test]
fn nobody_who_waits_is_lost_while_accounts_move() {
    const THREADS: usize = 4;
    let ledger = Arc::new(Ledger::new(Clock::System, HistoryLimits::default(), vec![]));
    for id in ["left", "right"] {
        ledger.create_pool(pool(id, None, 6)).unwrap();
    }
    for id in ["ann", "bob"] {
        ledger.register_agent(id, "left", 5, whole(6)).unwrap();
    }
    let (ledger, done) = (&*ledger, &AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(move || {
            for turn in 0_usize.. {
                if done.load(Ordering::SeqCst) == THREADS {
                    break;
                }
                // Refused while something is reserved.
                let to = ["left", "right"][turn / 2 % 2];
                drop(ledger.move_account(Kind::Agent, ["ann", "bob"][turn % 2], Some(to), MOVE));
                ledger.tend_waiting();
                thread::yield_now();
            }
        });
        for number in 0..THREADS {
            scope.spawn(move || {
                for turn in 0..200 {
                    let id = ["ann", "bob"][(number + turn) % 2];
                    let agent = ledger.agent(id).unwrap();
                    let terms = Wait { patience_nanos: 100_000, ..FOR_EVER };
                    let bell = Bell::default();
                    let started = ledger.wait(Path::of(&agent), &request(4), &terms, Box::new(bell.clone()));
                    let Ok(waiter) = started else { continue };
                    match turn % 5 {
                        0 => ledger.withdraw(&waiter),
                        1 => {
                            ledger.end_wait(&waiter);
                            assert!(waiter.is_over());
                        }
                        _ if !waiter.is_over() => bell.sleep(),
                        _ => {}
                    }
                    match waiter.outcome() {
                        Some(Ok(Served::Reserved(held))) => drop(ledger.release(&held.value)),
                        Some(Ok(other)) => panic!("{other:?}"),
                        Some(Err(error)) => {
                            let is_refused = matches!(error, LedgerError::BudgetExceeded(_));
                            assert!(is_refused && turn % 5 == 1, "{error}");
                        }
                        None => assert_eq!(turn % 5, 0),
                    }
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    nobody_is_left(ledger);
    for id in ["ann", "bob", "left", "right"] {
        let state = ledger.snapshot(&ledger.account_by_id(id).unwrap()).unwrap();
        assert_eq!((state.balance.reserved, state.kept), (0, 0), "{id}");
    }
}

//! Real threads, in each other's way on purpose. A thread that does not come back is a failure.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{amount, ledger, pool, request, whole};
use jiff::tz::TimeZone;
use safeguards_core::amount::Amount;
use safeguards_core::clock::{Clock, ManualClock, Wall};
use safeguards_core::ledger::{
    Account, Balance, EventKind, HistoryLimits, Ledger, LedgerError, NewPool, OperationId, Overage, Period,
    Periods, Request, ReservationState, Schedule,
};
use safeguards_core::window::Precision;

const NONE: OperationId = OperationId::NONE;

/// How long a thread may take before it counts as hung.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long readers and writers are let loose on each other.
const FIXED_TIME: Duration = Duration::from_secs(1);
/// How often a race is run until it must have collided.
const MAX_ROUNDS: usize = 5_000;

/// Runs `work(0)` to `work(n - 1)` on threads of their own, all let go at once, and returns what they answered.
fn together<T: Send + 'static>(n: usize, work: impl Fn(usize) -> T + Send + Sync + 'static) -> Vec<T> {
    let (work, start) = (Arc::new(work), Arc::new(Barrier::new(n)));
    let (done, answers) = mpsc::channel();
    for i in 0..n {
        let (work, start, done) = (Arc::clone(&work), Arc::clone(&start), done.clone());
        thread::spawn(move || {
            start.wait();
            let answer = catch_unwind(AssertUnwindSafe(|| work(i)));
            // Nobody listens any more if another thread has failed.
            let _ = done.send((i, answer));
        });
    }
    drop(done);
    let mut by_thread: Vec<_> = (0..n).map(|_| None).collect();
    for _ in 0..n {
        let (i, answer) = answers.recv_timeout(PATIENCE).expect("a thread hangs");
        by_thread[i] = Some(answer.unwrap_or_else(|panic| resume_unwind(panic)));
    }
    by_thread.into_iter().flatten().collect()
}

/// A cheap source of numbers that are different in each thread.
struct Random(u64);

impl Random {
    fn new(seed: usize) -> Self {
        Self(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed as u64 + 1))
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn units(&mut self, n: u64) -> Amount {
        Amount::from_units(self.below(n).into()).expect("an amount")
    }
}

fn books(ledger: &Ledger, id: &str) -> Balance {
    let account = ledger.agent(id).or_else(|_| ledger.pool(id)).expect("an account");
    ledger.snapshot(&account).expect("an open account").balance
}

/// Agents `0` to `n - 1` of `each`, below `team` of `shared` wholes.
fn team(n: usize, shared: i128, each: i128) -> Arc<Ledger> {
    let (ledger, _) = ledger(&[]);
    ledger.create_pool(pool("team", None, shared)).expect("a pool");
    for i in 0..n {
        ledger.register_agent(&i.to_string(), "team", 5, whole(each)).expect("an agent");
    }
    ledger
}

fn is_refusal<T>(answer: &Result<T, LedgerError>) -> bool {
    matches!(answer, Err(LedgerError::BudgetExceeded(_) | LedgerError::RateLimitExceeded(_)))
}

/// Debits a cent until it is refused, and returns how often it was not.
fn cents(ledger: &Ledger, agent: &str) -> usize {
    let mut admitted = 0;
    loop {
        let answer = common::debit(ledger, agent, amount("0.01"));
        if answer.is_err() {
            assert!(is_refusal(&answer), "{answer:?}");
            return admitted;
        }
        admitted += 1;
        if admitted % 2 == 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn sixty_four_threads_share_the_last_cent() {
    for agents in [1, 64] {
        let mut collided = false;
        for _ in 0..20 {
            let ledger = team(agents, 1, 1);
            let admitted = together(64, {
                let ledger = Arc::clone(&ledger);
                move |i| cents(&ledger, &(i % agents).to_string())
            });
            collided |= admitted.iter().filter(|n| **n > 0).count() > 1;
            assert_eq!(admitted.iter().sum::<usize>(), 100);
            let Balance { remaining, spent, .. } = books(&ledger, "team");
            assert_eq!((remaining, spent), (0, whole(1).units()));
            assert_eq!(ledger.verify(), []);
        }
        assert!(collided, "no two threads met");
    }
}

#[test]
fn a_window_shared_by_threads_is_never_above_its_limit() {
    for _ in 0..20 {
        let ledger = team(1, 1_000, 1_000);
        ledger.set_rate_limit("0", whole(1), common::HOUR, Precision::Bucketed).unwrap();
        let admitted = together(32, move |_| cents(&ledger, "0"));
        assert_eq!(admitted.iter().sum::<usize>(), 100);
    }
}

#[test]
fn transfers_in_all_directions_neither_hang_nor_lose() {
    let ledger = team(3, 0, 100);
    let refused = together(6, {
        let ledger = Arc::clone(&ledger);
        move |i| {
            let routes = [("0", "1"), ("1", "0"), ("1", "2"), ("2", "1"), ("2", "0"), ("0", "2")];
            let ((from, to), mut random) = (routes[i], Random::new(i));
            let mut refused = 0;
            for _ in 0..10_000 {
                let answer = ledger.transfer(from, to, random.units(50_000_000_000));
                assert!(answer.is_ok() || is_refusal(&answer));
                refused += usize::from(answer.is_err());
            }
            refused
        }
    });
    assert!(refused.iter().sum::<usize>() > 0, "no transfer met an empty account");
    let all = ["0", "1", "2"].map(|id| books(&ledger, id));
    assert!(all.iter().all(|books| books.remaining >= 0));
    assert_eq!(all.iter().map(|books| books.remaining).sum::<i128>(), whole(300).units());
    assert_eq!(ledger.verify(), []);
}

#[test]
fn readers_see_balanced_books_while_writers_write() {
    let ledger = team(8, 1_000, 1_000);
    ledger.create_pool(pool("inner", Some("team"), 500)).unwrap();
    for i in 8..12 {
        ledger.register_agent(&i.to_string(), "inner", 5, whole(200)).unwrap();
    }
    let end = Instant::now() + FIXED_TIME;
    let counts = together(6, {
        let ledger = Arc::clone(&ledger);
        move |i| {
            let (mut random, mut count) = (Random::new(i), 0);
            while Instant::now() < end {
                if i == 0 {
                    assert_eq!(ledger.verify(), []);
                } else if i == 1 {
                    read_everything(&ledger);
                } else {
                    write_something(&ledger, &mut random);
                }
                count += 1;
            }
            count
        }
    });
    assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
    assert_eq!(ledger.verify(), []);
    assert_eq!(books(&ledger, "team").reserved, 0);
}

fn read_everything(ledger: &Ledger) {
    for id in ledger.agent_ids() {
        let agent = ledger.agent(&id).expect("an agent");
        let snapshot = ledger.snapshot(&agent).expect("an open account");
        assert!(snapshot.balance.is_balanced() && snapshot.balance.remaining >= 0, "{snapshot:?}");
        assert!(ledger.available(&agent).expect("an open account") >= 0);
    }
    for id in ["team", "inner"] {
        let books = books(ledger, id);
        assert!(books.is_balanced() && books.remaining >= 0, "{books:?}");
    }
}

fn write_something(ledger: &Ledger, random: &mut Random) {
    let [agent, other] = [random.below(12), random.below(12)].map(|i| i.to_string());
    let account = ledger.agent(&agent).expect("an agent");
    let most = random.units(1_000_000_000);
    match random.below(6) {
        0 | 1 => drop(ledger.debit(&account, &most, NONE)),
        2 if agent != other => drop(ledger.transfer(&agent, &other, most)),
        3 => ledger.update_budget(&agent, whole(200)).expect("an agent"),
        4 => ledger.update_pool_budget("inner", whole(500)).expect("a pool"),
        _ => {
            let wanted = Request { what: most, overage: Overage::Reject, ..request(0) };
            let Ok(reservation) = ledger.reserve(&account, &wanted) else { return };
            if random.below(2) == 0 {
                ledger.release(&reservation).expect("not settled");
            } else {
                let less = Amount::from_units(most.units() / 2).expect("an amount");
                ledger.settle(&reservation, less).expect("less than reserved");
            }
        }
    }
}

#[test]
fn settlements_releases_and_drops_race_with_the_end_of_their_time() {
    let clock = Arc::new(ManualClock::new(Wall(0)));
    let unbounded = HistoryLimits { events: usize::MAX, sums: 0 };
    let ledger = Arc::new(Ledger::new(Clock::Manual(Arc::clone(&clock)), unbounded, Vec::new()));
    ledger.create_pool(pool("team", None, 1_000_000)).unwrap();
    let agents = ["0", "1", "2"].map(|id| ledger.register_agent(id, "team", 5, whole(1_000_000)).unwrap());
    let over = Arc::new(AtomicBool::new(false));
    let working = Arc::new(AtomicUsize::new(5));
    let charged = together(7, {
        let (ledger, agents, over) = (Arc::clone(&ledger), agents.clone(), Arc::clone(&over));
        move |i| match i {
            5 => {
                while !over.load(Ordering::SeqCst) {
                    clock.advance(Duration::from_nanos(1));
                    thread::yield_now();
                }
                // Whatever is still open runs out.
                clock.advance(Duration::from_secs(1));
                0
            }
            6 => {
                while !over.load(Ordering::SeqCst) {
                    ledger.expire();
                    assert_eq!(ledger.verify(), []);
                }
                0
            }
            _ => {
                let charged = reserve_and_close(&ledger, &clock, &agents[i % 3], &mut Random::new(i));
                over.fetch_or(working.fetch_sub(1, Ordering::SeqCst) == 1, Ordering::SeqCst);
                charged
            }
        }
    });
    let Balance { reserved, spent, remaining, .. } = books(&ledger, "team");
    assert_eq!((reserved, spent), (0, charged.iter().sum::<i128>()));
    assert_eq!(remaining, whole(1_000_000).units() - spent);
    assert_eq!(ledger.verify(), []);
    let events: Vec<_> = agents.iter().flat_map(|agent| ledger.events(agent).unwrap()).collect();
    let count = |kind| events.iter().filter(|event| event.kind == kind).count();
    let [reserves, settles, releases, expiries, late] =
        [EventKind::Reserve, EventKind::Settle, EventKind::Release, EventKind::Expire, EventKind::LateSettle]
            .map(count);
    assert_eq!(reserves, settles + releases + expiries, "each is given back once");
    assert!(late <= expiries);
    assert!(settles.min(late).min(releases) > 0, "only one side won: {settles} {late} {releases}");
}

fn reserve_and_close(
    ledger: &Ledger,
    clock: &ManualClock,
    agent: &Arc<Account>,
    random: &mut Random,
) -> i128 {
    let mut charged = 0;
    for _ in 0..5_000 {
        // Over before it began, or long after, however fast this machine is.
        let ttl_nanos = 1 << random.below(30);
        let reservation =
            ledger.reserve(agent, &Request { ttl_nanos, ..request(1) }).expect("plenty remains");
        if random.below(4) == 0 {
            clock.advance(Duration::from_nanos(1 << random.below(20)));
        }
        match random.below(4) {
            0 => drop(reservation),
            1 => ledger.release(&reservation).expect("not settled"),
            _ => {
                let cost = random.units(2_000_000_000);
                assert_eq!(ledger.settle(&reservation, cost).expect("a fact").amount, cost);
                assert_eq!(
                    ledger.reservation_state(&reservation).expect("it is written"),
                    ReservationState::Settled
                );
                charged += cost.units();
            }
        }
    }
    charged
}

#[test]
fn one_reservation_closed_by_many_threads_has_one_outcome() {
    let ledger = team(1, 1_000_000, 1_000_000);
    let agent = ledger.agent("0").unwrap();
    let (mut settled, mut released) = (0, 0);
    for round in 0..MAX_ROUNDS {
        let reservation = Arc::new(ledger.reserve(&agent, &request(4)).unwrap());
        let before = books(&ledger, "team").spent;
        let won = together(4, {
            let (ledger, reservation) = (Arc::clone(&ledger), Arc::clone(&reservation));
            move |i| match (i + round) % 4 {
                0 => ledger.release(&reservation).is_ok(),
                i => ledger.settle(&reservation, whole(i128::try_from(i).unwrap())).is_ok(),
            }
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        let winner = won.iter().position(|won| *won).map(|i| (i + round) % 4).unwrap();
        let spent = books(&ledger, "team").spent - before;
        assert_eq!(spent, whole(i128::try_from(winner).unwrap()).units());
        if winner == 0 {
            released += 1;
        } else {
            settled += 1;
        }
        if round > 200 && settled.min(released) > 10 {
            break;
        }
    }
    assert!(settled.min(released) > 0, "{settled} {released}");
    assert_eq!(ledger.verify(), []);
}

#[test]
fn agents_come_and_go_under_debits() {
    let ledger = team(1, 1_000_000, 1_000_000);
    let over = Arc::new(AtomicBool::new(false));
    let met = Arc::new(AtomicUsize::new(0));
    let charged = together(4, {
        let (ledger, met) = (Arc::clone(&ledger), Arc::clone(&met));
        move |i| {
            let mut charged = 0;
            if i == 0 {
                let end = Instant::now() + FIXED_TIME;
                for round in 0.. {
                    let before = met.load(Ordering::SeqCst);
                    ledger.register_agent("guest", "team", 5, whole(1)).expect("it has left");
                    // Stays until it was met, or leaves at once: debits meet it and its absence.
                    while round % 2 == 0 && met.load(Ordering::SeqCst) == before && Instant::now() < end {
                        thread::yield_now();
                    }
                    // Refused while it has a reservation, if only for an instant.
                    while ledger.unregister_agent("guest").is_err() {
                        thread::yield_now();
                    }
                    if Instant::now() >= end {
                        break;
                    }
                }
                over.store(true, Ordering::SeqCst);
            }
            while !over.load(Ordering::SeqCst) {
                let x = debit_a_guest(&ledger, i, &met);
                if x == 0 {
                    thread::yield_now();
                }
                charged += x;
            }
            charged
        }
    });
    assert!(met.load(Ordering::SeqCst) > 100, "too few debits met the guest");
    // What each guest has spent stays in the books of the pool, to the last unit.
    assert_eq!(books(&ledger, "team").spent, charged.iter().sum::<i128>());
    assert_eq!(ledger.verify(), []);
}

/// Debits the guest by its id, by a batch, or by a reservation. Returns what was charged.
fn debit_a_guest(ledger: &Ledger, thread: usize, met: &AtomicUsize) -> i128 {
    let unit = Amount::from_units(1).expect("an amount");
    let charged = match thread {
        1 => i128::from(common::debit(ledger, "guest", unit).is_ok()),
        2 => {
            let Ok(handle) = ledger.handle("guest") else { return 0 };
            let admitted = ledger.debit_many(&[handle, handle], &[1, 1], NONE).unwrap_or_default();
            i128::try_from(admitted.iter().filter(|admitted| **admitted).count()).expect("two")
        }
        _ => {
            let Ok(guest) = ledger.agent("guest") else { return 0 };
            // Short-lived, so that it can be unregistered; the settlement is a fact, early or late.
            let Ok(reservation) = ledger.reserve(&guest, &Request { ttl_nanos: 0, ..request(0) }) else {
                return 0;
            };
            ledger.settle(&reservation, unit).expect("a fact").amount.units()
        }
    };
    met.fetch_add(usize::from(charged > 0), Ordering::SeqCst);
    charged
}

#[test]
fn the_same_key_from_many_threads_charges_once() {
    let ledger = team(1, 1_000_000, 1_000_000);
    let agent = ledger.agent("0").unwrap();
    let receipts = together(8, {
        let (ledger, agent) = (Arc::clone(&ledger), Arc::clone(&agent));
        move |_| {
            let debit = |key: usize| {
                ledger
                    .debit_keyed(&agent, &whole(1), NONE, &format!("debit {key}"))
                    .expect("plenty remains")
                    .value
            };
            let reserve = |key: usize| {
                ledger
                    .reserve_keyed(&agent, &request(1), &format!("reserve {key}"))
                    .expect("plenty remains")
                    .value
                    .number()
            };
            (0..500).map(|key| (debit(key), reserve(key))).collect::<Vec<_>>()
        }
    });
    assert!(receipts.iter().all(|other| *other == receipts[0]));
    let Balance { reserved, spent, .. } = books(&ledger, "team");
    assert_eq!((reserved, spent), (whole(500).units(), whole(500).units()));
    assert_eq!(ledger.verify(), []);
}

#[test]
fn a_refused_debit_sees_what_another_thread_gives_back() {
    for _ in 0..300 {
        let (ledger, clock) = ledger(&[]);
        ledger.create_pool(pool("team", None, 10)).unwrap();
        let agents: Vec<_> =
            (0..4).map(|i| ledger.register_agent(&i.to_string(), "team", 5, whole(10)).unwrap()).collect();
        let _held = ledger.reserve(&agents[0], &request(10)).unwrap();
        clock.advance(Duration::from_nanos(common::TTL.unsigned_abs()));
        let admitted = together(4, {
            let ledger = Arc::clone(&ledger);
            move |i| {
                if i == 0 {
                    ledger.expire()
                } else {
                    usize::from(ledger.debit(&agents[i], &whole(3), NONE).is_ok())
                }
            }
        });
        assert_eq!(admitted[1..], [1, 1, 1]);
    }
}

#[test]
fn a_period_that_begins_under_debits_is_granted_once() {
    let (ledger, clock) = ledger(&[]);
    let schedule = Schedule::new(Period::Hourly, TimeZone::UTC, Wall(0));
    ledger
        .create_pool(NewPool { name: None, rules: Periods::from(schedule).into(), ..pool("hourly", None, 1) })
        .unwrap();
    ledger.register_agent("0", "hourly", 5, whole(1_000_000)).unwrap();
    for hour in 1..100 {
        let admitted = together(4, {
            let (ledger, clock) = (Arc::clone(&ledger), Arc::clone(&clock));
            move |i| {
                if i == 0 {
                    // Back and forth across the hour.
                    for wall in [hour, hour - 1, hour] {
                        clock.set_wall(Wall(wall * common::HOUR));
                        thread::yield_now();
                    }
                }
                cents(&ledger, "0")
            }
        });
        // The first hour was never touched before: what it had is taken together with the second's, or lost.
        let total = admitted.iter().sum::<usize>();
        assert!(total == 100 || (hour == 1 && total <= 200), "hour {hour}: {total}");
    }
    assert_eq!(ledger.verify(), []);
}

#[test]
fn the_system_clock_expires_too() {
    let ledger = Arc::new(Ledger::new(Clock::System, HistoryLimits::default(), Vec::new()));
    ledger.create_pool(pool("team", None, 1)).unwrap();
    let agent = ledger.register_agent("0", "team", 5, whole(1)).unwrap();
    let _held = ledger.reserve(&agent, &Request { ttl_nanos: 20_000_000, ..request(1) }).unwrap();
    assert!(is_refusal(&common::debit(&ledger, "0", whole(1))));
    let end = Instant::now() + PATIENCE;
    while is_refusal(&common::debit(&ledger, "0", whole(1))) {
        assert!(Instant::now() < end, "it never expires");
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(books(&ledger, "team").spent, whole(1).units());
}

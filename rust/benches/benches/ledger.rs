//! Debits, reservations and batches on a random one of N agents.
//!
//! Beside them `llm-budget`, the crate that one finds for the purpose, in the part of it that is comparable:
//! `AtomicBudget::charge` keeps ONE account as an atomic counter of nano-dollars. It takes an `f64`, knows no
//! accounts by name, no pool above, no history, no reservation and no time; ours does all of that in `debit`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use llm_budget::budget::AtomicBudget;
use safeguards_benches::{CHARGE, CHARGED_UNITS, Platform, draws};
use safeguards_core::ledger::{OperationId, Overage, Request};

const NONE: OperationId = OperationId::NONE;
const MANY: [usize; 5] = [1, 1_000, 10_000, 100_000, 1_000_000];
const BATCH: usize = 1 << 20;

fn debits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("debit");
    for n in MANY {
        let platform = Platform::new(n);
        let (mut charges, draws) = (0, draws(n));
        let mut agents = draws.iter().map(|&i| &platform.agents[i]).cycle();
        group.bench_function(BenchmarkId::new("by id", n), |bencher| {
            bencher.iter(|| {
                charges += 1;
                let agent = agents.next().expect("a cycle");
                platform.ledger.with_agent(agent.id(), |agent| platform.ledger.debit(agent, &CHARGE, NONE))
            });
        });
        group.bench_function(BenchmarkId::new("account at hand", n), |bencher| {
            bencher.iter(|| {
                charges += 1;
                platform.ledger.debit(agents.next().expect("a cycle"), &CHARGE, NONE)
            });
        });
        platform.prove(charges);
    }
    group.bench_function("llm-budget, one account", |bencher| {
        let budget = AtomicBudget::new(1e9).expect("a budget");
        bencher.iter(|| budget.charge(black_box(0.0017)));
    });
}

fn reservations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reserve and settle");
    let request = Request {
        what: CHARGE,
        ttl_nanos: 900_000_000_000,
        overage: Overage::AllowWithOverdraft,
        operation: NONE,
    };
    for n in &MANY[..4] {
        let platform = Platform::new(*n);
        let (mut charges, draws) = (0, draws(*n));
        let mut agents = draws.iter().map(|&i| &platform.agents[i]).cycle();
        group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
            bencher.iter(|| {
                charges += 1;
                let agent = agents.next().expect("a cycle");
                let reservation = platform.ledger.reserve(agent, &request).expect("a reservation");
                platform.ledger.settle(&reservation, CHARGE)
            });
        });
        platform.prove(charges);
    }
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("debit_many");
    group.throughput(Throughput::Elements(BATCH as u64));
    for n in [1_000, 1_000_000] {
        let platform = Platform::new(n);
        let handle = |agent: usize| platform.ledger.handle(platform.agents[agent].id()).expect("an agent");
        let handles: Vec<u32> = draws(n).into_iter().map(handle).collect();
        let units = vec![CHARGED_UNITS; BATCH];
        let mut charges = 0;
        group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
            bencher.iter(|| {
                charges += BATCH as u64;
                platform.ledger.debit_many(&handles, &units, NONE).expect("a batch")
            });
        });
        platform.prove(charges);
    }
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = short(); targets = debits, reservations, batches }
criterion_main!(benches);

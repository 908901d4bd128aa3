//! Sliding windows of 10,000 agents, one after the other.
//!
//! Beside them `governor`, the rate limiter that a Rust user would take. Its GCRA keeps one date for each key
//! instead of what was charged: it refills steadily, so that up to twice the limit passes within a window, it
//! counts in `u32`, and cannot say what was spent. Ours admits at most the limit within ANY window, to 1e-9.

use std::num::NonZeroU32;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use safeguards_benches::{CHARGE, Platform, draws};
use safeguards_core::amount::Amount;
use safeguards_core::window::{MAX_LIMIT_UNITS, Precision};

const AGENTS: usize = 10_000;
const HOUR_NANOS: i64 = 3_600_000_000_000;
/// 0.0017 in units of 1e-4: what `governor` can count.
const TENTHS_OF_MILLS: NonZeroU32 = NonZeroU32::new(17).expect("not zero");

fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window");
    let platform = Platform::new(AGENTS);
    let limit = Amount::from_units(MAX_LIMIT_UNITS).expect("an amount");
    for agent in &platform.agents {
        let set = platform.ledger.set_rate_limit(agent.id(), limit, HOUR_NANOS, Precision::Bucketed);
        set.expect("a window");
    }
    let (mut charges, draws) = (0, draws(AGENTS));
    let mut agents = draws.iter().map(|&i| &platform.agents[i]).cycle();
    group.bench_function("acquire", |bencher| {
        bencher.iter(|| {
            charges += 1;
            platform.ledger.acquire(agents.next().expect("a cycle").id(), CHARGE)
        });
    });
    let spent = |id| platform.ledger.windows(id).expect("an agent")[0].spent;
    let total: i128 = platform.agents.iter().map(|agent| spent(agent.id())).sum();
    assert_eq!(total, charges * CHARGE.units(), "charged to windows");
    group.bench_function("governor, GCRA", |bencher| {
        let limiter: DefaultKeyedRateLimiter<String> = RateLimiter::keyed(Quota::per_second(NonZeroU32::MAX));
        let keys: Vec<String> = (0..AGENTS).map(|i| format!("agent-{i}")).collect();
        let mut keys = draws.iter().map(|&i| &keys[i]).cycle();
        bencher.iter(|| limiter.check_key_n(keys.next().expect("a cycle"), TENTHS_OF_MILLS));
    });
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = short(); targets = windows }
criterion_main!(benches);

//! The platform that the benches run on: agents in pools of a thousand, two levels, with their history.

use std::sync::Arc;

use safeguards_core::amount::{Amount, UNITS_PER_ONE};
use safeguards_core::clock::Clock;
use safeguards_core::ledger::{Account, HistoryLimits, Ledger, NewPool, OperationId};

/// 0.0017, in units of 1e-9: what each operation charges.
pub const CHARGED_UNITS: i64 = 1_700_000;
/// The same as an amount.
pub const CHARGE: Amount = amount(CHARGED_UNITS as i128);
/// So many agents share a pool.
const AGENTS_PER_POOL: usize = 1_000;
/// Of every account: more than a bench can spend.
const BUDGET: Amount = amount(10_i128.pow(9) * UNITS_PER_ONE);

const fn amount(units: i128) -> Amount {
    Amount::from_units(units).expect("within the range of amounts")
}

/// A ledger with so many agents, each of which has been charged once.
#[derive(Debug)]
pub struct Platform {
    /// It holds them all.
    pub ledger: Ledger,
    /// The agents.
    pub agents: Vec<Arc<Account>>,
    pools: Vec<Arc<Account>>,
}

impl Platform {
    /// Registers `n` agents.
    ///
    /// # Panics
    ///
    /// If an account cannot be made.
    #[must_use]
    pub fn new(n: usize) -> Self {
        let ledger = Ledger::new(Clock::System, HistoryLimits::default(), Vec::new());
        let mut platform = Self { ledger, agents: Vec::new(), pools: Vec::new() };
        for i in 0..n {
            let pool = format!("pool-{}", i / AGENTS_PER_POOL);
            if i % AGENTS_PER_POOL == 0 {
                let new = NewPool { name: None, id: &pool, parent: None, budget: BUDGET, priority: 5, rules: Rules::default() };
                platform.pools.push(platform.ledger.create_pool(new).expect("a pool"));
            }
            let agent = platform.ledger.register_agent(&format!("agent-{i}"), &pool, 5, BUDGET);
            platform.agents.push(agent.expect("an agent"));
        }
        for agent in &platform.agents {
            platform.ledger.try_debit(agent, &CHARGE, OperationId::NONE).expect("a debit");
        }
        platform
    }

    /// Checks the books after so many charges beside the first of each agent.
    ///
    /// # Panics
    ///
    /// If a unit is missing.
    pub fn prove(&self, charges: u64) {
        let expected = (i128::from(charges) + self.agents.len() as i128) * CHARGE.units();
        let spent =
            |account: &Arc<Account>| self.ledger.snapshot(account).expect("an open account").balance.spent;
        assert_eq!(self.agents.iter().map(spent).sum::<i128>(), expected, "spent by agents");
        assert_eq!(self.pools.iter().map(spent).sum::<i128>(), expected, "spent by pools");
        assert!(self.ledger.verify().is_empty(), "the books do not agree");
    }
}

/// A million draws from `0..n`, in an order that no cache can foresee and that is the same in every run.
///
/// # Panics
///
/// If `n` is 0.
#[must_use]
pub fn draws(n: usize) -> Vec<usize> {
    let mut state = 0_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % n
    };
    (0..1 << 20).map(|_| draw()).collect()
}

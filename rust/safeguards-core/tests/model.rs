//! The ledger against a naive model: plain integers, lists that are summed anew each time, no locks, no cleverness.
//!
//! The model expires and renews at the instant at which time passes. The ledger does so when somebody looks or is
//! refused; nobody may see the difference, so most steps compare every balance and some deliberately do not.

#![allow(clippy::unwrap_used, reason = "tests may, and so may their helpers")]

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::Recorder;
use common::origins::Origins;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use safeguards_core::amount::Amount;
use safeguards_core::clock::{ManualClock, Wall};
use safeguards_core::ledger::{
    Account, AnyReservation, Balance, ChargeId, Credit, Enforcement, Execution, Kind, Ledger, LedgerError,
    NewAgent, NewPool, OperationId, Order, Overage, Overdraft, Period, Periods, Receipt, RefundFault,
    Request, Reservation, ReservationState, Rollover, Rules, Schedule, Why,
};
use safeguards_core::window::Precision;

const NONE: OperationId = OperationId::NONE;
/// One tick of the model's time. Windows are two ticks long at least.
const TICK: i64 = 1_000;
const KINDS: [Overage; 3] = [Overage::AllowWithOverdraft, Overage::AllowIfAvailable, Overage::Reject];

fn units(units: i128) -> Amount {
    Amount::from_units(units).unwrap()
}

/// Why not, as the model and the ledger both can say it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum No {
    Budget(String),
    Window,
    OverReserved,
    Closed,
    Conflict,
    InProgress,
    TooMuch,
}

impl From<LedgerError> for No {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::BudgetExceeded(refusal) => Self::Budget(refusal.account.to_string()),
            LedgerError::RateLimitExceeded(_) => Self::Window,
            LedgerError::OverReserved { .. } => Self::OverReserved,
            LedgerError::ReservationClosed { .. } => Self::Closed,
            LedgerError::IdempotencyConflict(_) => Self::Conflict,
            LedgerError::IdempotencyInProgress(_) => Self::InProgress,
            LedgerError::Refund(fault) if matches!(*fault, RefundFault::TooMuch { .. }) => Self::TooMuch,
            other => panic!("unexpected: {other}"),
        }
    }
}

// ---------------------------------------------------------------------------------------------- the model

#[derive(Clone, Debug)]
struct ModelAccount {
    id: String,
    parent: Option<usize>,
    books: Balance,
    /// Whose money remains.
    origins: Origins,
    /// Ticks of a period, and its budget.
    period: Option<(i64, i128)>,
    terms: PeriodTerms,
    /// Which periods were granted, counted from the first.
    granted: Vec<i64>,
    /// How often a period has begun, by the calendar or by hand.
    begun: usize,
    /// How far below zero facts may take it.
    overdraft_limit: Option<i128>,
    /// It refuses nothing.
    is_lenient: bool,
    is_suspended: bool,
    /// Length and limit.
    windows: Vec<(i64, i128)>,
    /// Everything that windows of any length may have to count: when, and how much.
    charges: Vec<(i64, i128, usize)>,
}

/// What goes into the next period: at most so much of what is left, and whether what is missing.
#[derive(Clone, Copy, Debug)]
struct PeriodTerms {
    rollover: i128,
    carries: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Active,
    Expired,
    Released,
    Settled(i128),
}

#[derive(Clone, Debug)]
struct ModelReservation {
    agent: usize,
    amount: i128,
    /// `None` while it is kept alive.
    deadline: Option<i64>,
    overage: Overage,
    stage: Stage,
    /// What it was charged, once it was.
    charge: Option<usize>,
}

/// Something that was charged, with the periods and stretches that its accounts were in.
#[derive(Clone, Debug)]
struct ModelCharge {
    agent: usize,
    amount: i128,
    refunded: i128,
    at: i64,
    periods: Vec<(usize, usize, usize)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Payload {
    agent: usize,
    amount: i128,
    terms: Option<(i64, Overage)>,
}

#[derive(Clone, Copy, Debug)]
enum Remembered {
    /// What was charged, if anything was.
    Debit(Option<usize>),
    Reservation(usize),
}

#[derive(Debug, Default)]
struct Model {
    now: i64,
    /// How far the wall clock is ahead of `now`, or behind.
    ahead: i64,
    pools: usize,
    accounts: Vec<ModelAccount>,
    reservations: Vec<ModelReservation>,
    charges: Vec<ModelCharge>,
    keys: HashMap<u8, (Payload, Remembered)>,
}

impl Model {
    fn path(&self, agent: usize) -> Vec<usize> {
        std::iter::successors(Some(agent), |i| self.accounts[*i].parent).collect()
    }

    fn shift(&mut self, agent: usize, reserved: i128, spent: i128, act: impl Fn(&mut Origins)) {
        for i in self.path(agent) {
            let books = &mut self.accounts[i].books;
            books.reserved += reserved;
            books.spent += spent;
            act(&mut self.accounts[i].origins);
            self.look(i);
        }
    }

    /// Begins a period with so much.
    fn begin(&mut self, account: usize, x: i128) {
        self.accounts[account].origins.set(x);
        self.look(account);
        self.accounts[account].begun += 1;
    }

    /// Moves the base.
    fn raise(&mut self, account: usize, x: i128) {
        self.accounts[account].origins.base += x;
        self.look(account);
    }

    fn look(&mut self, account: usize) {
        let ModelAccount { books, origins, .. } = &mut self.accounts[account];
        books.remaining = origins.remaining();
        books.granted = books.remaining + books.reserved + books.spent;
    }

    fn credit(&mut self, account: usize, above: bool, id: u64, x: usize, ticks: i64) {
        let path = self.path(account);
        for i in path.into_iter().take(if above { usize::MAX } else { 1 }) {
            self.accounts[i].origins.credit(id, x, self.now + self.ahead + ticks);
            self.look(i);
        }
    }

    /// As `adjust`; and later periods begin with more, or less, but never with less than nothing.
    fn execute(&mut self, account: usize, change: i128, later: i128) -> (i128, i128) {
        let before = self.accounts[account].period.map_or(0, |(_, budget)| budget);
        let after = (before + later).max(0);
        if let Some((_, budget)) = &mut self.accounts[account].period {
            *budget = after;
        }
        (self.adjust(account, change), after - before)
    }

    /// The change that is made: never more is taken than remains.
    fn adjust(&mut self, account: usize, change: i128) -> i128 {
        let base = self.accounts[account].origins.filled_base();
        let change = if base + change >= 0 || change > 0 { change } else { -base.max(0) };
        self.raise(account, change);
        change
    }

    /// What was charged to a window and has not left it at a time.
    fn spent_in(&self, account: usize, window: usize, at: i64) -> i128 {
        let (length, _) = self.accounts[account].windows[window];
        let charges = self.accounts[account].charges.iter();
        let there =
            charges.filter(|(when, _, l)| *l == usize::try_from(length).unwrap() && when + length > at);
        there.map(|(_, x, _)| x).sum()
    }

    /// What is reserved in every window of an account: by all below it.
    fn reserved_in(&self, account: usize) -> i128 {
        let active = self.reservations.iter().filter(|r| r.stage == Stage::Active);
        active.filter(|r| self.path(r.agent).contains(&account)).map(|r| r.amount).sum()
    }

    fn fits_windows(&self, account: usize, x: i128) -> bool {
        let fits = |i: usize| {
            if self.accounts[i].is_lenient {
                return true;
            }
            let reserved = self.reserved_in(i);
            let mut limits = self.accounts[i].windows.iter().map(|(_, limit)| limit).enumerate();
            limits.all(|(w, limit)| self.spent_in(i, w, self.now) + reserved + x <= *limit)
        };
        x == 0 || self.path(account).into_iter().all(fits)
    }

    fn charge_windows(&mut self, account: usize, x: i128) {
        for i in self.path(account) {
            let account = &mut self.accounts[i];
            for (length, _) in &account.windows {
                account.charges.push((self.now, x, usize::try_from(*length).unwrap()));
            }
        }
    }

    /// Budgets first, then windows, each from the agent upwards.
    fn admit(&self, agent: usize, needs: i128, in_windows: i128, begins: bool) -> Result<(), No> {
        let refuses = |i: &usize| {
            let account = &self.accounts[*i];
            begins && account.is_suspended || !account.is_lenient && account.books.remaining < needs
        };
        match self.path(agent).into_iter().find(refuses) {
            Some(i) => Err(No::Budget(self.accounts[i].id.clone())),
            None if !self.fits_windows(agent, in_windows) => Err(No::Window),
            None => Ok(()),
        }
    }

    fn debit(&mut self, agent: usize, x: i128) -> Result<Option<usize>, No> {
        if x == 0 {
            return Ok(None);
        }
        self.admit(agent, x, x, true)?;
        self.shift(agent, 0, x, |origins| origins.debit(x));
        self.charge_windows(agent, x);
        Ok(Some(self.note_charge(agent, x)))
    }

    fn note_charge(&mut self, agent: usize, amount: i128) -> usize {
        let of = |i: usize| (i, self.accounts[i].begun, self.accounts[i].origins.stretch());
        let periods = self.path(agent).into_iter().map(of).collect();
        self.charges.push(ModelCharge { agent, amount, refunded: 0, at: self.now, periods });
        self.charges.len() - 1
    }

    /// What would be there if so much of a charge had not been made.
    fn refund(&mut self, c: usize, x: Option<i128>) -> Result<(), No> {
        let ModelCharge { agent, amount, refunded, at, periods } = self.charges[c].clone();
        let x = x.unwrap_or(amount - refunded);
        if x > amount - refunded {
            return Err(No::TooMuch);
        }
        self.charges[c].refunded += x;
        for (i, begun, stretch) in periods {
            let ModelAccount { books, begun: now, origins, .. } = &mut self.accounts[i];
            books.spent -= x;
            origins.refund(stretch, x, *now == begun);
            self.look(i);
        }
        for i in self.path(agent) {
            self.refund_windows(i, x, at);
        }
        Ok(())
    }

    fn refund_windows(&mut self, account: usize, x: i128, at: i64) {
        let now = self.now;
        let account = &mut self.accounts[account];
        for (length, _) in account.windows.clone() {
            let mut rest = x;
            let there = account.charges.iter_mut().filter(|(when, _, l)| {
                *when == at && *l == usize::try_from(length).unwrap() && when + length > now
            });
            for (_, charged, _) in there {
                let taken = rest.min(*charged);
                (*charged, rest) = (*charged - taken, rest - taken);
            }
        }
    }

    fn is_undone(&self, c: Option<usize>) -> bool {
        c.is_some_and(|c| self.charges[c].amount > 0 && self.charges[c].refunded == self.charges[c].amount)
    }

    fn reserve(&mut self, agent: usize, x: i128, ttl: i64, overage: Overage) -> Result<usize, No> {
        // Nothing is always admitted, even below zero.
        self.admit(agent, if x > 0 { x } else { i128::MIN }, x, true)?;
        let number = self.reservations.len();
        self.shift(agent, x, 0, |origins| origins.reserve(number, x));
        let deadline = Some(self.now + ttl);
        self.reservations.push(ModelReservation {
            agent,
            amount: x,
            deadline,
            overage,
            stage: Stage::Active,
            charge: None,
        });
        Ok(self.reservations.len() - 1)
    }

    fn once(&self, key: Option<u8>, payload: &Payload) -> Result<Option<Remembered>, No> {
        match key.and_then(|key| self.keys.get(&key)) {
            Some((_, Remembered::Debit(c))) if self.is_undone(*c) => Ok(None),
            Some((_, Remembered::Reservation(r)))
                if matches!(self.reservations[*r].stage, Stage::Released | Stage::Expired)
                    || self.is_undone(self.reservations[*r].charge) =>
            {
                Ok(None)
            }
            Some((_, Remembered::Reservation(r)))
                if self.reservations[*r].stage == Stage::Active
                    && self.reservations[*r].deadline.is_none() =>
            {
                Err(No::InProgress)
            }
            Some((before, outcome)) if before == payload => Ok(Some(*outcome)),
            Some(_) => Err(No::Conflict),
            None => Ok(None),
        }
    }

    fn settle(&mut self, r: usize, x: i128) -> Result<(), No> {
        let ModelReservation { agent, amount, overage, stage, .. } = self.reservations[r];
        let reserved = match stage {
            Stage::Settled(before) if before == x => return Ok(()),
            Stage::Settled(_) | Stage::Released => return Err(No::Closed),
            Stage::Active => amount,
            Stage::Expired => 0,
        };
        if overage == Overage::Reject && x > amount {
            return Err(No::OverReserved);
        }
        let beyond = (x - reserved).max(0);
        if overage != Overage::AllowWithOverdraft {
            // What gives back, or charges nothing that was not set aside, cannot be refused.
            let needs = if beyond > 0 { beyond } else { i128::MIN };
            self.admit(agent, needs, beyond, false)?;
        }
        let limits = self.path(agent).into_iter().filter_map(|i| {
            let ModelAccount { books, overdraft_limit, is_lenient, .. } = &self.accounts[i];
            overdraft_limit.filter(|_| !is_lenient).map(|limit| (books.remaining + limit).max(0))
        });
        let is_bounded = overage == Overage::AllowWithOverdraft;
        let most = limits.min().filter(|_| is_bounded).unwrap_or(i128::MAX);
        let charged = x - beyond + beyond.min(most);
        self.shift(agent, -reserved, charged, |origins| origins.settle(r, reserved, charged));
        self.reservations[r].stage = Stage::Settled(x);
        self.charge_windows(agent, x);
        self.reservations[r].charge = Some(self.note_charge(agent, charged));
        Ok(())
    }

    fn release(&mut self, r: usize) -> Result<(), No> {
        match self.reservations[r].stage {
            Stage::Settled(_) => return Err(No::Closed),
            Stage::Active => self.give_back(r, Stage::Released),
            Stage::Released | Stage::Expired => {}
        }
        Ok(())
    }

    fn give_back(&mut self, r: usize, stage: Stage) {
        let ModelReservation { agent, amount, .. } = self.reservations[r];
        self.shift(agent, -amount, 0, |origins| origins.settle(r, amount, 0));
        self.reservations[r].stage = stage;
    }

    fn keep_alive(&mut self, r: usize) -> Result<(), No> {
        match self.reservations[r].stage {
            Stage::Active => self.reservations[r].deadline = None,
            Stage::Expired | Stage::Released | Stage::Settled(_) => return Err(No::Closed),
        }
        Ok(())
    }

    fn transfer(&mut self, from: usize, to: usize, x: i128) -> Result<(), No> {
        if self.accounts[from].origins.filled_base() < x {
            return Err(No::Budget(self.accounts[from].id.clone()));
        }
        self.raise(from, -x);
        self.raise(to, x);
        Ok(())
    }

    fn pass_time(&mut self, ticks: i64) {
        self.now += ticks;
        self.renew();
        self.expire();
    }

    fn move_wall(&mut self, ticks: i64) {
        self.ahead += ticks;
        self.renew();
    }

    fn renew(&mut self) {
        for i in 0..self.accounts.len() {
            self.accounts[i].origins.end(self.now + self.ahead);
            self.look(i);
            let ModelAccount { books, origins, period: Some((length, budget)), terms, granted, .. } =
                self.accounts[i].clone()
            else {
                continue;
            };
            let period = (self.now + self.ahead).div_euclid(length);
            if !granted.contains(&period) {
                let reserved = books.reserved - origins.reserved();
                self.accounts[i].origins.fill();
                let base = origins.filled_base();
                let left = (base.max(0) + reserved).min(terms.rollover);
                let most = self.accounts[i].overdraft_limit.unwrap_or(i128::MAX);
                let missing = if terms.carries { (-base).clamp(0, most) } else { 0 };
                self.accounts[i].origins.base = budget + left - reserved - missing;
                self.accounts[i].origins.begin_stretch();
                self.look(i);
                self.accounts[i].begun += 1;
                self.accounts[i].granted.push(period);
                if self.accounts[i].granted.len() > 64 {
                    self.accounts[i].granted.remove(0);
                }
            }
        }
    }

    fn expire(&mut self) {
        for r in 0..self.reservations.len() {
            let ModelReservation { deadline, stage, .. } = self.reservations[r];
            if stage == Stage::Active && deadline.is_some_and(|deadline| deadline <= self.now) {
                self.give_back(r, Stage::Expired);
            }
        }
    }

    /// The first tick from now on at which it would fit if nothing were reserved, found by trying each at which something
    /// leaves.
    fn has_left_at(&self, account: usize, x: i128) -> Option<i64> {
        let path = self.path(account);
        let charges = path.iter().flat_map(|i| &self.accounts[*i].charges);
        let departures = charges.map(|(when, _, length)| when + i64::try_from(*length).unwrap());
        let mut times: Vec<_> = departures.chain([self.now]).filter(|at| *at >= self.now).collect();
        times.sort_unstable();
        let fits = |i: usize, at: i64| {
            let mut limits = self.accounts[i].windows.iter().map(|(_, limit)| limit).enumerate();
            self.accounts[i].is_lenient || limits.all(|(w, limit)| self.spent_in(i, w, at) + x <= *limit)
        };
        times.into_iter().find(|at| x == 0 || path.iter().all(|i| fits(*i, *at)))
    }
}

// ---------------------------------------------------------------------------------------------- both together

#[derive(Clone, Debug)]
enum Step {
    Debit {
        agent: usize,
        x: i128,
        key: Option<u8>,
    },
    DebitMany {
        items: Vec<(usize, i64)>,
    },
    ReserveMany {
        items: Vec<(usize, i64)>,
        ttl: i64,
        overage: usize,
    },
    SettleMany {
        items: Vec<(usize, i64)>,
    },
    ReleaseMany {
        items: Vec<usize>,
    },
    Reserve {
        agent: usize,
        x: i128,
        ttl: i64,
        overage: usize,
        key: Option<u8>,
    },
    Settle {
        r: usize,
        x: i128,
    },
    Release {
        r: usize,
    },
    KeepAlive {
        r: usize,
    },
    Transfer {
        from: usize,
        to: usize,
        x: i128,
    },
    UpdateAgent {
        agent: usize,
        x: i128,
    },
    UpdatePool {
        pool: usize,
        x: i128,
    },
    /// Of an agent or a pool.
    Adjust {
        account: usize,
        change: i128,
    },
    /// A decision on an agent or a pool; on what later periods begin with as well, where there are any.
    Execute {
        account: usize,
        change: i128,
        later: i128,
    },
    /// Of an agent or a pool, as the next three.
    SetLimit {
        account: usize,
        limit: i128,
        length: i64,
    },
    RemoveLimit {
        account: usize,
    },
    Acquire {
        account: usize,
        x: i128,
    },
    Record {
        account: usize,
        x: i128,
    },
    PassTime {
        ticks: i64,
    },
    MoveWall {
        ticks: i64,
    },
    Suspend {
        account: usize,
        is_suspended: bool,
    },
    /// To an agent or a pool, or to all above it as well.
    Credit {
        account: usize,
        above: bool,
        x: usize,
        ticks: i64,
    },
    /// Part of a charge, or all that is left of it.
    Refund {
        c: usize,
        x: Option<i128>,
    },
    Expire,
}

/// A pool or an agent: its parent as a number below its own, its budget, its periods.
type Plan = [Vec<(usize, i128, RulesPlan)>; 2];

/// Periods, an overdraft limit, and whether it refuses nothing.
type RulesPlan = (Option<PeriodPlan>, Option<i128>, bool);

/// Ticks of a period, at most how much of what is left goes into the next, and whether what is missing does.
type PeriodPlan = (i64, i128, bool);

fn rules((plan, overdraft_limit, is_lenient): RulesPlan) -> Rules {
    let overdraft_limit = overdraft_limit.map(units);
    let enforcement = if is_lenient { Enforcement::Warn } else { Enforcement::Enforce };
    let rules = Rules { overdraft_limit, enforcement, ..Rules::default() };
    let Some((ticks, rollover, carries)) = plan else { return rules };
    let schedule = Schedule::new(Period::Every(ticks * TICK), TimeZone::UTC, Wall(0));
    let rollover = match rollover {
        0 => Rollover::Nothing,
        i128::MAX => Rollover::All,
        most => Rollover::AtMost(units(most)),
    };
    let overdraft = if carries { Overdraft::Carry } else { Overdraft::Forgive };
    Rules { periods: Some(Periods { schedule, rollover, overdraft }), ..rules }
}

#[derive(Clone, Copy, Debug)]
enum Name {
    Receipt(Receipt),
    Reservation(usize),
}

struct Twins {
    model: Model,
    ledger: Arc<Ledger>,
    clock: Arc<ManualClock>,
    recorder: Recorder,
    accounts: Vec<Arc<Account>>,
    reservations: Vec<Reservation>,
    /// How the ledger calls what was charged: batches tell no receipts.
    names: Vec<Option<Name>>,
    /// Of the last debit.
    receipt: Option<Receipt>,
    agents: usize,
}

impl Twins {
    fn new([pools, agents]: &Plan) -> Self {
        let (ledger, clock, recorder) = common::recorded_ledger(&[500_000, 900_000]);
        let model = Model { pools: pools.len(), ..Model::default() };
        let mut twins = Self {
            model,
            ledger,
            clock,
            recorder,
            accounts: vec![],
            reservations: vec![],
            names: vec![],
            receipt: None,
            agents: agents.len(),
        };
        for (i, (above, budget, period)) in pools.iter().enumerate() {
            // One in a few has no parent: there may be several trees.
            let parent = (i > 0 && above % 5 > 0).then(|| above % i);
            let (id, parent_id) = (format!("pool {i}"), parent.map(|p| format!("pool {p}")));
            let (budget, rules) = (units(*budget), rules(*period));
            let new =
                NewPool { name: None, id: &id, parent: parent_id.as_deref(), budget, priority: 5, rules };
            twins.accounts.push(twins.ledger.create_pool(new).unwrap());
            twins.add(id, parent, budget.units(), *period);
        }
        for (i, (above, budget, period)) in agents.iter().enumerate() {
            let (id, parent) = (format!("agent {i}"), above % pools.len());
            let pool = format!("pool {parent}");
            let new =
                NewAgent { id: &id, pool: &pool, priority: 5, budget: units(*budget), rules: rules(*period) };
            twins.accounts.extend(twins.ledger.register_agents(&[new]).unwrap());
            twins.add(id, Some(parent), *budget, *period);
        }
        twins
    }

    fn add(
        &mut self,
        id: String,
        parent: Option<usize>,
        budget: i128,
        (plan, overdraft_limit, is_lenient): RulesPlan,
    ) {
        let books = Balance { granted: budget, remaining: budget, ..Balance::default() };
        let period = plan.map(|(ticks, ..)| (ticks, budget));
        let (_, rollover, carries) = plan.unwrap_or((0, 0, false));
        let (terms, granted) = (PeriodTerms { rollover, carries }, vec![0]);
        let account = ModelAccount {
            id,
            parent,
            books,
            origins: Origins::new(budget),
            period,
            terms,
            granted,
            begun: 0,
            overdraft_limit,
            is_lenient,
            is_suspended: false,
            windows: vec![],
            charges: vec![],
        };
        self.model.accounts.push(account);
    }

    /// The number of an agent among all accounts.
    fn agent(&self, agent: usize) -> usize {
        self.model.pools + agent % self.agents
    }

    /// Does the step in both and returns both answers.
    fn step(&mut self, step: &Step) -> (Result<(), No>, Result<(), No>) {
        self.receipt = None;
        let answers = self.act(step);
        for c in self.names.len()..self.model.charges.len() {
            let settled = self.model.reservations.iter().position(|r| r.charge == Some(c));
            self.names.push(settled.map(Name::Reservation).or(self.receipt.map(Name::Receipt)));
        }
        answers
    }

    fn act(&mut self, step: &Step) -> (Result<(), No>, Result<(), No>) {
        match step.clone() {
            Step::Refund { c, x } => self.refund(c, x),
            Step::Debit { agent, x, key } => self.debit(self.agent(agent), x, key),
            Step::DebitMany { items } => self.debit_many(&items),
            Step::ReserveMany { items, ttl, overage } => self.reserve_many(&items, ttl, KINDS[overage % 3]),
            Step::SettleMany { items } => self.settle_many(&items),
            Step::ReleaseMany { items } => self.release_many(&items),
            Step::Reserve { agent, x, ttl, overage, key } => {
                self.reserve(self.agent(agent), x, ttl, KINDS[overage % 3], key)
            }
            Step::Settle { r, x } => {
                self.on(r, |m, r| m.settle(r, x), |l, r| l.settle(r, units(x)).map(drop))
            }
            Step::Release { r } => self.on(r, Model::release, Ledger::release),
            Step::KeepAlive { r } => self.on(r, Model::keep_alive, Ledger::keep_alive),
            Step::Transfer { from, to, x } => self.transfer(self.agent(from), self.agent(to), x),
            Step::UpdateAgent { agent, x } => {
                let i = self.agent(agent);
                self.model.begin(i, x);
                self.ledger.update_budget(self.accounts[i].id(), units(x)).unwrap();
                (Ok(()), Ok(()))
            }
            Step::UpdatePool { pool, x } => {
                let i = pool % self.model.pools;
                self.model.begin(i, x);
                self.ledger.update_pool_budget(self.accounts[i].id(), units(x)).unwrap();
                (Ok(()), Ok(()))
            }
            Step::Adjust { account, change } => (Ok(()), self.adjust(account % self.accounts.len(), change)),
            Step::Credit { account, above, x, ticks } => {
                let i = account % self.accounts.len();
                let (id, at) = (self.accounts[i].id(), Wall(self.clock.wall().0 + ticks * TICK));
                let credit = if above { Ledger::credit_line } else { Ledger::credit };
                let made = credit(&self.ledger, id, units(x as i128), at).unwrap();
                self.model.credit(i, above, made.id.0, x, ticks);
                (Ok(()), Ok(()))
            }
            Step::Execute { account, change, later } => {
                (Ok(()), self.execute(account % self.accounts.len(), change, later))
            }
            windows_and_time => self.step_windows_and_time(&windows_and_time),
        }
    }

    fn step_windows_and_time(&mut self, step: &Step) -> (Result<(), No>, Result<(), No>) {
        match *step {
            Step::SetLimit { account, limit, length } => {
                let i = account % self.accounts.len();
                let windows = &mut self.model.accounts[i].windows;
                windows.retain(|(before, _)| *before != length);
                windows.push((length, limit));
                let id = self.accounts[i].id();
                self.ledger.set_rate_limit(id, units(limit), length * TICK, Precision::Exact).unwrap();
            }
            Step::RemoveLimit { account } => {
                let i = account % self.accounts.len();
                let account = &mut self.model.accounts[i];
                account.charges.clear();
                let removed = std::mem::take(&mut account.windows).len();
                assert_eq!(self.ledger.remove_rate_limit(self.accounts[i].id(), None).unwrap(), removed);
            }
            Step::Acquire { account, x } => {
                let i = account % self.accounts.len();
                let fits = self.model.fits_windows(i, x);
                if fits {
                    self.model.charge_windows(i, x);
                }
                let answer = self.ledger.acquire(self.accounts[i].id(), units(x));
                return (fits.then_some(()).ok_or(No::Window), answer.map_err(No::from));
            }
            Step::Record { account, x } => {
                let i = account % self.accounts.len();
                self.model.charge_windows(i, x);
                self.ledger.record_usage(self.accounts[i].id(), units(x), NONE).unwrap();
            }
            Step::PassTime { ticks } => {
                self.model.pass_time(ticks);
                self.clock.advance(Duration::from_nanos((ticks * TICK).unsigned_abs()));
            }
            Step::Suspend { account, is_suspended } => {
                let i = account % self.accounts.len();
                self.model.accounts[i].is_suspended = is_suspended;
                let why = Why { actor: "model", reason: "to see" };
                self.ledger.suspend(self.accounts[i].id(), is_suspended, why).unwrap();
            }
            Step::MoveWall { ticks } => {
                self.model.move_wall(ticks);
                self.clock.set_wall(Wall(self.clock.wall().0 + ticks * TICK));
            }
            _ => drop(self.ledger.expire()),
        }
        (Ok(()), Ok(()))
    }

    fn debit(&mut self, i: usize, x: i128, key: Option<u8>) -> (Result<(), No>, Result<(), No>) {
        let payload = Payload { agent: i, amount: x, terms: None };
        let expected = match self.model.once(key, &payload) {
            Ok(Some(Remembered::Debit(charge))) => Ok(charge),
            Ok(Some(Remembered::Reservation(_))) => unreachable!("another payload"),
            Ok(None) => self.model.debit(i, x),
            Err(no) => Err(no),
        };
        if let (Some(key), Ok(charge)) = (key, &expected) {
            self.model.keys.insert(key, (payload, Remembered::Debit(*charge)));
        }
        let agent = &self.accounts[i];
        let answer = match key {
            Some(key) => {
                self.ledger.debit_keyed(agent, &units(x), NONE, &key.to_string()).map(|once| once.value)
            }
            None => common::debit(&self.ledger, agent.id(), units(x)),
        };
        self.receipt = answer.as_ref().ok().copied();
        (expected.map(drop), answer.map(drop_receipt).map_err(No::from))
    }

    fn refund(&mut self, c: usize, x: Option<i128>) -> (Result<(), No>, Result<(), No>) {
        let c = c % self.names.len().max(1);
        let Some(Some(name)) = self.names.get(c).copied() else { return (Ok(()), Ok(())) };
        let of = match &name {
            Name::Receipt(receipt) => ChargeId::Receipt(receipt),
            Name::Reservation(r) => ChargeId::Reservation(self.reservations[*r].id()),
        };
        let answer = self.ledger.refund(of, x.map(units));
        let expected = self.model.refund(c, x);
        if let Ok(refund) = &answer {
            assert_eq!(refund.refunded.units(), self.model.charges[c].refunded);
        }
        (expected, answer.map(drop).map_err(No::from))
    }

    fn debit_many(&mut self, items: &[(usize, i64)]) -> (Result<(), No>, Result<(), No>) {
        let agents: Vec<_> = items.iter().map(|(agent, _)| self.agent(*agent)).collect();
        let amounts: Vec<_> = items.iter().map(|(_, x)| *x).collect();
        let handles: Vec<_> = agents.iter().map(|i| self.handle(*i)).collect();
        let expected: Vec<_> =
            agents.iter().zip(&amounts).map(|(i, x)| self.model.debit(*i, (*x).into()).is_ok()).collect();
        assert_eq!(self.ledger.debit_many(&handles, &amounts, NONE).unwrap(), expected);
        (Ok(()), Ok(()))
    }

    fn reserve_many(
        &mut self,
        items: &[(usize, i64)],
        ttl: i64,
        overage: Overage,
    ) -> (Result<(), No>, Result<(), No>) {
        let agents: Vec<_> = items.iter().map(|(agent, _)| self.agent(*agent)).collect();
        let amounts: Vec<_> = items.iter().map(|(_, x)| *x).collect();
        let handles: Vec<_> = agents.iter().map(|i| self.handle(*i)).collect();
        let expected: Vec<_> = agents
            .iter()
            .zip(&amounts)
            .map(|(i, x)| self.model.reserve(*i, (*x).into(), ttl, overage).is_ok())
            .collect();
        let terms = Request { what: (), ttl_nanos: ttl * TICK, overage, operation: NONE };
        let numbers = self.ledger.reserve_many_while(&handles, &amounts, terms, || true).unwrap();
        assert_eq!(numbers.iter().map(|number| *number > 0).collect::<Vec<_>>(), expected);
        for (i, number) in agents.into_iter().zip(numbers).filter(|(_, number)| *number > 0) {
            let active = self.ledger.reservations(&self.accounts[i]).unwrap().into_iter();
            let mut money = active.filter_map(AnyReservation::money);
            let made = money.find(|reservation| reservation.number() == number);
            self.reservations.push(made.expect("nothing has expired since"));
        }
        self.model.expire();
        (Ok(()), Ok(()))
    }

    /// The reservations of these numbers, as batches name them; and 0 and one that was never made, which stand for none.
    fn named(&self, rs: &[usize]) -> (Vec<u32>, Vec<u64>) {
        let named = rs.iter().map(|r| {
            let reservation = &self.reservations[*r];
            (self.ledger.handle(reservation.agent().id()).unwrap(), reservation.number())
        });
        let agent = self.handle(self.model.pools);
        named.chain([(agent, 0), (agent, 1_000_000)]).unzip()
    }

    fn settle_many(&mut self, items: &[(usize, i64)]) -> (Result<(), No>, Result<(), No>) {
        if self.reservations.is_empty() {
            return (Ok(()), Ok(()));
        }
        let rs: Vec<_> = items.iter().map(|(r, _)| r % self.reservations.len()).collect();
        let (handles, numbers) = self.named(&rs);
        let settled = |(r, (_, x)): (&usize, &(_, i64))| self.model.settle(*r, (*x).into()).is_ok();
        let mut expected: Vec<_> = rs.iter().zip(items).map(settled).collect();
        expected.extend([false, false]);
        let amounts: Vec<_> = items.iter().map(|(_, x)| *x).chain([1, 1]).collect();
        let answer = self.ledger.settle_many_while(&handles, &numbers, &amounts, || true).unwrap();
        assert_eq!(answer, expected);
        (Ok(()), Ok(()))
    }

    fn release_many(&mut self, items: &[usize]) -> (Result<(), No>, Result<(), No>) {
        if self.reservations.is_empty() {
            return (Ok(()), Ok(()));
        }
        let rs: Vec<_> = items.iter().map(|r| r % self.reservations.len()).collect();
        let (handles, numbers) = self.named(&rs);
        let mut expected: Vec<_> = rs.iter().map(|r| self.model.release(*r).is_ok()).collect();
        expected.extend([false, false]);
        assert_eq!(self.ledger.release_many_while(&handles, &numbers, || true).unwrap(), expected);
        (Ok(()), Ok(()))
    }

    fn handle(&self, i: usize) -> u32 {
        self.ledger.handle(self.accounts[i].id()).unwrap()
    }

    fn reserve(
        &mut self,
        i: usize,
        x: i128,
        ttl: i64,
        overage: Overage,
        key: Option<u8>,
    ) -> (Result<(), No>, Result<(), No>) {
        let payload = Payload { agent: i, amount: x, terms: Some((ttl, overage)) };
        let known = self.model.once(key, &payload);
        let expected = match known {
            Ok(Some(Remembered::Reservation(r))) => Ok(r),
            Ok(Some(Remembered::Debit(_))) => unreachable!("another payload"),
            Ok(None) => self.model.reserve(i, x, ttl, overage),
            Err(no) => Err(no),
        };
        if let (Some(key), Ok(r)) = (key, &expected) {
            self.model.keys.insert(key, (payload, Remembered::Reservation(*r)));
        }
        let request = Request { what: units(x), ttl_nanos: ttl * TICK, overage, operation: NONE };
        let answer = match key {
            Some(key) => {
                let once = self.ledger.reserve_keyed(&self.accounts[i], &request, &key.to_string());
                once.map(|once| once.value)
            }
            None => self.ledger.reserve(&self.accounts[i], &request),
        };
        if let (Ok(r), Ok(reservation)) = (&expected, &answer) {
            if *r == self.reservations.len() {
                self.reservations.push(reservation.clone());
            } else {
                assert_eq!(self.reservations[*r], *reservation, "the same key, the same reservation");
            }
        }
        // One whose time is over when it begins.
        self.model.expire();
        (expected.map(|_| ()), answer.map(|_| ()).map_err(No::from))
    }

    fn on(
        &mut self,
        r: usize,
        model: impl FnOnce(&mut Model, usize) -> Result<(), No>,
        ledger: impl FnOnce(&Ledger, &Reservation) -> Result<(), LedgerError>,
    ) -> (Result<(), No>, Result<(), No>) {
        if self.reservations.is_empty() {
            return (Ok(()), Ok(()));
        }
        let r = r % self.reservations.len();
        (model(&mut self.model, r), ledger(&self.ledger, &self.reservations[r]).map_err(No::from))
    }

    fn transfer(&mut self, from: usize, to: usize, x: i128) -> (Result<(), No>, Result<(), No>) {
        if from == to {
            return (Ok(()), Ok(()));
        }
        let expected = self.model.transfer(from, to, x);
        let answer = self.ledger.transfer(self.accounts[from].id(), self.accounts[to].id(), units(x));
        (expected, answer.map_err(No::from))
    }

    /// Compares the change that was made as well.
    fn adjust(&mut self, i: usize, change: i128) -> Result<(), No> {
        let expected = self.model.adjust(i, change);
        let is_pool = i < self.model.pools;
        let adjust = if is_pool { Ledger::adjust_pool_budget } else { Ledger::adjust_budget };
        assert_eq!(adjust(&self.ledger, self.accounts[i].id(), change)?, expected);
        Ok(())
    }

    /// As `adjust`, of a decision.
    fn execute(&mut self, i: usize, by: i128, later: i128) -> Result<(), No> {
        let later_periods = if self.model.accounts[i].period.is_some() { later } else { 0 };
        let expected = self.model.execute(i, by, later_periods);
        let kind = if i < self.model.pools { Kind::Pool } else { Kind::Agent };
        let order = Order::Adjust { by, later_periods };
        let execution =
            Execution { kind, account: self.accounts[i].id(), order, actor: "model", reason: "to see" };
        let moved = self.ledger.execute(&execution)?;
        assert_eq!((moved.by, moved.later_periods), expected);
        Ok(())
    }

    /// Compares everything that can be seen.
    fn compare(&self) -> Result<(), TestCaseError> {
        for (account, expected) in self.accounts.iter().zip(&self.model.accounts) {
            let books = self.ledger.snapshot(account).unwrap().balance;
            prop_assert_eq!(books, expected.books, "{}", expected.id);
            let line = |credit: &Credit| {
                let Credit { id, left, reserved, spent, gone, .. } = *credit;
                (id.0, left, reserved, spent, gone)
            };
            let mut credits: Vec<_> = self.ledger.credits(account).unwrap().iter().map(line).collect();
            credits.sort_unstable();
            prop_assert_eq!(credits, expected.origins.lines(), "{}", expected.id);
        }
        for (reservation, expected) in self.reservations.iter().zip(&self.model.reservations) {
            let stage = match self.ledger.reservation_state(reservation).unwrap() {
                ReservationState::Active => Stage::Active,
                ReservationState::Expired => Stage::Expired,
                ReservationState::Released => Stage::Released,
                ReservationState::Settled => {
                    let receipt = self.ledger.settlement(reservation).unwrap();
                    Stage::Settled(receipt.amount.units() + receipt.unpaid.units())
                }
            };
            prop_assert_eq!(stage, expected.stage);
        }
        for i in 0..self.accounts.len() {
            self.compare_windows(i)?;
        }
        for i in self.model.pools..self.accounts.len() {
            let available = |i: &usize| match &self.model.accounts[*i] {
                ModelAccount { is_suspended: true, is_lenient: false, books, .. } => books.remaining.min(0),
                ModelAccount { is_suspended: true, .. } => 0,
                ModelAccount { is_lenient: true, .. } => Amount::MAX.units(),
                ModelAccount { books, .. } => books.remaining,
            };
            let least = self.model.path(i).iter().map(available).min();
            prop_assert_eq!(Some(self.ledger.available(&self.accounts[i]).unwrap()), least);
        }
        prop_assert_eq!(self.ledger.verify(), []);
        Ok(())
    }

    fn compare_windows(&self, i: usize) -> Result<(), TestCaseError> {
        let (id, model) = (self.accounts[i].id(), &self.model);
        for x in [0, 1, 4, 15] {
            let fits = self.ledger.check_rate_limit(id, units(x)).is_ok();
            prop_assert_eq!(fits, model.fits_windows(i, x), "{} in {:?}", x, model.accounts[i]);
            let after = self.ledger.retry_after(id, Some(units(x))).unwrap();
            let expected = model.has_left_at(i, x).map(|at| (at - model.now) * TICK);
            prop_assert_eq!(after, expected, "{} in {:?}", x, model.accounts[i]);
        }
        let told: Vec<_> = self.ledger.windows(id).unwrap();
        let told: Vec<_> = told.iter().map(|w| (w.length, w.limit.units(), w.spent, w.reserved)).collect();
        let windows = model.accounts[i].windows.iter().enumerate();
        let mut expected: Vec<_> = windows
            .map(|(w, (length, limit))| {
                (length * TICK, *limit, model.spent_in(i, w, model.now), model.reserved_in(i))
            })
            .collect();
        expected.sort_unstable();
        prop_assert_eq!(told, expected);
        Ok(())
    }
}

fn drop_receipt<T>(_: T) {}

// ---------------------------------------------------------------------------------------------- random steps

fn plan() -> impl Strategy<Value = Plan> {
    let most = || prop_oneof![Just(0), Just(i128::MAX), 1..40_i128];
    let period = move || {
        let some = (5..20_i64, most(), any::<bool>()).prop_map(Some);
        let limit = prop_oneof![8 => Just(None), 1 => (0..20_i128).prop_map(Some)];
        (prop_oneof![8 => Just(None), 1 => some], limit, prop::bool::weighted(0.1))
    };
    let pools = prop::collection::vec((0..100_usize, 0..60_i128, period()), 1..6);
    let agents = prop::collection::vec((0..100_usize, 0..30_i128, period()), 1..5);
    (pools, agents).prop_map(|(pools, agents)| [pools, agents])
}

fn step() -> impl Strategy<Value = Step> {
    let agent = || 0..4_usize;
    let x = || 0..12_i128;
    let key = || prop_oneof![4 => Just(None), 1 => (0..6_u8).prop_map(Some)];
    let r = || 0..100_usize;
    prop_oneof![
        6 => (agent(), x(), key()).prop_map(|(agent, x, key)| Step::Debit { agent, x, key }),
        1 => prop::collection::vec((agent(), 0..9_i64), 0..6).prop_map(|items| Step::DebitMany { items }),
        1 => (prop::collection::vec((agent(), 0..9_i64), 0..12), 1..12_i64, 0..3_usize)
            .prop_map(|(items, ttl, overage)| Step::ReserveMany { items, ttl, overage }),
        1 => prop::collection::vec((r(), 0..12_i64), 0..12).prop_map(|items| Step::SettleMany { items }),
        1 => prop::collection::vec(r(), 0..6).prop_map(|items| Step::ReleaseMany { items }),
        6 => (agent(), x(), 0..12_i64, 0..3_usize, key())
            .prop_map(|(agent, x, ttl, overage, key)| Step::Reserve { agent, x, ttl, overage, key }),
        5 => (r(), x()).prop_map(|(r, x)| Step::Settle { r, x }),
        2 => r().prop_map(|r| Step::Release { r }),
        1 => r().prop_map(|r| Step::KeepAlive { r }),
        2 => (agent(), agent(), x()).prop_map(|(from, to, x)| Step::Transfer { from, to, x }),
        2 => (agent(), 0..30_i128).prop_map(|(agent, x)| Step::UpdateAgent { agent, x }),
        1 => (0..5_usize, 0..60_i128).prop_map(|(pool, x)| Step::UpdatePool { pool, x }),
        2 => (0..9_usize, -30..30_i128).prop_map(|(account, change)| Step::Adjust { account, change }),
        2 => (0..9_usize, -30..30_i128, -30..30_i128)
            .prop_map(|(account, change, later)| Step::Execute { account, change, later }),
        2 => (0..9_usize, 0..40_i128, 2..9_i64)
            .prop_map(|(account, limit, length)| Step::SetLimit { account, limit, length }),
        1 => (0..9_usize).prop_map(|account| Step::RemoveLimit { account }),
        1 => (0..9_usize, x()).prop_map(|(account, x)| Step::Acquire { account, x }),
        1 => (0..9_usize, x()).prop_map(|(account, x)| Step::Record { account, x }),
        4 => (1..8_i64).prop_map(|ticks| Step::PassTime { ticks }),
        1 => (-40..40_i64).prop_map(|ticks| Step::MoveWall { ticks }),
        1 => (0..9_usize, prop::bool::weighted(0.3))
            .prop_map(|(account, is_suspended)| Step::Suspend { account, is_suspended }),
        4 => (0..9_usize, any::<bool>(), 1..12_usize, 1..20_i64)
            .prop_map(|(account, above, x, ticks)| Step::Credit { account, above, x, ticks }),
        3 => (r(), prop_oneof![Just(None), (0..8_i128).prop_map(Some)])
            .prop_map(|(c, x)| Step::Refund { c, x }),
        1 => Just(Step::Expire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_does_what_the_model_does(
        plan in plan(),
        steps in prop::collection::vec((step(), prop::bool::weighted(0.4)), 1..80),
        has_credits in any::<bool>(),
    ) {
        let mut twins = Twins::new(&plan);
        let has_periods = plan.iter().flatten().any(|(_, _, (period, ..))| period.is_some());
        for (step, look) in &steps {
            if !has_credits && matches!(step, Step::Credit { .. }) {
                continue;
            }
            let (expected, answer) = twins.step(step);
            prop_assert_eq!(answer, expected, "{:?}", step);
            // A renewal and an expiry that both wait to be seen may be seen in either order; so may the end of a credit.
            if *look || has_periods || has_credits {
                twins.compare()?;
            }
        }
        twins.compare()?;
        twins.recorder.assert_replays(&twins.ledger);
    }
}

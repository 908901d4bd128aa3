//! Real agents of a running program choose among resources: the same strategies, one agent at a time.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::FixedState;

use parking_lot::{Mutex, MutexGuard};

use super::board::Board;
use super::capacity::MAX_CAPACITY;
use super::draws::Draws;
use super::strategy::{NONE, Population, Setup, Strategy, put};
use super::{AllocationError, check_range};

/// Agents are spread over this many locks.
const SHARDS: usize = 16;

/// Bytes of an agent besides its name and what its strategy keeps: the entry of the name's map (with the
/// slack of a table that doubles), the step of the last choice and its outcome.
const BYTES_PER_ENTRY: usize = 2 * (16 + 8 + 1) + 4 + 1;

/// A choice among resources for agents known by name. Thread-safe: an agent's calls take one lock of sixteen,
/// `advance` takes all.
pub struct Selector {
    max_agents: usize,
    agents: AtomicUsize,
    bytes_per_agent: usize,
    hasher: FixedState,
    public: Mutex<Public>,
    shards: Vec<Mutex<Shard>>,
}

/// What all agents share.
struct Public {
    board: Board,
    /// Capacities observed so far.
    capacities: Vec<Option<f64>>,
}

/// Some of the agents.
struct Shard {
    slots: HashMap<Box<str>, u32, FixedState>,
    free: Vec<u32>,
    population: Box<dyn Population>,
    choices: Vec<u16>,
    /// For each agent, the step of its last choice (0: none) and what became of it.
    chosen_at: Vec<u32>,
    outcomes: Vec<Option<bool>>,
    /// The step that is open, its choices so far, and where somebody met an overload.
    step: u32,
    loads: Vec<i64>,
    overloaded: Vec<bool>,
    /// Scratch: the outcome of one agent in the form that populations read.
    verdict: Vec<bool>,
}

impl Selector {
    /// Makes a selector for at most `max_agents` agents.
    pub fn new(
        strategy: &Strategy,
        resources: usize,
        max_agents: usize,
        seed: u64,
    ) -> Result<Self, AllocationError> {
        super::Capacities::new(vec![1.0; resources], resources)?;
        strategy.check(resources)?;
        #[expect(clippy::cast_precision_loss, reason = "compared with a range")]
        check_range("max_agents", "from 1 to 4,294,967,295", max_agents as f64, 1.0, 4_294_967_295.0)?;
        if matches!(strategy, Strategy::Custom(_) | Strategy::Mixed(_)) {
            return Err(AllocationError::Unsupported(
                "strategy: custom and mixed strategies run in simulations; a selector takes one of the package",
            ));
        }
        if matches!(strategy, Strategy::Galstyan(_) | Strategy::PreviousCapacity) {
            return Err(AllocationError::Unsupported(
                "strategy: this one must know all agents from the start, and a selector meets them one by one",
            ));
        }
        let shard = |n| Mutex::new(Shard::new(strategy, resources, Draws::new(seed, n)));
        let selector = Self {
            max_agents,
            agents: AtomicUsize::new(0),
            bytes_per_agent: BYTES_PER_ENTRY + strategy.bytes_per_agent(resources),
            hasher: FixedState::default(),
            public: Mutex::new(Public { board: Board::new(resources), capacities: vec![None; resources] }),
            shards: (0..SHARDS as u64).map(shard).collect(),
        };
        selector.advance();
        Ok(selector)
    }

    /// The agent's resource in this step: chosen at its first call, the same at any further one. An agent not
    /// seen before is admitted.
    pub fn choose(&self, agent: &str) -> Result<u16, AllocationError> {
        let mut shard = self.shard(agent);
        let slot = if let Some(&slot) = shard.slots.get(agent) {
            slot as usize
        } else {
            self.count_one_more()?;
            shard.admit(agent)
        };
        Ok(shard.choose(slot))
    }

    /// Tells an agent what became of its last choice. Several reports for one choice add up to the worst.
    /// `false`: the agent has not chosen this resource last, so nothing was noted. `None`: no such agent.
    pub fn report(&self, agent: &str, resource: u16, overloaded: bool) -> Option<bool> {
        let mut shard = self.shard(agent);
        let slot = *shard.slots.get(agent)? as usize;
        Some(shard.report(slot, resource, overloaded))
    }

    /// Sets the capacity that is known of a resource, from this step on.
    pub fn observe_capacity(&self, resource: usize, capacity: f64) -> Result<(), AllocationError> {
        check_range("capacity", "a number from 0 to 2**53", capacity, 0.0, MAX_CAPACITY)?;
        let mut public = self.public.lock();
        match public.capacities.get_mut(resource) {
            Some(known) => *known = Some(capacity),
            None => return Err(AllocationError::UnknownResource(resource)),
        }
        public.publish();
        // The paper's agents see the capacities of the first two steps while they choose; later ones after.
        if public.board.step() <= 2 {
            self.shards.iter().for_each(|shard| shard.lock().replan(&public.board));
        }
        Ok(())
    }

    /// Ends the step: loads and overloads become known, and every agent may choose anew. Returns the loads.
    pub fn advance(&self) -> Vec<i64> {
        let mut public = self.public.lock();
        let mut shards: Vec<_> = self.shards.iter().map(Mutex::lock).collect();
        let resources = public.capacities.len();
        let (mut loads, mut overloaded) = (vec![0; resources], vec![false; resources]);
        for shard in &mut shards {
            shard.close(&mut loads, &mut overloaded);
        }
        public.board.close(&loads, &overloaded);
        public.board.begin();
        public.publish();
        for shard in &mut shards {
            shard.replan(&public.board);
        }
        loads
    }

    /// Forgets an agent; its place is given to the next new one. Whether there was such an agent.
    pub fn forget(&self, agent: &str) -> bool {
        let mut shard = self.shard(agent);
        let Some(slot) = shard.slots.remove(agent) else {
            return false;
        };
        shard.free.push(slot);
        self.agents.fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// Agents known.
    pub fn agents(&self) -> usize {
        self.agents.load(Ordering::Relaxed)
    }

    /// The step that is open, from 1.
    pub fn step(&self) -> u32 {
        self.public.lock().board.step()
    }

    /// Most bytes that an agent takes, without its name.
    pub const fn bytes_per_agent(&self) -> usize {
        self.bytes_per_agent
    }

    fn count_one_more(&self) -> Result<(), AllocationError> {
        let more = |n: usize| (n < self.max_agents).then_some(n + 1);
        match self.agents.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => Err(AllocationError::Full(self.max_agents)),
        }
    }

    fn shard(&self, agent: &str) -> MutexGuard<'_, Shard> {
        // High bits: the maps inside of the shards use the low ones.
        let hash = (self.hasher.hash_one(agent) >> 48) as usize;
        self.shards[hash % SHARDS].lock()
    }
}

impl Public {
    /// Shows what is known. A resource never observed counts as an average one.
    fn publish(&mut self) {
        let known = self.capacities.iter().flatten();
        let (n, sum) = known.fold((0u32, 0.0), |(n, sum), c| (n + 1, sum + c));
        let average = if sum > 0.0 { sum / f64::from(n) } else { 1.0 };
        // All at zero says nothing about where to go.
        let nothing = sum <= 0.0;
        let shown = |c: &Option<f64>| {
            if nothing { average } else { c.unwrap_or(average) }
        };
        self.board.publish(self.capacities.iter().map(shown));
    }
}

impl Shard {
    fn new(strategy: &Strategy, resources: usize, draws: Draws) -> Self {
        let setup =
            Setup { agents: 0, resources, task_steps: 1, draws, initial_attitudes: None, cohorts: &[] };
        Self {
            slots: HashMap::with_hasher(FixedState::default()),
            free: Vec::new(),
            population: strategy.populate(&setup),
            choices: Vec::new(),
            chosen_at: Vec::new(),
            outcomes: Vec::new(),
            step: 0,
            loads: vec![0; resources],
            overloaded: vec![false; resources],
            verdict: vec![false; resources],
        }
    }

    fn admit(&mut self, agent: &str) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "max_agents fits 32 bits")]
        let slot = self.free.pop().unwrap_or(self.choices.len() as u32);
        self.slots.insert(agent.into(), slot);
        let slot = slot as usize;
        self.population.admit(slot);
        put(&mut self.choices, slot, NONE);
        put(&mut self.chosen_at, slot, 0);
        put(&mut self.outcomes, slot, None);
        slot
    }

    fn choose(&mut self, slot: usize) -> u16 {
        if self.chosen_at[slot] == self.step {
            return self.choices[slot];
        }
        let outcome = self.outcomes[slot].take();
        let verdict = outcome.map(|overloaded| {
            self.verdict[usize::from(self.choices[slot])] = overloaded;
            &self.verdict[..]
        });
        self.population.choose(slot..slot + 1, verdict, &mut self.choices, &mut self.loads);
        self.chosen_at[slot] = self.step;
        self.choices[slot]
    }

    fn report(&mut self, slot: usize, resource: u16, overloaded: bool) -> bool {
        if self.choices[slot] != resource || resource == NONE {
            return false;
        }
        self.outcomes[slot] = Some(overloaded || self.outcomes[slot] == Some(true));
        // A late report is news to the agent, but says nothing about the step that is open.
        self.overloaded[usize::from(resource)] |= overloaded && self.chosen_at[slot] == self.step;
        true
    }

    fn close(&mut self, loads: &mut [i64], overloaded: &mut [bool]) {
        for r in 0..self.loads.len() {
            loads[r] += std::mem::take(&mut self.loads[r]);
            overloaded[r] |= std::mem::take(&mut self.overloaded[r]);
        }
    }

    fn replan(&mut self, board: &Board) {
        self.step = board.step();
        self.population.plan(board, &self.choices);
    }
}

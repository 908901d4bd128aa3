//! The accounts that an operation moves: an agent and all above it, or several such lines at once.

#![expect(clippy::inline_always, reason = "the hot path, where the compiler counts instructions otherwise")]

use std::collections::HashMap;
use std::sync::Arc;

use super::Ledger;
use super::account::{Account, Kind};
use super::change::{Change, Number};
use super::error::LedgerError;
use super::state::State;
use super::waiting::Asks;
use crate::clock::Wall;
use crate::sync::{Mutex, MutexGuard};
use foldhash::quality::RandomState;

/// The line of an agent, or a set of lines that are charged together.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    /// Whose operation it is.
    pub(super) agent: &'a Arc<Account>,
    /// Every account, where they are more than the agent's own line.
    pub(super) joint: Option<&'a Arc<Joint>>,
}

/// Several lines of accounts that are charged at once, each account once.
#[derive(Debug)]
pub struct Joint {
    pub(super) number: Number,
    /// What changes name its accounts by: agents first, then pools.
    pub(super) numbers: Arc<[Number]>,
    /// By slot, the order of their locks.
    pub(super) agents: Box<[Arc<Account>]>,
    /// Deepest first, the order of their locks.
    pub(super) pools: Box<[Arc<Account>]>,
    /// How many accounts of the set stand right below each of the pools.
    pub(super) children: Box<[u8]>,
}

/// Accounts that one operation may move, at most.
pub const MAX_PATH: usize = 255;

/// Sets of accounts that are remembered before those that nobody holds are forgotten.
const MAX_JOINTS: usize = 65_536;

/// What is still to be passed of a path, from some pool upwards.
#[derive(Clone, Copy)]
pub(super) enum Rest<'a> {
    Above(Option<&'a Arc<Account>>),
    Listed(&'a [Arc<Account>]),
}

impl<'a> Rest<'a> {
    /// The next account, and what comes after it.
    #[inline]
    pub(super) fn split(self) -> Option<(&'a Arc<Account>, Self)> {
        match self {
            Self::Above(account) => account.map(|account| (account, Self::Above(account.parent.as_ref()))),
            Self::Listed(accounts) => accounts.split_first().map(|(first, rest)| (first, Self::Listed(rest))),
        }
    }
}

impl<'a> From<&'a Arc<Account>> for Path<'a> {
    fn from(agent: &'a Arc<Account>) -> Self {
        Self::of(agent)
    }
}

impl<'a> Path<'a> {
    /// An agent, and what is charged beside it.
    #[must_use]
    pub const fn with(agent: &'a Arc<Account>, joint: Option<&'a Arc<Joint>>) -> Self {
        Self { agent, joint }
    }

    /// An agent and all above it.
    #[must_use]
    pub const fn of(agent: &'a Arc<Account>) -> Self {
        Self { agent, joint: None }
    }

    /// The number that changes name it by.
    pub(super) fn number(self) -> Number {
        self.joint.map_or(self.agent.number, |joint| joint.number)
    }

    #[inline]
    pub(super) fn pools(self) -> Rest<'a> {
        match self.joint {
            None => Rest::Above(self.agent.parent.as_ref()),
            Some(joint) => Rest::Listed(&joint.pools),
        }
    }

    /// Locks every agent of the path.
    #[inline(always)]
    pub(super) fn lock(self) -> Agents<'a> {
        match self.joint {
            None => Agents::new(self.agent, self.agent.lock()),
            Some(joint) => self.lock_joint(joint),
        }
    }

    #[cold]
    fn lock_joint(self, joint: &'a Joint) -> Agents<'a> {
        let mut own = None;
        let mut others = Vec::new();
        for account in &joint.agents {
            let state = account.lock();
            if Arc::ptr_eq(account, self.agent) {
                own = Some(state);
            } else {
                others.push((account, state));
            }
        }
        // A joint path holds the agent that it was made for; locking it last here is out of order for nobody.
        let state = own.unwrap_or_else(|| self.agent.lock());
        Agents { others, ..Agents::new(self.agent, state) }
    }
}

/// The agents of a path, locked.
pub(super) struct Agents<'a> {
    pub(super) agent: &'a Arc<Account>,
    pub(super) state: MutexGuard<'a, State>,
    /// Those that are charged beside it.
    pub(super) others: Vec<(&'a Arc<Account>, MutexGuard<'a, State>)>,
    /// Who asks.
    pub(super) asks: Asks,
    /// Periods that had begun when they were charged, with every lock of the path held: a pool may begin one as soon as it
    /// is let go.
    pub(super) era: Option<u64>,
}

impl<'a> Agents<'a> {
    /// An agent alone.
    #[inline(always)]
    pub(super) const fn new(agent: &'a Arc<Account>, state: MutexGuard<'a, State>) -> Self {
        Self { agent, state, others: Vec::new(), asks: Asks::Once, era: None }
    }

    /// The same, for somebody who asks in another way.
    #[inline(always)]
    pub(super) fn asking(self, asks: Asks) -> Self {
        Self { asks, ..self }
    }

    /// Grants the agents what is due.
    #[inline(always)]
    pub(super) fn renew(&mut self, ledger: &Ledger, now: Wall) {
        self.agent.renew_if_due(&mut self.state, ledger, now);
        for (agent, state) in &mut self.others {
            agent.renew_if_due(state, ledger, now);
        }
    }

    /// Refuses if one of them is no longer registered.
    #[inline(always)]
    pub(super) fn check_open(&self) -> Result<(), LedgerError> {
        self.state.check_open(self.agent)?;
        self.others.iter().try_for_each(|(agent, state)| state.check_open(agent))
    }
}

/// The sets of accounts that were charged together, by their members.
#[derive(Debug, Default)]
pub(super) struct Joints(Mutex<HashMap<Arc<[Number]>, Arc<Joint>, RandomState>>);

impl Ledger {
    /// The path of an agent and of all that is charged beside it: agents or pools by id, each with every account
    /// above it. `None` if that adds nothing to the agent's own line.
    pub fn joint(&self, agent: &Arc<Account>, also: &[&str]) -> Result<Option<Arc<Joint>>, LedgerError> {
        let beside: Vec<_> =
            also.iter().map(|id| self.account_of_either_kind(id)).collect::<Result<_, _>>()?;
        self.joint_beside(agent, &beside)
    }

    /// The same, of accounts that were found.
    pub(super) fn joint_beside(
        &self,
        agent: &Arc<Account>,
        beside: &[Arc<Account>],
    ) -> Result<Option<Arc<Joint>>, LedgerError> {
        let mut accounts = line(agent).cloned().collect::<Vec<_>>();
        let own = accounts.len();
        accounts.extend(beside.iter().flat_map(line).cloned());
        accounts.sort_unstable_by_key(|account| account.lock_order());
        accounts.dedup_by_key(|account| account.number);
        if accounts.len() == own {
            return Ok(None);
        }
        if accounts.len() > MAX_PATH {
            let text =
                format!("also= brings {} accounts: at most {MAX_PATH} are charged at once", accounts.len());
            return Err(LedgerError::Configuration(text));
        }
        self.joints.find_or_name(accounts, self).map(Some)
    }

    fn account_of_either_kind(&self, id: &str) -> Result<Arc<Account>, LedgerError> {
        match (self.directory.agent(id), self.directory.pool(id)) {
            (Some(_), Ok(_)) => Err(LedgerError::Configuration(format!(
                "also={id:?} is the id of an agent and of a pool: give one of them another id"
            ))),
            (Some(agent), Err(_)) => Ok(agent),
            (None, Ok(pool)) => Ok(pool),
            (None, Err(_)) => Err(LedgerError::UnknownAlso(id.into())),
        }
    }
}

impl Ledger {
    /// A pool or an agent by its id; the pool where both have it.
    pub fn account_by_id(&self, id: &str) -> Result<Arc<Account>, LedgerError> {
        let pool = self.directory.pool(id).ok();
        pool.or_else(|| self.directory.agent(id)).ok_or_else(|| LedgerError::UnknownAccount(id.into()))
    }
}

/// An account and all above it.
pub(super) fn line(account: &Arc<Account>) -> impl Iterator<Item = &Arc<Account>> {
    std::iter::successors(Some(account), |account| account.parent.as_ref())
}

impl Joints {
    fn find_or_name(&self, accounts: Vec<Arc<Account>>, ledger: &Ledger) -> Result<Arc<Joint>, LedgerError> {
        let numbers: Arc<[Number]> = accounts.iter().map(|account| account.number).collect();
        let mut joints = self.0.lock();
        if let Some(joint) = joints.get_mut(&*numbers) {
            // Somebody may have found accounts just before they moved, and named the set just after.
            if !joint.is_of(&accounts) {
                *joint = Arc::new(Joint::new(joint.number, numbers, accounts));
            }
            return Ok(Arc::clone(joint));
        }
        if joints.len() >= MAX_JOINTS {
            joints.retain(|_, joint| Arc::strong_count(joint) > 1);
        }
        let path = ledger.directory.next_number()?;
        ledger.write(|| (ledger.instant(), Change::PathNamed { path, accounts: Arc::clone(&numbers) }))?;
        let joint = Arc::new(Joint::new(path, numbers, accounts));
        joints.insert(Arc::clone(&joint.numbers), Arc::clone(&joint));
        Ok(joint)
    }

    /// A set by its number, unless it is forgotten.
    pub(super) fn find(&self, number: Number) -> Option<Arc<Joint>> {
        self.0.lock().values().find(|joint| joint.number == number).cloned()
    }

    /// Lets sets name these accounts instead of those that they take the place of.
    pub(super) fn follow(&self, accounts: &[Arc<Account>]) {
        for joint in self.0.lock().values_mut() {
            if accounts.iter().any(|account| joint.numbers.contains(&account.number)) {
                *joint = Arc::new(joint.with(accounts));
            }
        }
    }

    /// Keeps a set that was named before.
    pub(super) fn keep(&self, joint: &Arc<Joint>) {
        self.0.lock().insert(Arc::clone(&joint.numbers), Arc::clone(joint));
    }
}

impl Joint {
    /// The same set, of which some accounts have moved.
    pub(super) fn with(&self, moved: &[Arc<Account>]) -> Self {
        let now = |account: &Arc<Account>| {
            let found = moved.iter().find(|made| made.number == account.number);
            Arc::clone(found.unwrap_or(account))
        };
        let mut accounts: Vec<_> = self.agents.iter().chain(&self.pools).map(now).collect();
        accounts.sort_unstable_by_key(|account| account.lock_order());
        Self::new(self.number, Arc::clone(&self.numbers), accounts)
    }

    fn is_of(&self, accounts: &[Arc<Account>]) -> bool {
        let own = self.agents.iter().chain(&self.pools);
        own.zip(accounts).all(|(own, account)| Arc::ptr_eq(own, account))
    }

    /// `accounts` in the order of the locks.
    pub(super) fn new(number: Number, numbers: Arc<[Number]>, accounts: Vec<Arc<Account>>) -> Self {
        let below = |pool: &Arc<Account>| {
            let is_child = |account: &&Arc<Account>| {
                account.parent.as_ref().is_some_and(|parent| Arc::ptr_eq(parent, pool))
            };
            u8::try_from(accounts.iter().filter(is_child).count()).unwrap_or(u8::MAX)
        };
        let children = accounts.iter().filter(|account| account.kind() == Kind::Pool).map(below).collect();
        let (agents, pools): (Vec<_>, Vec<_>) =
            accounts.into_iter().partition(|account| account.kind() == Kind::Agent);
        Self { number, numbers, agents: agents.into(), pools: pools.into(), children }
    }
}

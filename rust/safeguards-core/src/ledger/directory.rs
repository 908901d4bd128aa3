//! From ids and handles to accounts.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::quality::RandomState;
use papaya::HashMap;
use parking_lot::{RwLock, RwLockReadGuard};
use smol_str::SmolStr;

use super::account::{Account, Kind};
use super::change::Number;
use super::error::LedgerError;

/// Short ids stand in the table itself: comparing one looks at no other memory.
type ById = HashMap<SmolStr, Arc<Account>, RandomState>;

/// Bits of a handle that number the slot; the rest count how often the slot was used.
const SLOT_BITS: u32 = 24;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
/// One less than can be numbered: the highest handle names nobody, see [`NO_HANDLE`](super::account::NO_HANDLE).
const MAX_SLOTS: usize = (1 << SLOT_BITS) - 1;

/// Every account that is registered. Readers of ids take no lock.
#[derive(Debug)]
pub(super) struct Directory {
    agents: ById,
    pools: ById,
    slots: RwLock<Slots>,
    /// The last number that was given to an account or a path.
    numbers: AtomicU32,
}

/// Agents by slot. A slot is used again after its agent has left, and retired after its 256th use, so that an
/// old handle never names another agent.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Slot {
    uses: u8,
    account: Option<Arc<Account>>,
}

/// Where a new agent is put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its position among those that were asked for.
    pub(super) index: usize,
    pub(super) number: Number,
    pub(super) handle: u32,
}

impl Slots {
    /// The agent of a handle.
    #[inline]
    pub(super) fn get(&self, handle: u32) -> Result<&Arc<Account>, LedgerError> {
        let (uses, index) = (handle >> SLOT_BITS, handle & SLOT_MASK);
        let slot = self.slots.get(index as usize).filter(|slot| u32::from(slot.uses) == uses);
        match slot.and_then(|slot| slot.account.as_ref()) {
            Some(agent) => Ok(agent),
            None => Err(LedgerError::UnknownHandle(handle)),
        }
    }

    /// Slots that were ever used.
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// How often each slot was used, and which are free, in the order in which they are used again.
    pub(super) fn uses(&self) -> (Vec<u8>, &[u32]) {
        (self.slots.iter().map(|slot| slot.uses).collect(), &self.free)
    }

    /// The handles that the next agents get: slots that were used before first.
    fn next(&self) -> impl Iterator<Item = u32> {
        let used =
            self.free.iter().rev().map(|slot| u32::from(self.slots[*slot as usize].uses) << SLOT_BITS | slot);
        let new = u32::try_from(self.slots.len()).unwrap_or(u32::MAX)..;
        used.chain(new)
    }

    fn take(&mut self, account: &Arc<Account>) {
        let slot = account.slot() as usize;
        if slot == self.slots.len() {
            self.slots.push(Slot::default());
        } else {
            self.free.pop();
        }
        self.slots[slot].account = Some(Arc::clone(account));
    }

    fn check_room(&self, new: usize) -> Result<(), LedgerError> {
        if self.slots.len() - self.free.len() + new <= MAX_SLOTS {
            return Ok(());
        }
        Err(LedgerError::Configuration(format!(
            "{MAX_SLOTS} agents are registered and no more fit: unregister some first"
        )))
    }

    /// The agent in a slot.
    pub(super) fn agent(&self, slot: u32) -> Option<&Arc<Account>> {
        self.slots.get(slot as usize)?.account.as_ref()
    }

    /// All agents, in the order in which their locks are taken.
    pub(super) fn agents(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.slots.iter().filter_map(|slot| slot.account.as_ref())
    }
}

/// The right to change who stands where: nobody makes or registers an account meanwhile.
pub(super) struct Registry<'a>(parking_lot::RwLockWriteGuard<'a, Slots>);

impl Registry<'_> {
    /// An account and all below it, in the order of their locks.
    pub(super) fn subtree(&self, top: &Arc<Account>, directory: &Directory) -> Vec<Arc<Account>> {
        let (mut found, mut next) = (vec![Arc::clone(top)], 0);
        while let Some(account) = found.get(next) {
            let state = account.lock();
            let (agents, pools): (Vec<_>, Vec<_>) = state
                .pool()
                .map(|pool| (pool.agents.iter().copied().collect(), pool.pools.clone()))
                .unwrap_or_default();
            drop(state);
            found.extend(agents.into_iter().filter_map(|slot| self.0.agent(slot).cloned()));
            found.extend(pools.iter().filter_map(|id| directory.pool(id).ok()));
            next += 1;
        }
        found.sort_unstable_by_key(|account| account.lock_order());
        found
    }

    /// Lets ids and handles name these accounts instead of those that they take the place of.
    pub(super) fn replace(&mut self, accounts: &[Arc<Account>], directory: &Directory) {
        for account in accounts {
            let id = SmolStr::from(Arc::clone(&account.id));
            if account.kind() == Kind::Pool {
                directory.pools.pin().insert(id, Arc::clone(account));
            } else {
                self.0.slots[account.slot() as usize].account = Some(Arc::clone(account));
                directory.agents.pin().insert(id, Arc::clone(account));
            }
        }
    }
}

impl Directory {
    /// Waits for the right to change who stands where.
    pub(super) fn registry(&self) -> Registry<'_> {
        Registry(self.slots.write())
    }

    pub(super) fn new() -> Self {
        let (agents, pools) = (ById::default(), ById::default());
        Self { agents, pools, slots: RwLock::default(), numbers: AtomicU32::new(0) }
    }

    /// Calls `use_it` with the agent, without counting a reference.
    #[inline]
    pub(super) fn with_agent<R>(
        &self,
        id: &str,
        mut use_it: impl FnMut(&Arc<Account>) -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        match self.agents.pin().get(id) {
            Some(account) => match use_it(account) {
                Err(LedgerError::UnknownAgent(id)) => match self.moved(account) {
                    Some(moved) => use_it(&moved),
                    None => Err(LedgerError::UnknownAgent(id)),
                },
                outcome => outcome,
            },
            None => Err(LedgerError::UnknownAgent(id.into())),
        }
    }

    /// Calls `use_it` with the account of this id and kind; the agent where both have the id and no kind is named.
    #[inline]
    pub(super) fn with_account<R>(
        &self,
        id: &str,
        kind: Option<Kind>,
        mut use_it: impl FnMut(&Arc<Account>) -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        if kind != Some(Kind::Pool)
            && let Some(agent) = self.agents.pin().get(id)
        {
            return match use_it(agent) {
                Err(LedgerError::UnknownAgent(id)) => match self.moved(agent) {
                    Some(moved) => use_it(&moved),
                    None => Err(LedgerError::UnknownAgent(id)),
                },
                outcome => outcome,
            };
        }
        if kind != Some(Kind::Agent)
            && let Some(pool) = self.pools.pin().get(id)
        {
            return match use_it(pool) {
                Err(LedgerError::UnknownAgent(_)) => match self.pool(id)? {
                    moved if !Arc::ptr_eq(&moved, pool) => use_it(&moved),
                    _ => Err(LedgerError::UnknownPool(id.into())),
                },
                outcome => outcome,
            };
        }
        Err(match kind {
            Some(Kind::Agent) => LedgerError::UnknownAgent(id.into()),
            Some(Kind::Pool) => LedgerError::UnknownPool(id.into()),
            None => LedgerError::UnknownAccount(id.into()),
        })
    }

    /// What has taken the place of an agent that has moved.
    #[cold]
    pub(super) fn moved(&self, agent: &Arc<Account>) -> Option<Arc<Account>> {
        self.current(agent).filter(|current| !Arc::ptr_eq(current, agent))
    }

    /// An account as it stands now, unless it is closed. One that moves is waited for.
    pub(super) fn current(&self, account: &Account) -> Option<Arc<Account>> {
        let slots = self.slots.read();
        match account.kind() {
            Kind::Agent => slots.get(account.handle).ok().cloned(),
            Kind::Pool => self.pool(&account.id).ok().filter(|pool| pool.number == account.number),
        }
    }

    pub(super) fn pool(&self, id: &str) -> Result<Arc<Account>, LedgerError> {
        let pool = self.pools.pin().get(id).cloned();
        pool.ok_or_else(|| LedgerError::UnknownPool(id.into()))
    }

    pub(super) fn has_pool(&self, id: &str) -> bool {
        self.pools.pin().contains_key(id)
    }

    pub(super) fn pools(&self) -> Vec<Arc<Account>> {
        self.pools.pin().values().cloned().collect()
    }

    pub(super) fn slots(&self) -> RwLockReadGuard<'_, Slots> {
        self.slots.read()
    }

    /// The agent of an id, if there is one.
    pub(super) fn agent(&self, id: &str) -> Option<Arc<Account>> {
        self.agents.pin().get(id).cloned()
    }

    /// A number that no account and no path has had.
    pub(super) fn next_number(&self) -> Result<Number, LedgerError> {
        let last =
            self.numbers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| last.checked_add(1));
        last.map(|last| Number(last + 1)).map_err(|last| {
            LedgerError::Configuration(format!(
                "{last} accounts and sets of accounts were made: no more can be told apart"
            ))
        })
    }

    /// The next number is beyond this one, which a replay has given.
    pub(super) fn skip_to(&self, number: Number) {
        self.numbers.fetch_max(number.0, Ordering::Relaxed);
    }

    /// Makes a pool known, while nobody else can make or register an account; or gives the one of this id to
    /// `existing`.
    pub(super) fn add_pool(
        &self,
        id: &str,
        existing: impl FnOnce(Arc<Account>) -> Result<Arc<Account>, LedgerError>,
        make: impl FnOnce(Number) -> Result<Arc<Account>, LedgerError>,
    ) -> Result<Arc<Account>, LedgerError> {
        let _registry = self.slots.write();
        if let Ok(pool) = self.pool(id) {
            return existing(pool);
        }
        let pool = make(self.next_number()?)?;
        self.pools.pin().insert(Arc::clone(&pool.id).into(), Arc::clone(&pool));
        Ok(pool)
    }

    /// Makes agents known, each at a place of its own, while nobody else can make or register an account. Those whose
    /// id is taken are given to `existing`; an id must not come twice.
    pub(super) fn add_agents(
        &self,
        ids: &[&str],
        existing: impl Fn(usize, &Account) -> Result<(), LedgerError>,
        make: impl FnOnce(&[Place]) -> Result<Vec<Arc<Account>>, LedgerError>,
    ) -> Result<Vec<Arc<Account>>, LedgerError> {
        let mut slots = self.slots.write();
        let new = self.check_ids(ids, existing)?;
        slots.check_room(new.len())?;
        let handles: Vec<_> = slots.next().take(new.len()).collect();
        let places = new
            .into_iter()
            .zip(handles)
            .map(|(index, handle)| Ok(Place { index, number: self.next_number()?, handle }));
        let places: Vec<_> = places.collect::<Result<_, LedgerError>>()?;
        let new = if places.is_empty() { Vec::new() } else { make(&places)? };
        let agents = self.agents.pin();
        for account in &new {
            slots.take(account);
            agents.insert(Arc::clone(&account.id).into(), Arc::clone(account));
        }
        let find =
            |id: &&str| agents.get(*id).cloned().ok_or_else(|| LedgerError::UnknownAgent((*id).into()));
        ids.iter().map(find).collect()
    }

    /// Positions of the ids that are free.
    fn check_ids(
        &self,
        ids: &[&str],
        existing: impl Fn(usize, &Account) -> Result<(), LedgerError>,
    ) -> Result<Vec<usize>, LedgerError> {
        let agents = self.agents.pin();
        let mut seen = HashSet::with_capacity_and_hasher(ids.len(), RandomState::default());
        let mut new = Vec::with_capacity(ids.len());
        for (index, id) in ids.iter().enumerate() {
            if !seen.insert(*id) {
                return Err(LedgerError::Configuration(format!("agent {id:?} comes twice: name it once")));
            }
            match agents.get(*id) {
                Some(agent) => existing(index, agent)?,
                None => new.push(index),
            }
        }
        Ok(new)
    }

    /// Forgets an agent if `close` agrees, while nobody can register one.
    pub(super) fn remove_agent(
        &self,
        id: &str,
        close: impl FnOnce(&Arc<Account>) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let mut slots = self.slots.write();
        let agents = self.agents.pin();
        let account = agents.get(id).cloned().ok_or_else(|| LedgerError::UnknownAgent(id.into()))?;
        close(&account)?;
        let slot = &mut slots.slots[account.slot() as usize];
        slot.account = None;
        if let Some(uses) = slot.uses.checked_add(1) {
            slot.uses = uses;
            slots.free.push(account.slot());
        }
        agents.remove(id);
        Ok(())
    }

    /// Removes a pool that `close` has closed, while nobody else can make or register an account.
    pub(super) fn remove_pool(
        &self,
        id: &str,
        close: impl FnOnce(&Arc<Account>) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let _registry = self.slots.write();
        close(&self.pool(id)?)?;
        self.pools.pin().remove(id);
        Ok(())
    }

    /// The handle of an agent, valid until it is unregistered.
    pub(super) fn handle(&self, account: &Account) -> Result<u32, LedgerError> {
        let slots = self.slots.read();
        let is_in_it = |slot: &&Slot| {
            slot.account.as_ref().is_some_and(|inside| std::ptr::eq(&raw const **inside, account))
        };
        match slots.slots.get(account.slot() as usize).filter(is_in_it) {
            Some(_) => Ok(account.handle),
            None => Err(LedgerError::UnknownAgent(Arc::clone(&account.id))),
        }
    }
}

/// The slot that a handle names.
pub(super) const fn slot_of(handle: u32) -> u32 {
    handle & SLOT_MASK
}

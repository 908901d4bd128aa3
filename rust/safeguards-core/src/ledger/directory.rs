//! From ids and handles to accounts.

use std::sync::Arc;

use foldhash::quality::RandomState;
use papaya::HashMap;
use parking_lot::{RwLock, RwLockReadGuard};

use super::account::{Account, Kind};
use super::error::LedgerError;

type ById = HashMap<Arc<str>, Arc<Account>, RandomState>;

/// Bits of a handle that number the slot; the rest count how often the slot was used.
const SLOT_BITS: u32 = 24;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const MAX_SLOTS: usize = 1 << SLOT_BITS;

/// Every account that is registered. Readers of ids take no lock.
#[derive(Debug)]
pub(super) struct Directory {
    agents: ById,
    pools: ById,
    slots: RwLock<Slots>,
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

    /// The agent in a slot.
    pub(super) fn agent(&self, slot: u32) -> Option<&Arc<Account>> {
        self.slots.get(slot as usize)?.account.as_ref()
    }

    /// All agents, in the order in which their locks are taken.
    pub(super) fn agents(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.slots.iter().filter_map(|slot| slot.account.as_ref())
    }
}

impl Directory {
    pub(super) fn new() -> Self {
        Self { agents: ById::default(), pools: ById::default(), slots: RwLock::default() }
    }

    /// Calls `use_it` with the agent, without counting a reference.
    #[inline]
    pub(super) fn with_agent<R>(
        &self,
        id: &str,
        use_it: impl FnOnce(&Arc<Account>) -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        match self.agents.pin().get(id) {
            Some(account) => use_it(account),
            None => Err(LedgerError::UnknownAgent(id.into())),
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

    /// Makes a pool known. Fails if there is one of this id.
    pub(super) fn add_pool(&self, pool: &Arc<Account>) -> Result<(), LedgerError> {
        match self.pools.pin().try_insert(Arc::clone(&pool.id), Arc::clone(pool)) {
            Ok(_) => Ok(()),
            Err(_) => Err(LedgerError::Configuration(format!(
                "pool {:?} exists already: choose another pool_id",
                pool.id
            ))),
        }
    }

    /// Makes an agent known in a slot of its own. Fails if there is one of this id.
    pub(super) fn add_agent(
        &self,
        id: &str,
        make: impl FnOnce(Arc<str>, u32) -> Account,
    ) -> Result<Arc<Account>, LedgerError> {
        let mut slots = self.slots.write();
        if self.agents.pin().contains_key(id) {
            return Err(LedgerError::Configuration(format!(
                "agent {id:?} is registered already: choose another id, or unregister it first"
            )));
        }
        let slot = slots.free.last().copied().unwrap_or(u32::try_from(slots.slots.len()).unwrap_or(u32::MAX));
        if slot as usize >= MAX_SLOTS {
            return Err(LedgerError::Configuration(format!(
                "{MAX_SLOTS} agents are registered and no more fit: unregister some first"
            )));
        }
        let account = Arc::new(make(id.into(), slot));
        slots.free.pop();
        if slot as usize == slots.slots.len() {
            slots.slots.push(Slot::default());
        }
        slots.slots[slot as usize].account = Some(Arc::clone(&account));
        self.agents.pin().insert(Arc::clone(&account.id), Arc::clone(&account));
        Ok(account)
    }

    /// Forgets an agent if `close` agrees, while nobody can register one. Returns it.
    pub(super) fn remove_agent(
        &self,
        id: &str,
        close: impl FnOnce(&Arc<Account>) -> Result<(), LedgerError>,
    ) -> Result<Arc<Account>, LedgerError> {
        let mut slots = self.slots.write();
        let agents = self.agents.pin();
        let account = agents.get(id).cloned().ok_or_else(|| LedgerError::UnknownAgent(id.into()))?;
        close(&account)?;
        let slot = &mut slots.slots[account.slot as usize];
        slot.account = None;
        if let Some(uses) = slot.uses.checked_add(1) {
            slot.uses = uses;
            slots.free.push(account.slot);
        }
        agents.remove(id);
        Ok(account)
    }

    /// The handle of an agent, valid until it is unregistered.
    pub(super) fn handle(&self, account: &Account) -> Result<u32, LedgerError> {
        let slots = self.slots.read();
        let slot = &slots.slots[account.slot as usize];
        let is_in_it = slot.account.as_ref().is_some_and(|inside| std::ptr::eq(&raw const **inside, account));
        if !is_in_it || account.kind == Kind::Pool {
            return Err(LedgerError::UnknownAgent(Arc::clone(&account.id)));
        }
        Ok(u32::from(slot.uses) << SLOT_BITS | account.slot)
    }
}

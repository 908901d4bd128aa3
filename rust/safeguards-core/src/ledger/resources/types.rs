//! Names of resource types, interned once to a number, and the capacities that are set for some.

use std::sync::Arc;

use foldhash::quality::RandomState;
use papaya::{HashMap, HashMapRef, LocalGuard};
use parking_lot::RwLock;

use super::Capacity;
use crate::ledger::Ledger;
use crate::ledger::change::Change;
use crate::ledger::error::LedgerError;
use crate::sync::{Mutex, MutexGuard};

/// An interned resource type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(u16);

/// Resource types of a ledger, at most.
pub const MAX_RESOURCES: usize = 1_024;

/// Every resource type that a budget or a capacity was set for. Readers of ids take no lock.
#[derive(Debug)]
pub(in crate::ledger) struct ResourceTypes {
    ids: HashMap<Arc<str>, ResourceId, RandomState>,
    names: RwLock<Vec<Arc<str>>>,
    capacities: Mutex<Capacities>,
}

/// Finds resource types by name, several in a row.
#[derive(Debug)]
pub struct ResourceNames<'a>(HashMapRef<'a, Arc<str>, ResourceId, RandomState, LocalGuard<'a>>);

impl ResourceNames<'_> {
    /// The type of this name, if a budget or a capacity was ever set for it.
    #[inline]
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ResourceId> {
        self.0.get(name).copied()
    }
}

/// By number. Whoever gives an agent a budget holds the lock, so that no capacity is set meanwhile.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Capacities(Vec<Option<Arc<Capacity>>>);

impl Capacities {
    pub(super) fn get(&self, id: ResourceId) -> Option<&Arc<Capacity>> {
        self.0.get(usize::from(id.0))?.as_ref()
    }

    pub(super) fn set(&mut self, id: ResourceId, capacity: Option<Arc<Capacity>>) {
        let place = usize::from(id.0);
        self.0.resize_with(self.0.len().max(place + 1), || None);
        self.0[place] = capacity;
    }

    /// Every capacity in words, for comparing two ledgers.
    pub(in crate::ledger) fn lines(&self) -> Vec<String> {
        self.iter()
            .map(|(_, capacity)| format!("capacity {:?} {:?}", capacity.name, *capacity.lock()))
            .collect()
    }

    pub(in crate::ledger) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ResourceId, &Arc<Capacity>)> {
        (0..).map(ResourceId).zip(&self.0).filter_map(|(id, capacity)| Some((id, capacity.as_ref()?)))
    }
}

impl ResourceTypes {
    pub(in crate::ledger) fn new() -> Self {
        Self {
            ids: HashMap::default(),
            names: RwLock::default(),
            capacities: Mutex::new(Capacities::default()),
        }
    }

    /// Every name, by number.
    pub(in crate::ledger) fn all(&self) -> Vec<Arc<str>> {
        self.names.read().clone()
    }

    pub(in crate::ledger) fn capacities(&self) -> MutexGuard<'_, Capacities> {
        self.capacities.lock()
    }

    #[inline]
    pub(super) fn names(&self) -> ResourceNames<'_> {
        ResourceNames(self.ids.pin())
    }

    pub(in crate::ledger) fn id(&self, name: &str) -> Option<ResourceId> {
        self.ids.pin().get(name).copied()
    }

    pub(super) fn name(&self, id: ResourceId) -> Arc<str> {
        Arc::clone(&self.names.read()[usize::from(id.0)])
    }

    /// The number of a name, which becomes known by it.
    pub(super) fn intern(&self, name: &str, ledger: &Ledger) -> Result<ResourceId, LedgerError> {
        self.id(name).map_or_else(|| self.add(name, ledger), Ok)
    }

    /// Refuses names of which not all can become known. To be asked with the capacities locked: nobody else adds
    /// any meanwhile.
    pub(super) fn check_room<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<(), LedgerError> {
        let room = MAX_RESOURCES - self.names.read().len();
        names.filter(|name| self.id(name).is_none()).nth(room).map_or(Ok(()), |name| Err(no_room(name)))
    }

    pub(in crate::ledger) fn add(&self, name: &str, ledger: &Ledger) -> Result<ResourceId, LedgerError> {
        let mut names = self.names.write();
        if let Some(id) = self.id(name) {
            return Ok(id);
        }
        let Some(id) = u16::try_from(names.len()).ok().filter(|_| names.len() < MAX_RESOURCES) else {
            return Err(no_room(name));
        };
        let (id, name): (_, Arc<str>) = (ResourceId(id), name.into());
        ledger
            .write(|| (ledger.instant(), Change::ResourceNamed { resource: id, name: Arc::clone(&name) }))?;
        names.push(Arc::clone(&name));
        self.ids.pin().insert(name, id);
        Ok(id)
    }
}

#[cold]
fn no_room(name: &str) -> LedgerError {
    LedgerError::Configuration(format!(
        "{MAX_RESOURCES} resource types are known and {name:?} is one more: name kinds of resources, not single ones"
    ))
}

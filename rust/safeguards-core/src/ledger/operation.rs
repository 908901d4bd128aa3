//! Names of operation types, interned once to a number of two bytes.

use std::sync::Arc;

use papaya::HashMap;
use parking_lot::RwLock;

use super::Ledger;
use super::change::Change;

/// An interned operation type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OperationId(pub(super) u16);

impl OperationId {
    /// No operation type was given.
    pub const NONE: Self = Self(0);
    /// One of the types that came after the first [`MAX_OPERATIONS`].
    pub const OTHER: Self = Self(1);
}

/// Operation types that keep their own name. Later ones are recorded as `"(other)"`: a name that is made anew
/// for each call must not fill the memory, nor be a reason to refuse a debit.
pub const MAX_OPERATIONS: usize = 4_096;

#[derive(Debug)]
pub(super) struct Operations {
    ids: HashMap<Arc<str>, OperationId, foldhash::quality::RandomState>,
    names: RwLock<Vec<Arc<str>>>,
}

impl Operations {
    pub(super) fn new() -> Self {
        let names = vec!["".into(), "(other)".into()];
        Self { ids: HashMap::default(), names: RwLock::new(names) }
    }

    #[inline]
    pub(super) fn intern(&self, name: &str, ledger: &Ledger) -> OperationId {
        self.ids.pin().get(name).copied().unwrap_or_else(|| self.add(name, ledger))
    }

    #[cold]
    pub(super) fn add(&self, name: &str, ledger: &Ledger) -> OperationId {
        let mut names = self.names.write();
        let ids = self.ids.pin();
        if let Some(id) = ids.get(name) {
            return *id;
        }
        let Some(id) = u16::try_from(names.len()).ok().filter(|_| names.len() < MAX_OPERATIONS + 2) else {
            return OperationId::OTHER;
        };
        let (operation, name): (_, Arc<str>) = (OperationId(id), name.into());
        let change = || (ledger.instant(), Change::OperationNamed { operation, name: Arc::clone(&name) });
        if ledger.write(change).is_err() {
            // Where nothing can be written, what the name is for is refused anyway.
            return OperationId::OTHER;
        }
        names.push(Arc::clone(&name));
        ids.insert(name, operation);
        operation
    }

    /// Every name, by number.
    pub(super) fn all(&self) -> Vec<Arc<str>> {
        self.names.read().clone()
    }

    /// The name, or `None` if no type was given.
    pub(super) fn name(&self, id: OperationId) -> Option<Arc<str>> {
        (id != OperationId::NONE).then(|| Arc::clone(&self.names.read()[usize::from(id.0)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::ledger::HistoryLimits;

    #[test]
    fn endless_names_share_one() {
        let ledger = Ledger::new(Clock::System, HistoryLimits::default(), Vec::new());
        let ids: Vec<_> = (0..MAX_OPERATIONS + 9).map(|i| ledger.operation(&i.to_string())).collect();
        assert_eq!(ledger.operation_name(ids[0]).as_deref(), Some("0"));
        assert_eq!(ledger.operation_name(ids[MAX_OPERATIONS - 1]).as_deref(), Some("4095"));
        assert!(ids[MAX_OPERATIONS..].iter().all(|id| *id == OperationId::OTHER));
        assert_eq!(ledger.operation("0"), ids[0]);
        assert_eq!(ledger.operation_name(OperationId::NONE), None);
    }
}

//! Names of operation types, interned once to a number of two bytes.

use std::sync::Arc;

use papaya::HashMap;
use parking_lot::RwLock;

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
    pub(super) fn intern(&self, name: &str) -> OperationId {
        self.ids.pin().get(name).copied().unwrap_or_else(|| self.add(name))
    }

    #[cold]
    fn add(&self, name: &str) -> OperationId {
        let mut names = self.names.write();
        let ids = self.ids.pin();
        if let Some(id) = ids.get(name) {
            return *id;
        }
        let Some(id) = u16::try_from(names.len()).ok().filter(|_| names.len() < MAX_OPERATIONS + 2) else {
            return OperationId::OTHER;
        };
        let name: Arc<str> = name.into();
        names.push(Arc::clone(&name));
        ids.insert(name, OperationId(id));
        OperationId(id)
    }

    /// The name, or `None` if no type was given.
    pub(super) fn name(&self, id: OperationId) -> Option<Arc<str>> {
        (id != OperationId::NONE).then(|| Arc::clone(&self.names.read()[usize::from(id.0)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_names_share_one() {
        let operations = Operations::new();
        let ids: Vec<_> = (0..MAX_OPERATIONS + 9).map(|i| operations.intern(&i.to_string())).collect();
        assert_eq!(operations.name(ids[0]).as_deref(), Some("0"));
        assert_eq!(operations.name(ids[MAX_OPERATIONS - 1]).as_deref(), Some("4095"));
        assert!(ids[MAX_OPERATIONS..].iter().all(|id| *id == OperationId::OTHER));
        assert_eq!(operations.intern("0"), ids[0]);
        assert_eq!(operations.name(OperationId::NONE), None);
    }
}

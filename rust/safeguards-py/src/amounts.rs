//! Amounts of several resources: a mapping in Python, a bundle in the core.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{Account, Bundle, Ledger, LedgerError};
use smallvec::SmallVec;

use crate::amount::{charge, grant, to_decimal};
use crate::arguments::{quoted, read_text};

/// Amounts by resource type. The names belong to the items that they were read from.
pub(crate) struct Amounts<'a>(SmallVec<[(&'a str, Amount); 4]>);

impl<'a> Amounts<'a> {
    /// What is granted: rounded down.
    pub(crate) fn granted(items: &'a Items<'_>, argument: &str) -> PyResult<Self> {
        let mut amounts = SmallVec::new();
        for (name, given) in items {
            let amount = grant(given, argument).or_else(|_| grant(given, &place(argument, name)))?;
            amounts.push((read_text(name.as_any(), argument)?, amount));
        }
        Ok(Self(amounts))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, Amount)> {
        self.0.iter().copied()
    }
}

/// Resource types and what is said of each.
#[inline]
pub(crate) fn by_resource<'py>(value: &Bound<'py, PyAny>, argument: &str) -> PyResult<Items<'py>> {
    items(value, argument, "resource types to amounts")
}

/// A bundle as Python gave it. The hot path fills it where it stands, since it is too large to be passed around.
#[derive(Default)]
pub(crate) struct Given<'a> {
    bundle: Bundle,
    /// The first name that is no resource type.
    unknown: Option<&'a str>,
}

impl<'a> Given<'a> {
    /// Reads what is charged or set aside: rounded up.
    #[inline]
    pub(crate) fn charge(&mut self, ledger: &Ledger, items: &'a Items<'_>, argument: &str) -> PyResult<()> {
        let names = ledger.resource_names();
        for (name, given) in items {
            // The place is put into words only for the error.
            let amount = charge(given, argument).or_else(|_| charge(given, &place(argument, name)))?;
            let name = read_text(name.as_any(), argument)?;
            match names.find(name) {
                Some(resource) => self.bundle.set(resource, amount),
                None => self.unknown = self.unknown.or(Some(name)),
            }
        }
        Ok(())
    }

    /// The bundle, if every name is a resource type.
    #[inline]
    pub(crate) fn bundle(&self, ledger: &Ledger, agent: &Account) -> Result<&Bundle, LedgerError> {
        self.unknown.map_or(Ok(&self.bundle), |name| Err(ledger.unknown_resource(agent, name)))
    }
}

/// `amounts["gpu"]`
#[cold]
pub(crate) fn place(argument: &str, key: &Bound<'_, PyString>) -> String {
    format!("{argument}[{}]", quoted(&key.to_string_lossy()))
}

pub(crate) type Items<'py> = SmallVec<[(Bound<'py, PyString>, Bound<'py, PyAny>); 4]>;

/// Keys and values of a mapping from text. All of them first: reading a value may run code that changes a dict.
#[inline]
pub(crate) fn items<'py>(value: &Bound<'py, PyAny>, argument: &str, maps: &str) -> PyResult<Items<'py>> {
    let Ok(dict) = value.cast::<PyDict>() else { return mapping_items(value, argument, maps) };
    // Nothing below runs code of others. But an interpreter without a lock, which has no abi3, lets other threads
    // change the dict between two items; a copy is made in one step.
    let copy;
    let dict = if cfg!(feature = "abi3") {
        dict
    } else {
        copy = dict.copy()?;
        &copy
    };
    dict.iter().map(|(key, value)| Ok((text(key, argument)?, value))).collect()
}

#[cold]
fn mapping_items<'py>(value: &Bound<'py, PyAny>, argument: &str, maps: &str) -> PyResult<Items<'py>> {
    let Ok(mapping) = value.cast::<PyMapping>() else {
        let got = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{argument} must map {maps}, not be a {got}")));
    };
    let pairs = mapping.items()?.into_iter();
    pairs.map(|pair| pair.extract().and_then(|(key, value)| Ok((text(key, argument)?, value)))).collect()
}

#[inline]
fn text<'py>(key: Bound<'py, PyAny>, argument: &str) -> PyResult<Bound<'py, PyString>> {
    key.cast_into::<PyString>().map_err(|error| {
        let key = error.into_inner();
        let name = key.get_type().name().map_or_else(|_| "this".into(), |name| name.to_string());
        PyTypeError::new_err(format!("keys of {argument} must be text, not {name}"))
    })
}

/// Units by name of the resource type, as a dict of `Decimal`s.
pub(crate) fn to_dict(
    py: Python<'_>,
    amounts: impl IntoIterator<Item = (impl AsRef<str>, i128)>,
) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (name, units) in amounts {
        dict.set_item(name.as_ref(), to_decimal(py, units)?)?;
    }
    Ok(dict)
}

/// A bundle as a dict.
pub(crate) fn bundle_to_dict<'py>(
    py: Python<'py>,
    ledger: &Ledger,
    bundle: &Bundle,
) -> PyResult<Bound<'py, PyDict>> {
    to_dict(py, bundle.iter().map(|(resource, amount)| (ledger.resource_name(resource), amount.units())))
}

//! What a debit of several resources has done. Its amounts become `Decimal`s when somebody looks.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use safeguards_core::amount::Units;
use safeguards_core::ledger::{Ledger, Once, ResourceReceipt};

use crate::amounts::to_dict;
use crate::ledger::Books;

/// What a debit or a settlement of resources has done. Amounts become `Decimal`s when somebody looks.
///
/// Equal to another with the same values; hashable.
///
/// Example:
///     >>> receipt = multi_resource.debit("bot", {"calls": 1, "seconds": "2.5"})
///     >>> receipt.amounts
///     {'calls': Decimal('1'), 'seconds': Decimal('2.5')}
///     >>> receipt.remaining["seconds"], receipt.sequences["seconds"]
///     (Decimal('7.5'), 2)
#[pyclass(frozen, module = "safeguards._native", name = "ResourceReceipt")]
pub(crate) struct PyResourceReceipt {
    books: Arc<Books>,
    receipt: ResourceReceipt,
    is_repeat: bool,
}

impl PyResourceReceipt {
    pub(crate) fn new(books: &Arc<Books>, done: Once<ResourceReceipt>) -> Self {
        Self { books: Arc::clone(books), receipt: done.value, is_repeat: done.is_repeat }
    }
}

/// `{cpu: 1, gpu: 0.5}`, for people.
pub(crate) fn in_words(ledger: &Ledger, receipt: &ResourceReceipt) -> String {
    let lines = receipt.lines.iter();
    let words = lines.map(|line| format!("{}: {}", ledger.resource_name(line.resource), line.amount));
    format!("{{{}}}", words.collect::<Vec<_>>().join(", "))
}

#[pymethods]
impl PyResourceReceipt {
    /// What was charged, by resource type. A settlement names what was reserved or charged.
    #[getter]
    fn amounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let ledger = &self.books.ledger;
        let lines = self.receipt.lines.iter();
        to_dict(py, lines.map(|line| (ledger.resource_name(line.resource), line.amount.units())))
    }

    /// What the agent had left right after it, of each of these resources.
    #[getter]
    fn remaining<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let ledger = &self.books.ledger;
        let lines = self.receipt.lines.iter();
        to_dict(py, lines.map(|line| (ledger.resource_name(line.resource), line.remaining)))
    }

    /// Position of the event in the agent's history of each resource: 1, 2, 3 and so on.
    #[getter]
    fn sequences<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for line in &self.receipt.lines {
            dict.set_item(&*self.books.ledger.resource_name(line.resource), line.sequence)?;
        }
        Ok(dict)
    }

    /// Whether it was charged before, by the first operation under the same idempotency key.
    #[getter]
    const fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    fn __eq__(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.books, &other.books) && self.receipt == other.receipt
    }

    fn __hash__(&self) -> u64 {
        self.receipt.lines.iter().fold(0, |hash, line| hash.wrapping_mul(31).wrapping_add(line.sequence))
    }

    fn __repr__(&self) -> String {
        let ledger = &self.books.ledger;
        let lines = self.receipt.lines.iter();
        let remaining =
            lines.map(|line| format!("{}: {}", ledger.resource_name(line.resource), Units(line.remaining)));
        let remaining = remaining.collect::<Vec<_>>().join(", ");
        format!("ResourceReceipt(amounts={}, remaining={{{remaining}}})", in_words(ledger, &self.receipt))
    }
}

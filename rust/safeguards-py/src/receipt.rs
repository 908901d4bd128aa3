//! What a debit has done. Its amounts become `Decimal`s when somebody looks.

use pyo3::prelude::*;
use safeguards_core::ledger::{Once, Receipt};

use crate::amount::to_decimal;

/// What a debit or a settlement has done. Amounts become `Decimal`s when somebody looks.
///
/// Equal to another with the same three values; hashable.
///
/// Example:
///     >>> receipt = coordinator.debit("bot", "0.25")
///     >>> receipt.amount, receipt.remaining, receipt.sequence
///     (Decimal('0.25'), Decimal('0.75'), 2)
#[pyclass(frozen, module = "safeguards._native", name = "Receipt")]
pub(crate) struct PyReceipt {
    receipt: Receipt,
    is_repeat: bool,
}

impl PyReceipt {
    pub(crate) const fn new(done: Once<Receipt>) -> Self {
        Self { receipt: done.value, is_repeat: done.is_repeat }
    }
}

#[pymethods]
impl PyReceipt {
    /// What was charged.
    #[getter]
    fn amount<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_decimal(py, self.receipt.amount.units())
    }

    /// What the agent had left right after it.
    #[getter]
    fn remaining<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_decimal(py, self.receipt.remaining)
    }

    /// Position of the event in the agent's history: 1, 2, 3 and so on.
    #[getter]
    fn sequence(&self) -> u64 {
        self.receipt.sequence
    }

    /// Whether it was charged before, by the first operation under the same idempotency key.
    #[getter]
    const fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.receipt == other.receipt
    }

    fn __hash__(&self) -> u64 {
        self.receipt.sequence
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (amount, remaining) = (self.amount(py)?, self.remaining(py)?);
        Ok(format!("Receipt(amount={amount}, remaining={remaining}, sequence={})", self.receipt.sequence))
    }
}

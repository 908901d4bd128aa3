//! What a debit has done. Its amounts become `Decimal`s when somebody looks.

use pyo3::prelude::*;
use safeguards_core::ledger::Receipt;

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
pub(crate) struct PyReceipt(pub(crate) Receipt);

#[pymethods]
impl PyReceipt {
    /// What was charged.
    #[getter]
    fn amount<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_decimal(py, self.0.amount.units())
    }

    /// What the agent had left right after it.
    #[getter]
    fn remaining<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_decimal(py, self.0.remaining)
    }

    /// Position of the event in the agent's history: 1, 2, 3 and so on.
    #[getter]
    fn sequence(&self) -> u64 {
        self.0.sequence
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn __hash__(&self) -> u64 {
        self.0.sequence
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (amount, remaining) = (self.amount(py)?, self.remaining(py)?);
        Ok(format!("Receipt(amount={amount}, remaining={remaining}, sequence={})", self.0.sequence))
    }
}

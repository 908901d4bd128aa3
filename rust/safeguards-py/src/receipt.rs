//! What a debit has done. Its amounts become `Decimal`s when somebody looks.

use std::sync::Arc;

use pyo3::prelude::*;
use safeguards_core::ledger::{Once, Receipt};

use crate::amount::to_decimal;
use crate::ledger::Books;

/// What a debit or a settlement has done. Amounts become `Decimal`s when somebody looks.
///
/// Equal to another of the same amounts and sequence; hashable. `BudgetCoordinator.refund` takes it.
///
/// Example:
///     >>> receipt = coordinator.debit("bot", "0.25")
///     >>> receipt.amount, receipt.remaining, receipt.sequence
///     (Decimal('0.25'), Decimal('0.75'), 2)
#[pyclass(frozen, module = "safeguards._native", name = "Receipt")]
pub(crate) struct PyReceipt {
    books: Arc<Books>,
    receipt: Receipt,
    is_repeat: bool,
}

impl PyReceipt {
    #[inline]
    pub(crate) fn new(books: &Arc<Books>, done: Once<Receipt>) -> Self {
        Self { books: Arc::clone(books), receipt: done.value, is_repeat: done.is_repeat }
    }

    /// The receipt, if it is of these books.
    pub(crate) fn of(&self, books: &Arc<Books>) -> Option<&Receipt> {
        Arc::ptr_eq(&self.books, books).then_some(&self.receipt)
    }
}

#[pymethods]
impl PyReceipt {
    /// What was charged.
    #[getter]
    fn amount<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_decimal(py, self.receipt.amount.units())
    }

    /// What a settlement cost beyond the overdraft limits of its path: charged nowhere.
    #[getter]
    fn unpaid<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_decimal(py, self.receipt.unpaid.units())
    }

    /// What the agent had left right after it.
    #[getter]
    fn remaining<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_decimal(py, self.receipt.remaining)
    }

    /// Position of the event in the agent's history: 1, 2, 3 and so on.
    #[getter]
    const fn sequence(&self) -> u64 {
        self.receipt.charge.sequence
    }

    /// What tells this charge from all others, for records of your own.
    #[getter]
    fn id(&self) -> String {
        let charge = &self.receipt.charge;
        format!("{:016x}-{:x}.{:x}", self.books.ledger.incarnation(), charge.handle, charge.sequence)
    }

    /// Whether it was charged before, by the first operation under the same idempotency key.
    #[getter]
    const fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    /// What of it was given back by now, as far as that is remembered: for 24 hours.
    #[getter]
    fn refunded<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let refunded = self.books.ask(py, |core| core.refunded(&self.receipt))?;
        to_decimal(py, refunded.units())
    }

    fn __eq__(&self, other: &Self) -> bool {
        let facts = |r: &Receipt| (r.amount, r.unpaid, r.remaining, r.charge.handle, r.charge.sequence);
        facts(&self.receipt) == facts(&other.receipt)
    }

    const fn __hash__(&self) -> u64 {
        self.receipt.charge.sequence
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (amount, remaining) = (self.amount(py)?, self.remaining(py)?);
        let unpaid = &self.receipt.unpaid;
        let unpaid = if unpaid.is_zero() { String::new() } else { format!(", unpaid={unpaid}") };
        Ok(format!("Receipt(amount={amount}, remaining={remaining}, sequence={}{unpaid})", self.sequence()))
    }
}
